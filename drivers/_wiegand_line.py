"""The line to a Wiegand converter, a serial port or a TCP connection: it talks, we listen. (No driver.)"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import serial

from drivers._serial import open_port
from gateway.errors import Text, Unreachable
from gateway.fields import BusConfig

ROOM = 4096  # bytes that may wait to be read; more are not taken from the line before these are
CONNECT_S = 5.0
KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))  # tcp(7): noticed in 25 s
CHECK = Text(
    "check that the converter has power and that buses: names its port or address; it is tried again",
    "请检查转换器供电以及 buses: 中的端口或地址;网关会自动重试",
)


class Line(asyncio.Protocol):
    """What was heard since last read, and whether the line is still there."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._heard = bytearray()
        self._news = asyncio.Event()
        self._lost: str | None = None
        self._source: asyncio.ReadTransport | None = None
        self._out: asyncio.WriteTransport | serial.Serial | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is to be waited for while too much is unread."""
        self._source = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Kept until it is read."""
        self._heard += data
        self._news.set()
        if len(self._heard) > ROOM and self._source is not None:
            self._source.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Told by the next read."""
        self._lost = str(exc) if exc else "closed by the other end"
        self._news.set()

    def speak_through(self, out: asyncio.WriteTransport | serial.Serial) -> None:
        """What is written goes there."""
        self._out = out

    async def more(self, within_s: float) -> bytes:
        """What came; empty where nothing did. Unreachable: the line is gone."""
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            return b""
        self._news.clear()
        data = bytes(self._heard[:ROOM])
        del self._heard[:ROOM]
        if self._heard:
            self._news.set()
        elif self._source is not None and self._lost is None:
            self._source.resume_reading()
        if not data and self._lost is not None:
            raise gone(self._name, self._lost)
        if self._lost is not None:
            self._news.set()  # the next read says so
        return data

    def write(self, data: bytes) -> None:
        """To the converter. Unreachable: the line is gone."""
        if self._lost is not None or self._out is None:
            raise gone(self._name, self._lost or "not open")
        try:
            self._out.write(data)
        except (OSError, serial.SerialException) as error:
            raise gone(self._name, str(error)) from error


def gone(name: str, why: str) -> Unreachable:
    """The line cannot be used."""
    return Unreachable(name, Text(f"the line to the converter is gone: {why}", f"转换器线路不可用:{why}"), CHECK)


@asynccontextmanager
async def open_line(name: str, bus: BusConfig) -> AsyncIterator[Line]:
    """The line of `buses: {name}`. Unreachable: the port or the converter is not there."""
    line = Line(name)
    transport = await (_open_tcp(name, bus, line) if bus.tcp else _open_serial(name, bus, line))
    try:
        yield line
    finally:
        transport.close()


async def _open_serial(name: str, bus: BusConfig, line: Line) -> asyncio.BaseTransport:
    port = open_port(name, bus)
    line.speak_through(port)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: line, port)
    return transport


async def _open_tcp(name: str, bus: BusConfig, line: Line) -> asyncio.BaseTransport:
    host, port = bus.tcp or ("", 0)
    try:
        async with asyncio.timeout(CONNECT_S):
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: line, host, port)
    except (OSError, TimeoutError) as error:
        raise gone(name, f"{host}:{port}: {str(error) or 'no answer'}") from error
    end: socket.socket = transport.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        end.setsockopt(socket.IPPROTO_TCP, option, value)
    line.speak_through(transport)
    return transport
