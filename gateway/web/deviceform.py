"""What people have a device do from its page, and lay over it: each step by the house, with its name, and told back."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from gateway.chores import send
from gateway.deeds import NotFound, NotNow
from gateway.errors import Text
from gateway.house import House
from gateway.web.catalogue import Speaker, sayings
from gateway.web.frame import Frame
from gateway.web.posted import Form, WrongForm, done, number, text
from gateway.web.visitor import Right, Visitor, needs, visitor_of

RIGHTS: Mapping[str, Right] = {  # what a driver may take, in the order of the page
    "unlock": "doors",
    "lock": "doors",
    "release": "doors",
    "lockdown": "doors",
    "output": "doors",
    "snapshot": "handle",
}
MOST_SHIELD_H = 366 * 24
MOST_DRILL_MIN = 24 * 60
_ALL = sayings("devices")
Values = Mapping[str, str]


def add(app: FastAPI, frame: Frame) -> None:
    """The routes."""
    house = frame.house

    @app.post("/devices/{device}/do", include_in_schema=False, dependencies=[needs("handle").depends])
    async def do(request: Request, device: str, form: Form) -> Response:
        action = form.get("action", "")
        if action not in RIGHTS:
            raise WrongForm(device, Text("this is nothing a device can do", "设备没有这个操作"), _ALL["do_reload"])
        right = RIGHTS[action]
        visitor = needs(right, fresh=right == "doors")(request)
        return done(await _done(house, visitor, device, action, form, _say(frame, request)))

    @app.post("/devices/{device}/shield", include_in_schema=False, dependencies=[needs("cover").depends])
    async def shield(request: Request, device: str, form: Form) -> Response:
        visitor = visitor_of(request)
        hours = number(form, "hours", _ALL["hours"], 1, MOST_SHIELD_H)
        await house.covers.shield(device, hours * 3600.0, text(form, "reason", _ALL["reason"]), visitor.by)
        return done(_say(frame, request)("shielded_for", hours=hours), f"/devices/{device}")

    @app.post("/devices/{device}/unshield", include_in_schema=False, dependencies=[needs("cover").depends])
    async def unshield(request: Request, device: str, form: Form) -> Response:
        visitor = visitor_of(request)
        await house.covers.unshield(device, text(form, "reason", _ALL["reason"]), visitor.by)
        return done(_say(frame, request)("unshielded"), f"/devices/{device}")

    @app.post("/devices/{device}/drill", include_in_schema=False, dependencies=[needs("cover").depends])
    async def drill(request: Request, device: str, form: Form) -> Response:
        visitor, say = visitor_of(request), _say(frame, request)
        minutes = number(form, "minutes", _ALL["minutes"], 0, MOST_DRILL_MIN)
        await _sent(house, visitor, device, "test", {"seconds": minutes * 60})
        said = say("drill_until", minutes=minutes) if minutes else say("drill_ended")
        return done(said, f"/devices/{device}")


def _say(frame: Frame, request: Request) -> Speaker:
    return Speaker("devices", frame.language(request))


async def _done(house: House, visitor: Visitor, device: str, action: str, form: Values, say: Speaker) -> str:
    """The sentence for whoever asked: what was done, and what the door's contact said of it."""
    read: Callable[[Values], dict[str, Any]] | None = _ARGUMENTS.get(action)
    result = await _sent(house, visitor, device, action, read(form) if read is not None else {})
    told = say(f"done_{action}")
    return f"{told} {say('contact_' + result['contact'])}" if "contact" in result else told


async def _sent(house: House, visitor: Visitor, device: str, action: str, args: dict[str, Any]) -> dict[str, Any]:
    """The result. NotNow: it was not done, or nobody knows; NotFound: there is no such device."""
    answer = await send(house, device, action, args, visitor.by)
    message = Text(**answer["message"])
    if answer["code"] == "ok":
        return dict(answer.get("result", {}))
    if answer["code"] == "unknown-device":
        raise NotFound(device, message, _ALL["do_wall"])
    raise NotNow(house.site.device(device).name or device, message, _ALL.get(f"do_{answer['code']}", _ALL["do_again"]))


def _seconds(form: Values) -> dict[str, Any]:
    return {"seconds": number(form, "seconds", _ALL["seconds"], 1, 3600)} if form.get("seconds") else {}


def _output(form: Values) -> dict[str, Any]:
    state = form.get("state", "")
    if state not in ("on", "off"):
        raise WrongForm("output", Text("on or off is needed", "请选择接通或断开"), _ALL["do_reload"])
    return {"number": number(form, "number", _ALL["number"], 0, 999), "state": state} | _seconds(form)


_ARGUMENTS: Mapping[str, Callable[[Values], dict[str, Any]]] = {"unlock": _seconds, "output": _output}
