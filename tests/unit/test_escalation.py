"""The schedule of an escalation as a pure account: every step once, none when somebody is there, whatever restarts."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.alarms import MOST_STEPS, Alarm, Step, Told, acknowledged, cleared, noted, raised
from gateway.charge import Call
from gateway.escalation import (
    DRILL,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    REAL,
    TAKEN,
    TOLD,
    UNTOLD,
    Pace,
    begun_ms,
    due,
    failed,
    left,
    owed,
)
from gateway.event import Severity

NAMES = ("page", "sound", "经理", "district")
KEY = ("smoke-1", "fire.smoke", "")
plans = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 20)), max_size=6).map(
    lambda many: [Call(n, to, float(s)) for n, (to, s) in enumerate(sorted(many, key=lambda one: one[1]), 1)]
)
moves = st.lists(st.sampled_from(["second", "second", "second", "again", "clear", "ack", "restart"]), max_size=60)


def opened(now_ms: int = 0, *, test: bool = False) -> Alarm:
    """As the pipeline opens one."""
    told = Told(KEY, "id", Severity.CRITICAL, True, now_ms, test)
    return noted(raised(None, told)[1], Step(now_ms, "raise"))


def again(alarm: Alarm, now_ms: int) -> Alarm:
    """Raised once more, after its end."""
    old = noted(cleared(alarm), Step(now_ms, "clear"))
    return noted(raised(old, Told(KEY, "id", Severity.CRITICAL, True, now_ms, False))[1], Step(now_ms, "raise"))


def came(alarm: Alarm, now_ms: int) -> Alarm:
    """Somebody acknowledges."""
    return noted(acknowledged(alarm), Step(now_ms, "ack", "li", "page"))


def called(alarm: Alarm, to: str, now_ms: int = 0, word: str = TAKEN) -> Alarm:
    """A step to somebody is written down."""
    return noted(alarm, Step(now_ms, word, "gw", DRILL if alarm.test else REAL, to))


@given(plans, moves)
def test_every_step_is_taken_once_in_time_and_never_when_somebody_is_there(plan: list[Call], what: list[str]) -> None:
    """`again` and `clear` move flags as they come; a restart has nothing but the history."""
    alarm, now_s, waits_since, taken = opened(), 0, 0, list[Call]()
    for move in what:
        if move == "second":
            now_s += 1
        elif move == "again":
            if alarm.acknowledged:
                waits_since, taken = now_s, []
            alarm = again(alarm, now_s * 1000)
        elif move == "clear":
            alarm = noted(cleared(alarm), Step(now_s * 1000, "clear"))
        elif move == "ack":
            alarm = came(alarm, now_s * 1000)
        else:
            alarm = replace(alarm, history=tuple(Step(*step) for step in alarm.history))
        waited_s = now_s - begun_ms(alarm) / 1000
        for call in list(due(alarm, plan, waited_s)):
            assert not alarm.acknowledged
            taken.append(call)
            alarm = called(alarm, call.to, now_s * 1000)
        if not alarm.acknowledged:
            assert waited_s == now_s - waits_since
            assert taken == [call for call in plan if call.after_s <= waited_s]
            assert list(left(alarm, plan)) == [call for call in plan if call.after_s > waited_s]


@given(st.lists(st.sampled_from(["again", "ack", "言"]), max_size=150))
def test_a_condition_that_comes_and_goes_for_ever_calls_nobody_twice(what: list[str]) -> None:
    """The history is bounded; what it forgets first are repeated beginnings and ends."""
    plan = [Call(1, "经理", 0.0), Call(2, "district", 0.0)]
    alarm, begun = opened(), 0
    for number, move in enumerate(what, 1):
        if move == "again":
            begun = number if alarm.acknowledged else begun
            alarm = again(alarm, number)
        elif move == "ack":
            alarm = came(alarm, number)
        for call in list(due(alarm, plan, 0.0)):
            alarm = called(alarm, call.to, number)
        persons = sum(step.step in ("ack", TAKEN) for step in alarm.history)
        if not alarm.acknowledged and persons < MOST_STEPS - 5:
            assert begun_ms(alarm) == begun
            assert not list(left(alarm, plan))
        assert len(alarm.history) <= MOST_STEPS


def test_the_same_one_may_be_called_twice_by_two_steps() -> None:
    plan = [Call(1, "经理", 1.0), Call(2, "经理", 5.0)]
    alarm = called(opened(), "经理")
    assert list(due(alarm, plan, 4.0)) == []
    assert list(due(alarm, plan, 5.0)) == [plan[1]]
    assert owed(called(called(alarm, "经理"), "经理", word=TOLD)) == frozenset()  # one message says both


def test_a_message_is_owed_until_it_was_told() -> None:
    alarm = called(opened(), "经理")
    assert owed(alarm) == {"经理"}
    alarm = called(alarm, "经理", word=UNTOLD)
    assert owed(alarm) == {"经理"}
    assert (failed(alarm, "经理"), failed(alarm, "district")) == (True, False)
    assert owed(called(alarm, "经理", word=TOLD)) == frozenset()
    assert owed(came(alarm, 5)) == frozenset()  # nobody needs it any more
    assert owed(called(called(alarm, "经理", word=TOLD), "经理")) == {"经理"}  # a later step


def test_what_was_told_in_a_test_is_not_told_of_the_real_one() -> None:
    alarm = called(opened(test=True), "经理")
    real = raised(alarm, Told(KEY, "id", Severity.CRITICAL, True, 9, False))[1]
    assert list(left(alarm, [Call(1, "经理", 0.0)])) == []
    assert list(left(real, [Call(1, "经理", 0.0)])) == [Call(1, "经理", 0.0)]
    assert owed(real) == frozenset()


def test_what_comes_off_its_shelf_waits_from_then() -> None:
    alarm = noted(came(opened(), 10), Step(700, "shelve", "gw", "rule:expired"))
    assert begun_ms(replace(alarm, acknowledged=False)) == 700


@given(st.lists(st.floats(0.0, 3000.0), min_size=1, max_size=30))
def test_messages_of_one_kind_have_growing_pauses_between_them(gaps_s: list[float]) -> None:
    pace, now_s, last_s, sent = Pace(), 0.0, float("-inf"), 0
    for gap_s in gaps_s:
        now_s += gap_s
        if pace.ready(now_s):
            assert not sent or now_s - last_s >= FIRST_PAUSE_S
            pace.sent(now_s)
            last_s, sent = now_s, sent + 1
        assert pace.ready(last_s + LONGEST_PAUSE_S)
    assert sent


def test_a_flood_is_told_ever_more_rarely() -> None:
    pace, told = Pace(), []
    for now_s in range(3600):
        if pace.ready(float(now_s)):
            pace.sent(float(now_s))
            told.append(now_s)
    assert told[:5] == [0, 30, 90, 210, 450]
    assert len(told) < 12
