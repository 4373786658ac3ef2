"""What is on disk of one device, as far back as it is reasonable to look: its last events, its measured values.

No table is ordered by device, so rows are looked at one after another on the store's reading thread, a few hundred at
a time, so that an alarm's own reading waits for no more than those; after LOOKED_AT of them it is enough, and that is
told.
"""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from gateway.database import Row, read_newest
from gateway.event import Lane
from gateway.house import House

LOOKED_AT = 20_000  # rows of a lane
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
    """All series of a device; `since_ms` where not all of the time that was asked for has been looked at."""

    series: Sequence[Series]
    since_ms: int | None


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
            async for row in _rows(self._house, lane, device, 0):
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
    found: dict[tuple[str, str], list[Point]] = {}
    oldest_ms, looked = since_ms, _Looked()
    async for row in _rows(house, Lane.TELEMETRY, device, since_ms, looked):
        for name, value, unit in _numbers(json.loads(row.body)):
            found.setdefault((name, unit), []).append(Point(row.time_ms, value))
        oldest_ms = row.time_ms
    series = [thinned(name, unit, points[::-1], MOST_POINTS) for (name, unit), points in sorted(found.items())]
    return Measured(series, max(oldest_ms, looked.oldest_ms) if looked.cut else None)


@dataclass
class _Looked:
    """How far a search went; `cut`: not as far as it was asked to."""

    rows: int = 0
    oldest_ms: int = 0
    cut: bool = False


async def _rows(
    house: House, lane: Lane, device: str, since_ms: int, looked: _Looked | None = None
) -> AsyncIterator[Row]:
    looked = looked or _Looked()
    before, needle = house.store.last[lane] + 1, _needle(device)
    while not looked.cut:
        rows = await house.store.read(partial(read_newest, lane=lane, before=before, limit=AT_ONCE))
        for row in rows:
            if row.time_ms < since_ms:
                return
            if needle in row.body:
                yield row
        if len(rows) < AT_ONCE:
            return
        before, looked.oldest_ms = rows[-1].seq, rows[-1].time_ms
        looked.rows += len(rows)
        looked.cut = looked.rows >= LOOKED_AT


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
