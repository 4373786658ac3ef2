"""The local HTTP interface on a real socket: what it answers, to whom, in which language, and what it refuses."""

import asyncio
import base64
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from gateway.driver import Answer, Posted
from gateway.errors import ConfigError, StorageError, Text
from gateway.web import bind, create, serve, server
from tests.brokers import free_port
from tests.houses import Puppets, config, living, until

NOW = "2026-11-23T01:41:03.000Z"
LANES = {
    lane: {"backlog": n, "oldest_s": n * 100, "sent": 9, "confirmed": 8, "refused": 0, "dropped": 0, "dead": 0}
    for lane, n in (("alarm", 1), ("event", 2), ("telemetry", 37))
}
HEALTH: dict[str, Any] = {
    "gateway": "gw-0001",
    "time": NOW,
    "uptime_s": 3700,
    "boot": "b",
    "version": "0.1.0",
    "clock": {"quality": "synced", "offset_ms": 1},
    "uplinks": {"district": {"connected": False, "since": NOW, "lanes": LANES}},
    "disk": {"used_bytes": 3 * 2**20, "limit_bytes": 512 * 2**20, "free_bytes": 2**30},
    "cpu_percent": 1,
    "rss_bytes": 2**26,
    "temperature_c": None,
    "drivers": {},
}


def device(id: str, state: str, place: str = "b3/u2/f5", **more: Any) -> dict[str, Any]:
    return {
        "device": id,
        "online": True,
        "state": state,
        "alarms": [],
        "values": {},
        "last_seen": NOW,
        "label": id,
        "place": place,
        "place_label": f"label of {place}",
        "building": place.partition("/")[0],
        "kind": "smoke",
        "driver": "modbus",
    } | more


@dataclass
class Model:
    """A House of given values; keeps what was posted."""

    language: str = "zh-CN"
    is_ready: bool = True
    word: str = "normal"
    rows: list[dict[str, Any]] = field(default_factory=list)
    posted: list[tuple[str, str, Posted]] = field(default_factory=list)
    answer: Answer | Exception = field(default_factory=lambda: Answer(200, {"accepted": 1, "ids": ["x"]}))

    def ready(self) -> bool:
        return self.is_ready

    def health(self) -> Mapping[str, Any]:
        return HEALTH

    def verdict(self) -> Mapping[str, Any]:
        return {"word": self.word, "since": NOW}

    def devices(self) -> Sequence[Mapping[str, Any]]:
        return self.rows

    async def ingest(self, device: str, token: str, posted: Posted) -> Answer:
        self.posted.append((device, token, posted))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def house() -> Model:
    return Model()


@asynccontextmanager
async def served(house: Model, host: str = "127.0.0.1", names: Sequence[str] = ()) -> AsyncIterator[int]:
    sockets = bind(host, 0)
    port = sockets[0].getsockname()[1]
    async with serve(create(cast(Any, house), names=names), sockets):
        yield port


@pytest.fixture
async def http(house: Model) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(house) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


async def said(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """The refusal's body, both languages checked."""
    error: dict[str, Any] = (await answer.json())["error"]
    assert error["where"]
    assert error["what"]["en"]
    assert error["what"]["zh"]
    return error


# --- ingest ---------------------------------------------------------------------------------------------------------

BASIC = base64.b64encode(b"anyone:secret-token").decode()


@pytest.mark.parametrize(
    ("path", "headers", "token", "in_url"),
    [
        ("/ingest/cam", {"Authorization": "Bearer secret-token"}, "secret-token", False),
        ("/ingest/cam", {"X-Token": "secret-token"}, "secret-token", False),
        ("/ingest/cam", {"Authorization": f"Basic {BASIC}"}, "secret-token", False),
        ("/ingest/cam", {"Authorization": "Basic !"}, "", False),
        ("/ingest/cam", {"Authorization": "Digest a=b", "X-Token": "t"}, "t", False),
        ("/ingest/cam?token=secret-token", {}, "secret-token", True),
        ("/ingest/cam?token=a", {"X-Token": "b"}, "b", False),
        ("/ingest/cam", {}, "", False),
    ],
)
async def test_where_a_token_may_stand(
    http: aiohttp.ClientSession, house: Model, path: str, headers: dict[str, str], token: str, in_url: bool
) -> None:
    async with http.post(path, data=b"{}", headers={"Content-Type": "application/json"} | headers) as answer:
        assert answer.status == 200
        assert await answer.json() == {"accepted": 1, "ids": ["x"]}
    assert house.posted == [("cam", token, Posted(b"{}", "application/json", in_url))]


@pytest.mark.parametrize("status", [401, 404])
async def test_a_bare_refusal_gets_its_words(http: aiohttp.ClientSession, house: Model, status: int) -> None:
    house.answer = Answer(status, {})
    async with http.post("/ingest/cam") as answer:
        assert answer.status == status
        assert (await said(answer))["where"] == "/ingest/cam"
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)


async def test_a_disk_that_takes_nothing_is_told_with_when_to_come_again(
    http: aiohttp.ClientSession, house: Model
) -> None:
    house.answer = StorageError("store", Text("the disk is full", "磁盘已满"))
    async with http.post("/ingest/cam") as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert (await said(answer))["what"]["zh"] == "磁盘已满"


async def test_the_largest_body_and_one_byte_more(http: aiohttp.ClientSession, house: Model) -> None:
    async with http.post("/ingest/cam", data=b"x" * 262_144) as answer:
        assert answer.status == 200
    async with http.post("/ingest/cam", data=b"x" * 262_145) as answer:
        assert answer.status == 413
        await said(answer)
    assert len(house.posted) == 1


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/ingest/cam", 405), ("GET", "/none", 404)])
async def test_wrong_ways(http: aiohttp.ClientSession, method: str, path: str, status: int) -> None:
    async with http.request(method, path) as answer:
        assert answer.status == status
        await said(answer)


# --- the rest of the interface --------------------------------------------------------------------------------------


async def test_probes_and_documents(http: aiohttp.ClientSession, house: Model) -> None:
    house.rows = [device("smoke-1", "normal")]
    expected = {
        "/healthz": {"status": "ok"},
        "/readyz": {"ready": True},
        "/api/v1/status": {"verdict": {"word": "normal", "since": NOW}} | HEALTH,
        "/api/v1/devices": {"devices": house.rows},
    }
    for path, body in expected.items():
        async with http.get(path) as answer:
            assert (answer.status, await answer.json()) == (200, body)


async def test_not_ready(http: aiohttp.ClientSession, house: Model) -> None:
    house.is_ready = False
    async with http.get("/readyz") as answer:
        assert (answer.status, await answer.json()) == (503, {"ready": False})


async def test_security_headers_on_every_answer(http: aiohttp.ClientSession) -> None:
    for path in ("/readyz", "/none", "/ingest/cam", "/static/page.css"):
        async with http.get(path) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
            assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST.:80", 200),
        ("[::1]:8080", 200),
        ("192.0.2.7", 200),
        ("gw.example", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
async def test_only_known_names(house: Model, host: str, status: int) -> None:
    async with (
        served(house, names=["GW.example"]) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/api/v1/status", headers={"Host": host}) as answer,
    ):
        assert answer.status == status


async def test_the_daemon_knows_the_names_it_was_given(tmp_path: Path) -> None:
    port = free_port()
    web = {"listen": f"127.0.0.1:{port}", "names": ["gateway.local"]}
    async with living(config(tmp_path, {}, web=web), Puppets()) as running, aiohttp.ClientSession() as session:
        await until(running, lambda: _listens(port))
        for name, status in {"gateway.local": 200, "other.local": 421}.items():
            async with session.get(f"http://127.0.0.1:{port}/", headers={"Host": f"{name}:{port}"}) as answer:
                assert answer.status == status


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
async def test_a_proxy_does_not_make_a_stranger_local(http: aiohttp.ClientSession, header: str) -> None:
    async with http.get("/", headers={header: "127.0.0.1"}) as answer:
        assert answer.status == 403


async def test_from_outside_only_ingest_and_healthz(house: Model) -> None:
    address = _address_of_this_machine()
    async with served(house, "") as port, aiohttp.ClientSession(f"http://{address}:{port}") as session:
        for path, status in {"/": 403, "/api/v1/status": 403, "/readyz": 403, "/healthz": 200}.items():
            async with session.get(path) as answer:
                assert answer.status == status
        async with session.post("/ingest/cam") as answer:
            assert answer.status == 200


def _address_of_this_machine() -> str:
    """An address that is not loopback; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


# --- the server -----------------------------------------------------------------------------------------------------


async def test_a_port_in_use_is_a_clear_error(house: Model) -> None:
    async with served(house) as port:
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} is in use") as caught:
            bind("127.0.0.1", port)
        assert "占用" in caught.value.say("zh-CN")


@pytest.mark.parametrize("host", ["192.0.2.77", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_a_clear_error(host: str) -> None:
    with pytest.raises(ConfigError, match="cannot be listened on"):
        bind(host, 0)


async def test_a_head_that_does_not_come_is_hung_up_on(house: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_TIMEOUT_S", 0.05)
    async with served(house) as port, asyncio.timeout(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        assert await reader.read() == b""
        writer.close()


async def test_an_endless_head_is_refused(house: Model) -> None:
    async with served(house) as port, asyncio.timeout(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 20_000)
        assert (await reader.readline()).startswith(b"HTTP/1.1 400")
        writer.close()


async def test_stopping_takes_less_than_two_seconds_with_a_request_under_way(house: Model) -> None:
    async with served(house) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /ingest/cam HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx")
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    for each in (writer, idle):
        each.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


# --- the interface ---------------------------------------------------------------------------------------------------


def test_the_schema_names_the_routes() -> None:
    paths = create(cast(Any, Model())).openapi()["paths"]
    named = {"status", "devices", "devices/{device}", "devices/{device}/commands", "drills", "events", "alarms"}
    named |= {"alarms/{alarm}", "notices", "incidents", "uplinks", "audit", "reports/{name}", "export.csv"}
    named |= {f"alarms/{{alarm}}/{step}" for step in ("silence", "acknowledge", "dispose", "reset", "shelve")}
    assert {"/healthz", "/readyz", "/metrics", "/ingest/{device}"} <= set(paths)
    assert {f"/api/v1/{name}" for name in named} <= set(paths)
    assert "/api/v1/events/stream" in paths
    assert not {"/", "/stream", "/help"} & set(paths)  # the page is no interface
    json.dumps(paths)
