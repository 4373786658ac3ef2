"""A store that is driven line by line: one process a life, so that it can die, under a recording (`record.py`).

`python -m tests.faults.model_life` reads JSON lines and says JSON lines. `{"start": …}` begins a life; within one, each
line is a step: a list of things to do at the same time. What is taken in, and what is there to be seen, is said at the
moment when it is known. `"close"` ends a life in order, `"die"` at once; how it ended is said then.
"""

import asyncio
import json
import os
import resource
import signal
import sqlite3
import sys
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

from gateway import store as store_module
from gateway.alarms import Alarm
from gateway.clock import SystemClock
from gateway.database import Draft, Row, put_fact, read_alarms, read_cursors, read_fact
from gateway.errors import StorageError
from gateway.event import Lane
from gateway.identity import Identities
from gateway.outbox import Outbox
from gateway.pipeline import Pipeline, Rim
from gateway.retention import Limits, Retention
from gateway.store import Store
from tests.faults.weak import weaken

DATABASE = "events.db"
FACTS = ("left", "right")  # always set together
CHECKPOINT_PAGES = 12  # a checkpoint every so often
MOST_ROWS = 100_000
END_MS = 4_000_000_000_000  # later than every event
Action = Mapping[str, Any]


def body(identity: str, size_bytes: int) -> str:
    """An event of about this size."""
    return f'{{"id":"{identity}","type":"x.y","text":"{"x" * size_bytes}"}}'


def digest(text: str, private: str | None) -> int:
    """Says whether an event is whole."""
    return zlib.crc32(f"{text} {private}".encode())


def say(**what: object) -> None:
    """At once, as one write."""
    os.write(1, json.dumps(what).encode() + b"\n")


def heard() -> Any:
    """The next line."""
    with open(0, "rb", buffering=0, closefd=False) as stdin:  # not one byte more is read
        line = stdin.readline()
    return json.loads(line) if line else None


class Life:
    """What can be done with a store."""

    def __init__(self, store: Store, uplinks: Sequence[str], early: bool) -> None:
        self._store = store
        self._early = early
        self._outboxes = {uplink: Outbox(store, uplink) for uplink in uplinks}
        self._identities = Identities()
        self._pipeline = Pipeline(Rim(store, SystemClock(), {}, []), self._identities)
        limits = Limits(max_bytes=2**40, max_age_s=0.0, alarm_reserve=0.25)
        self._retention = Retention("gw-0001", limits, store, self._pipeline, list(self._outboxes.items()))
        self._shown = dict.fromkeys(Lane, 0)
        self._group = asyncio.TaskGroup()

    async def step(self, actions: Sequence[Action]) -> None:
        """All of them at the same time, in this order; then all that can be seen."""
        async with asyncio.TaskGroup() as self._group:
            for number, action in enumerate(actions):
                self._group.create_task(self._act(number, action))
        for lane in Lane:
            await self.show(lane)

    def grew(self, lane: Lane) -> None:
        """Told by the store: what is new can be sent, and is."""
        self._group.create_task(self.show(lane))

    async def show(self, lane: Lane) -> None:
        """What an uplink sees that keeps up."""
        try:
            rows = await self._store.rows(lane, self._shown[lane], MOST_ROWS)
        except StorageError:
            return
        self._shown[lane] = max(self._shown[lane], rows[-1].seq if rows else 0)
        say(shown=lane, rows=[_told(row) for row in rows])

    async def _act(self, number: int, action: Action) -> None:
        try:
            await getattr(self, action["do"])(number, action)
        except StorageError as error:
            say(refused=number, why=str(error))
        except ZeroDivisionError:
            say(failed=number)
        else:
            say(done=number)

    async def append(self, number: int, action: Action) -> None:
        """Events."""
        if self._early:
            say(done=number)
        await self._store.append([_draft(event) for event in action["events"]])

    async def confirm(self, number: int, action: Action) -> None:
        """As an uplink does with what it has sent."""
        outbox, lane = self._outboxes[action["uplink"]], Lane(action["lane"])
        while await outbox.fill():
            pass
        entries = [entry for _ in range(action["count"]) if (entry := outbox.take(lane, 0.0)) is not None]
        say(taken=number, rows=[_told(entry.row) for entry in entries])
        for entry in entries:
            assert entry.sequence == entry.row.numbers[action["uplink"]]
            outbox.confirmed(entry)

    async def fact(self, number: int, action: Action) -> None:
        """Two facts in one transaction, which may fail after it has written."""

        def work(connection: sqlite3.Connection) -> None:
            for name in FACTS:
                put_fact(connection, name, action["value"])
            if action["fails"]:
                raise ZeroDivisionError

        await self._store.transact(work)

    async def trim(self, number: int, action: Action) -> None:
        """All history goes."""
        await self._retention.sweep(END_MS)

    async def look(self, number: int, action: Action) -> None:
        """All that there is, and the id that would be next."""
        await self._pipeline.load()
        rows = {lane: [_told(row) for row in await self._store.rows(lane, 0, MOST_ROWS)] for lane in Lane}
        alarms, cursors, facts, lost = await self._store.transact(
            lambda connection: (
                read_alarms(connection),
                read_cursors(connection),
                [read_fact(connection, name) for name in FACTS],
                connection.execute("SELECT * FROM fact WHERE name LIKE 'lost.%' OR name = 'damaged'").fetchall(),
            )
        )
        say(
            seen=rows,
            next=self._identities.next(0),
            alarms=[astuple(alarm) for alarm in alarms],
            cursors=[(uplink, lane, astuple(cursor)) for (uplink, lane), cursor in cursors.items()],
            facts=facts,
            lost=lost,
        )


def _told(row: Row) -> tuple[int, dict[str, int], str, int]:
    return row.seq, dict(row.numbers), row.body[7:43], digest(row.body, row.private)


def _draft(event: Mapping[str, Any]) -> Draft:
    identity = event["id"]
    alarm = None if event["alarm"] is None else Alarm(*event["alarm"])
    text = body(identity, event["bytes"])
    return Draft(Lane(event["lane"]), 1, text, frozenset(event["uplinks"]), event["private"], alarm)


async def live(path: Path, uplinks: Sequence[str], early: bool) -> None:
    """From the opening of the store to its closing."""
    async with Store(path, uplinks) as store:
        life = Life(store, uplinks, early)
        store.listeners.append(life.grew)
        with suppress(StorageError):
            await store.transact(lambda c: c.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}").fetchone())
        say(up=os.getpid(), failing=store.failing is not None)
        while isinstance(actions := heard(), list):
            await life.step(actions)
            say(end=True)
        if actions == "die":
            os.kill(os.getpid(), signal.SIGKILL)


def prepare(way: str) -> None:
    """`full`; `weak`: commits are not forced to disk; `early`: it answers before the commit."""
    store_module.TELEMETRY_GATHER_S = 0.0
    if way == "weak":
        weaken()


def serve(way: str) -> None:
    """One life after the other."""
    prepare(way)
    while (order := heard()) is not None:
        child = os.fork()
        if child == 0:
            store_module.MARK_GATHER_S = order["marks_s"]
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["limit"], resource.RLIM_INFINITY))
            asyncio.run(live(Path(order["start"]) / DATABASE, order["uplinks"], way == "early"))
            os._exit(0)
        say(left=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    serve(sys.argv[1])
