"""Shelf, shield, suppression and drill done for real: told, written down, on disk, and ended in time."""

from pathlib import Path

import pytest

from gateway.alarmview import describe
from gateway.covers import SET_BACK_S
from gateway.database import read_rows
from gateway.deeds import NotFound, NotNow
from gateway.event import Lane
from gateway.measures import SHIELD
from tests.wards import DEVICES, GATEWAY, WANG, Ward, ward

HOUR_S = 3600


async def bodies(made: Ward) -> list[str]:
    """Every event, lane by lane."""
    return [
        str(row.body)
        for lane in Lane
        for row in await made.store.read(lambda connection, lane=lane: read_rows(connection, lane, 0, 100))  # type: ignore[misc]
    ]


def state(made: Ward, device: str, kind: str) -> str:
    """The display word."""
    return str(describe(made.alarm(device, kind), made.book)["state"])


async def test_an_alarm_leaves_its_shelf_by_itself_and_asks_again(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        alarm = await made.tell("door-1", "door.forced")
        await made.duty.acknowledge(alarm, WANG)
        await made.covers.shelve(alarm, HOUR_S, "lock is on order", WANG)
        assert state(made, "door-1", "door.forced") == "shelved"
        await made.later(HOUR_S - 1)
        assert state(made, "door-1", "door.forced") == "shelved"
        await made.later(1)
        assert state(made, "door-1", "door.forced") == "active_unacked"
        last = made.alarm("door-1", "door.forced").history[-1]
        assert (last.step, last.place) == ("shelve", "rule:expired")


async def test_what_is_over_when_its_shelf_ends_asks_nobody(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        alarm = await made.tell("door-1", "door.forced")
        await made.covers.shelve("door-1", HOUR_S, "works", WANG)
        await made.duty.acknowledge(alarm, WANG)
        await made.tell("door-1", "door.forced", "clear")
        await made.later(HOUR_S)
        assert state(made, "door-1", "door.forced") == "latched"


@pytest.mark.parametrize("kind", ["fire.smoke", "safety.panic", "access.duress"])
async def test_never_fire_panic_or_duress(tmp_path: Path, kind: str) -> None:
    async with ward(tmp_path) as made:
        alarm = await made.tell("door-1", kind)
        with pytest.raises(NotNow, match="never shelved"):
            await made.covers.shelve(alarm, 60, "noise", WANG)
        await made.covers.shelve("door-1", 60, "noise", WANG)  # of the device: all but that
        assert state(made, "door-1", kind) == "active_unacked"


@pytest.mark.parametrize("seconds", [8 * HOUR_S + 1, -1, float("nan"), float("inf")])
async def test_for_eight_hours_at_most(tmp_path: Path, seconds: float) -> None:
    async with ward(tmp_path) as made:
        with pytest.raises(NotNow, match="seconds are allowed"):
            await made.covers.shelve("door-1", seconds, "x", WANG)
        assert await bodies(made) == []


async def test_a_shield_counts_ends_by_itself_and_can_be_lifted(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        await made.tell("smoke-1", "fire.smoke")
        await made.covers.shield("smoke-1", HOUR_S, "painting", WANG)
        assert state(made, "smoke-1", "fire.smoke") == "out_of_service"
        shield = made.alarm("smoke-1", SHIELD)
        assert (shield.cause, shield.acknowledged) == ("painting", True)
        await made.later(HOUR_S)
        assert state(made, "smoke-1", "fire.smoke") == "active_unacked"
        await made.covers.shield("smoke-1", HOUR_S, "painting", WANG)
        await made.covers.unshield("smoke-1", "done", WANG)
        with pytest.raises(NotNow, match="not shielded"):
            await made.covers.unshield("smoke-1", "done", WANG)
        with pytest.raises(NotFound, match="no such device"):
            await made.covers.unshield("smoke-9", "done", WANG)


async def test_a_clock_that_is_set_back_makes_no_shelf_longer(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        await made.tell("door-1", "door.forced")
        await made.covers.shelve("door-1", HOUR_S, "works", WANG)
        await made.later(-SET_BACK_S)
        assert state(made, "door-1", "door.forced") == "shelved"
        await made.later(-1)
        assert state(made, "door-1", "door.forced") == "active_unacked"


@pytest.mark.parametrize("scope", ["", "b3", "b3/u2", "smoke-1"])
async def test_a_drill_marks_all_of_it_and_ends_by_itself(tmp_path: Path, scope: str) -> None:
    async with ward(tmp_path) as made:
        await made.covers.drill(scope, 600, WANG)
        await made.tell("smoke-1", "fire.smoke")
        await made.later(600)
        assert made.book.drills == {}
        await made.tell("smoke-1", "fire.smoke", "clear")  # after the drill: the end of what began in it
        assert made.alarm("smoke-1", "fire.smoke").test
        drill = [body for body in await bodies(made) if '"operator.drill"' in body]
        fire = [body for body in await bodies(made) if '"fire.smoke"' in body]
        assert len(drill) == len(fire) == 2
        assert all('"test":true' in body for body in fire)
        assert not any('"test":true' in body for body in drill)


async def test_a_fire_that_burnt_before_the_drill_stays_real(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        await made.tell("smoke-1", "fire.smoke")
        await made.covers.drill("", 600, WANG)
        await made.tell("smoke-1", "fire.smoke")  # told again
        await made.tell("smoke-1", "fire.smoke", "clear")
        assert not made.alarm("smoke-1", "fire.smoke").test
        assert not any('"test":true' in body for body in await bodies(made))


async def test_the_first_fire_is_no_drill_s(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        await made.covers.drill("b3", 600, WANG)
        tried = await made.tell("smoke-1", "fire.smoke")
        real = await made.tell("door-2", "fire.manual")
        assert made.alarm("smoke-1", "fire.smoke").first_of == tried
        assert made.alarm("door-2", "fire.manual").first_of == real
        await made.later(600)
        await made.tell("smoke-1", "fire.smoke")  # real now, and the second
        assert made.alarm("smoke-1", "fire.smoke").first_of == real


async def test_suppressed_by_a_named_cause_until_that_is_over(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        await made.tell("door-1", "device.offline")
        await made.covers.suppress(made.alarm("door-1", "device.offline"), "bus rs485-1", WANG)
        shown = describe(made.alarm("door-1", "device.offline"), made.book)
        assert (shown["state"], shown["suppressed_by"]) == ("suppressed", "bus rs485-1")
        await made.covers.release(made.alarm("door-1", "device.offline"), WANG)
        assert state(made, "door-1", "device.offline") == "active_unacked"
        await made.tell("smoke-1", "fire.smoke")
        await made.covers.suppress(made.alarm("smoke-1", "fire.smoke"), "bus rs485-1", WANG)
        assert state(made, "smoke-1", "fire.smoke") == "active_unacked"


async def test_all_of_it_stands_after_a_restart(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        await made.tell("door-1", "door.forced")
        await made.covers.shelve("door-1", 60, "a", WANG)
        await made.covers.shield("smoke-1", 60, "b", WANG)
        await made.covers.drill("gate", 60, WANG)
        before = set(made.book)
    async with ward(tmp_path, made.clock) as made:
        assert set(made.book) == before
        await made.later(60)
        assert {alarm.type for alarm in made.book} == {"door.forced"}


async def test_it_ends_too_where_its_device_is_gone_from_the_configuration(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        await made.covers.shield("door-2", 60, "a", WANG)
        await made.covers.shelve("door-2", 60, "b", WANG)
        await made.covers.drill("door-2", 60, WANG)
    left = {name: place for name, place in DEVICES.items() if name != "door-2"}
    async with ward(tmp_path, made.clock, devices=left) as made:
        await made.later(60)
        assert list(made.book) == []
        ends = [body for body in await bodies(made) if "rule:expired" in body]
        assert len(ends) == 4  # the shield's end is told twice: the step, and the condition
        assert all(f'"subject":"{GATEWAY}"' in body for body in ends)
