"""Who asks, in tests of the page: a keeper that knows one visitor, browsers at the door, people who sign in."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
from fastapi import Request

from gateway.house import House
from gateway.web import create
from gateway.web.keeper import PeopleKeeper
from gateway.web.visitor import ROLES, Role, Visitor
from gateway.web.ways import Ways

CSRF = "c" * 43
EVIL = "<script>alert(1)</script>"
PASSWORD = "gate house at night"
SHOWN: dict[Role, str] = {"duty": "王师傅", "manager": "陈经理", "installer": "李工", "auditor": "周审计"}


def known(role: Role, who: str = "王师傅", *, fresh: bool = True) -> Visitor:
    """A person of that role, whose password was just given."""
    return Visitor(who, role, ROLES[role], csrf=CSRF, fresh=fresh, session="s")


class Known:
    """Whoever comes is this one; None: nobody is."""

    def __init__(self, visitor: Visitor | None) -> None:
        self.visitor_is = visitor

    async def visitor(self, request: Request) -> Visitor | None:
        """The one."""
        return self.visitor_is


@asynccontextmanager
async def visiting(
    house: House, visitor: Visitor | None, *, language: str = "zh", names: Sequence[str] = ()
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the house's application, in this process, as that visitor."""
    app = create(house, Known(visitor), names)
    way = httpx.ASGITransport(app=app, client=("127.0.0.1", 50000))
    headers = {"Accept-Language": language, "X-CSRF-Token": CSRF, "Origin": "http://localhost"}
    async with httpx.AsyncClient(transport=way, base_url="http://localhost", headers=headers) as client:
        yield client


@asynccontextmanager
async def at_the_door(
    house: House, address: str = "127.0.0.1", *, scheme: str = "http", language: str = "zh"
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at that address whom the house knows by its cookie alone, as the daemon's own page would."""
    app = create(house, PeopleKeeper(house.people), ways=Ways(plain=True))
    way = httpx.ASGITransport(app=app, client=(address, 50000))
    base = f"{scheme}://localhost"
    headers = {"Accept-Language": language, "Accept": "text/html", "Origin": base}
    async with httpx.AsyncClient(transport=way, base_url=base, headers=headers) as client:
        yield client


def said(answer: httpx.Response) -> str:
    """The sentence of a step that was done."""
    assert answer.status_code == 204, answer.text
    return unquote(answer.headers["X-Said"])


def why(answer: httpx.Response, language: str = "zh") -> str:
    """What a refusal says, and what to do."""
    error: dict[str, Any] = answer.json()["error"]
    return " ".join(error[name][language] for name in ("what", "do") if name in error)


async def word_of(client: httpx.AsyncClient) -> str:
    """What goes with each step (X-CSRF-Token), as the page shows it."""
    found = re.search(r'data-csrf="([^"]+)"', (await client.get("/account")).text)
    assert found is not None, "nobody is signed in"
    return found[1]


@dataclass(frozen=True)
class Signed:
    """Somebody who is signed in at a daemon."""

    cookies: dict[str, str]
    csrf: str
    name: str


async def signed_in(port: int, role: Role, state: Path) -> Signed:
    """By the real set-up and sign-in of the daemon at this port, whose state folder this is."""
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, headers={"Origin": base, "Accept": "text/html"}) as client:
        code = state / "setup-code"
        if code.exists():
            first = {"code": code.read_text("ascii"), "name": "installer", "shown": "李工"}
            await _through(client, "/setup", first | {"password": PASSWORD, "again": PASSWORD})
        else:
            await _through(client, "/login", {"name": "installer", "password": PASSWORD})
        if role == "installer":
            return Signed(dict(client.cookies), await word_of(client), "installer")
        headers = {"X-CSRF-Token": await word_of(client)}
        person = {"name": role, "shown": SHOWN[role], "role": role, "password": PASSWORD}
        await client.post("/settings/people", data=person, headers=headers)  # there may be one already
        client.cookies.clear()
        await _through(client, "/login", {"name": role, "password": PASSWORD})
        return Signed(dict(client.cookies), await word_of(client), role)


async def _through(client: httpx.AsyncClient, door: str, form: dict[str, str]) -> None:
    answer = await client.post(door, data=form)
    assert answer.status_code == 303, (door, answer.status_code, answer.text)
