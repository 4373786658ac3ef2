"""What an uplink has set aside, and what it sends once more: rows of the database, synchronously (schema/002.sql)."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.database import TABLES, Row, read_rows, unpacked
from gateway.event import Lane

DEAD_MOST_EVENTS = 1000  # per uplink; older ones go, their numbers have been told as lost
LOOK_ROWS = 5000  # history looked through per read
_DEAD = "seq, sequence, time_ms, body, private"


@dataclass(frozen=True)
class Letter:
    """A dead letter, as it is listed."""

    lane: Lane
    sequence: int
    time_ms: int  # when the event was taken in
    reason: str
    type: str
    id: str


def put_dead(connection: sqlite3.Connection, uplink: str, lane: Lane, row: Row, reason: str) -> int:
    """Set aside; how many letters of the lane there are now."""
    connection.execute(
        "INSERT OR REPLACE INTO dead VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (uplink, lane.value, row.seq, row.numbers[uplink], row.time_ms, reason, row.body, row.private),
    )
    connection.execute(
        "DELETE FROM dead WHERE rowid IN "
        "(SELECT rowid FROM dead WHERE uplink = ? ORDER BY rowid DESC LIMIT -1 OFFSET ?)",
        (uplink, DEAD_MOST_EVENTS),
    )
    return count_dead(connection, uplink)[lane]


def is_dead(connection: sqlite3.Connection, uplink: str, lane: Lane, seq: int) -> bool:
    """Has it been set aside already?"""
    where = "uplink = ? AND lane = ? AND seq = ?"
    return connection.execute(f"SELECT 1 FROM dead WHERE {where}", (uplink, lane.value, seq)).fetchone() is not None  # noqa: S608


def drop_dead(connection: sqlite3.Connection, uplink: str, lane: Lane, seq: int) -> int:
    """It has arrived after all; how many letters of the lane are left."""
    connection.execute("DELETE FROM dead WHERE uplink = ? AND lane = ? AND seq = ?", (uplink, lane.value, seq))
    return count_dead(connection, uplink)[lane]


def drop_oldest_dead(connection: sqlite3.Connection, most_rows: int) -> int:
    """Room is needed: the oldest letters go; how many went."""
    chosen = "SELECT rowid FROM dead ORDER BY rowid LIMIT ?"
    return int(connection.execute(f"DELETE FROM dead WHERE rowid IN ({chosen})", (most_rows,)).rowcount)  # noqa: S608


def count_dead(connection: sqlite3.Connection, uplink: str) -> dict[Lane, int]:
    """Letters by lane; a zero where there is none."""
    found = dict(connection.execute("SELECT lane, count(*) FROM dead WHERE uplink = ? GROUP BY lane", (uplink,)))
    return {lane: int(found.get(lane.value, 0)) for lane in Lane}


def list_dead(connection: sqlite3.Connection, uplink: str) -> list[Letter]:
    """All of an uplink's, the oldest first."""
    found = connection.execute(
        "SELECT lane, sequence, time_ms, reason, body FROM dead WHERE uplink = ? ORDER BY rowid", (uplink,)
    )
    letters = []
    for lane, sequence, time_ms, reason, body in found:
        event: Mapping[str, Any] = json.loads(body)
        letters.append(Letter(Lane(lane), sequence, time_ms, reason, event["type"], event["id"]))
    return letters


def read_again(
    connection: sqlite3.Connection, uplink: str, lane: Lane, after: int, upto: int, limit: int
) -> tuple[list[Row], int]:
    """Up to `limit` events for the uplink with `after` < seq <= `upto`, and the seq up to which there are no more."""
    looked = [row for row in read_rows(connection, lane, after, limit) if row.seq <= upto]
    end = looked[-1].seq if len(looked) == limit else upto
    where = "uplink = ? AND lane = ? AND seq > ? AND seq <= ?"
    dead = connection.execute(f"SELECT {_DEAD} FROM dead WHERE {where}", (uplink, lane.value, after, end))  # noqa: S608
    rows = {
        seq: Row(seq, time_ms, {uplink: sequence}, body, private) for seq, sequence, time_ms, body, private in dead
    } | {row.seq: row for row in looked if uplink in row.numbers}
    return [rows[seq] for seq in sorted(rows)], end


def look_back(connection: sqlite3.Connection, uplink: str, lane: Lane, below: int, first: int) -> list[tuple[int, int]]:
    """(seq, number) of the uplink's events with seq < `below`, newest first, down to number `first`; empty: no more.

    A last pair with the number 0 says that there is more to look through.
    """
    found = connection.execute(
        f"SELECT seq, numbers FROM {TABLES[lane]} WHERE seq < ? ORDER BY seq DESC LIMIT ?",  # noqa: S608
        (below, LOOK_ROWS),
    ).fetchall()
    pairs: list[tuple[int, int]] = []
    for seq, numbers in found:
        number = dict(unpacked(numbers)).get(uplink, 0)
        if number and abs(number) < first:
            return pairs
        if number > 0:
            pairs.append((seq, number))
    return [*pairs, (found[-1][0], 0)] if len(found) == LOOK_ROWS else pairs


def dead_between(
    connection: sqlite3.Connection, uplink: str, lane: Lane, first: int, last: int
) -> list[tuple[int, int]]:
    """(seq, number) of dead letters of these numbers."""
    where = "uplink = ? AND lane = ? AND sequence BETWEEN ? AND ?"
    return connection.execute(
        f"SELECT seq, sequence FROM dead WHERE {where}",  # noqa: S608
        (uplink, lane.value, first, last),
    ).fetchall()


def read_agains(connection: sqlite3.Connection, uplink: str) -> dict[Lane, tuple[int, int]]:
    """(after, upto) by lane, of what is to be sent once more."""
    found = connection.execute("SELECT lane, after, upto FROM again WHERE uplink = ?", (uplink,))
    return {Lane(lane): (after, upto) for lane, after, upto in found}


def put_again(connection: sqlite3.Connection, uplink: str, lane: Lane, after: int, upto: int) -> None:
    """To be sent once more; `after` = `upto`: done."""
    if after < upto:
        connection.execute("INSERT OR REPLACE INTO again VALUES (?, ?, ?, ?)", (uplink, lane.value, after, upto))
    else:
        connection.execute("DELETE FROM again WHERE uplink = ? AND lane = ?", (uplink, lane.value))


class Known(NamedTuple):
    """A command whose id was taken before: its reply, "" while that is not known; whether the same uplink asked."""

    reply: str
    own: bool


def claim(connection: sqlite3.Connection, identity: str, uplink: str, expires_ms: int, forget_ms: int) -> Known | None:
    """Take a command's id, once: None. Known already: what is known of it."""
    connection.execute("DELETE FROM command WHERE expires_ms < ?", (forget_ms,))
    found = connection.execute("SELECT reply, uplink FROM command WHERE id = ?", (identity,)).fetchone()
    if found is not None:
        return Known(str(found[0] or ""), found[1] == uplink)
    connection.execute("INSERT INTO command VALUES (?, ?, ?, NULL)", (identity, uplink, expires_ms))
    return None


def put_reply(connection: sqlite3.Connection, identity: str, reply: str) -> None:
    """What became of a command."""
    connection.execute("UPDATE command SET reply = ? WHERE id = ?", (reply, identity))
