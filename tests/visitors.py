"""Who asks, in tests of the page: a keeper that knows one visitor, and a page of a living house for them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
from fastapi import Request

from gateway.house import House
from gateway.web import create
from gateway.web.visitor import ROLES, Role, Visitor

CSRF = "c" * 43


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
