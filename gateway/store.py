"""The disk as the daemon uses it: group commit on one writer thread, reads on another, the newest events in memory.

Constraints
- `append()` returns after the commit: what returned survives a power cut. No queue stands before it.
- An alarm commits at once. Other events commit as soon as the writer is free: while it is busy they gather by
  themselves. Telemetry gathers at most TELEMETRY_GATHER_S, and goes along with whatever commits earlier.
- After any error the connection is closed and the next transaction opens it anew and reads the counters again: an
  fsync that failed once is never retried as if nothing had happened. What was pending has failed, its senders know:
  all that was appended before the loop knew of the error, for it may build on what failed (`epoch` counts on).
- Cursors move by `mark()`, in groups; one lost in a crash only means that a few events are sent twice.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from gateway.clock import Clock, rfc3339
from gateway.database import Cursor, Database, Draft, Row, put_cursors, put_fact, read_rows
from gateway.errors import StateError, StorageError, Text
from gateway.event import Lane

TELEMETRY_GATHER_S = 0.5  # architecture, section 4
MARK_GATHER_S = 0.2  # confirmed events wait at most this long for their cursor to be durable
TAIL_ROWS = 2000  # newest events of a lane kept in memory: an uplink that keeps up never reads the disk
TRY_S = 1.0  # how often a disk that took nothing is tried
_DO = Text("free space or replace the card; it goes on by itself", "请清理空间或更换存储卡;恢复后自动继续")
_LOG = logging.getLogger("gateway.store")
T = TypeVar("T")
Listener = Callable[[Lane], None]


@dataclass(slots=True)
class _Batch:
    """One transaction: events and who waits for them, or a piece of work of its own."""

    drafts: list[Draft] = field(default_factory=list)
    waiting: list[asyncio.Future[Any]] = field(default_factory=list)
    work: Callable[[sqlite3.Connection], Any] | None = None
    epoch: int = 0


class _Writer:
    """The thread that writes: batches in the order of the queue, each told back to the loop as committed or failed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="store-writer", daemon=True)

    def start(
        self,
        committed: Callable[[_Batch, Any, bool, Mapping[Lane, int]], None],
        failed: Callable[[_Batch, Exception], None],
    ) -> None:
        """`committed` and `failed` are called on the loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._committed, self._failed = committed, failed
        self._thread.start()

    def put(self, batch: _Batch | None) -> None:
        """The next transaction; None ends the thread after all that came before."""
        self._queue.put(batch)

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def _write_all(self) -> None:
        spoilt, why = -1, Exception()  # the epoch that an error has ended, and the error
        while (batch := self._queue.get()) is not None:
            try:
                if batch.drafts and batch.epoch <= spoilt:
                    raise why
                result, wrote = self._write(batch)
            except Exception as error:  # noqa: BLE001  # whatever it is, who waits hears of it and the thread lives on
                self._database.close()
                if batch.drafts:
                    spoilt, why = batch.epoch, storage_error(self._database.path, error)
                self._tell(self._failed, batch, error)
            else:
                self._tell(self._committed, batch, result, wrote, dict(self._database.last))
        self._database.close()

    def _write(self, batch: _Batch) -> tuple[Any, bool]:
        """What came of it, and whether anything was written: nothing else shows that the disk takes it."""
        if batch.work is None:
            return self._database.append(batch.drafts), True
        connection = self._database.connection
        before = connection.total_changes
        connection.execute("BEGIN IMMEDIATE")
        result = batch.work(connection)
        connection.execute("COMMIT")
        return result, connection.total_changes > before

    def _tell(self, what: Callable[..., None], *details: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *details)


class _Reader:
    """The thread that reads, on a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Something that may block."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """A read. StorageError when the disk does not answer it."""
        return await self.run(lambda: self._read(work))

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                where = f"{self._path.absolute().as_uri()}?mode=ro"
                self._connection = sqlite3.connect(where, uri=True, check_same_thread=False)
            return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            self._connection = None
            raise storage_error(self._path, error) from error

    def forget(self) -> None:
        """Close the connection; the next read opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False)


class Store:
    """The database of a running daemon: `async with Store(path, uplinks) as store`."""

    def __init__(self, path: Path, uplinks: Sequence[str]) -> None:
        self.path = path
        self.failing: Text | None = None  # why the disk takes nothing now, or None
        self.trouble = asyncio.Event()  # set when `failing` begins
        self.epoch = 0  # counts up when events were refused: what was concluded from them is void
        self.tails: dict[Lane, deque[Row]] = {lane: deque(maxlen=TAIL_ROWS) for lane in Lane}
        self.listeners: list[Listener] = []  # told after each commit which lane grew
        self._database = Database(path, uplinks)
        self.numbers: Mapping[Lane, Mapping[str, int]] = self._database.numbers  # newest sequence of each stream
        self.last = dict(self._database.last)  # newest seq of each lane that is committed
        self._writer = _Writer(self._database)
        self._reader = _Reader(path)
        self._pending = _Batch()
        self._in_flight = 0
        self._telemetry_timer: asyncio.TimerHandle | None = None
        self._marks: dict[tuple[str, Lane], Cursor] = {}
        self._mark_timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.failing = await self._reader.run(lambda: _begin(self._database))
        if self.failing is not None:
            self.trouble.set()
        self.last = dict(self._database.last)
        self._writer.start(self._committed, self._failed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        self._mark_now()
        await self._reader.run(
            self._reader.forget
        )  # first: the last to close empties the WAL, and must be able to write
        self._writer.put(None)
        await self._reader.run(self._writer.join)
        self._reader.close()

    @property
    def newest_id_ms(self) -> int:
        """The moment in the newest event's id, ms since 1970; 0 where there is none."""
        return self._database.newest_id_ms

    # writing

    async def append(self, drafts: Sequence[Draft]) -> None:
        """Returns after the commit of all of them, in this order. StorageError: none of them was taken in."""
        if not drafts:
            return
        done: asyncio.Future[None] = self._loop.create_future()
        self._pending.drafts.extend(drafts)
        self._pending.waiting.append(done)
        if any(draft.lane is not Lane.TELEMETRY for draft in drafts):
            if not self._in_flight or any(draft.lane is Lane.ALARM for draft in drafts):
                self._flush()
        elif self._telemetry_timer is None:
            self._telemetry_timer = self._loop.call_later(TELEMETRY_GATHER_S, self._flush)
        await done

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction of its own, after all that came before; returns after the commit."""
        self._flush()
        done: asyncio.Future[T] = self._loop.create_future()
        self._hand_over(_Batch(waiting=[done], work=work))
        return await done

    def mark(self, uplink: str, lane: Lane, cursor: Cursor) -> None:
        """An uplink has confirmed a lane up to `cursor`; durable within MARK_GATHER_S or so."""
        self._marks[uplink, lane] = cursor
        if self._mark_timer is None:
            self._mark_timer = self._loop.call_later(MARK_GATHER_S, self._mark_now)

    def _mark_now(self) -> None:
        if self._mark_timer is not None:
            self._mark_timer.cancel()
            self._mark_timer = None
        if self._marks:
            marks, self._marks = self._marks, {}
            self._hand_over(_Batch(work=lambda connection: put_cursors(connection, marks)))

    def _flush(self) -> None:
        if self._telemetry_timer is not None:
            self._telemetry_timer.cancel()
            self._telemetry_timer = None
        if self._pending.drafts:
            batch, self._pending = self._pending, _Batch()
            self._hand_over(batch)

    def _hand_over(self, batch: _Batch) -> None:
        batch.epoch = self.epoch
        self._in_flight += 1
        self._writer.put(batch)

    # back on the loop

    def _committed(self, batch: _Batch, result: Any, wrote: bool, last: Mapping[Lane, int]) -> None:
        self.last.update(last)
        self._done()
        if wrote:
            self.failing = None
        if batch.work is None:
            for lane, rows in result.items():
                self.tails[lane].extend(rows)
            result = None
        for waiter in batch.waiting:
            if not waiter.done():
                waiter.set_result(result)
        for lane in {draft.lane for draft in batch.drafts}:
            for listener in self.listeners:
                listener(lane)

    def _failed(self, batch: _Batch, error: Exception) -> None:
        if batch.drafts and batch.epoch == self.epoch:
            self.epoch += 1
            void, self._pending = self._pending, _Batch()
            _refuse(void.waiting, self.path, storage_error(self.path, error))
        self._done()
        if isinstance(error, (sqlite3.Error, OSError)):
            self.failing = _sentence(error)
            self.trouble.set()
        for tail in self.tails.values():
            tail.clear()
        _refuse(batch.waiting, self.path, error)

    def _done(self) -> None:
        self._in_flight -= 1
        if not self._in_flight and any(draft.lane is not Lane.TELEMETRY for draft in self._pending.drafts):
            self._flush()

    # reading

    async def rows(self, lane: Lane, after: int, limit: int) -> Sequence[Row]:
        """Up to `limit` events of a lane with seq > `after`, oldest first: from memory when they are new enough."""
        tail = self.tails[lane]
        if tail and tail[0].seq <= after + 1:
            start = after + 1 - tail[0].seq
            return list(islice(tail, start, start + limit))
        return await self.read(lambda connection: read_rows(connection, lane, after, limit))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read on the reader thread. StorageError when the disk does not answer it."""
        return await self._reader.read(work)


async def watch_disk(store: Store, clock: Clock) -> None:
    """Tells once that the disk takes nothing, tries it while nobody else writes, and tells once that it does again."""
    while True:
        await store.trouble.wait()
        if store.failing is not None:
            _LOG.error("%s", StorageError(str(store.path), store.failing, _DO))
        while store.failing is not None:
            await clock.sleep(TRY_S)
            with suppress(StorageError):
                await store.transact(lambda connection: put_fact(connection, "disk.tried", rfc3339(clock.utc())))
        store.trouble.clear()
        _LOG.info("the disk takes events again")


def _begin(database: Database) -> Text | None:
    """A full disk does not keep the gateway from starting, and is returned; a database that is none does."""
    try:
        _ = database.connection
    except sqlite3.Error as error:
        database.close()
        if isinstance(error, sqlite3.OperationalError) and "open" not in str(error):
            return _sentence(error)
        raise StateError(
            str(database.path),
            Text(f"this database cannot be used ({error})", f"数据库无法使用({error})"),
            Text("check the folder's rights, or move the file away", "请检查目录权限,或将该文件移走"),
        ) from error
    return None


def _refuse(waiting: Sequence[asyncio.Future[Any]], path: Path, error: Exception) -> None:
    disk = isinstance(error, (sqlite3.Error, OSError))
    for waiter in waiting:
        if not waiter.done():
            waiter.set_exception(storage_error(path, error) if disk else error)


def storage_error(path: Path, error: Exception) -> StorageError:
    """What the disk refused, as our own error."""
    return StorageError(str(path), _sentence(error), _DO)


def _sentence(error: Exception) -> Text:
    return Text(f"the disk does not take it ({error})", f"磁盘写入失败({error})")
