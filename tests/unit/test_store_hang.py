"""A disk that hangs: who waits is refused after a while, who comes is refused at once, and it goes on by itself.

Held up for real: another connection holds the write lock, or what is read is a pipe that nobody writes to.
"""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gateway import database as database_module
from gateway import store as store_module
from gateway.batch import Cursor
from gateway.database import read_cursors, read_rows
from gateway.errors import StorageError
from gateway.event import Lane
from gateway.store import watch_disk
from tests.rig import rig
from tests.unit.test_store import draft, opened, plain


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is short, and how often things are tried."""
    monkeypatch.setattr(store_module, "HANG_S", 0.1)
    monkeypatch.setattr(store_module, "TRY_S", 0.02)
    monkeypatch.setattr(store_module, "MARK_GATHER_S", 0.01)
    monkeypatch.setattr(database_module, "JOURNAL_ROWS", 0)  # straight into the tables, which can be held up


@contextmanager
def held_up(folder: Path) -> Iterator[None]:
    """While the block lasts no commit gets through."""
    with closing(sqlite3.connect(folder / "events.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


async def test_who_waits_is_refused_and_who_comes_is_at_once(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with opened(tmp_path) as store:
        with held_up(tmp_path):
            results = await asyncio.gather(*(store.append([draft()]) for _ in range(3)), return_exceptions=True)
            assert [type(result) for result in results] == [StorageError] * 3
            assert "does not answer" in str(results[0])
            assert store.failing is not None
            assert store.trouble.is_set()
            began_s = loop.time()
            for refused in (store.append([draft()]), store.transact(read_cursors)):
                with pytest.raises(StorageError, match="does not answer"):
                    await refused
            assert loop.time() - began_s < 0.05
            store.mark("district", Lane.EVENT, Cursor(1, 1))
        async with asyncio.timeout(5):
            while store.failing is not None:
                await store.read(lambda connection: None)
        await store.append([draft()])
        async with asyncio.timeout(5):
            while await store.transact(read_cursors) != {("district", Lane.EVENT): Cursor(1, 1)}:
                pass
        numbers = plain(tmp_path, "SELECT numbers FROM event_lane ORDER BY seq")
    assert numbers == [("district=1",), ("district=2",)]  # the first one that waited, and the one after the end


async def test_it_goes_on_by_itself_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "gateway.store")
    async with rig(tmp_path, "district") as made:
        watching = asyncio.create_task(watch_disk(made.store, made.clock))
        await made.pipeline.load()
        with held_up(tmp_path):
            with pytest.raises(StorageError):
                await made.accept("fire.smoke", "raise", "smoke-1")
            with pytest.raises(StorageError):
                await made.accept("access.granted")
        async with asyncio.timeout(5):
            while made.store.trouble.is_set():
                await made.store.read(lambda connection: None)
        watching.cancel()
        await made.accept("fire.smoke", "raise", "smoke-1")
        rows = await made.store.read(lambda c: read_rows(c, Lane.ALARM, 0, 10))
        (alarm,) = await made.pipeline.load()
    assert [record.getMessage().split("; ")[0].split(": ")[-1] for record in caplog.records] == [
        "the disk does not answer",
        "the disk takes events again",
    ]
    assert [('"phase":"raise"' in row.body, '"phase":"still"' in row.body) for row in rows] == [
        (True, False),
        (False, True),  # its book is the disk's: the one that was refused stands there
    ]
    assert alarm.count == 2


async def test_what_failed_in_the_end_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.transact(lambda connection: connection.execute("PRAGMA busy_timeout = 300").fetchall())
        with held_up(tmp_path):
            with pytest.raises(StorageError, match="does not answer"):
                await store.append([draft()])
            async with asyncio.timeout(5):
                while "locked" not in str(store.failing):
                    await store.read(lambda connection: None)
        await store.append([draft()])
        assert store.failing is None
        assert plain(tmp_path, "SELECT numbers FROM event_lane") == [("district=1",)]


async def test_a_read_that_hangs_holds_up_nobody_else(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    async with opened(tmp_path) as store:
        with pytest.raises(StorageError, match="does not answer"):
            await store.read(lambda connection: os.read(reading, 1))
        await store.append([draft()])
        with pytest.raises(StorageError, match="does not answer"):
            await store.read(lambda connection: None)
        os.write(writing, b"x")
        assert len(await store.read(lambda connection: read_rows(connection, Lane.EVENT, 0, 10))) == 1
    os.close(reading)
    os.close(writing)


async def test_it_ends_in_time(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    store = await opened(tmp_path).__aenter__()
    with held_up(tmp_path):
        with pytest.raises(StorageError):
            await store.append([draft()])
        began_s = loop.time()
        await store.__aexit__(None, None, None)
        assert loop.time() - began_s < 1
    store.writer.join(5.0)
