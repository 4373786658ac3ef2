"""A line to a broker that understands MQTT's frames: it can drop, change, hold up or add single packets."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from gateway.demo.wire import Wire

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13  # packet types (MQTT 5.0, table 2-1)
Filter = Callable[[bytes], Awaitable[bytes | None]]  # what goes on in a packet's place; None: the line is cut here


async def whole(packet: bytes) -> bytes | None:
    """As it is."""
    return packet


def kind(packet: bytes) -> int:
    """Its type."""
    return packet[0] >> 4


def dup(packet: bytes) -> bool:
    """Is a PUBLISH marked as sent before?"""
    return bool(packet[0] & 0x08)


def _after_length(packet: bytes) -> int:
    """Where the variable header begins."""
    at = 1
    while packet[at] & 0x80:
        at += 1
    return at + 1


def topic(packet: bytes) -> str:
    """Of a PUBLISH."""
    at = _after_length(packet)
    return packet[at + 2 : at + 2 + int.from_bytes(packet[at : at + 2], "big")].decode()


def packet_id(packet: bytes) -> int:
    """Of a PUBLISH with QoS 1, or of what begins with it."""
    at = _after_length(packet)
    if kind(packet) == PUBLISH:
        at += 2 + int.from_bytes(packet[at : at + 2], "big")
    return int.from_bytes(packet[at : at + 2], "big")


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    """The next packet; IncompleteReadError at the end."""
    head = await reader.readexactly(1)
    size = shift = 0
    while True:
        head += await reader.readexactly(1)
        size |= (head[-1] & 0x7F) << shift
        shift += 7
        if head[-1] < 0x80:
            return head + await reader.readexactly(size)


class FramedWire(Wire):
    """`up` and `down` are asked for every packet; `sent` and `heard` keep what went through, by connection."""

    def __init__(self, to_port: int) -> None:
        super().__init__(to_port)
        self.up: Filter = whole
        self.down: Filter = whole
        self.sent: list[list[bytes]] = []
        self.heard: list[list[bytes]] = []
        self.clients: list[asyncio.StreamWriter] = []  # a test may say something in the broker's place

    def published(self, connection: int, ending: str = "") -> list[bytes]:
        """PUBLISH packets of one connection whose topic ends so."""
        return [p for p in self.sent[connection] if kind(p) == PUBLISH and topic(p).endswith(ending)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if not self.whole:
            writer.transport.abort()
            return
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
            self._writers |= {writer, back}
            self.clients.append(writer)
            self.sent.append([])
            self.heard.append([])
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, back, lambda packet: self.up(packet), self.sent[-1]))
                group.create_task(self._pass(there, writer, lambda packet: self.down(packet), self.heard[-1]))
            self._writers -= {writer, back}

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, change: Filter, kept: list[bytes]
    ) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while (packet := await change(await read_packet(source))) is not None:
                kept.append(packet)
                sink.write(packet)
                await sink.drain()
        sink.close()
