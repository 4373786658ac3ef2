"""Alarms as a state machine: whatever happens in whatever order, nothing that counts is lost or made small."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.alarms import (
    MOST_STEPS,
    RANK,
    Alarm,
    Book,
    Step,
    Told,
    acknowledged,
    begun_anew,
    cleared,
    disposed,
    holds,
    noted,
    pulsed,
    raised,
    reset,
    silenced,
)
from gateway.event import Phase, Severity

KEY = ("smoke-1", "fire.smoke", "")
severities = st.sampled_from(Severity)
steps = st.lists(st.sampled_from(["raise", "pulse", "clear", "ack", "dispose"]), max_size=30)


def told(number: int = 0, severity: Severity = Severity.CRITICAL, *, latches: bool = True, test: bool = False) -> Told:
    """The `number`-th telling of one condition."""
    return Told(KEY, f"id-{number}", severity, latches, 1000 + number, test)


def told_lists(severity: st.SearchStrategy[Severity] = severities) -> st.SearchStrategy[list[Told]]:
    """Tellings of one condition, in order."""
    drawn = st.lists(st.tuples(severity, st.booleans(), st.booleans()), min_size=1, max_size=12)
    return drawn.map(lambda many: [told(n, s, latches=holds, test=t) for n, (s, holds, t) in enumerate(many)])


def opened(severity: Severity = Severity.CRITICAL, *, latches: bool = True, test: bool = False) -> Alarm:
    """An alarm as the first raise makes it."""
    return raised(None, told(0, severity, latches=latches, test=test))[1]


def walk(book: Book, step: str, number: int, **more: bool) -> Alarm | None:
    """One step as the pipeline or a person takes it; returns the flags it led to."""
    old = book.get(KEY)
    if step == "raise":
        new: Alarm | None = raised(old, told(number, **more))[1]  # type: ignore[arg-type]  # flags only
    elif step == "pulse":
        new = pulsed(old, told(number, **more))  # type: ignore[arg-type]  # flags only
    elif old is None:
        return None
    else:
        new = {"clear": cleared, "ack": acknowledged, "dispose": disposed}[step](old)
    if new is not None:
        book.put(new)
    return new


# tellings


def test_the_first_telling_opens_an_alarm() -> None:
    phase, alarm = raised(None, told(7))
    assert phase is Phase.RAISE
    assert alarm == Alarm(
        *KEY, "id-7", Severity.CRITICAL,
        active=True, acknowledged=False, confirmed=False, latched=True,
        count=1, first_ms=1007, last_ms=1007, test=False,
    )  # fmt: skip


def test_the_second_telling_is_still_the_same_alarm() -> None:
    phase, alarm = raised(acknowledged(opened()), told(1))
    assert (phase, alarm.id, alarm.count, alarm.last_ms) == (Phase.STILL, "id-0", 2, 1001)
    assert alarm.acknowledged  # contract, section 5: ack stays unless the severity rises


@given(told_lists())
def test_count_first_and_last_follow_every_telling(tellings: list[Told]) -> None:
    alarm = None
    for number, telling in enumerate(tellings, 1):
        alarm = raised(alarm, telling)[1]
        assert (alarm.count, alarm.first_ms, alarm.last_ms) == (number, 1000, telling.now_ms)
        assert alarm.id == "id-0"


@given(told_lists())
def test_severity_only_rises(tellings: list[Told]) -> None:
    ranks = []
    alarm = None
    for telling in tellings:
        alarm = raised(alarm, telling)[1]
        ranks.append(RANK[alarm.severity])
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[-1] == min(RANK[telling.severity] for telling in tellings)


@given(severities, severities, st.booleans())
def test_a_pulse_too_never_makes_an_alarm_small(first: Severity, second: Severity, pulse_first: bool) -> None:
    begin = pulsed(None, told(0, first)) if pulse_first else raised(None, told(0, first))[1]
    alarm = pulsed(begin, told(1, second))
    assert (alarm is None) == (begin is None and second is Severity.INFO)
    if alarm is not None:
        assert RANK[alarm.severity] == min(RANK[s] for s in (first, second) if s is not Severity.INFO or begin)


def test_worse_asks_again_for_a_person() -> None:
    mild = disposed(opened(Severity.MEDIUM, latches=False))
    worse = raised(mild, told(1, Severity.HIGH))[1]
    assert (worse.severity, worse.acknowledged, worse.confirmed) == (Severity.HIGH, False, False)


@given(told_lists(st.just(Severity.CRITICAL)))
def test_once_real_never_a_test_again(tellings: list[Told]) -> None:
    alarm = None
    for number, telling in enumerate(tellings):
        alarm = raised(alarm, telling)[1]
        assert alarm.test == all(earlier.test for earlier in tellings[: number + 1])


def test_a_fire_during_a_test_is_news() -> None:
    tried = acknowledged(opened(test=True))
    phase, real = raised(tried, told(1))
    assert (phase, real.test, real.acknowledged, real.state) == (Phase.RAISE, False, False, "active_unacked")


# a raise is never lost


@given(steps, st.booleans(), st.booleans())
def test_a_raise_is_never_lost(before: list[str], latches: bool, test: bool) -> None:
    book = Book()
    for number, step in enumerate(before):
        walk(book, step, number, latches=latches, test=test)
    walk(book, "raise", 99, latches=latches)
    listed = book.get(KEY)
    assert listed is not None
    assert listed.active
    assert listed.last_ms == 1099
    assert (listed.latched, listed.test) == (latches or listed.latched, False)


@given(steps, st.booleans())
def test_what_is_active_or_unseen_is_listed(taken: list[str], latches: bool) -> None:
    book = Book()
    for number, step in enumerate(taken):
        now = walk(book, step, number, latches=latches)
        assert now is None or (book.get(KEY) == now) == (not now.normal)
        assert now is None or now.normal == (now.state == "normal")


@given(steps)
def test_a_fire_is_forgotten_after_clear_ack_and_dispose_and_not_before(taken: list[str]) -> None:
    book, done, listed = Book(), set[str](), False
    for number, step in enumerate(taken):
        if step in ("raise", "pulse"):
            first = not listed or (step == "raise" and "clear" in done)
            done = set() if first else done
            if step == "pulse":
                done = {"clear"} if not listed or "clear" in done else set()
            listed = True
        elif listed:
            done |= {"ack", "dispose"} if step == "dispose" else {step}
        walk(book, step, number)
        listed = listed and done != {"clear", "ack", "dispose"}
        assert (book.get(KEY) is not None) == listed, (taken[: number + 1], book.get(KEY))


def test_latched_stays_listed_when_the_cause_is_gone() -> None:
    gone = cleared(opened())
    assert (gone.state, gone.normal) == ("cleared_unacked", False)
    assert (acknowledged(gone).state, acknowledged(gone).normal) == ("latched", False)
    assert disposed(gone).state == "normal"


def test_without_a_latch_seen_and_gone_is_enough() -> None:
    alarm = opened(Severity.MEDIUM, latches=False)
    assert acknowledged(cleared(alarm)).state == "normal"
    assert cleared(acknowledged(alarm)).state == "normal"


# a person


@given(steps, st.sampled_from([acknowledged, disposed, cleared]))
def test_twice_is_once(taken: list[str], step: object) -> None:
    book = Book()
    for number, name in enumerate(taken):
        walk(book, name, number)
    alarm = book.get(KEY)
    if alarm is not None and callable(step):
        assert step(step(alarm)) == step(alarm)


@given(steps)
def test_to_dispose_is_to_have_seen(taken: list[str]) -> None:
    book = Book()
    for number, name in enumerate([*taken, "raise"]):
        walk(book, name, number)
    alarm = book.get(KEY)
    assert alarm is not None
    assert disposed(acknowledged(alarm)) == disposed(alarm)
    assert (disposed(alarm).acknowledged, disposed(alarm).confirmed, disposed(alarm).active) == (True, True, True)


@given(steps, st.booleans())
def test_silence_changes_nothing_but_the_sound_and_ends_with_the_next(taken: list[str], latches: bool) -> None:
    book = Book()
    for number, name in enumerate([*taken, "raise"]):
        walk(book, name, number, latches=latches)
    alarm = book.get(KEY)
    assert alarm is not None
    assert replace(silenced(alarm), silenced=alarm.silenced) == alarm
    again = raised(cleared(silenced(alarm)), told(99, latches=latches))[1]
    assert not again.silenced


@given(steps, st.booleans())
def test_reset_is_done_once_and_only_where_nothing_holds_it(taken: list[str], latches: bool) -> None:
    book = Book()
    for number, name in enumerate(taken):
        walk(book, name, number, latches=latches)
    alarm = book.get(KEY)
    if alarm is not None:
        done = reset(alarm)
        assert reset(done) == done
        assert (done == alarm) == (holds(alarm) is not None or not alarm.latched)
        assert not done.normal or (alarm.acknowledged and not alarm.active and alarm.confirmed)


# off-delay


OFF_MS = 10_000


def held(number: int, severity: Severity = Severity.MEDIUM, *, test: bool = False) -> Told:
    """Of a type with an off-delay."""
    return replace(told(number, severity, latches=False, test=test), off_delay_ms=OFF_MS)


@given(st.integers(0, 2 * OFF_MS), st.booleans(), severities, st.booleans())
def test_back_within_its_off_delay_it_is_the_same(after_ms: int, seen: bool, again: Severity, latches: bool) -> None:
    first = replace(opened(Severity.MEDIUM, latches=latches), silenced=seen, acknowledged=seen)
    gone = cleared(first, first.last_ms + OFF_MS)
    phase, alarm = raised(gone, replace(held(after_ms, again), now_ms=first.last_ms + after_ms))
    soon, worse = after_ms < OFF_MS, RANK[again] < RANK[Severity.MEDIUM]
    assert phase is Phase.RAISE  # upstream it is what it is
    assert (alarm.id == first.id) == (soon or not gone.rests)
    if alarm.id == first.id:
        assert alarm.count == 2
    if again is not Severity.INFO:
        assert alarm.acknowledged == (seen and soon and not worse)
        assert alarm.silenced == alarm.acknowledged
    assert alarm.until_ms == 0


def test_it_rests_out_of_sight_and_is_forgotten_when_it_has() -> None:
    book = Book([cleared(acknowledged(opened(Severity.MEDIUM, latches=False)), 11_000)])
    (resting,) = book.lasting.values()
    assert (resting.rests, resting.state, list(book), book.get(KEY), book.recall(KEY)) == (
        True, "normal", [], None, resting,
    )  # fmt: skip
    book.forget(replace(resting, count=2))  # another one by now
    assert book.recall(KEY) == resting
    book.forget(resting)
    assert (book.recall(KEY), book.lasting) == (None, {})


def test_an_end_that_is_told_again_begins_no_off_delay() -> None:
    gone = cleared(opened(Severity.MEDIUM), 11_000)
    assert cleared(gone, 99_000) == gone


def test_a_real_one_soon_after_a_test_is_news() -> None:
    tried = cleared(acknowledged(opened(Severity.MEDIUM, latches=False, test=True)), 11_000)
    real = raised(replace(tried, first_of=""), replace(held(1), now_ms=2000))[1]
    assert (real.test, real.acknowledged) == (False, False)


@given(st.sampled_from(["pulse", "raise"]), st.booleans())
def test_what_began_anew_is_another_matter(step: str, worse: bool) -> None:
    alarm = noted(opened(Severity.MEDIUM, latches=False), Step(1000, "raise"))
    assert not begun_anew(noted(acknowledged(cleared(alarm)), Step(2000, "clear")), alarm)
    assert begun_anew(noted(alarm, Step(2000, step)), alarm)
    assert begun_anew(replace(alarm, severity=Severity.HIGH), alarm) or not worse
    assert begun_anew(replace(alarm, id="another"), alarm)


# the first fire


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["fire", "end", "drill"])), max_size=30))
def test_the_first_fire_changes_only_when_the_set_is_empty(taken: list[tuple[str, str]]) -> None:
    book, before = Book(), None
    for number, (device, step) in enumerate(taken):
        key = (device, "fire.smoke", "")
        old, test, name = book.get(key), step == "drill", f"id-{number:02d}"
        if step == "end" and old is not None:
            book.put(disposed(cleared(old)))
        elif step != "end":
            first = book.first_fire(test=test) or name
            book.put(raised(old, Told(key, name, Severity.CRITICAL, True, number, test, first))[1])
        real = [fire for fire in book.fires.values() if not fire.test]
        assert {fire.first_of for fire in real} == ({book.first_fire()} if real else set())
        if real and before is not None:
            assert book.first_fire() == before
        before = book.first_fire()


def test_a_long_history_keeps_its_first_line_and_its_newest() -> None:
    alarm = opened()
    for number in range(2 * MOST_STEPS):
        alarm = noted(alarm, Step(number, "raise"))
    assert len(alarm.history) == MOST_STEPS
    assert [step.time_ms for step in (alarm.history[0], alarm.history[1], alarm.history[-1])] == [
        0, MOST_STEPS + 1, 2 * MOST_STEPS - 1,
    ]  # fmt: skip


# information is no alarm


@given(st.booleans(), st.booleans())
def test_information_ends_with_its_clear(latches: bool, test: bool) -> None:
    alarm = opened(Severity.INFO, latches=latches, test=test)
    assert (alarm.state, alarm.latched) == ("active_acked", False)
    assert cleared(alarm).normal
    again = raised(alarm, told(1, Severity.INFO, latches=latches))[1]
    assert cleared(again).normal


def test_a_pulse_of_information_leaves_no_trace() -> None:
    assert pulsed(None, told(0, Severity.INFO)) is None


def test_a_pulse_is_an_alarm_that_is_over() -> None:
    alarm = pulsed(None, told())
    assert alarm is not None
    assert (alarm.active, alarm.acknowledged, alarm.latched, alarm.state) == (False, False, True, "cleared_unacked")


def test_a_pulse_does_not_end_what_is_active() -> None:
    alarm = pulsed(disposed(opened()), told(1))
    assert alarm is not None
    assert (alarm.active, alarm.acknowledged, alarm.confirmed, alarm.count) == (True, False, False, 2)


# the book


def test_a_book_finds_by_id_and_by_its_beginning_or_end() -> None:
    first = replace(opened(), id="01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f")
    twin = replace(first, part="0A000200", id="01a207de-e9f4-7c3e-9d1f-3a5b6c7d8eaa")
    book = Book([first, twin])
    assert book.find(first.id) == first
    assert book.find("01a207de-e9f3") == first
    assert book.find("01a207de") is None  # two begin so
    assert book.find("01a2") is None  # too short to be sure of
    assert book.find("7d8eaa") == twin
    assert book.find("d8eaa") is None
    assert set(book) == {first, twin} == set(book.of("smoke-1"))
    assert book.of("smoke-2") == ()


@pytest.mark.parametrize("part", ["", "0A000200"])
def test_parts_of_a_device_are_alarms_of_their_own(part: str) -> None:
    book = Book([opened(), replace(opened(), part="0A000200")])
    book.put(disposed(cleared(replace(opened(), part=part))))
    assert [alarm.part for alarm in book] == [{"": "0A000200", "0A000200": ""}[part]]
