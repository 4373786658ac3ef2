"""The application: every room of the page, and the HTTP interface (contract, section 8)."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.errors import GatewayError, StorageError
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
    public,
    reports,
    settings,
    stream,
    uplink,
    words,
)
from gateway.web.frame import Frame
from gateway.web.guard import Guard, LocalKeeper, error
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
    frame = Frame(house)
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
    return error(status, request.url.path, words.refusal(status), headers=headers)


async def _refused(_: Request, exc: Exception) -> Response:
    """What is said on purpose, with the status that fits: 403 not allowed, 503 the disk, else 409 not so, not now."""
    assert isinstance(exc, GatewayError)  # noqa: S101  # it is registered for nothing else
    if isinstance(exc, NotAllowed):
        return error(403, exc.where, exc.what, exc.do, headers={STEP_UP: "1"} if exc.stale else None)
    if isinstance(exc, StorageError):
        return error(503, exc.where, exc.what, exc.do, headers={"Retry-After": str(RETRY_AFTER_S)})
    status = 404 if type(exc).__name__ == "NotFound" else 409
    return error(status, exc.where, exc.what, exc.do)
