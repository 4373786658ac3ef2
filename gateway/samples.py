"""One valid example of each document, made from the same tables as the schemas; shown in the AsyncAPI document."""

from typing import Any

from gateway import taxonomy
from gateway.event import Severity
from gateway.taxonomy import EventType

_ID = "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f"
_BOOT = "5f0c6f0e-52c3-4b0e-8a57-0d7f5d3c9b11"
_TIME = "2026-11-23T10:06:19.123Z"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_GATEWAY = "gw-0001"
_GRID = "00000031010401300201"
_KIND = {"fire": "smoke", "safety": "panic", "access": "door", "door": "door", "video": "camera", "telemetry": "smoke"}
_PLACE = {"path": "b3/u2/f5", "label": "3号楼2单元5层", "grid": _GRID}
_VALUES = {"smoke_obscuration": {"value": 1.32, "unit": "dB/m"}}
_CREDENTIAL = {
    "ref": "hmac-sha256:3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "kind": "card",
    "format": "wiegand-26",
}
_LOST = {
    "stream": "district.event",
    "first": "0000000000000043",
    "last": "0000000000000050",
    "count": 8,
    "reason": "buffer-full",
}
_EXTRA: dict[str, dict[str, Any]] = {
    "fire.smoke": {"values": _VALUES, "raw": {"register": 2}},
    "access.granted": {"credential": _CREDENTIAL},
    "access.denied": {"reason": "expired", "credential": _CREDENTIAL},
    "device.offline": {"reason": "no-answer"},
    "gateway.action": {"rule": "fire-opens-doors", "action": "release", "result": "ok", "cause": _ID, "proof": "relay"},
    "gateway.data_lost": _LOST,
    "telemetry.sample": {"values": _VALUES},
    "operator.dispose": {"outcome": "false", "note": "炊烟"},
}


def event(row: EventType) -> dict[str, Any]:
    """One event of this type as an uplink gets it."""
    lane = taxonomy.lane(row.name, row.severity)
    return {
        "specversion": "1.0",
        "id": _ID,
        "source": f"/310104/013/002/{_GATEWAY}",
        "subject": _subject(row),
        "type": row.name,
        "time": _TIME,
        "datacontenttype": "application/json",
        "dataschema": f"urn:sc:v1:{row.name}",
        "phase": row.phases[0].value,
        "severity": row.severity.value,
        "stream": f"district.{lane.value}",
        "sequence": "0000000000000042",
        "timequality": "synced",
        "data": _data(row),
    }


def _subject(row: EventType) -> str:
    if row.category in ("gateway", "operator"):
        return _GATEWAY
    return f"{_KIND.get(row.category, 'smoke')}-b3-u2-f5"


def _data(row: EventType) -> dict[str, Any]:
    data: dict[str, Any] = {} if row.category in ("gateway", "operator") else {"place": _PLACE}
    if row.category == "operator":
        data |= {"who": "王师傅", "role": "物业", "from": "page"}
    elif row.severity is not Severity.INFO:
        data["alarm"] = _ID
    extra = _EXTRA.get(row.name, {})
    codes = taxonomy.codes(row.name, _KIND.get(row.category), extra.get("outcome"))
    return data | ({"codes": codes} if codes else {}) | {"test": False} | extra


def status() -> dict[str, Any]:
    """Birth; the last will says `offline`."""
    return {"state": "online", "gateway": _GATEWAY, "version": "0.1.0", "boot": _BOOT, "session": 17, "time": _TIME}


def state() -> dict[str, Any]:
    """A detector in alarm."""
    return {
        "device": "smoke-b3-u2-f5",
        "online": True,
        "state": "alarm",
        "alarms": ["fire.smoke"],
        "values": _VALUES,
        "last_seen": _TIME,
    }


def alarm() -> dict[str, Any]:
    """A detector in alarm, seen by a person."""
    flags = dict.fromkeys(("active", "acknowledged", "latched", "silenced"), True)
    return {
        "alarm": _ID,
        "device": "smoke-b3-u2-f5",
        "type": "fire.smoke",
        "severity": "critical",
        "place": _PLACE,
        "state": "active_acked",
        "flags": dict.fromkeys(("confirmed", "shelved", "suppressed", "out_of_service"), False) | flags,
        "count": 1,
        "first": _TIME,
        "last": _TIME,
        "test": False,
        "delivery": {"state": "confirmed", "at": _TIME},
        "first_fire": True,
        "history": [
            {"time": _TIME, "step": "raise"},
            {"time": _TIME, "step": "ack", "who": "王师傅", "from": "page"},
        ],
    }


def health() -> dict[str, Any]:
    """Everything well but one detector."""
    lane = {"backlog": 0, "sent": 42, "confirmed": 42, "refused": 0, "dropped": 0, "dead": 0}
    return {
        "gateway": _GATEWAY,
        "time": _TIME,
        "uptime_s": 86400.5,
        "boot": _BOOT,
        "version": "0.1.0",
        "clock": {"quality": "synced", "offset_ms": 0.4},
        "uplinks": {
            "district": {
                "connected": True,
                "since": _TIME,
                "lanes": {"alarm": lane, "event": lane},
                "unconfirmed_alarms": 0,
            }
        },
        "disk": {"used_bytes": 1048576, "limit_bytes": 536870912, "free_bytes": 21474836480},
        "cpu_percent": 1.5,
        "rss_bytes": 62914560,
        "temperature_c": None,
        "drivers": {"modbus": {"state": "running", "devices": 12, "offline": 1}},
        "audit": {"count": 42, "sha256": "0" * 64},
        "shielded": 1,
        "shelved": 0,
        "drilled": 0,
    }


def dossier() -> dict[str, Any]:
    """A community with one detector."""
    return {
        "revision": 3,
        "sha256": _SHA256,
        "time": _TIME,
        "area": {"district": "310104", "street": "013", "community": "002", "name": "阳光花园"},
        "site": {"name": "阳光花园", "grid": _GRID, "external_ids": {}},
        "places": [_PLACE],
        "devices": [
            {
                "id": "smoke-b3-u2-f5",
                "driver": "modbus",
                "kind": "smoke",
                "place": "b3/u2/f5",
                "installed": "2026-05-01",
                "capabilities": [],
            }
        ],
        "retention": {},
        "sharing": [{"uplink": "district", "types": ["*"], "redact": "keyed"}],
    }
