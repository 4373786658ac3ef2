"""The webhook driver behind the real HTTP interface: 200 only when on disk, resent until then, its own token only."""

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest

from drivers.sim.webhook import Poster
from drivers.webhook import DRIVER, Config
from gateway.driver import Answer, Line, Posted
from gateway.event import Phase, Reading
from gateway.web import bind, create, serve
from tests.fakes import RecordingLink

TOKEN = "0123456789abcdef"
SMOKE = {"type": "fire.smoke", "phase": "raise"}
WIRE = json.dumps(SMOKE).encode()


class House:
    """As much of a gateway as posting needs: intakes of a RecordingLink."""

    language = "en"

    def __init__(self, link: RecordingLink) -> None:
        self.link = link

    def ready(self) -> bool:
        return True

    def health(self) -> Mapping[str, Any]:
        return {}

    def verdict(self) -> Mapping[str, Any]:
        return {"word": "unknown", "since": None}

    def devices(self) -> Sequence[Mapping[str, Any]]:
        return []

    async def ingest(self, device: str, token: str, posted: Posted) -> Answer:
        intakes = [(due, intake) for (name, due), intake in self.link.intakes.items() if name == device]
        if not intakes:
            return Answer(404, {})
        (due, intake) = intakes[0]
        if not hmac.compare_digest(due.encode(), token.encode()):
            return Answer(401, {})
        return await intake(posted)


@asynccontextmanager
async def running(link: RecordingLink, **more: Any) -> AsyncIterator[str]:
    """The driver of `smoke-1` behind HTTP; gives its address."""
    config = Config.model_validate({"id": "smoke-1", "driver": "webhook", "place": "gate", "token": TOKEN} | more)
    sockets = bind("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    async with serve(create(cast(Any, House(link))), sockets):
        task = asyncio.ensure_future(DRIVER.run(Line("smoke-1", None, (config,)), link))
        await link.until(lambda: link.intakes)
        try:
            yield f"http://127.0.0.1:{port}/ingest/smoke-1"
        finally:
            task.cancel()


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink()


async def post(url: str, wire: bytes = WIRE, token: str = TOKEN, **headers: str) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "X-Token": token} | headers
    async with aiohttp.ClientSession() as http, http.post(url, data=wire, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_the_answer_comes_after_the_commit(link: RecordingLink) -> None:
    commit, reached = asyncio.Event(), asyncio.Event()

    async def slow_disk(readings: tuple[Reading, ...]) -> None:
        reached.set()
        await commit.wait()

    link.before_emit = slow_disk
    async with running(link) as url, asyncio.TaskGroup() as group:
        asked = group.create_task(post(url))
        await reached.wait()
        assert not asked.done()
        commit.set()
        assert await asked == (200, {"accepted": 1, "ids": ["id-1"], "id": "id-1"})


async def test_a_device_resends_until_it_is_on_disk_and_each_is_accepted_once(link: RecordingLink) -> None:
    link.failing = 3
    async with running(link) as url, Poster(url, TOKEN, retry_s=0.01) as device, asyncio.timeout(5):
        await device.say(*[SMOKE | {"raw": {"n": n}} for n in range(5)])
        await device.all_accepted()
        assert device.accepted == [f"id-{n}" for n in range(1, 6)]
        assert device.attempts == 8
    assert [r.raw["n"] for r in link.of("fire.smoke", Phase.RAISE)] == list(range(5))


async def test_a_device_gives_up_what_will_never_be_taken(link: RecordingLink) -> None:
    async with running(link) as url, Poster(url, TOKEN) as device, asyncio.timeout(5):
        await device.say({"type": "fire.smok", "phase": "raise"}, SMOKE)
        await device.all_accepted()
        ((status, body),) = device.refused
    assert status == 400
    assert body["error"]["where"] == "type"
    assert "fire.smoke" in body["error"]["do"]["en"]
    assert "fire.smoke" in body["error"]["do"]["zh"]
    assert len(link.readings) == 1


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [("", TOKEN, 200), ("", "another-token-16", 401), ("", "", 401), ("x", TOKEN, 404), (f"?token={TOKEN}", "", 401)],
)
async def test_whose_token(link: RecordingLink, path: str, token: str, status: int) -> None:
    async with running(link) as url:
        assert (await post(url + path, token=token))[0] == status


async def test_a_token_in_the_address_where_it_is_allowed(link: RecordingLink) -> None:
    async with running(link, token_in_url=True) as url, aiohttp.ClientSession() as http:
        async with http.post(f"{url}?token={TOKEN}", data=WIRE, headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 200
        async with http.post(f"{url}?token=wrong", data=WIRE, headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 401


async def test_a_token_in_the_address_is_refused_with_what_to_do(link: RecordingLink) -> None:
    async with running(link) as url, aiohttp.ClientSession() as http, http.post(f"{url}?token={TOKEN}") as answer:
        assert answer.status == 401
        assert "Bearer" in (await answer.json())["error"]["do"]["en"]
        assert link.seen_count == {}


async def test_no_token_is_ever_logged(link: RecordingLink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(link) as url:
        await post(url)
        await post(url, b"{", Authorization=f"Bearer {TOKEN}")
        await post(f"{url}?token={TOKEN}")
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("asyncio")]
    assert not any(TOKEN in line for line in logged)
