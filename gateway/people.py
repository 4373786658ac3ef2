"""Who may use the page: people, machines, and the code by which the first of them is made (decision 0019).

All of it is in memory, so that to know a visitor costs nothing; what changes is on disk before it counts. `load()` must
have read it: until then nobody is known, and nothing may be concluded from that.
"""

import asyncio
import re
import sqlite3
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gateway.audit import Audit, By
from gateway.clock import Clock
from gateway.deeds import NotFound
from gateway.errors import GatewayError, StorageError, Text
from gateway.lockout import Lockout, neighbourhood
from gateway.passwords import Passwords, complaint
from gateway.rights import ROLES, Right, Role
from gateway.roster import Kept, Person, Token, Visited, drop, now_ms, put, read
from gateway.sessions import Sessions
from gateway.setupcode import SetupCode
from gateway.store import Store
from gateway.tokens import Tokens

HOME_S = 30 * 86400.0  # an address from where somebody signed in within that time is one of theirs
MOST_SHOWN_CHARS = 40
MOST_PEOPLE = 200
_NAME = re.compile(r"[\w.-]{1,32}")


class NotSo(GatewayError):
    """A person cannot be made or changed so."""


@dataclass(frozen=True)
class Rim:
    """What people are built from. `folder`: the state folder; `address`: where the page is to be found."""

    store: Store
    clock: Clock
    audit: Audit
    gateway: str
    folder: Path
    address: str = ""


def folded(name: str) -> str:
    """A sign-in name as it counts: `Wang ` is `wang`."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


class People:
    """The people, and what belongs to them. All changes are audited, and raise NotSo, NotFound, StorageError."""

    def __init__(self, rim: Rim, passwords: Passwords | None = None) -> None:
        self.rim = rim
        self.passwords = passwords or Passwords()
        self.sessions = Sessions(rim.store, rim.clock)
        self.tokens = Tokens(rim.store, rim.clock)
        self.lockout = Lockout(rim.clock.monotonic)
        self.code = SetupCode(rim.folder, rim.gateway, rim.address)
        self._people: dict[str, Person] = {}
        self._homes: dict[str, int] = {}  # `PERSON ADDRESS` → ms since 1970
        self._loaded = False
        self._turn = asyncio.Lock()  # of whoever changes somebody: nobody writes back what another has just changed

    async def load(self) -> None:
        """As it stands on disk, once. StorageError."""
        if self._loaded:
            return
        try:
            found = await self.rim.store.read(_read_all)  # a full disk keeps nobody out
        except StorageError:
            found = await self.rim.store.transact(_read_all)  # the first use of a new version changes the tables
        people, kept, tokens, visited = found
        if not self._loaded:
            self._people = {person.name: person for person in people}
            self._homes = {home.name: home.time_ms for home in visited}
            self.sessions.load(kept)
            self.tokens.load(tokens)
            self._loaded = True

    @property
    def anybody(self) -> bool:
        """Somebody has an account."""
        return bool(self._people)

    def list(self) -> Sequence[Person]:
        """In order of their role's weight, then of their names."""
        order = tuple(ROLES)
        return sorted(self._people.values(), key=lambda person: (-order.index(person.role), person.shown))

    def get(self, name: str) -> Person | None:
        """By the sign-in name."""
        return self._people.get(folded(name))

    async def add(self, by: By, name: str, shown: str, role: Role, password: str) -> Person:
        """A new person."""
        await self.load()
        name, shown = folded(name), " ".join(shown.split()) or name.strip()
        _check(name, shown, password, self._people.values())
        person = Person(name, shown, role, await self.passwords.hash(password), now_ms(self.rim.clock))
        if name in self._people:  # somebody was as quick
            raise _taken(name)
        self._people[name] = person  # nobody else may take it meanwhile
        try:
            await self.rim.audit.put(by, "person.add", name, role=role, name=shown)
            await self.rim.store.transact(lambda connection: put(connection, person))
        except BaseException:
            del self._people[name]
            raise
        self.code.forget()
        return person

    async def set_password(self, by: By, name: str, password: str) -> None:
        """Another one; whoever is signed in by the old one is so no more."""
        person = self._known(name)
        _check_password(password, person.name, person.shown)
        await self.rim.audit.put(by, "person.password", person.name)
        hashed = await self.passwords.hash(password)
        async with self._turn:
            await self._keep(replace(self._known(name), password=hashed))
            await self.sessions.end(*self.sessions.of(person.name))
        self.lockout.unlock(person.name)

    async def set_role(self, by: By, name: str, role: Role) -> None:
        """From their next step on."""
        async with self._turn:
            person = self._known(name)
            if role != "installer":
                _refuse_last(person, self._people.values())
            await self.rim.audit.put(by, "person.role", person.name, role=role)
            await self._keep(replace(person, role=role))

    async def remove(self, by: By, name: str) -> None:
        """They are signed out at once."""
        async with self._turn:
            person = self._known(name)
            _refuse_last(person, self._people.values())
            await self.rim.audit.put(by, "person.remove", person.name, role=person.role, name=person.shown)
            await self.sessions.end(*self.sessions.of(person.name))
            homes = [home for home in self._homes if home.startswith(f"{person.name} ")]
            await self.rim.store.transact(partial(_forget, person=person.name, homes=homes))
            self._people.pop(person.name, None)
            for home in homes:
                self._homes.pop(home, None)
            await self.sessions.end(*self.sessions.of(person.name))  # one that began meanwhile

    async def unlock(self, by: By, name: str) -> bool:
        """Wrong passwords given so far are forgotten. Was the account locked?"""
        person = self._known(name)
        await self.rim.audit.put(by, "person.unlock", person.name)
        return self.lockout.unlock(person.name)

    def at_home(self, name: str, address: str) -> bool:
        """Somebody has signed in to this account from there, not long ago."""
        at_ms = self._homes.get(f"{name} {neighbourhood(address)}", 0)
        return at_ms > now_ms(self.rim.clock) - HOME_S * 1000

    async def came(self, person: Person, address: str) -> None:
        """They have signed in from there. StorageError: it is not remembered over a restart."""
        home = Visited(f"{person.name} {neighbourhood(address)}", now_ms(self.rim.clock))
        async with self._turn:
            now = self._people.get(person.name)
            if now is not None:
                self._homes[home.name] = home.time_ms
                await self._keep(replace(now, seen_ms=home.time_ms), home)

    async def _keep(self, person: Person, *more: Visited) -> None:
        await self.rim.store.transact(lambda connection: put(connection, person, *more))
        self._people[person.name] = person

    def _known(self, name: str) -> Person:
        person = self.get(name)
        if person is None:
            raise NotFound(name, Text("there is no such person", "没有这个人员"))
        return person


def _read_all(connection: sqlite3.Connection) -> tuple[list[Person], list[Kept], list[Token], list[Visited]]:
    return read(connection, Person), read(connection, Kept), read(connection, Token), read(connection, Visited)


def _forget(connection: sqlite3.Connection, person: str, homes: Sequence[str]) -> None:
    drop(connection, Person, [person])
    drop(connection, Visited, homes)


def may_give(mine: frozenset[Right], wanted: frozenset[Right]) -> bool:
    """Nobody gives more than they have; that a machine reads figures (`metrics`) is no more than to see."""
    return wanted - {"metrics"} <= mine


def _check(name: str, shown: str, password: str, others: Collection[Person]) -> None:
    if not _NAME.fullmatch(name):
        en, zh = "a sign-in name has 1 to 32 letters, digits, dots or dashes", "登录名为 1 至 32 个字母、数字、点或横线"
        raise NotSo("name", Text(en, zh))
    if len(shown) > MOST_SHOWN_CHARS or not shown.isprintable():
        raise NotSo("shown", Text("a name has 40 characters at most", "姓名最多 40 个字符"))
    if any(name == other.name or shown == other.shown for other in others):
        raise _taken(name)
    if len(others) >= MOST_PEOPLE:
        raise NotSo("name", Text("there are 200 people already", "已有 200 个账号"))
    _check_password(password, name, shown)


def _refuse_last(person: Person, everybody: Collection[Person]) -> None:
    if [each for each in everybody if each.role == "installer"] == [person]:
        what = Text("this is the only installer: nobody could configure any more", "这是唯一的安装员,必须保留")
        raise NotSo(person.name, what, Text("make another one first", "请先添加另一名安装员"))


def _check_password(password: str, *names: str) -> None:
    why = complaint(password, *names)
    if why is not None:
        raise NotSo("password", why, Text("a short sentence does well", "可以使用一句容易记住的话"))


def _taken(name: str) -> NotSo:
    return NotSo(name, Text("somebody has this name already", "此登录名或姓名已被使用"))
