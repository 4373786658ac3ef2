"""In front of every route: who may ask what under which name, and the security headers of every answer.

A web page elsewhere can make a browser on this machine call us under a name of its own (DNS rebinding); so the Host
must be an IP address, `localhost` or a configured name. All but what is open to anybody is answered only to whom the
keeper knows, who is then `request.state.visitor`. A person's step must come from a page of ours: by its Origin, by
Sec-Fetch-Site, and by a word that only such a page knows (X-CSRF-Token, or `csrf` in a form).
"""

import asyncio
import hmac
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from urllib.parse import quote, urlsplit

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import GatewayError, StorageError, Text
from gateway.listeners import Turns
from gateway.web import posted, words
from gateway.web.visitor import Keeper, NotAllowed, Visitor

AT_ONCE = 4  # requests of one peer
DOOR_S, BODY_S = 10.0, 60.0  # so long a form may take to come in, from strangers and from who is known
REFUSED_S = 0.1  # how long a refused one keeps its place: whoever only guesses, or sends rubbish, is slow at it
_OPEN = ("/healthz", "/public", "/public.json")
_LASTING = ("/stream", "/api/v1/events/stream")  # they hold no place among what is answered and done
_OPEN_BELOW = ("/ingest/", "/static/")
_DOORS = ("/login", "/setup")  # open, under our own names and from our own pages
_READS = ("GET", "HEAD", "OPTIONS")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none at all, browsers send `Origin: null` (Fetch, 3.2)
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


def error(
    status: int, where: str, what: Text, do: Text | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """`{"error": {"where", "what": {"en", "zh"}, "do"?: {"en", "zh"}}}`, as every refusal here looks."""
    said = {"where": where, "what": what._asdict()} | ({"do": do._asdict()} if do else {})
    return JSONResponse({"error": said}, status, headers)


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, keeper: Keeper, names: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._keeper = keeper
        self._names = names | {"localhost"}
        self._turns = Turns(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses, or passes on; every answer gets the headers."""

        refused = False

        async def with_headers(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                refused = 400 <= message["status"] < 500
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        receive = _in_time(receive, DOOR_S if scope["path"] in _DOORS else BODY_S)
        async with self._turns.of((scope.get("client") or ("",))[0]):
            answer, receive = await self._judged(scope, receive)
            lasts = answer is None and scope["path"] in _LASTING
            if not lasts:
                await (answer or self._app)(scope, receive, with_headers)
            if refused:
                await asyncio.sleep(REFUSED_S)
        if lasts:
            await self._app(scope, receive, with_headers)

    async def _judged(self, scope: Scope, receive: Receive) -> tuple[Response | None, Receive]:
        """What is answered at once, or None; and what is left to read of the request."""
        path, headers = scope["path"], Headers(scope=scope)
        if path in _OPEN or path.startswith(_OPEN_BELOW):
            return None, receive
        if not self._is_ours(headers.get("host", "")):
            return error(421, path, words.NOT_OUR_NAME, words.NOT_OUR_NAME_DO), receive
        step = scope["method"] not in _READS
        if path in _DOORS:
            with suppress(GatewayError):
                await self._meet(scope)
            return (_foreign(scope, headers) if step else None), receive
        try:
            visitor = await self._meet(scope)
        except GatewayError as why:
            return _turned_away(scope, headers, why), receive
        if visitor is None:
            return _turned_away(scope, headers, None), receive
        return await _unasked(scope, receive, visitor) if step and visitor.csrf else (None, receive)

    async def _meet(self, scope: Scope) -> Visitor | None:
        visitor = await self._keeper.visitor(Request(scope))
        scope.setdefault("state", {})["visitor"] = visitor
        return visitor

    def _is_ours(self, host: str) -> bool:
        name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return name.lower().rstrip(".") in self._names
        return True


def _turned_away(scope: Scope, headers: Headers, why: GatewayError | None) -> Response:
    """A browser that comes for a page is shown where to sign in; everybody else is told."""
    path = scope["path"]
    if isinstance(why, StorageError):
        return error(503, why.where, why.what, why.do, {"Retry-After": "5"})
    if scope["method"] == "GET" and "text/html" in headers.get("accept", "") and "hx-request" not in headers:
        query = scope.get("query_string", b"").decode("latin-1")
        return RedirectResponse(f"/login?next={quote(path + (f'?{query}' if query else ''), safe='/')}", 303)
    if why is not None:
        return error(403, path, why.what, why.do)
    return error(401, path, words.NOT_KNOWN, words.NOT_KNOWN_DO, {"WWW-Authenticate": "Bearer"})


async def _unasked(scope: Scope, receive: Receive, visitor: Visitor) -> tuple[Response | None, Receive]:
    """Refused where it is not sure that the person themselves, on a page of ours, asked for it."""
    headers = Headers(scope=scope)
    said = headers.get("x-csrf-token")
    if said is None and headers.get("content-type", "").startswith(posted.URLENCODED):
        try:
            content = await posted.body(receive)
            said = posted.parsed(content).get("csrf")
        except HTTPException as wrong:
            return error(wrong.status_code, scope["path"], words.refusal(wrong.status_code)), receive
        receive = _once_more(content, receive)
    refusal = _foreign(scope, headers)
    if refusal is None and not hmac.compare_digest((said or "").encode(), visitor.csrf.encode()):
        refusal = error(403, scope["path"], words.NOT_OUR_PAGE, words.NOT_OUR_PAGE_DO)
    return refusal, receive


def _in_time(receive: Receive, limit_s: float) -> Receive:
    """The request's body, as long as it comes: whoever sends a drop at a time keeps no place. HTTPException 408."""
    ends_s, more = 0.0, True

    async def within() -> Message:
        nonlocal ends_s, more
        if not more:
            return await receive()
        ends_s = ends_s or asyncio.get_running_loop().time() + limit_s
        try:
            async with asyncio.timeout_at(ends_s):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, headers={"Connection": "close"}) from None
        more = message.get("more_body", False)
        return message

    return within


def _once_more(content: bytes, rest: Receive) -> Receive:
    """What has been read, and then what comes."""
    unread = [content]

    async def receive() -> Message:
        return {"type": "http.request", "body": unread.pop(), "more_body": False} if unread else await rest()

    return receive


def _foreign(scope: Scope, headers: Headers) -> Response | None:
    """Refused unless a page of this very origin asks: scheme, host and port."""
    ours = f"{scope['scheme']}://{headers.get('host', '').lower()}"
    origin = headers.get("origin")
    if origin is None and (referer := headers.get("referer")):
        with suppress(ValueError):  # no address at all
            parts = urlsplit(referer)
            origin = f"{parts.scheme}://{parts.netloc}"
    site = headers.get("sec-fetch-site", "same-origin")
    if (origin or "").lower() == ours and site in ("same-origin", "none"):
        return None
    return error(403, scope["path"], words.NOT_OUR_PAGE, words.NOT_OUR_PAGE_DO)


class LocalKeeper:
    """While nobody has an account: this machine may look, and nobody that a proxy speaks for."""

    async def visitor(self, request: Request) -> Visitor | None:
        """Nobody by name, who sees. NotAllowed."""
        if _is_loopback(request.scope) and not any(name in request.headers for name in _FORWARDED):
            return Visitor("", "", frozenset({"see", "metrics"}))
        raise NotAllowed(request.url.path, words.NOT_LOCAL, words.NOT_LOCAL_DO)


def _is_loopback(scope: Scope) -> bool:
    client = scope.get("client")
    if client is None:
        return False
    try:
        address = ip_address(client[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
