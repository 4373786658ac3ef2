"""A line for the questions of a search: all that was heard after each, right or damaged. (An underscore: no driver.)

The drivers' own wires pass over what does not answer them; whoever searches wants to know of that too, for it says that
something is there and speaks otherwise.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import serial

from drivers._ear import Ear
from drivers._serial import open_port
from gateway.errors import Text, Unreachable
from gateway.fields import BusConfig

BITS_PER_BYTE = 11  # Modbus over serial line 1.02, 2.5.1; OSDP has 10
PAUSE_BYTES = 4  # silence before a question; the same, 2.5.1.1: 3.5 at least
GAP_S = 0.05  # longest silence inside an answer: USB adapters and serial servers hand on late
BABBLE_S = 1.0  # no answer takes longer; a babbling device does not hold the search
ROOM_BYTES = 65536  # of a flood the newest are looked at
CONNECT_S = 5.0
CHECK = Text("check the address, the port and the cable", "请检查地址、端口和网线")


class Probe:
    """A line that is open. `byte_s`: how long one byte takes."""

    def __init__(self, where: str, ear: Ear, write: Callable[[bytes], object], byte_s: float) -> None:
        self._where = where
        self._ear = ear
        self._write = write
        self._byte_s = byte_s

    async def ask(self, question: bytes, enough: Callable[[bytes], object], wait_s: float) -> bytes:
        """All that was heard after `question` until it was `enough`, or `wait_s` were over; empty: silence.

        What begins in time may go on, with gaps of `GAP_S` at most. Unreachable: the line itself is gone.
        """
        await self._pause()
        self._ear.heard.clear()
        try:
            self._write(question)
        except (OSError, serial.SerialException) as error:
            raise self._gone(str(error)) from error
        now = asyncio.get_running_loop().time
        first_s = now() + len(question) * self._byte_s + wait_s
        with suppress(TimeoutError):
            async with asyncio.timeout_at(first_s) as limit:
                while not enough(bytes(self._ear.heard)):
                    await self._news()
                    limit.reschedule(max(first_s, min(now() + GAP_S, first_s + BABBLE_S)))
        return bytes(self._ear.heard)

    async def _pause(self) -> None:
        """Until the line was silent for long enough, or babbles."""
        pause_s = PAUSE_BYTES * self._byte_s
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s) as limit:
                while pause_s:
                    await self._news()
                    limit.reschedule(min(asyncio.get_running_loop().time() + pause_s, (limit.when() or 0) + pause_s))

    async def _news(self) -> None:
        await self._ear.news.wait()
        self._ear.news.clear()
        if self._ear.lost is not None:
            raise self._gone(self._ear.lost)

    def _gone(self, why: str) -> Unreachable:
        return Unreachable(self._where, Text(f"the line is gone: {why}", f"线路已断开:{why}"), CHECK)


@asynccontextmanager
async def open_probe(bus: BusConfig) -> AsyncIterator[Probe]:
    """The line, open and ours alone. Unreachable: the port or the server is not there, or another program has it."""
    opened = _open_tcp(bus) if bus.tcp else _open_serial(bus)
    async with opened as probe:
        yield probe


@asynccontextmanager
async def _open_serial(bus: BusConfig) -> AsyncIterator[Probe]:
    port = open_port("scan", bus)
    ear = Ear(ROOM_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: ear, port)
    try:
        yield Probe(bus.serial or "", ear, port.write, BITS_PER_BYTE / bus.baudrate)
    finally:
        transport.close()
        port.close()  # at once, for the next setting: the transport only does so later


@asynccontextmanager
async def _open_tcp(bus: BusConfig) -> AsyncIterator[Probe]:
    host, port = bus.tcp or ("", 0)
    ear = Ear(ROOM_BYTES)
    try:
        async with asyncio.timeout(CONNECT_S):
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: ear, host, port)
    except (OSError, TimeoutError) as error:
        why = Text(f"no connection ({error or 'no answer'})", f"无法连接({error or '无应答'})")
        raise Unreachable(setting(bus), why, CHECK) from error
    try:
        yield Probe(setting(bus), ear, transport.write, 0.0)
    finally:
        transport.abort()


def setting(bus: BusConfig) -> str:
    """`/dev/ttyUSB0 9600 8N1`, `192.0.2.40:502`."""
    if bus.tcp is not None:
        host, port = bus.tcp
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"{bus.serial} {bus.baudrate} 8{bus.parity}{bus.stopbits}"


def keys(bus: BusConfig) -> dict[str, Any]:
    """How the line stands under `buses:`."""
    if bus.tcp is not None:
        return {"tcp": setting(bus), **({"framing": "rtu"} if bus.framing == "rtu" else {})}
    return {"serial": bus.serial, "baudrate": bus.baudrate, **({"parity": bus.parity} if bus.parity != "N" else {})}
