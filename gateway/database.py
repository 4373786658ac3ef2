"""The SQLite file itself, synchronously: schema, transactions, rows. `store.py` drives it from its threads.

A plain database that any SQLite tool opens: WAL, `synchronous=FULL`, one table per lane (`schema/*.sql`).
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from importlib.resources import files
from pathlib import Path

from gateway.alarms import Alarm
from gateway.errors import StateError, Text
from gateway.event import Lane, Severity
from gateway.identity import moment_ms

VERSION = 2  # of the schema: the last file of schema/
BUSY_TIMEOUT_S = 5.0
PAGE_BYTES = 4096
TABLES = {Lane.ALARM: "alarm_lane", Lane.EVENT: "event_lane", Lane.TELEMETRY: "telemetry_lane"}
_ALARM_COLUMNS = ", ".join(f.name for f in fields(Alarm))
_ALARM_MARKS = ", ".join("?" for _ in fields(Alarm))
_AT_ONCE = (64, 8, 1)  # rows per INSERT: fewer statements, and the interpreter is let go once per statement
_INSERTS = {
    (lane, count): f"INSERT INTO {table} VALUES " + ", ".join(["(?, ?, ?, ?, ?)"] * count)  # noqa: S608
    for lane, table in TABLES.items()
    for count in _AT_ONCE
}


@dataclass(frozen=True, slots=True)
class Draft:
    """An event to be taken in: for which uplinks, and what it changes in the book of alarms."""

    lane: Lane
    time_ms: int
    body: str
    uplinks: frozenset[str]
    private: str | None = None
    alarm: Alarm | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An event as it stands on disk. `numbers`: sequence by uplink, only of those it is meant for."""

    seq: int
    time_ms: int
    numbers: Mapping[str, int]
    body: str
    private: str | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """What an uplink has confirmed of a lane: the lane's `seq`, and its own `sequence` there. Zero: nothing."""

    seq: int = 0
    sequence: int = 0


class Database:
    """One connection and the counters that go with it."""

    def __init__(self, path: Path, uplinks: Sequence[str]) -> None:
        self.path = path
        self.uplinks = tuple(uplinks)
        self.last: dict[Lane, int] = dict.fromkeys(Lane, 0)  # newest seq of each lane
        self.numbers = {lane: dict.fromkeys(uplinks, 0) for lane in Lane}  # newest sequence of each stream
        self.newest_id_ms = 0  # the moment in the newest event's id, ms since 1970
        self._connection: sqlite3.Connection | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """Open, with counters as they stand on disk."""
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def close(self) -> None:
        """Forget the connection; the next use opens it anew and reads the counters again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def append(self, drafts: Sequence[Draft]) -> dict[Lane, list[Row]]:
        """One transaction, durable when it returns; after any error nothing of it stands, and `close()` must follow."""
        connection = self.connection
        before = dict(self.last), {lane: dict(numbers) for lane, numbers in self.numbers.items()}
        try:
            return self._append(connection, drafts)
        except BaseException:
            self.last.update(before[0])
            self.numbers.update(before[1])
            raise

    def _append(self, connection: sqlite3.Connection, drafts: Sequence[Draft]) -> dict[Lane, list[Row]]:
        rows: dict[Lane, list[Row]] = {}
        packed: dict[Lane, list[str]] = {}
        for draft in drafts:
            row = self._numbered(draft)
            rows.setdefault(draft.lane, []).append(row)
            packed.setdefault(draft.lane, []).append(self._packed(draft.lane, row.numbers))
        changes = [draft.alarm for draft in drafts if draft.alarm is not None]
        connection.execute("BEGIN IMMEDIATE")
        for lane, mine in rows.items():
            _insert(connection, lane, mine, packed[lane])
        put_alarms(connection, changes)
        connection.execute("COMMIT")
        return rows

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

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            self.path.chmod(0o600)
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection, self.path)
            self._count(connection)
        except ValueError as error:  # rows that we did not write so
            connection.close()
            raise sqlite3.DatabaseError(f"damaged: {error}") from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _count(self, connection: sqlite3.Connection) -> None:
        """Counters from the newest row of each lane, and from `stream` for uplinks that row does not know."""
        known = {(u, lane): n for u, lane, n in connection.execute("SELECT uplink, lane, sequence FROM stream")}
        for lane, table in TABLES.items():
            newest = connection.execute(f"SELECT seq, numbers, body FROM {table} ORDER BY seq DESC LIMIT 1").fetchone()  # noqa: S608
            self.newest_id_ms = max(self.newest_id_ms, _id_ms(newest[2]) if newest else 0)
            self.last[lane] = newest[0] if newest else 0
            there = {name: abs(number) for name, number in unpacked(newest[1])} if newest else {}
            self.numbers[lane] = {u: max(there.get(u, 0), known.get((u, lane.value), 0)) for u in self.uplinks}
            gone = [(name, lane.value, number) for name, number in there.items() if name not in self.uplinks]
            connection.executemany("INSERT OR REPLACE INTO stream VALUES (?, ?, ?)", gone)


def _insert(connection: sqlite3.Connection, lane: Lane, rows: Sequence[Row], packed: Sequence[str]) -> None:
    start = 0
    for count in _AT_ONCE:
        while len(rows) - start >= count:
            values: list[int | str | None] = []
            for row, numbers in zip(rows[start : start + count], packed[start : start + count], strict=True):
                values += (row.seq, row.time_ms, numbers, row.body, row.private)
            connection.execute(_INSERTS[lane, count], values)
            start += count


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the schema to VERSION; a newer one is refused (StateError)."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StateError(
            str(path),
            Text(
                f"the database has schema version {version}, this program knows up to {VERSION}",
                f"数据库结构版本为 {version},本程序只认识到 {VERSION}",
            ),
            Text("install the newer program again, or restore a backup", "请重新安装较新的程序,或恢复备份"),
        )
    for number in range(version + 1, VERSION + 1):
        script = (files("gateway") / "schema" / f"{number:03d}.sql").read_text("utf-8")
        connection.executescript(f"BEGIN;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def unpacked(numbers: str) -> list[tuple[str, int]]:
    """`"district=42 fire-brigade=-7"` → pairs; see schema/001.sql."""
    pairs = [pair.split("=") for pair in numbers.split()]
    return [(name, int(number)) for name, number in pairs]


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


def _row(seq: int, time_ms: int, numbers: str, body: str, private: str | None) -> Row:
    return Row(seq, time_ms, {name: n for name, n in unpacked(numbers) if n > 0}, body, private)


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


def _id_ms(body: str) -> int:
    start = body.index('"id":"') + 6
    return moment_ms(body[start : start + 36])


def put_alarms(connection: sqlite3.Connection, alarms: Iterable[Alarm]) -> None:
    """Write flags; what is normal is deleted."""
    for alarm in alarms:
        if alarm.normal:
            connection.execute("DELETE FROM alarm WHERE device = ? AND type = ? AND part = ?", alarm.key)
        else:
            connection.execute(f"INSERT OR REPLACE INTO alarm VALUES ({_ALARM_MARKS})", astuple(alarm))  # noqa: S608


def read_alarms(connection: sqlite3.Connection) -> list[Alarm]:
    """Every condition that is not normal."""
    found = connection.execute(f"SELECT {_ALARM_COLUMNS} FROM alarm")  # noqa: S608
    return [_alarm(row) for row in found]


def _alarm(row: tuple[str | int, ...]) -> Alarm:
    device, kind, part, identity, severity, *flags = row
    active, acked, confirmed, latched, count, first_ms, last_ms, test = (int(flag) for flag in flags)
    return Alarm(
        str(device), str(kind), str(part), str(identity), Severity(str(severity)),
        bool(active), bool(acked), bool(confirmed), bool(latched), count, first_ms, last_ms, bool(test),
    )  # fmt: skip


def read_cursors(connection: sqlite3.Connection) -> dict[tuple[str, Lane], Cursor]:
    """What each uplink has confirmed."""
    found = connection.execute("SELECT uplink, lane, seq, sequence FROM cursor")
    return {(uplink, Lane(lane)): Cursor(seq, sequence) for uplink, lane, seq, sequence in found}


def put_cursors(connection: sqlite3.Connection, cursors: Mapping[tuple[str, Lane], Cursor]) -> None:
    """Make cursors durable."""
    connection.executemany(
        "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?, ?)",
        [(uplink, lane.value, cursor.seq, cursor.sequence) for (uplink, lane), cursor in cursors.items()],
    )


def read_fact(connection: sqlite3.Connection, name: str) -> str | None:
    """A small durable fact, or None."""
    found = connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
    return None if found is None else str(found[0])


def put_fact(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Remember a small durable fact."""
    connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))
