"""A box in one file and back: what is in it, what is refused, that no number and no id can come twice."""

import asyncio
import io
import json
import os
import sqlite3
import stat
import tarfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway import cli, revisions, roster
from gateway.archive import Archive, choose, digest
from gateway.backup import Box, Manifest, left_out, read, write
from gateway.batch import Cursor
from gateway.cli import language
from gateway.cli.where import chosen
from gateway.clock import SystemClock
from gateway.database import Hole, put_fact, put_hole, read_fact, read_holes
from gateway.driver import registry
from gateway.errors import StateError, StorageError
from gateway.event import Lane
from gateway.folder import held
from gateway.holes import STEP_LEAST_EVENTS, Since, skip, step, tell
from gateway.identity import moment_ms
from gateway.outbox import Outbox
from gateway.restore import Target, place
from gateway.roster import Kept, Person, put
from gateway.store import Store
from gateway.vault import Vault
from tests.faults.seen import on_disk
from tests.rig import Rig, refusing, rig

NOW = datetime(2027, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY_S = 86400.0
CONFIG = """\
gateway: {id: gw-0001, state_dir: ../state, language: en}
site: {name: 阳光花园, area: {district: "310104", street: "013", community: "002"}, places: {b3: {label: 3号楼}}}
uplinks:
  district: {url: "mqtt://127.0.0.1:1", username: gw, password: !file secrets/district}
  police: {url: "mqtts://127.0.0.1:1", password: !file ../outside, username: gw, tls: {ca: tls/ca.pem}}
devices: !include devices.yaml
"""
DEVICES = "- {id: door-1, driver: webhook, token: !file secrets/door, kind: door, place: b3}\n"


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever the locale is."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "GATEWAY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    yield
    language.choose([], {})


async def lived(folder: Path, *uplinks: str, events: int = 3) -> None:
    """A state folder with events of two lanes, of which the district has confirmed the first alarm, and with keys."""
    (folder / "state").mkdir(parents=True)
    async with rig(folder / "state", *(uplinks or ("district", "police"))) as made:
        for _ in range(events):
            await made.accept("safety.panic")
            await made.accept("access.granted")
        made.store.mark("district", Lane.ALARM, Cursor(1, 1))
        await made.store.transact(lambda c: put_fact(c, "session.district", "7"))
        await made.store.transact(lambda c: put_fact(c, "dossier.district", "3 abc"))
    Vault(folder / "state" / "keys").key("uplink-district")


def installed(folder: Path) -> Path:
    """A configuration with secrets, parts and a file outside its folder; returns gateway.yaml."""
    for name in ("etc/secrets", "etc/tls"):
        (folder / name).mkdir(parents=True)
    texts = {"etc/gateway.yaml": CONFIG, "etc/devices.yaml": DEVICES, "etc/secrets/district": "secret-1\n"}
    texts |= {"etc/secrets/door": "a-token-of-the-door\n", "outside": "secret-2\n", "etc/tls/ca.pem": "PEM"}
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
        (folder / name).chmod(0o640)
    (folder / "etc" / "notes.txt").write_text("not named by it", "utf-8")
    return folder / "etc" / "gateway.yaml"


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """One command: exit status, what it said, what it complained of."""
    capsys.readouterr()
    status = cli.run([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def box(folder: Path, *uplinks: str) -> Box:
    """A box without a configuration."""
    return Box("gw-0001", uplinks or ("district", "police"), folder / "etc" / "gateway.yaml", (), folder / "state")


def made_again(folder: Path, archive: Path, now: datetime = NOW, **more: bool) -> list[Hole]:
    """Restored to `folder/new`."""
    with held(folder / "new"):
        return place(archive, read(archive), Target(folder / "new", folder / "etc-new", now, **more))


# --- by the command line


async def test_the_history_of_configurations_goes_along(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, archive = installed(tmp_path), tmp_path / "box.tar"
    await lived(tmp_path)
    first, _ = chosen(config)
    first.save()
    texts = {"gateway.yaml": CONFIG.replace("  district:", "  city:"), "devices.yaml": DEVICES}
    made = revisions.Revision(number=2, name="r1", sha256=digest(texts), who="city", place="uplink:city", time="")
    trial = revisions.Trial(number=2, uplink="city", seconds=60)
    history = revisions.keep(revisions.attempt(first.history, made, trial, "0"), "")
    first.archive.save(history, texts)
    assert run(capsys, "backup", archive, "--config", config)[0] == 0
    assert read(archive).uplinks == ("city", "police")  # whose numbers are skipped
    assert made_again(tmp_path, archive)
    restored = Archive(tmp_path / "new")
    assert (restored.history(), restored.texts(2)) == (history, texts)
    assert stat.S_IMODE((tmp_path / "new" / "config" / "000002.json").stat().st_mode) == 0o600
    start = choose(tmp_path / "etc-new" / "gateway.yaml", tmp_path / "new", registry().models(), SystemClock())
    assert set(start.loaded.config.uplinks) == {"city", "police"}


async def test_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, archive = installed(tmp_path), tmp_path / "box.tar"
    await lived(tmp_path)
    status, out, err = run(capsys, "backup", archive, "--config", config)
    assert status == 0, err
    assert "every secret" in out
    assert str(tmp_path / "outside") in err
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    with tarfile.open(archive) as tar:
        assert tar.getnames() == [
            "manifest.json", "events.db", "keys/uplink-district", "config/devices.yaml", "config/gateway.yaml",
            "config/secrets/district", "config/secrets/door", "config/tls/ca.pem",
        ]  # fmt: skip
    new, etc = tmp_path / "new", tmp_path / "etc-new"
    status, out, err = run(capsys, "restore", archive, "--state-dir", new, "--config", etc)
    assert status == 0, err
    assert "gw-0001" in out
    assert "district.alarm" in out
    for name in ("gateway.yaml", "devices.yaml", "secrets/district", "secrets/door"):
        assert (etc / name).read_bytes() == (config.parent / name).read_bytes()
        assert stat.S_IMODE((etc / name).stat().st_mode) == 0o640
    assert Vault(new / "keys").kept("uplink-district") == Vault(tmp_path / "state" / "keys").kept("uplink-district")
    assert stat.S_IMODE((new / "events.db").stat().st_mode) == 0o600
    assert sorted(path.name for path in new.iterdir()) == ["events.db", "keys", "lock"]


async def test_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, archive = installed(tmp_path), tmp_path / "box.tar"
    await lived(tmp_path)
    said = json.loads(run(capsys, "backup", archive, "--config", config, "--json")[1])
    assert said["bytes"] == archive.stat().st_size
    assert said["left_out"] == [str(tmp_path / "outside")]
    arguments = ("--state-dir", tmp_path / "new", "--config", tmp_path / "etc-new", "--json")
    said = json.loads(run(capsys, "restore", archive, *arguments)[1])
    assert set(said["skipped"]) == {f"{uplink}.{lane}" for uplink in ("district", "police") for lane in Lane}
    assert said["skipped"]["district.alarm"][0] == 4


async def test_without_folders_it_goes_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, archive = installed(tmp_path), tmp_path / "box.tar"
    await lived(tmp_path)
    assert run(capsys, "backup", archive, "--config", config)[0] == 0
    status, _, err = run(capsys, "restore", archive)
    assert (status, "--force" in err) == (1, True)
    assert run(capsys, "restore", archive, "--force", "--unchanged")[0] == 0
    (aside,) = (tmp_path / "state").glob("before-restore-*")
    assert {path.name for path in aside.iterdir()} >= {"events.db", "keys"}
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [aside.name, "events.db", "keys", "lock"]
    assert len(list((tmp_path / "etc").glob("gateway.yaml.before-restore-*"))) == 1
    assert config.read_text("utf-8") == CONFIG


# --- what is refused, and changes nothing


async def test_no_file_is_overwritten(tmp_path: Path) -> None:
    await lived(tmp_path)
    (tmp_path / "box.tar").write_text("precious", "utf-8")
    with pytest.raises(StateError, match="there is such a file already"):
        write(tmp_path / "box.tar", box(tmp_path), NOW)
    assert (tmp_path / "box.tar").read_text("utf-8") == "precious"


def test_no_database_no_backup(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(StateError, match="gateway's user"):
        write(tmp_path / "box.tar", box(tmp_path), NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def repacked(archive: Path, damaged: Path, *, drop: str = "", add: str = "", of: str = "", body: bytes = b"") -> Path:
    """The archive without a member, with another one, or with other content in one."""
    with tarfile.open(archive) as old, tarfile.open(damaged, "w") as new:
        for member in old:
            content = old.extractfile(member)
            if member.name != drop and content is not None:
                data = body if member.name == of else content.read()
                member.size = len(data)
                new.addfile(member, io.BytesIO(data))
        if add:
            member = tarfile.TarInfo(add)
            new.addfile(member, io.BytesIO())
    return damaged


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"of": "keys/uplink-district", "body": b"x" * 32}, "damaged: keys/uplink-district"),
        ({"drop": "events.db"}, "damaged: events.db"),
        ({"drop": "manifest.json"}, "does not begin with manifest.json"),
        ({"of": "manifest.json", "body": b"{}"}, "makes no sense"),
        ({"add": "config/../../etc/passwd"}, "damaged: config/../../etc/passwd"),
        ({"add": "keys/more"}, "damaged: keys/more"),
    ],
)
async def test_a_damaged_archive_is_refused(tmp_path: Path, change: dict[str, str], why: str) -> None:
    await lived(tmp_path)
    write(tmp_path / "box.tar", box(tmp_path), NOW)
    with pytest.raises(StateError) as caught:
        made_again(tmp_path, repacked(tmp_path / "box.tar", tmp_path / "damaged.tar", **change))  # type: ignore[arg-type]
    assert why in str(caught.value)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["lock"]


async def test_a_name_that_leads_elsewhere_is_refused_even_when_it_is_promised(tmp_path: Path) -> None:
    await lived(tmp_path)
    manifest = write(tmp_path / "box.tar", box(tmp_path), NOW)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of nothing
    members = manifest.members | {"config/../evil": empty}
    lying = manifest.model_copy(update={"members": members}).model_dump_json().encode()
    repacked(tmp_path / "box.tar", tmp_path / "one.tar", of="manifest.json", body=lying)
    with pytest.raises(StateError, match=r"damaged: config/\.\./evil"):
        read(repacked(tmp_path / "one.tar", tmp_path / "two.tar", add="config/../evil"))


@pytest.mark.parametrize("bytes_left", [0, 100, 5000, 20000])
async def test_half_an_archive_is_refused(tmp_path: Path, bytes_left: int) -> None:
    await lived(tmp_path)
    write(tmp_path / "box.tar", box(tmp_path), NOW)
    os.truncate(tmp_path / "box.tar", bytes_left)
    with pytest.raises(StateError, match="no backup that can be used"):
        read(tmp_path / "box.tar")


async def test_a_newer_archive_and_a_newer_database_are_refused(tmp_path: Path) -> None:
    await lived(tmp_path)
    manifest = write(tmp_path / "box.tar", box(tmp_path), NOW)
    newer = manifest.model_copy(update={"format": 2, "version": "9.9"}).model_dump_json().encode()
    with pytest.raises(StateError, match=r"version 9\.9; restore with that version"):
        read(repacked(tmp_path / "box.tar", tmp_path / "newer.tar", of="manifest.json", body=newer))
    with closing(sqlite3.connect(tmp_path / "state" / "events.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    write(tmp_path / "schema.tar", box(tmp_path), NOW)
    with pytest.raises(StateError, match="schema version 99"):
        made_again(tmp_path, tmp_path / "schema.tar")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["lock"]


async def test_a_folder_in_use_is_refused_with_force_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await lived(tmp_path)
    write(tmp_path / "box.tar", box(tmp_path), NOW - 24 * 365 * HOUR)
    with held(tmp_path / "state"):
        status, _, err = run(capsys, "restore", tmp_path / "box.tar", "--force", "--config", tmp_path / "etc-new")
    assert status == 1
    assert f"another gateway (process {os.getpid()})" in err


async def test_a_clock_before_the_backup_is_refused(tmp_path: Path) -> None:
    """How old it is cannot be told, so neither how many numbers to skip."""
    await lived(tmp_path)
    write(tmp_path / "box.tar", box(tmp_path), NOW)
    with pytest.raises(StateError, match="set the clock"):
        made_again(tmp_path, tmp_path / "box.tar", NOW - HOUR)
    assert made_again(tmp_path, tmp_path / "box.tar", NOW - HOUR, unchanged=True) == []


# --- numbers and ids


def test_the_older_the_backup_and_the_busier_the_site_the_larger_the_step() -> None:
    assert step(0.0, 0) == step(-1.0, 9) == STEP_LEAST_EVENTS
    assert step(DAY_S, 0) == STEP_LEAST_EVENTS + 100 * 86400
    assert step(DAY_S, 60_000) == STEP_LEAST_EVENTS + 10_000 * 86400
    assert step(100 * 365 * DAY_S, 600_000) < 10**15  # numbers have 16 digits


async def test_streams_go_on_after_the_hole_and_ids_are_later(tmp_path: Path) -> None:
    await lived(tmp_path)
    write(tmp_path / "box.tar", box(tmp_path), NOW)
    holes = {(hole.uplink, hole.lane): hole for hole in made_again(tmp_path, tmp_path / "box.tar", NOW + HOUR)}
    assert len(holes) == 6
    skipped = step(3600.0, 3)
    assert holes["police", Lane.ALARM] == Hole("police", Lane.ALARM, 4, 3 + skipped)
    assert holes["police", Lane.TELEMETRY] == Hole("police", Lane.TELEMETRY, 1, step(3600.0, 0))
    async with rig(tmp_path / "new", "district", "police") as made:
        identity = await made.accept("safety.panic")
        assert moment_ms(identity) >= (NOW + HOUR).timestamp() * 1000
        (row,) = await made.store.rows(Lane.ALARM, 3, 9)
        assert row.numbers == {"district": 4 + skipped, "police": 4 + skipped}
        assert await made.store.transact(lambda c: read_fact(c, "session.district")) == str(7 + step(3600.0, 0))
        assert await made.store.transact(lambda c: read_fact(c, "dossier.district")) == f"{3 + step(3600.0, 0)} abc"


@pytest.mark.parametrize("unchanged", [True, False])
async def test_a_session_of_then_is_none_now_unless_nothing_has_happened_since(tmp_path: Path, unchanged: bool) -> None:
    await lived(tmp_path)
    session, person = Kept("a" * 64, "wang", "192.0.2.7", 1, 1), Person("wang", "王师傅", "duty", "$argon2id$", 1)
    async with Store(tmp_path / "state" / "events.db", ("district", "police")) as store:
        await store.transact(lambda connection: put(connection, session, person))
    write(tmp_path / "box.tar", box(tmp_path), NOW)
    made_again(tmp_path, tmp_path / "box.tar", NOW + HOUR, unchanged=unchanged)
    with closing(sqlite3.connect(tmp_path / "new" / "events.db")) as connection:
        assert [each.name for each in roster.read(connection, Person)] == ["wang"]
        assert len(roster.read(connection, Kept)) == unchanged


async def test_what_waits_is_counted_without_the_hole(tmp_path: Path) -> None:
    await lived(tmp_path)
    write(tmp_path / "box.tar", box(tmp_path), NOW)
    made_again(tmp_path, tmp_path / "box.tar", NOW)
    async with rig(tmp_path / "new", "district", "police") as made:
        district, police = Outbox(made.store, "district"), Outbox(made.store, "police")
        for outbox in (district, police):
            await outbox.load()
        assert [district.backlog(lane) for lane in Lane] == [2, 3, 0]
        assert [police.backlog(lane) for lane in Lane] == [3, 3, 0]
        await made.accept("safety.panic")
        assert district.backlog(Lane.ALARM) == 3
        while await district.fill():
            pass
        for left in (2, 1, 0):
            entry = district.take(Lane.ALARM, 0.0)
            assert entry is not None
            district.confirmed(entry)
            assert district.backlog(Lane.ALARM) == left


async def test_an_uplink_that_is_away_from_the_configuration_goes_on_after_its_hole(tmp_path: Path) -> None:
    await lived(tmp_path)
    async with rig(tmp_path / "state", "district") as made:  # the police is not configured any more
        await made.accept("access.granted")
    write(tmp_path / "box.tar", box(tmp_path, "district"), NOW)
    holes = made_again(tmp_path, tmp_path / "box.tar", NOW)
    (hole,) = [hole for hole in holes if (hole.uplink, hole.lane) == ("police", Lane.EVENT)]
    async with rig(tmp_path / "new", "district") as made:
        await made.accept("access.granted")
        await tell("gw-0001", made.store, made.pipeline, ["district"], made.clock)
    async with rig(tmp_path / "new", "district", "police") as made:
        await made.accept("access.granted")
        assert made.store.numbers[Lane.EVENT]["police"] == hole.last + 1
        await tell("gw-0001", made.store, made.pipeline, ["district", "police"], made.clock)
        assert {stream for stream, _, _ in await lost(made)} >= {"police.event"}


async def lost(made: Rig) -> list[tuple[str, int, int]]:
    """(stream, first, last) of all that was told as restored, in order."""
    bodies = [json.loads(row.body) for row in await made.store.rows(Lane.ALARM, 0, 1000)]
    told = [body["data"] for body in bodies if body["type"] == "gateway.data_lost"]
    assert {data["reason"] for data in told} <= {"restored"}
    assert all(int(data["last"]) - int(data["first"]) + 1 == data["count"] for data in told)
    return [(data["stream"], int(data["first"]), int(data["last"])) for data in told]


async def test_each_hole_is_told_once_to_whom_it_concerns(tmp_path: Path) -> None:
    await lived(tmp_path)
    write(tmp_path / "box.tar", box(tmp_path), NOW)
    holes = made_again(tmp_path, tmp_path / "box.tar", NOW)
    for _ in range(2):
        async with rig(tmp_path / "new", "district", "police") as made:
            await tell("gw-0001", made.store, made.pipeline, ["district", "police"], made.clock)
            told = await lost(made)
            rows = await made.store.rows(Lane.ALARM, 3, 100)
    assert sorted(told) == sorted((f"{hole.uplink}.{hole.lane}", hole.first, hole.last) for hole in holes)
    for row, (stream, _, _) in zip(rows, told, strict=True):
        assert list(row.numbers) == [stream.partition(".")[0]]


async def test_a_disk_that_fails_only_delays_it(tmp_path: Path) -> None:
    await lived(tmp_path)
    async with rig(tmp_path / "state", "district", "police") as made:
        await made.store.transact(lambda c: put_hole(c, Hole("district", Lane.EVENT, 4, 9)))
        with refusing(tmp_path / "state"):
            waits = Waits()
            telling = asyncio.create_task(tell("gw-0001", made.store, made.pipeline, ["district"], waits))  # type: ignore[arg-type]
            async with asyncio.timeout(5):
                await waits.began.wait()
            with pytest.raises(StorageError):
                await made.accept("safety.panic")
        waits.over.set()
        async with asyncio.timeout(5):
            await telling
        assert await lost(made) == [("district.event", 4, 9)]
        assert [hole.told for hole in await made.store.transact(read_holes)] == [True]


class Waits:
    """A clock on which one sleeps until the test says so."""

    def __init__(self) -> None:
        self.began, self.over = asyncio.Event(), asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Until then."""
        self.began.set()
        await self.over.wait()


async def test_a_hole_that_was_never_told_is_told_with_the_next_one(tmp_path: Path) -> None:
    await lived(tmp_path)
    database, since = tmp_path / "state" / "events.db", Since(NOW, NOW)
    first = {(hole.uplink, hole.lane): hole for hole in skip(database, ["district"], since)}
    second = {(hole.uplink, hole.lane): hole for hole in skip(database, ["district"], since)}
    for stream, hole in second.items():
        assert hole.first == first[stream].first < first[stream].last < hole.last
    with closing(sqlite3.connect(database)) as connection:
        assert {(h.uplink, h.lane): h for h in read_holes(connection)} == second


def test_numbers_beyond_a_number() -> None:
    hole = Hole("district", Lane.EVENT, 11, 20)
    assert [hole.beyond(number) for number in (0, 10, 11, 15, 20, 21)] == [10, 10, 9, 5, 0, 0]


async def test_files_of_the_configuration_elsewhere_are_told(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    inside, outside = etc / "secrets" / ".." / "a", tmp_path / "b"
    told = Box("gw-0001", (), etc / "gateway.yaml", {inside, outside, etc / ".." / "c"}, tmp_path)
    assert left_out(told) == [tmp_path / "b", tmp_path / "c"]


async def test_a_backup_while_it_is_written_is_one_moment(tmp_path: Path) -> None:
    await lived(tmp_path)
    async with rig(tmp_path / "state", "district", "police") as made:
        accepted: list[str] = []

        async def busy() -> None:
            while True:
                accepted.append(await made.accept("access.granted"))

        task = asyncio.create_task(busy())
        for number in range(5):
            accepted.append(await made.accept("safety.panic"))
            known = set(accepted)
            manifest: Manifest = write(tmp_path / f"{number}.tar", box(tmp_path), datetime.now(UTC))
            assert read(tmp_path / f"{number}.tar") == manifest
            with tarfile.open(tmp_path / f"{number}.tar") as tar:
                tar.extract("events.db", tmp_path / str(number), filter="data")
            assert known <= {event["id"] for event in on_disk(tmp_path / str(number))}
        task.cancel()
