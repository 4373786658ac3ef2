"""Sending once more, on a real store: what is kept, what is gone, how fast, and that it survives restarts."""

import json
import sqlite3
from importlib.resources import files
from pathlib import Path

import pytest

from gateway import letters
from gateway.database import VERSION, Draft, Row, read_cursors
from gateway.event import Lane
from gateway.letters import DEAD_MOST_EVENTS, count_dead, drop_oldest_dead, list_dead, put_dead
from gateway.outbox import Entry, Outbox, resend
from gateway.replay import Found, Rate
from gateway.store import Store

NOW_MS = 1795428379123


def draft(number: int, *uplinks: str) -> Draft:
    body = json.dumps({"id": f"019d0000-0000-7000-8000-{number:012d}", "type": "access.granted"}, separators=(",", ":"))
    return Draft(Lane.EVENT, NOW_MS, body, frozenset(uplinks or ("district",)))


async def filled(store: Store, outbox: Outbox, count: int) -> None:
    """So many events, all confirmed."""
    await store.append([draft(number) for number in range(1, count + 1)])
    while await outbox.fill() or outbox.queues[Lane.EVENT].waiting:
        for entry in taken(outbox):
            outbox.confirmed(entry)


def taken(outbox: Outbox, now_s: float = 0.0) -> list[Entry]:
    """All that may go out now."""
    found = []
    while (entry := outbox.take(Lane.EVENT, now_s)) is not None:
        found.append(entry)
    return found


async def test_what_is_asked_for_goes_out_and_the_cursor_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "LOOK_ROWS", 7)
    async with Store(tmp_path / "events.db", ("district", "other")) as store:
        outbox = Outbox(store, "district")
        await filled(store, outbox, 50)
        cursor = outbox.queues[Lane.EVENT].cursor
        assert await resend(outbox, store, Lane.EVENT, 10, 20) == Found(10, 20, 9, 20, 11)
        await outbox.fill()
        again = taken(outbox)
        assert [entry.sequence for entry in again] == list(range(10, 21))
        outbox.confirmed(again[0])
        outbox.connected(goes_on=False)
        assert [entry.sequence for entry in taken(outbox)] == list(range(11, 21))
        assert outbox.queues[Lane.EVENT].cursor == cursor
        assert outbox.backlog(Lane.EVENT) == 0


async def test_it_is_still_owed_after_a_restart_and_once_done_no_more(tmp_path: Path) -> None:
    async with Store(tmp_path / "events.db", ("district",)) as store:
        outbox = Outbox(store, "district")
        await filled(store, outbox, 20)
        await resend(outbox, store, Lane.EVENT, 5, None)
    for expected in (list(range(5, 21)), []):
        async with Store(tmp_path / "events.db", ("district",)) as store:
            outbox = Outbox(store, "district")
            await outbox.fill()
            again = taken(outbox)
            assert [entry.sequence for entry in again] == expected
            for entry in again:
                outbox.confirmed(entry)
            while await outbox.fill():
                pass


async def test_what_is_not_confirmed_is_on_its_way_anyway(tmp_path: Path) -> None:
    async with Store(tmp_path / "events.db", ("district",)) as store:
        outbox = Outbox(store, "district")
        await filled(store, outbox, 5)
        await store.append([draft(6)])
        assert await resend(outbox, store, Lane.EVENT, 5, 99) == Found(5, 5, 4, 5, 1)
        assert await resend(outbox, store, Lane.EVENT, 6, None) == Found(6, 5)


async def test_new_ones_go_first(tmp_path: Path) -> None:
    async with Store(tmp_path / "events.db", ("district",)) as store:
        outbox = Outbox(store, "district")
        await filled(store, outbox, 5)
        await resend(outbox, store, Lane.EVENT, 1, 5)
        await store.append([draft(6), draft(7)])
        await outbox.fill()
        assert [entry.sequence for entry in taken(outbox)] == [6, 7, 1, 2, 3, 4, 5]


async def test_one_that_is_refused_once_more_holds_the_lane_and_goes_again(tmp_path: Path) -> None:
    async with Store(tmp_path / "events.db", ("district",)) as store:
        outbox = Outbox(store, "district")
        await filled(store, outbox, 3)
        await resend(outbox, store, Lane.EVENT, 1, 3)
        await outbox.fill()
        for entry in taken(outbox):
            outbox.refused(entry, 0.0)
        assert taken(outbox, 0.5) == []
        (first,) = taken(outbox, 1.0)
        assert first.sequence == 1
        outbox.confirmed(first)
        assert [entry.sequence for entry in taken(outbox, 1.0)] == [2, 3]


async def test_late_ones_go_out_at_the_rate_and_new_ones_do_not_wait(tmp_path: Path) -> None:
    async with Store(tmp_path / "events.db", ("district",)) as store:
        outbox = Outbox(store, "district")
        await store.append([draft(number) for number in range(1, 26)])
        outbox.rate = Rate(10.0)
        outbox.connected(goes_on=False)  # the link is up
        await outbox.fill()
        assert [len(taken(outbox, 100.0 + second)) for second in range(3)] == [10, 10, 5]
        await store.append([draft(number) for number in range(26, 76)])
        await outbox.fill()
        assert len(taken(outbox, 102.0)) == 50


async def test_a_version_1_database_is_migrated_with_all_it_has(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((files("gateway") / "schema" / "001.sql").read_text("utf-8"))
        connection.execute("PRAGMA user_version = 1")
        made = draft(1)
        connection.execute("INSERT INTO event_lane VALUES (1, ?, 'district=1', ?, NULL)", (NOW_MS, made.body))
        connection.execute("INSERT INTO cursor VALUES ('district', 'event', 1, 1)")
    connection.close()
    async with Store(path, ("district",)) as store:
        assert (await store.transact(read_cursors))["district", Lane.EVENT].sequence == 1
        assert (await store.read(lambda c: c.execute("PRAGMA user_version").fetchone())) == (VERSION,)
        assert (await resend(Outbox(store, "district"), store, Lane.EVENT, 1, 1)).count == 1


async def test_the_list_of_dead_letters_is_bounded_and_the_oldest_go(tmp_path: Path) -> None:
    async with Store(tmp_path / "events.db", ("district",)) as store:

        def fill(connection: sqlite3.Connection) -> int:
            for seq in range(1, DEAD_MOST_EVENTS + 11):
                row = Row(seq, NOW_MS, {"district": seq}, draft(seq).body, None)
                left = put_dead(connection, "district", Lane.EVENT, row, "too-large")
            return left

        assert await store.transact(fill) == DEAD_MOST_EVENTS
        assert (await store.read(lambda c: list_dead(c, "district")))[0].sequence == 11
        assert await store.transact(lambda c: drop_oldest_dead(c, 400)) == 400
        assert (await store.read(lambda c: count_dead(c, "district")))[Lane.EVENT] == DEAD_MOST_EVENTS - 400
