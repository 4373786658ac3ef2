"""A configuration comes in while the gateway runs: pushed by a platform, brought back or reloaded by a person.

What is pushed goes to disk before the broker hears that we have it; then it is examined, tried, judged. To run another
configuration the whole daemon ends as it always does and starts again in the same process: one way, which is also the
way after a power cut (docs/decisions/0018).
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway import revisions
from gateway.archive import Start, Texts, bring_back, digest
from gateway.audit import Audit, By
from gateway.clock import Clock, rfc3339
from gateway.commands import Reply
from gateway.config import GatewayConfig
from gateway.deeds import filled
from gateway.desired import Desired
from gateway.errors import ConfigError, StorageError, Text
from gateway.event import Phase, Reading
from gateway.mqtt import Message
from gateway.parts import Document, Hearing
from gateway.pipeline import Pipeline
from gateway.pushed import Answer, Question, examined
from gateway.revisions import (
    CONFIRM_BOUNDS_S,
    FILE,
    UPLINK,
    History,
    Note,
    Push,
    Revision,
    Seen,
    Told,
    Trial,
)
from gateway.states import States
from gateway.supervisor import Supervisor
from gateway.uplink import Uplink

LARGEST_BYTES = 512 * 1024  # of a pushed document
LOOK_S = 0.5  # how often a trial is looked at
SETTLED_S = 2.0  # so long everything must be well
GRACE_S = 1.5  # from a decision to the restart, so that the platform and a person hear of it
DESIRED, REPORTED = "config/desired", "config/reported"
_LOG = logging.getLogger("gateway.config")


class NotRight(ConfigError):
    """The configuration is wrong; all of it is told, a line each."""

    def say(self, language: str) -> str:
        """The lines alone: each says where."""
        return self.what.say(language)


@dataclass(frozen=True)
class Around:
    """What it needs of the house."""

    gateway: GatewayConfig
    audit: Audit
    pipeline: Pipeline
    supervisor: Supervisor
    states: States
    clock: Clock
    restart: Callable[[], None]


class Kept:
    """The history in hand, the same as on disk. `woken`: there is something to do; `leaving`: to start anew."""

    def __init__(self, start: Start, clock: Clock) -> None:
        self.history = start.history
        self.woken = asyncio.Event()
        self.leaving = False
        self._archive = start.archive
        self._clock = clock

    def become(self, history: History, texts: Texts | None = None) -> None:
        """The step is on disk first. StorageError: it has not happened."""
        if history is not self.history:
            self._archive.save(history, texts)
            self.history = history
            self.woken.set()

    def leave(self) -> None:
        """Run what the history says now."""
        self.leaving = True
        self.woken.set()

    def texts(self, number: int) -> dict[str, str]:
        """Of a revision. StateError."""
        return self._archive.texts(number)

    def now(self) -> str:
        """RFC 3339."""
        return rfc3339(self._clock.utc())

    def outcome(self, push: Push, state: revisions.Word, number: int = 0, errors: Sequence[Any] = ()) -> Told:
        """What became of a push."""
        return Told(
            revision=push.revision,
            sha256=push.sha256,
            state=state,
            time=self.now(),
            number=number,
            errors=tuple(errors),
        )


class Renewal:
    """`run()` beside everything else, for ever."""

    def __init__(self, start: Start, around: Around) -> None:
        self.uplinks: Sequence[Uplink] = ()
        self._kept = Kept(start, around.clock)
        self._file = start.file
        self._around = around
        self._well_since_s: float | None = None
        self._told = ""

    @property
    def file(self) -> Path:
        """gateway.yaml."""
        return self._file

    @property
    def history(self) -> History:
        """As it stands on disk."""
        return self._kept.history

    # what the platform says, and hears

    def hearing(self, uplink: str) -> Hearing:
        """For `config/desired` of an uplink that may push."""

        async def hear(message: Message) -> Reply | None:
            if message.payload:
                self._hear(uplink, message.payload)
            return None

        return hear

    def document(self, uplink: str) -> Document:
        """`config/reported`."""
        return revisions.reported(self._kept.history, uplink)

    def _hear(self, uplink: str, payload: bytes) -> None:
        try:
            if len(payload) > LARGEST_BYTES:
                raise ValueError(f"more than {LARGEST_BYTES} bytes")
            desired = Desired.model_validate_json(payload)
        except ValueError as error:  # pydantic's too
            self._refuse_document(uplink, payload, error)
            return
        push = Push(revision=desired.revision, config=desired.config, seconds=desired.confirm_within_s)
        self._kept.become(revisions.hear(self._kept.history, uplink, push))

    def _refuse_document(self, uplink: str, payload: bytes, error: ValueError) -> None:
        """It is no such document at all."""
        push = Push(revision=_name(payload), config=payload.decode("utf-8", "replace"))
        if revisions.hear(self._kept.history, uplink, push) is self._kept.history:
            return
        what = _why(error)
        self._kept.become(
            revisions.answer(
                self._kept.history, uplink, self._kept.outcome(push, "rejected", errors=[{"what": what._asdict()}])
            )
        )

    # what a person says

    async def reload(self, by: By) -> None:
        """Start again by what gateway.yaml says, if that is right. NotRight, StorageError."""
        answer = await examined(Question(file=self._file))
        if answer.problems:
            raise NotRight(str(self._file), answer.say(self._file))
        await self._around.audit.put(by, "reload", self._around.gateway.id)
        self._kept.leave()

    async def roll_back(self, number: int, by: By) -> Revision:
        """An old revision runs again. NotRight, StateError, StorageError."""
        bring_back(self._kept.history, number, by.who, self._kept.now(), by.place)
        texts = self._kept.texts(number)
        answer = await examined(Question(file=self._file, texts=texts))
        if answer.problems:
            raise NotRight(str(self._file), answer.say(self._file))
        history = bring_back(self._kept.history, number, by.who, self._kept.now(), by.place)
        self._kept.become(history, texts)
        self._kept.leave()
        return history.revisions[-1]

    # what runs beside

    async def run(self) -> None:
        """Tells what happened, examines what was pushed, judges what is tried."""
        while True:
            self._kept.woken.clear()
            try:
                await self._turn()
                self._told = ""
            except (StorageError, OSError) as error:
                if self._told != str(error):
                    self._told = str(error)
                    _LOG.error("%s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S if self._kept.history.trial or self._told else None):
                    await self._kept.woken.wait()

    async def _turn(self) -> None:
        while self._kept.history.untold:
            await self._tell(self._kept.history.untold[0])
            self._kept.become(self._kept.history.change(untold=self._kept.history.untold[1:]))
        if self._kept.leaving:
            await self._around.clock.sleep(GRACE_S)
            self._around.restart()
            await asyncio.Event().wait()
        for uplink, push in self._kept.history.waiting.items():
            await self._examine(uplink, push)
        if self._kept.history.trial is not None and not self._kept.leaving:
            self._judge(self._kept.history.trial)

    async def _tell(self, note: Note) -> None:
        """The audit's line, then the event; told twice rather than never."""
        gateway, place = self._around.gateway, "cli" if note.place == FILE else note.place
        by = By(note.who, note.role, place)
        reason = "" if note.reason is None else note.reason.say(gateway.language)
        _LOG.info("configuration %s: %s%s", note.revision, note.state, f" ({note.reason.en})" if note.reason else "")
        await self._around.audit.put(by, "operator.config", note.revision, note.state, reason=reason)
        data = {"who": by.who, "role": by.role, "from": by.place, "revision": note.revision, "state": note.state}
        data |= filled({"reason": reason})
        reading = Reading(gateway.id, "operator.config", Phase.PULSE, data=data)
        await self._around.pipeline.accept([reading])

    async def _examine(self, uplink: str, push: Push) -> None:
        gateway = self._around.gateway
        answer = await examined(
            Question(
                file=self._file,
                texts={self._file.name: push.config},
                uplink=uplink,
                gateway=gateway.id,
                state_dir=gateway.state_dir,
            )
        )
        if self._kept.history.waiting.get(uplink) is not push:
            return  # another one has come meanwhile
        running = self._kept.history.find(self._kept.history.current)
        if answer.problems:
            told = self._kept.outcome(push, "rejected", errors=answer.problems)
            self._kept.become(revisions.answer(self._kept.history, uplink, told))
        elif running is not None and self._kept.history.trial is None and running.sha256 == digest(answer.texts):
            told = self._kept.outcome(push, "running", running.number)
            self._kept.become(revisions.answer(self._kept.history, uplink, told))
        else:
            self._try(uplink, push, answer)

    def _try(self, uplink: str, push: Push, answer: Answer) -> None:
        number, before = self._kept.history.next, self._kept.history.trial
        revision = Revision(
            number=number, name=push.revision, sha256=digest(answer.texts), who=uplink, place=UPLINK + uplink,
            time=self._kept.now(),
        )  # fmt: skip
        stand = _stand(self._around) if before is None else {"answered": before.answered, "stopped": before.stopped}
        trial = Trial(number=number, uplink=uplink, seconds=push.seconds, **stand)
        self._kept.become(revisions.attempt(self._kept.history, revision, trial, push.sha256), answer.texts)
        self._kept.leave()

    def _judge(self, trial: Trial) -> None:
        now_s = self._around.clock.since_boot_s()
        verdict = revisions.judge(trial, _seen(self._around, self.uplinks, trial.uplink), now_s >= trial.until_s)
        if verdict != "keep":
            self._well_since_s = None
        elif self._well_since_s is None:
            self._well_since_s = now_s
        if isinstance(verdict, Text):
            self._kept.become(revisions.roll_back(self._kept.history, verdict, self._kept.now()))
            self._kept.leave()
        elif self._well_since_s is not None and now_s - self._well_since_s >= SETTLED_S:
            self._kept.become(revisions.keep(self._kept.history, self._kept.now()))


def _seen(around: Around, uplinks: Sequence[Uplink], pusher: str) -> Seen:
    state = {device.id: line.state for line in around.supervisor.lines for device in line.line.devices}
    return Seen(
        connected=any(u.connected and u.deaf is None for u in uplinks if u.name == pusher),
        online={device: around.states[device].online for device in state},
        stopped=frozenset(device for device, word in state.items() if word == "stopped"),
        retrying=frozenset(device for device, word in state.items() if word == "retrying"),
    )


def _stand(around: Around) -> Mapping[str, Any]:
    """How the drivers stand before a trial."""
    answered, stopped = [], []
    for line in around.supervisor.lines:
        names = [device.id for device in line.line.devices]
        stopped += names * (line.state == "stopped")
        answers = tuple(name for name in names if around.states[name].online)
        answered += [answers] * bool(answers)
    return {"answered": tuple(answered), "stopped": tuple(stopped)}


def _name(payload: bytes) -> str:
    """The revision's name, as far as the document has one."""
    try:
        name = json.loads(payload[:LARGEST_BYTES]).get("revision", "")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return name[:128] if isinstance(name, str) else ""


def _why(error: ValueError) -> Text:
    en, field = str(error), ""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "JSON"
        en = f"{field}: {first['msg']}"
    least_s, most_s = CONFIRM_BOUNDS_S
    return Text(
        f"config/desired: {en}",
        f"config/desired 不正确{f'({field})' if field else ''}:需要不超过 {LARGEST_BYTES} 字节的 JSON,"
        f"含 revision(1 至 128 个字符)、config(YAML 文本),可含 confirm_within_s({least_s} 至 {most_s})",
    )
