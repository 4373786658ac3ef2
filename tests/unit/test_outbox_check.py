"""`gateway outbox check`: is the file sound, and what would the daemon do with it; nothing is changed."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.cli import run
from gateway.database import PAGE_BYTES
from gateway.event import Lane
from gateway.packing import pack
from gateway.store import Store
from tests.unit.test_salvage import NAMES, bodies, draft, overwrite, sound
from tests.unit.test_store import files_in, plain

__all__ = ["sound"]


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    shutil.copy(sound / "events.db", tmp_path / "events.db")
    return tmp_path


def check(folder: Path, *more: str) -> int:
    return run(["outbox", "check", "--state-dir", str(folder), "--lang", "en", *more])


def test_a_sound_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(folder) == 0
    assert "sound (alarms 40, events 160, measured values 120)" in capsys.readouterr().out
    assert check(folder, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["sound"], shown["events"]) == (True, {"alarm": 40, "event": 160, "telemetry": 120})


async def test_beside_a_running_gateway(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Store(folder / "events.db", NAMES) as store:
        await store.append([draft(Lane.ALARM, 1)])
        before = files_in(folder)
        assert check(folder) == 0
        assert files_in(folder) == before
        await store.append([draft(Lane.ALARM, 1)])
    assert "alarms 41" in capsys.readouterr().out


def test_a_damaged_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = bodies(folder / "events.db")[NAMES[0], Lane.EVENT, 80]
    place = (folder / "events.db").read_bytes().index(pack(body))
    overwrite(folder / "events.db", place // PAGE_BYTES, bytes(PAGE_BYTES))
    before = sha256((folder / "events.db").read_bytes())
    assert check(folder) == 1
    said = capsys.readouterr().out
    assert "damaged (" in said
    assert "alarms 40, events 150, measured values 120" in said
    assert "district.event: numbers" in said
    assert check(folder, "--json") == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["sound"] is False
    ((stream, first, last, count),) = [
        tuple(one.values()) for one in shown["lost"] if one["stream"].startswith("district")
    ]
    assert (stream, count, int(first) <= 80 <= int(last)) == ("district.event", 10, True)
    assert sha256((folder / "events.db").read_bytes()).digest() == before.digest()


@pytest.mark.parametrize("content", [b"", bytes(PAGE_BYTES), b"nonsense " * 1000])
def test_one_that_is_none(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events.db").write_bytes(content)
    assert check(tmp_path) == 1
    assert "damaged (" in capsys.readouterr().out


def test_rows_that_sqlite_takes_but_we_never_wrote(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain(folder, "UPDATE event_lane SET body = 'no event' WHERE seq = 7")
    assert check(folder) == 1
    assert "1 rows are not as they were written" in capsys.readouterr().out


def test_a_newer_one_is_refused_in_its_own_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain(folder, "PRAGMA user_version = 99")
    assert check(folder) == 1
    assert "schema version 99" in capsys.readouterr().err


def test_none_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path) == 1
    assert "no database" in capsys.readouterr().err
