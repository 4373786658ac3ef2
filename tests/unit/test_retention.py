"""Room on disk: history goes first, then what is owed, told; alarms stay; numbers never come back."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.database import read_rows, used_bytes
from gateway.event import Lane
from gateway.loss import Loss, joined
from gateway.outbox import Outbox
from gateway.retention import Limits, Retention
from tests.rig import Rig, rig

AGE_S = 3600.0
numbers = st.integers(1, 40)
PLENTY = Limits(2**30, AGE_S, 0.25)
HOUR_MS = 3_600_000


def sound(loss: Loss) -> bool:
    """It has numbers."""
    return loss.first <= loss.last


def all_numbers(losses: Sequence[Loss]) -> set[tuple[str, str, int]]:
    """One by one."""
    return {(loss.stream, loss.reason, n) for loss in losses for n in range(loss.first, loss.last + 1)}


async def kept(made: Rig, lane: Lane) -> list[dict[str, object]]:
    """What stands on disk in a lane."""
    rows = await made.store.read(lambda connection: read_rows(connection, lane, 0, 100_000))
    return [json.loads(row.body) for row in rows]


def retention(made: Rig, limits: Limits, outbox: Outbox) -> Retention:
    """For the one uplink of the rig."""
    return Retention("gw-0001", limits, made.store, made.pipeline, [("district", outbox)])


async def confirm_all(outbox: Outbox) -> None:
    """As if the broker had taken everything."""
    while await outbox.fill():
        for lane in Lane:
            while entry := outbox.take(lane, 0.0):
                outbox.confirmed(entry)


async def test_old_history_goes_and_the_newest_row_keeps_the_numbers(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        outbox = Outbox(made.store, "district")
        for _ in range(20):
            await made.accept("access.granted")
        await confirm_all(outbox)
        now_ms = int(made.clock.utc().timestamp() * 1000)
        await retention(made, PLENTY, outbox).sweep(now_ms)
        assert len(await kept(made, Lane.EVENT)) == 20
        await retention(made, PLENTY, outbox).sweep(now_ms + 2 * HOUR_MS)
        assert len(await kept(made, Lane.EVENT)) == 1
    async with rig(tmp_path, "district") as made:
        assert made.store.numbers[Lane.EVENT]["district"] == 20
        assert made.store.last[Lane.EVENT] == 20


async def test_what_is_owed_stays_however_old(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        outbox = Outbox(made.store, "district")
        await made.accept("access.granted")
        await made.accept("access.granted")
        await retention(made, PLENTY, outbox).sweep(int(made.clock.utc().timestamp() * 1000) + 9 * HOUR_MS)
        assert len(await kept(made, Lane.EVENT)) == 2


async def test_without_room_the_lowest_lane_goes_first_and_is_told(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        outbox = Outbox(made.store, "district")
        await outbox.fill()
        alarm = await made.accept("fire.smoke", "raise", "smoke-1")
        await asyncio.gather(*(made.accept("access.granted") for _ in range(1200)))
        before_bytes = await made.store.read(used_bytes)
        limits = Limits(before_bytes // 2, AGE_S, 0.25)
        await retention(made, limits, outbox).sweep(0)
        assert await made.store.read(used_bytes) <= limits.max_bytes * 0.75
        alarms = await kept(made, Lane.ALARM)
        assert alarms[0]["id"] == alarm
        lost = [event["data"] for event in alarms if event["type"] == "gateway.data_lost"]
        assert lost
        ranges = [(int(one["first"]), int(one["last"]), one["count"]) for one in lost]  # type: ignore[index]
        assert ranges[0][0] == 1
        assert all(last - first + 1 == count for first, last, count in ranges)
        assert [first for first, _, _ in ranges[1:]] == [last + 1 for _, last, _ in ranges[:-1]]
        await outbox.fill()
        entry = outbox.take(Lane.EVENT, 0.0)
        assert entry is not None
        assert entry.sequence == ranges[-1][1] + 1
        assert outbox.queues[Lane.EVENT].dropped == ranges[-1][1]
        assert outbox.backlog(Lane.EVENT) == 1200 - ranges[-1][1]


async def test_history_is_given_up_before_anything_that_is_owed(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        outbox = Outbox(made.store, "district")
        await asyncio.gather(*(made.accept("access.granted") for _ in range(1000)))
        await confirm_all(outbox)
        owed = [await made.accept("telemetry.sample", level=1.0) for _ in range(3)]
        half = Limits(await made.store.read(used_bytes) // 2, AGE_S, 0.25)
        await retention(made, half, outbox).sweep(0)
        assert [event["id"] for event in await kept(made, Lane.TELEMETRY)] == owed
        assert not await kept(made, Lane.ALARM)


async def test_alarms_go_only_when_they_alone_fill_it_and_no_loss_is_forgotten(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        outbox = Outbox(made.store, "district")
        await outbox.fill()
        await asyncio.gather(*(made.accept("access.granted") for _ in range(600)))
        await retention(made, Limits(1, AGE_S, 0.25), outbox).sweep(0)  # events go, as many as there are
        await asyncio.gather(*(made.accept("safety.panic") for _ in range(3000)))
        full_bytes = await made.store.read(used_bytes)
        await retention(made, Limits(full_bytes, AGE_S, 0.5), outbox).sweep(0)
        before = await kept(made, Lane.ALARM)
        assert sum(event["type"] == "safety.panic" for event in before) == 3000  # the other half is theirs
        await retention(made, Limits(full_bytes // 2, AGE_S, 0.25), outbox).sweep(0)
        assert await made.store.read(used_bytes) <= full_bytes // 2
        alarms = await kept(made, Lane.ALARM)
        left = sum(event["type"] == "safety.panic" for event in alarms)
        assert 0 < left < 3000
        told = [event["data"] for event in alarms if event["type"] == "gateway.data_lost"]
        lost = {name: ranges(told, f"district.{name}") for name in ("event", "alarm")}
        assert lost["event"] == [(1, 599)]  # the newest row stays: it carries the counters
        ((first, last),) = lost["alarm"]
        assert (first, last) == (1, outbox.queues[Lane.ALARM].cursor.sequence)
        await outbox.fill()
        entry = outbox.take(Lane.ALARM, 0.0)
        assert entry is not None
        assert entry.sequence == last + 1


def ranges(told: Sequence[Any], stream: str) -> list[tuple[int, int]]:
    """Of a stream, joined."""
    mine = [Loss(one["stream"], one["reason"], int(one["first"]), int(one["last"])) for one in told]
    return [(loss.first, loss.last) for loss in joined(mine) if loss.stream == stream]


@given(st.lists(st.builds(Loss, st.sampled_from("ab"), st.sampled_from("xy"), numbers, numbers).filter(sound)))
def test_fewer_ranges_tell_the_same_numbers(losses: list[Loss]) -> None:
    fewer = joined(losses)
    assert all_numbers(fewer) == all_numbers(losses)
    assert sum(loss.last - loss.first + 1 for loss in fewer) == len(all_numbers(fewer))
    assert len(fewer) <= len(losses)
