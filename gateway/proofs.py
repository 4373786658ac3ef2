"""The proof of each alarm's delivery: what one uplink's broker has of the event that opened it (contract, section 5).

`sending` until the broker confirms it, `confirmed` then, and for ever; `failed` while the broker refuses it, or when it
was set aside as a dead letter or given up for want of room. An alarm that is not meant for the uplink has none. The
truth is the outbox's cursor; on disk stands only when it was so. After a restart the event is found again by its id,
which grows along its lane.
"""

import logging
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from gateway.alarms import Alarm, Key
from gateway.alarmview import moment
from gateway.clock import Clock
from gateway.database import Row, put_fact, read_newest, read_rows
from gateway.errors import StorageError
from gateway.event import Lane, Severity
from gateway.facts import drop_fact, read_facts
from gateway.letters import is_dead
from gateway.outbox import Outbox
from gateway.pipeline import Pipeline, Taken
from gateway.store import Store

LATE_S = 10.0  # unconfirmed for longer is shown and told
TICK_S = 1.0
Fate = Literal["sending", "confirmed", "failed"]
_LANES = (Lane.ALARM, Lane.EVENT)  # an alarm is opened in one of them


@dataclass(slots=True)
class Proof:
    """Of one alarm."""

    key: Key
    lane: Lane
    seq: int  # of the event that opened it
    since_s: float  # on the monotonic clock
    fate: Fate = "sending"
    at_ms: int = 0  # when its fate was seen, since 1970; 0: not known


class Ledger:
    """The proofs of the alarms that are not normal, by id. Pure."""

    def __init__(self) -> None:
        self.proofs: dict[str, Proof] = {}
        self._ids: dict[tuple[Lane, int], str] = {}

    def open(self, alarm_id: str, proof: Proof) -> None:
        """One more."""
        self.proofs[alarm_id] = proof
        self._ids[proof.lane, proof.seq] = alarm_id

    def close(self, alarm_id: str) -> Proof | None:
        """The alarm is normal."""
        proof = self.proofs.pop(alarm_id, None)
        if proof is not None:
            del self._ids[proof.lane, proof.seq]
        return proof

    def tell(self, lane: Lane, seq: int, arrived: bool, now_ms: int) -> str | None:
        """What the broker said of an event: the id of the alarm whose fate changes by it. What arrived stays so."""
        alarm_id = self._ids.get((lane, seq))
        if alarm_id is None:
            return None
        proof, fate = self.proofs[alarm_id], _fate(arrived)
        if proof.fate in ("confirmed", fate):
            return None
        proof.fate, proof.at_ms = fate, now_ms
        return alarm_id

    def late(self, now_s: float) -> list[str]:
        """Alarms that are not confirmed, LATE_S after they began."""
        return [name for name, p in self.proofs.items() if p.fate != "confirmed" and now_s - p.since_s > LATE_S]


def _fate(arrived: bool) -> Fate:
    return "confirmed" if arrived else "failed"


class Proofs:
    """One uplink's: `await proofs.run()` keeps them, for ever. `listeners` hear whose changed."""

    def __init__(self, uplink: str, outbox: Outbox, store: Store, clock: Clock, log: logging.Logger) -> None:
        self.listeners: list[Callable[[str, Key], None]] = []
        self._uplink = uplink
        self._prefix = f"proof.{uplink}."
        self._outbox = outbox
        self._store = store
        self._clock = clock
        self._log = log
        self._ledger = Ledger()
        self._late: frozenset[str] = frozenset()
        self._unsaved: set[str] = set()
        outbox.on_fate = self._told

    def took(self, taken: Taken) -> None:
        """Something was taken in: an alarm may have begun, or be normal."""
        alarm = taken.alarm
        if alarm is None or alarm.severity is Severity.INFO:
            return
        if alarm.normal:
            self._forget(alarm.id)
        elif alarm.id == taken.id:
            for lane in _LANES:
                tail = list(self._store.tails[lane])
                at = bisect_left(tail, alarm.id, key=_id)
                if at < len(tail) and _id(tail[at]) == alarm.id:
                    self._begin(alarm, lane, tail[at], self._clock.monotonic())

    def shown(self, alarm_id: str) -> dict[str, Any] | None:
        """`{"state", "at", "unconfirmed"}`, without what has no value; None where there is nothing to deliver."""
        proof = self._ledger.proofs.get(alarm_id)
        if proof is None:
            return None
        shown: dict[str, Any] = {"state": proof.fate}
        shown |= {"at": moment(proof.at_ms)} if proof.at_ms else {}
        return shown | ({"unconfirmed": True} if alarm_id in self._late else {})

    @property
    def late(self) -> int:
        """How many alarms are not confirmed, LATE_S after they began."""
        return len(self._late)

    async def run(self, pipeline: Pipeline) -> None:
        """First those that stand on disk; then what has to be written, and what is late, once a second."""
        loaded = False
        while True:
            try:
                if not loaded:
                    await self._load(pipeline)
                    loaded = True
                await self._save()
            except StorageError:
                pass  # told by the store; it is tried again
            self._watch_time()
            await self._clock.sleep(TICK_S)

    def _begin(self, alarm: Alarm, lane: Lane, row: Row, since_s: float) -> None:
        """From here on the outbox tells of it; it may have been told already."""
        if self._uplink not in row.numbers or alarm.id in self._ledger.proofs:
            return
        self._ledger.open(alarm.id, Proof(alarm.key, lane, row.seq, since_s))
        self._outbox.queues[lane].watched.add(row.seq)

    def _forget(self, alarm_id: str) -> None:
        proof = self._ledger.close(alarm_id)
        if proof is not None:
            self._outbox.queues[proof.lane].watched.discard(proof.seq)
            self._unsaved.add(alarm_id)

    def _told(self, lane: Lane, seq: int, arrived: bool) -> None:
        changed = self._ledger.tell(lane, seq, arrived, self._now_ms())
        if changed is not None:
            self._unsaved.add(changed)
            self._heard(changed)

    def _heard(self, alarm_id: str) -> None:
        proof = self._ledger.proofs.get(alarm_id)
        if proof is not None:
            for listener in self.listeners:
                listener(alarm_id, proof.key)

    def _now_ms(self) -> int:
        return int(self._clock.utc().timestamp() * 1000)

    def _watch_time(self) -> None:
        was, self._late = self._late, frozenset(self._ledger.late(self._clock.monotonic()))
        for alarm_id in was ^ self._late:
            self._heard(alarm_id)
        if self._late and not was:
            self._log.warning(
                "%d alarms are not confirmed by the platform after %d s; `gateway alarms` shows them, "
                "`gateway status` whether the link is up",
                *(len(self._late), LATE_S),
            )
        elif was and not self._late:
            self._log.info("all alarms are confirmed by the platform again")

    # on disk

    async def _save(self) -> None:
        """When fates were seen, by alarm; those of alarms that are normal go."""
        names = frozenset(self._unsaved)
        if not names:
            return
        told = {name: self._ledger.proofs.get(name) for name in names}
        lines = {
            self._prefix + name: f"{p.fate} {p.at_ms}" if p and p.fate != "sending" else None
            for name, p in told.items()
        }
        self._unsaved -= names
        try:
            await self._store.transact(partial(_write, lines=lines))
        except StorageError:
            self._unsaved |= names
            raise

    async def _load(self, pipeline: Pipeline) -> None:
        await self._outbox.load()
        alarms = [alarm for alarm in await pipeline.load() if alarm.severity is not Severity.INFO]
        found, facts, dead = await self._store.read(partial(self._read, ids=frozenset(alarm.id for alarm in alarms)))
        for alarm in alarms:
            if alarm.id in found:
                lane, row = found[alarm.id]
                age_s = max(0.0, (self._now_ms() - alarm.first_ms) / 1000)
                self._begin(alarm, lane, row, self._clock.monotonic() - age_s)
                self._judge(alarm.id, facts.get(alarm.id, ""), alarm.id in dead)
        self._unsaved |= facts.keys() - self._ledger.proofs.keys()

    def _judge(self, alarm_id: str, fact: str, dead: bool) -> None:
        """What became of it before now: the disk's word, else the cursor's."""
        proof = self._ledger.proofs.get(alarm_id)
        if proof is None or proof.fate != "sending":
            return
        fate, _, at_ms = fact.partition(" ")
        if proof.seq <= self._outbox.queues[proof.lane].cursor.seq:
            failed = dead or fate == "failed"
            proof.fate, proof.at_ms = _fate(not failed), int(at_ms or 0)
        elif fate == "confirmed":  # out of order, and it goes out once more
            proof.fate, proof.at_ms = "confirmed", int(at_ms or 0)
        if proof.fate != "sending":
            self._heard(alarm_id)

    def _read(
        self, connection: sqlite3.Connection, ids: frozenset[str]
    ) -> tuple[dict[str, tuple[Lane, Row]], dict[str, str], set[str]]:
        found = {name: place for name in ids if (place := find_opening(connection, name)) is not None}
        dead = {name for name, (lane, row) in found.items() if is_dead(connection, self._uplink, lane, row.seq)}
        return found, read_facts(connection, self._prefix), dead


def _write(connection: sqlite3.Connection, lines: Mapping[str, str | None]) -> None:
    for name, line in lines.items():
        if line is None:
            drop_fact(connection, name)
        else:
            put_fact(connection, name, line)


def find_opening(connection: sqlite3.Connection, alarm_id: str) -> tuple[Lane, Row] | None:
    """The event with this id, and its lane; None where it is not kept any more."""
    for lane in _LANES:
        newest = read_newest(connection, lane, 2**62, 1)
        low, high = 0, newest[0].seq if newest else 0  # it stands behind `low`, if at all
        while low < high:
            middle = (low + high) // 2
            (row,) = read_rows(connection, lane, middle, 1)
            if _id(row) == alarm_id:
                return lane, row
            if _id(row) < alarm_id:
                low = row.seq
            else:
                high = middle
    return None


def _id(row: Row) -> str:
    start = row.body.index('"id":"') + 6
    return row.body[start : start + 36]
