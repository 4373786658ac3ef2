"""What the gateway says of cases by itself: machine evidence, and what is overdue by its own clock, also offline.

An alarm's return to normal and a door's closing are told as they happen, and all of it when the platform verifies a
case (its step `handled`). Killed in between, it may tell a thing twice, but never not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from gateway import evidence
from gateway.alarms import Alarm
from gateway.casebook import DONE, Case, Casebook
from gateway.deeds import Hand, filled
from gateway.errors import StorageError
from gateway.event import Phase, Reading
from gateway.evidence import DOOR_OPEN, Proof
from gateway.identity import moment_ms
from gateway.pipeline import Pipeline, Taken
from gateway.store import Store

TICK_S = 1.0
_PHASES = {Phase.CLEAR: False, Phase.RAISE: True}  # what these make of a condition
Listed = Mapping[str, Alarm]  # by id


class Witness:
    """`took` hears every event; `run()` tells, for ever."""

    def __init__(self, casebook: Casebook, hand: Hand, pipeline: Pipeline, store: Store) -> None:
        self._casebook = casebook
        self._hand = hand
        self._pipeline = pipeline
        self._store = store
        self._proofs: dict[str, Proof] = {}  # by alarm, and of doors
        self._devices: frozenset[str] = frozenset()  # of cases that are not over

    def took(self, taken: Taken) -> None:
        """After each commit: the end or the return of a condition that a case is about."""
        active, reading = _PHASES.get(taken.phase), taken.reading
        if active is None or reading.device not in self._devices:
            return
        alarm = "" if reading.type == DOOR_OPEN else taken.alarm.id if taken.alarm is not None else None
        if alarm is not None:
            proof = Proof(alarm, reading.device, reading.type, active, 0 if active else moment_ms(taken.id))
            self._proofs[proof.key] = proof

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                cases = [case for case in (await self._casebook.load()).values() if case.told.step not in DONE]
                listed = await self._listed() if cases else {}
                for case in cases:
                    await self._look_after(case, listed)
                self._watch(cases)
            except StorageError:
                pass  # it is tried again with the next tick; the disk's trouble is told by the store
            await self._hand.clock.sleep(TICK_S)

    async def evidence(self, case: Case) -> list[Proof]:
        """Of its alarms in their order, and of the doors among their devices. StorageError."""
        return await self._gather(case, await self._listed())

    async def _listed(self) -> Listed:
        return {alarm.id: alarm for alarm in await self._hand.book()}

    def _watch(self, cases: Sequence[Case]) -> None:
        """What only other cases were about is forgotten."""
        alarms = {alarm for case in cases for alarm in case.told.alarms}
        self._devices = frozenset(p.device for p in self._proofs.values() if p.alarm in alarms and p.device)
        self._proofs = {k: p for k, p in self._proofs.items() if p.alarm in alarms or p.device in self._devices}

    async def _look_after(self, seen: Case, listed: Listed) -> None:
        async with self._casebook.lock:
            case = (await self._casebook.load()).get(seen.key)
            if case is not None:
                await self._attend(case, listed)

    async def _attend(self, case: Case, listed: Listed) -> None:
        due = case.due
        if due is not None and due < self._hand.clock.at_least() and case.mine.overdue != case.told.due:
            late = {"incident": case.told.incident, "uplink": case.uplink, "step": "overdue",
                    "due": case.told.due, "to": case.told.owner}  # fmt: skip
            await self._tell("gateway.escalation", filled(late))
            case = await self._casebook.keep(_with(case, overdue=case.told.due))
        proofs = await self._gather(case, listed)
        asked = case.told.step == "handled" and case.mine.answered != case.told.time
        fresh = {p.key: p.normal_ms for p in proofs if p.normal_ms and not p.active}
        news = [proof for proof in proofs if proof.key in fresh and case.mine.told.get(proof.key) != fresh[proof.key]]
        if asked or news:
            told = [proof.document() for proof in (proofs if asked else news)]
            said = {"action": "evidence", "result": "ok", "incident": case.told.incident, "evidence": told}
            said["uplink"] = case.uplink
            await self._tell("gateway.action", said)
            answered = case.told.time if asked else case.mine.answered
            await self._casebook.keep(_with(case, told=fresh, answered=answered))

    async def _gather(self, case: Case, listed: Listed) -> list[Proof]:
        mine = []
        for alarm in case.told.alarms:
            proof = self._proofs.get(alarm)
            if alarm in listed:
                proof = evidence.of_alarm(listed[alarm])
            elif proof is None:
                proof = await self._store.read(partial(evidence.search, alarm_id=alarm))
            elif proof.active:  # its end was not heard of: a person has ended it
                proof = replace(proof, active=False)
            self._proofs[alarm] = proof
            mine.append(proof)
        devices = {proof.device for proof in mine if proof.device}
        self._devices |= devices
        return [*mine, *(p for p in self._proofs.values() if not p.alarm and p.device in devices)]

    async def _tell(self, kind: str, said: Mapping[str, Any]) -> None:
        await self._pipeline.operate(Reading(self._hand.where.gateway, kind, Phase.PULSE, data=said))


def _with(case: Case, **more: Any) -> Case:
    return replace(case, mine=case.mine.model_copy(update=more))
