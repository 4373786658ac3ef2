"""Hikvision ISAPI alert stream: cameras, recorders, and access controllers as far as their numbers go.

`GET /ISAPI/Event/notification/alertStream` answers an endless multipart/mixed of EventNotificationAlert in XML or
JSON (older firmware: `/Event/notification/alertStream`). No public edition of the protocol's document exists; what is
read here is what pyHik, hikvision_next and devices' own dumps agree on. Namespaces differ, any field may be missing.
On the device: each event needs "Notify surveillance centre" ticked, and the user the right to be notified.

What is not in the table goes through as `device.unmapped` with its numbers and without personal fields. A recorder's
channels above 1 appear as parts (`channel-34`), unless `channel` picks one of them for a device of its own.
"""

import asyncio
import math
import re
from collections.abc import Sequence
from typing import Annotated

import aiohttp
from pydantic import AfterValidator, Field

from drivers import _alert
from drivers._alert import Alert
from drivers._conditions import Conditions, Sighting
from drivers._http import DeviceUrl, Site, Tls, get, session
from drivers._isapi_examples import EXAMPLES
from drivers._multipart import Document, Parts
from drivers._types import device_type
from gateway.driver import Driver, Line, Link, offset_time
from gateway.errors import BadInput, NeedsPerson, Text, Unreachable
from gateway.event import Json, Phase, Reading
from gateway.fields import DeviceConfig, Duration, Model, Secret
from gateway.taxonomy import TYPES

PATHS = ("/ISAPI/Event/notification/alertStream", "/Event/notification/alertStream")
FAILED_RECONNECTS = 3  # then the device is told to be offline
OUTAGE_S = 60.0  # or after this long without a stream
QUIET_S = 60.0  # beyond the silence that ends a stream: a login has no end of its own

_TYPES: dict[str, tuple[str, str | None]] = {  # eventType in lower case → our type, reason
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
_UNMAPPED: tuple[str, str | None] = ("device.unmapped", None)


class Input(Model):
    """What a wire on one of the device's alarm inputs means."""

    type: Annotated[str, AfterValidator(device_type)] = Field(description="event type, e.g. door.open")
    clear_after: Duration | None = Field(None, description="silence that means the end; else the device's")


class Config(DeviceConfig):
    """A camera, recorder or controller with ISAPI."""

    url: DeviceUrl = Field(description='"http://192.0.2.64" or "https://…"')
    username: str = Field("admin", pattern=r"^[^:]+$")
    password: Secret
    tls: Tls | None = Field(None, description="how to check a certificate no public authority has signed")
    channel: int | None = Field(None, ge=0, description="only this channel of a recorder")
    inputs: dict[int, Input] = Field(default_factory=dict, description="alarm inputs by number")
    clear_after: Duration = Field(10.0, description="silence that means the end of a condition")
    silence: Duration = Field(60.0, description="a stream without a word for this long is opened anew")
    retry: Duration = Field(5.0, description="between attempts; longer after each")


def decode(config: Config, wire: bytes) -> Sequence[Reading]:
    """One part's body → what it says by itself: raise or clear as `eventState` has it, a pulse for happenings.

    BadInput where it is no EventNotificationAlert. Repetitions are `run`'s to leave out.
    """
    found = sightings(config, wire)
    return [s.reading if s.active else s.ended() for s in found if s.active or s.reading.phase is not Phase.PULSE]


def sightings(config: Config, wire: bytes) -> list[Sighting]:
    """One part's body → one sighting per event type in it; none for a heartbeat or another channel's event."""
    alert = _alert.parse(config.id, wire)
    others = config.channel is not None and alert.channel not in (None, config.channel)
    if others or alert.heartbeat or (alert.replayed and not alert.active):
        return []
    return [_sighting(config, alert, source) for source in alert.types]


def _sighting(config: Config, alert: Alert, source: str) -> Sighting:
    wired = config.inputs.get(alert.input) if alert.input is not None and source == "io" else None
    type, reason = (wired.type, None) if wired else _TYPES.get(source, _UNMAPPED)
    unmapped = type == "device.unmapped"
    reading = Reading(
        config.id,
        type,
        Phase.PULSE if TYPES[type].returns == "pulse" else Phase.RAISE,
        part=_part(config, alert, wired is not None),
        device_time=offset_time(alert.time),
        reason=reason,
        raw=alert.numbers() if unmapped else alert.raw(),
    )
    lone = source == "accesscontrollerevent" or alert.replayed
    hold_s = wired.clear_after if wired and wired.clear_after is not None else config.clear_after
    return Sighting(reading, source, alert.active or lone, hold_s, lone)


def _part(config: Config, alert: Alert, wired: bool) -> dict[str, Json] | None:
    if wired:
        return {"address": f"input-{alert.input}", "point": alert.input}
    if config.channel is not None or alert.channel is None or alert.channel <= 1:
        return None
    part: dict[str, Json] = {"address": f"channel-{alert.channel}", "point": alert.channel}
    return part | {"text": alert.channel_name} if alert.channel_name else part


class _Stream:
    """One device's alert stream, opened again whenever it ends."""

    def __init__(self, config: Config, link: Link, site: Site, http: aiohttp.ClientSession) -> None:
        self._config, self._link, self._site, self._http = config, link, site, http
        self._conditions = Conditions()
        self._failures = 0  # attempts in a row that brought not a single part
        self._down_since: float | None = None
        self._complained = False

    def _now(self) -> float:
        return self._link.clock.monotonic()

    async def run(self) -> None:
        """Until the device is lost (Unreachable) or refuses us (NeedsPerson); both are told to the link first."""
        active = self._link.active(self._config.id)
        ours = [(type, part) for type, part in active if type != "device.offline"]
        self._conditions.restore(self._config.id, ours, self._config.clear_after, self._now())
        while True:
            try:
                await self._open()
                trouble = self._unreachable("closed the event stream", "关闭了事件流")
            except Unreachable as exc:
                trouble = exc
            except NeedsPerson:
                await self._link.lost(self._config.id, "refused")
                raise
            if self._down_since is None:  # a stream that worked has ended: quietly again
                self._down_since = self._now()
            else:
                self._failures += 1
            if self._failures >= FAILED_RECONNECTS or self._now() - self._down_since >= OUTAGE_S:
                await self._link.lost(self._config.id, "no-answer")
                raise trouble
            await self._link.clock.sleep(self._config.retry * (self._failures or 0.2))

    def _unreachable(self, en: str, zh: str) -> Unreachable:
        return Unreachable(
            self._config.id,
            Text(f"{self._site.url} {en}", f"{self._site.url} {zh}"),
            Text("restart the device if this stays", "若持续如此请重启设备"),
        )

    async def _open(self) -> None:
        for path in PATHS:
            async with get(self._http, self._site, path) as answer:
                if answer.status == 200:
                    if not self._failures:  # after failures only a part proves that it is back
                        await self._link.seen(self._config.id)
                    await self._read(answer)
                    return
        raise NeedsPerson(
            self._config.id,
            Text(f"{self._site.url} has no ISAPI event stream", f"{self._site.url} 没有 ISAPI 事件流"),
            Text("check the address and switch ISAPI on in the device", "请核对地址,并在设备中启用 ISAPI"),
        )

    async def _read(self, answer: aiohttp.ClientResponse) -> None:
        """Until the device closes it; Unreachable after `silence` seconds without a part."""
        declared = re.search(r'boundary="?([^";,\s]+)', answer.headers.get("Content-Type", ""), re.IGNORECASE)
        parts = Parts(declared[1] if declared else None)
        heard_at = self._now()
        self._conditions.resume(heard_at)
        while True:
            silent_at = heard_at + self._config.silence
            due = self._conditions.due()
            chunk = await self._chunk(answer.content, min(silent_at, math.inf if due is None else due))
            if chunk == b"":
                return
            for part in parts.feed(chunk or b""):
                heard_at = self._now()
                await self._heard(part.body if isinstance(part, Document) else None)
            over = self._conditions.silent(self._now())
            if over:
                await self._link.emit(*over)
            if self._now() >= heard_at + self._config.silence:
                raise self._unreachable("has gone silent", "没有任何消息")

    async def _chunk(self, content: aiohttp.StreamReader, until: float) -> bytes | None:
        """What came in, b"" at the end, None where nothing came until then."""
        try:
            async with asyncio.timeout(max(0.0, until - self._now())):
                return await content.readany()
        except TimeoutError:
            return None

    async def _heard(self, body: bytes | None) -> None:
        self._failures, self._down_since = 0, None
        await self._link.seen(self._config.id)
        if body is None:
            return
        try:
            found = sightings(self._config, body)
        except BadInput as exc:
            if not self._complained:
                self._link.log.warning("cannot be understood, further ones are left out in silence: %s", exc)
            self._complained = True
            return
        news = [self._conditions.see(sighting, self._now()) for sighting in found]
        readings = [reading for reading in news if reading is not None]
        if readings:
            await self._link.emit(*readings)


async def run(line: Line[Config], link: Link) -> None:
    """Follows one device's stream for ever."""
    (config,) = line.devices
    site = Site(config.id, config.url, config.username, config.password, config.tls)
    async with session(site) as http:
        await _Stream(config, link, site, http).run()


def quiet_s(line: Line[Config]) -> float:
    """The longest a healthy stream leaves its link alone."""
    return QUIET_S + max(config.silence for config in line.devices)


DRIVER = Driver("Hikvision ISAPI alert stream", Config, run, decode, EXAMPLES, kind="camera", quiet_s=quiet_s)
