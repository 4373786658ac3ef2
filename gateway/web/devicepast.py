"""What is on disk of one device, as far back as it is reasonable to look: its last events, its measured values.

No table is ordered by device, so rows are looked at one after another on the store's reading thread, a few hundred at
a time, so that an alarm's own reading waits for no more than those; LOOKED_AT of them are enough: of more measured
values samples are taken all over the time, and that is told.
"""

import json
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from gateway.database import Row, read_newest, read_rows
from gateway.event import Lane
from gateway.house import House

LOOKED_AT = 40_000  # rows of a lane
AT_ONCE = 400  # rows of one read
EVENTS = 20  # of a device, on its page
MOST_KNOWN = 32  # devices whose last events are kept in memory
LANES = (Lane.ALARM, Lane.EVENT)
MOST_POINTS = 300  # of one value: a chart is not wider


class Point(NamedTuple):
    """A measured value at a moment (ms since 1970)."""

    time_ms: int
    value: float


@dataclass(frozen=True)
class Series:
    """One value over time, thinned: of each slice of time the least and the most are kept."""

    name: str
    unit: str
    points: Sequence[Point]
    least: float
    most: float
    last: float


@dataclass(frozen=True)
class Measured:
    """All series of a device; `sampled` where there was too much to look at all of it."""

    series: Sequence[Series]
    sampled: bool


class Trail:
    """The last events of devices. What was found stays known: a page that looks again reads only what is new."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._known: dict[str, _Known] = {}

    async def last_events(self, device: str) -> list[dict[str, Any]]:
        """The newest EVENTS of the device that are no measured values, newest first, without cards. StorageError."""
        known = self._known.pop(device, None)
        known = await (self._newer(device, known) if known is not None else self._looked_for(device))
        self._known[device] = known
        while len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return known.events

    async def _looked_for(self, device: str) -> "_Known":
        upto, found = dict(self._house.store.last), list[dict[str, Any]]()
        for lane in LANES:
            mine = 0
            async for row in _rows(self._house, lane, device):
                found.append(_shown(row))
                if (mine := mine + 1) == EVENTS:
                    break
        return _Known(upto, _newest(found))

    async def _newer(self, device: str, known: "_Known") -> "_Known":
        upto, found, needle = dict(self._house.store.last), list(known.events), _needle(device)
        if any(upto[lane] - known.upto[lane] > LOOKED_AT for lane in LANES):
            return await self._looked_for(device)
        for lane in LANES:
            after = known.upto[lane]
            while after < upto[lane] and (rows := await self._house.store.rows(lane, after, AT_ONCE)):
                found += [_shown(row) for row in rows if needle in row.body]
                after = rows[-1].seq
            upto[lane] = max(after, upto[lane])
        return _Known(upto, _newest(found))


@dataclass(frozen=True)
class _Known:
    upto: Mapping[Lane, int]
    events: list[dict[str, Any]]


def _shown(row: Row) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(row.body)
    event.get("data", {}).pop("credential", None)
    return event


def _newest(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found = {str(event["id"]): event for event in events}
    return [found[identity] for identity in sorted(found, reverse=True)[:EVENTS]]


def _needle(device: str) -> str:
    return f'"subject":{json.dumps(device)}'


async def measured(house: House, device: str, since_ms: int) -> Measured:
    """What the device measured since then. StorageError."""
    last = house.store.last[Lane.TELEMETRY]
    first = await house.store.read(partial(_first, since_ms=since_ms, last=last))
    most, found, needle = LOOKED_AT // AT_ONCE, dict[tuple[str, str], list[Point]](), _needle(device)
    whole = list(range(first, last + 1, AT_ONCE))
    looked = (
        whole if len(whole) <= most else [first + (last + 1 - AT_ONCE - first) * n // (most - 1) for n in range(most)]
    )
    for start in looked:
        rows = await house.store.read(partial(read_rows, lane=Lane.TELEMETRY, after=start - 1, limit=AT_ONCE))
        for row in rows:
            for name, value, unit in _numbers(json.loads(row.body)) if needle in row.body else ():
                found.setdefault((name, unit), []).append(Point(row.time_ms, value))
    series = [thinned(name, unit, points, MOST_POINTS) for (name, unit), points in sorted(found.items())]
    return Measured(series, looked is not whole)


def _first(connection: sqlite3.Connection, since_ms: int, last: int) -> int:
    """The first row of the measured values not before then, as far as times follow their numbers."""
    oldest = read_rows(connection, Lane.TELEMETRY, 0, 1)
    low, high = oldest[0].seq if oldest else last + 1, last + 1
    while low < high:
        middle = (low + high) // 2
        rows = read_rows(connection, Lane.TELEMETRY, middle - 1, 1)
        if rows and rows[0].time_ms < since_ms:
            low = rows[0].seq + 1
        else:
            high = middle
    return low


async def _rows(house: House, lane: Lane, device: str) -> AsyncIterator[Row]:
    """The device's, newest first."""
    before, needle = house.store.last[lane] + 1, _needle(device)
    for _ in range(LOOKED_AT // AT_ONCE):
        rows = await house.store.read(partial(read_newest, lane=lane, before=before, limit=AT_ONCE))
        for row in rows:
            if needle in row.body:
                yield row
        if len(rows) < AT_ONCE:
            return
        before = rows[-1].seq


def _numbers(event: dict[str, Any]) -> list[tuple[str, float, str]]:
    values = event.get("data", {}).get("values", {})
    told = [(name, said.get("value"), str(said.get("unit", ""))) for name, said in values.items()]
    return [(name, float(value), unit) for name, value, unit in told if _is_number(value)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def thinned(name: str, unit: str, points: Sequence[Point], most: int) -> Series:
    """At most so many points, oldest first, of at least one: what stands out stays."""
    values = [point.value for point in points]
    kept = list(points)
    if len(points) > most:
        first, span_ms = points[0].time_ms, points[-1].time_ms - points[0].time_ms + 1
        slices: dict[int, list[Point]] = {}
        for point in points:
            slices.setdefault((point.time_ms - first) * (most // 2) // span_ms, []).append(point)
        ends = [{min(part, key=_value), max(part, key=_value)} for _, part in sorted(slices.items())]
        kept = [point for pair in ends for point in sorted(pair)]
    return Series(name, unit, kept, min(values), max(values), values[-1])


def _value(point: Point) -> float:
    return point.value
