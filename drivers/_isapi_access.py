"""One record of an access controller, from a notification or out of its memory → what it says. Pure.

Personal fields (names, numbers of people and cards, body temperature) go nowhere; what was presented becomes a
`Credential`, which leaves the box only as a keyed reference.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from drivers._alert import Alert, numbers, truth, whole
from drivers._isapi_codes import DEVICE, DOOR, INPUT, INPUT_ENDS, Row, meaning
from drivers._isapi_config import Config
from gateway.driver import offset_time
from gateway.event import Credential, Json, Phase, Reading
from gateway.taxonomy import TYPES

MOST_DIGITS = 20  # of a card number: 64 bits
MOST_BYTES = 32  # of an employee number that is a text
_NUMBERS = {DOOR: ("doorNo",), "reader": ("cardReaderNo",), "input": ("caseSensorNo", "alarmInNo", "inputIOPortID")}
_HISTORICAL: Mapping[str, Json] = {"historical": True}
_LIVE = {"major": "majorEventType", "minor": "subEventType"}  # the memory's names of fields → the notification's


@dataclass(frozen=True)
class Record:
    """What a device's memory holds of one moment."""

    key: str  # tells it from every other record but itself
    serial: int | None  # the device's own count; starts again when it is reset
    front: int | None  # that of the record before it, where the device says so
    current: bool | None  # False: it was told late; None: the device does not say
    time: datetime | None
    told: tuple[Reading, ...]  # nothing where it is of another door
    ends: tuple[Reading, ...] = ()  # worth telling only where it had begun


def of_alert(config: Config, alert: Alert) -> Record | None:
    """The record in a notification; None where it is none."""
    inner = alert.access
    return None if inner is None else _record(config, inner, alert.time)


def of_memory(config: Config, entry: Mapping[str, Any]) -> Record:
    """An entry of an AcsEvent search."""
    inner = {_LIVE.get(name, name): value for name, value in entry.items() if name != "time"}
    return _record(config, inner, str(entry.get("time", "")))


def historical(record: Record) -> Record:
    """The same, marked as told by the device's memory."""
    told, ends = (tuple(replace(r, data=_HISTORICAL) for r in found) for found in (record.told, record.ends))
    return replace(record, told=told, ends=ends)


def _record(config: Config, inner: Mapping[str, Any], time: str) -> Record:
    codes = [
        whole(inner.get(name)) for name in ("serialNo", "majorEventType", "subEventType", "doorNo", "cardReaderNo")
    ]
    moment, current = offset_time(time), truth(inner.get("currentEvent"))
    told, ends = _readings(config, inner, moment)
    found = Record(
        hashlib.sha256(f"{codes} {time}".encode("utf-8", "replace")).hexdigest()[:12],
        codes[0] or None,
        whole(inner.get("frontSerialNo")),
        current,
        moment,
        told,
        ends,
    )
    return historical(found) if current is False else found


def _readings(
    config: Config, inner: Mapping[str, Any], moment: datetime | None
) -> tuple[tuple[Reading, ...], tuple[Reading, ...]]:
    """What it says, and what is over with it."""
    if config.door is not None and whole(inner.get("doorNo")) not in (None, 0, config.door):
        return (), ()
    row = _row(config, inner)
    first = _reading(config, row, inner, moment)
    told = (first, replace(first, phase=Phase.CLEAR, reason=None)) if row.once else (first,)
    return told, tuple(replace(first, type=type) for type in row.ends)


def _reading(config: Config, row: Row, inner: Mapping[str, Any], moment: datetime | None) -> Reading:
    return Reading(
        config.id,
        row.type,
        row.phase,
        part=_part(config, row.where, _number(row.where, inner)),
        device_time=moment,
        reason=row.reason,
        credential=_credential(row, inner),
        raw=numbers(inner),
    )


def _row(config: Config, inner: Mapping[str, Any]) -> Row:
    """By the table; of an alarm input that the configuration gives a meaning, by that."""
    row = meaning(whole(inner.get("majorEventType")), whole(inner.get("subEventType")))
    wired = config.inputs.get(_number("input", inner) or 0)
    if wired is None or row.reason not in (INPUT, INPUT_ENDS):
        return row
    if TYPES[wired.type].returns == "clear":
        return Row(wired.type, Phase.RAISE if row.reason == INPUT else Phase.CLEAR, where="input")
    return Row(wired.type, where="input") if row.reason == INPUT else row


def _number(where: str, inner: Mapping[str, Any]) -> int | None:
    values = (whole(inner.get(name)) for name in _NUMBERS.get(where, ("doorNo",)))
    return next((value for value in values if value is not None), None)


def _part(config: Config, where: str, number: int | None) -> dict[str, Json] | None:
    """None for the device itself, as which its first or only door counts."""
    if where == DEVICE or (where == DOOR and (config.door is not None or number is None or number <= 1)):
        return None
    if number is None or number < 1:
        return {"address": where}
    return {"address": f"{where}-{number}", "point": number}


def _credential(row: Row, inner: Mapping[str, Any]) -> Credential | None:
    """The card where there is one, else the person's number in the device. None for neither, and for identity cards."""
    if not row.type.startswith("access.") or row.kind == "none" or row.reason == "egress":
        return None
    card = _digits(inner.get("cardNo"))
    if card:
        return Credential("isapi-card", 0, card)
    person = str(inner.get("employeeNoString") or inner.get("employeeNo") or "").strip()
    kind = row.kind or "card"
    if number := _digits(person):
        return Credential("isapi-user", len(person), number, kind)
    if person and person != "0":
        return Credential("isapi-user-text", 0, int.from_bytes(person.encode("utf-8", "replace")[:MOST_BYTES]), kind)
    return None


def _digits(value: Any) -> int | None:
    text = str(value if value is not None else "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None
