"""A listener that no peer can hold up: so many connections, a deadline for every request. (An underscore: no driver.)

aiohttp's server waits for a request's head and body for ever. Here a connection is aborted when a request is not whole
in time, when its peer has more connections than its share, or when all are taken.
"""

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.errors import Text, Unreachable
from gateway.listeners import Refusals, Turnstile

LoggerAdapter = logging.LoggerAdapter[logging.Logger]
Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]
REASONS = {
    errno.EADDRINUSE: (
        Text("another program, or another driver, listens there", "该端口已被其他程序或驱动占用"),
        Text("choose another port in listen: and on the devices", "请在 listen: 和设备上改用其他端口"),
    ),
    errno.EADDRNOTAVAIL: (
        Text("this machine has no such address", "本机没有这个地址"),
        Text('write "0.0.0.0:PORT" to listen on all', '请写 "0.0.0.0:端口" 以监听全部地址'),
    ),
    errno.EACCES: (
        Text("ports below 1024 are not for this user", "该用户不能使用 1024 以下的端口"),
        Text("choose a port from 1024 on", "请改用 1024 及以上的端口"),
    ),
}
OTHER = Text("check listen:", "请检查 listen:")
TLS_HANDSHAKE = 0x16  # RFC 8446, 5.1: the first byte of a connection that is no HTTP but HTTPS
MOST_NAMED = 64  # peers that are told by name
_HTTP_LOG = logging.getLogger("gateway.driver.http")


def _ours(record: logging.LogRecord) -> bool:
    """What a peer sends wrong is its own business; what goes wrong here is not."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return not isinstance(error, HttpProcessingError)


_HTTP_LOG.addFilter(_ours)


@dataclass(frozen=True)
class Limits:
    """What one listener bears."""

    connections: int = 256
    per_peer: int = 8  # a terminal uses two or three; several may stand behind one address
    request_s: float = 20.0  # from the first byte of a request to its last
    idle_s: float = 75.0  # between two requests
    head_bytes: int = 8190  # of the request line and of each header


class Doorkeeper:
    """Counts connections, and knows the deadline of each."""

    def __init__(
        self, limits: Limits, log: LoggerAdapter, where: str = "", admits: Callable[[str], bool] = lambda _: True
    ) -> None:
        self.limits = limits
        self._log = log
        self._named: set[str] = set()
        self.turnstile = Turnstile(Refusals(log, where), limits.connections, limits.per_peer, admits)
        self._guards: dict[object, _Guard] = {}

    def guard(self, inner: asyncio.Protocol) -> asyncio.Protocol:
        """A new connection's protocol around aiohttp's."""
        return _Guard(self, inner)

    def admit(self, guard: "_Guard", peer: str, transport: asyncio.Transport, inner: object) -> bool:
        """May it connect, and is there room for it? Otherwise it has been aborted."""
        admitted = self.turnstile.enter(peer, transport)
        if admitted:
            self._guards[inner] = guard
        return admitted

    def leave(self, peer: str, transport: asyncio.Transport, inner: object) -> None:
        """It has gone."""
        self._guards.pop(inner, None)
        self.turnstile.leave(peer, transport)

    def hear(self, peer: str, first: int) -> None:
        """The first byte of a connection. A device with HTTPS switched on is told by its address, once."""
        if first == TLS_HANDSHAKE and peer not in self._named and len(self._named) < MOST_NAMED:
            self._named.add(peer)
            self._log.warning("refused: a device at %s speaks HTTPS: switch HTTPS off in its menu", peer)

    @contextmanager
    def answering(self, request: web.Request) -> Iterator[None]:
        """The request is whole: what takes time now is ours."""
        guard = self._guards.get(request.protocol)
        if guard is not None:
            guard.busy(True)
        try:
            yield
        finally:
            if guard is not None:
                guard.busy(False)


class _Guard(asyncio.Protocol):
    def __init__(self, keeper: Doorkeeper, inner: asyncio.Protocol) -> None:
        self._keeper, self._inner = keeper, inner
        self._peer = ""
        self._admitted = False
        self._busy = self._heard = False
        self._deadline: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # what create_server gives
        self._peer = str((transport.get_extra_info("peername") or ("",))[0])
        self._admitted = self._keeper.admit(self, self._peer, self._transport, self._inner)
        if not self._admitted:
            return
        self._inner.connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        if self._admitted:
            if not self._heard:
                self._heard = True
                self._keeper.hear(self._peer, data[0])
            self._wait()
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._admitted else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        if self._admitted and self._transport is not None:
            self._keeper.leave(self._peer, self._transport, self._inner)
            self._inner.connection_lost(exc)

    def busy(self, state: bool) -> None:
        """We are at work on its request: it need not hurry. Afterwards an idle connection is aiohttp's to close."""
        self._busy = state
        self._rest()

    def _wait(self) -> None:
        if self._deadline is None and not self._busy and self._transport is not None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._keeper.limits.request_s, self._transport.abort)

    def _rest(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


@asynccontextmanager
async def listening(
    where: str, address: tuple[str, int], answer: Answerer, keeper: Doorkeeper, date: Callable[[], str | None]
) -> AsyncIterator[tuple[str, int]]:
    """An HTTP server whose every request goes to `answer`; gives the address it has. Unreachable: cannot listen.

    Devices set their clock by the answers' `Date`: it is what `date` says, and none is sent where that is None.
    """

    async def dated(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers.popall("Date", None)
        if (now := date()) is not None:
            response.headers["Date"] = now

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    app.on_response_prepare.append(dated)
    limits = keeper.limits
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_HTTP_LOG,
        handle_signals=False,
        keepalive_timeout=limits.idle_s,
        lingering_time=0.0,
        max_line_size=limits.head_bytes,
        max_field_size=limits.head_bytes,
        auto_decompress=False,
        shutdown_timeout=0.5,
    )
    await runner.setup()
    try:
        async with await _bind(where, address, runner, keeper) as server:
            yield server.sockets[0].getsockname()[:2]
    finally:
        await runner.cleanup()


async def _bind(
    where: str, address: tuple[str, int], runner: web.AppRunner, keeper: Doorkeeper
) -> asyncio.base_events.Server:
    http = cast(web.Server, runner.server)  # it is there after setup()
    host, port = address
    try:
        return await asyncio.get_running_loop().create_server(
            lambda: keeper.guard(http()), host or None, port, backlog=128, reuse_address=True
        )
    except OSError as error:
        what, do = REASONS.get(error.errno or 0, (Text(str(error), str(error)), OTHER))
        at = f"{host}:{port}"
        raise Unreachable(where, Text(f"cannot listen on {at}: {what.en}", f"无法监听 {at}:{what.zh}"), do) from error
