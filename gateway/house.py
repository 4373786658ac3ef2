"""The running gateway as those see it who ask: questions, and the few things that one may do."""

import asyncio
import hmac
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gateway import health, taxonomy
from gateway.alarms import Alarm
from gateway.alarmview import describe, moment
from gateway.audit import Audit, By
from gateway.callout import Callout
from gateway.commands import Action, resent
from gateway.config import Config
from gateway.covers import Covers
from gateway.database import Row, read_newest
from gateway.deeds import NotFound
from gateway.disclosure import Public
from gateway.dossiers import Dossiers
from gateway.driver import Answer, Posted
from gateway.duty import Duty
from gateway.errors import Text
from gateway.event import Lane
from gateway.fields import DeviceConfig
from gateway.forget import Forgetting
from gateway.groups import Flood, Spot, grouped
from gateway.health import Vitals
from gateway.identity import moment_ms
from gateway.incidents import Incidents
from gateway.ledger import Ledger
from gateway.letters import Letter, list_dead
from gateway.linkage import Linkage
from gateway.moves import Moves
from gateway.notices import Notices
from gateway.people import People
from gateway.pictures import Pictures
from gateway.pipeline import Pipeline
from gateway.plans import Plans
from gateway.renewal import Renewal
from gateway.reporting import Reporting
from gateway.signin import SignIn
from gateway.site import Site
from gateway.store import Store
from gateway.supervisor import Supervisor
from gateway.timekeeper import Timekeeper
from gateway.uplink import Uplink

SCAN_ROWS = 500  # rows looked at per read while filtering


@dataclass(frozen=True)
class Filter:
    """Which events: patterns of types, devices, not before `since_ms` (ms since 1970). Empty takes all."""

    types: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    since_ms: int = 0

    def takes(self, event: Mapping[str, Any]) -> bool:
        """Is it one of them?"""
        kind, subject = event["type"], event["subject"]
        typed = not self.types or any(taxonomy.matches(pattern, kind) for pattern in self.types)
        return typed and (not self.devices or subject in self.devices)


@dataclass
class Ending:
    """The daemon's end, where its own parts ask for it."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    again: bool = False  # and then it starts anew

    def restart(self) -> None:
        """End as always, and start anew in the same process."""
        self.again = True
        self.asked.set()


@dataclass
class House:
    """All running parts; `app.py` puts them together."""

    config: Config
    site: Site
    store: Store
    pipeline: Pipeline
    supervisor: Supervisor
    uplinks: list[Uplink]
    vitals: Vitals
    timekeeper: Timekeeper
    audit: Audit
    duty: Duty
    covers: Covers
    incidents: Incidents
    notices: Notices
    dossiers: Dossiers
    callout: Callout
    pictures: Pictures
    linkage: Linkage
    moves: Moves
    ledger: Ledger = field(init=False)  # what left the box
    public: Public = field(init=False)
    forgetting: Forgetting = field(init=False)
    reporting: Reporting = field(init=False)
    people: People = field(init=False)  # who may use the page
    signin: SignIn = field(init=False)
    plans: Plans = field(init=False)  # floor plans, and where devices stand on them
    spots: dict[str, Spot] = field(default_factory=dict)  # by device
    flood: Flood = field(default_factory=Flood)
    errands: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)  # what runs beside, for ever
    actions: dict[str, Action] = field(default_factory=dict)  # what devices and the gateway can be asked for, by name
    renewal: Renewal | None = None  # None: the configuration is what it is
    ending: Ending = field(default_factory=Ending)

    @property
    def language(self) -> str:
        """As configured."""
        return self.config.gateway.language

    def ready(self) -> bool:
        """The disk takes what comes in."""
        return self.store.failing is None

    def health(self) -> dict[str, Any]:
        """The health document, of all uplinks."""
        return health.document(self.vitals, self.uplinks, self.supervisor.lines)

    def verdict(self) -> dict[str, Any]:
        """One word for everything, and since when there is a condition behind it."""
        word = health.verdict(self.vitals, self.pipeline.shown, self.uplinks)
        began_ms = health.since_ms(self.vitals, self.pipeline.shown, word)
        flood = self.flood.alarms(self.pipeline.shown, self.vitals.clock.utc().timestamp() * 1000)
        more = {"since": None if began_ms is None else moment(began_ms), "flood": flood}
        return {"word": word} | {name: value for name, value in more.items() if value}

    def devices(self) -> list[dict[str, Any]]:
        """Every device's state document, with its label, place, building, kind and driver."""
        return [self._device(device) for line in self.supervisor.lines for device in line.line.devices]

    def _device(self, device: DeviceConfig) -> dict[str, Any]:
        place = self.site.place(device.place)
        return self.vitals.states.document(device.id, self.pipeline.shown) | {
            "label": device.name or device.id,
            "place": place.path,
            "place_label": place.label,
            "building": self.site.place(place.path.partition("/")[0]).label,
            "kind": self.site.kind(device.id),
            "driver": device.driver,
        }

    def alarms(self) -> list[dict[str, Any]]:
        """Alarms that are not normal, the oldest first; those of one cause with their group."""
        listed = sorted((a for a in self.pipeline.shown if a.severity != "info"), key=lambda alarm: alarm.id)
        groups = grouped(listed, self.spots)
        mine = {key: group.shown(alarm) for alarm in listed if (group := groups.get(key := alarm.key))}
        return [self.alarm(a) | ({"group": mine[a.key]} if a.key in mine else {}) for a in listed]

    async def outbox(self) -> dict[str, Any]:
        """What each uplink owes, and the letters it has set aside."""
        told = dict(self.health()["uplinks"])
        for name, shown in told.items():
            letters = await self.store.read(partial(list_dead, uplink=name))
            shown["dead"] = [_letter(name, letter) for letter in letters]
        return told

    async def resend(self, stream: str, first: int, last: int | None) -> dict[str, Any]:
        """Numbers of a stream once more, as far as they are kept; what is not is told. NotFound, StorageError."""
        name, _, lane = stream.rpartition(".")
        for uplink in self.uplinks:
            if uplink.name == name and lane in set(Lane):
                return resent(stream, await uplink.resend(Lane(lane), first, last))
        streams = ", ".join(f"{uplink.name}.{lane}" for uplink in self.uplinks for lane in Lane)
        raise NotFound(
            stream, Text("there is no such stream", "没有这个流"), Text(f"there are: {streams}", f"可用的流:{streams}")
        )

    async def ingest(self, device: str, token: str, posted: Posted) -> Answer:
        """A device's post: 404 where nobody takes it, 401 where the token is not its own."""
        found = self.supervisor.board.intakes.get(device)
        if found is None:
            return Answer(404, {})
        expected, intake = found
        if not hmac.compare_digest(expected.encode(), token.encode()):
            return Answer(401, {})
        return await intake(posted)

    # events

    async def events(self, wanted: Filter, limit: int) -> list[dict[str, Any]]:
        """The newest `limit` events that the filter takes, oldest first."""
        found: list[dict[str, Any]] = []
        for lane in Lane:
            found += await self._newest(lane, wanted, limit)
        found.sort(key=lambda event: str(event["id"]))
        return found[-limit:]

    async def _newest(self, lane: Lane, wanted: Filter, limit: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        before = self.store.last[lane] + 1
        while len(found) < limit:
            rows = await self.store.read(lambda c, before=before: read_newest(c, lane, before, SCAN_ROWS))  # type: ignore[misc]
            events = [_event(lane, row) for row in rows if row.time_ms >= wanted.since_ms]
            found += [event for event in events if wanted.takes(event)]
            # an event's time may lie before that of an older one, where the clock was set; its id's never does
            if len(rows) < SCAN_ROWS or moment_ms(_event(lane, rows[-1])["id"]) < wanted.since_ms:
                break
            before = rows[-1].seq
        return found[:limit]

    async def follow(self, wanted: Filter) -> AsyncGenerator[dict[str, Any], None]:
        """Events as they are taken in, from now on."""
        grown = asyncio.Event()
        seen = dict(self.store.last)

        def listener(_lane: Lane) -> None:
            grown.set()

        self.store.listeners.append(listener)
        try:
            while True:
                await grown.wait()
                grown.clear()
                for lane in Lane:
                    rows = await self.store.rows(lane, seen[lane], SCAN_ROWS)
                    if len(rows) == SCAN_ROWS:
                        grown.set()  # there may be more; what is not committed yet is told when it is
                    for row in rows:
                        seen[lane] = row.seq
                        if wanted.takes(event := _event(lane, row)):
                            yield event
        finally:
            with suppress(ValueError):
                self.store.listeners.remove(listener)

    # what a person may do

    async def acknowledge(self, alarm_id: str, by: By, outcome: str | None, note: str | None) -> dict[str, Any]:
        """A person has seen an alarm, and says what it was where `outcome` is given. NotFound, StorageError."""
        if outcome is None:
            alarm = await self.duty.acknowledge(alarm_id, by, note)
        else:
            alarm = await self.duty.dispose(alarm_id, by, outcome, note=note)
        return self.alarm(alarm)

    def alarm(self, alarm: Alarm) -> dict[str, Any]:
        """As the page and the command line show it."""
        book = self.pipeline.shown
        proofs = {uplink.name: uplink.parts.proofs.shown(alarm.id) for uplink in self.uplinks}
        delivery = {name: proof for name, proof in proofs.items() if proof}
        shown = {"part": "", **describe(alarm, book), **self.callout.shown(alarm, book)}
        return shown | ({"delivery": delivery} if delivery else {})


def _event(lane: Lane, row: Row) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(row.body)
    event["streams"] = {f"{uplink}.{lane.value}": f"{number:016d}" for uplink, number in row.numbers.items()}
    return event


def _letter(uplink: str, letter: Letter) -> dict[str, Any]:
    return {
        "stream": f"{uplink}.{letter.lane.value}",
        "sequence": f"{letter.sequence:016d}",
        "id": letter.id,
        "type": letter.type,
        "time": moment(letter.time_ms),
        "reason": letter.reason,
    }
