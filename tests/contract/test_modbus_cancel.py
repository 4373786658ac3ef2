"""A line that is asked to end while an answer comes in ends."""

import asyncio

import pytest

from drivers._modbus_rtu import RtuClient
from drivers._modbus_values import Block
from drivers._modbus_wire import Peer, open_wire
from drivers.sim.modbus import Line, Slave
from gateway.clock import SystemClock
from gateway.fields import BusConfig


async def test_a_cancel_that_comes_together_with_the_answer_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        Line(Slave(5, "rs-yg-n01")) as line,
        open_wire("line", BusConfig.model_validate({"serial": line.port}), SystemClock()) as wire,
    ):
        client = wire._client
        assert isinstance(client, RtuClient)
        hears = client._sieve.hears

        def cancelling(data: bytes) -> bytes:
            asking.cancel()
            return hears(data)

        monkeypatch.setattr(client._sieve, "hears", cancelling)
        asking = asyncio.create_task(wire.read(Peer(5, 1.0, 0), Block(3, 3, 1)))
        with pytest.raises(asyncio.CancelledError):
            await asking
