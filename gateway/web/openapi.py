"""The HTTP interface for machines as a whole, and the document that describes it: `/openapi.json`."""

import asyncio
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response

from gateway import __version__
from gateway.web import (
    exports,
    inputs,
    metrics,
    probes,
    rest_alarms,
    rest_devices,
    rest_events,
    rest_log,
    rest_platform,
)
from gateway.web.frame import Frame
from gateway.web.visitor import needs

_ABOUT = """Of one gateway, by itself. Who asks is known by a session or `Authorization: Bearer`; what each may do is in
docs/http.md. Every refusal has the same body. Answers may grow by fields; times are RFC 3339, UTC."""
_OPEN = ("/healthz", "/public.json", "/ingest/{device}")  # to anybody, or with a token of its own
_TAGS = {
    "state": "How all is now",
    "devices": "Devices, and what they can be asked for",
    "events": "What happened, by pages and as a table",
    "alarms": "Alarms, and what people do to them",
    "platform": "What the platforms get, and tell",
    "log": "Who did what",
    "probes": "For what watches the process",
}


def add(app: FastAPI, frame: Frame) -> None:
    """All of it."""
    inputs.add(app)
    for part in (probes, rest_devices, rest_events, rest_alarms, rest_platform, rest_log, metrics):
        part.add(app, frame.house)
    exports.add(app, frame)
    _described(app)


def _described(app: FastAPI) -> None:
    made: dict[str, Any] = {}

    def document() -> dict[str, Any]:
        """Made once, when all routes are there."""
        if not made:
            tags = [{"name": name, "description": text} for name, text in _TAGS.items()]
            made.update(get_openapi(title="community-gateway", version=__version__, description=_ABOUT,
                                    routes=app.routes, tags=tags))  # fmt: skip
            _tidied(made)
        return made

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to another document

    @app.get("/openapi.json", include_in_schema=False, dependencies=[needs("see").depends])
    async def openapi() -> Response:
        """Beside the loop: to make it takes a second on a small board, once."""
        return JSONResponse(await asyncio.to_thread(document))


def _tidied(document: dict[str, Any]) -> None:
    """Mistakes are 400 here, not 422; and how one says who one is."""
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    for path in _OPEN:
        for operation in document["paths"].get(path, {}).values():
            operation["security"] = []
