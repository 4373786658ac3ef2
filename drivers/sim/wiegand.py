"""A simulated Wiegand converter: what is held before its readers goes out on a pty, or to every TCP client.

async with Converter("em-uart") as converter:
    ...  # a gateway whose bus is `serial: converter.port`
    converter.present(Credential("wiegand-26", 90, 324))
"""

import asyncio
import contextlib
import os
import tty
from collections.abc import Callable, Mapping
from functools import reduce
from operator import xor
from typing import Any, Self

from drivers._wiegand import LAYOUTS, bit_string, encode
from drivers._wiegand_frame import Frame, named
from drivers.sim._modbus_codec import crc16
from gateway.event import Credential
from gateway.fields import Wrong

Send = Callable[[bytes], None]
KEYS = "0123456789*#"
BODY_BYTES = 64  # room to put fields in; cut to what is used


class Converter:
    """One converter with its readers. `port`: the pty's client side; `address`: where it listens for TCP.

    `opened` counts how often it was told to open the door; `listeners` are called whenever something comes in.
    """

    def __init__(self, frame: str | Mapping[str, Any] | Frame, tcp: tuple[str, int] | None = None) -> None:
        self.frame = Frame.model_validate(named(frame))
        self.port = ""
        self.address = ("", 0)
        self.opened = 0
        self.listeners: list[Callable[[], object]] = []
        self._tcp = tcp
        self._heard = b""
        self._senders: list[Send] = []
        self._clients: list[asyncio.Transport] = []
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            if self._tcp is None:
                self._open_pty(stack)
            else:
                loop = asyncio.get_running_loop()
                server = await loop.create_server(lambda: _Client(self), *self._tcp)
                self.address = server.sockets[0].getsockname()[:2]
                stack.callback(self.drop)
                stack.callback(server.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    def _open_pty(self, stack: contextlib.AsyncExitStack) -> None:
        ours, theirs = os.openpty()
        stack.callback(os.close, ours)
        stack.callback(os.close, theirs)
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self.port = os.ttyname(theirs)
        loop = asyncio.get_running_loop()
        loop.add_reader(ours, lambda: self.hear(os.read(ours, 4096)))
        stack.callback(loop.remove_reader, ours)
        self._senders.append(lambda data: _write(ours, data))

    def present(self, card: Credential, reader: int | None = None, damaged: bool = False) -> None:
        """Hold a card before a reader; `damaged`: one bit arrives wrong. ValueError: the frame cannot carry it."""
        self.send(message(self.frame, card, reader, damaged))

    def press(self, keys: str) -> None:
        """Press keys, 0 to 9, * and #; one message each where the frame carries bits."""
        if not set(keys) <= set(KEYS):
            raise ValueError(keys)
        if self.frame.keys:
            self.send(keys.encode())
            return
        if self.frame.carries != "bits":
            raise Wrong(
                "messages of this frame carry no keys: take --frame decimal-line or bits-line",
                "该报文格式不传按键:请用 --frame decimal-line 或 bits-line",
            )
        for key in keys:
            value = KEYS.index(key)
            self.send(_whole(self.frame, 4, bytes([value << 4]), None))

    def beat(self) -> None:
        """A heartbeat, where it has one."""
        self.send(self.frame.heartbeat)

    def send(self, data: bytes) -> None:
        """Any bytes, to whoever listens."""
        for send in self._senders:
            send(data)

    def joined(self, client: asyncio.Transport) -> None:
        """One more TCP client."""
        self._clients.append(client)
        self._senders.append(client.write)
        self._tell()

    @property
    def clients(self) -> int:
        """TCP connections there have been since the last drop."""
        return len(self._clients)

    def drop(self) -> None:
        """Cut every TCP connection."""
        for client in self._clients:
            client.abort()
        self._clients.clear()
        self._senders.clear()

    def hear(self, data: bytes) -> None:
        """Bytes from the gateway."""
        self._heard = (self._heard + data)[-256:]
        if self.frame.unlock and self.frame.unlock in self._heard:
            self.opened += self._heard.count(self.frame.unlock)
            self._heard = b""
        self._tell()

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()


class _Client(asyncio.Protocol):
    def __init__(self, converter: Converter) -> None:
        self._converter = converter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._converter.joined(transport)

    def data_received(self, data: bytes) -> None:
        self._converter.hear(data)


def _write(fd: int, data: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody reads: a wire has no memory
        os.write(fd, data)


def message(frame: Frame, card: Credential, reader: int | None = None, damaged: bool = False) -> bytes:
    """A card as this frame carries it. ValueError where it cannot."""
    bits, data = encode(card)
    if frame.carries == "number":
        number, width = _number(card)
        if frame.coding == "decimal":
            text = f"{card.facility:03d},{card.number:05d}" if card.facility else f"{number:010d}"
            return frame.start + (text + "?" * damaged).encode() + frame.end
        wide = (
            frame.card[1] - frame.card[0] + 1
            if frame.size_bytes is not None and frame.card[1] >= 0
            else (width + 7) // 8
        )
        return _whole(frame, 0, number.to_bytes(wide, "big"), reader, damaged)
    flipped = bytes([data[0] ^ 0x80 * damaged]) + data[1:]
    return _whole(frame, bits, flipped, reader)


def _number(card: Credential) -> tuple[int, int]:
    """Facility and number as one, and its bits."""
    layout = LAYOUTS.get(card.format)
    if layout is None:
        return card.number, int(card.format.partition("-")[2])
    low = layout.number[1] - layout.number[0] + 1
    return card.facility << low | card.number, low + layout.facility[1] - layout.facility[0] + 1


def _whole(frame: Frame, count: int, card: bytes, reader: int | None, damaged: bool = False) -> bytes:
    if frame.coding == "bits":
        return frame.start + bit_string(count, card).encode() + frame.end
    if frame.align == "right" and count:
        card = (int.from_bytes(card, "big") >> -count % 8).to_bytes(len(card), "big")
    body = _body(frame, count, card[::-1] if frame.reversed else card, reader)
    if damaged:
        body[frame.card[0]] ^= 0x01  # after the check was made
    text = body.hex().upper().encode() if frame.coding == "hex" else bytes(body)
    return frame.start + text + frame.end


def _body(frame: Frame, count: int, card: bytes, reader: int | None) -> bytearray:
    first, size = frame.card[0], _size(frame, len(card))
    body = bytearray(size)
    body[first : first + len(card)] = card
    for place, value in ((frame.address, reader or 0), (frame.count, count)):
        if place is not None:
            body[place] = value
    if frame.length is not None:
        body[frame.length.at] = size - frame.length.plus
    if frame.check is not None:
        begin, end = (place + size if place < 0 else place for place in frame.check.over)
        summed = bytes(body[begin : end + 1])
        made = {"xor": bytes([reduce(xor, summed, 0)]), "sum": bytes([sum(summed) & 0xFF]), "crc16": crc16(summed)}
        at = frame.check.at % size
        body[at : at + len(made[frame.check.kind])] = made[frame.check.kind]
    return body


def _size(frame: Frame, card: int) -> int:
    """Bytes of the body, before hexadecimal digits are made of them."""
    if frame.size_bytes is not None:
        return frame.size_bytes // 2 if frame.coding == "hex" else frame.size_bytes
    first, last = frame.card
    return first + card + (-1 - last if last < 0 else 0)
