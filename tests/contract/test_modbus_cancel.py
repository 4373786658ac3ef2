"""A line that is asked to end while an answer comes in ends: pymodbus' way to wait forgets it before Python 3.12."""

import asyncio

import pytest

from drivers._modbus_values import Block
from drivers._modbus_wire import Peer, _Rtu, open_wire
from drivers.sim.modbus import Line, Slave
from gateway.clock import SystemClock
from gateway.fields import BusConfig


async def test_a_cancel_that_comes_together_with_the_answer_is_obeyed() -> None:
    async with (
        Line(Slave(5, "rs-yg-n01")) as line,
        open_wire("line", BusConfig.model_validate({"serial": line.port}), SystemClock()) as wire,
    ):
        assert isinstance(wire._client, _Rtu)
        inner = wire._client._client
        sieve = inner.ctx.trace_packet

        def cancelling(sending: bool, data: bytes) -> bytes:
            if not sending:
                asking.cancel()
            return sieve(sending, data)

        inner.ctx.trace_packet = cancelling
        asking = asyncio.create_task(wire.read(Peer(5, 1.0, 0), Block(3, 3, 1)))
        with pytest.raises(asyncio.CancelledError):
            await asking
