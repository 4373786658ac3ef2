"""Linkage carried out: hears what was taken in, asks the engine (`rules.py`), moves devices, and tells what came of it.

Nothing here stands in the event path: what is heard goes on a queue. The plan is on disk before the first device moves,
so that a start after a cut goes on with it; but a disk that fails keeps no door shut in a fire. Each act ends as an
event `gateway.action` with its proof or its failure, and as a line of the audit log.
"""

import asyncio
import logging
import sqlite3
from dataclasses import replace
from math import inf

from gateway.acts import SHUTS, Act, action_of, dump, load
from gateway.audit import By
from gateway.database import put_fact, read_fact
from gateway.doings import Doings, Means, readings
from gateway.driver import Command, Outcome
from gateway.errors import StorageError, Text
from gateway.event import Phase, Reading, part_key
from gateway.pipeline import Taken
from gateway.rules import Engine
from gateway.scope import Happening
from gateway.taxonomy import FIRES

FACT = "linkage"
AGAIN_S = 1.0  # after a disk that did not take it
_UNSURE = Text(
    "it is not known yet whether fire holds the door; try again in a moment", "尚不清楚火警是否占用此门,请稍后重试"
)
_HELD = Text(
    "fire has opened this door: it may be locked once the alarm is over and disposed of",
    "火警已打开此门,报警消除并处置后才可上锁",
)
UNSURE = Outcome("not-allowed", _UNSURE.en, said=_UNSURE)
HELD = Outcome("not-allowed", _HELD.en, said=_HELD)
HURRY_S = 10.0  # a fire that no disk takes is told again and again
_LOG = logging.getLogger("gateway.linkage")


class Linkage:
    """`run()` for ever; `guard` refuses what fire forbids, whoever asks; `doings.sounds` is for the page."""

    def __init__(self, engine: Engine, means: Means) -> None:
        self.doings = Doings(means)
        self._engine = engine
        self._means = means
        self._heard: list[Taken] = []
        self._wake = asyncio.Event()
        self._busy: set[str] = set()  # what is being moved (`Act.place`)
        self._fresh: list[Act] = []  # planned, and not in the audit log yet
        self._untold: list[Reading] = []
        self._written = ""
        self._recalled = False
        self._group: asyncio.TaskGroup | None = None
        self._hurried_s: dict[tuple[str, str, str], float] = {}  # fires that the disk did not take, and when each was

    def took(self, taken: Taken) -> None:
        """A listener of the pipeline."""
        if self._engine.cares(taken.reading.type):
            self._heard.append(taken)
            self._wake.set()

    def refused(self, taken: Taken) -> None:
        """A listener of the pipeline: the disk does not take it. A fire opens doors all the same; it comes again."""
        fire = taken.reading.type in FIRES and taken.phase is not Phase.CLEAR
        if not fire or self._group is None:
            return
        what, now_s = happening(taken), self._now_s()
        key = what.device, what.type, what.part
        if now_s - self._hurried_s.get(key, -inf) >= HURRY_S:
            self._hurried_s[key] = now_s
            for act in self._engine.urgent(what, self._means.clock.utc().astimezone(), now_s):
                self._group.create_task(_hurry(self.doings, act), name=f"linkage {act.rule} {act.device}, not on disk")

    def guard(self, command: Command) -> Outcome | None:
        """Why a command is not handed to its device: fire holds the door open."""
        if not self._recalled and command.action in SHUTS:
            return UNSURE
        return HELD if self._engine.acts.held(command.device, command.action, command.args) else None

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._recall()
                while True:
                    await self._turn(group)
                    again_s = self._now_s() + AGAIN_S if self._untold else inf
                    await self._rest(min(self._engine.acts.next_s(self._busy), again_s))
        finally:
            self._group = None  # nothing is begun in it any more

    async def _rest(self, until_s: float) -> None:
        try:
            async with asyncio.timeout(None if until_s == inf else max(0.0, until_s - self._now_s())):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _recall(self) -> None:
        """What was planned before the last end, and what that end came before."""
        while True:
            try:
                await self._means.pipeline.load()
                text = await self._means.store.read(lambda connection: read_fact(connection, FACT))
                break
            except StorageError as error:
                _LOG.warning("%s", error)
                await self._means.clock.sleep(AGAIN_S)
        now_s = self._now_s()
        try:
            self._engine.acts = load(text or "", now_s)
        except (ValueError, TypeError, KeyError) as error:
            _LOG.error("what was planned before the last end cannot be read: %s", error)
        self._fresh += self._engine.catch_up(self._means.pipeline.shown, now_s)
        self._recalled = True

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        """Everything heard, planned and due."""
        self._wake.clear()
        heard, self._heard = self._heard, []
        for taken in heard:
            self._fresh += self._hear(taken)
        self._engine.acts.settle(self._means.pipeline.shown, self._now_s())
        await self._save()
        fresh, self._fresh = self._fresh, []
        for rule in dict.fromkeys(act.rule for act in fresh):  # before its acts, and yet no act waits for the disk
            group.create_task(self._note(rule, [act for act in fresh if act.rule == rule]), name=f"audit {rule}")
        for act in self._engine.acts.due(self._now_s()):
            if act.place not in self._busy:
                self._busy.add(act.place)
                group.create_task(self._carry_out(act), name=f"linkage {act.rule} {act.device}")
        await self._tell()

    def _hear(self, taken: Taken) -> list[Act]:
        now_s = self._now_s()
        reading = taken.reading
        if reading.type == "device.offline" and taken.phase is Phase.CLEAR:
            self._engine.acts.back(reading.device, now_s)
        if reading.type == "door.open" and taken.phase is Phase.RAISE:
            for act in self._engine.acts.opened(reading.device):
                self._untold += readings(self._means, act, "ok", {"proof": "contact"})
        return self._engine.hear(happening(taken), self._means.clock.utc().astimezone(), now_s)

    async def _save(self) -> None:
        """The plan, where it has changed: on disk before anything moves, where the disk takes it."""
        if not self._engine.acts.all and not self._written:
            return
        shape = repr(
            sorted((act.name, act.stage, act.ends_s, act.fails, act.seen) for act in self._engine.acts.all.values())
        )
        if shape == self._written:
            return
        text = dump(self._engine.acts, self._now_s())

        def work(connection: sqlite3.Connection) -> None:
            put_fact(connection, FACT, text)

        try:
            await self._means.store.transact(work)
            self._written = shape
        except StorageError as error:
            _LOG.warning("the plan is not on disk: %s", error)

    async def _note(self, rule: str, acts: list[Act]) -> None:
        """A line of the audit log for a rule that acts."""
        what = ", ".join(dict.fromkeys(act.action for act in acts))
        subject = ", ".join(dict.fromkeys(act.device or self._means.gateway for act in acts))
        _LOG.info("rule %s: %s of %s, because of %s", rule, what, subject, " ".join(filter(None, acts[0].source)))
        await self._audit(rule, what, subject, "asked", acts[0].cause)

    async def _audit(self, rule: str, what: str, subject: str, outcome: str, cause: str) -> None:
        try:
            await self._means.audit.put(By(rule, "rule", f"rule:{rule}"), what, subject, outcome, cause=cause)
        except StorageError as error:
            _LOG.warning("%s", error)

    # one act

    async def _carry_out(self, act: Act) -> None:
        """Does it, or takes it back; then the engine, the event and the audit log know."""
        refused = self._engine.refused(act)
        code, said = await self.doings.result(act) if refused is None else (refused, {})
        self._busy.discard(act.place)
        if self._engine.acts.done(act, code, self._now_s()):
            action = action_of(act)
            self._untold += readings(self._means, act, code, said)
            _LOG.log(
                logging.INFO if code == "ok" else logging.WARNING,
                *("rule %s: %s of %s: %s", act.rule, action, act.device or self._means.gateway, code),
            )
            await self._audit(act.rule, action, act.device or self._means.gateway, code, act.cause)
        self._wake.set()

    async def _tell(self) -> None:
        """What could not be told stays, and is told when the disk takes it again."""
        if not self._untold:
            return
        readings = list(self._untold)
        known = self._means.supervisor.takes()  # a door of an older plan may have been taken out of the configuration
        named = [r if r.device in known else replace(r, device=self._means.gateway) for r in readings]
        try:
            await self._means.pipeline.accept(named)
        except StorageError as error:
            _LOG.warning("%s", error)
            return
        del self._untold[: len(readings)]

    def _now_s(self) -> float:
        return self._means.clock.monotonic()


async def _hurry(doings: Doings, act: Act) -> None:
    code, _ = await doings.result(act)
    _LOG.warning("rule %s: %s of %s in a fire that is not on disk: %s", act.rule, act.action, act.device, code)


def happening(taken: Taken) -> Happening:
    """What rules hear of an event; a person's disposal is one of the alarm that was disposed of."""
    reading, alarm = taken.reading, taken.alarm
    if reading.type == "operator.dispose" and alarm is not None:
        outcome = str(reading.data.get("outcome", ""))
        return Happening(alarm.device, alarm.type, alarm.part, Phase.PULSE, alarm.test, alarm.id, outcome)
    own = alarm is not None and (alarm.device, alarm.type) == (reading.device, reading.type)
    part = alarm.part if own and alarm is not None else part_key(reading.part)
    cause = alarm.id if own and alarm is not None else taken.id
    return Happening(reading.device, reading.type, part, taken.phase, taken.test, cause)
