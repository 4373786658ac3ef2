"""Where transmission devices arrive: one TCP or UDP port for many of them, each kept apart from the others.

The protocol knows no password. So only admitted addresses are heard, and what one peer may take is bounded: its
connections, its frames per second, its bytes without a frame, its half frames, its unread replies. (An underscore: no
driver.)
"""

import asyncio
import errno
import os
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import cast

from drivers._allowance import Allowance
from drivers._gb26875_config import Listen
from drivers._gb26875_dialogue import Way, within
from drivers._gb26875_frame import MOST_FRAME_BYTES, Damage, Frame, Framer
from drivers._gb26875_station import Station
from drivers._gb26875_unit import hexadecimal
from gateway.driver import Link
from gateway.errors import Text, Unreachable
from gateway.listeners import NOT_ADMITTED, Refusals, Turnstile

CHUNK_BYTES = 4096
HALF_FRAME_S = 3.0  # what has begun as a frame and does not go on is none
UNKNOWN_S = 60.0  # a peer has so long to send the first frame of a device that is configured
MOST_CONNECTIONS = 256
MOST_PER_PEER = 32  # connections of one IP address: devices may share a router
MOST_GARBAGE_BYTES = 65_536  # without a frame; then the connection ends
MOST_UNREAD_BYTES = 16_384  # replies that a peer does not take; then the connection ends
GARBAGE_FRAMES = 10  # of its sender's allowance, beside its own: what a datagram costs that holds none
MOST_DATAGRAMS = 256  # that wait
DATAGRAM_WORKERS = 8
MOST_TOLD = 64  # strangers that are named in the log
MOST_PEERS = 1024  # whose rate is remembered
KEEPALIVE_S = 30  # a dead peer's connection is noticed and freed
Datagram = tuple[bytes, tuple[str, int]]


class Crowd:
    """The stations of one port: who may come, and whose a frame is."""

    def __init__(self, stations: Sequence[Station], link: Link) -> None:
        self.stations = stations
        self.link = link
        self.named = "gb26875 " + ", ".join(station.config.id for station in stations)
        self.refusals = Refusals(link.log, self.named)
        self._told: set[str] = set()

    def admits(self, host: str) -> bool:
        """May a peer from there be heard at all?"""
        return any(station.config.admits(host) for station in self.stations)

    def whose(self, frame: Frame, host: str) -> Station | None:
        """By its source address; where no device has that, by where it comes from. None: not one device, or several."""
        source = hexadecimal(frame.source)
        admitted = [station for station in self.stations if station.config.admits(host)]
        named = [station for station in admitted if station.config.address == source]
        found = named or [station for station in admitted if station.config.address is None]
        return found[0] if len(found) == 1 else None

    def _tell_stranger(self, frame: Frame, host: str) -> None:
        source = hexadecimal(frame.source)
        message = "a device nobody has configured reports from %s: its address is %s; it is not confirmed"
        self.tell_once(f"{host} {source}", message, host, source)

    def tell_once(self, what: str, message: str, *values: object) -> None:
        """In the log, as long as not too many are told."""
        if what not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(what)
            self.link.log.warning(message, *values)

    async def hear(self, found: Frame | Damage, host: str, way: Way, met: set[Station]) -> None:
        """One frame, or what was left of one. `met`: whose frames came this way before."""
        if isinstance(found, Damage):
            damaged = self.whose(found.head, host)
            if damaged is not None:
                damaged.deny(found.head, way, found.reason)
            return
        station = self.whose(found, host)
        if station is None:
            self._tell_stranger(found, host)
            return
        if station not in met:
            met.add(station)
            station.timing.anew()
        await station.take(found, way)


class Connection:
    """One TCP connection."""

    def __init__(self, crowd: Crowd, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._crowd = crowd
        self._clock = crowd.link.clock
        self._reader, self._writer = reader, writer
        self.host = str(writer.get_extra_info("peername")[0])
        self._way = Way(self.host, self._send)
        self._framer = Framer()
        self._allowance = Allowance(self._clock)
        self._stations: set[Station] = set()

    async def serve(self) -> None:
        """Until the peer ends it, or has to be sent away."""
        since_s = self._clock.monotonic()
        try:
            while self._framer.garbage_bytes < MOST_GARBAGE_BYTES:
                left_s = since_s + UNKNOWN_S - self._clock.monotonic()
                if not self._stations and left_s <= 0:
                    return
                data = await self._read(left_s)
                if data == b"":
                    return
                await self._hear(self._framer.feed(data) if data else self._expired())
            self._crowd.tell_once(f"{self.host} garbage", "%s sends no frames; it is cut off", self.host)
        except OSError:
            return  # it has gone
        finally:
            for station in self._stations:
                station.dialogue.gone(self._way)
            self._writer.transport.abort()

    async def _read(self, left_s: float) -> bytes | None:
        """What comes; None where it takes too long."""
        patience_s = HALF_FRAME_S if self._framer.pending else left_s
        if self._stations and not self._framer.pending:
            return await self._reader.read(CHUNK_BYTES)
        return await within(self._clock, patience_s, self._reader.read(CHUNK_BYTES))

    def _expired(self) -> Iterable[Frame | Damage]:
        return self._framer.expire()

    async def _hear(self, found: Iterable[Frame | Damage]) -> None:
        for each in found:
            await self._clock.sleep(self._allowance.take())
            await self._crowd.hear(each, self.host, self._way, self._stations)

    def _send(self, data: bytes) -> None:
        if self._writer.transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            self._writer.transport.abort()
        elif not self._writer.is_closing():
            self._writer.write(data)


class Datagrams(asyncio.DatagramProtocol):
    """The UDP port: what comes waits in a short queue, from which a few workers take it."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._waiting: asyncio.Queue[Datagram] = asyncio.Queue(MOST_DATAGRAMS)
        self._allowances: OrderedDict[str, Allowance] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None
        self._stations: set[Station] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The port is open."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Dropped, and counted, where its sender is not admitted or too fast; it is sent again."""
        host = str(addr[0])
        if not self._crowd.admits(host):
            self._crowd.refusals.add(host, NOT_ADMITTED)
        elif self._waiting.full() or not self._may(host):
            self._crowd.refusals.add(host, "sends more datagrams than are taken")
        else:
            self._waiting.put_nowait((data[: 2 * MOST_FRAME_BYTES], addr))

    def _may(self, host: str) -> bool:
        allowance = self._allowances.setdefault(host, Allowance(self._crowd.link.clock))
        if len(self._allowances) > MOST_PEERS:
            self._allowances.popitem(last=False)
        if allowance.take() > 0:
            allowance.give_back()
            return False
        return True

    async def work(self) -> None:
        """One datagram after the other. Frames do not go on in the next."""
        while True:
            data, addr = await self._waiting.get()
            framer = Framer()
            way = Way("{}:{}".format(*addr[:2]), partial(self._send, addr))
            frames = [*framer.feed(data), *_rest(framer)]
            if not frames and (allowance := self._allowances.get(str(addr[0]))):
                allowance.take(GARBAGE_FRAMES)
            for found in frames:
                await self._crowd.hear(found, str(addr[0]), way, self._stations)
            await asyncio.sleep(0)  # the others' turn

    def _send(self, addr: tuple[str, int], data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, addr)


def _rest(framer: Framer) -> list[Frame | Damage]:
    """What stands behind half a frame."""
    found: list[Frame | Damage] = []
    while framer.pending:
        found += framer.expire()
    return found


@asynccontextmanager
async def open_port(name: str, listen: Listen, crowd: Crowd, group: asyncio.TaskGroup) -> AsyncIterator[None]:
    """Takes what arrives while the block lasts. Unreachable: the address cannot be listened on."""
    try:
        opened = _open_udp(listen, crowd, group) if listen.udp else _open_tcp(listen, crowd, group)
        transport = await opened
    except OSError as error:
        raise _unheard(name, listen, error) from error
    try:
        yield
    finally:
        transport.close()


def _unheard(name: str, listen: Listen, error: OSError) -> Unreachable:
    why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    taken = error.errno == errno.EADDRINUSE
    return Unreachable(
        name,
        Text(f"cannot listen on {listen}: {why}", f"无法监听 {listen}:{why}"),
        Text("another program has this port: choose another one", "端口已被其他程序占用,请更换端口")
        if taken
        else Text("listen: needs an address of this machine and a free port", "listen: 应为本机地址和空闲端口"),
    )


async def _open_udp(listen: Listen, crowd: Crowd, group: asyncio.TaskGroup) -> asyncio.DatagramTransport:
    loop = asyncio.get_running_loop()
    where = (listen.host or "0.0.0.0", listen.port)
    transport, datagrams = await loop.create_datagram_endpoint(lambda: Datagrams(crowd), local_addr=where)
    for number in range(DATAGRAM_WORKERS):
        group.create_task(datagrams.work(), name=f"gb26875 {listen} {number}")
    return transport


async def _open_tcp(listen: Listen, crowd: Crowd, group: asyncio.TaskGroup) -> asyncio.Server:
    turnstile = Turnstile(crowd.refusals, MOST_CONNECTIONS, MOST_PER_PEER, crowd.admits)

    async def serve(connection: Connection, transport: asyncio.Transport) -> None:
        try:
            await connection.serve()
        finally:
            turnstile.leave(connection.host, transport)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = str((writer.get_extra_info("peername") or ("",))[0])
        transport = cast(asyncio.Transport, writer.transport)
        if not host:
            transport.abort()
            return
        if not turnstile.enter(host, transport):
            return
        _keep_alive(writer)
        group.create_task(serve(Connection(crowd, reader, writer), transport), name=f"gb26875 {host}")

    return await asyncio.start_server(accept, listen.host or None, listen.port, limit=CHUNK_BYTES)


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Probes of the kernel (tcp(7)), so that the connection of a device that lost power does not stay."""
    opened = writer.get_extra_info("socket")
    with suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
