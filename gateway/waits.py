"""How long people took: from an alarm's beginning until it was acknowledged, and until it was disposed. Pure.

An alarm's id is a UUIDv7, so that the moment in which one from before the period was opened stands in it. What the
clock was set in between, or was never set, is not measured but counted.
"""

from array import array
from dataclasses import dataclass, field
from math import ceil
from statistics import median
from typing import Any

from gateway.alarms import Key
from gateway.identity import moment_ms


@dataclass
class Measured:
    """Lengths of time in ms: 8 bytes each; the longest with its alarm; how many could not be measured."""

    lengths_ms: "array[int]" = field(default_factory=lambda: array("q"))
    worst_ms: int = -1
    worst: tuple[str, Key] | None = None
    unmeasured: int = 0

    def add(self, length_ms: int, alarm: str, key: Key) -> None:
        """One more."""
        self.lengths_ms.append(length_ms)
        if length_ms > self.worst_ms:
            self.worst_ms, self.worst = length_ms, (alarm, key)

    def document(self) -> dict[str, Any]:
        """`count` of all, with `median_s`, `p90_s` (nearest rank) and `worst` of those that were measured."""
        told: dict[str, Any] = {"count": len(self.lengths_ms) + self.unmeasured, "unmeasured": self.unmeasured}
        if self.worst is not None:
            ordered = sorted(self.lengths_ms)
            alarm, (device, kind, part) = self.worst
            told["median_s"] = round(median(ordered) / 1000, 3)
            told["p90_s"] = round(ordered[ceil(0.9 * len(ordered)) - 1] / 1000, 3)
            told["worst"] = {"seconds": round(self.worst_ms / 1000, 3), "alarm": alarm, "device": device} | (
                {"type": kind} if kind else {}
            )
            if part:
                told["worst"]["part"] = part
        return told


@dataclass
class Case:
    """One alarm that waits for people: since when for each step (None: not), in which stretch of the clock."""

    key: Key
    alarm: str
    waits: dict[str, tuple[int, int] | None]  # by step: (since, ms since 1970; number of the stretch, -1: not trusted)


class Waits:
    """Of the alarms of a period. Memory: one case per condition there is, and 8 bytes for each step done."""

    def __init__(self) -> None:
        self.done = {"operator.ack": Measured(), "operator.dispose": Measured()}
        self.cases: dict[str, Case] = {}  # by the alarm's id
        self._of: dict[Key, str] = {}  # the newest alarm of a condition
        self._stretch = 0
        self._trusted: bool | None = None

    def clock(self, trusted: bool, jumped: bool) -> None:
        """How the clock is with the event that comes now: where it was set, another stretch of time begins."""
        if jumped or (self._trusted is not None and trusted is not self._trusted):
            self._stretch += 1
        self._trusted = trusted

    def began(self, alarm: str, key: Key, at_ms: int) -> None:
        """It asks for a person: anew, or as it did."""
        before = self._of.get(key)
        if before != alarm:
            self.cases.pop(before or "", None)
            self._of[key] = alarm
        known = self.cases.get(alarm)
        case = Case(key, alarm, dict.fromkeys(self.done)) if known is None else known
        case.key, self.cases[alarm] = key, case
        for step, since in case.waits.items():
            case.waits[step] = since or (at_ms, self._stretch if self._trusted else -1)

    def stepped(self, step: str, alarm: str, device: str, at_ms: int, counts: bool) -> None:
        """Somebody acknowledged or disposed; what is not of the period (`counts`) only ends the waiting."""
        if alarm not in self.cases:  # from before the period
            self.began(alarm, (device, "", alarm), moment_ms(alarm))
            self.cases[alarm].key = device, "", ""
        case = self.cases[alarm]
        since, case.waits[step] = case.waits[step], None
        if since is None or not counts:
            return
        if since[1] == self._stretch and self._trusted:
            self.done[step].add(max(0, at_ms - since[0]), alarm, case.key)
        else:
            self.done[step].unmeasured += 1
