"""The wall's own rules without a server: what a tile says, which floors fold into one, what is wanted, and words."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.taxonomy import KINDS
from gateway.web import words
from gateway.web.catalogue import Speaker
from gateway.web.device import Told, clock_of, shot_of
from gateway.web.devices import WORST_FIRST, Building, Floor, Tile, Wanted, _storeys, battery, kind_label, tile_of, word

DOCUMENT = {
    "device": "smoke-1",
    "label": "走廊烟感",
    "kind": "smoke",
    "driver": "modbus",
    "state": "normal",
    "alarms": [],
    "online": True,
    "place": "b3/u2/f5",
    "place_label": "3号楼2单元5层",
    "values": {},
}


def tile(**more: Any) -> Tile:
    return tile_of(DOCUMENT | more)


@pytest.mark.parametrize(
    ("document", "state"),
    [
        ({"state": "normal"}, "normal"),
        ({"state": "alarm", "alarms": ["door.forced"]}, "alarm"),
        ({"state": "alarm", "alarms": ["door.forced", "fire.smoke"]}, "fire"),
        ({"state": "offline", "alarms": ["fire.smoke"]}, "offline"),
        ({"state": "a word of a later version"}, "unknown"),
        ({"state": None}, "unknown"),
    ],
)
def test_a_state_is_one_of_the_words_and_what_nobody_knows_is_unknown(document: Mapping[str, Any], state: str) -> None:
    assert tile(**document).state == state
    assert tile(**document).calm is (state == "normal")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, None),
        ({"battery": {"value": 83, "unit": "%"}}, "83 %"),
        ({"battery": {"value": 83.5}}, "83.5 %"),
        ({"battery_level": {"value": 0, "unit": "%"}}, "0 %"),
        ({"battery": {"value": True}}, None),
        ({"battery": {"value": "low"}}, None),
    ],
)
def test_a_battery_is_told_where_it_is_a_number(values: Mapping[str, Any], told: str | None) -> None:
    assert battery(values) == told


def test_tiles_stand_worst_first_then_by_number() -> None:
    tiles = [
        tile(device=f"{n}-{state}", label=f"{n}号", state=state) for n in (10, 2) for state in reversed(WORST_FIRST)
    ]
    stand = [(each.state, each.name) for each in sorted(tiles, key=lambda each: each.key)]
    assert stand == [(state, name) for state in WORST_FIRST for name in ("2号", "10号")]


def test_storeys_fold_only_where_nothing_is_shown() -> None:
    shown = (tile(),)
    floors = [
        Floor("f5", "5层", (), 3),
        Floor("f4", "4层", (), 2),
        Floor("f3", "3层", shown, 1),
        Floor("f2", "2层", (), 1),
    ]
    folded = _storeys([*floors, Floor("f1", "1层", (), 4), Floor("", "", (), 1)])
    assert [(floor.label, floor.calm, len(floor.tiles)) for floor in folded] == [
        ("4层–5层", 5, 0),
        ("3层", 1, 1),
        ("1层–2层", 5, 0),
        ("", 1, 0),
    ]


def test_a_building_is_as_bad_as_its_worst_device() -> None:
    assert Building("b3", "3号楼", (), {"normal": 40, "fault": 1, "fire": 1}).worst == "fire"
    assert Building("b3", "3号楼", (), {"normal": 40, "fault": 1, "fire": 1}).abnormal == 2
    assert Building("b3", "3号楼", (), {"normal": 40}).worst == "normal"
    assert Building("b3", "3号楼", (), {}).worst == "unknown"
    assert set(WORST_FIRST) == set(words.STATES)


def test_links_keep_what_else_is_chosen() -> None:
    wanted = Wanted(building="b3", q="烟感 & <b>")
    assert wanted.link(state="fire") == "/devices?building=b3&state=fire&q=%E7%83%9F%E6%84%9F+%26+%3Cb%3E"
    assert wanted.link(building="", q="") == "/devices"


@pytest.mark.parametrize(("q", "takes"), [("SMOKE-1", True), ("5层 烟感", True), ("感烟探测器", True), ("6层", False)])
def test_a_search_looks_at_name_place_and_kind(q: str, takes: bool) -> None:
    assert Wanted(q=q).takes(tile(), kind_label("smoke", "zh")) is takes


def test_kinds_have_names_in_both_languages() -> None:
    for name in KINDS:
        assert kind_label(name, "zh") != kind_label(name, "en")
    assert kind_label("lamp", "zh") == "lamp"


def test_words_of_devices_that_nobody_translated_stay_as_they_are() -> None:
    assert word(Speaker("devices", "zh"), "value", "temperature") == "温度"
    assert word(Speaker("devices", "zh"), "value", "{odd} name") == "{odd} name"


def event(type: str = "gateway.action", phase: str = "pulse", **data: Any) -> dict[str, Any]:
    return {"id": "1", "type": type, "time": "2026-11-23T10:00:00.000Z", "phase": phase, "data": data}


@pytest.mark.parametrize(
    ("told", "phase", "more"),
    [
        (
            event(action="unlock", result="ok", contact="opened", who="王师傅"),
            "",
            "开门 · 已完成 · 门磁:门已打开。 · 王师傅",
        ),
        (event("access.denied", reason="wrong_pin"), "", "密码错误"),
        (event("device.offline", "raise", reason="no-answer"), "发生", "无应答"),
        (event("fire.smoke", "clear", part={"address": "0A000200", "text": "二层手报"}), "恢复", "二层手报"),
        (event("fire.smoke", "raise", part={"address": "0A000200"}), "发生", "0A000200"),
        ({"id": "1", "type": "door.open", "time": "2026-11-23T10:00:00.000Z"}, "恢复", ""),
    ],
)
def test_an_event_is_told_in_words(told: dict[str, Any], phase: str, more: str) -> None:
    shown = Told(told if "phase" in told else told | {"phase": "clear"}, Speaker("devices", "zh"))
    assert (shown.phase, shown.more) == (phase, more)


def test_the_newest_clock_and_picture_are_taken() -> None:
    events = [
        event(),
        event(device_time="2026-11-23T18:00:30+08:00", picture={"ref": "new"}),
        event(device_time="2026-11-23T09:00:00Z", picture={"ref": "old"}),
    ]
    assert clock_of(events) == {"time": "2026-11-23T18:00:30+08:00", "ahead_s": 30}
    assert shot_of(events) == {"ref": "new", "time": "2026-11-23T10:00:00.000Z"}
    assert clock_of([event()]) is shot_of([event(picture="none")]) is None
