"""The recorder and the disk it fills, tried with a program that does one of everything, and with lines of strace."""

import os
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.faults.model_disk import SECTOR_BYTES, Disk
from tests.faults.record import Call, Recording, Trace, recorded
from tests.faults.seen import allow

SEEDS = range(1000)
OLD, NEW = b"o" * SECTOR_BYTES * 4, b"n" * SECTOR_BYTES * 4


def program(folder: Path) -> None:
    """A journal that is complete before it has its name, and is then written so that each write is forced to disk."""
    draft = os.open(folder / "journal.new", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(draft, OLD[:SECTOR_BYTES])
    os.write(draft, OLD[SECTOR_BYTES:])
    os.fsync(draft)
    os.rename(folder / "journal.new", folder / "journal")
    within = os.open(folder, os.O_RDONLY)
    os.fsync(within)
    os.write(1, b"journal")
    journal = os.open(folder / "journal", os.O_RDWR | os.O_DSYNC)
    os.pwritev(journal, [NEW[:5], NEW[5:]], 0)
    os.write(1, b"written")
    plain = os.open(folder / "plain", os.O_RDWR | os.O_CREAT, 0o600)
    os.posix_fallocate(plain, 0, 3000)
    os.pwrite(plain, NEW, SECTOR_BYTES)
    os.ftruncate(plain, 2 * SECTOR_BYTES)
    os.write(1, b"plain")
    os.fsync(within)
    os.unlink(folder / "plain")
    os.pwrite(plain, b"nobody will read it", 0)
    os.write(1, b"removed")
    os.close(os.open(folder / "kept", os.O_RDWR | os.O_CREAT, 0o600))


@pytest.fixture
def calls(tmp_path: Path) -> Sequence[Call]:
    return recorded(tmp_path, "tests.faults.test_record", str(tmp_path))


def after(calls: Sequence[Call], word: bytes) -> Disk:
    """The disk when this was said."""
    disk = Disk()
    for call in calls:
        disk.do(call)
        if call.data == word:
            return disk
    raise AssertionError(f"{word!r} was not said")


def states(disk: Disk, count: int = len(SEEDS)) -> Iterator[dict[str, bytes]]:
    """What could be left, by the files' last names."""
    for seed in SEEDS[:count]:
        yield {Path(path).name: content for path, content in disk.left(random.Random(seed)).items()}


def test_nothing_is_missed(calls: Sequence[Call], tmp_path: Path) -> None:
    disk = Disk()
    for call in calls:
        disk.do(call)
    there = {str(path): path.read_bytes() for path in tmp_path.iterdir() if path.name != "trace"}
    assert disk.now() == there
    assert {Path(path).name for path in there} == {"journal", "kept"}


def test_what_was_forced_to_disk_is_there(calls: Sequence[Call]) -> None:
    assert all(state == {"journal": OLD} for state in states(after(calls, b"journal")))
    assert all(state["journal"] == NEW for state in states(after(calls, b"written")))


def test_before_a_folder_is_synced_a_file_may_have_either_name(calls: Sequence[Call]) -> None:
    disk = Disk()
    for call in calls:
        disk.do(call)
        if call.name == "rename":
            break
    assert {tuple(state) for state in states(disk)} == {(), ("journal.new",), ("journal",)}
    assert {content for state in states(disk) for content in state.values()} == {OLD}


def test_in_the_middle_of_a_forced_write_any_sector_may_be_there(calls: Sequence[Call]) -> None:
    disk = after(calls, b"journal")
    disk.do(next(call for call in calls if call.data == NEW))
    found = {state["journal"] for state in states(disk)}
    assert {OLD, NEW} < found
    assert {content[i : i + SECTOR_BYTES] for content in found for i in range(0, len(OLD), SECTOR_BYTES)} == {
        OLD[:SECTOR_BYTES],
        NEW[:SECTOR_BYTES],
    }


def test_what_was_not_forced_to_disk_may_be_there(calls: Sequence[Call]) -> None:
    disk = after(calls, b"plain")
    found = {state.get("plain") for state in states(disk)}
    cut = bytes(SECTOR_BYTES) + NEW[:SECTOR_BYTES]
    assert {None, b"", cut, bytes(3000), cut[:SECTOR_BYTES] + NEW + bytes(3000 - SECTOR_BYTES - len(NEW))} <= found
    assert {"plain" in state for state in states(after(calls, b"removed"))} == {True, False}


def test_what_the_system_wrote_back_is_there() -> None:
    """And no older content of these sectors can come back."""
    found = set()
    for seed in SEEDS[:60]:
        disk = Disk({"/a": OLD})
        for content in (b"1", b"2", b"3"):
            disk.do(Call("write", "/a", content * SECTOR_BYTES, 0))
        disk.write_back(random.Random(seed))
        found.add(b"".join(sorted({state["a"][:1] for state in states(disk, 100)})))
    assert found == {b"123o", b"123", b"23", b"3"}


def test_an_fsync_forces_what_was_written_before_it_began() -> None:
    disk = Disk({"/a": OLD})
    disk.do(Call("write", "/a", b"3", 0))
    disk.do(Call("syncing", "/a", thread="1"))
    disk.do(Call("write", "/a", b"4", 0))
    disk.do(Call("sync", "/a", thread="1"))
    assert {state["a"][:1] for state in states(disk)} == {b"3", b"4"}


def test_a_full_disk_takes_a_part(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: of a write only what was taken counts, and what was refused does not."""
    with Recording(tmp_path, "tests.faults.test_record", str(tmp_path), "wait") as recording:
        hello = recording.until(lambda call: call.name == "say")[-1]
        allow(int(hello.data), SECTOR_BYTES + 1)
        recording.tell("go on")
        done = recording.until(lambda call: call.data == b"done")
    assert [(call.at, len(call.data)) for call in done if call.name == "write"] == [(0, SECTOR_BYTES + 1)]
    assert (tmp_path / "part").stat().st_size == SECTOR_BYTES + 1


def half(folder: Path) -> None:
    """Writes more than it may."""
    os.write(1, str(os.getpid()).encode())
    sys.stdin.readline()
    part = os.open(folder / "part", os.O_RDWR | os.O_CREAT, 0o600)
    taken = os.pwrite(part, OLD, 0)
    try:
        os.pwrite(part, OLD[taken:], taken)
    except OSError:
        os.write(1, b"done")


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def test_calls_count_when_they_return() -> None:
    """What another thread says in between is said before."""
    file, said = f"5<{hexed('/s/a')}>", f'"{hexed("ok")}"'
    lines = [
        f'7 pwrite64({file}, "{hexed("data")}", 4, 512 <unfinished ...>',
        f"8 fdatasync({file} <unfinished ...>",
        f"9 write(1<{hexed('pipe:[1]')}>, {said}, 2) = 2",
        "7 <... pwrite64 resumed>) = 4",
        "8 <... fdatasync resumed>) = 0",
        f"8 fsync({file}) = -1 EIO (Input/output error)",
        f"7 write(5<{hexed('/other/a')}>, {said}, 2) = 2",
        "8 --- SIGCHLD {si_signo=SIGCHLD} ---",
        f"7 pwrite64({file}, {said}, 2, 0 <unfinished ...>",
        "7 <... pwrite64 resumed>) = ?",
        "7 +++ killed by SIGKILL +++",
    ]
    trace = Trace(Path("/s"))
    assert [call for line in lines for call in trace.calls(line)] == [
        Call("syncing", "/s/a", thread="8"),
        Call("say", data=b"ok", thread="9"),
        Call("write", "/s/a", b"data", 512),
        Call("sync", "/s/a", thread="8"),
        Call("syncing", "/s/a", thread="8"),
        Call("end", thread="7"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        f'7 pwrite64(5<{hexed("/s/a")}>, "{hexed("data")}"..., 9000000, 0) = 9000000',
        f"7 fallocate(5<{hexed('/s/a')}>, FALLOC_FL_PUNCH_HOLE, 0, 512) = 0",
        f"7 sendfile(5<{hexed('/s/a')}>, 6<{hexed('/s/b')}>, NULL, 512) = 512",
        f'7 openat(AT_FDCWD<{hexed("/s")}>, "{hexed("/s/a")}", O_WRONLY|O_APPEND) = 5<{hexed("/s/a")}>',
    ],
)
def test_what_is_not_understood_is_not_passed_over(line: str) -> None:
    with pytest.raises(AssertionError, match=r"not understood|more than"):
        list(Trace(Path("/s")).calls(line))


if __name__ == "__main__":
    (half if "wait" in sys.argv else program)(Path(sys.argv[1]))
