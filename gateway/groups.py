"""Many alarms of one cause as one group with a count, and when there are so many that it is a flood. Pure.

Nothing is hidden by it: a group says which alarms belong together, and which of them stands for all (its head).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway import taxonomy
from gateway.alarms import Alarm, Book, Key
from gateway.errors import Text
from gateway.event import Severity
from gateway.states import OFFLINE

CLOSE_MS = 60_000  # alarms of one type in one building within this have one cause
FLOOD_ALARMS = 10  # in FLOOD_MS: more than a person can take in (ISA-18.2, 16.5.5)
FLOOD_MS = 600_000


class Spot(NamedTuple):
    """What a device shares with others: its line ("" where it stands alone), and its building with its label."""

    line: str
    building: str
    label: str


@dataclass(frozen=True)
class Group:
    """Alarms of one cause; `head` is the id of the one that stands for all."""

    key: str
    cause: Text
    head: str
    count: int

    def shown(self, alarm: Alarm) -> dict[str, Any]:
        """As one of its alarms shows it."""
        cause = {"en": self.cause.en, "zh": self.cause.zh}
        return {"key": self.key, "cause": cause, "count": self.count, "head": alarm.id == self.head}


def line_cause(line: str) -> Text:
    """Why all devices of a line are silent."""
    return Text(f"line {line} does not answer", f"线路 {line} 无应答")


def grouped(alarms: Iterable[Alarm], spots: Mapping[str, Spot]) -> dict[Key, Group]:
    """The group of each alarm that has one: of two alarms or more."""
    lots: dict[str, list[Alarm]] = {}
    begun: dict[str, tuple[str, int]] = {}  # by type and building: the group that is open, and when it began
    for alarm in sorted(alarms, key=lambda one: (one.first_ms, one.id)):
        spot = spots.get(alarm.device)
        if spot is None:
            continue
        if alarm.type == OFFLINE and spot.line:
            key = f"line:{spot.line}"
        else:
            key = _close(alarm, f"{alarm.type}:{spot.building}", begun)
        lots.setdefault(key, []).append(alarm)
    found = {key: _group(key, lot, spots) for key, lot in lots.items() if len(lot) > 1}
    return {alarm.key: group for key, group in found.items() for alarm in lots[key]}


def _close(alarm: Alarm, what: str, begun: dict[str, tuple[str, int]]) -> str:
    key, began_ms = begun.get(what, ("", 0))
    if not key or alarm.first_ms - began_ms > CLOSE_MS:
        key, began_ms = begun[what] = f"{what}:{alarm.id}", alarm.first_ms
    return key


def _group(key: str, lot: list[Alarm], spots: Mapping[str, Spot]) -> Group:
    kind, spot = lot[0].type, spots[lot[0].device]
    if key.startswith("line:"):
        order = list(spots)
        head = min(lot, key=lambda alarm: order.index(alarm.device))
        return Group(key, line_cause(spot.line), head.id, len(lot))
    label = taxonomy.TYPES[kind].label
    cause = Text(f"{label.en}, several in {spot.label}", f"{spot.label}多处{label.zh}")
    return Group(key, cause, lot[0].id, len(lot))


@dataclass
class Flood:
    """Alarms that began lately; also those that are over by now."""

    _begun: dict[str, int] = field(default_factory=dict)  # by id: ms since 1970

    def heard(self, alarm: Alarm | None) -> None:
        """One began, or was told again."""
        if alarm is not None and alarm.severity is not Severity.INFO:
            self._begun[alarm.id] = alarm.first_ms

    def alarms(self, book: Book, now_ms: float) -> int:
        """How many began within FLOOD_MS, where it is a flood; else 0."""
        self._begun = {name: ms for name, ms in self._begun.items() if ms > now_ms - FLOOD_MS}
        lately = {a.id for a in book if a.severity is not Severity.INFO and a.first_ms > now_ms - FLOOD_MS}
        count = len(lately | self._begun.keys())
        return count if count >= FLOOD_ALARMS else 0
