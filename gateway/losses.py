"""What a damaged database has cost is told upstream: the numbers that will never come (contract, section 3).

Kept on disk until it has been told, so it is told at least once. What an uplink had read ahead before the damage was
met may still arrive: told all the same, for it has no other place than memory.
"""

import json
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial

from gateway.batch import Cursor
from gateway.clock import Clock
from gateway.errors import StorageError
from gateway.event import Lane
from gateway.loss import Loss
from gateway.outbox import Outbox, Queue
from gateway.pipeline import Pipeline
from gateway.salvage import LOST, Range, Stream, lost
from gateway.store import Store

RETRY_S = 5.0
_LOG = logging.getLogger("gateway.losses")


async def tell_losses(
    gateway: str, store: Store, pipeline: Pipeline, outboxes: Sequence[tuple[str, Outbox]], clock: Clock
) -> None:
    """Tells after the start and after each salvage what was lost, until cancelled."""
    while True:
        await store.mended.wait()
        store.mended.clear()
        try:
            await tell_once(gateway, store, pipeline, dict(outboxes))
        except StorageError:  # the store tells of it
            store.mended.set()
            await clock.sleep(RETRY_S)


async def tell_once(gateway: str, store: Store, pipeline: Pipeline, outboxes: Mapping[str, Outbox]) -> None:
    """What was not told yet, of uplinks that are configured. StorageError: what is left is told by the next call."""
    for (uplink, lane), ranges in await store.transact(lost):
        if uplink not in outboxes:
            continue
        stream = f"{uplink}.{lane.value}"
        await outboxes[uplink].load()
        await pipeline.accept([Loss(stream, "damaged", *numbers).reading(gateway) for numbers in ranges])
        for first, last in ranges:
            _pass_over(store, (uplink, lane), outboxes[uplink].queues[lane], first, last)
            _LOG.error("database damaged: %s will never bring numbers %d to %d", stream, first, last)
        await store.transact(partial(_told, uplink=uplink, lane=lane, ranges=ranges))


def _pass_over(store: Store, stream: Stream, queue: Queue, first: int, last: int) -> None:
    """Where nothing else is owed before these numbers, they are owed no more."""
    queue.dropped += last - first + 1
    if queue.cursor.sequence + 1 == first and not queue.waiting and not queue.flying:
        queue.cursor = Cursor(queue.cursor.seq, last)
        store.mark(*stream, queue.cursor)


def _told(connection: sqlite3.Connection, uplink: str, lane: Lane, ranges: Sequence[Range]) -> None:
    """Forget it, unless more has been lost meanwhile."""
    name, value = f"{LOST}{uplink}.{lane.value}", json.dumps(ranges)
    connection.execute("DELETE FROM fact WHERE name = ? AND value = ?", (name, value))
