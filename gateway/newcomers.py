"""Who has joined the uplinks and who has left since the last start: before the store opens, so nothing moves meanwhile.

- One that is new begins with what comes from now on (`start: now`), or with the oldest event that is kept (`oldest`):
  then those get numbers of its stream, in their order, by the rules of its own policy. They are given here, once, on
  disk; so an event has the same number in every delivery, and losses are counted as everywhere.
- One that was here before goes on with its numbers. What it was still owed and is kept it gets; what went meanwhile is
  told as lost. What came meanwhile is not for it, but with `oldest`.
- For one that has left nothing is kept: neither what it was owed nor its dead letters. Its counters are.
"""

import json
import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from pathlib import Path

from gateway.batch import Cursor
from gateway.clock import Clock, SystemClock
from gateway.database import TABLES, Database, put_cursors, put_fact, read_fact, read_rows
from gateway.errors import StorageError
from gateway.event import Lane
from gateway.ledger import drop_places
from gateway.loss import Loss
from gateway.pipeline import Pipeline
from gateway.privacy import Policy
from gateway.profiles import BUILT_IN
from gateway.salvage import take_place
from gateway.sections import UplinkConfig
from gateway.store import Store
from gateway.veil import Document

HERE = "uplinks"  # a fact: those of the last start
GONE = "gone."  # facts: numbers that went while their uplink was away, until they are told
PIECE_ROWS = 1000  # numbered in one transaction
TELL_AGAIN_S = 5.0
_LOG = logging.getLogger("gateway.newcomers")


def settle(path: Path, uplinks: Mapping[str, UplinkConfig], alive: Callable[[], object] = lambda: None) -> None:
    """Let in who has joined, and forget who has left. What the disk refuses is done with the next start. StateError.

    `alive` is called now and then: a full buffer takes a while to number.
    """
    try:
        take_place(
            path, SystemClock().utc().strftime("%Y%m%dT%H%M%SZ")
        )  # as the store does: a salvage may be under way
        with closing(Database(path, tuple(uplinks))) as database:
            _settle(database, uplinks, alive)
    except (sqlite3.Error, OSError) as error:
        if path.exists():  # else it is the very first start, and nobody has missed anything
            _LOG.warning("%s: who has joined the uplinks is looked at with the next start: %s", path, error)


def _settle(database: Database, uplinks: Mapping[str, UplinkConfig], alive: Callable[[], object]) -> None:
    connection = database.connection
    here = " ".join(sorted(uplinks))
    known = read_fact(connection, HERE)
    if known == here:
        return
    before = known.split() if known is not None else [name for name in uplinks if _counted(database, name)]
    for name in sorted(set(uplinks) - set(before)):
        for lane in Lane:
            wants = _join(database, name, lane, uplinks[name])
            if wants is not None:
                _number(database, name, lane, wants, alive)
    marks = ", ".join("?" * len(uplinks))
    connection.execute("BEGIN IMMEDIATE")
    drop_places(connection, sorted(set(uplinks) - set(before)))
    for table in ("dead", "again"):
        connection.execute(f"DELETE FROM {table} WHERE uplink NOT IN ({marks})", tuple(uplinks))  # noqa: S608
    put_fact(connection, HERE, here)
    connection.execute("COMMIT")


def _counted(database: Database, name: str) -> bool:
    """It was here before the first start that remembers."""
    return any(database.numbers[lane][name] or (name, lane) in database.cursors for lane in Lane)


def _join(database: Database, name: str, lane: Lane, config: UplinkConfig) -> Callable[[Document], bool] | None:
    """Its cursor, and what is lost. Which types of what is kept behind the cursor it is to have; None: leave it so."""
    connection, number = database.connection, database.numbers[lane][name]
    cursor = database.cursors.get((name, lane), Cursor())
    kept = _first_kept(connection, name, lane, cursor.seq)
    gone = (cursor.sequence + 1, number if kept is None else kept - 1)
    from_now = kept is None and config.start == "now"
    cursor = Cursor(database.last[lane], number) if from_now else Cursor(cursor.seq, max(cursor.sequence, gone[1]))
    connection.execute("BEGIN IMMEDIATE")
    if gone[0] <= gone[1]:
        untold = read_fact(connection, f"{GONE}{name}.{lane.value}")
        first = gone[0] if untold is None else int(untold.split()[0])
        put_fact(connection, f"{GONE}{name}.{lane.value}", f"{first} {gone[1]}")
    put_cursors(connection, {(name, lane): cursor})
    connection.execute("COMMIT")
    database.cursors[name, lane] = cursor
    if from_now:
        return None
    if config.start == "now":
        return _nothing
    return Policy(name, config.types, BUILT_IN["strict"], b"", config.places, config.severity).wants_kept


def _nothing(_event: Document) -> bool:
    return False


def _number(
    database: Database, name: str, lane: Lane, wants: Callable[[Document], bool], alive: Callable[[], object]
) -> None:
    """Rows behind the last one that knows the uplink get its counter, those it is to have a number. Goes on anew."""
    connection, number, table = database.connection, database.numbers[lane][name], TABLES[lane]
    there = connection.execute(f"SELECT max(seq) FROM {table} WHERE ' ' || numbers GLOB ?", (f"* {name}=*",))  # noqa: S608
    after = max(database.cursors[name, lane].seq, there.fetchone()[0] or 0)
    before = number
    while rows := read_rows(connection, lane, after, PIECE_ROWS):
        given = []
        for row in rows:
            wanted = wants(json.loads(row.body))
            number += wanted
            given.append((f" {name}={number if wanted else -number}", row.seq))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"UPDATE {table} SET numbers = numbers || ? WHERE seq = ?", given)  # noqa: S608
        connection.execute("INSERT OR REPLACE INTO stream VALUES (?, ?, ?)", (name, lane.value, number))
        connection.execute("COMMIT")
        after = rows[-1].seq
        alive()
    if number > before:
        _LOG.info("uplink %s gets %d events of the %s lane that were kept", name, number - before, lane.value)


def _first_kept(connection: sqlite3.Connection, name: str, lane: Lane, after: int) -> int | None:
    """The least number behind its cursor that still stands on disk."""
    found = connection.execute(
        f"SELECT numbers FROM {TABLES[lane]} WHERE seq > ? AND ' ' || numbers GLOB ? ORDER BY seq LIMIT 1",  # noqa: S608
        (after, f"* {name}=[1-9]*"),
    ).fetchone()
    return None if found is None else int(dict(pair.split("=") for pair in found[0].split())[name])


async def tell(gateway: str, store: Store, pipeline: Pipeline, uplinks: Collection[str], clock: Clock) -> None:
    """Tells each uplink what went while it was away, once, and ends."""
    while True:
        try:
            for stream, first, last in await store.transact(_gone):
                if stream.partition(".")[0] in uplinks:
                    await pipeline.accept([Loss(stream, "buffer-full", first, last).reading(gateway)])
                    await store.transact(lambda connection, stream=stream: _told(connection, stream))  # type: ignore[misc]
            return
        except StorageError:
            await clock.sleep(TELL_AGAIN_S)


def _gone(connection: sqlite3.Connection) -> list[tuple[str, int, int]]:
    found = connection.execute("SELECT name, value FROM fact WHERE name GLOB ?", (f"{GONE}*",)).fetchall()
    return [(name.removeprefix(GONE), *map(int, value.split())) for name, value in found]


def _told(connection: sqlite3.Connection, stream: str) -> None:
    connection.execute("DELETE FROM fact WHERE name = ?", (GONE + stream,))
