"""`/reports` (报表): the figures of a shift, a day or a month in the frame, and handing a shift over (交接班).

`/reports/daily`, `/monthly`, `/shift` is the same to print (A4, no script), under `/api/v1` as JSON or CSV (contract,
section 8).
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, get_args

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from gateway.audit import lines_of
from gateway.clock import rfc3339
from gateway.errors import BadInput, GatewayError, StorageError, Text
from gateway.house import House
from gateway.reporting import HANDED, NoPeriod
from gateway.reportview import SIGNATURE, View, headlines, shift_name, to_csv
from gateway.shifts import Kind
from gateway.web import posted
from gateway.web.catalogue import Speaker
from gateway.web.frame import Frame
from gateway.web.guard import error
from gateway.web.visitor import Handles, needs

Form = Literal["html", "json", "csv"]
KINDS: Mapping[str, Kind] = {"shift": "shift", "daily": "day", "monthly": "month"}
NAMES = {kind: name for name, kind in KINDS.items()}
INPUTS: Mapping[Kind, tuple[str, str]] = {  # of a form: its kind of field, and how a date stands in it
    "shift": ("datetime-local", "%Y-%m-%dT%H:%M"),
    "day": ("date", "%Y-%m-%d"),
    "month": ("month", "%Y-%m"),
}
MOST_HANDOVERS = 20
MOST_NOTE_CHARS = 1000


def add(app: FastAPI, frame: Frame) -> None:
    """The routes."""
    house, sees = frame.house, [needs("see").depends]

    @app.get("/reports", include_in_schema=False, dependencies=sees)
    async def room(request: Request, kind: str = "day", at: str | None = None) -> Response:
        chosen: Kind = kind if kind in NAMES else "day"
        values = await _shown(frame, chosen, at or None, frame.language(request))
        return frame.page(request, "reports", "reports.html", status=400 if values["problem"] else 200, **values)

    @app.post("/reports/handover", include_in_schema=False)
    async def handover(request: Request, visitor: Handles) -> Response:
        say = Speaker("reports", frame.language(request))
        made = await house.reporting.handover(visitor.by, _note(request, await posted.fields(request), say))
        return posted.done(say("handed", who=visitor.who), f"/reports?kind=shift&at={made['from']}")

    async def answer(request: Request, name: str, at: str | None, form: str) -> Response:
        if name not in KINDS or form not in get_args(Form):
            raise HTTPException(404)
        try:
            document = await house.reporting.report(KINDS[name], at)
        except StorageError:
            raise
        except GatewayError as exc:
            return error(400, request.url.path, exc.what, exc.do)
        return _written(document, form, request, frame)

    @app.get("/api/v1/reports/{name}", summary="daily, monthly or shift: the figures of a period; format=csv",
             dependencies=sees)  # fmt: skip
    async def figures(request: Request, name: str, at: str | None = None, format: str = "json") -> Response:
        return await answer(request, name, at, format)

    @app.get("/reports/{name}", include_in_schema=False, dependencies=sees)
    async def page(request: Request, name: str, at: str | None = None, format: str = "html") -> Response:
        return await answer(request, name, at, format)


def _written(document: Mapping[str, Any], form: str, request: Request, frame: Frame) -> Response:
    if form == "json":
        return JSONResponse(dict(document))
    view = View(document, frame.language(request))
    if form == "csv":
        name = f"{document['kind']}-{document['from'][:10]}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(to_csv(view), media_type="text/csv; charset=utf-8", headers=headers)
    return frame.page(request, "reports", "report.html", view=view, signature=view.say(SIGNATURE))


async def _shown(frame: Frame, kind: Kind, at: str | None, language: str) -> dict[str, Any]:
    """What the template takes. A wrong date is told, beside the present period. StorageError."""
    reporting, problem = frame.house.reporting, None
    try:
        document = await reporting.report(kind, at)
    except NoPeriod as exc:
        problem, at = f"{at}: {exc.what.say(language)} {exc.do.say(language) if exc.do else ''}", None
        document = await reporting.report(kind)
    start, end = (datetime.fromisoformat(document[name]) for name in ("from", "to"))
    before = None if kind == "month" else await reporting.report(kind, rfc3339(start - timedelta(minutes=1)))
    field, form = INPUTS[kind]
    return {
        "kind": kind,
        "kinds": list(INPUTS),
        "paper": f"/reports/{NAMES[kind]}",
        "at": document["from"],
        "earlier": rfc3339(start - timedelta(minutes=1)),
        "later": None if document["running"] else rfc3339(end),
        "field": field,
        "chosen": start.astimezone(frame.zone).strftime(form),
        "view": (view := View(document, language)),
        "headlines": headlines(view, document, before),
        "problem": problem,
        **await _handing(frame.house, language),
    }


async def _handing(house: House, language: str) -> dict[str, Any]:
    """What is open now, for who hands over; and who did so before, the newest first."""
    handed = await house.store.read(partial(lines_of, what=HANDED, limit=MOST_HANDOVERS))
    links = house.health()["uplinks"]
    return {
        "open": house.alarms(),
        "cases": list(await house.reporting.incidents()),
        "away": [name for name, link in links.items() if not link["connected"]],
        "unsent": sum(lane["backlog"] for link in links.values() for lane in link["lanes"].values()),
        "handovers": [one | {"subject": shift_name(one.get("subject", ""), language)} for one in reversed(handed)],
        "labels": house.reporting.names.devices,
    }


def _note(request: Request, fields: Mapping[str, str], say: Speaker) -> str | None:
    """What the next shift is to know, with who takes it over. BadInput."""
    taker, note = fields.get("taker", "").strip(), fields.get("note", "").strip()
    if len(taker) > 64 or len(note) > MOST_NOTE_CHARS:
        what = Text("the note is longer than 1000 characters, or the name than 64", "备注超过 1000 字,或姓名超过 64 字")
        raise BadInput(request.url.path, what, Text("shorten it", "请缩短后重试"))
    return "\n".join(filter(None, (say("taken_by", who=taker) if taker else "", note))) or None
