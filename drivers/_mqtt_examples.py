"""Golden messages of each kind of hub, in the shape of its own documentation. (An underscore: no driver.)"""

from datetime import UTC, datetime

from gateway.driver import Example
from gateway.event import Json, Phase, Reading, Value

_URL = {"url": "mqtt://127.0.0.1"}
_SMOKE_VALUES = {"battery": Value(100, "%"), "voltage": Value(3000, "mV")}
_REVIEW = (
    b'frigate/reviews\n{"type": "new", "before": null, "after": {"id": "1718987129.308396-fqk5ka",'
    b' "camera": "front_cam", "start_time": 1718987129.308396, "end_time": null, "severity": "alert",'
    b' "thumb_path": "/media/x.webp", "data": {"detections": ["1718987128.947436-g92ztx"],'
    b' "objects": ["person", "car"], "sub_labels": ["Bob"],'
    b' "zones": ["front_yard"], "audio": []}}}'
)
_UP = (
    b"application/17c82e96-be03-4f38-aef3-f83d48582d97/device/0101010101010101/event/up\n"
    b'{"deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d", "time": "2022-07-18T09:34:15.775023242+00:00",'
    b' "deviceInfo": {"deviceProfileName": "Test device-profile", "deviceName": "Test device",'
    b' "devEui": "0101010101010101"}, "devAddr": "00189440", "dr": 1, "data": "qg==",'
    b' "object": {"smoke": 1, "ppm": 4.5}, "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -36,'
    b' "snr": 10.5}], "txInfo": {"frequency": 867100000}}'
)
_UP_RAW: dict[str, Json] = {
    "deviceInfo.deviceName": "Test device",
    "deviceInfo.deviceProfileName": "Test device-profile",
    "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
    "fPort": 0,
    "fCnt": 0,
    "dr": 1,
    "data": "qg==",
    "rxInfo.0.rssi": -36,
    "rxInfo.0.snr": 10.5,
}
_UP_TIME = datetime(2022, 7, 18, 9, 34, 15, 775023, tzinfo=UTC)
_SENSOR_TIME = datetime(2026, 1, 1, 4, 0, tzinfo=UTC)
_PPM = {"ppm": Value(4.5)}


def _telemetry(values: dict[str, Value], **more: object) -> Reading:
    return Reading("example", "telemetry.sample", Phase.PULSE, values=values, **more)  # type: ignore[arg-type]


EXAMPLES = (
    Example(
        "zigbee2mqtt: a smoke detector, and what it measures",
        _URL | {"profile": "zigbee2mqtt"},
        "zigbee2mqtt/3号楼/烟感 1\n".encode()
        + b'{"battery": 100, "battery_low": false, "linkquality": 120, "smoke": true,'
        b' "tamper": false, "test": false, "voltage": 3000}',
        (
            Reading("example", "fire.smoke", Phase.RAISE, values=_SMOKE_VALUES, raw={"linkquality": 120}),
            _telemetry(_SMOKE_VALUES, raw={"linkquality": 120}),
        ),
    ),
    Example(
        "zigbee2mqtt: its test button",
        _URL | {"profile": "zigbee2mqtt"},
        b'zigbee2mqtt/hall\n{"smoke": true, "test": true}',
        (
            Reading("example", "device.test", Phase.RAISE, test=True),
            Reading("example", "fire.smoke", Phase.RAISE, test=True),
        ),
    ),
    Example(
        "zigbee2mqtt: contact false is open; the battery is nearly empty",
        _URL | {"profile": "zigbee2mqtt"},
        b'zigbee2mqtt/door\n{"contact": false, "battery": 9}',
        (
            Reading("example", "door.open", Phase.RAISE, values={"battery": Value(9, "%")}),
            Reading(
                "example",
                "device.battery_low",
                Phase.RAISE,
                values={"battery": Value(9, "%")},
                part={"address": "percent"},
            ),
            _telemetry({"battery": Value(9, "%")}),
        ),
    ),
    Example("zigbee2mqtt: bridge messages tell of no device", _URL | {"profile": "zigbee2mqtt"},
            b'zigbee2mqtt/bridge/event\n{"type": "device_joined", "data": {}}', ()),
    Example(
        "Frigate: an alert begins; names stay on the box",
        _URL | {"profile": "frigate"},
        _REVIEW,
        (
            Reading(
                "example",
                "video.intrusion",
                Phase.RAISE,
                device_time=datetime(2024, 6, 21, 16, 25, 29, 308396, tzinfo=UTC),
                raw={
                    "after.id": "1718987129.308396-fqk5ka",
                    "after.severity": "alert",
                    "after.data.objects": ["person", "car"],
                    "after.data.zones": ["front_yard"],
                    "after.data.detections": ["1718987128.947436-g92ztx"],
                },
            ),
        ),
    ),
    Example(
        "ChirpStack: an uplink with a codec's object; fPort and fCnt are 0, so left out",
        _URL | {"profile": "chirpstack"},
        _UP,
        (
            Reading("example", "fire.smoke", Phase.RAISE, values=_PPM, device_time=_UP_TIME, raw=_UP_RAW),
            _telemetry(_PPM, device_time=_UP_TIME, raw=_UP_RAW),
        ),
    ),
    Example(
        "ChirpStack: an empty battery is 0, so left out",
        _URL | {"profile": "chirpstack"},
        b'application/1/device/0101010101010101/event/status\n{"deviceInfo": {"devEui": "01"}, "margin": 7}',
        (
            Reading("example", "device.battery_low", Phase.RAISE,
                    values={"battery": Value(0, "%"), "link_margin": Value(7, "dB")}),
            _telemetry({"battery": Value(0, "%"), "link_margin": Value(7, "dB")}),
        ),
    ),
    Example(
        "Tasmota: local time without a zone",
        _URL | {"profile": "tasmota"},
        b'tele/tasmota_1/SENSOR\n{"Time": "2026-01-01T12:00:00", "Switch1": "ON", "DS18B20": {"Temperature": 20.6},'
        b' "TempUnit": "C"}',
        (
            _telemetry(
                {"ds18b20_temperature": Value(20.6, "°C")}, device_time=_SENSOR_TIME, raw={"TempUnit": "C"}
            ),
        ),
    ),
    Example(
        "Shelly 2: only what changed",
        _URL | {"profile": "shelly"},
        b'shellyplussmoke-a8032ab1/events/rpc\n{"src": "shellyplussmoke-a8032ab1", "dst": "x/events", "method":'
        b' "NotifyStatus", "params": {"ts": 1718987129.5, "smoke:0": {"id": 0, "alarm": true}}}',
        (
            Reading(
                "example",
                "fire.smoke",
                Phase.RAISE,
                device_time=datetime(2024, 6, 21, 16, 25, 29, 500000, tzinfo=UTC),
                raw={"method": "NotifyStatus"},
            ),
        ),
    ),
    Example("Shelly 1: a field for each topic", _URL | {"profile": "shelly-gen1"},
            b"shellies/smoke-1/sensor/smoke\ntrue", (Reading("example", "fire.smoke", Phase.RAISE),)),
    Example(
        "JSON: a button for help",
        _URL | {"profile": "json", "base": "buttons"},
        b'buttons/room-3\n{"sos": "on", "battery_low": 1}',
        (
            Reading("example", "safety.panic", Phase.RAISE),
            Reading("example", "device.battery_low", Phase.RAISE),
        ),
    ),
)  # fmt: skip
