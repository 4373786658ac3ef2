"""People, sessions, tokens as they stand in the database (schema/005.sql), synchronously. Times are ms since 1970."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TypeVar

from gateway.clock import Clock
from gateway.rights import RIGHTS, ROLES, Right, Role


@dataclass(frozen=True, slots=True)
class Person:
    """Who may sign in. `password`: argon2id; `seen_ms`: of the last sign-in, 0 for none."""

    name: str
    shown: str
    role: Role
    password: str
    made_ms: int
    seen_ms: int = 0

    @property
    def rights(self) -> frozenset[Right]:
        """By the role; none where this program does not know it."""
        return ROLES.get(self.role, frozenset())


@dataclass(frozen=True, slots=True)
class Kept:
    """A session on disk; its name is the SHA-256 of its token."""

    name: str
    person: str
    address: str
    began_ms: int
    seen_ms: int


@dataclass(frozen=True, slots=True)
class Token:
    """A machine's; its name is its SHA-256. `until_ms` 0: for ever; `used_ms` 0: never."""

    name: str
    shown: str
    scopes: str
    made_by: str
    made_ms: int
    used_ms: int = 0
    until_ms: int = 0

    @property
    def rights(self) -> frozenset[Right]:
        """Of its scopes those that this program knows."""
        named = self.scopes.split()
        return frozenset(right for right in RIGHTS if right in named)


@dataclass(frozen=True, slots=True)
class Visited:
    """Somebody signed in from an address, last at that time; its name is `PERSON ADDRESS`."""

    name: str
    time_ms: int


Line = Person | Kept | Token | Visited
L = TypeVar("L", Person, Kept, Token, Visited)
_KINDS: dict[type[Line], str] = {Person: "person", Kept: "session", Token: "token", Visited: "visited"}


def now_ms(clock: Clock) -> int:
    """Wall time."""
    return int(clock.utc().timestamp() * 1000)


def read(connection: sqlite3.Connection, kind: type[L]) -> list[L]:
    """All there are; what is none any more, of a damaged file, is left out."""
    found: list[L] = []
    for (line,) in connection.execute("SELECT line FROM roster WHERE kind = ?", (_KINDS[kind],)):
        with suppress(ValueError, TypeError):
            found.append(kind(**json.loads(line)))
    return found


def put(connection: sqlite3.Connection, *lines: Line) -> None:
    """Add or replace."""
    rows = [(_KINDS[type(line)], line.name, json.dumps(asdict(line), ensure_ascii=False)) for line in lines]
    connection.executemany("INSERT OR REPLACE INTO roster VALUES (?, ?, ?)", rows)


def sign_out(connection: sqlite3.Connection) -> None:
    """Nobody has a session any more: whoever was signed out, or given another password, since a backup stays so."""
    connection.execute("DELETE FROM roster WHERE kind = ?", (_KINDS[Kept],))


def drop(connection: sqlite3.Connection, kind: type[Line], names: Iterable[str]) -> None:
    """Of these names."""
    connection.executemany("DELETE FROM roster WHERE kind = ? AND name = ?", [(_KINDS[kind], name) for name in names])
