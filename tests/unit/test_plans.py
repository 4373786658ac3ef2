"""Floor plans on disk: kept whole or not at all, read again as they were, and part of the backup."""

import asyncio
import stat
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.backup import Box, read, write
from gateway.drawings import drawing
from gateway.errors import StorageError
from gateway.plans import Pin, Plans
from gateway.restore import Target, place
from gateway.store import Store
from tests.drawn import JPG, png

FLOOR = "b3/u2/f5"
NOW = datetime(2027, 1, 1, tzinfo=UTC)


def store(folder: Path) -> Store:
    return Store(folder / "events.db", ())


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "plans").iterdir()}


async def test_a_plan_and_its_pins_stand_there_again(tmp_path: Path) -> None:
    async with store(tmp_path) as disk:
        plans = Plans(tmp_path, disk)
        assert await plans.sheets() == {}
        assert await plans.picture(FLOOR) is None
        sheet = await plans.put(FLOOR, drawing(png(80, 60)))
        await plans.pin(FLOOR, "smoke-1", Pin(0, 1000))
        await plans.pin(FLOOR, "door-1", Pin(420, 5))
        await plans.pin(FLOOR, "door-1", None)
        await plans.pin("b3", "smoke-1", Pin(7, 8))
        again = Plans(tmp_path, disk)
        assert await again.sheets() == {FLOOR: sheet}
        assert (sheet.width, sheet.height, sheet.content_type) == (80, 60, "image/png")
        assert await again.picture(FLOOR) == png(80, 60)
        assert await again.pins(FLOOR) == {"smoke-1": (0, 1000)}
        assert await again.pins("b3") == {"smoke-1": (7, 8)}
        assert await again.pins("gate") == {}
    assert files(tmp_path) == {"b3_u2_f5.png", "plans.json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "plans").iterdir()} == {0o600}


async def test_a_new_picture_takes_the_old_one_s_place_and_leaves_the_pins(tmp_path: Path) -> None:
    async with store(tmp_path) as disk:
        plans = Plans(tmp_path, disk)
        first = await plans.put(FLOOR, drawing(png()))
        await plans.pin(FLOOR, "smoke-1", Pin(1, 2))
        second = await plans.put(FLOOR, drawing(JPG))
        assert first.version != second.version
        assert await plans.picture(FLOOR) == JPG
        assert await plans.pins(FLOOR) == {"smoke-1": (1, 2)}
        assert files(tmp_path) == {"b3_u2_f5.jpg", "plans.json"}
        await plans.remove(FLOOR)
        assert (await plans.sheets(), await plans.pins(FLOOR), await plans.picture(FLOOR)) == ({}, {}, None)
        assert files(tmp_path) == {"plans.json"}


async def test_names_of_places_cannot_be_mixed_up(tmp_path: Path) -> None:
    async with store(tmp_path) as disk:
        plans = Plans(tmp_path, disk)
        await asyncio.gather(plans.put("b3/u2", drawing(png(1, 1))), plans.put("b3-u2", drawing(png(2, 2))))
        assert {place: sheet.width for place, sheet in (await plans.sheets()).items()} == {"b3/u2": 1, "b3-u2": 2}


@pytest.mark.parametrize("kept", ["", "[]", '{"sheets": 1}', '{"sheets": {}, "pins": {"b3": {"d": [1]}}}'])
async def test_what_cannot_be_understood_is_as_if_it_were_not_there(tmp_path: Path, kept: str) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "plans.json").write_text(kept)
    async with store(tmp_path) as disk:
        plans = Plans(tmp_path, disk)
        assert await plans.sheets() == {}
        await plans.put("gate", drawing(png()))
        assert set(await Plans(tmp_path, disk).sheets()) == {"gate"}


async def test_a_picture_that_somebody_deleted_is_none(tmp_path: Path) -> None:
    async with store(tmp_path) as disk:
        plans = Plans(tmp_path, disk)
        await plans.put("gate", drawing(png()))
        (tmp_path / "plans" / "gate.png").unlink()
        assert await plans.picture("gate") is None


async def test_a_disk_that_takes_nothing_changes_nothing(tmp_path: Path) -> None:
    async with store(tmp_path) as disk:
        plans = Plans(tmp_path, disk)
        await plans.put("gate", drawing(png()))
        await plans.pin("gate", "door-1", Pin(1, 1))
        (tmp_path / "plans").rename(tmp_path / "away")
        (tmp_path / "plans").write_text("a file where the folder was")
        for step in (plans.put("gate", drawing(JPG)), plans.pin("gate", "door-1", Pin(9, 9)), plans.remove("gate")):
            with pytest.raises(StorageError, match="floor plans cannot be kept"):
                await step
        assert (await plans.sheets())["gate"].file == "gate.png"
        assert await plans.pins("gate") == {"door-1": (1, 1)}


async def test_a_power_cut_between_picture_and_its_name_leaves_the_old_plan(tmp_path: Path) -> None:
    async with store(tmp_path) as disk:
        await Plans(tmp_path, disk).put("gate", drawing(png()))
        (tmp_path / "plans" / "gate.jpg").write_bytes(JPG)
        (tmp_path / "plans" / "plans.json~").write_text("{")
        plans = Plans(tmp_path, disk)
        assert await plans.picture("gate") == png()
        await plans.pin("gate", "door-1", Pin(1, 1))
        assert files(tmp_path) == {"gate.png", "plans.json"}


async def test_they_are_in_the_backup_and_come_back(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    config = tmp_path / "gateway.yaml"
    config.write_text("gateway: {}")
    async with store(old) as disk:
        await Plans(old, disk).put(FLOOR, drawing(png()))
        await Plans(old, disk).pin(FLOOR, "smoke-1", Pin(3, 4))
        archive = tmp_path / "box.tar"
        write(archive, Box("gw-0001", (), config, [config], old), NOW)
    with tarfile.open(archive) as tar:
        assert {"plans/b3_u2_f5.png", "plans/plans.json"} <= set(tar.getnames())
    place(archive, read(archive), Target(new, tmp_path / "etc", NOW + timedelta(hours=1)))
    async with store(new) as disk:
        plans = Plans(new, disk)
        assert await plans.picture(FLOOR) == png()
        assert await plans.pins(FLOOR) == {"smoke-1": (3, 4)}
