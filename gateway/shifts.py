"""The periods a report is about: a shift, a day, a month, as the site's own clock on the wall shows them. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field

from gateway.fields import Model, Wrong

Kind = Literal["shift", "day", "month"]
TIMEZONE = "Asia/Shanghai"  # the one of all of China (GB/T 7408 writes +08:00)
YEARS = range(1971, 9999)  # a period of another year does not fit into a datetime or a UUIDv7
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def _on_the_clock(value: Any) -> time:
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Wrong('a time of day in quotes is needed, e.g. "08:00"', '需要带引号的时刻,例如 "08:00"')
    return time(int(match[1]), int(match[2]))


def _zone(name: Any) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise Wrong("a name of the IANA time zones is needed, e.g. Asia/Shanghai",
                    "需要 IANA 时区名,例如 Asia/Shanghai") from error  # fmt: skip
    return str(name)


TimeZone = Annotated[str, BeforeValidator(_zone, json_schema_input_type=str)]


class ShiftConfig(Model):
    """A shift (班次): it lasts until the next one begins."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="what people call it, e.g. 早班")
    start: Annotated[time, BeforeValidator(_on_the_clock, json_schema_input_type=str)] = Field(
        alias="from", description='when it begins, local time, e.g. "08:00"'
    )


USUAL = tuple(
    ShiftConfig.model_validate({"name": name, "from": start})
    for name, start in (("早班", "08:00"), ("中班", "16:00"), ("夜班", "00:00"))
)


@dataclass(frozen=True)
class Period:
    """From `start` up to, not with, `end`, both UTC; `name` is the shift's, the day's or the month's."""

    kind: Kind
    name: str
    start: datetime
    end: datetime


def period(kind: Kind, at: datetime, zone: ZoneInfo, shifts: Sequence[ShiftConfig] = USUAL) -> Period:
    """The one that the moment `at` lies in; days of 23 and 25 hours are what they are. ValueError: not in YEARS."""
    day = at.astimezone(zone).date()
    if day.year not in YEARS:
        raise ValueError(f"year {day.year}")
    if kind == "day":
        return Period(kind, day.isoformat(), _utc(day, zone), _utc(day + timedelta(days=1), zone))
    if kind == "month":
        first = day.replace(day=1)
        after = (first + timedelta(days=31)).replace(day=1)
        return Period(kind, f"{first:%Y-%m}", _utc(first, zone), _utc(after, zone))
    days = [day + timedelta(days=number) for number in (-1, 0, 1, 2)]
    starts = sorted((_utc(on, zone, shift.start), shift.name) for on in days for shift in shifts or USUAL)
    last = max(number for number, (start, _) in enumerate(starts) if start <= at)
    return Period(kind, starts[last][1], starts[last][0], starts[last + 1][0])


def _utc(day: date, zone: ZoneInfo, clock: time = time()) -> datetime:
    return datetime.combine(day, clock, zone).astimezone(UTC)


def moment(text: str, zone: ZoneInfo) -> datetime:
    """`2026-11`, `2026-11-23`, or an RFC 3339 time; without an offset it is the site's. ValueError: none of them."""
    whole = f"{text}-01" if re.fullmatch(r"\d{4}-\d{2}", text) else text
    found = datetime.fromisoformat(whole)
    if found.year not in YEARS:
        raise ValueError(f"year {found.year}")
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
