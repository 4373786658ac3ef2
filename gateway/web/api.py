"""The application: every room of the page, and the HTTP interface (contract, section 8)."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.deeds import NotFound
from gateway.errors import GatewayError, StorageError, Text
from gateway.house import House
from gateway.web import (
    account,
    alarms,
    assets,
    audit,
    device,
    devices,
    downloads,
    events,
    history,
    ingest,
    login,
    notices,
    openapi,
    overview,
    people,
    plans,
    problem,
    public,
    reports,
    settings,
    stream,
    uplink,
    words,
)
from gateway.web.frame import Frame
from gateway.web.guard import HEADERS, Guard, LocalKeeper, error
from gateway.web.visitor import Keeper, NotAllowed
from gateway.web.ways import Gate, Ways

RETRY_AFTER_S = 5
STEP_UP = "X-Step-Up"  # a header of 403: the password is needed once more


def create(house: House, keeper: Keeper | None = None, names: Sequence[str] = (), ways: Ways | None = None) -> FastAPI:
    """The application. `names` are host names it may be called by, besides IP addresses and `localhost`."""
    app = FastAPI(title="community-gateway", docs_url=None, redoc_url=None, openapi_url=None)
    keeper = keeper or LocalKeeper()
    app.add_middleware(Guard, keeper=keeper, names=frozenset(name.lower() for name in names))
    app.add_middleware(Gate, ways=(ways := ways or Ways()))
    app.add_exception_handler(HTTPException, _not_here)
    app.add_exception_handler(GatewayError, _refused)
    app.add_exception_handler(Exception, _failed)
    app.state.frame = frame = Frame(house)
    app.state.ways, app.state.errands = ways, []
    assets.add(app)
    ingest.add(app, house)
    stream.add(app, frame, keeper)
    for room in (overview, alarms, devices, device, plans, events, uplink, notices, reports, audit):
        room.add(app, frame)
    for room in (settings, downloads, history, login, account, people, public, openapi):
        room.add(app, frame)
    return app


def described() -> dict[str, Any]:
    """The OpenAPI document without a gateway: of a house that is there to be described, not to be asked."""
    return create(object.__new__(House)).openapi()


async def _not_here(request: Request, exc: Exception) -> Response:
    status, headers = (exc.status_code, exc.headers) if isinstance(exc, HTTPException) else (500, None)
    return _told(request, status, request.url.path, words.refusal(status), headers=headers)


async def _refused(request: Request, exc: Exception) -> Response:
    """What is said on purpose, with the status that fits: 403 not allowed, 503 the disk, else 409 not so, not now."""
    assert isinstance(exc, GatewayError)  # noqa: S101  # it is registered for nothing else
    if isinstance(exc, NotAllowed):
        return _told(request, 403, exc.where, exc.what, exc.do, {STEP_UP: "1"} if exc.stale else None)
    if isinstance(exc, StorageError):
        return _told(request, 503, exc.where, exc.what, exc.do, {"Retry-After": str(RETRY_AFTER_S)})
    status = 404 if isinstance(exc, NotFound) else 409
    return _told(request, status, exc.where, exc.what, exc.do)


async def _failed(request: Request, _: Exception) -> Response:
    """What nobody thought of, which goes on into the log. It passes outside the guard, whose headers it has too."""
    answer = _told(request, 500, request.url.path, words.refusal(500), words.FAILED_DO)
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


def _told(
    request: Request,
    status: int,
    where: str,
    what: Text,
    do: Text | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """As a page where a browser came for one, else as JSON."""
    page = problem.shown(request.app.state.frame, request, status, what, do)
    return page or error(status, where, what, do, headers)
