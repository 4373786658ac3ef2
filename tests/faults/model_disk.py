"""What is left of files after a power cut: `Disk` is told every call of a recording (`record.py`).

- What was written before a completed fsync of the file, or on a descriptor that forces each write, is there.
- Of each other write anything may be: all, nothing, or any of its sectors, in whatever order they were issued.
- A name (created, renamed, removed) is there for certain after an fsync of its folder. Until then it may be as before;
  names change on disk in the order of the calls, as in every file system with a journal. They do so without the
  content: a file that was renamed but not forced to disk may be empty under its new name.
"""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from tests.faults.record import Call

SECTOR_BYTES = 512
SHARES = (0.0, 0.5, 0.9, 1.0)  # how much of what was not forced to disk is there, by file
TORN = 0.3  # of the writes


@dataclass(eq=False, slots=True)
class Change:
    """A write: each sector's content after it, by its number. Or a new length in bytes, with no sectors."""

    sectors: dict[int, bytes] = field(default_factory=dict)
    length: int | None = None

    def apply(self, to: bytearray, numbers: Collection[int] | None = None) -> None:
        """To a file's content; a torn one with some of its sectors only."""
        if self.length is not None:
            del to[self.length :]
            to.extend(bytes(self.length - len(to)))
        for number, content in self.sectors.items():
            if numbers is None or number in numbers:
                _put(to, number * SECTOR_BYTES, content)


def _put(to: bytearray, at: int, content: bytes) -> None:
    to.extend(bytes(max(0, at - len(to))))
    to[at : at + len(content)] = content


@dataclass(eq=False, slots=True)
class File:
    """`now` as every program sees it, `safe` on disk, `since`: what has changed that is not safe."""

    now: bytearray = field(default_factory=bytearray)
    safe: bytearray = field(default_factory=bytearray)
    since: list[Change] = field(default_factory=list)

    def write(self, at: int, data: bytes) -> None:
        """It is in memory."""
        _put(self.now, at, data)
        touched = range(at // SECTOR_BYTES, (at + len(data) - 1) // SECTOR_BYTES + 1)
        self.since.append(Change({n: bytes(self.now[n * SECTOR_BYTES : (n + 1) * SECTOR_BYTES]) for n in touched}))

    def resize(self, length: int) -> None:
        """It is cut, or grows with zeros."""
        change = Change(length=length)
        change.apply(self.now)
        self.since.append(change)

    def settle(self, chosen: Callable[[Change], bool]) -> None:
        """These are on disk now, and what they wrote over never will be. Lengths before them are, too."""
        picked = [chosen(change) for change in self.since]
        kept: list[Change] = []
        for place, change in enumerate(self.since):
            if not picked[place] and not (change.length is not None and any(picked[place:])):
                kept.append(change)
                continue
            change.apply(self.safe)
            for earlier in kept:
                _hide(earlier, change)
        self.since = [change for change in kept if change.sectors or change.length is not None]

    def left(self, dice: random.Random) -> bytes:
        """What could be there after a power cut now."""
        content, share = bytearray(self.safe), dice.choice(SHARES)
        for change in self.since:
            if dice.random() < share:
                change.apply(content, _torn(change, dice))
        return bytes(content)


def _hide(earlier: Change, later: Change) -> None:
    for number in list(earlier.sectors):
        gone = later.length is not None and number * SECTOR_BYTES >= later.length
        if gone or number in later.sectors:
            del earlier.sectors[number]


def _torn(change: Change, dice: random.Random) -> Collection[int] | None:
    if dice.random() >= TORN:
        return None
    numbers = list(change.sectors)
    if dice.random() < 0.5:
        return numbers[: dice.randrange(len(numbers) + 1)]
    return {number for number in numbers if dice.random() < 0.5}


class Disk:
    """Files by name. `safe`: what is on it before the recording begins."""

    def __init__(self, safe: Mapping[str, bytes] | None = None) -> None:
        self._now = {path: File(bytearray(content), bytearray(content)) for path, content in (safe or {}).items()}
        self._safe = dict(self._now)
        self._renames: list[dict[str, File | None]] = []  # changes of names that are not safe; None: removed
        self._syncing: dict[str, tuple[File | None, set[Change], int]] = {}  # by thread: what its fsync will force

    def do(self, call: Call) -> None:
        """It happens. KeyError: a file that nobody has made."""
        if call.name == "syncing":
            file = self._now.get(call.path)  # a folder has none
            self._syncing[call.thread] = file, set(file.since) if file else set(), len(self._renames)
        elif call.name == "sync":
            self._sync(*self._syncing.pop(call.thread))
        elif call.name == "create" and call.path not in self._now:
            self._rename({call.path: File()})
        elif call.name == "rename":
            self._rename({call.to: self._now[call.path], call.path: None})
        elif call.name == "unlink":
            self._rename({call.path: None})
        elif call.name in ("write", "forced", "truncate", "grow"):
            _change(self._now[call.path], call)

    def _rename(self, names: dict[str, File | None]) -> None:
        self._renames.append(names)
        self._now = _named(self._now, names)

    def _sync(self, file: File | None, forced: set[Change], renames: int) -> None:
        if file is not None:
            file.settle(forced.__contains__)
            return
        for names in self._renames[:renames]:
            self._safe = _named(self._safe, names)
        del self._renames[:renames]

    def write_back(self, dice: random.Random) -> None:
        """The system writes some of it to disk by itself."""
        for file in self._now.values():
            share = dice.choice(SHARES)
            file.settle(lambda _change, share=share: dice.random() < share)  # type: ignore[misc]

    def now(self) -> dict[str, bytes]:
        """As every program sees it."""
        return {path: bytes(file.now) for path, file in self._now.items()}

    def left(self, dice: random.Random) -> dict[str, bytes]:
        """What could be there after a power cut now."""
        names = self._safe
        for change in self._renames[: dice.randrange(len(self._renames) + 1)]:
            names = _named(names, change)
        return {path: file.left(dice) for path, file in names.items()}


def _named(names: Mapping[str, File], change: Mapping[str, File | None]) -> dict[str, File]:
    return {path: file for path, file in {**names, **change}.items() if file is not None}


def _change(file: File, call: Call) -> None:
    if call.name == "forced":
        newest = file.since[-1]
        file.settle(lambda change: change is newest)
    elif call.name == "write":
        file.write(call.at, call.data)
    else:
        file.resize(call.at if call.name == "truncate" else max(call.at, len(file.now)))
