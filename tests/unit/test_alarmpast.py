"""What the disk tells of alarms that are over, and the history made of it."""

from pathlib import Path

import pytest

from gateway.audit import By
from gateway.web import alarmpast
from gateway.web.alarmpast import Tale
from gateway.web.alarmstory import Line, lines
from tests.wards import Ward, ward

WANG = By("王", "duty", "page")


async def over(made: Ward, device: str, kind: str, outcome: str) -> str:
    """One that began, was disposed of, and ended."""
    alarm = await made.tell(device, kind)
    await made.duty.dispose(alarm, WANG, outcome, "灰尘", "已清洁")
    await made.tell(device, kind, "clear")
    return alarm


async def read(made: Ward, before: str = "", open_: frozenset[str] = frozenset()) -> alarmpast.Page:
    return await made.store.read(lambda connection: alarmpast.page(connection, alarmpast.parse(before), open_))


async def told(made: Ward, alarm: str) -> Tale | None:
    return await made.store.read(lambda connection: alarmpast.tale(connection, alarm))


async def test_each_is_listed_once_the_newest_first_with_what_it_was(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        first, second = (
            await over(made, "smoke-1", "fire.smoke", "false"),
            await over(made, "door-1", "door.held", "real"),
        )
        lasting = await made.tell("door-2", "door.forced")
        page = await read(made, open_=frozenset({lasting}))
        assert [(tale.opening["id"], tale.outcome, tale.who) for tale in page.tales] == [
            (second, "real", "王"),
            (first, "false", "王"),
        ]
        assert all(tale.over for tale in page.tales)
        assert page.older == ""


async def test_pages_leave_none_out_and_show_none_twice(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        kinds = (("smoke-1", "fire.smoke"), ("door-1", "door.held"), ("door-2", "device.fault"))
        made_ids = [await over(made, *kinds[n % 3], "false") for n in range(alarmpast.PAGE_ALARMS * 2 + 7)]
        seen, place = [], ""
        for expected in (alarmpast.PAGE_ALARMS, alarmpast.PAGE_ALARMS, 7):
            page = await read(made, place)
            assert len(page.tales) == expected
            assert all(tale.outcome == "false" for tale in page.tales)
            seen += [str(tale.opening["id"]) for tale in page.tales]
            place = page.older
        assert (seen, place) == (made_ids[::-1], "")


async def test_a_disk_that_holds_nothing(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        assert await read(made) == alarmpast.Page([], "")
        assert await told(made, "nothing") is None


async def test_only_what_opened_an_alarm_is_one(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        alarm = await over(made, "smoke-1", "fire.smoke", "false")
        door = await made.tell("door-1", "door.open")  # an information, no alarm
        found = await told(made, alarm)
        assert found is not None
        assert [event["type"] for event in found.later] == ["operator.ack", "operator.dispose", "fire.smoke"]
        assert await told(made, door) is None
        assert await told(made, str(found.later[0]["id"])) is None


@pytest.mark.parametrize("place", ["", "x", "1", "1-", "-1--2", "1-2-3", "9" * 19 + "-1"])
def test_a_place_that_is_none_is_the_newest(place: str) -> None:
    assert set(alarmpast.parse(place).values()) == {2**62}


async def test_the_history_of_one_that_is_over(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        found = await told(made, await over(made, "smoke-1", "fire.smoke", "false"))
        shown = [(line.step, line.who, line.role, line.place, line.outcome, line.cause) for line in lines(None, found)]
        assert shown == [
            ("raise", "", "", "", "", ""),
            ("ack", "王", "duty", "page", "false", "灰尘"),
            ("dispose", "王", "duty", "page", "false", "灰尘"),
            ("clear", "", "", "", "", ""),
        ]


async def test_the_history_of_one_that_is_open_gains_roles_and_causes(tmp_path: Path) -> None:
    async with ward(tmp_path) as made:
        alarm = await made.tell("smoke-1", "fire.smoke")
        await made.duty.dispose(alarm, WANG, "false", "灰尘")
        found = await told(made, alarm)
        assert found is not None
        at = found.later[-1]["time"]
        doc = {"history": [{"time": at, "step": "dispose", "who": "王", "from": "page", "note": "false"}]}
        assert lines(doc, found) == [Line(at, "dispose", "王", "duty", "page", "false", "灰尘")]
        assert lines(doc, None) == [Line(at, "dispose", "王", "", "page", "false")]


def event(id: str, type: str, phase: str = "pulse", **data: object) -> alarmpast.Event:
    return {
        "id": id,
        "type": type,
        "phase": phase,
        "time": f"2026-11-23T01:41:0{id}.000Z",
        "subject": "cam",
        "data": data,
    }


def test_what_a_rule_did_stands_between_with_its_picture() -> None:
    opening = event("1", "fire.smoke", "raise", alarm="1")
    shot = event("3", "gateway.action", rule="look", action="snapshot", result="ok", cause="1", picture={"ref": "p"})
    called = event("4", "gateway.escalation", alarm="1", to="district", result="ok", **{"from": "rule:escalation"})
    tale = Tale(opening, [shot, called, event("5", "door.open", "raise", cause="1", picture="no reference")])
    doc = {
        "history": [
            {"time": opening["time"], "step": "raise"},
            {"time": called["time"], "step": "escalate", "note": "district"},
        ]
    }
    assert [(line.step, line.note) for line in lines(doc, tale)] == [
        ("raise", ""),
        ("action", "cam snapshot ok"),
        ("escalate", "district"),
    ]
    assert [line.step for line in lines(None, tale)] == ["raise", "action", "escalate", "door.open"]
    assert tale.pictures == [shot]
