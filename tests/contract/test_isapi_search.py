"""The search for Hikvision devices against the simulator's real login, and web servers that note every request."""

import asyncio
import hashlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trustme
from aiohttp import web

from drivers import _isapi_search
from drivers._isapi_search import PATH, search
from drivers.sim.isapi import Camera
from gateway.driver import Found
from tests.brokers import WAIT_S, free_port
from tests.finds import opened, until, validated, whole

HOST = "127.0.0.1"
DIGEST = 'Digest qop="auth", realm="{}", nonce="6b3a", stale="FALSE"'
CAMERA = (
    "<DeviceInfo version='2.0' xmlns='http://www.hikvision.com/ver20/XMLSchema'><deviceName>IP CAMERA</deviceName>"
    "<model>DS-2CD2042WD-I</model><serialNumber>DS-2CD2042WD-I20160101AAWR1</serialNumber>"
    "<firmwareVersion>V5.5.0</firmwareVersion><deviceType>IPCamera</deviceType></DeviceInfo>"
)
INACTIVE = "<ResponseStatus><statusCode>4</statusCode><subStatusCode>notActivated</subStatusCode></ResponseStatus>"


@dataclass
class Web:
    """A web server that says what it is told to, and notes who asks what."""

    status: int = 401
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    root_status: int = 200
    requests: list[tuple[str, str, bool]] = field(default_factory=list)  # method, path, with a login
    port: int = 0

    @property
    def logins(self) -> int:
        """How many requests had a login."""
        return sum(login for _, _, login in self.requests)

    async def answer(self, request: web.Request) -> web.Response:
        """To anything."""
        login = request.headers.get("Authorization", "")
        self.requests.append((request.method, request.path, bool(login)))
        if request.path != PATH:
            return web.Response(status=self.root_status)
        return web.Response(status=self.status, text=self.body, headers=self.headers)


def hikvision(realm: str = "IP Camera(C1234)", **more: Any) -> Web:
    return Web(headers={"WWW-Authenticate": DIGEST.format(realm), "Server": "App-webs/"}, **more)


@asynccontextmanager
async def served(made: Web, host: str = HOST, tls: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    """While the block lasts, on a port of its own; on that which it has, where it has one."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, made.port, ssl_context=tls).start()
        made.port = runner.addresses[0][1]
        yield made
    finally:
        await runner.cleanup()


async def one(made: Web, user: str | None = None, password: str | None = None) -> Found:
    async with served(made):
        (found,) = await whole(search([HOST], [made.port], user, password))
    return found


# without a login


async def test_a_device_is_known_by_how_it_refuses() -> None:
    made = hikvision()
    found = await one(made)
    assert found.where == f"127.0.0.1:{made.port}"
    assert found.what.en == "Hikvision, IP Camera(C1234); it tells model and serial after a login"
    assert found.what.zh == "海康威视,IP Camera(C1234);登录后可读取型号和序列号"
    assert found.device == {"driver": "isapi", "url": f"http://127.0.0.1:{made.port}", "make": "Hikvision"}
    assert made.requests == [("GET", PATH, False)]


@pytest.mark.parametrize(
    "other",
    [
        Web(404),
        Web(200, "<html>a router</html>"),
        Web(302, headers={"Location": "https://192.0.2.1/"}),
        Web(401, headers={"WWW-Authenticate": DIGEST.format("router")}, root_status=401),
        Web(401),  # no login of any kind that we know
    ],
    ids=["404", "page", "redirect", "login-before-everything", "no-challenge"],
)
async def test_other_web_servers_are_passed_over(other: Web) -> None:
    async with served(other):
        assert await whole(search([HOST], [other.port], "admin", "right-1234")) == []
    assert other.logins == 0
    assert {method for method, _, _ in other.requests} == {"GET"}


async def test_one_that_hides_its_maker_is_told_as_uncertain() -> None:
    found = await one(Web(401, headers={"WWW-Authenticate": DIGEST.format("c0ffee")}))
    assert found.what.en.startswith("perhaps Hikvision or alike, c0ffee")
    assert "make" not in found.device


async def test_one_that_was_never_activated() -> None:
    made = hikvision(body=INACTIVE)
    found = await one(made, "admin", "right-1234")
    assert "not activated" in found.what.en
    assert "未激活" in found.what.zh
    assert made.logins == 0


async def test_an_open_device_is_read_at_once() -> None:
    found = await one(Web(200, CAMERA))
    assert found.what.en == "DS-2CD2042WD-I, IPCamera, serial DS-2CD2042WD-I20160101AAWR1, V5.5.0: camera"
    assert found.device["model"] == "DS-2CD2042WD-I"
    assert "kind" not in found.device  # the driver's own


# with a login


async def test_a_right_login_reads_what_it_is() -> None:
    async with Camera() as device:
        port = int(device.url.rpartition(":")[2])
        (found,) = await whole(search([HOST], [port], "admin", "camera-1234"))
        assert device.login.refused == 0
    assert found.what.en == (
        "DS-K1T671, ACS, serial DS-K1T6710001, V3.2.30 build 220311: door controller or intercom, doors: 1"
    )
    assert found.what.zh.endswith("门禁或可视对讲,1 个门")
    expected = {"driver": "isapi", "url": device.url, "username": "admin", "kind": "door", "make": "Hikvision"}
    assert found.device == expected | {"model": "DS-K1T671"}
    assert validated(found, password="camera-1234").kind == "door"


async def test_a_wrong_password_is_tried_once_on_a_device_and_never_again() -> None:
    async with Camera() as device, served(hikvision("Second(1)")) as second:
        port = int(device.url.rpartition(":")[2])
        first, other = await whole(search([HOST], [port, second.port], "admin", "wrong-1234"))
        assert device.login.refused == 1
    assert second.logins == 0  # another port of this host: it may be the same account
    assert "not tried on it again" in first.what.en
    assert "不再重试" in first.what.zh
    assert other.what.en == "Hikvision, Second(1); it tells model and serial after a login"


async def test_a_password_never_goes_in_the_clear() -> None:
    made = Web(401, headers={"WWW-Authenticate": 'Basic realm="DVRNVRDVS"'})
    found = await one(made, "admin", "right-1234")
    assert made.logins == 0
    assert "basic only" in found.what.en
    assert "basic" in found.what.zh


async def test_only_gets_are_made() -> None:
    made = hikvision()
    await one(made, "admin", "wrong-1234")
    assert {method for method, _, _ in made.requests} == {"GET"}
    assert made.logins == 1


# ports, TLS


async def test_a_device_with_two_ports_is_one() -> None:
    async with served(hikvision()) as first, served(hikvision()) as second:
        (found,) = await whole(search([HOST], [first.port, second.port], None, None))
    assert found.where == f"127.0.0.1:{first.port}"
    assert found.what.en.endswith(f"also at http://127.0.0.1:{second.port}")
    assert found.what.zh.endswith(f"另见 http://127.0.0.1:{second.port}")


async def test_two_devices_behind_one_address_are_two() -> None:
    async with served(Web(200, CAMERA)) as first, served(Web(200, CAMERA.replace("AAWR1", "AAWR2"))) as second:
        assert len(await whole(search([HOST], [first.port, second.port], None, None))) == 2


async def test_tls_is_found_out_and_its_certificate_pinned() -> None:
    leaf = trustme.CA().issue_cert("192.0.2.64")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    leaf.configure_cert(context)
    shown = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
    async with served(Web(200, CAMERA), tls=context) as made:
        (found,) = await whole(search([HOST], [made.port], None, None))
    assert found.device["url"] == f"https://127.0.0.1:{made.port}"
    assert found.device["tls"] == {"fingerprint": hashlib.sha256(shown).hexdigest()}
    assert validated(found, password="camera-1234").driver == "isapi"


# many hosts


async def test_each_host_is_a_step_and_nobody_answers_at_once() -> None:
    hosts = [f"127.0.0.{n}" for n in range(2, 72)]
    nobody = search(hosts, [free_port(), free_port()], None, None)
    assert (nobody.steps, nobody.longest_s) == (70, 3 * 2 * _isapi_search.CONNECT_S)
    assert await whole(nobody) == []
    assert (search([], [80], None, None).steps, search([], [80], None, None).longest_s) == (0, 0)


async def test_those_that_are_not_there_take_as_long_as_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_isapi_search, "CONNECT_S", 0.2)
    with socket.create_server((HOST, 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(4):  # its queue is full: it answers no more than an address that nobody has
            other = waiting.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        nobody = search([HOST] * (_isapi_search.AT_ONCE_DEVICES + 1), [full.getsockname()[1]], None, None)
        began_s = time.monotonic()
        assert await whole(nobody) == []
    assert nobody.longest_s == pytest.approx(0.4)
    assert 0.39 <= time.monotonic() - began_s < WAIT_S / 3  # two rounds, and not one after the other


@asynccontextmanager
async def mute(host: str, port: int) -> AsyncIterator[asyncio.Event]:
    """Takes connections and says nothing; the event: one has come."""
    came, over = asyncio.Event(), asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hold, host, port)
    try:
        yield came
    finally:
        over.set()
        server.close()


async def test_one_that_says_nothing_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_isapi_search, "PORT_S", 0.3)
    made = hikvision()
    async with served(made, "127.0.0.3"), mute("127.0.0.2", made.port):
        found = await whole(search(["127.0.0.2", "127.0.0.3"], [made.port], None, None))
    assert [each.where for each in found] == [f"127.0.0.3:{made.port}"]


async def test_a_search_that_is_left_ends_its_questions() -> None:
    made = hikvision()
    async with served(made, "127.0.0.3"), mute("127.0.0.2", made.port) as came:
        run = opened(search(["127.0.0.2", "127.0.0.3"], [made.port], None, None))
        assert await anext(run) is not None
        await came.wait()
        await run.aclose()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "isapi search"]


async def test_enough_is_enough() -> None:
    async with served(hikvision()) as made:
        assert len(await until(search([HOST, "localhost"], [made.port], None, None), 1)) == 1
