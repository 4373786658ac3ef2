"""Times as people and programs write them, in the filters of the HTTP interface."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.web.inputs import moment_ms

ZONE = ZoneInfo("Asia/Shanghai")
MIDNIGHT_MS = int(datetime(2026, 11, 22, 16, tzinfo=UTC).timestamp() * 1000)  # in Shanghai


@pytest.mark.parametrize(
    ("text", "after_ms"),
    [
        ("2026-11-23", 0),
        ("2026-11-23T00:00", 0),
        ("2026-11-22T16:00:00Z", 0),
        ("2026-11-22T16:00:00.250Z", 250),
        ("2026-11-23T01:00:00+08:00", 3_600_000),
        ("2026-11-23T01:00:00 08:00", 3_600_000),
        ("2026-11-22 16:00:00+00:00", 0),
    ],
)
def test_what_is_a_time(text: str, after_ms: int) -> None:
    assert moment_ms(text, ZONE) == MIDNIGHT_MS + after_ms


def test_a_day_is_meant_with_its_end() -> None:
    assert moment_ms("2026-11-23", ZONE, end=True) == moment_ms("2026-11-24", ZONE) - 1
    assert moment_ms("2026-11-23T10:00Z", ZONE, end=True) == moment_ms("2026-11-23T10:00Z", ZONE)


def test_days_in_spring_and_autumn_end_where_the_next_begins() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for day, after in (("2026-03-29", "2026-03-30"), ("2026-10-25", "2026-10-26")):
        assert moment_ms(day, berlin, end=True) == moment_ms(after, berlin) - 1


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar(text: str) -> None:
    assert isinstance(moment_ms(text, ZONE), int)
    assert isinstance(moment_ms(text, ZONE, end=True), int)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "20261123", "2026-W01-1", "2026-02-30", "2026-11-23T25:00", "1795000000"]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        moment_ms(text, ZONE)
