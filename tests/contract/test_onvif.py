"""The onvif driver against a camera on a real socket: login, quirks of firmware, renewal, restarts, commands."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from ruamel.yaml import YAML

from drivers.onvif import DRIVER, Config
from drivers.sim.console.onvif import stage
from drivers.sim.isapi import picture
from drivers.sim.onvif import OnvifCamera, Quirks
from gateway.clock import Clock
from gateway.driver import Line
from gateway.errors import NeedsPerson, Text, Unreachable
from gateway.event import Phase
from tests.fakes import FastClock, RecordingLink

WAIT_S = 20.0
TIMES = 20.0  # the clock of gateway and camera alike
PANIC = {"inputs": {"1": {"type": "safety.panic"}, "2": {"type": "door.open", "inverted": True}}}


def config(url: str, **more: Any) -> Config:
    defaults = {"retry": "1s", "password": "camera-1234", "answer_within": "60s"}
    return Config.model_validate({"id": "cam", "driver": "onvif", "place": "gate", "url": url} | defaults | more)


@asynccontextmanager
async def running(link: RecordingLink, url: str, **more: Any) -> AsyncIterator[asyncio.Task[None]]:
    """The driver, as long as the block lasts; its task ends by itself only with an error."""
    task = asyncio.ensure_future(DRIVER.run(Line("cam", None, (config(url, **more),)), link))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ended(task: asyncio.Task[None]) -> None:
    """As it ended by itself."""
    async with asyncio.timeout(WAIT_S):
        await task


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink(clock=FastClock(TIMES))


def camera_of(clock: Clock, **quirks: Any) -> OnvifCamera:
    return OnvifCamera(quirks=Quirks(**quirks), clock=clock)


def phases(link: RecordingLink, type: str) -> list[Phase]:
    return [reading.phase for reading in link.of(type)]


QUIRKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "today's firmware": ({}, {}),
    "HTTP digest": ({"login": "digest"}, {}),
    "HTTP digest, no token": ({"login": "digest"}, {"login": "digest"}),
    "token and digest": ({"login": "both"}, {}),
    "token only": ({}, {"login": "token"}),
    "a clock that is a day off": ({"clock_off_s": 86400.0}, {}),
    "a clock told only after login": ({"guarded_clock": True}, {}),
    "no clock": ({"silent_clock": True}, {}),
    "wrong host": ({"address": "http://0.0.0.0{path}"}, {}),
    "two ports": ({"address": "http://127.0.0.1:{port}:{port}{path}"}, {}),
    "relative address": ({"address": "{path}"}, {}),
    "reference parameters": ({"references": True}, {}),
    "durations only": ({"relative_only": True}, {}),
    "absolute times only": ({"absolute_only": True}, {}),
    "short questions only": ({"most_pull_s": 5.0}, {}),
    "hangs up when there is nothing": ({"hangs_up": True, "most_pull_s": 5.0}, {}),
    "GetServices only": ({"services": True}, {}),
    "another prefix, something hung on": ({"prefix": "ns7:", "ending": "//."}, {}),
    "no time in what it tells": ({"time_format": "0000-00-00T00:00:00Z"}, {}),
    "no synchronization point": ({"synchronizes": False}, {}),
}


@pytest.mark.parametrize("quirks", QUIRKS.values(), ids=QUIRKS.keys())
async def test_motion_is_raised_once_and_cleared(
    quirks: tuple[dict[str, Any], dict[str, Any]], link: RecordingLink
) -> None:
    async with camera_of(link.clock, **quirks[0]) as camera, running(link, camera.url, **quirks[1]):
        await camera.until(lambda: camera.events.pulled, WAIT_S)
        for _ in range(3):
            camera.motion(True)
        camera.motion(False)
        await link.until(lambda: link.of("video.motion", Phase.CLEAR), WAIT_S)
        assert phases(link, "*") == [Phase.RAISE, Phase.CLEAR]
        assert camera.tokens.refused == 0
        assert link.presence == [("cam", "seen")]


async def test_what_is_true_when_it_begins_is_raised_only_where_it_is_not_open(link: RecordingLink) -> None:
    link.conditions["cam"] = {("safety.panic", "input-1"), ("video.motion", None), ("device.offline", None)}
    async with camera_of(link.clock) as camera:
        camera.input("1", True)
        camera.motion(True, "V1")
        camera.motion(False)
        async with running(link, camera.url, **PANIC):
            await link.until(lambda: link.of("video.motion", Phase.CLEAR), WAIT_S)
        assert [(r.type, r.phase, r.part) for r in link.readings] == [
            ("video.motion", Phase.RAISE, {"address": "source-V1"}),
            ("video.motion", Phase.CLEAR, None),
        ]
        assert link.offline == {}


async def test_inputs_mean_what_is_configured_and_relays_are_values(link: RecordingLink) -> None:
    async with camera_of(link.clock) as camera, running(link, camera.url, **PANIC):
        await camera.until(lambda: camera.events.pulled, WAIT_S)
        camera.input("1", True)
        camera.input("2", False)
        camera.input("3", True)
        camera.relay("R1", True)
        await link.until(lambda: link.of("telemetry.sample"), WAIT_S)
        assert [(r.type, r.phase, r.part) for r in link.readings[:3]] == [
            ("safety.panic", Phase.RAISE, {"address": "input-1"}),
            ("door.open", Phase.RAISE, {"address": "input-2"}),
            ("device.unmapped", Phase.PULSE, {"address": "input-3"}),
        ]
        assert link.readings[3].values["relay_R1"].value is True


async def test_a_subscription_is_renewed_before_its_end_and_given_back(link: RecordingLink) -> None:
    async with camera_of(link.clock) as camera:
        async with running(link, camera.url, lifetime="40s"):
            await camera.until(lambda: camera.events.renewed >= 2, WAIT_S)
            assert camera.events.created == 1
        assert camera.events.unsubscribed == 1
        assert camera.events.points == {}


async def test_a_device_that_does_not_renew_is_subscribed_anew(link: RecordingLink) -> None:
    async with camera_of(link.clock, renew=False) as camera, running(link, camera.url, lifetime="10s"):
        await camera.until(lambda: camera.events.created >= 2 and camera.events.pulled >= 2, WAIT_S)
        camera.motion(True)
        await link.until(lambda: link.of("video.motion"), WAIT_S)
        assert link.offline == {}


async def test_a_lost_subscription_comes_back_and_tells_what_changed_meanwhile(link: RecordingLink) -> None:
    async with camera_of(link.clock) as camera, running(link, camera.url):
        await camera.until(lambda: camera.events.pulled, WAIT_S)
        camera.motion(True)
        await link.until(lambda: link.of("video.motion"), WAIT_S)
        for point in camera.events.points.values():
            point.arrived.set()
        camera.events.points.clear()
        camera.motion(False)
        await link.until(lambda: link.of("video.motion", Phase.CLEAR), WAIT_S)
        assert phases(link, "*") == [Phase.RAISE, Phase.CLEAR]


async def test_firmware_that_repeats_and_never_ends_is_ended_by_silence(link: RecordingLink) -> None:
    async with camera_of(link.clock, says_false=False) as camera, running(link, camera.url, clear_after="5s"):
        await camera.until(lambda: camera.events.pulled, WAIT_S)
        camera.motion(True)
        camera.motion(True)
        camera.motion(False)
        await link.until(lambda: link.of("video.motion", Phase.CLEAR), WAIT_S)
        assert phases(link, "*") == [Phase.RAISE, Phase.CLEAR]


async def test_a_state_that_is_told_once_lasts(link: RecordingLink) -> None:
    async with camera_of(link.clock) as camera, running(link, camera.url, **PANIC, clear_after="1s", pull="1s"):
        await camera.until(lambda: camera.events.pulled, WAIT_S)
        camera.input("1", True)
        await link.until(lambda: link.of("safety.panic"), WAIT_S)
        count = camera.events.pulled
        await camera.until(lambda: camera.events.pulled > count + 5, WAIT_S)
        assert phases(link, "*") == [Phase.RAISE]


@pytest.mark.parametrize("login", ["token", "digest"])
async def test_a_wrong_password_is_told_and_not_tried_again(link: RecordingLink, login: str) -> None:
    async with camera_of(link.clock, login=login) as camera, running(link, camera.url, password="wrong") as task:
        with pytest.raises(NeedsPerson, match="refuses user admin"):
            await ended(task)
        assert camera.tokens.refused + camera.web.refused == 1
        assert link.offline == {"cam": "refused"}


async def test_a_clock_that_is_set_meanwhile_is_read_anew(link: RecordingLink) -> None:
    async with camera_of(link.clock) as camera, running(link, camera.url, pull="1s"):
        await link.until(lambda: link.seen_count.get("cam"), WAIT_S)
        camera.events.quirks = replace(camera.quirks, clock_off_s=-86400.0)
        await camera.until(lambda: camera.tokens.refused and camera.events.created >= 2, WAIT_S)
        camera.motion(True)
        await link.until(lambda: link.of("video.motion"), WAIT_S)
        assert link.presence == [("cam", "seen")]


async def test_no_answer_is_offline_never_normal(link: RecordingLink) -> None:
    async with camera_of(link.clock) as camera:
        async with running(link, camera.url, **PANIC) as task:
            await camera.until(lambda: camera.events.pulled, WAIT_S)
            camera.input("1", True)
            await link.until(lambda: link.of("safety.panic"), WAIT_S)
            await camera.stop()
            with pytest.raises(Unreachable, match=r"cam: .* does not answer"):
                await ended(task)
        assert link.offline == {"cam": "no-answer"}
        assert phases(link, "*") == [Phase.RAISE]
        await camera.start()
        async with running(link, camera.url, **PANIC):
            await link.until(lambda: link.presence[-1] == ("cam", "seen"), WAIT_S)
        assert phases(link, "*") == [Phase.RAISE]


async def test_a_device_without_pull_points_is_a_fault_with_advice(
    link: RecordingLink, caplog: pytest.LogCaptureFixture
) -> None:
    async with camera_of(link.clock, pull_point=False) as camera, running(link, camera.url):
        await link.until(lambda: link.of("device.fault", Phase.RAISE), WAIT_S)
        (fault,) = link.readings
        assert (fault.part, fault.reason) == ({"address": "events"}, "no-pull-point")
        assert "use its vendor's driver" in caplog.text
        camera.events.quirks = replace(camera.quirks, pull_point=True)
        link.clock.times = 60.0  # type: ignore[attr-defined]  # it tries again after a minute
        await link.until(lambda: link.of("device.fault", Phase.CLEAR), WAIT_S)
    assert camera.asked.count("CreatePullPointSubscription") < 10
    assert link.offline == {}


async def test_a_camera_without_room_says_so(link: RecordingLink, caplog: pytest.LogCaptureFixture) -> None:
    async with camera_of(link.clock) as camera:
        names = [str(number) for number in range(100, 105)]
        async with running(link, camera.url):
            await camera.until(lambda: camera.events.pulled, WAIT_S)
            (mine,) = camera.events.points.values()
            camera.events.points.update(dict.fromkeys(names, mine))
        async with running(link, camera.url):
            await link.until(lambda: link.of("device.fault", Phase.RAISE), WAIT_S)
            assert link.of("device.fault")[0].reason == "no-subscription"
            assert "room for about five" in caplog.text


@pytest.mark.parametrize(
    "garbage",
    [
        b"<html>busy</html",
        b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        b"<a>" * 200_000,
        b"<x>" + b"y" * 1_100_000 + b"</x>",
        b"\xff\xfe\x00",
    ],
    ids=["cut", "entities", "deep", "large", "binary"],
)
async def test_rubbish_is_counted_and_forgotten(link: RecordingLink, garbage: bytes) -> None:
    async with camera_of(link.clock, garbage=garbage) as camera, running(link, camera.url, pull="1s"):
        await camera.until(lambda: camera.events.created >= 2, WAIT_S)
        assert link.offline == {}
        camera.quirks = replace(camera.quirks, garbage=b"")
        await camera.until(lambda: camera.events.created >= 3 or link.seen_count, WAIT_S)
        camera.motion(True)
        await link.until(lambda: link.of("video.motion", Phase.RAISE), WAIT_S)


async def test_a_flood_is_taken_at_a_pace_and_tells_no_more_than_it_says(link: RecordingLink) -> None:
    (example,) = [e for e in DRIVER.examples if e.title.startswith("motion begins")]
    begin, note, end = example.wire.partition(b"<wsnt:NotificationMessage>")
    flood = begin + (note + end.partition(b"</wsnt:NotificationMessage>")[0] + b"</wsnt:NotificationMessage>") * 200
    flood += b"</tev:PullMessagesResponse></s:Body></s:Envelope>"
    async with camera_of(link.clock, garbage=flood) as camera, running(link, camera.url, pull="1s"):
        await camera.until(lambda: camera.events.pulled >= 2, WAIT_S)
        began_s = link.clock.monotonic()
        await camera.until(lambda: camera.events.pulled >= 6, WAIT_S)
        assert link.clock.monotonic() - began_s >= 3.0
        assert phases(link, "*") == [Phase.RAISE]


async def test_what_was_pulled_waits_for_the_disk(link: RecordingLink) -> None:
    async with camera_of(link.clock) as camera, running(link, camera.url):
        await camera.until(lambda: camera.events.pulled, WAIT_S)
        await link.until(lambda: link.seen_count or camera.events.pulled, WAIT_S)
        link.failing = 2
        camera.events.happen("RuleEngine/LineDetector/Crossed", {"Rule": "1"}, {"ObjectId": "7"})
        await link.until(lambda: link.of("video.line_cross"), WAIT_S)
        assert link.refused == 2


# --- commands --------------------------------------------------------------------------------------------------------


async def test_a_picture_comes_from_the_configured_host(link: RecordingLink) -> None:
    async with camera_of(link.clock) as camera, running(link, camera.url):
        await camera.until(lambda: camera.events.pulled, WAIT_S)
        outcome = await link.command("cam", "snapshot")
        assert (outcome.code, outcome.picture and outcome.picture.body) == ("ok", picture())
        assert outcome.result["content_type"] == "image/png"
        assert (await link.command("cam", "snapshot", size=1)).code == "bad-arguments"


@pytest.mark.parametrize(("quirks", "more"), [({"picture_type": "text/html"}, {}), ({}, {"source": "V9"})])
async def test_what_is_no_picture_is_refused(link: RecordingLink, quirks: Any, more: Any) -> None:
    async with camera_of(link.clock, **quirks) as camera, running(link, camera.url, **more):
        await camera.until(lambda: camera.events.pulled, WAIT_S)
        outcome = await link.command("cam", "snapshot")
        assert (outcome.code, outcome.picture) == ("device-refused", None)


async def test_relays_are_switched(link: RecordingLink) -> None:
    async with camera_of(link.clock) as camera, running(link, camera.url):
        await camera.until(lambda: camera.events.pulled, WAIT_S)
        outcome = await link.command("cam", "output", number=2, state=True)
        assert (outcome.code, camera.relays) == ("ok", {"R0": False, "R1": True})
        assert (await link.command("cam", "output", number=2, state="off")).code == "ok"
        assert camera.relays["R1"] is False
        wrong: list[dict[str, Any]] = [{"number": 3}, {"number": 0}, {"number": True}, {"number": 1, "seconds": 3}]
        for args in wrong:
            assert (await link.command("cam", "output", **{"state": True, **args})).code == "bad-arguments"
        assert (await link.command("cam", "output", number=1, state="maybe")).code == "bad-arguments"


async def test_commands_to_a_device_that_is_away_say_so(link: RecordingLink) -> None:
    async with camera_of(link.clock) as camera, running(link, camera.url):
        await camera.until(lambda: camera.events.pulled, WAIT_S)
        await camera.stop()
        assert (await link.command("cam", "output", number=1, state=True)).code == "device-offline"


# --- one source of a recorder, and what others answer ----------------------------------------------------------------


async def test_one_source_of_a_recorder_is_a_device_of_its_own(link: RecordingLink) -> None:
    async with camera_of(link.clock) as camera, running(link, camera.url, source="V1"):
        await camera.until(lambda: camera.events.pulled, WAIT_S)
        camera.motion(True, "V0")
        camera.motion(True, "V1")
        camera.motion(False, "V1")
        await link.until(lambda: link.of("video.motion", Phase.CLEAR), WAIT_S)
        assert [(r.phase, r.part) for r in link.readings] == [(Phase.RAISE, None), (Phase.CLEAR, None)]


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_what_is_no_onvif_device(link: RecordingLink, status: int) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with running(link, f"http://127.0.0.1:{runner.addresses[0][1]}") as task:
            if status in (401, 403):
                with pytest.raises(NeedsPerson):
                    await ended(task)
                assert link.offline == {"cam": "refused"}
            else:
                await link.until(lambda: link.of("device.fault", Phase.RAISE), WAIT_S)
                assert link.readings[0].reason == "no-events"
    finally:
        await runner.cleanup()


async def test_words_and_what_comes_of_them(link: RecordingLink) -> None:
    told = list[Text]()
    async with stage(0, ("admin", "camera-1234"), told.append) as made:
        (device,) = YAML(typ="safe", pure=True).load(made.config)["devices"]
        given = {name: device[name] for name in ("username", "password", "inputs")}
        async with running(link, device["url"], **given):
            await link.until(lambda: link.handlers and link.seen_count.get("cam", 0) >= 0)
            await made.perform("motion on")
            await made.perform("input 1 on")
            await made.perform("state Device/HardwareFailure/StorageFailure Failed true")
            await link.until(lambda: link.of("device.fault"), WAIT_S)
            assert {r.type for r in link.readings} == {"video.motion", "safety.panic", "device.fault"}
            assert (await link.command("cam", "output", number=1, state=True)).code == "ok"
            assert told[-1].en == "relay R0: on"
            await made.perform("forget")
            await made.perform("happen RuleEngine/LineDetector/Crossed ObjectId 3")
            await made.perform("motion off")
            await link.until(lambda: link.of("video.motion", Phase.CLEAR), WAIT_S)


# --- the packages ----------------------------------------------------------------------------------------------------

ABSENT = """
import asyncio, sys
for name in ({blocked}):
    sys.modules[name] = None
from drivers.onvif import DRIVER, Config
from gateway.clock import SystemClock
from gateway.driver import Line
from gateway.errors import Misconfigured
from tests.fakes import RecordingLink
given = dict(id="cam", driver="onvif", place="gate", url="http://192.0.2.1", password="x")
try:
    asyncio.run(DRIVER.run(Line("cam", None, (Config.model_validate(given),)), RecordingLink(clock=SystemClock())))
except Misconfigured as error:
    print(error, error.say("zh"))
"""
UNUSED = """
import sys
import gateway.app
from gateway.driver import registry
[registry()[name] for name in registry()]
print(sorted({"zeep", "lxml", "onvif", "requests"} & set(sys.modules)))
"""


def python(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    return done.stdout


@pytest.mark.parametrize("blocked", ['"onvif",', '"zeep",', '"onvif", "zeep"'])
def test_without_the_packages_a_sentence_says_what_to_install(blocked: str) -> None:
    said = python(ABSENT.format(blocked=blocked))
    assert "sudo deploy/install.sh --onvif, or pip install 'community-gateway[onvif]'" in said
    assert "请安装" in said


def test_no_other_path_imports_them() -> None:
    """Nor does this driver itself, before a device needs it."""
    assert python(UNUSED).strip() == "[]"
