"""The one place that reads time: wall time in UTC, monotonic seconds, sleeping, and how far to trust wall time."""

import asyncio
import ctypes
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

_STA_UNSYNC = 0x0040  # <sys/timex.h>: the kernel's clock is not synchronized
_STATUS_OFFSET = 40  # offsetof(struct timex, status) where long has 8 bytes
_STATUS_OFFSET_32 = 20  # the same where long has 4 bytes


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

    async def sleep(self, seconds: float) -> None:
        """Wait; a jump of the wall clock changes nothing."""


class SystemClock:
    """The machine's own clock; its quality is what the kernel's NTP discipline says (adjtimex)."""

    def __init__(self) -> None:
        self._synced_before = False
        self._checked_at = -1e9
        self._quality = TimeQuality.UNSYNCED

    def utc(self) -> datetime:
        """Wall time, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since boot or so."""
        return time.monotonic()

    def quality(self) -> TimeQuality:
        """Asks the kernel at most once a second."""
        now = time.monotonic()
        if now - self._checked_at >= 1.0:
            self._checked_at = now
            self._quality = self._ask()
        return self._quality

    def _ask(self) -> TimeQuality:
        if _kernel_synced():
            self._synced_before = True
            return TimeQuality.SYNCED
        return TimeQuality.HOLDOVER if self._synced_before else TimeQuality.UNSYNCED

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop's monotonic clock."""
        await asyncio.sleep(seconds)


def _kernel_synced() -> bool:
    timex = (ctypes.c_char * 256)()
    if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
        return False
    offset = _STATUS_OFFSET if ctypes.sizeof(ctypes.c_long) == 8 else _STATUS_OFFSET_32
    return not int.from_bytes(timex.raw[offset : offset + 4], "little") & _STA_UNSYNC


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T10:06:19.123Z`: UTC, milliseconds (contract, section 1)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
