"""Search in what is stored, newest first, by pages that stay exact while new events come in.

A page ends with the id of its last event, and ids never go back: the next one begins below it in each lane, whatever
came meanwhile. The three lanes are walked in step, the one that has come least far down first, in slices of
SLICE_ROWS, and between two slices everybody else has a turn. A page stops after MOST_ROWS rows and says so; its cursor
goes on from there.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from gateway.database import TABLES, Row, id_ms, read_newest
from gateway.event import Lane
from gateway.site import Site
from gateway.store import Store
from gateway.taxonomy import TYPES, matches

SLICE_ROWS = 200  # looked at in one turn of the loop: 2 ms or so on a small board
MOST_ROWS = 200_000  # looked at for one page
SKIP_ROWS = 50_000  # of another time, passed over by one read of their times only
SKIP_WEIGHT = 20  # so many of those count as one that was looked at
_TOP = "~"  # above every id
_END = ""  # below every id
_HEAD_ENDS = '"data":{'


@dataclass(frozen=True)
class Wanted:
    """Which events; what is empty or None takes all. Times are ms since 1970, both included.

    `types` are patterns (`fire.*`), `places` stand for all that is in them, `opening`: only those that opened an alarm.
    """

    types: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    text: str = ""
    alarm: str = ""
    opening: bool = False
    floor_ms: int = 0  # none is from before, by its id

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Those that may have some: measured values have a lane of their own, and stand in no other."""
        measured = [pattern.startswith("telemetry.") for pattern in self.types]
        if self.types and not any(measured) and "*" not in self.types:
            return Lane.ALARM, Lane.EVENT
        return (Lane.TELEMETRY,) if measured and all(measured) else tuple(Lane)

    def in_time(self, time_ms: int) -> bool:
        """Does it lie between the two?"""
        return (self.since_ms is None or time_ms >= self.since_ms) and (
            self.until_ms is None or time_ms <= self.until_ms
        )


class Page(NamedTuple):
    """Events, newest first; `cursor` leads on, None where nothing older is left; `stopped`: there may be more below."""

    events: list[dict[str, Any]]
    cursor: str | None
    stopped: bool = False


class _Search:
    """What is wanted, as it is looked for: in an event's text first, which is cheap, then in the event."""

    def __init__(self, wanted: Wanted, site: Site) -> None:
        self._wanted = wanted
        self._text = wanted.text.casefold()
        self._kinds = frozenset(name for name, row in TYPES.items() if self._said(name, row.en, row.zh))
        self._named = frozenset(d.id for d in site.devices if self._said(d.id, d.name, site.place(d.place).label))
        types = [t for t in TYPES if any(matches(pattern, t) for pattern in wanted.types)]
        told = [f'"type":"{name}"' for name in self._kinds] + [f'"subject":"{name}"' for name in self._named]
        self._told = None if re.search(r'["\\\\\x00-\x1f]', self._text) else told  # as it stands in JSON
        self._heads = [f'"type":"{name}"' for name in types] if wanted.types else []
        self._subjects = [f'"subject":{json.dumps(name, ensure_ascii=False)}' for name in wanted.devices]

    def take(self, lane: Lane, row: Row) -> dict[str, Any] | None:
        """The event, where it is one of them."""
        if not self._wanted.in_time(row.time_ms) or not self._may(row.body):
            return None
        event = opened(lane, row)
        return event if self._takes(event) else None

    def _may(self, body: str) -> bool:
        head = body[: body.find(_HEAD_ENDS)]
        if self._heads and not any(mark in head for mark in self._heads):
            return False
        if self._wanted.alarm not in body or (self._wanted.opening and '"severity":"info"' in head):
            return False
        if self._subjects and not any(mark in head for mark in self._subjects):
            return False
        if not self._text or self._told is None:
            return True
        return self._text in body.casefold() or any(mark in head for mark in self._told)

    def _takes(self, event: Mapping[str, Any]) -> bool:
        wanted, data = self._wanted, event.get("data", {})
        if wanted.severities and event["severity"] not in wanted.severities:
            return False
        if wanted.alarm and wanted.alarm not in (data.get("alarm"), event["id"]):
            return False
        if wanted.opening and (data.get("alarm") != event["id"] or event["severity"] == "info"):
            return False
        path = str(data.get("place", {}).get("path", ""))
        if wanted.places and not any(path == place or path.startswith(f"{place}/") for place in wanted.places):
            return False
        return not self._text or self._tells(event, data)

    def _tells(self, event: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
        if event["type"] in self._kinds or event["subject"] in self._named:
            return True
        part = data.get("part") or {}
        words = (data.get(name) for name in ("note", "who", "reason", "cause"))
        return self._said(event["subject"], data.get("place", {}).get("label"), part.get("text"), *words)

    def _said(self, *words: Any) -> bool:
        return any(self._text in str(word).casefold() for word in words if word)


@dataclass
class _Walk:
    """One lane on the way down: rows below `before` are still to be looked at."""

    lane: Lane
    before: int
    reached: str = _TOP  # the id that it has come down to
    found: deque[dict[str, Any]] = field(default_factory=deque)

    def end(self) -> None:
        """Nothing is left."""
        self.reached = _END


class Browse:
    """Of one store."""

    def __init__(self, store: Store, site: Site) -> None:
        self._store = store
        self._site = site

    async def page(self, wanted: Wanted, cursor: str | None = None, limit: int = 50) -> Page:
        """Up to `limit` events below the id `cursor`, newest first. StorageError."""
        search, walks = _Search(wanted, self._site), [await self._begin(lane, cursor) for lane in wanted.lanes]
        events: list[dict[str, Any]] = []
        looked_rows = 0
        while True:
            lowest = max(walks, key=lambda walk: walk.reached)
            events += _down_to(walks, lowest.reached, limit + 1 - len(events))
            if len(events) > limit:
                return Page(events[:limit], str(events[limit - 1]["id"]))
            if lowest.reached == _END:
                return Page(events, None)
            if looked_rows >= MOST_ROWS:
                return Page(events, lowest.reached, stopped=True)
            looked_rows += await self._slice(lowest, wanted, search)
            await asyncio.sleep(0)  # what is new enough comes from memory: others have a turn all the same

    async def _begin(self, lane: Lane, cursor: str | None) -> _Walk:
        """Halving finds where a lane has come below an id."""
        last = self._store.last[lane]
        if cursor is None:
            return _Walk(lane, last + 1)
        low, high = 0, last  # all above `high` are not below the id
        while low < high:
            middle = (low + high) // 2
            rows = await self._store.rows(lane, middle, 1)
            if rows and _id(rows[0]) < cursor:
                low = rows[0].seq
            else:
                high = middle
        return _Walk(lane, low + 1, cursor)

    async def _slice(self, walk: _Walk, wanted: Wanted, search: _Search) -> int:
        """Look at the next rows of a lane; how many that were."""
        rows = await self._below(walk)
        if not rows:
            walk.end()
            return 0
        for row in reversed(rows):
            event = search.take(walk.lane, row)
            if event is not None:
                walk.found.append(event)
        walk.before, walk.reached = rows[0].seq, _id(rows[0])
        if id_ms(rows[0].body) < max(wanted.since_ms or 0, wanted.floor_ms):
            walk.end()  # an event's time may lie before its id's, where it was fetched later; never behind
        elif wanted.until_ms is not None and all(row.time_ms > wanted.until_ms for row in rows):
            return len(rows) + await self._skip(walk, wanted.until_ms)
        return len(rows)

    async def _below(self, walk: _Walk) -> Sequence[Row]:
        """The next rows, oldest first; where numbers are missing, those that stand below the gap."""
        first = max(0, walk.before - 1 - SLICE_ROWS)
        found = await self._store.rows(walk.lane, first, SLICE_ROWS)
        rows = [row for row in found if row.seq < walk.before]
        if rows or first == 0:
            return rows
        read = partial(read_newest, lane=walk.lane, before=walk.before, limit=SLICE_ROWS)
        return (await self._store.read(read))[::-1]

    async def _skip(self, walk: _Walk, until_ms: int) -> int:
        """Pass over what came later than that by its time alone; what it weighs against MOST_ROWS."""
        table = TABLES[walk.lane]
        asked = f"SELECT max(seq) FROM {table} WHERE seq < ? AND seq >= ? AND time_ms <= ?"  # noqa: S608  # of TABLES
        above = walk.before
        low = max(0, above - SKIP_ROWS)
        (found,) = await self._store.read(lambda c: c.execute(asked, (above, low, until_ms)).fetchone())
        walk.before = low + 1 if found is None else found + 1
        return (above - walk.before) // SKIP_WEIGHT


def opened(lane: Lane, row: Row) -> dict[str, Any]:
    """An event as it stands in a row, with its number in each stream that has it."""
    event: dict[str, Any] = json.loads(row.body)
    event["streams"] = {f"{uplink}.{lane.value}": f"{number:016d}" for uplink, number in row.numbers.items()}
    return event


def _down_to(walks: Sequence[_Walk], reached: str, most: int) -> list[dict[str, Any]]:
    """What has been found, newest first, as far down as every lane has come."""
    taken: list[dict[str, Any]] = []
    while len(taken) < most:
        heads = [walk for walk in walks if walk.found and walk.found[0]["id"] >= reached]
        if not heads:
            break
        taken.append(max(heads, key=lambda walk: str(walk.found[0]["id"])).found.popleft())
    return taken


def _id(row: Row) -> str:
    start = row.body.index('"id":"') + 6
    return row.body[start : start + 36]
