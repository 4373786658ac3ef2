"""The event path without drivers: a real store and pipeline, and uplinks to real brokers."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway import database
from gateway.audit import Audit
from gateway.clock import Clock, SystemClock
from gateway.commands import Action, Order, Refused, Result, Rules
from gateway.dead import DeadLetters, Room
from gateway.desk import Desk
from gateway.errors import Text
from gateway.event import Phase, Reading, Value
from gateway.identity import Identities
from gateway.mqtt import Target
from gateway.normalize import Subject
from gateway.outbox import Outbox
from gateway.parts import Parts, Plan
from gateway.pipeline import Pipeline, Rim
from gateway.posters import Posters
from gateway.privacy import Policy
from gateway.profiles import BUILT_IN
from gateway.proofs import Proofs
from gateway.retained import Retained
from gateway.store import Store
from gateway.uplink import Uplink, actions

SOURCE = "/310104/013/002/gw-0001"
BASE = f"sc/v1{SOURCE}"
KEY = b"k" * 32


@contextmanager
def refusing(folder: Path, table: str = "alarm_lane") -> Iterator[None]:
    """While the block lasts commits go straight into the tables, and one of these refuses rows."""
    with (
        closing(sqlite3.connect(folder / "events.db", isolation_level=None)) as connection,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(database, "JOURNAL_ROWS", 0)
        connection.execute(f"CREATE TRIGGER full BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no room'); END")
        try:
            yield
        finally:
            connection.execute("DROP TRIGGER full")


async def _nobody_answers(order: Order) -> Result:
    raise Refused("device-offline", Text(order.device, order.device))


@dataclass
class Rig:
    """A store and a pipeline; `uplink()` adds connections."""

    store: Store
    pipeline: Pipeline
    policies: dict[str, Policy]
    clock: Clock
    sessions: int = 0
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    def uplink(
        self, name: str, target: Callable[[str], Target], protocol: str = "auto", devices: Sequence[str] = ()
    ) -> Uplink:
        """An uplink that is not running yet."""

        async def next_session() -> int:
            self.sessions += 1
            return self.sessions

        async def dossier() -> dict[str, object]:
            return {"revision": 1, "sha256": "", "time": ""}

        plan = Plan(
            name=name,
            base=BASE,
            policy=self.policies[name],
            status=lambda state, session: {"state": state, "gateway": "gw-0001", "session": session},
            health=lambda: {"gateway": "gw-0001"},
            dossier=dossier,
            state=lambda device: {"device": device, "online": True, "state": "normal", "alarms": []},
            inbox={},
            devices=tuple(devices),
        )
        log = logging.getLogger(f"tests.{name}")
        outbox, asked = Outbox(self.store, name), dict[str, Action]()
        dead = DeadLetters(name, outbox, Room("gw-0001", self.store, self.pipeline), log)
        rules = Rules(name, BASE, "en", frozenset({"ping", "sync", "resend"}), {"door-1": frozenset({"unlock"})})
        desk = Desk(rules, self.store, self.clock, asked, Audit(self.store, self.clock))
        proofs = Proofs(name, outbox, self.store, self.clock, log)
        posters = Posters(self.store, name, lambda: self.pipeline.shown, lambda _: None)
        parts = Parts(plan, self.store, outbox, Retained(), posters, proofs, dead, desk, self.clock, log)
        uplink = Uplink(parts, target, protocol, next_session)
        asked |= {"unlock": _nobody_answers} | actions(uplink)
        self.store.listeners.append(uplink.grown)
        return uplink

    async def accept(self, kind: str, phase: str = "pulse", device: str = "door-1", **values: float) -> str:
        """Take in one reading; returns the event's id."""
        measured = {name: Value(value) for name, value in values.items()}
        (identity,) = await self.pipeline.accept([Reading(device, kind, Phase(phase), values=measured)])
        return identity


@asynccontextmanager
async def rig(
    folder: Path, *uplinks: str, types: tuple[str, ...] = ("*",), clock: Clock | None = None
) -> AsyncIterator[Rig]:
    """A rig on `folder/events.db` for these uplinks."""
    place = {"path": "b3", "label": "3号楼"}
    subjects = {f"door-{n}": Subject(f"door-{n}", SOURCE, "door", place) for n in range(1, 9)}
    subjects["smoke-1"] = Subject("smoke-1", SOURCE, "smoke", place)
    subjects["gw-0001"] = Subject("gw-0001", SOURCE, "gateway")
    policies = {name: Policy(name, types, BUILT_IN["keyed"], KEY) for name in uplinks}
    clock = clock or SystemClock()
    async with Store(folder / "events.db", uplinks) as store:
        pipeline = Pipeline(
            Rim(store, clock, subjects, tuple(policies.values())), Identities(store.database.newest_id_ms)
        )
        yield Rig(store, pipeline, policies, clock)


@asynccontextmanager
async def running(made: Rig, uplink: Uplink) -> AsyncIterator[Uplink]:
    """The uplink runs while the block lasts, and says good-bye at its end."""
    leaving = asyncio.Event()
    async with uplink.parts.desk:
        task = asyncio.create_task(uplink.run(leaving))
        try:
            yield uplink
        finally:
            leaving.set()
            async with asyncio.timeout(10):
                await task
