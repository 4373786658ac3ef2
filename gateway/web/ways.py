"""By which way the page may be reached: people elsewhere come over HTTPS, in the clear comes only this machine.

In front of the guard. What devices post, `/public` and the probe stay on the plain listener: they carry a token of
their own, or nothing that is secret. `plain: true` lifts the rule, and is told as a warning wherever one looks.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from starlette.datastructures import URL, Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import Text
from gateway.web.certificate import Certificate
from gateway.web.guard import error

_OPEN = ("/healthz", "/public", "/public.json")
_OPEN_BELOW = ("/ingest/", "/static/")
_HOST = re.compile(r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_NOT_PLAIN = Text("from another machine the page is reached over HTTPS only", "从其他设备访问网页必须使用 HTTPS")


@dataclass(frozen=True)
class Ways:
    """How the page may be reached. `https_port` 0: over HTTPS not at all."""

    https_port: int = 0
    plain: bool = False  # anybody may come in the clear
    certificate: Certificate | None = None


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, ways: Ways) -> None:
        self._app = app
        self._ways = ways

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on, sends to the other way, or refuses."""
        answer = self._app if scope["type"] != "http" or self._may(scope) else self._refusal(scope)
        await answer(scope, receive, send)

    def _may(self, scope: Scope) -> bool:
        path = scope["path"]
        opened = path in _OPEN or path.startswith(_OPEN_BELOW)
        return opened or self._ways.plain or scope["scheme"] == "https" or not elsewhere(scope)

    def _refusal(self, scope: Scope) -> Response:
        headers, port = Headers(scope=scope), self._ways.https_port
        host = _HOST.fullmatch(headers.get("host", ""))
        reads = scope["method"] in ("GET", "HEAD") and "text/html" in headers.get("accept", "")
        if port and host and reads:
            url = URL(scope=scope)
            where = f"https://{host[1]}:{port}{url.path}" + (f"?{url.query}" if url.query else "")
            return RedirectResponse(where, 308, _HEADERS)
        return error(403, scope["path"], _NOT_PLAIN, _do(port), _HEADERS)


def _do(port: int) -> Text:
    if port:
        return Text(f"open https:// and port {port} of this machine", f"请用 https:// 打开本机的 {port} 端口")
    return Text(
        "set web.https in gateway.yaml, open it on the machine itself, or tunnel: ssh -L 8080:127.0.0.1:8080 …",
        "请在 gateway.yaml 中设置 web.https,或在本机打开,或通过 SSH 隧道访问:ssh -L 8080:127.0.0.1:8080 …",
    )


def elsewhere(scope: Scope) -> bool:
    """Does it come from another machine, as far as the connection says?"""
    try:
        address = ip_address((scope.get("client") or ("",))[0])
    except ValueError:
        return True
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return not (mapped or address).is_loopback
