"""What an uplink sends once more because it was asked to, and how fast what waited while it was away may go out."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from gateway.database import Row
from gateway.event import Lane
from gateway.letters import dead_between, look_back, put_again, read_again
from gateway.store import Store


class Rate:
    """A bucket that holds what one second allows. None: no limit."""

    def __init__(self, per_s: float | None) -> None:
        self.per_s = per_s
        self._next_s = 0.0

    def allows(self, now_s: float) -> bool:
        """May one more go out now?"""
        return self.per_s is None or now_s >= self._next_s

    def took(self, now_s: float) -> None:
        """One went out."""
        if self.per_s is not None:
            self._next_s = max(self._next_s, now_s - 1.0 + 1.0 / self.per_s) + 1.0 / self.per_s


@dataclass(slots=True)
class Replay:
    """One lane's range, read ahead piece by piece: rows with seq > `read_to`, up to `upto`, are still to be read."""

    after: int = 0  # as it stands on disk
    read_to: int = 0
    upto: int = 0
    waiting: deque[Row] = field(default_factory=deque)
    flying: list[Row] = field(default_factory=list)

    def ask(self, after: int, upto: int) -> None:
        """This range from now on; what was asked for before and has not gone out belongs to it."""
        self.after = self.read_to = after
        self.upto = upto
        self.waiting.clear()

    def merged(self, after: int, upto: int) -> tuple[int, int]:
        """The range together with what is still to go out."""
        return (min(self.after, after), max(self.upto, upto)) if self.after < self.upto else (after, upto)

    def rewind(self) -> None:
        """The link is lost: what was in flight goes out again."""
        self.waiting.extendleft(reversed(self.flying))
        self.flying.clear()

    def landed(self, row: Row) -> None:
        """It is not in flight any more."""
        self.flying = [flying for flying in self.flying if flying is not row]

    def back(self, row: Row) -> None:
        """The broker refused it: it goes out again, in its turn."""
        self.landed(row)
        self.waiting = deque(sorted((row, *self.waiting), key=lambda waiting: waiting.seq))

    @property
    def short(self) -> bool:
        """It is to be read on, or is at its end and to be forgotten."""
        return self.after < self.upto and not self.waiting and (self.read_to < self.upto or not self.flying)

    async def fill(self, store: Store, uplink: str, lane: Lane, limit: int) -> bool:
        """Read ahead a piece; True: there may be more to do. StorageError when the disk fails."""
        if not self.short:
            return False
        if self.read_to < self.upto:
            start, upto = self.read_to, self.upto
            rows, end = await store.read(
                partial(read_again, uplink=uplink, lane=lane, after=start, upto=upto, limit=limit)
            )
            if (start, upto) == (self.read_to, self.upto):
                self.waiting.extend(rows)
                self.read_to = end
            return True
        upto = self.upto
        await store.transact(partial(put_again, uplink=uplink, lane=lane, after=upto, upto=upto))
        if upto == self.upto and not self.waiting:
            self.after = upto
        return False


@dataclass(slots=True)
class Found:
    """What is kept of the numbers `first` to `last`: `count` of them, with `after` < seq <= `upto`; ranges gone."""

    first: int
    last: int
    after: int = 0
    upto: int = 0
    count: int = 0
    gone: list[tuple[int, int]] = field(default_factory=list)


async def look(store: Store, uplink: str, lane: Lane, newest_seq: int, first: int, last: int) -> Found:
    """Look through history, newest first and piece by piece, and through the dead letters. StorageError."""
    kept = await store.read(partial(dead_between, uplink=uplink, lane=lane, first=first, last=last))
    below = newest_seq + 1
    while below and first <= last:
        pairs = await store.read(partial(look_back, uplink=uplink, lane=lane, below=below, first=first))
        below = pairs.pop()[0] if pairs and pairs[-1][1] == 0 else 0
        kept += [pair for pair in pairs if pair[1] <= last]
    return _found(first, last, sorted({number: seq for seq, number in kept}.items()))


def _found(first: int, last: int, kept: Sequence[tuple[int, int]]) -> Found:
    """`kept`: (number, seq) in order."""
    found = Found(first, last, count=len(kept))
    due = first
    for number, _ in kept:
        if number > due:
            found.gone.append((due, number - 1))
        due = number + 1
    if due <= last:
        found.gone.append((due, last))
    if kept:
        found.after, found.upto = kept[0][1] - 1, kept[-1][1]
    return found
