"""`/api/v1/alarms`: those that are open, those that are over, and what people do to them."""

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query

from gateway.browse import Browse, Wanted
from gateway.deeds import NotFound
from gateway.house import House
from gateway.identity import moment_ms
from gateway.web import models, orders
from gateway.web.inputs import Cursor, Limit, Number
from gateway.web.rest import refusals, router
from gateway.web.visitor import Handles, Sees, Visitor, needs

_STEP: dict[str, Any] = {
    "response_model": models.Alarm,
    "response_model_exclude_unset": True,
    "responses": refusals(404, 409, 415),
}


def add(app: FastAPI, house: House) -> None:
    """The routes."""
    api = router("alarms")
    _add_reading(api, house)
    _add_steps(api, house)
    app.include_router(api)


def _add_reading(api: APIRouter, house: House) -> None:
    @api.get("/alarms", operation_id="alarms", summary="Open alarms, oldest first; with ended=true those that are over",
             response_model=models.Alarms | models.EndedAlarms, response_model_exclude_unset=True)  # fmt: skip
    async def alarms(
        _: Sees,
        ended: Annotated[bool, Query(description="those that are over, newest first, by pages")] = False,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Any:
        return await _ended(house, cursor, limit) if ended else {"alarms": house.alarms()}

    @api.get("/alarms/{alarm}", operation_id="alarm", summary="An alarm, open or over, with all that belongs to it",
             responses=refusals(404), response_model=models.OneAlarm,
             response_model_exclude_unset=True)  # fmt: skip
    async def alarm(alarm: Number, _: Sees) -> Any:
        return await one(house, alarm)


def _add_steps(api: APIRouter, house: House) -> None:
    covers = needs("cover")

    @api.post("/alarms/silence", operation_id="silence_all", summary="Silence all that sound now; never the next",
              response_model=models.Silenced, response_model_exclude_unset=True,
              responses=refusals(415))  # fmt: skip
    async def silence_all(visitor: Handles, _: orders.Nothing | None = None) -> Any:
        return {"silenced": [house.alarm(alarm) for alarm in await house.duty.silence(visitor.by)]}

    @api.post("/alarms/{alarm}/silence", operation_id="silence", summary="Silence one", **_STEP)
    async def silence(alarm: Number, visitor: Handles, _: orders.Nothing | None = None) -> Any:
        meant = (await house.duty.find(alarm, lambda _: True)).id
        await house.duty.silence(visitor.by, lambda one: one.id == meant)
        return await _shown(house, meant)

    @api.post("/alarms/{alarm}/acknowledge", operation_id="acknowledge", summary="Somebody has seen it", **_STEP)
    async def acknowledge(alarm: Number, visitor: Handles, said: orders.Remark | None = None) -> Any:
        return house.alarm(await house.duty.acknowledge(alarm, visitor.by, said.note if said else None))

    @api.post("/alarms/{alarm}/dispose", operation_id="dispose", summary="Say what it was", **_STEP)
    async def dispose(alarm: Number, visitor: Handles, said: orders.Disposal) -> Any:
        return house.alarm(await house.duty.dispose(alarm, visitor.by, said.outcome, said.cause, said.note))

    @api.post("/alarms/{alarm}/reset", operation_id="reset", summary="Let go of the latch, if nothing holds", **_STEP)
    async def reset(alarm: Number, visitor: Handles, _: orders.Nothing | None = None) -> Any:
        return house.alarm(await house.duty.reset(alarm, visitor.by))

    @api.post("/alarms/{alarm}/shelve", operation_id="shelve", summary="Put one aside for a while; never a fire",
              **_STEP)  # fmt: skip
    async def shelve(alarm: Number, asked: orders.Shelf, visitor: Visitor = covers.depends) -> Any:
        meant = (await house.duty.find(alarm, lambda _: True)).id
        await house.covers.shelve(meant, asked.seconds, asked.reason, visitor.by)
        return await _shown(house, meant)


async def _shown(house: House, alarm: str) -> dict[str, Any]:
    return house.alarm(await house.duty.find(alarm, lambda _: True))


async def _ended(house: House, cursor: str | None, limit: int) -> dict[str, Any]:
    page = await Browse(house.store, house.site).page(Wanted(opening=True), cursor, limit)
    present = {alarm["alarm"] for alarm in house.alarms()}
    ended = [_told(event) for event in page.events if event["id"] not in present]
    more = {"next": page.cursor} if page.cursor else {}
    return {"ended": ended} | more | ({"stopped": True} if page.stopped else {})


def _told(event: dict[str, Any]) -> dict[str, Any]:
    data = event["data"]
    return {
        "alarm": event["id"],
        "device": event["subject"],
        "type": event["type"],
        "severity": event["severity"],
        "first": event["time"],
        "test": bool(data.get("test")),
        "opened_by": event,
    }


async def one(house: House, alarm: str) -> dict[str, Any]:
    """An alarm with its events: open (by its id, or a unique beginning or end), or over (by its id). NotFound."""
    try:
        shown = await _shown(house, alarm)
    except NotFound:
        events = await _events(house, alarm)
        opened = next((event for event in events if event["id"] == alarm and event["data"].get("alarm") == alarm), None)
        if opened is None:
            raise
        return {"ended": _told(opened) | _end(events), "events": events}
    return {"alarm": shown, "events": await _events(house, shown["alarm"])}


async def _events(house: House, alarm: str) -> list[dict[str, Any]]:
    try:
        began_ms = moment_ms(alarm)
    except ValueError:
        return []
    wanted = Wanted(alarm=alarm, floor_ms=began_ms)
    return (await Browse(house.store, house.site).page(wanted, limit=500)).events


def _end(events: list[dict[str, Any]]) -> dict[str, Any]:
    """When its cause was over, and what was said of it last: events are newest first."""
    cleared = next((event["time"] for event in events if event["phase"] == "clear"), None)
    outcome = next((event["data"].get("outcome") for event in events if event["type"] == "operator.dispose"), None)
    return ({"cleared": cleared} if cleared else {}) | ({"outcome": outcome} if outcome else {})
