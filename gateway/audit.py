"""Who did what, when, from where: lines that can only be added, each sealed with the one before (hash chain).

In the store's table `audit` (schema/004.sql), whose triggers refuse to change or delete a line. A line is written
before the thing is done; that it failed is told by a line of its own. The newest seal goes up in the health document,
so that lines which are cut off at the end are missed too.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.clock import Clock, rfc3339
from gateway.store import Store

FIRST_SEAL = "0" * 64  # before the first line
PAGE_LINES = 1000  # read at once


@dataclass(frozen=True)
class By:
    """Who acts, in what role, and from where (contract, section 10: `page`, `cli`, `uplink:NAME`, `rule:NAME`)."""

    who: str
    role: str  # duty, manager, installer, auditor, platform, rule, gateway
    place: str


@dataclass(frozen=True)
class Seal:
    """How many lines there are, and the seal of the last."""

    count: int = 0
    sha256: str = FIRST_SEAL


@dataclass(frozen=True)
class Broken:
    """Where the chain does not hold: the number of the line, and what is wrong: `missing` or `changed`."""

    line: int
    what: str


class Audit:
    """Adds lines. `newest` is the seal of the last one, as far as this run knows."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.newest: Seal | None = None

    async def put(self, by: By, what: str, subject: str, outcome: str = "asked", **more: Any) -> None:
        """`what` is a step (`operator.ack`), a command's action or a word like `login`; StorageError."""
        entry: dict[str, Any] = {
            "time": rfc3339(self._clock.utc()),
            "timequality": self._clock.quality().value,
            "who": by.who,
            "role": by.role,
            "from": by.place,
            "what": what,
            "subject": subject,
            "outcome": outcome,
            **{name: value for name, value in more.items() if value not in (None, "")},
        }
        self.newest = await self._store.transact(partial(add, entry=entry))

    async def load(self) -> None:
        """Reads the newest seal. StorageError."""
        self.newest = await self._store.read(newest)


def add(connection: sqlite3.Connection, entry: dict[str, Any]) -> Seal:
    """One more line; its seal is over the one before and its own text."""
    before = newest(connection)
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    seal = Seal(before.count + 1, _seal(before.sha256, text))
    connection.execute("INSERT INTO audit VALUES (?, ?, ?)", (seal.count, text, seal.sha256))
    return seal


def newest(connection: sqlite3.Connection) -> Seal:
    """Of the last line."""
    found = connection.execute("SELECT n, seal FROM audit ORDER BY n DESC LIMIT 1").fetchone()
    return Seal() if found is None else Seal(*found)


def lines(connection: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
    """Up to `limit` lines with a number above `after`, oldest first; one that is no JSON any more as `{}`."""
    found = connection.execute("SELECT n, entry FROM audit WHERE n > ? ORDER BY n LIMIT ?", (after, limit))
    return [(n, _entry(text)) for n, text in found]


def lines_of(connection: sqlite3.Connection, what: str, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` lines that tell this, oldest first."""
    like = f'%"what":{json.dumps(what, ensure_ascii=False)}%'
    found = connection.execute("SELECT entry FROM audit WHERE entry LIKE ? ORDER BY n DESC LIMIT ?", (like, limit))
    entries = [_entry(text) for (text,) in found]
    return [entry for entry in reversed(entries) if entry.get("what") == what]


def _entry(text: str) -> dict[str, Any]:
    try:
        entry = json.loads(text)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def newest_lines(
    connection: sqlite3.Connection, before: int, limit: int, who: str = ""
) -> list[tuple[int, dict[str, Any]]]:
    """Up to `limit` lines with a number below `before`, the newest first; with `who` only those of that person."""
    like = f'%"who":{json.dumps(who, ensure_ascii=False)}%' if who else "%"
    found = connection.execute(
        "SELECT n, entry FROM audit WHERE n < ? AND entry LIKE ? ORDER BY n DESC LIMIT ?", (before, like, limit)
    )
    told = [(n, _entry(text)) for n, text in found]
    return [(n, entry) for n, entry in told if not who or entry.get("who") == who]


def verify(connection: sqlite3.Connection) -> Iterator[Broken]:
    """Every place where the chain does not hold; none where all of it does."""
    yield from verified(connection, Seal(), -1)[1]


def verified(connection: sqlite3.Connection, after: Seal, limit: int) -> tuple[Seal, list[Broken]]:
    """The same of up to `limit` lines after a seal (-1: all), and the seal of the last of them."""
    number, seal, broken = after.count, after.sha256, list[Broken]()
    query = "SELECT n, entry, seal FROM audit WHERE n > ? ORDER BY n LIMIT ?"
    for n, text, said in connection.execute(query, (number, limit)):
        if n != number + 1:
            broken.append(Broken(number + 1, "missing"))
        elif said != _seal(seal, text):
            broken.append(Broken(n, "changed"))
        number, seal = n, said
    return Seal(number, seal), broken


def _seal(before: str, text: str) -> str:
    return hashlib.sha256(f"{before}{text}".encode("utf-8", "surrogatepass")).hexdigest()
