"""The one place that reads time: wall time in UTC, monotonic seconds, sleeping, and how far to trust wall time.

A box without a battery clock starts in 1970, or at the time it last saved, and jumps when the network comes. So there
is a second wall time beside what the machine shows: a moment that has passed for certain (`at_least`). It proves that
something is over, never that something has not begun (docs/decisions/0009).
"""

import asyncio
import ctypes
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from gateway import RELEASED

JUMP_S = 5.0  # wall time that moved so far against the monotonic clock was set; a slew makes 500 ppm (adjtimex(2))
_ASK_S = 1.0  # how often the kernel is asked at most
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # random(4)
_BOOT_CHARS = 8  # of the boot id: enough to tell one boot from another
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


TRUSTED = frozenset({TimeQuality.SYNCED, TimeQuality.HOLDOVER})


@dataclass(frozen=True, slots=True)
class Jump:
    """Wall time was set; noticed `at_s` after boot. `trusted`: it had been right, and is off by `offset_s` since."""

    offset_s: float
    at_s: float
    trusted: bool


class Clock(Protocol):
    """Time as the rest of the house sees it."""

    @property
    def boot(self) -> str:
        """Tells this boot of the machine from every other."""

    @property
    def jump(self) -> Jump | None:
        """The last one seen."""

    def utc(self) -> datetime:
        """Wall time, timezone-aware, UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""

    def since_boot_s(self) -> float:
        """Seconds since the machine's boot, the same for every process; never goes back."""

    def quality(self) -> TimeQuality:
        """How far `utc()` can be trusted now."""

    def at_least(self) -> datetime:
        """A moment that has passed for certain, UTC; it moves on with the monotonic clock."""

    def learn(self, moment: datetime, boot: str, at_s: float, was_set: bool) -> None:
        """What was known earlier: `moment` had passed `at_s` into `boot`; `was_set`: the clock had been set in it."""

    def offset_ms(self) -> float:
        """How far wall time is known to be off, in milliseconds; 0 where nobody measures it."""

    async def sleep(self, seconds: float) -> None:
        """Wait; a jump of the wall clock changes nothing."""


class Machine:
    """What the kernel says of time."""

    def __init__(self) -> None:
        self.boot = _BOOT_ID.read_text("ascii")[:_BOOT_CHARS]

    def wall_s(self) -> float:
        """Seconds since 1970, as the machine believes."""
        return time.time()

    def since_boot_s(self) -> float:
        """Seconds since boot, time asleep included (clock_gettime(2), CLOCK_BOOTTIME)."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def discipline(self) -> tuple[bool, float]:
        """adjtimex(2): is the clock synchronized, and how many milliseconds is it off."""
        return _kernel()


class SystemClock:
    """The machine's own clock; its quality is what the kernel's NTP discipline says (adjtimex).

    Never set by us. While nobody has set it in this boot, `utc()` is never earlier than what has passed for certain.
    """

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine or Machine()
        self.boot = self._machine.boot
        self.jump: Jump | None = None
        self._set_before = False  # in this boot, and not jumped since
        self._asked_at_s = float("-inf")
        self._ahead_s: float | None = None  # wall time minus time since boot, when last looked at
        self._off_s: float | None = None  # how far it was set since it was right; None: it never was
        self._certain_s = RELEASED.timestamp()  # had passed …
        self._certain_at_s = self._machine.since_boot_s()  # … so long after boot
        self._quality = TimeQuality.UNSYNCED
        self._offset_ms = 0.0

    def utc(self) -> datetime:
        """Wall time, UTC."""
        wall_s, boot_s = self._look()
        if self._quality is TimeQuality.UNSYNCED:
            wall_s = max(wall_s, self._least_s(boot_s))
        return datetime.fromtimestamp(wall_s, UTC)

    def monotonic(self) -> float:
        """Seconds since boot or so."""
        return time.monotonic()

    def since_boot_s(self) -> float:
        """Of this boot."""
        return self._machine.since_boot_s()

    def quality(self) -> TimeQuality:
        """Asks the kernel at most once a second, and at once after a jump."""
        self._look()
        return self._quality

    def at_least(self) -> datetime:
        """Now, where the clock was set; else the newest of release and what was learned, and the time run since."""
        _, boot_s = self._look()
        return datetime.fromtimestamp(self._least_s(boot_s), UTC)

    def learn(self, moment: datetime, boot: str, at_s: float, was_set: bool) -> None:
        """Within the same boot it also tells a clock that was set and is so still from one that jumped meanwhile."""
        wall_s, boot_s = self._look()
        same = boot == self.boot
        known_s = moment.timestamp() + (boot_s - at_s if same else 0.0)
        if known_s > self._least_s(boot_s):
            self._certain_s, self._certain_at_s = known_s, boot_s
        if same and was_set and abs(wall_s - known_s) <= JUMP_S:
            self._set_before = True
            self._ask(boot_s)

    def offset_ms(self) -> float:
        """What the kernel's NTP discipline has still to correct."""
        self._look()
        return self._offset_ms

    def _look(self) -> tuple[float, float]:
        """Wall time and time since boot, seconds. The quality is asked before wall time is read: never the better."""
        boot_s = self._machine.since_boot_s()
        if boot_s - self._asked_at_s >= _ASK_S:
            self._ask(boot_s)
        wall_s = self._machine.wall_s()
        moved_s = 0.0 if self._ahead_s is None else wall_s - boot_s - self._ahead_s
        self._ahead_s = wall_s - boot_s
        if abs(moved_s) > JUMP_S:
            self._jumped(moved_s, boot_s)
        if self._quality in TRUSTED:
            self._certain_s, self._certain_at_s, self._off_s = wall_s, boot_s, 0.0
        return wall_s, boot_s

    def _jumped(self, moved_s: float, boot_s: float) -> None:
        if self._off_s is not None:
            self._off_s += moved_s
        was_right, self._set_before = self._quality in TRUSTED, False
        self._ask(boot_s)
        if self._off_s is None or (self._quality in TRUSTED and not was_right):  # how it got set
            self.jump = Jump(moved_s, boot_s, trusted=False)
        else:
            self.jump = Jump(self._off_s, boot_s, trusted=True)

    def _least_s(self, boot_s: float) -> float:
        return self._certain_s + boot_s - self._certain_at_s

    def _ask(self, boot_s: float) -> None:
        self._asked_at_s = boot_s
        synced, self._offset_ms = self._machine.discipline()
        self._set_before |= synced
        lost = TimeQuality.HOLDOVER if self._set_before else TimeQuality.UNSYNCED
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


def live_in(zone: str) -> None:
    """From now on the process's local time is that of an IANA zone, as tzset(3) finds it."""
    os.environ["TZ"] = zone
    time.tzset()
