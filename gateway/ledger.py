"""The disclosure ledger: how many events of which type, with which fields, each uplink was given on which day.

An uplink's cursor says what it was given, and that stands on disk. So nothing is counted while events go out: every
COUNT_S the ledger walks over what lies between its own place and the cursor, and writes counts and new place in one
transaction. After a crash it goes on from there: nothing is lost and nothing is counted twice, nor is what is sent
once more. The day is that of counting, at most COUNT_S after the platform's confirmation. What goes from the disk for
want of room within COUNT_S of its confirmation is not counted. What a broker refused for good did leave, and counts.
"""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

from gateway.clock import Clock, rfc3339
from gateway.database import put_fact, read_cursors, read_fact
from gateway.errors import StorageError
from gateway.event import Lane, Phase
from gateway.outbox import Outbox
from gateway.pipeline import Taken
from gateway.privacy import Policy
from gateway.store import Store
from gateway.veil import Document

COUNT_S = 60.0
PIECE_ROWS = 100  # looked at before others have their turn
PAUSE_S = 0.01  # in between: events that come in go first
WRITE_ROWS = 5000  # of a long backlog, in one transaction
KEPT_DAYS = 3 * 366  # as long as an impact assessment is kept
PLACE = "disclosed."  # a fact: how far a lane of an uplink is counted
REMEMBERED = {"gateway.uplink_lost": "public.outage", "operator.drill": "public.drill"}  # facts: the last of each
Key = tuple[str, str, str, str]  # day, uplink, type, fields


@dataclass(frozen=True)
class Given:
    """What an uplink was given on a day: `count` events of a type with these fields of `data`."""

    day: str
    uplink: str
    type: str
    fields: tuple[str, ...]
    count: int


class Ledger:
    """`await ledger.run()` until cancelled. `shares`: each uplink's policy, and what it has confirmed."""

    def __init__(self, store: Store, clock: Clock, shares: Sequence[tuple[Policy, Outbox]]) -> None:
        self._store = store
        self._clock = clock
        self._shares = shares
        self._places: dict[tuple[str, Lane], int] = {}
        self._facts: dict[str, str] = {}
        self._counting = asyncio.Lock()

    async def run(self) -> None:
        """Counts every COUNT_S."""
        while True:
            with suppress(StorageError):  # the store tells of it, once
                await self.count()
            await self._clock.sleep(COUNT_S)

    def heard(self, taken: Taken) -> None:
        """Remembers the last drill and the last outage, for the public page."""
        name = REMEMBERED.get(taken.reading.type)
        if name is not None and taken.phase is not Phase.STILL:
            told = {"phase": taken.phase.value, "time": rfc3339(self._clock.utc())}
            self._facts[name] = json.dumps(told | {k: v for k, v in taken.reading.data.items() if k == "uplink"})

    async def count(self) -> None:
        """All that is confirmed by now. StorageError: what is not written is counted the next time."""
        async with self._counting:
            if not self._places:
                self._places = await self._store.transact(partial(_places, self._streams()))
            for policy, outbox in self._shares:
                for lane in Lane:
                    while await self._walk(policy, outbox, lane):
                        pass
            await self._write({}, {})

    def _streams(self) -> list[tuple[str, Lane]]:
        return [(policy.uplink, lane) for policy, _ in self._shares for lane in Lane]

    async def _walk(self, policy: Policy, outbox: Outbox, lane: Lane) -> bool:
        """One transaction's worth; True: there is more."""
        stream = policy.uplink, lane
        place, end = self._places[stream], outbox.queues[lane].cursor.seq
        counts, upto = Counter[Key](), min(end, place + WRITE_ROWS)
        while place < upto:
            rows = [row for row in await self._store.rows(lane, place, PIECE_ROWS) if row.seq <= upto]
            for row in rows:
                if policy.uplink in row.numbers:
                    counts[self._key(policy, json.loads(row.body), row.private)] += 1
            place = rows[-1].seq if len(rows) == PIECE_ROWS else upto
            await self._clock.sleep(PAUSE_S if place < upto else 0)
        if place > self._places[stream]:
            await self._write(counts, {stream: place})
        return place < end

    def _key(self, policy: Policy, event: Document, private: str | None) -> Key:
        names = sorted(fields(policy.data(event, private)))
        return self._today().isoformat(), policy.uplink, event["type"], " ".join(names)

    def _today(self) -> date:
        """Of the site's own time."""
        return self._clock.utc().astimezone().date()

    async def _write(self, counts: Mapping[Key, int], places: Mapping[tuple[str, Lane], int]) -> None:
        facts = dict(self._facts)
        if counts or places or facts:
            oldest = self._today() - timedelta(days=KEPT_DAYS)
            await self._store.transact(partial(_put, counts, places, facts, oldest.isoformat()))
        self._places |= places
        self._facts = {name: told for name, told in self._facts.items() if facts.get(name) != told}


def fields(data: Document) -> list[str]:
    """Names of what is in `data`; of a credential whether it is a reference or a number."""
    names = [name for name in data if name != "credential"]
    inside = data.get("credential", {})
    return names + [f"credential.{name}" for name in ("ref", "number") if name in inside]


def _places(streams: Sequence[tuple[str, Lane]], connection: sqlite3.Connection) -> dict[tuple[str, Lane], int]:
    """How far each lane is counted; one that never was begins with what its uplink confirms from now on."""
    cursors, found = read_cursors(connection), dict[tuple[str, Lane], int]()
    for uplink, lane in streams:
        told = read_fact(connection, f"{PLACE}{uplink}.{lane.value}")
        here = cursors[uplink, lane].seq if (uplink, lane) in cursors else 0
        found[uplink, lane] = here if told is None else int(told)
        if told is None:
            put_fact(connection, f"{PLACE}{uplink}.{lane.value}", str(here))
    return found


def _put(
    counts: Mapping[Key, int],
    places: Mapping[tuple[str, Lane], int],
    facts: Mapping[str, str],
    oldest: str,
    connection: sqlite3.Connection,
) -> None:
    rows = [(*key, count) for key, count in counts.items()]
    connection.executemany(
        "INSERT INTO disclosure VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count", rows
    )
    connection.execute("DELETE FROM disclosure WHERE day < ?", (oldest,))
    for (uplink, lane), seq in places.items():
        put_fact(connection, f"{PLACE}{uplink}.{lane.value}", str(seq))
    for name, told in facts.items():
        put_fact(connection, name, told)


def drop_places(connection: sqlite3.Connection, uplinks: Sequence[str]) -> None:
    """Uplinks that join anew are counted from where they begin then."""
    for uplink in uplinks:
        for lane in Lane:
            connection.execute("DELETE FROM fact WHERE name = ?", (f"{PLACE}{uplink}.{lane.value}",))


def read_given(connection: sqlite3.Connection, since: str, until: str = "9999") -> list[Given]:
    """What was given on days from `since` to `until`, e.g. 2026-11-24, in order."""
    found = connection.execute(
        "SELECT day, uplink, type, fields, count FROM disclosure WHERE day >= ? AND day <= ? "
        "ORDER BY day, uplink, type, fields",
        (since, until),
    )
    return [Given(day, uplink, kind, tuple(names.split()), count) for day, uplink, kind, names, count in found]
