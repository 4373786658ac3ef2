"""Carries escalation out: takes each step when it is due, until somebody acknowledges.

A step is on disk (event, audit line, the alarm's history) before its message goes out (`courier.py`). `page` and an
uplink are told by that event itself, which passes the uplink's filter; `sound` makes a silenced alarm sound again.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gateway import escalation
from gateway.alarms import Alarm, Book
from gateway.alarmview import moment
from gateway.charge import Call, Charge
from gateway.contacts import ALWAYS_THERE, Contact
from gateway.courier import TICK_S, Courier, Roll
from gateway.errors import StorageError, Text
from gateway.escalation import TAKEN
from gateway.measures import cover
from gateway.notify import Untold
from gateway.notify import target as way
from gateway.pipeline import Deed

_LOG = logging.getLogger("gateway.escalation")


@dataclass
class _Watch:
    """One alarm that waits for a person."""

    alarm: Alarm
    since_s: float  # monotonic, so that a clock that is set moves nothing
    calls: Sequence[Call]  # not taken yet
    owed: frozenset[str]  # whose message is still to go out


class Callout:
    """`run()` is the errand; nothing here is lost with the process."""

    def __init__(self, roll: Roll, contacts: Mapping[str, Contact]) -> None:
        clock = roll.hand.clock
        self._roll = roll
        self._clock = clock
        self._watched: dict[str, _Watch] = {}
        self._couriers = {
            n: Courier(n, way(n, contact, clock), contact.drills, roll) for n, contact in contacts.items()
        }

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            for courier in self._couriers.values():
                group.create_task(courier.run(), name=f"contact {courier.name}")
            while True:
                with suppress(StorageError):  # told by the store; the step stays due
                    await self._turn()
                await self._clock.sleep(TICK_S)

    async def notify(self, target: str, text: Text) -> bool:
        """A linkage rule's word, tried once; page and uplinks see the rule's own event. False: it did not go out."""
        voice = self._roll.voice
        if target not in self._couriers:
            return target in ALWAYS_THERE or target in self._roll.hand.where.uplinks
        try:
            await self._couriers[target].target.send(voice.word(text.say(voice.language)))
        except Untold as error:
            _LOG.warning("%s", error)
            return False
        return True

    def shown(self, alarm: Alarm, book: Book) -> dict[str, Any]:
        """`lead`, `assist`, and the next step of an alarm as people see it; `{}` where nobody leads."""
        found = self._roll.charge(alarm)
        if found is None:
            return {}
        said: dict[str, Any] = {"lead": found.lead, "assist": list(found.assist)}
        call = None if any(cover(book, alarm)) else next(iter(self._left(alarm, found)), None)
        if call is not None:
            at = moment(escalation.begun_ms(alarm) + int(call.after_s * 1000))
            said["next"] = {"step": call.number, "to": call.to, "at": at}
        return said

    async def _turn(self) -> None:
        """Takes the steps that are due, and says to whom what is owed."""
        book, now_s = await self._roll.hand.book(), self._clock.monotonic()
        watched: dict[str, _Watch] = {}
        due: dict[bool, list[tuple[Alarm, Deed]]] = {True: [], False: []}  # by whether it is a test
        owed: dict[str, list[Alarm]] = {name: [] for name in self._couriers}
        for alarm in filter(escalation.waits, book):
            watch = watched[alarm.id] = self._watch(alarm, now_s)
            if any(cover(book, alarm)):  # nobody shall be called; the time begins anew when it is lifted
                watch.since_s = now_s
                continue
            calls = (call for call in watch.calls if call.after_s <= now_s - watch.since_s)
            due[alarm.test] += [(alarm, self._taken(alarm, call)) for call in calls]
            for name in watch.owed & owed.keys():
                owed[name].append(alarm)
        self._watched = watched
        for name, alarms in owed.items():
            self._couriers[name].owed = alarms
        for taken in due.values():
            await self._roll.write([alarm for alarm, _ in taken], [deed for _, deed in taken])

    def _taken(self, alarm: Alarm, call: Call) -> Deed:
        return self._roll.deed(alarm, TAKEN, call, "sending" if call.to in self._couriers else "ok")

    def _watch(self, alarm: Alarm, now_s: float) -> _Watch:
        known = self._watched.get(alarm.id)
        if known is not None and known.alarm is alarm:
            return known
        found, begun_ms = self._roll.charge(alarm), escalation.begun_ms(alarm)
        since_s = now_s - max(0.0, self._clock.utc().timestamp() - begun_ms / 1000)
        if known is not None and known.alarm.test and not alarm.test:
            since_s = now_s  # it was a test until now
        elif known is not None and escalation.begun_ms(known.alarm) == begun_ms:
            since_s = known.since_s
        calls = () if found is None else self._left(alarm, found)
        return _Watch(alarm, since_s, calls, escalation.owed(alarm))

    def _left(self, alarm: Alarm, found: Charge) -> Sequence[Call]:
        """A test calls nobody but those who want to hear of it (`drills: true`)."""
        calls = escalation.left(alarm, found.calls)
        return [call for call in calls if not alarm.test or self._drilled(call.to)]

    def _drilled(self, name: str) -> bool:
        return name in self._couriers and self._couriers[name].drills
