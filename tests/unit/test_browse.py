"""Search in the store: exactly what a look at every event would find, page by page, whatever comes meanwhile."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import browse
from gateway.browse import Browse, Wanted
from gateway.event import Lane
from gateway.house import House
from gateway.taxonomy import matches
from tests.houses import Puppets, config, living
from tests.stocks import START_MS, Event, stocked
from tests.turns import Turns

COUNT = 1200
DAY_MS = 86_400_000
SEARCHES = [
    Wanted(),
    Wanted(types=("fire.*",)),
    Wanted(types=("fire.smoke", "access.denied")),
    Wanted(types=("telemetry.sample",)),
    Wanted(types=("*",), devices=("door-1",)),
    Wanted(devices=("smoke-1",)),
    Wanted(places=("b3",)),
    Wanted(places=("b3/u2", "gate"), severities=("critical", "low")),
    Wanted(since_ms=START_MS + 300_000, until_ms=START_MS + 600_000),
    Wanted(since_ms=START_MS + 1_199_000),
    Wanted(until_ms=START_MS + 1000),
    Wanted(types=("door.forced",), until_ms=START_MS + 500_000),
    Wanted(text="n77"),
    Wanted(text="2单元"),
    Wanted(text="感烟"),
    Wanted(text="SMOKE alarm"),
    Wanted(text="nothing of the kind"),
    Wanted(opening=True),
]


def expected(stock: list[Event], wanted: Wanted) -> list[str]:
    """By a look at every one, written another way."""
    return [event["id"] for event in stock if _fits(event, wanted)]


def _fits(event: Event, wanted: Wanted) -> bool:
    number = int(event["data"]["note"][1:])
    text = f"{event['data']['note']} {event['data']['place']['label']} {event['subject']} "
    text += {"fire.smoke": "感烟火警 Smoke alarm"}.get(event["type"], "")
    return (
        (not wanted.types or any(matches(pattern, event["type"]) for pattern in wanted.types))
        and event["subject"] in (wanted.devices or (event["subject"],))
        and any(f"{event['data']['place']['path']}/".startswith(f"{p}/".lstrip("/")) for p in wanted.places or ("",))
        and event["severity"] in (wanted.severities or (event["severity"],))
        and (wanted.since_ms or 0) <= START_MS + number * 1000 <= (wanted.until_ms or START_MS * 2)
        and wanted.text.lower() in text.lower()
        and (not wanted.opening or "alarm" in event["data"])
    )


@asynccontextmanager
async def over(folder: Path, puppets: Puppets | None = None) -> AsyncIterator[tuple[House, Browse]]:
    async with living(config(folder, {"smoke-1": "smoke", "door-1": "door"}), puppets or Puppets()) as house:
        yield house, Browse(house.store, house.site)


async def everything(found: Browse, wanted: Wanted, limit: int) -> list[str]:
    """All pages, one after the other."""
    events: list[str] = []
    cursor = None
    while True:
        page = await found.page(wanted, cursor, limit)
        assert page.stopped or len(page.events) == limit or page.cursor is None
        events += [event["id"] for event in page.events]
        cursor = page.cursor
        if cursor is None:
            return events


async def test_pages_of_any_size_find_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stock = stocked(tmp_path, COUNT)
    async with over(tmp_path) as (_, found):
        for wanted in SEARCHES:
            right = expected(stock, wanted)
            assert await everything(found, wanted, 37) == right, wanted
            assert await everything(found, wanted, 500) == right, wanted
        for rows in (1, 7):
            monkeypatch.setattr(browse, "SLICE_ROWS", rows)
            monkeypatch.setattr(browse, "SKIP_ROWS", rows * 3)
            for wanted in SEARCHES[7:12]:
                assert await everything(found, wanted, 50) == expected(stock, wanted), (rows, wanted)


async def test_the_searches_are_worth_something(tmp_path: Path) -> None:
    counts = [len(expected(stocked(tmp_path, COUNT), wanted)) for wanted in SEARCHES]
    assert counts.count(0) == 1
    assert counts[0] == COUNT
    assert len(set(counts)) > 8


async def test_a_page_stays_exact_while_new_events_come(tmp_path: Path) -> None:
    puppets, stock = Puppets(), stocked(tmp_path, 300)
    async with over(tmp_path, puppets) as (_, found):
        first = await found.page(Wanted(), None, 100)
        for _ in range(30):
            await puppets.emit("door-1", "access.granted")
            await puppets.emit("smoke-1", "fire.smoke", "raise")
        second = await found.page(Wanted(), first.cursor, 200)
        assert [event["id"] for event in (*first.events, *second.events)] == [event["id"] for event in stock]
        assert second.cursor is None
        newest = await found.page(Wanted(), None, 1)
        assert newest.events[0]["type"] == "fire.smoke"


async def test_events_that_were_fetched_late_are_found_by_when_they_happened(tmp_path: Path) -> None:
    stock = stocked(tmp_path, 600, lag_ms=lambda number: DAY_MS if number >= 500 else 0)
    async with over(tmp_path) as (_, found):
        late = Wanted(since_ms=START_MS - DAY_MS, until_ms=START_MS - 1)
        assert await everything(found, late, 30) == [event["id"] for event in stock[:100]]
        assert await everything(found, Wanted(since_ms=START_MS), 30) == [event["id"] for event in stock[100:]]


async def test_numbers_that_are_missing_end_no_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stock = stocked(tmp_path, 600)
    monkeypatch.setattr(browse, "SLICE_ROWS", 10)
    async with over(tmp_path) as (house, found):
        sql = "DELETE FROM event_lane WHERE seq BETWEEN 50 AND 200"
        await house.store.transact(lambda connection: connection.execute(sql))
        page = await everything(found, Wanted(types=("access.*", "device.*")), 20)
        left = expected(stock, Wanted(types=("access.*", "device.*")))
        assert page == [*left[:100], *left[-49:]]


async def test_a_search_that_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stock = stocked(tmp_path, COUNT)
    monkeypatch.setattr(browse, "MOST_ROWS", 300)
    monkeypatch.setattr(browse, "SLICE_ROWS", 50)
    async with over(tmp_path) as (_, found):
        page = await found.page(Wanted(text="n3"), None, 500)
        assert (page.stopped, len(page.events) < len(expected(stock, Wanted(text="n3")))) == (True, True)
        assert await everything(found, Wanted(text="n3"), 500) == expected(stock, Wanted(text="n3"))


async def test_an_event_stands_as_it_was_written_with_its_numbers(tmp_path: Path) -> None:
    puppets = Puppets()
    made = config(tmp_path, {"smoke-1": "smoke"}, {"district": {"url": "mqtt://127.0.0.1:1"}})
    async with living(made, puppets) as house:
        identity = await puppets.emit("smoke-1", "fire.smoke", "raise", smoke_obscuration=1.5)
        found = await Browse(house.store, house.site).page(Wanted(alarm=identity), None, 10)
    (event,) = found.events
    assert (event["id"], event["streams"]) == (identity, {"district.alarm": "0000000000000001"})


@pytest.mark.parametrize(
    ("types", "lanes"),
    [
        ((), set(Lane)),
        (("*",), set(Lane)),
        (("fire.*", "door.open"), {Lane.ALARM, Lane.EVENT}),
        (("telemetry.*",), {Lane.TELEMETRY}),
        (("telemetry.sample", "fire.smoke"), set(Lane)),
    ],
)
def test_lanes_that_cannot_have_any_are_not_read(types: tuple[str, ...], lanes: set[Lane]) -> None:
    assert set(Wanted(types=types).lanes) == lanes


async def test_two_hundred_thousand_events_hold_nobody_up(tmp_path: Path) -> None:
    stocked(tmp_path, 200_000)
    searches = {
        "newest": Wanted(),
        "deep": Wanted(until_ms=START_MS + 1_000_000),
        "rare": Wanted(types=("fire.*",), text="n199"),
        "text": Wanted(text="nowhere to be found"),
    }
    async with over(tmp_path) as (_, found):
        for name, wanted in searches.items():
            began = time.perf_counter()
            with Turns() as turns:
                page = await found.page(wanted, None, 50)
            took_s = time.perf_counter() - began
            print(f"200000 events, {name}: {took_s * 1000:.0f} ms; {turns.told()}")  # noqa: T201
            assert page.cursor is not None or name == "text"
            assert took_s < (20.0 if name == "text" else 2.0)
            assert turns.longest_s < 0.05
