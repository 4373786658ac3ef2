"""The history of configurations as values: whatever happens in whatever order, it never loses the way back."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import revisions
from gateway.errors import Text
from gateway.revisions import FILE, MOST_REVISIONS, MOST_STARTS, UPLINK, History, Push, Revision, Seen, Told, Trial

NOW = "2026-11-23T10:06:19.123Z"
WHY = Text("it broke", "已损坏")


def revision(history: History, place: str = FILE, name: str = "") -> Revision:
    """The next one."""
    number = history.next
    return Revision(
        number=number, name=name or f"local-{number}", sha256=f"{number:064x}", who="li", place=place, time=NOW
    )


def local(history: History) -> History:
    """gateway.yaml was edited."""
    made = revision(history)
    return revisions.settle(history, made, made.sha256)


def pushed(history: History, name: str = "r1", uplink: str = "district", **more: Any) -> History:
    """Heard, examined and to be tried."""
    push = Push(revision=name, config=name)
    history = revisions.hear(history, uplink, push)
    made = revision(history, UPLINK + uplink, name)
    trial = Trial(number=made.number, uplink=uplink, seconds=push.seconds, **more)
    return revisions.attempt(history, made, trial, push.sha256)


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["local", "keep", "fail", "reboot", "killed", "refused"]),
        st.tuples(st.sampled_from(["district", "city"]), st.sampled_from(["r1", "r2", "r3"])),
    ),
    max_size=90,
)


def step(history: History, what: str | tuple[str, str], at: int) -> History:
    """One thing that may happen."""
    if isinstance(what, tuple):
        return pushed(history, what[1], what[0])
    told = Told(revision="bad", sha256="0", state="rejected", time=NOW, errors=({"what": WHY._asdict()},))
    made = {
        "local": lambda: local(history),
        "keep": lambda: revisions.keep(history, NOW),
        "fail": lambda: revisions.roll_back(history, WHY, NOW),
        "reboot": lambda: revisions.begin(history, f"boot-{at}", 5.0),
        "killed": lambda: revisions.begin(history, "boot", float(at)),
        "refused": lambda: revisions.answer(history, "city", told),
    }
    return made[what]()


@settings(max_examples=60)
@given(STEPS)
def test_there_is_always_something_to_run_and_a_way_back(steps: list[str | tuple[str, str]]) -> None:
    history = local(History())
    for at, what in enumerate(steps):
        kept, before = history.running, len(history.untold)
        history = step(history, what, at)
        assert history.find(history.running) is not None
        assert history.find(history.current) is not None
        numbers = [one.number for one in history.revisions]
        assert numbers == sorted(set(numbers))
        assert len(numbers) <= MOST_REVISIONS
        assert history.trial is None or history.trial.number != history.running
        if what not in ("local", "keep"):
            assert history.running == kept  # only a person and a trial that succeeded change what is kept
        changed = what == "local" or isinstance(what, tuple) or what == "refused"
        assert len(history.untold) > before or not changed
        assert History.model_validate_json(history.model_dump_json()) == history
        for uplink in ("district", "city"):
            document = revisions.reported(history, uplink)
            trying = history.trial is not None and history.trial.uplink == uplink
            assert trying or document["state"] != "trying"
            if document["state"] == "running":
                kept_one = history.find(history.running)
                assert kept_one is not None
                assert document["revision"] == kept_one.name or document["revision"] == history.told[uplink].revision


def test_a_long_history_keeps_its_newest_and_what_runs() -> None:
    history = pushed(local(History()))
    for number in range(MOST_REVISIONS + 10):
        history = pushed(history, f"r{number}")
    assert len(history.revisions) == MOST_REVISIONS
    assert history.find(history.running) == revision(History())
    assert history.revisions[-1].name == f"r{MOST_REVISIONS + 9}"


def test_the_same_push_again_does_nothing_and_another_text_under_its_name_does() -> None:
    history = pushed(local(History()))
    assert revisions.hear(history, "district", Push(revision="r1", config="r1")) is history
    waiting = revisions.hear(history, "district", Push(revision="r1", config="other"))
    assert waiting.waiting["district"].config == "other"
    assert revisions.hear(waiting, "district", Push(revision="r1", config="other")) is waiting
    assert revisions.hear(history, "city", Push(revision="r1", config="r1")) is not history


def test_a_local_edit_during_a_trial_ends_it_and_says_so() -> None:
    history = local(pushed(local(History())))
    assert history.trial is None
    assert history.running == 3
    assert local(History()).untold == ()  # the first one is no change
    assert [(note.revision, note.state) for note in history.untold[-2:]] == [
        ("r1", "rolled-back"),
        ("local-3", "running"),
    ]
    assert revisions.reported(history, "district")["state"] == "rolled-back"
    assert revisions.reported(history, "district")["running"] == "local-3"


def test_a_local_edit_after_a_kept_push_is_what_is_reported() -> None:
    history = local(revisions.keep(pushed(local(History())), NOW))
    assert revisions.reported(history, "district") == {
        "revision": "local-3",
        "state": "running",
        "errors": [],
        "time": NOW,
    }


def test_the_time_of_a_trial_is_the_boot_s_own() -> None:
    history = revisions.begin(pushed(local(History())), "boot-a", 1000.0)
    assert history.trial is not None
    assert history.trial.until_s == 1000.0 + revisions.CONFIRM_S
    later = revisions.begin(history, "boot-a", 1050.0)  # killed: it goes on with what is left
    assert later.trial is not None
    assert later.trial.until_s == history.trial.until_s
    assert revisions.spent(later, "boot-a", history.trial.until_s - 0.1) is None
    assert "proven" in str(revisions.spent(later, "boot-a", history.trial.until_s))
    assert revisions.spent(later, "boot-b", 9999.0) is None  # the power was cut: nobody knows for how long
    again = revisions.begin(later, "boot-b", 3.0)
    assert again.trial is not None
    assert again.trial.starts == MOST_STARTS
    assert f"ended {MOST_STARTS} times" in str(revisions.spent(again, "boot-b", 4.0))
    assert revisions.spent(local(History()), "boot-a", 0.0) is None


TRIAL = Trial(number=2, uplink="district", seconds=60, answered=(("a", "b"), ("c",)), stopped=("d",))


def seen(connected: bool = True, *, stopped: str = "d", retrying: str = "", **online: bool | None) -> Seen:
    """How it stands; devices that are not named answer."""
    known: dict[str, bool | None] = {"a": True, "b": True, "c": True, "d": None}
    return Seen(connected=connected, online=known | online, stopped=frozenset(stopped), retrying=frozenset(retrying))


@pytest.mark.parametrize(
    ("what", "early", "late"),
    [
        (seen(), "keep", "keep"),
        (seen(False), "wait", "did not come back"),
        (seen(a=None), "keep", "keep"),  # the other one on its line answers
        (seen(a=False, b=None), "wait", "did not within"),
        (seen(c=False), "wait", ": c"),
        (seen(c=None), "wait", "keep"),  # it posts now and then
        (seen(c=None, retrying="c"), "wait", ": c"),
        (seen(stopped="cd"), "cannot work", "cannot work"),
        (seen(False, stopped="dab"), "a, b", "a, b"),
    ],
)
def test_what_a_trial_is_judged_by(what: Seen, early: str, late: str) -> None:
    for over, expected in ((False, early), (True, late)):
        verdict = revisions.judge(TRIAL, what, over)
        assert verdict == expected if isinstance(verdict, str) else expected in verdict.en


def test_a_device_that_was_taken_out_is_not_missed() -> None:
    gone = Seen(connected=True, online={"a": True, "b": None})
    assert revisions.judge(TRIAL, gone, over=False) == "keep"
