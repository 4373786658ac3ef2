"""The store as it should be, in memory: what may, what must and what must not be found in the real one.

Events are counted as they are seen: the first to be seen of a lane has `seq` 1, and so on for ever. What was accepted,
or has been seen, is there from then on, with these numbers. What was handed over and not accepted may turn up, whole
and in its place; what is missing when everything is looked at never will. `Broken` says what is wrong.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, ClassVar

from gateway.alarms import Alarm
from gateway.event import Lane
from tests.faults.model_life import FACTS, body, digest

UPLINKS = ("district", "fire-brigade")
Stream = tuple[str, Lane]
Told = Sequence[Any]  # seq, numbers by uplink, id, digest
NOWHERE = (0, 0)  # a cursor: seq and sequence


class Broken(AssertionError):
    """The store does not keep its promise; `met` has them all, also those that are not met again when tried again."""

    met: ClassVar[list[str]] = []

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.met.append(what)


@dataclass(slots=True)
class Event:
    """One that was handed over. `bytes`: of its text; `uplinks`: whom it is meant for."""

    lane: Lane
    id: str
    bytes: int
    uplinks: Sequence[str]
    private: str | None = None
    alarm: Alarm | None = None

    def order(self) -> dict[str, Any]:
        """As `model_life.py` reads it."""
        names = ("lane", "id", "bytes", "uplinks", "private")
        return {name: getattr(self, name) for name in names} | {"alarm": self.alarm and astuple(self.alarm)}


@dataclass(eq=False, slots=True)
class Append:
    """Events of one call: all of them, or none."""

    events: Sequence[Event]
    place: int  # among all calls
    accepted: bool = False
    seen: int = 0  # so many of its events
    gone: bool = False  # and never to be seen

    def accept(self) -> None:
        """So says the store."""
        self.accepted = True


@dataclass
class Model:
    """`configured`: uplinks of this life."""

    configured: Sequence[str] = UPLINKS
    appends: list[Append] = field(default_factory=list)
    earlier: int = 0  # so many of them are from before this life
    known: dict[str, tuple[Append, Event]] = field(default_factory=dict)  # by id
    rows: dict[Lane, list[Told]] = field(default_factory=lambda: {lane: [] for lane in Lane})
    counts: dict[Stream, int] = field(default_factory=lambda: {(u, lane): 0 for u in UPLINKS for lane in Lane})
    gone: dict[Lane, tuple[int, int]] = field(default_factory=lambda: dict.fromkeys(Lane, (0, 0)))
    cursors: dict[Stream, list[tuple[int, int]]] = field(
        default_factory=lambda: {(u, lane): [NOWHERE] for u in UPLINKS for lane in Lane}
    )
    facts: list[str | None] = field(default_factory=lambda: [None])
    taken: list[tuple[Stream, int, Sequence[Told]]] = field(default_factory=list)  # whose, after which seq, what

    # what is asked for

    def append(self, events: Sequence[Event]) -> Append:
        """It is handed over."""
        made = Append(events, len(self.appends))
        self.appends.append(made)
        self.known |= {event.id: (made, event) for event in events}
        return made

    def set_fact(self, value: str) -> None:
        """It is handed over."""
        self.facts.append(value)

    def fact_set(self, value: str) -> None:
        """It is committed."""
        del self.facts[: self.facts.index(value)]

    def trim(self) -> None:
        """History is to go: what all uplinks of this life have confirmed, but for the newest row."""
        for lane in Lane:
            floor = min([self.cursors[u, lane][-1][0] for u in self.configured] + [len(self.rows[lane]) - 1])
            self.gone[lane] = self.gone[lane][0], max(self.gone[lane][1], floor)

    def trimmed(self) -> None:
        """It has gone."""
        self.gone = {lane: (most, most) for lane, (_, most) in self.gone.items()}

    def take(self, uplink: str, lane: Lane, rows: Sequence[Told]) -> None:
        """The uplink has sent these, and confirms them now."""
        after = max(self.cursors[uplink, lane][-1][0], self.gone[lane][0])
        self.taken.append(((uplink, lane), after, rows))
        self.cursors[uplink, lane] += [(row[0], row[1][uplink]) for row in rows]

    # what is found

    def see(self, lane: Lane, rows: Iterable[Told]) -> None:
        """Rows of a lane, as an uplink sees them, in order."""
        mine = self.rows[lane]
        for row in rows:
            if row[0] <= len(mine):
                _check(row == mine[row[0] - 1], f"{lane}: {row} where {mine[row[0] - 1]} was")
            else:
                self._see_new(lane, row)

    def _see_new(self, lane: Lane, row: Told) -> None:
        seq, numbers, identity, content = row
        _check(seq == len(self.rows[lane]) + 1, f"{lane}: {seq} comes after {len(self.rows[lane])}")
        _check(identity in self.known, f"{lane}: {row} was never handed over")
        append, event = self.known[identity]
        before = self.known[self.rows[lane][-1][2]] if self.rows[lane] else None
        _check(before is None or _place(*before) < _place(append, event), f"{lane}: {row} is out of order")
        _check(event.lane is lane, f"{lane}: {row} belongs to {event.lane}")
        _check(content == digest(body(identity, event.bytes), event.private), f"{lane}: {row} is not whole")
        for uplink in event.uplinks:
            self.counts[uplink, lane] += 1
        expected = {uplink: self.counts[uplink, lane] for uplink in event.uplinks}
        _check(numbers == expected, f"{lane}: {row} should have {expected}")
        _check(not append.gone, f"{lane}: {row} was lost, and is back")
        append.seen += 1
        self.rows[lane].append(row)

    def all_seen(self) -> None:
        """After a step: nothing is missing that was accepted or taken."""
        for append in self.appends:
            whole = append.seen == len(append.events)
            _check(whole or not append.accepted, f"accepted, and not there: {append.events[-1]}")
        for (uplink, lane), after, rows in self.taken:
            due = [row for row in self.rows[lane][after:] if uplink in row[1]][: len(rows)]
            _check(due == list(rows), f"{uplink} has sent {rows} of {lane}, after {after}; due: {due}")
        self.taken.clear()

    def look(self, found: Mapping[str, Any]) -> None:
        """Everything at once."""
        for lane in Lane:
            self._look_at(lane, found["seen"][lane])
        self.all_seen()
        for append in self.appends:
            _check(append.seen in (0, len(append.events)), f"only {append.seen} there of {append.events}")
            append.gone = append.gone or append.seen == 0
        self._look_at_alarms(found["alarms"])
        _check(found["lost"] == [], f"lost: {found['lost']}")
        values = {found["facts"][number] for number in range(len(FACTS))}
        _check(len(values) == 1 and values <= {*self.facts}, f"facts {found['facts']}, not of {self.facts}")
        self.facts = self.facts[self.facts.index(found["facts"][0]) :]

    def _look_at(self, lane: Lane, rows: Sequence[Told]) -> None:
        least, most = self.gone[lane]
        base = rows[0][0] - 1 if rows else 0
        _check(least <= base <= most, f"{lane} begins after {base}, not {least} to {most}")
        _check([row[0] for row in rows] == list(range(base + 1, base + len(rows) + 1)), f"{lane} has gaps: {rows}")
        _check(
            base + len(rows) >= len(self.rows[lane]),
            f"{lane} ends at {base + len(rows)}, seen before and not there: {self.rows[lane][base + len(rows) :]}",
        )
        self.gone[lane] = base, base
        self.see(lane, rows)

    def _look_at_alarms(self, found: Sequence[Sequence[Any]]) -> None:
        changes = [event.alarm for append in self.appends if append.seen for event in append.events if event.alarm]
        newest = {alarm.key: alarm for alarm in changes}
        wanted = {key: json.loads(json.dumps(astuple(a))) for key, a in newest.items() if a.rests or not a.normal}
        there = {tuple(alarm[:3]): list(alarm) for alarm in found}
        _check(there == wanted, f"alarms {there}, not {wanted}")

    def begin(self, found: Mapping[str, Any]) -> None:
        """Everything at the beginning of a life, and where its uplinks go on."""
        self.look(found)
        there = {(uplink, Lane(lane)): tuple(cursor) for uplink, lane, cursor in found["cursors"]}
        for stream, marked in self.cursors.items():
            cursor = there.get(stream, NOWHERE)
            _check(cursor in marked, f"cursor of {stream} at {cursor}, not at one of {marked}")
            self.cursors[stream] = [cursor]
        earlier = [event.id for append in self.appends[: self.earlier] if append.seen for event in append.events]
        _check(found["next"] > max(earlier, default=""), f"ids go on with {found['next']}, after {earlier}")

    def closed(self) -> None:
        """A life has ended in order: cursors are where they were."""
        self.cursors = {stream: marked[-1:] for stream, marked in self.cursors.items()}


def _place(append: Append, event: Event) -> tuple[int, int]:
    return append.place, [one.id for one in append.events].index(event.id)


def _check(holds: bool, wrong: str) -> None:
    if not holds:
        raise Broken(wrong)
