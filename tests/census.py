"""People without a whole house: a store, a clock that a test moves, hashes that cost next to nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.audit import Audit, By, lines
from gateway.identity import Identities
from gateway.normalize import Subject
from gateway.passwords import Cost, Passwords
from gateway.people import People, Rim
from gateway.pipeline import Pipeline
from gateway.pipeline import Rim as PipelineRim
from gateway.signin import SignIn
from gateway.store import Store
from tests.fakes import ManualClock

GATEWAY = "gw-0001"
PASSWORD = "gate house at night"
CHEAP = Cost(memory_kib=8, passes_count=1)
INSTALLER = By("李工", "installer", "page")


@dataclass
class Census:
    """All of it."""

    people: People
    signin: SignIn
    pipeline: Pipeline
    clock: ManualClock
    store: Store

    async def audited(self) -> list[dict[str, Any]]:
        """What the log says, oldest first."""
        return [entry for _, entry in await self.store.read(lambda connection: lines(connection, 0, 1000))]

    def locks(self) -> list[str]:
        """Which locks are told and not over."""
        return [alarm.part for alarm in self.pipeline.shown if alarm.type == "access.lockout" and alarm.active]


@asynccontextmanager
async def census(folder: Path) -> AsyncIterator[Census]:
    """As after a start; the folder is the state folder."""
    clock = ManualClock()
    async with Store(folder / "events.db", ()) as store:
        audit = Audit(store, clock)
        people = People(Rim(store, clock, audit, GATEWAY, folder, "http://gw/setup"), Passwords(CHEAP))
        subjects = {GATEWAY: Subject(GATEWAY, f"/x/{GATEWAY}", "gateway")}
        pipeline = Pipeline(PipelineRim(store, clock, subjects, ()), Identities())
        await people.load()
        yield Census(people, SignIn(people, pipeline, b"key"), pipeline, clock, store)


def on_disk(folder: Path) -> bytes:
    """All that stands there."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())
