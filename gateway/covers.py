"""What people and rules lay over alarms for a while, and when it ends: shelf, shield, suppression, drill.

`measures.py` says what each is; here it is done, told (an event upstream, a line of the audit log), and ended in time.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from gateway import alarms
from gateway.alarms import DRILL, Alarm, Key, Told
from gateway.audit import By
from gateway.deeds import Hand, NotFound, NotNow, filled
from gateway.errors import StorageError, Text
from gateway.event import Phase, Reading, Severity
from gateway.measures import (
    LONGEST_SHELF_S,
    SHELF,
    SHIELD,
    SUPPRESSION,
    ended,
    may_be_shelved,
    measure,
    part_of,
)
from gateway.pipeline import Deed

LONGEST_S = 366 * 86400.0  # a shield or a drill without an end would be forgotten
TICK_S = 1.0
SET_BACK_S = 60.0  # a clock that is put right by less moves no end worth speaking of


class Covers:
    """One method a measure; `keep_time()` ends what ends by itself."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    async def shelve(self, target: str, seconds: float, reason: str, by: By) -> None:
        """An alarm (by its id), or all of a device; at most 8 h, never fire, panic or duress. 0 s ends it."""
        device, part = target, ""
        if target not in self._hand.where.devices:
            alarm = await self._hand.find(target)
            device, part = alarm.device, part_of(alarm.type, alarm.part)
            if not may_be_shelved(alarm.type):
                raise NotNow(
                    alarm.type, Text("fire, panic and duress are never shelved", "火警、求助、胁迫报警不可暂缓")
                )
        _within(seconds, LONGEST_SHELF_S, least_s=0)
        if seconds:
            await self._lay((device, SHELF, part), "operator.shelve", seconds, reason, by)
        else:
            await self._lift((device, SHELF, part), "operator.shelve", by, {"seconds": 0, "reason": reason})

    async def shield(self, device: str, seconds: float, reason: str, by: By, part: str = "") -> None:
        """A device, or a part of it, is out of service until then, counted and told."""
        self._hand.known(device)
        _within(seconds, LONGEST_S)
        key, until_ms = (device, SHIELD, part), self._hand.until_ms(seconds)

        def shielded(old: Alarm | None, told: Told) -> Alarm:
            _, alarm = alarms.raised(old, replace(told, key=key))
            return replace(alarm, acknowledged=True, silenced=True, until_ms=until_ms, cause=reason)

        said = self._hand.said(by, reason=reason, seconds=seconds)
        deeds = [
            Deed(Reading(device, "operator.shield", Phase.PULSE, data=said), key, _same),
            Deed(Reading(device, SHIELD, Phase.RAISE, part=_part(part), reason=reason, data=said), key, shielded),
        ]
        await self._hand.do(by, "operator.shield", deeds, reason=reason, seconds=seconds)

    async def unshield(self, device: str, reason: str, by: By, part: str = "") -> None:
        """It is in service again. NotNow: it is not shielded."""
        key = (device, SHIELD, part)
        old = (await self._hand.book()).get(key)
        if old is None or not old.active:
            self._hand.known(device)
            raise NotNow(device, Text("it is not shielded", "该设备未被屏蔽"))
        said, subject = self._hand.said(by, reason=reason), self._hand.subject(device)
        deeds = [
            Deed(Reading(subject, "operator.unshield", Phase.PULSE, data=said), key, _same),
            Deed(Reading(subject, SHIELD, Phase.CLEAR, part=_part(part), reason=reason, data=said), key, _ended),
        ]
        await self._hand.do(by, "operator.unshield", deeds, reason=reason)

    async def drill(self, scope: str, seconds: float, by: By) -> None:
        """A device, a place, or all of the site (""): what it raises until then is a test. 0 s ends it."""
        if scope and scope not in self._hand.where.devices and scope not in self._hand.where.places:
            raise NotFound(scope, Text("there is no such device or place", "没有这个设备或位置"))
        _within(seconds, LONGEST_S, least_s=0)
        mine = scope in self._hand.where.devices
        subject = scope if mine else self._hand.where.gateway
        await self._drill((subject, DRILL, "" if mine else scope), seconds, by)

    async def _drill(self, key: Key, seconds: float, by: By) -> None:
        """Of a device, or (under the gateway) of a place, which may have been taken out of the configuration."""
        if seconds == 0 and (await self._hand.book()).get(key) is None:
            return
        device, _, place = key
        said = self._hand.said(by, seconds=seconds) | ({"scope": place} if device == self._hand.where.gateway else {})
        until_ms, phase = self._hand.until_ms(seconds), Phase.RAISE if seconds else Phase.CLEAR

        def drilling(old: Alarm | None, told: Told) -> Alarm | None:
            return measure(key, told, until_ms, by.who) if seconds else _ended(old, told)

        deed = Deed(Reading(self._hand.subject(device), DRILL, phase, data=said), key, drilling)
        await self._hand.do(by, DRILL, [deed], scope=place or device, seconds=seconds)

    async def suppress(self, alarm: Alarm, cause: str, by: By) -> None:
        """What has one named cause is not shown as many; ends when the cause does (`release`). Never of fire."""
        if not may_be_shelved(alarm.type):
            return
        key = (alarm.device, SUPPRESSION, part_of(alarm.type, alarm.part))
        await self._lay(key, "gateway.action", 0, cause, by, {"action": "suppress", "result": "ok"})

    async def release(self, alarm: Alarm, by: By) -> None:
        """Its cause is over; what still is active asks for a person by itself."""
        await self._lift((alarm.device, SUPPRESSION, part_of(alarm.type, alarm.part)), "gateway.action", by,
                         {"action": "unsuppress", "result": "ok"})  # fmt: skip

    async def release_cause(self, cause: str, by: By) -> None:
        """All that was suppressed by this cause, which is over."""
        for laid in [m for m in await self._hand.book() if m.type == SUPPRESSION and m.cause == cause]:
            await self._lift(laid.key, "gateway.action", by, {"action": "unsuppress", "result": "ok"})

    async def keep_time(self) -> None:
        """Ends, for ever, what ends by itself."""
        while True:
            with suppress(StorageError):  # it is tried again with the next tick; the store tells the disk's trouble
                await self.end_due()
            await self._hand.clock.sleep(TICK_S)

    async def end_due(self) -> None:
        """Ends what has had its time, or begins in the future: there the clock was set back, and it is too long.

        StorageError.
        """
        by = By(self._hand.where.gateway, "gateway", "rule:expired")
        now_ms = self._hand.clock.utc().timestamp() * 1000
        for due in [m for m in (await self._hand.book()).lasting.values() if _is_due(m, now_ms)]:
            with suppress(NotFound, NotNow):  # somebody has ended it meanwhile
                await self._expire(due, by)

    async def _expire(self, due: Alarm, by: By) -> None:
        if due.rests:
            await self._hand.forget(due)
        elif due.type == SHELF:
            await self._lift(due.key, "operator.shelve", by, {"seconds": 0, "reason": "expired"})
        elif due.type == SHIELD:
            await self.unshield(due.device, "expired", by, due.part)
        elif due.type == DRILL:
            await self._drill(due.key, 0, by)
        else:
            await self._lift(due.key, "gateway.action", by, {"action": "unsuppress", "result": "ok"})

    async def _lay(
        self, key: Key, step: str, seconds: float, reason: str, by: By, more: Mapping[str, Any] | None = None
    ) -> None:
        said = {**self._hand.said(by, reason=reason, seconds=seconds), "condition": key[2], **(more or {})}
        until_ms = self._hand.until_ms(seconds)

        def laid(_: Alarm | None, told: Told) -> Alarm:
            return measure(key, told, until_ms, reason)

        deed = Deed(Reading(key[0], step, Phase.PULSE, data=filled(said)), key, laid)
        await self._hand.do(by, step, [deed], reason=reason, seconds=seconds)

    async def _lift(self, key: Key, step: str, by: By, more: Mapping[str, Any]) -> None:
        """A measure ends; alarms under it that still last ask for a person again."""
        book = await self._hand.book()
        if book.get(key) is None:
            return
        device, _, part = key
        said = filled({**self._hand.said(by), "condition": part, **more})
        deeds = [Deed(Reading(self._hand.subject(device), step, Phase.PULSE, data=said), key, _ended)]
        deeds += [self._hand.deed(a, step, by, alarms.unseen, more=more) for a in book.of(device) if _under(a, part)]
        await self._hand.do(by, step, deeds)


def _is_due(laid: Alarm, now_ms: float) -> bool:
    set_back = not laid.rests and laid.first_ms > now_ms + SET_BACK_S * 1000
    return laid.until_ms <= now_ms or set_back


def _within(seconds: float, most_s: float, least_s: float = 1) -> None:
    if not math.isfinite(seconds) or not least_s <= seconds <= most_s:
        what = Text(f"{least_s:g} to {most_s:g} seconds are allowed", f"允许 {least_s:g} 至 {most_s:g} 秒")
        raise NotNow(f"{seconds:g}", what)


def _under(alarm: Alarm, part: str) -> bool:
    """Does it ask for a person again when what lay over it (`part` of the measure's key) is gone?"""
    asks = alarm.active and alarm.acknowledged and alarm.severity is not Severity.INFO and alarm.type != SHIELD
    return asks and may_be_shelved(alarm.type) and part in ("", part_of(alarm.type, alarm.part))


def _same(old: Alarm | None, _: Told) -> Alarm | None:
    return old


def _ended(old: Alarm | None, _: Told) -> Alarm | None:
    return None if old is None else ended(old)


def _part(part: str) -> dict[str, Any] | None:
    return {"address": part} if part else None
