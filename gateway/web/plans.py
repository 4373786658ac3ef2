"""Floor plans: a picture for a place, its devices on it, in a list beside it, and alone where there is no picture."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import FastAPI, Request
from fastapi.responses import Response

from gateway.deeds import NotFound
from gateway.drawings import MOST_BYTES, NoDrawing, drawing
from gateway.errors import Text
from gateway.house import House
from gateway.plans import MOST_PERMILLE, Pin, Sheet
from gateway.site import Place
from gateway.web.catalogue import sayings
from gateway.web.devices import WORST_FIRST, Tile, tile_of
from gateway.web.frame import Frame
from gateway.web.posted import Form, WrongForm, done
from gateway.web.show import natural
from gateway.web.visitor import Sees, needs, visitor_of

ROOM = "plans"
_ALL = sayings(ROOM)
_EDGE_BYTES = 4096  # of a form around the picture itself
_DRAIN_BYTES = 64 * 2**20  # read on and thrown away, so that the browser gets to read why
_BOUNDARY = re.compile(rb'multipart/form-data;.*\bboundary="?([^";\s]{1,70})"?', re.IGNORECASE)
_PERCENT = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3})?")


@dataclass(frozen=True)
class Level:
    """A place with its devices, for the way through the plans."""

    place: Place
    depth: int
    label: str  # without what it stands in
    worst: str
    count: int
    has_picture: bool


@dataclass(frozen=True)
class Spot:
    """A device on a picture, in percent."""

    tile: Tile
    x: float
    y: float


class Plan:
    """What a visitor sees of the plan of one place."""

    def __init__(self, house: House, path: str, sheets: Mapping[str, Sheet], pins: Mapping[str, Pin]) -> None:
        self.place = house.site.place(path)
        self.sheet = sheets.get(path)
        tiles = [tile_of(device) for device in house.devices() if _within(device["place"], path)]
        self.tiles = sorted(tiles, key=lambda tile: tile.key)
        here = {tile.id: tile for tile in self.tiles}
        placed = [(here[name], pin) for name, pin in pins.items() if name in here]
        placed.sort(key=lambda pair: pair[0].key, reverse=True)  # the worst is drawn last, over the others
        self.spots = [Spot(tile, pin.x / 10, pin.y / 10) for tile, pin in placed]
        self._pinned = {spot.tile.id for spot in self.spots}

    @property
    def unplaced(self) -> list[Tile]:
        """Devices that are not on the picture yet."""
        return [tile for tile in self.tiles if tile.id not in self._pinned]


def levels(house: House, sheets: Mapping[str, Sheet], building: str = "") -> list[Level]:
    """Every building with devices in it or a picture, and what is in one of them, as it is read from top to bottom."""
    tiles = [tile_of(device) for device in house.devices()]
    open_ = [place for place in house.site.places if "/" not in place.path or _within(place.path, building)]
    made = [_level(house, place, tiles, sheets) for place in open_]
    shown = [level for level in made if level.count or level.has_picture]
    return sorted(shown, key=lambda level: _order(house, level.place.path))


def _level(house: House, place: Place, tiles: Sequence[Tile], sheets: Mapping[str, Sheet]) -> Level:
    mine = [tile for tile in tiles if _within(tile.place, place.path)]
    worst = min((tile.state for tile in mine), key=WORST_FIRST.index, default="unknown")
    above, _, _ = place.path.rpartition("/")
    label = place.label.removeprefix(house.site.place(above).label) if above else place.label
    return Level(place, place.path.count("/"), label or place.label, worst, len(mine), place.path in sheets)


def _order(house: House, path: str) -> list[Any]:
    steps = path.split("/")
    return [natural(house.site.place("/".join(steps[: number + 1])).label) for number in range(len(steps))]


def _within(place: str, path: str) -> bool:
    return place == path or place.startswith(f"{path}/")


def _paths(house: House) -> set[str]:
    return {place.path for place in house.site.places}


def _known(house: House, path: str) -> str:
    if path not in _paths(house):
        raise NotFound(path, _ALL["no_place"], _ALL["do_choose"])
    return path


def _of(house: House, device: str, path: str) -> str:
    """NotFound: it does not stand in this place."""
    if device not in {one.id for one in house.site.devices if _within(one.place, path)}:
        raise NotFound(device, _ALL["no_device_here"], _ALL["do_choose"])
    return device


def _chosen(house: House, place: str, device: str, sheets: Mapping[str, Sheet]) -> str:
    """The place to show: as asked for; else the nearest plan around the device, or around the worst that calls;
    else the first with a picture.
    """
    if place:
        return _known(house, place)
    tiles = map(tile_of, house.devices())
    calling = min((tile for tile in tiles if tile.state in ("fire", "alarm")), key=lambda tile: tile.key, default=None)
    device = device or (calling.id if calling else "")
    if device in {one.id for one in house.site.devices}:
        path = house.site.device(device).place
        around = [path.rsplit("/", up)[0] for up in range(path.count("/") + 1)]
        return next((each for each in around if each in sheets), path)
    pictured = sorted((path for path in sheets if path in _paths(house)), key=lambda path: _order(house, path))
    if pictured:
        return pictured[0]
    first = levels(house, sheets)
    return first[0].place.path if first else ""


def add(app: FastAPI, frame: Frame) -> None:
    """The routes."""
    house = frame.house

    @app.get("/plans", include_in_schema=False)
    async def plans(
        request: Request, visitor: Sees, place: str = "", device: str = "", arrange: bool = False
    ) -> Response:
        sheets = await house.plans.sheets()
        path = _chosen(house, place, device, sheets)
        plan = Plan(house, path, sheets, await house.plans.pins(path)) if path else None
        arranging = arrange and visitor.may("cover") and plan is not None and plan.sheet is not None
        return frame.page(
            request,
            ROOM,
            "plans.html",
            plan=plan,
            levels=levels(house, sheets, path.partition("/")[0]),
            device=device,
            arranging=arranging,
            wide=_wide,
        )

    @app.get("/plans/{place:path}/picture", include_in_schema=False, dependencies=[needs("see").depends])
    async def picture(request: Request, place: str) -> Response:
        sheet, body = (await house.plans.sheets()).get(place), await house.plans.picture(place)
        if sheet is None or body is None:
            raise NotFound(place, _ALL["no_picture"], _ALL["do_choose"])
        headers = {"ETag": f'"{sheet.version}"', "Cache-Control": "private, no-cache", "Content-Disposition": "inline"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=sheet.content_type, headers=headers)

    _add_steps(app, frame)


def _add_steps(app: FastAPI, frame: Frame) -> None:
    house = frame.house
    fresh = [needs("cover", fresh=True).depends]

    @app.post("/plans/{place:path}/picture", include_in_schema=False, dependencies=fresh)
    async def bring(request: Request, place: str) -> Response:
        made = drawing(await _brought(request))
        await house.audit.put(visitor_of(request).by, "plan.picture", _known(house, place))
        await house.plans.put(place, made)
        return _told(frame, request, "picture_kept", _link(place, arrange="true"))

    @app.post("/plans/{place:path}/remove", include_in_schema=False, dependencies=fresh)
    async def remove(request: Request, place: str) -> Response:
        await house.audit.put(visitor_of(request).by, "plan.remove", _known(house, place))
        await house.plans.remove(place)
        return _told(frame, request, "picture_removed", _link(place))

    @app.post("/plans/{place:path}/pin", include_in_schema=False, dependencies=[needs("cover").depends])
    async def pin(request: Request, place: str, form: Form) -> Response:
        device = _of(house, form.get("device", ""), _known(house, place))
        gone = form.get("step") == "remove"
        there = None if gone else Pin(_permille(form, "x"), _permille(form, "y"))
        await house.audit.put(visitor_of(request).by, "plan.pin", device, place=place)
        await house.plans.pin(place, device, there)
        key = "pin_removed" if gone else "pin_kept"
        return _told(frame, request, key, "" if form.get("dragged") else _link(place, arrange="true"))


def _wide(text: str) -> int:
    """About how wide a word of a pin is, in CSS pixels."""
    return 20 + sum(15 if char > "⺀" else 9 for char in text)


def _told(frame: Frame, request: Request, key: str, then: str) -> Response:
    return done(_ALL[key].say(frame.language(request)), then)


def _link(place: str, **more: str) -> str:
    return f"/plans?{urlencode({'place': place, **more}, quote_via=quote)}"


def _permille(form: Mapping[str, str], name: str) -> int:
    """A share of the picture's side, told in percent. WrongForm."""
    value = form.get(name, "").strip()
    if not _PERCENT.fullmatch(value) or float(value) > 100:
        what = Text(f"“{name}” is no number from 0 to 100", f"“{name}”应为 0 至 100 的数")
        raise WrongForm(name, what, _ALL["do_percent"])
    return round(float(value) * MOST_PERMILLE / 100)


async def _brought(request: Request) -> bytes:
    """The one file in a form, or the body where it is no form. NoDrawing: it is too large, or there is none."""
    body, boundary = bytearray(), _BOUNDARY.fullmatch(request.headers.get("content-type", "").encode())
    size_bytes = 0
    async for piece in request.stream():
        size_bytes += len(piece)
        if size_bytes <= MOST_BYTES + _EDGE_BYTES:
            body += piece
        elif size_bytes > _DRAIN_BYTES:
            break
    if size_bytes > MOST_BYTES + _EDGE_BYTES:
        raise NoDrawing("picture", _ALL["too_large"], _ALL["do_smaller"])
    if boundary is None:
        return bytes(body)
    for part in bytes(body).split(b"--" + boundary[1])[1:]:
        head, gap, content = part.partition(b"\r\n\r\n")
        if gap and b"filename=" in head:
            return content.removesuffix(b"\r\n")
    raise NoDrawing("picture", _ALL["no_file"], _ALL["do_file"])
