"""Acts of linkage rules, from plan to end; pure: the clock is an argument, all state can be written and read back.

An act is one action of one rule on one device for one cause. It waits for its time, is carried out, lasts until its
end where it has one, and is then taken back. Whether its cause still lasts is asked of the book of alarms, never
remembered: so nothing that happens while the gateway is down is missed.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import Any

from gateway.alarms import Alarm, Book
from gateway.event import NOTHING
from gateway.rulebook import FIRE, LASTING

RETRY_S, RETRY_MOST_S = 1.0, 2.0  # after a failure; a device may be heard of before it takes commands
TRIES = 3  # then a failure is told; what fire opens is tried on while its alarm is not reset
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
    seen: bool = False  # its door's contact has shown it open
    args: Mapping[str, Any] = field(default_factory=lambda: NOTHING)

    @property
    def name(self) -> Name:
        """There is one of each."""
        return self.rule, self.number, self.device, self.cause

    @property
    def place(self) -> str:
        """Where one act is carried out at a time: the device, or the act itself."""
        return self.device or f"{self.rule} {self.number} {self.cause}"

    @property
    def fire(self) -> bool:
        """Fire has opened a door or switched an output, until a person has disposed of the alarm."""
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


def crossed(act: Act, action: str, args: Mapping[str, Any]) -> bool:
    """Does the act stand against that action?"""
    return opposed(act.action, act.args, action, args)


def _ends(act: Act, action: str, args: Mapping[str, Any]) -> bool:
    """Would the device, by itself, undo the act after a while?"""
    if action == "output" == act.action:
        return args.get("seconds") is not None and args.get("number") == act.args.get("number")
    return action == "unlock" and act.action == "release"


class Acts:
    """Every act that is not over, by name."""

    def __init__(self) -> None:
        self.all: dict[Name, Act] = {}

    def settle(self, book: Book, now_s: float) -> bool:
        """Looks at the causes of all acts; says whether any changed."""
        before = dict(self.all)
        for act in before.values():
            alarm = book.get(act.source)
            mine = alarm is not None and alarm.id == act.cause
            if not mine and act.stage is Stage.DONE:
                del self.all[act.name]
            elif act.open:
                self._settle(act, alarm if mine else None, now_s)
        return before != self.all

    def _settle(self, act: Act, alarm: Alarm | None, now_s: float) -> None:
        active = alarm is not None and alarm.active
        over = (act.until == "cleared" and not active) or (act.until == "reset" and alarm is None)
        if act.stage is Stage.WAITING and act.ends_s is None and (over or (act.confirm and not active)):
            self._finish(act)  # it was never carried out
        elif act.stage is not Stage.ENDING and (over or (act.ends_s is not None and now_s >= act.ends_s)):
            self._end(act, now_s)

    def due(self, now_s: float) -> list[Act]:
        """What is to be carried out or taken back now; what fire opens first."""
        ready = [act for act in self.all.values() if act.stage in (Stage.WAITING, Stage.ENDING) and act.at_s <= now_s]
        return sorted(ready, key=lambda act: (not act.fire, act.at_s, act.name))

    def next_s(self, busy: Collection[str] = ()) -> float:
        """When something is due next that is at no busy place; infinity for never."""
        return min((act.at_s for act in self.all.values() if act.open and act.place not in busy), default=inf)

    def held(self, device: str, action: str, args: Mapping[str, Any] = NOTHING) -> bool:
        """Does fire hold the door (or output) against this action, whoever asks for it?

        An opening for a while is against it, too: when it is over, the device shuts.
        """
        return any(act.fire and (crossed(act, action, args) or _ends(act, action, args)) for act in self.wanted(device))

    def back(self, device: str, now_s: float) -> None:
        """The device can be reached again: what should last there is made so anew, what waits is tried at once."""
        for act in self.open(device):
            if act.stage is Stage.LASTING:
                self.keep(replace(act, stage=Stage.WAITING, at_s=now_s))
            elif act.fails:
                self.keep(replace(act, at_s=now_s))

    def opened(self, device: str) -> list[Act]:
        """The door's contact shows it open: the releases that this proves, each once."""
        proved = [a for a in self.wanted(device) if a.action == "release" and a.stage is Stage.LASTING and not a.seen]
        for act in proved:
            self.keep(replace(act, seen=True))
        return proved

    # what became of it

    def done(self, act: Act, code: str, now_s: float) -> bool:
        """An act was carried out or taken back, or not; says whether that is news to be told."""
        now = self.all.get(act.name)
        if now != act:  # it has changed meanwhile: what is there now is done next
            if code == "ok" and act.stage is Stage.WAITING and _lasts(act) and (now is None or not now.open):
                self.keep(replace(act, stage=Stage.ENDING, at_s=now_s, fails=0))
            return True
        if act.stage is Stage.ENDING:
            return self._taken_back(act, code, now_s)
        if code == "ok":
            ends_s = act.ends_s if act.ends_s is not None else _ends_s(act, now_s)
            stage = Stage.LASTING if _lasts(act) else Stage.DONE
            self.keep(replace(act, stage=stage, at_s=ends_s, ends_s=ends_s, fails=0))
            return True
        retry = act.fire or (code in AGAIN and act.fails + 1 < TRIES)
        stage = Stage.WAITING if retry else Stage.DONE
        self.keep(replace(act, stage=stage, at_s=now_s + _retry_s(act), fails=act.fails + 1))
        return act.fails + 1 == TRIES if act.fire else not retry

    def _taken_back(self, act: Act, code: str, now_s: float) -> bool:
        if code in AGAIN and act.fails + 1 < TRIES:
            self.keep(replace(act, at_s=now_s + RETRY_S, fails=act.fails + 1))
            return False
        self._finish(act)
        return True

    def _end(self, act: Act, now_s: float) -> None:
        """Its end has come. Where another act still wants the door, that is made so anew instead."""
        others = [other for other in self.wanted(act.device) if other.name != act.name and _same_thing(act, other)]
        if act.action in BACK and any(other.ends_s is not None or other.fire for other in others):
            self._finish(act)
            for other in others:
                again = other.stage is Stage.LASTING
                self.keep(replace(other, stage=Stage.WAITING, at_s=now_s) if again else other)
        else:
            self.keep(replace(act, stage=Stage.ENDING, at_s=now_s, fails=0))

    def _finish(self, act: Act) -> None:
        self.keep(replace(act, stage=Stage.DONE, at_s=inf))

    def keep(self, act: Act) -> None:
        """As it is now."""
        self.all[act.name] = act

    def open(self, device: str) -> list[Act]:
        """The device's, that want something now or in future."""
        return [act for act in self.all.values() if act.device == device and act.open]

    def wanted(self, device: str) -> list[Act]:
        """Those that are not at their end."""
        return [act for act in self.open(device) if act.stage is not Stage.ENDING]


def dump(acts: Acts, now_s: float) -> str:
    """All acts as JSON; times as what is left of them."""
    return json.dumps([_left(act, now_s) for act in acts.all.values()], separators=(",", ":"))


def load(text: str, now_s: float) -> Acts:
    """What `dump` wrote. What should last is made so anew: nobody knows what became of the devices meanwhile.

    ValueError, TypeError, KeyError: that is not what it wrote.
    """
    acts = Acts()
    for entry in json.loads(text or "[]"):
        for name in ("at_s", "ends_s"):
            entry[name] = None if entry[name] is None else now_s + entry[name]
        act = Act(**entry | {"source": tuple(entry["source"]), "stage": Stage(entry["stage"])})
        again = act.stage is Stage.LASTING
        acts.keep(replace(act, stage=Stage.WAITING, at_s=now_s) if again else act)
    return acts


def _retry_s(act: Act) -> float:
    return min(RETRY_MOST_S, RETRY_S * 2.0 ** min(act.fails, 10))


def action_of(act: Act) -> str:
    """The command's own word; of what is taken back that is another one."""
    return BACK.get(act.action, f"end-{act.action}") if act.stage is Stage.ENDING else act.action


def _lasts(act: Act) -> bool:
    """Has it an end, at which it is taken back?"""
    return act.action in LASTING and (act.until != "" or act.hold_s is not None)


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
