"""Uplinks that join, leave and come back: which numbers they get, on a real store, start after start."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import newcomers
from gateway.app import DATABASE
from gateway.database import Row, put_fact, read_cursors
from gateway.event import Lane
from gateway.letters import count_dead, put_dead
from gateway.outbox import Outbox
from gateway.retention import Limits, Retention
from gateway.sections import UplinkConfig
from tests.brokers import Mosquitto, subscribed
from tests.houses import Puppets, config, living, to
from tests.rig import SOURCE, Rig, rig

GRANT, ALARM = "access.granted", "fire.smoke"


def entry(**more: Any) -> UplinkConfig:
    return UplinkConfig.model_validate({"url": "mqtt://broker.example"} | more)


@asynccontextmanager
async def started(folder: Path, uplinks: Mapping[str, UplinkConfig]) -> AsyncIterator[Rig]:
    """A start of the daemon with these uplinks."""
    newcomers.settle(folder / "events.db", uplinks)
    async with rig(folder, *uplinks) as made:
        await newcomers.tell("gw-0001", made.store, made.pipeline, uplinks, made.clock)
        yield made


async def owed(made: Rig, name: str, lane: Lane) -> list[tuple[int, str]]:
    """Number and type of all that goes out next."""
    outbox = Outbox(made.store, name)
    while await outbox.fill():
        pass
    found = []
    while (taken := outbox.take(lane, 0.0)) is not None:
        body = taken.row.body
        start = body.index('"type":"') + 8
        found.append((taken.sequence, body[start : body.index('"', start)]))
    return found


async def confirm(made: Rig, name: str, lane: Lane, count: int) -> None:
    """The next ones have arrived."""
    outbox = Outbox(made.store, name)
    await outbox.fill()
    for _ in range(count):
        taken = outbox.take(lane, 0.0)
        assert taken is not None
        outbox.confirmed(taken)
    await made.store.transact(lambda _: None)


async def take_in(made: Rig, count: int, kind: str = GRANT) -> None:
    for _ in range(count):
        await made.accept(kind)


async def test_from_now(tmp_path: Path) -> None:
    async with started(tmp_path, {"district": entry()}) as made:
        await take_in(made, 5)
    async with started(tmp_path, {"district": entry(), "fire": entry()}) as made:
        assert await owed(made, "fire", Lane.EVENT) == []
        cursors = await made.store.transact(read_cursors)
        assert cursors["fire", Lane.EVENT].seq == 5  # it keeps nothing on disk that it will not get
        await take_in(made, 2)
        assert await owed(made, "fire", Lane.EVENT) == [(1, GRANT), (2, GRANT)]
        assert [number for number, _ in await owed(made, "district", Lane.EVENT)] == list(range(1, 8))


async def test_from_the_oldest_kept_by_its_own_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers, "PIECE_ROWS", 3)
    fire = entry(start="oldest", types=["access.granted"])
    async with started(tmp_path, {"district": entry()}) as made:
        for kind in (GRANT, "access.denied", GRANT, "access.denied", "access.denied", GRANT, "access.denied"):
            await made.accept(kind)
        await made.store.transact(lambda c: c.execute("DELETE FROM event_lane WHERE seq = 1"))
    async with started(tmp_path, {"district": entry(), "fire": fire}) as made:
        assert await owed(made, "fire", Lane.EVENT) == [(1, GRANT), (2, GRANT)]
        await made.accept(GRANT)
        assert await owed(made, "fire", Lane.EVENT) == [(1, GRANT), (2, GRANT), (3, GRANT)]
        await confirm(made, "fire", Lane.EVENT, 2)
    async with started(tmp_path, {"district": entry(), "fire": fire}) as made:
        assert await owed(made, "fire", Lane.EVENT) == [(3, GRANT)]
        assert len(await owed(made, "district", Lane.EVENT)) == 7


async def test_nobody_gets_a_loss_that_is_another_s(tmp_path: Path) -> None:
    async with started(tmp_path, {"district": entry()}) as made:
        await take_in(made, 3)
    async with started(tmp_path, {"fire": entry()}) as made:
        await made.store.transact(lambda c: c.execute("DELETE FROM event_lane WHERE seq < 3"))
    async with started(tmp_path, {"district": entry(), "fire": entry()}) as made:
        assert [kind for _, kind in await owed(made, "district", Lane.ALARM)] == ["gateway.data_lost"]
    async with started(tmp_path, {"district": entry(), "police": entry(start="oldest")}) as made:
        assert await owed(made, "police", Lane.ALARM) == []
        assert await owed(made, "police", Lane.EVENT) == [(1, GRANT)]


async def test_a_start_that_broke_off_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle: what has a number keeps it."""
    monkeypatch.setattr(newcomers, "PIECE_ROWS", 2)
    async with started(tmp_path, {"district": entry()}) as made:
        await take_in(made, 7)
    uplinks = {"district": entry(), "fire": entry(start="oldest")}
    pieces = 0

    class Killed(BaseException):
        pass

    def killed() -> None:
        nonlocal pieces
        pieces += 1
        if pieces == 2:
            raise Killed

    with pytest.raises(Killed):
        newcomers.settle(tmp_path / "events.db", uplinks, killed)
    async with started(tmp_path, uplinks) as made:
        assert [number for number, _ in await owed(made, "fire", Lane.EVENT)] == list(range(1, 8))


async def test_one_that_comes_back_gets_what_is_kept_and_hears_what_is_not(tmp_path: Path) -> None:
    both = {"district": entry(), "fire": entry()}
    async with started(tmp_path, both) as made:
        await take_in(made, 6)
        await confirm(made, "fire", Lane.EVENT, 2)
    async with started(tmp_path, {"district": entry()}) as made:
        await take_in(made, 3)  # none of its business
        await made.store.transact(lambda c: c.execute("DELETE FROM event_lane WHERE seq <= 4"))
    async with started(tmp_path, both) as made:
        assert await owed(made, "fire", Lane.EVENT) == [(5, GRANT), (6, GRANT)]
        await made.accept(GRANT)
        assert await owed(made, "fire", Lane.EVENT) == [(5, GRANT), (6, GRANT), (7, GRANT)]
        assert await lost(made) == [("fire.event", 3, 4)]
        newest = await made.store.read(lambda c: c.execute("SELECT max(seq) FROM event_lane").fetchone()[0])
        await drop_all(made, newest)  # the buffer is full: what it is owed goes, and is told
    async with started(tmp_path, both) as made:
        assert ("fire.event", 5, 6) in await lost(made)


async def lost(made: Rig) -> list[tuple[str, int, int]]:
    """Losses as they stand on disk."""
    rows = await made.store.rows(Lane.ALARM, 0, 1000)
    told = [row.body for row in rows if '"type":"gateway.data_lost"' in row.body]
    found = []
    for body in told:
        at = [body.index(f'"{name}":"') + len(name) + 4 for name in ("stream", "first", "last")]
        stream, first, last = (body[start : body.index('"', start)] for start in at)
        found.append((stream, int(first), int(last)))
    return found


async def drop_all(made: Rig, newest: int) -> None:
    """No room at all: all but the newest row of the lane goes."""
    outboxes = [(name, Outbox(made.store, name)) for name in made.policies]
    retention = Retention("gw-0001", Limits(1, 1e9, 0.0), made.store, made.pipeline, outboxes)
    await retention.sweep(0)
    left = await made.store.read(lambda c: c.execute("SELECT min(seq) FROM event_lane").fetchone()[0])
    assert left == newest


async def test_one_that_comes_back_to_nothing(tmp_path: Path) -> None:
    both = {"district": entry(), "fire": entry()}
    async with started(tmp_path, both) as made:
        await take_in(made, 6)
        await confirm(made, "fire", Lane.EVENT, 2)
    async with started(tmp_path, {"district": entry()}) as made:
        await take_in(made, 3)
        await made.store.transact(lambda c: c.execute("DELETE FROM event_lane WHERE seq <= 8"))
    for _ in range(2):  # told once
        async with started(tmp_path, both) as made:
            assert await owed(made, "fire", Lane.EVENT) == []
            assert await lost(made) == [("fire.event", 3, 6)]
    async with started(tmp_path, both) as made:
        await made.accept(GRANT)
        assert await owed(made, "fire", Lane.EVENT) == [(7, GRANT)]


async def test_with_oldest_it_gets_what_came_meanwhile_too(tmp_path: Path) -> None:
    both = {"district": entry(), "fire": entry(start="oldest")}
    async with started(tmp_path, both) as made:
        await take_in(made, 2)
    async with started(tmp_path, {"district": entry()}) as made:
        await take_in(made, 3)
    async with started(tmp_path, both) as made:
        assert [number for number, _ in await owed(made, "fire", Lane.EVENT)] == [1, 2, 3, 4, 5]
        assert await lost(made) == []


async def test_for_one_that_left_nothing_is_kept(tmp_path: Path) -> None:
    async with started(tmp_path, {"district": entry(), "fire": entry()}) as made:
        await take_in(made, 50)
        await confirm(made, "district", Lane.EVENT, 50)
        row = Row(1, 0, {"fire": 1}, '{"type":"access.granted"}', None)
        await made.store.transact(lambda c: put_dead(c, "fire", Lane.EVENT, row, "too-large"))
    async with started(tmp_path, {"district": entry()}) as made:
        assert (await made.store.read(lambda c: count_dead(c, "fire")))[Lane.EVENT] == 0
        outbox = Outbox(made.store, "district")
        retention = Retention("gw-0001", Limits(10**9, 0.0, 0.0), made.store, made.pipeline, [("district", outbox)])
        await retention.sweep(2**50)
        assert len(await made.store.rows(Lane.EVENT, 0, 100)) <= 1
        kept = await made.store.read(lambda c: c.execute("SELECT count(*) FROM event_lane").fetchone()[0])
        assert kept == 1  # the newest carries the counters
        assert await lost(made) == []


async def test_a_site_from_before_is_no_newcomer(tmp_path: Path) -> None:
    """Its database does not say who was here; who has numbers or a cursor was."""
    both = {"district": entry(start="oldest"), "fire": entry(start="oldest")}
    async with rig(tmp_path, "district") as made:
        await take_in(made, 3)
    async with started(tmp_path, both) as made:
        assert [number for number, _ in await owed(made, "district", Lane.EVENT)] == [1, 2, 3]
        assert [number for number, _ in await owed(made, "fire", Lane.EVENT)] == [1, 2, 3]


async def test_a_disk_that_refuses_does_not_keep_the_gateway_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.db"
    async with started(tmp_path, {"district": entry()}) as made:
        await take_in(made, 3)
        await made.store.transact(lambda c: put_fact(c, "x", "y"))
    whole = path.read_bytes()
    path.write_bytes(b"")
    newcomers.settle(path, {"district": entry(), "fire": entry(start="oldest")})
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    path.write_bytes(whole)
    async with started(tmp_path, {"district": entry(), "fire": entry(start="oldest")}) as made:
        assert len(await owed(made, "fire", Lane.EVENT)) == 3


async def test_in_the_whole_gateway(tmp_path: Path) -> None:
    """A fire brigade is added to a running site, from the oldest that is kept: over a real broker, keyed, in order."""
    puppets = Puppets()
    devices = {"door-1": "door", "smoke-1": "smoke"}
    async with living(config(tmp_path, devices), puppets):
        alarm = await puppets.emit("smoke-1", ALARM, "raise")
        await puppets.emit("door-1", GRANT)
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port) as brigade:
        fire = to(broker.port, start="oldest", types=["fire.*"])
        async with living(config(tmp_path, devices, {"fire": fire}), Puppets()):
            await brigade.until(brigade.events)
    (event,) = [event for event in brigade.events() if event["type"] == ALARM]
    assert (event["id"], event["stream"], int(event["sequence"])) == (alarm, "fire.alarm", 1)
    assert event["source"] == SOURCE
    assert not [event for event in brigade.events() if event["type"] == GRANT]
    assert (tmp_path / "state" / DATABASE).exists()
