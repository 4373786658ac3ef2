"""The platform's cases (案卷) on disk: each as it came, beside what was done here (contract, sections 2 and 5)."""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gateway import feedback
from gateway.clock import Clock
from gateway.deeds import NotFound
from gateway.errors import BadInput, Text
from gateway.feedback import INCIDENT_BYTES, Incident
from gateway.packets import Message
from gateway.store import Store

MOST = 500  # cases of one uplink
UNDER_WAY = frozenset({"accepted", "dispatched", "returned", "handling", "not-passed"})  # here something is to be done
DONE = frozenset({"rejected", "verified", "closed", "void"})
REFUSED = frozenset({"returned", "not-passed"})
Key = tuple[str, str]  # uplink, id
_LOG = logging.getLogger("gateway.incidents")


class Mine(BaseModel):
    """What was done here about a case. Times are RFC 3339; `on` is the `time` of the platform's step it was done on."""

    model_config = ConfigDict(frozen=True)
    step: Literal["", "handling", "handled"] = ""
    time: str = ""
    on: str = ""
    who: str = ""
    note: str = ""
    picture: str = ""
    overdue: str = ""  # the `due` that was told as overdue
    answered: str = ""  # the `time` of the `handled` that was answered with the evidence
    told: dict[str, int] = {}  # evidence that was told: back to normal since, ms since 1970


@dataclass(frozen=True)
class Case:
    """One incident: from which uplink, as it came, as it is read, and what was done here."""

    uplink: str
    document: str
    told: Incident
    mine: Mine
    changed_ms: int

    @property
    def key(self) -> tuple[str, str]:
        """What there is one of: two uplinks may use the same id."""
        return self.uplink, self.told.incident

    @property
    def step(self) -> str:
        """Where it stands: as the platform says, or further, where it has not yet taken in what was done here."""
        theirs, mine = self.told.step, self.mine.step
        return mine if mine and theirs in UNDER_WAY else theirs

    @property
    def due(self) -> datetime | None:
        """Until when something is to be done here; None where nothing is."""
        waits = self.told.due is not None and self.step in UNDER_WAY
        return feedback.moment_of(str(self.told.due)) if waits else None


def renewed(old: Case | None, told: Incident) -> Mine:
    """What stays of what was done here when the platform moves the case; sent back, it begins anew."""
    if old is None:
        return Mine()
    moved = told.step != old.told.step
    anew = (told.step in REFUSED and (moved or told.time != old.mine.on)) or (told.step == "dispatched" and moved)
    begun = old.told.step in ("reported", "accepted", "dispatched") and told.step == "dispatched"
    if not anew or begun:
        return old.mine
    return Mine(overdue=old.mine.overdue, answered=old.mine.answered, told=old.mine.told)


class Casebook:
    """All cases. `hearing(uplink)` takes them in."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._cases: dict[Key, Case] | None = None
        self.lock = asyncio.Lock()  # held from reading a case to keeping it

    async def load(self) -> dict[tuple[str, str], Case]:
        """As they stand on disk; read once. StorageError."""
        if self._cases is None:
            found = await self._store.read(_cases)
            if self._cases is None:
                self._cases = {case.key: case for case in found}
        return self._cases

    def hearing(self, uplink: str) -> Callable[[Message], Awaitable[None]]:
        """What an uplink's inbox calls."""
        return partial(self._hear, uplink)

    async def _hear(self, uplink: str, message: Message) -> None:
        """StorageError: it is heard again."""
        async with self.lock:
            await self._take(uplink, message)

    async def _take(self, uplink: str, message: Message) -> None:
        cases = await self.load()
        try:
            name, told = feedback.read(Incident, message.topic, message.payload, INCIDENT_BYTES)
            old = cases.get((uplink, name))
            if told is None:
                if old is not None:
                    await self._store.transact(partial(_drop, key=old.key))
                    cases.pop(old.key, None)
                return
            text = message.payload.decode()
            if old is not None and old.document == text:
                return
            if old is None:
                await self._make_room(uplink, cases)
        except BadInput as error:
            _LOG.warning("%s: %s", uplink, error)
            return
        await self.keep(Case(uplink, text, told, renewed(old, told), int(self._clock.utc().timestamp() * 1000)))

    async def _make_room(self, uplink: str, cases: dict[tuple[str, str], Case]) -> None:
        """The oldest that is over goes. BadInput: none is."""
        own = [case for case in cases.values() if case.uplink == uplink]
        if len(own) < MOST:
            return
        over = min((case for case in own if case.told.step in DONE), key=lambda case: case.changed_ms, default=None)
        if over is None:
            what = Text(f"{MOST} incidents are open already", f"未结案的案卷已达 {MOST} 件")
            raise BadInput(uplink, what, Text("close some of them first", "请先结案一部分"))
        await self._store.transact(partial(_drop, key=over.key))
        cases.pop(over.key, None)

    async def keep(self, case: Case) -> Case:
        cases = await self.load()
        await self._store.transact(partial(_put, case=case))
        cases[case.key] = case
        return case

    async def find(self, incident: str) -> Case:
        """By its id, or UPLINK/ID where two uplinks use the same. NotFound."""
        cases = (await self.load()).values()
        found = [case for case in cases if incident in (case.told.incident, "/".join(case.key))]
        if len(found) == 1:
            return found[0]
        what = Text("there is no such incident", "没有这个案卷")
        if found:
            names = ", ".join("/".join(case.key) for case in found)
            what = Text(f"there are several: {names}", f"不止一个:{names}")
        raise NotFound(incident, what, Text("`gateway incidents` lists them", "用 gateway incidents 查看"))


def _cases(connection: sqlite3.Connection) -> list[Case]:
    rows = connection.execute("SELECT id, uplink, document, mine, changed_ms FROM incident").fetchall()
    found = []
    for name, uplink, document, mine, changed_ms in rows:
        try:
            _, told = feedback.read(Incident, name, document.encode(), INCIDENT_BYTES)
            if told is not None:
                found.append(Case(uplink, document, told, Mine.model_validate_json(mine), changed_ms))
        except (BadInput, ValueError) as error:  # as a salvage or an earlier version left it
            _LOG.warning("incident %s of %s cannot be read any more: %s", name, uplink, error)
    return found


def _put(connection: sqlite3.Connection, case: Case) -> None:
    row = (case.told.incident, case.uplink, case.document, case.mine.model_dump_json(), case.changed_ms)
    connection.execute("INSERT OR REPLACE INTO incident VALUES (?, ?, ?, ?, ?)", row)


def _drop(connection: sqlite3.Connection, key: tuple[str, str]) -> None:
    connection.execute("DELETE FROM incident WHERE uplink = ? AND id = ?", key)
