"""One notification → what it says by itself: conditions and happenings of a camera, records of a door controller."""

from collections.abc import Sequence

from drivers import _alert
from drivers._alert import Alert
from drivers._conditions import Sighting
from drivers._isapi_access import of_alert
from drivers._isapi_config import Config
from gateway.driver import offset_time
from gateway.event import Json, Phase, Reading
from gateway.taxonomy import TYPES

TYPES_OF: dict[str, tuple[str, str | None]] = {  # eventType in lower case → our type, reason
    "vmd": ("video.motion", None),
    "vmdhumanvehicle": ("video.motion", None),
    "pir": ("video.motion", None),
    "linedetection": ("video.line_cross", None),
    "fielddetection": ("video.intrusion", None),
    "regionentrance": ("video.intrusion", None),
    "regionexiting": ("video.intrusion", None),
    "loitering": ("video.loitering", None),
    "videoloss": ("video.loss", None),
    "tamperdetection": ("video.occluded", None),
    "shelteralarm": ("video.occluded", None),
    "diskfull": ("device.fault", "disk-full"),
    "diskerror": ("device.fault", "disk-error"),
    "nicbroken": ("device.fault", "network-broken"),
    "ipconflict": ("device.fault", "ip-conflict"),
    "videomismatch": ("device.fault", "video-mismatch"),
    "badvideo": ("device.fault", "bad-video"),
    "recordingfailure": ("device.fault", "recording-failure"),
    "defocus": ("device.fault", "defocus"),
}
UNMAPPED: tuple[str, str | None] = ("device.unmapped", None)


def decode(config: Config, wire: bytes) -> Sequence[Reading]:
    """One part's body → what it says by itself: raise or clear as `eventState` has it, a pulse for happenings.

    BadInput where it is no EventNotificationAlert. Repetitions are the desk's to leave out.
    """
    alert = _alert.parse(config.id, wire)
    record = of_alert(config, alert)
    if record is not None:
        return [*record.told, *record.ends]
    found = sightings(config, alert)
    return [s.reading if s.active else s.ended() for s in found if s.active or s.reading.phase is not Phase.PULSE]


def sightings(config: Config, alert: Alert) -> list[Sighting]:
    """One per event type in it; none for a heartbeat, another channel's event, a door controller's record."""
    others = config.channel is not None and alert.channel not in (None, config.channel)
    if others or alert.heartbeat or alert.access is not None or (alert.replayed and not alert.active):
        return []
    return [_sighting(config, alert, source) for source in alert.types]


def unreadable(config: Config, wire: bytes) -> Sighting:
    """Something that cannot be understood: not a word of it is kept, it may hold a name."""
    raw: dict[str, Json] = {"bytes": len(wire)}
    reading = Reading(config.id, UNMAPPED[0], Phase.PULSE, reason="unreadable", raw=raw)
    return Sighting(reading, "unreadable", True, config.clear_after)


def _sighting(config: Config, alert: Alert, source: str) -> Sighting:
    wired = config.inputs.get(alert.input) if alert.input is not None and source == "io" else None
    type, reason = (wired.type, None) if wired else TYPES_OF.get(source, UNMAPPED)
    reading = Reading(
        config.id,
        type,
        Phase.PULSE if TYPES[type].returns == "pulse" else Phase.RAISE,
        part=_part(config, alert, wired is not None),
        device_time=offset_time(alert.time),
        reason=reason,
        raw=alert.numbers() if type == UNMAPPED[0] else alert.raw(),
        data={"historical": True} if alert.replayed else {},
    )
    hold_s = wired.clear_after if wired and wired.clear_after is not None else config.clear_after
    lone = source == "accesscontrollerevent" or alert.replayed  # the former: without its record
    return Sighting(reading, source, alert.active or lone, hold_s, lone)


def _part(config: Config, alert: Alert, wired: bool) -> dict[str, Json] | None:
    if wired:
        return {"address": f"input-{alert.input}", "point": alert.input}
    if config.channel is not None or alert.channel is None or alert.channel <= 1:
        return None
    part: dict[str, Json] = {"address": f"channel-{alert.channel}", "point": alert.channel}
    return part | {"text": alert.channel_name} if alert.channel_name else part
