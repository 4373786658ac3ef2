"""A database damaged under a real daemon: what can be read arrives, the rest is told by its numbers, it goes on."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from drivers.sim.webhook import Poster
from gateway.database import PAGE_BYTES, read_rows
from gateway.event import Lane
from gateway.packing import pack
from tests.brokers import Mosquitto, Subscriber, free_port, subscribed
from tests.faults.daemon import BASE, ROOT, Daemon, token, webhook
from tests.faults.judge import first_arrivals

COUNT = 200  # events of each lane that are posted first
CHANGED = 1  # event of the second start: its configuration is another one
PANIC = {"type": "safety.panic", "phase": "raise"}
GRANTED = {"type": "access.granted"}


@asynccontextmanager
async def posting(folder: Path, uplink: int, state: Path) -> AsyncIterator[tuple[Daemon, Poster]]:
    """A daemon on this state folder, and a device."""
    os.mkdir(folder)
    async with Daemon(folder, uplink=uplink, devices=[webhook("gate-1")], state=state) as daemon:
        await daemon.start()
        async with Poster(f"{daemon.url}/ingest/gate-1", token("gate-1"), 0.05) as device:
            yield daemon, device
        await daemon.stop()


async def post(device: Poster, count: int) -> list[str]:
    """So many events of each lane; their ids."""
    before = len(device.accepted)
    await device.say(*[PANIC, GRANTED] * count)
    await device.all_accepted()
    return device.accepted[before:]


def numbers(city: Subscriber, lane: Lane) -> list[int]:
    """Of what arrived of a lane, in order, and of what was told as lost."""
    events = first_arrivals(city)
    arrived = [int(event["sequence"]) for event in events if event["stream"] == f"district.{lane}"]
    assert arrived == sorted(set(arrived))
    return arrived


def told(city: Subscriber, lane: Lane) -> set[int]:
    """Numbers of a lane that will never come; AssertionError where it is not damage."""
    lost = [event["data"] for event in first_arrivals(city) if event["type"] == "gateway.data_lost"]
    assert {data["reason"] for data in lost} <= {"damaged"}
    mine = [data for data in lost if data["stream"] == f"district.{lane}"]
    return {number for data in mine for number in range(int(data["first"]), int(data["last"]) + 1)}


def leaf_with(content: bytes, cell: bytes) -> int:
    """The last page of a table with this in it (SQLite's file format, 1.6: 13); others may have it left over."""
    found = [page for page in range(len(content) // PAGE_BYTES) if content[page * PAGE_BYTES] == 13]
    return next(page for page in reversed(found) if cell in content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES])


async def test_at_the_start(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with posting(tmp_path / "away", free_port(), state) as (_, device):
        accepted = await post(device, COUNT)
    content = (state / "events.db").read_bytes()
    victim = accepted[COUNT + 1]  # in the middle of the events, or of the alarms
    with closing(sqlite3.connect(state / "events.db")) as connection:
        (row,) = [row for lane in Lane for row in read_rows(connection, lane, 0, 10_000) if victim in row.body]
    page = leaf_with(content, pack(row.body))
    (state / "events.db.journal").unlink()  # it would have the newest still
    with (state / "events.db").open("r+b") as file:
        file.seek(page * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))
    async with (
        Mosquitto(tmp_path) as broker,
        subscribed(broker.port, f"{BASE}/event/#") as city,
        posting(tmp_path / "there", broker.port, state) as (daemon, device),
    ):
        later = await post(device, 5)
        await city.until(lambda: set(later) <= {event["id"] for event in city.events()})
        await city.until(lambda: told(city, Lane.EVENT) and changed(city))
        missing = set(accepted) - {event["id"] for event in city.events()}
        assert victim in missing
        assert len(missing) < COUNT / 2
        every = [number for lane in Lane for number in numbers(city, lane)]
        gone = told(city, Lane.EVENT)
        assert len(gone) == len(missing)
        assert gone | set(numbers(city, Lane.EVENT)) == set(range(1, COUNT + 5 + CHANGED + 1))
        assert len(every) == 2 * (COUNT + 5) + CHANGED - len(missing) + len(
            [event for event in first_arrivals(city) if event["type"] == "gateway.data_lost"]
        )
        assert any("was damaged" in line for line in daemon.log), daemon.log
        assert (await daemon.get("/readyz"))[0] == 200
    assert len(list(state.glob("events.db.damaged-*"))) == 1


async def test_while_running(tmp_path: Path) -> None:
    """Even with everything on disk gone the numbers go on, and what had been confirmed is not told as lost."""
    state = tmp_path / "state"
    async with (
        Mosquitto(tmp_path) as broker,
        subscribed(broker.port, f"{BASE}/event/#") as city,
    ):
        async with posting(tmp_path / "first", broker.port, state) as (_, device):
            accepted = await post(device, COUNT)
            await city.until(lambda: set(accepted) <= {event["id"] for event in city.events()})
        async with posting(tmp_path / "second", broker.port, state) as (daemon, device):
            (state / "events.db").write_bytes(b"\xa5" * (state / "events.db").stat().st_size)
            await look(state)  # a person asks, and the disk is read
            await daemon.logged(lambda log: [line for line in log if "was damaged" in line])
            later = await post(device, 5)
            await city.until(lambda: set(later) <= {event["id"] for event in city.events()})
            assert (await daemon.get("/readyz"))[0] == 200
            await city.until(lambda: changed(city))
            assert set(numbers(city, Lane.EVENT)) == set(range(1, COUNT + 5 + CHANGED + 1))
            assert numbers(city, Lane.ALARM) == list(range(1, COUNT + 5 + 1))
            assert [event for event in city.events() if event["type"] == "gateway.data_lost"] == []


def changed(city: Subscriber) -> bool:
    """It has been told."""
    return any(event["type"] == "operator.config" for event in city.events())


async def look(state: Path) -> None:
    """`gateway events`, whatever it says."""
    command = [sys.executable, "-m", "gateway", "events", "--state-dir", str(state)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    await process.wait()
