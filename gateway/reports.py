"""The figures of a period from its events and the alarms as they are now: one pass, bounded memory. Pure.

`Tally.take` gets every event from the beginning of the period until now, in the order of their ids, `Tally.close` the
book of alarms. What came after the period only says how things stood at its end (`gateway/spans.py`).
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gateway.alarms import Alarm, Book, Key
from gateway.alarmview import moment
from gateway.clock import TRUSTED
from gateway.event import Severity, part_key
from gateway.identity import moment_ms
from gateway.privacy import DATA_LOST
from gateway.spans import CLOCK_BAD, COVERS, LASTING, OFFLINE, UPLINK_LOST, Frame, Span, Turn, turn_of
from gateway.waits import Waits

NOISIEST = 10
MOST_NOTES = 100
OUTCOMES = ("real", "false", "test", "drill", "other")  # contract, section 10
_MADE_BY_PEOPLE = "operator."
_STEPS = frozenset({"operator.ack", "operator.dispose", "operator.reset", "operator.silence"})
_TRUSTED = frozenset({quality.value for quality in TRUSTED} | {"corrected"})
_HEAD_ENDS = '"data":{'


class Seen(NamedTuple):
    """An event as a report needs it. `at_ms`: when it happened, ms since 1970, as well as is known."""

    id: str
    at_ms: int
    trusted: bool
    subject: str
    type: str
    phase: str
    severity: str
    data: Mapping[str, Any]


def seen(body: str, time_ms: int) -> Seen | None:
    """Of an event as it stands on disk; None for one that no figure is made of, which is not even parsed."""
    head = body[: body.find(_HEAD_ENDS)]
    dull = '"severity":"info"' in head and '"timequality":"unsynced"' not in head
    if dull and '"type":"operator.' not in head and '"type":"gateway.action"' not in head:
        return None
    event = json.loads(body)
    trusted = event["timequality"] in _TRUSTED
    # where the clock was not set the id is nearer: it is never earlier than what has passed for certain
    at_ms = time_ms if trusted else moment_ms(event["id"])
    return Seen(event["id"], at_ms, trusted, event["subject"], event["type"], event["phase"], event["severity"],
                event.get("data", {}))  # fmt: skip


class Tally:
    """Counts."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._waits = Waits()
        self._spans: dict[Key, Span] = {}
        self._counts = {"type": Counter[str](), "building": Counter[str]()}
        self._tests = {"type": Counter[str](), "building": Counter[str]()}
        self._points = Counter[tuple[str, str]]()
        self._outcomes = Counter[str]()
        self._lost = Counter[str]()  # numbers that will never come, by stream
        self._plain = Counter[str]()  # touches, unsure times, notes beyond MOST_NOTES
        self._notes: list[dict[str, str]] = []
        self._still_open: dict[str, tuple[str, str]] = {}  # at the end of the period; device, type

    def take(self, event: Seen) -> None:
        """The next one."""
        inside = self._frame.takes(event.at_ms)
        jumped = event.type == CLOCK_BAD and event.phase == "raise" and event.data.get("reason") == "jumped"
        self._waits.clock(event.trusted, jumped)
        self._turn(event)
        if inside and not event.trusted:
            self._plain["unsure"] += 1
        if event.type.startswith(_MADE_BY_PEOPLE):
            self._done(event, inside)
        elif event.severity != Severity.INFO:
            self._alarmed(event, inside)
        if event.at_ms >= self._frame.end_ms:
            self._later(event)

    def _turn(self, event: Seen) -> None:
        turned = turn_of(event.subject, event.type, event.phase, event.data)
        if turned is not None:
            key, on = turned
            since_ms = moment_ms(event.data["alarm"]) if "alarm" in event.data else 0
            turn = Turn(on, event.at_ms, event.phase == "still", since_ms, event.data)
            self._spans.setdefault(key, Span()).turn(self._frame, turn)

    def _alarmed(self, event: Seen, inside: bool) -> None:
        begins = event.phase in ("raise", "pulse")
        part = part_key(event.data.get("part")) or str(event.data.get("uplink", ""))
        if begins and "alarm" in event.data:
            self._waits.began(event.data["alarm"], (event.subject, event.type, part), event.at_ms)
        if not begins or not inside or "who" in event.data:  # what a person laid on is no alarm
            return
        if event.type == DATA_LOST:
            self._lost[str(event.data.get("stream", ""))] += int(event.data.get("count", 0))
        building = str(event.data.get("place", {}).get("path", "")).partition("/")[0]
        counts = self._tests if event.data.get("test") else self._counts
        counts["type"][event.type] += 1
        counts["building"][building] += 1
        if not event.data.get("test"):
            self._points[event.subject, part] += 1

    def _done(self, event: Seen, inside: bool) -> None:
        """By people, or by a rule in their place."""
        data = event.data
        if event.type in self._waits.done and "alarm" in data:
            self._waits.stepped(event.type, data["alarm"], event.subject, event.at_ms, inside)
        if not inside:
            return
        if event.type == "operator.dispose":
            self._outcomes[str(data.get("outcome", "other"))] += 1
        self._plain["touches"] += not str(data.get("from", "")).startswith("rule:")
        if data.get("note"):
            if len(self._notes) < MOST_NOTES:
                said = {name: str(data[name]) for name in ("who", "note", "alarm") if name in data}
                said |= {"time": moment(event.at_ms), "step": event.type, "device": event.subject}
                self._notes.append(said)
            else:
                self._plain["notes_left_out"] += 1

    def _later(self, event: Seen) -> None:
        """After the end: what is said of an alarm from before it shows that it was open then."""
        alarm = event.data.get("alarm")
        people = event.type.startswith(_MADE_BY_PEOPLE)
        if not isinstance(alarm, str) or (people and event.type not in _STEPS) or event.type in COVERS:
            return
        if moment_ms(alarm) < self._frame.end_ms:
            kind = "" if people else event.type
            self._still_open[alarm] = event.subject, kind or self._still_open.get(alarm, ("", ""))[1]

    def close(self, book: Iterable[Alarm]) -> dict[str, Any]:
        """All figures; `book` are the alarms and conditions that are not normal now."""
        now = {alarm.key: alarm for alarm in book}
        for key, alarm in now.items():
            if alarm.type in LASTING and alarm.active:
                self._spans.setdefault(key, Span())
        for key, span in self._spans.items():
            active = key in now and now[key].active
            span.close(self._frame, active, moment_ms(now[key].id) if active else 0)
        count = self._counts["type"].total()
        false, disposed = self._outcomes["false"], self._outcomes.total()
        touches = self._plain["touches"]
        return {
            "alarms": {
                "count": count,
                "tests": self._tests["type"].total(),
                "by_type": self._table("type"),
                "by_building": self._table("building"),
            },
            "acknowledged": self._waits.done["operator.ack"].document(),
            "disposed": self._waits.done["operator.dispose"].document()
            | {"outcomes": {outcome: self._outcomes[outcome] for outcome in OUTCOMES}}
            | ({"false_share": round(false / disposed, 4)} if disposed else {}),
            "offline": self._lasted(OFFLINE, "device", 0),
            "uplinks": self._lasted(UPLINK_LOST, "uplink", 2),
            "clock": self._clock(),
            "lost": [{"stream": stream, "events": events} for stream, events in sorted(self._lost.items())],
            "noisiest": self._noisiest(),
            "touches": {"count": touches} | ({"per_100_alarms": round(100 * touches / count, 1)} if count else {}),
            "open": self._open(now),
            "covers": self._covers(now),
            "notes": self._notes,
            "notes_left_out": self._plain["notes_left_out"],
        }

    def _table(self, by: str) -> list[dict[str, Any]]:
        counts, tests = self._counts[by], self._tests[by]
        names = sorted({*counts, *tests}, key=lambda name: (-counts[name], name))
        return [{by: name, "count": counts[name], "tests": tests[name]} for name in names]

    def _lasted(self, kind: str, name: str, place: int) -> list[dict[str, Any]]:
        """The longest first; what never was is left out."""
        found = [(key, span) for key, span in self._spans.items() if key[1] == kind and (span.total_ms or span.at_end)]
        found.sort(key=lambda item: (-item[1].total_ms, item[0]))
        return [
            {name: key[place], "hours": _hours(span), "times": span.times, "still": bool(span.at_end)}
            for key, span in found
        ]

    def _clock(self) -> dict[str, Any]:
        bad = [span for key, span in self._spans.items() if key[1] == CLOCK_BAD]
        hours, times = sum(map(_hours, bad)), sum(span.times for span in bad)
        return {"hours": hours, "times": times, "unsure_events": self._plain["unsure"]}

    def _noisiest(self) -> list[dict[str, Any]]:
        points = sorted(self._points.items(), key=lambda item: (-item[1], item[0]))[:NOISIEST]
        return [
            {"device": device, "count": count} | ({"part": part} if part else {}) for (device, part), count in points
        ]

    def _open(self, now: Mapping[Key, Alarm]) -> list[dict[str, Any]]:
        """Alarms that were not normal at the end of the period, the oldest first."""
        found = {} if self._frame.end_ms >= self._frame.now_ms else dict(self._still_open)
        for alarm in now.values():
            if (
                alarm.severity is not Severity.INFO
                and alarm.type not in COVERS
                and moment_ms(alarm.id) < self._frame.end_ms
            ):
                found[alarm.id] = alarm.device, alarm.type
        cases = self._waits.cases
        told = []
        for identity, (device, kind) in sorted(found.items()):
            known = kind or (cases[identity].key[1] if identity in cases else "")
            entry = {"alarm": identity, "device": device, "since": moment(moment_ms(identity))}
            told.append(entry | ({"type": known} if known else {}))
        return told

    def _covers(self, now: Mapping[Key, Alarm]) -> list[dict[str, Any]]:
        """What was laid over alarms at the end, with its reason and until when it was to last."""
        return [
            _cover(key, self._spans[key], now.get(key))
            for key in sorted(self._spans)
            if key[1] in COVERS and self._spans[key].at_end
        ]


def _hours(span: Span) -> float:
    return round(span.total_ms / 3_600_000, 3)


def _cover(key: Key, span: Span, now: Alarm | None) -> dict[str, Any]:
    device, kind, condition = key
    told: dict[str, Any] = {"cover": kind, "device": device}
    if condition:
        told["condition"] = condition
    reason, by = span.said.get("reason"), span.said.get("who")
    until_ms = 0
    if not span.said and now is not None:  # laid before the period, and there still
        reason, until_ms = now.cause, now.until_ms
    elif span.said.get("seconds"):
        until_ms = span.since_ms + int(span.said["seconds"] * 1000)
    told |= {name: value for name, value in (("reason", reason), ("who", by)) if value}
    return told | ({"until": moment(until_ms)} if until_ms else {})


def snapshot(book: Book) -> list[Alarm]:
    """The alarms as they are, which no later event changes."""
    return list(book)
