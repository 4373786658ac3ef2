"""What people do to alarms: silence, acknowledge, dispose, reset; and what must never go by itself."""

import asyncio
from pathlib import Path

import pytest

from gateway.deeds import NotFound, NotNow
from gateway.event import Phase, Reading
from tests.fakes import ManualClock
from tests.wards import WANG, Ward, ward

OFF_DELAYS_MS = {"door.held": 10_000}


async def seen(made: Ward, device: str, kind: str) -> str:
    """Raised and acknowledged."""
    alarm = await made.tell(device, kind)
    await made.duty.acknowledge(alarm, WANG)
    return alarm


async def test_silence_is_of_the_present_alarms_and_never_of_the_next(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        await made.tell("door-1", "door.forced")
        assert [alarm.type for alarm in await made.duty.silence(WANG)] == ["door.forced"]
        assert await made.duty.silence(WANG) == []  # there is nothing left that sounds
        await made.tell("smoke-1", "fire.smoke")
        await made.tell("door-1", "door.forced", "clear")
        await made.tell("door-1", "door.forced")
        assert not made.alarm("smoke-1", "fire.smoke").silenced
        assert not made.alarm("door-1", "door.forced").silenced


@pytest.mark.parametrize("step", ["silence", "ack"])
async def test_what_begins_anew_while_the_step_is_written_down_is_not_touched(tmp_path: Path, step: str) -> None:
    async with ward(tmp_path) as made:
        alarm = await made.tell("smoke-1", "fire.smoke")
        made.clock.advance(1)
        await asyncio.gather(
            made.duty.silence(WANG) if step == "silence" else made.duty.acknowledge(alarm, WANG),
            made.pipeline.accept([Reading("smoke-1", "fire.smoke", phase) for phase in (Phase.CLEAR, Phase.RAISE)]),
        )
        assert not made.alarm("smoke-1", "fire.smoke").silenced
        assert made.alarm("smoke-1", "fire.smoke").state == "active_unacked"


async def test_critical_ones_are_acknowledged_one_by_one(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        await made.tell("smoke-1", "fire.smoke")
        await made.tell("door-1", "door.forced")
        await made.tell("door-2", "door.held")
        done = await made.duty.acknowledge_rest(WANG)
        assert {alarm.type for alarm in done} == {"door.forced", "door.held"}
        assert not made.alarm("smoke-1", "fire.smoke").acknowledged


async def test_twice_acknowledged_is_told_once(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        alarm = await seen(made, "door-1", "door.forced")
        count = made.audit.newest
        await made.duty.acknowledge(alarm, WANG)
        assert made.audit.newest == count
        assert [step.step for step in made.alarm("door-1", "door.forced").history] == ["raise", "ack"]


@pytest.mark.parametrize(
    ("kind", "done", "why"),
    [
        ("fire.smoke", [], "its cause still lasts"),
        ("fire.smoke", ["clear"], "nobody has acknowledged it"),
        ("fire.smoke", ["clear", "ack"], "nobody has said what it was"),
        ("door.forced", ["ack"], "its cause still lasts"),
        ("door.forced", ["clear", "ack"], None),
    ],
)
async def test_reset_says_why_not(tmp_path: Path, kind: str, done: list[str], why: str | None) -> None:
    async with ward(tmp_path) as made:
        alarm = await made.tell("door-1", kind)
        for step in done:
            if step == "clear":
                await made.tell("door-1", kind, "clear")
            else:
                await made.duty.acknowledge(alarm, WANG)
        if why is None:
            assert (await made.duty.reset(alarm, WANG)).state == "normal"
            with pytest.raises(NotFound):
                await made.duty.reset(alarm, WANG)
        else:
            before = made.alarm("door-1", kind)
            with pytest.raises(NotNow, match=why):
                await made.duty.reset(alarm, WANG)
            assert made.alarm("door-1", kind) == before


async def test_one_that_somebody_else_ended_in_between_is_gone(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        alarm = await made.tell("door-2", "door.held", "pulse")
        both = (made.duty.acknowledge(alarm, WANG) for _ in range(2))
        first, second = await asyncio.gather(*both, return_exceptions=True)
        assert getattr(first, "state", None) == "normal"
        assert isinstance(second, NotFound)


# off-delay


async def test_back_within_its_off_delay_it_is_the_same_alarm_seen_as_it_was(tmp_path: Path) -> None:
    async with ward(tmp_path, off_delays_ms=OFF_DELAYS_MS) as made:
        alarm = await seen(made, "door-2", "door.held")
        await made.tell("door-2", "door.held", "clear")
        assert made.book.get(("door-2", "door.held", "")) is None  # nobody needs to see it
    async with ward(tmp_path, made.clock, off_delays_ms=OFF_DELAYS_MS) as made:  # it is remembered on disk
        await made.later(9)
        await made.tell("door-2", "door.held")
        again = made.alarm("door-2", "door.held")
        assert (again.id, again.count, again.state) == (alarm, 2, "active_acked")
        assert [step.step for step in again.history] == ["raise", "ack", "clear", "raise"]


@pytest.mark.parametrize("expires", [True, False])
async def test_after_its_off_delay_it_is_a_new_one(tmp_path: Path, expires: bool) -> None:
    async with ward(tmp_path, off_delays_ms=OFF_DELAYS_MS) as made:
        alarm = await seen(made, "door-2", "door.held")
        await made.tell("door-2", "door.held", "clear")
        if expires:
            await made.later(10)
            assert made.book.recall(("door-2", "door.held", "")) is None
        else:
            made.clock.advance(10)  # before anybody looked
        again = await made.tell("door-2", "door.held")
        assert again != alarm
        assert made.alarm("door-2", "door.held").state == "active_unacked"


async def test_a_clock_that_was_set_back_hides_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ward(tmp_path, clock, off_delays_ms=OFF_DELAYS_MS) as made:
        await seen(made, "door-2", "door.held")
        await made.tell("door-2", "door.held", "clear")
        clock.set_wall(-3600)
        await made.tell("door-2", "door.held")
        assert made.alarm("door-2", "door.held").state == "active_unacked"


async def test_one_that_nobody_saw_asks_on_whatever_flutters(tmp_path: Path) -> None:
    async with ward(tmp_path, off_delays_ms=OFF_DELAYS_MS) as made:
        alarm = await made.tell("door-2", "door.held")
        for _ in range(3):
            await made.tell("door-2", "door.held", "clear")
            await made.later(5)
            await made.tell("door-2", "door.held")
        fluttered = made.alarm("door-2", "door.held")
        assert (fluttered.id, fluttered.count, fluttered.state) == (alarm, 4, "active_unacked")
