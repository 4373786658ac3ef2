"""What the disk tells of alarms: those that are over, a page at a time, and all that was told of one.

An alarm is opened by the event that has its id; what is told of it later names it in `data.alarm`, and what a rule did
because of it in `data.cause`.
"""

import json
import re
import sqlite3
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gateway.database import Row, read_newest, read_rows
from gateway.event import Lane
from gateway.proofs import find_opening

LANES = (Lane.ALARM, Lane.EVENT)  # an alarm is opened in one of them
PAGE_ALARMS = 30
SCAN_ROWS = 5000  # looked at in each lane for one page, or behind the event that opened an alarm which is over
STEP_ROWS = 250  # read at once
OPEN_ROWS = 500  # behind the one that opened an alarm which is not: its page is read again and again
_BEGINNING = 2**62
_PLACE = re.compile(r"[0-9]{1,18}-[0-9]{1,18}")
Event = dict[str, Any]
Opening = tuple[Lane, int, Event]  # the event that opened an alarm, and where it stands
Before = Mapping[Lane, int]  # sequences: older ones are meant


class Tale(NamedTuple):
    """An alarm as the disk has it: the event that opened it, and what was told of it later, oldest first."""

    opening: Event
    later: list[Event]

    @property
    def outcome(self) -> str:
        """What it was, as a person said last; "" where nobody did."""
        said = [event["data"].get("outcome", "") for event in self.later if event["type"] == "operator.dispose"]
        return str(said[-1]) if said else ""

    @property
    def who(self) -> str:
        """Who saw to it first."""
        seen = (e["data"].get("who", "") for e in self.later if e["type"] in ("operator.ack", "operator.dispose"))
        return str(next(seen, ""))

    @property
    def over(self) -> str:
        """When its cause ended, as far as that was told."""
        ends = [e["time"] for e in self.later if e["phase"] == "clear" and e["type"] == self.opening["type"]]
        return str(ends[-1]) if ends else ""

    @property
    def pictures(self) -> list[Event]:
        """Events with a picture of it."""
        return [event for event in (self.opening, *self.later) if _reference(event)]


class Page(NamedTuple):
    """Alarms that are over, the newest first, and where the next page begins ("": there is none)."""

    tales: list[Tale]
    older: str


def parse(place: str) -> Before:
    """Where a page begins; anything that is no such place is the newest."""
    numbers = map(int, place.split("-")) if _PLACE.fullmatch(place) else (_BEGINNING, _BEGINNING)
    return dict(zip(LANES, numbers, strict=True))


def page(connection: sqlite3.Connection, before: Before, open_: Container[str]) -> Page:
    """The newest that are over, older than `before`; `open_` are the ids of those that are not."""
    found: list[Opening] = []
    floors: dict[Lane, int] = {}
    for lane in LANES:
        mine, floors[lane] = _openings(connection, lane, before[lane], open_)
        found += mine
    found.sort(key=lambda one: str(one[2]["id"]), reverse=True)
    taken, left = found[:PAGE_ALARMS], found[PAGE_ALARMS:]
    for lane in LANES:  # what is not shown comes next; else what was not looked at
        seqs = [seq for at, seq, _ in left if at is lane]
        floors[lane] = seqs[0] + 1 if seqs else floors[lane]
    older = "-".join(str(floors[lane]) for lane in LANES) if any(floors.values()) else ""
    return Page(_tales(connection, taken), older)


def _openings(
    connection: sqlite3.Connection, lane: Lane, before: int, open_: Container[str]
) -> tuple[list[Opening], int]:
    """Enough for a page, the newest first, and the sequence that was looked at last (0: there is nothing left)."""
    found: list[Opening] = []
    for _ in range(SCAN_ROWS // STEP_ROWS):
        rows = read_newest(connection, lane, before, STEP_ROWS)
        for row in rows:
            event = _opens(row)
            if event is not None and event["id"] not in open_:
                found.append((lane, row.seq, event))
            if len(found) == PAGE_ALARMS:
                return found, row.seq
        if len(rows) < STEP_ROWS:
            return found, 0
        before = rows[-1].seq
    return found, before


def tale(connection: sqlite3.Connection, alarm_id: str, most_rows: int = SCAN_ROWS) -> Tale | None:
    """Of one alarm; None where the event that opened it is not kept (any more)."""
    found = find_opening(connection, alarm_id)
    event = None if found is None else _opens(found[1])
    if found is None or event is None:
        return None
    return _tales(connection, [(found[0], found[1].seq, event)], most_rows)[0]


def _tales(connection: sqlite3.Connection, openings: Iterable[Opening], most_rows: int = SCAN_ROWS) -> list[Tale]:
    """With what was told later: each lane is read once, from the oldest on."""
    tales = {event["id"]: Tale(event, []) for _, _, event in openings}
    if tales:
        oldest = min(tales)
        for lane in LANES:
            for event in _since(connection, lane, oldest, most_rows):
                data = event["data"]
                told = tales.get(str(data.get("alarm", ""))) or tales.get(str(data.get("cause", "")))
                if told is not None and event["id"] != told.opening["id"]:
                    told.later.append(event)
    for told in tales.values():
        told.later.sort(key=lambda event: str(event["id"]))
    return list(tales.values())


def _since(connection: sqlite3.Connection, lane: Lane, oldest: str, most_rows: int) -> Iterator[Event]:
    """Events behind this id that may be of an alarm."""
    for row in read_rows(connection, lane, _behind(connection, lane, oldest), most_rows):
        if '"alarm":"' in row.body or '"cause":"' in row.body:
            yield json.loads(row.body)


def _behind(connection: sqlite3.Connection, lane: Lane, oldest: str) -> int:
    """The sequence before the first event with this id or a later one: ids grow with the rows of a lane."""
    newest = read_newest(connection, lane, _BEGINNING, 1)
    low, high = 0, newest[0].seq if newest else 0
    while low < high:
        middle = (low + high) // 2
        row = next(iter(read_rows(connection, lane, middle, 1)), None)
        if row is None or json.loads(row.body)["id"] >= oldest:
            high = middle
        else:
            low = row.seq
    return low


def _opens(row: Row) -> Event | None:
    """The event, where it opened an alarm."""
    if '"alarm":"' not in row.body:
        return None
    event: Event = json.loads(row.body)
    return event if event["data"].get("alarm") == event["id"] and event["severity"] != "info" else None


def _reference(event: Event) -> str:
    picture = event["data"].get("picture")
    return str(picture.get("ref", "")) if isinstance(picture, dict) else ""
