"""A listener that ISAPI devices push their notifications to. (An underscore: no driver.)

A device is known by a path that nobody can guess and by its address, for it has no login here. It gets its 200 when all
that a request said is on disk, and sends it again otherwise. A request is multipart/form-data (one part is the
document, another a face or a scene, which is passed over byte by byte) or the document alone.
"""

import asyncio
import hmac
import math
import re
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack

from aiohttp import web
from yarl import URL

from drivers._guard import Doorkeeper, Limits, listening
from drivers._http import Http, ask, session
from drivers._isapi_config import Config
from drivers._isapi_desk import Desk
from drivers._isapi_hosts import Target, ensure
from drivers._isapi_memory import Memory
from drivers._isapi_orders import ACTIONS, Orders
from drivers._multipart import MAX_DOCUMENT_BYTES, MAX_PICTURE_BYTES, Document, Parts
from gateway.driver import Line, Link
from gateway.errors import DeviceError, GatewayError, NeedsPerson, StorageError, Text, Unreachable
from gateway.listeners import allow_list, announce

MAX_REQUEST_BYTES = MAX_PICTURE_BYTES + 4 * MAX_DOCUMENT_BYTES
MAX_DOCUMENTS = 64  # in one request; real ones have one
CHUNK_BYTES = 64 * 1024
TICK_S = 0.5  # how exactly the end of a silence is told
FAILURES = 3  # then the device is told to be offline
LOCKED_S = 300.0  # after a refused login, or a camera locks the account
SECRET_BYTES = 16
MOST_STRANGERS = 64  # that are told by name
WHO_AM_I = "/ISAPI/System/deviceInfo"


class Body:
    """The documents of one request, fed in chunks; never holds more than one of them."""

    def __init__(self, content_type: str) -> None:
        declared = re.search(r'boundary="?([^";,\s]+)', content_type, re.IGNORECASE)
        self._parts = Parts(declared[1] if declared else None)
        self._alone = bytearray()
        self._multipart: bool | None = None
        self.documents: list[bytes] = []
        self.size = 0

    def feed(self, chunk: bytes) -> bool:
        """False: it is more than a device has to say."""
        self.size += len(chunk)
        if self._multipart is None:
            self._alone += chunk
            begin = bytes(self._alone.lstrip(b"\xef\xbb\xbf \t\r\n")[:1])
            if not begin:
                return len(self._alone) <= MAX_DOCUMENT_BYTES
            self._multipart = begin not in (b"{", b"<")
            chunk, self._alone = bytes(self._alone), bytearray()
        if self._multipart:
            self.documents += [part.body for part in self._parts.feed(chunk) if isinstance(part, Document)]
            return self.size <= MAX_REQUEST_BYTES and len(self.documents) <= MAX_DOCUMENTS
        self._alone += chunk
        return self.size <= MAX_DOCUMENT_BYTES

    def end(self) -> list[bytes]:
        """All of them."""
        if self._multipart is False:
            self.documents.append(bytes(self._alone))
        return self.documents


class Visitor:
    """One device that pushes: what it says, and what it is asked."""

    def __init__(self, config: Config, http: Http, link: Link) -> None:
        self.config = config
        self.desk = Desk(config, link)
        self.path = ""
        self._http, self._link = http, link
        self._memory = Memory(config, http, self.desk, link.clock)
        self.orders = Orders(http, self.desk, link)
        self._port = 0
        self._heard_at = self._ask_at = -math.inf  # monotonic seconds
        self._failures = 0
        self._lost = False
        self._told = ""

    def ready(self) -> None:
        """What was kept, and the path it pushes to, made at first. StorageError."""
        self.desk.recall()
        name = f"isapi-{self.config.id}-path"
        kept = self._link.kept(name)
        if self.config.path is None and kept is None:
            kept = secrets.token_hex(SECRET_BYTES).encode()
            self._link.keep(name, kept)
        self.path = self.config.path or f"/isapi/{self.config.id}/{(kept or b'').decode('ascii', 'replace')}"

    def listening_on(self, port: int) -> None:
        """Where the listener is."""
        self._port = port

    # --- what it says

    async def take(self, bodies: Sequence[bytes]) -> None:
        """Returns after the commit. StorageError: nothing of it was accepted."""
        if self._lost:
            self._memory.interrupted()
        await self.desk.take(bodies)
        self._heard_at, self._lost, self._failures = self._link.clock.monotonic(), False, 0
        await self._link.seen(self.config.id)
        self._memory.heard()

    # --- what it is asked

    async def watch(self) -> None:
        """For ever: silences, the device's settings, its memory. What fails is told once and tried again."""
        while True:
            try:
                await self.desk.expire()
                if self._ask_at <= self._now():
                    await self._ask()
                if self._memory.due <= self._now() and not self._failures:
                    await self._memory.look()
            except StorageError as error:
                self._say(error)
            except DeviceError as error:
                await self._failed(error)
            await self._link.clock.sleep(TICK_S)

    async def _ask(self) -> None:
        """Is it there, and does it push to us?"""
        self._ask_at = self._now() + self.config.silence
        if self.config.path is None:
            set_anew = await ensure(self._http, await self._target())
            if set_anew:
                self._link.log.info("%s: it pushes to this gateway from now on", self.config.id)
        else:
            await ask(self._http, "GET", WHO_AM_I)
        if self._lost or self._failures:
            self._memory.interrupted()
        self._failures, self._lost, self._told = 0, False, ""
        await self._link.seen(self.config.id)

    async def _target(self) -> Target:
        host, port = self.config.callback or (await _own_address(self.config), self._port)
        return Target(host, port, self.path, f"/isapi/{self.config.id}/")

    async def _failed(self, error: DeviceError) -> None:
        """A device that still pushes is not lost."""
        self._failures += 1
        refused = isinstance(error, NeedsPerson)
        self._ask_at = self._now() + (LOCKED_S if refused else self.config.retry * min(self._failures, FAILURES))
        self._say(error)
        silent = self._heard_at + self.config.silence <= self._now()
        if silent and (refused or self._failures >= FAILURES):
            self._lost = True
            try:
                await self._link.lost(self.config.id, "refused" if refused else "no-answer")
            except StorageError as failure:
                self._say(failure)

    def _say(self, error: GatewayError) -> None:
        if self._told != str(error):
            self._told = str(error)
            self._link.log.warning("%s", error)

    def _now(self) -> float:
        return self._link.clock.monotonic()


async def _own_address(config: Config) -> str:
    """This machine's address on the way to the device. Unreachable: there is no way."""
    url = URL(config.url)
    try:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(url.host or "", url.port or 0)
        )
    except OSError as error:
        what = Text(f"there is no way to {config.url}: {error}", f"无法到达 {config.url}:{error}")
        raise Unreachable(config.id, what, Text("check cable and address", "请检查网线和地址")) from error
    try:
        return str(transport.get_extra_info("sockname")[0])
    finally:
        transport.close()


class Reception:
    """Answers the requests of one listener."""

    def __init__(self, visitors: Sequence[Visitor], link: Link, keeper: Doorkeeper) -> None:
        self._visitors, self._link, self._keeper = visitors, link, keeper
        self._strangers: set[str] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """200 when it is on disk; 503: to be sent again; 404: not one of ours, 413: too much."""
        visitor = self._known(request)
        if visitor is None:
            return _said(404, "not known here")
        try:
            documents = await _documents(request)
        except (ConnectionError, web.RequestPayloadError):
            return _said(400, "the request was cut off")
        if documents is None:
            return _said(413, "too much for one notification")
        with self._keeper.answering(request):
            try:
                await visitor.take(documents)
            except StorageError as error:
                return _said(503, error.what.en)
        return _said(200, "OK")

    def _known(self, request: web.Request) -> Visitor | None:
        """Whose path it is, if it comes from where it may; anything else is told once."""
        peer, path = request.remote or "", request.path.encode("utf-8", "replace")
        found = [v for v in self._visitors if hmac.compare_digest(v.path.encode(), path)]
        if request.method in ("POST", "PUT") and found and found[0].config.allows(peer):
            return found[0]
        if peer not in self._strangers and len(self._strangers) < MOST_STRANGERS:
            self._strangers.add(peer)
            why = "may not push from this address (allow:)" if found else "asks for a path that is no device's"
            self._link.log.warning("refused: %s %s", peer, why)
        return None


async def _documents(request: web.Request) -> list[bytes] | None:
    """What the request says; None where it is more than a device has to say."""
    body = Body(request.headers.get("Content-Type", ""))
    async for chunk in request.content.iter_chunked(CHUNK_BYTES):
        if not body.feed(chunk):
            return None
    return body.end()


def _said(status: int, text: str) -> web.Response:
    response = web.Response(status=status, text=text)
    if status != 200:
        response.force_close()
    return response


async def serve(line: Line[Config], link: Link, limits: Limits | None = None) -> None:
    """Takes what the devices of one listening address push, for ever. Unreachable: the gateway cannot listen there."""
    first = line.devices[0]
    named = "isapi " + ", ".join(config.id for config in line.devices)
    keeper = Doorkeeper(
        limits or Limits(per_peer=4 * (1 + len(line.devices))),
        link.log,
        named,
        lambda peer: any(config.allows(peer) for config in line.devices),
    )
    async with AsyncExitStack() as stack:
        visitors = []
        for config in line.devices:
            http = await stack.enter_async_context(session(config.site, link.clock))
            visitor = Visitor(config, http, link)
            visitor.ready()
            stack.enter_context(link.handle(config.id, ACTIONS, visitor.orders.command))
            visitors.append(visitor)
        reception = Reception(visitors, link, keeper)
        address = first.listen or ("", 0)
        host, port = await stack.enter_async_context(
            listening(first.id, address, reception.answer, keeper, lambda: None)
        )
        allowed = allow_list(config.allowed for config in line.devices)
        announce(link.log, named, f"{host}:{port}", allowed, "write allow: with their addresses")
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for visitor in visitors:
            visitor.listening_on(port)
            group.create_task(visitor.watch(), name=f"isapi {visitor.config.id}")
