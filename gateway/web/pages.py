"""The status page: one word for the site, what is not normal, devices by building, uplinks with what waits in each."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gateway.event import Lane
from gateway.taxonomy import FIRES, TYPES
from gateway.web import words

_WORST_FIRST = tuple(words.STATES)


@dataclass(frozen=True)
class Sign:
    """A state as word, shape and colour class."""

    name: str
    shape: str
    word: str


@dataclass(frozen=True)
class Tag:
    """An open condition as its label and colour class."""

    name: str
    label: str


@dataclass(frozen=True)
class Row:
    """One device."""

    label: str
    place: str
    spot: str  # the place inside its building
    sign: Sign
    tags: list[Tag]
    last_seen: str | None

    @property
    def calm(self) -> bool:
        """Nothing is to be done about it."""
        return self.sign.name == "normal" and not self.tags


@dataclass(frozen=True)
class Building:
    """The devices of one building, worst first; its sign is that of the worst."""

    label: str
    rows: list[Row]
    sign: Sign
    abnormal: int


@dataclass(frozen=True)
class LaneRow:
    """What waits in one lane."""

    label: str
    backlog: int
    oldest: str
    confirmed: int


@dataclass(frozen=True)
class Uplink:
    """One platform."""

    name: str
    sign: Sign
    since: str | None
    backlog: int
    why: str
    lanes: list[LaneRow]


@dataclass(frozen=True)
class Trouble:
    """A part of the gateway that does not run as it should."""

    name: str
    why: str


def render(
    health: Mapping[str, Any],
    devices: Sequence[Mapping[str, Any]],
    verdict: Mapping[str, Any],
    language: str,
) -> str:
    """The whole page, HTML, in `zh` or `en`; the arguments as `api.House` gives them."""

    buildings = _buildings(devices, language)
    return (
        environment()
        .get_template("status.html")
        .render(
            say=lambda key: words.LABELS[key].say(language),
            time=lambda text: _time(text, health["time"]),
            duration=lambda seconds: _duration(seconds, language),
            size=_size,
            language="zh-CN" if language == "zh" else "en",
            sign=_sign(words.VERDICTS, str(verdict.get("word")), language),
            since=verdict.get("since"),
            health=health,
            attention=sorted((row for b in buildings for row in b.rows if not row.calm), key=_worst_first),
            buildings=buildings,
            uplinks=[_uplink(name, uplink, language) for name, uplink in health.get("uplinks", {}).items()],
            troubles=_troubles(health, language),
        )
    )


@cache
def environment() -> Environment:
    """Templates of this package; what is put into them cannot become markup."""
    return Environment(
        loader=PackageLoader("gateway.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _sign(table: Mapping[str, Any], name: str, language: str) -> Sign:
    """A word that is not in the table is unknown, never normal."""
    name = name if name in table else "unknown"
    shape, text = table[name]
    return Sign(name, shape, text.say(language))


def _buildings(devices: Iterable[Mapping[str, Any]], language: str) -> list[Building]:
    """In natural order, numbered ones before named spots such as the gate."""
    rows: dict[tuple[str, str], list[Row]] = {}
    for device in devices:
        path = str(device.get("place", "")).partition("/")[0]
        label = str(device.get("building") or path)
        rows.setdefault((label, path), []).append(_row(device, label, language))
    buildings = []
    for (label, _), found in sorted(rows.items(), key=lambda item: (_natural(item[0][0]), item[0][1])):
        ordered = sorted(found, key=_worst_first)
        buildings.append(Building(label, ordered, ordered[0].sign, sum(not row.calm for row in found)))
    return buildings


def _row(device: Mapping[str, Any], building: str, language: str) -> Row:
    alarms = [str(alarm) for alarm in device.get("alarms", ())]
    state = str(device.get("state"))
    if state == "alarm" and any(alarm in FIRES for alarm in alarms):
        state = "fire"
    place = str(device.get("place_label") or device.get("place", ""))
    return Row(
        str(device.get("label") or device["device"]),
        place,
        place.removeprefix(building).strip(" /"),
        _sign(words.STATES, state, language),
        [_tag(alarm, language) for alarm in alarms if alarm != f"device.{state}"],
        device.get("last_seen"),
    )


def _tag(alarm: str, language: str) -> Tag:
    label = TYPES[alarm].label.say(language) if alarm in TYPES else alarm
    if alarm in FIRES:
        return Tag("fire", label)
    return Tag("fault" if alarm.startswith("device.") and alarm != "device.tamper" else "alarm", label)


def _worst_first(row: Row) -> tuple[Any, ...]:
    return _WORST_FIRST.index(row.sign.name), not row.tags, _natural(row.place), _natural(row.label)


def _natural(text: str) -> list[tuple[bool, int, str]]:
    """Orders 2号楼 before 10号楼, and both before 大门."""
    found = re.findall(r"([0-9]{1,9})|([^0-9]+)", text)
    return [(not digits, int(digits or 0), other) for digits, other in found]


def _uplink(name: str, uplink: Mapping[str, Any], language: str) -> Uplink:
    lanes = [
        LaneRow(
            words.LABELS[f"lane_{lane}"].say(language),
            int(row.get("backlog", 0)),
            _duration(row.get("oldest_s"), language),
            int(row.get("confirmed", 0)),
        )
        for lane in Lane
        if (row := uplink.get("lanes", {}).get(lane.value)) is not None
    ]
    connected = uplink.get("connected") is True
    return Uplink(
        name,
        _sign(words.LINKS, "connected" if connected else "disconnected", language),
        uplink.get("since"),
        sum(lane.backlog for lane in lanes),
        "" if connected else _why(uplink, language),
        lanes,
    )


def _troubles(health: Mapping[str, Any], language: str) -> list[Trouble]:
    """Drivers that do not run, and a disk that takes nothing."""
    drivers = health.get("drivers", {}).items()
    found = [Trouble(name, _why(driver, language)) for name, driver in drivers if driver.get("state") != "running"]
    failing = health.get("disk", {}).get("failing")
    return [Trouble(words.LABELS["disk"].say(language), failing[language]), *found] if failing else found


def _why(part: Mapping[str, Any], language: str) -> str:
    return str(part.get("why", {}).get(language, ""))


def _time(text: str | None, now: str) -> Markup:
    """An RFC 3339 time as local time of this machine, with its date where that is not today's; empty for none."""
    if not text:
        return Markup()
    local, today = (datetime.fromisoformat(moment).astimezone() for moment in (text, now))
    form = "%H:%M:%S" if local.date() == today.date() else "%Y-%m-%d %H:%M:%S"
    return Markup('<time datetime="{}">{}</time>').format(text, local.strftime(form))


def _duration(seconds: float | None, language: str) -> str:
    """`3 分 20 秒`, `3 min 20 s`: the two largest units; empty for None and 0."""
    left, parts = int(seconds or 0), []
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {words.UNITS[unit].say(language)}")
    return " ".join(parts[:2])


def _size(count: float) -> str:
    """Bytes as KiB, MiB or GiB."""
    for unit in ("KiB", "MiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.0f} {unit}"
    return f"{count / 1024:.1f} GiB"
