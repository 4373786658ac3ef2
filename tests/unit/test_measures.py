"""What lies over alarms, purely: which alarm it covers, which word is shown, and what no cover may hide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.alarms import DRILL, Alarm, Book, Told, acknowledged, cleared, raised
from gateway.event import Severity
from gateway.measures import (
    SHELF,
    SHIELD,
    SUPPRESSION,
    cover,
    display,
    drilled,
    ended,
    may_be_shelved,
    measure,
    part_of,
)
from gateway.taxonomy import TYPES

UNTIL_MS = 60_000


def alarm(kind: str, part: str = "", *, device: str = "door-1", severity: Severity = Severity.HIGH) -> Alarm:
    """As its raise makes it."""
    return raised(None, Told((device, kind, part), f"{kind}{part}", severity, True, 1, False))[1]


def laid(kind: str, part: str = "", *, device: str = "door-1", until_ms: int = UNTIL_MS) -> Alarm:
    """A measure as its deed makes it."""
    key = (device, kind, part)
    return measure(key, Told(key, kind, Severity.INFO, False, 1, False), until_ms, "x")


def shown(one: Alarm, *over: Alarm) -> str:
    """The display word."""
    return display(one, cover(Book([one, *over]), one))


FORCED = alarm("door.forced")


@pytest.mark.parametrize(
    ("over", "word"),
    [
        ([], "active_unacked"),
        ([laid(SHELF, "door.forced")], "shelved"),
        ([laid(SHELF)], "shelved"),  # all of the device
        ([laid(SHELF, "door.held")], "active_unacked"),
        ([laid(SHELF, "door.forced 3")], "active_unacked"),
        ([laid(SHELF, device="door-2")], "active_unacked"),
        ([laid(SUPPRESSION, "door.forced")], "suppressed"),
        ([laid(SHELF), laid(SUPPRESSION, "door.forced")], "suppressed"),
        ([laid(SHELF), laid(SUPPRESSION, "door.forced"), laid(SHIELD)], "out_of_service"),
        ([laid(SHIELD, "3")], "active_unacked"),  # of another part
        ([laid(SHIELD, until_ms=0)], "active_unacked"),  # only a panel says that something of it is shielded
        ([ended(laid(SHIELD))], "active_unacked"),
    ],
)
def test_one_word(over: list[Alarm], word: str) -> None:
    assert shown(FORCED, *over) == word


def test_a_shield_covers_its_part_and_never_itself() -> None:
    assert shown(alarm("door.forced", "3"), laid(SHIELD, "3")) == "out_of_service"
    assert shown(laid(SHIELD), laid(SHIELD)) == "active_acked"


@given(st.sampled_from(sorted(TYPES)), st.sampled_from(["", "0A000200"]), st.booleans())
def test_no_shelf_lies_over_fire_panic_or_duress(kind: str, part: str, whole: bool) -> None:
    one = alarm(kind, part)
    over = cover(Book([one, laid(SHELF, "" if whole else part_of(kind, part))]), one)
    assert (over.shelf is None) == kind.startswith(("fire.", "safety.panic", "access.duress"))
    assert may_be_shelved(kind) == (over.shelf is not None)


@given(st.lists(st.sampled_from(["ack", "clear"]), max_size=3), st.sampled_from([SHELF, SHIELD]))
def test_a_cover_changes_no_flag(steps: list[str], kind: str) -> None:
    one = FORCED
    for step in steps:
        one = acknowledged(one) if step == "ack" else cleared(one)
    book = Book([one])
    before = book.get(one.key)
    book.put(laid(kind))
    book.put(ended(laid(kind)))
    assert book.get(one.key) == before
    assert book.lasting == {}


@pytest.mark.parametrize(
    ("drill", "devices"),
    [
        (("door-1", ""), {"door-1"}),
        (("gw", ""), {"door-1", "smoke-1", "gate-1"}),
        (("gw", "b3"), {"door-1", "smoke-1"}),
        (("gw", "b3/u2"), {"smoke-1"}),
        (("gw", "b33"), set()),
    ],
)
def test_a_drill_holds_for_what_stands_in_its_place(drill: tuple[str, str], devices: set[str]) -> None:
    places = {"door-1": "b3", "smoke-1": "b3/u2/f5", "gate-1": "gate"}
    device, place = drill
    book = Book([laid(DRILL, place, device=device)])
    assert {name for name, path in places.items() if drilled(book, name, "gw", path)} == devices
    book.put(ended(laid(DRILL, place, device=device)))
    assert not any(drilled(book, name, "gw", path) for name, path in places.items())
