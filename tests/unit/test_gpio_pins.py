"""The gpio driver's loop on a chip in gpiod's shape, step by step: when it looks, what it tells, when it rests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import gpiod
import pytest
from gpiod.line import Value
from hypothesis import given
from hypothesis import strategies as st

from drivers._gpio_contact import FAULTS, Settling, State, meaning, state_of
from drivers._modbus_station import Tray
from drivers.gpio import LEAST_S, TICK_S, Config, decode, run, seen
from gateway.driver import Line
from gateway.errors import Unreachable
from gateway.event import Phase
from tests.fakes import ManualClock, RecordingLink
from tests.unit.test_gpio import LOOP, Kernel, config

DOOR = {"type": "door.open", "line": 17}


class Running:
    """The driver on a chip, with time in hand."""

    def __init__(self, link: RecordingLink, clock: ManualClock, kernel: Kernel) -> None:
        self.link, self.clock, self.kernel = link, clock, kernel

    async def rest(self, step_s: float = LEAST_S) -> int:
        """Lets small steps of time pass until the driver sleeps until its next tick; how many it took."""
        for taken in range(1, 200):
            waiting = [due_s for due_s, future in self.clock.sleepers if not future.done()]
            if [due_s for due_s in waiting if due_s - self.clock.now_s > TICK_S - 2 * step_s] == waiting != []:
                return taken
            await self.turn()
            self.clock.advance(step_s)
            await self.turn()
        pytest.fail("it never comes to rest")

    async def turn(self) -> None:
        """Whatever is ready runs, the kernel's edges too."""
        loop = asyncio.get_running_loop()
        for _ in range(10):
            turned = loop.create_future()
            loop.call_soon(turned.set_result, None)
            await turned


@asynccontextmanager
async def running(monkeypatch: pytest.MonkeyPatch, made: Config) -> AsyncIterator[Running]:
    kernels: list[Kernel] = []

    def request(path: str, consumer: str, config: dict[int, gpiod.LineSettings]) -> Kernel:
        kernels.append(Kernel(config))
        return kernels[-1]

    monkeypatch.setattr(gpiod, "request_lines", request)
    clock = ManualClock()
    link = RecordingLink(clock=clock)
    task = asyncio.create_task(run(Line("board", None, (made,)), link))
    try:
        await link.until(lambda: link.seen_count)
        yield Running(link, clock, kernels[0])
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Unreachable):
            await task
    assert kernels[0].released


async def test_an_edge_is_looked_at_until_it_counts_and_then_it_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, config(inputs={"1": DOOR})) as made:
        await made.rest()
        assert made.link.readings == []
        before = made.link.seen_count["example"]
        made.kernel.edge(17, Value.ACTIVE)
        await made.turn()
        steps = await made.rest()
        assert [(r.type, r.phase) for r in made.link.readings] == [("door.open", Phase.RAISE)]
        assert made.link.seen_count["example"] - before <= 5  # at the edge, when it counts, and not again and again
        assert steps * LEAST_S < 1.0


async def test_a_bounce_shorter_than_the_debounce_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, config(inputs={"1": DOOR})) as made:
        await made.rest()
        for value in (Value.ACTIVE, Value.INACTIVE) * 5:
            made.kernel.edge(17, value)
            await made.turn()
            made.clock.advance(2 * LEAST_S)
            await made.turn()
        await made.rest()
        assert made.link.readings == []


async def test_an_edge_that_was_never_told_is_found_at_the_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, config(inputs={"1": DOOR})) as made:
        await made.rest()
        made.kernel.values[17] = Value.ACTIVE  # the kernel's queue was full
        made.clock.advance(TICK_S)
        await made.turn()
        await made.rest()
        assert made.link.of("door.open", Phase.RAISE)


async def test_an_output_does_not_keep_it_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, config(inputs={"1": DOOR}, outputs={"1": {"line": 22}})) as made:
        await made.rest()
        assert (await made.link.command("example", "output", number=1, state=True, seconds=60)).code == "ok"
        assert made.kernel.values[22] == Value.ACTIVE
        await made.turn()
        before = made.link.seen_count["example"]
        await made.rest()
        assert made.link.seen_count["example"] - before <= 3
        made.clock.advance(60.0)
        await made.turn()
        assert made.kernel.values == {17: Value.INACTIVE, 22: Value.INACTIVE}


async def test_a_pin_that_does_not_follow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch, config(outputs={"1": {"line": 22}})) as made:
        monkeypatch.setattr(made.kernel, "set_value", lambda line, value: None)
        outcome = await made.link.command("example", "output", number=1, state=True)
        assert (outcome.code, outcome.message) == ("device-refused", "the pin does not follow")


async def test_a_chip_that_fails_is_unreachable_and_a_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    made_config = config(inputs={"1": DOOR}, outputs={"1": {"line": 22}})
    async with running(monkeypatch, made_config) as made:
        await made.rest()

        def gone(*_: object) -> None:
            raise OSError(19, "No such device")

        monkeypatch.setattr(made.kernel, "set_value", gone)
        outcome = await made.link.command("example", "output", number=1, state=True)
        assert outcome.code == "device-offline"
        assert "is no GPIO chip" in outcome.message


# --- the truth and what is told of it

VALUES = {"1": st.sampled_from([0, 1]), "2": st.sampled_from([500, 990, 1050, 2000, 2950, 3100])}
MADE = config(inputs={"1": DOOR, "2": {"type": "safety.panic", "normal": "open", "analog": LOOP}})


@given(st.lists(st.tuples(VALUES["1"], VALUES["2"], st.floats(0.01, 0.2)), max_size=60))
def test_what_stands_open_is_always_what_has_settled(looks: list[tuple[int, int, float]]) -> None:
    settling = {number: Settling(contact.debounce) for number, contact in MADE.inputs.items()}
    tray, open_on_disk, now_s = Tray(()), set[tuple[str, str | None]](), 0.0
    panic = False
    for level, raw, later_s in looks:
        now_s += later_s
        for number, one in settling.items():
            look = seen(MADE, number, {"17": level, "/adc": raw}, one.state)
            if one.feed(look.state, now_s):
                for key, reading in meaning(MADE, number, look):
                    tray.settle(key, reading)
        for reading in tray.readings():
            key = (reading.type, str((reading.part or {})["point"]))
            assert (key in open_on_disk) == (reading.phase is Phase.CLEAR)  # never told twice
            open_on_disk ^= {key}
        tray.accepted(len(tray.readings()))
        if settling[2].state is not None and settling[2].state not in FAULTS:
            panic = settling[2].state == "closed"
        expected = {
            ("door.open", "1"): settling[1].state == "open",
            ("safety.panic", "2"): panic,
            ("device.fault", "2"): settling[2].state == "cut",
        }
        assert open_on_disk == {key for key, there in expected.items() if there}


@given(st.floats(-1e6, 1e6), st.sampled_from(["open", "closed", "short", "cut", None]))
def test_any_level_is_one_of_three_states(value: float, before: State | None) -> None:
    analog = MADE.inputs[2]
    state = state_of(analog, value, before)
    assert state in ("open", "closed", "cut")
    if value <= LOOP["low"] or value >= LOOP["high"]:  # type: ignore[operator]
        assert state != "open"
    if 1100 < value < 2900:
        assert state == "open"


@pytest.mark.parametrize(
    ("wire", "types"),
    [
        (b"17=1 /adc=2000", ["door.open"]),
        (b"17=0 /adc=400", ["safety.panic"]),
        (b"17=1 /adc=4000", ["door.open", "device.fault"]),
        (b"17=0 /adc=2000", []),
        (b"5=1", []),
    ],
)
def test_a_snapshot_of_all_pins(wire: bytes, types: list[str]) -> None:
    assert [reading.type for reading in decode(MADE, wire)] == types


def test_a_config_names_every_pin_once() -> None:
    made: Any = config(inputs={"1": DOOR}, outputs={"1": {"line": 22}, "2": {"line": 23}})
    assert made.lines == [17, 22, 23]
    assert MADE.lines == [17]
