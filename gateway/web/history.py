"""`/settings/history`: configurations that ran here, what differs between two, and the way back."""

from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from gateway.errors import GatewayError, Text
from gateway.house import House
from gateway.renewal import Renewal
from gateway.revisions import History, Revision
from gateway.web import child
from gateway.web.frame import Frame
from gateway.web.settings import done, in_alarm, unfiled
from gateway.web.visitor import needs, visitor_of

PATIENCE_S = 30.0
_CONFIGURES = needs("configure").depends
_FRESH = needs("configure", fresh=True).depends
_LINES = {"+": "more", "-": "less", "@": "place"}


@dataclass(frozen=True)
class Row:
    """A revision as it is shown."""

    revision: Revision
    state: str  # running, trying, kept, earlier, rolled-back
    place: str  # file, cli, page, uplink
    uplink: str

    @property
    def runs(self) -> bool:
        """Now?"""
        return self.state in ("running", "trying")


@dataclass(frozen=True)
class Difference:
    """Of two revisions, in lines with their kind; `hidden`: in passwords or keys only."""

    old: int
    new: int
    lines: tuple[tuple[str, str], ...] = ()
    hidden: bool = False
    wrong: GatewayError | None = None


def rows(history: History) -> list[Row]:
    """The newest first."""
    return [_row(history, revision) for revision in reversed(history.revisions)]


def _row(history: History, revision: Revision) -> Row:
    state = "rolled-back" if revision.failed is not None else "earlier"
    if revision.number == history.current:
        state = "running" if history.trial is None else "trying"
    elif revision.number == history.running:
        state = "kept"
    place, _, uplink = revision.place.partition(":")
    return Row(revision, state, place, uplink)


def add(app: FastAPI, frame: Frame) -> None:
    """The routes."""
    house = frame.house

    @app.get("/settings/history", include_in_schema=False, dependencies=[_CONFIGURES])
    async def page(request: Request, old: int = 0, new: int = 0) -> Response:
        renewal = house.renewal
        listed = [] if renewal is None else rows(renewal.history)
        differs = await _difference(house, old, new, frame.language(request)) if old and new else None
        values: dict[str, Any] = {
            "rows": listed,
            "filed": renewal is not None,
            "differs": differs,
            "alarm": in_alarm(house),
        }
        return frame.page(request, "settings", "settings_history.html", **values)

    @app.post("/settings/history/{number}/run", include_in_schema=False, dependencies=[_FRESH])
    async def run(request: Request, number: int) -> Response:
        await _renewal(house).roll_back(number, visitor_of(request).by)
        return done(frame, request, "rolls_back", number=number)

    @app.post("/settings/reload", include_in_schema=False, dependencies=[_FRESH])
    async def reload(request: Request) -> Response:
        await _renewal(house).reload(visitor_of(request).by)
        return done(frame, request, "reloads")


def _renewal(house: House) -> Renewal:
    if house.renewal is None:
        raise unfiled(house)
    return house.renewal


async def _difference(house: House, old: int, new: int, language: str) -> Difference:
    """By the command line: to hide secrets, YAML is read, which takes its time."""
    renewal = house.renewal
    if renewal is None:
        return Difference(old, new, wrong=unfiled(house))
    absent = [number for number in (old, new) if renewal.history.find(number) is None]
    if absent:
        what = Text(f"there is no revision {absent[0]}", f"没有版本 {absent[0]}")
        return Difference(old, new, wrong=GatewayError("config", what))
    where = ("--config", str(renewal.file), "--state-dir", str(house.config.gateway.state_dir))
    numbers = (str(old), str(new))
    try:
        told = await child.asked("config", "diff", *numbers, *where, language=language, patience_s=PATIENCE_S)
    except GatewayError as error:
        return Difference(old, new, wrong=error)
    lines = tuple((_LINES.get(line[:1], "same"), line) for line in told["diff"])
    return Difference(old, new, lines, told["secrets_differ"])
