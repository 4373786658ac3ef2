"""The one straight line: a reading comes in, an event stands on disk, its id goes back."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gateway import normalize, taxonomy
from gateway.alarms import Alarm, Book, Told, cleared, pulsed, raised
from gateway.clock import Clock, TimeQuality
from gateway.database import Draft, read_alarms
from gateway.errors import StorageError
from gateway.event import Phase, Reading, part_key
from gateway.identity import Identities
from gateway.normalize import Stamp, Subject
from gateway.privacy import DATA_LOST, Policy
from gateway.store import Store

Changed = Callable[[Reading], None]


@dataclass(frozen=True)
class Rim:
    """What the pipeline is built from."""

    store: Store
    clock: Clock
    subjects: Mapping[str, Subject]
    policies: Sequence[Policy]


class Pipeline:
    """accept(readings): normalize → alarms → store, awaited."""

    def __init__(self, rim: Rim, identities: Identities) -> None:
        self._rim = rim
        self._identities = identities
        self._wanted: dict[str, frozenset[str]] = {}
        self.shown = Book()  # the newest book, for whoever only looks
        self._book: Book | None = None  # None: to be read from disk again
        self._epoch = 0  # the store's, when the book was read
        self._loading = asyncio.Lock()
        self.listeners: list[Changed] = []  # told of each reading after its commit

    async def accept(self, readings: Sequence[Reading]) -> list[str]:
        """Returns after the commit, one id per reading, in order. StorageError: none of them was taken in."""
        book = await self.load()
        self._book = None  # whatever breaks in between, it is read again
        drafts = [self._draft(book, reading) for reading in readings]
        self._book = book
        return await self._commit(readings, drafts)

    async def operate(self, alarm: Alarm, *readings: Reading) -> list[str]:
        """Take in what a person did to an alarm, together with its new flags. StorageError: nothing of it was done."""
        book = await self.load()
        drafts = [self._draft(book, reading, alarm) for reading in readings]
        book.put(alarm)
        return await self._commit(readings, drafts)

    async def _commit(self, readings: Sequence[Reading], drafts: Sequence[tuple[str, Draft]]) -> list[str]:
        try:
            await self._rim.store.append([draft for _, draft in drafts])
        except StorageError:
            with suppress(StorageError):
                await self.load()  # so that `shown` tells no lie for long
            raise
        for reading in readings:
            for listener in self.listeners:
                listener(reading)
        return [identity for identity, _ in drafts]

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

    def _draft(self, book: Book, reading: Reading, operated: Alarm | None = None) -> tuple[str, Draft]:
        subject = self._rim.subjects[reading.device]
        clock = self._rim.clock
        quality, now = clock.quality(), clock.utc()  # in this order: when it is set in between, the time is right
        taken = (clock.boot, clock.since_boot_s()) if quality is TimeQuality.UNSYNCED else None
        now_ms = int(now.timestamp() * 1000)
        identity = self._identities.next(now_ms)
        severity = taxonomy.severity(reading.type, subject.fire)
        told = Told(
            key=(reading.device, reading.type, part_key(reading.part) or str(reading.data.get("uplink", ""))),
            id=identity,
            severity=severity,
            latches=taxonomy.TYPES[reading.type].latches,
            now_ms=now_ms,
            test=reading.test,
        )
        phase, alarm = reading.phase, operated
        if operated is None:
            phase, alarm = _step(book.get(told.key), reading.phase, told)
            if alarm is not None:
                book.put(alarm)
        named = alarm.id if alarm is not None and alarm.severity != "info" else None
        stamp = Stamp(identity, now, quality, phase, severity, named)
        draft = Draft(
            lane=taxonomy.lane(reading.type, severity),
            time_ms=now_ms,
            body=normalize.body(subject, reading, stamp),
            uplinks=self._uplinks(reading),
            private=normalize.private(reading.credential, taken),
            alarm=alarm,
        )
        return identity, draft

    def _uplinks(self, reading: Reading) -> frozenset[str]:
        if reading.type == DATA_LOST:
            whose = str(reading.data["stream"]).partition(".")[0]
            return frozenset(p.uplink for p in self._rim.policies if p.uplink == whose)
        if reading.type not in self._wanted:
            self._wanted[reading.type] = frozenset(p.uplink for p in self._rim.policies if p.wants(reading.type))
        return self._wanted[reading.type]


def _step(old: Alarm | None, phase: Phase, told: Told) -> tuple[Phase, Alarm | None]:
    if phase is Phase.PULSE:
        return phase, pulsed(old, told)
    if phase is Phase.CLEAR:
        return phase, None if old is None else cleared(old)
    return raised(old, told)
