"""Who acts on which alarm (`responsibility:`, 责任清单): leads, assists, and is told when nobody acknowledges in time.

The most specific pattern counts: a type by its own name, else its category (`fire.*`), else `*`. Within an entry the
first of `instead:` that fits place and hours replaces what it names. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, field_validator, model_serializer, model_validator

from gateway import taxonomy
from gateway.credentials import Hours
from gateway.event import Severity
from gateway.fields import Duration, Model, Wrong
from gateway.sections import Label

RESPOND_S = 60.0  # to acknowledge, where an entry names no time
LONGEST_S = 7 * 86400.0  # what comes later than that is no escalation


def _in_time(seconds: float | None) -> float | None:
    if seconds is not None and seconds > LONGEST_S:
        raise Wrong("at most 7d", "最多 7d")
    return seconds


class StepConfig(Model):
    """One step of an escalation: a name alone, or with its own time."""

    to: Label = Field(description="page, sound, an uplink, or a name of `contacts:`")
    after: Duration | None = Field(default=None, description="since the alarm; without: `respond` after the one before")

    _soon = field_validator("after")(_in_time)

    @model_serializer
    def _as_written(self) -> Any:
        return self.to if self.after is None else {"to": self.to, "after": self.after}


def parse_step(value: Any) -> Any:
    """`district` → `{to: district}`."""
    return {"to": value} if isinstance(value, str) else value


Steps = tuple[Annotated[StepConfig, BeforeValidator(parse_step, json_schema_input_type=str | StepConfig)], ...]


class Instead(Model):
    """What of an entry is otherwise at some place, in some hours, or both."""

    place: str | None = Field(default=None, description="a path; what stands in it, too")
    hours: Hours | None = Field(default=None, description='local time by weekday, e.g. {mon-fri: "08:00-18:00"}')
    lead: Label | None = None
    assist: tuple[Label, ...] | None = None
    escalate: Steps | None = None
    respond: Duration | None = None
    basis: str | None = None

    _soon = field_validator("respond")(_in_time)

    @model_validator(mode="after")
    def _somewhere(self) -> "Instead":
        if self.place is None and self.hours is None:
            raise Wrong("place: or hours: is needed", "需要 place: 或 hours:")
        return self

    def fits(self, place: str, local: datetime) -> bool:
        """For an alarm at this path, begun at this local time?"""
        if self.place is not None and f"{place}/".startswith(f"{self.place}/") is False:
            return False
        day, minute = local.weekday(), local.hour * 60 + local.minute
        return self.hours is None or any(day in days and start <= minute < end for days, start, end in self.hours)


class Responsibility(Model):
    """Who acts on an alarm type: leads, assists, is told when nobody acknowledges in time."""

    lead: Label = Field(description="牵头")
    assist: tuple[Label, ...] = Field(default=(), description="配合")
    escalate: Steps = Field(default=(), description="who is told, one after the other, until somebody acknowledges")
    respond: Duration | None = Field(default=None, description="time to acknowledge; without: 60s")
    basis: str | None = Field(default=None, max_length=500, description="what it rests on: law, contract, plan 依据")
    instead: tuple[Instead, ...] = Field(default=(), description="otherwise at some places or hours; the first fits")

    _soon = field_validator("respond")(_in_time)


class Call(NamedTuple):
    """One step: who is told when an alarm has waited so long."""

    number: int  # counts from 1
    to: str
    after_s: float


class Charge(NamedTuple):
    """What holds for one alarm."""

    pattern: str  # the entry it comes from
    lead: str
    assist: tuple[str, ...]
    calls: tuple[Call, ...]  # in the order of their times
    basis: str | None


Section = Mapping[str, Responsibility]
GRAVE = (Severity.CRITICAL, Severity.HIGH)
RAISED_BY = {
    "smoke": frozenset(("fire.smoke",)), "heat": frozenset(("fire.heat",)), "flame": frozenset(("fire.smoke",)),
    "multi": frozenset(("fire.smoke", "fire.heat")), "fire-camera": frozenset(("fire.smoke",)),
    "gas": frozenset(("fire.gas",)), "co": frozenset(("fire.gas",)), "manual": frozenset(("fire.manual",)),
    "hydrant": frozenset(("fire.manual",)), "panic": frozenset(("safety.panic",)),
}  # fmt: skip  # by kind; a panel raises every kind of fire


def pattern_for(section: Section, type: str) -> str | None:
    """The most specific entry for an alarm type, or None: nobody leads."""
    fitting = [pattern for pattern in section if taxonomy.matches(pattern, type)]
    return max(fitting, key=lambda pattern: (pattern == type, len(pattern)), default=None)


def charge(section: Section, type: str, place: str, local: datetime) -> Charge | None:
    """What holds for an alarm of this type at this path ("": nowhere in particular), begun at this local time."""
    pattern = pattern_for(section, type)
    if pattern is None:
        return None
    entry = section[pattern]
    other = next((item for item in entry.instead if item.fits(place, local)), None)
    return _charge(pattern, entry, other)


def charges(section: Section, pattern: str) -> Iterator[tuple[Instead | None, Charge]]:
    """All that one entry says: what holds usually, and instead."""
    entry = section[pattern]
    for other in (None, *entry.instead):
        yield other, _charge(pattern, entry, other)


def _charge(pattern: str, entry: Responsibility, other: Instead | None) -> Charge:
    def said(name: str) -> Any:
        own = None if other is None else getattr(other, name)
        return getattr(entry, name) if own is None else own

    return Charge(pattern, said("lead"), said("assist"), _calls(said("escalate"), said("respond")), said("basis"))


def _calls(steps: Steps, respond_s: float | None) -> tuple[Call, ...]:
    pause_s, after_s, calls = RESPOND_S if respond_s is None else respond_s, 0.0, []
    for step in steps:
        after_s = after_s + pause_s if step.after is None else step.after
        calls.append((after_s, step.to))
    calls.sort(key=lambda call: call[0])
    return tuple(Call(number, to, after_s) for number, (after_s, to) in enumerate(calls, 1))


def unled(section: Section, kinds: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Grave alarm types without a lead: those that devices of these kinds are there to raise, and the others."""
    here = {type for kind in kinds for type in raised_by(kind)}
    missing = [row for row in taxonomy.EVENTS if row.severity in GRAVE and pattern_for(section, row.name) is None]
    return tuple(r.name for r in missing if r.name in here), tuple(r.name for r in missing if r.name not in here)


def raised_by(kind: str) -> frozenset[str]:
    """The alarm types for which a device of this kind is installed."""
    own = RAISED_BY.get(kind)
    if own is not None:
        return own
    return taxonomy.FIRES if kind in ("panel", "utd", "fire-input") else frozenset()
