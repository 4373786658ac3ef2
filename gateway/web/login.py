"""The door: signing in and out, the password once more, and the first person by the box's set-up code."""

import re

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from gateway.errors import GatewayError, Text
from gateway.signin import Locked, Wrong
from gateway.web import keeper, posted
from gateway.web.catalogue import sayings
from gateway.web.frame import Frame
from gateway.web.visitor import NotAllowed, Sees, visitor_of

_LOCAL = re.compile(r"/(?![/\\])[^\x00-\x20\x7f\\]*")
_AGAIN = Text("the two passwords differ", "两次输入的密码不一致")


def local(path: str) -> str:
    """Where somebody goes on after the door: a path of this gateway, never another place; else the first view."""
    return path if _LOCAL.fullmatch(path) and not path.startswith(("/login", "/setup")) else "/"


def address(request: Request) -> str:
    """From where it comes, as this machine sees it: what a proxy says is anybody's word."""
    return request.client.host if request.client else ""


def add(app: FastAPI, frame: Frame) -> None:
    """The routes."""
    _add_login(app, frame)
    _add_setup(app, frame)
    _add_steps(app, frame)


def _add_login(app: FastAPI, frame: Frame) -> None:
    @app.get("/login", include_in_schema=False)
    async def login(request: Request) -> Response:
        known = bool(getattr(request.state, "visitor", None))
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"known": known})
        await frame.house.people.load()
        if not frame.house.people.anybody:
            return RedirectResponse("/setup", 303)
        to = local(request.query_params.get("next", "/"))
        return _door(frame, request, "login", {"next": to, "name": _own_name(frame, request)})

    @app.post("/login", include_in_schema=False)
    async def sign_in(request: Request) -> Response:
        given = await posted.fields(request)
        name, password, to = given.get("name", ""), given.get("password", ""), local(given.get("next", "/"))
        try:
            token, _ = await frame.house.signin.sign_in(name, password, address(request))
        except GatewayError as wrong:
            return _door(frame, request, "login", {"next": to, "name": name}, wrong)
        return await _enter(frame, request, token, to)


def _add_setup(app: FastAPI, frame: Frame) -> None:
    @app.get("/setup", include_in_schema=False)
    async def setup(request: Request) -> Response:
        await frame.house.people.load()
        if frame.house.people.anybody:
            return RedirectResponse("/login", 303)
        return _door(frame, request, "setup", {})

    @app.post("/setup", include_in_schema=False)
    async def set_up(request: Request) -> Response:
        given = await posted.fields(request)
        code, name, shown, password = (given.get(key, "") for key in ("code", "name", "shown", "password"))
        try:
            if password != given.get("again", ""):
                raise Wrong("again", _AGAIN)
            token, _ = await frame.house.signin.set_up(code, name, shown, password, address(request))
        except GatewayError as wrong:
            return _door(frame, request, "setup", {"code": code, "name": name, "shown": shown}, wrong)
        return await _enter(frame, request, token, "/")


def _add_steps(app: FastAPI, frame: Frame) -> None:
    @app.post("/logout", include_in_schema=False)
    async def sign_out(request: Request, visitor: Sees) -> Response:
        house = frame.house
        session = house.people.sessions.get(visitor.session)
        if session is not None:
            await house.people.sessions.end(session)
            await house.audit.put(visitor.by, "logout", session.kept.person, "ok", address=address(request))
        answer = posted.done(sayings("login")["signed_out"].say(frame.language(request)), "/login")
        keeper.give(request, answer, "")
        return answer

    @app.post("/step-up", include_in_schema=False)
    async def step_up(request: Request) -> Response:
        visitor, people = visitor_of(request), frame.house.people
        session = people.sessions.get(visitor.session)
        if session is None:
            raise HTTPException(404)
        password = (await posted.fields(request)).get("password", "")
        try:
            await frame.house.signin.prove(session.kept.person, password, address(request), "step-up", session.key)
        except (Wrong, Locked) as wrong:
            raise NotAllowed(request.url.path, wrong.what, wrong.do or wrong.what) from wrong
        people.sessions.freshen(session)
        await frame.house.audit.put(visitor.by, "step-up", session.kept.person, "ok", address=address(request))
        return Response(status_code=204)


def _own_name(frame: Frame, request: Request) -> str:
    """Of somebody who is signed in and does so again."""
    session = frame.house.people.sessions.get(getattr(getattr(request.state, "visitor", None), "session", ""))
    return session.kept.person if session else ""


async def _enter(frame: Frame, request: Request, token: str, to: str) -> Response:
    """With a new session, whatever the browser brought; the one it had is over."""
    old = frame.house.people.sessions.find(request.cookies.get(keeper.cookie_name(request), ""))
    if old is not None:
        await frame.house.people.sessions.end(old)
    answer = RedirectResponse(to, 303)
    keeper.give(request, answer, token)
    return answer


def _door(
    frame: Frame, request: Request, room: str, given: dict[str, str], wrong: GatewayError | None = None
) -> Response:
    """The form, with what was given but for passwords, and why it was refused."""
    status = 200 if wrong is None else 429 if isinstance(wrong, Locked) else 403 if isinstance(wrong, Wrong) else 400
    fields = {"next": "/", "code": "", "name": "", "shown": ""} | given
    answer = frame.page(request, room, f"{room}.html", status=status, speaks="login", given=fields, wrong=wrong)
    if isinstance(wrong, Locked):
        answer.headers["Retry-After"] = str(round(wrong.wait_s) + 1)
    return answer
