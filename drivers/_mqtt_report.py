"""One report of one device by its map: what begins, ends, happened, was measured. Pure. (An underscore: no driver.)

A report is a state, told again and again: only what differs from what stands on disk is news. What is retained says how
things were when it was published: a condition that is not known yet begins by it, but nothing happened, nothing was
measured and nobody is there because of it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pydantic_core import from_json

from drivers._mapping import MISSING, at, kept, readings_of
from drivers._mqtt_profile import ON, Clocked, Happening, Map, Meaning, Measured, Missing, word
from drivers._zone import YEARS, zone_of
from gateway.driver import offset_time
from gateway.errors import BadInput, Text
from gateway.event import Json, Phase, Reading, Value
from gateway.taxonomy import TYPES

MOST_BYTES = 256 * 1024  # of a report
MOST_ITEMS = 64  # of a list of happenings, and of values in one report
MOST_TEXT = 256  # characters of a value that is a word
MOST_EXACT = 2**53  # whole numbers that every reader of JSON takes exactly (RFC 8259, 6)
SAMPLE_S = 900.0  # values that do not change are told again after this
_MILLISECONDS = 1e11  # seconds would be in the year 5138
_TEST = ("device.test", None)
Key = tuple[str, str | None]


@dataclass(slots=True)
class Memory:
    """What a device has reported in this run. What stands open is not here: that is on disk."""

    values: dict[str, bool | int | float | str] = field(default_factory=dict)  # as told last
    told_at: float = -math.inf  # monotonic seconds
    strange: dict[str, str] = field(default_factory=dict)  # words that were not understood, told once each
    running: dict[str, dict[str, float]] = field(default_factory=dict)  # type → id of an activity → until when


@dataclass(frozen=True, slots=True)
class Heard:
    """The circumstances of a report."""

    device: str
    now_s: float  # monotonic
    zone: str
    retained: bool = False


@dataclass(slots=True)
class Report:
    """What is new in it. `urgent` are conditions and happenings, `samples` measured values."""

    urgent: list[Reading] = field(default_factory=list)
    samples: list[Reading] = field(default_factory=list)


def parse(where: str, payload: bytes, most_bytes: int = MOST_BYTES) -> Any:
    """JSON. BadInput: it is none, nested too deep (about 200 levels), or too large."""
    if len(payload) > most_bytes:
        raise BadInput(where, Text(f"more than {most_bytes} bytes", f"超过 {most_bytes} 字节"))
    try:
        return from_json(payload, allow_inf_nan=False)
    except ValueError as error:
        raise BadInput(where, Text(f"not JSON: {error}", f"不是 JSON:{error}")) from error


def plain(payload: bytes) -> Any:
    """A scalar, as JSON or as bare text; what is larger than that in JSON too. Never an error."""
    try:
        return from_json(payload[:MOST_BYTES], allow_inf_nan=False)
    except ValueError:
        return payload[: 4 * MOST_TEXT].decode("utf-8", "replace").strip()[:MOST_TEXT]


def moment_of(clocked: Clocked | None, body: Any, zone: str) -> datetime | None:
    """When the device says that it was; None where it says nothing, or nothing that makes sense."""
    said = MISSING if clocked is None else at(body, clocked.path)
    if clocked is None or said is MISSING or isinstance(said, bool):
        return None
    if isinstance(said, (int, float)):
        if clocked.form in ("iso", "local"):
            return None
        milli = clocked.form == "epoch-ms" or (clocked.form == "any" and said > _MILLISECONDS)
        return _epoch(said / 1000 if milli else said)
    if not isinstance(said, str):
        return None
    return offset_time(said) or (_local(said, zone) if clocked.form in ("local", "any") else None)


def _epoch(seconds: float) -> datetime | None:
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.year in YEARS else None


def _local(text: str, zone: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment.replace(tzinfo=zone_of(zone)) if moment.year in YEARS and moment.tzinfo is None else None


@dataclass(frozen=True)
class Plan:
    """A map, with what a device has of its own, made ready to be applied many times a second."""

    map: Map
    conditions: Mapping[str, Meaning]
    values: Mapping[str, Measured]

    @cached_property
    def checks(self) -> list[tuple[str, str, Meaning, Key]]:
        """Where a condition is shown (first step, path), how, and which."""
        return [
            (_first(path), path, meaning, (meaning.type, meaning.part)) for path, meaning in self.conditions.items()
        ]

    @cached_property
    def measures(self) -> list[tuple[str, str, str, Measured]]:
        """Where a value stands (first step, path), its name, and how it is read."""
        paths = {name: measured.path or name for name, measured in self.values.items()}
        return [(_first(path), path, name, self.values[name]) for name, path in paths.items()]

    @cached_property
    def used(self) -> frozenset[str]:
        """First steps of what is looked at, below `others`: the rest there is told as it is."""
        below = f"{self.map.others}." if self.map.others else ""
        paths = [path for _, path, *_ in (*self.checks, *self.measures)]
        return frozenset(_first(path.removeprefix(below)) for path in paths if path.startswith(below))


def _first(path: str) -> str:
    return path.partition(".")[0]


def plan_of(map: Map, conditions: Mapping[str, Meaning], values: Mapping[str, Measured]) -> Plan:
    """What a device has of its own counts more than the profile's field of the same place or name."""
    return Plan(map, {**map.conditions, **conditions}, {**map.values, **values})


def read(plan: Plan, body: Any, heard: Heard, memory: Memory, held: set[Key]) -> Report:
    """What is new in a report. Changes `memory`, and `held`, the conditions that stand open.

    BadInput: it is no report of this kind.
    """
    spec = plan.map
    if not isinstance(body, dict) or (spec.needs is not None and at(body, spec.needs) is MISSING):
        raise BadInput(
            heard.device,
            Text(f"no object with {spec.needs or 'fields'}", f"报文不是含 {spec.needs or '字段'} 的 JSON 对象"),
        )
    inner = body if spec.at is None else at(body, spec.at)
    fields = inner if isinstance(inner, dict) else {}
    measured = _measured(plan, fields, body)
    common = Reading(
        heard.device,
        "telemetry.sample",
        Phase.PULSE,
        values=measured,
        device_time=moment_of(spec.time, body, heard.zone),
        test=spec.test is not None and _true(fields, spec.test),
        raw=_raw(spec, body),
    )
    report = Report()
    shown = _conditions(plan, fields, common, (memory, held), report.urgent)
    for happening in spec.happenings if not heard.retained else ():
        report.urgent += _happened(happening, body, common, held)
    if spec.activity is not None:
        report.urgent += _activity(spec, body, common, heard, (memory, held))
    if measured and _is_new(plan, memory, measured, heard):
        report.samples.append(common)
    if spec.tell_all and not (shown or measured or report.urgent or heard.retained):
        report.urgent.append(replace(common, type="device.unmapped"))
    return report


def _true(fields: dict[str, Any], path: str) -> bool:
    found = at(fields, path)
    return isinstance(found, (bool, int, float, str)) and word(found) in ON


def _said(fields: dict[str, Any], path: str, missing: Missing, unwrap: str | None) -> Any:
    """What stands there, or what it means that nothing does; None: nothing is said."""
    found = at(fields, path)
    if unwrap is not None and isinstance(found, dict):
        found = found.get(unwrap, MISSING)
    if found is MISSING:
        found = missing.default
    if found is None or isinstance(found, (dict, list)):
        return None
    return None if missing.unless and any(_true(fields, path) for path in missing.unless) else found


def _number(value: Any) -> float | None:
    """Also of a text that holds one."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _judged(meaning: Meaning, value: Any, open_: bool) -> bool | None:
    """Whether it is so; None: the value is in no list."""
    if meaning.below is None and meaning.above is None:
        said = word(value)
        return True if said in meaning.on else False if said in meaning.off else None
    number = _number(value)
    if number is None:
        return None
    slack = meaning.hysteresis if open_ else 0.0
    if meaning.below is not None:
        return number <= meaning.below or number < meaning.below + slack
    above = meaning.above or 0.0
    return number >= above or number > above - slack


def _conditions(
    plan: Plan, fields: dict[str, Any], common: Reading, known: tuple[Memory, set[Key]], news: list[Reading]
) -> bool:
    """Adds what begins and ends to `news`; returns whether any condition was spoken of."""
    memory, held = known
    tested = _TEST in held  # before this report
    shown = False
    for first, path, meaning, key in plan.checks:
        if first not in fields and meaning.default is None:
            continue
        value = _said(fields, path, meaning, plan.map.unwrap)
        if value is None:
            continue
        shown, is_open = True, key in held
        so = _judged(meaning, value, is_open)
        part: dict[str, Json] | None = {"address": meaning.part} if meaning.part else None
        if so is None:
            news += _not_understood(memory, common, path, value)
        elif so and (not is_open or (tested and not common.test)):  # what a test began is real from now on
            held.add(key)
            news.append(replace(common, type=meaning.type, phase=Phase.RAISE, reason=meaning.reason, part=part))
        elif not so and is_open:
            held.discard(key)
            test = common.test or tested
            news.append(replace(common, type=meaning.type, phase=Phase.CLEAR, values={}, test=test, part=part))
    return shown


def _not_understood(memory: Memory, common: Reading, path: str, value: Any) -> Iterator[Reading]:
    said = word(value)
    if memory.strange.get(path) != said:
        memory.strange[path] = said
        yield replace(common, type="device.unmapped", values={}, raw={**common.raw, path: kept(value)})


def _happened(happening: Happening, body: Any, common: Reading, held: set[Key]) -> Iterator[Reading]:
    found = body if happening.each is None else at(body, happening.each)
    for item in found[:MOST_ITEMS] if isinstance(found, list) else [found]:
        if not isinstance(item, dict) or at(item, happening.at) in (MISSING, None, ""):
            continue
        for reading in readings_of(happening.map, common.device, item):
            time = reading.device_time or common.device_time
            whole = replace(reading, device_time=time, test=common.test, raw={**common.raw, **reading.raw})
            yield from _momentary(whole, held) if happening.momentary else _edge(whole, held)


def _momentary(reading: Reading, held: set[Key]) -> Iterator[Reading]:
    yield reading
    if TYPES[reading.type].returns == "clear" and reading.phase is Phase.RAISE:
        held.discard((reading.type, None))
        yield replace(reading, phase=Phase.CLEAR)


def _edge(reading: Reading, held: set[Key]) -> Iterator[Reading]:
    """A beginning that is known, and an end of what is not, are repetitions."""
    key = (reading.type, None)
    if (reading.phase is Phase.RAISE and key in held) or (reading.phase is Phase.CLEAR and key not in held):
        return
    if reading.phase is Phase.RAISE:
        held.add(key)
    elif reading.phase is Phase.CLEAR:
        held.discard(key)
    yield reading


def _activity(spec: Map, body: Any, common: Reading, heard: Heard, known: tuple[Memory, set[Key]]) -> Iterator[Reading]:
    """The condition begins with the first activity of its type, and ends with the last."""
    memory, held = known
    activity = spec.activity
    identity = MISSING if activity is None else at(body, activity.id)
    if activity is None or not isinstance(identity, str):
        return
    if activity.ended.find(body)[0] == "end":
        for type in activity.type.results():
            running = memory.running.get(type, {})
            running.pop(identity, None)
            if not running and (type, None) in held:
                held.discard((type, None))
                yield replace(common, type=type, phase=Phase.CLEAR)
        return
    type_, understood = activity.type.find(body)
    if type_ is None or heard.retained:
        if not understood and not heard.retained:
            yield replace(common, type="device.unmapped")
        return
    running = memory.running.setdefault(type_, {})
    if len(running) < MOST_ITEMS or identity in running:
        running[identity] = heard.now_s + activity.hold
    if (type_, None) not in held:
        held.add((type_, None))
        yield replace(common, type=type_, phase=Phase.RAISE)


def over(device: str, memory: Memory, held: set[Key], now_s: float) -> Iterator[Reading]:
    """Activities of which nobody has spoken for too long; all of them where `now_s` is infinite."""
    for type, running in list(memory.running.items()):
        memory.running[type] = {identity: until_s for identity, until_s in running.items() if until_s > now_s}
        if not memory.running[type]:
            del memory.running[type]
            if (type, None) in held:
                held.discard((type, None))
                yield Reading(device, type, Phase.CLEAR)


def _measured(plan: Plan, fields: dict[str, Any], body: Any) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for first, path, name, measured in plan.measures:
        if first in fields or measured.default is not None:
            value = _value(_said(fields, path, measured, plan.map.unwrap), measured)
            if value is not None:
                found[name] = value
    others = at(body, plan.map.others) if plan.map.others is not None else None
    if isinstance(others, dict):
        more = ((name, _value(said, None)) for name, said in list(others.items())[:MOST_ITEMS])
        found |= {name[:MOST_ITEMS]: value for name, value in more if value is not None and name not in plan.used}
    return found


def _value(said: Any, measured: Measured | None) -> Value | None:
    if said is None or isinstance(said, (dict, list)):
        return None
    plainly = measured is None or (measured.scale == 1.0 and measured.offset == 0.0)
    if plainly and isinstance(said, int) and abs(said) < MOST_EXACT:
        return Value(said, measured.unit if measured and not isinstance(said, bool) else "")
    number = _number(said)
    if number is None or measured is None:
        return Value(str(said)[:MOST_TEXT] if number is None else number)
    scaled = number * measured.scale + measured.offset
    return Value(round(scaled, 9), measured.unit) if math.isfinite(scaled) else None


def _is_new(plan: Plan, memory: Memory, measured: Mapping[str, Value], heard: Heard) -> bool:
    """Whether values are to be told: one has changed beyond its dead band, or it is long since they were."""
    fresh = {name: value.value for name, value in measured.items()}
    changed = any(_differs(plan.values.get(name), memory.values.get(name), now) for name, now in fresh.items())
    if heard.retained or not (changed or heard.now_s - memory.told_at >= SAMPLE_S):
        return False
    memory.values.update(fresh)
    memory.told_at = heard.now_s
    return True


def _differs(measured: Measured | None, before: Any, now: Any) -> bool:
    if before is None or isinstance(now, str) or isinstance(before, str):
        return bool(before != now)
    return bool(abs(now - before) > (measured.dead_band if measured else 0.0))


def _raw(spec: Map, body: Any) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for each in spec.raw:
        there = at(body, each.path)
        if there is MISSING:
            there = each.default
        if there is not None:
            found[each.path] = kept(there)
    return found
