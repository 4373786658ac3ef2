"""A Hikvision-like device on a loopback port: login that is really checked, an alert stream or pushes, a door.

`async with Camera() as camera:` gives `camera.url`; `await camera.watched()` waits for a reader of the stream, then
`motion(True)`, `event("linedetection")` and `access(5, 75)` go to every reader, and to every address that it was told
to push to. `Quirks` are what real firmware does differently; `door` is what makes it a door controller.
"""

import asyncio
import hashlib
import re
import secrets
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from aiohttp import encode_basic_auth, web

from drivers.sim._isapi_door import Cabinet
from drivers.sim._isapi_voice import Quirks as Quirks
from drivers.sim._isapi_voice import Voice
from drivers.sim._isapi_voice import picture as picture

_PATH = "/ISAPI/Event/notification/alertStream"
_OLD_PATH = "/Event/notification/alertStream"
_PICTURE_PATH = "/ISAPI/Streaming/channels/101/picture"
_PROXY_PATH = "/ISAPI/ContentMgmt/StreamingProxy/channels/101/picture"
QUIRKS = Quirks()  # today's firmware
_FIELD = re.compile(r'(\w+)="?([^",]*)"?')


class Login:
    """Digest (RFC 7616, MD5, qop=auth) or basic (RFC 7617), checked as a device does."""

    def __init__(self, user: str, password: str, basic: bool) -> None:
        self._user, self._password, self._basic = user, password, basic
        self._nonces: set[str] = set()
        self.refused = 0

    def check(self, request: web.Request) -> None:
        """Raises 401 with a fresh challenge."""
        login = request.headers.get("Authorization", "")
        if login and (self._is_basic(login) if self._basic else self._is_digest(login, request)):
            return
        self.refused += bool(login)
        nonce = secrets.token_hex(16)
        self._nonces.add(nonce)
        digest = f'Digest realm="DS-1", qop="auth", nonce="{nonce}", algorithm=MD5, stale="FALSE"'
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="DS-1"' if self._basic else digest})

    def _is_basic(self, login: str) -> bool:
        return login == encode_basic_auth(self._user, self._password)

    def _is_digest(self, login: str, request: web.Request) -> bool:
        said = dict(_FIELD.findall(login.partition(" ")[2]))
        if said.get("nonce") not in self._nonces or said.get("username") != self._user:
            return False
        secret = _md5(f"{self._user}:DS-1:{self._password}")
        asked = _md5(f"{request.method}:{request.raw_path}")
        due = _md5(f"{secret}:{said['nonce']}:{said.get('nc')}:{said.get('cnonce')}:auth:{asked}")
        return said.get("uri") == request.raw_path and secrets.compare_digest(due, said.get("response", ""))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class Camera(Voice):
    """One camera (or recorder, or door controller); its state is what tests look at."""

    def __init__(
        self, login: tuple[str, str] = ("admin", "camera-1234"), quirks: Quirks = QUIRKS, port: int = 0
    ) -> None:
        self.login = Login(*login, quirks.basic_only)  # `.refused`: logins that were wrong
        self.url = ""
        self.streams = 0  # streams opened so far
        super().__init__(quirks, Cabinet(quirks.door, self.login.check))
        self._busy = quirks.busy
        self._changed = asyncio.Condition()
        self._stack = AsyncExitStack()
        self._port = port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Power on; after a stop on the same port again."""
        app = web.Application()
        app.router.add_get(_OLD_PATH if self.quirks.old_path else _PATH, self._stream)
        app.router.add_get(_PICTURE_PATH, self._show)
        app.router.add_get(_PROXY_PATH, self._show)
        self.door.routes(app)
        runner = web.AppRunner(app, shutdown_timeout=0.5)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"
        delivery = asyncio.ensure_future(self.door.deliver())
        self._stack.push_async_callback(asyncio.wait, [delivery])
        self._stack.callback(delivery.cancel)

    async def _show(self, request: web.Request) -> web.Response:
        self.login.check(request)
        code = 3 if self._busy else 6 if self.quirks.proxy and request.path == _PICTURE_PATH else None
        if code is not None:
            self._busy -= bool(self._busy)
            said = f"<ResponseStatus><statusCode>{code}</statusCode></ResponseStatus>"
            return web.Response(status=503, text=said, content_type="application/xml")
        return web.Response(body=picture(), content_type="image/png")

    async def stop(self) -> None:
        """Power off: every stream ends, nothing answers."""
        self.hang_up()
        await self._stack.aclose()

    def hang_up(self) -> None:
        """Ends the streams, as some firmware does after a quiet while; the camera goes on."""
        for reader in self.readers:
            reader.put_nowait(None)

    async def watched(self, streams: int = 1, within_s: float | None = None) -> None:
        """Until so many streams have been opened in all, and one is open. TimeoutError if that does not come."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(lambda: self.streams >= streams and self.readers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.login.check(request)
        declared = f'; boundary="{self.quirks.declared}"' if self.quirks.declared else ""
        response = web.StreamResponse(headers={"Content-Type": f"multipart/mixed{declared}"})
        await response.prepare(request)
        reader: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.readers.append(reader)
        try:
            await self._serve(response, reader)
        except ConnectionError:
            pass  # the reader has gone
        finally:
            self.readers.remove(reader)
        return response

    async def _serve(self, response: web.StreamResponse, reader: "asyncio.Queue[bytes | None]") -> None:
        self.streams += 1
        async with self._changed:
            self._changed.notify_all()
        sent = 0
        while self.quirks.closes_after is None or sent < self.quirks.closes_after:
            try:
                async with asyncio.timeout(self.quirks.heartbeat_s):
                    part = await reader.get()
            except TimeoutError:
                self.heartbeat()
                continue
            if part is None:
                return
            await response.write(part)
            sent += 1
