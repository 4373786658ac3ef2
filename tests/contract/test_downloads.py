"""Backup and diagnostics as downloads: what is in them, who gets them, what is left behind, and what they cost."""

import asyncio
import re
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import httpx
import pytest

from gateway import backup
from gateway.health import rss_bytes
from gateway.house import House
from gateway.web import bind, create, downloads, serve
from gateway.web.downloads import Tickets
from tests.houses import WAIT_S, until
from tests.settled import PASSWORD, TOKEN, settled
from tests.visitors import CSRF, Known, known


@asynccontextmanager
async def at_work(house: House, who: str = "王师傅") -> AsyncIterator[httpx.AsyncClient]:
    """As `visiting`, and what the rooms do beside runs too."""
    app = create(house, Known(known("installer", who)))
    way = httpx.ASGITransport(app=app, client=("127.0.0.1", 50000))
    headers = {"Accept-Language": "en", "X-CSRF-Token": CSRF, "Origin": "http://localhost"}
    errands = [asyncio.create_task(errand()) for errand in app.state.errands]
    async with httpx.AsyncClient(transport=way, base_url="http://localhost", headers=headers) as client:
        yield client
    for errand in errands:
        errand.cancel()
    await asyncio.gather(*errands, return_exceptions=True)


async def ready(client: httpx.AsyncClient, word: str) -> str:
    """The page as soon as it says that."""
    async with asyncio.timeout(3 * WAIT_S):
        while word not in (text := (await client.get("/settings/backup")).text):
            pass
    return text


async def test_a_backup_is_made_fetched_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "state" / downloads.FOLDER
    async with settled(tmp_path) as here:
        async with at_work(here.house) as client:
            text = (await client.get("/settings/backup")).text
            assert "every password and key" in text
            assert "gateway restore" in text
            assert (await client.post("/settings/backup/fetch")).status_code == 404
            assert (await client.post("/settings/backup")).status_code == 204
            assert "every 2s" in (await client.get("/settings/backup")).text
            assert (await client.post("/settings/backup")).status_code == 409  # one at a time
            assert "/settings/backup/fetch" in await ready(client, "Ready:")
            assert folder.stat().st_mode & 0o777 == 0o700
            where = (await client.post("/settings/backup/fetch")).headers["HX-Redirect"]
            answer = await client.get(where)
            assert re.fullmatch(r'attachment; filename="gw-0001-[0-9TZ]+\.tar"', answer.headers["Content-Disposition"])
            assert answer.headers["Cache-Control"] == "no-store"
            assert int(answer.headers["Content-Length"]) == len(answer.content)
            (tmp_path / "copy.tar").write_bytes(answer.content)
        manifest = backup.read(tmp_path / "copy.tar")
        assert {"events.db", "config/gateway.yaml"} <= set(manifest.members)
        assert not folder.exists()


async def test_a_backup_that_fails_says_why(tmp_path: Path) -> None:
    async with settled(tmp_path) as here, at_work(here.house) as client:
        here.file.unlink()
        assert (await client.post("/settings/backup")).status_code == 204
        assert "gateway.yaml" in await ready(client, "No backup was made:")
        assert "/settings/backup/fetch" not in (await client.get("/settings/backup")).text


async def test_without_room_none_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "SPARE_BYTES", 2**60)
    async with settled(tmp_path) as here, at_work(here.house) as client:
        answer = await client.post("/settings/backup")
        assert answer.status_code == 409
        assert "剩余空间不足" in answer.json()["error"]["what"]["zh"]


async def test_it_goes_when_its_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "KEPT_S", 0.0)
    async with settled(tmp_path) as here, at_work(here.house) as client:
        await client.post("/settings/backup")
        await until(here.house, (tmp_path / "state" / downloads.FOLDER).exists)
        await until(here.house, lambda: not (tmp_path / "state" / downloads.FOLDER).exists())
        assert (await client.post("/settings/backup/fetch")).status_code == 404


async def test_leftovers_of_a_power_cut_go_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "state" / downloads.FOLDER
    folder.mkdir(parents=True)
    (folder / "half.tar").write_text("secrets")
    async with settled(tmp_path) as here, at_work(here.house):
        await until(here.house, lambda: not folder.exists())


async def test_diagnostics_hold_no_secret(tmp_path: Path) -> None:
    async with settled(tmp_path) as here, at_work(here.house) as client:
        answer = await client.get((await client.post("/settings/bundle")).headers["HX-Redirect"])
        assert re.search(r'filename="bundle-.*\.tar\.gz"', answer.headers["Content-Disposition"])
        (tmp_path / "bundle.tar.gz").write_bytes(answer.content)
        with tarfile.open(tmp_path / "bundle.tar.gz") as tar:
            whole = b"".join(tar.extractfile(member).read() for member in tar)  # type: ignore[union-attr]
        assert b"smoke-1" in whole
        assert PASSWORD.encode() not in whole
        assert TOKEN.encode() not in whole


async def test_an_address_is_for_one_person_and_a_while(tmp_path: Path) -> None:
    now_s = 0.0
    tickets = Tickets(lambda: now_s)
    file = tmp_path / "file"
    file.write_text("x")
    name = tickets.give(file, "li")
    assert tickets.file(name, "li") == file
    assert tickets.file(name, "wang") is None
    assert tickets.file("guessed", "li") is None
    now_s = downloads.KEPT_S
    assert tickets.file(name, "li") is None
    async with settled(tmp_path) as here, at_work(here.house) as client:
        assert (await client.get("/settings/download/guessed")).status_code == 404


async def test_500_mb_sit_in_no_memory_and_hold_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size_bytes = 500 * 10**6
    big = tmp_path / "big.tar"
    with big.open("wb") as file:
        file.truncate(size_bytes)
    monkeypatch.setattr(Tickets, "file", lambda *_: big)
    async with settled(tmp_path) as here:
        sockets = bind("127.0.0.1", 0)
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        async with serve(create(here.house, Known(known("installer"))), sockets), aiohttp.ClientSession(url) as http:
            before_bytes, most_bytes, slowest_s, got_bytes = rss_bytes(), 0, 0.0, 0
            loop = asyncio.get_running_loop()
            async with http.get("/settings/download/it") as answer:
                async for piece in answer.content.iter_chunked(2**16):
                    if got_bytes // 2**24 != (got_bytes + len(piece)) // 2**24:  # each 16 MiB: does the house answer?
                        began_s = loop.time()
                        async with http.get("/healthz") as health:
                            assert health.status == 200
                        slowest_s = max(slowest_s, loop.time() - began_s)
                        most_bytes = max(most_bytes, rss_bytes())
                    got_bytes += len(piece)
    assert got_bytes == size_bytes
    assert most_bytes - before_bytes < 32 * 2**20
    assert slowest_s < 1.0
