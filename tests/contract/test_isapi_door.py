"""The isapi driver against a door controller on a real socket: records once, outages, memory, commands, pictures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from drivers import _isapi_memory
from drivers._isapi_stream import FAILED_RECONNECTS
from drivers.isapi import DRIVER, Config
from drivers.sim._isapi_door import Habits
from drivers.sim.isapi import Camera, Quirks, picture
from gateway.clock import SystemClock
from gateway.driver import Line
from gateway.errors import NeedsPerson, Unreachable
from gateway.event import Phase
from tests.fakes import FastClock, RecordingLink


def config(url: str, **more: Any) -> Config:
    base = {"id": "door", "driver": "isapi", "place": "gate", "url": url, "password": "camera-1234", "kind": "door"}
    return Config.model_validate(base | {"retry": "10ms", "records": "1h", "silence": "5s"} | more)


@asynccontextmanager
async def running(link: RecordingLink, url: str, **more: Any) -> AsyncIterator[asyncio.Task[None]]:
    """The driver, as long as the block lasts; its task ends by itself only with an error."""
    task = asyncio.ensure_future(DRIVER.run(Line("door", None, (config(url, **more),)), link))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ended(task: asyncio.Task[None]) -> None:
    """As it ended by itself."""
    async with asyncio.timeout(10):
        await task


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink(clock=SystemClock())


def door(json: bool = True, **habits: Any) -> Camera:
    return Camera(quirks=Quirks(json=json, door=Habits(**habits)))


def serials(link: RecordingLink) -> list[Any]:
    """Of all that was told."""
    return [r.raw["serialNo"] for r in link.readings]


def late(link: RecordingLink) -> list[Any]:
    return [r.raw["serialNo"] for r in link.readings if r.data.get("historical")]


async def known(link: RecordingLink) -> None:
    """The device has been asked where it stands."""
    await link.until(lambda: link.secrets)


@pytest.mark.parametrize("json", [True, False], ids=["JSON", "XML"])
async def test_a_passage_is_told_record_by_record(link: RecordingLink, json: bool) -> None:
    async with door(json) as camera, running(link, camera.url):
        await known(link)
        for minor in (75, 21, 25, 26, 22):
            camera.access(5, minor, doorNo=1, employeeNoString="17", name="Somebody")
        await link.until(lambda: len(link.readings) == 5)
        assert [(r.type, r.phase) for r in link.readings] == [
            ("access.granted", Phase.PULSE),
            ("device.unmapped", Phase.PULSE),
            ("door.open", Phase.RAISE),
            ("door.open", Phase.CLEAR),
            ("device.unmapped", Phase.PULSE),
        ]
        assert "Somebody" not in repr(link.readings)
        assert late(link) == []


async def test_a_forced_door_is_over_when_it_is_closed(link: RecordingLink) -> None:
    async with door() as camera, running(link, camera.url):
        await known(link)
        for minor in (27, 28, 26, 26):
            camera.access(5, minor, doorNo=1)
        await link.until(lambda: len(link.readings) == 6)
        assert link.active("door") == frozenset()
        assert len(link.of("door.forced")) == len(link.of("door.held")) == 2


async def test_a_record_that_comes_again_is_told_once_also_after_a_restart(link: RecordingLink) -> None:
    async with door() as camera:
        async with running(link, camera.url):
            await known(link)
            camera.access(5, 75)
            camera.replay()
            camera.access(5, 9)
            await link.until(lambda: len(link.readings) == 2)
        async with running(link, camera.url):
            await camera.watched(2, within_s=5)
            camera.replay()
            camera.access(5, 7)
            await link.until(lambda: len(link.readings) == 3)
    assert serials(link) == [1, 2, 3]


async def test_what_the_device_remembers_from_before_it_was_ours_is_not_told(link: RecordingLink) -> None:
    async with door() as camera:
        for _ in range(70):
            camera.door.memory.record(5, 75)
        async with running(link, camera.url):
            await known(link)
            camera.replay()
            camera.access(5, 75)
            await link.until(lambda: link.readings)
    assert serials(link) == [71]


HABITS = {
    "30 a page": {},
    "2 a page": {"page": 2},
    "newest first": {"newest_first": True, "page": 7},
    "beginSerialNo is ignored": {"by_serial": False, "page": 4},
    "beginSerialNo is an error": {"refuses_serial": True},
    "does not say what is current": {"marks": False},
}


@pytest.mark.parametrize("habits", HABITS.values(), ids=HABITS.keys())
async def test_an_outage_is_filled_from_the_memory_exactly_once(link: RecordingLink, habits: dict[str, Any]) -> None:
    async with door(**habits) as camera, running(link, camera.url):
        await known(link)
        camera.access(5, 75)
        await link.until(lambda: link.readings)
        camera.hang_up()
        for _ in range(25):
            camera.door.memory.record(5, 9, cardNo="1")
        await camera.watched(2, within_s=5)
        camera.replay()
        camera.access(5, 76)
        await link.until(lambda: len(link.readings) >= 27)
        camera.access(5, 75)
        await link.until(lambda: len(link.readings) >= 28)
        assert sorted(serials(link)) == list(range(1, 29))
        assert set(range(2, 27)) <= set(late(link))
        assert 1 not in late(link)


async def test_an_outage_of_the_gateway_is_filled_too(link: RecordingLink) -> None:
    async with door() as camera:
        async with running(link, camera.url):
            await known(link)
            camera.access(5, 75)
            await link.until(lambda: link.readings)
        for _ in range(40):
            camera.door.memory.record(5, 7)
        async with running(link, camera.url):
            await link.until(lambda: len(link.readings) == 41)
            camera.access(5, 75)
            await link.until(lambda: len(link.readings) == 42)
    assert serials(link) == list(range(1, 43))
    assert late(link) == list(range(2, 42))


async def test_an_outage_during_a_full_disk_is_filled_when_there_is_room(link: RecordingLink) -> None:
    async with door(page=5) as camera:
        async with running(link, camera.url):
            await known(link)
            camera.access(5, 75)
            await link.until(lambda: link.readings)
        for _ in range(20):
            camera.door.memory.record(5, 7)
        for _ in range(3):
            link.failing = 1
            async with running(link, camera.url) as task:
                with pytest.raises(Exception, match="disk is full"):
                    await ended(task)
        async with running(link, camera.url):
            await link.until(lambda: len(link.readings) == 21)
    assert serials(link) == list(range(1, 22))


async def test_a_hole_among_the_notifications_is_filled_at_once(link: RecordingLink) -> None:
    async with door() as camera, running(link, camera.url):
        await known(link)
        camera.access(5, 75)
        camera.door.memory.record(5, 27)  # nobody ticked "notify surveillance centre" for it
        camera.access(5, 75)
        await link.until(lambda: len(link.readings) == 4)
        assert sorted(serials(link)) == [1, 2, 2, 3]
        assert link.active("door") == frozenset(), "it was forced before something that was told: no state of now"


async def test_a_device_that_replays_for_hours_is_asked_for_its_news(
    link: RecordingLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a DS-K1T342 does: its notifications are of long ago, news are in its memory only."""
    monkeypatch.setattr(_isapi_memory, "SOON_S", 0.02)
    async with door() as camera:
        for _ in range(50):
            camera.door.memory.record(5, 75)
        async with running(link, camera.url):
            await known(link)
            camera.door.memory.record(5, 27)
            camera.tell(camera.door.memory.records[0], current=False)
            await link.until(lambda: link.of("door.forced", Phase.RAISE))
            assert serials(link) == [51]


async def test_a_device_that_was_reset_counts_anew(link: RecordingLink) -> None:
    async with door() as camera, running(link, camera.url):
        await known(link)
        for minor in (75, 76, 75):
            camera.access(5, minor)
        await link.until(lambda: len(link.readings) == 3)
        camera.door.memory.reset()
        camera.access(5, 9, time="2099-01-01T00:00:00+08:00")
        camera.access(5, 9, time="2099-01-01T00:00:01+08:00")
        await link.until(lambda: len(link.readings) == 5)
        assert serials(link) == [1, 2, 3, 1, 2]


async def test_a_device_whose_memory_may_not_be_read_tells_what_it_replays(link: RecordingLink) -> None:
    async with door(memory=False) as camera, running(link, camera.url):
        await camera.watched(within_s=5)
        camera.access(5, 75)
        await link.until(lambda: link.readings)
        camera.hang_up()
        for _ in range(5):
            camera.door.memory.record(5, 9)
        await camera.watched(2, within_s=5)
        camera.replay()
        await link.until(lambda: len(link.readings) == 6)
    assert serials(link) == list(range(1, 7))
    assert late(link) == list(range(2, 7))


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_a_search_that_fails_costs_neither_the_stream_nor_the_account(link: RecordingLink, status: int) -> None:
    async with door() as camera, running(link, camera.url, records="20ms") as task:
        await known(link)
        camera.access(5, 75)
        await link.until(lambda: link.readings)
        camera.door.search_status = status
        asked = len(camera.door.searches)
        camera.door.memory.record(5, 9)
        camera.access(5, 76)
        await link.until(lambda: len(link.readings) == 2)
        camera.heartbeat()  # heard when the search for the hole is over
        await link.until(lambda: len(camera.door.searches) > asked)
        assert link.offline == {}
        assert not task.done()
        if status == 503:
            camera.door.search_status = 200
            await link.until(lambda: len(link.readings) == 3)
            assert sorted(serials(link)) == [1, 2, 3]


async def test_the_number_is_kept_only_when_the_record_is_on_disk(link: RecordingLink) -> None:
    order: list[tuple[int, bool]] = []

    async def look(_: tuple[Any, ...]) -> None:
        order.append((len(link.readings), b'"last": 1' in link.secrets["isapi-door"]))

    async with door() as camera, running(link, camera.url):
        await known(link)
        link.before_emit = look
        camera.access(5, 75)
        await link.until(lambda: b'"last": 1' in link.secrets["isapi-door"])
        assert order == [(0, False)]


async def test_a_ledger_that_cannot_be_read_costs_no_start(link: RecordingLink) -> None:
    link.secrets["isapi-door"] = b"\x00rubbish"
    async with door() as camera, running(link, camera.url):
        await link.until(lambda: b"last" in link.secrets["isapi-door"])
        camera.access(5, 75)
        await link.until(lambda: link.readings)


async def test_an_open_door_stays_open_through_a_restart(link: RecordingLink) -> None:
    """Only a camera's conditions end by silence."""
    async with door() as camera:
        async with running(link, camera.url, clear_after="10ms"):
            await known(link)
            camera.access(5, 25)
            await link.until(lambda: link.readings)
        async with running(link, camera.url, clear_after="10ms"):
            await camera.watched(2, within_s=5)
            camera.event("linedetection")
            await link.until(lambda: link.of("video.line_cross"))
            assert link.active("door") == {("door.open", None)}


async def test_two_doors_of_one_controller(link: RecordingLink) -> None:
    async with door() as camera, running(link, camera.url, door=2):
        await known(link)
        camera.access(5, 25, doorNo=1)
        camera.access(5, 25, doorNo=2)
        camera.access(1, 0x404)
        await link.until(lambda: len(link.readings) == 2)
        assert [(r.type, r.part) for r in link.readings] == [("door.open", None), ("device.tamper", None)]


# --- offline


async def test_a_device_that_comes_and_goes_at_once_stays_offline(link: RecordingLink) -> None:
    """Else it would be told offline and back every few seconds."""
    link.conditions["door"] = {("device.offline", None)}
    link.offline["door"] = "no-answer"
    async with door() as camera, running(link, camera.url, retry="200ms") as task:
        for stream in range(1, 2 + FAILED_RECONNECTS):
            await camera.watched(stream, within_s=5)
            camera.hang_up()
        with pytest.raises(Unreachable, match="closed the event stream"):
            await ended(task)
        assert link.presence == []


async def test_a_device_that_was_offline_is_back_with_its_first_word_or_when_it_stays(link: RecordingLink) -> None:
    for words in (1, 0):
        link.conditions["door"] = {("device.offline", None)}
        link.offline["door"] = "no-answer"
        async with door() as camera, running(link, camera.url, retry="10s" if words else "50ms"):
            await camera.watched(within_s=5)
            if words:
                camera.heartbeat()
            await link.until(lambda: not link.offline)


# --- commands


@pytest.mark.parametrize(
    ("action", "order", "active"),
    [
        ("unlock", "open", set()),
        ("lock", "close", set()),
        ("release", "alwaysOpen", {("door.released", None)}),
        ("lockdown", "alwaysClose", {("door.lockdown", None)}),
    ],
)
@pytest.mark.parametrize("basic_only", [False, True], ids=["digest", "basic"])
async def test_door_control(link: RecordingLink, action: str, order: str, active: set[Any], basic_only: bool) -> None:
    async with Camera(quirks=Quirks(basic_only=basic_only)) as camera, running(link, camera.url, door=3):
        await camera.watched(within_s=5)
        outcome = await link.command("door", action)
        assert (outcome.code, camera.door.orders) == ("ok", [(3, order)])
        assert link.active("door") == active
        assert camera.login.refused == 0


async def test_lock_ends_what_release_began_once(link: RecordingLink) -> None:
    async with door() as camera, running(link, camera.url):
        await camera.watched(within_s=5)
        for action in ("release", "release", "lock", "lock"):
            assert (await link.command("door", action)).code == "ok"
        assert [(r.type, r.phase) for r in link.readings] == [
            ("door.released", Phase.RAISE),
            ("door.released", Phase.CLEAR),
        ]


async def test_alarm_outputs(link: RecordingLink) -> None:
    async with door() as camera, running(link, camera.url):
        await camera.watched(within_s=5)
        assert (await link.command("door", "output", number=2, state=True)).code == "ok"
        assert camera.door.outputs == {2: "high"}
        assert (await link.command("door", "output", number=2, state=False)).code == "ok"
        assert camera.door.outputs == {2: "low"}
        assert (await link.command("door", "output", number=2, state=True, seconds=3)).code == "bad-arguments"
        assert camera.door.outputs == {2: "low"}


async def test_what_the_device_refuses_is_told_and_changes_nothing(link: RecordingLink) -> None:
    async with door() as camera, running(link, camera.url):
        await camera.watched(within_s=5)
        camera.door.refusal = {"statusCode": 4, "statusString": "Invalid Operation", "subStatusCode": "notSupport"}
        outcome = await link.command("door", "release")
        assert (outcome.code, outcome.result) == ("device-refused", {"status": 4})
        assert "Invalid Operation, notSupport" in outcome.message
        assert link.readings == []


async def test_a_command_that_is_not_answered_is_not_sent_again(link: RecordingLink) -> None:
    async with door() as camera, running(link, camera.url, answer_within="200ms") as task:
        await known(link)
        camera.door.deaf = asyncio.Event()
        outcome = await link.command("door", "unlock")
        assert outcome.code == "timeout"
        assert camera.door.orders == []
        assert not task.done()
        camera.door.deaf.set()


async def test_a_device_that_has_gone_takes_no_command(link: RecordingLink) -> None:
    async with door() as camera, running(link, camera.url, retry="10s"):
        await known(link)
        await camera.stop()
        assert (await link.command("door", "unlock")).code == "device-offline"


async def test_so_many_commands_at_once(link: RecordingLink) -> None:
    async with door() as camera, running(link, camera.url):
        await known(link)
        camera.door.deaf = asyncio.Event()
        waiting = [asyncio.ensure_future(link.command("door", "unlock")) for _ in range(4)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().code for task in done] == ["busy"]
        camera.door.deaf.set()
        outcomes = await asyncio.gather(*waiting)
        assert sorted(outcome.code for outcome in outcomes) == ["busy", "ok", "ok", "ok"]


async def test_a_picture(link: RecordingLink) -> None:
    async with door() as camera, running(link, camera.url):
        await camera.watched(within_s=5)
        outcome = await link.command("door", "snapshot")
        assert outcome.code == "ok"
        assert outcome.picture is not None
        assert (outcome.picture.body, outcome.picture.content_type) == (picture(), "image/png")
        assert outcome.result["bytes"] == len(picture())
        assert repr(picture())[:20] not in repr(outcome)


@pytest.mark.parametrize(("busy", "code"), [(1, "ok"), (2, "device-refused")])
async def test_a_camera_that_is_busy_is_asked_once_more(busy: int, code: str) -> None:
    link = RecordingLink(clock=FastClock(100))
    async with Camera(quirks=Quirks(busy=busy)) as camera, running(link, camera.url, silence="1h"):
        await camera.watched(within_s=5)
        outcome = await link.command("door", "snapshot")
        assert outcome.code == code
        assert (outcome.picture is None) is (code != "ok")


async def test_a_picture_of_a_channel_the_recorder_fetches_from_its_camera(link: RecordingLink) -> None:
    async with Camera(quirks=Quirks(proxy=True)) as camera, running(link, camera.url):
        await camera.watched(within_s=5)
        assert (await link.command("door", "snapshot")).picture is not None


async def test_a_wrong_password_is_told_to_who_commands(link: RecordingLink) -> None:
    async with door() as camera, running(link, camera.url, password="wrong") as task:
        with pytest.raises(NeedsPerson):
            await ended(task)
        assert link.handlers == {}
