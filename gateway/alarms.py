"""Conditions and alarms as one pure state machine (OPC UA part 9 flags; domain notes: ISA-18.2 display states).

A condition is one (device, type, part). It is an alarm unless its severity is `info`; an info condition (a door open,
motion) only has a beginning and an end. What is back to normal is forgotten here; its events remain. What people and
rules lay over alarms for a while (shelf, shield, suppression, drill) are conditions too: `gateway/measures.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from gateway.event import Phase, Severity

RANK = {Severity.CRITICAL: 1, Severity.HIGH: 2, Severity.MEDIUM: 3, Severity.LOW: 4, Severity.INFO: 5}
MOST_STEPS = 40  # of one alarm's history: the first, and the newest
DRILL = "operator.drill"
_PHASES = (Phase.RAISE.value, Phase.PULSE.value, Phase.CLEAR.value)
Key = tuple[str, str, str]  # device, type, part
V = TypeVar("V")


class Step(NamedTuple):
    """One line of an alarm's history: what happened, or who did what from where."""

    time_ms: int  # since 1970
    step: str  # raise, clear, silence, ack, dispose, reset, shelve, escalate, …
    who: str = ""
    place: str = ""  # page, cli, uplink:NAME, rule:NAME
    note: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """The present flags of one condition. `id` is the id of the event that opened it; times in ms since 1970."""

    device: str
    type: str
    part: str
    id: str
    severity: Severity
    active: bool
    acknowledged: bool
    confirmed: bool  # disposed: a person has said what it was
    latched: bool
    count: int
    first_ms: int
    last_ms: int
    test: bool
    silenced: bool = False
    outcome: str = ""  # as disposed: real, false, test, drill, other
    until_ms: int = 0  # when what a person or a rule began ends by itself, or the off-delay of a clear; 0: never
    cause: str = ""  # why they began it
    first_of: str = ""  # of a fire: the id of the first in the present set of fires (首警)
    history: tuple[Step, ...] = ()

    @property
    def key(self) -> Key:
        """What there is one alarm of."""
        return self.device, self.type, self.part

    @property
    def normal(self) -> bool:
        """Nothing is left to say or do about it."""
        return not self.active and self.acknowledged and not self.latched

    @property
    def rests(self) -> bool:
        """Normal, but remembered until `until_ms`: back by then it is the same alarm (off-delay)."""
        return self.normal and self.until_ms > 0

    @property
    def state(self) -> str:
        """The one display word derived from the flags."""
        if self.active:
            return "active_acked" if self.acknowledged else "active_unacked"
        if not self.acknowledged:
            return "cleared_unacked"
        return "latched" if self.latched else "normal"


@dataclass(frozen=True, slots=True)
class Told:
    """A raise or pulse as it arrives: what a new alarm is opened from."""

    key: Key
    id: str
    severity: Severity
    latches: bool
    now_ms: int
    test: bool
    first_of: str = ""  # see Alarm
    off_delay_ms: int = 0  # what comes back so soon after its clear is the same alarm


def raised(old: Alarm | None, told: Told) -> tuple[Phase, Alarm]:
    """A condition begins; told again while it lasts it is `still`, the same alarm, one more in its count.

    A real one during a test is a beginning: nobody has seen it yet. Back within its off-delay it begins anew, but who
    has seen it has seen it.
    """
    back = old is not None and _back(old, told)
    if old is None or (old.rests and not back):
        return Phase.RAISE, _opened(told, active=True)
    worse = RANK[told.severity] < RANK[old.severity]
    real = old.test and not told.test
    begins = not old.active or real
    unacknowledge = told.severity is not Severity.INFO and (worse or real or (begins and not back))
    new = replace(
        old,
        active=True,
        severity=told.severity if worse else old.severity,
        acknowledged=old.acknowledged and not unacknowledge,
        confirmed=old.confirmed and not unacknowledge,
        latched=old.latched or _latches(told),
        silenced=old.silenced and not unacknowledge,
        count=old.count + 1,
        last_ms=max(old.last_ms, told.now_ms),
        test=old.test and told.test,
        until_ms=old.until_ms if old.active else 0,
        first_of=_first_of(old, told),
    )
    return Phase.RAISE if begins else Phase.STILL, new


def pulsed(old: Alarm | None, told: Told) -> Alarm | None:
    """A happening without duration: an alarm that is at once inactive, unless it is only information."""
    if told.severity is Severity.INFO:
        return old
    if old is None or old.rests:
        return _opened(told, active=False)
    return replace(
        old,
        severity=min(old.severity, told.severity, key=RANK.__getitem__),
        acknowledged=False,
        confirmed=False,
        silenced=False,
        latched=old.latched or _latches(told),
        count=old.count + 1,
        last_ms=max(old.last_ms, told.now_ms),
        test=old.test and told.test,
        first_of=_first_of(old, told),
    )


def cleared(old: Alarm, until_ms: int = 0) -> Alarm:
    """The condition ended; what was not seen by a person, or latches and was not disposed, stays listed.

    `until_ms` is the end of its off-delay; told again, an end begins no new one.
    """
    return _settled(replace(old, active=False, until_ms=until_ms if old.active else old.until_ms))


def silenced(old: Alarm) -> Alarm:
    """Its sound is off; told again after its end, or worse, it sounds again."""
    return replace(old, silenced=True)


def acknowledged(old: Alarm) -> Alarm:
    """A person has seen it, and hears it no more."""
    return _settled(replace(old, acknowledged=True, silenced=True))


def unseen(old: Alarm) -> Alarm:
    """It asks for a person again, as when it leaves its shelf while its cause lasts."""
    return replace(old, acknowledged=False, silenced=False) if old.severity is not Severity.INFO else old


def disposed(old: Alarm, outcome: str = "other") -> Alarm:
    """A person has said what it was; a latched alarm whose cause is gone resets by itself then."""
    return _settled(replace(old, acknowledged=True, silenced=True, confirmed=True, outcome=outcome))


def reset(old: Alarm) -> Alarm:
    """The latch is let go, where nothing holds it (`holds`)."""
    return old if holds(old) else replace(old, latched=False)


def holds(old: Alarm) -> str | None:
    """Why an alarm cannot be reset: `active`, `unacknowledged`, `undisposed` (of a fire), or None where it can."""
    if old.active:
        return "active"
    if not old.acknowledged:
        return "unacknowledged"
    return "undisposed" if old.type.startswith("fire.") and old.latched and not old.confirmed else None


def begun_anew(old: Alarm, alarm: Alarm) -> bool:
    """Has `old` become another matter than the `alarm` that somebody had before his eyes: begun again, or worse?"""
    return old.id != alarm.id or old.severity is not alarm.severity or _begun(old) != _begun(alarm)


def _begun(alarm: Alarm) -> Step | None:
    return next((step for step in reversed(alarm.history) if step.step in (Phase.RAISE, Phase.PULSE)), None)


def noted(alarm: Alarm, step: Step) -> Alarm:
    """With one more line in its history; where it grows too long, beginnings and ends that repeat go first."""
    kept = alarm.history
    if len(kept) >= MOST_STEPS:
        spare = _spare(kept)
        kept = (*kept[:spare], *kept[spare + 1 :])
    return replace(alarm, history=(*kept, step))


def _spare(history: tuple[Step, ...]) -> int:
    """Which line says least: one more beginning or end since it began, else the oldest but the first."""
    begun = False
    for number, step in enumerate(history):
        if begun and step.step in _PHASES:
            return number
        begun = (begun or step.step in _PHASES[:2]) and step.step not in ("ack", "dispose")
    return 1


def _back(old: Alarm, told: Told) -> bool:
    """Within its off-delay; a clock that was set in between makes it a new one."""
    return not old.active and 0 < old.until_ms - told.now_ms <= told.off_delay_ms


def _first_of(old: Alarm, told: Told) -> str:
    """A fire of a test that is real now joins the set of the real ones, which it may be the first of."""
    if not old.first_of or told.test or not old.test:
        return old.first_of
    return old.id if told.first_of == told.id else told.first_of


def _settled(alarm: Alarm) -> Alarm:
    done = alarm.confirmed and not alarm.active
    return replace(alarm, latched=alarm.latched and not done)


def _latches(told: Told) -> bool:
    return told.latches and told.severity is not Severity.INFO


def _opened(told: Told, *, active: bool) -> Alarm:
    device, kind, part = told.key
    return Alarm(
        device=device,
        type=kind,
        part=part,
        id=told.id,
        severity=told.severity,
        active=active,
        acknowledged=told.severity is Severity.INFO,
        confirmed=False,
        latched=_latches(told),
        count=1,
        first_ms=told.now_ms,
        last_ms=told.now_ms,
        test=told.test,
        silenced=told.severity is Severity.INFO,
        first_of=told.first_of,
    )


def _keep(index: dict[Key, V], key: Key, value: V | None) -> None:
    if value is None:
        index.pop(key, None)
    else:
        index[key] = value


class Book:
    """All conditions that are not normal, by key and by device; and those that rest, which nobody needs to see."""

    def __init__(self, alarms: Iterable[Alarm] = ()) -> None:
        self._by_device: dict[str, dict[Key, Alarm]] = {}
        self._resting: dict[Key, Alarm] = {}
        self.fires: dict[Key, Alarm] = {}  # that are not normal
        self.lasting: dict[Key, Alarm] = {}  # what ends by itself
        self.drills: dict[Key, Alarm] = {}
        for alarm in alarms:
            self.put(alarm)

    def get(self, key: Key) -> Alarm | None:
        """The alarm of a condition, or None when it is normal."""
        return self._by_device.get(key[0], {}).get(key)

    def recall(self, key: Key) -> Alarm | None:
        """The same, or the one that rests."""
        return self.get(key) or self._resting.get(key)

    def forget(self, alarm: Alarm) -> None:
        """It has rested long enough."""
        if self._resting.get(alarm.key) == alarm:
            del self._resting[alarm.key]
            self.lasting.pop(alarm.key, None)

    def put(self, alarm: Alarm) -> None:
        """Take over new flags; a normal alarm is forgotten, or rests."""
        mine = self._by_device.setdefault(alarm.device, {})
        if alarm.normal:
            mine.pop(alarm.key, None)
        else:
            mine[alarm.key] = alarm
        self._index(alarm)

    def _index(self, alarm: Alarm) -> None:
        key, gone = alarm.key, alarm.normal
        _keep(self._resting, key, alarm if alarm.rests else None)
        _keep(self.fires, key, None if gone or not alarm.first_of else alarm)
        _keep(self.lasting, key, alarm if alarm.until_ms and (alarm.active or alarm.rests) else None)
        _keep(self.drills, key, None if gone or alarm.type != DRILL else alarm)

    def first_fire(self, *, test: bool = False) -> str | None:
        """The first alarm of the present set of fires (首警), which stays the first until the set is empty.

        Fires of a test are a set of their own, so that none of them is the first of real ones.
        """
        return min((fire.first_of for fire in self.fires.values() if fire.test is test), default=None)

    def of(self, device: str) -> tuple[Alarm, ...]:
        """The device's conditions that are not normal."""
        return tuple(self._by_device.get(device, {}).values())

    def find(self, alarm_id: str) -> Alarm | None:
        """The alarm with this id, or a unique beginning (8 characters or more) or end (6 or more); or None."""
        size = len(alarm_id)
        found = [
            alarm
            for alarm in self
            if alarm.id == alarm_id
            or (size >= 8 and alarm.id.startswith(alarm_id))
            or (size >= 6 and alarm.id.endswith(alarm_id))
        ]
        return found[0] if len(found) == 1 else None

    def __bool__(self) -> bool:
        return True  # an empty book is a book

    def __iter__(self) -> Iterator[Alarm]:
        for mine in self._by_device.values():
            yield from mine.values()
