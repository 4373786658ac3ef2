"""Wall time as the contract writes it, and how far the kernel lets us trust it."""

import ctypes
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import SystemClock, TimeQuality, rfc3339

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(MOMENTS)
def test_rfc3339_is_utc_with_milliseconds_and_reads_back(moment: datetime) -> None:
    text = rfc3339(moment)
    assert len(text) == len("2026-11-23T10:06:19.123Z")
    assert timedelta(0) <= moment - datetime.fromisoformat(text) < timedelta(milliseconds=1)


def test_rfc3339_turns_local_time_into_utc() -> None:
    shanghai = timezone(timedelta(hours=8))
    assert rfc3339(datetime(2026, 11, 23, 18, 6, 19, 123456, shanghai)) == "2026-11-23T10:06:19.123Z"


def test_the_clock_agrees_with_the_kernel() -> None:
    clock = SystemClock()
    script = "import ctypes; b = (ctypes.c_char * 256)(); print(ctypes.CDLL(None).adjtimex(b))"
    state = int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout)
    unsynchronized = state == 5  # TIME_ERROR of adjtimex(2)
    assert (clock.quality() is TimeQuality.UNSYNCED) == unsynchronized
    assert abs(clock.offset_ms()) < 1e6
    assert ctypes.sizeof(ctypes.c_long) in (4, 8)


def test_monotonic_never_goes_back_and_utc_is_aware() -> None:
    clock = SystemClock()
    moments = [clock.monotonic() for _ in range(100)]
    assert moments == sorted(moments)
    assert clock.utc().tzinfo is UTC
