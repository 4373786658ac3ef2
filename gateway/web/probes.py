"""How the gateway is, for machines: `/healthz` and `/readyz`, and its present state under `/api/v1`."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from gateway.house import House
from gateway.web.visitor import needs


def add(app: FastAPI, house: House) -> None:
    """The routes."""
    sees = [needs("see").depends]

    @app.get("/healthz", summary="The process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="The gateway takes events", dependencies=sees)
    async def readyz() -> Response:
        ready = house.ready()
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    @app.get("/api/v1/status", summary="The site in one word, and the health document", dependencies=sees)
    async def status() -> dict[str, Any]:
        return {"verdict": dict(house.verdict()), **house.health()}

    @app.get("/api/v1/devices", summary="Every device's present state", dependencies=sees)
    async def devices() -> dict[str, Any]:
        return {"devices": [dict(device) for device in house.devices()]}
