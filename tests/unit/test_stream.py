"""Streams on a real socket: what a page is told, and events that go on exactly where they were cut."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from gateway.event import Phase, Reading
from gateway.house import House
from gateway.web import bind, create, hub, serve, stream
from gateway.web.frame import Frame
from gateway.web.glance import Echoes
from gateway.web.hub import Hub, Page
from gateway.web.stream import cursor_of, text_of
from tests.houses import WAIT_S, Puppets, config, living, until
from tests.visitors import Known, known

Message = dict[str, str]
EVENTS = "/api/v1/events/stream"


@asynccontextmanager
async def house_of(folder: Path) -> AsyncIterator[tuple[House, Puppets]]:
    puppets = Puppets()
    async with living(config(folder, {"smoke-1": "smoke", "door-1": "door"}), puppets) as house:
        yield house, puppets


@asynccontextmanager
async def served(house: House, keeper: Known) -> AsyncIterator[aiohttp.ClientSession]:
    sockets = bind("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    async with serve(create(house, keeper), sockets), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


async def messages(answer: aiohttp.ClientResponse) -> AsyncIterator[Message]:
    """Each as its fields; one that has neither data nor event is none."""
    told: dict[str, list[str]] = {}
    async for raw in answer.content:
        name, _, value = raw.decode().rstrip("\n").partition(": ")
        if name:
            told.setdefault(name.rstrip(":"), []).append(value)
        elif told:
            yield {key: "\n".join(values) for key, values in told.items()}
            told = {}


async def first(found: AsyncIterator[Message], name: str) -> Message:
    """The next event of that name."""
    async with asyncio.timeout(WAIT_S):
        async for each in found:
            if each.get("event") == name:
                return each
    raise AssertionError(f"no {name}")


async def some(found: AsyncIterator[Message], count: int) -> list[Message]:
    """So many with data."""
    listed: list[Message] = []
    async with asyncio.timeout(WAIT_S):
        async for each in found:
            listed += [each] if "data" in each else []
            if len(listed) == count:
                break
    return listed


def ids(found: list[Message]) -> list[str]:
    return [str(json.loads(each["data"])["id"]) for each in found]


# --- the page's own -------------------------------------------------------------------------------------------------


async def test_a_page_is_told_how_things_are_and_what_changes(tmp_path: Path) -> None:
    async with (
        house_of(tmp_path) as (house, puppets),
        served(house, Known(known("duty"))) as session,
        session.get("/stream", headers={"Accept-Language": "zh"}) as answer,
    ):
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        found = messages(answer)
        assert json.loads((await first(found, "state"))["data"])["tiles"]["fire"] == 0
        identity = await puppets.emit("smoke-1", "fire.smoke", "raise")
        state = json.loads((await first(found, "state"))["data"])
        assert (state["word"], state["tiles"]["fire"], state["sounding"]) == ("fire", 1, "fire")
        assert state["title"] == "▲ 火警 1 · 大门"
        assert 'id="banner"' in (await first(found, "banner"))["data"]
        assert f'id="e-{identity}"' in (await first(found, "row"))["data"]
        assert {"alarms", "devices", "events"} <= set(json.loads((await first(found, "changed"))["data"]))


async def test_a_page_hears_of_the_last_event_that_came_before_its_stream(tmp_path: Path) -> None:
    async with house_of(tmp_path) as (house, puppets), served(house, Known(known("duty"))) as session:
        await puppets.emit("door-1", "access.granted")
        last = await puppets.emit("smoke-1", "device.fault", "raise")
        async with session.get("/stream") as answer:
            assert (await first(messages(answer), "newest"))["data"] == last


async def test_two_pages_see_the_same_each_in_its_language(tmp_path: Path) -> None:
    async with house_of(tmp_path) as (house, puppets), served(house, Known(known("duty"))) as session:
        async with (
            session.get("/stream", headers={"Accept-Language": "zh"}) as one,
            session.get("/stream", headers={"Accept-Language": "en"}) as two,
        ):
            told = [messages(one), messages(two)]
            await puppets.emit("door-1", "door.forced", "raise")
            rows = [(await first(each, "row"))["data"] for each in told]
        assert "强行开门" in rows[0]
        assert "Door forced open" in rows[1]


async def test_a_session_that_ends_ends_the_stream_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "TICK_S", 0.05)
    keeper = Known(known("duty"))
    async with house_of(tmp_path) as (house, _), served(house, keeper) as session, session.get("/stream") as answer:
        found = messages(answer)
        await first(found, "tick")
        keeper.visitor_is = None
        await first(found, "ended")
        assert [each async for each in found] == []


async def test_another_right_ends_the_stream_so_that_it_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "TICK_S", 0.05)
    keeper = Known(known("duty"))
    async with house_of(tmp_path) as (house, _), served(house, keeper) as session, session.get("/stream") as answer:
        found = messages(answer)
        await first(found, "tick")
        keeper.visitor_is = known("auditor")
        async with asyncio.timeout(WAIT_S):
            assert "ended" not in [each.get("event") async for each in found]


async def test_open_streams_keep_nobody_from_asking_and_end_with_the_daemon(tmp_path: Path) -> None:
    async with house_of(tmp_path) as (house, _), AsyncExitStack() as stack:
        sockets = bind("127.0.0.1", 0)
        page = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        session = await stack.enter_async_context(aiohttp.ClientSession(page))
        async with serve(create(house, Known(known("duty"))), sockets):
            streams = [await session.get(path) for path in ("/stream", EVENTS) * 4]
            async with asyncio.timeout(WAIT_S), session.get("/healthz") as answer:
                assert answer.status == 200
        async with asyncio.timeout(WAIT_S):
            assert all([await each.content.read() for each in streams])  # to a proper end, none is cut


# --- the hub --------------------------------------------------------------------------------------------------------


async def test_a_burst_costs_a_bounded_number_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "BETWEEN_S", 1.0)
    async with house_of(tmp_path) as (house, puppets):
        looked = Hub(Frame(house))
        async with looked.page("en", frozenset({"see"})) as page:
            await page.next()
            link = await puppets.link("door-1")
            await link.emit(*[Reading("door-1", "access.granted", Phase.PULSE)] * 500)
            told = (await page.next() or b"").decode()
        assert told.count('<li id="e-') == hub.ROWS
        assert f"and {500 - hub.ROWS} more" in told


async def test_nothing_is_followed_while_nobody_looks(tmp_path: Path) -> None:
    async with house_of(tmp_path) as (house, _):
        before, looked = len(house.store.listeners), Hub(Frame(house))
        async with looked.page("en", frozenset()), looked.page("zh", frozenset()):
            assert (len(house.store.listeners), looked.open_pages_count) == (before + 1, 2)
        assert (len(house.store.listeners), looked.open_pages_count) == (before, 0)


async def test_a_page_that_does_not_read_is_let_go() -> None:
    page = Page("zh", frozenset())
    assert all(page.put(b"x") for _ in range(hub.QUEUE_FRAMES))
    assert not page.put(b"x")
    assert await page.next() is None


async def test_feedback_that_a_panel_told_before_the_page_was_there_is_known(tmp_path: Path) -> None:
    async with house_of(tmp_path) as (house, puppets):
        link = await puppets.link("door-1")
        await link.emit(Reading("door-1", "door.released", Phase.RAISE, reason="feedback"))
        released = [alarm for alarm in house.alarms() if alarm["type"] == "door.released"]
        echoes = Echoes(house)
        assert echoes.among(released) == 0
        await echoes.seed()
        assert echoes.among(released) == 1
        await link.emit(Reading("door-1", "door.released", Phase.CLEAR))
        assert echoes.among(released) == 0


# --- events for machines --------------------------------------------------------------------------------------------


async def test_events_go_on_where_they_were_cut_nothing_missed_nothing_doubled(tmp_path: Path) -> None:
    async with house_of(tmp_path) as (house, puppets), served(house, Known(known("duty"))) as session:
        async with session.get(EVENTS) as answer:
            sent = [await puppets.emit("door-1", "access.granted")]
            sent += [await puppets.emit("smoke-1", "fire.smoke", "raise")]
            found = await some(messages(answer), 2)
        assert sorted(ids(found)) == sorted(sent)
        assert json.loads(found[0]["data"])["streams"] == {}
        missed = [await puppets.emit("door-1", "access.denied") for _ in range(3)]
        for how in ({"headers": {"Last-Event-ID": found[-1]["id"]}}, {"params": {"last_event_id": found[-1]["id"]}}):
            async with session.get(EVENTS, **how) as answer:  # type: ignore[arg-type]
                assert ids(await some(messages(answer), 3)) == missed


async def test_whoever_may_see_no_more_follows_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "TICK_S", 0.05)
    keeper = Known(known("duty"))
    async with house_of(tmp_path) as (house, puppets), served(house, keeper) as session:
        for later in (None, replace(known("duty"), rights=frozenset({"metrics"}))):
            keeper.visitor_is = known("duty")
            async with session.get(EVENTS) as answer:
                found = messages(answer)
                sent = await puppets.emit("door-1", "access.granted")
                assert ids(await some(found, 1)) == [sent]
                keeper.visitor_is = later
                async with asyncio.timeout(WAIT_S):
                    await answer.content.read()


async def test_from_the_beginning_by_type_device_and_place(tmp_path: Path) -> None:
    async with house_of(tmp_path) as (house, puppets), served(house, Known(known("duty"))) as session:
        fire = await puppets.emit("smoke-1", "fire.smoke", "raise")
        door = await puppets.emit("door-1", "access.granted")
        for wanted, meant in (
            ({"type": "fire.*"}, [fire]),
            ({"device": "door-1"}, [door]),
            ({"place": "gate", "type": "access.*"}, [door]),
        ):
            async with session.get(EVENTS, params={"last_event_id": "0.0.0", **wanted}) as answer:
                assert ids(await some(messages(answer), 1)) == meant


async def test_a_place_is_not_another_that_begins_alike(tmp_path: Path) -> None:
    async with house_of(tmp_path) as (house, puppets):
        await puppets.emit("door-1", "access.granted")
        for place, count in (("gat", 0), ("gate", 1)):
            reader = stream.Reader(house.store, stream.Wanted(places=(place,)), dict.fromkeys(house.store.last, 0))
            assert (await reader.next()).count("data: ") == count


async def test_a_gap_is_told_where_a_backup_was_restored(tmp_path: Path) -> None:
    async with house_of(tmp_path) as (house, puppets), served(house, Known(known("duty"))) as session:
        await puppets.emit("door-1", "access.granted")
        async with session.get(EVENTS, headers={"Last-Event-ID": "0.999.0"}) as answer:
            found = messages(answer)
            gap = await first(found, "gap")
            assert json.loads(gap["data"]) == {"lane": "event", "after": 999, "next": house.store.last["event"] + 1}  # type: ignore[index]
            sent = await puppets.emit("door-1", "access.denied")
            assert ids(await some(found, 1)) == [sent]


@pytest.mark.parametrize("bad", ["x", "1.2", "1.2.x", "1.2.-3", "1.2.3.4", "9" * 40])
async def test_a_cursor_that_is_none_is_refused_in_both_languages(tmp_path: Path, bad: str) -> None:
    async with (
        house_of(tmp_path) as (house, _),
        served(house, Known(known("duty"))) as session,
        session.get(EVENTS, headers={"Last-Event-ID": bad}) as answer,
    ):
        assert answer.status == 409
        error = (await answer.json())["error"]
        assert error["what"]["zh"]
        assert error["do"]["en"]


async def test_silence_is_filled_with_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "TICK_S", 0.05)
    async with house_of(tmp_path) as (house, _), served(house, Known(known("duty"))) as session:
        await until(house, lambda: True)
        async with session.get(EVENTS) as answer, asyncio.timeout(WAIT_S):
            lines = [await answer.content.readline() for _ in range(6)]
        assert any(line.startswith(b": ") for line in lines)


def test_a_cursor_reads_as_it_was_written() -> None:
    assert text_of(cursor_of("1.22.333")) == "1.22.333"
