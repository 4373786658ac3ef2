"""How values look on the page: times, durations, sizes, states; the same in every view."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from markupsafe import Markup

from gateway.taxonomy import FIRES, TYPES
from gateway.web import words


@dataclass(frozen=True)
class Sign:
    """A state as word, shape and colour class."""

    name: str
    shape: str
    word: str


def sign(table: Mapping[str, Any], name: str, language: str) -> Sign:
    """A word that is not in the table is unknown, never normal."""
    name = name if name in table else "unknown"
    shape, text = table[name]
    return Sign(name, shape, text.say(language))


def state_of(device: Mapping[str, Any]) -> str:
    """A device's state word; `fire` where one of its alarms is a fire."""
    state = str(device.get("state"))
    burning = state == "alarm" and any(alarm in FIRES for alarm in device.get("alarms", ()))
    return "fire" if burning else state


def hue(type: str) -> str:
    """The colour class of an event type: fire, alarm or fault."""
    if type in FIRES:
        return "fire"
    trouble = type.startswith(("device.", "gateway.")) and type != "device.tamper"
    return "fault" if trouble else "alarm"


def label(type: str, language: str) -> str:
    """What an event type is called."""
    return TYPES[type].label.say(language) if type in TYPES else type


def natural(text: str) -> list[tuple[bool, int, str]]:
    """A key that orders 2号楼 before 10号楼, and both before 大门."""
    found = re.findall(r"([0-9]{1,9})|([^0-9]+)", text)
    return [(not digits, int(digits or 0), other) for digits, other in found]


@dataclass(frozen=True)
class Row:
    """An event in a list."""

    id: str
    time: str
    type: str
    phase: str
    name: str  # of the device
    place: str
    hue: str  # "" for what asks nobody for anything: information, and what is over
    alarm: str
    who: str
    test: bool


def row(event: Mapping[str, Any], names: Mapping[str, str]) -> Row:
    """What a list shows of an event as it stands on disk; `names` are those of the devices."""
    data, type = event["data"], event["type"]
    calm = event["severity"] == "info" or event["phase"] == "clear"
    return Row(
        str(event["id"]),
        str(event["time"]),
        str(type),
        str(event["phase"]),
        names.get(event["subject"], str(event["subject"])),
        str(data.get("place", {}).get("label", "")),
        "" if calm else hue(type),
        "" if calm else str(data.get("alarm", "")),
        str(data.get("who", "")),
        bool(data.get("test")),
    )


@dataclass(frozen=True)
class Dates:
    """Times as the site's clocks show them."""

    zone: tzinfo
    language: str

    def full(self, text: str | None) -> Markup:
        """`2026-11-23 09:41:03` of an RFC 3339 time; empty for none."""
        return self._told(text, "%Y-%m-%d %H:%M:%S")

    def short(self, text: str | None, now: str) -> Markup:
        """Only the time of day where it is today's."""
        same = bool(text) and self._local(str(text)).date() == self._local(now).date()
        return self._told(text, "%H:%M:%S" if same else "%Y-%m-%d %H:%M:%S")

    def duration(self, seconds: float | None) -> str:
        """`3 分 20 秒`, `3 min 20 s`: the two largest units; empty for None and less than a second."""
        left, parts = int(seconds or 0), []
        for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
            count, left = divmod(left, length)
            if count:
                parts.append(f"{count} {words.UNITS[unit].say(self.language)}")
        return " ".join(parts[:2])

    def _told(self, text: str | None, form: str) -> Markup:
        if not text:
            return Markup()
        return Markup('<time datetime="{}">{}</time>').format(text, self._local(text).strftime(form))

    def _local(self, text: str) -> datetime:
        return datetime.fromisoformat(text).astimezone(self.zone)


def local(text: str, zone: tzinfo) -> str:
    """`2026-11-23 09:41:03`, where there is no markup."""
    return datetime.fromisoformat(text).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def between_s(first: str, then: str) -> float:
    """From one RFC 3339 time to another; less than nothing where they come the other way round."""
    return (datetime.fromisoformat(then) - datetime.fromisoformat(first)).total_seconds()


def size(count: float) -> str:
    """Bytes as KiB, MiB or GiB."""
    for unit in ("KiB", "MiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.0f} {unit}"
    return f"{count / 1024:.1f} GiB"
