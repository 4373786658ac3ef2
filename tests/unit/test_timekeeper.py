"""What is remembered of the time over a restart, and when people are told that the clock is not right."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import TimeQuality
from gateway.database import put_fact, read_fact, read_rows
from gateway.errors import StorageError
from gateway.event import Lane
from gateway.timekeeper import FACT, PATIENCE_S, SAVE_S, SETTLE_S, Timekeeper
from tests.fakes import EPOCH, ManualClock
from tests.rig import Rig, refusing, rig

UNSYNCED, SYNCED, HOLDOVER = TimeQuality.UNSYNCED, TimeQuality.SYNCED, TimeQuality.HOLDOVER


def keeping(made: Rig) -> Timekeeper:
    """The timekeeper of a rig."""
    return Timekeeper("gw-0001", made.store, made.pipeline, made.clock)


async def told(made: Rig) -> list[tuple[str, str | None, float | None]]:
    """Phase, reason and offset of each `gateway.clock_bad`."""
    rows = await made.store.read(lambda connection: read_rows(connection, Lane.EVENT, 0, 1000))
    events: list[dict[str, Any]] = [json.loads(row.body) for row in rows]
    assert {event["type"] for event in events} <= {"gateway.clock_bad"}
    return [(event["phase"], event["data"].get("reason"), event["data"].get("offset_s")) for event in events]


# --- told once


async def test_a_clock_that_nobody_sets_is_told_after_ten_minutes_and_once(tmp_path: Path) -> None:
    clock = ManualClock(quality=UNSYNCED)
    async with rig(tmp_path, "district", clock=clock) as made:
        keeper = keeping(made)
        await keeper.look()
        clock.advance(PATIENCE_S - 1)
        await keeper.look()
        assert await told(made) == []
        for _ in range(3):
            clock.advance(1)
            await keeper.look()
        assert await told(made) == [("raise", "unsynced", None)]
        clock.time_quality = SYNCED
        for _ in range(2):
            await keeper.look()
        assert await told(made) == [("raise", "unsynced", None), ("clear", None, None)]


async def test_told_before_a_restart_is_not_told_again_but_cleared(tmp_path: Path) -> None:
    clock = ManualClock(quality=UNSYNCED)
    async with rig(tmp_path, "district", clock=clock) as made:
        keeper = keeping(made)
        await keeper.look()
        clock.advance(PATIENCE_S)
        await keeper.look()
    async with rig(tmp_path, "district", clock=clock) as made:
        await made.pipeline.load()
        keeper = keeping(made)
        await keeper.look()
        clock.advance(PATIENCE_S)
        await keeper.look()
        assert len(await told(made)) == 1
        clock.time_quality = SYNCED
        await keeper.look()
        assert (await told(made))[1:] == [("clear", None, None)]


@pytest.mark.parametrize("quality", [SYNCED, HOLDOVER])
async def test_a_clock_that_is_right_is_nothing_to_tell(tmp_path: Path, quality: TimeQuality) -> None:
    clock = ManualClock(quality=quality)
    async with rig(tmp_path, "district", clock=clock) as made:
        keeper = keeping(made)
        for _ in range(3):
            await keeper.look()
            clock.advance(PATIENCE_S)
        assert await told(made) == []


async def test_a_jump_of_a_clock_that_was_right_is_told_at_once(tmp_path: Path) -> None:
    clock = ManualClock()
    async with rig(tmp_path, "district", clock=clock) as made:
        keeper = keeping(made)
        clock.set_wall(-86400)
        clock.time_quality = UNSYNCED
        for _ in range(3):
            await keeper.look()
            clock.advance(1)
        assert await told(made) == [("raise", "jumped", -86400.0)]
        clock.set_wall(86400)
        clock.time_quality = SYNCED
        for _ in range(3):
            await keeper.look()
        assert await told(made) == [("raise", "jumped", -86400.0), ("clear", None, None)]


async def test_how_the_network_sets_it_at_the_start_is_nothing_to_tell(tmp_path: Path) -> None:
    """Some set it first and call it synchronized a while later."""
    clock = ManualClock(quality=UNSYNCED)
    async with rig(tmp_path, "district", clock=clock) as made:
        keeper = keeping(made)
        await keeper.look()
        clock.set_wall(56 * 365 * 86400)
        await keeper.look()
        clock.advance(SETTLE_S - 1)
        await keeper.look()
        clock.time_quality = SYNCED
        await keeper.look()
        clock.advance(SETTLE_S)
        await keeper.look()
        assert await told(made) == []


async def test_a_jump_that_sets_nothing_right_is_told_after_a_minute(tmp_path: Path) -> None:
    clock = ManualClock(quality=UNSYNCED)
    async with rig(tmp_path, "district", clock=clock) as made:
        keeper = keeping(made)
        clock.set_wall(7200)
        await keeper.look()
        assert await told(made) == []
        clock.advance(SETTLE_S)
        for _ in range(2):
            await keeper.look()
        assert await told(made) == [("raise", "jumped", 7200.0)]


async def test_what_the_disk_did_not_take_is_told_when_it_does(tmp_path: Path) -> None:
    clock = ManualClock()
    async with rig(tmp_path, "district", clock=clock) as made:
        keeper = keeping(made)
        clock.set_wall(3600)
        with refusing(tmp_path, "event_lane"), pytest.raises(StorageError):
            await keeper.look()
        await keeper.look()
        assert await told(made) == [("raise", "jumped", 3600.0)]


# --- remembered


async def remembered(made: Rig) -> dict[str, Any]:
    """The fact on disk."""
    text = await made.store.read(lambda connection: read_fact(connection, FACT))
    return {} if text is None else dict(json.loads(text))


@pytest.mark.parametrize("quality", [SYNCED, UNSYNCED])
async def test_what_has_passed_for_certain_is_remembered(tmp_path: Path, quality: TimeQuality) -> None:
    clock = ManualClock(quality=quality)
    clock.certain = EPOCH - timedelta(days=1)
    clock.advance(60)
    async with rig(tmp_path, "district", clock=clock) as made:
        await keeping(made).save()
        day = "2026-11-23" if quality is SYNCED else "2026-11-22"
        assert await remembered(made) == {
            "utc": f"{day}T10:07:19.000Z", "boot": clock.boot, "at": 60.0, "set": quality is SYNCED,
        }  # fmt: skip
    later = ManualClock(quality=UNSYNCED)
    async with rig(tmp_path, "district", clock=later) as made:
        await keeping(made).recall()
        assert later.at_least() == clock.at_least()


async def test_it_is_saved_every_few_minutes_by_the_monotonic_clock(tmp_path: Path) -> None:
    clock = ManualClock()
    async with rig(tmp_path, "district", clock=clock) as made:
        task = asyncio.create_task(keeping(made).run())
        while not clock.sleepers:
            await made.store.read(lambda connection: None)
        clock.set_wall(86400)  # a day in wall time is nothing
        await awoken(made, clock, 1.0)
        assert "utc" not in await remembered(made)
        await awoken(made, clock, SAVE_S)
        assert (await remembered(made))["at"] == SAVE_S + 1.0
        task.cancel()


async def awoken(made: Rig, clock: ManualClock, seconds: float) -> None:
    """Time passes, and who woke has gone to sleep again."""
    clock.advance(seconds)
    while not clock.sleepers:
        await made.store.read(lambda connection: None)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"utc": "x", "boot": "b", "at": 1, "set": true}', '{"utc": 5}'])
async def test_what_another_version_wrote_is_no_reason_not_to_start(tmp_path: Path, text: str) -> None:
    clock = ManualClock(quality=UNSYNCED)
    async with rig(tmp_path, "district", clock=clock) as made:
        await made.store.transact(lambda connection: put_fact(connection, FACT, text))
        await keeping(made).recall()
        assert clock.at_least().year == 1970
        await keeping(made).save()
        assert (await remembered(made))["boot"] == clock.boot


async def test_while_it_cannot_be_read_nothing_is_written_over_it(tmp_path: Path) -> None:
    clock = ManualClock(quality=UNSYNCED)
    clock.certain = EPOCH
    async with rig(tmp_path, "district", clock=clock) as made:
        await keeping(made).save()
    late = ManualClock(quality=UNSYNCED)
    async with rig(tmp_path, "district", clock=late) as made:
        keeper = keeping(made)
        made.store.path.rename(tmp_path / "aside")
        made.store._reader.forget()
        await keeper.recall()
        await keeper.save()
        (tmp_path / "aside").rename(made.store.path)
        assert late.at_least().year == 1970
        assert (await remembered(made))["utc"] == "2026-11-23T10:06:19.000Z"
        await keeper.save()
        assert late.at_least() == EPOCH
