"""The OSDP driver against libosdp's own peripheral device on real ptys and sockets: keys, sessions, the line."""

import asyncio
import contextlib
import itertools
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from drivers import osdp
from drivers._osdp_config import Config
from drivers._wiegand import encode
from drivers.sim import osdp as sim
from gateway.clock import SystemClock
from gateway.driver import Decision, Line
from gateway.errors import Misconfigured, StorageError, Unreachable
from gateway.event import Credential, Phase
from gateway.fields import BusConfig
from tests.fakes import RecordingLink

KEY = bytes.fromhex("7c1f9a0243d5e86b10b7c2954e3fa681")
OTHER = bytes.fromhex("e86b43d57c1f9a0210b7c2954e3fa681")


def card(number: int) -> tuple[int, bytes]:
    return encode(Credential("wiegand-26", 90, number))


def link(granted: bool = True) -> RecordingLink:
    return RecordingLink(
        clock=SystemClock(), decision=lambda _d, _c: Decision(granted, None if granted else "no_right")
    )


def config(address: int = 1, **more: Any) -> Config:
    common = {"id": f"door-{address}", "driver": "osdp", "place": "gate", "bus": "line", "address": address}
    return Config.model_validate(common | {"key": KEY.hex(), "offline_after": "300ms"} | more)


@asynccontextmanager
async def running(bus: BusConfig, to: RecordingLink, *devices: Config) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(osdp.run(Line("line", bus, devices), to))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Unreachable, Misconfigured):
            await task


def serial(line: sim.Line) -> BusConfig:
    return BusConfig.model_validate({"serial": line.port})


async def card_seen(to: RecordingLink, reader: sim.Reader, number: int, within_s: float = 5.0) -> None:
    """The reader works: a card presented there is told."""
    reader.present(*card(number))
    door = f"door-{reader.address}"
    await to.until(lambda: number in numbers(to, door), within_s)


def numbers(to: RecordingLink, door: str) -> list[int]:
    return [r.credential.number for r in to.of("access.*", device=door) if r.credential]


async def answers(to: RecordingLink, *doors: str) -> None:
    """Enough was answered that a session would stand."""
    await to.until(lambda: all(to.seen_count.get(door, 0) > 6 for door in doors))


async def test_install_mode_gives_the_reader_a_key_that_was_stored_before() -> None:
    reader, to = sim.Reader(1), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config(key=None, install=True)):
        await to.until(lambda: "osdp-door-1-set" in to.secrets)
        await card_seen(to, reader, 7)
    assert reader.key == to.secrets["osdp-door-1"]
    assert len(line.ledger.of("keyset")) == 1


async def test_install_mode_does_nothing_when_the_key_cannot_be_stored() -> None:
    reader, to = sim.Reader(1), link()
    to.failing = 1
    async with sim.Line([reader]) as line:
        with pytest.raises(StorageError):
            await osdp.run(Line("line", serial(line), (config(key=None, install=True),)), to)
    assert (reader.key, line.ledger.entries, to.secrets) == (None, [], {})


async def test_install_mode_has_ended_by_itself() -> None:
    reader, to, same = sim.Reader(1), link(), config(key=KEY.hex(), install=True)
    async with sim.Line([reader]) as line:
        async with running(serial(line), to, same):
            await to.until(lambda: "osdp-door-1-set" in to.secrets)
        reader.factory_reset()  # somebody swaps it for one in install mode: no key is given away
        async with running(serial(line), to, same):
            await to.until(lambda: to.of("device.fault", Phase.RAISE))
        assert (reader.key, len(line.ledger.of("keyset"))) == (None, 1)
        async with running(serial(line), to, config(key=KEY.hex(), install="second")):
            await to.until(lambda: to.of("device.fault", Phase.CLEAR))
            await card_seen(to, reader, 8)
    assert reader.key == KEY


async def test_the_kept_key_is_used_after_install_has_gone_from_the_config() -> None:
    reader, to = sim.Reader(1, OTHER), link()
    to.secrets["osdp-door-1"] = OTHER
    async with sim.Line([reader]) as line, running(serial(line), to, config(key=None)):
        await card_seen(to, reader, 9)


async def test_a_wrong_key_is_a_fault_and_the_reader_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    reader, to = sim.Reader(1, OTHER), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        reader.present(*card(1))
        await to.until(lambda: to.of("device.fault", Phase.RAISE))
        await answers(to, "door-1")
    assert [(r.type, r.reason) for r in to.readings] == [("device.fault", "wrong-key")]
    assert len([r for r in caplog.records if "another key" in r.getMessage()]) == 1


async def test_a_reader_that_answers_in_clear_is_never_used_silently() -> None:
    reader, to = sim.Reader(1, clear=True), link()
    async with sim.Line([reader]) as line:
        for settings in ({}, {"install": True}):
            async with running(serial(line), to, config(**settings)):
                reader.present(*card(1))
                await to.until(lambda: "device.fault" in {type for type, _ in to.active("door-1")})
            to.conditions.clear()
    assert [(r.type, r.reason) for r in to.readings] == [("device.fault", "no-secure-channel")] * 2


async def test_insecure_is_allowed_and_told_at_each_start(caplog: pytest.LogCaptureFixture) -> None:
    reader, to = sim.Reader(1, clear=True), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config(key=None, insecure=True)):
        await card_seen(to, reader, 5)
    assert [r.levelno for r in caplog.records if "insecure" in r.getMessage()] == [logging.WARNING]


async def test_without_a_key_the_others_go_on() -> None:
    reader, to = sim.Reader(2, KEY), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config(1, key=None), config(2)):
        await card_seen(to, reader, 5)
    assert [(r.device, r.reason) for r in to.of("device.fault")] == [("door-1", "no-key")]


async def test_a_line_without_any_key_stops_with_a_sentence() -> None:
    async with sim.Line([]) as line:
        with pytest.raises(Misconfigured, match="install: true"):
            await osdp.run(Line("line", serial(line), (config(key=None),)), link())


async def test_one_of_two_readers_unplugged_and_back_while_the_other_works() -> None:
    readers, to = [sim.Reader(1, KEY), sim.Reader(2, KEY)], link()
    async with sim.Line(readers) as line, running(serial(line), to, config(1), config(2)):
        await card_seen(to, readers[0], 1)
        readers[0].power(False)
        await to.until(lambda: "door-1" in to.offline)
        for number in range(3):
            await card_seen(to, readers[1], 10 + number, within_s=1.0)
        readers[0].power(True)
        back = time.monotonic()
        await to.until(lambda: "door-1" not in to.offline)
        await card_seen(to, readers[0], 2)
        assert time.monotonic() - back < 10
    assert [what for device, what in to.presence if device == "door-1"] == ["seen", "no-answer", "seen"]
    assert to.of("device.fault") == []


async def test_a_reader_that_was_restarted_gets_a_new_session_at_once() -> None:
    reader, to = sim.Reader(1, KEY), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        await card_seen(to, reader, 1)
        reader.power(True)
        await card_seen(to, reader, 2, within_s=1.0)
    assert (to.of("device.*"), to.presence) == ([], [("door-1", "seen")])


Disturbance = Callable[[bytes], Iterable[bytes]]


def noisy(seed: int) -> Disturbance:
    """A bad line: of ten replies one is lost, one damaged, one behind noise, one after another's late answer."""
    dice = random.Random(seed)
    late = [b""]

    def disturb(reply: bytes) -> Iterable[bytes]:
        throw, before, late[0] = dice.randrange(10), late[0], reply
        if throw == 0:
            return []
        if throw == 1:
            at = dice.randrange(len(reply))
            return [reply[:at] + bytes((reply[at] ^ 1 << dice.randrange(8),)) + reply[at + 1 :]]
        if throw == 2:
            return [b"\x53\x00" + dice.randbytes(5) + b"\xff\x53" + reply]
        return [before, reply] if throw == 3 else [reply]

    return disturb


@pytest.mark.parametrize("seed", [13, 18])
async def test_three_readers_on_a_noisy_line_tell_every_card_once(seed: int) -> None:
    readers, to = [sim.Reader(address, KEY) for address in (1, 2, 3)], link()
    async with (
        sim.Line(readers) as line,
        running(serial(line), to, *(config(a, offline_after="3s") for a in (1, 2, 3))),
    ):
        line.disturb = noisy(seed)
        for reader, number in itertools.product(readers, range(2)):
            await card_seen(to, reader, number)
    assert [numbers(to, f"door-{a}") for a in (1, 2, 3)] == [[0, 1]] * 3
    assert (to.of("device.*"), len(to.presence)) == ([], 3)


async def test_a_reader_that_does_not_repeat_its_answer_comes_back_by_a_new_session() -> None:
    reader, to = sim.Reader(1, KEY), link()
    reader.forgetful = True
    async with sim.Line([reader]) as line, running(serial(line), to, config(offline_after="3s")):
        await card_seen(to, reader, 1)
        lost = iter([True])
        line.disturb = lambda reply: [] if next(lost, False) else [reply]
        await to.until(lambda: next(lost, None) is None)
        await card_seen(to, reader, 2, within_s=2.0)
    assert to.of("device.*") == []


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_an_answer_may_come_in_any_pieces(size: int) -> None:
    reader, to = sim.Reader(1, KEY), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        line.disturb = lambda reply: [reply[at : at + size] for at in range(0, len(reply), size)]
        await card_seen(to, reader, 1)


async def test_our_own_echo_is_passed_over() -> None:
    reader, to = sim.Reader(1, KEY), link()
    echoes = reader.answer
    reader.answer = lambda command: b"\xff" + command + echoes(command)  # type: ignore[method-assign]
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        await card_seen(to, reader, 1)


async def test_busy_is_waited_for() -> None:
    reader, to = sim.Reader(1, KEY), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        await card_seen(to, reader, 1)
        reader.busy = 5
        await card_seen(to, reader, 2)
    assert (reader.busy, to.of("device.*")) == (0, [])


async def test_a_serial_server_over_tcp() -> None:
    reader, to = sim.Reader(1, KEY), link()
    async with sim.Line([reader], tcp=True) as line:
        host, port = line.address
        async with running(BusConfig.model_validate({"tcp": f"{host}:{port}"}), to, config()):
            await card_seen(to, reader, 1)


async def test_a_line_that_goes_away_is_unreachable() -> None:
    reader, to = sim.Reader(1, KEY), link()
    line = sim.Line([reader])
    await line.__aenter__()
    async with running(serial(line), to, config()) as task:
        await card_seen(to, reader, 1)
        await line.__aexit__()
        with pytest.raises(Unreachable, match=r"line.*gone"):
            await task


@pytest.mark.parametrize("bus", [{"serial": "/dev/nothing-here"}, {"tcp": "127.0.0.1:1"}])
async def test_a_line_that_is_not_there_is_unreachable(bus: dict[str, str]) -> None:
    with pytest.raises(Unreachable, match="line"):
        await osdp.run(Line("line", BusConfig.model_validate(bus), (config(),)), link())


async def test_the_door_opens_soon() -> None:
    reader, to, waits = sim.Reader(1, KEY), link(), []
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        await card_seen(to, reader, 100)
        for number in range(10):
            began = time.monotonic()
            reader.present(*card(number))
            await line.ledger.wait("output", count=number + 2)
            waits.append(time.monotonic() - began)
    assert sorted(waits)[len(waits) // 2] < 0.2
