"""The commit journal on a real disk: what `put` returned for is read back; what is torn is not, and spoils nothing."""

import errno
import os
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.journal import BLOCK_BYTES, SIZE_BYTES, Journal, steady


def journal(folder: Path) -> Journal:
    """At its usual place."""
    return Journal(folder / "events.db.journal")


def test_what_was_put_is_read_oldest_first(tmp_path: Path) -> None:
    writing = journal(tmp_path)
    contents = [b"a", b"", b"c" * 5000, b"\0" * BLOCK_BYTES]
    assert all(map(writing.put, contents))
    assert writing.read() == journal(tmp_path).read() == contents
    assert writing.path.stat().st_size == SIZE_BYTES
    assert writing.path.stat().st_mode & 0o777 == 0o600
    writing.close()


def test_there_is_nothing_before_the_first_is_put(tmp_path: Path) -> None:
    assert journal(tmp_path).read() == []
    assert list(tmp_path.iterdir()) == []


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    for number in range(5):
        writing = journal(tmp_path)
        assert len(writing.read()) == number
        assert writing.put(b"%d" % number)
        writing.close()
    assert journal(tmp_path).read() == [b"0", b"1", b"2", b"3", b"4"]


def test_it_is_full_some_time_and_begins_anew(tmp_path: Path) -> None:
    writing = journal(tmp_path)
    size_bytes = 10 * BLOCK_BYTES
    put = 0
    while writing.put(b"x" * (size_bytes - BLOCK_BYTES)):
        put += 1
    assert put == SIZE_BYTES // size_bytes
    assert not writing.put(bytes(SIZE_BYTES))
    writing.rewind()
    assert writing.put(b"newest")
    assert writing.read()[-1] == b"newest"  # what is left of the round before comes first
    assert len(writing.read()) == put
    writing.close()


@settings(max_examples=50)
@given(
    earlier=st.lists(st.integers(0, 3000), max_size=8),
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=8),
    data=st.data(),
)
def test_a_write_that_is_cut_off_spoils_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, earlier: list[int], sizes: list[int], data: st.DataObject
) -> None:
    """Any of its sectors may have been written, whatever stood there before."""
    writing = journal(tmp_path_factory.mktemp("cut"))
    for size in earlier:
        writing.put(b"o" * size)
    writing.rewind()
    contents = [bytes([number]) * size for number, size in enumerate(sizes)]
    for content in contents[:-1]:
        writing.put(content)
    before = writing.path.read_bytes() if len(sizes) + len(earlier) > 1 else bytes(SIZE_BYTES)
    writing.put(contents[-1])
    after = writing.path.read_bytes()
    writing.close()
    changed = [
        at for at in range(0, SIZE_BYTES, BLOCK_BYTES) if before[at : at + BLOCK_BYTES] != after[at : at + BLOCK_BYTES]
    ]
    kept = data.draw(st.sets(st.sampled_from(changed)))
    torn = bytearray(before)
    for at in kept:
        torn[at : at + BLOCK_BYTES] = after[at : at + BLOCK_BYTES]
    writing.path.write_bytes(torn)
    found = Journal(writing.path).read()
    whole = contents if kept == set(changed) else contents[:-1]
    assert found[len(found) - len(whole) :] == whole


def test_a_disk_that_takes_nothing_says_so(tmp_path: Path) -> None:
    writing = journal(tmp_path)
    writing.put(b"one")
    (tmp_path / "new").mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OSError, match="large") as caught:
            writing.put(b"two")
        with pytest.raises(OSError, match="large"):
            journal(tmp_path / "new").put(b"one")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    writing.close()
    assert writing.read() == [b"one"]
    assert writing.put(b"three")
    assert journal(tmp_path).read() == [b"one", b"three"]
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"short", b"x" * SIZE_BYTES, bytes(SIZE_BYTES + 1)])
def test_what_is_none_of_ours_is_replaced(content: bytes, tmp_path: Path) -> None:
    writing = journal(tmp_path)
    writing.path.write_bytes(content)
    assert writing.read() == []
    assert writing.put(b"one")
    assert journal(tmp_path).read() == [b"one"]


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    writing = journal(tmp_path)
    os.mkdir(writing.path)
    for work in (writing.read, lambda: writing.put(b"x"), lambda: steady(writing.path)):
        with pytest.raises(OSError, match=r".+"):
            work()
