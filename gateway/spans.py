"""What lasts, cut to a period: when it is on at its beginning and at its end, and for how long in between. Pure.

The events from the beginning of the period until now are enough, with what lasts now: a condition whose first word is
its end lasted before; one without a word is as it is now. So nothing older has to be read, and nothing is guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.alarms import DRILL, Key
from gateway.event import NOTHING, part_key
from gateway.measures import SHELF, SHIELD, SUPPRESSION

OFFLINE, UPLINK_LOST, CLOCK_BAD = "device.offline", "gateway.uplink_lost", "gateway.clock_bad"
COVERS = (SHIELD, SHELF, SUPPRESSION, DRILL)
LASTING = frozenset({OFFLINE, UPLINK_LOST, CLOCK_BAD, *COVERS})
_BY_PHASE = frozenset({OFFLINE, UPLINK_LOST, CLOCK_BAD, SHIELD})


@dataclass(frozen=True)
class Frame:
    """A period, ms since 1970: from `start_ms` up to, not with, `end_ms`, which is not after `now_ms`."""

    start_ms: int
    end_ms: int
    now_ms: int

    def clip(self, at_ms: int) -> int:
        """The nearest moment of the period."""
        return min(max(at_ms, self.start_ms), self.end_ms)

    def takes(self, at_ms: int) -> bool:
        """Does it lie in the period?"""
        return self.start_ms <= at_ms < self.end_ms


class Turn(NamedTuple):
    """Something lasting goes on or off, or is told again (`again`). `since_ms`: it is known to be no older."""

    on: bool
    at_ms: int
    again: bool = False
    since_ms: int = 0
    said: Mapping[str, Any] = NOTHING


@dataclass
class Span:
    """One lasting condition over the period; `on` is None until the first word of it."""

    on: bool | None = None
    since_ms: int = 0
    total_ms: int = 0
    times: int = 0  # how often it began in the period
    at_end: bool | None = None
    said: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # of its last beginning before the end

    def turn(self, frame: Frame, turn: Turn) -> None:
        """In the order in which it was taken in."""
        if turn.at_ms >= frame.end_ms and self.at_end is None:
            self.at_end = self.on if self.on is not None else not turn.on or turn.again
        if self.on is None and (not turn.on or turn.again):
            self.on, self.since_ms = True, turn.since_ms  # it began before
        if turn.on and not self.on:
            self.since_ms = turn.at_ms
            self.times += frame.takes(turn.at_ms)
        elif not turn.on and self.on:
            self.total_ms += max(0, frame.clip(turn.at_ms) - frame.clip(self.since_ms))
        if turn.on and turn.at_ms < frame.end_ms:
            self.said = turn.said or self.said
        self.on = turn.on

    def close(self, frame: Frame, now: bool, since_ms: int = 0) -> None:
        """Nothing more comes; `now` says whether it lasts now, `since_ms` that it is no older than that."""
        if self.at_end is None or frame.end_ms >= frame.now_ms:
            self.at_end = now if self.on is None or frame.end_ms >= frame.now_ms else self.on
        if self.on is None and now:
            self.since_ms = since_ms
        if self.on or (self.on is None and now):
            self.total_ms += frame.end_ms - frame.clip(self.since_ms)


def turn_of(subject: str, kind: str, phase: str, data: Mapping[str, Any]) -> tuple[Key, bool] | None:
    """Which lasting condition an event is about, and whether it is on from then; None: about none."""
    condition = str(data.get("condition", ""))
    if kind in _BY_PHASE and phase != "pulse":
        return (subject, kind, part_key(data.get("part")) or str(data.get("uplink", ""))), phase != "clear"
    if kind == DRILL:
        return (subject, DRILL, str(data.get("scope", ""))), phase == "raise"
    if kind == SHELF and "alarm" not in data:  # with one it tells that the alarm asks for a person again
        return (subject, SHELF, condition), bool(data.get("seconds"))
    if kind == "gateway.action" and data.get("action") in ("suppress", "unsuppress") and "alarm" not in data:
        return (subject, SUPPRESSION, condition), data["action"] == "suppress"
    return None
