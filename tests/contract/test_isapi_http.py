"""HTTP towards a device: answers that do not come or do not end, certificates while the clock is not set."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from drivers._http import Reply, ask, get, session
from drivers._isapi_config import Config
from gateway.clock import TimeQuality
from gateway.errors import NeedsPerson, Unreachable
from tests.fakes import ManualClock

NOW = datetime.now(UTC)  # OpenSSL looks at the machine's clock, which tests do not set: dates lie around it
YEAR = timedelta(days=365)
VALID = NOW - YEAR, NOW + YEAR
FUTURE = NOW + YEAR, NOW + 3 * YEAR  # as a box that is a year late sees a certificate of today
PAST = NOW - 3 * YEAR, NOW - YEAR
Dates = tuple[datetime, datetime]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@asynccontextmanager
async def device(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Whatever listens on loopback; hangs up when the block ends."""
    talks: list[asyncio.Task[None]] = []

    async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):  # it had heard enough
            await talk(reader, writer)
        writer.close()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.ensure_future(heard(reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def config(url: str, **more: Any) -> Config:
    base = {"id": "cam", "driver": "isapi", "place": "gate", "url": url, "password": "secret", "answer_within": "100ms"}
    return Config.model_validate(base | more)


async def asked(made: Config, clock: ManualClock | None = None, most_bytes: int = 1000) -> Reply:
    async with session(made.site, clock or ManualClock()) as http, asyncio.timeout(5):
        return await ask(http, "GET", "/x", most_bytes=most_bytes)


def says(*pieces: bytes) -> Talk:
    """Answers with these, and then neither goes on nor hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        await reader.read()

    return talk


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"HTTP/1.1 200 OK\r\n",),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"half"),
    ],
    ids=["nothing", "half a header", "no end of the header", "half a body"],
)
async def test_an_answer_that_does_not_come_is_none(pieces: tuple[bytes, ...]) -> None:
    async with device(says(*pieces)) as url:
        with pytest.raises(Unreachable, match="no answer in time"):
            await asked(config(url))


async def test_a_stream_whose_header_does_not_come_is_none() -> None:
    async with device(says(b"HTTP/1.1 200 OK\r\n")) as url:
        made = config(url)
        async with session(made.site, ManualClock()) as http, asyncio.timeout(5):
            with pytest.raises(Unreachable, match="no answer in time"):
                async with get(http, "/x"):
                    pytest.fail("there is no answer")


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5000\r\n", b"\r\n"],
    ids=["counted", "chunked", "till the end"],
)
async def test_an_answer_that_is_too_large_is_none(head: bytes) -> None:
    async with device(says(b"HTTP/1.1 200 OK\r\n" + head, b"x" * 10_000)) as url:
        with pytest.raises(Unreachable, match="more than 1000 bytes"):
            await asked(config(url))


async def test_a_header_without_end_is_none() -> None:
    async with device(says(b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 100_000)) as url:
        with pytest.raises(Unreachable):
            await asked(config(url))


async def test_what_a_small_answer_would_become_is_not_looked_at() -> None:
    """Compressed without being asked to: taken as it is."""
    async with device(says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")) as url:
        assert (await asked(config(url))).body == b"abc"


async def test_digest_is_answered_for_a_request_with_a_body() -> None:
    logins: list[str] = []

    async def take(request: web.Request) -> web.Response:
        logins.append(request.headers.get("Authorization", "").partition(" ")[0] + (await request.text()))
        if len(logins) == 1:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Digest realm="x", qop="auth", nonce="n"'})
        return web.Response(text=request.content_type)

    app = web.Application()
    app.router.add_put("/x", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        made = config(f"http://127.0.0.1:{runner.addresses[0][1]}")
        async with session(made.site, ManualClock()) as http:
            assert (await ask(http, "PUT", "/x", b"<a/>")).body == b"application/xml"
            assert (await ask(http, "PUT", "/x", b'{"a": 1}')).body == b"application/json"
    finally:
        await runner.cleanup()
    assert logins == ["<a/>", "Digest<a/>", 'Digest{"a": 1}']


# --- certificates

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def camera(folder: Path, dates: Dates, name: str = "127.0.0.1") -> AsyncIterator[str]:
    """With a certificate of these dates, by an authority whose certificate is `ca.pem`, under another authority."""
    root = trustme.CA()
    certificate = root.create_child_ca().issue_cert(name, not_before=dates[0], not_after=dates[1])
    root.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    async with device(says(OK), context) as url:
        yield url


async def trusts(folder: Path, url: str, clock: ManualClock, ca: str = "ca.pem") -> None:
    assert (await asked(config(url, tls={"ca": str(folder / ca)}, answer_within="5s"), clock)).body == b"ok"


def unset(certain: datetime = NOW - YEAR) -> ManualClock:
    """A clock nobody has set, which knows only that `certain` has passed."""
    clock = ManualClock(quality=TimeQuality.UNSYNCED)
    clock.certain = certain
    return clock


async def test_not_yet_valid_locks_no_box_out_whose_clock_is_not_set(tmp_path: Path) -> None:
    async with camera(tmp_path, FUTURE) as url:
        await trusts(tmp_path, url, unset())


@pytest.mark.parametrize("quality", [TimeQuality.SYNCED, TimeQuality.HOLDOVER])
async def test_not_yet_valid_is_refused_where_the_clock_is_set(tmp_path: Path, quality: TimeQuality) -> None:
    async with camera(tmp_path, FUTURE) as url:
        with pytest.raises(NeedsPerson, match="not yet valid"):
            await trusts(tmp_path, url, ManualClock(quality=quality))


async def test_a_clock_that_gets_set_counts_from_the_next_request_on(tmp_path: Path) -> None:
    clock = unset()
    async with camera(tmp_path, FUTURE) as url:
        made = config(url, tls={"ca": str(tmp_path / "ca.pem")}, answer_within="5s")
        async with session(made.site, clock) as http:
            assert (await ask(http, "GET", "/x")).body == b"ok"
            clock.time_quality = TimeQuality.SYNCED
            with pytest.raises(NeedsPerson, match="not yet valid"):
                await ask(http, "GET", "/x")
            clock.time_quality = TimeQuality.UNSYNCED
            assert (await ask(http, "GET", "/x")).body == b"ok"


@pytest.mark.parametrize("clock", [unset(), ManualClock()], ids=["unset", "set"])
async def test_what_has_ended_for_certain_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    async with camera(tmp_path, PAST) as url:
        with pytest.raises(NeedsPerson, match="expired") as told:
            await trusts(tmp_path, url, clock)
    assert "不可信" in told.value.say("zh-CN")


async def test_what_is_certain_counts_not_what_the_machine_shows(tmp_path: Path) -> None:
    async with camera(tmp_path, FUTURE) as url:
        await trusts(tmp_path, url, unset(FUTURE[1] - timedelta(minutes=1)))
        with pytest.raises(NeedsPerson, match="expired"):
            await trusts(tmp_path, url, unset(FUTURE[1] + timedelta(minutes=1)))


async def test_every_certificate_of_the_chain_is_looked_at(tmp_path: Path) -> None:
    forever = NOW, datetime(3000, 6, 1, tzinfo=UTC)  # longer than trustme's authorities, which end with the year 2999
    async with camera(tmp_path, forever) as url:
        await trusts(tmp_path, url, unset(datetime(2999, 1, 1, tzinfo=UTC)))
        with pytest.raises(NeedsPerson, match="expired"):
            await trusts(tmp_path, url, unset(datetime(3000, 3, 1, tzinfo=UTC)))


@pytest.mark.parametrize("dates", [VALID, FUTURE], ids=["valid", "future"])
async def test_chain_and_name_are_verified_all_the_same(tmp_path: Path, dates: Dates) -> None:
    async with camera(tmp_path, dates) as url:
        with pytest.raises(NeedsPerson, match="cannot be trusted"):
            await trusts(tmp_path, url, unset(), ca="other.pem")
    async with camera(tmp_path, dates, name="elsewhere.example") as url:
        with pytest.raises(NeedsPerson, match="IP address mismatch"):
            await trusts(tmp_path, url, unset())
