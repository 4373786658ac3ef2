"""One ISAPI device as the gateway knows it: what it has told, and how far. (An underscore: no driver.)

Whatever way it tells (stream, push, its memory), all of it comes through here one after the other. What is taken is
counted as told only when it is on disk; the count is then kept for the run after.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from drivers import _alert
from drivers._conditions import Conditions
from drivers._isapi_access import Record, historical, of_alert, of_memory
from drivers._isapi_config import Config
from drivers._isapi_ledger import Ledger, Standing
from drivers._isapi_notebook import Notebook
from drivers._isapi_sightings import TYPES_OF, UNMAPPED, sightings, unreadable
from gateway.driver import Link
from gateway.errors import BadInput, StorageError
from gateway.event import Phase, Reading, part_key

Key = tuple[str, str | None]
BY_SILENCE = frozenset(type for type, _ in TYPES_OF.values())  # conditions whose end a camera may never tell


class Desk:
    """Of one device."""

    def __init__(self, config: Config, link: Link) -> None:
        self.config = config
        self.book = Notebook(config.id, link)
        self.repeats = 0  # records that came again
        self._link = link
        self._conditions = Conditions()
        self._turn = asyncio.Lock()

    def recall(self) -> None:
        """What is open on disk, and how far the records were told by the run before. StorageError."""
        self.book.recall()
        ours = [key for key in self._link.active(self.config.id) if self._ends_by_silence(*key)]
        self._conditions.restore(self.config.id, ours, self.config.clear_after, self._now())

    def _ends_by_silence(self, type: str, part: str | None) -> bool:
        """A door controller's records tell the end themselves; a camera's notifications may not."""
        if part is not None and part.startswith("input-"):
            return self.book.ledger.last is None
        return type in BY_SILENCE and (part is None or part.startswith("channel-"))

    # --- what it tells

    async def take(self, bodies: Iterable[bytes]) -> None:
        """Notifications as they came. StorageError: nothing of them was accepted."""
        async with self._turn:
            await self._take(list(bodies))

    async def _take(self, bodies: Sequence[bytes]) -> None:
        ledger, conditions, active = self.book.ledger.copy(), self._conditions.copy(), self._active()
        told: list[Reading] = []
        for body in bodies:
            try:
                alert = _alert.parse(self.config.id, body)
                record = of_alert(self.config, alert)
                seen = sightings(self.config, alert)
            except BadInput as error:
                self.book.say(error.what)
                record, seen = None, [unreadable(self.config, body)]
            if record is not None:
                told += self._recorded(ledger, record, active, stored=False)
            news = (conditions.see(sighting, self._now()) for sighting in seen)
            told += [reading for reading in news if reading is not None]
        await self._commit(told, ledger, conditions)

    async def take_memory(self, entries: Iterable[Mapping[str, Any]], *, late: int) -> None:
        """Entries of the device's memory; the first `late` of them are of an outage, and marked so.

        StorageError: nothing of them was accepted.
        """
        async with self._turn:
            ledger, active = self.book.ledger.copy(), self._active()
            told: list[Reading] = []
            for place, entry in enumerate(entries):
                record = of_memory(self.config, entry)
                told += self._recorded(ledger, historical(record) if place < late else record, active, stored=True)
            await self._commit(told, ledger, self._conditions)

    async def expire(self) -> None:
        """Tells what has ended because nobody spoke of it any more. StorageError."""
        async with self._turn:
            due = self._conditions.due()
            if due is not None and due <= self._now():
                conditions = self._conditions.copy()
                await self._commit(conditions.silent(self._now()), self.book.ledger, conditions)

    def due(self) -> float | None:
        """When `expire` may next have something to say (monotonic seconds)."""
        return self._conditions.due()

    def resume(self) -> None:
        """The device is there again: silence counts from now."""
        self._conditions.resume(self._now())

    async def state(self, conditions: Mapping[str, bool]) -> None:
        """What is so after a command, of the device itself. A disk that does not take it is told in the log."""
        active = {type for type, part in self._link.active(self.config.id) if part is None}
        news = [
            Reading(self.config.id, type, Phase.RAISE if on else Phase.CLEAR)
            for type, on in conditions.items()
            if on != (type in active)
        ]
        try:
            if news:
                await self._link.emit(*news)
        except StorageError as error:
            self.book.say(error.what)

    def _recorded(self, ledger: Ledger, record: Record, active: set[Key], *, stored: bool) -> list[Reading]:
        standing = ledger.take(record, stored=stored)
        self.repeats += standing is Standing.KNOWN and not stored
        if standing is Standing.KNOWN or not record.told:
            return []
        if standing is Standing.LATE:
            return _late(record, active)
        ended = [reading for reading in record.ends if _key(reading) in active]
        for reading in (*record.told, *ended):
            _follow(active, reading)
        return [*record.told, *ended]

    async def _commit(self, told: Sequence[Reading], ledger: Ledger, conditions: Conditions) -> None:
        if told:
            await self._link.emit(*told)
        self._conditions = conditions
        self.book.store(ledger)

    def _active(self) -> set[Key]:
        return set(self._link.active(self.config.id))

    def _now(self) -> float:
        return self._link.clock.monotonic()


def _key(reading: Reading) -> Key:
    return reading.type, part_key(reading.part) or None


def _follow(active: set[Key], reading: Reading) -> None:
    if reading.phase is Phase.RAISE:
        active.add(_key(reading))
    elif reading.phase is Phase.CLEAR:
        active.discard(_key(reading))


def _late(record: Record, active: set[Key]) -> list[Reading]:
    """What happened before something that was told already: it is told, and changes nothing of what is so now."""
    first = record.told[0]
    if first.phase is Phase.RAISE and _key(first) not in active:
        return [first, replace(first, phase=Phase.CLEAR, reason=None)]
    if first.phase is Phase.CLEAR and _key(first) in active:
        return [replace(first, type=UNMAPPED[0], phase=Phase.PULSE, reason="ended-before")]
    return [first]
