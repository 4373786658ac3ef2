"""In front of every route: who may ask what under which name, and the security headers of every answer.

A web page elsewhere can make a browser on this machine call us under a name of its own (DNS rebinding); so the Host
must be an IP address, `localhost` or a configured name. There is no login yet: all but `/ingest`, `/healthz` and
`/public` answer loopback peers only, and none that a proxy speaks for.
"""

import asyncio
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Text
from gateway.listeners import Turns
from gateway.web import words

AT_ONCE = 4  # requests of one peer
REFUSED_S = 0.1  # how long a refused one keeps its place: whoever only guesses, or sends rubbish, is slow at it
_OPEN = ("/healthz", "/public", "/public.json", "/static/page.css")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
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

    def __init__(self, app: ASGIApp, names: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._names = names | {"localhost"}
        self._turns = Turns(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses, or passes on; every answer gets the headers."""

        refused = False

        async def with_headers(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
                refused = 400 <= message["status"] < 500
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        async with self._turns.of((scope.get("client") or ("",))[0]):
            await (self._refusal(scope) or self._app)(scope, receive, with_headers)
            if refused:
                await asyncio.sleep(REFUSED_S)

    def _refusal(self, scope: Scope) -> Response | None:
        path = scope["path"]
        if path in _OPEN or path.startswith("/ingest/"):
            return None
        headers = Headers(scope=scope)
        if not _is_loopback(scope) or any(name in headers for name in _FORWARDED):
            return error(403, path, words.NOT_LOCAL, words.NOT_LOCAL_DO)
        if not self._is_ours(headers.get("host", "")):
            return error(421, path, words.NOT_OUR_NAME, words.NOT_OUR_NAME_DO)
        return None

    def _is_ours(self, host: str) -> bool:
        name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return name.lower().rstrip(".") in self._names
        return True


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
