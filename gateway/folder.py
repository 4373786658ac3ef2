"""The state folder: made when absent, ours alone while the daemon runs."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import StateError, Text

LOCK = "lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder exists, can be written, and no second daemon uses it while the block lasts. StateError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StateError(
            str(folder),
            Text(f"the state folder cannot be used: {error.strerror}", f"状态目录无法使用:{error.strerror}"),
            Text(
                "give this user the folder (chown), or set gateway.state_dir",
                "请将目录授予当前用户(chown),或修改 gateway.state_dir",
            ),
        ) from error
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "?"
        raise StateError(
            str(folder),
            Text(
                f"another gateway (process {owner}) uses this state folder",
                f"另一个网关进程({owner})正在使用此状态目录",
            ),
            Text(
                "stop it, or give this one its own gateway.state_dir",
                "请先停止它,或为本实例设置不同的 gateway.state_dir",
            ),
        ) from error
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        return  # a full disk: the lock holds all the same, only its owner's number is missing
