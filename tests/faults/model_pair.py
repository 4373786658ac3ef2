"""A real store and its model, side by side: what is done to the one is told to the other, and compared.

The store lives in a process of its own (`model_life.py`) under a recorder, and its files on a `Disk` of which we know
what is safe. What it does in a step is taken note of call by call, so a life can end between any two of them.
"""

import json
import random
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gateway.alarms import Alarm
from gateway.event import Lane, Severity
from tests.faults.model_disk import Disk
from tests.faults.model_store import UPLINKS, Broken, Event, Model
from tests.faults.record import Call, Recording
from tests.faults.seen import allow

NO_LIMIT = resource.RLIM_INFINITY


@dataclass(frozen=True)
class Wish:
    """An event to be taken in. `flags`: device, active, acknowledged, latched."""

    lane: Lane
    bytes: int
    uplinks: Sequence[str]
    private: bool = False
    flags: tuple[str, bool, bool, bool] | None = None


@dataclass(frozen=True)
class Do:
    """One thing to do: append, confirm, fact, trim or look, as `model_life.py` does it."""

    what: str
    events: Sequence[Wish] = ()
    uplink: str = ""
    lane: Lane = Lane.ALARM
    count: int = 0
    fails: bool = False


@dataclass(frozen=True)
class Fate:
    """A life ends so many calls before the end of a step; with `power` the machine does, too."""

    back: int
    power: bool
    seed: int


class Pair:
    """`state`: an empty folder."""

    def __init__(self, recording: Recording, state: Path) -> None:
        self._recording = recording
        self._state = state
        self._number = 0
        self._pid: int | None = None
        self._asked: list[Callable[[], None]] = []  # by number: what it means when it is done
        self._took: list[tuple[str, Lane]] = []  # by number: whose
        self._marks_s = 0.0
        self.disk = Disk()
        self.model = Model()
        self.full = False
        self.was_full = False  # in this life: what was confirmed then may be sent again
        self.known = False  # all has been looked at in this life

    def play(self, actions: Sequence[Do]) -> None:
        """A step that nothing interrupts. Broken."""
        self._happens(self.ask(actions))
        if not self.full:
            self.model.all_seen()

    def ask(self, actions: Sequence[Do]) -> list[Call]:
        """A step: what it did, not yet taken note of. What is not possible now is left out."""
        self._asked, self._took = [], []
        able = [do for do in actions if self.known or do.what in ("append", "fact", "look")]
        orders = [self._order(do) for do in able if do.uplink in ("", *self.model.configured)]
        self._recording.tell(orders)
        return self._until("end")

    def _order(self, do: Do) -> dict[str, Any]:
        order: dict[str, Any] = {"do": do.what, "uplink": do.uplink, "lane": do.lane, "count": do.count}
        done: Callable[[], None] = lambda: None  # noqa: E731
        if do.what == "append":
            numbers = range(self._number + 1, self._number + 1 + len(do.events))
            wished = zip(do.events, numbers, strict=True)
            append = self.model.append([_event(wish, number, self.model.configured) for wish, number in wished])
            self._number = numbers[-1]
            order["events"] = [event.order() for event in append.events]
            done = append.accept
        elif do.what == "fact":
            self._number += 1
            order |= {"value": str(self._number), "fails": do.fails}
            if not do.fails:
                self.model.set_fact(order["value"])
                done = partial(self.model.fact_set, order["value"])
        elif do.what == "trim":
            self.model.trim()
            done = self.model.trimmed
        self._asked.append(done)
        self._took.append((do.uplink, do.lane))
        return order

    # lives

    def begin(self, uplinks: Sequence[str] = UPLINKS, most_bytes: int = NO_LIMIT, marks_s: float = 0.0) -> None:
        """A life, on a disk where no file may grow beyond `most_bytes`; what it finds. Broken."""
        self.model.configured, self.model.earlier = uplinks, len(self.model.appends)
        self._marks_s = marks_s
        self.full = self.was_full = most_bytes != NO_LIMIT
        self.known = False
        self._happens(self.start(most_bytes))
        self.play([Do("look")])

    def start(self, most_bytes: int = NO_LIMIT) -> list[Call]:
        """A life: what it did, not yet taken note of."""
        order = {"start": str(self._state), "uplinks": self.model.configured}
        self._recording.tell(order | {"limit": most_bytes, "marks_s": self._marks_s})
        return self._until("up")

    def end(self, how: str) -> list[Call]:
        """A life closes, or dies: what it did, not yet taken note of."""
        self._recording.tell(how)
        return self._until("left")

    def close(self) -> None:
        """A life ends in order, and the recorder has missed nothing of it. Broken."""
        self._happens(self.end("close"))
        if not self.was_full:
            self.model.closed()
        there = {str(path): path.read_bytes() for path in self._state.iterdir()}
        recorded = self.disk.now()
        wrong = [path for path in there.keys() | recorded.keys() if there.get(path) != recorded.get(path)]
        assert all(path.endswith("-shm") for path in wrong), f"not recorded: {wrong}"

    def cut(self, calls: Sequence[Call], fate: Fate) -> None:
        """What a life did, up to its end as this fate has it; the folder is what is left."""
        self._happens(calls[: len(calls) - fate.back % (len(calls) + 1)])
        if fate.power:
            self.disk = Disk(self.disk.left(random.Random(fate.seed)))
        for path in self._state.iterdir():
            path.unlink()
        for name, content in self.disk.now().items():
            Path(name).write_bytes(content)

    def limit(self, most_bytes: int) -> None:
        """No file may grow beyond it."""
        assert self._pid is not None
        allow(self._pid, most_bytes)
        self.full = most_bytes != NO_LIMIT
        self.was_full |= self.full

    def stop(self) -> None:
        """Whatever state it is in."""
        if self._pid is not None:
            self.end("die")

    # what it says

    def _until(self, word: str) -> list[Call]:
        calls = self._recording.until(
            lambda call: call.name == "say" and bool({word, "left"} & json.loads(call.data).keys())
        )
        message = json.loads(calls[-1].data)
        self._pid = message.get("up", None if "left" in message else self._pid)
        if word not in message or message.get("left", 0) not in (0, -9):
            raise Broken(f"the store ended with {message}: {self._recording.complaint()}")
        return calls

    def _happens(self, calls: Sequence[Call]) -> None:
        for call in calls:
            if call.name == "say":
                self._hears(json.loads(call.data))
            else:
                self.disk.do(call)

    def _hears(self, said: dict[str, Any]) -> None:
        match said:
            case {"done": int(number)}:
                self._asked[number]()
            case {"shown": lane, "rows": rows}:
                self.model.see(Lane(lane), rows)
            case {"taken": int(number), "rows": rows}:
                self.model.take(*self._took[number], rows)
            case {"seen": _}:
                self._looks(said)
            case {"up": _, "failing": True} | {"refused": _} if not self.full:
                raise Broken(f"there is room, and it says {said}")

    def _looks(self, found: dict[str, Any]) -> None:
        if self.known:
            self.model.look(found)
        else:
            self.known = True
            self.model.begin(found)


def _event(wish: Wish, number: int, configured: Sequence[str]) -> Event:
    moment_ms = 1_700_000_000_000 + number
    identity = f"{moment_ms >> 16:08x}-{moment_ms & 0xFFFF:04x}-7000-8000-000000000000"
    alarm = None
    if wish.flags is not None:
        device, active, acknowledged, latched = wish.flags
        alarm = Alarm(
            device, "door.forced", "", identity, Severity.HIGH, active, acknowledged, False, latched,
            number, 1, moment_ms, False,
        )  # fmt: skip
    uplinks = [uplink for uplink in wish.uplinks if uplink in configured]
    return Event(wish.lane, identity, wish.bytes, uplinks, f'"{identity}"' if wish.private else None, alarm)
