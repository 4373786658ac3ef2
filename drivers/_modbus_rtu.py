"""Modbus RTU (Modbus over serial line 1.02), on a serial port or behind a serial server. (An underscore: no driver.)

RTU has no transaction ids, adapters echo, and noise stands before replies. The standard marks frames by pauses, of
which nothing is left behind USB and serial servers: so a reply is known by what it must be, wherever it stands among
the bytes that came since the request. It has the request's address and function, the length that the request asks for,
and a right checksum.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Protocol

import serial

from drivers._modbus_pdu import EXCEPTION_BYTES, answer_bytes, answers
from gateway.clock import Clock

AROUND_BYTES = 3  # address before the PDU, checksum after it; 2.5.1
SHORTEST = EXCEPTION_BYTES + AROUND_BYTES
LONGEST = 256  # bytes of a frame; 2.5.1
ROOM = 2 * LONGEST  # bytes that are looked at: an echo and a reply; of a flood the newest
LAST_READ = 4  # functions up to this one read, the others write
BITS_PER_CHARACTER = 11  # 2.5.1
SILENT_CHARACTERS = 3.5  # between frames; 2.5.1.1
FASTEST_SILENCE_S = 0.00175  # the same, above 19200 baud
FIXED_ABOVE_BAUD = 19200
CHUNK = 512  # bytes read at once
QUESTIONS = 1024  # that are kept ready: each device is asked the same ones again and again


def _shifted(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
    return byte


CRC_OF_BYTE = tuple(_shifted(byte) for byte in range(256))


def crc16(data: bytes) -> int:
    """2.5.1.2: polynomial 0xA001 reflected, start 0xFFFF."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_OF_BYTE[(crc ^ byte) & 0xFF]
    return crc


def crc_right(frame: bytes) -> bool:
    """The checksum at the end, low byte first, is that of the rest: that of the whole is nothing then."""
    return crc16(frame) == 0


@lru_cache(QUESTIONS)
def framed(unit: int, pdu: bytes) -> bytes:
    """Address, PDU, checksum."""
    body = bytes([unit]) + pdu
    return body + crc16(body).to_bytes(2, "little")


def silence_s(baudrate: int) -> float:
    """How long a line is to be silent before a frame (2.5.1.1)."""
    if baudrate > FIXED_ABOVE_BAUD:
        return FASTEST_SILENCE_S
    return SILENT_CHARACTERS * BITS_PER_CHARACTER / baudrate


def reply_in(request: bytes, data: bytes) -> bytes:
    """The first frame in `data` that answers the frame `request`; empty where there is none (yet)."""
    asked = request[1:-2]
    sizes = (answer_bytes(asked) + AROUND_BYTES, SHORTEST)
    start = data.find(request[0])
    while 0 <= start <= len(data) - SHORTEST:
        for size in sizes:
            frame = data[start : start + size]
            if len(frame) == size and answers(asked, frame[1:-2]) and crc_right(frame):
                return frame
        start = data.find(request[0], start + 1)
    return b""


class Sieve:
    """What came since the request, down to its reply. Learns from reads whether the line echoes."""

    def __init__(self) -> None:
        self._request = b""
        self._heard = b""
        self._echoes = False

    def asks(self, request: bytes) -> None:
        """The frame that is sent now; what came before does not answer it."""
        self._request, self._heard = request, b""

    def hears(self, data: bytes) -> bytes:
        """The reply's frame as soon as it is whole; empty until then."""
        self._heard = heard = (self._heard + data)[-ROOM:]
        if not self._request:
            return b""
        writes = self._request[1] > LAST_READ
        if not writes and self._request in heard:
            self._echoes = True
        if writes and self._echoes:  # the echo of a write looks like its answer
            heard = heard.partition(self._request)[2]
        return reply_in(self._request, heard)


class Port(Protocol):
    """What bytes go out through; a transport of asyncio is one. What comes in is given to the client."""

    def write(self, data: bytes) -> None:
        """All of it."""

    def abort(self) -> None:
        """Closed at once."""

    def is_closing(self) -> bool:
        """Closed, or gone."""


class SerialPort:
    """An open, non-blocking serial port, read by the loop that runs."""

    def __init__(self, port: serial.Serial, protocol: asyncio.Protocol) -> None:
        self._port = port
        self._fd: int = port.fileno()
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()

    def listen(self) -> None:
        """From now on what comes is given to the protocol."""
        self._loop.add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, CHUNK)
        except OSError as error:  # the adapter was pulled out
            self._end(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._end(None)

    def _end(self, error: OSError | None) -> None:
        self.abort()
        self._protocol.connection_lost(error)

    def write(self, data: bytes) -> None:
        """OSError: the port is gone, or takes no more."""
        os.write(self._fd, data)

    def abort(self) -> None:
        """Closed at once, free for others."""
        if self._port.is_open:
            self._loop.remove_reader(self._fd)
            self._port.close()

    def is_closing(self) -> bool:
        """Closed, or gone."""
        return not self._port.is_open


class RtuClient(asyncio.Protocol):
    """A line of RTU devices: one request at a time."""

    def __init__(self, connect: Callable[[asyncio.Protocol], Awaitable[Port]], clock: Clock, silence_s: float) -> None:
        self._connect = connect
        self._clock = clock
        self._silence_s = silence_s
        self._quiet_at_s = 0.0
        self._port: Port | None = None
        self._sieve = Sieve()
        self._answer: asyncio.Future[bytes] | None = None

    @property
    def connected(self) -> bool:
        """The line stands, as far as is known."""
        return self._port is not None and not self._port.is_closing()

    async def open(self) -> None:
        """OSError or Unreachable where it cannot be had."""
        self._port = await self._connect(self)

    def close(self) -> None:
        """At once."""
        if self._port is not None:
            self._port.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits for an answer is told."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        """The reply to the request on its way, out of all that comes; what comes at another time is dropped."""
        self._quiet_at_s = self._clock.monotonic() + self._silence_s
        if self._answer is not None and not self._answer.done():
            reply = self._sieve.hears(data)
            if reply:
                self._answer.set_result(reply)

    async def quiet(self) -> None:
        """Until the line has been silent for as long as it must be before a frame; once, where somebody chatters."""
        left_s = self._quiet_at_s - self._clock.monotonic()
        if left_s > 0:
            await self._clock.sleep(left_s)

    async def ask(self, unit: int, pdu: bytes) -> bytes:
        """The answer's PDU, for which it waits for ever. OSError: the line is gone."""
        if self._port is None or self._port.is_closing():
            raise ConnectionResetError
        request = framed(unit, pdu)
        self._answer = asyncio.get_running_loop().create_future()
        self._sieve.asks(request)
        self._port.write(request)
        return (await self._answer)[1:-2]
