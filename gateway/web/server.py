"""uvicorn inside our own event loop: our socket, signals, time budget; slow senders and crowds are hung up on."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Sequence

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.errors import ConfigError, Text
from gateway.listeners import Refusals, Turnstile

HEADER_TIMEOUT_S = 10.0
MAX_HEADER_BYTES = 16 * 1024
MAX_CONNECTIONS = 64
MAX_PER_PEER = 32  # a browser has 6; several devices may stand behind one address
_KEEP_ALIVE_S = 15  # longer than the page's refresh
_GRACE_S = 1  # for requests under way when we stop
_LOG = logging.getLogger("gateway.web")


def bind(host: str, port: int) -> list[socket.socket]:
    """The listening socket; port 0 takes any, an empty host every address.

    ConfigError, about `gateway.web.listen`: the port is in use, or the address is not this machine's.
    """
    try:
        listening = _listen(host, port)
    except OSError as exc:
        raise ConfigError("gateway.web.listen", _why(f"{host}:{port}", exc), _do(exc)) from exc
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


class _Protocol(H11Protocol):
    """HTTP/1.1 for whom there is room.

    It does not wait longer than `HEADER_TIMEOUT_S` for the rest of a request's head (slow loris).
    """

    config: _Config
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if self.config.turnstile.enter(_peer(transport), transport):
            super().connection_made(transport)
            self._watch()

    def data_received(self, data: bytes) -> None:
        if self.transport is not None:
            super().data_received(data)
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self.config.turnstile.leave(_peer(self.transport), self.transport)
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


def _peer(transport: asyncio.Transport) -> str:
    return str((transport.get_extra_info("peername") or ("",))[0])


@contextlib.asynccontextmanager
async def serve(app: FastAPI, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
    """Serves while the block lasts; leaving it closes the sockets and takes at most 2 s."""
    config = _Config(
        app,
        http=_Protocol,
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
