"""Events in words: what each says of itself in Chinese and English, and nothing raw where a word exists."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.house import House
from gateway.taxonomy import DENIALS
from gateway.web.eventrows import Row, Rows
from gateway.web.events import links, seen
from tests.houses import Puppets, config, living

ID = "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with living(config(tmp_path, {"door-1": "door"}), Puppets()) as house:
        yield house


def event(type: str = "access.denied", phase: str = "pulse", severity: str = "low", **data: Any) -> dict[str, Any]:
    return {"id": ID, "subject": "door-1", "type": type, "time": "2026-11-23T10:06:19.123Z", "phase": phase,
            "severity": severity, "timequality": "synced", "data": data}  # fmt: skip


def told(house: House, language: str = "zh", **more: Any) -> Row:
    return Rows(house, language).row(event(**more))


@pytest.mark.parametrize(
    ("data", "zh", "en"),
    [
        ({"reason": "unknown_credential"}, "未知凭证", "unknown credential"),
        ({"reason": "egress"}, "内侧开门", "from inside"),
        ({"reason": "装修"}, "装修", "装修"),
        ({"outcome": "false", "cause": "灰尘"}, "误报 · 灰尘", "false alarm · 灰尘"),
        ({"action": "unlock", "result": "ok"}, "开门 · 已完成", "unlock · done"),
        ({"action": "release", "result": "device-offline", "rule": "r", "cause": ID}, "保持开门 · 设备离线",
         "release · device offline"),
        ({"seconds": 3600, "reason": "expired", "type": "operator.shelve"}, "已到期 · 1 小时", "time is over · 1 h"),
        ({"seconds": 0}, "", ""),
        ({"note": "  "}, "  ", "  "),
        ({}, "", ""),
    ],
)  # fmt: skip
async def test_what_came_of_it(house: House, data: dict[str, Any], zh: str, en: str) -> None:
    assert told(house, **data).outcome == zh
    assert told(house, "en", **data).outcome == en


async def test_every_denial_has_its_word(house: House) -> None:
    for reason, text in DENIALS.items():
        assert told(house, reason=reason).outcome == text.zh


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"smoke": {"value": 1.32, "unit": "dB/m"}}, "1.32 dB/m"),
        ({"temperature": {"value": 21.5, "unit": "°C"}, "on": {"value": True}}, "温度 21.5 °C, on 是"),
        ({"status": {"value": 1}}, "状态字 1"),
        ({"text": {"value": "open"}}, "open"),
        ({"bare": 3}, "bare 3"),
        ({}, ""),
    ],
)
async def test_values_with_their_units(house: House, values: dict[str, Any], expected: str) -> None:
    assert told(house, values=values).values == expected


async def test_who_and_where(house: House) -> None:
    row = told(house, who="王师傅", role="duty", part={"text": "2号回路 17"}, place={"path": "gate"})
    assert (row.who, row.name, row.place) == ("王师傅 (值班员)", "door-1 · 2号回路 17", "大门")
    assert told(house, who="x", role="strange").who == "x"
    assert (told(house).who, told(house).place) == ("", "")
    away = Rows(house, "zh").row(event() | {"subject": "sold-last-year"})
    assert (away.name, away.device, away.subject) == ("sold-last-year", "", "sold-last-year")
    itself = Rows(house, "en").row(event() | {"subject": "gw-0001"})
    assert (itself.name, itself.device) == ("Gateway", "")


@pytest.mark.parametrize(
    ("quality", "zh"),
    [("synced", ""), ("unsynced", "时钟未校准"), ("holdover", "时钟近期未校准"), ("corrected", "时间已校正")],
)
async def test_how_sure_the_time_is(house: House, quality: str, zh: str) -> None:
    assert Rows(house, "zh").row(event() | {"timequality": quality}).quality == zh


@pytest.mark.parametrize(
    ("type", "phase", "severity", "test", "look"),
    [
        ("fire.smoke", "raise", "critical", False, "fire"),
        ("fire.smoke", "raise", "critical", True, "test"),
        ("fire.smoke", "clear", "critical", False, "over"),
        ("door.forced", "raise", "high", False, "alarm"),
        ("access.denied", "pulse", "low", False, "alarm"),
        ("device.offline", "still", "medium", False, "fault"),
        ("access.granted", "pulse", "info", False, "plain"),
        ("door.open", "clear", "info", False, "over"),
        ("what.ever", "pulse", "info", False, "plain"),
    ],
)
async def test_solid_colour_asks_for_attention_only(
    house: House, type: str, phase: str, severity: str, test: bool, look: str
) -> None:
    one = event(type, phase, severity, test=test)
    assert seen(Rows(house, "zh").row(one), one, set()).look == look


async def test_where_an_event_leads(house: House) -> None:
    from gateway.browse import Page
    from gateway.web.events import Asked

    one = event(alarm=ID)
    row = Rows(house, "zh").row(one)
    assert seen(row, one, {ID}).link == f"/alarms/{ID}"
    assert seen(row, one, set()).link == f"/events?alarm={ID}"
    assert seen(Rows(house, "zh").row(event()), event(), set()).link == ""
    many = ",".join([ID] * 40)
    ways = links(Asked(text="a b"), Page([], ID), ID, many)
    assert ways["older"].count(ID) == 1 + 30
    assert ways["newest"] == "/events?text=a+b"
    assert set(links(Asked(), Page([], None), "", "")) == {"csv", "xlsx"}
