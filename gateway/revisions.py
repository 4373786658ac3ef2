"""Which configuration runs, which one is tried, and where each came from: the history as values, and its steps.

A step makes a new `History` from an old one; `gateway.archive` puts it on disk whole. What has still to be told (an
audit line, an event) stands in it too, so that a step and its telling cannot be torn apart.
docs/decisions/0018 says why it is so.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import Text

MOST_REVISIONS = 50  # kept
MOST_STARTS = 3  # of one that is tried: one more is a crash loop
CONFIRM_S = 120  # contract, section 2: confirm_within_s where none is said
CONFIRM_BOUNDS_S = (10, 3600)
FILE, CLI, UPLINK = "file", "cli", "uplink:"
Word = Literal["running", "trying", "rejected", "rolled-back"]  # contract, section 2


class Value(BaseModel):
    """Frozen, and as it stands in the file."""

    model_config = ConfigDict(frozen=True)


class Revision(Value):
    """One configuration and where it came from: `file` (gateway.yaml was edited), `cli`, `page`, `uplink:NAME`."""

    number: int
    name: str  # the platform's, or `local-NUMBER`
    sha256: str  # of its texts
    who: str
    place: str
    time: str
    of: int = 0  # the revision it brought back
    failed: Text | None = None  # why it was rolled back


class Trial(Value):
    """A pushed revision on probation: kept only if it proves itself in time."""

    number: int
    uplink: str
    seconds: float
    boot: str = ""  # of the machine; empty: it has not been started yet
    until_s: float = 0.0  # since that boot
    starts: int = 0
    answered: tuple[tuple[str, ...], ...] = ()  # devices that answered before, by line
    stopped: tuple[str, ...] = ()  # devices whose line stood still before


class Push(Value):
    """What a platform wants (`config/desired`): taken in, not yet examined."""

    revision: str
    config: str
    seconds: float = CONFIRM_S

    @property
    def sha256(self) -> str:
        """Tells it from another text under the same name."""
        return hashlib.sha256(self.config.encode("utf-8", "surrogatepass")).hexdigest()


class Told(Value):
    """The last thing an uplink pushed, and what became of it."""

    revision: str
    sha256: str  # of what was pushed
    state: Word
    time: str
    number: int = 0  # the revision it became
    errors: tuple[dict[str, Any], ...] = ()


class Note(Value):
    """What has still to be told: in the audit log, and as `operator.config`."""

    revision: str
    state: Word
    who: str
    role: str
    place: str
    reason: Text | None = None


class History(Value):
    """All of it. `running` is the number of the revision that is kept; 0: none yet."""

    revisions: tuple[Revision, ...] = ()
    running: int = 0
    trial: Trial | None = None
    local: str = ""  # SHA-256 of gateway.yaml and its parts, as last taken in
    waiting: dict[str, Push] = Field(default={})  # by uplink
    told: dict[str, Told] = Field(default={})  # by uplink
    untold: tuple[Note, ...] = ()

    @property
    def current(self) -> int:
        """The number of the revision that is to run now."""
        return self.running if self.trial is None else self.trial.number

    @property
    def next(self) -> int:
        """The number of the next revision."""
        return 1 + max((revision.number for revision in self.revisions), default=0)

    def find(self, number: int) -> Revision | None:
        """By its number."""
        return next((revision for revision in self.revisions if revision.number == number), None)

    def change(self, **changes: Any) -> "History":
        """With other values; the oldest revisions go, never one that runs or is tried."""
        made = self.model_copy(update=changes)
        spare = [r for r in made.revisions if r.number not in (made.running, made.current)]
        gone = spare[: max(0, len(made.revisions) - MOST_REVISIONS)]
        return made.model_copy(update={"revisions": tuple(r for r in made.revisions if r not in gone)})

    def say(self, *notes: Note) -> tuple[Note, ...]:
        """What has still to be told, with these."""
        return (*self.untold, *notes)


def settle(history: History, revision: Revision, local: str) -> History:
    """A person's revision: the local file was edited, or an old one is brought back. It runs without a trial.

    A box's first configuration is no change, and is not told as one.
    """
    if history.trial is not None:
        why = Text(f"replaced by {revision.name} before it had proven itself", f"试运行期间被 {revision.name} 取代")
        history = roll_back(history, why, revision.time)
    note = Note(revision=revision.name, state="running", who=revision.who, role="installer", place=revision.place)
    return history.change(
        revisions=(*history.revisions, revision),
        running=revision.number,
        local=local,
        untold=history.say(*[note] * bool(history.revisions)),
    )


def hear(history: History, uplink: str, push: Push) -> History:
    """Something is pushed. The same once more (it is retained, and comes again) changes nothing."""
    told = history.waiting.get(uplink) or history.told.get(uplink)
    if told is not None and (told.revision, told.sha256) == (push.revision, push.sha256):
        return history
    return history.change(waiting={**history.waiting, uplink: push})


def _done(history: History, uplink: str) -> dict[str, Push]:
    return {name: push for name, push in history.waiting.items() if name != uplink}


def attempt(history: History, revision: Revision, trial: Trial, sha256: str) -> History:
    """A pushed revision is tried; one that is still being tried gives way to it. `sha256`: of the push."""
    if history.trial is not None:
        why = Text(f"replaced by {revision.name} before it had proven itself", f"试运行期间被 {revision.name} 取代")
        history = roll_back(history, why, revision.time)
    told = Told(revision=revision.name, sha256=sha256, state="trying", time=revision.time, number=revision.number)
    note = Note(revision=revision.name, state="trying", who=revision.who, role="platform", place=revision.place)
    return history.change(
        revisions=(*history.revisions, revision),
        trial=trial,
        waiting=_done(history, trial.uplink),
        told={**history.told, trial.uplink: told},
        untold=history.say(note),
    )


def answer(history: History, uplink: str, told: Told) -> History:
    """A push needs no trial: it is refused, or is what runs already."""
    what = told.errors[0]["what"] if told.errors else None
    note = Note(
        revision=told.revision, state=told.state, who=uplink, role="platform", place=UPLINK + uplink,
        reason=None if what is None else Text(what["en"], what["zh"]),
    )  # fmt: skip
    told_all = {**history.told, uplink: told}
    return history.change(told=told_all, waiting=_done(history, uplink), untold=history.say(note))


def begin(history: History, boot: str, now_s: float) -> History:
    """A daemon starts (`now_s` since `boot`): the time of a trial runs from its first start in this boot."""
    trial = history.trial
    if trial is None:
        return history
    fresh: dict[str, Any] = {"starts": trial.starts + 1}
    if trial.boot != boot:
        fresh |= {"boot": boot, "until_s": now_s + trial.seconds}
    return history.change(trial=trial.model_copy(update=fresh))


def spent(history: History, boot: str, now_s: float) -> Text | None:
    """Why the trial is over before a daemon starts into it; None: it is not."""
    trial = history.trial
    if trial is None:
        return None
    if trial.starts >= MOST_STARTS:
        return Text(
            f"the gateway ended {trial.starts} times while it was tried", f"试运行期间网关退出了 {trial.starts} 次"
        )
    if trial.boot == boot and now_s >= trial.until_s:
        return Text(f"it had not proven itself within {trial.seconds:g} s", f"未能在 {trial.seconds:g} 秒内通过试运行")
    return None


def keep(history: History, now: str) -> History:
    """The trial has succeeded."""
    trial = history.trial
    revision = None if trial is None else history.find(trial.number)
    if trial is None or revision is None:
        return history
    note = Note(revision=revision.name, state="running", who=revision.who, role="platform", place=revision.place)
    told = _became(history, trial, "running", now)
    return history.change(running=trial.number, trial=None, told=told, untold=history.say(note))


def roll_back(history: History, why: Text, now: str) -> History:
    """The trial has failed: the revision before runs again."""
    trial = history.trial
    revision = None if trial is None else history.find(trial.number)
    if trial is None or revision is None:
        return history.change(trial=None)
    failed = revision.model_copy(update={"failed": why})
    note = Note(
        revision=revision.name, state="rolled-back", who="gateway", role="gateway", place=revision.place, reason=why
    )
    return history.change(
        revisions=tuple(failed if one is revision else one for one in history.revisions),
        trial=None,
        told=_became(history, trial, "rolled-back", now, [{"what": why._asdict()}]),
        untold=history.say(note),
    )


def _became(
    history: History, trial: Trial, state: Word, now: str, errors: Sequence[dict[str, Any]] = ()
) -> dict[str, Told]:
    told = history.told.get(trial.uplink)
    if told is None or told.number != trial.number:
        return history.told
    return {
        **history.told,
        trial.uplink: told.model_copy(update={"state": state, "time": now, "errors": tuple(errors)}),
    }


def reported(history: History, uplink: str) -> dict[str, Any]:
    """`config/reported` (contract, section 2). `running` says what does run, where that is not `revision`."""
    running = history.find(history.running)
    name = "" if running is None else running.name
    told = history.told.get(uplink)
    if told is None or (told.state == "running" and told.number != history.running):
        document: dict[str, Any] = {"revision": name, "state": "running", "errors": []}
        document["time"] = "" if running is None else running.time
        return document
    return {
        "revision": told.revision,
        "state": told.state,
        "errors": list(told.errors),
        "time": told.time,
        "running": name,
    }


# what a trial is judged by

Verdict = Literal["wait", "keep"]
Seconds = Annotated[float, Field(ge=CONFIRM_BOUNDS_S[0], le=CONFIRM_BOUNDS_S[1], allow_inf_nan=False)]


class Seen(Value):
    """How things stand in a daemon that tries: `online` by device (None: not heard of yet)."""

    connected: bool  # the uplink that pushed
    online: dict[str, bool | None]
    stopped: frozenset[str] = frozenset()  # devices whose line cannot work as configured
    retrying: frozenset[str] = frozenset()


def judge(trial: Trial, seen: Seen, over: bool) -> Verdict | Text:
    """`keep`, `wait`, or why it fails. `over`: the time is up.

    A line counts as running when one of its devices answers that answered before. One that was not heard of, and whose
    driver meets no trouble (a camera that posts now and then), has had its chance when the time is up.
    """
    stopped = sorted(seen.stopped - set(trial.stopped))
    if stopped:
        names = ", ".join(stopped)
        return Text(f"cannot work as configured: {names}", f"按此配置无法工作:{names}")
    silent = [
        group
        for one in trial.answered
        if (group := [device for device in one if device in seen.online])
        and not any(seen.online[device] for device in group)
    ]
    if seen.connected and not silent:
        return "keep"
    if not over:
        return "wait"
    if not seen.connected:
        return Text(
            f"the uplink {trial.uplink} did not come back within {trial.seconds:g} s",
            f"上行链路 {trial.uplink} 未能在 {trial.seconds:g} 秒内恢复连接",
        )
    lost = [name for group in silent for name in group if seen.online[name] is False or name in seen.retrying]
    if not lost:
        return "keep"
    return Text(
        f"answered before, and did not within {trial.seconds:g} s: {', '.join(lost)}",
        f"此前正常应答,{trial.seconds:g} 秒内未应答:{', '.join(lost)}",
    )
