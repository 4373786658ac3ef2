"""Wall time as the contract writes it, and how far the kernel lets us trust it."""

import ctypes
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import RELEASED
from gateway.clock import JUMP_S, Jump, SystemClock, TimeQuality, rfc3339
from tests.fakes import Board

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


# --- a machine without a battery clock

LATER = RELEASED + timedelta(days=200)


def test_a_clock_in_1970_shows_the_release_and_goes_on_from_there() -> None:
    board = Board(LATER)
    clock = SystemClock(board)
    assert (clock.utc(), clock.quality()) == (RELEASED, TimeQuality.UNSYNCED)
    board.truth_s += 90
    assert clock.utc() == clock.at_least() == RELEASED + timedelta(seconds=90)


def test_what_was_learned_is_later_than_the_release() -> None:
    clock = SystemClock(Board(LATER))
    saved = LATER - timedelta(hours=1)
    clock.learn(saved, "another0", 5.0, was_set=True)
    assert clock.utc() == saved
    clock.learn(saved - timedelta(days=1), "another0", 5.0, was_set=True)
    assert clock.utc() == saved
    assert clock.quality() is TimeQuality.UNSYNCED  # it was set in another boot


def test_wall_time_beyond_what_is_certain_is_shown_but_proves_nothing() -> None:
    board = Board(LATER)
    board.error_s = 3600.0
    clock = SystemClock(board)
    assert clock.utc() == LATER + timedelta(hours=1)
    assert clock.at_least() == RELEASED


def test_once_set_it_is_shown_as_it_is_also_when_the_network_goes() -> None:
    board = Board(LATER)
    clock = SystemClock(board)
    assert clock.utc() == RELEASED
    board.sync()
    assert (clock.utc(), clock.quality()) == (LATER, TimeQuality.SYNCED)
    board.truth_s += 2
    board.synced = False
    assert clock.quality() is TimeQuality.HOLDOVER
    assert clock.utc() == clock.at_least() == LATER + timedelta(seconds=2)


@pytest.mark.parametrize(("down_s", "jump_s", "quality"), [(30, 0, "holdover"), (30, 86400, "unsynced")])
def test_another_process_of_the_same_boot_knows_that_it_was_set(down_s: float, jump_s: float, quality: str) -> None:
    board = Board(LATER)
    board.sync()
    saved = LATER, board.boot, board.since_boot_s(), True
    board.truth_s += down_s
    board.jump(jump_s)  # and whether it was set since
    clock = SystemClock(board)
    clock.learn(*saved)
    assert clock.quality() == quality
    assert clock.at_least() == LATER + timedelta(seconds=down_s)


def test_a_clock_that_jumped_is_not_trusted_until_it_is_set_again() -> None:
    board = Board(LATER)
    board.sync()
    clock = SystemClock(board)
    assert clock.quality() is TimeQuality.SYNCED
    board.jump(-86400)
    assert clock.utc() == LATER  # a day back is before what is certain
    assert (clock.quality(), clock.jump) == (TimeQuality.UNSYNCED, Jump(-86400, 0.0, trusted=True))
    board.sync()
    assert (clock.utc(), clock.quality()) == (LATER, TimeQuality.SYNCED)
    assert clock.jump == Jump(86400, 0.0, trusted=False)


def test_it_jumps_twice_before_anybody_looks() -> None:
    board = Board(LATER)
    board.sync()
    clock = SystemClock(board)
    for jump_s in (86400, -3 * 86400):
        clock.utc()
        board.jump(jump_s)
    assert clock.quality() is TimeQuality.UNSYNCED
    assert clock.jump == Jump(-2 * 86400, 0.0, trusted=True)


def test_a_step_that_keeps_it_synchronized_tells_how_far_it_was_off() -> None:
    board = Board(LATER)
    board.sync()
    board.error_s = 30.0
    clock = SystemClock(board)
    clock.utc()
    board.sync()
    assert (clock.quality(), clock.jump) == (TimeQuality.SYNCED, Jump(-30.0, 0.0, trusted=True))


@given(st.lists(st.floats(-JUMP_S + 0.01, JUMP_S - 0.01), max_size=50))
def test_what_drifts_or_is_slewed_does_not_jump(errors_s: list[float]) -> None:
    board = Board(LATER)
    board.sync()
    clock = SystemClock(board)
    assert clock.quality() is TimeQuality.SYNCED
    board.synced = False
    for error_s in errors_s:
        board.truth_s += 1
        board.error_s += error_s
        clock.utc()
    assert clock.jump is None
    assert clock.quality() is not TimeQuality.UNSYNCED


def test_the_release_is_not_ahead_of_the_tests() -> None:
    assert datetime.now(UTC) >= RELEASED
    assert RELEASED.tzinfo is UTC


def test_the_local_time_is_the_sites() -> None:
    code = "from gateway.clock import live_in; live_in('Asia/Shanghai'); import time; print(time.strftime('%z'))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "+0800\n"
