"""One contact's messages: sent one after the other, many alarms of one kind as one, until told or somebody is there.

A message that cannot go out is tried ever more rarely, and its first failure is an event. It may come twice after a
power cut in that very moment, never not at all.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from gateway import escalation
from gateway.alarms import Alarm, Book, Step, Told, noted
from gateway.audit import By
from gateway.charge import Call, Charge, Section, charge
from gateway.contacts import SOUND
from gateway.deeds import Hand, filled
from gateway.errors import StorageError, Text
from gateway.escalation import TAKEN, TOLD, UNTOLD, Pace
from gateway.measures import cover
from gateway.notify import PERSON_S, Target, Untold
from gateway.pipeline import ESCALATION, Deed
from gateway.plea import Voice

TICK_S = 1.0
SPACING_S = 3.0  # between two messages to one contact: robots take 20 a minute
_LOG = logging.getLogger("gateway.escalation")
Heap = tuple[str, str, bool]  # type, building, test: what goes out as one message


class Roll:
    """Who is responsible for an alarm, and how a step is written down."""

    def __init__(self, hand: Hand, section: Section, voice: Voice) -> None:
        self.hand = hand
        self.voice = voice
        self._section = section

    def charge(self, alarm: Alarm) -> Charge | None:
        """What holds since the alarm waits; None: nobody leads."""
        local = datetime.fromtimestamp(escalation.begun_ms(alarm) / 1000).astimezone()
        return charge(self._section, alarm.type, self.voice.path(alarm), local)

    def last(self, alarm: Alarm, name: str) -> Call:
        """The last step that goes to a contact; where the list has none any more, one without a number."""
        found = self.charge(alarm)
        steps = [call for call in found.calls if call.to == name] if found is not None else []
        return steps[-1] if steps else Call(0, name, 0.0)

    def deed(self, alarm: Alarm, word: str, call: Call, result: str, reason: str = "") -> Deed:
        """One event, and one line of the alarm's history, unless somebody has come in between."""
        by = self._by(alarm)
        more = {"type": alarm.type, "step": call.number, "to": call.to, "result": result, "reason": reason}
        deed = self.hand.deed(alarm, ESCALATION, by, lambda old: old, more=filled(more))

        def changed(old: Alarm | None, told: Told) -> Alarm | None:
            if old is None or old.acknowledged:
                return old
            if (word, call.to) == (TAKEN, SOUND):
                old = replace(old, silenced=False)
            return noted(old, Step(told.now_ms, word, by.who, by.place, call.to))

        return Deed(replace(deed.reading, test=alarm.test), deed.key, changed)

    async def write(self, alarms: Sequence[Alarm], deeds: Sequence[Deed]) -> None:
        """Into the audit log and on disk, in one commit; alarms are all tests, or none. StorageError."""
        if deeds:
            await self.hand.do(self._by(alarms[0]), ESCALATION, deeds)

    def _by(self, alarm: Alarm) -> By:
        return By(self.hand.where.gateway, "gateway", escalation.source(alarm))


class Courier:
    """The way to one contact. `owed` are the alarms whose message may still be to be sent."""

    def __init__(self, name: str, target: Target, drills: bool, roll: Roll) -> None:
        self.name = name
        self.target = target
        self.drills = drills
        self.owed: list[Alarm] = []
        self._roll = roll
        self._clock = roll.hand.clock
        self._paces: dict[Heap, Pace] = {}
        self._failures = 0

    async def run(self) -> None:
        """For ever."""
        while True:
            pause_s = TICK_S
            if self.owed:
                with suppress(StorageError):  # told by the store; what is owed stays so
                    pause_s = await self._next()
            await self._clock.sleep(pause_s)

    async def _next(self) -> float:
        """Sends the next message that is owed; returns how long to wait then, in seconds."""
        heap = self._heap(await self._roll.hand.book())
        if heap is None:
            return TICK_S
        kind, alarms = heap
        now_ms = int(self._clock.utc().timestamp() * 1000)
        try:
            await self.target.send(self._roll.voice.plea(alarms, self._roll.charge(alarms[0]), now_ms))
        except Untold as error:
            return await self._failed(alarms, error)
        except (ValueError, ArithmeticError, RecursionError) as error:  # an answer that nobody would write
            what = Text(f"its answer cannot be understood: {error}", f"对方应答无法识别:{error}")
            return await self._failed(alarms, Untold(self.name, what, retry_s=PERSON_S))
        if self._failures:
            _LOG.info("%s can be told again", self.name)
        self._failures = 0
        self._paces.setdefault(kind, Pace()).sent(self._clock.monotonic())
        await self._say(alarms, TOLD, "ok")
        return SPACING_S

    def _heap(self, book: Book) -> tuple[Heap, list[Alarm]] | None:
        """What goes out next as one message: alarms of one type in one building, the oldest first."""
        heaps: dict[Heap, list[Alarm]] = {}
        for alarm in sorted(filter(None, (book.get(stale.key) for stale in self.owed)), key=lambda alarm: alarm.id):
            if self.name in escalation.owed(alarm) and not any(cover(book, alarm)):
                kind = alarm.type, self._roll.voice.building(alarm), alarm.test
                heaps.setdefault(kind, []).append(alarm)
        now_s = self._clock.monotonic()
        return next((h for h in heaps.items() if h[0] not in self._paces or self._paces[h[0]].ready(now_s)), None)

    async def _failed(self, alarms: Sequence[Alarm], error: Untold) -> float:
        """The first failure of each alarm is told; then it is tried again, ever more rarely."""
        if not self._failures:
            _LOG.warning("%s", error)
        pause_s = min(error.retry_s * 2.0**self._failures, max(error.retry_s, PERSON_S))
        self._failures = min(self._failures + 1, 10)
        news = [alarm for alarm in alarms if not escalation.failed(alarm, self.name)]
        await self._say(news, UNTOLD, "failed", error.say(self._roll.voice.language))
        return pause_s

    async def _say(self, alarms: Sequence[Alarm], word: str, result: str, reason: str = "") -> None:
        """On disk, however long that takes: else it would be said twice."""
        deeds = [self._roll.deed(a, word, self._roll.last(a, self.name), result, reason) for a in alarms]
        while True:
            try:
                await self._roll.write(alarms, deeds)
            except StorageError:
                await self._clock.sleep(TICK_S)
            else:
                return
