"""Reports of a running gateway (交接班, 日报, 月报): events are read in small pages beside the event path.

One report at a time, PAGE_ROWS events in memory at once; between two pages everybody else has a turn. A shift's
handover sheet is a report with what the next shift has to know, and a line of the audit log with the name under it.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from gateway.audit import Audit, By, lines_of
from gateway.clock import Clock, rfc3339
from gateway.database import Row, id_ms
from gateway.errors import GatewayError, Text
from gateway.event import Lane
from gateway.pipeline import Pipeline
from gateway.reports import Seen, Tally, seen, snapshot
from gateway.shifts import Kind, Period, ShiftConfig, moment, period
from gateway.spans import Frame
from gateway.store import Store

PAGE_ROWS = 100  # parsed in one go: 1 ms or so on a small board
LANES = (Lane.ALARM, Lane.EVENT)
HANDED = "handover"  # the word in the audit log
LATE = timedelta(hours=1)  # a shift that ended so long ago is the one that is handed over
MOMENT = timedelta(milliseconds=1)
MOST_HANDOVERS = 5000  # the newest; four years of three shifts a day

Documents = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]


class NoPeriod(GatewayError):
    """The date is none."""


async def nothing() -> Sequence[Mapping[str, Any]]:
    """No incidents."""
    return ()


@dataclass(frozen=True)
class Names:
    """What devices and buildings are called, by their ids; who we are and by which clock people live here."""

    gateway: str
    site: str
    timezone: str
    devices: Mapping[str, str]
    buildings: Mapping[str, str]


class Reporting:
    """`health` is the health document; `incidents` are the platform's cases that wait for somebody here."""

    def __init__(
        self,
        names: Names,
        shifts: Sequence[ShiftConfig],
        store: Store,
        pipeline: Pipeline,
        audit: Audit,
        clock: Clock,
    ) -> None:
        self.names = names
        self.incidents: Documents = nothing
        self.health: Callable[[], Mapping[str, Any]] = dict
        self._zone = ZoneInfo(names.timezone)
        self._shifts = shifts
        self._store = store
        self._pipeline = pipeline
        self._audit = audit
        self._clock = clock
        self._one = asyncio.Lock()

    async def report(self, kind: Kind, at: str | None = None) -> dict[str, Any]:
        """Of the shift, day or month that `at` lies in, else of the present one. NoPeriod, StorageError."""
        return await self._of(self._period(kind, at))

    async def handover(self, by: By, note: str | None) -> dict[str, Any]:
        """The sheet of the shift that ends, until now, signed in the audit log before it is given out. StorageError."""
        now = self._clock.utc()
        made = await self._of(replace(period("shift", now - LATE, self._zone, self._shifts), end=now + MOMENT))
        made["incidents"] = [dict(incident) for incident in await self.incidents()]
        made["unconfirmed"] = _unconfirmed(self.health())
        signed = {"who": by.who, "time": rfc3339(now)} | ({"note": note} if note else {})
        told = {"open": len(made["open"]), "covers": len(made["covers"]), "incidents": len(made["incidents"])}
        await self._audit.put(by, HANDED, made["name"], "done", note=note, shift_from=made["from"], **told)
        return made | {"signed": signed}

    def _period(self, kind: Kind, at: str | None) -> Period:
        try:
            when = self._clock.utc() if at is None else moment(at, self._zone)
            return period(kind, when, self._zone, self._shifts)
        except (ValueError, OverflowError) as error:
            what = Text("this is no date", "不是日期")
            do = Text("write 2026-11, 2026-11-23 or 2026-11-23T10:00", "请写 2026-11、2026-11-23 或 2026-11-23T10:00")
            raise NoPeriod(str(at), what, do) from error

    async def _of(self, wanted: Period) -> dict[str, Any]:
        async with self._one:
            now_ms = _ms(self._clock.utc()) + 1  # with this very millisecond
            start_ms, end_ms = _ms(wanted.start), min(_ms(wanted.end), now_ms)
            frame = Frame(start_ms, max(start_ms, end_ms), now_ms)
            await self._pipeline.load()
            book, upto = snapshot(self._pipeline.shown), dict(self._store.last)
            tally = Tally(frame)
            async for events in self._events(frame.start_ms, upto):
                for event in events:
                    tally.take(event)
            kept_ms = await self._kept_from(frame.start_ms)
            figures = self._named(tally.close(book))
            figures["handovers"] = await self._store.read(partial(_handovers, wanted=wanted))
        return self._headed(wanted, frame, kept_ms) | figures

    def _headed(self, wanted: Period, frame: Frame, kept_ms: int | None) -> dict[str, Any]:
        head = {
            "kind": wanted.kind,
            "name": wanted.name,
            "from": rfc3339(wanted.start),
            "to": rfc3339(wanted.end),
            "running": frame.now_ms < _ms(wanted.end),
            "made": rfc3339(self._clock.utc()),
            "timequality": self._clock.quality().value,
            "timezone": self.names.timezone,
            "gateway": self.names.gateway,
            "site": self.names.site,
            "complete": kept_ms is None,
        }
        return (
            head
            if kept_ms is None
            else head | {"kept_from": rfc3339(datetime.fromtimestamp(kept_ms / 1000, self._zone))}
        )

    def _named(self, figures: dict[str, Any]) -> dict[str, Any]:
        """With what people call devices and buildings."""
        listed = [*figures["offline"], *figures["noisiest"], *figures["open"], *figures["covers"], *figures["notes"]]
        listed += [figures[step]["worst"] for step in ("acknowledged", "disposed") if "worst" in figures[step]]
        for entry in listed:
            entry["label"] = self.names.devices.get(entry["device"], entry["device"])
        for row in figures["alarms"]["by_building"]:
            row["label"] = self.names.buildings.get(row["building"], row["building"])
        return figures

    # reading

    async def _events(self, start_ms: int, upto: Mapping[Lane, int]) -> AsyncIterator[list[Seen]]:
        """What figures are made of, from the beginning of the period until `upto`, merged by id."""
        after = {lane: await self._before(lane, start_ms) for lane in LANES}
        waiting: dict[Lane, deque[Seen]] = {lane: deque() for lane in LANES}
        while True:
            for lane in LANES:
                while not waiting[lane] and after[lane] < upto[lane]:
                    rows = await self._store.rows(lane, after[lane], PAGE_ROWS)
                    waiting[lane].extend(found for row in rows if (found := seen(row.body, row.time_ms)) is not None)
                    after[lane] = rows[-1].seq if rows else upto[lane]
                    await self._clock.sleep(0)  # what is new enough comes from memory: others have a turn all the same
            merged = _merged(*waiting.values())
            if not merged:
                return
            yield merged

    async def _before(self, lane: Lane, start_ms: int) -> int:
        """The seq after which the events of the period begin: ids never go back, so that halving finds it."""
        low, high = 0, self._store.last[lane]
        while low < high:
            middle = (low + high) // 2
            rows = await self._store.rows(lane, middle, 1)
            if rows and id_ms(rows[0].body) < start_ms:
                low = rows[0].seq
            else:
                high = middle
        return low

    async def _kept_from(self, start_ms: int) -> int | None:
        """From when on all is there still, where that is after the beginning (ms since 1970)."""
        found = []
        for lane in LANES:
            rows: Sequence[Row] = await self._store.rows(lane, 0, 1)
            if rows and rows[0].seq > 1:
                found.append(id_ms(rows[0].body))
        kept_ms = max(found, default=0)
        return kept_ms if kept_ms > start_ms else None


def _ms(when: datetime) -> int:
    return int(when.timestamp() * 1000)


def _merged(first: deque[Seen], second: deque[Seen]) -> list[Seen]:
    """By id, as long as both have some, so that nothing that is yet to be read comes too late; the rest of the last."""
    if not first or not second:
        merged = [*first, *second]
        first.clear()
        second.clear()
        return merged
    merged = []
    while first and second:
        merged.append((first if first[0].id < second[0].id else second).popleft())
    return merged


def _unconfirmed(health: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Uplinks that are away, or have not confirmed all there is."""
    found = []
    for name, uplink in health.get("uplinks", {}).items():
        lanes = {lane: row["backlog"] for lane, row in uplink.get("lanes", {}).items()}
        if not uplink.get("connected") or any(lanes.get(lane.value, 0) for lane in LANES):
            found.append({"uplink": name, "connected": bool(uplink.get("connected")), "backlog": lanes})
    return found


def _handovers(connection: sqlite3.Connection, wanted: Period) -> list[dict[str, Any]]:
    """Handovers that were signed in the period, oldest first."""
    start, end = rfc3339(wanted.start), rfc3339(wanted.end)
    signed = lines_of(connection, HANDED, MOST_HANDOVERS)
    told = [entry for entry in signed if start <= str(entry.get("time", "")) < end]
    names = (("who", "who"), ("time", "time"), ("note", "note"), ("shift", "subject"))
    return [{name: entry[key] for name, key in names if key in entry} for entry in told]
