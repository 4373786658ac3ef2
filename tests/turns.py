"""How long the event loop is held at once: the processor time of its own thread, whatever else the machine does."""

import asyncio
import time
from types import TracebackType
from typing import Self

EVERY_S = 0.001


class Turns:
    """`with Turns() as turns:` then `turns.longest_s`, and `turns.told()` for people."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._over: dict[int, int] = dict.fromkeys((5, 20, 50), 0)
        self._before_s = 0.0
        self._next: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._before_s = time.thread_time()
        self._tick()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._next is not None:
            self._next.cancel()

    def told(self) -> str:
        """In milliseconds."""
        over = ", ".join(f"{count} over {most_ms} ms" for most_ms, count in self._over.items())
        return f"the loop held for {self.longest_s * 1000:.1f} ms at most ({over})"

    def _tick(self) -> None:
        now_s = time.thread_time()
        held_s, self._before_s = now_s - self._before_s, now_s
        self.longest_s = max(self.longest_s, held_s)
        for most_ms in self._over:
            self._over[most_ms] += held_s * 1000 > most_ms
        self._next = asyncio.get_running_loop().call_later(EVERY_S, self._tick)
