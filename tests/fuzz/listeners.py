"""Requests as bytes to the listeners of HTTP: ZKTeco's, ISAPI's push, the daemon's own page and /ingest."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from aiohttp import web
from fastapi import FastAPI
from uvicorn.server import ServerState

from drivers import webhook
from drivers._guard import _HTTP_LOG, Doorkeeper, Limits
from drivers._http import Http
from drivers._isapi_push import Reception as PushReception
from drivers._isapi_push import Visitor
from drivers._zkteco_desk import Desk
from drivers._zkteco_http import Reception
from gateway.driver import Answer, Posted
from gateway.listeners import Refusals, Turnstile
from gateway.web import create
from gateway.web.server import MAX_HEADER_BYTES, _Config, _Protocol
from tests.contract.test_web import HEALTH, device
from tests.fakes import RecordingLink, link_of
from tests.fuzz.hearing import NEAR, PEER, answers
from tests.fuzz.promises import check
from tests.fuzz.wires import ALERT, golden, made
from tests.visitors import Known

PATH = "/isapi/example/0123456789abcdef"
TOKEN = "0123456789abcdef"
POSTED = b'{"type": "fire.smoke", "phase": "raise", "values": {"t": 21.5}}'
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _server(handler: Handler, keeper: Doorkeeper) -> Callable[[], asyncio.Protocol]:
    """As `drivers/_guard.py` makes it."""
    most = keeper.limits.head_bytes
    server = web.Server(
        handler, logger=_HTTP_LOG, access_log=None, auto_decompress=False, max_line_size=most, max_field_size=most
    )
    return lambda: keeper.guard(server())


async def zkteco(data: bytes) -> None:
    """A terminal's requests, one after the other."""
    link = RecordingLink()
    keeper = Doorkeeper(Limits(), link.log)
    desks = {"CKJ1234567": Desk([made("zkteco", {"listen": "0.0.0.0:8081", "address": "CKJ1234567"})], link_of(link))}
    reception = Reception(desks, link_of(link), keeper)
    await answers(_server(reception.answer, keeper), data)  # type: ignore[arg-type]  # a Request is a BaseRequest
    check(link.readings)


async def isapi(data: bytes) -> None:
    """What a camera or a terminal pushes."""
    link = RecordingLink()
    keeper = Doorkeeper(Limits(), link.log)
    config = made("isapi", {"url": "http://192.0.2.64", "password": "x", "listen": "0.0.0.0:8083", "path": PATH})
    visitor = Visitor(config, Http(config.site, None, None), link_of(link))  # type: ignore[arg-type]  # asks nothing
    visitor.ready()
    reception = PushReception([visitor], link_of(link), keeper)
    await answers(_server(reception.answer, keeper), data)  # type: ignore[arg-type]
    check(link.readings)


@dataclass
class House:
    """A gateway with one device that posts."""

    link: RecordingLink = field(default_factory=RecordingLink)
    language: str = "zh-CN"

    def ready(self) -> bool:
        """It is."""
        return True

    def health(self) -> Mapping[str, Any]:
        """Of every day."""
        return HEALTH

    def verdict(self) -> Mapping[str, Any]:
        """All is well."""
        return {"word": "normal"}

    def devices(self) -> Sequence[Mapping[str, Any]]:
        """One."""
        return [device("smoke-1", "normal")]

    async def ingest(self, device: str, token: str, posted: Posted) -> Answer:
        """As the real one: gateway/house.py."""
        if device != "example":
            return Answer(404, {})
        if token.encode() != TOKEN.encode():
            return Answer(401, {})
        return await webhook._Hook(made("webhook", {"token": TOKEN}), link_of(self.link)).take(posted)


@cache
def _page() -> tuple[House, FastAPI]:
    house = House()
    return house, create(cast(Any, house), Known(None))  # strangers: views have tests with a house of their own


async def page(data: bytes) -> None:
    """First byte even: from this machine; odd: from another. Then requests to the page, its interface and /ingest."""
    house, app = _page()
    house.link.readings.clear()
    config = _Config(
        app,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    config.turnstile = Turnstile(Refusals(logging.getLogger("tests.page"), "page"), 1, 1)
    config.load()
    loop = asyncio.get_running_loop()
    peer = PEER if data[:1] and data[0] & 1 else NEAR
    await answers(lambda: _Protocol(config, ServerState(), {}, loop), data[1:], peer)
    check(house.link.readings)


def request(method: str, path: str, body: bytes = b"", *more: str) -> bytes:
    """As a device writes it."""
    size = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *more, *size, "", ""]).encode() + body


_SN = "?SN=CKJ1234567"
_JSON = "Content-Type: application/json"
_ZKTECO = [
    request("GET", f"/iclock/cdata{_SN}&options=all&pushver=3.0.1"),
    request("POST", f"/iclock/registry{_SN}", b"DeviceType=acc,~DeviceName=F20/M,LockCount=1"),
    request("GET", f"/iclock/getrequest{_SN}"),
    request("POST", f"/iclock/devicecmd{_SN}", b"ID=1&Return=0&CMD=DATA"),
    request("POST", f"/iclock/cdata{_SN}&table=tabledata&tablename=transaction&count=1", b"transaction cardno=1"),
    request("GET", f"/iclock/rtdata{_SN}&type=time"),
    *(frame[1:] for frame in golden("zkteco")),
]
_PAGE = [
    b"\0" + request("GET", "/", b"", "Accept-Language: zh-CN,zh;q=0.9,en;q=0.8"),
    b"\0" + request("GET", "/api/v1/status"),
    b"\0" + request("GET", "/api/v1/devices"),
    b"\0" + request("GET", "/static/page.css"),
    b"\1" + request("POST", "/ingest/example", POSTED, f"Authorization: Bearer {TOKEN}", _JSON),
    b"\1" + request("POST", f"/ingest/example?token={TOKEN}", POSTED),
    b"\1" + request("POST", "/ingest/example", POSTED, "Authorization: Basic eDowMTIzNDU2Nzg5YWJjZGVm", _JSON),
]
LISTENING: dict[str, tuple[Callable[[bytes], object], list[bytes]]] = {
    "http-zkteco": (zkteco, _ZKTECO),
    "http-isapi": (isapi, [request("POST", PATH, ALERT, "Content-Type: application/xml")]),
    "http-page": (page, _PAGE),
}
