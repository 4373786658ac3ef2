"""Devices that push to the isapi driver's listener on real sockets: set up by it, answered after the commit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from drivers._guard import Limits
from drivers._isapi_push import LOCKED_S, serve
from drivers.isapi import Config, run
from drivers.sim._isapi_door import Habits
from drivers.sim.isapi import Camera, Quirks
from gateway.clock import SystemClock
from gateway.demo.wire import free_port
from gateway.driver import Line
from gateway.errors import Unreachable
from gateway.event import Phase, Reading
from tests.fakes import FastClock, RecordingLink

PATH = "/by-hand/0123456789abcdef"


def config(url: str, port: int, device: str = "door", **more: Any) -> Config:
    base = {"id": device, "driver": "isapi", "place": "gate", "url": url, "password": "camera-1234"}
    return Config.model_validate(base | {"listen": f"127.0.0.1:{port}", "retry": "1s", "records": "1h"} | more)


@asynccontextmanager
async def running(
    link: RecordingLink, *devices: Config, limits: Limits | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    line = Line("127.0.0.1", None, devices)
    task = asyncio.ensure_future(serve(line, link, limits) if limits else run(line, link))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink(clock=FastClock(20))


@pytest.fixture
def port() -> int:
    return free_port()


async def ready(link: RecordingLink, camera: Camera) -> None:
    """The device knows where to push to, and we where its records stand."""
    await link.until(lambda: any(slot["url"] for slot in camera.door.hosts) and "isapi-door" in link.secrets)


def serials(link: RecordingLink) -> list[Any]:
    return [r.raw["serialNo"] for r in link.readings]


FORMS = {
    "JSON alone": Quirks(json=True),
    "XML alone": Quirks(),
    "a form with a face": Quirks(json=True, picture=True),
    "a form without its boundary": Quirks(picture=True, declared=None),
    "another boundary than declared": Quirks(picture=True, boundary="MIME_boundary"),
    "no SubscribeEvent": Quirks(json=True, door=Habits(subscribes=False)),
    "basic login": Quirks(json=True, basic_only=True),
}


@pytest.mark.parametrize("quirks", FORMS.values(), ids=FORMS.keys())
async def test_a_device_is_told_where_to_push_and_what_it_pushes_is_told(
    link: RecordingLink, port: int, quirks: Quirks
) -> None:
    async with Camera(quirks=quirks) as camera, running(link, config(camera.url, port)):
        await ready(link, camera)
        slot = camera.door.hosts[0]
        assert (slot["ipAddress"], slot["portNo"]) == ("127.0.0.1", str(port))
        camera.access(5, 75, name="Somebody", employeeNoString="17")
        camera.motion(True)
        camera.access(5, 27)
        async with asyncio.timeout(5):
            await camera.door.pushes(3)
        assert camera.door.answers == [200, 200, 200]
        assert [r.type for r in link.readings] == ["access.granted", "video.motion", "door.forced"]
        assert "Somebody" not in repr(link.readings)
        assert camera.streams == camera.login.refused == 0


async def test_the_answer_comes_after_the_commit(link: RecordingLink, port: int) -> None:
    commit, reached = asyncio.Event(), asyncio.Event()

    async def slow_disk(_: tuple[Reading, ...]) -> None:
        reached.set()
        await commit.wait()

    async with Camera() as camera, running(link, config(camera.url, port)), asyncio.timeout(5):
        await ready(link, camera)
        link.before_emit = slow_disk
        camera.access(5, 27)
        await reached.wait()
        assert camera.door.answers == []
        commit.set()
        await camera.door.pushes(1)


async def test_what_the_disk_refuses_is_not_answered_and_its_repetition_arrives_once(
    link: RecordingLink, port: int
) -> None:
    async with Camera() as camera, running(link, config(camera.url, port)):
        await ready(link, camera)
        link.failing = 2
        camera.motion(True)
        camera.access(5, 9, cardNo="1")
        async with asyncio.timeout(5):
            await camera.door.pushes(4)
        assert camera.door.answers == [503, 503, 200, 200]
        assert [(r.type, r.phase) for r in link.readings] == [
            ("video.motion", Phase.RAISE),
            ("access.denied", Phase.PULSE),
        ]


async def test_a_push_whose_answer_got_lost_is_told_once_also_after_a_restart(link: RecordingLink, port: int) -> None:
    for _ in range(2):
        async with Camera() as camera, running(link, config(camera.url, port)):
            await ready(link, camera)
            record = {"majorEventType": 5, "subEventType": 9, "serialNo": 7, "frontSerialNo": 6}
            for _ in range(2):
                camera.tell(record | {"time": "2026-04-12T16:09:53+08:00"})
            async with asyncio.timeout(5):
                await camera.door.pushes(2)
            assert camera.door.answers == [200, 200]
    assert serials(link) == [7]


async def test_a_condition_ends_by_silence(link: RecordingLink, port: int) -> None:
    async with Camera() as camera, running(link, config(camera.url, port, clear_after="3s")):
        await ready(link, camera)
        for _ in range(3):
            camera.motion(True)
        await link.until(lambda: link.of("video.motion", Phase.CLEAR))
        assert [r.phase for r in link.readings] == [Phase.RAISE, Phase.CLEAR]


async def test_a_hole_among_the_pushes_is_filled(link: RecordingLink, port: int) -> None:
    async with Camera() as camera, running(link, config(camera.url, port)):
        await ready(link, camera)
        camera.access(5, 75)
        for _ in range(40):
            camera.door.memory.record(5, 9)
        camera.access(5, 75)
        await link.until(lambda: len(link.readings) == 42)
        assert sorted(serials(link)) == list(range(1, 43))


async def test_a_device_that_forgot_where_to_push_is_told_again_and_what_was_missed_is_found(
    link: RecordingLink, port: int
) -> None:
    async with Camera() as camera, running(link, config(camera.url, port, silence="1s", records="1s")):
        await ready(link, camera)
        camera.door.hosts[0] = {"id": "1", "url": "", "ipAddress": "0.0.0.0"}
        camera.access(5, 27)
        await link.until(lambda: link.of("door.forced"))
        assert camera.door.answers == []
        await link.until(lambda: camera.door.hosts[0]["url"])


async def test_our_place_is_taken_again_after_a_restart(link: RecordingLink, port: int) -> None:
    async with Camera() as camera:
        for _ in range(2):
            async with running(link, config(camera.url, port)):
                await ready(link, camera)
        link.secrets.clear()
        async with running(link, config(camera.url, port)):
            await link.until(lambda: "isapi-door" in link.secrets)
        assert [bool(slot["url"]) for slot in camera.door.hosts] == [True, False]


async def test_a_device_without_a_free_place_is_told_to_a_person(
    link: RecordingLink, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with Camera() as camera:
        for slot in camera.door.hosts:
            slot |= {"url": "/others", "ipAddress": "192.0.2.99"}
        async with running(link, config(camera.url, port)):
            await link.until(lambda: link.offline)
        assert link.offline == {"door": "refused"}
        assert [slot["url"] for slot in camera.door.hosts] == ["/others", "/others"]
    assert "all 2 alarm hosts" in caplog.text


async def test_a_device_that_is_gone_is_offline_and_its_outage_is_filled(link: RecordingLink, port: int) -> None:
    async with Camera() as camera, running(link, config(camera.url, port, silence="2s")):
        await ready(link, camera)
        camera.access(5, 75)
        await link.until(lambda: link.readings)
        await camera.stop()
        await link.until(lambda: link.offline)
        assert link.offline == {"door": "no-answer"}
        for _ in range(3):
            camera.door.memory.record(5, 9)
        await camera.start()
        await link.until(lambda: not link.offline and len(link.readings) == 4)
        assert serials(link) == [1, 2, 3, 4]
        assert [bool(r.data) for r in link.readings] == [False, True, True, True]


async def test_a_device_that_pushes_is_not_offline_though_it_refuses_us(link: RecordingLink, port: int) -> None:
    """A changed password is told; what the device says is told all the same."""
    async with Camera() as camera, running(link, config(camera.url, port, password="wrong", path=PATH)):
        await link.until(lambda: link.offline)
        assert link.offline == {"door": "refused"}
        assert await post(port, PATH, b'{"eventType": "linedetection"}') == 200
        assert link.offline == {}
        assert camera.login.refused == 1
        assert LOCKED_S >= 300


async def test_two_devices_at_one_listener(link: RecordingLink, port: int) -> None:
    async with Camera() as first, Camera() as second:
        devices = [config(first.url, port), config(second.url, port, "gate", username="admin")]
        async with running(link, *devices):
            await ready(link, first)
            await link.until(lambda: second.door.hosts[0]["url"] and "isapi-gate" in link.secrets)
            await first.stop()
            second.access(5, 27)
            await link.until(lambda: link.of("door.forced", device="gate"))
            assert (await link.command("gate", "unlock")).code == "ok"
            assert (await link.command("door", "unlock")).code == "device-offline"
            assert second.door.orders == [(1, "open")]


# --- strangers


async def post(
    port: int, path: str, body: bytes, content_type: str = "application/json", host: str = "127.0.0.1"
) -> int:
    connector = aiohttp.TCPConnector(local_addr=(host, 0))
    async with aiohttp.ClientSession(connector=connector) as http:
        url = f"http://127.0.0.1:{port}{path}"
        async with http.post(url, data=body, headers={"Content-Type": content_type}) as answer:
            return answer.status


@asynccontextmanager
async def by_hand(link: RecordingLink, port: int, limits: Limits | None = None, **more: Any) -> AsyncIterator[None]:
    """A device that pushes to a path somebody set in its menu."""
    async with Camera() as camera, running(link, config(camera.url, port, path=PATH, **more), limits=limits):
        await link.until(lambda: link.seen_count)
        yield


EVENT = b'{"eventType": "linedetection"}'


async def test_a_path_that_a_person_set(link: RecordingLink, port: int) -> None:
    async with by_hand(link, port):
        assert await post(port, PATH, EVENT) == 200
        assert [r.type for r in link.readings] == ["video.line_cross"]


async def test_strangers_get_nothing_and_are_told_once(
    link: RecordingLink, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with by_hand(link, port):
        for path in ("/", "/isapi/door/0", PATH[:-1], PATH + "x", "/%ff"):
            assert await post(port, path, EVENT) == 404
        with pytest.raises(aiohttp.ClientConnectionError):
            await post(port, PATH, EVENT, host="127.0.0.2")
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}{PATH}") as answer:
            assert answer.status == 404
    assert link.readings == []
    assert caplog.text.count("refused: 127.0.0.1") == caplog.text.count("refused: 127.0.0.2") == 1
    assert PATH not in caplog.text


async def test_an_address_may_be_allowed(link: RecordingLink, port: int) -> None:
    async with by_hand(link, port, allow=["127.0.0.2"]):
        assert await post(port, PATH, EVENT, host="127.0.0.2") == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await post(port, PATH, EVENT)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"hello", 200),
        (b"<a>", 200),
        (b'<!DOCTYPE x [<!ENTITY y "z">]><EventNotificationAlert/>', 200),
        (b"{" * 300_000, 413),
        (b"--b\r\n\r\n" + b"x" * 20_000_000, 413),
    ],
    ids=["nothing", "a word", "half", "entities", "large", "endless"],
)
async def test_rubbish_is_answered_so_that_the_device_goes_on(
    link: RecordingLink, port: int, body: bytes, status: int
) -> None:
    async with by_hand(link, port):
        try:
            assert await post(port, PATH, body) == status
        except aiohttp.ClientConnectionError:  # it was still writing when we had heard enough
            assert status == 413
        assert await post(port, PATH, EVENT) == 200
        assert [r.type for r in link.readings if r.reason != "unreadable"] == ["video.line_cross"]


async def test_half_requests_are_hung_up_on_while_others_are_answered(link: RecordingLink, port: int) -> None:
    halves = [
        b"",
        b"POST",
        b"POST / HTTP/1.1\r\nX: y\r\n",
        f"POST {PATH} HTTP/1.1\r\nContent-Length: 9\r\n\r\n{{".encode(),
    ]
    async with by_hand(link, port, Limits(request_s=0.2)):
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in halves]
        for half, (_, writer) in zip(halves, opened, strict=True):
            writer.write(half)
            await writer.drain()
        assert await post(port, PATH, EVENT) == 200
        async with asyncio.timeout(5):
            for reader, writer in opened:
                with suppress(ConnectionError):
                    await reader.read()
                writer.close()
    assert len(link.readings) == 1


async def test_one_address_has_so_many_connections(link: RecordingLink, port: int) -> None:
    async with by_hand(link, port, Limits(per_peer=2)):
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        with pytest.raises(aiohttp.ClientConnectionError):
            await post(port, PATH, EVENT)
        for _, writer in opened:
            writer.close()
            await writer.wait_closed()


async def test_a_port_that_is_taken_is_told() -> None:
    link = RecordingLink(clock=SystemClock())
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    async with taken, Camera() as camera, running(link, config(camera.url, port)) as task, asyncio.timeout(5):
        with pytest.raises(Unreachable, match="another program"):
            await task
