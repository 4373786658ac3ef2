"""The first screen: tiles, what waits for a person, the wall by building, live events, the way to the platforms."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from gateway.casebook import UNDER_WAY
from gateway.config import Config
from gateway.errors import StorageError
from gateway.web import words
from gateway.web.frame import Frame
from gateway.web.glance import COVERED, OF_LINKS, TILES, Glance
from gateway.web.hub import newest
from gateway.web.show import between_s, hue, natural, row, state_of
from gateway.web.validity import SOON_DAYS, validities
from gateway.web.visitor import needs

MOST_TODOS = 6  # shown; the others are counted
_WORST_FIRST = tuple(words.STATES)
_URGENT = ("fire", "alarm", "incident", "disk", "uplink", "driver", "certificate", "clock", "fault")
_TILE_SIGNS = {
    "fire": ("▲", "fire"),
    "started": ("▶", "red"),
    "feedback": ("↩", "red"),
    "supervisory": ("◉", "red"),
    "shielded": ("▨", "shielded"),
    "fault": ("!", "fault"),
    "link": ("⊘", "unknown"),
    "alarm": ("◆", "alarm"),
}


@dataclass(frozen=True)
class Tile:
    """One lamp: lit where its count is not zero."""

    name: str
    shape: str
    look: str
    count: int


@dataclass(frozen=True)
class Building:
    """What the wall shows of one."""

    path: str
    label: str
    state: str
    abnormal: int
    total: int


@dataclass(frozen=True)
class Todo:
    """What waits for a person. `step` names the sentence that says what to do."""

    kind: str  # of _URGENT
    state: str  # whose sign it bears
    step: str
    href: str
    type: str = ""  # an event type, else `what_{step}` says what it is
    where: str = ""
    since: str | None = None
    count: int = 1
    why: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Way:
    """One platform."""

    name: str
    state: str
    since: str | None
    backlog: int
    oldest_s: float
    confirmed: int
    late: int
    last: tuple[str, float] | None  # when it confirmed an alarm last, and how long that took in seconds
    why: Mapping[str, str] | None


def tiles(glance: Glance) -> list[Tile]:
    """All of them, in their fixed order; alarms that are no fire stand last, apart."""
    counts = {**glance.tiles, "alarm": glance.apart["alarm"]}
    return [Tile(name, *_TILE_SIGNS[name], counts[name]) for name in (*TILES, "alarm")]


def wall(devices: Iterable[Mapping[str, Any]]) -> list[Building]:
    """By building in natural order, each with the state of its worst device."""
    lots: dict[tuple[str, str], list[str]] = {}
    for device in devices:
        path = str(device["place"]).partition("/")[0]
        state = state_of(device)
        lots.setdefault((str(device["building"]), path), []).append(state if state in _WORST_FIRST else "unknown")
    return [
        Building(path, label, min(states, key=_WORST_FIRST.index), len(states) - states.count("normal"), len(states))
        for (label, path), states in sorted(lots.items(), key=lambda lot: (natural(lot[0][0]), lot[0][1]))
    ]


def ways(health: Mapping[str, Any], alarms: Sequence[Mapping[str, Any]]) -> list[Way]:
    """The platforms, as configured."""
    return [_way(name, uplink, alarms) for name, uplink in health["uplinks"].items()]


def _way(name: str, uplink: Mapping[str, Any], alarms: Sequence[Mapping[str, Any]]) -> Way:
    lanes = uplink["lanes"].values()
    proofs = [(alarm["delivery"][name], alarm["first"]) for alarm in alarms if name in alarm.get("delivery", {})]
    done = [(proof["at"], max(0.0, between_s(first, proof["at"]))) for proof, first in proofs if "at" in proof]
    return Way(
        name,
        "connected" if uplink["connected"] else "disconnected",
        uplink["since"],
        sum(lane["backlog"] for lane in lanes),
        max((lane["oldest_s"] for lane in lanes), default=0),
        sum(lane["confirmed"] for lane in lanes),
        uplink.get("unconfirmed_alarms", 0),
        max(done, default=None),
        uplink.get("why"),
    )


def todos(glance: Glance, health: Mapping[str, Any], incidents: Iterable[Mapping[str, Any]] = ()) -> list[Todo]:
    """What waits for a person, the most urgent first, the oldest first of one sort."""
    found = [*_of_alarms(glance), *_of_incidents(incidents), *_of_parts(health)]
    return sorted(found, key=lambda todo: (_URGENT.index(todo.kind), todo.since or "", natural(todo.where)))


def _of_alarms(glance: Glance) -> Iterable[Todo]:
    places = {d["device"]: f"{d['place_label']} {d['label']}".strip() for d in glance.devices}
    for alarm in glance.alarms:
        flags, kind, group = alarm["flags"], hue(alarm["type"]), alarm.get("group")
        settled = alarm["state"] in COVERED or (group and not group["head"])
        if settled or (kind != "fault" and flags["acknowledged"] and flags["confirmed"]):
            continue
        if kind == "fault" and not flags["active"] and flags["acknowledged"]:
            continue
        step = alarm["type"].partition(".")[2] if kind == "fault" else "dispose" if flags["acknowledged"] else "see"
        yield Todo(
            kind,
            "offline" if alarm["type"] in OF_LINKS else kind,
            step if kind != "fault" or step in _FAULT_STEPS else "fault",
            f"/alarms/{alarm['alarm']}",
            alarm["type"],
            places.get(alarm["device"], alarm["device"]),
            alarm["first"],
            group["count"] if group else 1,
            group["cause"] if group else None,
        )


_FAULT_STEPS = ("offline", "battery_low", "power_fault", "end_of_life")


def _of_incidents(incidents: Iterable[Mapping[str, Any]]) -> Iterable[Todo]:
    for case in incidents:
        if case["overdue"] and case["step"] in UNDER_WAY:
            yield Todo("incident", "alarm", "incident", "/notices", where=case["incident"], since=case.get("due"))


def _of_parts(health: Mapping[str, Any]) -> Iterable[Todo]:
    """Of this machine, and of the way to the platforms."""
    if "failing" in health["disk"]:
        yield Todo("disk", "fault", "disk", "/settings", why=health["disk"]["failing"])
    for name, uplink in health["uplinks"].items():
        if "why" in uplink or not uplink["connected"]:
            step = "deaf" if uplink["connected"] else "uplink"
            sign, since, why = "note" if uplink["connected"] else "offline", uplink["since"], uplink.get("why")
            yield Todo("uplink", sign, step, "/uplink", where=name, since=since, why=why)
    for name, driver in health["drivers"].items():
        if driver["state"] != "running":
            yield Todo("driver", "fault", "driver", "/settings", where=name, why=driver.get("why"))
    if health["clock"]["quality"] in ("unsynced", "holdover"):
        yield Todo("clock", "note", "clock", "/settings")


def certificates(config: Config, now: datetime) -> list[Todo]:
    """Those of ours, shown to platforms, that end soon or have ended."""
    return [
        Todo("certificate", "note", "certificate", "/uplink", where=name, since=paper.until.isoformat())
        for name, uplink in config.uplinks.items()
        for paper in validities(uplink, now)
        if paper.use == "cert" and paper.until is not None and paper.days_left < SOON_DAYS
    ]


async def _view(frame: Frame) -> dict[str, Any]:
    house = frame.house
    try:
        await frame.echoes.seed()
        events, incidents = await newest(house.store), await house.incidents.list()
    except StorageError:  # it stands among what waits: the rest is shown all the same
        events, incidents = [], []
    glance, health = frame.glance(), house.health()
    waiting = todos(glance, health, incidents)
    waiting += certificates(house.config, house.vitals.clock.utc())
    return {
        "glance": glance,
        "tiles": tiles(glance),
        "apart": {name: count for name, count in glance.apart.items() if count and name != "alarm"},
        "todos": waiting[:MOST_TODOS],
        "others": max(0, len(waiting) - MOST_TODOS),
        "buildings": wall(glance.devices),
        "rows": [row(event, frame.names) for event in events],
        "skipped": 0,
        "ways": ways(health, glance.alarms),
    }


def add(app: FastAPI, frame: Frame) -> None:
    """The first screen, and the page of help."""

    @app.get("/", include_in_schema=False, dependencies=[needs("see").depends])
    async def page(request: Request) -> Response:
        return frame.page(request, "overview", "overview.html", **await _view(frame))

    @app.get("/help", include_in_schema=False, dependencies=[needs("see").depends])
    async def aid(request: Request) -> Response:
        signs = [(name, state) for state, name in (("verdict", name) for name in words.VERDICTS)]
        return frame.page(request, "help", "overview_help.html", speaks="overview", signs=signs, tiles=_TILE_SIGNS)
