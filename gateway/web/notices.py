"""Notices: what the district feeds back to the community, and its cases, as far as people here have to do with them."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from gateway.feedback import KINDS, STEPS
from gateway.house import House
from gateway.web.alarmlook import spot
from gateway.web.catalogue import Speaker, sayings
from gateway.web.frame import Frame
from gateway.web.posted import Form, done, text
from gateway.web.visitor import Handles, needs

WAY = ("reported", "accepted", "dispatched", "handling", "handled", "verified", "closed")  # 上报 … 结案, in order
PATH = "/notices"
_STANDS = {"returned": "dispatched", "not-passed": "verified", "rejected": "accepted", "void": "closed"}


def add(app: FastAPI, frame: Frame) -> None:
    """The view, and the two steps that people here may take."""
    house = frame.house

    @app.get(PATH, include_in_schema=False, dependencies=[needs("see").depends])
    async def notices(request: Request) -> HTMLResponse:
        language = frame.language(request)
        values: dict[str, Any] = {
            "notices": await house.notices.list(),
            "feedback": await house.notices.feedback(),
            "cases": [_shown(house, case) for case in await house.incidents.list()],
            "stage": lambda name: STEPS[name].say(language),
            "kind": lambda name: KINDS[name].say(language),
            "connected": bool(house.uplinks),
        }
        return frame.page(request, "notices", "notices.html", **values)

    @app.post("/notices/{uplink}/{incident}/handling", include_in_schema=False)
    async def handling(request: Request, visitor: Handles, uplink: str, incident: str, form: Form) -> Response:
        note = text(form, "note", sayings("notices")["note"], needed=False)
        await house.incidents.handling(f"{uplink}/{incident}", visitor.by, note)
        return done(Speaker("notices", frame.language(request))("said_handling"), PATH)

    @app.post("/notices/{uplink}/{incident}/handled", include_in_schema=False)
    async def handled(request: Request, visitor: Handles, uplink: str, incident: str, form: Form) -> Response:
        note = text(form, "note", sayings("notices")["note"])
        picture = text(form, "picture", sayings("notices")["picture"], needed=False)
        await house.incidents.handled(f"{uplink}/{incident}", visitor.by, note, picture)
        return done(Speaker("notices", frame.language(request))("said_handled"), PATH)


def _shown(house: House, case: Mapping[str, Any]) -> dict[str, Any]:
    """A case, with where its alarms are, and how far it is on its way."""
    where = {
        proof["device"]: spot(house.site, house.config.gateway.id, proof["device"])
        for proof in case["evidence"]
        if "device" in proof
    }
    return {**case, "spots": where, "way": way(case["step"])}


def way(step: str) -> list[tuple[str, str]]:
    """The steps of a case in their order, each `done`, `now` or `later`. One that leads aside stands where it does."""
    shown = [_aside(name, step) for name in WAY]
    at = shown.index(step)
    return [(name, "now" if n == at else "done" if n < at else "later") for n, name in enumerate(shown)]


def _aside(name: str, step: str) -> str:
    return step if _STANDS.get(step) == name else name
