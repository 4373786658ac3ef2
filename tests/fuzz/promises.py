"""What must hold of whatever an intake makes of any bytes: only its own error, and events that are good JSON."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from gateway.clock import TimeQuality
from gateway.documents import Event
from gateway.event import Phase, Reading, Severity, part_key
from gateway.normalize import EVENT_BYTES, Stamp, Subject, body, private
from gateway.taxonomy import TYPES

_ID = "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f"
_STAMP = Stamp(_ID, datetime(2026, 11, 23, tzinfo=UTC), TimeQuality.SYNCED, Phase.PULSE, Severity.INFO, None)
_SUBJECT = Subject("example", "/310104/013/002/gw-0001", "smoke", {"path": "gate", "label": "大门"})
_ADDED = {"stream": "district.event", "sequence": "0000000000000001"}
MOST_READINGS = 20_000  # of one request; 2,000 lines of a terminal, of which some tell of several conditions


class Broken(AssertionError):
    """An intake did what it promised not to do."""


def promise(holds: object, what: str) -> None:
    """Broken: it does not hold. (An assert would be gone with -O.)"""
    if not holds:
        raise Broken(what)


def check(readings: Iterable[Reading]) -> None:
    """Each becomes an event that fits, is UTF-8 and JSON and of the published schema; its alarm has a key on disk."""
    told = list(readings)
    promise(len(told) <= MOST_READINGS, f"{len(told)} readings at once")
    for reading in told:
        promise(reading.phase in TYPES[reading.type].phases, f"{reading.type} {reading.phase}")
        part_key(reading.part).encode()
        written = body(_SUBJECT, reading, _STAMP)
        promise(len(written.encode()) <= EVENT_BYTES, f"an event of {len(written)} characters")
        json.loads(private(reading.credential) or "null")
        Event.model_validate(json.loads(written) | _ADDED)
