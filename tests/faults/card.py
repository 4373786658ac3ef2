"""A small card of our own: ext4 in a file, on a loop device. It can lose power, hang, turn read-only, fill up, fail.

Only root can make one: `card(folder)` skips the test otherwise, saying why.
"""

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

MIB = 2**20
CARD_BYTES = 24 * MIB
_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2  # EXT4_IOC_SHUTDOWN (linux/fs/ext4/ext4.h)
_FREEZE, _THAW = 0xC0045877, 0xC0045878  # FIFREEZE, FITHAW (ioctl_fsfreeze(2))


def run(*command: str) -> str:
    """A command that must do. AssertionError with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr.strip()}"
    return done.stdout.strip()


class Card:
    """`state` is a folder on it."""

    def __init__(self, folder: Path) -> None:
        self.back = folder / "back"  # a tmpfs with the card's image: when it is full, the card fails
        self.image = self.back / "card.img"
        self.mounted = folder / "card"
        self.state = self.mounted / "state"

    def make(self, journal: bool) -> None:
        """Format and mount. Without a journal an error is told, and over when its cause is."""
        self._errors = "remount-ro" if journal else "continue"
        for place in (self.back, self.mounted):
            place.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={2 * CARD_BYTES + 4 * MIB}", "community-gateway-test", str(self.back))
        with self.image.open("wb") as file:
            file.truncate(CARD_BYTES)
        options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
        kind = ("-J", "size=4") if journal else ("-O", "^has_journal")
        run("mkfs.ext4", "-q", "-F", *kind, "-E", options, str(self.image))
        self.mount()

    def mount(self) -> None:
        """Also after a cut: the journal is replayed."""
        run("mount", "-o", f"loop,errors={self._errors}", str(self.image), str(self.mounted))

    def destroy(self) -> None:
        """Whatever state it is in."""
        with suppress(OSError):
            self.thaw()
        for place in (self.mounted, self.back):
            subprocess.run(["umount", "--lazy", str(place)], capture_output=True, check=False)

    def cut(self) -> None:
        """The power: what was not forced to the card is gone."""
        self._ioctl(_SHUTDOWN, _NO_LOG_FLUSH)

    def power_back(self) -> None:
        """After a cut, and after whoever used it is dead."""
        run("umount", str(self.mounted))
        self.mount()

    def freeze(self) -> None:
        """Whoever writes hangs."""
        self._ioctl(_FREEZE, 0)

    def thaw(self) -> None:
        """It moves again."""
        self._ioctl(_THAW, 0)

    def read_only(self) -> None:
        """As the kernel turns it when it meets an error."""
        device = Path(run("findmnt", "-n", "-o", "SOURCE", str(self.mounted))).name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1", "ascii")

    def read_only_no_more(self) -> None:
        """What a person does: the card copied, and the new one put in its place, while the daemon looks on."""
        run("umount", "--lazy", str(self.mounted))
        self.image = Path(shutil.copy(self.image, self.back / "new.img"))
        self.mount()

    def fill(self) -> None:
        """To the last block."""
        _fill(self.mounted / "ballast")

    def free(self) -> None:
        """Room again."""
        (self.mounted / "ballast").unlink()

    def fail(self) -> None:
        """New blocks cannot be written: EIO on fsync."""
        run("fallocate", "--dig-holes", str(self.image))
        _fill(self.back / "ballast")

    def fail_no_more(self) -> None:
        """It takes what is written."""
        (self.back / "ballast").unlink()

    def _ioctl(self, request: int, value: int) -> None:
        handle = os.open(self.mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, request, struct.pack("I", value))
        finally:
            os.close(handle)


def _fill(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        for size in (64 * 1024, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


@contextmanager
def card(folder: Path, *, journal: bool = True) -> Iterator[Card]:
    """A card under `folder`; the test is skipped where none can be made."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a card (ext4 on a loop device)")
    made = Card(folder)
    try:
        try:
            made.make(journal)
        except (AssertionError, OSError) as error:
            pytest.skip(f"no card can be made here: {error}")
        yield made
    finally:
        made.destroy()
