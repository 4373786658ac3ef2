"""When a whole line is silent its devices' `device.offline` have one cause: one of them stays, the rest is suppressed.

The one that stays is the first device's of the line. The first device that answers again ends it for all.
"""

import asyncio
from collections.abc import Mapping, Sequence

from gateway.alarms import Alarm, Book
from gateway.audit import By
from gateway.covers import Covers
from gateway.deeds import Hand
from gateway.errors import StorageError
from gateway.measures import cover
from gateway.pipeline import Taken
from gateway.states import OFFLINE

RETRY_S = 1.0


class Outages:
    """`heard` is told of what was taken in; `run` does what follows from it."""

    def __init__(self, hand: Hand, covers: Covers, lines: Mapping[str, Sequence[str]]) -> None:
        self._hand = hand
        self._covers = covers
        self._lines = lines  # by their name as a cause: their devices, in the order of the configuration
        self._news = asyncio.Event()

    def heard(self, taken: Taken) -> None:
        """A device fell silent, or answers again."""
        if taken.reading.type == OFFLINE:
            self._news.set()

    async def run(self) -> None:
        """For ever."""
        self._news.set()  # what was before the start
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self.settle()
            except StorageError:
                self._news.set()  # the disk's trouble is told by the store
                await self._hand.clock.sleep(RETRY_S)

    async def settle(self) -> None:
        """Suppresses what has one cause, releases what has it no more. StorageError."""
        by = By(self._hand.where.gateway, "rule", "rule:line-down")
        for cause, devices in self._lines.items():
            silent = down(await self._hand.book(), devices)
            if not silent:
                await self._covers.release_cause(cause, by)
            for alarm in silent[1:]:
                if cover(await self._hand.book(), alarm).suppression is None:
                    await self._covers.suppress(alarm, cause, by)


def down(book: Book, devices: Sequence[str]) -> list[Alarm]:
    """Their `device.offline`, where every device of a line of several has one that lasts; else none."""
    found = [alarm for device in devices if (alarm := book.get((device, OFFLINE, ""))) is not None and alarm.active]
    return found if len(found) == len(devices) > 1 else []
