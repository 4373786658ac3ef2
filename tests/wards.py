"""All that acts on alarms, without devices and uplinks: a real store and pipeline, people's and rules' hands."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.alarms import Alarm, Book
from gateway.audit import Audit, By
from gateway.covers import Covers
from gateway.deeds import Hand, Where
from gateway.duty import Duty
from gateway.event import Phase, Reading
from gateway.identity import Identities
from gateway.normalize import Subject
from gateway.pipeline import Pipeline, Rim
from gateway.store import Store
from tests.fakes import ManualClock
from tests.rig import SOURCE

WANG = By("wang", "duty", "page")
DEVICES = {"smoke-1": "b3/u2", "door-1": "b3", "door-2": "gate"}
GATEWAY = "gw-0001"


@dataclass
class Ward:
    """What acts, and on what."""

    store: Store
    pipeline: Pipeline
    clock: ManualClock
    audit: Audit
    hand: Hand
    duty: Duty
    covers: Covers

    async def tell(self, device: str, kind: str, phase: str = "raise", *, test: bool = False) -> str:
        """A device says something; the event's id."""
        return (await self.pipeline.accept([Reading(device, kind, Phase(phase), test=test)]))[0]

    @property
    def book(self) -> Book:
        """As it stands."""
        return self.pipeline.shown

    def alarm(self, device: str, kind: str) -> Alarm:
        """The one of this condition. AssertionError: it is normal."""
        found = self.book.get((device, kind, ""))
        assert found is not None
        return found

    async def later(self, seconds: float) -> None:
        """Time passes, and what has had its time ends."""
        self.clock.advance(seconds)
        await self.covers.end_due()


@asynccontextmanager
async def ward(
    folder: Path,
    clock: ManualClock | None = None,
    *,
    off_delays_ms: Mapping[str, int] | None = None,
    devices: Mapping[str, str] = DEVICES,
) -> AsyncIterator[Ward]:
    """On `folder/events.db`, with no uplink."""
    clock = clock or ManualClock()
    subjects = {name: Subject(name, SOURCE, "smoke", {"path": place}) for name, place in DEVICES.items()}
    subjects = {name: subjects[name] for name in devices} | {GATEWAY: Subject(GATEWAY, SOURCE, "gateway")}
    async with Store(folder / "events.db", ()) as store:
        rim = Rim(store, clock, subjects, (), GATEWAY, off_delays_ms or {})
        pipeline = Pipeline(rim, Identities(store.database.newest_id_ms))
        await pipeline.load()
        audit = Audit(store, clock)
        hand = Hand(pipeline, audit, clock, Where(GATEWAY, devices, frozenset({"b3", "b3/u2", "gate"})))
        yield Ward(store, pipeline, clock, audit, hand, Duty(hand), Covers(hand))
