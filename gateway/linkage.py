"""Linkage carried out: hears what was taken in, asks the engine (`rules.py`), moves devices, and tells what came of it.

Nothing here stands in the event path: what is heard goes on a queue. The plan is on disk before the first device moves,
so that a start after a cut goes on with it; but a disk that fails keeps no door shut in a fire. Each act ends as an
event `gateway.action` with its proof or its failure, and as a line of the audit log.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

from gateway import taxonomy
from gateway.audit import Audit, By
from gateway.clock import Clock
from gateway.covers import Covers
from gateway.database import put_fact, read_fact
from gateway.deeds import NotFound, NotNow, filled
from gateway.driver import Command, Outcome
from gateway.errors import DeviceError, GatewayError, StorageError, Text
from gateway.event import Phase, Reading, part_key
from gateway.pictures import Pictures
from gateway.pipeline import Pipeline, Taken
from gateway.rulebook import ON_DOORS
from gateway.rules import BACK, Act, Engine, Name, Stage
from gateway.scope import Happening
from gateway.store import Store
from gateway.supervisor import Supervisor

FACT = "linkage"
COMMAND_S = 20.0  # longer than any driver waits for its device
AGAIN_S = 1.0  # after a disk that did not take it
CONDITIONS: Mapping[str, tuple[str, ...]] = {  # what is so at a door once it has been done
    "release": ("door.released",),
    "lockdown": ("door.lockdown",),
    "lock": (),
}
HELD = Outcome(
    "not-allowed",
    "fire has opened this door: it is locked again when its alarm has been reset (火警已释放此门,复位报警后才可上锁)",
)
_LOG = logging.getLogger("gateway.linkage")


class Notify(Protocol):
    """How a rule reaches people: a target as under `responsibility:`. False: nobody could be reached."""

    async def __call__(self, target: str, text: Text) -> bool:
        """Returns when it has been handed over."""


@dataclass(frozen=True)
class Means:
    """What rules act by."""

    gateway: str  # its own id
    store: Store
    pipeline: Pipeline
    supervisor: Supervisor
    audit: Audit
    covers: Covers
    pictures: Pictures
    clock: Clock


@dataclass(frozen=True)
class Sound:
    """What the page is to play while it lasts."""

    rule: str
    text: str
    cause: str
    test: bool


Result = tuple[str, dict[str, Any]]  # code, what the event says besides


class Linkage:
    """`run()` for ever; `guard` refuses what fire forbids, whoever asks; `sounds` is for the page."""

    def __init__(self, engine: Engine, means: Means) -> None:
        self.sounds: dict[Name, Sound] = {}
        self.notify: Notify | None = None
        self._engine = engine
        self._means = means
        self._heard: list[Taken] = []
        self._wake = asyncio.Event()
        self._busy: set[str] = set()  # devices that are being moved
        self._untold: list[Reading] = []
        self._written = ""

    def took(self, taken: Taken) -> None:
        """A listener of the pipeline."""
        self._heard.append(taken)
        self._wake.set()

    def guard(self, command: Command) -> Outcome | None:
        """Why a command is not handed to its device: fire holds the door open."""
        return HELD if self._engine.held(command.device, command.action, command.args) else None

    async def run(self) -> None:
        """Until cancelled."""
        await self._recall()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._turn(group)
                next_s = min(self._engine.next_s(), self._now_s() + AGAIN_S if self._untold else inf)
                await self._rest(next_s)

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
            self._engine.load(text or "", now_s)
        except (ValueError, TypeError, KeyError) as error:
            _LOG.error("what was planned before the last end cannot be read: %s", error)
        self._engine.catch_up(self._means.pipeline.shown, self._means.clock.utc().astimezone(), now_s)

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        """Everything heard, planned and due."""
        self._wake.clear()
        fresh: list[Act] = []
        heard, self._heard = self._heard, []
        for taken in heard:
            fresh += self._hear(taken)
        self._engine.settle(self._means.pipeline.shown, self._now_s())
        await self._save()
        for act in self._engine.due(self._now_s()):
            if act.device not in self._busy or not act.device:
                self._busy.add(act.device)
                group.create_task(self._carry_out(act), name=f"linkage {act.rule} {act.device}")
        if fresh:
            await self._note(fresh)
        await self._tell()

    def _hear(self, taken: Taken) -> list[Act]:
        now_s = self._now_s()
        reading = taken.reading
        if reading.type == "device.offline" and taken.phase is Phase.CLEAR:
            self._engine.back(reading.device, now_s)
        return self._engine.hear(happening(taken), self._means.clock.utc().astimezone(), now_s)

    async def _save(self) -> None:
        """The plan, where it has changed: on disk before anything moves, where the disk takes it."""
        if not self._engine.acts and not self._written:
            return
        text = self._engine.dump(self._now_s())
        shape = repr(sorted((act.name, act.stage, act.ends_s, act.fails) for act in self._engine.acts.values()))
        if shape == self._written:
            return

        def work(connection: sqlite3.Connection) -> None:
            put_fact(connection, FACT, text)

        try:
            await self._means.store.transact(work)
            self._written = shape
        except StorageError as error:
            _LOG.warning("the plan is not on disk: %s", error)

    async def _note(self, fresh: list[Act]) -> None:
        """A line of the audit log for each rule that acts."""
        for rule in dict.fromkeys(act.rule for act in fresh):
            mine = [act for act in fresh if act.rule == rule]
            what = ", ".join(dict.fromkeys(act.action for act in mine))
            subject = ", ".join(dict.fromkeys(act.device or self._means.gateway for act in mine))
            _LOG.info("rule %s: %s of %s, because of %s", rule, what, subject, " ".join(filter(None, mine[0].source)))
            await self._audit(rule, what, subject, "asked", mine[0].cause)

    async def _audit(self, rule: str, what: str, subject: str, outcome: str, cause: str) -> None:
        try:
            await self._means.audit.put(By(rule, "rule", f"rule:{rule}"), what, subject, outcome, cause=cause)
        except StorageError as error:
            _LOG.warning("%s", error)

    # one act

    async def _carry_out(self, act: Act) -> None:
        """Does it, or takes it back; then the engine, the event and the audit log know."""
        refused = self._engine.refused(act)
        code, said = await self._result(act) if refused is None else (refused, {})
        self._busy.discard(act.device)
        if self._engine.done(act, code, self._now_s()):
            action = _action(act)
            self._untold += self._readings(act, action, code, said)
            _LOG.log(
                logging.INFO if code == "ok" else logging.WARNING,
                *("rule %s: %s of %s: %s", act.rule, action, act.device or self._means.gateway, code),
            )
            await self._audit(act.rule, action, act.device or self._means.gateway, code, act.cause)
        self._wake.set()

    async def _result(self, act: Act) -> Result:
        """What a task of its own comes to: whatever breaks in a driver ends no more than this act."""
        task = asyncio.ensure_future(self._do(act))
        try:
            await asyncio.wait({task}, timeout=COMMAND_S)
        finally:
            if not task.done():
                task.cancel()
        if not task.done() or task.cancelled():
            return "timeout", {}
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, GatewayError):
            _LOG.error("%s of %s broke", act.action, act.device, exc_info=error)
        return _code(error), {"message": str(error)[:200]}

    async def _do(self, act: Act) -> Result:
        if act.action == "sound":
            return self._sound(act)
        if act.action == "notify":
            return await self._notify(act)
        if act.action in ("shelve", "suppress"):
            return await self._cover(act)
        action, args = _action(act), dict(act.args)
        if act.stage is Stage.ENDING:
            args = {**args, "state": not args["state"]} if action == "output" else {}
        outcome = await self._means.supervisor.command(Command(_identity(act), act.device, action, args))
        said: dict[str, Any] = filled({"message": "" if outcome.code == "ok" else outcome.message[:200]})
        if outcome.code != "ok":
            return outcome.code, said
        if outcome.picture is not None:
            kept = await self._means.pictures.keep(act.device, outcome.picture)
            return "ok", {"proof": "picture", "picture": kept}
        return "ok", {"proof": self._proof(act.device, action)}

    def _proof(self, device: str, action: str) -> str:
        """`contact` where the door is seen to be open (or shut) as it should be, else that the device said so."""
        opened = any(alarm.type == "door.open" and alarm.active for alarm in self._means.pipeline.shown.of(device))
        return "contact" if opened and action in ("release", "unlock") else "relay"

    def _sound(self, act: Act) -> Result:
        if act.stage is Stage.ENDING:
            self.sounds.pop(act.name, None)
        else:
            self.sounds[act.name] = Sound(act.rule, str(act.args.get("text", "")), act.cause, act.test)
        return "ok", {}

    async def _notify(self, act: Act) -> Result:
        target, text = str(act.args["target"]), act.args.get("text")
        if self.notify is None:
            return "unknown-action", {"target": target}
        what = " ".join(filter(None, act.source))
        said = Text(text or f"rule {act.rule}: {what}", text or f"联动规则 {act.rule}:{what}")
        return ("ok" if await self.notify(target, said) else "timeout"), {"target": target}

    async def _cover(self, act: Act) -> Result:
        """Shelves the device's alarms, or suppresses those of one type, named by the cause; and ends it again."""
        by, covers = By(act.rule, "rule", f"rule:{act.rule}"), self._means.covers
        cause = " ".join(filter(None, act.source))
        if act.action == "shelve":
            await covers.shelve(act.device, act.hold_s or 0.0, str(act.args.get("text", cause)), by)
            return "ok", {}
        meant = str(act.args["type"])
        for alarm in self._means.pipeline.shown.of(act.device):
            if taxonomy.matches(meant, alarm.type) and alarm.severity != "info":
                if act.stage is Stage.ENDING:
                    await covers.release(alarm, by)
                elif alarm.active:
                    await covers.suppress(alarm, cause, by)
        return "ok", {}

    # what is told

    def _readings(self, act: Act, action: str, code: str, said: Mapping[str, Any]) -> list[Reading]:
        """The event of the act, and what is so at the door now, unless its driver has told that itself."""
        data = {"rule": act.rule, "action": action, "result": code, "cause": act.cause, **act_args(act), **said}
        told = [Reading(act.device or self._means.gateway, "gateway.action", Phase.PULSE, test=act.test, data=data)]
        if code != "ok" or action not in ON_DOORS or action == "unlock":
            return told
        book, now = self._means.pipeline.shown, CONDITIONS[action]
        open_ = {alarm.type for alarm in book.of(act.device) if alarm.active}
        own = {alarm.type for alarm in book.of(act.device) if alarm.active and not alarm.part}
        more = {"rule": act.rule, "cause": act.cause}
        reason = "fire" if act.fire else "rule"
        for type in ("door.released", "door.lockdown"):
            if type in now and type not in open_:
                told.append(Reading(act.device, type, Phase.RAISE, test=act.test, reason=reason, data=more))
            elif type not in now and type in own:
                told.append(Reading(act.device, type, Phase.CLEAR, test=act.test, reason=reason, data=more))
        return told

    async def _tell(self) -> None:
        """What could not be told stays, and is told when the disk takes it again."""
        if not self._untold:
            return
        readings = list(self._untold)
        try:
            await self._means.pipeline.accept(readings)
        except StorageError as error:
            _LOG.warning("%s", error)
            return
        del self._untold[: len(readings)]

    def _now_s(self) -> float:
        return self._means.clock.monotonic()


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


def act_args(act: Act) -> dict[str, Any]:
    """What an event says of how: the number of an output, whom it was for."""
    return {name: act.args[name] for name in ("number", "target") if name in act.args}


def _action(act: Act) -> str:
    """The command's own word; of what is taken back that is another one."""
    return BACK.get(act.action, f"end-{act.action}") if act.stage is Stage.ENDING else act.action


def _identity(act: Act) -> str:
    return f"rule-{act.rule}-{act.number}-{act.cause}"


def _code(error: BaseException) -> str:
    if isinstance(error, StorageError):
        return "storage"
    if isinstance(error, NotFound | NotNow):
        return "device-refused"
    return "device-offline" if isinstance(error, DeviceError) else "driver-error"
