"""The retained document of each alarm on one uplink's broker (contract, section 2: BASE/alarm/{alarm}).

Which documents may stand on the broker is on disk before the first of an alarm is sent, and until the broker has
confirmed that it keeps none any more: so what became normal while the link was away, or before a restart, is cleared
too. A change of flags goes out at once, newest wins; a mere `still`, or the proof of its delivery, with the next tick.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gateway.alarms import Alarm, Book, Key
from gateway.clock import Clock
from gateway.database import put_fact
from gateway.errors import StorageError
from gateway.event import Severity
from gateway.facts import drop_fact, read_facts
from gateway.measures import SHELF, SHIELD, SUPPRESSION
from gateway.pipeline import Taken
from gateway.retained import Retained
from gateway.store import Store

TICK_S = 1.0
_LEVEL = "alarm/"
_COVERS = (SHELF, SHIELD, SUPPRESSION)  # what lies over an alarm changes its document


class Posters:
    """Of one uplink. `document(alarm)` is None where the uplink may not have it; `due` is set when `post` has work."""

    def __init__(
        self, store: Store, uplink: str, book: Callable[[], Book], document: Callable[[Alarm], Mapping[str, Any] | None]
    ) -> None:
        self.due = asyncio.Event()
        self._store = store
        self._prefix = f"poster.{uplink}."
        self._book = book
        self._document = document
        self._connected = False
        self._all = False  # look at every alarm, and at every document that may stand there
        self._epoch = 0  # the store's, when all were looked at
        self._known: set[str] | None = None  # ids of alarms whose document the broker may have; None: not read yet
        self._gone: set[str] = set()  # of these, what the broker has confirmed that it has no more
        self._dirty: dict[str, Key] = {}
        self._lazy: dict[str, Key] = {}
        self._words: dict[str, tuple[Any, ...]] = {}  # as posted

    def announce(self) -> None:
        """After connecting, or when it is asked for: all of them."""
        self._connected = self._all = True
        self.due.set()

    def rest(self) -> None:
        """The link is lost: connecting announces everything anew."""
        self._connected = False
        self._dirty.clear()
        self._lazy.clear()
        self._words.clear()

    def took(self, taken: Taken) -> None:
        """Something was taken in. Costs next to nothing where no document changes by it."""
        alarm = taken.alarm
        if alarm is None or not self._connected:
            return
        if alarm.type in _COVERS:
            for covered in self._book().of(alarm.device):
                self._mark(covered)
        if alarm.severity is not Severity.INFO:
            if self._words.get(alarm.id) == _word(alarm):
                self._lazy[alarm.id] = alarm.key
            else:
                self._mark(alarm)

    def soon(self, alarm_id: str, key: Key) -> None:
        """Something that has no hurry has changed about this alarm."""
        if self._connected:
            self._lazy[alarm_id] = key

    def gone(self, topic: str) -> None:
        """The broker has confirmed that it keeps nothing of this topic any more."""
        if topic.startswith(_LEVEL):
            self._gone.add(topic.removeprefix(_LEVEL))
            self.due.set()

    def tick(self) -> None:
        """Once a second: what has no hurry; and all of it after the disk failed, as what was seen then may be void."""
        self._dirty |= self._lazy
        self._lazy.clear()
        self._all |= self._epoch != self._store.epoch
        if self._dirty or self._all:
            self.due.set()

    async def run(self, retained: Retained, clock: Clock, pump: Callable[[], None]) -> None:
        """While a session lasts: posts what is due, and calls `pump`."""
        while True:
            await self.due.wait()
            try:
                await self.post(retained)
            except StorageError:  # told by the store
                await clock.sleep(TICK_S)
            pump()

    async def post(self, retained: Retained) -> None:
        """What is due goes to `retained`. StorageError: nothing did, and it is still due."""
        known = await self._load()
        book, epoch = self._book(), self._store.epoch
        dirty, confirmed = dict(self._dirty), frozenset(self._gone)
        gone = confirmed - {alarm.id for alarm in book} if confirmed else confirmed
        if everything := self._all:
            dirty |= {alarm.id: alarm.key for alarm in book}
        new = [name for name, key in dirty.items() if name not in known and self._made(name, key) is not None]
        if new or gone:
            await self._store.transact(lambda connection: self._write(connection, new, gone))
        self.due.clear()
        known |= set(new)
        known -= gone
        self._gone -= confirmed
        if everything:
            self._all, self._epoch = False, epoch
            dirty = dict.fromkeys(known, ("", "", "")) | dirty
        for name, key in dirty.items():
            self._dirty.pop(name, None)
            if name in known:
                retained.update(_LEVEL + name, self._made(name, key))
        if self._dirty or self._gone or self._all:  # they came meanwhile
            self.due.set()

    async def _load(self) -> set[str]:
        if self._known is None:
            found = await self._store.read(lambda connection: read_facts(connection, self._prefix))
            self._known = set(found)
        return self._known

    def _write(self, connection: sqlite3.Connection, new: Iterable[str], gone: Iterable[str]) -> None:
        for name in new:
            put_fact(connection, self._prefix + name, "")
        for name in gone:
            drop_fact(connection, self._prefix + name)

    def _mark(self, alarm: Alarm) -> None:
        self._dirty[alarm.id] = alarm.key
        self.due.set()

    def _made(self, name: str, key: Key) -> Mapping[str, Any] | None:
        """The document as it is now; None where the alarm is normal, or not for this uplink."""
        alarm = self._book().get(key)
        if alarm is None or alarm.id != name or alarm.severity is Severity.INFO:
            self._words.pop(name, None)
            return None
        self._words[name] = _word(alarm)
        return self._document(alarm)


def _word(alarm: Alarm) -> tuple[Any, ...]:
    """What of it is worth a message at once: all but its count and its last time."""
    flags = alarm.active, alarm.acknowledged, alarm.confirmed, alarm.latched, alarm.silenced, alarm.test
    return (*flags, alarm.severity, alarm.outcome, alarm.until_ms, alarm.history)
