"""The page of one device: how it is, what it measures, what happened, what it can do."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from gateway.alarms import DRILL, Alarm
from gateway.alarmview import moment
from gateway.deeds import NotFound
from gateway.errors import Text
from gateway.house import House
from gateway.measures import SHIELD
from gateway.taxonomy import DENIALS, PHASES
from gateway.web import deviceform
from gateway.web.catalogue import Speaker
from gateway.web.devicepast import Trail, measured
from gateway.web.devices import Tile, kind_label, tile_of, word
from gateway.web.frame import Frame
from gateway.web.show import between_s, natural
from gateway.web.visitor import Sees, Visitor

ROOM = "devices"
HOURS = (24, 168)  # of the charts
_WHERE = ("address", "listen", "hub", "part", "profile", "chip", "frame", "format")  # keys of drivers; none is a secret


class Sheet:
    """What the page of a device shows, for one visitor in one language. NotFound: there is no such device."""

    def __init__(self, house: House, device: str, language: str) -> None:
        known = next((each for each in house.devices() if each["device"] == device), None)
        if known is None:
            raise NotFound(
                device,
                Text("there is no such device", "没有这个设备"),
                Text("look on the wall of devices", "请在设备墙查找"),
            )
        self.tile: Tile = tile_of(known)
        self.values: Mapping[str, Mapping[str, Any]] = known["values"]
        self._house = house
        self._config = house.site.device(device)
        self._language = language
        self.say = Speaker(ROOM, language)

    async def facts(self) -> list[tuple[str, str]]:
        """(key of the catalogue, value): those that there are."""
        tile, config = self.tile, self._config
        tested = max(str(config.tested or ""), (await self._house.dossiers.tested()).get(tile.id, ""))
        told = {
            "place": tile.place_label,
            "kind": kind_label(tile.kind, self._language),
            "made_by": " ".join(filter(None, (config.make, config.model))),
            "battery": tile.battery,
            "installed": config.installed,
            "tested": tested or self.say("never"),
            "identity": tile.id,
            "driver": config.driver,
            "bus": self._bus(),
            **{key: getattr(config, key, None) for key in _WHERE},
            "url": _harmless(getattr(config, "url", None)),
        }
        return [(key, _plain(value)) for key, value in told.items() if value not in (None, "")]

    def _bus(self) -> str:
        name = getattr(self._config, "bus", None)
        bus = self._house.config.buses.get(name) if name else None
        if bus is None:
            return name or ""
        return f"{name} ({bus.serial or _plain(bus.tcp)})"

    @property
    def driver_trouble(self) -> str:
        """Why its driver does not run; empty while it does."""
        line = next(line for line in self._house.supervisor.lines if self.tile.id in _ids(line.line.devices))
        if line.state == "running":
            return ""
        return self.say(f"line_{line.state}") + (f" {line.why.say(self._language)}" if line.why is not None else "")

    @property
    def neighbours(self) -> list[Tile]:
        """Other devices on the same line: they fail together."""
        line = next(line for line in self._house.supervisor.lines if self.tile.id in _ids(line.line.devices))
        mine = {device for device in _ids(line.line.devices) if device != self.tile.id}
        tiles = [tile_of(each) for each in self._house.devices() if each["device"] in mine] if mine else []
        return sorted(tiles, key=lambda tile: natural(tile.name))

    @property
    def alarms(self) -> list[dict[str, Any]]:
        """Its alarms that are not normal, also those of its parts."""
        return [alarm for alarm in self._house.alarms() if alarm["device"] == self.tile.id]

    @property
    def parts(self) -> list[tuple[str, list[str]]]:
        """Its parts with something open at them, and what."""
        found: dict[str, list[str]] = {}
        for condition in self._house.pipeline.shown.of(self.tile.id):
            if condition.part and condition.active and condition.type.partition(".")[0] not in ("operator", "gateway"):
                found.setdefault(condition.part, []).append(condition.type)
        return sorted(found.items(), key=lambda pair: natural(pair[0]))

    def cover(self, type: str) -> dict[str, Any] | None:
        """Its shield or drill while it lasts: until when, and why."""
        laid: Alarm | None = self._house.pipeline.shown.get((self.tile.id, type, ""))
        if laid is None or not laid.active:
            return None
        return {"until": moment(laid.until_ms) if laid.until_ms else None, "why": laid.cause}

    def takes(self, visitor: Visitor) -> list[str]:
        """What it can do and this visitor may have it do, in a fixed order."""
        actions = self._house.supervisor.takes()[self.tile.id]
        return [name for name, right in deviceform.RIGHTS.items() if name in actions and visitor.may(right)]


def _ids(devices: Sequence[Any]) -> set[str]:
    return {device.id for device in devices}


def _plain(value: Any) -> str:
    return ":".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _harmless(url: Any) -> str:
    """An address without who logs in and without what stands behind the path."""
    if not url:
        return ""
    found = urlsplit(str(url))
    return f"{found.scheme}://{found.netloc.rpartition('@')[2]}{found.path}"


class Told:
    """An event of a device as its page tells it."""

    def __init__(self, event: Mapping[str, Any], say: Speaker) -> None:
        self.time: str = event["time"]
        self.type: str = event["type"]
        self.test = bool(event.get("data", {}).get("test"))
        self._event = event
        self._say = say

    @property
    def phase(self) -> str:
        """Whether it begins or ends; empty for what has no duration."""
        phase = self._event.get("phase")
        return (
            "" if phase == "pulse" else next(text.say(self._say.language) for p, text in PHASES.items() if p == phase)
        )

    @property
    def more(self) -> str:
        """Reason, part, who did it and what came of it: whatever there is, in words."""
        data = self._event.get("data", {})
        part = data.get("part") or {}
        told = [
            str(part.get("text") or part.get("address") or part.get("point") or ""),
            self._reason(str(data.get("reason", ""))),
            word(self._say, "do", str(data["action"])) if "action" in data else "",
            word(self._say, "result", str(data["result"])) if "result" in data else "",
            word(self._say, "contact", str(data["contact"])) if "contact" in data else "",
            str(data.get("who", "")),
        ]
        return " · ".join(filter(None, told))

    def _reason(self, reason: str) -> str:
        return DENIALS[reason].say(self._say.language) if reason in DENIALS else word(self._say, "why", reason)


def clock_of(events: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What the device's own clock said in its newest event that has it, and by how much (s) it is ahead of ours."""
    for event in events:
        told = event.get("data", {}).get("device_time")
        if told:
            return {"time": told, "ahead_s": round(between_s(event["time"], told))}
    return None


def shot_of(events: Sequence[Mapping[str, Any]]) -> dict[str, str] | None:
    """Its newest picture."""
    for event in events:
        picture = event.get("data", {}).get("picture")
        if isinstance(picture, dict) and "ref" in picture:
            return {"ref": str(picture["ref"]), "time": str(event["time"])}
    return None


def add(app: FastAPI, frame: Frame) -> None:
    """The routes."""
    trail = Trail(frame.house)
    deviceform.add(app, frame)

    @app.get("/devices/{device}", include_in_schema=False)
    async def page(request: Request, device: str, visitor: Sees) -> Response:
        sheet = Sheet(frame.house, device, frame.language(request))
        return await _page(request, frame, trail, sheet, visitor)

    @app.get("/devices/{device}/values", include_in_schema=False)
    async def values(request: Request, device: str, _: Sees, hours: int = HOURS[0]) -> Response:
        return await _values(request, frame, device, hours if hours in HOURS else HOURS[0])


async def _page(request: Request, frame: Frame, trail: Trail, sheet: Sheet, visitor: Visitor) -> Response:
    events = await trail.last_events(sheet.tile.id)
    return frame.page(
        request,
        ROOM,
        "device.html",
        sheet=sheet,
        facts=await sheet.facts(),
        events=[Told(event, sheet.say) for event in events],
        clock=clock_of(events),
        shot=shot_of(events) if visitor.may("handle") else None,
        takes=sheet.takes(visitor),
        shield=sheet.cover(SHIELD),
        drill=sheet.cover(DRILL),
        word=lambda group, name: word(sheet.say, group, name),
        most_shield_h=deviceform.MOST_SHIELD_H,
        zone=frame.zone.key,
    )


async def _values(request: Request, frame: Frame, device: str, hours: int) -> Response:
    """Charts as a fragment for the device's page, or as a page of their own without a script."""
    language = frame.language(request)
    sheet = Sheet(frame.house, device, language)
    since = frame.house.vitals.clock.utc() - timedelta(hours=hours)
    found = await measured(frame.house, device, int(since.timestamp() * 1000))
    values: dict[str, Any] = {
        "tile": sheet.tile,
        "measured": found,
        "hours": hours,
        "all_hours": HOURS,
        "moment": moment,
        "from_ms": int(since.timestamp() * 1000),
        "zone": frame.zone.key,
        "word": lambda group, name: word(sheet.say, group, name),
    }
    if request.headers.get("HX-Request"):
        return HTMLResponse(frame.render("device_charts.html", ROOM, language, **values))
    return frame.page(request, ROOM, "device_values.html", **values)
