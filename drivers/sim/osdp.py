"""Door readers that speak OSDP on one line: libosdp's peripheral devices behind a pty, or behind a TCP serial server.

As a conforming reader does (SIA OSDP 2.2, 5.7), a command asked again with the same sequence number gets the same
answer again. What was presented and what was commanded stands in the ledger.
"""

import asyncio
import os
import tty
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import osdp  # type: ignore[import-untyped]  # libosdp has no type hints
import osdp_sys  # type: ignore[import-not-found]

from drivers import _osdp_wire as wire

osdp_sys.set_loglevel(osdp.LogLevel.Emergency)

KEY_CODES = {"#": 0x0D, "*": 0x7F}
AS_IS: Callable[[bytes], Iterable[bytes]] = lambda reply: [reply]  # noqa: E731


@dataclass(frozen=True)
class Entry:
    """One line of the ledger: at which reader, what (`card`, `keys`, `output`, `led`, `buzzer`, `keyset`), details."""

    at_s: float  # the loop's clock
    address: int
    what: str
    detail: dict[str, Any]


@dataclass
class Ledger:
    """What happened, and waiting for it."""

    entries: list[Entry] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, address: int, what: str, detail: dict[str, Any]) -> None:
        """Writes a line."""
        self.entries.append(Entry(asyncio.get_running_loop().time(), address, what, detail))
        self._changed.set()

    def of(self, what: str, address: int | None = None) -> list[Entry]:
        """The lines of one kind, of one reader or of all."""
        return [e for e in self.entries if e.what == what and address in (None, e.address)]

    async def wait(self, what: str, address: int | None = None, count: int = 1) -> Entry:
        """The `count`-th line of one kind, as soon as it stands there."""
        while len(self.of(what, address)) < count:
            self._changed.clear()
            await self._changed.wait()
        return self.of(what, address)[count - 1]


class _Channel(osdp.Channel):  # type: ignore[misc]
    """One command in, one reply out."""

    def __init__(self) -> None:
        super().__init__()
        self.command = b""
        self.reply = b""

    def read(self, max_bytes: int) -> bytes:
        chunk, self.command = self.command[:max_bytes], self.command[max_bytes:]
        return chunk

    def write(self, buf: bytes) -> int:
        self.reply += bytes(buf)
        return len(buf)

    def flush(self) -> None:
        self.reply = b""


class Reader:
    """One reader. `key` None: factory state, takes the first key it is given. `clear`: has no secure channel."""

    def __init__(
        self, address: int, key: bytes | None = None, *, clear: bool = False, outputs: int = 2, inputs: int = 0
    ) -> None:
        self.address = address
        self.key = key
        self.clear = clear
        self.powered = True
        self.refuses: set[int] = set()  # commands answered with NAK, as osdp.Command.LED
        self.busy = 0  # so many commands are answered with BUSY
        self.forgetful = False  # not conforming: acts again on a repeated command, as libosdp's own device does
        self.ledger = Ledger()
        self._outputs = outputs
        self._inputs = [False] * inputs
        self._local = [0, 0]
        self._channel = _Channel()
        self._last = (b"", b"")
        self._device = self._build()

    def _build(self) -> Any:
        cap = osdp.Capability
        has = [(cap.OutputControl, 1, self._outputs), (cap.LEDControl, 1, 1), (cap.AudibleControl, 1, 1)]
        has += [(cap.ContactStatusMonitoring, 1, len(self._inputs))] * bool(self._inputs)
        self._channel = _Channel()
        info = osdp.PDInfo(self.address, self._channel, scbk=self.key)
        device = osdp_sys.PeripheralDevice(info.get(), capabilities=osdp.PDCapabilities(has).get())
        device.set_command_callback(self._command)
        return device

    def present(self, bits: int, data: bytes) -> None:
        """A card: so many bits, left aligned."""
        self.ledger.add(self.address, "card", {"bits": bits, "data": data})
        card = {"reader_no": 0, "format": osdp.CardFormat.Wiegand, "direction": 0, "length": bits, "data": data}
        self._device.submit_event({"event": osdp.Event.CardRead, **card})

    def press(self, keys: str) -> None:
        """Keys of the keypad: digits, `#`, `*`."""
        self.ledger.add(self.address, "keys", {"keys": keys})
        data = bytes(KEY_CODES.get(key, ord(key)) for key in keys)
        self._device.submit_event({"event": osdp.Event.KeyPress, "reader_no": 0, "data": data})

    def tamper(self, on: bool) -> None:
        """The casing is opened or closed."""
        self._local[0] = int(on)
        self._status(osdp.StatusReportType.Local, bytes(self._local))

    def power_fault(self, on: bool) -> None:
        """The reader's supply fails or is back; it still runs."""
        self._local[1] = int(on)
        self._status(osdp.StatusReportType.Local, bytes(self._local))

    def input(self, number: int, active: bool) -> None:
        """A contact at the reader changes."""
        self._inputs[number] = active
        self._status(osdp.StatusReportType.Input, bytes(self._inputs))

    def power(self, on: bool) -> None:
        """Cuts the power (silence; what was not polled is forgotten), or gives it back. The key is kept."""
        self.powered = on
        if on:
            self._last = (b"", b"")
            self._device = self._build()

    def factory_reset(self) -> None:
        """Forgets the key: install mode."""
        self.key = None
        self.power(True)

    def _status(self, kind: int, report: bytes) -> None:
        self._device.submit_event({"event": osdp.Event.Status, "type": kind, "report": report})

    def _command(self, command: dict[str, Any]) -> tuple[int, None]:
        kind = command["command"]
        refused = kind in self.refuses or (kind == osdp.Command.Status and self._resend(command["type"]))
        if not refused:
            self._note(kind, command)
        result: list[Any] = [-1 if refused else 0, None]
        return tuple(result)  # a fresh tuple: the binding takes a reference too many

    def _resend(self, kind: int) -> bool:
        """A state that is asked for. libosdp's binding can only answer "all is well": else it comes with a poll."""
        report = bytes(self._local if kind == osdp.StatusReportType.Local else self._inputs)
        quiet = kind == osdp.StatusReportType.Local and not any(report)
        if not quiet:
            self._status(kind, report)
        return not quiet

    def _note(self, kind: int, command: dict[str, Any]) -> None:
        if kind == osdp.Command.Status:
            return
        if kind == osdp.Command.Keyset:
            self.key = bytes(command["data"])
        names = {osdp.Command.Output: "output", osdp.Command.LED: "led", osdp.Command.Buzzer: "buzzer"}
        self.ledger.add(self.address, names.get(kind, "keyset" if kind == osdp.Command.Keyset else "other"), command)

    def answer(self, command: bytes) -> bytes:
        """A whole packet for this reader (from 53) → its reply, with mark; empty: silence."""
        if not self.powered:
            return b""
        if self.busy:
            self.busy -= 1
            return busy(self.address)
        if command == self._last[0] and command[4] & wire.SEQUENCE and not self.forgetful:
            return self._last[1]
        self._channel.command, self._channel.reply = b"\xff" + command, b""
        for _ in range(2):
            self._device.refresh()
        reply = self._channel.reply
        self._last = (command, without_security(reply) if self.clear else reply)
        return self._last[1]


def busy(address: int) -> bytes:
    """BUSY: sequence 0, in clear."""
    packet = bytes((wire.SOM, address | wire.REPLY, 8, 0, wire.CRC, wire.BUSY))
    return packet + wire.crc16(packet).to_bytes(2, "little")


def without_security(reply: bytes) -> bytes:
    """The same PDCAP, but that it says no to the secure channel (libosdp's device always says yes)."""
    mark, packet = reply[: reply.find(wire.SOM)], bytearray(reply[reply.find(wire.SOM) :])
    if len(packet) < wire.SHORTEST or wire.parse(bytes(packet)).code != wire.PDCAP:
        return reply
    for at in range(6, len(packet) - 2, 3):
        if packet[at] == osdp.Capability.CommunicationSecurity:
            packet[at + 1] = 0
    packet[-2:] = wire.crc16(bytes(packet[:-2])).to_bytes(2, "little")
    return mark + bytes(packet)


class Line:
    """Several readers on one line: `async with Line([Reader(1, key)]) as line:`, then `line.port` or `line.address`.

    `disturb` turns each reply into the pieces that arrive, `PIECE_S` apart: noise, loss, splitting.
    """

    PIECE_S = 0.002

    def __init__(self, readers: Iterable[Reader], *, tcp: bool = False) -> None:
        self.readers = {reader.address: reader for reader in readers}
        self.ledger = Ledger()
        for reader in self.readers.values():
            reader.ledger = self.ledger
        self.disturb = AS_IS
        self.port = ""
        self.address = ("", 0)
        self._tcp = tcp
        self._heard = b""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        if self._tcp:
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self._stack.callback(server.close)
            self.address = server.sockets[0].getsockname()[:2]
        else:
            self._open_pty()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _open_pty(self) -> None:
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self.port = os.ttyname(slave)
        loop = asyncio.get_running_loop()
        loop.add_reader(master, lambda: self._feed(os.read(master, 4096), lambda data: void(os.write(master, data))))
        self._stack.callback(os.close, slave)
        self._stack.callback(os.close, master)
        self._stack.callback(loop.remove_reader, master)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            self._feed(data, writer.write)
        writer.close()

    def _feed(self, data: bytes, write: Callable[[bytes], None]) -> None:
        self._heard = (self._heard + data)[-wire.LONGEST :]
        for command in wire.packets(self._heard):
            self._heard = self._heard[self._heard.index(command) + len(command) :]
            reader = self.readers.get(command[1])
            if reader is not None:
                self._reply(reader.answer(command), write)

    def _reply(self, reply: bytes, write: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        for index, piece in enumerate(self.disturb(reply) if reply else ()):
            if index == 0:
                write(piece)
            else:
                loop.call_later(index * self.PIECE_S, write, piece)


def void(_: object) -> None:
    """Nothing, whatever comes."""
