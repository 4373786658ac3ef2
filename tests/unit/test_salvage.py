"""A damaged database: each event is saved or its number told as lost, no number comes twice, the service goes on."""

import asyncio
import json
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.alarms import Alarm
from gateway.batch import Cursor
from gateway.database import PAGE_BYTES, Draft, read_alarms, read_cursors, read_fact, read_rows
from gateway.errors import StateError, StorageError
from gateway.event import Lane, Severity
from gateway.losses import tell_once
from gateway.outbox import Outbox
from gateway.packing import pack
from gateway.salvage import STEP, is_damage, lost
from gateway.store import Store, watch_disk
from tests.rig import rig
from tests.unit.test_store import IDENTITIES, NOW_MS, copied, files_in, plain

NAMES = ("district", "fire-brigade")
COUNTS = {Lane.ALARM: 40, Lane.EVENT: 160, Lane.TELEMETRY: 120}
CONFIRMED = Cursor(20, 20)  # of the first uplink, in each lane
ROOTS = (2, 3, 4)  # pages, from 0, from which the lanes' rows are found
SINCE_1970_US = 10**15  # microseconds that have surely gone by


def draft(lane: Lane, number: int) -> Draft:
    """An event, the second uplink's every other time."""
    body = json.dumps(
        {"id": IDENTITIES.next(NOW_MS), "type": "x.y", "text": random.randbytes(300).hex()}, separators=(",", ":")
    )
    return Draft(lane, NOW_MS, body, frozenset(NAMES if number % 2 else NAMES[:1]))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database as a daemon leaves it."""
    folder = tmp_path_factory.mktemp("sound")

    async def make() -> None:
        async with Store(folder / "events.db", NAMES) as store:
            for number in range(max(COUNTS.values())):  # lanes' pages lie mixed
                await store.append([draft(lane, number) for lane, count in COUNTS.items() if number < count])
            for lane in Lane:
                store.mark(NAMES[0], lane, CONFIRMED)

    asyncio.run(make())
    (folder / "events.db.journal").unlink()  # else the newest of what is damaged here would stand there too
    return folder


def bodies(path: Path) -> dict[tuple[str, Lane, int], str]:
    """(uplink, lane, number) → event, of all that stands in a sound file."""
    with closing(sqlite3.connect(path)) as connection:
        rows = [(lane, row) for lane in Lane for row in read_rows(connection, lane, 0, 10_000)]
    return {(uplink, lane, number): row.body for lane, row in rows for uplink, number in row.numbers.items()}


def pages(path: Path) -> int:
    """How many."""
    return path.stat().st_size // PAGE_BYTES


def overwrite(path: Path, page: int, content: bytes) -> None:
    """Damage a page, from 0."""
    with path.open("r+b") as file:
        file.seek(page * PAGE_BYTES)
        file.write(content)


async def check(folder: Path, before: dict[tuple[str, Lane, int], str]) -> None:
    """Open it, and look whether every event is saved, confirmed or told, and whether numbers go on."""
    async with Store(folder / "events.db", NAMES) as store:
        assert store.failing is None
        after = bodies(folder / "events.db")
        assert {key: before[key] for key in after} == after
        told = dict(await store.transact(lost))
        cursors = await store.transact(read_cursors)
        for uplink, lane, number in before.keys() - after.keys():
            confirmed = number <= cursors.get((uplink, lane), Cursor()).sequence
            assert confirmed or any(first <= number <= last for first, last in told[uplink, lane])
        for (uplink, lane), ranges in told.items():
            assert not [n for n in range(200) if (uplink, lane, n) in after and any(a <= n <= b for a, b in ranges)]
        await store.append([draft(lane, 1) for lane in Lane])
        await store.read(lambda _: None)
        grown = bodies(folder / "events.db").keys() - after.keys()
        assert {(uplink, lane) for uplink, lane, _ in grown} == {(uplink, lane) for uplink in NAMES for lane in Lane}
        for uplink, lane, number in grown:
            assert number > max(n for u, known, n in before if (u, known) == (uplink, lane))
            outbox = Outbox(store, uplink)
            while await outbox.fill():
                pass
            assert number in [entry.sequence for entry in iter(lambda o=outbox, k=lane: o.take(k, 0.0), None)]  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["zeros", "garbage", "truncated"])
async def test_any_page(kind: str, sound: Path, tmp_path: Path) -> None:
    """One after the other; nothing is lost beyond what stood on that page, the root of a table but for."""
    before, dice = bodies(sound / "events.db"), random.Random(kind)
    total = pages(sound / "events.db")
    for page in range(0, total, 1 if kind == "zeros" else 3):
        folder = tmp_path / str(page)
        shutil.copytree(sound, folder)
        content = bytes(PAGE_BYTES) if kind == "zeros" else dice.randbytes(PAGE_BYTES)
        if kind == "truncated":
            with (folder / "events.db").open("r+b") as file:
                file.truncate(page * PAGE_BYTES + PAGE_BYTES // 2 * (page % 2))
        else:
            overwrite(folder / "events.db", page, content)
        await check(folder, before)
        missing = len(before.keys() - bodies(folder / "events.db").keys())
        assert kind == "truncated" or page in ROOTS or missing <= 21
        aside = [name for name in files_in(folder) if ".damaged-" in name]
        assert len(aside) == 1, files_in(folder)
        shutil.rmtree(folder)
    assert total > 40


@pytest.mark.parametrize("seed", range(10))
async def test_several_pages(seed: int, sound: Path, tmp_path: Path) -> None:
    dice = random.Random(seed)
    folder = tmp_path / "copy"
    shutil.copytree(sound, folder)
    for page in dice.sample(range(1, pages(folder / "events.db")), 1 + seed):
        overwrite(folder / "events.db", page, dice.randbytes(PAGE_BYTES))
    await check(folder, bodies(sound / "events.db"))


async def test_one_leaf_costs_its_own_events_only(sound: Path, tmp_path: Path) -> None:
    folder, before = tmp_path / "copy", bodies(sound / "events.db")
    shutil.copytree(sound, folder)
    place = (folder / "events.db").read_bytes().index(pack(before[NAMES[0], Lane.EVENT, 80]))
    overwrite(folder / "events.db", place // PAGE_BYTES, bytes(PAGE_BYTES))
    await check(folder, before)
    missing = before.keys() - bodies(folder / "events.db").keys()
    numbers = {number for uplink, lane, number in missing if (uplink, lane) == (NAMES[0], Lane.EVENT)}
    assert {lane for _, lane, _ in missing} == {Lane.EVENT}
    assert 80 in numbers
    assert 5 < len(numbers) < 15
    with closing(sqlite3.connect(folder / "events.db")) as connection:
        assert dict(lost(connection))[NAMES[0], Lane.EVENT] == [(min(numbers), max(numbers))]


async def test_where_nothing_can_be_read_numbers_go_far_ahead(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_text("no database, but much longer than a header\n" * 100, "utf-8")
    async with Store(tmp_path / "events.db", NAMES) as store:
        assert min(store.numbers[Lane.ALARM].values()) > SINCE_1970_US
        ((first, last),) = dict(await store.transact(lost))[NAMES[0], Lane.ALARM]
        assert (first, last) == (1, store.numbers[Lane.ALARM][NAMES[0]])
        assert last > STEP


async def test_damage_while_running(sound: Path, tmp_path: Path) -> None:
    """Met by a read: the counters in memory are right, so nothing is skipped; who reads later finds what was saved."""
    folder, before = tmp_path / "copy", bodies(sound / "events.db")
    shutil.copytree(sound, folder)
    async with Store(folder / "events.db", NAMES) as store:
        place = (folder / "events.db").read_bytes().index(pack(before[NAMES[0], Lane.EVENT, 160]))
        overwrite(folder / "events.db", place // PAGE_BYTES, bytes(PAGE_BYTES))
        with pytest.raises(StorageError, match="malformed"):
            await store.rows(Lane.EVENT, 100, 100)
        async with asyncio.timeout(5):
            await store.trouble.wait()
        await store.append([draft(Lane.EVENT, 1)])
        assert store.failing is None
        assert store.numbers[Lane.EVENT] == {NAMES[0]: 161, NAMES[1]: 81}
        assert len(await store.read(lambda c: read_rows(c, Lane.EVENT, 0, 1000))) < 160
        ((_, last),) = dict(await store.transact(lost))[NAMES[0], Lane.EVENT]
        assert last == 160
    assert [name.count("damaged") for name in files_in(folder)] == [0, 1, 0]


async def test_what_the_journal_has_is_not_lost(sound: Path, tmp_path: Path) -> None:
    """A table is damaged at its end, and the tables have not yet got the newest."""
    folder, left = tmp_path / "copy", tmp_path / "left"
    shutil.copytree(sound, folder)
    flags = Alarm("smoke-1", "fire.smoke", "", "x", Severity.CRITICAL, True, False, False, True, 1, 1, 1, False)
    async with Store(folder / "events.db", NAMES) as store:
        await store.append([replace(draft(Lane.ALARM, 1), alarm=flags), draft(Lane.EVENT, 1)])
        before = {(lane, row.seq): row.body for lane in Lane for row in store.tails[lane]}
        copied(folder, left)
    for page in ROOTS:
        overwrite(left / "events.db", page, bytes(PAGE_BYTES))
    async with Store(left / "events.db", NAMES) as store:
        for (lane, seq), body in before.items():
            (row,) = await store.rows(lane, seq - 1, 1)
            assert row.body == body
        assert [alarm.id for alarm in await store.transact(read_alarms)] == ["x"]


async def test_a_gap_before_the_journal_is_told(tmp_path: Path) -> None:
    """As when somebody has put an older database beside it."""
    async with Store(tmp_path / "events.db", NAMES) as store:
        await store.append([draft(Lane.EVENT, 1)])
        await store.read(lambda _: None)
        copied(tmp_path, tmp_path / "old")
        for _ in range(2):
            await store.append([draft(Lane.EVENT, 1) for _ in range(2)])
            await store.read(lambda _: None)
        await store.append([draft(Lane.EVENT, 1)])
    shutil.copy(tmp_path / "events.db.journal", tmp_path / "old" / "events.db.journal")
    async with Store(tmp_path / "old" / "events.db", NAMES) as store:
        assert dict(await store.transact(lost))[NAMES[0], Lane.EVENT] == [(2, 5)]
        assert [row.seq for row in await store.read(lambda c: read_rows(c, Lane.EVENT, 0, 9))] == [1, 6]
        assert store.numbers[Lane.EVENT] == dict.fromkeys(NAMES, 6)


async def test_it_is_mended_though_nobody_writes(sound: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(sound, folder)
    async with rig(folder, *NAMES) as made:
        plain(folder, "UPDATE event_lane SET numbers = 'what we never wrote' WHERE seq = 80")
        made.store.mended.clear()
        with pytest.raises(StorageError, match="damaged"):
            await made.store.read(lambda c: read_rows(c, Lane.EVENT, 0, 1000))
        watching = asyncio.create_task(watch_disk(made.store, made.clock))
        async with asyncio.timeout(5):
            await made.store.mended.wait()
        watching.cancel()
        rows = await made.store.read(lambda c: read_rows(c, Lane.EVENT, 0, 1000))
        assert [row.seq for row in rows] == [seq for seq in range(1, 161) if seq != 80]


async def test_the_loss_is_told_once(sound: Path, tmp_path: Path) -> None:
    folder, before = tmp_path / "copy", bodies(sound / "events.db")
    shutil.copytree(sound, folder)
    for page in {(folder / "events.db").read_bytes().index(pack(body)) // PAGE_BYTES for (_, lane, _), body in
                 before.items() if lane is Lane.TELEMETRY}:  # fmt: skip
        overwrite(folder / "events.db", page, bytes(PAGE_BYTES))
    async with rig(folder, *NAMES) as made:
        outboxes = {name: Outbox(made.store, name) for name in NAMES}
        for _ in range(2):
            await tell_once("gw-0001", made.store, made.pipeline, outboxes)
        alarms = await made.store.read(lambda c: read_rows(c, Lane.ALARM, COUNTS[Lane.ALARM], 100))
        told = [(json.loads(row.body), row.numbers) for row in alarms]
    assert [(event["type"], event["data"]["reason"], list(numbers)) for event, numbers in told] == [
        ("gateway.data_lost", "damaged", [name]) for name in NAMES
    ]
    data = told[0][0]["data"]
    assert (data["stream"], data["first"]) == ("district.telemetry", f"{CONFIRMED.sequence + 1:016d}")
    assert data["count"] == int(data["last"]) - int(data["first"]) + 1
    assert [outboxes[name].backlog(Lane.TELEMETRY) for name in NAMES] == [0, 0]
    assert outboxes[NAMES[0]].queues[Lane.TELEMETRY].cursor.sequence == int(data["last"])


async def test_flags_cursors_and_facts_are_saved(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        await made.accept("fire.smoke", "raise", "smoke-1")
        made.store.mark("district", Lane.ALARM, Cursor(1, 1))
        await made.store.transact(lambda c: c.execute("INSERT INTO fact VALUES ('session.district', '7')"))
        flags = await made.store.transact(read_alarms)
    plain(tmp_path, "UPDATE alarm_lane SET body = 'what we never wrote'")
    async with rig(tmp_path, "district") as made:
        assert await made.store.transact(read_alarms) == flags
        assert await made.store.transact(read_cursors) == {("district", Lane.ALARM): Cursor(1, 1)}
        assert await made.store.transact(lambda c: read_fact(c, "session.district")) == "7"
        assert made.store.last[Lane.ALARM] == 1
        assert await made.store.transact(lost) == []  # it had been confirmed


async def test_without_room_it_waits_and_nothing_is_moved(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(sound, folder)
    overwrite(folder / "events.db", 0, bytes(PAGE_BYTES))
    (folder / "events.db.salvaging").mkdir()  # in the way of the new one
    (folder / "events.db.salvaging" / "file").touch()
    async with Store(folder / "events.db", NAMES) as store:
        assert store.failing is not None
        assert files_in(folder) == ["events.db", "events.db.salvaging"]
        shutil.rmtree(folder / "events.db.salvaging")
        await store.append([draft(Lane.EVENT, 1)])
        assert store.failing is None


@pytest.mark.parametrize("moved", [(), ("events.db",)])
async def test_a_cut_while_it_takes_its_place(moved: tuple[str, ...], sound: Path, tmp_path: Path) -> None:
    """The salvaged one is complete; the next start goes on where it was."""
    shutil.copy(sound / "events.db", tmp_path / "events.db.salvaged")
    for name in {"events.db", "events.db-wal"} - {*moved}:
        (tmp_path / name).write_bytes(b"damaged" * 1000)
    async with Store(tmp_path / "events.db", NAMES) as store:
        assert store.numbers[Lane.EVENT] == {NAMES[0]: 160, NAMES[1]: 80}
    assert [name for name in files_in(tmp_path) if "damaged" not in name] == ["events.db"]


async def test_the_newest_damaged_file_is_kept(sound: Path, tmp_path: Path) -> None:
    for moment in ("20200101T000000Z", "20210101T000000Z"):
        (tmp_path / f"events.db.damaged-{moment}").touch()
    (tmp_path / "events.db").touch()  # no bytes at all: never ours
    async with Store(tmp_path / "events.db", NAMES):
        pass
    (aside,) = (name for name in files_in(tmp_path) if "damaged" in name)
    assert aside > "events.db.damaged-2026"


async def test_a_newer_one_is_not_salvaged(sound: Path, tmp_path: Path) -> None:
    shutil.copy(sound / "events.db", tmp_path / "events.db")
    plain(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(StateError, match="schema version 99"):
        async with Store(tmp_path / "events.db", NAMES):
            pass
    assert files_in(tmp_path) == ["events.db"]


def test_room_rights_and_locks_are_no_damage() -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(sqlite3.Error) as caught:
        connection.execute("SELECT * FROM nothing")
    assert not is_damage(caught.value)
    assert not is_damage(OSError(28, "No space left on device"))
