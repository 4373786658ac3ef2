"""Floor plans on this box's own disk: a picture for a place, and where on it devices stand.

`STATE_DIR/plans` has one picture a place (`b3_u2_f5.png`; no level's name has an underscore) and `plans.json`, which
names them and says by place and device the position in permille of the picture's width and height. A file is written
aside, synced and renamed, the picture before `plans.json` names it: a power cut leaves the old or the new plan. Files
are read and written on the store's reading thread.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from gateway.drawings import CONTENT_TYPES, Drawing
from gateway.errors import StorageError, Text
from gateway.store import Store
from gateway.whole import put_whole

FOLDER, PLANS = "plans", "plans.json"
MOST_PERMILLE = 1000
T = TypeVar("T")


class Pin(NamedTuple):
    """Where a device stands on a plan, in permille from its left and its top."""

    x: int
    y: int


@dataclass(frozen=True)
class Sheet:
    """A plan's picture, as far as a page needs it; `version` changes with its content."""

    place: str
    file: str
    width: int  # pixels
    height: int
    version: str

    @property
    def content_type(self) -> str:
        """Of its file."""
        return CONTENT_TYPES[self.file.rpartition(".")[2]]


@dataclass(frozen=True)
class _Kept:
    """What `plans.json` says, by place."""

    sheets: Mapping[str, Sheet] = field(default_factory=dict)
    pins: Mapping[str, Mapping[str, Pin]] = field(default_factory=dict)


_ADAPTER = TypeAdapter(_Kept)


class Plans:
    """The folder `plans/` of the state folder. Read when it is first asked for; from then on this alone writes it."""

    def __init__(self, state_dir: Path, store: Store) -> None:
        self._folder = state_dir / FOLDER
        self._store = store
        self._turn = asyncio.Lock()
        self._known: _Kept | None = None

    async def sheets(self) -> Mapping[str, Sheet]:
        """By place: those that have a picture. StorageError."""
        return (await self._kept()).sheets

    async def pins(self, place: str) -> Mapping[str, Pin]:
        """By device: where they stand on this place's plan. StorageError."""
        return (await self._kept()).pins.get(place, {})

    async def picture(self, place: str) -> bytes | None:
        """None: it has none. StorageError."""
        sheet = (await self.sheets()).get(place)
        return None if sheet is None else await self._do(lambda: _read(self._folder / sheet.file))

    async def put(self, place: str, made: Drawing) -> Sheet:
        """On disk when it returns; the place's pins stay. StorageError: nothing changed."""
        version = hashlib.sha256(made.body).hexdigest()[:12]
        sheet = Sheet(place, f"{place.replace('/', '_')}.{made.kind}", made.width, made.height, version)
        async with self._turn:
            kept = await self._kept()
            await self._do(lambda: _put(self._folder / sheet.file, made.body))
            await self._keep(replace(kept, sheets={**kept.sheets, place: sheet}))
        return sheet

    async def remove(self, place: str) -> None:
        """The picture and the pins on it. StorageError."""
        async with self._turn:
            kept = await self._kept()
            await self._keep(_Kept(_without(kept.sheets, place), _without(kept.pins, place)))

    async def pin(self, place: str, device: str, pin: Pin | None) -> None:
        """It stands there now; None: nowhere on this plan. StorageError: nothing changed."""
        async with self._turn:
            kept = await self._kept()
            mine = _without(kept.pins.get(place, {}), device) | ({} if pin is None else {device: pin})
            await self._keep(replace(kept, pins={**kept.pins, place: mine}))

    async def _kept(self) -> _Kept:
        if self._known is None:
            self._known = await self._do(lambda: _load(self._folder / PLANS))
        return self._known

    async def _keep(self, kept: _Kept) -> None:
        """And what nothing names any more goes."""
        content, named = _ADAPTER.dump_json(kept, indent=1), {sheet.file for sheet in kept.sheets.values()} | {PLANS}

        def work() -> None:
            _put(self._folder / PLANS, content)
            for path in self._folder.iterdir():
                if path.name not in named:
                    path.unlink()

        await self._do(work)
        self._known = kept

    async def _do(self, work: Callable[[], T]) -> T:
        done = await self._store.read(lambda _: _tried(work))
        if isinstance(done, OSError):
            raise StorageError(
                str(self._folder),
                Text(f"floor plans cannot be kept: {done.strerror}", f"平面图无法保存:{done.strerror}"),
                Text("free space or check the folder's rights", "请清理空间或检查目录权限"),
            ) from done
        return done


def _without(mapping: Mapping[str, T], name: str) -> dict[str, T]:
    return {other: value for other, value in mapping.items() if other != name}


def _tried(work: Callable[[], T]) -> T | OSError:
    """Not raised: the store would take it for trouble of its own."""
    try:
        return work()
    except OSError as error:
        return error


def _load(path: Path) -> _Kept:
    """Nothing, where it cannot be understood: plans are to be brought anew then."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return _Kept()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    put_whole(path, content)
