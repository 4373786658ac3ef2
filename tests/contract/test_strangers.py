"""What strangers on the network get on a real socket: no place that they do not need, and no word too many."""

import asyncio

import aiohttp
import pytest

from gateway.web import guard
from tests.contract.test_web import Model, said, served

FORM = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nname=w"


@pytest.mark.parametrize("path", ["/login", "/setup"])
async def test_a_form_that_comes_drop_by_drop_keeps_no_place(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "DOOR_S", 0.2)
    async with served(Model()) as port, asyncio.timeout(5):
        host = f"127.0.0.1:{port}"
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n{FORM}".encode()
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(guard.AT_ONCE)]
        for _, writer in slow:
            writer.write(head)
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}/readyz") as answer:
            assert answer.status == 200  # as soon as they have given up their places
        for reader, writer in slow:
            assert (await reader.read()).startswith(b"HTTP/1.1 408")
            writer.close()


@pytest.mark.parametrize("referer", ["http://[bad", "http://evil.example/", "//", ""])
async def test_a_step_from_an_address_that_is_none_is_refused(referer: str) -> None:
    async with (
        served(Model()) as port,
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/login", data=b"name=w", headers={"Referer": referer}) as answer,
    ):
        assert answer.status == 403
        assert (await said(answer))["do"]["zh"]


async def test_what_nobody_thought_of_is_told_in_both_languages_with_every_header() -> None:
    house = Model(answer=RuntimeError("secret-token"))
    async with (
        served(house) as port,
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/ingest/cam", data=b"{}") as answer,
    ):
        assert answer.status == 500
        assert (await said(answer))["do"]["zh"]
        assert "secret-token" not in await answer.text()
        for name, value in guard.HEADERS.items():
            assert answer.headers[name] == value


async def test_twenty_desks_behind_one_address_all_have_their_page_at_once() -> None:
    async def desk(base: str) -> None:
        async with aiohttp.ClientSession(base, connector=aiohttp.TCPConnector(limit_per_host=6)) as browser:
            async with asyncio.TaskGroup() as group:
                for name in ("page.css", "act.js", "alarm.js", "icons.svg", "sign-normal.svg", "vendor/htmx.min.js"):
                    group.create_task(_fetched(browser, f"/static/{name}"))
            await everybody.wait()  # with the connections that a browser keeps

    everybody = asyncio.Barrier(20)
    async with served(Model()) as port, asyncio.timeout(20), asyncio.TaskGroup() as desks:
        for _ in range(20):
            desks.create_task(desk(f"http://127.0.0.1:{port}"))


async def _fetched(browser: aiohttp.ClientSession, path: str) -> None:
    async with browser.get(path) as answer:
        assert answer.status == 200
        await answer.read()
