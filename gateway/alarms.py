"""Conditions and alarms as one pure state machine (OPC UA part 9 flags; domain notes: ISA-18.2 display states).

A condition is one (device, type, part). It is an alarm unless its severity is `info`; an info condition (a door open,
motion) only has a beginning and an end. What is back to normal is forgotten here; its events remain.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from gateway.event import Phase, Severity

RANK = {Severity.CRITICAL: 1, Severity.HIGH: 2, Severity.MEDIUM: 3, Severity.LOW: 4, Severity.INFO: 5}
Key = tuple[str, str, str]  # device, type, part


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

    @property
    def key(self) -> Key:
        """What there is one alarm of."""
        return self.device, self.type, self.part

    @property
    def normal(self) -> bool:
        """Nothing is left to say or do about it."""
        return not self.active and self.acknowledged and not self.latched

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


def raised(old: Alarm | None, told: Told) -> tuple[Phase, Alarm]:
    """A condition begins; told again while it lasts it is `still`, the same alarm, one more in its count.

    A real one during a test is a beginning: nobody has seen it yet.
    """
    if old is None:
        return Phase.RAISE, _opened(told, active=True)
    worse = RANK[told.severity] < RANK[old.severity]
    begins = not old.active or (old.test and not told.test)
    unacknowledge = told.severity is not Severity.INFO and (worse or begins)
    new = replace(
        old,
        active=True,
        severity=told.severity if worse else old.severity,
        acknowledged=old.acknowledged and not unacknowledge,
        confirmed=old.confirmed and not unacknowledge,
        latched=old.latched or _latches(told),
        count=old.count + 1,
        last_ms=max(old.last_ms, told.now_ms),
        test=old.test and told.test,
    )
    return Phase.RAISE if begins else Phase.STILL, new


def pulsed(old: Alarm | None, told: Told) -> Alarm | None:
    """A happening without duration: an alarm that is at once inactive, unless it is only information."""
    if told.severity is Severity.INFO:
        return old
    if old is None:
        return _opened(told, active=False)
    return replace(
        old,
        severity=min(old.severity, told.severity, key=RANK.__getitem__),
        acknowledged=False,
        confirmed=False,
        latched=old.latched or _latches(told),
        count=old.count + 1,
        last_ms=max(old.last_ms, told.now_ms),
        test=old.test and told.test,
    )


def cleared(old: Alarm) -> Alarm:
    """The condition ended; what was not seen by a person, or latches and was not disposed, stays listed."""
    return _settled(replace(old, active=False))


def acknowledged(old: Alarm) -> Alarm:
    """A person has seen it."""
    return _settled(replace(old, acknowledged=True))


def disposed(old: Alarm) -> Alarm:
    """A person has said what it was; a latched alarm whose cause is gone resets by itself then."""
    return _settled(replace(old, acknowledged=True, confirmed=True))


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
    )


class Book:
    """All conditions that are not normal, by key and by device."""

    def __init__(self, alarms: Iterable[Alarm] = ()) -> None:
        self._by_device: dict[str, dict[Key, Alarm]] = {}
        for alarm in alarms:
            self.put(alarm)

    def get(self, key: Key) -> Alarm | None:
        """The alarm of a condition, or None when it is normal."""
        return self._by_device.get(key[0], {}).get(key)

    def put(self, alarm: Alarm) -> None:
        """Take over new flags; a normal alarm is forgotten."""
        mine = self._by_device.setdefault(alarm.device, {})
        if alarm.normal:
            mine.pop(alarm.key, None)
        else:
            mine[alarm.key] = alarm

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
