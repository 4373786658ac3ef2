"""How times, sizes, names and states look on the page."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.web import words
from gateway.web.show import Dates, between_s, hue, label, local, natural, row, sign, size, state_of

SHANGHAI = ZoneInfo("Asia/Shanghai")
EVENT: dict[str, Any] = {
    "id": "e-1",
    "time": "2026-11-23T02:08:02.000Z",
    "type": "door.held",
    "phase": "raise",
    "severity": "high",
    "subject": "door-1",
    "data": {"place": {"label": "大门"}, "alarm": "a-1", "who": "王师傅"},
}


def test_times_stand_in_the_site_s_zone_and_keep_what_they_are() -> None:
    shown = Dates(SHANGHAI, "zh").full("2026-11-23T20:08:02.000Z")
    assert shown == '<time datetime="2026-11-23T20:08:02.000Z">2026-11-24 04:08:02</time>'
    assert local("2026-11-23T20:08:02.000Z", SHANGHAI) == "2026-11-24 04:08:02"


def test_what_claims_to_be_a_time_cannot_become_markup() -> None:
    with pytest.raises(ValueError, match="isoformat"):
        Dates(SHANGHAI, "zh").full('"><script>')


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        ("2026-11-23T15:59:59Z", "23:30:00"),  # the same day there
        ("2026-11-23T16:00:00Z", "2026-11-23 23:30:00"),  # past midnight there, not in UTC
    ],
)
def test_today_is_the_site_s_today(now: str, shown: str) -> None:
    assert f">{shown}<" in Dates(SHANGHAI, "zh").short("2026-11-23T15:30:00Z", now)


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_time_is_nothing(nothing: str | None) -> None:
    dates = Dates(SHANGHAI, "zh")
    assert (dates.full(nothing), dates.short(nothing, "2026-11-23T00:00:00Z")) == ("", "")


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (None, "", ""),
        (0.9, "", ""),
        (59, "59 秒", "59 s"),
        (200, "3 分 20 秒", "3 min 20 s"),
        (3600, "1 小时", "1 h"),
        (86_400 + 5, "1 天 5 秒", "1 d 5 s"),
        (3 * 86_400 + 4 * 3600 + 59, "3 天 4 小时", "3 d 4 h"),  # the two largest
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float | None, zh: str, en: str) -> None:
    assert [Dates(SHANGHAI, language).duration(seconds) for language in ("zh", "en")] == [zh, en]


def test_between_two_times_whatever_their_zones() -> None:
    assert between_s("2026-11-23T02:00:00Z", "2026-11-23T10:00:01.500+08:00") == 1.5
    assert between_s("2026-11-23T10:00:01.500+08:00", "2026-11-23T02:00:00Z") == -1.5


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 KiB"), (1023 * 1024, "1023 KiB"), (1024**2, "1 MiB"), (1.5 * 1024**3, "1.5 GiB"), (2e13, "18626.5 GiB")],
)
def test_sizes(count: float, shown: str) -> None:
    assert size(count) == shown


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["大门", "10号楼", "2号楼", "2号楼1单元10层", "2号楼1单元9层", "", "9" * 4000]
    assert sorted(names, key=natural)[:5] == ["", "2号楼", "2号楼1单元9层", "2号楼1单元10层", "10号楼"]
    assert max(names, key=natural) == "大门"


def test_a_row_of_what_is_over_calls_nobody() -> None:
    raised = row(EVENT, {"door-1": "大门门禁"})
    assert (raised.name, row(EVENT, {}).name) == ("大门门禁", "door-1")
    assert (raised.place, raised.hue, raised.alarm, raised.who, raised.test) == (
        "大门",
        "alarm",
        "a-1",
        "王师傅",
        False,
    )
    for calm in ({"phase": "clear"}, {"severity": "info"}):
        assert (row(EVENT | calm, {}).hue, row(EVENT | calm, {}).alarm) == ("", "")
    assert row(EVENT | {"data": {"test": True}}, {}).test


@pytest.mark.parametrize(
    ("type", "expected"),
    [("fire.smoke", "fire"), ("device.fault", "fault"), ("device.offline", "fault"), ("safety.panic", "alarm")],
)
def test_hues(type: str, expected: str) -> None:
    assert hue(type) == expected


def test_a_type_that_nobody_knows_is_shown_as_it_is() -> None:
    assert label("odd.thing", "zh") == "odd.thing"
    assert label("fire.smoke", "zh") != "fire.smoke"


@pytest.mark.parametrize(
    ("device", "state"),
    [
        ({"state": "alarm", "alarms": ["door.held", "fire.smoke"]}, "fire"),
        ({"state": "alarm", "alarms": ["door.held"]}, "alarm"),
        ({"state": "shielded", "alarms": ["fire.smoke"]}, "shielded"),
        ({"state": "normal"}, "normal"),
    ],
)
def test_a_device_burns_where_one_of_its_alarms_is_a_fire(device: dict[str, Any], state: str) -> None:
    assert state_of(device) == state


def test_a_state_of_another_version_is_unknown_and_not_green() -> None:
    assert sign(words.STATES, "brand-new", "zh") == sign(words.STATES, "unknown", "zh")


@pytest.mark.parametrize("name", words.STATES)
def test_every_state_has_word_and_shape(name: str) -> None:
    shown = sign(words.STATES, name, "zh")
    assert shown.name == name
    assert shown.word
    assert shown.shape
