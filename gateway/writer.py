"""The thread that writes: commits into the journal, and now and then from there into the tables; work in its own turn.

A damaged file is salvaged before its next transaction (`salvage.py`). After any error the database is closed, and the
next transaction opens it anew and reads journal and counters again: a write that failed once is never retried as if
nothing had happened.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.batch import Cursor, Stream
from gateway.clock import SystemClock
from gateway.database import Database, Draft, read_journal
from gateway.errors import StateError, StorageError, Text
from gateway.event import Lane
from gateway.salvage import Known, is_damage, mend

TELEMETRY_GATHER_ROWS = 200  # so many together cost the disk no more each than more would
SETTLE_S = 2.0  # events stand in the journal alone at most so long
SETTLE_ROWS = 500  # or so many: with the largest commit (database.JOURNAL_ROWS) fewer than TAIL_ROWS
DO = Text("free space or replace the card; it goes on by itself", "请清理空间或更换存储卡;恢复后自动继续")
_LOG = logging.getLogger("gateway.store")


@dataclass(slots=True)
class Transaction:
    """One transaction: events and cursors, and who waits for them, or a piece of work of its own."""

    drafts: list[Draft] = field(default_factory=list)
    marks: dict[Stream, Cursor] = field(default_factory=dict)
    waiting: list[asyncio.Future[Any]] = field(default_factory=list)
    work: Callable[[sqlite3.Connection], Any] | None = None
    epoch: int = 0

    @property
    def urgent(self) -> bool:
        """There is more in it than telemetry, which gathers, or a lot of that."""
        much = len(self.drafts) >= TELEMETRY_GATHER_ROWS
        return much or any(draft.lane is not Lane.TELEMETRY for draft in self.drafts)


class Writer:
    """The thread that writes: batches in the order of the queue, each told back to the loop as committed or failed."""

    def __init__(self, database: Database, alone: Callable[[], AbstractContextManager[None]]) -> None:
        self._database = database
        self._alone = alone
        self.mending = False  # it salvages, which may take minutes
        self.damaged = False  # the file is to be salvaged before the next transaction
        self._queue: queue.SimpleQueue[Transaction | None] = queue.SimpleQueue()
        self._settle_at_s: float | None = None  # when what stands in the journal alone is due, on the monotonic clock
        self._thread = threading.Thread(target=self._write_all, name="store-writer", daemon=True)

    def start(
        self,
        committed: Callable[[Transaction, Any, bool, Mapping[Lane, int]], None],
        failed: Callable[[Transaction, Exception], None],
        mended: Callable[[], None],
        stuck: Callable[[Exception], None],
    ) -> None:
        """All of them are called on the loop that runs now; `stuck` when events stay in the journal for an error."""
        self._loop = asyncio.get_running_loop()
        self._committed, self._failed, self._mended, self._stuck = committed, failed, mended, stuck
        self._thread.start()

    def put(self, batch: Transaction | None) -> None:
        """The next transaction; None ends the thread after all that came before."""
        self._queue.put(batch)

    def join(self, most_s: float) -> None:
        """Wait until the thread has ended, but not for a disk that hangs: to end then is like a power cut."""
        self._thread.join(most_s)

    def _write_all(self) -> None:
        spoilt, why = -1, Exception()  # the epoch that an error has ended, and the error
        while (batch := self._next()) is not None:
            try:
                if batch.drafts and batch.epoch <= spoilt:
                    raise why
                result, wrote = self._write(batch)
            except Exception as error:  # noqa: BLE001  # whatever it is, who waits hears of it and the thread lives on
                self._fell(error)
                if batch.drafts:
                    spoilt, why = batch.epoch, storage_error(self._database.path, error)
                self._tell(self._failed, batch, error)
            else:
                self._tell(self._committed, batch, result, wrote, dict(self._database.last))
        self._settle()
        self._database.close()

    def _next(self) -> Transaction | None:
        """What comes next; meanwhile what is due is taken over from the journal."""
        while True:
            if self._settle_at_s is None and self._database.behind:
                self._settle_at_s = time.monotonic() + SETTLE_S
            due_s = None if self._settle_at_s is None else self._settle_at_s - time.monotonic()
            if self._database.unsettled >= SETTLE_ROWS or (due_s is not None and due_s <= 0):
                self._settle()
                continue
            with suppress(queue.Empty):
                return self._queue.get(timeout=due_s)

    def _settle(self) -> None:
        self._settle_at_s = None
        try:
            self._database.settle()
        except (sqlite3.Error, OSError, StateError) as error:
            self._fell(error)
            self._tell(self._stuck, error)

    def _fell(self, error: Exception) -> None:
        self._database.close()
        self._settle_at_s = None
        self.damaged = self.damaged or is_damage(error)

    def _write(self, batch: Transaction) -> tuple[Any, bool]:
        """What came of it, and whether anything was written: nothing else shows that the disk takes it."""
        if self.damaged:
            self.mending = True
            try:
                self._mend()
            finally:
                self.mending = False
        if batch.work is None:
            return self._database.append(batch.drafts, batch.marks), True
        connection = self._database.connection
        self._database.settle()
        self._settle_at_s = None
        before = connection.total_changes
        connection.execute("BEGIN IMMEDIATE")
        result = batch.work(connection)
        connection.execute("COMMIT")
        return result, connection.total_changes > before

    def _mend(self) -> None:
        """What can be read goes into a new database, and work goes on there. sqlite3.Error, OSError: not yet."""
        database, now = self._database, SystemClock().utc()
        known = (database.last, database.numbers, dict(database.cursors)) if database.counted else ()
        journal = read_journal(database.path)
        with self._alone():
            found, aside = mend(
                database.path,
                Known(database.uplinks, journal, *known),
                now.strftime("%Y%m%dT%H%M%SZ"),
                int(now.timestamp() * 1_000_000),
            )
        self.damaged = False
        saved = f"{sum(found.rows.values())} events saved, {found.lost()} numbers lost, " if found else ""
        _LOG.error("%s: the database was damaged; %sthe damaged file is kept as %s", database.path, saved, aside.name)
        self._tell(self._mended)

    def _tell(self, what: Callable[..., None], *details: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *details)


def storage_error(path: Path, error: Exception) -> StorageError:
    """What the disk refused, as our own error."""
    return StorageError(str(path), sentence(error), DO)


def sentence(error: Exception) -> Text:
    """What is to be said of it."""
    if is_damage(error):
        return Text(
            f"the database is damaged ({error}); what can be read is being saved",
            f"数据库已损坏({error}),正在抢救可读数据",
        )
    return Text(f"the disk does not take it ({error})", f"磁盘写入失败({error})")
