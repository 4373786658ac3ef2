"""The disk: what append() returned for stands on it, what it refused left nothing, and it goes on by itself."""

import asyncio
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import database as database_module
from gateway import store as store_module
from gateway import writer as writer_module
from gateway.alarms import Alarm
from gateway.batch import Cursor
from gateway.database import (
    JOURNAL_ROWS,
    Draft,
    Row,
    put_fact,
    read_alarms,
    read_cursors,
    read_fact,
    read_journal,
    read_rows,
)
from gateway.errors import StateError, StorageError
from gateway.event import Lane, Severity
from gateway.identity import Identities, moment_ms
from gateway.packing import pack
from gateway.store import Store
from gateway.writer import TELEMETRY_GATHER_ROWS

NOW_MS = 1795428379123
IDENTITIES = Identities()
NEVER_S = 3600.0  # a gathering time no test waits for


def draft(lane: Lane = Lane.EVENT, uplinks: Sequence[str] = ("district",), private: str | None = None) -> Draft:
    """An event with an id of its own."""
    return Draft(lane, NOW_MS, f'{{"id":"{IDENTITIES.next(NOW_MS)}","type":"x.y"}}', frozenset(uplinks), private)


def opened(folder: Path, *uplinks: str) -> Store:
    """A store at `folder/events.db`."""
    return Store(folder / "events.db", uplinks or ("district",))


def plain(folder: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    """What a second program sees in the file, or does to it."""
    with closing(sqlite3.connect(folder / "events.db", isolation_level=None)) as connection:
        return connection.execute(sql, values).fetchall()


@contextmanager
def full_disk() -> Iterator[None]:
    """While the block lasts the disk takes nothing of what this process writes (setrlimit(2), RLIMIT_FSIZE)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def unsettled(folder: Path) -> Iterator[None]:
    """While the block lasts the tables take nothing; the journal does."""
    plain(folder, "CREATE TRIGGER full BEFORE INSERT ON event_lane BEGIN SELECT RAISE(ABORT, 'no room'); END")
    try:
        yield
    finally:
        plain(folder, "DROP TRIGGER full")


async def turn() -> None:
    """The loop turns, and another thread had time."""
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)


def copied(folder: Path, to: Path) -> None:
    """As after a power cut: the files as they are now."""
    to.mkdir()
    for path in folder.glob("events.db*"):
        shutil.copy(path, to)


def commits(folder: Path) -> int:
    """How many stand in the journal."""
    return len(read_journal(folder / "events.db"))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Telemetry alone gathers for ever."""
    monkeypatch.setattr(store_module, "TELEMETRY_GATHER_S", NEVER_S)


# the commit


@pytest.mark.parametrize("lane", Lane)
async def test_append_returns_after_the_commit(tmp_path: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "TELEMETRY_GATHER_S", 0.01)
    event = draft(lane, private='{"number":1}')
    async with opened(tmp_path) as store:
        await store.append([event])
        (committed,) = read_journal(tmp_path / "events.db")
    stored = (1, NOW_MS, "district=1", pack(event.body), '{"number":1}')
    assert committed.rows == [(lane, stored, None)]
    assert plain(tmp_path, f"SELECT * FROM {lane.value}_lane") == [stored]


async def test_the_tables_get_it_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "SETTLE_S", 0.01)
    async with opened(tmp_path) as store:
        await store.append([draft()])
        async with asyncio.timeout(5):
            while plain(tmp_path, "SELECT count(*) FROM event_lane") == [(0,)]:
                await turn()


async def test_the_tables_get_it_when_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "SETTLE_S", NEVER_S)
    async with opened(tmp_path) as store:
        for _ in range(20):
            await store.append([draft() for _ in range(50)])
        async with asyncio.timeout(5):
            while plain(tmp_path, "SELECT count(*) FROM event_lane") < [(950,)]:
                await turn()


async def test_what_is_too_much_for_the_journal_is_safe_in_the_tables(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.append([draft()])
        await store.append([draft() for _ in range(JOURNAL_ROWS + 1)])
        assert plain(tmp_path, "SELECT count(*) FROM event_lane") == [(JOURNAL_ROWS + 2,)]
        assert [row.seq for row in await store.rows(Lane.EVENT, 0, 3)] == [1, 2, 3]


async def test_what_was_left_in_the_journal_is_taken_over(tmp_path: Path) -> None:
    """As after a power cut: nothing is missing, nothing stands twice, and numbers go on."""
    aside = tmp_path / "aside"
    flags = Alarm("smoke-1", "fire.smoke", "", "x", Severity.CRITICAL, True, False, False, True, 1, 1, 1, False)
    async with opened(tmp_path) as store:
        await store.append([draft(), replace(draft(Lane.ALARM), alarm=flags)])
        await store.read(read_alarms)
        await store.append([replace(draft(Lane.ALARM), alarm=replace(flags, count=2)), draft()])
        store.mark("district", Lane.EVENT, Cursor(1, 1))
        await store.append([draft(Lane.ALARM)])
        copied(tmp_path, aside)
    for _ in range(2):
        async with opened(aside) as store:
            assert dict(store.last) == {Lane.ALARM: 3, Lane.EVENT: 2, Lane.TELEMETRY: 0}
            assert store.numbers[Lane.ALARM] == {"district": 3}
            assert [alarm.count for alarm in await store.transact(read_alarms)] == [2]
            assert await store.transact(read_cursors) == {("district", Lane.EVENT): Cursor(1, 1)}
            assert [row.seq for row in await store.read(lambda c: read_rows(c, Lane.ALARM, 0, 9))] == [1, 2, 3]


async def test_when_the_tables_fail_what_was_accepted_waits_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "SETTLE_S", 0.01)
    async with opened(tmp_path) as store:
        await store.append([draft(Lane.ALARM)])
        with unsettled(tmp_path):
            await store.append([draft(), draft(Lane.ALARM)])
            await asyncio.wait_for(store.trouble.wait(), 5)
            assert "no room" in str(store.failing)
            with pytest.raises(StorageError, match="no room"):
                await store.append([draft()])
            assert [row.seq for row in await store.rows(Lane.ALARM, 0, 9)] == [1, 2]  # it goes out all the same
        await store.append([draft()])
        assert store.failing is None
        assert [row.seq for row in await store.read(lambda c: read_rows(c, Lane.EVENT, 0, 9))] == [1, 2]


async def test_every_commit_is_forced_to_disk(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        (full,) = await store.transact(lambda c: c.execute("PRAGMA synchronous").fetchone())
        (journal,) = await store.transact(lambda c: c.execute("PRAGMA journal_mode").fetchone())
    assert (full, journal) == (2, "wal")
    assert (tmp_path / "events.db").stat().st_mode & 0o777 == 0o600


async def test_telemetry_gathers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "TELEMETRY_GATHER_S", 0.02)
    async with opened(tmp_path) as store:
        await asyncio.gather(*(store.append([draft(Lane.TELEMETRY)]) for _ in range(50)))
        assert commits(tmp_path) == 1
        assert store.last[Lane.TELEMETRY] == 50


@pytest.mark.usefixtures("patient")
async def test_much_telemetry_does_not_wait_for_more(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, asyncio.timeout(5):
        for size in (TELEMETRY_GATHER_ROWS, 1, TELEMETRY_GATHER_ROWS - 1):
            due = asyncio.gather(*(store.append([draft(Lane.TELEMETRY)]) for _ in range(size)))
            if size > 1:
                await due
        assert store.last[Lane.TELEMETRY] == 2 * TELEMETRY_GATHER_ROWS


async def test_events_gather_while_the_writer_is_busy(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await asyncio.gather(*(store.append([draft()]) for _ in range(50)))
        assert commits(tmp_path) == 2


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("lane", [Lane.EVENT, Lane.ALARM])
async def test_nothing_waits_for_telemetry(tmp_path: Path, lane: Lane) -> None:
    async with opened(tmp_path) as store:
        waiting = asyncio.create_task(store.append([draft(Lane.TELEMETRY)]))
        await store.read(lambda connection: None)
        async with asyncio.timeout(5):
            await store.append([draft(lane)])
            await waiting  # it went along


async def test_an_alarm_does_not_wait_for_events_that_gather(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        first, second = asyncio.create_task(store.append([draft()])), asyncio.create_task(store.append([draft()]))
        alarm = asyncio.create_task(store.append([draft(Lane.ALARM)]))
        await asyncio.gather(first, second, alarm)
        assert commits(tmp_path) == 2  # the busy one, then all the rest at once
        assert (store.last[Lane.EVENT], store.last[Lane.ALARM]) == (2, 1)


async def test_nothing_to_append_is_done_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, asyncio.timeout(5):
        await store.append([])


@pytest.mark.usefixtures("patient")
async def test_closing_takes_along_what_gathers(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        waiting = asyncio.create_task(store.append([draft(Lane.TELEMETRY)]))
        await store.read(lambda connection: None)
        store.mark("district", Lane.ALARM, Cursor(7, 5))
    await waiting
    async with opened(tmp_path) as store:
        assert store.last[Lane.TELEMETRY] == 1
        assert await store.transact(read_cursors) == {("district", Lane.ALARM): Cursor(7, 5)}


async def test_marks_become_durable_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MARK_GATHER_S", 0.01)
    async with opened(tmp_path) as store:
        for number in range(1, 100):
            store.mark("district", Lane.EVENT, Cursor(number, number))
        async with asyncio.timeout(5):
            while not commits(tmp_path):
                await turn()
        assert commits(tmp_path) == 1
        assert await store.transact(read_cursors) == {("district", Lane.EVENT): Cursor(99, 99)}


async def test_work_comes_after_what_was_appended_before(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        appended = asyncio.create_task(store.append([draft()]))
        waiting = asyncio.create_task(store.append([draft()]))
        await store.read(lambda connection: None)
        rows = await store.transact(lambda connection: read_rows(connection, Lane.EVENT, 0, 10))
        assert [row.seq for row in rows] == [1, 2]
        await asyncio.gather(appended, waiting)


async def test_who_leaves_early_leaves_the_event(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        leaving = asyncio.create_task(store.append([draft()]))
        leaving.cancel()
        await store.append([draft()])
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert store.last[Lane.EVENT] in (1, 2)


# reading


async def test_marks_go_along_with_the_next_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MARK_GATHER_S", NEVER_S)
    async with opened(tmp_path) as store:
        store.mark("district", Lane.EVENT, Cursor(1, 1))
        await store.append([draft()])
        (committed,) = read_journal(tmp_path / "events.db")
    assert (committed.marks, len(committed.rows)) == ({("district", Lane.EVENT): Cursor(1, 1)}, 1)


async def test_memory_and_disk_tell_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "TAIL_ROWS", 10)
    monkeypatch.setattr(writer_module, "SETTLE_ROWS", 5)
    async with opened(tmp_path, "district", "fire-brigade") as store:
        for number in range(30):
            names = ("district", "fire-brigade") if number % 3 else ("fire-brigade",)
            await store.append([draft(uplinks=names, private=str(number) if number % 2 else None)])
        await store.read(lambda _: None)
        assert len(store.tails[Lane.EVENT]) == 10
        rows: list[Row] = []
        while more := await store.rows(Lane.EVENT, rows[-1].seq if rows else 0, 7):
            rows += more
        assert rows == await store.read(lambda connection: read_rows(connection, Lane.EVENT, 0, 100))
        assert [row.seq for row in rows] == list(range(1, 31))
        assert rows[0].numbers == {"fire-brigade": 1}
        assert list(await store.rows(Lane.EVENT, 30, 7)) == []


async def test_the_newest_are_read_without_the_disk(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.append([draft() for _ in range(5)])
        plain(tmp_path, "DELETE FROM event_lane WHERE seq < 5")
        assert [row.seq for row in await store.rows(Lane.EVENT, 2, 10)] == [3, 4, 5]


@pytest.mark.parametrize("name", ["a#b", "a?b", "100%25", "门 1"])
async def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    async with opened(folder) as store:
        await store.append([draft()])
        assert len(await store.read(lambda connection: read_rows(connection, Lane.EVENT, 0, 10))) == 1


# numbers


async def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    names = ("district", "fire-brigade")
    async with opened(tmp_path, *names) as store:
        await store.append([draft(uplinks=names), draft(uplinks=("district",)), draft(Lane.ALARM, names)])
        before = {lane: dict(numbers) for lane, numbers in store.numbers.items()}
    async with opened(tmp_path, *names) as store:
        assert store.numbers == before
        assert before[Lane.EVENT] == {"district": 2, "fire-brigade": 1}
        assert moment_ms(draft().body[7:43]) >= store.database.newest_id_ms == NOW_MS


async def test_each_row_knows_how_far_every_uplink_was(tmp_path: Path) -> None:
    """Also within one commit: what is given up of a lane is counted from a row's numbers (schema/001.sql)."""
    async with opened(tmp_path, "district", "fire-brigade") as store:
        await store.append([draft(uplinks=("district",)), draft(uplinks=("fire-brigade",)), draft(uplinks=())])
    found = plain(tmp_path, "SELECT numbers FROM event_lane ORDER BY seq")
    told = ("district=1 fire-brigade=0", "district=-1 fire-brigade=1", "district=-1 fire-brigade=-1")
    assert found == [(numbers,) for numbers in told]


async def test_an_uplink_that_comes_back_goes_on_where_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path, "district", "fire-brigade") as store:
        await store.append([draft(uplinks=("fire-brigade",)) for _ in range(3)])
    for before in range(2):
        async with opened(tmp_path, "district") as store:
            assert store.numbers[Lane.EVENT] == {"district": before}
            await store.append([draft()])
    async with opened(tmp_path, "fire-brigade", "district") as store:
        assert store.numbers[Lane.EVENT] == {"district": 2, "fire-brigade": 3}


async def test_what_is_not_committed_is_not_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes room keeps the newest row, for it carries the counters: it must be one that stays."""
    monkeypatch.setattr(database_module, "JOURNAL_ROWS", 0)  # straight into the tables, where it can be held up
    async with opened(tmp_path) as store:
        await store.append([draft()])
        with closing(sqlite3.connect(tmp_path / "events.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # the writer has numbered the next one, and waits to write it
            appending = asyncio.create_task(store.append([draft()]))
            async with asyncio.timeout(5):
                while store.numbers[Lane.EVENT]["district"] < 2:
                    await turn()
            assert store.last[Lane.EVENT] == 1
            other.execute("ROLLBACK")
        await appending
        assert store.last[Lane.EVENT] == 2


async def test_listeners_hear_which_lane_grew(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        heard: list[Lane] = []
        store.listeners.append(heard.append)
        await store.append([draft(Lane.ALARM), draft(Lane.ALARM)])
        assert heard == [Lane.ALARM]


# when the disk does not take it


async def test_a_refusal_reaches_those_who_waited_and_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.append([draft()])
        with full_disk():
            with pytest.raises(StorageError) as caught:
                await store.append([draft(Lane.ALARM), draft()])
            assert "File too large" in caught.value.say("en")
            assert "File too large" in caught.value.say("zh")
            assert store.failing is not None
            assert (store.last[Lane.EVENT], store.last[Lane.ALARM]) == (1, 0)
            assert (store.numbers[Lane.EVENT], store.numbers[Lane.ALARM]) == ({"district": 1}, {"district": 0})
        await store.append([draft(Lane.ALARM)])
        await store.append([draft()])
        assert store.failing is None
        assert [row.seq for row in await store.rows(Lane.EVENT, 0, 10)] == [1, 2]
    assert plain(tmp_path, "SELECT numbers FROM alarm_lane") == [("district=1",)]
    assert plain(tmp_path, "SELECT numbers FROM event_lane") == [("district=1",), ("district=2",)]


async def test_only_what_is_written_shows_that_the_disk_takes_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with full_disk(), pytest.raises(StorageError):
            await store.append([draft()])
        await store.transact(lambda connection: read_fact(connection, "anything"))
        assert store.failing is not None
        await store.transact(lambda connection: put_fact(connection, "anything", "written"))
        assert store.failing is None


async def test_what_was_made_before_a_failure_was_known_fails_with_it(tmp_path: Path) -> None:
    """Its flags may build on what has failed: nobody may find half of a story on disk."""
    async with opened(tmp_path) as store:
        with full_disk():
            before = [
                asyncio.create_task(store.append([draft()])),
                asyncio.create_task(store.append([draft(Lane.ALARM)])),
                asyncio.create_task(store.append([draft(Lane.TELEMETRY)])),
            ]
            results = await asyncio.gather(*before, return_exceptions=True)
        assert [type(result) for result in results] == [StorageError] * 3
        assert store.epoch == 1
        assert dict(store.last) == dict.fromkeys(Lane, 0)
        await store.append([draft(), draft(Lane.ALARM)])


async def test_a_bug_in_some_work_is_its_caller_s(tmp_path: Path) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        put_fact(connection, "half", "done")
        raise KeyError("a bug")

    async with opened(tmp_path) as store, asyncio.timeout(5):
        with pytest.raises(KeyError, match="a bug"):
            await store.transact(broken)
        with pytest.raises(KeyError, match="nobody"):
            await store.append([draft(), draft(uplinks=("nobody",))])
        assert await store.transact(lambda connection: read_fact(connection, "half")) is None
        await store.append([draft()])
        assert store.numbers[Lane.EVENT] == {"district": 1}


async def test_reading_fails_and_goes_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        with pytest.raises(StorageError):
            await store.read(lambda connection: connection.execute("SELECT * FROM nothing"))
        assert await store.read(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)


_FULL_DISK = """
import asyncio, os, resource, sys
from pathlib import Path
from gateway.database import Draft
from gateway.errors import StorageError
from gateway.event import Lane
from gateway.identity import Identities
from gateway.store import Store

ids = Identities()

def draft():
    body = '{"id":"%s","type":"x.y","text":"%s"}' % (ids.next(1), os.urandom(2000).hex())
    return Draft(Lane.EVENT, 1, body, frozenset(["a"]))

def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def refused(store):
    try:
        await store.append([draft()])
    except StorageError:
        return store.failing is not None
    return False

async def main():
    room(0)  # not a byte from the start
    async with Store(Path(sys.argv[1]), ["a"]) as store:
        assert store.failing is not None
        assert await refused(store)
        room(300_000)
        taken = [await refused(store) for _ in range(300)].count(False)
        assert 20 < taken < 280, taken
        assert store.numbers[Lane.EVENT] == {"a": taken}, (store.numbers, taken)
        room(resource.RLIM_INFINITY)
        await store.append([draft()])
        assert store.failing is None
        rows = [row for row in await store.rows(Lane.EVENT, 0, 10 ** 6)]
        assert [row.numbers["a"] for row in rows] == [row.seq for row in rows] == list(range(1, taken + 2))

asyncio.run(main())
"""


def test_a_full_disk_is_survived(tmp_path: Path) -> None:
    """A real one, as the kernel tells it: files may not grow (setrlimit(2), RLIMIT_FSIZE)."""
    command = [sys.executable, "-c", _FULL_DISK, str(tmp_path / "events.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert plain(tmp_path, "PRAGMA integrity_check") == [("ok",)]


# what is no database of ours


async def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.append([draft()])
    plain(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(StateError, match="schema version 99") as caught:
        async with opened(tmp_path):
            pass
    assert "99" in caught.value.what.zh
    assert caught.value.do is not None
    assert plain(tmp_path, "SELECT count(*) FROM event_lane") == [(1,)]


async def test_a_folder_in_its_place_or_none_at_all(tmp_path: Path) -> None:
    (tmp_path / "events.db").mkdir()
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(StateError, match="unable to open"):
            async with opened(folder):
                pass


def files_in(folder: Path) -> list[str]:
    """Names, sorted."""
    return sorted(path.name for path in folder.iterdir())


async def test_a_clean_end_leaves_no_log(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.append([draft()])
        assert await store.read(
            lambda connection: connection.execute("SELECT count(*) FROM event_lane").fetchone()
        ) == (1,)
    assert files_in(tmp_path) == ["events.db", "events.db.journal"]
