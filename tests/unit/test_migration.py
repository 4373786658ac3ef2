"""Every database that was ever written opens in this program, and nothing in it is missing (tests/golden/databases)."""

import json
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from gateway.database import VERSION, journal_path, quick_check
from gateway.event import Lane
from gateway.store import Store
from tests.golden.databases.make import FOLDER, UPLINKS, content, fill
from tests.unit.test_store import draft, plain

FILES = sorted(FOLDER.glob("schema-*.db"))


def test_there_is_one_of_every_version() -> None:
    """Before a new version is released: `python -m tests.golden.databases.make`."""
    assert [path.name for path in FILES] == [f"schema-{number}.db" for number in range(1, VERSION + 1)]
    for number, path in enumerate(FILES, 1):
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (number,)
    schemas = sorted(path.stem for path in (Path(__file__).parents[2] / "gateway" / "schema").glob("*.sql"))
    assert schemas == [f"{number:03d}" for number in range(1, VERSION + 1)]


@pytest.mark.parametrize("golden", FILES, ids=lambda path: path.stem)
async def test_it_opens_and_goes_on(golden: Path, tmp_path: Path) -> None:
    shutil.copy(golden, tmp_path / "events.db")
    with suppress(FileNotFoundError):  # versions 1 and 2 had none
        shutil.copy(journal_path(golden), journal_path(tmp_path / "events.db"))
    known = json.loads(golden.with_suffix(".json").read_text("utf-8"))
    assert await content(tmp_path / "events.db") == known
    assert plain(tmp_path, "PRAGMA user_version") == [(VERSION,)]
    async with Store(tmp_path / "events.db", UPLINKS) as store:
        await store.append([draft(lane, UPLINKS) for lane in Lane])
        assert {lane.value: number - 1 for lane, number in store.last.items()} == known["last"]
        for lane, numbers in store.numbers.items():
            assert dict(numbers) == {name: known["numbers"][lane.value][name] + 1 for name in UPLINKS}
        assert await store.read(quick_check) is None


async def test_the_known_content_has_something_of_everything(tmp_path: Path) -> None:
    await fill(tmp_path / "events.db")
    tables = plain(tmp_path, "SELECT name FROM sqlite_schema WHERE type = 'table'")
    assert {name: plain(tmp_path, f"SELECT count(*) > 0 FROM {name}") for (name,) in tables} == {
        name: [(1,)] for (name,) in tables
    }
