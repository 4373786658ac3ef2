"""Golden frames: published ones, some of real devices. (An underscore: no driver.)"""

from collections.abc import Mapping
from datetime import datetime

from drivers._gb26875_unit import CHINA
from gateway.driver import Example
from gateway.event import Json, Phase, Reading, Value

_UTD, _BARE = "790300000000", "000000000000"
_AT = datetime(2012, 9, 26, 9, 58, 2, tzinfo=CHINA)


def _example(title: str, address: str, wire: str, *readings: Reading) -> Example:
    return Example(title, {"listen": "0.0.0.0:5200", "address": address}, bytes.fromhex(wire), readings)


def _part(kind: int, address: str, loop: int, point: int, **text: Json) -> dict[str, Json]:
    return {"system": 1, "type": kind, "address": address, "loop": loop, "point": point, **text}


def _data(contact_id: int, bit: int, part: int | None = None) -> Mapping[str, Json]:
    code: dict[str, Json] = {"table": "2011", "level": "device", "bit": bit}
    code |= {} if part is None else {"level": "part", "system": 1, "part": part}
    return {"codes": {"contact-id": contact_id, "gb26875.3": code}, "test_bit": True}


def _raw(kind: int, part: int, panel: int, address: str, status: int, bit: int) -> Mapping[str, Json]:
    return {
        "type": kind, "system": 1, "system_address": panel, "part": part, "address": address,
        "status": status, "bit": bit,
    }  # fmt: skip


_MAINS = Reading(
    "example",
    "device.power_fault",
    Phase.RAISE,
    device_time=_AT,
    raw={"type": 21, "status": 8, "bit": 3},
    data=_data(301, 3),
)
_OPERATOR: Mapping[str, Json] = {"who": "operator-1", "role": "control-room", "from": "device"}

EXAMPLES = (
    _example(
        "part status: a smoke detector's fire, bit 0 unused, its text all spaces",
        _UTD,
        "40 40 01 00 01 01 20 3A 09 1A 09 0C 79 03 00 00 00 00 38 5B 01 00 00 00 30 00 02 02 01 01 01 28 0A 00 02 00 "
        "02 00 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 20 00 02 3A 09 "
        "1A 09 0C 46 23 23",
        Reading(
            "example",
            "fire.smoke",
            Phase.RAISE,
            part=_part(40, "0A000200", 2, 10),
            device_time=_AT,
            raw=_raw(2, 40, 1, "0A000200", 2, 1),
            data=_data(111, 1, 40),
        ),
    ),
    _example(
        "part status: a fire with a Chinese text, part type general, addresses zero",
        _BARE,
        "40 40 00 00 01 01 18 0D 11 16 0A 14 00 00 00 00 00 00 06 05 04 03 02 01 30 00 02 02 01 01 03 00 D9 00 06 00 "
        "02 00 A3 C1 C7 F8 A3 B1 B2 E3 DF C8 B2 B8 D7 DF C0 C8 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 30 12 13 "
        "01 08 14 68 23 23",
        Reading(
            "example",
            "fire.panel",
            Phase.RAISE,
            part=_part(0, "D9000600", 6, 217, text="Ａ区１层呷哺走廊"),
            device_time=datetime(2020, 8, 1, 19, 18, 48, tzinfo=CHINA),
            raw=_raw(2, 0, 3, "D9000600", 2, 1),
            data=_data(110, 1, 0),
        ),
    ),
    _example(
        "part status: a fault",
        _BARE,
        "40 40 07 00 01 02 2D 34 0E 0C 07 16 00 00 00 00 00 00 64 00 00 00 00 00 30 00 02 02 01 01 01 00 37 00 0A 00 "
        "04 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 2D 34 0E "
        "0C 07 16 1A 23 23",
        Reading(
            "example",
            "device.fault",
            Phase.RAISE,
            part=_part(0, "37000A00", 10, 55),
            device_time=datetime(2022, 7, 12, 14, 52, 45, tzinfo=CHINA),
            raw=_raw(2, 0, 1, "37000A00", 4, 2),
            data=_data(373, 2, 0),
        ),
    ),
    _example(
        "part status: all bits gone, which is normal again",
        _BARE,
        "40 40 08 00 01 02 38 34 0E 0C 07 16 00 00 00 00 00 00 64 00 00 00 00 00 30 00 02 02 01 01 01 00 37 00 0A 00 "
        "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 38 34 0E "
        "0C 07 16 2D 23 23",
    ),
    _example(
        "the device itself: mains power fault",
        _UTD,
        "40 40 01 00 01 01 20 3A 09 1A 09 0C 79 03 00 00 00 00 38 5B 01 00 00 00 09 00 02 15 01 08 02 3A 09 1A 09 0C "
        "42 23 23",
        _MAINS,
    ),
    _example(
        "the same as the answer to a question (81)",
        _UTD,
        "40 40 01 00 01 01 20 3A 09 1A 09 0C 79 03 00 00 00 00 38 5B 01 00 00 00 09 00 05 15 01 08 02 3A 09 1A 09 0C "
        "45 23 23",
        _MAINS,
    ),
    _example(
        "the operator's answer to a post check",
        _UTD,
        "40 40 01 00 01 01 20 3A 09 1A 09 0C 79 03 00 00 00 00 38 5B 01 00 00 00 0A 00 02 18 01 20 01 02 3A 09 1A 09 "
        "0C 5F 23 23",
        Reading(
            "example",
            "operator.ack",
            Phase.PULSE,
            device_time=_AT,
            reason="post-check",
            raw={"type": 24, "bit": 5},
            data=_OPERATOR,
        ),
    ),
    _example(
        "a reset at the device",
        _BARE,
        "40 40 00 00 01 02 15 2A 10 0C 07 16 00 00 00 00 00 00 64 00 00 00 00 00 0A 00 02 18 01 01 01 0A 2A 10 0C 07 "
        "16 73 23 23",
        Reading(
            "example",
            "operator.reset",
            Phase.PULSE,
            device_time=datetime(2022, 7, 12, 16, 42, 10, tzinfo=CHINA),
            raw={"type": 24, "bit": 0},
            data=_OPERATOR,
        ),
    ),
    _example(
        "the device's clock",
        _UTD,
        "40 40 01 00 01 01 20 3A 09 1A 09 0C 79 03 00 00 00 00 38 5B 01 00 00 00 08 00 02 1C 01 02 3A 09 1A 09 0C 40 "
        "23 23",
        Reading(
            "example",
            "telemetry.sample",
            Phase.PULSE,
            values={"clock": Value("2012-09-26T09:58:02+08:00")},
            device_time=_AT,
            raw={"type": 28},
        ),
    ),
    _example(
        "a heartbeat: no data at all",
        _BARE,
        "40 40 09 00 01 02 2A 38 0A 08 07 16 00 00 00 00 00 00 64 00 00 00 00 00 00 00 02 03 23 23",
    ),
    _example(
        "one vendor's heartbeat: one byte",
        _BARE,
        "40 40 69 00 10 00 0A 11 0E 03 06 15 00 00 00 00 00 00 AC 10 3C D5 6D 1D 01 00 02 16 30 23 23",
    ),
    _example(
        "a confirm",
        _UTD,
        "40 40 01 00 01 01 23 3A 09 1A 09 0C 38 5B 01 00 00 00 79 03 00 00 00 00 00 00 03 AB 23 23",
    ),
)
