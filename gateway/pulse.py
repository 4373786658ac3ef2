"""Whether a driver is alive: it uses its link now and then, or waits inside it for what we owe it.

A driver that hangs looks like one with nothing to do. What tells them apart is the driver's own word
(`Driver.quiet_s`): the longest time in which a healthy run on its line leaves its link and its clock alone. While a
call is with us (a slow disk, a sleep) it is never the driver that is late.
"""

import asyncio
import traceback
from collections.abc import Iterable, Iterator
from datetime import datetime
from types import FrameType, TracebackType
from typing import Any
from weakref import WeakSet

from gateway.clock import Clock, Jump, TimeQuality

GRACE_S = 1.0  # after a pause of the whole process the driver gets its turn first


class Pulse:
    """Of one line: `beat()` at each call, `with pulse:` around one that may take long."""

    def __init__(self, clock: Clock) -> None:
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()  # those that used the link
        self._clock = clock
        self._beaten_s = clock.monotonic()
        self._inside = 0

    def beat(self) -> None:
        """The driver used its link just now."""
        self._beaten_s = self._clock.monotonic()

    def __enter__(self) -> None:
        self._inside += 1
        if (task := asyncio.current_task()) is not None:
            self.tasks.add(task)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._inside -= 1
        self.beat()

    @property
    def quiet_s(self) -> float:
        """Seconds since the driver last used its link; 0 while it waits there."""
        return 0.0 if self._inside else self._clock.monotonic() - self._beaten_s

    async def stops(self, after_s: float) -> None:
        """Returns when the line has been quiet for `after_s`, and a moment more."""
        while True:
            await self._clock.sleep(max(after_s - self.quiet_s, GRACE_S))
            if self.quiet_s >= after_s:
                await self._clock.sleep(GRACE_S)
                if self.quiet_s >= after_s:
                    return


class PulseClock:
    """The clock a driver gets: reading it is a sign of life, sleeping on it is waiting with us."""

    def __init__(self, clock: Clock, pulse: Pulse) -> None:
        self._clock = clock
        self._pulse = pulse

    @property
    def boot(self) -> str:
        """Tells this boot of the machine from every other."""
        return self._clock.boot

    @property
    def jump(self) -> Jump | None:
        """The last one seen."""
        return self._clock.jump

    def since_boot_s(self) -> float:
        """Seconds since the machine's boot."""
        return self._clock.since_boot_s()

    def at_least(self) -> datetime:
        """A moment that has passed for certain."""
        return self._clock.at_least()

    def learn(self, moment: datetime, boot: str, at_s: float, was_set: bool) -> None:
        """What was known earlier."""
        self._clock.learn(moment, boot, at_s, was_set)

    def utc(self) -> datetime:
        """Wall time, UTC."""
        self._pulse.beat()
        return self._clock.utc()

    def monotonic(self) -> float:
        """Seconds; never goes back."""
        self._pulse.beat()
        return self._clock.monotonic()

    def quality(self) -> TimeQuality:
        """How far wall time can be trusted."""
        return self._clock.quality()

    def offset_ms(self) -> float:
        """How far wall time is known to be off."""
        return self._clock.offset_ms()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        with self._pulse:
            await self._clock.sleep(seconds)


def standing(tasks: Iterable[asyncio.Task[Any]]) -> str:
    """Where each task waits, innermost call last, as tracebacks are written; no values of variables."""
    told: list[str] = []
    for task in tasks:
        if not task.done():
            frames = list(traceback.StackSummary.extract(_frames(task.get_coro())))
            told += [f"task {task.get_name()}:\n", *traceback.format_list(frames)]
    return "".join(told).rstrip()


def _frames(awaited: Any) -> Iterator[tuple[FrameType, int]]:
    """`Task.get_stack` ends at the first await; this follows what awaits what to the innermost."""
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            yield frame, frame.f_lineno
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
