"""How one act is done: by a device's driver, on the page, by a message, on alarms; and what is told of it then."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway import taxonomy
from gateway.acts import Act, Name, Stage, action_of
from gateway.audit import Audit, By
from gateway.clock import Clock
from gateway.covers import Covers
from gateway.deeds import NotFound, NotNow, filled
from gateway.driver import Command
from gateway.errors import DeviceError, GatewayError, StorageError, Text
from gateway.event import Phase, Reading
from gateway.pictures import Pictures
from gateway.pipeline import Pipeline
from gateway.rulebook import ON_DOORS
from gateway.store import Store
from gateway.supervisor import Supervisor

COMMAND_S = 20.0  # longer than any driver waits for its device
CONDITIONS: Mapping[str, tuple[str, ...]] = {  # what is so at a door once it has been done
    "release": ("door.released",),
    "lockdown": ("door.lockdown",),
    "lock": (),
}
Result = tuple[str, dict[str, Any]]  # code, what the event says besides
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


class Doings:
    """`result(act)` does it, or takes it back; `sounds` is for the page, `notify` what a rule reaches people by."""

    def __init__(self, means: Means) -> None:
        self.sounds: dict[Name, Sound] = {}
        self.notify: Notify | None = None
        self._means = means

    async def result(self, act: Act) -> Result:
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
        action, args = action_of(act), dict(act.args)
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
        what = _in_words(act)
        said = Text(text or f"rule {act.rule}: {what.en}", text or f"联动规则 {act.rule}:{what.zh}")
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


def readings(means: Means, act: Act, code: str, said: Mapping[str, Any]) -> list[Reading]:
    """The event of the act, and what is so at the door now, unless its driver has told that itself."""
    action = action_of(act)
    data = {"rule": act.rule, "action": action, "result": code, "cause": act.cause, **said}
    data |= {name: act.args[name] for name in ("number", "target") if name in act.args}
    told = [Reading(act.device or means.gateway, "gateway.action", Phase.PULSE, test=act.test, data=data)]
    if code != "ok" or action not in ON_DOORS or action == "unlock":
        return told
    book, now = means.pipeline.shown, CONDITIONS[action]
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


def _in_words(act: Act) -> Text:
    """Why it acts: which device, what happened there."""
    device, type, part = act.source
    label = taxonomy.TYPES[type].label if type in taxonomy.TYPES else Text(type, type)
    where = f"{device}/{part}" if part else device
    return Text(f"{where} {label.en}", f"{where} {label.zh}")


def _identity(act: Act) -> str:
    return f"rule-{act.rule}-{act.number}-{act.cause}"


def _code(error: BaseException) -> str:
    if isinstance(error, StorageError):
        return "storage"
    if isinstance(error, NotFound | NotNow):
        return "device-refused"
    return "device-offline" if isinstance(error, DeviceError) else "driver-error"
