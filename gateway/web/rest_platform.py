"""`/api/v1/uplinks`, `/notices`, `/incidents`: what the platforms get, what they tell, and their cases here."""

from typing import Annotated, Any

from fastapi import FastAPI, Path

from gateway.house import House
from gateway.web import models, orders
from gateway.web.rest import refusals, router
from gateway.web.visitor import Handles, needs

Case = Annotated[
    str,
    Path(
        min_length=1, max_length=128, description="its id, or UPLINK/ID where two use the same", examples=["case-0815"]
    ),
]
_STEP: dict[str, Any] = {
    "response_model": models.Incident,
    "response_model_exclude_unset": True,
    "responses": refusals(404, 409, 415),
}


def add(app: FastAPI, house: House) -> None:
    """The routes."""
    api, sees = router("platform"), [needs("see").depends]

    @api.get("/uplinks", operation_id="uplinks", summary="Each platform: reached or not, and what it has not got",
             dependencies=sees, response_model=models.Uplinks, response_model_exclude_unset=True)  # fmt: skip
    async def uplinks() -> Any:
        return {"uplinks": await house.outbox()}

    @api.get("/notices", operation_id="notices", summary="What the platforms feed back", dependencies=sees,
             response_model=models.Notices, response_model_exclude_unset=True)  # fmt: skip
    async def notices() -> Any:
        return {"notices": await house.notices.list(), "feedback": await house.notices.feedback()}

    @api.get("/incidents", operation_id="incidents", summary="The platforms' cases, those under way first",
             dependencies=sees, response_model=models.Incidents, response_model_exclude_unset=True)  # fmt: skip
    async def incidents() -> Any:
        return {"incidents": await house.incidents.list()}

    @api.post("/incidents/{incident:path}/handling", operation_id="handling", summary="Take a case in hand", **_STEP)
    async def handling(incident: Case, visitor: Handles, said: orders.Remark | None = None) -> Any:
        return await house.incidents.handling(incident, visitor.by, (said.note or "") if said else "")

    @api.post("/incidents/{incident:path}/handled", operation_id="handled", summary="Report a case as handled", **_STEP)
    async def handled(incident: Case, visitor: Handles, said: orders.Handling | None = None) -> Any:
        note, picture = (said.note or "", said.picture or "") if said else ("", "")
        return await house.incidents.handled(incident, visitor.by, note, picture)

    app.include_router(api)
