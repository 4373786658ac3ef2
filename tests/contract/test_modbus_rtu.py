"""Modbus RTU byte by byte on a real pty, against an end that answers as told; and pymodbus' server behind TCP."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers._modbus_rtu import framed, silence_s
from drivers._modbus_values import Block
from drivers._modbus_wire import Peer, Refused, Silent, Wire, open_wire
from drivers._serial import open_port
from gateway.clock import SystemClock
from gateway.errors import Unreachable
from gateway.fields import BusConfig
from tests.fakes import ManualClock

PEER = Peer(7, 0.3, 0)
ONE = Block(3, 3, 1)
QUESTION = bytes.fromhex("07 03 00 03 00 01 74 6C")
GOOD = framed(7, b"\x03\x02\x00\x2a")


class End:
    """The other end of the wire: what it heard, and what it says to each request, in pieces."""

    def __init__(self, *answers: tuple[bytes, ...]) -> None:
        self.heard: list[bytes] = []
        self.asked = asyncio.Event()
        self.port = ""
        self.pull = AsyncExitStack()  # closing it is the adapter pulled out
        self._answers = answers
        self._fd = -1

    async def __aenter__(self) -> "End":
        self._fd, theirs = os.openpty()
        self.pull.callback(os.close, self._fd)
        self.pull.callback(os.close, theirs)
        tty.setraw(theirs)
        self.port = os.ttyname(theirs)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._fd, self._hear)
        self.pull.callback(loop.remove_reader, self._fd)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pull.aclose()

    def _hear(self) -> None:
        self.heard.append(os.read(self._fd, 4096))
        self.asked.set()
        self._say(*self._answers[min(len(self.heard), len(self._answers)) - 1])

    def _say(self, piece: bytes = b"", *more: bytes) -> None:
        os.write(self._fd, piece)
        if more:
            asyncio.get_running_loop().call_later(0.002, self._say, *more)


@asynccontextmanager
async def asking(*answers: tuple[bytes, ...]) -> AsyncIterator[tuple[Wire, End]]:
    """A wire to an end that gives these answers, one a request; the last goes on."""
    async with End(*answers) as end:
        bus = BusConfig.model_validate({"serial": end.port, "baudrate": 115200})
        async with open_wire("line", bus, SystemClock()) as wire:
            yield wire, end


async def test_a_request_is_as_the_standard_says() -> None:
    async with asking((GOOD,), (bytes.fromhex("07 06 00 01 00 05 18 6F"),)) as (wire, end):
        assert await wire.read(PEER, ONE) == [42]
        await wire.write(PEER, 6, 1, [5])
    assert end.heard == [QUESTION, bytes.fromhex("07 06 00 01 00 05 18 6F")]


@pytest.mark.parametrize(
    "pieces",
    [
        (GOOD,),
        tuple(bytes([byte]) for byte in GOOD),
        (b"\x00\xff", GOOD[:3], GOOD[3:]),
        (QUESTION, GOOD),  # an adapter that hears itself
        (QUESTION + GOOD,),
        (framed(8, b"\x03\x02\x00\x07") + GOOD,),  # another device's before it
        (GOOD[:-1] + b"\x00", GOOD),  # a damaged one before it
        (b"\x07\x03" * 400, GOOD),
    ],
)
async def test_the_answer_is_heard(pieces: tuple[bytes, ...]) -> None:
    async with asking(pieces) as (wire, _):
        assert await wire.read(PEER, ONE) == [42]


@pytest.mark.parametrize("pieces", [(), (GOOD[:-1],), (framed(7, b"\x03\x04\x00\x2a\x00\x00"),), (QUESTION,)])
async def test_what_is_no_answer_is_silence_and_the_next_is_served(pieces: tuple[bytes, ...]) -> None:
    async with asking(pieces, (GOOD,)) as (wire, end):
        with pytest.raises(Silent):
            await wire.read(PEER._replace(timeout_s=0.05), ONE)
        assert await wire.read(PEER, ONE) == [42]
        assert len(end.heard) == 2


async def test_exceptions() -> None:
    async with asking((framed(7, b"\x83\x02"),), (framed(7, b"\x83\x0b"),), (GOOD,)) as (wire, _):
        with pytest.raises(Refused) as refused:
            await wire.read(PEER, ONE)
        assert (refused.value.function, refused.value.code) == (3, 2)
        assert await wire.read(PEER._replace(retries=1), ONE) == [42]  # a bridge with nobody behind it, then it answers


async def test_a_port_pulled_out_while_somebody_waits() -> None:
    async with asking(()) as (wire, end):
        waiting = asyncio.create_task(wire.read(PEER._replace(timeout_s=10), ONE))
        async with asyncio.timeout(5):
            await end.asked.wait()
            await end.pull.aclose()
            with pytest.raises(Unreachable, match="is gone"):
                await waiting
            with pytest.raises(Unreachable, match="is gone"):
                await wire.read(PEER, ONE)


async def test_a_line_that_is_closed_is_free_at_once() -> None:
    async with End(()) as end:
        bus = BusConfig.model_validate({"serial": end.port})
        async with open_wire("line", bus, SystemClock()):
            with pytest.raises(Unreachable, match="another program"):
                open_port("other", bus)
        open_port("other", bus).close()


async def test_the_line_is_silent_before_the_next_request() -> None:
    clock = ManualClock()
    async with End((GOOD,)) as end:
        bus = BusConfig.model_validate({"serial": end.port, "baudrate": 9600})
        async with open_wire("line", bus, clock) as wire:
            assert await wire.read(PEER, ONE) == [42]
            next_one = asyncio.create_task(wire.read(PEER, ONE))
            done, _ = await asyncio.wait({next_one}, timeout=0.02)
            assert not done
            assert len(end.heard) == 1
            clock.advance(silence_s(9600) + 0.001)
            assert await next_one == [42]


async def test_rtu_over_tcp_against_pymodbus() -> None:
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    registers = [SimData(0, count=16, values=7, datatype=DataType.REGISTERS)]
    device = SimDevice(7, simdata=(bits, bits, registers, registers))
    server = ModbusTcpServer([device], framer=FramerType.RTU, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    host, port = server.transport.sockets[0].getsockname()  # type: ignore[attr-defined]
    bus = BusConfig.model_validate({"tcp": f"{host}:{port}", "framing": "rtu"})
    async with open_wire("line", bus, SystemClock()) as wire:
        await wire.write(PEER, 16, 2, [1, 2, 3])
        await wire.write(PEER, 5, 9, [0xFF00])
        assert await wire.read(PEER, Block(3, 1, 5)) == [7, 1, 2, 3, 7]
        assert await wire.read(PEER, Block(1, 8, 3)) == [0, 1, 0]
        with pytest.raises(Refused):
            await wire.read(PEER, Block(4, 15, 9))
        await server.shutdown()  # type: ignore[no-untyped-call]
        with pytest.raises(Unreachable, match="dropped"):
            await wire.read(PEER, ONE)
