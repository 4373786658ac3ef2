"""The one place that reads time: wall time in UTC, monotonic seconds, sleeping, and how far to trust wall time."""

import asyncio
import ctypes
import sys
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

_STA_UNSYNC = 0x0040  # <sys/timex.h>: the kernel's clock is not synchronized
_STA_NANO = 0x2000  # the offset is in nanoseconds, not microseconds
_LONG_BYTES = ctypes.sizeof(ctypes.c_long)
_OFFSET_AT = _LONG_BYTES  # offsetof(struct timex, offset), in bytes
_STATUS_AT = 5 * _LONG_BYTES  # offsetof(struct timex, status), in bytes


class TimeQuality(StrEnum):
    """How far an event's wall time can be trusted (contract, section 3)."""

    SYNCED = "synced"
    HOLDOVER = "holdover"
    UNSYNCED = "unsynced"
    CORRECTED = "corrected"


class Clock(Protocol):
    """Time as the rest of the house sees it."""

    def utc(self) -> datetime:
        """Wall time, timezone-aware, UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""

    def quality(self) -> TimeQuality:
        """How far `utc()` can be trusted now."""

    def offset_ms(self) -> float:
        """How far wall time is known to be off, in milliseconds; 0 where nobody measures it."""

    async def sleep(self, seconds: float) -> None:
        """Wait; a jump of the wall clock changes nothing."""


class SystemClock:
    """The machine's own clock; its quality is what the kernel's NTP discipline says (adjtimex)."""

    def __init__(self) -> None:
        self._synced_before = False
        self._checked_at_s = -1e9
        self._quality = TimeQuality.UNSYNCED
        self._offset_ms = 0.0

    def utc(self) -> datetime:
        """Wall time, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since boot or so."""
        return time.monotonic()

    def quality(self) -> TimeQuality:
        """Asks the kernel at most once a second."""
        self._ask()
        return self._quality

    def offset_ms(self) -> float:
        """What the kernel's NTP discipline has still to correct."""
        self._ask()
        return self._offset_ms

    def _ask(self) -> None:
        now_s = time.monotonic()
        if now_s - self._checked_at_s < 1.0:
            return
        self._checked_at_s = now_s
        synced, self._offset_ms = _kernel()
        self._synced_before |= synced
        lost = TimeQuality.HOLDOVER if self._synced_before else TimeQuality.UNSYNCED
        self._quality = TimeQuality.SYNCED if synced else lost

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop's monotonic clock."""
        await asyncio.sleep(seconds)


def _kernel() -> tuple[bool, float]:
    """adjtimex(2): is the clock disciplined, and how many milliseconds is it off."""
    timex = (ctypes.c_char * 256)()
    if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
        return False, 0.0
    status = int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], sys.byteorder)
    offset = int.from_bytes(timex.raw[_OFFSET_AT : _OFFSET_AT + _LONG_BYTES], sys.byteorder, signed=True)
    return not status & _STA_UNSYNC, offset / (1e6 if status & _STA_NANO else 1e3)


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T10:06:19.123Z`: UTC, milliseconds (contract, section 1)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
