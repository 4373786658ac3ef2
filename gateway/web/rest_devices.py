"""`/api/v1/devices`: what each is now and was lately, what it can be asked for, and what is laid over it."""

from collections import defaultdict
from typing import Any

from fastapi import Body, FastAPI

from gateway import chores
from gateway.alarmview import moment
from gateway.audit import By
from gateway.browse import Browse, Wanted
from gateway.deeds import NotFound, NotNow
from gateway.errors import GatewayError, StorageError, Text
from gateway.house import House
from gateway.web import models, orders
from gateway.web.inputs import BadRequest, Name
from gateway.web.rest import refusals, router
from gateway.web.visitor import Sees, Visitor, needs

LAST_EVENTS = 20
_UNKNOWN = Text("there is no such device", "没有这个设备")
_LIST_THEM = Text("/api/v1/devices lists them", "可通过 /api/v1/devices 查看全部设备")


def add(app: FastAPI, house: House) -> None:
    """The routes."""
    api = router("devices")
    opens, covers = needs("doors", fresh=True), needs("cover")

    @api.get("/devices", operation_id="devices", summary="Every device's present state",
             response_model=models.Devices, response_model_exclude_unset=True)  # fmt: skip
    async def devices(_: Sees) -> Any:
        return {"devices": [dict(device) for device in house.devices()]}

    @api.get("/devices/{device}", operation_id="device", summary="All that is known of a device",
             responses=refusals(404), response_model=models.DeviceFull,
             response_model_exclude_unset=True)  # fmt: skip
    async def device(device: Name, _: Sees) -> Any:
        return await known(house, device)

    @api.post("/devices/{device}/commands", operation_id="command", summary="Have the device do something",
              responses=refusals(404, 409, 415), response_model=models.Commanded,
              response_model_exclude_unset=True)  # fmt: skip
    async def command(device: Name, asked: orders.Command, visitor: Visitor = opens.depends) -> Any:
        return await _commanded(house, device, asked, visitor.by)

    @api.post("/devices/{device}/shield", operation_id="shield", summary="Take a device out of service for a while",
              responses=refusals(404, 409, 415), response_model=models.Device,
              response_model_exclude_unset=True)  # fmt: skip
    async def shield(device: Name, asked: orders.Shield, visitor: Visitor = covers.depends) -> Any:
        found(house, device)
        await house.covers.shield(device, asked.seconds, asked.reason, visitor.by, asked.part)
        return found(house, device)

    @api.post("/devices/{device}/unshield", operation_id="unshield", summary="Put it into service again",
              responses=refusals(404, 409, 415), response_model=models.Device,
              response_model_exclude_unset=True)  # fmt: skip
    async def unshield(device: Name, asked: orders.Unshield, visitor: Visitor = covers.depends) -> Any:
        await house.covers.unshield(device, asked.reason, visitor.by, asked.part)
        return found(house, device)

    @api.get("/drills", operation_id="drills", summary="Drills under way", response_model=models.Drills)
    async def drills(_: Sees) -> Any:
        return _drills(house)

    @api.post("/drills", operation_id="drill", summary="Begin a drill, or end it: what is raised meanwhile is a test",
              responses=refusals(404, 409, 415), response_model=models.Drills)  # fmt: skip
    async def drill(asked: orders.DrillOrder = Body(), visitor: Visitor = covers.depends) -> Any:  # noqa: B008
        await house.covers.drill(asked.target, asked.seconds, visitor.by)
        return _drills(house)

    app.include_router(api)


def found(house: House, device: str) -> dict[str, Any]:
    """Its present state. NotFound."""
    mine = next((told for told in house.devices() if told["device"] == device), None)
    if mine is None:
        raise NotFound(device, _UNKNOWN, _LIST_THEM)
    return dict(mine)


async def known(house: House, device: str) -> dict[str, Any]:
    """All that is known of it. NotFound, StorageError."""
    told, config = found(house, device), house.site.device(device)
    about = config.model_dump(mode="json", include={"make", "model", "installed", "tested"})
    about["tested"] = max(about["tested"] or "", (await house.dossiers.tested()).get(device, "")) or None
    recent = await Browse(house.store, house.site).page(Wanted(devices=(device,)), limit=LAST_EVENTS)
    values = {name: value for name, value in told["values"].items() if name.startswith("battery")}
    battery = {"low": "device.battery_low" in told["alarms"], "values": values}
    return {
        **told,
        **{name: value for name, value in about.items() if value is not None},
        **({"battery": battery} if values or battery["low"] else {}),
        "actions": sorted(house.supervisor.takes().get(device, ())),
        "parts": _parts(house, device),
        "open_alarms": [alarm for alarm in house.alarms() if alarm["device"] == device],
        "events": recent.events,
    }


def _parts(house: House, device: str) -> list[dict[str, Any]]:
    """Those that have a condition now."""
    parts: defaultdict[str, list[str]] = defaultdict(list)
    for alarm in house.pipeline.shown.of(device):
        if alarm.part and alarm.active:
            parts[alarm.part].append(alarm.type)
    return [{"part": part, "alarms": sorted(types)} for part, types in sorted(parts.items())]


def _drills(house: House) -> dict[str, Any]:
    gateway = house.config.gateway.id
    told = [
        {
            "target": drill.part if drill.device == gateway else drill.device,
            "until": moment(drill.until_ms),
            "who": drill.cause,
        }
        for drill in house.pipeline.shown.drills.values()
    ]
    return {"drills": told}


async def _commanded(house: House, device: str, asked: orders.Command, by: By) -> dict[str, Any]:
    """What became of it, where it was done. NotFound, BadRequest, NotNow, StorageError."""
    answer = await chores.send(house, device, asked.action, asked.args.model_dump(exclude_unset=True), by)
    if answer["status"] == "done":
        return answer
    what, do = Text(**answer["message"]), None
    refusal: type[GatewayError] = NotNow
    match answer["code"]:
        case "unknown-device":
            refusal, what, do = NotFound, _UNKNOWN, _LIST_THEM
        case "bad-arguments":
            refusal = BadRequest
        case "busy":
            refusal = StorageError
        case "device-offline" | "timeout":
            do = Text("see whether the device has power and its line works", "请检查设备供电和线路")
    raise refusal(device, what, do)
