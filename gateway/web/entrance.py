"""Where the page stands: in the clear for this machine and for devices that post, over HTTPS for people elsewhere.

Without its port, or a certificate that can be used, the rest of the gateway goes on; it is told once and tried again.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence

from fastapi import FastAPI

from gateway.errors import ConfigError, StorageError
from gateway.house import House
from gateway.listeners import announce
from gateway.sections import WebConfig
from gateway.web import server
from gateway.web.certificate import Certificate, Files, own_names
from gateway.web.ways import Ways

RETRY_S = 10.0
_LOG = logging.getLogger("gateway")


class Entrance:
    """`ways` and `names` are for the application, which `open()` then serves for ever."""

    def __init__(self, house: House, web: WebConfig) -> None:
        self._house = house
        self._web = web
        self.names = (*web.names, *own_names())
        self.ways = Ways(plain=web.plain)
        if web.https is not None:
            files = None if web.tls is None else Files(web.tls.cert, web.tls.key)
            keys, clock = house.config.gateway.state_dir / "keys", house.vitals.clock
            self.ways = Ways(web.https[1], web.plain, Certificate(keys, web.names, clock, files))

    async def open(self, app: FastAPI, tried: asyncio.Event) -> None:
        """`tried`: devices that post are heard, or not yet."""
        async with asyncio.TaskGroup() as group:
            certificate = self.ways.certificate
            if certificate is not None:
                group.create_task(self._keep_trying(lambda: self._secure(app, certificate), asyncio.Event()))
            await self._keep_trying(lambda: self._clear(app, tried), tried)

    async def _keep_trying(self, stand: Callable[[], Awaitable[None]], tried: asyncio.Event) -> None:
        told = ""
        while True:
            try:
                await stand()
            except (ConfigError, StorageError) as error:
                if told != str(error):
                    told = str(error)
                    _LOG.error("%s", error.say(self._house.language))
                tried.set()
                await self._house.vitals.clock.sleep(RETRY_S)

    async def _clear(self, app: FastAPI, tried: asyncio.Event) -> None:
        sockets = server.bind(*self._web.listen)
        anybody = () if self._web.plain else ("this machine", "devices that post with their token")
        async with server.serve(app, sockets):
            announce(_LOG, "page", _at(sockets), anybody)
            tried.set()
            await asyncio.Event().wait()

    async def _secure(self, app: FastAPI, certificate: Certificate) -> None:
        assert self._web.https is not None  # noqa: S101  # there is a certificate only for it
        await certificate.load()
        sockets = server.bind(*self._web.https, key="https")
        async with server.serve(app, sockets, lambda: certificate.context):
            announce(_LOG, "page over HTTPS", _at(sockets), ("people who sign in",))
            certificate.announce(self._house.language)
            await certificate.watch(self._house.language)


def _at(sockets: Sequence[socket.socket]) -> str:
    host, port = sockets[0].getsockname()[:2]
    return f"{host}:{port}"
