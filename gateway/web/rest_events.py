"""`/api/v1/events`: what happened, newest first, by pages that stay exact while new ones come; and pictures."""

from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Depends, FastAPI, Path
from fastapi.responses import Response

from gateway.browse import Browse
from gateway.deeds import NotFound
from gateway.errors import Text
from gateway.house import House
from gateway.pictures import content_type
from gateway.web import models
from gateway.web.inputs import Cursor, Filters, Limit
from gateway.web.rest import refusals, router
from gateway.web.visitor import needs

_NO_PICTURE = Text("there is no such picture, or not any more", "没有这张图片,或已不再保存")
_PICTURES = ("image/jpeg", "image/png", "application/octet-stream")
_BYTES = {"schema": {"type": "string", "format": "binary"}}


def add(app: FastAPI, house: House) -> None:
    """The routes."""
    api, sees = router("events"), [needs("see").depends]

    @api.get("/events", operation_id="events", summary="Events, newest first, by pages", dependencies=sees,
             response_model=models.Events, response_model_exclude_unset=True)  # fmt: skip
    async def events(filters: Annotated[Filters, Depends()], limit: Limit = 50, cursor: Cursor = None) -> Any:
        zone = ZoneInfo(house.config.site.timezone)
        page = await Browse(house.store, house.site).page(filters.wanted(zone), cursor, limit)
        more = {"next": page.cursor} if page.cursor else {}
        return {"events": page.events} | more | ({"stopped": True} if page.stopped else {})

    @api.get("/pictures/{ref}", operation_id="picture", summary="A camera's picture, as an event refers to it",
             dependencies=sees, response_class=Response,
             responses=refusals(404) | {200: {"content": dict.fromkeys(_PICTURES, _BYTES)}})  # fmt: skip
    async def picture(ref: Annotated[str, Path(max_length=200)]) -> Response:
        body = await house.pictures.read(ref)
        if body is None:
            raise NotFound(ref, _NO_PICTURE)
        return Response(body, media_type=content_type(ref), headers={"Content-Disposition": "inline"})

    app.include_router(api)
