"""The commit journal: a small file beside the database, in which a commit is safe before the database has it.

A commit of SQLite's WAL dirties two pages of 4 KiB or more, however little is in it, and makes its file grow; here it
is one write of as many sectors as it needs, into a file whose blocks are there already. What stands here is taken over
by the database every now and then (`database.py`); then the file is written from its beginning again.

- A record: magic, number, length, and CRC-32 of number and content; then the content, filled up to whole blocks.
- A write is durable when it returns: O_DSYNC, and where the file system takes it O_DIRECT, past the page cache and its
  4 KiB. One that is cut off leaves a record whose CRC is wrong: nobody was told that it stands.
- Numbers only grow. Which records the database has already, it knows itself, by the events in them.
"""

import errno
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

BLOCK_BYTES = 512  # a sector
SIZE_BYTES = 256 * 1024
_MAGIC = b"cgj1"
_HEAD = struct.Struct("<4sQII")  # magic, number, bytes of content, CRC-32
_FLAGS = os.O_RDWR | os.O_DSYNC | os.O_CLOEXEC
Record = tuple[int, int, bytes]  # number, where it ends in bytes, content


class Journal:
    """The file at `path`, opened when it is needed. Every method: OSError, as the disk says; then `close()` follows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._at = 0  # where the next record goes, in bytes
        self._number = 0  # of the newest record
        self._buffer = mmap.mmap(-1, SIZE_BYTES)  # aligned as O_DIRECT needs it

    def read(self) -> list[bytes]:
        """The content of every whole record, oldest first; also beside a daemon that writes. No file: nothing."""
        try:
            content = steady(self.path)
        except FileNotFoundError:
            return []
        found = sorted(_records(content))
        if found and found[-1][0] >= self._number:
            self._number, self._at, _ = found[-1]
        return [content for _, _, content in found]

    def put(self, content: bytes) -> bool:
        """One more record, durable when this returns; False: there is no room for it."""
        used = _HEAD.size + len(content)
        size = -(-used // BLOCK_BYTES) * BLOCK_BYTES
        if self._at + size > SIZE_BYTES:
            return False
        number = self._number + 1
        self._buffer[: _HEAD.size] = _HEAD.pack(_MAGIC, number, len(content), _crc(number, content))
        self._buffer[_HEAD.size : size] = content.ljust(size - _HEAD.size, b"\0")
        if self._file is None:
            self._file = _opened(self.path)
        if not self._written(self._file, size):
            os.close(self._file)
            self._file = os.open(self.path, _FLAGS)
            if not self._written(self._file, size):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at, self._number = self._at + size, number
        return True

    def rewind(self) -> None:
        """Everything in it stands in the database, durably."""
        self._at = 0

    def wipe(self) -> None:
        """As `rewind`, and nothing that stood in it can be read any more."""
        self.close()
        _create(self.path)
        self.rewind()

    def close(self) -> None:
        """Forget the file; the next use opens it anew."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _written(self, file: int, size_bytes: int) -> bool:
        """False: this disk's sectors are larger than ours, it is to be written through the page cache."""
        with memoryview(self._buffer) as whole, whole[:size_bytes] as record:
            try:
                count = os.pwrite(file, record, self._at)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                return False
        if count != size_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return True


def _opened(path: Path) -> int:
    """For writing; made where it is not there, or not whole."""
    with suppress(FileNotFoundError):
        if path.stat().st_size != SIZE_BYTES:
            path.unlink()
    if not path.exists():
        _create(path)
    try:
        return os.open(path, _FLAGS | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return os.open(path, _FLAGS)


def _create(path: Path) -> None:
    """Its blocks are written, not only reserved: later writes change nothing else of the file system."""
    draft = path.with_name(f"{path.name}.new")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0) as file:
            if file.write(bytes(SIZE_BYTES)) != SIZE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def steady(path: Path) -> bytes:
    """The file as it was at one moment, also while a daemon writes: twice the same. OSError."""
    content = path.read_bytes()
    while content != (again := path.read_bytes()):
        content = again
    return content


def _records(content: bytes) -> Iterator[Record]:
    """Whole records, wherever they begin."""
    at = 0
    while (at := content.find(_MAGIC, at)) >= 0:
        record = _record(content, at) if at % BLOCK_BYTES == 0 else None
        at += BLOCK_BYTES if record is None else 0
        if record is not None:
            yield record
            at = record[1]


def _record(content: bytes, at: int) -> Record | None:
    if len(content) - at < _HEAD.size:
        return None
    _, number, length, crc = _HEAD.unpack_from(content, at)
    body = content[at + _HEAD.size : at + _HEAD.size + length]
    if len(body) != length or crc != _crc(number, body):
        return None
    end = at + _HEAD.size + length
    return number, -(-end // BLOCK_BYTES) * BLOCK_BYTES, body


def _crc(number: int, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(number.to_bytes(8, "little")))
