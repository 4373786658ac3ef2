"""The disk as the daemon uses it: group commit on one writer thread, reads on another, the newest events in memory.

Constraints
- `append()` returns after the commit: what returned survives a power cut. No queue stands before it. A commit goes into
  the journal; into the tables when SETTLE_ROWS or SETTLE_S have come together, and before anything else is read or
  written there: whoever looks sees all that was accepted. Until then it is in memory (`tails`).
- An alarm commits at once. Other events commit as soon as the writer is free: while it is busy they gather by
  themselves. Telemetry gathers at most TELEMETRY_GATHER_S, or until there is much of it, and goes along with whatever
  commits earlier.
- After any error the connection is closed and the next transaction opens it anew and reads the counters again: an
  fsync that failed once is never retried as if nothing had happened. What was pending has failed, its senders know:
  all that was appended before the loop knew of the error, for it may build on what failed (`epoch` counts on).
- A commit that has not returned after HANG_S: all that wait are refused, and whatever comes then is refused at once,
  until it returns. What was refused so may stand on disk all the same, and be sent again: at least once.
- A damaged file is salvaged by the writer, before its next transaction (`salvage.py`); until then the disk "fails".
- Cursors move by `mark()`, along with the next commit or in groups; one that is lost in a crash only means that a few
  events are sent twice.
"""

import asyncio
import errno
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from gateway.batch import Cursor
from gateway.clock import Clock, SystemClock, rfc3339
from gateway.database import Database, Draft, Row, put_fact, read_rows
from gateway.errors import StateError, StorageError, Text
from gateway.event import Lane
from gateway.salvage import is_damage, take_place
from gateway.writer import DO, TELEMETRY_GATHER_ROWS, Transaction, Writer, sentence, storage_error

TELEMETRY_GATHER_S = 0.5  # architecture, section 4
MARK_GATHER_S = 0.5  # confirmed events wait at most this long for their cursor to be durable
TAIL_ROWS = 2000  # newest events of a lane kept in memory: an uplink that keeps up never reads the disk
HANG_S = 5.0  # a commit or a read that takes longer: the disk hangs
TRY_S = 1.0  # how often a disk that took nothing is tried
_HANGS = Text("the disk does not answer", "磁盘没有响应")
_TROUBLES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})  # of a disk, which may pass
_LOG = logging.getLogger("gateway.store")
T = TypeVar("T")
Listener = Callable[[Lane], None]


class _Flight:
    """What the writer has been given and has not yet answered. `late` is called once when that takes too long."""

    def __init__(self, late: Callable[[], None]) -> None:
        self.batches: deque[Transaction] = deque()
        self.since_s: deque[float] = deque()  # when each was handed over, on the loop's clock
        self.hangs = False
        self._late = late
        self._timer: asyncio.TimerHandle | None = None

    @property
    def oldest_s(self) -> float | None:
        """Since when the writer owes an answer, on the loop's clock; None: it owes none."""
        return self.since_s[0] if self.since_s else None

    def add(self, batch: Transaction) -> None:
        """One more."""
        self.batches.append(batch)
        self.since_s.append(asyncio.get_running_loop().time())
        if self._timer is None and not self.hangs:
            self._expect()

    def landed(self) -> bool:
        """The first of them has its answer; True: it was the only one."""
        self.batches.popleft()
        self.since_s.popleft()
        self.hangs = False
        self.end()
        if self.batches:
            self._expect()
        return not self.batches

    def end(self) -> None:
        """Expect nothing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expect(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HANG_S, self._too_late)

    def _too_late(self) -> None:
        self.hangs, self._timer = True, None
        self._late()


class _Reader:
    """The thread that reads, on a connection of its own."""

    def __init__(self, path: Path, damaged: Callable[[BaseException], None]) -> None:
        self._path = path
        self._damaged = damaged
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._connection: sqlite3.Connection | None = None
        self._busy = threading.Lock()
        self.stale = False  # the disk failed: it may be another one that comes back

    @contextmanager
    def away(self) -> Iterator[None]:
        """While the block lasts the file is not open here: SQLite, when it closes one, deletes a WAL by its name."""
        with self._busy:
            self.forget()
            yield

    async def run(self, work: Callable[[], T]) -> T:
        """Something that may block."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """A read. StorageError when the disk does not answer it."""
        try:
            async with asyncio.timeout(HANG_S):
                return await self.run(lambda: self._read(work))
        except TimeoutError as error:
            raise StorageError(str(self._path), _HANGS, DO) from error
        except StorageError as error:
            if error.__cause__ is not None and is_damage(error.__cause__):
                self._damaged(error.__cause__)
            raise

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._busy:
            try:
                if self.stale:
                    self.stale = False
                    self.forget()
                if self._connection is None:
                    where = f"{self._path.absolute().as_uri()}?mode=ro"
                    self._connection = sqlite3.connect(where, uri=True, check_same_thread=False)
                return work(self._connection)
            except (sqlite3.Error, OSError) as error:
                self.forget()
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
        self.mended = asyncio.Event()  # set when something may have been lost (gateway/losses.py)
        self.epoch = 0  # counts up when events were refused: what was concluded from them is void
        self.tails: dict[Lane, deque[Row]] = {lane: deque(maxlen=TAIL_ROWS) for lane in Lane}
        self.listeners: list[Listener] = []  # told after each commit which lane grew
        self.database = Database(path, uplinks)
        self.numbers: Mapping[Lane, Mapping[str, int]] = self.database.numbers  # newest sequence of each stream
        self.last = dict(self.database.last)  # newest seq of each lane that is committed
        self._reader = _Reader(path, self._met_damage)
        self.writer = Writer(self.database, self._reader.away)
        self._pending = Transaction()
        self.flight = _Flight(self._no_answer)
        self._telemetry_timer: asyncio.TimerHandle | None = None
        self._mark_timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.mended.set()
        error = await self._reader.run(lambda: _begin(self.database))
        self.writer.start(self._committed, self._failed, self.mended.set, self._fails)
        if error is not None:
            self.failing = sentence(error)
            self.trouble.set()
            self.writer.damaged = is_damage(error)
        self.last = dict(self.database.last)
        if self.writer.damaged:
            with suppress(StorageError):
                await self.transact(lambda connection: put_fact(connection, "damaged", str(error)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        with suppress(TimeoutError):
            async with asyncio.timeout(HANG_S):
                # first: the last to close empties the WAL, and must be able to write
                await self._reader.run(self._reader.forget)
        self.writer.put(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(HANG_S):
                await self._reader.run(partial(self.writer.join, HANG_S))
        self.flight.end()
        self._reader.close()

    # writing

    async def append(self, drafts: Sequence[Draft]) -> None:
        """Returns after the commit of all of them, in order. StorageError: none was taken in, or the disk hangs."""
        if not drafts:
            return
        if self.flight.hangs:
            raise _hanging(self)
        done: asyncio.Future[None] = self._loop.create_future()
        self._pending.drafts.extend(drafts)
        self._pending.waiting.append(done)
        much = len(self._pending.drafts) >= TELEMETRY_GATHER_ROWS
        if much or any(draft.lane is not Lane.TELEMETRY for draft in drafts):
            if not self.flight.batches or any(draft.lane is Lane.ALARM for draft in drafts):
                self._flush()
        elif self._telemetry_timer is None:
            self._telemetry_timer = self._loop.call_later(TELEMETRY_GATHER_S, self._flush)
        await done

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction of its own, after all that came before. StorageError: it was not committed."""
        if self.flight.hangs:
            raise _hanging(self)
        self._flush()
        done: asyncio.Future[T] = self._loop.create_future()
        self._hand_over(Transaction(waiting=[done], work=work))
        return await done

    def mark(self, uplink: str, lane: Lane, cursor: Cursor) -> None:
        """An uplink has confirmed a lane up to `cursor`; durable within MARK_GATHER_S or so."""
        self._pending.marks[uplink, lane] = self.database.cursors[uplink, lane] = cursor
        if self._mark_timer is None:
            self._mark_timer = self._loop.call_later(MARK_GATHER_S, self._flush)

    def _flush(self) -> None:
        """What has gathered, events and cursors, is one commit."""
        for timer in (self._telemetry_timer, self._mark_timer):
            if timer is not None:
                timer.cancel()
        self._telemetry_timer = self._mark_timer = None
        if self.flight.hangs:
            self._mark_timer = self._loop.call_later(MARK_GATHER_S, self._flush)
        elif self._pending.drafts or self._pending.marks:
            batch, self._pending = self._pending, Transaction()
            self._hand_over(batch)

    def _hand_over(self, batch: Transaction) -> None:
        batch.epoch = self.epoch
        self.flight.add(batch)
        self.writer.put(batch)

    def _no_answer(self) -> None:
        """Whoever waits is refused; what was concluded from it is void, whether it will be committed or not."""
        self.epoch += 1
        self.failing = self.failing or _HANGS
        self.trouble.set()
        void, self._pending = self._pending, Transaction()
        for batch in (*self.flight.batches, void):
            _refuse(batch.waiting, self.path, _hanging(self))

    # back on the loop

    def _committed(self, batch: Transaction, result: Any, wrote: bool, last: Mapping[Lane, int]) -> None:
        self.last.update(last)
        if self.flight.landed() and self._pending.urgent:
            self._flush()
        if wrote:
            self.failing = None
        if batch.work is None:
            for lane, rows in result.items():
                _remember(self.tails[lane], rows)
            result = None
        for waiter in batch.waiting:
            if not waiter.done():
                waiter.set_result(result)
        for lane in {draft.lane for draft in batch.drafts}:
            for listener in self.listeners:
                listener(lane)

    def _failed(self, batch: Transaction, error: Exception) -> None:
        if batch.drafts and batch.epoch == self.epoch:
            self.epoch += 1
            void, self._pending = self._pending, Transaction()
            _refuse(void.waiting, self.path, storage_error(self.path, error))
        if self.flight.landed() and self._pending.urgent:
            self._flush()
        if isinstance(error, (sqlite3.Error, OSError)):
            self._fails(error)
        _refuse(batch.waiting, self.path, error)

    def _met_damage(self, error: BaseException) -> None:
        """By the reader: as if the writer had met it."""
        if self.failing is None:
            self._hand_over(Transaction(work=partial(_raise, error)))

    def _fails(self, error: Exception) -> None:
        """The disk has failed: it may be another one that comes back. What was accepted stays in memory."""
        self.failing = sentence(error)
        self.trouble.set()
        self._reader.stale = True
        if is_damage(error):
            for tail in self.tails.values():
                tail.clear()

    # reading

    async def rows(self, lane: Lane, after: int, limit: int) -> Sequence[Row]:
        """Up to `limit` events of a lane with seq > `after`, oldest first: from memory when they are new enough."""
        found: list[Row] = []
        if not (self.tails[lane] and self.tails[lane][0].seq <= after + 1):
            found = await self._reader.read(lambda connection: read_rows(connection, lane, after, limit))
        tail, end = self.tails[lane], found[-1].seq if found else after
        if tail and tail[0].seq <= end + 1:
            start = end + 1 - tail[0].seq
            found += islice(tail, start, start + limit - len(found))
        return found

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read on the reader thread: it sees all that was accepted. StorageError: the disk does not answer."""
        if self.database.behind and self.failing is None:
            with suppress(StorageError):
                await self.transact(lambda _: None)
        return await self._reader.read(work)


async def watch_disk(store: Store, clock: Clock) -> None:
    """Tells once that the disk takes nothing, tries it while nobody else writes, and tells once that it does again."""
    while True:
        await store.trouble.wait()
        if store.failing is not None:
            _LOG.error("%s", StorageError(str(store.path), store.failing, DO))
        while store.failing is not None:
            await clock.sleep(TRY_S)
            with suppress(StorageError):
                await store.transact(lambda connection: put_fact(connection, "disk.tried", rfc3339(clock.utc())))
        store.trouble.clear()
        _LOG.info("the disk takes events again")


def _remember(tail: deque[Row], rows: Sequence[Row]) -> None:
    """The newest, without a gap: what stands on disk though it was refused here is to be read there."""
    if tail and tail[-1].seq + 1 != rows[0].seq:
        tail.clear()
    tail.extend(rows)


def _hanging(store: Store) -> StorageError:
    return StorageError(str(store.path), store.failing or _HANGS, DO)


def _raise(error: BaseException, _connection: sqlite3.Connection) -> None:
    """As if the writer had met what the reader met."""
    raise error


def _begin(database: Database) -> Exception | None:
    """A full or damaged disk does not keep the gateway from starting, and is returned; what we may not use does."""
    try:
        take_place(database.path, SystemClock().utc().strftime("%Y%m%dT%H%M%SZ"))
        database.check()
    except (sqlite3.Error, OSError) as error:
        database.close()
        refused = isinstance(error, sqlite3.OperationalError) and "open" not in str(error)
        if refused or is_damage(error) or getattr(error, "errno", None) in _TROUBLES:
            return error
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
