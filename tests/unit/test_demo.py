"""The district's side of the demo: what it counts, and what it says of it."""

import json
from typing import Any

import aiomqtt
import pytest

from gateway.demo.district import District, line, percentile
from gateway.demo.show import summary

GRANTED = ("door-1", "access.granted", "pulse")


def event(number: int, kind: str = "access.granted", phase: str = "pulse", **more: Any) -> dict[str, Any]:
    """As it arrives."""
    told = {
        "id": f"id-{number}", "subject": "door-1", "type": kind, "phase": phase, "severity": "info",
        "time": "2026-11-23T10:06:19.123Z", "stream": "district.event", "sequence": f"{number:016d}",
        "data": {"place": {"path": "b3", "label": "3号楼"}},
    }  # fmt: skip
    return told | more


@pytest.fixture
def printed() -> list[str]:
    return []


@pytest.fixture
def district(printed: list[str]) -> District:
    return District("en", lambda text, _: printed.append(text))


async def arrive(district: District, *events: dict[str, Any]) -> None:
    """Through the same door as from the broker."""
    for each in events:
        payload = json.dumps(each).encode()
        await district.take(aiomqtt.Message("sc/v1/310104/013/002/gw-0001/event/access", payload, 1, False, 1, None))


async def test_what_was_raised_and_arrived_is_whole(district: District, printed: list[str]) -> None:
    district.expect(GRANTED, GRANTED)
    await arrive(district, event(1), event(2))
    assert not district.missing
    assert len(district.latencies_s) == 2
    assert summary(district) == 0
    assert printed[-1] == "Nothing is missing."


async def test_a_missing_one_fails(district: District, printed: list[str]) -> None:
    district.expect(GRANTED, GRANTED)
    await arrive(district, event(1))
    assert summary(district) == 1
    assert any("missing: door-1 access.granted pulse ×1" in text for text in printed)


async def test_a_gap_fails_and_a_redelivery_does_not(district: District) -> None:
    district.expect(GRANTED, GRANTED)
    await arrive(district, event(1), event(1), event(3))
    assert district.redelivered == 1
    assert district.gaps == {"district.event": 1}
    assert summary(district) == 1


async def test_one_that_nobody_raised_fails_but_measured_values_may_come(district: District) -> None:
    await arrive(district, event(1, "telemetry.sample", data={}))
    assert summary(district) == 0
    await arrive(district, event(2))
    assert summary(district) == 1


async def test_what_is_caused_in_the_cut_is_told_apart(district: District) -> None:
    district.cut = True
    district.expect(GRANTED)
    district.cut = False
    await arrive(district, event(1))
    assert not district.latencies_s
    assert len(district.waits_s) == 1


async def test_until_says_whether_it_came_in_time(district: District) -> None:
    district.expect(GRANTED)
    assert not await district.until(lambda: not district.missing, 0.01)
    await arrive(district, event(1))
    assert await district.until(lambda: not district.missing, 0.01)


def test_a_line_has_label_place_values_and_style() -> None:
    told = event(7, "fire.smoke", "raise", severity="critical")
    told["data"]["values"] = {"smoke": {"value": 1.5, "unit": "dB/m"}}
    text, style = line(told, 0.25, "zh-CN")
    for word in ("感烟火警 触发", "door-1", "3号楼", "250 ms", "smoke 1.5 dB/m", "event #7"):
        assert word in text
    assert style == "bold white on red"
    assert line(event(8, "fire.smoke", "clear"), None, "en")[1] == "green"


def test_percentile() -> None:
    assert percentile([], 0.5) == 0.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 1.0) == 3.0
