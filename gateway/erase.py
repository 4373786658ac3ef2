"""Clear card numbers leave the database, synchronously: one person's, or those that are too old; events stay."""

import json
import sqlite3
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from gateway.database import TABLES
from gateway.event import Credential, Lane

PIECE_ROWS = 20_000  # looked through in one transaction: the writer is never held up for long
STORED = (*TABLES.values(), "dead")
_HAS_CARD = "private LIKE '%\"number\":%'"  # normalize.private
Matches = Callable[[Credential], bool]


def _pieces(connection: sqlite3.Connection, table: str, after: int) -> tuple[list[tuple[int, str]], int | None]:
    """(rowid, private) of events with a credential among the next PIECE_ROWS, and where to go on; None: at the end."""
    ends = f"SELECT max(rowid) FROM (SELECT rowid FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?)"  # noqa: S608
    (end,) = connection.execute(ends, (after, PIECE_ROWS)).fetchone()
    if end is None:
        return [], None
    chosen = f"SELECT rowid, private FROM {table} WHERE rowid > ? AND rowid <= ? AND {_HAS_CARD}"  # noqa: S608
    return connection.execute(chosen, (after, end)).fetchall(), end


def seek(
    connection: sqlite3.Connection, table: str, after: int, matches: Matches
) -> tuple[Credential | None, int | None]:
    """The first card among the next events that `matches`, and where to go on; None: at the end."""
    found, end = _pieces(connection, table, after)
    cards = {card_in(private) for _, private in found}
    return next((card for card in cards if matches(card)), None), end


def erase(connection: sqlite3.Connection, table: str, after: int, card: Credential) -> tuple[int, int | None]:
    """How many there were, and where to go on."""
    found, end = _pieces(connection, table, after)
    mine = [(rest(private), rowid) for rowid, private in found if is_of(private, card)]
    connection.executemany(f"UPDATE {table} SET private = ? WHERE rowid = ?", mine)  # noqa: S608
    return len(mine), end


def card_in(private: str) -> Credential:
    """What was presented."""
    told: dict[str, Any] = json.loads(private)
    return Credential(told["format"], told.get("facility", 0), told["number"], told.get("kind", "card"))


def is_of(private: str, card: Credential) -> bool:
    """The same card, in whichever way it was presented."""
    return f'"number":{card.number}' in private and card_in(private).text() == card.text()


def rest(private: str) -> str | None:
    """What stays of it: from what the event's time is put right (normalize.private)."""
    told = {name: value for name, value in json.loads(private).items() if name in ("boot", "at")}
    return json.dumps(told, separators=(",", ":")) if told else None


def clear_old(connection: sqlite3.Connection, lane: Lane, after: int, upto: int, older_ms: int) -> tuple[int, int]:
    """Numbers of events with `after` < seq <= `upto` that were taken in before `older_ms`, a piece at most.

    Returns how many went, and up to which seq none is left.
    """
    table = TABLES[lane]
    chosen = f"SELECT seq, private, time_ms FROM {table} WHERE seq > ? AND seq <= ? AND {_HAS_CARD} ORDER BY seq"  # noqa: S608
    found = connection.execute(f"{chosen} LIMIT ?", (after, upto, PIECE_ROWS)).fetchall()
    old = [(rest(private), seq) for seq, private, _ in takewhile(lambda row: row[2] < older_ms, found)]
    connection.executemany(f"UPDATE {table} SET private = ? WHERE seq = ?", old)  # noqa: S608
    if len(old) == len(found) < PIECE_ROWS:
        return len(old), max(after, upto)
    return len(old), old[-1][1] if old else after
