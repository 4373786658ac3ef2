"""How an alarm looks, which of them call, and in which order: without a house."""

from typing import Any

import pytest

from gateway.web.alarmlook import Look, Spot, buildings
from gateway.web.alarms import TABS, Choice, heaps, listed
from gateway.web.banner import shown
from gateway.web.notices import way

FIRST = "2026-11-23T01:41:07.000Z"
FLAGS = ("active", "acknowledged", "confirmed", "latched", "shelved", "suppressed", "out_of_service", "silenced")


def look(id: str = "a1", type: str = "fire.smoke", severity: str = "critical", **more: Any) -> Look:
    flags = dict.fromkeys(FLAGS, False) | {"active": True, "latched": True} | more.pop("flags", {})
    doc = {
        "alarm": id,
        "device": f"device-{id}",
        "part": "",
        "type": type,
        "severity": severity,
        "state": "active_unacked",
        "flags": flags,
        "count": 1,
        "first": FIRST,
        "last": FIRST,
        "test": False,
        "history": [],
    }
    return Look(doc | more, Spot(f"device {id}", "3号楼", "b3", "3号楼", known=True))


def in_order(*looks: Look) -> list[str]:
    return [one.id for one in sorted(looks, key=lambda one: one.order)]


def test_fire_comes_first_then_the_oldest_and_tests_last() -> None:
    door = look("a1", "door.forced", "high")
    fire, first, drill = look("a3"), look("a4", first_fire=True), look("a0", test=True)
    assert in_order(drill, door, fire, first, look("a2", "device.offline", "medium")) == ["a4", "a3", "a1", "a2", "a0"]


@pytest.mark.parametrize(
    ("type", "severity", "flags", "calls"),
    [
        ("fire.smoke", "critical", {}, True),
        ("fire.smoke", "critical", {"acknowledged": True, "confirmed": True}, True),  # it still burns
        ("safety.panic", "critical", {"acknowledged": True}, True),  # nobody has said what it was
        ("safety.panic", "critical", {"acknowledged": True, "confirmed": True}, False),
        ("door.held", "medium", {}, True),
        ("door.held", "medium", {"acknowledged": True}, False),
        ("access.denied", "low", {}, False),
        ("device.offline", "medium", {}, False),
        ("gateway.uplink_lost", "high", {}, False),
        ("device.tamper", "high", {}, True),
    ],
)
def test_what_calls(type: str, severity: str, flags: dict[str, bool], calls: bool) -> None:
    assert look(type=type, severity=severity, flags=flags).calls is calls


@pytest.mark.parametrize("state", ["shelved", "suppressed", "out_of_service"])
def test_what_something_lies_over_does_not_call(state: str) -> None:
    covered = look(state=state)
    assert covered.covered
    assert not covered.calls
    assert [tab for tab, takes in TABS.items() if takes(covered)] == ["covered"]


@pytest.mark.parametrize(
    ("state", "flags", "test", "tabs"),
    [
        ("active_unacked", {}, False, ["todo"]),
        ("active_acked", {"acknowledged": True}, False, ["todo"]),
        ("cleared_unacked", {"active": False}, False, ["todo", "over"]),
        ("latched", {"active": False, "acknowledged": True}, False, ["latched"]),
        ("active_unacked", {}, True, ["test"]),
    ],
)
def test_where_an_alarm_stands(state: str, flags: dict[str, bool], test: bool, tabs: list[str]) -> None:
    one = look(state=state, flags=flags, test=test)
    assert [tab for tab, takes in TABS.items() if takes(one)] == tabs


def test_the_banner_pins_the_first_and_offers_the_next_to_acknowledge() -> None:
    first = look("a1", first_fire=True, flags={"acknowledged": True, "silenced": True})
    door, fire = look("a2", "door.forced", "high"), look("a3")
    made = shown([first, fire, door, look("a0", test=True)])
    assert (made["head"], made["turn"], made["newest"]) == (first, fire, fire)
    assert made["after"] == [("fire", 1), ("alarm", 1), ("test", 1)]
    assert made["sounding"] == "fire"
    assert shown([first, door])["sounding"] == "alarm"
    assert shown([first])["sounding"] == ""
    assert shown([first])["turn"] is first
    assert shown([]) == {"head": None, "turn": None, "after": [], "sounding": "", "newest": None}


def test_delivery_is_told_by_platform_with_how_long_it_took() -> None:
    delivery = {
        "city": {"state": "confirmed", "at": "2026-11-23T01:41:07.800Z"},
        "district": {"state": "sending", "unconfirmed": True},
        "fire": {"state": "failed", "at": "2026-11-23T01:41:00.000Z"},
        "other": {"state": "sending"},
    }
    sent = look(delivery=delivery).sent
    assert [(one.uplink, one.state, one.took_s) for one in sent] == [
        ("city", "confirmed", 0.8),
        ("district", "late", None),
        ("fire", "failed", None),  # by a clock that was set in between
        ("other", "sending", None),
    ]
    assert len({one.mark for one in sent}) == 4  # a shape each, not only a colour


def test_the_next_step_is_told_until_there_is_none() -> None:
    todo = [look(flags=flags).todo for flags in ({}, {"acknowledged": True}, {"acknowledged": True, "confirmed": True})]
    assert todo == ["todo_acknowledge", "todo_dispose", "todo_wait"]
    assert look(state="shelved").todo == "todo_shelved"
    assert look(type="device.offline").todo == "todo_repair"


def test_who_acknowledged_is_told_only_while_that_counts() -> None:
    history = [{"time": FIRST, "step": "ack", "who": "王"}, {"time": FIRST, "step": "raise"}]
    assert look(history=history, flags={"acknowledged": True}).who == "王"
    assert look(history=history).who == ""  # it has begun again


def grouped(id: str, head: bool, key: str = "g") -> Look:
    return look(
        id,
        "device.offline",
        "medium",
        group={"key": key, "head": head, "count": 3, "cause": {"en": "line", "zh": "线路"}},
    )


def test_alarms_of_one_cause_are_one_heap_and_none_is_lost() -> None:
    alone, lot = look("a9"), [grouped("a1", head=False), grouped("a2", head=True), grouped("a3", head=False)]
    made = heaps([alone, *lot])
    assert [(heap.look.id, [one.id for one in heap.others]) for heap in made] == [("a9", []), ("a2", ["a1", "a3"])]
    assert made[0].cause is None
    assert made[1].cause is not None
    assert made[1].cause.zh == "线路"


def test_what_is_left_of_a_group_after_filtering_is_no_heap() -> None:
    (made,) = heaps([grouped("a1", head=False)])
    assert (made.look.id, list(made.others), made.cause) == ("a1", [], None)


def test_the_list_counts_every_tab_and_filters_one() -> None:
    first, door = look("a1", first_fire=True), look("a2", "door.held", "medium")
    made = listed([first, door], Choice("todo", "", "door.held"), "zh")
    assert made["first"] is first  # it stays on top whatever is asked for
    assert [heap.look for heap in made["heaps"]] == [door]
    assert made["counts"] == {"todo": 2, "over": 0, "latched": 0, "covered": 0, "test": 0}
    assert made["rest"] == 1  # a fire is never acknowledged with others
    assert listed([door], Choice("todo", "b9", ""), "zh")["heaps"] == []
    assert [one.building for one in buildings([first, door])] == ["b3"]


@pytest.mark.parametrize(
    ("step", "before"),
    [("reported", 0), ("returned", 2), ("handled", 4), ("not-passed", 5), ("rejected", 1), ("void", 6)],
)
def test_the_way_of_a_case_shows_where_it_stands(step: str, before: int) -> None:
    shown = way(step)
    assert [when for _, when in shown] == ["done"] * before + ["now"] + ["later"] * (6 - before)
    assert shown[before][0] == step
