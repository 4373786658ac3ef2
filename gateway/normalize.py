"""From a driver's reading to the gateway's event (contract, section 3): pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from gateway import taxonomy
from gateway.clock import TimeQuality, rfc3339
from gateway.event import Credential, Phase, Reading, Severity, Value


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom an event is about: a device with its place, or the gateway itself (no place)."""

    id: str
    source: str  # "/310104/013/002/gw-0001"
    kind: str | None = None
    place: Mapping[str, str] | None = None

    @property
    def fire(self) -> bool:
        """Fire-class devices' faults count one level higher."""
        return taxonomy.is_fire_kind(self.kind)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the gateway adds when it takes a reading in."""

    id: str
    time: datetime
    quality: TimeQuality
    phase: Phase
    severity: Severity
    alarm: str | None


def body(subject: Subject, reading: Reading, stamp: Stamp) -> str:
    """The event as JSON, without `stream` and `sequence`, which each uplink adds, and without the credential."""
    event = {
        "specversion": "1.0",
        "id": stamp.id,
        "source": subject.source,
        "subject": subject.id,
        "type": reading.type,
        "time": rfc3339(stamp.time),
        "datacontenttype": "application/json",
        "dataschema": f"urn:sc:v1:{reading.type}",
        "phase": stamp.phase.value,
        "severity": stamp.severity.value,
        "timequality": stamp.quality.value,
        "data": _data(subject, reading, stamp),
    }
    return to_json(event).decode()


def _data(subject: Subject, reading: Reading, stamp: Stamp) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if subject.place is not None:
        data["place"] = subject.place
    if stamp.alarm is not None:
        data["alarm"] = stamp.alarm
    if reading.part is not None:
        data["part"] = dict(reading.part)
    if reading.values:
        data["values"] = {name: _value(value) for name, value in reading.values.items()}
    codes = taxonomy.codes(reading.type, subject.kind, reading.reason, reading.part)
    if codes:
        data["codes"] = codes
    if reading.reason is not None:
        data["reason"] = reading.reason
    data["test"] = reading.test
    if reading.device_time is not None:
        data["device_time"] = rfc3339(reading.device_time)
    data.update(reading.data)
    if reading.raw:
        data["raw"] = dict(reading.raw)
    return data


def _value(value: Value) -> dict[str, Any]:
    return {"value": value.value, "unit": value.unit} if value.unit else {"value": value.value}


def private(credential: Credential | None) -> str | None:
    """The credential in clear, for the column that never leaves the box as it is."""
    if credential is None:
        return None
    clear = {
        "kind": credential.kind,
        "format": credential.format,
        "facility": credential.facility,
        "number": credential.number,
    }
    return to_json(clear).decode()
