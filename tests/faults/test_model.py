"""Anything that can happen to a store, in any order, beside a model of it (`model_store.py`): a hypothesis machine.

Power is cut at any call that the store makes (`model_disk.py` says what is left then). That the machine would notice
is seen with a store that does not force its commits to disk, and with one that answers before the commit.
In `make faults` it looks far longer, and each time elsewhere.
"""

import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from gateway.event import Lane
from tests.faults import ROUNDS
from tests.faults.model_pair import NO_LIMIT, Do, Fate, Pair, Wish
from tests.faults.model_store import UPLINKS, Broken
from tests.faults.record import Recording

LONG = ROUNDS > 1
KEEPS = settings(
    max_examples=1000 if LONG else 25,
    stateful_step_count=50,
    derandomize=not LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
LOSES = settings(
    KEEPS,
    max_examples=500,
    stateful_step_count=40,
    derandomize=True,
    phases=[Phase.generate],
    report_multiple_bugs=False,
)
FULL_BYTES = (0, 2**14, 2**16, 2**17, 2**18, 2**19)  # a file may grow no more
ONE = UPLINKS[:1]

flags = st.tuples(st.sampled_from(["a", "b"]), st.booleans(), st.booleans(), st.booleans())
wishes = st.builds(
    Wish,
    st.sampled_from(Lane),
    st.sampled_from([10, 400, 3000, 30_000]),  # bytes
    st.sampled_from([UPLINKS, UPLINKS, UPLINKS, ONE, UPLINKS[1:], ()]),
    st.booleans(),
    st.none() | flags,
)
appends = st.builds(Do, st.just("append"), events=st.lists(wishes, min_size=1, max_size=8))
confirms = st.builds(
    Do, st.just("confirm"), uplink=st.sampled_from(UPLINKS), lane=st.sampled_from(Lane), count=st.integers(1, 6)
)
facts = st.builds(Do, st.just("fact"), fails=st.booleans())
several = st.lists(appends | confirms | facts, max_size=4)
fates = st.builds(Fate, st.just(0) | st.integers(0, 40), st.sampled_from([True, True, False]), st.integers(0, 2**16))


class Machine(RuleBasedStateMachine):
    """Each rule is a step, or one life's end and the beginning of the next."""

    recording: Recording
    state: Path

    def __init__(self) -> None:
        super().__init__()
        for path in self.state.iterdir():
            path.unlink()
        self.pair = Pair(self.recording, self.state)
        self.pair.begin()

    def teardown(self) -> None:
        self.pair.stop()

    @rule(appended=st.lists(appends, min_size=1, max_size=5))
    def append(self, appended: Sequence[Do]) -> None:
        self.pair.play(appended)

    @rule(actions=several)
    def at_once(self, actions: Sequence[Do]) -> None:
        self.pair.play(actions)

    @rule(
        uplinks=st.sampled_from([UPLINKS, UPLINKS, ONE]),
        lanes=st.sampled_from([(lane,) for lane in Lane] + [tuple(Lane)]),
    )
    def deliver(self, uplinks: Sequence[str], lanes: Sequence[Lane]) -> None:
        """All that there is."""
        self.pair.play([Do("confirm", uplink=uplink, lane=lane, count=1000) for uplink in uplinks for lane in lanes])

    @rule()
    def trim(self) -> None:
        self.pair.play([Do("trim")])

    @rule()
    def look(self) -> None:
        self.pair.play([Do("look")])

    @rule(seed=st.integers(0, 2**16))
    def write_back(self, seed: int) -> None:
        self.pair.disk.write_back(random.Random(seed))

    @rule(most_bytes=st.sampled_from(FULL_BYTES))
    def disk_full(self, most_bytes: int) -> None:
        self.pair.limit(most_bytes)

    @precondition(lambda self: self.pair.full)
    @rule()
    def room_again(self) -> None:
        self.pair.limit(NO_LIMIT)
        self.pair.play([Do("look")])

    @rule(
        uplinks=st.sampled_from([UPLINKS, ONE]),
        most_bytes=st.just(NO_LIMIT) | st.sampled_from(FULL_BYTES),
        marks_s=st.sampled_from([0.0, 60.0]),
    )
    def restart(self, uplinks: Sequence[str], most_bytes: int, marks_s: float) -> None:
        """`marks_s`: what is confirmed is made durable at once, or when the life ends."""
        self.pair.close()
        self.pair.begin(uplinks, most_bytes, marks_s)

    @rule(
        actions=several | st.just([Do("trim")]) | st.none(),
        fates=st.lists(fates, min_size=1, max_size=3),
    )
    def crash(self, actions: Sequence[Do] | None, fates: Sequence[Fate]) -> None:
        """In a step, or (None) while it closes; and again while it starts."""
        calls = [] if actions is None else self.pair.ask(actions)
        calls += self.pair.end("close" if actions is None else "die")
        for fate in fates[:-1]:
            self.pair.cut(calls, fate)
            calls = self.pair.start() + self.pair.end("die")
        self.pair.cut(calls, fates[-1])
        self.pair.begin(self.pair.model.configured)


def run(way: str, folder: Path, how: settings) -> None:
    with Recording(folder, "tests.faults.model_life", way) as recording:
        (folder / "state").mkdir()
        here = {"recording": recording, "state": folder / "state"}
        run_state_machine_as_test(type("Store", (Machine,), here), settings=how)


def test_the_store_is_its_model(tmp_path: Path) -> None:
    run("full", tmp_path, KEEPS)


@pytest.mark.parametrize("way", ["weak", "early"])
def test_the_model_notices(way: str, tmp_path: Path) -> None:
    """Commits that are not forced to disk, and answers before the commit: something is lost, or undone."""
    Broken.met.clear()
    with pytest.raises((Broken, ExceptionGroup, HypothesisException)):  # threads: it may differ when tried again
        run(way, tmp_path, LOSES)
    assert any(re.search(r"not there|begins after|^facts|^cursor", what) for what in Broken.met), Broken.met
