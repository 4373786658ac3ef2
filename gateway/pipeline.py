"""The one straight line: a reading comes in, an event stands on disk, its id goes back."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from gateway import normalize, taxonomy
from gateway.alarms import Alarm, Book, Key, Step, Told, cleared, noted, pulsed, raised
from gateway.clock import Clock, TimeQuality
from gateway.database import Draft, forget_alarm, read_alarms
from gateway.errors import StorageError
from gateway.event import Phase, Reading, Severity, nothing, part_key
from gateway.identity import Identities
from gateway.measures import drilled
from gateway.normalize import Stamp, Subject
from gateway.privacy import Policy, addressee
from gateway.store import Store

ESCALATION = "gateway.escalation"
Change = Callable[[Alarm | None, Told], Alarm | None]


@dataclass(frozen=True)
class Taken:
    """What stands on disk now: the reading, what the event says of it, and the alarm it changed."""

    reading: Reading
    id: str
    phase: Phase
    severity: Severity
    test: bool
    alarm: Alarm | None


@dataclass(frozen=True)
class Deed:
    """What a person or a rule did: the event that tells it, and what it changes in the book (`key`'s alarm)."""

    reading: Reading
    key: Key
    change: Change


@dataclass(frozen=True)
class Rim:
    """What the pipeline is built from."""

    store: Store
    clock: Clock
    subjects: Mapping[str, Subject]
    policies: Sequence[Policy]
    gateway: str = ""  # its own id: drills of a place stand under it
    off_delays_ms: Mapping[str, int] = field(default_factory=nothing)  # by type


class Pipeline:
    """accept(readings): normalize → alarms → store, awaited."""

    def __init__(self, rim: Rim, identities: Identities) -> None:
        self._rim = rim
        self._identities = identities
        self._wanted: dict[tuple[str, str], frozenset[str]] = {}  # by type and device
        self.shown = Book()  # the newest book, for whoever only looks
        self._book: Book | None = None  # None: to be read from disk again
        self._epoch = 0  # the store's, when the book was read
        self._loading = asyncio.Lock()
        self.listeners: list[Callable[[Taken], None]] = []  # told of each reading after its commit
        self.refused: list[Callable[[Taken], None]] = []  # told of each that the disk did not take: it comes again

    async def accept(self, readings: Sequence[Reading]) -> list[str]:
        """Returns after the commit, one id per reading, in order. StorageError: none of them was taken in."""
        book = await self.load()
        self._book = None  # whatever breaks in between, it is read again
        drafts = [self._draft(book, reading) for reading in readings]
        self._book = book
        return await self._commit(drafts)

    async def operate(self, *deeds: Deed | Reading) -> list[str]:
        """Take in what was done to alarms, together with their new flags. StorageError: nothing of it was done."""
        book = await self.load()
        self._book = None
        drafts = [self._draft(book, *_parted(deed)) for deed in deeds]
        self._book = book
        return await self._commit(drafts)

    async def forget(self, alarm: Alarm) -> None:
        """One that has rested long enough is no longer remembered. StorageError."""
        await self._rim.store.transact(partial(forget_alarm, alarm=alarm))
        (await self.load()).forget(alarm)

    async def _commit(self, drafts: Sequence[tuple[Taken, Draft]]) -> list[str]:
        try:
            await self._rim.store.append([draft for _, draft in drafts])
        except StorageError:
            for taken, _ in drafts:
                for listener in self.refused:
                    listener(taken)
            with suppress(StorageError):
                await self.load()  # so that `shown` tells no lie for long
            raise
        for taken, _ in drafts:
            for listener in self.listeners:
                listener(taken)
        return [taken.id for taken, _ in drafts]

    async def load(self) -> Book:
        """The alarms as they stand on disk, read again after any error; at once where nothing happened."""
        if self._book is not None and self._epoch == self._rim.store.epoch:
            return self._book
        async with self._loading:
            if self._book is None or self._epoch != self._rim.store.epoch:
                self._book, self._epoch = None, self._rim.store.epoch
                self._book = self.shown = Book(await self._rim.store.transact(read_alarms))
                self._identities.after(self._rim.store.database.newest_id_ms)  # a store may open long after the start
            return self._book

    def _draft(self, book: Book, reading: Reading, deed: Deed | None = None) -> tuple[Taken, Draft]:
        subject = self._rim.subjects[reading.device]
        clock = self._rim.clock
        quality, now = clock.quality(), clock.utc()  # in this order: when it is set in between, the time is right
        taken = (clock.boot, clock.since_boot_s()) if quality is TimeQuality.UNSYNCED else None
        now_ms = int(now.timestamp() * 1000)
        identity = self._identities.next(now_ms)
        severity = _severity(reading, subject)
        key = (reading.device, reading.type, part_key(reading.part) or str(reading.data.get("uplink", "")))
        old = book.recall(key)
        test = reading.test or self._in_drill(book, subject, reading, old)
        told = Told(
            key=key,
            id=identity,
            severity=severity,
            latches=taxonomy.TYPES[reading.type].latches,
            now_ms=now_ms,
            test=test,
            first_of=(book.first_fire(test=test) or identity) if reading.type in taxonomy.FIRES else "",
            off_delay_ms=self._rim.off_delays_ms.get(reading.type, 0),
        )
        if deed is None:
            phase, alarm = _step(old, reading.phase, told)
        else:
            phase, alarm = reading.phase, deed.change(book.get(deed.key), told)
        if alarm is not None:
            book.put(alarm)
        named = alarm.id if alarm is not None and alarm.severity != "info" else None
        stamp = Stamp(identity, now, quality, phase, severity, named)
        draft = Draft(
            lane=taxonomy.lane(reading.type, severity),
            time_ms=now_ms,
            body=normalize.body(subject, reading if reading.test == told.test else replace(reading, test=True), stamp),
            uplinks=self._uplinks(reading, subject, severity),
            private=normalize.private(reading.credential, taken),
            alarm=alarm,
        )
        return Taken(reading, identity, phase, severity, told.test, alarm), draft

    def _in_drill(self, book: Book, subject: Subject, reading: Reading, old: Alarm | None) -> bool:
        """What begins in a drill is a test, and so is its end, whenever that comes; what was real before stays so."""
        if reading.type.startswith("operator."):
            return False
        if old is not None and (reading.phase is Phase.CLEAR or (old.active and not old.test)):
            return old.test
        return drilled(book, subject.id, self._rim.gateway, (subject.place or {}).get("path", ""))

    def _uplinks(self, reading: Reading, subject: Subject, severity: Severity) -> frozenset[str]:
        policies, key = self._rim.policies, (reading.type, reading.device)
        whose = addressee(reading.type, reading.data)
        if whose is not None:
            return frozenset(p.uplink for p in policies if p.uplink == whose)
        if key not in self._wanted:
            place = None if subject.place is None else subject.place["path"]
            self._wanted[key] = frozenset(p.uplink for p in policies if p.wants(reading.type, severity, place))
        wanted = self._wanted[key]
        if reading.type != ESCALATION:
            return wanted
        to = reading.data.get("to")  # whom the responsibility list names hears of it, whatever it gets otherwise
        return wanted | {policy.uplink for policy in policies if policy.uplink == to}


def _parted(deed: Deed | Reading) -> tuple[Reading, Deed | None]:
    return (deed.reading, deed) if isinstance(deed, Deed) else (deed, None)


def _severity(reading: Reading, subject: Subject) -> Severity:
    """The table's; a linkage that failed is an alarm (domain notes, 3.3, 41)."""
    if reading.type == "gateway.action" and reading.data.get("result", "ok") != "ok":
        return Severity.MEDIUM
    return taxonomy.severity(reading.type, subject.fire)


def _step(old: Alarm | None, phase: Phase, told: Told) -> tuple[Phase, Alarm | None]:
    """What a telling makes of an alarm; its beginnings and its end stand in its history."""
    alarm: Alarm | None
    if phase is Phase.PULSE:
        alarm = pulsed(old, told)
    elif phase is Phase.CLEAR:
        alarm = None if old is None else cleared(old, told.now_ms + told.off_delay_ms if told.off_delay_ms else 0)
    else:
        phase, alarm = raised(old, told)
    news = phase is not Phase.STILL and (phase is not Phase.CLEAR or (old is not None and old.active))
    if alarm is None or not news or alarm.severity is Severity.INFO:
        return phase, alarm
    return phase, noted(alarm, Step(told.now_ms, phase.value))
