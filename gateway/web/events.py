"""`/events` 事件: what happened, newest first, 50 a page; the same filters make the table to take along."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from gateway.browse import Browse, Page, Wanted
from gateway.house import House
from gateway.taxonomy import CATEGORIES, TYPES
from gateway.web import show
from gateway.web.catalogue import Speaker
from gateway.web.eventrows import Row, Rows
from gateway.web.frame import Frame
from gateway.web.inputs import PATTERNS, moment_ms
from gateway.web.visitor import needs

PAGE_EVENTS = 50
MOST_BACK = 30  # pages that one can go back by steps
SHAPES = {"fire": "▲", "alarm": "◆", "fault": "!", "test": "◇", "over": "✓", "plain": "·"}
_BUT_MEASURED = tuple(f"{name}.*" for name in CATEGORIES if name != "telemetry")
_LONGEST_CHARS = 100


@dataclass(frozen=True)
class Asked:
    """The filters as they stand in the form; empty takes all."""

    type: str = ""
    place: str = ""
    device: str = ""
    since: str = ""
    until: str = ""
    text: str = ""
    alarm: str = ""

    @property
    def given(self) -> dict[str, str]:
        """Those that say something."""
        return {name: value for name, value in vars(self).items() if value}

    def wanted(self, frame: Frame) -> Wanted:
        """As they are looked for. ValueError: the one that cannot be, by its name."""
        return Wanted(
            types=(_one_of(self.type, PATTERNS, "type"),) if self.type else _BUT_MEASURED,
            places=(self.place,) if self.place else (),
            devices=(self.device,) if self.device else (),
            since_ms=_day_ms(frame, self.since, "since"),
            until_ms=_day_ms(frame, self.until, "until", end=True),
            text=self.text,
            alarm=self.alarm,
        )


def _one_of(name: str, names: tuple[str, ...], where: str) -> str:
    if name not in names:
        raise ValueError(where)
    return name


def _day_ms(frame: Frame, day: str, where: str, *, end: bool = False) -> int | None:
    if not day:
        return None
    try:
        date.fromisoformat(day)
        return moment_ms(day, frame.zone, end=end)
    except (ValueError, OverflowError) as exc:
        raise ValueError(where) from exc


def add(app: FastAPI, frame: Frame) -> None:
    """The view."""

    @app.get("/events", include_in_schema=False, dependencies=[needs("see").depends])
    async def events(
        request: Request,
        cursor: Annotated[str, Query(max_length=36)] = "",
        trail: Annotated[str, Query(max_length=37 * MOST_BACK)] = "",
    ) -> Response:
        query = request.query_params
        asked = Asked(**{name: query.get(name, "").strip()[:_LONGEST_CHARS] for name in vars(Asked())})
        language, house = frame.language(request), frame.house
        values: dict[str, Any] = {"asked": asked, "chosen": choices(house, language), "at": cursor, "shapes": SHAPES}
        try:
            wanted = asked.wanted(frame)
        except ValueError as wrong:
            values |= {"rows": [], "stopped": False, "links": links(asked, Page([], None), "", ""), "wrong": str(wrong)}
            return frame.page(request, "events", "events.html", status=400, **values)
        page = await Browse(house.store, house.site).page(wanted, cursor or None, PAGE_EVENTS)
        told, open_ = Rows(house, language), {alarm["alarm"] for alarm in house.alarms()}
        values |= {"rows": [seen(told.row(event), event, open_) for event in page.events], "stopped": page.stopped}
        values["links"] = links(asked, page, cursor, trail)
        return frame.page(request, "events", "events.html", wrong="", **values)


@dataclass(frozen=True)
class Seen:
    """A row with its look: colour class, and where its alarm is shown."""

    row: Row
    look: str
    link: str


def seen(row: Row, event: Mapping[str, Any], open_: set[str]) -> Seen:
    """An alarm that is over has no page of its own: its link leads to all events that belong to it."""
    asks = event["severity"] != "info" and event["phase"] != "clear"
    look = show.hue(row.type) if asks else "over" if event["phase"] == "clear" else "plain"
    link = f"/alarms/{row.alarm}" if row.alarm in open_ else f"/events?alarm={row.alarm}" if row.alarm else ""
    return Seen(row, "test" if asks and row.test else look, link)


def links(asked: Asked, page: Page, cursor: str, trail: str) -> dict[str, str]:
    """To other pages of the same search, and to its table; only those that lead somewhere."""
    back = [step for step in trail.split(",") if step]

    def to(path: str, **more: str) -> str:
        query = urlencode(asked.given | {name: value for name, value in more.items() if value})
        return f"{path}?{query}" if query else path

    table = urlencode({"type": _BUT_MEASURED} | asked.given, doseq=True)
    found = {name: f"/api/v1/export.{name}?{table}" for name in ("csv", "xlsx")}
    if cursor:
        found["newest"] = to("/events")
        found["newer"] = to("/events", cursor=back[-1] if back else "", trail=",".join(back[:-1]))
    if page.cursor:
        steps = [*back, cursor][-MOST_BACK:] if cursor else []
        found["older"] = to("/events", cursor=page.cursor, trail=",".join(steps))
    return found


def choices(house: House, language: str) -> dict[str, Any]:
    """What may be chosen: types by category, places, devices with their places."""
    say = Speaker("events", language)
    groups = groupby(TYPES.values(), key=lambda row: row.category)
    types: dict[str, list[tuple[str, str]]] = {}
    for category, rows in groups:
        name = CATEGORIES[category].say(language)
        listed = types.setdefault(name, [(f"{category}.*", say("type_of", name=name))])
        listed += [(row.name, row.label.say(language)) for row in rows]
    devices = [(d.id, d.name or d.id, house.site.place(d.place).label) for d in house.site.devices]
    return {
        "types": types,
        "places": sorted(((p.path, p.label) for p in house.site.places), key=lambda place: show.natural(place[1])),
        "devices": sorted(devices, key=lambda device: (show.natural(device[2]), show.natural(device[1]))),
    }
