"""What ZKTeco's numbers mean: event codes, door sensors, alarm bits, operation codes → readings. Pure.

Codes as in the vendor's security PUSH 4.8, appendix 2 (0-19 and 200-253 normal, 20-99 refused, 100-199 warnings) and
10.3 (states), and attendance PUSH 4.0, appendix 5 (alarms of its operation log). Codes that are known, but are no
condition of a door, go through as `device.unmapped` with a word for them; unknown ones with their numbers.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from drivers._zkteco_config import Config, Input
from drivers._zkteco_records import Record, Stamp, credential, digest, lines, record, stamp, whole
from drivers._zkteco_records import fields as fields_of
from drivers._zone import local_time
from gateway.event import Json, Phase, Reading
from gateway.taxonomy import TYPES

_RAISE, _CLEAR, _PULSE = Phase.RAISE, Phase.CLEAR, Phase.PULSE
NOISE = 255  # "door state": a state among the events
TIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
CANCELLED = 7
CLOSED = 201
ENDS = ("door.held", "door.forced", "door.open")  # what a closed door ends


class Row(NamedTuple):
    """What a code means, and of which part of the device."""

    type: str
    phase: Phase = _PULSE
    reason: str | None = None
    where: str = "door"


class Told(NamedTuple):
    """What one record says; `key` tells it from all others, None for states, which are told again and again."""

    key: str | None
    readings: list[Reading]


def _words(type: str, words: str) -> dict[int, Row]:
    """`"4:emergency-password 8:remote"` → rows; a number alone has no reason."""
    pairs = (word.partition(":") for word in words.split())
    return {int(code): Row(type, _PULSE, reason or None) for code, _, reason in pairs}


_GRANTED = _words(
    "access.granted",
    "0 1 2 3 4:emergency-password 8:remote 14 15 16 17 18 19 202:egress 203 207 208 215 216 218 219:egress 222 232",
)
_DENIED = _words(
    "access.denied",
    """20:other 21:out_of_time 22:out_of_time 23:no_right 24:passback 25:interlock 27:unknown_credential 29:expired
    30:wrong_pin 31:other 33:expired 34:unknown_credential 35:out_of_time 36:out_of_time 38:disabled 39:disabled
    40:other 41:other 43:disabled 44:other 45:timeout 48:other 49:out_of_time 50:other 52:other 53:expired 61:other
    62:disabled 63:lockdown 64:out_of_time 68:other 69:other 73:unknown_credential 74:expired 75:timeout
    104:unknown_credential""",
)
_NAMED = _words(
    "device.unmapped",
    """5:always-open-begins 6:linkage 9:closed-remotely 10:always-open-off-today 11:always-open-on-today 12:output-on
    13:output-off 26:waiting-for-next-person 32:waiting-for-next-person 51:waiting-for-next-person 37:cannot-close
    42:wiegand-format 47:command-failed 56:illegal-operation 58:always-open-alarm 60:locked-from-inside
    105:server-lost 108:main-controller-lost 113:illegal-security-level 204:always-open-ends 205:held-open-remotely
    206:device-started 209:exit-button-locked 211:closed-by-superuser 214:server-connected 224:doorbell 239:call
    240:call-ends 243:fire-input-open 244:fire-input-short 254:extended-code""",
)
_CONDITIONS: Mapping[int, Row] = {
    28: Row("door.held", _RAISE),
    54: Row("device.battery_low", _RAISE, None, "device"),
    55: Row("device.battery_low", _RAISE, None, "device"),
    100: Row("device.tamper", _RAISE),
    101: Row("access.duress", _PULSE, "password"),
    102: Row("door.forced", _RAISE),
    103: Row("access.duress", _PULSE, "fingerprint"),
    106: Row("device.power_fault", _RAISE, "backup", "device"),
    107: Row("device.power_fault", _RAISE, "mains", "device"),
    109: Row("device.tamper", _RAISE, None, "reader"),
    110: Row("device.fault", _RAISE, "reader-offline", "reader"),
    111: Row("device.power_fault", _RAISE, "mains", "device"),
    112: Row("device.fault", _RAISE, "board-offline", "board"),
    114: Row("device.fault", _RAISE, "fire-input-line-open", "line"),
    115: Row("device.fault", _RAISE, "fire-input-line-short", "line"),
    116: Row("device.fault", _RAISE, "input-line-open", "input"),
    117: Row("device.fault", _RAISE, "input-line-short", "input"),
    118: Row("device.fault", _RAISE, "exit-line-open", "line"),
    119: Row("device.fault", _RAISE, "exit-line-short", "line"),
    120: Row("device.fault", _RAISE, "contact-line-open", "line"),
    121: Row("device.fault", _RAISE, "contact-line-short", "line"),
    200: Row("door.open", _RAISE),
    210: Row("door.released", _RAISE, "fire"),
    233: Row("door.lockdown", _RAISE, "remote"),
    234: Row("door.lockdown", _CLEAR),
    236: Row("device.tamper", _CLEAR, None, "reader"),
    237: Row("device.fault", _CLEAR, None, "reader"),
    247: Row("device.fault", _CLEAR, None, "board"),
}
CODES: Mapping[int, Row] = {**_GRANTED, **_DENIED, **_NAMED, **_CONDITIONS}
_INPUT_CODES = {220: "open", 221: "short", 225: "normal", 226: "active"}
_ALARM_BITS = (  # security PUSH 4.8, 10.3: two hexadecimal digits a door; duress comes as events
    (0x01, Row("door.forced")),
    (0x02, Row("device.tamper")),
    (0x10, Row("door.held")),
    (0x20, Row("device.power_fault", reason="mains", where="device")),
    (0x40, Row("device.power_fault", reason="backup", where="device")),
    (0x80, Row("device.tamper", where="reader")),
)
_SENSOR_CLOSED, _SENSOR_OPEN = 0b01, 0b10  # the same; 0b00: no sensor
_OPERATION_ALARM = "3"  # attendance PUSH 4.0, appendix 3
_OPERATION_DURESS = "32"
_OPERATION_ALARMS: Mapping[int, Row | int] = {  # appendix 5; a number is the same as that event's
    50: CLOSED,
    51: Row("door.open", _RAISE),
    53: Row("access.granted", _PULSE, "egress"),
    54: Row("door.forced", _RAISE),
    55: Row("device.tamper", _RAISE),
    58: Row("access.denied", _PULSE, "other"),
    65535: CANCELLED,
}


def part_of(config: Config, where: str, number: int, text: str | None = None) -> dict[str, Json] | None:
    """The part that a number means; None for the device itself, as which the only door of a terminal counts."""
    if where == "device" or (where == "door" and number <= 1 and config.doors == 1):
        return None
    part: dict[str, Json] = {"address": f"{where}-{number}", "point": number}
    return part | {"text": text} if text else part


def told_in(config: Config, table: str, body: bytes) -> Iterator[Told]:
    """The records of one upload of a table that says something of doors; of any other table, nothing."""
    kind = table.lower()
    if kind in ("rtlog", "transaction"):
        yield from (_event(config, line) for line in lines(body))
    elif kind == "rtstate":
        yield from (Told(None, list(states(config, fields_of(line)))) for line in lines(body))
    elif kind == "attlog":
        yield from (_attended(config, line) for line in lines(body))
    elif kind == "operlog":
        yield from (_operated(config, line) for line in lines(body) if line.startswith("OPLOG"))


def _event(config: Config, line: str) -> Told:
    found = record(line)
    if found is None:
        state = fields_of(line)
        return Told(None, list(states(config, state))) if "sensor" in state else _unreadable(config, "rtlog", line)
    return Told(found.key, list(readings(config, found)))


def _unreadable(config: Config, table: str, line: str) -> Told:
    """Not a word of it is kept: it may hold a name."""
    raw: dict[str, Json] = {"table": table, "characters": len(line)}
    return Told(digest(line), [Reading(config.id, "device.unmapped", _PULSE, reason="unreadable", raw=raw)])


def readings(config: Config, found: Record) -> Iterator[Reading]:
    """What one event says. A closed door ends three conditions; a door state among the events says nothing."""
    code, door = whole(found.event), whole(found.door, 255) or 0
    if code == NOISE:
        return
    raw = _raw(event=code, door=door, index=whole(found.index), inout=whole(found.inout), verify=whole(found.verify))
    for row, part in _rows(config, code, door):
        egress = row.type == "access.granted" and row.reason is None and found.inout == "1"
        presented = credential(found.pin, found.card, found.verify, found.site)
        yield Reading(
            config.id,
            row.type,
            row.phase,
            part=part,
            device_time=local_time(found.time, TIMES, config.zone),
            reason="egress" if egress else row.reason,
            credential=presented if row.type.startswith("access.") else None,
            raw=raw,
        )


def _raw(**numbers: int | None) -> dict[str, Json]:
    return {name: number for name, number in numbers.items() if number is not None}


def _rows(config: Config, code: int | None, door: int) -> Iterator[tuple[Row, dict[str, Json] | None]]:
    """(what, of which part) of an event code."""
    own = config.events.get(code) if code is not None else None
    if own is not None:
        yield Row(own.type, own.phase or _PULSE, own.reason), part_of(config, "door", door)
    elif code == CLOSED:
        yield from ((Row(type, _CLEAR), part_of(config, "door", door)) for type in ENDS)
    elif code == CANCELLED:
        yield from _cancelled(config, door)
    elif code in _INPUT_CODES and code is not None:
        yield from _input(config, code, door)
    else:
        row = CODES.get(code, Row("device.unmapped")) if code is not None else Row("device.unmapped")
        yield row, part_of(config, row.where, door)


def _cancelled(config: Config, door: int) -> Iterator[tuple[Row, dict[str, Json] | None]]:
    """Somebody has cancelled the alarms of a door, of all doors where it is 0; what is still so is told again."""
    for number in [door] if door else range(1, config.doors + 1):
        for type in ("door.forced", "door.held", "device.tamper"):
            yield Row(type, _CLEAR), part_of(config, "door", number)
        yield Row("device.tamper", _CLEAR), part_of(config, "reader", number)
        yield Row("device.fault", _CLEAR), part_of(config, "line", number)
    yield Row("device.unmapped", _PULSE, "alarms-cancelled"), part_of(config, "door", door)


def _input(config: Config, code: int, number: int) -> Iterator[tuple[Row, dict[str, Json] | None]]:
    wired, word = config.inputs.get(number), _INPUT_CODES[code]
    if word == "normal":  # also ends a fault of its supervised line
        yield Row("device.fault", _CLEAR), part_of(config, "input", number)
    if wired is None:
        yield Row("device.unmapped", _PULSE, f"input-{word}"), part_of(config, "input", number)
        return
    part = part_of(config, "input", number, wired.name)
    if TYPES[wired.type].returns == "clear":
        yield Row(wired.type, _RAISE if _active(wired, word) else _CLEAR), part
    elif _active(wired, word):
        yield Row(wired.type), part


def _active(wired: Input, word: str) -> bool:
    return word in ("active", wired.active)


def states(config: Config, state: Mapping[str, str]) -> Iterator[Reading]:
    """`sensor=01 … alarm=0200000000000000` → every condition it knows of, true or not. Pieces it lacks say nothing."""
    sensors, alarms = _bytes(state.get("sensor", "")), _bytes(state.get("alarm", ""))
    power: dict[str, bool] = {}
    for door in range(1, config.doors + 1):
        sensor = sensors[(door - 1) // 4] >> (door - 1) % 4 * 2 & 0b11 if (door - 1) // 4 < len(sensors) else 0
        if sensor in (_SENSOR_CLOSED, _SENSOR_OPEN):
            yield _state(config, Row("door.open"), door, sensor == _SENSOR_OPEN)
        for bit, row in _ALARM_BITS if door <= len(alarms) else ():
            active = bool(alarms[door - 1] & bit)
            if row.where == "device":
                power[row.reason or ""] = active or power.get(row.reason or "", False)
            else:
                yield _state(config, row, door, active)
    if power:
        reason = next((word for word, active in power.items() if active), None)
        yield _state(config, Row("device.power_fault", reason=reason, where="device"), 0, reason is not None)


def _state(config: Config, row: Row, door: int, active: bool) -> Reading:
    part, phase = part_of(config, row.where, door), _RAISE if active else _CLEAR
    return Reading(config.id, row.type, phase, part=part, reason=row.reason if active else None)


def _bytes(text: str) -> bytes:
    """Hexadecimal digits; a last one alone is left out, as one firmware sends 15 of 16."""
    try:
        return bytes.fromhex(text[: len(text) // 2 * 2])
    except ValueError:
        return b""


def _attended(config: Config, line: str) -> Told:
    """A line of ATTLOG: the terminal knew the person and let them in (0, 3, 4) or out (1, 2, 5)."""
    found = stamp(line)
    if found is None:
        return _unreadable(config, "ATTLOG", line)
    return Told(found.key, [_stamped(config, found)])


def _stamped(config: Config, found: Stamp) -> Reading:
    leaving = found.status in ("1", "2", "5")
    return Reading(
        config.id,
        "access.granted",
        _PULSE,
        part=part_of(config, "door", 1),
        device_time=local_time(found.time, TIMES, config.zone),
        reason="egress" if leaving else None,
        credential=credential(found.pin, "0", found.verify),
        raw=_raw(status=whole(found.status), verify=whole(found.verify)),
    )


def _operated(config: Config, line: str) -> Told:
    """`OPLOG 3<tab>0<tab>2026-11-23 18:06:19<tab>55<tab>0…`. Only alarms say something of the door."""
    head, *rest = line.split("\t")
    code = head.partition(" ")[2].strip()
    if code not in (_OPERATION_ALARM, _OPERATION_DURESS) or len(rest) < 3:
        return Told(None, [])
    numbers = [whole(item.strip()) for item in rest[2:4]]  # the object is the first or the second, by edition
    why = next((number for number in numbers if number in _OPERATION_ALARMS), None)
    raw = _raw(operation=int(code), alarm=why if why is not None else numbers[0])
    if code == _OPERATION_DURESS:
        rows: Iterable[tuple[Row, dict[str, Json] | None]] = [(Row("access.duress"), part_of(config, "door", 1))]
    else:
        meant = _OPERATION_ALARMS.get(-1 if why is None else why, Row("device.unmapped", _PULSE, "alarm"))
        rows = _rows(config, meant, 1) if isinstance(meant, int) else [(meant, part_of(config, meant.where, 1))]
    time = local_time(rest[1], TIMES, config.zone)
    found = [Reading(config.id, r.type, r.phase, part=p, device_time=time, reason=r.reason, raw=raw) for r, p in rows]
    return Told(digest(*line.split("\t")[:5]), found)
