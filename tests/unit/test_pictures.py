"""Pictures on disk: whole or not at all, bounded in bytes and age, given away in pieces only."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.driver import Picture
from gateway.errors import StorageError
from gateway.pictures import PIECE_BYTES, Pictures, taken
from gateway.rulebook import PicturesConfig
from gateway.store import Store
from tests.fakes import ManualClock

JPEG = Picture(b"\xff\xd8\xff" + bytes(range(256)) * 4, "image/jpeg")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store(tmp_path / "events.db", ()) as store:
        yield store


def pictures(store: Store, clock: ManualClock, **limits: str) -> Pictures:
    return Pictures(store.path.parent / "pictures", PicturesConfig.model_validate(limits), store, clock)


async def test_a_picture_is_kept_and_read_back(store: Store) -> None:
    kept = pictures(store, ManualClock())
    said = await kept.keep("cam-1", JPEG)
    assert await kept.read(said["ref"]) == JPEG.body
    assert (said["bytes"], said["content_type"]) == (len(JPEG.body), "image/jpeg")
    file = store.path.parent / "pictures" / said["ref"]
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("ref", ["", "../events.db", "a/b.jpg", "x" * 300])
async def test_nothing_else_can_be_read(store: Store, ref: str) -> None:
    assert await pictures(store, ManualClock()).read(ref) is None


async def test_one_that_was_changed_is_not_given(store: Store) -> None:
    kept = pictures(store, ManualClock())
    ref = (await kept.keep("cam-1", JPEG))["ref"]
    (store.path.parent / "pictures" / ref).write_bytes(b"another")
    assert await kept.read(ref) is None
    assert await kept.piece(ref) is None


async def test_the_oldest_go_when_there_is_no_room(store: Store) -> None:
    clock = ManualClock()
    kept = pictures(store, clock, max_size="2500B")
    refs = []
    for _ in range(3):
        refs.append((await kept.keep("cam-1", JPEG))["ref"])
        clock.now_s += 1
    assert [await kept.read(ref) is not None for ref in refs] == [False, True, True]


async def test_what_is_too_old_goes_and_what_was_half_written(store: Store) -> None:
    clock = ManualClock()
    kept = pictures(store, clock, max_age="1h")
    ref = (await kept.keep("cam-1", JPEG))["ref"]
    half = store.path.parent / "pictures" / f"{ref}~"
    half.write_bytes(b"half")
    clock.now_s += 3599
    await kept.tidy()
    assert await kept.read(ref) == JPEG.body
    assert not half.exists()
    clock.now_s += 2
    await kept.tidy()
    assert await kept.read(ref) is None


async def test_in_pieces(store: Store) -> None:
    kept = pictures(store, ManualClock())
    large = Picture(bytes(PIECE_BYTES + 7), "image/png")
    ref = (await kept.keep("cam-1", large))["ref"]
    first = await kept.piece(ref)
    assert first is not None
    second = await kept.piece(ref, first["next"])
    assert second is not None
    assert base64.b64decode(first["data"]) + base64.b64decode(second["data"]) == large.body
    assert "next" not in second


async def test_a_disk_that_takes_none(store: Store) -> None:
    (store.path.parent / "pictures").write_text("in the way")
    with pytest.raises(StorageError, match="pictures cannot be kept"):
        await pictures(store, ManualClock()).keep("cam-1", JPEG)


async def test_the_time_stands_in_its_name(store: Store) -> None:
    clock = ManualClock()
    ref = (await pictures(store, clock).keep("cam-1", JPEG))["ref"]
    assert abs(taken(ref) - clock.utc()) < timedelta(milliseconds=1)
