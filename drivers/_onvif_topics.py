"""What ONVIF's topics mean, as data. (An underscore: no driver.)

A row is found by the whole topic, then by the name of a data item: firmware puts the same item under different topics
(TP-Link's IsPeople stands under three), so its name says more than the topic's. Topics are those of the ONVIF core,
imaging, device I/O and analytics specifications, and of vendors' firmware as client libraries met them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

INPUT, RELAY = "Device/Trigger/DigitalInput", "Device/Trigger/Relay"
_NOISE = re.compile(
    r"(Monitoring|MediaControl|RecordingConfig|RecordingHistory|RuleEngine/CountAggregation|Media"
    r"|Configuration|EventBuffer)(/|$)"
)  # health, counters, and what clients themselves do
_PREFIX = re.compile(r"[^/:]*:")
MOST_TOPIC = 128  # characters


class Row(NamedTuple):
    """What a topic or an item means; `part` is what of the device it is about, where that is not the device itself."""

    type: str
    reason: str | None = None
    part: str | None = None


_MOTION = Row("video.motion")
_PEOPLE, _VEHICLE, _PET = (Row("video.motion", word) for word in ("people", "vehicle", "pet"))
_LINE, _INTRUSION, _COVERED = Row("video.line_cross"), Row("video.intrusion"), Row("video.occluded")
_DOORBELL = Row("device.unmapped", "doorbell")
_SOUND = Row("device.unmapped", "sound")
UNKNOWN, UNKNOWN_INPUT = Row("device.unmapped", "topic"), Row("device.unmapped", "input")
BY_TOPIC: Mapping[str, Row] = {
    "VideoSource/MotionAlarm": _MOTION,
    "RuleEngine/MotionRegionDetector/Motion": _MOTION,
    "RuleEngine/FieldDetector/ObjectsInside": _INTRUSION,
    "RuleEngine/LineDetector/Crossed": _LINE,
    "RuleEngine/MyRuleDetector/PeopleDetect": _PEOPLE,
    "RuleEngine/MyRuleDetector/VehicleDetect": _VEHICLE,
    "RuleEngine/MyRuleDetector/DogCatDetect": _PET,
    "RuleEngine/MyRuleDetector/FaceDetect": Row("video.motion", "face"),
    "RuleEngine/MyRuleDetector/Visitor": _DOORBELL,
    "UserAlarm/IVA/HumanShapeDetect": _PEOPLE,
    "VideoSource/ImageTooDark": Row("device.fault", "image-too-dark", "picture"),
    "VideoSource/ImageTooBright": Row("device.fault", "image-too-bright", "picture"),
    "VideoSource/ImageTooBlurry": Row("device.fault", "image-too-blurry", "picture"),
    "VideoSource/GlobalSceneChange": Row("video.occluded", "scene-changed"),
    "AudioAnalytics/Audio/DetectedSound": _SOUND,
    "Device/HardwareFailure/StorageFailure": Row("device.fault", "storage-failure", "storage"),
    "Device/HardwareFailure/FanFailure": Row("device.fault", "fan-failure", "fan"),
    "Device/HardwareFailure/TemperatureCritical": Row("device.fault", "temperature-critical", "temperature"),
    "Device/HardwareFailure/PowerSupplyFailure": Row("device.power_fault", None, "power"),
}
BY_ITEM: Mapping[str, Row] = {
    "IsMotion": _MOTION,
    "IsPeople": _PEOPLE,
    "IsVehicle": _VEHICLE,
    "IsPet": _PET,
    "IsTPSmartEvent": Row("video.motion", "smart"),
    "IsInside": _INTRUSION,
    "IsIntrusion": _INTRUSION,
    "IsLineCross": _LINE,
    "IsTamper": _COVERED,
    "isSoundDetected": _SOUND,
}
_SERVICES = ("/AnalyticsService", "/ImagingService", "/RecordingService")  # who says it, at the end of a topic


def normal(topic: str) -> str:
    """`tns1:RuleEngine/tnsx:Foo//.` → `RuleEngine/Foo`: without prefixes, and without what firmware hangs on."""
    return _PREFIX.sub("", topic.strip()).rstrip("/.")[:MOST_TOPIC]


def noise(topic: str) -> bool:
    """Nothing that an event is made of."""
    return _NOISE.match(topic) is not None


def by_topic(topic: str) -> dict[str, Row]:
    """What a normal topic means, whatever stands in it; under no item's name. Empty: nobody has described it."""
    for service in _SERVICES:
        topic = topic.removesuffix(service)
    return {"": BY_TOPIC[topic]} if topic in BY_TOPIC else {}


def by_item(names: Iterable[str]) -> dict[str, Row]:
    """What data items of these names mean, each by itself."""
    return {name: BY_ITEM[name] for name in names if name in BY_ITEM}
