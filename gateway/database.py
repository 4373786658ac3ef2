"""The SQLite file and the journal before it, synchronously: schema, commits, rows. `store.py` drives it.

A plain database that any SQLite tool opens: WAL, `synchronous=FULL`, one table per lane (`schema/*.sql`). Events are
safe when they stand in the journal (`journal.py`); `settle()` takes them over into the tables, as opening does.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path

from gateway.alarms import Alarm
from gateway.batch import Batch, Columns, Cursor, Stream, alarm_of, columns_of, decode
from gateway.errors import StateError, Text
from gateway.event import Lane
from gateway.identity import moment_ms
from gateway.journal import Journal
from gateway.packing import pack, unpack

VERSION = 5  # of the schema: the last file of schema/
BUSY_TIMEOUT_S = 5.0
PAGE_BYTES = 4096
LANE_ITSELF = ""  # in `stream`: the lane's own newest seq, where no row has it any more (gateway/salvage.py)
SMALL_BYTES = 16 * 2**20  # a database up to this size is checked page by page when it is opened first: some 20 ms
TABLES = {Lane.ALARM: "alarm_lane", Lane.EVENT: "event_lane", Lane.TELEMETRY: "telemetry_lane"}
JOURNAL_ROWS = 1000  # a commit of more goes into the tables at once
IDS_AFTER_MS = "ids.after_ms"  # a fact: every new id is later than this, ms since 1970
_ALARM_COLUMNS = ", ".join(f.name for f in fields(Alarm))
_ALARM_MARKS = ", ".join("?" for _ in fields(Alarm))
_AT_ONCE = (64, 8, 1)  # rows per INSERT: fewer statements, and the interpreter is let go once per statement
_INSERTS = {
    (lane, count): f"INSERT INTO {table} VALUES " + ", ".join(["(?, ?, ?, ?, ?)"] * count)  # noqa: S608
    for lane, table in TABLES.items()
    for count in _AT_ONCE
}


class Damaged(sqlite3.DatabaseError):
    """What stands in the file is not what we wrote."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An event to be taken in: for which uplinks, and what it changes in the book of alarms."""

    lane: Lane
    time_ms: int
    body: str
    uplinks: frozenset[str]
    private: str | None = None
    alarm: Alarm | None = None


@dataclass(slots=True)
class Row:
    """An event as it stands on disk. `numbers`: sequence by uplink, only of those it is meant for. `private` may go."""

    seq: int
    time_ms: int
    numbers: Mapping[str, int]
    body: str
    private: str | None


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers of a stream that a restore skipped: none of them will ever come from here."""

    uplink: str
    lane: Lane
    first: int
    last: int
    told: bool = False

    def beyond(self, sequence: int) -> int:
        """How many of them come after this number."""
        return max(0, self.last - max(sequence, self.first - 1))


class Database:
    """One connection and the counters that go with it."""

    def __init__(self, path: Path, uplinks: Sequence[str]) -> None:
        self.path = path
        self.uplinks = tuple(uplinks)
        self.last: dict[Lane, int] = dict.fromkeys(Lane, 0)  # newest seq of each lane
        self.numbers = {lane: dict.fromkeys(uplinks, 0) for lane in Lane}  # newest sequence of each stream
        self.cursors: dict[tuple[str, Lane], Cursor] = {}  # newest known; the store keeps them so
        self.newest_id_ms = 0  # the moment in the newest event's id, ms since 1970
        self.counted = False  # the counters have been read once: from then on they are right, whatever the file says
        self._connection: sqlite3.Connection | None = None
        self._journal = Journal(journal_path(path))
        self._unsettled: list[Batch] = []  # what stands in the journal, and not yet in the tables

    @property
    def connection(self) -> sqlite3.Connection:
        """Open, with counters as they stand on disk."""
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def close(self) -> None:
        """Forget the connection; the next use opens it anew and reads the journal and the counters again."""
        connection, self._connection = self._connection, None
        self._unsettled = []
        self._journal.close()
        if connection is not None:
            connection.close()

    @property
    def unsettled(self) -> int:
        """How many events and cursors stand only in the journal."""
        return sum(len(batch.rows) + len(batch.marks) for batch in self._unsettled)

    @property
    def behind(self) -> bool:
        """Something may stand in the journal that the tables have not."""
        return self._connection is None or bool(self._unsettled)

    def append(self, drafts: Sequence[Draft], marks: Mapping[Stream, Cursor] | None = None) -> dict[Lane, list[Row]]:
        """One commit, durable when it returns. After any error `close()` must follow; what it wrote may stand."""
        _ = self.connection  # the counters are as on disk from here on
        before = dict(self.last), {lane: dict(numbers) for lane, numbers in self.numbers.items()}
        batch, rows = Batch(marks=marks or {}), dict[Lane, list[Row]]()
        try:
            for draft in drafts:
                row = self._numbered(draft)
                rows.setdefault(draft.lane, []).append(row)
                columns = row.seq, row.time_ms, self._packed(draft.lane, row.numbers), pack(row.body), row.private
                batch.rows.append((draft.lane, columns, draft.alarm))
            settled = len(drafts) > JOURNAL_ROWS or not self._journal.put(batch.encode())
            self._unsettled.append(batch)
            if settled:
                self.settle()
        except BaseException:
            self.last.update(before[0])
            self.numbers.update(before[1])
            raise
        return rows

    def settle(self) -> None:
        """What stands only in the journal goes into the tables, in one transaction. After any error: `close()`."""
        connection = self.connection
        if self._unsettled:
            _put(connection, self._unsettled)
            self._unsettled = []
            self._journal.rewind()

    def scrub(self) -> bool:
        """Commits, then empties journal and WAL: what was deleted is nowhere. False: somebody reads, the WAL stays."""
        connection = self.connection
        connection.execute("COMMIT")
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._journal.wipe()
        connection.execute("BEGIN IMMEDIATE")
        return not busy

    def _numbered(self, draft: Draft) -> Row:
        numbers = self.numbers[draft.lane]
        mine: dict[str, int] = {}
        for uplink in draft.uplinks:
            mine[uplink] = numbers[uplink] = numbers[uplink] + 1
        self.last[draft.lane] = seq = self.last[draft.lane] + 1
        return Row(seq, draft.time_ms, mine, draft.body, draft.private)

    def _packed(self, lane: Lane, mine: Mapping[str, int]) -> str:
        """As of this row: see schema/001.sql."""
        if len(mine) == len(self.uplinks):
            return " ".join([f"{name}={number}" for name, number in mine.items()])
        rest = self.numbers[lane]
        return " ".join([f"{name}={mine[name] if name in mine else -rest[name]}" for name in self.uplinks])

    def check(self) -> None:
        """Every page, where they are few. Damaged."""
        connection = self.connection
        if self.path.stat().st_size <= SMALL_BYTES:
            found = quick_check(connection)
            if found is not None:
                raise Damaged(found)

    def _open(self) -> sqlite3.Connection:
        if not self.path.exists():
            create(self.path)
        if self.path.is_file() and self.path.stat().st_size == 0:
            raise Damaged("an empty file")
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            self.path.chmod(0o600)
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")  # deleted is overwritten; free pages are given back
            migrate(connection, self.path)
            take_over(connection, _batches(self._journal))
            self._journal.rewind()
            self._count(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _count(self, connection: sqlite3.Connection) -> None:
        """Counters from the newest row of each lane, and from `stream` for uplinks that row does not know."""
        self.cursors = read_cursors(connection) | self.cursors
        known = {(u, lane): n for u, lane, n in connection.execute("SELECT uplink, lane, sequence FROM stream")}
        self.newest_id_ms = max(self.newest_id_ms, int(read_fact(connection, IDS_AFTER_MS) or 0))
        for lane, table in TABLES.items():
            newest = connection.execute(f"SELECT seq, numbers, body FROM {table} ORDER BY seq DESC LIMIT 1").fetchone()  # noqa: S608
            self.newest_id_ms = max(self.newest_id_ms, id_ms(_text(newest[2])) if newest else 0)
            self.last[lane] = max(newest[0] if newest else 0, known.get((LANE_ITSELF, lane.value), 0))
            there = {name: abs(number) for name, number in unpacked(newest[1])} if newest else {}
            self.numbers[lane] = {u: max(there.get(u, 0), known.get((u, lane.value), 0)) for u in self.uplinks}
            gone = [(name, lane.value, max(number, known.get((name, lane.value), 0))) for name, number in there.items()
                    if name not in self.uplinks]  # fmt: skip
            connection.executemany("INSERT OR REPLACE INTO stream VALUES (?, ?, ?)", gone)
        self.counted = True


def _newest_seq(connection: sqlite3.Connection, lane: Lane) -> int:
    """Where the tables end."""
    (there,) = connection.execute(f"SELECT max(seq) FROM {TABLES[lane]}").fetchone()  # noqa: S608
    itself = "SELECT max(sequence) FROM stream WHERE uplink = ? AND lane = ?"
    (known,) = connection.execute(itself, (LANE_ITSELF, lane.value)).fetchone()
    return max(there or 0, known or 0)


def journal_path(path: Path) -> Path:
    """Of the database at `path`."""
    return path.with_name(f"{path.name}.journal")


def read_journal(path: Path) -> list[Batch]:
    """What stands in the journal of the database at `path`, in the tables or not; also beside a daemon. OSError."""
    return _batches(Journal(journal_path(path)))


def _batches(journal: Journal) -> list[Batch]:
    """What cannot be understood is left out: the numbers that are missing then are found and told as lost."""
    found = []
    for content in journal.read():
        with suppress(ValueError):
            found.append(decode(content))
    return found


def take_over(connection: sqlite3.Connection, batches: Sequence[Batch]) -> None:
    """What a journal has and the tables have not. Damaged: something is missing in between."""
    fresh = _beyond(batches, {lane: _newest_seq(connection, lane) for lane in Lane}, read_cursors(connection))
    if fresh:
        _put(connection, fresh)


def _beyond(batches: Sequence[Batch], last: Mapping[Lane, int], cursors: Mapping[Stream, Cursor]) -> list[Batch]:
    """What goes on where these end."""
    fresh, reached = [], dict(last)
    for batch in batches:
        rows = [row for row in batch.rows if row[1][0] > reached[row[0]]]
        for lane, (seq, *_), _ in rows:
            if seq != reached[lane] + 1:
                raise Damaged(f"the journal goes on with {lane} {seq}, the table ends with {reached[lane]}")
            reached[lane] = seq
        marks = {key: mark for key, mark in batch.marks.items() if mark.seq > cursors.get(key, Cursor()).seq}
        if rows or marks:
            fresh.append(Batch(rows, marks))
    return fresh


def _put(connection: sqlite3.Connection, batches: Sequence[Batch]) -> None:
    """One transaction."""
    lanes: dict[Lane, list[Columns]] = {}
    flags: dict[tuple[str, str, str], Alarm] = {}
    marks: dict[Stream, Cursor] = {}
    for batch in batches:
        marks.update(batch.marks)
        for lane, columns, alarm in batch.rows:
            lanes.setdefault(lane, []).append(columns)
            if alarm is not None:
                flags[alarm.key] = alarm
    connection.execute("BEGIN IMMEDIATE")
    for lane, rows in lanes.items():
        _insert(connection, lane, rows)
    put_alarms(connection, flags.values())
    put_cursors(connection, marks)
    connection.execute("COMMIT")


def _insert(connection: sqlite3.Connection, lane: Lane, rows: Sequence[Columns]) -> None:
    start = 0
    for count in _AT_ONCE:
        while len(rows) - start >= count:
            values = [value for row in rows[start : start + count] for value in row]
            connection.execute(_INSERTS[lane, count], values)
            start += count


@contextmanager
def building(draft: Path, path: Path) -> Iterator[sqlite3.Connection]:
    """A new database, written beside as `draft`; complete and on disk before it gets the name `path`.

    So no file of no bytes is ever a new database: it is a damaged one.
    """
    draft.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = OFF")  # all or nothing comes from the name
            connection.execute("PRAGMA synchronous = OFF")  # synced as a whole, below
            migrate(connection, path)
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        draft.chmod(0o600)
        sync(draft)
        os.rename(draft, path)
        sync(path.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def create(path: Path) -> None:
    """An empty database."""
    with building(path.with_name(f"{path.name}.new"), path):
        pass


def sync(path: Path) -> None:
    """fsync of a file or folder. OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def quick_check(connection: sqlite3.Connection) -> str | None:
    """What is wrong with the file's structure, or None."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return None if found == "ok" else str(found)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the schema to VERSION; a newer one is refused (StateError)."""
    for number in range(version(connection, path) + 1, VERSION + 1):
        script = (files("gateway") / "schema" / f"{number:03d}.sql").read_text("utf-8")
        connection.executescript(f"BEGIN;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def version(connection: sqlite3.Connection, path: Path) -> int:
    """Of the schema; a newer one is refused (StateError)."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise StateError(
            str(path),
            Text(
                f"the database has schema version {found}, this program knows up to {VERSION}",
                f"数据库结构版本为 {found},本程序只认识到 {VERSION}",
            ),
            Text("install the newer program again, or restore a backup", "请重新安装较新的程序,或恢复备份"),
        )
    return int(found)


def unpacked(numbers: str) -> list[tuple[str, int]]:
    """`"district=42 fire-brigade=-7"` → pairs; see schema/001.sql. Damaged."""
    try:
        pairs = [pair.split("=") for pair in str(numbers).split()]  # a record that ends too early has None
        return [(name, int(number)) for name, number in pairs]
    except ValueError as error:
        raise Damaged(f"no numbers: {error}") from error


def read_rows(connection: sqlite3.Connection, lane: Lane, after: int, limit: int) -> list[Row]:
    """Up to `limit` events of a lane with seq > `after`, oldest first."""
    found = connection.execute(f"SELECT * FROM {TABLES[lane]} WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))  # noqa: S608
    return [_row(*columns) for columns in found]


def read_newest(connection: sqlite3.Connection, lane: Lane, before: int, limit: int) -> list[Row]:
    """Up to `limit` events of a lane with seq < `before`, newest first."""
    found = connection.execute(
        f"SELECT * FROM {TABLES[lane]} WHERE seq < ? ORDER BY seq DESC LIMIT ?",  # noqa: S608
        (before, limit),
    )
    return [_row(*columns) for columns in found]


def _row(seq: int, time_ms: int, numbers: str, body: bytes | str, private: str | None) -> Row:
    return Row(seq, time_ms, {name: n for name, n in unpacked(numbers) if n > 0}, _text(body), private)


def _text(body: bytes | str) -> str:
    """An event as it stands in a row. Damaged."""
    try:
        return unpack(body)
    except (ValueError, TypeError) as error:  # a record that ends too early has None
        raise Damaged(f"no event: {error}") from error


def counters_at(connection: sqlite3.Connection, lane: Lane, seq: int) -> dict[str, int]:
    """Each uplink's sequence in the lane as it stood after this row."""
    found = connection.execute(f"SELECT numbers FROM {TABLES[lane]} WHERE seq = ?", (seq,)).fetchone()  # noqa: S608
    return {name: abs(number) for name, number in unpacked(found[0])} if found else {}


def used_bytes(connection: sqlite3.Connection) -> int:
    """Room taken by the database, without pages that are free again."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def id_ms(body: str) -> int:
    """The moment in the id of an event, ms since 1970. Damaged."""
    try:
        start = str(body).index('"id":"') + 6  # a record that ends too early has None
        return moment_ms(body[start : start + 36])
    except ValueError as error:
        raise Damaged(f"no event: {error}") from error


def put_alarms(connection: sqlite3.Connection, alarms: Iterable[Alarm]) -> None:
    """Write flags; what is normal is deleted."""
    for alarm in alarms:
        if alarm.normal and not alarm.rests:
            connection.execute("DELETE FROM alarm WHERE device = ? AND type = ? AND part = ?", alarm.key)
        else:
            connection.execute(f"INSERT OR REPLACE INTO alarm VALUES ({_ALARM_MARKS})", columns_of(alarm))  # noqa: S608


def forget_alarm(connection: sqlite3.Connection, alarm: Alarm) -> None:
    """One that has rested long enough; what it has become since then stays."""
    which = "device = ? AND type = ? AND part = ? AND id = ? AND active = 0 AND until_ms = ?"
    connection.execute(f"DELETE FROM alarm WHERE {which}", (*alarm.key, alarm.id, alarm.until_ms))  # noqa: S608


def read_alarms(connection: sqlite3.Connection) -> list[Alarm]:
    """Every condition that is not normal. Damaged."""
    found = connection.execute(f"SELECT {_ALARM_COLUMNS} FROM alarm")  # noqa: S608
    try:
        return [alarm_of(row) for row in found]
    except (ValueError, TypeError) as error:
        raise Damaged(f"no alarm: {error}") from error


def read_cursors(connection: sqlite3.Connection) -> dict[tuple[str, Lane], Cursor]:
    """What each uplink has confirmed. Damaged."""
    found = connection.execute("SELECT uplink, lane, seq, sequence FROM cursor")
    try:
        return {(uplink, Lane(lane)): Cursor(seq, sequence) for uplink, lane, seq, sequence in found}
    except ValueError as error:
        raise Damaged(f"no lane: {error}") from error


def put_cursors(connection: sqlite3.Connection, cursors: Mapping[tuple[str, Lane], Cursor]) -> None:
    """Make cursors durable."""
    connection.executemany(
        "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?, ?)",
        [(uplink, lane.value, cursor.seq, cursor.sequence) for (uplink, lane), cursor in cursors.items()],
    )


def read_holes(connection: sqlite3.Connection) -> list[Hole]:
    """What restores skipped, one a stream at most."""
    found = connection.execute("SELECT name, value FROM fact WHERE name LIKE 'hole.%'").fetchall()
    return [_hole(*name.split(".")[1:], *value.split()) for name, value in found]


def _hole(uplink: str, lane: str, first: str, last: str, told: str) -> Hole:
    return Hole(uplink, Lane(lane), int(first), int(last), told == "told")


def put_hole(connection: sqlite3.Connection, hole: Hole) -> None:
    """Remember it."""
    told = "told" if hole.told else "untold"
    put_fact(connection, f"hole.{hole.uplink}.{hole.lane.value}", f"{hole.first} {hole.last} {told}")


def read_fact(connection: sqlite3.Connection, name: str) -> str | None:
    """A small durable fact, or None."""
    found = connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
    return None if found is None else str(found[0])


def put_fact(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Remember a small durable fact."""
    connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))
