"""How a step of a person or a rule is done: the audit's line, then its event and the new flags in one commit."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway import alarms
from gateway.alarms import Alarm, Book, Key, Step, Told, noted
from gateway.audit import Audit, By
from gateway.clock import Clock
from gateway.errors import GatewayError, StorageError, Text
from gateway.event import Phase, Reading, Severity
from gateway.pipeline import Deed, Pipeline


class NotFound(GatewayError):
    """There is no such thing here."""


class NotNow(GatewayError):
    """It cannot be done as things stand; nothing was changed."""


@dataclass(frozen=True)
class Where:
    """What there is to do it to: the gateway's id, each device's place, every place of the site, the uplinks."""

    gateway: str
    devices: Mapping[str, str]
    places: frozenset[str] = frozenset()
    uplinks: frozenset[str] = frozenset()


Theirs = Callable[[Alarm], bool]  # may whoever asks know of this alarm? None: who stands at the box knows of all


class Hand:
    """Does deeds. `listeners` hear each alarm whose flags changed by one."""

    def __init__(self, pipeline: Pipeline, audit: Audit, clock: Clock, where: Where) -> None:
        self.where = where
        self.clock = clock
        self.listeners: list[Callable[[Alarm], None]] = []
        self._pipeline = pipeline
        self._audit = audit
        self._turn = asyncio.Lock()

    async def book(self) -> Book:
        """The alarms as they stand. StorageError."""
        return await self._pipeline.load()

    async def find(self, alarm_id: str, theirs: Theirs | None = None) -> Alarm:
        """By its id, or a unique beginning or end, if it is `theirs` to know of. NotFound, StorageError."""
        return found(await self.book(), alarm_id, theirs)

    async def refuse(self, by: By, what: str, subject: str, refusal: GatewayError) -> GatewayError:
        """A line for a step that was not done; returns why, to be raised. StorageError."""
        await self._audit.put(by, what, subject, "refused", reason=refusal.what.en)
        return refusal

    def deed(
        self,
        alarm: Alarm,
        step: str,
        by: By,
        change: Callable[[Alarm], Alarm],
        note: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Deed:
        """A step done to one alarm: its event, and its flags as `change` makes them."""
        gone = self._gone(alarm)
        said = self.said(by, note=note, alarm=alarm.id) | dict(more or {})
        what, place = step.partition(".")[2], by.place

        def changed(old: Alarm | None, told: Told) -> Alarm | None:
            if old is None or alarms.begun_anew(old, alarm):
                return old  # what nobody has seen yet is not said to be seen
            old = alarms.cleared(old) if gone else old  # nothing will ever tell its end
            written = note or (str((more or {}).get("outcome", "")) if what == "dispose" else "")
            return noted(change(old), Step(told.now_ms, what, by.who, place, written))

        return Deed(Reading(self.subject(alarm.device), step, Phase.PULSE, data=said), alarm.key, changed)

    def _gone(self, alarm: Alarm) -> bool:
        """What it is about has been taken out of the configuration."""
        if alarm.device == self.where.gateway:
            return alarm.type == "gateway.uplink_lost" and alarm.part not in self.where.uplinks
        return alarm.device not in self.where.devices

    async def do(self, by: By, what: str, deeds: Iterable[Deed], **more: Any) -> list[Alarm]:
        """The audit's line first, then all of it in one commit; returns the alarms as they are now."""
        deeds = list(deeds)
        if not deeds:
            return []
        async with self._turn:  # two people at once: one after the other
            return await self._done(by, what, deeds, more)

    async def _done(self, by: By, what: str, deeds: Sequence[Deed], more: Mapping[str, Any]) -> list[Alarm]:
        await self._audit.put(by, what, ", ".join(sorted({deed.reading.device for deed in deeds})), **more)
        before = {deed.key: self._pipeline.shown.get(deed.key) for deed in deeds}
        made: dict[Key, Alarm] = {}
        watched = [replace(deed, change=_watched(deed, made)) for deed in deeds]
        try:
            await self._pipeline.operate(*watched)
        except StorageError:
            await self._audit.put(by, what, deeds[0].reading.device, "failed")
            raise
        changed = [made[key] for key in before if key in made]
        for alarm in changed:
            for listener in self.listeners:
                listener(alarm)
        return changed

    def said(self, by: By, **more: Any) -> dict[str, Any]:
        """What an event says of who did it; what has no value is left out."""
        return {"who": by.who, "role": by.role, "from": by.place, **filled(more)}

    def subject(self, device: str) -> str:
        """Under whose name it is told: the gateway's, where the device has been taken out of the configuration."""
        return device if device in self.where.devices else self.where.gateway

    async def forget(self, alarm: Alarm) -> None:
        """One that has rested long enough. StorageError."""
        await self._pipeline.forget(alarm)

    def known(self, device: str) -> None:
        """NotFound: no such device."""
        if device not in self.where.devices:
            raise NotFound(device, Text("there is no such device", "没有这个设备"))

    def until_ms(self, seconds: float) -> int:
        """So long from now, ms since 1970; 0 for no end."""
        return int((self.clock.utc().timestamp() + seconds) * 1000) if seconds else 0


def found(book: Book, alarm_id: str, theirs: Theirs | None = None) -> Alarm:
    """By its id, or a unique beginning or end, if it is `theirs`. NotFound."""
    alarm = book.find(alarm_id)
    if alarm is None or alarm.severity is Severity.INFO or not (theirs is None or theirs(alarm)):
        raise NotFound(
            alarm_id,
            Text("there is no such open alarm, or more than one", "没有这个未结束的报警,或不止一个"),
            Text(
                "`gateway alarms` lists them; the last 6 characters of the first column are enough",
                "用 gateway alarms 查看;写第一列编号的最后 6 位即可",
            ),
        )
    return alarm


def _watched(deed: Deed, made: dict[Key, Alarm]) -> Callable[[Alarm | None, Told], Alarm | None]:
    def change(old: Alarm | None, told: Told) -> Alarm | None:
        alarm = deed.change(old, told)
        if alarm is not None:
            made[deed.key] = alarm
        return alarm

    return change


def filled(said: Mapping[str, Any]) -> dict[str, Any]:
    """Without what has no value."""
    return {name: value for name, value in said.items() if value not in (None, "")}
