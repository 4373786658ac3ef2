"""Secrets the gateway makes itself: one file each in the state folder, mode 0600, on disk before they are used."""

import os
import re
import secrets
from pathlib import Path

from gateway.errors import StorageError, Text

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,127}")
KEY_BYTES = 32


class Vault:
    """The folder `keys/`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kept(self, name: str) -> bytes | None:
        """The secret stored under `name`, or None. StorageError: it may be there, but cannot be read."""
        path = self._path(name)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(
                str(path),
                Text(f"the key cannot be read: {error.strerror}", f"密钥无法读取:{error.strerror}"),
                Text("check the folder's rights", "请检查目录权限"),
            ) from error

    def keep(self, name: str, secret: bytes) -> None:
        """Store: written aside, synced, renamed, folder synced. StorageError when that fails."""
        path = self._path(name)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            aside = path.with_name(f"{name}~")  # no secret is called so
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(secret)
                file.flush()
                os.fsync(file.fileno())
            aside.rename(path)
            _sync_folder(self._folder)
        except OSError as error:
            raise StorageError(
                str(path),
                Text(f"the key cannot be stored: {error.strerror}", f"密钥无法保存:{error.strerror}"),
                Text("free space or check the folder's rights", "请清理空间或检查目录权限"),
            ) from error

    def key(self, name: str) -> bytes:
        """The random key of that name, made and stored on first use."""
        found = self.kept(name)
        if found is None:
            found = secrets.token_bytes(KEY_BYTES)
            self.keep(name, found)
        return found

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name for a key: {name!r}")
        return self._folder / name


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
