"""From a driver's reading to the gateway's event (contract, section 3): pure functions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from gateway import taxonomy
from gateway.clock import TRUSTED, Clock, TimeQuality, rfc3339
from gateway.event import Credential, Phase, Reading, Severity, Value, told

EVENT_BYTES = 64 * 1024  # contract, section 3
BODY_BYTES = EVENT_BYTES - 1024  # what an uplink adds fits into the rest: stream, sequence, credential reference
_TIME_CHARS = len("2026-11-23T10:06:19.123Z")
_UNSYNCED, _CORRECTED = (
    f'"timequality":"{quality.value}"' for quality in (TimeQuality.UNSYNCED, TimeQuality.CORRECTED)
)
_ALWAYS = ("place", "alarm", "test", "codes")  # never left out of `data`


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
    written = _json(event)
    return (written if len(written) <= BODY_BYTES else _shortened(event)).decode()


def _json(event: dict[str, Any]) -> bytes:
    try:
        return to_json(event, inf_nan_mode="null")
    except PydanticSerializationError:  # a device's text with half a surrogate pair, which UTF-8 cannot hold
        clean = json.dumps(event, ensure_ascii=False).encode("utf-8", "replace")
        return to_json(json.loads(clean), inf_nan_mode="null")


def _shortened(event: dict[str, Any]) -> bytes:
    """The vendor's numbers go first, counted; then the largest of what a driver added."""
    data = event["data"]
    if "raw" in data:
        data["raw"] = {"left_out_bytes": len(_json(data["raw"]))}
    for name in sorted(data.keys() - {*_ALWAYS, "raw"}, key=lambda name: -len(_json(data[name]))):
        if len(_json(event)) <= BODY_BYTES:
            break
        del data[name]
    return _json(event)


def _data(subject: Subject, reading: Reading, stamp: Stamp) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if subject.place is not None:
        data["place"] = subject.place
    if stamp.alarm is not None:
        data["alarm"] = stamp.alarm
    if reading.part is not None:
        data["part"] = dict(reading.part)
    if values := told(reading.values):
        data["values"] = {name: _value(value) for name, value in values.items()}
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


def private(credential: Credential | None, taken: tuple[str, float] | None = None) -> str | None:
    """What never leaves the box as it is: the credential in clear, first; `taken` of an event whose time is unsure.

    `taken` is (boot, seconds since boot): from it `corrected` knows the event's time once the clock is set.
    """
    if credential is None and taken is None:
        return None
    kept: dict[str, Any] = {}
    if credential is not None:
        kept |= {
            "kind": credential.kind,
            "format": credential.format,
            "facility": credential.facility,
            "number": credential.number,
        }
    if taken is not None:
        kept |= {"boot": taken[0], "at": round(taken[1], 3)}
    return to_json(kept).decode()


def corrected(body: str, private: str | None, clock: Clock) -> str:
    """The event with its time put right, where it was taken in unsynced and the clock was set later in this boot."""
    if private is None or clock.quality() not in TRUSTED:
        return body
    taken = json.loads(private)
    if taken.get("boot") != clock.boot:
        return body
    moment = clock.utc() - timedelta(seconds=clock.since_boot_s() - taken["at"])
    before, _, rest = body.partition('"time":"')
    return f'{before}"time":"{rfc3339(moment)}{rest[_TIME_CHARS:]}'.replace(_UNSYNCED, _CORRECTED, 1)
