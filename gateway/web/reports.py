"""`/reports/daily` (contract, section 8): JSON or CSV under `/api/v1`, a page to print (A4, no script) without it."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment
from starlette.exceptions import HTTPException

from gateway.errors import GatewayError, StorageError
from gateway.house import House
from gateway.reportview import SIGNATURE, View, to_csv
from gateway.web import words
from gateway.web.guard import error

Form = Literal["html", "json", "csv"]
_KINDS: Mapping[str, Literal["shift", "day", "month"]] = {"daily": "day", "monthly": "month", "shift": "shift"}


def add(app: FastAPI, house: House, environment: Environment) -> None:
    """The routes."""

    async def answer(request: Request, name: str, at: str | None, form: str) -> Response:
        path = request.url.path
        if name not in _KINDS or form not in get_args(Form):
            raise HTTPException(404)
        language = words.choose(request.headers.get("accept-language", ""), house.language)
        try:
            document = await house.reporting.report(_KINDS[name], at)
        except StorageError as exc:
            return error(503, exc.where, exc.what, exc.do)
        except GatewayError as exc:
            return error(400, path, exc.what, exc.do)
        return _written(document, form, language, environment)

    @app.get("/api/v1/reports/{name}", summary="daily, monthly or shift: the figures of a period; format=csv")
    async def figures(request: Request, name: str, at: str | None = None, format: str = "json") -> Response:
        return await answer(request, name, at, format)

    @app.get("/reports/{name}", include_in_schema=False)
    async def page(request: Request, name: str, at: str | None = None, format: str = "html") -> Response:
        return await answer(request, name, at, format)


def _written(document: Mapping[str, Any], form: str, language: str, environment: Environment) -> Response:
    if form == "json":
        return JSONResponse(dict(document))
    view = View(document, language)
    if form == "csv":
        name = f"{document['kind']}-{document['from'][:10]}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(to_csv(view), media_type="text/csv; charset=utf-8", headers=headers)
    template = environment.get_template("report.html")
    spoken = "zh-CN" if language == "zh" else "en"
    return HTMLResponse(template.render(view=view, language=spoken, signature=view.say(SIGNATURE)))
