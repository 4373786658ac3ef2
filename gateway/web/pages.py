"""The status page: one word for the site, the devices by building, the uplinks with what waits in each lane."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gateway.event import Lane
from gateway.taxonomy import TYPES
from gateway.web import words

_FIRE = tuple(name for name in TYPES if name.startswith("fire.") and TYPES[name].latches)
_WORST_FIRST = tuple(words.STATES)


@dataclass(frozen=True)
class Sign:
    """A state as word, shape and colour class."""

    name: str
    shape: str
    word: str


@dataclass(frozen=True)
class Row:
    """One device."""

    label: str
    place: str
    sign: Sign
    alarms: list[str]
    last_seen: str | None


@dataclass(frozen=True)
class Building:
    """The devices of one building, worst first."""

    label: str
    rows: list[Row]
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
    connected: bool
    since: str | None
    lanes: list[LaneRow]


def render(
    health: Mapping[str, Any],
    devices: Sequence[Mapping[str, Any]],
    verdict: Mapping[str, Any],
    language: str,
) -> str:
    """The whole page, HTML, in `zh` or `en`; the arguments as `api.House` gives them."""

    def say(key: str) -> str:
        return words.LABELS[key].say(language)

    return (
        _environment()
        .get_template("status.html")
        .render(
            say=say,
            time=_time,
            duration=lambda seconds: _duration(seconds, language),
            size=_size,
            language="zh-CN" if language == "zh" else "en",
            sign=_sign(words.VERDICTS, str(verdict.get("word")), language),
            since=verdict.get("since"),
            health=health,
            buildings=_buildings(devices, language),
            uplinks=[_uplink(name, uplink, language) for name, uplink in health.get("uplinks", {}).items()],
        )
    )


@cache
def _environment() -> Environment:
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
    rows: dict[tuple[str, str], list[Row]] = {}
    for device in devices:
        path = str(device.get("place", "")).partition("/")[0]
        rows.setdefault((str(device.get("building") or path), path), []).append(_row(device, language))
    return [
        Building(label, sorted(found, key=_worst_first), sum(row.sign.name != "normal" for row in found))
        for (label, _), found in sorted(rows.items(), key=lambda item: (_natural(item[0][0]), item[0][1]))
    ]


def _row(device: Mapping[str, Any], language: str) -> Row:
    alarms = [str(alarm) for alarm in device.get("alarms", ())]
    state = str(device.get("state"))
    if state == "alarm" and any(alarm in _FIRE for alarm in alarms):
        state = "fire"
    return Row(
        str(device.get("label") or device["device"]),
        str(device.get("place_label") or device.get("place", "")),
        _sign(words.STATES, state, language),
        [TYPES[alarm].label.say(language) if alarm in TYPES else alarm for alarm in alarms],
        device.get("last_seen"),
    )


def _worst_first(row: Row) -> tuple[int, list[tuple[int, str]]]:
    return _WORST_FIRST.index(row.sign.name), _natural(row.place + row.label)


def _natural(text: str) -> list[tuple[int, str]]:
    """Orders 2号楼 before 10号楼."""
    return [(int(digits or 0), other) for digits, other in re.findall(r"([0-9]{1,9})|([^0-9]+)", text)]


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
    return Uplink(name, uplink.get("connected") is True, uplink.get("since"), lanes)


def _time(text: str | None) -> Markup:
    """An RFC 3339 time as local time of this machine; empty where there is none."""
    if not text:
        return Markup()
    local = datetime.fromisoformat(text).astimezone()
    return Markup('<time datetime="{}">{}</time>').format(text, local.strftime("%Y-%m-%d %H:%M:%S"))


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
