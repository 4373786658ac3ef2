"""Notifications of a device (WS-BaseNotification 1.3, ONVIF core 9.5) → what they say. Pure.

The identity of a state is its topic with all of its source items. What nobody has described goes through as
`device.unmapped` with its numbers. Names of people, plates and pictures go nowhere. (An underscore: no driver.)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from xml.etree.ElementTree import Element

from drivers._alert import numbers
from drivers._onvif_config import Config
from drivers._onvif_soap import child, children, local, moment, parse
from drivers._onvif_topics import INPUT, RELAY, UNKNOWN, UNKNOWN_INPUT, Row, by_item, by_topic, noise, normal
from gateway.event import Json, Phase, Reading, Value
from gateway.taxonomy import TYPES

MOST_NOTES = 1024  # in one answer; 100 are asked for
MOST_ITEMS = 16
MOST_TEXT = 64  # characters
TRUTHS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "1", "active", "on"), True),
    **dict.fromkeys(("false", "0", "inactive", "off"), False),
}
_SAYS = re.compile(r"(State|LogicalState|Failed|Critical)$|[Ii]s[A-Z]")  # data items that are yes or no
_CHANNELS = ("VideoSource", "VideoSourceToken", "Source", "VideoSourceConfigurationToken")
_TOKENS = (*_CHANNELS, "InputToken", "RelayToken", "Token", "Rule")


@dataclass(frozen=True)
class Note:
    """One notification."""

    topic: str  # normal
    operation: str  # Initialized, Changed, Deleted; empty for what has no duration
    time: datetime | None
    source: Mapping[str, str]
    data: Mapping[str, str]

    @property
    def initial(self) -> bool:
        """How it is at present, not something new."""
        return self.operation == "Initialized"

    @property
    def identity(self) -> str:
        """Of the state it is about."""
        return "|".join([self.topic, *(f"{name}={value}" for name, value in sorted(self.source.items()))])


@dataclass(frozen=True)
class Channels:
    """Video sources by every token that stands for them; the first is the device itself."""

    of: Mapping[str, str] = field(default_factory=dict)  # token of a source or of its configuration → source
    main: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One word of a device about one condition. `active` None: it has no duration, or is a value."""

    reading: Reading  # RAISE, or PULSE for a happening
    identity: str
    active: bool | None
    initial: bool = False


def notes(where: str, wire: bytes) -> list[Note]:
    """Those in an envelope (a PullMessagesResponse, a Notify), in order. BadInput where it is no XML."""
    return notes_in(parse(where, wire))


def notes_in(body: Element) -> list[Note]:
    """Those in the body of an envelope."""
    found = (_note(element) for element in islice(children(body, "NotificationMessage"), MOST_NOTES))
    return [note for note in found if note is not None]


def _note(element: Element) -> Note | None:
    topic, outer = child(element, "Topic"), child(element, "Message")
    if topic is None or outer is None:
        return None
    inner = child(outer, "Message")
    message = outer if inner is None else inner
    return Note(
        normal(topic.text or ""),
        message.get("PropertyOperation", "").strip()[:MOST_TEXT],
        moment(message.get("UtcTime", "")),
        _items(message, "Source"),
        _items(message, "Data"),
    )


def _items(message: Element, holder: str) -> dict[str, str]:
    """Simple items by name; the first of each name counts."""
    inside = child(message, holder)
    found: dict[str, str] = {}
    for item in () if inside is None else inside:
        if local(item) == "SimpleItem" and len(found) < MOST_ITEMS:
            found.setdefault(item.get("Name", "")[:MOST_TEXT], item.get("Value", "").strip()[:MOST_TEXT])
    return found


def sightings(config: Config, note: Note, channels: Channels) -> list[Sighting]:
    """What a notification says by itself: one per data item that means something; none for noise."""
    if not note.topic or noise(note.topic) or note.topic in config.ignore or _elsewhere(config, note, channels):
        return []
    if note.topic == RELAY:
        return _relay(config, note)
    if note.topic == INPUT and (wired := config.inputs.get(note.source.get("InputToken", ""))) is not None:
        on = _truth(note)
        active = None if on is None else on != wired.inverted
        return [_sighting(config, note, Row(wired.type), "", active, _part("input", note.source["InputToken"]))]
    rows = by_topic(note.topic) or by_item(note.data) or {"": UNKNOWN_INPUT if note.topic == INPUT else UNKNOWN}
    return [
        _sighting(config, note, row, item, _truth(note, item), _place(config, note, row, channels))
        for item, row in rows.items()
    ]


def _sighting(
    config: Config, note: Note, row: Row, item: str, active: bool | None, part: dict[str, Json] | None
) -> Sighting:
    pulse = TYPES[row.type].returns == "pulse"
    reading = Reading(
        config.id,
        row.type,
        Phase.PULSE if pulse else Phase.RAISE,
        part=part,
        device_time=note.time,
        reason=row.reason,
        raw=raw(note),
    )
    return Sighting(reading, f"{note.identity}#{item}", False if note.operation == "Deleted" else active, note.initial)


def _truth(note: Note, item: str = "") -> bool | None:
    """Of one data item, else of the first that says yes or no; a 0 or 1 that may be a number says neither."""
    chosen = {item: note.data[item]} if item else note.data
    words = ((name, value.lower()) for name, value in chosen.items())
    found = (TRUTHS.get(word) for name, word in words if word not in ("0", "1") or _SAYS.match(name))
    return next((truth for truth in found if truth is not None), None)


def _relay(config: Config, note: Note) -> list[Sighting]:
    on, token = _truth(note), note.source.get("RelayToken", "")
    if on is None or not token:
        return []
    values = {f"relay_{token}": Value(on)}
    reading = Reading(config.id, "telemetry.sample", Phase.PULSE, values=values, device_time=note.time, raw=raw(note))
    return [Sighting(reading, f"{note.identity}#relay", on, note.initial)]


def _channel(note: Note, channels: Channels) -> str:
    """The video source it is about; empty where it does not say, or says one nobody knows."""
    named = (channels.of.get(note.source[name], "") for name in _CHANNELS if name in note.source)
    return next((source for source in named if source), "")


def _elsewhere(config: Config, note: Note, channels: Channels) -> bool:
    if config.source is None:
        return False
    said = [note.source[name] for name in _CHANNELS if name in note.source]
    return bool(said) and config.source not in said and _channel(note, channels) != config.source


def _place(config: Config, note: Note, row: Row, channels: Channels) -> dict[str, Json] | None:
    if note.topic == INPUT and "InputToken" in note.source:
        return _part("input", note.source["InputToken"])
    channel = _channel(note, channels)
    shown = "" if config.source is not None or channel == channels.main else channel
    if row.part is None:
        return _part("source", shown) if shown else None
    token = note.source.get("Token", "") if row.part != "picture" else shown
    return _part(row.part, token) if token else {"address": row.part}


def _part(kind: str, token: str) -> dict[str, Json]:
    return {"address": f"{kind}-{token}"}


def raw(note: Note) -> dict[str, Json]:
    """Topic, tokens, and the numbers and truths of its data; no text that may hold a name."""
    found: dict[str, Json] = {"topic": note.topic}
    found |= {name: value for name, value in note.source.items() if name in _TOKENS and value}
    counted = numbers({**note.source, **note.data})
    found |= {name: value for name, value in counted.items() if not isinstance(value, str)}
    return found | ({"operation": note.operation} if note.operation else {})


def decode(config: Config, wire: bytes) -> Sequence[Reading]:
    """One envelope → what it says by itself: raise or clear as the state has it, a pulse for happenings. BadInput."""
    told: list[Reading] = []
    for note in notes(config.id, wire):
        for sighting in sightings(config, note, Channels()):
            reading = sighting.reading
            if sighting.active is False and reading.phase is Phase.RAISE:
                told.append(ended(reading))
            elif sighting.active is not False or reading.values:
                told.append(reading)
    return told


def ended(reading: Reading) -> Reading:
    """The end of what it began."""
    return Reading(
        reading.device, reading.type, Phase.CLEAR, part=reading.part, device_time=reading.device_time, raw=reading.raw
    )
