"""A deed: the audit's line first, then the event and the flags in one commit; or nothing, told as failed."""

import json
from pathlib import Path

import pytest

from gateway import alarms
from gateway.alarms import Alarm
from gateway.audit import lines
from gateway.database import read_alarms, read_rows
from gateway.errors import StorageError
from gateway.event import Lane
from tests.rig import refusing
from tests.wards import DEVICES, GATEWAY, WANG, Ward, ward


async def audited(made: Ward) -> list[tuple[str, str]]:
    """What, and with what outcome."""
    found = await made.store.read(lambda connection: lines(connection, 0, 100))
    return [(entry["what"], entry["outcome"]) for _, entry in found]


async def test_line_event_and_flags(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        heard: list[Alarm] = []
        made.hand.listeners.append(heard.append)
        alarm = await made.tell("door-1", "door.forced")
        await made.duty.acknowledge(alarm, WANG, "看过了")
        (row,) = await made.store.read(lambda connection: read_rows(connection, Lane.EVENT, 0, 10))
        event = json.loads(row.body)
        assert (event["type"], event["subject"]) == ("operator.ack", "door-1")
        said = {"who": "wang", "role": "duty", "from": "page", "note": "看过了", "alarm": alarm}
        assert event["data"].items() >= said.items()
        assert await audited(made) == [("operator.ack", "asked")]
        assert heard == [made.alarm("door-1", "door.forced")] == await made.store.read(read_alarms)
        assert heard[0].history[-1][1:] == ("ack", "wang", "page", "看过了")


async def test_what_the_disk_refuses_is_not_done_and_told_as_failed(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        heard: list[Alarm] = []
        made.hand.listeners.append(heard.append)
        alarm = await made.tell("door-1", "door.forced")
        with refusing(tmp_path, "event_lane"), pytest.raises(StorageError):
            await made.duty.acknowledge(alarm, WANG)
        await made.hand.book()
        assert (made.alarm("door-1", "door.forced").acknowledged, heard) == (False, [])
        assert await audited(made) == [("operator.ack", "asked"), ("operator.ack", "failed")]


async def test_no_audit_line_no_deed(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        alarm = await made.tell("door-1", "door.forced")
        with refusing(tmp_path, "audit"), pytest.raises(StorageError):
            await made.duty.acknowledge(alarm, WANG)
        assert not made.alarm("door-1", "door.forced").acknowledged
        assert await made.store.read(lambda connection: read_rows(connection, Lane.EVENT, 0, 10)) == []


async def test_nothing_to_do_leaves_no_line(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        assert await made.hand.do(WANG, "operator.silence", []) == []
        assert await audited(made) == []


async def test_an_alarm_of_a_device_that_is_gone_is_told_by_the_gateway(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        alarm = await made.tell("door-2", "door.forced")
    left = {name: place for name, place in DEVICES.items() if name != "door-2"}
    async with ward(tmp_path, made.clock, devices=left) as made:
        deed = made.hand.deed(await made.hand.find(alarm), "operator.dispose", WANG, alarms.disposed)
        assert deed.reading.device == GATEWAY
        assert [done.normal for done in await made.hand.do(WANG, "operator.dispose", [deed])] == [True]  # none ends it
