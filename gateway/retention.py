"""How long events stay on disk, and what goes when there is no room (contract, section 3; architecture, section 3).

What every uplink has confirmed is history: it goes when it is older than `max_age`, or when room is needed; then dead
letters go, which are told as lost already. What is still owed goes only when room is needed, the oldest of the lowest
lane first, counted and told as `gateway.data_lost` before it goes. A quarter of the room, or as configured, is the
alarms' alone: they have no age limit, and go only when they alone fill all of it. What tells of a loss does not go:
it is told anew, ranges that follow each other as one.
"""

import json
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from gateway.clock import Clock
from gateway.database import TABLES, counters_at, read_rows, used_bytes
from gateway.erase import PIECE_ROWS, clear_old
from gateway.errors import StorageError
from gateway.event import Lane
from gateway.letters import drop_oldest_dead
from gateway.loss import Loss, joined
from gateway.outbox import Outbox, count_letters
from gateway.pipeline import Pipeline
from gateway.privacy import DATA_LOST
from gateway.store import Store

EVERY_S = 30.0
_LOWEST_FIRST = (Lane.TELEMETRY, Lane.EVENT, Lane.ALARM)
SCRUB_MS = 86_400_000  # a day: what was deleted is readable nowhere after so long
CHUNK_ROWS = 500  # one transaction deletes so many: the writer is never held up for long
_LOG = logging.getLogger("gateway.retention")


@dataclass(frozen=True)
class Limits:
    """From `gateway.buffer`. `alarm_reserve` is a share of `max_bytes`."""

    max_bytes: int
    max_age_s: float
    alarm_reserve: float
    max_cards_age_s: float | None = None  # of clear card numbers; None: they go with their events


class Retention:
    """`await retention.run()` until cancelled."""

    def __init__(
        self, gateway: str, limits: Limits, store: Store, pipeline: Pipeline, outboxes: Sequence[tuple[str, Outbox]]
    ) -> None:
        self._gateway = gateway
        self._limits = limits
        self._store = store
        self._pipeline = pipeline
        self._outboxes = outboxes
        self._cleared: dict[Lane, int] = {}  # up to this seq no event holds a clear card number any more
        self._gone = False  # something was deleted that can still be read in the journal or the WAL
        self._scrubbed_ms = 0

    async def run(self, clock: Clock) -> None:
        """Looks after the room every EVERY_S."""
        while True:
            with suppress(StorageError):  # the store tells of it, once
                await self.sweep(int(clock.utc().timestamp() * 1000))
            await clock.sleep(EVERY_S)

    async def sweep(self, now_ms: int) -> None:
        """Once: old history goes; then, while there is too much, more of it; then what is owed."""
        for _, outbox in self._outboxes:
            await outbox.load()
        oldest_ms = now_ms - int(self._limits.max_age_s * 1000)
        for lane in _LOWEST_FIRST:
            while await self._forget(lane, oldest_ms):
                pass
        room_bytes = self._limits.max_bytes * (1 - self._limits.alarm_reserve)
        while await self._store.read(used_bytes) > room_bytes and await self._make_room():
            pass
        while await self._store.read(used_bytes) > self._limits.max_bytes and await self._drop(Lane.ALARM):
            pass
        await self._clear_cards(now_ms)
        if self._gone and now_ms - self._scrubbed_ms >= SCRUB_MS:
            self._gone = not await self._store.transact(lambda _: self._store.database.scrub())
            self._scrubbed_ms = now_ms

    async def _clear_cards(self, now_ms: int) -> None:
        """Clear card numbers of confirmed events that are too old for them go; the events stay."""
        if self._limits.max_cards_age_s is None:
            return
        older_ms = now_ms - int(self._limits.max_cards_age_s * 1000)
        for lane in _LOWEST_FIRST:
            upto = min([*(outbox.queues[lane].cursor.seq for _, outbox in self._outboxes), self._store.last[lane]])
            went = PIECE_ROWS
            while went == PIECE_ROWS:
                piece = partial(clear_old, lane=lane, after=self._cleared.get(lane, 0), upto=upto, older_ms=older_ms)
                went, self._cleared[lane] = await self._store.transact(piece)
                self._gone = self._gone or went > 0

    async def _make_room(self) -> bool:
        """One step; False when only alarms are left."""
        for lane in _LOWEST_FIRST:
            if await self._forget(lane, None):
                return True
        if await self._store.transact(partial(drop_oldest_dead, most_rows=CHUNK_ROWS)):
            for _, outbox in self._outboxes:
                await count_letters(outbox, self._store)
            return True
        return await self._drop(Lane.TELEMETRY) or await self._drop(Lane.EVENT)

    async def _forget(self, lane: Lane, older_ms: int | None) -> bool:
        """Delete some history; False when there was none."""
        went = await self._store.transact(partial(_delete, lane=lane, upto=self._floor(lane), older_ms=older_ms)) > 0
        self._gone = self._gone or went
        return went

    def _floor(self, lane: Lane) -> int:
        """Every uplink has confirmed the lane up to this seq. The newest row stays: it carries the counters."""
        confirmed = [outbox.queues[lane].cursor.seq for _, outbox in self._outboxes]
        return min([*confirmed, self._store.last[lane] - 1])

    async def _drop(self, lane: Lane) -> bool:
        """Give up the oldest CHUNK_ROWS that are still owed: told first, then gone. False when there are none."""
        upto = await self._store.read(partial(_nth, lane=lane, below=self._store.last[lane] - 1))
        if upto is None:
            return False
        counters = await self._store.read(partial(counters_at, lane=lane, seq=upto))
        lost = [
            (name, box, box.queues[lane].cursor.sequence + 1, counters.get(name, 0)) for name, box in self._outboxes
        ]
        told = [Loss(f"{name}.{lane.value}", "buffer-full", first, last) for name, _, first, last in lost]
        told = [loss for loss in told if loss.last >= loss.first]
        for loss in told:
            _LOG.error("buffer full: %s gives up numbers %d to %d", loss.stream, loss.first, loss.last)
        if lane is Lane.ALARM:
            earlier, others = await self._store.read(partial(_losses, upto=upto))
            told = joined([*earlier, *told])
            if not others:
                return False  # it would not get less
        if told:
            await self._pipeline.accept([loss.reading(self._gateway) for loss in told])
        for _, outbox, first, last in lost:
            outbox.give_up(lane, upto, last, max(0, last - first + 1))
        await self._store.transact(partial(_delete, lane=lane, upto=upto, older_ms=None))
        return True


def _losses(connection: sqlite3.Connection, upto: int) -> tuple[list[Loss], int]:
    """What the alarm lane tells of losses up to this seq, in its oldest rows, and how many of these tell of none."""
    found, others = [], 0
    for row in read_rows(connection, Lane.ALARM, 0, CHUNK_ROWS):
        event = json.loads(row.body) if row.seq <= upto else {}
        if event.get("type") == DATA_LOST:
            data = event["data"]
            found.append(Loss(data["stream"], data["reason"], int(data["first"]), int(data["last"])))
        others += row.seq <= upto and event.get("type") != DATA_LOST
    return found, others


def _delete(connection: sqlite3.Connection, lane: Lane, upto: int, older_ms: int | None) -> int:
    """Delete up to CHUNK_ROWS events with seq <= `upto`, or only those older; how many went. Pages go back."""
    older = "" if older_ms is None else "AND time_ms < ?"
    values = (upto, CHUNK_ROWS) if older_ms is None else (upto, older_ms, CHUNK_ROWS)
    chosen = f"SELECT seq FROM {TABLES[lane]} WHERE seq <= ? {older} ORDER BY seq LIMIT ?"  # noqa: S608
    went = connection.execute(f"DELETE FROM {TABLES[lane]} WHERE seq IN ({chosen})", values).rowcount  # noqa: S608
    connection.execute(f"PRAGMA incremental_vacuum({CHUNK_ROWS})").fetchall()
    return int(went)


def _nth(connection: sqlite3.Connection, lane: Lane, below: int) -> int | None:
    """The seq of the CHUNK_ROWS-th oldest row, at most `below`; None when there is none."""
    table = TABLES[lane]
    oldest = f"SELECT seq FROM {table} WHERE seq <= ? ORDER BY seq LIMIT ?"  # noqa: S608
    (found,) = connection.execute(f"SELECT max(seq) FROM ({oldest})", (below, CHUNK_ROWS)).fetchone()  # noqa: S608
    return None if found is None else int(found)
