"""One's own account: another password, and from where one is signed in."""

from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.clock import rfc3339
from gateway.deeds import NotFound
from gateway.errors import Text
from gateway.people import NotSo
from gateway.rights import RIGHTS
from gateway.roster import Person
from gateway.sessions import Session
from gateway.signin import Locked, Wrong
from gateway.web import keeper, posted
from gateway.web.catalogue import sayings
from gateway.web.frame import Frame
from gateway.web.login import address
from gateway.web.visitor import NotAllowed, Sees, Visitor


def moment(time_ms: int) -> str:
    """RFC 3339; "" for never."""
    return rfc3339(datetime.fromtimestamp(time_ms / 1000, UTC)) if time_ms else ""


def add(app: FastAPI, frame: Frame) -> None:
    """The routes."""

    @app.get("/account", include_in_schema=False)
    async def account(request: Request, visitor: Sees) -> Response:
        person, mine = _own(frame, visitor)
        sessions = [_shown(each, mine) for each in frame.house.people.sessions.of(person.name)]
        rights = [right for right in RIGHTS if right in person.rights]
        return frame.page(
            request, "account", "account.html", speaks="people", person=person, rights=rights, sessions=sessions
        )

    @app.post("/account/password", include_in_schema=False)
    async def password(request: Request, visitor: Sees) -> Response:
        person, mine = _own(frame, visitor)
        given = await posted.fields(request)
        if given.get("password") != given.get("again"):
            raise NotSo("again", Text("the two passwords differ", "两次输入的密码不一致"))
        try:
            old = given.get("old", "")
            await frame.house.signin.prove(person.name, old, address(request), "password", mine.key)
        except (Wrong, Locked) as wrong:
            raise NotAllowed(request.url.path, wrong.what, wrong.do or wrong.what) from wrong
        await frame.house.people.set_password(visitor.by, person.name, given.get("password", ""))
        token, _ = await frame.house.people.sessions.begin(person.name, address(request))
        answer = posted.done(_say(frame, request, "password_changed"), "/account")
        keeper.give(request, answer, token)
        return answer

    @app.post("/account/sessions/{key}/end", include_in_schema=False)
    async def end(request: Request, visitor: Sees, key: str) -> Response:
        person, _ = _own(frame, visitor)
        session = frame.house.people.sessions.get(key)
        if session is None or session.kept.person != person.name:
            raise NotFound(key, Text("this session is over already", "该登录已结束"))
        await frame.house.people.sessions.end(session)
        await frame.house.audit.put(visitor.by, "session.end", person.name, "ok", address=session.kept.address)
        return posted.done(_say(frame, request, "session_ended"))


def _own(frame: Frame, visitor: Visitor) -> tuple[Person, Session]:
    """Whose account it is. HTTPException 404: machines have none."""
    session = frame.house.people.sessions.get(visitor.session) if visitor.session else None
    person = frame.house.people.get(session.kept.person) if session else None
    if session is None or person is None:
        raise HTTPException(404)
    return person, session


def _shown(session: Session, mine: Session) -> dict[str, Any]:
    kept = session.kept
    began, seen = moment(kept.began_ms), moment(kept.seen_ms)
    return {"key": session.key, "address": kept.address, "began": began, "seen": seen, "mine": session is mine}


def _say(frame: Frame, request: Request, key: str) -> str:
    return sayings("people")[key].say(frame.language(request))
