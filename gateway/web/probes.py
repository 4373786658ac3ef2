"""How the gateway is, for machines: `/healthz` and `/readyz`, and its present state under `/api/v1`."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from gateway.house import House
from gateway.web import models
from gateway.web.rest import refusals, router
from gateway.web.visitor import needs


def add(app: FastAPI, house: House) -> None:
    """The routes."""
    sees = [needs("see").depends]

    @app.get("/healthz", tags=["probes"], operation_id="healthz", summary="The process answers",
             response_model=models.Health)  # fmt: skip
    async def healthz() -> Any:
        return {"status": "ok"}

    @app.get("/readyz", tags=["probes"], operation_id="readyz", summary="The gateway takes events", dependencies=sees,
             response_model=models.Ready,
             responses=refusals() | {503: {"model": models.Ready, "description": "It does not"}})  # fmt: skip
    async def readyz() -> Response:
        ready = house.ready()
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    api = router("state")

    @api.get("/status", operation_id="status", summary="The site in one word, and the health document",
             dependencies=sees, response_model=models.Status, response_model_exclude_unset=True)  # fmt: skip
    async def status() -> Any:
        return {"verdict": dict(house.verdict()), **house.health()}

    app.include_router(api)
