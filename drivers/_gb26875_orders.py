"""Commands to a transmission device: the post check (查岗), and reading what it knows. (An underscore: no driver.)

`test {seconds}` asks the operator on duty to press a button, and is done when he has. `read {type, …}` asks for what
the standard lets a centre read: types 61 to 68 of the fire system behind it, 81, 84, 85, 86, 88 of the device itself.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from drivers._gb26875_dialogue import Denied, Silent, within
from drivers._gb26875_frame import Code, Frame
from drivers._gb26875_station import Station
from drivers._gb26875_unit import Fields, hexadecimal, number, parse, read_time, text, write_time
from gateway.clock import Clock
from gateway.driver import Command, Outcome
from gateway.event import Json

ACTIONS = ("test", "read")
POST_CHECK = 91  # data type
MINUTE_S = 60
MOST_MINUTES = 255  # one byte (figure 50)
MOST_RECORDS = 102  # of types 64 and 84
OF_PARTS, SYSTEM_RECORDS, DEVICE_RECORDS, FIRST_OF_DEVICE = (62, 63, 67), 64, 84, 81
_ONE = bytes([0])  # the reserved byte of a question that needs nothing


async def carry_out(station: Station, clock: Clock, command: Command) -> Outcome:
    """One command, with its outcome."""
    try:
        asked = _post_check(command.args) if command.action == "test" else _read(station, command.args, clock.utc())
    except ValueError as error:
        return Outcome("bad-arguments", str(error))
    if not station.online:
        return Outcome("device-offline", f"silent for {station.silent_s:.0f} s")
    try:
        if command.action == "test":
            return await _check(station, clock, asked)
        return Outcome(result=told(station, await station.dialogue.ask(Code.REQUEST, asked)))
    except Silent:
        return Outcome("timeout", "it did not answer")
    except Denied:
        return Outcome("device-refused", "it answered with a deny")


async def _check(station: Station, clock: Clock, asked: bytes) -> Outcome:
    """Waits for the operator: what he answers comes as an event of its own, too."""
    station.post_checked.clear()
    began_s = clock.monotonic()
    await station.dialogue.ask(Code.CONTROL, asked)
    minutes = asked[-1]
    if not await within(clock, minutes * MINUTE_S, station.post_checked.wait()):
        return Outcome("timeout", f"nobody answered within {minutes} min", {"minutes": minutes})
    return Outcome(result={"minutes": minutes, "answered_after_s": round(clock.monotonic() - began_s, 1)})


def _whole(args: Mapping[str, Json], name: str, least: int, most: int, default: int | None = None) -> int:
    value = args.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name}: a whole number from {least} to {most}")
    return value


def _post_check(args: Mapping[str, Json]) -> bytes:
    """`{seconds}` → the data of type 91, whose time counts in minutes. ValueError: what is wrong."""
    _only(args, {"seconds"})
    seconds = _whole(args, "seconds", 1, MOST_MINUTES * MINUTE_S)
    return bytes([POST_CHECK, 1, -(-seconds // MINUTE_S)])


def _only(args: Mapping[str, Json], names: set[str]) -> None:
    strange = sorted(set(args) - names)
    if strange:
        raise ValueError(f"{strange[0]}: not known here (known: {', '.join(sorted(names))})")


def _read(station: Station, args: Mapping[str, Json], now: datetime) -> bytes:
    """`{type, system?, system_address?, part?, count?, since?}` → the data of a request. ValueError: what is wrong."""
    kind = args.get("type")
    if not isinstance(kind, int) or kind not in station.config.table.reads:
        raise ValueError(f"type: one of {', '.join(map(str, station.config.table.reads))}")
    records = kind in (SYSTEM_RECORDS, DEVICE_RECORDS)
    names = {"count", "since"} if records else set()
    names |= {"system", "system_address"} if kind < FIRST_OF_DEVICE else set()
    _only(args, names | {"type"} | ({"part"} if kind in OF_PARTS else set()))
    data = bytes([kind, 1])
    if kind < FIRST_OF_DEVICE:
        data += bytes([_whole(args, "system", 0, 255, 1), _whole(args, "system_address", 0, 255, 1)])
    if kind in OF_PARTS:
        data += _part(args.get("part"))
    if records:
        return data + bytes([_whole(args, "count", 1, MOST_RECORDS, 1)]) + write_time(_since(args.get("since"), now))
    return data if kind < FIRST_OF_DEVICE else data + _ONE


def _part(value: Json) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9A-Fa-f]{8}", value):
        raise ValueError("part: the 8 hexadecimal digits of its address")
    return bytes.fromhex(value)


def _since(value: Json, now: datetime) -> datetime:
    if value is None:
        return now
    moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    if moment is None or moment.tzinfo is None:
        raise ValueError("since: an RFC 3339 time with its zone")
    return moment


def told(station: Station, answer: Frame) -> dict[str, Json]:
    """The objects of an answer, field by field; the data as it came where it is not understood."""
    unit = parse(station.config.table, answer.data, station.config.sizes)
    if unit is None or unit.objects is None:
        return {"data": hexadecimal(answer.data)}
    return {"type": unit.type, "objects": [_object(fields) for fields in unit.objects]}


def _object(fields: Fields) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, field in fields.items():
        if name == "text":
            found[name] = text(field)
        elif name == "time":
            moment = read_time(field)
            found[name] = moment.isoformat() if moment else hexadecimal(field)
        elif name in ("address", "private"):
            found[name] = hexadecimal(field)
        elif name != "length":
            found[name] = number(field, signed=name == "value")
    return found
