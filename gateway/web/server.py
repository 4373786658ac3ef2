"""uvicorn inside our own event loop: our socket, signals, time budget; slow senders and crowds are hung up on."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.errors import ConfigError, Text
from gateway.listeners import Refusals, Turnstile

HEADER_TIMEOUT_S = 10.0
HANDSHAKE_TIMEOUT_S = 10.0  # of TLS: whoever does not speak keeps no place
_GOODBYE_S = 2.0  # of TLS: longest wait for the other side's
MAX_HEADER_BYTES = 16 * 1024
MAX_CONNECTIONS = 160
MAX_PER_PEER = 128  # a browser has 6; a gate house has one address
_KEEP_ALIVE_S = 5  # a browser opens up to 6, and then needs one
_GRACE_S = 1  # for requests under way when we stop
_LOG = logging.getLogger("gateway.web")


def bind(host: str, port: int, key: str = "listen") -> list[socket.socket]:
    """The listening socket; port 0 takes any, an empty host every address.

    ConfigError, about `gateway.web.{key}`: the port is in use, or the address is not this machine's.
    """
    try:
        listening = _listen(host, port)
    except OSError as exc:
        raise ConfigError(f"gateway.web.{key}", _why(f"{host}:{port}", exc), _do(exc)) from exc
    # What is accepted inherits it; asyncio sets it only on sockets of its own making. Without, answers wait 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return [listening]


def _listen(host: str, port: int) -> socket.socket:
    if not host and socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def _why(address: str, exc: OSError) -> Text:
    if exc.errno == errno.EADDRINUSE:
        return Text(f"{address} is in use by another program", f"{address} 已被其他程序占用")
    if exc.errno == errno.EACCES:
        return Text(
            f"{address} may not be used: ports below 1024 need rights", f"{address} 不可用:1024 以下端口需要权限"
        )
    return Text(f"{address} cannot be listened on: {exc.strerror}", f"无法监听 {address}:{exc.strerror}")


def _do(exc: OSError) -> Text:
    if exc.errno == errno.EADDRINUSE:
        return Text(
            "choose another port, or stop that program (ss -ltnp shows it)", "请更换端口,或停止该程序(ss -ltnp 可查看)"
        )
    return Text("choose an address of this machine and a port above 1023", "请使用本机地址和 1023 以上的端口")


class _Server(uvicorn.Server):
    """Signals are the daemon's own, not uvicorn's; it wakes once a second, not ten times, and stops when told to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self.stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None are."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, then tells it."""
        try:
            await super().startup(sockets)
        finally:
            self.up.set()

    async def main_loop(self) -> None:
        """Refreshes the Date header (tick 0) until `stop`."""
        while not self.stop.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self.stop.wait()


class _Config(uvicorn.Config):
    """Uvicorn's, which every connection gets to see, with who may connect."""

    turnstile: Turnstile
    context: Callable[[], ssl.SSLContext]
    secure: set[asyncio.Transport]  # also those that still shake hands


class _Http(H11Protocol):
    """HTTP/1.1; it does not wait longer than `HEADER_TIMEOUT_S` for the rest of a request's head (slow loris)."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_TIMEOUT_S, self.transport.abort)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Protocol(_Http):
    """For whom there is room."""

    config: _Config

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if self.config.turnstile.enter(_peer(transport), transport):
            super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self.transport is not None:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self.config.turnstile.leave(_peer(self.transport), self.transport)
            super().connection_lost(exc)


class _Secure(SSLProtocol):
    """TLS in front of HTTP, for whom there is room: also who only shakes hands has taken a place, and not for long.

    The certificate is the one of the moment in which the connection begins.
    """

    max_size = 32 * 1024  # of a read, which each connection keeps room for (asyncio's own: 256 KiB)
    _raw: asyncio.Transport | None = None

    def __init__(self, config: _Config, server_state: Any, app_state: Any, _loop: Any = None) -> None:
        self._config = config
        super().__init__(
            asyncio.get_running_loop(),
            _Http(config, server_state, app_state),
            config.context(),
            None,  # type: ignore[arg-type]  # nobody waits for it; asyncio's own code allows for that
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,  # type: ignore[arg-type]  # any number of seconds will do
            ssl_shutdown_timeout=_GOODBYE_S,
        )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if self._config.turnstile.enter(_peer(transport), transport):
            self._raw = transport
            self._config.secure.add(transport)
            super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._raw is not None:
            self._config.turnstile.leave(_peer(self._raw), self._raw)
            self._config.secure.discard(self._raw)
            super().connection_lost(exc)


def _peer(transport: asyncio.Transport) -> str:
    return str((transport.get_extra_info("peername") or ("",))[0])


@contextlib.asynccontextmanager
async def serve(
    app: FastAPI, sockets: Sequence[socket.socket], context: Callable[[], ssl.SSLContext] | None = None
) -> AsyncIterator[None]:
    """Serves while the block lasts; leaving it closes the sockets and takes at most 2 s.

    `context`: over TLS, with what it gives for each connection.
    """
    protocol: type[asyncio.Protocol] = _Protocol if context is None else _Secure  # type: ignore[assignment]
    config = _Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    config.turnstile = Turnstile(Refusals(_LOG, "page"), MAX_CONNECTIONS, MAX_PER_PEER)
    config.secure = set()
    if context is not None:
        config.context = context
    server = _Server(config)
    task = asyncio.create_task(server.serve(list(sockets)), name="web")
    try:
        await server.up.wait()
        yield
    finally:
        for end in getattr(app.state, "ends", ()):  # streams, which would last
            end()
        server.stop.set()
        await task
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        for transport in list(config.secure):
            transport.abort()
