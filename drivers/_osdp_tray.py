"""Readings on their way to disk, of one reader.

The disk comes first: the door opens and the reader is polled again after the commit. But a door must work: when the
disk fails or takes longer than half a second, the door goes on, and what could not be stored is kept in memory and
told, in order, when the disk is back.
"""

import asyncio
from collections import deque
from dataclasses import replace

from gateway.clock import rfc3339
from gateway.driver import Link
from gateway.errors import StorageError
from gateway.event import Phase, Reading

PATIENCE_S = 0.5
RETRY_S = 1.0
ROOM = 1000  # readings


class Tray:
    """Holds readings until they are stored."""

    def __init__(self, device: str, link: Link) -> None:
        self._device = device
        self._link = link
        self._waiting: deque[Reading] = deque()
        self._more = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._dropped = 0
        self._failing = False

    async def put(self, *readings: Reading) -> None:
        """Returns when they are on disk, or after `PATIENCE_S` when the disk does not take them."""
        if not readings:
            return
        self._waiting.extend(readings)
        self._trim()
        self._empty.clear()
        self._more.set()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._empty.wait()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Stores what is put, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                await self._store()
            self._empty.set()

    async def _store(self) -> None:
        batch, self._waiting = list(self._waiting), deque()
        lost, self._dropped = self._lost(), 0
        try:
            await self._link.emit(*batch, *lost)
        except StorageError as error:
            self._put_back(batch, lost, error)
            await self._link.clock.sleep(RETRY_S)
        else:
            self._failing = False

    def _put_back(self, batch: list[Reading], lost: list[Reading], error: StorageError) -> None:
        if not self._failing:
            self._link.log.error("%s; the door goes on, what happens is told later", error)
        self._failing = True
        seen = rfc3339(self._link.clock.utc())
        self._waiting.extendleft(_stamped(reading, seen) for reading in reversed(batch))
        self._dropped += sum(int(str(reading.data["count"])) for reading in lost)
        self._trim()

    def _trim(self) -> None:
        while len(self._waiting) > ROOM:
            self._waiting.popleft()
            self._dropped += 1

    def _lost(self) -> list[Reading]:
        if not self._dropped:
            return []
        reason, data = "not-stored", {"count": self._dropped}
        return [Reading(self._device, "device.unmapped", Phase.PULSE, reason=reason, data=data)]


def _stamped(reading: Reading, seen: str) -> Reading:
    """The event's own time will be when it was stored; `seen_at` is when it was seen."""
    return replace(reading, data={"seen_at": seen, **reading.data})
