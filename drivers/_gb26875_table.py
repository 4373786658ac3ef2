"""The code tables of GB/T 26875.3 as data, one `Edition` each: layouts, bits, part types, analog values, requests.

What a bit means as an event type is the taxonomy's word (`gateway.taxonomy`, columns GB/T 26875.3); tests hold the two
together. To add an edition: one more entry in `EDITIONS`, beginning from `replace(GB2011, …)`. (An underscore: no
driver.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

Layout = Mapping[str, int]  # field → bytes, in the order of the wire; 0: as many as the field before it says

POST_CHECK = "post-check"  # the word of an operator's answer to it
TIME_BYTES = 6  # second, minute, hour, day, month, year - 2000 (8.2.2)


class Bit(NamedTuple):
    """What a bit says: a type of event, or none where the taxonomy has none; `word` is the event's reason."""

    type: str | None
    word: str | None = None


class Analog(NamedTuple):
    """A measured value: its name, its unit, and how many of the unit one count is (table 6)."""

    name: str
    unit: str
    step: float


@dataclass(frozen=True)
class Edition:
    """All numbers of one edition."""

    name: str  # `table` in an event's codes
    layouts: Mapping[int, Layout]  # uploaded data types → one object (table 7, figures 5 to 25)
    system_bits: Mapping[int, Bit]  # figure 6
    part_bits: Mapping[int, Bit]  # figure 9
    device_bits: Mapping[int, Bit]  # figure 14: the transmission device itself
    operations: Mapping[int, Bit]  # figure 13: at a fire system
    device_operations: Mapping[int, Bit]  # figure 19: at the transmission device
    fire_parts: Mapping[int, str]  # part types whose fire bit has a type of its own; all others are fire.panel
    output_parts: frozenset[int]  # part types whose start and feedback bits are `door.released`
    analogs: Mapping[int, Analog]
    reads: Mapping[int, int]  # data types that read → what they read


_SYSTEM = {"system": 1, "system_address": 1}
_PART = {**_SYSTEM, "part": 1, "address": 4}
_TEXT_BYTES = 31  # a part's description (figure 8)
_OPERATION = {"flags": 1, "operator": 1, "time": TIME_BYTES}
_VERSION = {"major": 1, "minor": 1}

_COMMON = {
    1: Bit("fire.panel"),
    2: Bit("device.fault"),
    3: Bit("device.shielded"),
    4: Bit("fire.supervisory"),
    5: Bit(None, "started"),
    6: Bit(None, "feedback"),
    7: Bit(None, "delayed"),
    8: Bit("device.power_fault"),
}
_OPERATIONS = {
    0: Bit("operator.reset"),
    1: Bit("operator.silence"),
    2: Bit("fire.manual"),
    3: Bit("operator.dispose"),
    4: Bit("operator.selftest"),
    5: Bit("operator.ack"),
    6: Bit("operator.test"),
}

GB2011 = Edition(
    name="2011",
    layouts={
        1: {**_SYSTEM, "status": 2, "time": TIME_BYTES},
        2: {**_PART, "status": 2, "text": _TEXT_BYTES, "time": TIME_BYTES},
        3: {**_PART, "analog": 1, "value": 2, "time": TIME_BYTES},
        4: {**_SYSTEM, **_OPERATION},
        5: {**_SYSTEM, **_VERSION},
        6: {**_SYSTEM, "length": 1, "text": 0},
        7: {**_PART, "text": _TEXT_BYTES},
        8: {**_SYSTEM, "time": TIME_BYTES},
        21: {"status": 1, "time": TIME_BYTES},
        24: _OPERATION,
        25: _VERSION,
        26: {"length": 1, "text": 0},
        28: {"time": TIME_BYTES},
    },
    system_bits={
        **_COMMON,
        9: Bit("device.power_fault", "backup"),
        10: Bit("device.fault", "bus"),
        11: Bit(None, "manual-mode"),
        12: Bit("operator.config"),
        13: Bit("operator.reset"),
    },
    part_bits=_COMMON,
    device_bits={
        1: Bit("fire.panel"),
        2: Bit("device.fault"),
        3: Bit("device.power_fault"),
        4: Bit("device.power_fault", "backup"),
        5: Bit("gateway.uplink_lost", "channel-fault"),
        6: Bit("device.offline", "fire-system-line"),
    },
    operations=_OPERATIONS,
    device_operations={**_OPERATIONS, 5: Bit("operator.ack", POST_CHECK)},
    fire_parts={
        **dict.fromkeys((40, 41, 42, 43, 44), "fire.smoke"),
        **dict.fromkeys(range(30, 38), "fire.heat"),
        **dict.fromkeys((23, 24), "fire.manual"),
        **dict.fromkeys((10, 11, 12, 13, 74), "fire.gas"),
    },
    output_parts=frozenset({86, 87}),
    analogs={
        1: Analog("events", "", 1),
        2: Analog("height", "m", 0.01),
        3: Analog("temperature", "°C", 0.1),
        4: Analog("pressure", "MPa", 0.1),
        5: Analog("pressure", "kPa", 0.1),
        6: Analog("gas", "%LEL", 0.1),
        7: Analog("duration", "s", 1),
        8: Analog("voltage", "V", 0.1),
        9: Analog("current", "A", 0.1),
        10: Analog("flow", "L/s", 0.1),
        11: Analog("flow", "m³/min", 0.1),
        12: Analog("wind_speed", "m/s", 1),
    },
    reads={
        61: 1, 62: 2, 63: 3, 64: 4, 65: 5, 66: 6, 67: 7, 68: 8,
        81: 21, 84: 24, 85: 25, 86: 26, 88: 28,
    },
)  # fmt: skip

EDITIONS: Mapping[str, Edition] = {edition.name: edition for edition in (GB2011,)}
