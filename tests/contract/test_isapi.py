"""The isapi driver against a camera on a real socket: login, firmware quirks, reconnects, restarts."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from drivers._isapi_stream import FAILED_RECONNECTS
from drivers.isapi import DRIVER, Config
from drivers.sim.isapi import Camera, Quirks
from gateway.clock import SystemClock
from gateway.driver import Line
from gateway.errors import DeviceError, NeedsPerson, Unreachable
from gateway.event import Phase
from tests.fakes import RecordingLink


def config(url: str, **more: Any) -> Config:
    defaults = {"retry": "10ms", "clear_after": "200ms", "silence": "5s", "password": "camera-1234"}
    return Config.model_validate({"id": "cam-gate", "driver": "isapi", "place": "gate", "url": url} | defaults | more)


@asynccontextmanager
async def running(link: RecordingLink, url: str, **more: Any) -> AsyncIterator[asyncio.Task[None]]:
    """The driver, as long as the block lasts; its task ends by itself only with an error."""
    line = Line("cam-gate", None, (config(url, **more),))
    task = asyncio.ensure_future(DRIVER.run(line, link))
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


QUIRKS = {
    "today's firmware": Quirks(),
    "pictures between the events": Quirks(picture=True),
    "no Content-Length": Quirks(content_length=False, picture=True),
    "old namespace, old path": Quirks(namespace="urn:psialliance-org", old_path=True),
    "no namespace": Quirks(namespace=""),
    "JSON": Quirks(json=True, content_length=False),
    "another boundary than declared": Quirks(boundary="MIME_boundary"),
    "no boundary declared": Quirks(declared=None),
    "basic login only": Quirks(basic_only=True),
    "GBK": Quirks(encoding="gbk"),
}


@pytest.mark.parametrize("quirks", QUIRKS.values(), ids=QUIRKS.keys())
async def test_motion_is_raised_once_and_cleared(quirks: Quirks, link: RecordingLink) -> None:
    async with Camera(quirks=quirks) as camera, running(link, camera.url):
        await camera.watched(within_s=5)
        camera.heartbeat()
        for _ in range(3):
            camera.event("VMD", True, channelName="大门 & 东")
        camera.motion(False)
        camera.event("linedetection")
        await link.until(lambda: link.of("video.line_cross"))
        assert [(r.type, r.phase) for r in link.readings] == [
            ("video.motion", Phase.RAISE),
            ("video.motion", Phase.CLEAR),
            ("video.line_cross", Phase.PULSE),
        ]
        assert camera.login.refused == 0


async def test_silence_ends_a_condition(link: RecordingLink) -> None:
    async with Camera() as camera, running(link, camera.url):
        await camera.watched(within_s=5)
        camera.motion(True)
        await link.until(lambda: link.of("video.motion", Phase.CLEAR))


async def test_what_cannot_be_read_is_left_out_and_the_rest_goes_on(link: RecordingLink) -> None:
    async with Camera() as camera, running(link, camera.url):
        await camera.watched(within_s=5)
        camera.document(b"<EventNotificationAlert><broken></EventNotificationAlert>")
        camera.document(b"<!DOCTYPE x><EventNotificationAlert/>")
        camera.motion(True)
        await link.until(lambda: link.of("video.motion", Phase.RAISE))
        assert [r.reason for r in link.of("device.unmapped")] == ["unreadable"]


async def test_a_stream_that_the_device_closes_is_opened_again_quietly(link: RecordingLink) -> None:
    async with Camera(quirks=Quirks(closes_after=1)) as camera, running(link, camera.url, clear_after="30s"):
        for stream in range(1, 6):
            await camera.watched(stream, within_s=5)
            camera.motion(True)
        await camera.watched(6, within_s=5)
        assert [r.phase for r in link.readings] == [Phase.RAISE]
        assert link.presence == [("cam-gate", "seen")]


async def test_a_silent_stream_is_opened_anew(link: RecordingLink) -> None:
    async with Camera() as camera, running(link, camera.url, silence="50ms"):
        await camera.watched(within_s=5)
        camera.heartbeat()
        await camera.watched(2, within_s=5)
        assert link.offline == {}


async def test_a_device_that_is_gone_is_told_after_three_attempts_and_back_when_it_is_back(link: RecordingLink) -> None:
    async with Camera() as camera:
        async with running(link, camera.url, clear_after="30s") as task:
            await camera.watched(within_s=5)
            camera.motion(True)
            await link.until(lambda: link.of("video.motion"))
            await camera.stop()
            with pytest.raises(Unreachable, match=r"cam-gate: .* does not answer"):
                await ended(task)
            assert link.offline == {"cam-gate": "no-answer"}
        await camera.start()
        async with running(link, camera.url, clear_after="30s"):
            await camera.watched(2, within_s=5)
            camera.motion(True)
            camera.motion(False)
            await link.until(lambda: link.of("video.motion", Phase.CLEAR))
        assert link.offline == {}
        assert [r.phase for r in link.readings] == [Phase.RAISE, Phase.CLEAR]


async def test_a_condition_that_ended_during_a_restart_is_cleared(link: RecordingLink) -> None:
    link.conditions["cam-gate"] = {("video.motion", "channel-2"), ("device.offline", None)}
    async with Camera() as camera, running(link, camera.url):
        await link.until(lambda: link.of("video.motion", Phase.CLEAR))
        assert [(r.type, r.part) for r in link.readings] == [("video.motion", {"address": "channel-2"})]


@pytest.mark.parametrize("basic_only", [False, True])
async def test_a_wrong_password_is_tried_once_and_a_person_is_told(link: RecordingLink, basic_only: bool) -> None:
    async with (
        Camera(quirks=Quirks(basic_only=basic_only)) as camera,
        running(link, camera.url, password="wrong") as task,
    ):
        with pytest.raises(NeedsPerson, match="refuses user admin"):
            await ended(task)
        assert camera.login.refused == 1
        assert link.offline == {"cam-gate": "refused"}


async def test_the_password_goes_to_no_other_origin(link: RecordingLink) -> None:
    asked: list[str] = []

    async def redirect(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound("http://127.0.0.2:9/steal")

    async with server(redirect) as url, running(link, url) as task:
        with pytest.raises(Unreachable, match="302"):
            await ended(task)
    assert len(asked) == 1 + FAILED_RECONNECTS


async def test_digest_is_preferred_where_basic_is_offered_first(link: RecordingLink) -> None:
    logins: list[str] = []

    async def both(request: web.Request) -> web.Response:
        logins.append(request.headers.get("Authorization", "none").partition(" ")[0])
        answer = web.Response(status=401)
        answer.headers.add("WWW-Authenticate", 'Basic realm="x"')
        answer.headers.add("WWW-Authenticate", 'Digest realm="x", qop="auth", nonce="abc"')
        return answer

    async with server(both) as url, running(link, url) as task:
        with pytest.raises(NeedsPerson):
            await ended(task)
    assert logins == ["none", "Digest"]


@pytest.mark.parametrize(("status", "error"), [(403, NeedsPerson), (404, NeedsPerson), (503, Unreachable)])
async def test_other_refusals(link: RecordingLink, status: int, error: type[DeviceError]) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=status)

    async with server(refuse) as url, running(link, url) as task:
        with pytest.raises(error):
            await ended(task)
    assert "cam-gate" in link.offline


@asynccontextmanager
async def server(handler: Any, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Any HTTP server on loopback."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Certified:
    """A camera's certificate of an authority of its own."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(self.context)
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
        self.fingerprint = sha256(der).hexdigest()


async def one_event(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "multipart/mixed; boundary=b"})
    await response.prepare(request)
    await response.write(b'--b\r\nContent-Type: application/json\r\n\r\n{"eventType": "linedetection"}\r\n')
    return response


@pytest.mark.parametrize("way", ["ca", "fingerprint", "FINGERPRINT"])
async def test_https_with_an_authority_or_a_pinned_certificate(link: RecordingLink, tmp_path: Path, way: str) -> None:
    certified = Certified(tmp_path)
    colons = ":".join(certified.fingerprint[i : i + 2] for i in range(0, 64, 2)).upper()
    tls = {
        "ca": {"ca": str(certified.ca)},
        "fingerprint": {"fingerprint": certified.fingerprint},
        "FINGERPRINT": {"fingerprint": colons},
    }[way]
    async with server(one_event, certified.context) as url, running(link, url, tls=tls):
        await link.until(lambda: link.of("video.line_cross"))


@pytest.mark.parametrize("tls", [None, {"fingerprint": "0" * 64}])
async def test_https_that_cannot_be_checked_needs_a_person(
    link: RecordingLink, tmp_path: Path, tls: dict[str, str] | None
) -> None:
    async with server(one_event, Certified(tmp_path).context) as url, running(link, url, tls=tls) as task:
        with pytest.raises(NeedsPerson, match="cannot be trusted"):
            await ended(task)
    assert link.readings == []


async def test_nothing_is_taken_as_told_that_the_disk_did_not_take(link: RecordingLink) -> None:
    """The run ends; the next one raises it again, as nothing stands open on disk."""
    async with Camera() as camera:
        async with running(link, camera.url) as task:
            await link.until(lambda: link.secrets)  # all that it asks at first has been asked
            link.failing = 1
            camera.motion(True)
            with pytest.raises(Exception, match="disk is full"):
                await ended(task)
        async with running(link, camera.url):
            await camera.watched(2, within_s=5)
            camera.motion(True)
            await link.until(lambda: link.of("video.motion", Phase.RAISE))


async def test_an_open_stream_is_an_answer_before_the_first_heartbeat(link: RecordingLink) -> None:
    async with Camera() as camera, running(link, camera.url):
        await camera.watched(within_s=5)
        await link.until(lambda: link.seen_count.get("cam-gate"))
        assert link.readings == []
