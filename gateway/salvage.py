"""A damaged database: what of it can be read goes into a new one, what cannot is known by its numbers, nothing repeats.

- The damaged file is only read, a first page that makes it unreadable but for. The new one is complete and synced
  before it takes the place: a power cut in between leaves either, and the next start goes on (`take_place`).
- A page that cannot be read is stepped over: keys beyond it are sought until one answers.
- Numbers of a stream go on above the highest found in rows, cursors, the stream table, and in memory where the daemon
  was running. Where the end of a lane cannot be read and no memory helps, they skip to the microseconds since 1970 of
  now or of the file's last change, the later one, and at least STEP: no box has ever counted so far.
- What is missing is kept as facts `lost.{uplink}.{lane}` until it has been told upstream (`gateway/losses.py`).
"""

import json
import os
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.alarms import Alarm
from gateway.batch import Batch, Cursor, alarm_of, columns_of
from gateway.database import (
    LANE_ITSELF,
    PAGE_BYTES,
    TABLES,
    Damaged,
    building,
    id_ms,
    put_alarms,
    put_fact,
    quick_check,
    read_journal,
    sync,
    unpacked,
    version,
)
from gateway.event import Lane
from gateway.identity import moment_ms
from gateway.packing import pack, unpack

STEP = 10**12
_MAGIC = b"SQLite format 3\0"
MOST = 9 * 10**15  # a number above is no number of ours: 16 digits hold it (contract, section 3)
LOST = "lost."
_FAR = 2**50  # keys beyond the last readable one that are tried
_ERROR, _CORRUPT, _NOT_A_DATABASE = 1, 11, 26  # SQLite's primary result codes
_UNREADABLE = frozenset({266, 522, 8458})  # its IOERR_READ, IOERR_SHORT_READ, IOERR_CORRUPTFS
_SMALL = {
    "cursor": "uplink, lane",
    "stream": "uplink, lane",
    "alarm": "device, type, part",
    "fact": "name",
    "dead": "uplink, lane, seq",
    "again": "uplink, lane",
    "command": "id",
    "incident": "uplink, id",
    "notice": "uplink, id",
    "disclosure": "day, uplink, type, fields",
    "audit": "n",
    "roster": "kind, name",
}
_LANED = ("cursor", "stream", "dead", "again")  # whose second column is a lane
Raw = tuple[int, int, bytes, bytes, bytes | None]
Stream = tuple[str, Lane]
Range = tuple[int, int]


def is_damage(error: BaseException) -> bool:
    """The file is at fault, not its room, its rights or who else holds it."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    missing = code == _ERROR and str(error).removeprefix("no such table: ") in {*_SMALL, *TABLES.values()}
    return isinstance(error, Damaged) or code & 0xFF in (_CORRUPT, _NOT_A_DATABASE) or code in _UNREADABLE or missing


@dataclass
class Known:
    """Uplinks configured, and the journal; of a running daemon the newest seqs, numbers and cursors, else nothing."""

    uplinks: Sequence[str] = ()
    journal: Sequence[Batch] = ()
    last: Mapping[Lane, int] = field(default_factory=dict)
    numbers: Mapping[Lane, Mapping[str, int]] = field(default_factory=dict)
    cursors: Mapping[Stream, Cursor] = field(default_factory=dict)


@dataclass
class Found:
    """What a damaged database still says. `holes`: numbers, first to last, that no row stands for."""

    rows: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    last: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))
    ended: dict[Lane, int] = field(default_factory=dict)  # the newest row's seq
    cursors: dict[Stream, tuple[int, int]] = field(default_factory=dict)
    top: dict[Stream, int] = field(default_factory=dict)
    holes: dict[Stream, list[Range]] = field(default_factory=dict)
    flags: dict[tuple[str, str, str], Alarm] = field(default_factory=dict)  # as the journal has them
    strange: int = 0  # rows that we did not write so, and lanes whose end was not reached

    def read(self, lane: Lane, seq: int, numbers: str) -> None:
        """This row is there."""
        self.rows[lane] += 1
        self.ended[lane] = seq
        self.last[lane] = max(self.last[lane], seq)
        for uplink, number in unpacked(numbers):
            self.reached((uplink, lane), abs(number), there=number > 0)

    def lost(self) -> int:
        """How many numbers will never come."""
        return sum(last - first + 1 for ranges in self.holes.values() for first, last in ranges)

    def reached(self, stream: Stream, number: int, *, there: bool) -> None:
        """The stream stands at `number`, and that event is there, or is just known to have been given out."""
        expected = max(self.top.get(stream, 0), self.cursors.get(stream, (0, 0))[1]) + 1
        missing = (expected, number - there)
        if missing[1] >= missing[0]:
            self.holes.setdefault(stream, []).append(missing)
        self.top[stream] = max(number, expected - 1)


def rescue(old: sqlite3.Connection, known: Known, now_us: int, put: Callable[[str, tuple[object, ...]], None]) -> Found:
    """Read all that can be read: alarms first, then events, then telemetry; `put(table, row)` takes each row."""
    old.text_factory = bytes
    found = Found()
    given: dict[Stream, int] = {(uplink, lane): 0 for uplink in known.uplinks for lane in Lane}
    given |= {(uplink, lane): n for lane, numbers in known.numbers.items() for uplink, n in numbers.items()}
    for table, key in _SMALL.items():
        for row in _small(old, table, key):
            put(table, row)
            _note(found, given, table, row)
    for (uplink, lane), cursor in known.cursors.items():
        put("cursor", (uplink, lane.value, cursor.seq, cursor.sequence))
        found.cursors[uplink, lane] = cursor.seq, cursor.sequence
    for lane in Lane:
        whole = _lane(old, lane, found, put)
        _journal(known.journal, lane, found, put)
        found.strange += not whole
        found.last[lane] = max(found.last[lane], known.last.get(lane, 0))
        _close(found, lane, given, 0 if whole or known.numbers else now_us)
    return found


def _note(found: Found, given: dict[Stream, int], table: str, row: tuple[object, ...]) -> None:
    """What cursors and counters say of how far numbers have come."""
    if table == "cursor":
        uplink, lane, seq, number = str(row[0]), Lane(str(row[1])), int(str(row[2])), int(str(row[3]))
        found.cursors[uplink, lane] = seq, number
        found.last[lane] = max(found.last[lane], seq)
    elif table == "stream" and row[0] == LANE_ITSELF:
        found.last[Lane(str(row[1]))] = max(found.last[Lane(str(row[1]))], int(str(row[2])))
    elif table == "stream":
        stream = str(row[0]), Lane(str(row[1]))
        given[stream] = max(given.get(stream, 0), int(str(row[2])))


def _lane(old: sqlite3.Connection, lane: Lane, found: Found, put: Callable[[str, tuple[object, ...]], None]) -> bool:
    """Every sound row of a lane; whether its end was reached."""
    rows = _scan(old, TABLES[lane])
    while True:
        try:
            raw = next(rows)
        except StopIteration as end:
            return bool(end.value)
        row = _sound(raw)
        if row is None:
            found.strange += 1
            continue
        put(TABLES[lane], row)
        found.read(lane, row[0], row[2])


def _journal(
    batches: Sequence[Batch], lane: Lane, found: Found, put: Callable[[str, tuple[object, ...]], None]
) -> None:
    """What the journal has beyond the rows of the table."""
    for row_lane, columns, alarm in (row for batch in batches for row in batch.rows):
        if row_lane is not lane or columns[0] <= found.ended.get(lane, 0):
            continue
        put(TABLES[lane], columns)
        found.read(lane, columns[0], columns[2])
        if alarm is not None:
            found.flags[alarm.key] = alarm


def _close(found: Found, lane: Lane, given: Mapping[Stream, int], skip_us: int) -> None:
    """The lane's last numbers: those given out, and where its end is not known a step beyond all of them."""
    streams = {*found.top, *found.cursors, *given}
    for stream in sorted(stream for stream in streams if stream[1] is lane):
        number = max(found.top.get(stream, 0), found.cursors.get(stream, (0, 0))[1], given.get(stream, 0))
        found.reached(stream, max(number + STEP, skip_us) if skip_us else number, there=False)


def _scan(connection: sqlite3.Connection, table: str) -> Generator[Raw, None, bool]:
    """Rows of a lane in order, over what cannot be read; returns whether the end was reached."""
    at = 0
    while True:
        try:
            for row in connection.execute(f"SELECT * FROM {table} WHERE seq >= ? ORDER BY seq", (at,)):  # noqa: S608
                if row[0] < at:
                    raise Damaged("keys out of order")
                at = row[0] + 1
                yield row
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            beyond = _beyond(connection, table, at)
            if beyond is None:
                return False
            at = beyond
        else:
            return True


def _beyond(connection: sqlite3.Connection, table: str, at: int) -> int | None:
    """The least key above `at` from which on something answers; None where nothing does."""
    step = 1
    while not _answers(connection, table, at + step):
        step *= 2
        if step > _FAR:
            return None
    low, high = at + step // 2, at + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _answers(connection, table, middle) else (middle, high)
    return high


def _answers(connection: sqlite3.Connection, table: str, key: int) -> bool:
    try:
        row = connection.execute(f"SELECT * FROM {table} WHERE seq >= ? ORDER BY seq LIMIT 1", (key,)).fetchone()  # noqa: S608
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return False
    return row is not None and row[0] >= key


def _sound(raw: Raw) -> tuple[int, int, str, bytes, str | None] | None:
    """A row as we write rows, or None."""
    seq, time_ms, numbers, body, private = raw
    texts = isinstance(numbers, bytes) and isinstance(body, bytes) and isinstance(private, bytes | None)
    if not texts or not isinstance(time_ms, int):
        return None  # a record that ends too early
    try:
        text = unpack(body)
        row = seq, time_ms, numbers.decode(), pack(text), None if private is None else private.decode()
        json.loads(text), json.loads(row[4] or "null")
        id_ms(text)
        return row if all(abs(number) <= MOST for _, number in unpacked(row[2])) else None
    except (ValueError, Damaged):
        return None


def _small(connection: sqlite3.Connection, table: str, key: str) -> Iterator[tuple[object, ...]]:
    """Sound rows of a small table, read from both ends."""
    seen: set[tuple[object, ...]] = set()
    for order in (key, ", ".join(f"{name} DESC" for name in key.split(", "))):
        try:
            for raw in connection.execute(f"SELECT * FROM {table} ORDER BY {order}"):  # noqa: S608
                row = _plain(table, raw)
                if row is not None and row not in seen:
                    seen.add(row)
                    yield row
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise


def _plain(table: str, raw: tuple[object, ...]) -> tuple[object, ...] | None:
    try:
        row = tuple(value.decode() if isinstance(value, bytes) else value for value in raw)
        if table == "alarm":
            moment_ms(str(row[3]))
            row = columns_of(alarm_of(row))  # an older version's has fewer columns
        elif table in _LANED:
            Lane(str(row[1]))
        sane = all(0 <= value <= MOST for value in row if isinstance(value, int))
    except (ValueError, TypeError):
        return None
    return row if sane else None


# files


def survey(path: Path, uplinks: Sequence[str], now_us: int) -> tuple[str | None, Found]:
    """Only look, also beside a running daemon: what is wrong or None, and what a salvage would find. sqlite3.Error."""
    if path.stat().st_size == 0:
        return "an empty file", Found()
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            version(connection, path)
            wrong = quick_check(connection)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            wrong = str(error)
        connection.execute("PRAGMA writable_schema = ON")  # see _salvage
        found = rescue(connection, Known(uplinks, read_journal(path)), now_us, lambda _table, _row: None)
    if wrong is None and found.strange:
        wrong = f"{found.strange} rows are not as they were written"
    return wrong, found


def mend(path: Path, known: Known, moment: str, now_us: int) -> tuple[Found | None, Path]:
    """Put a salvaged database into the place of `path`; nobody may have it open. What was found, and where it is now.

    None where an earlier try had already found it. sqlite3.Error or OSError (no room): all is as before.
    """
    made, found = _name(path, "salvaged"), None
    if not made.exists():
        found = _salvage(path, known, max(now_us, path.stat().st_mtime_ns // 1000))
    return found, take_place(path, moment)


def take_place(path: Path, moment: str) -> Path:
    """A salvaged database that is complete becomes the database; the damaged one stays beside it, the newest only."""
    made, aside = _name(path, "salvaged"), _name(path, f"damaged-{moment}")
    if not made.exists():
        return aside
    for older in path.parent.glob(f"{path.name}.damaged-*"):
        if not older.name.startswith(aside.name):
            older.unlink()
    for part in ("", "-wal", "-shm"):  # a WAL must not meet the new database
        with suppress(FileNotFoundError):
            os.rename(f"{path}{part}", f"{aside}{part}")
    os.rename(made, path)
    sync(path.parent)
    return aside


def _salvage(path: Path, known: Known, now_us: int) -> Found:
    """Write what can be read to the file `.salvaged`, complete and on disk."""
    draft = _name(path, "salvaging")
    with building(draft, _name(path, "salvaged")) as new:
        _first_page(path, draft)
        with closing(sqlite3.connect(path)) as old:
            old.execute("PRAGMA writable_schema = ON")  # else a file that is too short is not opened
            found = rescue(old, known, now_us, lambda table, row: _put(new, table, row))
        put_alarms(new, found.flags.values())
        _keep(new, found)
    return found


def _first_page(path: Path, blank: Path) -> None:
    """A first page that SQLite does not know is made anew: schema and roots are the same in all our databases.

    SQLite's file format, 1.3: 18 and 19 say that there may be a WAL, 28 has the number of pages, 32 what is free.
    """
    with path.open("r+b") as file:
        if file.read(len(_MAGIC)) == _MAGIC:
            return
        page = bytearray(blank.read_bytes()[:PAGE_BYTES])
        page[18:20] = b"\2\2"
        page[28:40] = (path.stat().st_size // PAGE_BYTES).to_bytes(4, "big") + bytes(8)
        file.seek(0)
        file.write(page)


def _put(new: sqlite3.Connection, table: str, row: tuple[object, ...]) -> None:
    marks = ", ".join("?" * len(row))
    new.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", row)  # noqa: S608


def _keep(new: sqlite3.Connection, found: Found) -> None:
    """Counters and holes."""
    for lane in Lane:
        _put(new, "stream", (LANE_ITSELF, lane.value, found.last[lane]))
    for (uplink, lane), number in found.top.items():
        _put(new, "stream", (uplink, lane.value, number))
    untold = dict(lost(new))
    for (uplink, lane), ranges in found.holes.items():
        whole = [*untold.get((uplink, lane), []), *ranges]
        put_fact(new, f"{LOST}{uplink}.{lane.value}", json.dumps(whole))


def lost(connection: sqlite3.Connection) -> list[tuple[Stream, list[Range]]]:
    """What has been lost, and not yet been told upstream."""
    kept = connection.execute("SELECT name, value FROM fact WHERE name LIKE ?", (f"{LOST}%",)).fetchall()
    parts = [(name.split("."), json.loads(value)) for name, value in kept]
    return [((uplink, Lane(lane)), [(first, last) for first, last in value]) for (_, uplink, lane), value in parts]


def _name(path: Path, what: str) -> Path:
    return path.with_name(f"{path.name}.{what}")
