"""The wall of devices: buildings, their units, their floors from top to bottom, on each floor the worst first."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import Response

from gateway.house import House
from gateway.site import Site
from gateway.taxonomy import KINDS
from gateway.web import words
from gateway.web.catalogue import Speaker
from gateway.web.frame import Frame
from gateway.web.show import natural, state_of
from gateway.web.visitor import Sees

WORST_FIRST = tuple(words.STATES)
ABNORMAL = "abnormal"
CALM_SHOWN = 120  # devices; of more, what is normal is counted, until a building is chosen
QUERY_CHARS = 60


@dataclass(frozen=True)
class Tile:
    """A device on the wall."""

    id: str
    name: str
    kind: str
    driver: str
    state: str
    online: bool
    place: str
    place_label: str
    last_seen: str | None
    battery: str | None

    @property
    def calm(self) -> bool:
        """Nothing about it asks for anybody."""
        return self.state == "normal"

    @property
    def key(self) -> tuple[Any, ...]:
        """The worst first, then by name."""
        return WORST_FIRST.index(self.state), natural(self.name), self.id


@dataclass(frozen=True)
class Floor:
    """A floor, or whatever stands at one level of a building; `calm` devices of it are only counted."""

    path: str
    label: str
    tiles: Sequence[Tile]
    calm: int = 0


@dataclass(frozen=True)
class Unit:
    """A unit of a building, its floors from top to bottom; the building itself where it has no label."""

    path: str
    label: str
    floors: Sequence[Floor]


@dataclass(frozen=True)
class Building:
    """A building or a named spot."""

    path: str
    label: str
    units: Sequence[Unit]
    counts: Mapping[str, int]  # devices by state

    @property
    def worst(self) -> str:
        """Its worst state; unknown where nothing stands in it."""
        return next((state for state in WORST_FIRST if self.counts.get(state)), "unknown")

    @property
    def total(self) -> int:
        """All its devices."""
        return sum(self.counts.values())

    @property
    def abnormal(self) -> int:
        """Those that are not normal."""
        return self.total - self.counts.get("normal", 0)


@dataclass(frozen=True)
class Wanted:
    """Which devices: "" takes all."""

    building: str = ""
    state: str = ""  # ABNORMAL, or one of the states
    kind: str = ""
    q: str = ""

    def takes(self, tile: Tile, label: str) -> bool:
        """Is it one of them? `label` is what its kind is called."""
        text = " ".join((tile.id, tile.name, tile.place_label, label)).casefold()
        return (
            self.building in ("", tile.place.partition("/")[0])
            and (self.state in ("", tile.state) or (self.state == ABNORMAL and not tile.calm))
            and self.kind in ("", tile.kind)
            and all(word in text for word in self.q.casefold().split())
        )

    def link(self, **changes: str) -> str:
        """The wall with some of it changed."""
        chosen = {name: value for name, value in vars(replace(self, **changes)).items() if value}
        return "/devices" + (f"?{urlencode(chosen)}" if chosen else "")


class Wall:
    """The wall as one visitor wants it."""

    def __init__(self, house: House, wanted: Wanted, language: str) -> None:
        self.wanted = wanted
        self._site = house.site
        self._language = language
        self._all = [tile_of(device) for device in house.devices()]

    @cached_property
    def shown(self) -> list[Tile]:
        """The devices that are wanted."""
        return [tile for tile in self._all if self.wanted.takes(tile, kind_label(tile.kind, self._language))]

    @cached_property
    def folded(self) -> bool:
        """What is calm is only counted."""
        chosen = self.wanted.building or self.wanted.state or self.wanted.q
        return not chosen and len(self.shown) > CALM_SHOWN

    @property
    def counts(self) -> Counter[str]:
        """All devices of the chosen building by state, whatever else is chosen."""
        return Counter(tile.state for tile in self._all if self.wanted.building in ("", tile.place.partition("/")[0]))

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Kinds that there are, with what they are called."""
        kinds = {tile.kind: kind_label(tile.kind, self._language) for tile in self._all}
        return sorted(kinds.items(), key=lambda pair: natural(pair[1]))

    @cached_property
    def ways(self) -> list[Building]:
        """Every building with its counts, for the chips."""
        return list(_buildings(self._site, self._all, lambda _: ()))

    @cached_property
    def buildings(self) -> list[Building]:
        """What is shown."""
        return list(_buildings(self._site, self.shown, self._units))

    def _units(self, tiles: Sequence[Tile]) -> list[Unit]:
        units = _by(tiles, lambda tile: _upto(tile.place, 2))
        made = [self._unit(path, inside) for path, inside in units.items()]
        return sorted(made, key=lambda unit: (bool(unit.label), natural(unit.label)))

    def _unit(self, path: str, tiles: Sequence[Tile]) -> Unit:
        floors = _by(tiles, lambda tile: _upto(tile.place, 3))
        made = [self._floor(at, path, inside) for at, inside in floors.items()]
        made.sort(key=lambda floor: (bool(floor.label), natural(floor.label)), reverse=True)
        return Unit(path, _own_label(self._site, path, 1), _storeys(made))

    def _floor(self, path: str, unit: str, tiles: Sequence[Tile]) -> Floor:
        shown = sorted((tile for tile in tiles if not (self.folded and tile.calm)), key=lambda tile: tile.key)
        label = "" if path == unit else _own_label(self._site, path, 2)
        return Floor(path, label, shown, len(tiles) - len(shown))


def _storeys(floors: Sequence[Floor]) -> list[Floor]:
    """Floors on each other of which nothing is shown become one: `5层–9层`."""
    found: list[Floor] = []
    for floor in floors:
        above = found[-1] if found else floor
        if found and floor.label and not floor.tiles and not above.tiles:
            label = f"{floor.label}–{above.label.rpartition('–')[2]}"
            found[-1] = Floor(floor.path, label, (), above.calm + floor.calm)
        else:
            found.append(floor)
    return found


def _buildings(
    site: Site, tiles: Sequence[Tile], units: Callable[[Sequence[Tile]], Sequence[Unit]]
) -> Iterable[Building]:
    found = _by(tiles, lambda tile: _upto(tile.place, 1))
    for path in sorted(found, key=lambda path: natural(site.place(path).label)):
        counts = Counter(tile.state for tile in found[path])
        yield Building(path, site.place(path).label, units(found[path]), counts)


def _by(tiles: Iterable[Tile], key: Callable[[Tile], str]) -> dict[str, list[Tile]]:
    found: dict[str, list[Tile]] = {}
    for tile in tiles:
        found.setdefault(key(tile), []).append(tile)
    return found


def _upto(path: str, levels: int) -> str:
    return "/".join(path.split("/")[:levels])


def _own_label(site: Site, path: str, above: int) -> str:
    """A place without what it stands in, which is told already; empty where it is that itself."""
    return site.place(path).label.removeprefix(site.place(_upto(path, above)).label)


def tile_of(device: Mapping[str, Any]) -> Tile:
    """Of a document of `house.devices()`. A state that nobody knows is unknown."""
    state = state_of(device)
    return Tile(
        device["device"],
        device["label"],
        device["kind"],
        device["driver"],
        state if state in words.STATES else "unknown",
        device["online"],
        device["place"],
        device["place_label"],
        device.get("last_seen"),
        battery(device["values"]),
    )


def battery(values: Mapping[str, Any]) -> str | None:
    """`83 %`, where the device tells."""
    told = next((values[name] for name in ("battery", "battery_level", "battery_percent") if name in values), None)
    level = told.get("value") if told is not None else None
    if isinstance(level, bool) or not isinstance(level, int | float):
        return None
    return f"{level:g} {told.get('unit', '%')}" if told is not None else None


def kind_label(kind: str, language: str) -> str:
    """What a kind of device is called; its own word where the taxonomy has none."""
    found = KINDS.get(kind)
    return kind if found is None else {"zh": found.zh, "en": found.en}[language]


def word(say: Speaker, group: str, name: str) -> str:
    """A word of a device or driver in the catalogue's (`{group}_{name}`), as it is where nobody has put it there."""
    try:
        return say(f"{group}_{name}")
    except KeyError:
        return name


def add(app: FastAPI, frame: Frame) -> None:
    """The route."""

    @app.get("/devices", include_in_schema=False)
    async def devices(
        request: Request, _: Sees, building: str = "", state: str = "", kind: str = "", q: str = ""
    ) -> Response:
        language = frame.language(request)
        wall = Wall(frame.house, Wanted(building, state, kind, q.strip()[:QUERY_CHARS]), language)
        return frame.page(
            request,
            "devices",
            "devices.html",
            wall=wall,
            wanted=wall.wanted,
            states=WORST_FIRST,
            kind_label=lambda kind: kind_label(kind, language),
        )
