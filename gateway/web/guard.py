"""In front of every route: who may ask what under which name, and the security headers of every answer.

A web page elsewhere can make a browser on this machine call us under a name of its own (DNS rebinding); so the Host
must be an IP address, `localhost` or a configured name. All but what is open to anybody is answered only to whom the
keeper knows, who is then `request.state.visitor`.
"""

import asyncio
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Text
from gateway.listeners import Turns
from gateway.web import words
from gateway.web.visitor import Keeper, Visitor

AT_ONCE = 4  # requests of one peer
REFUSED_S = 0.1  # how long a refused one keeps its place: whoever only guesses, or sends rubbish, is slow at it
_OPEN = ("/healthz", "/public", "/public.json")
_LASTING = ("/stream", "/api/v1/events/stream")  # they hold no place among what is answered and done
_OPEN_BELOW = ("/ingest/", "/static/")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
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
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                refused = 400 <= message["status"] < 500
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        async with self._turns.of((scope.get("client") or ("",))[0]):
            refusal = await self._refusal(scope)
            lasts = refusal is None and scope["path"] in _LASTING
            if not lasts:
                await (refusal or self._app)(scope, receive, with_headers)
            if refused:
                await asyncio.sleep(REFUSED_S)
        if lasts:
            await self._app(scope, receive, with_headers)

    async def _refusal(self, scope: Scope) -> Response | None:
        path = scope["path"]
        if path in _OPEN or path.startswith(_OPEN_BELOW):
            return None
        if not self._is_ours(Headers(scope=scope).get("host", "")):
            return error(421, path, words.NOT_OUR_NAME, words.NOT_OUR_NAME_DO)
        visitor = await self._keeper.visitor(Request(scope))
        if visitor is None:
            return error(403, path, words.NOT_LOCAL, words.NOT_LOCAL_DO)
        scope.setdefault("state", {})["visitor"] = visitor
        return None

    def _is_ours(self, host: str) -> bool:
        name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return name.lower().rstrip(".") in self._names
        return True


class LocalKeeper:
    """While nobody has an account: this machine may look, and nobody that a proxy speaks for."""

    async def visitor(self, request: Request) -> Visitor | None:
        """Nobody by name, who sees."""
        local = _is_loopback(request.scope) and not any(name in request.headers for name in _FORWARDED)
        return Visitor("", "", frozenset({"see", "metrics"})) if local else None


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
