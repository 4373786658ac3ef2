"""An alarm as others see it: page, command line, and the retained document on each uplink (contract, section 2)."""

from datetime import UTC, datetime
from typing import Any

from gateway.alarms import Alarm, Book
from gateway.clock import rfc3339
from gateway.measures import cover, display


def describe(alarm: Alarm, book: Book) -> dict[str, Any]:
    """Flags, the display word that they and what lies over the alarm make, and who did what; no place, no delivery."""
    over = cover(book, alarm)
    until = {name: laid for name, laid in (("shelved", over.shelf), ("out_of_service", over.shield)) if laid}
    document: dict[str, Any] = {
        "alarm": alarm.id,
        "device": alarm.device,
        "type": alarm.type,
        "severity": alarm.severity.value,
        "state": display(alarm, over),
        "flags": {
            "active": alarm.active,
            "acknowledged": alarm.acknowledged,
            "confirmed": alarm.confirmed,
            "latched": alarm.latched,
            "shelved": over.shelf is not None,
            "suppressed": over.suppression is not None,
            "out_of_service": over.shield is not None,
            "silenced": alarm.silenced,
        },
        "count": alarm.count,
        "first": moment(alarm.first_ms),
        "last": moment(alarm.last_ms),
        "test": alarm.test,
        "history": [_step(*step) for step in alarm.history],
    }
    more = {
        "part": alarm.part,
        "outcome": alarm.outcome,
        "first_fire": alarm.first_of == alarm.id,
        "suppressed_by": over.suppression.cause if over.suppression else "",
        "until": {name: moment(laid.until_ms) for name, laid in until.items() if laid.until_ms},
    }
    return document | {name: value for name, value in more.items() if value}


def _step(time_ms: int, step: str, who: str, place: str, note: str) -> dict[str, Any]:
    said = {"who": who, "from": place, "note": note}
    return {"time": moment(time_ms), "step": step, **{name: value for name, value in said.items() if value}}


def moment(time_ms: int) -> str:
    """RFC 3339 of ms since 1970."""
    return rfc3339(datetime.fromtimestamp(time_ms / 1000, UTC))
