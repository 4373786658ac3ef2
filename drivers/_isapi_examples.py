"""Golden notifications: A to G have the shapes of public device dumps, identifying values changed."""

import json
from datetime import datetime
from typing import Any

from gateway.driver import Example
from gateway.event import Credential, Json, Phase, Reading

_CONFIG = {"url": "http://192.0.2.10", "password": "secret"}
_CAMERA = "http://www.hikvision.com/ver20/XMLSchema"


def _when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _xml(namespace: str, *fields: str) -> bytes:
    xmlns = f' xmlns="{namespace}"' if namespace else ""
    return f'<EventNotificationAlert version="2.0"{xmlns}>\n{"".join(fields)}</EventNotificationAlert>'.encode()


def _head(type: str, time: str, state: str = "active", channel: str = "<channelID>1</channelID>") -> str:
    return (
        "<ipAddress>192.0.2.10</ipAddress><ipv6Address>::ffff:192.0.2.10</ipv6Address><portNo>80</portNo>"
        f"<protocol>HTTP</protocol><macAddress>00:00:5e:00:53:01</macAddress>{channel}<dateTime>{time}</dateTime>"
        f"<activePostCount>1</activePostCount>\n<eventType>{type}</eventType><eventState>{state}</eventState>"
        f"<eventDescription>{type} alarm</eventDescription>"
    )


_REGIONS = (
    "<DetectionRegionList><DetectionRegionEntry><regionID>3</regionID><sensitivityLevel>50</sensitivityLevel>"
    "<RegionCoordinatesList><RegionCoordinates><positionX>572</positionX><positionY>100</positionY>"
    "</RegionCoordinates></RegionCoordinatesList><detectionTarget>human</detectionTarget><TargetRect><X>0.6</X>"
    "<Y>0.215278</Y><width>0.135937</width><height>0.505556</height></TargetRect></DetectionRegionEntry>"
    "</DetectionRegionList><channelName>NORTH</channelName>"
)


def _controller(time: str, **inner: Json) -> bytes:
    return json.dumps(
        {
            "ipAddress": "192.0.2.20", "portNo": 443, "protocol": "HTTPS", "macAddress": "00:00:5e:00:53:02",
            "channelID": 1, "dateTime": time, "activePostCount": 1, "eventType": "AccessControllerEvent",
            "eventState": "active", "eventDescription": "Access Controller Event", "deviceID": "Device1",
            "shortSerialNumber": "XX0000001",
            "AccessControllerEvent": {"deviceName": "Access Controller", **inner},
        }
    ).encode()  # fmt: skip


def _raw(type: str, **more: Json) -> dict[str, Json]:
    return {"eventType": type, "eventState": "active", "channelID": 1, "activePostCount": 1, **more}


def _numbers(**more: Json) -> dict[str, Json]:
    return {"majorEventType": 5, **more}


def _example(title: str, wire: bytes, reading: Reading | None, **config: Any) -> Example:
    return Example(title, _CONFIG | config, wire, (reading,) if reading else ())


_CLOSED = "2026-04-12T16:09:53+08:00"
_PASSED = "2026-04-12T16:10:02+08:00"
_SEEN = "2026-01-31T13:53:05+08:00"
_RECORDED = "2026-01-13T19:16:39+08:00"

EXAMPLES = (
    _example(
        "A: a camera sees a person in a field",
        _xml(_CAMERA, _head("fielddetection", _SEEN), _REGIONS),
        Reading(
            "example", "video.intrusion", Phase.RAISE, device_time=_when(_SEEN),
            raw=_raw("fielddetection", regionID=3, detectionTarget="human"),
        ),
    ),
    _example(
        "B: a recorder of the old namespace, camera 34",
        b'<?xml version="1.0" encoding="UTF-8"?><EventNotificationAlert version="1.0" xmlns="urn:psialliance-org">'
        b"<channelID>34</channelID>\n<dateTime>2026-01-13T19:16:39+08:00</dateTime>"
        b"<activePostCount>174</activePostCount><eventType>fielddetection</eventType><eventState>active</eventState>\n"
        b'<Extensions><serialNumber xmlns="urn:selfextension:psiaext-ver10-xsd">DS-XXXX</serialNumber></Extensions>'
        b"</EventNotificationAlert>",
        Reading(
            "example", "video.intrusion", Phase.RAISE, device_time=_when(_RECORDED),
            part={"address": "channel-34", "point": 34},
            raw=_raw("fielddetection") | {"channelID": 34, "activePostCount": 174},
        ),
    ),
    _example(
        "C: an alarm input that a door contact is wired to",
        _xml(_CAMERA, _head("IO", _SEEN), "<inputIOPortID>1</inputIOPortID>"),
        Reading(
            "example", "door.open", Phase.RAISE, device_time=_when(_SEEN),
            part={"address": "input-1", "point": 1}, raw=_raw("IO", inputIOPortID=1),
        ),
        inputs={1: {"type": "door.open"}},
    ),
    _example(
        "D: the real type wrapped in a duration",
        _xml(
            _CAMERA, _head("duration", _SEEN),
            "<DurationList><Duration><relationEvent>fielddetection</relationEvent></Duration></DurationList>",
            "<isDataRetransmission>false</isDataRetransmission>",
        ),
        Reading(
            "example", "video.intrusion", Phase.RAISE, device_time=_when(_SEEN),
            raw=_raw("duration", isDataRetransmission=False, relationEvent="fielddetection"),
        ),
    ),
    _example(
        "E: no namespace, both kinds of channel number",
        _xml(
            "",
            _head("VMD", _SEEN, channel="<dynChannelID>1</dynChannelID><channelID>1</channelID>"),
        ),
        Reading(
            "example", "video.motion", Phase.RAISE, device_time=_when(_SEEN), raw=_raw("VMD", dynChannelID=1)
        ),
    ),
    _example(
        "F: a door controller's lock has closed (5/22)",
        _controller(
            _CLOSED, majorEventType=5, subEventType=22, doorNo=1, serialNo=272, frontSerialNo=271, label="",
            purePwdVerifyEnable=True,
        ),
        Reading(
            "example", "device.unmapped", Phase.PULSE, device_time=_when(_CLOSED), reason="lock-closes",
            raw=_numbers(subEventType=22, doorNo=1, serialNo=272, frontSerialNo=271),
        ),
    ),
    _example(
        "G: a fingerprint was accepted (5/38): no name leaves the driver",
        _controller(
            _PASSED, majorEventType=5, subEventType=38, name="Somebody", cardReaderNo=1, employeeNoString="1",
            serialNo=273, userType="normal", currentVerifyMode="faceOrFpOrCardOrPw", frontSerialNo=272,
            attendanceStatus="checkIn", label="Check In", purePwdVerifyEnable=True,
        ),
        Reading(
            "example", "access.granted", Phase.PULSE, device_time=_when(_PASSED),
            credential=Credential("isapi-user", 1, 1, "fingerprint"),
            raw=_numbers(
                subEventType=38, cardReaderNo=1, serialNo=273, userType="normal",
                currentVerifyMode="faceOrFpOrCardOrPw", frontSerialNo=272, attendanceStatus="checkIn",
            ),
        ),
    ),
    _example(
        "an unknown card at door 2, as XML of older firmware, sent late out of the memory",
        _xml(
            _CAMERA, _head("AccessControllerEvent", _PASSED),
            "<AccessControllerEvent><majorEventType>5</majorEventType><subEventType>9</subEventType>"
            "<cardNo>1234567890</cardNo><doorNo>2</doorNo><serialNo>274</serialNo><currentEvent>false</currentEvent>"
            "</AccessControllerEvent>",
        ),
        Reading(
            "example", "access.denied", Phase.PULSE, part={"address": "door-2", "point": 2},
            device_time=_when(_PASSED), reason="unknown_credential",
            credential=Credential("isapi-card", 0, 1234567890),
            raw=_numbers(subEventType=9, doorNo=2, serialNo=274, currentEvent=False), data={"historical": True},
        ),
    ),
    _example(
        "a door is forced (5/27)",
        _controller(_CLOSED, majorEventType=5, subEventType=27, doorNo=1, serialNo=275, currentEvent=True),
        Reading(
            "example", "door.forced", Phase.RAISE, device_time=_when(_CLOSED),
            raw=_numbers(subEventType=27, doorNo=1, serialNo=275, currentEvent=True),
        ),
    ),
    _example(
        "a code that nobody has described passes with its numbers",
        _controller(_CLOSED, majorEventType=5, subEventType=4000, doorNo=1, serialNo=276, name="Somebody"),
        Reading(
            "example", "device.unmapped", Phase.PULSE, device_time=_when(_CLOSED),
            raw=_numbers(subEventType=4000, doorNo=1, serialNo=276),
        ),
    ),
    _example(
        "heartbeat of a camera: video is not lost",
        _xml(_CAMERA, _head("videoloss", _SEEN, state="inactive")),
        Reading(
            "example", "video.loss", Phase.CLEAR, device_time=_when(_SEEN),
            raw=_raw("videoloss") | {"eventState": "inactive"},
        ),
    ),
    _example("heartbeat of a door controller", b'{"eventType": "heartBeat", "eventState": "active"}', None),
)  # fmt: skip
