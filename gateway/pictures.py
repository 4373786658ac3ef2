"""Cameras' pictures on this box's own disk: bounded in bytes and age, referenced from events, never sent by themselves.

A picture may show a face, so it leaves only when an uplink whose policy says `pictures: true` asks for it, in pieces.
It is written aside, synced and renamed before its event is told. Files are written and read on the store's reading
thread, as a slow disk must not hold up the event path.
"""

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gateway.clock import Clock
from gateway.driver import Picture
from gateway.errors import StorageError, Text
from gateway.rulebook import PicturesConfig
from gateway.store import Store

PIECE_BYTES = 48 * 1024  # of one answer: 64 KiB as base64, the most that an event may have (contract, section 3)
TIDY_S = 3600.0
_TIME = "%Y%m%dT%H%M%S.%fZ"
_REF = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)_[a-z0-9-]{1,63}_([0-9a-f]{64})\.(jpg|png|bin)")
_ENDINGS = {"image/jpeg": "jpg", "image/png": "png"}
_TYPES = {ending: kind for kind, ending in _ENDINGS.items()} | {"bin": "application/octet-stream"}
T = TypeVar("T")


class Kept(NamedTuple):
    """A picture on disk."""

    ref: str
    bytes: int


class Pictures:
    """The folder `pictures/` of the state folder."""

    def __init__(self, folder: Path, limits: PicturesConfig, store: Store, clock: Clock) -> None:
        self._folder = folder
        self._limits = limits
        self._store = store
        self._clock = clock

    async def keep(self, device: str, picture: Picture) -> dict[str, Any]:
        """On disk when it returns; what an event says of it: `ref`, `sha256`, `bytes`, `content_type`. StorageError."""
        now, digest = self._clock.utc(), hashlib.sha256(picture.body).hexdigest()
        ref = f"{now.strftime(_TIME)}_{device}_{digest}.{_ENDINGS.get(picture.content_type, 'bin')}"

        def work() -> None:
            self._make_room(len(picture.body), now)
            _write(self._folder, ref, picture.body)

        await self._do(ref, work)
        kind = content_type(ref)
        return {"ref": ref, "sha256": digest, "bytes": len(picture.body), "content_type": kind}

    async def read(self, ref: str) -> bytes | None:
        """The picture; None where it is not kept (any more), or is not what it was. StorageError."""
        found = _REF.fullmatch(ref)
        if found is None:
            return None

        def work() -> bytes | None:
            try:
                return (self._folder / ref).read_bytes()
            except FileNotFoundError:
                return None

        body = await self._do(ref, work)
        return body if body is not None and hashlib.sha256(body).hexdigest() == found[2] else None

    async def piece(self, ref: str, offset: int = 0) -> dict[str, Any] | None:
        """For an uplink: up to 48 KiB from `offset` as base64; `next` is the next offset, left out at the end."""
        body = await self.read(ref)
        if body is None:
            return None
        data, after = body[offset : offset + PIECE_BYTES], offset + PIECE_BYTES
        said = {"ref": ref, "bytes": len(body), "content_type": content_type(ref), "offset": offset}
        more = {"next": after} if after < len(body) else {}
        return {**said, "data": base64.b64encode(data).decode(), **more}

    async def run(self) -> None:
        """Too old ones go, for ever."""
        while True:
            with suppress(StorageError):  # the next keep() meets and tells it
                await self.tidy()
            await self._clock.sleep(TIDY_S)

    async def tidy(self) -> None:
        """What is too old, or too much, goes. StorageError."""
        await self._do("", lambda: self._make_room(0, self._clock.utc()))

    def _make_room(self, more_bytes: int, now: datetime) -> None:
        kept = sorted(_listed(self._folder))
        used_bytes = sum(picture.bytes for picture in kept) + more_bytes
        oldest = now - timedelta(seconds=self._limits.max_age)
        for ref, size_bytes in kept:
            if used_bytes <= self._limits.max_size and taken(ref) >= oldest:
                break
            (self._folder / ref).unlink(missing_ok=True)
            used_bytes -= size_bytes

    async def _do(self, ref: str, work: Callable[[], T]) -> T:
        done = await self._store.read(lambda _: _tried(work))
        if isinstance(done, OSError):
            raise StorageError(
                str(self._folder / ref),
                Text(f"pictures cannot be kept: {done.strerror}", f"图片无法保存:{done.strerror}"),
                Text("free space or check the folder's rights", "请清理空间或检查目录权限"),
            ) from done
        return done


def _tried(work: Callable[[], T]) -> T | OSError:
    """Not raised: the store would take it for trouble of its own."""
    try:
        return work()
    except OSError as error:
        return error


def content_type(ref: str) -> str:
    """Of a kept picture."""
    return _TYPES[ref.rpartition(".")[2]]


def taken(ref: str) -> datetime:
    """When it was kept."""
    return datetime.strptime(ref.partition("_")[0], _TIME).replace(tzinfo=UTC)


def _listed(folder: Path) -> Iterator[Kept]:
    """Pictures that are kept; what a power cut left half written is removed."""
    if not folder.is_dir():
        return
    for entry in os.scandir(folder):
        if _REF.fullmatch(entry.name):
            yield Kept(entry.name, entry.stat().st_size)
        elif entry.name.endswith("~"):
            os.unlink(entry.path)


def _write(folder: Path, name: str, body: bytes) -> None:
    """Written aside, synced, renamed, folder synced."""
    folder.mkdir(mode=0o700, exist_ok=True)
    aside = folder / f"{name}~"
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(folder / name)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
