"""Which records have been told: each once, whatever the device repeats, forgets or begins anew."""

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers._isapi_access import Record
from drivers._isapi_ledger import MOST_HOLES, MOST_REMEMBERED, Ledger, Standing

NEW, LATE, KNOWN = Standing
BEGIN = datetime.fromisoformat("2026-04-12T16:00:00+08:00")


def record(serial: int | None, *, front: int | None = None, current: bool | None = None, epoch: int = 0) -> Record:
    """Its time is minutes of its serial number, after those of earlier epochs."""
    time = BEGIN + timedelta(minutes=serial or 0, days=epoch)
    return Record(f"{epoch}-{serial}", serial, front, current, time, ())


def told(ledger: Ledger, *serials: int) -> list[Standing]:
    return [ledger.take(record(serial)) for serial in serials]


def test_each_once() -> None:
    assert told(Ledger(), 270, 271, 271, 270, 272) == [NEW, NEW, KNOWN, KNOWN, NEW]


def test_what_is_missing_may_come_later_once() -> None:
    ledger = Ledger()
    assert told(ledger, 10, 15) == [NEW, NEW]
    assert ledger.holes == [(11, 14)]
    assert told(ledger, 12, 12, 11, 14, 13, 13) == [LATE, KNOWN, LATE, LATE, LATE, KNOWN]
    assert ledger.holes == []


def test_numbers_that_the_device_uses_for_other_things_are_not_missing() -> None:
    ledger = Ledger()
    ledger.take(record(10))
    ledger.take(record(15, front=10))
    assert ledger.holes == []
    ledger.take(record(30, front=20))
    assert ledger.holes == [(16, 20)]


def test_what_was_there_before_us_is_not_told() -> None:
    ledger = Ledger()
    ledger.begin(100, BEGIN + timedelta(minutes=100))
    assert told(ledger, 40, 100, 101) == [KNOWN, KNOWN, NEW]


def test_a_replay_is_known_however_low_its_number() -> None:
    ledger = Ledger()
    ledger.begin(100, BEGIN)
    assert ledger.take(record(3, current=False, epoch=5)) is KNOWN


def test_a_count_that_begins_anew() -> None:
    ledger = Ledger()
    told(ledger, 900, 901)
    assert ledger.take(record(1, epoch=1)) is NEW
    assert [ledger.take(record(serial, epoch=1)) for serial in (1, 2, 3)] == [KNOWN, NEW, NEW]
    assert ledger.holes == []


def test_a_count_that_began_anew_while_we_were_away() -> None:
    ledger = Ledger()
    told(ledger, 900, 901)
    assert ledger.take(record(5, epoch=1)) is NEW
    assert ledger.first_missing == 1
    assert ledger.take(record(3, current=False, epoch=1), stored=True) is LATE


def test_a_device_that_lost_the_time_with_its_count() -> None:
    ledger = Ledger()
    told(ledger, 900)
    assert ledger.take(Record("x", 1, None, None, None, ())) is NEW


def test_a_repetition_of_a_device_without_a_clock_is_none_of_a_new_count() -> None:
    ledger = Ledger()
    first = Record("x", 7, None, None, None, ())
    assert [ledger.take(first), ledger.take(first)] == [NEW, KNOWN]


def test_what_was_asked_for_says_nothing_of_a_reset() -> None:
    ledger = Ledger()
    told(ledger, 900)
    assert ledger.take(record(1, epoch=1), stored=True) is KNOWN


def test_a_record_without_a_number_is_always_news() -> None:
    ledger = Ledger()
    assert [ledger.take(record(None)), ledger.take(record(None))] == [NEW, NEW]
    assert ledger.last is None


def test_where_to_ask_from() -> None:
    ledger = Ledger()
    assert ledger.first_missing == 1
    told(ledger, 10, 15, 20)
    assert (ledger.first_missing, ledger.since) == (11, BEGIN + timedelta(minutes=10))
    ledger.settle()
    assert (ledger.first_missing, ledger.since) == (21, BEGIN + timedelta(minutes=20))


def test_a_copy_changes_alone() -> None:
    ledger = Ledger()
    told(ledger, 10, 15)
    told(ledger.copy(), 12, 16)
    assert (ledger.last, ledger.holes) == (15, [(11, 14)])
    assert told(ledger, 12, 16) == [LATE, NEW]


def test_what_is_remembered_is_bounded() -> None:
    ledger = Ledger()
    told(ledger, *range(1, 4 * MOST_HOLES * 3, 3))
    assert len(ledger.holes) == MOST_HOLES
    assert len(json.loads(ledger.dump())["recent"]) == MOST_REMEMBERED
    assert len(ledger.dump()) < 8192


@pytest.mark.parametrize(
    "kept",
    [b"", b"{}", b"[]", b"3", b'{"last": "x", "holes": [], "recent": []}', b'{"last": 1, "holes": 3, "recent": []}'],
)
def test_what_nobody_kept_is_refused(kept: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Ledger.load(kept)


SERIALS = st.lists(st.integers(1, 40), max_size=60)


@settings(deadline=None)
@given(SERIALS, st.integers(0, 60))
def test_it_is_the_same_after_a_restart(serials: list[int], restart_at: int) -> None:
    through, ledger = Ledger(), Ledger()
    for place, serial in enumerate(serials):
        if place == restart_at:
            ledger = Ledger.load(ledger.dump())
        assert ledger.take(record(serial)) is through.take(record(serial))
    assert Ledger.load(ledger.dump()).dump() == ledger.dump()


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=80))
def test_whatever_the_order_each_is_told_once(serials: list[int]) -> None:
    """Of replays: what lies below the first one is before our time."""
    ledger = Ledger()
    standing = [(serial, ledger.take(record(serial, current=False))) for serial in serials]
    once = [serial for serial, each in standing if each is not KNOWN]
    assert sorted(once) == sorted({serial for serial in serials if serial >= serials[0]})


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), unique=True, min_size=2), st.integers(0, 100))
def test_a_search_fills_every_hole(heard: list[int], seed: int) -> None:
    """Live ones arrive with holes; then all from the first missing on, in any order, some again."""
    ledger = Ledger()
    ledger.begin(0, BEGIN)
    told_ = [serial for serial in sorted(heard) if ledger.take(record(serial)) is not KNOWN]
    found = list(range(ledger.first_missing, 61))
    found = found[seed % len(found) :] + found[: seed % len(found)] if found else []
    told_ += [serial for serial in found if ledger.take(record(serial), stored=True) is not KNOWN]
    ledger.settle()
    assert sorted(told_) == list(range(1, 61))
    assert ledger.holes == []
