"""A Hikvision-like device on a loopback port: login that is really checked, an alert stream or pushes, a door.

`async with Camera() as camera:` gives `camera.url`; `await camera.watched()` waits for a reader of the stream, then
`motion(True)`, `event("linedetection")` and `access(5, 75)` go to every reader, and to every address that it was told
to push to. `Quirks` are what real firmware does differently; `door` is what makes it a door controller.
"""

import asyncio
import hashlib
import json
import re
import secrets
import struct
import zlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from aiohttp import encode_basic_auth, web

from drivers.sim._isapi_door import HABITS, ZONE, Cabinet, Habits

_PATH = "/ISAPI/Event/notification/alertStream"
_OLD_PATH = "/Event/notification/alertStream"
_PICTURE_PATH = "/ISAPI/Streaming/channels/101/picture"
_FIELD = re.compile(r'(\w+)="?([^",]*)"?')


@dataclass(frozen=True)
class Quirks:
    """What one firmware does differently from another."""

    namespace: str = "http://www.hikvision.com/ver20/XMLSchema"
    json: bool = False
    content_length: bool = True
    boundary: str = "boundary"
    declared: str | None = "boundary"  # what the Content-Type says; None leaves it out
    old_path: bool = False
    basic_only: bool = False
    encoding: str = "utf-8"
    closes_after: int | None = None  # parts, then the stream ends
    picture: bool = False  # a picture after each event
    busy: int = 0  # so many questions for a picture are answered that it is busy
    heartbeat_s: float = 10.0
    door: Habits = HABITS


def picture() -> bytes:
    """A real PNG of 16 × 16 grey pixels (ISO/IEC 15948)."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    rows = b"".join(b"\x00" + bytes(range(0, 256, 16)) for _ in range(16))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class _Login:
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


class Camera:
    """One camera (or recorder, or door controller); its state is what tests look at."""

    def __init__(
        self, login: tuple[str, str] = ("admin", "camera-1234"), quirks: Quirks = Quirks(), port: int = 0
    ) -> None:
        self.quirks = quirks
        self.login = _Login(*login, quirks.basic_only)  # `.refused`: logins that were wrong
        self.url = ""
        self.streams = 0  # streams opened so far
        self.door = Cabinet(quirks.door, self.login.check)
        self._busy = quirks.busy
        self._readers: list[asyncio.Queue[bytes | None]] = []
        self._changed = asyncio.Condition()
        self._stack = AsyncExitStack()
        self._count = 0
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
        if self._busy:
            self._busy -= 1
            said = (
                "<ResponseStatus><statusCode>3</statusCode><statusString>Device Error</statusString></ResponseStatus>"
            )
            return web.Response(status=503, text=said, content_type="application/xml")
        return web.Response(body=picture(), content_type="image/png")

    async def stop(self) -> None:
        """Power off: every stream ends, nothing answers."""
        self.hang_up()
        await self._stack.aclose()

    def hang_up(self) -> None:
        """Ends the streams, as some firmware does after a quiet while; the camera goes on."""
        for reader in self._readers:
            reader.put_nowait(None)

    async def watched(self, streams: int = 1) -> None:
        """Until so many streams have been opened in all, and one is open."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.streams >= streams and self._readers)

    def motion(self, active: bool) -> None:
        """Motion detection (VMD) begins, goes on or ends."""
        self.event("VMD", active)

    def heartbeat(self) -> None:
        """What a camera says when there is nothing to say."""
        self.event("videoloss", False)

    def event(self, type: str, active: bool = True, channel: int = 1, **more: str) -> None:
        """One EventNotificationAlert; `more` are further fields, e.g. `inputIOPortID="1"`."""
        self._count += 1
        fields = _head(type, active, self._count) | {"channelID": str(channel)} | more
        self.document(_json(fields) if self.quirks.json else _xml(fields, self.quirks))

    def access(self, major: int, minor: int, **inner: Any) -> None:
        """Something happens at the door: one AccessControllerEvent, remembered, and told to whoever listens."""
        self.tell(self.door.memory.record(major, minor, **inner))

    def tell(self, record: Mapping[str, Any], *, current: bool = True) -> None:
        """A record of the door as a notification; `current` is False of one out of the memory."""
        self._count += 1
        mark = {"currentEvent": current} if self.quirks.door.marks else {}
        inner = {name: value for name, value in record.items() if name != "time"} | mark
        head = _head("AccessControllerEvent", True, self._count) | {"dateTime": str(record["time"])}
        if self.quirks.json:
            self._send("application/json", json.dumps({**head, "AccessControllerEvent": inner}).encode())
        else:
            nested = "".join(f"<{name}>{_text(value)}</{name}>" for name, value in inner.items())
            self._send("application/xml", _xml({**head, "AccessControllerEvent": nested}, self.quirks))

    def replay(self) -> None:
        """Tells all that it remembers once more, as some firmware does when a stream is opened."""
        for record in list(self.door.memory.records):
            self.tell(record, current=False)

    def document(self, body: bytes) -> None:
        """Any document, well formed or not."""
        self._send("application/json" if self.quirks.json else "application/xml; charset=UTF-8", body)

    def _send(self, kind: str, body: bytes) -> None:
        length = f"Content-Length: {len(body)}\r\n" if self.quirks.content_length else ""
        begin = f"--{self.quirks.boundary}\r\n"
        shot = picture()
        extra = f"{begin}Content-Type: image/png\r\nContent-Length: {len(shot)}\r\n\r\n".encode() + shot + b"\r\n"
        part = f"{begin}Content-Type: {kind}\r\n{length}\r\n".encode() + body + b"\r\n"
        for reader in self._readers:
            reader.put_nowait(part)
            if self.quirks.picture:
                reader.put_nowait(extra)
        self._push(kind, body)

    def _push(self, kind: str, body: bytes) -> None:
        """With a picture, a form of two parts, of which the document's does not say what it is; else as it is."""
        if not self.quirks.picture:
            self.door.push(kind, body)
            return
        begin = f"--{self.quirks.boundary}\r\nContent-Disposition: form-data; name="
        form = f'{begin}"event_log"\r\n\r\n'.encode() + body + b"\r\n"
        form += f'{begin}"Picture"; filename="face.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'.encode() + picture()
        form += f"\r\n--{self.quirks.boundary}--\r\n".encode()
        declared = f"; boundary={self.quirks.declared}" if self.quirks.declared else ""
        self.door.push(f"multipart/form-data{declared}", form)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.login.check(request)
        declared = f'; boundary="{self.quirks.declared}"' if self.quirks.declared else ""
        response = web.StreamResponse(headers={"Content-Type": f"multipart/mixed{declared}"})
        await response.prepare(request)
        reader: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._readers.append(reader)
        try:
            await self._serve(response, reader)
        except ConnectionError:
            pass  # the reader has gone
        finally:
            self._readers.remove(reader)
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


def _head(type: str, active: bool, count: int) -> dict[str, str]:
    return {
        "ipAddress": "192.0.2.64",
        "portNo": "80",
        "macAddress": "00:00:5e:00:53:01",
        "dateTime": datetime.now(ZONE).isoformat(timespec="seconds"),
        "activePostCount": str(count),
        "eventType": type,
        "eventState": "active" if active else "inactive",
        "eventDescription": f"{type} alarm",
    }


def _xml(fields: Mapping[str, str], quirks: Quirks) -> bytes:
    xmlns = f' xmlns="{quirks.namespace}"' if quirks.namespace else ""
    inner = "".join(f"<{name}>{value}</{name}>\n" for name, value in fields.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<EventNotificationAlert version="2.0"{xmlns}>\n{inner}'
    return f"{text}</EventNotificationAlert>\n".encode(quirks.encoding)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json(fields: Mapping[str, str]) -> bytes:
    return json.dumps({name: int(v) if v.isdigit() else v for name, v in fields.items()}).encode()
