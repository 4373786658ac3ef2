"""`/settings`: what is configured and how this machine is; the way to people, tokens, backup, history and audit."""

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from gateway.chores import send
from gateway.errors import StateError, Text
from gateway.house import House
from gateway.sections import RoomConfig
from gateway.web import posted, show
from gateway.web.catalogue import Speaker
from gateway.web.devices import kind_label
from gateway.web.frame import Frame
from gateway.web.visitor import Right, needs, visitor_of

_INSIDE = ("units", "floors", "rooms")
_SEES = needs("see").depends
_FRESH = needs("configure", fresh=True).depends


@dataclass(frozen=True)
class Card:
    """A way to somewhere else; `right` is what it takes to see it."""

    name: str
    path: str
    icon: str  # in static/icons.svg
    right: Right = "see"


CARDS = (
    Card("points", "/settings/devices", "building"),
    Card("places", "/settings/places", "map"),
    Card("people", "/settings/people", "user", "people"),
    Card("tokens", "/settings/tokens", "upload", "people"),
    Card("machine", "/settings/machine", "clock"),
    Card("history", "/settings/history", "list", "configure"),
    Card("backup", "/settings/backup", "download", "configure"),
    Card("audit", "/settings/audit", "search", "audit"),
)


@dataclass(frozen=True)
class Spot:
    """A place with what stands in it."""

    path: str
    label: str
    grid: str
    devices: int  # with all that is inside
    inside: list["Spot"]


def in_alarm(house: House) -> bool:
    """Is an alarm open? Then changes had better wait."""
    return house.verdict()["word"] in ("fire", "alarm")


def unfiled(house: House) -> StateError:
    """Where the configuration is no file, there is nothing to keep, bring back or reload."""
    return StateError(
        house.config.gateway.id,
        Text("this gateway was started without a configuration file", "此网关启动时没有使用配置文件"),
        Text("start it by gateway run --config FILE", "请用 gateway run --config 文件 启动"),
    )


def done(frame: Frame, request: Request, key: str, **values: object) -> Response:
    """A step's answer: a sentence of this room."""
    return posted.done(Speaker("settings", frame.language(request))(key, **values))


def add(app: FastAPI, frame: Frame) -> None:
    """The routes."""
    house = frame.house

    @app.get("/settings", include_in_schema=False, dependencies=[_SEES])
    async def index(request: Request) -> Response:
        return frame.page(request, "settings", "settings.html", cards=CARDS)

    @app.get("/settings/devices", include_in_schema=False, dependencies=[_SEES])
    async def devices(request: Request) -> Response:
        found = sorted(house.devices(), key=lambda d: (show.natural(d["place_label"]), show.natural(d["label"])))
        called = partial(kind_label, language=frame.language(request))
        listed = [device | {"state": show.state_of(device), "kind": called(device["kind"])} for device in found]
        return frame.page(request, "settings", "settings_devices.html", devices=listed)

    @app.get("/settings/places", include_in_schema=False, dependencies=[_SEES])
    async def places(request: Request) -> Response:
        return frame.page(request, "settings", "settings_places.html", spots=spots(house))

    @app.get("/settings/machine", include_in_schema=False, dependencies=[_SEES])
    async def machine(request: Request) -> Response:
        values: dict[str, Any] = {"health": house.health(), "alarm": in_alarm(house), "ways": app.state.ways}
        values["lines"] = lines(house, frame.language(request))
        values["certificate"] = getattr(app.state.ways.certificate, "shown", None)  # None before the port is up, too
        values["system"] = f"{platform.machine()} · Python {platform.python_version()} · {platform.release()}"
        return frame.page(request, "settings", "settings_machine.html", **values)

    @app.post("/settings/restart", include_in_schema=False, dependencies=[_FRESH])
    async def restart(request: Request) -> Response:
        answer = await send(house, "gateway", "restart", {}, visitor_of(request).by)
        if answer["status"] != "done":
            raise StateError("restart", Text(**answer["message"]))
        return done(frame, request, "restarts")


def lines(house: House, language: str) -> list[dict[str, Any]]:
    """Each driver's lines, with why one does not run; those that do not run first."""
    found = [
        {
            "driver": line.driver_name,
            "name": line.line.name,
            "state": line.state,
            "devices": len(line.line.devices),
            "why": "" if line.why is None else line.why.say(language),
        }
        for line in house.supervisor.lines
    ]
    return sorted(found, key=lambda line: (line["state"] == "running", show.natural(str(line["name"]))))


def spots(house: House) -> list[Spot]:
    """The tree of places."""
    counts = Counter(device.place for device in house.site.devices)
    return _spots(house, house.config.site.places, "", counts)


def _spots(house: House, level: Mapping[str, RoomConfig], above: str, counts: Mapping[str, int]) -> list[Spot]:
    return sorted(
        (_spot(house, f"{above}{name}", room, counts) for name, room in level.items()),
        key=lambda spot: show.natural(spot.label),
    )


def _spot(house: House, path: str, room: RoomConfig, counts: Mapping[str, int]) -> Spot:
    below: dict[str, RoomConfig] = {}
    for key in _INSIDE:
        below |= getattr(room, key, {})
    inside = _spots(house, below, f"{path}/", counts)
    devices = counts.get(path, 0) + sum(spot.devices for spot in inside)
    return Spot(path, room.label, house.site.place(path).grid or "", devices, inside)
