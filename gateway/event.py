"""What a driver saw (Reading) and the words events are made of: phases, severities, lanes, values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import isfinite
from types import MappingProxyType
from typing import Any

Json = None | bool | int | float | str | list[Any] | dict[str, Any]
NOTHING: Mapping[str, Any] = MappingProxyType({})


def nothing() -> Mapping[str, Any]:
    """The empty mapping, as a default."""
    return NOTHING


class Phase(StrEnum):
    """Where in a condition's life an event stands (contract, section 3)."""

    RAISE = "raise"
    CLEAR = "clear"
    STILL = "still"
    PULSE = "pulse"


class Severity(StrEnum):
    """Four levels of GB/T 28181 AlarmPriority, and `info`, which is no alarm."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


class Lane(StrEnum):
    """The three queues of an uplink, first to last."""

    ALARM = "alarm"
    EVENT = "event"
    TELEMETRY = "telemetry"


@dataclass(frozen=True, slots=True)
class Value:
    """A measured value with its unit, e.g. `Value(1.32, "dB/m")`; no unit is an empty string."""

    value: float | int | bool | str
    unit: str = ""


def told(values: Mapping[str, Value]) -> dict[str, Value]:
    """Those that say something: not a number and infinity, as a register may hold them, are no JSON (RFC 8259, 6)."""
    return {name: v for name, v in values.items() if not isinstance(v.value, float) or isfinite(v.value)}


@dataclass(frozen=True, slots=True)
class Credential:
    """What was presented at a door, in clear: never leaves the box but under an uplink's policy."""

    format: str  # "wiegand-26", "wiegand-34", "wiegand-37", …
    facility: int  # 0 where the format has none
    number: int
    kind: str = "card"  # card, pin, face, qr, phone

    def text(self) -> str:
        """`{format}:{facility}:{number}`, what keyed references are made over (contract, section 3)."""
        return f"{self.format}:{self.facility}:{self.number}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a driver saw, before the gateway made an event of it.

    `type` is one of the taxonomy's types. `device_time` is what the device said, if it made sense.
    `part` stands for a device behind the device. `data` holds further fields of `data` by name,
    `raw` the vendor's own numbers. One accepted reading becomes exactly one event.
    """

    device: str
    type: str
    phase: Phase
    values: Mapping[str, Value] = field(default_factory=nothing)
    part: Mapping[str, Json] | None = None
    device_time: datetime | None = None
    test: bool = False
    reason: str | None = None
    credential: Credential | None = None
    raw: Mapping[str, Json] = field(default_factory=nothing)
    data: Mapping[str, Json] = field(default_factory=nothing)


def part_key(part: Mapping[str, Json] | None) -> str:
    """What tells one part of a device from another: its address, else its point, else its text; "" for none."""
    if part is None:
        return ""
    return str(next((part[name] for name in ("address", "point", "text") if part.get(name) is not None), ""))
