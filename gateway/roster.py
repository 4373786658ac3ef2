"""People, sessions, tokens as they stand in the database (schema/005.sql), synchronously."""

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from typing import TypeVar, get_args

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
    """A session on disk."""

    sha256: str
    person: str
    address: str
    began_ms: int
    seen_ms: int


@dataclass(frozen=True, slots=True)
class Token:
    """A machine's. `until_ms` 0: for ever; `used_ms` 0: never."""

    sha256: str
    name: str
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
    """Somebody signed in from an address, last at that time."""

    person: str
    address: str
    time_ms: int


Line = Person | Kept | Token | Visited
L = TypeVar("L", Person, Kept, Token, Visited)
_TABLES: dict[type[Line], str] = dict(zip(get_args(Line), ("person", "session", "token", "visited"), strict=True))


def read(connection: sqlite3.Connection, kind: type[L]) -> list[L]:
    """All there are."""
    names = ", ".join(f.name for f in fields(kind))
    return [kind(*row) for row in connection.execute(f"SELECT {names} FROM {_TABLES[kind]}")]  # noqa: S608


def put(connection: sqlite3.Connection, *lines: Line) -> None:
    """Add or replace."""
    for line in lines:
        marks = ", ".join("?" for _ in fields(line))
        connection.execute(f"INSERT OR REPLACE INTO {_TABLES[type(line)]} VALUES ({marks})", astuple(line))  # noqa: S608


def drop(connection: sqlite3.Connection, kind: type[Line], keys: Iterable[str]) -> None:
    """By what stands first: a person's name, a session's or token's hash; of `Visited` all of a person."""
    key = fields(kind)[0].name
    connection.executemany(f"DELETE FROM {_TABLES[kind]} WHERE {key} = ?", [(each,) for each in keys])  # noqa: S608
