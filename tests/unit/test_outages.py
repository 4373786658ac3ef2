"""A silent line is one alarm: the rest is suppressed by its name, and released when the line answers again."""

import asyncio
from pathlib import Path

from gateway.alarmview import describe
from gateway.outages import RETRY_S, Outages
from tests.rig import refusing
from tests.wards import WANG, Ward, ward

DEVICES = ["smoke-1", "door-1", "door-2"]
LINES = {"bus rs485-1": DEVICES}


async def fall(made: Ward, *devices: str) -> None:
    """They fall silent."""
    for device in devices:
        await made.tell(device, "device.offline")


def states(made: Ward) -> list[str]:
    """Of their `device.offline`, in order."""
    found = [made.book.get((device, "device.offline", "")) for device in DEVICES]
    return ["normal" if alarm is None else str(describe(alarm, made.book)["state"]) for alarm in found]


async def test_all_but_the_first_are_suppressed_as_soon_as_none_answers(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        outages = Outages(made.hand, made.covers, LINES)
        await fall(made, "door-2", "smoke-1")
        await outages.settle()
        assert "suppressed" not in states(made)
        await fall(made, "door-1")
        await outages.settle()
        assert states(made) == ["active_unacked", "suppressed", "suppressed"]
        lines = made.audit.newest
        await outages.settle()
        assert made.audit.newest == lines  # done once


async def test_the_first_that_answers_ends_it_for_all(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        outages = Outages(made.hand, made.covers, LINES)
        await fall(made, *DEVICES)
        await outages.settle()
        await made.duty.acknowledge(made.alarm("door-2", "device.offline").id, WANG)
    async with ward(tmp_path, made.clock) as made:  # also after a restart in between
        outages = Outages(made.hand, made.covers, LINES)
        await outages.settle()
        assert states(made) == ["active_unacked", "suppressed", "suppressed"]
        await made.tell("door-1", "device.offline", "clear")
        await outages.settle()
        assert states(made) == ["active_unacked", "cleared_unacked", "active_unacked"]  # door-2 asks again
        assert [alarm for alarm in made.book if alarm.type == "gateway.suppressed"] == []


async def test_a_line_of_one_device_has_no_rest(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        await fall(made, "smoke-1")
        await Outages(made.hand, made.covers, {"line smoke-1": ["smoke-1"]}).settle()
        assert states(made)[0] == "active_unacked"


async def test_a_disk_that_refuses_is_tried_again(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        await fall(made, *DEVICES)
        outages = Outages(made.hand, made.covers, LINES)
        task = asyncio.create_task(outages.run())
        with refusing(tmp_path, "event_lane"):
            async with asyncio.timeout(10):
                while not made.clock.sleepers:
                    await made.store.read(lambda _connection: None)
        made.clock.advance(RETRY_S)
        async with asyncio.timeout(10):
            while states(made) != ["active_unacked", "suppressed", "suppressed"]:
                await made.store.read(lambda _connection: None)
        task.cancel()
