"""Alarms: what waits for a person, fire first; and the page of each one, from its first word to its end."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from gateway.alarms import Alarm
from gateway.charge import Charge, charge
from gateway.errors import Text
from gateway.escalation import begun_ms
from gateway.event import Severity
from gateway.house import House
from gateway.measures import cover
from gateway.web import alarmform, alarmpast, alarmstory
from gateway.web.alarmlook import Look, Spot, buildings, looks, spot
from gateway.web.alarmpast import Tale
from gateway.web.catalogue import Speaker
from gateway.web.frame import Frame
from gateway.web.show import label, natural
from gateway.web.visitor import needs

SHELVED_FOR = ((30, "in_minutes", 30), *((hours * 60, "in_hours", hours) for hours in (1, 2, 4, 8)))  # minutes
SHIELDED_FOR = ((1, "in_hours", 1), (8, "in_hours", 8), *((days * 24, "in_days", days) for days in (1, 7, 30)))  # hours
CAUSES = ("dust", "steam", "cooking", "works", "smoking", "incense", "charging", "broken", "door", "mistake")
TABS: Mapping[str, Callable[[Look], bool]] = {
    "todo": lambda look: _stands(look) and (look.doc["flags"]["active"] or not look.acknowledged),
    "over": lambda look: _stands(look) and look.doc["state"] == "cleared_unacked",
    "latched": lambda look: _stands(look) and look.doc["state"] == "latched",
    "covered": lambda look: look.covered,
    "test": lambda look: look.test and not look.covered,
}
PAST = "past"


class Heap(NamedTuple):
    """Alarms of one cause, the one that stands for all first; `cause` is None for one that stands alone."""

    look: Look
    others: Sequence[Look] = ()
    cause: Text | None = None


class Choice(NamedTuple):
    """What of a list is asked for."""

    tab: str
    building: str
    type: str

    def takes(self, look: Look) -> bool:
        """Is it one of them?"""
        here = self.building in ("", look.spot.building) and self.type in ("", look.doc["type"])
        return here and TABS[self.tab](look)


def add(app: FastAPI, frame: Frame) -> None:
    """The views, and the steps."""
    alarmform.add(app, frame)

    @app.get("/alarms", include_in_schema=False, dependencies=[needs("see").depends])
    async def alarms(
        request: Request, tab: str = "todo", building: str = "", type: str = "", before: str = ""
    ) -> HTMLResponse:
        found = looks(frame.house.site, frame.house.alarms())
        if tab == PAST:
            return frame.page(request, "alarms", "alarms.html", **await _past(frame.house, found, before))
        choice = Choice(tab if tab in TABS else "todo", building, type)
        return frame.page(request, "alarms", "alarms.html", **listed(found, choice, frame.language(request)))

    @app.get("/alarms/{alarm}", include_in_schema=False, dependencies=[needs("see").depends])
    async def alarm(request: Request, alarm: str) -> HTMLResponse:
        values = await _one(frame, alarm, frame.language(request))
        if values is None:
            return frame.page(request, "alarms", "alarm_missing.html", status=404, wanted=alarm[:64])
        return frame.page(request, "alarms", "alarm.html", **values)


def listed(found: Sequence[Look], choice: Choice, language: str) -> dict[str, Any]:
    """What the template says of the open ones. Pure."""
    pinned = (look for look in found if choice.tab == "todo" and look.doc.get("first_fire") and not look.test)
    first = next(pinned, None)
    return {
        "choice": choice,
        "counts": _counts(found),
        "first": first,
        "heaps": heaps(look for look in found if choice.takes(look) and look is not first),
        "rest": sum(not look.acknowledged and look.doc["severity"] != Severity.CRITICAL for look in found),
        "buildings": buildings(found),
        "types": sorted({look.doc["type"] for look in found}, key=lambda type: natural(label(type, language))),
        "past": None,
    }


def heaps(found: Iterable[Look]) -> list[Heap]:
    """Those of one cause together, where the first of them stands; none is left out."""
    lots: dict[str, list[Look]] = {}
    for look in found:
        lots.setdefault(look.doc.get("group", {}).get("key") or look.id, []).append(look)
    return [_heap(lot) for lot in lots.values()]


def _heap(lot: Sequence[Look]) -> Heap:
    if len(lot) == 1:
        return Heap(lot[0])
    head = next((look for look in lot if look.doc["group"]["head"]), lot[0])
    return Heap(head, [look for look in lot if look is not head], Text(**head.doc["group"]["cause"]))


def _stands(look: Look) -> bool:
    return not look.test and not look.covered


def _counts(found: Sequence[Look]) -> dict[str, int]:
    return {tab: sum(map(takes, found)) for tab, takes in TABS.items()}


async def _past(house: House, found: Sequence[Look], before: str) -> dict[str, Any]:
    open_ = frozenset(look.id for look in found)
    page = await house.store.read(partial(alarmpast.page, before=alarmpast.parse(before), open_=open_))
    told = [(tale, _spot(house, tale)) for tale in page.tales]
    return listed(found, Choice("todo", "", ""), "zh") | {
        "choice": Choice(PAST, "", ""),
        "heaps": [],
        "past": told,
        "older": page.older,
        "newest": not before,
    }


def _spot(house: House, tale: Tale) -> Spot:
    """Where it was: the device's place, else what its event said of it."""
    event = tale.opening
    where = spot(house.site, house.config.gateway.id, event["subject"])
    return where if where.known else where._replace(place=str(event["data"].get("place", {}).get("label", "")))


async def _one(frame: Frame, wanted: str, language: str) -> dict[str, Any] | None:
    """What the template says of one alarm, open or over. None: there is none, or none any more."""
    house = frame.house
    book = await house.pipeline.load()
    open_ = book.find(wanted)
    if open_ is not None and open_.severity is Severity.INFO:
        return None
    most_rows = alarmpast.OPEN_ROWS if open_ else alarmpast.SCAN_ROWS
    tale = await house.store.read(partial(alarmpast.tale, alarm_id=open_.id if open_ else wanted, most_rows=most_rows))
    if open_ is not None:
        look = Look(house.alarm(open_), spot(house.site, house.config.gateway.id, open_.device))
        charged = _charged(house, open_, frame.zone)
        over = cover(book, open_)
        why = next((laid.cause for laid in (over.shelf, over.shield) if laid is not None), "")
        more = {"look": look, "charge": charged, "type": open_.type, "why": why}
        return _told(look.spot, tale, look.doc, language) | more
    if tale is not None:
        return _told(_spot(house, tale), tale, None, language) | {"type": tale.opening["type"]}
    return None


def _told(where: Spot, tale: Tale | None, doc: Mapping[str, Any] | None, language: str) -> dict[str, Any]:
    say = Speaker("alarms", language)
    return {
        "look": None,
        "charge": None,
        "spot": where,
        "tale": tale,
        "lines": alarmstory.lines(doc, tale),
        "known": alarmstory.KNOWN,
        "outcomes": alarmform.outcomes(doc) if doc else [],
        "causes": [say(f"cause_{name}") for name in CAUSES],
        "minutes": SHELVED_FOR,
        "hours": SHIELDED_FOR,
    }


def _charged(house: House, alarm: Alarm, zone: ZoneInfo) -> Charge | None:
    """Who is responsible for it, and what that rests on."""
    local = datetime.fromtimestamp(begun_ms(alarm) / 1000, zone)
    known = {device.id: device.place for device in house.site.devices}
    return charge(house.config.responsibility, alarm.type, known.get(alarm.device, ""), local)
