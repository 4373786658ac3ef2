"""Settings: who may sign in, and which machines may ask; by whom has the right, with their password just given."""

from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.responses import Response

from gateway.deeds import NotFound
from gateway.errors import Text
from gateway.people import NotSo, may_give
from gateway.rights import RIGHTS, ROLES, Right, Role
from gateway.roster import Person, Token
from gateway.web import posted
from gateway.web.account import moment
from gateway.web.catalogue import Speaker
from gateway.web.frame import Frame
from gateway.web.visitor import NotAllowed, Visitor, needs, visitor_of

_DAY_S = 86_400.0
_LASTING_S = {"30": 30 * _DAY_S, "365": 365 * _DAY_S, "": 0.0}
_TOO_MUCH = Text("nobody gives rights that they do not have", "不能授予自己没有的权限")
_TOO_MUCH_DO = Text("ask an installer", "请由安装员操作")


def add(app: FastAPI, frame: Frame) -> None:
    """The routes."""
    _add_people(app, frame)
    _add_changes(app, frame)
    _add_tokens(app, frame)


def _add_people(app: FastAPI, frame: Frame) -> None:
    people = "/settings/people"

    @app.get(people, include_in_schema=False, dependencies=[needs("people").depends])
    async def listed(request: Request) -> Response:
        visitor, known = visitor_of(request), frame.house.people
        locked = {key[0] for key in known.lockout.locked()}
        rows = [_person(each, visitor, each.name in locked) for each in known.list()]
        roles = [role for role, rights in ROLES.items() if may_give(visitor.rights, rights)]
        return frame.page(request, "people", "people.html", people=rows, roles=roles)

    @app.post(people, include_in_schema=False, dependencies=[needs("people", fresh=True).depends])
    async def add_person(request: Request) -> Response:
        visitor, given = visitor_of(request), await posted.fields(request)
        role = _role(request, given)
        name, shown, password = (given.get(key, "") for key in ("name", "shown", "password"))
        person = await frame.house.people.add(visitor.by, name, shown, role, password)
        return posted.done(_say(frame, request)("person_added", name=person.shown), people)


def _add_changes(app: FastAPI, frame: Frame) -> None:
    fresh = [needs("people", fresh=True).depends]

    @app.post("/settings/people/{name}/password", include_in_schema=False, dependencies=fresh)
    async def set_password(request: Request, name: str) -> Response:
        person = _theirs(frame, request, name)
        given = await posted.fields(request)
        await frame.house.people.set_password(visitor_of(request).by, name, given.get("password", ""))
        return posted.done(_say(frame, request)("person_password", name=person.shown))

    @app.post("/settings/people/{name}/role", include_in_schema=False, dependencies=fresh)
    async def set_role(request: Request, name: str) -> Response:
        person = _theirs(frame, request, name)
        role = _role(request, await posted.fields(request))
        await frame.house.people.set_role(visitor_of(request).by, name, role)
        said = _say(frame, request)
        return posted.done(said("person_role", name=person.shown, role=said(f"role_{role}")), "/settings/people")

    @app.post("/settings/people/{name}/remove", include_in_schema=False, dependencies=fresh)
    async def remove(request: Request, name: str) -> Response:
        person = _theirs(frame, request, name)
        await frame.house.people.remove(visitor_of(request).by, name)
        return posted.done(_say(frame, request)("person_removed", name=person.shown), "/settings/people")

    @app.post("/settings/people/{name}/unlock", include_in_schema=False, dependencies=[needs("people").depends])
    async def unlock(request: Request, name: str) -> Response:
        person = _theirs(frame, request, name)
        await frame.house.people.unlock(visitor_of(request).by, name)
        return posted.done(_say(frame, request)("person_unlocked", name=person.shown), "/settings/people")


def _add_tokens(app: FastAPI, frame: Frame) -> None:
    tokens = "/settings/tokens"

    @app.get(tokens, include_in_schema=False, dependencies=[needs("people").depends])
    async def listed(request: Request) -> Response:
        return _token_page(frame, request)

    @app.post(tokens, include_in_schema=False, dependencies=[needs("people", fresh=True).depends])
    async def make(request: Request) -> Response:
        visitor, given = visitor_of(request), await posted.fields(request)
        scopes = frozenset(right for right in RIGHTS if right in given)
        _refuse_more(request, visitor, scopes)
        if given.get("lasting", "") not in _LASTING_S:
            raise NotSo("lasting", Text("choose how long the token lasts", "请选择令牌的有效期"))
        house, name = frame.house, given.get("name", "")
        text = await house.people.tokens.make(name, scopes, visitor.who, _LASTING_S[given.get("lasting", "")])
        await house.audit.put(visitor.by, "token.make", name, scopes=" ".join(sorted(scopes)))
        return _token_page(frame, request, text)

    @app.post("/settings/tokens/remove", include_in_schema=False, dependencies=[needs("people", fresh=True).depends])
    async def remove(request: Request) -> Response:
        visitor, name = visitor_of(request), (await posted.fields(request)).get("name", "")
        found = next((token for token in frame.house.people.tokens.list() if token.shown == name), None)
        _refuse_more(request, visitor, found.rights if found else frozenset())
        await frame.house.audit.put(visitor.by, "token.remove", name)
        await frame.house.people.tokens.remove(name)
        return posted.done(_say(frame, request)("token_removed", name=name), tokens)


def _token_page(frame: Frame, request: Request, text: str = "") -> Response:
    visitor = visitor_of(request)
    rows = [_token(each, visitor) for each in frame.house.people.tokens.list()]
    scopes = [right for right in RIGHTS if may_give(visitor.rights, frozenset({right}))]
    return frame.page(request, "tokens", "tokens.html", speaks="people", tokens=rows, scopes=scopes, made=text)


def _role(request: Request, given: dict[str, str]) -> Role:
    """That was chosen, and may be given. NotSo, NotAllowed."""
    role = given.get("role", "")
    if role not in ROLES:
        raise NotSo("role", Text("choose a role", "请选择角色"))
    _refuse_more(request, visitor_of(request), ROLES[cast(Role, role)])
    return cast(Role, role)


def _theirs(frame: Frame, request: Request, name: str) -> Person:
    """Who is to be changed, by somebody who may do all that they may. NotFound, NotAllowed."""
    person = frame.house.people.get(name)
    if person is None:
        raise NotFound(name, Text("there is no such person", "没有这个人员"))
    _refuse_more(request, visitor_of(request), person.rights)
    return person


def _refuse_more(request: Request, visitor: Visitor, rights: frozenset[Right]) -> None:
    if not may_give(visitor.rights, rights):
        raise NotAllowed(request.url.path, _TOO_MUCH, _TOO_MUCH_DO)


def _person(person: Person, visitor: Visitor, locked: bool) -> dict[str, Any]:
    mine = may_give(visitor.rights, person.rights)
    seen = moment(person.seen_ms)
    return {
        "name": person.name, "shown": person.shown, "role": person.role, "seen": seen, "locked": locked, "mine": mine
    }  # fmt: skip


def _token(token: Token, visitor: Visitor) -> dict[str, Any]:
    times = {"made": moment(token.made_ms), "used": moment(token.used_ms), "until": moment(token.until_ms)}
    mine = may_give(visitor.rights, token.rights)
    return {"name": token.shown, "rights": sorted(token.rights), "by": token.made_by, "mine": mine, **times}


def _say(frame: Frame, request: Request) -> Speaker:
    return Speaker("people", frame.language(request))
