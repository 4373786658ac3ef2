"""Knows who asks: a person by their session's cookie, a machine by its token.

While nobody has an account, this machine may look (`LocalKeeper`); from the first person on it needs one as well.
"""

from datetime import timedelta

from fastapi import Request
from starlette.responses import Response

from gateway.clock import rfc3339
from gateway.errors import StorageError
from gateway.people import People
from gateway.sessions import MOST_S, Session, csrf
from gateway.web.guard import LocalKeeper
from gateway.web.visitor import Visitor

_COOKIE = "session"
_PROBE = "/readyz"
_SECURE_COOKIE = f"__Host-{_COOKIE}"  # a browser takes it from no other host, over https alone (RFC 6265bis, 4.1.3)


class PeopleKeeper:
    """Of one house."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._nobody = LocalKeeper()

    async def visitor(self, request: Request) -> Visitor | None:
        """A sign of life of the session it is. StorageError, NotAllowed."""
        try:
            await self._people.load()
        except StorageError:
            if request.url.path != _PROBE:
                raise
            return await self._nobody.visitor(request)  # whether the disk answers is what it asks
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._machine(credentials.strip())
        text = request.cookies.get(cookie_name(request), "")
        session = self._people.sessions.find(text) if text else None
        person = self._people.get(session.kept.person) if session else None
        if session is None or person is None:
            return None if self._people.anybody else await self._nobody.visitor(request)
        fresh = self._people.sessions.is_fresh(session)
        ends = self._ends(session)
        return Visitor(person.shown, person.role, person.rights, csrf(text), fresh, session.key, ends)

    def _machine(self, text: str) -> Visitor | None:
        token = self._people.tokens.find(text)
        return Visitor(token.shown, "platform", token.rights, fresh=True) if token else None

    def _ends(self, session: Session) -> str:
        clock = self._people.rim.clock
        left_s = session.began_s + MOST_S - clock.monotonic()
        return rfc3339(clock.utc() + timedelta(seconds=left_s))


def cookie_name(request: Request) -> str:
    """Over https one that plain http can neither send nor set."""
    return _SECURE_COOKIE if request.url.scheme == "https" else _COOKIE


def give(request: Request, response: Response, token: str) -> None:
    """The browser has the session from now on; "" takes it away."""
    response.set_cookie(
        cookie_name(request),
        token,
        max_age=int(MOST_S) if token else 0,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
