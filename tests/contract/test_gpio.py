"""The gpio driver on real files, against simulated pins."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from drivers.gpio import Config, run
from drivers.sim.gpio import Pins
from gateway.driver import Line
from gateway.errors import Unreachable
from gateway.event import Phase, Value
from tests.fakes import FastClock, RecordingLink

ADC = "in_voltage0_raw"


@pytest.fixture
def pins() -> Iterator[Pins]:
    with Pins(inputs=[17, 27], outputs=[22, 23], analogs={ADC: 2000}) as made:
        yield made


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink(clock=FastClock(20))


def device(pins: Pins, **more: Any) -> Config:
    door = {"type": "door.open", "line": 17, "name": "大门门磁"}
    loop = {"file": str(pins.folder / ADC), "scale": 0.8, "unit": "mV", "low": 800, "high": 2400}
    panic = {"type": "safety.panic", "normal": "open", "analog": loop}
    outputs = {"1": {"line": 22}, "2": {"line": 23, "on": "low"}}
    base = {"id": "board", "driver": "gpio", "place": "gate", "chip": str(pins.folder)}
    return Config.model_validate({**base, "inputs": {"1": door, "2": panic}, "outputs": outputs, **more})


@asynccontextmanager
async def driving(link: RecordingLink, config: Config) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(run(Line(config.id, None, (config,)), link))
    try:
        await link.until(lambda: link.seen_count.get("board", 0) > 3)
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Unreachable):
            await task


async def test_a_contact_opens_and_closes(link: RecordingLink, pins: Pins) -> None:
    async with driving(link, device(pins)):
        assert link.readings == []
        pins.put(17, True)
        await link.until(lambda: link.of("door.open", Phase.RAISE))
        pins.put(17, False)
        await link.until(lambda: link.of("door.open", Phase.CLEAR))
    assert [r.part for r in link.readings] == [{"point": 1, "text": "大门门磁"}] * 2
    assert [r.values["input_1"].value for r in link.readings] == [False, True]


async def test_a_supervised_loop_tells_its_contact_from_a_cut_wire(link: RecordingLink, pins: Pins) -> None:
    async with driving(link, device(pins)):
        pins.measure(ADC, 500)
        await link.until(lambda: link.of("safety.panic", Phase.RAISE))
        pins.measure(ADC, 4095)
        await link.until(lambda: link.of("device.fault", Phase.RAISE))
        assert ("safety.panic", "2") in link.active("board")  # nobody knows that it ended
        pins.measure(ADC, 2000)
        await link.until(lambda: link.of("safety.panic", Phase.CLEAR) and link.of("device.fault", Phase.CLEAR))
    raised = link.of("device.fault", Phase.RAISE)[0]
    assert (raised.reason, raised.part, raised.values["level_2"]) == ("wire-cut", {"point": 2}, Value(3276.0, "mV"))


async def test_what_stands_on_disk_is_not_told_anew_and_what_ended_is(link: RecordingLink, pins: Pins) -> None:
    link.conditions = {
        "board": {("door.open", "1"), ("safety.panic", "2"), ("door.forced", "9"), ("device.test", None)}
    }
    pins.put(17, True)
    async with driving(link, device(pins)):
        await link.until(lambda: len(link.readings) == 2)
    assert {(r.type, r.phase) for r in link.readings} == {("safety.panic", Phase.CLEAR), ("door.forced", Phase.CLEAR)}
    assert link.active("board") == {("door.open", "1"), ("device.test", None)}


async def test_outputs_are_off_at_the_start_and_at_the_end(link: RecordingLink, pins: Pins) -> None:
    async with driving(link, device(pins)):
        assert (pins.on(22), pins.on(23)) == (False, True)
        for number in (1, 2):
            assert (await link.command("board", "output", number=number, state=True)).code == "ok"
        assert (pins.on(22), pins.on(23)) == (True, False)
        assert (await link.command("board", "output", number=1, state=True, seconds=3000)).code == "ok"
    assert (pins.on(22), pins.on(23)) == (False, True)
    assert link.handlers == {}


def told(link: RecordingLink, name: str) -> list[object]:
    return [r.values[name].value for r in link.of("telemetry.sample") if name in r.values]


async def test_a_pulse_falls_back(link: RecordingLink, pins: Pins) -> None:
    async with driving(link, device(pins)):
        done = await link.command("board", "output", number=1, state=True, seconds=2)
        assert (done.code, done.result) == ("ok", {"number": 1, "state": True, "seconds": 2})
        assert pins.on(22)
        await link.until(lambda: told(link, "output_1") == [True, False])
        assert not pins.on(22)


async def test_a_newer_order_ends_a_pulse(link: RecordingLink, pins: Pins) -> None:
    async with driving(link, device(pins)):
        await link.command("board", "output", number=1, state=True, seconds=2)
        await link.command("board", "output", number=1, state=True)
        await link.command("board", "output", number=2, state=True, seconds=4)
        await link.until(lambda: told(link, "output_2") == [True, False])
        assert pins.on(22)  # the first pulse would have ended before the second
        refused = await link.command("board", "output", number=3, state=True)
        assert (refused.code, refused.message) == ("bad-arguments", "number is one of 1, 2")


async def test_nothing_is_lost_while_the_disk_refuses(link: RecordingLink, pins: Pins) -> None:
    async with driving(link, device(pins)):
        link.failing = 4
        pins.put(17, True)
        await link.until(lambda: link.refused >= 2)
        pins.measure(ADC, 500)
        await link.until(lambda: link.of("door.open") and link.of("safety.panic"))
    assert [r.phase for r in link.of("*")] == [Phase.RAISE, Phase.RAISE]


async def test_a_board_that_is_gone_is_unreachable(link: RecordingLink, pins: Pins) -> None:
    async with driving(link, device(pins)) as task:
        pins.pull_out()
        with pytest.raises(Unreachable, match="there is no"):
            await task


async def test_an_analog_file_that_makes_no_sense_is_unreachable(link: RecordingLink, pins: Pins) -> None:
    async with driving(link, device(pins)) as task:
        (pins.folder / ADC).write_text("nonsense", "ascii")
        with pytest.raises(Unreachable, match=ADC):
            await task


async def test_analog_inputs_alone_need_no_chip(link: RecordingLink, pins: Pins) -> None:
    panic = device(pins).inputs[2].model_dump(exclude={"debounce"})
    async with driving(link, device(pins, chip="/dev/gpiochip99", inputs={"2": panic}, outputs={})):
        pins.measure(ADC, 500)
        await link.until(lambda: link.of("safety.panic", Phase.RAISE))


async def test_pins_that_were_never_there(link: RecordingLink, pins: Pins) -> None:
    with pytest.raises(Unreachable, match="there is no"):
        await run(Line("board", None, (device(pins, outputs={"1": {"line": 99}}),)), link)
