"""Routes: `/ingest/{device}`, `/healthz`, `/readyz`, `/api/v1/status`, `/api/v1/devices`, `/` (contract, section 8).

`/ingest`, `/healthz` and `/public` answer anyone; everything else answers this machine only, whatever address is
listened on.
"""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gateway.driver import Answer, Posted
from gateway.errors import StorageError, Text
from gateway.web import public, words
from gateway.web.guard import Guard, error
from gateway.web.pages import render

MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT_S = 10.0
RETRY_AFTER_S = 5
_DRAIN_BYTES = 4 * 1024 * 1024  # read on and thrown away, so that a sender gets to read its 413
_STATIC = {"page.css": "text/css", "page.js": "text/javascript"}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="ingest", charset="UTF-8"'}


class House(Protocol):
    """What the web sees of the gateway; every call is cheap and gives a copy of one moment."""

    @property
    def language(self) -> str:
        """The configured language, e.g. `zh-CN`."""

    def ready(self) -> bool:
        """Everything has started, and the disk takes events."""

    def health(self) -> Mapping[str, Any]:
        """The health document (contract, section 2), with every uplink."""

    def verdict(self) -> Mapping[str, Any]:
        """`{"word": fire|alarm|unknown|fault|disconnected|shielded|normal, "since"?: RFC 3339 time}`."""

    def devices(self) -> Sequence[Mapping[str, Any]]:
        """Each device's state document (contract, section 2) with `label`, `place` (path), `place_label`, `kind`,
        `driver`, and `building` (label of the first level of its place)."""

    async def ingest(self, device: str, token: str, posted: Posted) -> Answer:
        """Compares the token in constant time and hands over to the device's intake.

        Unknown device: 404, wrong token: 401, both with an empty body, which is filled in here. StorageError: 503.
        """


def create(house: House, names: Sequence[str] = (), source: public.Source | None = None) -> FastAPI:
    """The application. `names` are host names it may be called by, besides IP addresses and `localhost`."""
    app = FastAPI(title="community-gateway", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.add_middleware(Guard, names=frozenset(name.lower() for name in names))
    app.add_exception_handler(HTTPException, _not_here)
    _probes(app, house)
    _views(app, house)
    if source is not None:
        public.add(app, source, house.language)

    @app.post("/ingest/{device}", summary="A device posts its events; 200 when they are on disk")
    async def ingest(device: str, request: Request) -> Response:
        return await _ingest(house, device, request)

    return app


def _probes(app: FastAPI, house: House) -> None:
    @app.get("/healthz", summary="The process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="The gateway takes events")
    async def readyz() -> Response:
        ready = house.ready()
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    @app.get("/api/v1/status", summary="The site in one word, and the health document")
    async def status() -> dict[str, Any]:
        return {"verdict": dict(house.verdict()), **house.health()}

    @app.get("/api/v1/devices", summary="Every device's present state")
    async def devices() -> dict[str, Any]:
        return {"devices": [dict(device) for device in house.devices()]}


def _views(app: FastAPI, house: House) -> None:
    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        language = words.choose(request.headers.get("accept-language", ""), house.language)
        return HTMLResponse(render(house.health(), house.devices(), house.verdict(), language))

    folder = files("gateway.web") / "static"
    kept = {name: (folder / name).read_bytes() for name in _STATIC}

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in kept:
            raise HTTPException(404)
        return Response(kept[name], media_type=_STATIC[name])


async def _not_here(request: Request, exc: Exception) -> Response:
    status, headers = (exc.status_code, exc.headers) if isinstance(exc, HTTPException) else (500, None)
    return error(status, request.url.path, words.refusal(status), headers=headers)


async def _ingest(house: House, device: str, request: Request) -> Response:
    where = f"/ingest/{device[:64]}"
    token, in_url = _token(request)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            body = await _body(request)
    except TimeoutError:
        return error(408, where, words.refusal(408), headers={"Connection": "close"})
    except ClientDisconnect:
        return error(400, where, words.refusal(400))
    if body is None:
        return error(
            413, where, words.refusal(413), Text(f"at most {MAX_BODY_BYTES} bytes", f"最多 {MAX_BODY_BYTES} 字节")
        )
    posted = Posted(body, request.headers.get("content-type", ""), in_url)
    try:
        answer = await house.ingest(device, token, posted)
    except StorageError as exc:
        return error(503, exc.where, exc.what, exc.do, headers={"Retry-After": str(RETRY_AFTER_S)})
    headers = _CHALLENGE if answer.status == 401 else None
    if answer.status in (401, 404) and not answer.body:
        return error(answer.status, where, words.refusal(answer.status), headers=headers)
    return JSONResponse(dict(answer.body), answer.status, headers)


async def _body(request: Request) -> bytes | None:
    """The whole body, or None where it is too large."""
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            body += chunk
        elif size > _DRAIN_BYTES:
            break
    return bytes(body) if size <= MAX_BODY_BYTES else None


def _token(request: Request) -> tuple[str, bool]:
    """(the token, whether it came in the address): bearer (RFC 6750), X-Token, basic's password (RFC 7617), ?token=."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip(), False
    if scheme.lower() == "basic":
        try:
            login = base64.b64decode(credentials.strip(), validate=True).decode()
        except ValueError:  # no base 64, or no text in it
            return "", False
        return login.partition(":")[2], False
    if "x-token" in request.headers:
        return request.headers["x-token"], False
    return request.query_params.get("token", ""), "token" in request.query_params
