"""Linkage as a pure engine: happenings in, acts out; the clock is an argument, all state can be written and read back.

An act is one action of one rule on one device for one cause. It waits for its time, is carried out, lasts until its
end where it has one, and is then taken back. Whether its cause still lasts is asked of the book of alarms, never
remembered: so nothing that happens while the gateway is down is missed.

Who wins: fire. A door that fire has opened is locked by no rule and no command until a person has reset the alarm
(`held`). Among other rules the one that `yields_to:` another gives way while that one's act lasts.
"""

import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from math import inf
from typing import Any

from gateway import taxonomy
from gateway.alarms import Alarm, Book
from gateway.event import NOTHING, Phase
from gateway.rulebook import FIRE, LASTING, Do, Rule
from gateway.scope import Happening, World, fits, targets

RETRY_S, RETRY_MOST_S = 1.0, 10.0  # after a failure
TRIES = 3  # of what is no release by fire; that one is tried while the alarm is not reset
BACK: Mapping[str, str] = {"release": "lock", "lockdown": "lock", "output": "output"}  # how an act is taken back
AGAIN = frozenset({"device-offline", "timeout", "busy", "storage"})  # codes that may be another one next time
OPENS, SHUTS = frozenset({"release", "unlock"}), frozenset({"lock", "lockdown"})


class Stage(StrEnum):
    """Where an act stands."""

    WAITING = "waiting"  # for its time, or for its next try
    LASTING = "lasting"
    ENDING = "ending"  # to be taken back
    DONE = "done"  # remembered until its cause is over, so that it is not done twice


Name = tuple[str, int, str, str]  # rule, number of the action, device, cause


@dataclass(frozen=True, slots=True)
class Act:
    """One action on one device for one cause; times in seconds of a clock that only goes forward."""

    rule: str
    number: int
    device: str  # "" for what is of no device
    cause: str
    source: tuple[str, str, str]  # the condition: device, type, part
    test: bool
    action: str
    stage: Stage = Stage.WAITING
    at_s: float = 0.0  # its next step
    ends_s: float | None = None  # None: not carried out yet
    hold_s: float | None = None
    until: str = ""
    confirm: bool = False  # only if the condition still lasts when its time comes (`for:`)
    fails: int = 0
    told: str = ""  # the code told last
    args: Mapping[str, Any] = field(default_factory=lambda: NOTHING)

    @property
    def name(self) -> Name:
        """There is one of each."""
        return self.rule, self.number, self.device, self.cause

    @property
    def fire(self) -> bool:
        """Fire has opened a door or switched an output, and it stays so until a person resets the alarm."""
        return self.action in ("release", "output") and self.until == "reset" and self.source[1].startswith(FIRE)

    @property
    def open(self) -> bool:
        """It wants something now or in future."""
        return self.stage is not Stage.DONE


def opposed(one: str, its: Mapping[str, Any], other: str, others: Mapping[str, Any]) -> bool:
    """Would two actions, each with its arguments, move the same door or output, each another way?"""
    if one == other == "output":
        return its.get("number") == others.get("number") and its.get("state") != others.get("state")
    return (one in OPENS and other in SHUTS) or (one in SHUTS and other in OPENS)


def _crossed(act: Act, action: str, args: Mapping[str, Any]) -> bool:
    return opposed(act.action, act.args, action, args)


class Engine:
    """All rules, and every act that is not over."""

    def __init__(self, rules: Sequence[Rule], world: World) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._world = world
        self._recent: defaultdict[str, deque[float]] = defaultdict(deque)  # of rules with `count:`, seconds
        self.acts: dict[Name, Act] = {}

    # what happens

    def hear(self, happening: Happening, local: datetime, now_s: float) -> list[Act]:
        """What has happened makes rules act: the new acts."""
        found = [act for rule in self._rules.values() for act in self._planned(rule, happening, local, now_s)]
        fresh = [act for act in found if self._fresh(act)]
        self.acts |= {act.name: act for act in fresh}
        if happening.phase is not Phase.CLEAR:
            self._suppressed_too(happening, now_s)
        return fresh

    def _planned(self, rule: Rule, happening: Happening, local: datetime, now_s: float) -> Iterator[Act]:
        if not fits(rule.when, self._world, happening, local) or not self._often(rule, now_s):
            return
        for number, do in enumerate(rule.do):
            devices = [""] if do.devices is None else targets(do.devices, self._world, happening.device)
            for device in devices:
                yield planned(rule, number, device, happening, now_s)

    def _often(self, rule: Rule, now_s: float) -> bool:
        if rule.when.count is None:
            return True
        recent = self._recent[rule.name]
        recent.append(now_s)
        while recent[0] < now_s - (rule.when.within or 0.0):
            recent.popleft()
        if len(recent) < rule.when.count:
            return False
        recent.clear()
        return True

    def _fresh(self, act: Act) -> bool:
        """Told again while its act waits or lasts, it is no news."""
        old = self.acts.get(act.name)
        return old is None or old.stage in (Stage.DONE, Stage.ENDING)

    def _suppressed_too(self, happening: Happening, now_s: float) -> None:
        for act in self._open(happening.device):
            covers = act.action == "suppress" and act.stage is Stage.LASTING
            if covers and taxonomy.matches(act.args["type"], happening.type):
                self._keep(replace(act, stage=Stage.WAITING, at_s=now_s))

    def back(self, device: str, now_s: float) -> None:
        """The device can be reached again: what should last there is made so anew, what waits is tried at once."""
        for act in self._open(device):
            if act.stage is Stage.LASTING:
                self._keep(replace(act, stage=Stage.WAITING, at_s=now_s))
            elif act.fails:
                self._keep(replace(act, at_s=now_s))

    def catch_up(self, book: Book, local: datetime, now_s: float) -> list[Act]:
        """After a start: alarms that are active and have made no rule act yet, as the end came in between."""
        found = []
        for alarm in book:
            if not alarm.active or alarm.severity == "info":
                continue
            happening = Happening(alarm.device, alarm.type, alarm.part, Phase.RAISE, alarm.test, alarm.id)
            for rule in self._rules.values():
                if rule.when.count is None and rule.when.outcome is None:
                    acts = self._planned(rule, happening, local, now_s)
                    found += [act for act in acts if act.name not in self.acts]
        self.acts |= {act.name: act for act in found}
        return found

    # what is to be done

    def settle(self, book: Book, now_s: float) -> bool:
        """Looks at the causes of all acts; says whether any changed."""
        before = dict(self.acts)
        for act in before.values():
            alarm = book.get(act.source)
            mine = alarm is not None and alarm.id == act.cause
            if not mine and act.stage is Stage.DONE:
                del self.acts[act.name]
            elif act.open:
                self._settle(act, alarm if mine else None, now_s)
        return before != self.acts

    def _settle(self, act: Act, alarm: Alarm | None, now_s: float) -> None:
        active = alarm is not None and alarm.active
        over = (act.until == "cleared" and not active) or (act.until == "reset" and alarm is None)
        if act.stage is Stage.WAITING and act.ends_s is None and (over or (act.confirm and not active)):
            self._finish(act)  # it was never carried out
        elif act.stage is not Stage.ENDING and (over or (act.ends_s is not None and now_s >= act.ends_s)):
            self._end(act, now_s)

    def due(self, now_s: float) -> list[Act]:
        """What is to be carried out or taken back now; what fire opens first."""
        ready = [act for act in self.acts.values() if act.stage in (Stage.WAITING, Stage.ENDING) and act.at_s <= now_s]
        return sorted(ready, key=lambda act: (not act.fire, act.at_s, act.name))

    def next_s(self) -> float:
        """When something is due next; infinity for never."""
        return min(map(_step_s, self.acts.values()), default=inf)

    def refused(self, act: Act) -> str | None:
        """Why a rule may not do this now: `held-by-fire`, or the name of the rule that it gives way to."""
        if act.stage is Stage.ENDING:
            return None
        if self.held(act.device, act.action, act.args):
            return "held-by-fire"
        rule = self._rules.get(act.rule)
        for other in self._wanted(act.device):
            if rule is not None and other.rule in rule.yields_to and _crossed(other, act.action, act.args):
                return f"yields-to:{other.rule}"
        return None

    def held(self, device: str, action: str, args: Mapping[str, Any] = NOTHING) -> bool:
        """Does fire hold the door (or output) against this action, whoever asks for it?"""
        return any(act.fire and _crossed(act, action, args) for act in self._wanted(device))

    # what became of it

    def done(self, act: Act, code: str, now_s: float) -> bool:
        """An act was carried out or taken back, or not; says whether that is news to be told."""
        if self.acts.get(act.name) != act:
            return True  # it has changed meanwhile: what is there now is done next
        if act.stage is Stage.ENDING:
            return self._taken_back(act, code, now_s)
        news = code != act.told or act.fails == 0
        if code == "ok":
            ends_s = act.ends_s if act.ends_s is not None else _ends_s(act, now_s)
            lasts = act.action in LASTING and (act.until or act.hold_s is not None)
            stage = Stage.LASTING if lasts else Stage.DONE
            self._keep(replace(act, stage=stage, at_s=ends_s, ends_s=ends_s, fails=0, told=code))
            return news
        retry = act.fire or (code in AGAIN and act.fails + 1 < TRIES)
        stage = Stage.WAITING if retry else Stage.DONE
        self._keep(replace(act, stage=stage, at_s=now_s + _retry_s(act), fails=act.fails + 1, told=code))
        return news if act.fire else not retry

    def _taken_back(self, act: Act, code: str, now_s: float) -> bool:
        if code in AGAIN and act.fails + 1 < TRIES:
            self._keep(replace(act, at_s=now_s + RETRY_S, fails=act.fails + 1))
            return False
        self._finish(act)
        return True

    def _end(self, act: Act, now_s: float) -> None:
        """Its end has come. Where another act still wants the door, that is made so anew instead."""
        others = [other for other in self._wanted(act.device) if other.name != act.name and _same_thing(act, other)]
        lasting = [other for other in others if other.ends_s is not None]
        if act.action in BACK and lasting:
            self._finish(act)
            for other in lasting:
                self._keep(replace(other, stage=Stage.WAITING, at_s=now_s))
        else:
            self._keep(replace(act, stage=Stage.ENDING, at_s=now_s, fails=0))

    def _finish(self, act: Act) -> None:
        self._keep(replace(act, stage=Stage.DONE, at_s=inf))

    def _keep(self, act: Act) -> None:
        self.acts[act.name] = act

    def _open(self, device: str) -> list[Act]:
        return [act for act in self.acts.values() if act.device == device and act.open]

    def _wanted(self, device: str) -> list[Act]:
        return [act for act in self._open(device) if act.stage is not Stage.ENDING]

    # over restarts

    def dump(self, now_s: float) -> str:
        """All acts as JSON; times as what is left of them."""
        return json.dumps([_left(act, now_s) for act in self.acts.values()], separators=(",", ":"))

    def load(self, text: str, now_s: float) -> None:
        """What `dump` wrote. What should last is made so anew: nobody knows what became of the devices meanwhile."""
        for entry in json.loads(text or "[]"):
            for name in ("at_s", "ends_s"):
                entry[name] = None if entry[name] is None else now_s + entry[name]
            act = Act(**entry | {"source": tuple(entry["source"]), "stage": Stage(entry["stage"])})
            again = act.stage is Stage.LASTING
            self._keep(replace(act, stage=Stage.WAITING, at_s=now_s) if again else act)


def planned(rule: Rule, number: int, device: str, happening: Happening, now_s: float) -> Act:
    """One action of a rule on one device. Doors opened by fire stay open until a person resets."""
    do, lasts_s = rule.do[number], rule.when.lasts or 0.0
    until = do.until or ""
    stays = do.action == "release" or (do.action == "output" and do.hold is None and not until)
    if stays and happening.type.startswith(FIRE) and happening.phase is not Phase.CLEAR:
        until = "reset"
    elif do.action in ("sound", "suppress") and do.hold is None:
        until = until or "cleared"
    return Act(
        rule=rule.name,
        number=number,
        device=device,
        cause=happening.cause,
        source=(happening.device, happening.type, happening.part),
        test=happening.test,
        action=do.action,
        at_s=now_s + do.delay + lasts_s,
        hold_s=None if until else do.hold,
        until=until,
        confirm=rule.when.lasts is not None,
        args=arguments(do),
    )


def arguments(do: Do) -> dict[str, Any]:
    """As the contract's commands take them, and as the runner needs the rest."""
    if do.action == "unlock":
        return {} if do.hold is None else {"seconds": do.hold}
    names = ("number", "state", "type", "target", "text")
    return {name: getattr(do, name) for name in names if getattr(do, name) is not None}


def _retry_s(act: Act) -> float:
    return min(RETRY_MOST_S, RETRY_S * 2.0 ** min(act.fails, 10))


def _step_s(act: Act) -> float:
    return inf if act.stage is Stage.DONE else act.at_s


def _ends_s(act: Act, now_s: float) -> float:
    return inf if act.hold_s is None else now_s + act.hold_s


def _same_thing(act: Act, other: Act) -> bool:
    if act.action == "output" or other.action == "output":
        return act.action == other.action and act.args.get("number") == other.args.get("number")
    return other.action in BACK


def _left(act: Act, now_s: float) -> dict[str, Any]:
    entry = asdict(replace(act, args=dict(act.args)))
    for name in ("at_s", "ends_s"):
        entry[name] = None if entry[name] is None else max(0.0, entry[name] - now_s)
    return entry
