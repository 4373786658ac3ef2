"""Golden notifications, in the standard's shape and in those of firmware. (An underscore: no driver.)"""

from collections.abc import Mapping
from datetime import UTC, datetime

from gateway.driver import Example
from gateway.event import Json, Phase, Reading, Value

_CONFIG = {"url": "http://192.0.2.64:8000", "password": "secret"}
_TIME = "2026-01-02T03:04:05Z"
_WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _items(holder: str, items: Mapping[str, str]) -> str:
    inside = "".join(f'<tt:SimpleItem Name="{name}" Value="{value}"/>' for name, value in items.items())
    return f"<tt:{holder}>{inside}</tt:{holder}>"


def _note(topic: str, source: Mapping[str, str], data: Mapping[str, str], operation: str, time: str = _TIME) -> str:
    said = f' PropertyOperation="{operation}"' if operation else ""
    return (
        '<wsnt:NotificationMessage><wsnt:Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">'
        f'{topic}</wsnt:Topic><wsnt:Message><tt:Message UtcTime="{time}"{said}>{_items("Source", source)}'
        f"{_items('Data', data)}</tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    )


def _wire(*notes: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:tev="http://www.onvif.org/ver10/events/wsdl" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" '
        'xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:tns1="http://www.onvif.org/ver10/topics"><s:Body>'
        f"<tev:PullMessagesResponse><tev:CurrentTime>{_TIME}</tev:CurrentTime><tev:TerminationTime>{_TIME}"
        f"</tev:TerminationTime>{''.join(notes)}</tev:PullMessagesResponse></s:Body></s:Envelope>"
    ).encode()


def _reading(type: str, phase: Phase, topic: str, operation: str, reason: str | None = None, **raw: Json) -> Reading:
    said: dict[str, Json] = {"topic": topic, **raw} | ({"operation": operation} if operation else {})
    part = {"address": str(said.pop("part"))} if "part" in said else None
    return Reading("example", type, phase, part=part, device_time=_WHEN, reason=reason, raw=said)


_RULE = {"VideoSourceConfigurationToken": "VSC0", "VideoAnalyticsConfigurationToken": "VAC0", "Rule": "MyMotion"}
_SEEN = {"VideoSourceConfigurationToken": "VSC0", "Rule": "MyMotion"}
_CARD = {"Token": "SD"}
_CELL = "RuleEngine/CellMotionDetector/Motion"

EXAMPLES = (
    Example(
        "motion begins, and ends with the next message",
        _CONFIG,
        _wire(
            _note(f"tns1:{_CELL}", _RULE, {"IsMotion": "true"}, "Changed"),
            _note(f"tns1:{_CELL}", _RULE, {"IsMotion": "false"}, "Changed"),
        ),
        (
            _reading("video.motion", Phase.RAISE, _CELL, "Changed", IsMotion=True, **_SEEN),
            _reading("video.motion", Phase.CLEAR, _CELL, "Changed", IsMotion=False, **_SEEN),
        ),
    ),
    Example(
        "a camera of TP-Link: the item's name says what the topic does not",
        _CONFIG,
        _wire(_note("tns1:RuleEngine/TPSmartEventDetector/TPSmartEvent", _RULE, {"IsVehicle": "1"}, "Changed")),
        (
            _reading(
                "video.motion", Phase.RAISE, "RuleEngine/TPSmartEventDetector/TPSmartEvent", "Changed", "vehicle",
                IsVehicle=1, **_SEEN,
            ),
        ),
    ),
    Example(
        "a line is crossed: no duration, an object's number that is no truth",
        _CONFIG,
        _wire(_note("tns1:RuleEngine/LineDetector/Crossed", _RULE, {"ObjectId": "0"}, "")),
        (
            _reading(
                "video.line_cross", Phase.PULSE, "RuleEngine/LineDetector/Crossed", "", ObjectId=0, **_SEEN
            ),
        ),
    ),
    Example(
        "a panic button on an alarm input, another prefix, something hung on the topic",
        _CONFIG | {"inputs": {"1": {"type": "safety.panic"}}},
        _wire(_note("tnsn:Device/Trigger/DigitalInput//.", {"InputToken": "1"}, {"LogicalState": "active"}, "Changed")),
        (
            _reading(
                "safety.panic", Phase.RAISE, "Device/Trigger/DigitalInput", "Changed", part="input-1", InputToken=1
            ),
        ),
    ),
    Example(
        "a relay has closed, the disk has failed, a processor is busy",
        _CONFIG,
        _wire(
            _note("tns1:Device/Trigger/Relay", {"RelayToken": "R0"}, {"LogicalState": "active"}, "Initialized"),
            _note("tns1:Device/HardwareFailure/StorageFailure", _CARD, {"Failed": "true"}, "Changed"),
            _note("tns1:Monitoring/ProcessorUsage", {"Token": "CPU"}, {"Value": "0.8"}, "Changed"),
        ),
        (
            Reading(
                "example", "telemetry.sample", Phase.PULSE, values={"relay_R0": Value(True)}, device_time=_WHEN,
                raw={"topic": "Device/Trigger/Relay", "RelayToken": "R0", "operation": "Initialized"},
            ),
            _reading(
                "device.fault", Phase.RAISE, "Device/HardwareFailure/StorageFailure", "Changed", "storage-failure",
                part="storage-SD", Failed=True, **_CARD,
            ),
        ),
    ),
    Example(
        "what nobody has described: its numbers go through, a plate and a name do not",
        _CONFIG,
        _wire(
            _note(
                "tns1:RuleEngine/LicensePlate/tnsx:Seen", {"VideoSource": "V0"},
                {"Plate": "京A12345", "PersonName": "x", "Likelihood": "0.9", "Lane": "2"}, "",
                "0000-00-00T00:00:00Z",
            )
        ),
        (
            Reading(
                "example", "device.unmapped", Phase.PULSE, reason="topic",
                raw={"topic": "RuleEngine/LicensePlate/Seen", "VideoSource": "V0", "Likelihood": 0.9, "Lane": 2},
            ),
        ),
    ),
)  # fmt: skip
