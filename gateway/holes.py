"""Numbers that a restored box must not use, and how the uplinks hear of it.

What the old box took in after the backup is unknown, and so are the numbers it used. No number may come twice: a
restore skips `step()` numbers in each stream, and the gateway tells each hole as `gateway.data_lost`, reason
`restored`, when it starts next. New ids are later than any that the old box can have made.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from gateway.clock import Clock
from gateway.database import IDS_AFTER_MS, TABLES, Database, Hole, put_fact, put_hole, read_holes
from gateway.errors import StorageError
from gateway.event import Lane
from gateway.loss import Loss
from gateway.pipeline import Pipeline
from gateway.store import Store

STEP_LEAST_EVENTS = 1_000_000  # numbers are 16 digits: to skip is free, to use one twice is not
RATE_LEAST_PER_S = 100.0  # a quiet site may have become a busy one after the backup
SPARE_RATIO = 10.0  # of the busiest minute seen
COUNTERS = ("session.", "dossier.")  # facts that begin so hold a number that counts for ever (contract, section 2)
TELL_AGAIN_S = 5.0


def step(age_s: float, busiest_minute_events: int) -> int:
    """How many numbers to skip in a stream after a backup of this age: more than the old box can have used."""
    per_s = max(RATE_LEAST_PER_S, SPARE_RATIO * busiest_minute_events / 60)
    return STEP_LEAST_EVENTS + int(max(0.0, age_s) * per_s)


@dataclass(frozen=True)
class Since:
    """When the backup was made, and what time it is now."""

    made: datetime
    now: datetime

    @property
    def age_s(self) -> float:
        """Seconds between them."""
        return (self.now - self.made).total_seconds()


def skip(path: Path, uplinks: Collection[str], since: Since) -> list[Hole]:
    """Every stream, and whatever else counts, goes on after what the old box can have used; also of former uplinks."""
    known = Database(path, tuple(uplinks))
    former = known.connection.execute("SELECT uplink FROM stream UNION SELECT uplink FROM cursor").fetchall()
    known.close()
    database = Database(path, sorted({*uplinks, *(name for (name,) in former)}))
    connection = database.connection
    connection.execute("BEGIN IMMEDIATE")
    holes = [hole for lane in Lane for hole in _skip_lane(database, lane, since.age_s)]
    after_ms = max(since.now.timestamp() * 1000, database.newest_id_ms + since.age_s * 1000)
    put_fact(connection, IDS_AFTER_MS, str(int(after_ms) + 1))
    for name, value in connection.execute("SELECT name, value FROM fact").fetchall():
        if name.startswith(COUNTERS):
            number, space, rest = value.partition(" ")
            put_fact(connection, name, f"{int(number) + step(since.age_s, 0)}{space}{rest}")
    connection.execute("COMMIT")
    database.close()
    return holes


def _skip_lane(database: Database, lane: Lane, age_s: float) -> Iterator[Hole]:
    connection = database.connection
    minutes = f"SELECT count(*) AS events FROM {TABLES[lane]} GROUP BY time_ms / 60000"  # noqa: S608
    (busiest,) = connection.execute(f"SELECT max(events) FROM ({minutes})").fetchone()  # noqa: S608
    skipped = step(age_s, busiest or 0)
    earlier = {hole.uplink: hole for hole in read_holes(connection) if hole.lane is lane and not hole.told}
    for uplink, number in database.numbers[lane].items():
        first = min(number + 1, earlier[uplink].first) if uplink in earlier else number + 1
        hole = Hole(uplink, lane, first, number + skipped)
        connection.execute("INSERT OR REPLACE INTO stream VALUES (?, ?, ?)", (uplink, lane.value, hole.last))
        put_hole(connection, hole)
        yield hole


async def tell(gateway: str, store: Store, pipeline: Pipeline, uplinks: Collection[str], clock: Clock) -> None:
    """Tells each uplink what a restore skipped in its streams, once, and ends."""
    waiting: Sequence[Hole] | None = None
    while waiting is None or waiting:
        try:
            holes = await store.transact(read_holes)
            waiting = [hole for hole in holes if not hole.told and hole.uplink in uplinks]
            for hole in waiting:
                loss = Loss(f"{hole.uplink}.{hole.lane.value}", "restored", hole.first, hole.last)
                await pipeline.accept([loss.reading(gateway)])
                await store.transact(partial(put_hole, hole=replace(hole, told=True)))
        except StorageError:
            await clock.sleep(TELL_AGAIN_S)
