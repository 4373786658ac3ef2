"""A box without a battery clock through whatever may happen to it: order, numbers and times of what it sends.

Steps at random: events, time, jumps of the wall clock up to a day, the network's time coming and going, the daemon
killed or stopped, the power cut. The store, the pipeline and the clock are the real ones.
"""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import RELEASED
from gateway.clock import JUMP_S, SystemClock, TimeQuality
from gateway.database import read_rows
from gateway.event import Credential, Lane, Phase, Reading
from gateway.normalize import corrected
from gateway.timekeeper import Timekeeper
from tests.fakes import Board
from tests.rig import Rig, rig

CARD = Credential("wiegand-26", 90, 324)
DAY_S = 86400.0
KINDS = {
    "alarm": Reading("smoke-1", "fire.smoke", Phase.RAISE),
    "grant": Reading("door-1", "access.granted", Phase.PULSE, credential=CARD),
    "open": Reading("door-1", "door.open", Phase.RAISE),
}
Step = tuple[str, float]
jumps = st.floats(-DAY_S, DAY_S).filter(lambda seconds: abs(seconds) > JUMP_S)
STEPS = st.one_of(
    st.tuples(st.sampled_from(list(KINDS)), st.just(0.0)),
    st.tuples(st.just("pass"), st.floats(0.001, DAY_S)),
    st.tuples(st.just("jump"), jumps),
    st.tuples(st.sampled_from(["sync", "lose", "send", "kill", "stop"]), st.just(0.0)),
    st.tuples(st.sampled_from(["cut to 1970", "cut to last"]), st.floats(1.0, 30 * DAY_S)),
)


@dataclass
class Life:
    """The box, and what is known of it from outside."""

    folder: Path
    board: Board = field(default_factory=lambda: Board(RELEASED + timedelta(days=100)))
    taken: dict[str, tuple[datetime, str]] = field(default_factory=dict)  # id → truth, boot
    sent: list[dict[str, Any]] = field(default_factory=list)
    at: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(Lane, 0))

    @property
    def truth(self) -> datetime:
        """What time it really is."""
        return datetime.fromtimestamp(self.board.truth_s, UTC)

    async def run(self, steps: Sequence[Step]) -> None:
        """All of them, and then everything is sent."""
        left = [*steps, ("send", 0.0)]
        while left:
            clock = SystemClock(self.board)
            async with rig(self.folder, "district", clock=clock) as made:
                keeper = Timekeeper("gw-0001", made.store, made.pipeline, clock)
                await keeper.recall()
                while left and await self._step(made, keeper, *left.pop(0)):
                    assert clock.at_least() <= self.truth + timedelta(milliseconds=2)
                    assert clock.utc() >= clock.at_least() - timedelta(milliseconds=2)

    async def _step(self, made: Rig, keeper: Timekeeper, what: str, seconds: float) -> bool:
        """False: the daemon is to start again."""
        if what in KINDS:
            truth = self.truth, self.board.boot
            (identity,) = await made.pipeline.accept([KINDS[what]])
            self.taken[identity] = truth
        elif what == "send":
            await self._send(made)
        elif what == "stop":
            await keeper.save()
            return False
        elif what == "kill":
            return False
        elif what.startswith("cut"):
            self.board.power_cut(seconds, -seconds if what == "cut to last" else None)
            return False
        else:
            self._turn(what, seconds)
        return True

    def _turn(self, what: str, seconds: float) -> None:
        if what == "pass":
            self.board.truth_s += seconds
        elif what == "jump":
            self.board.jump(seconds)
        elif what == "sync":
            self.board.sync()
        else:
            self.board.synced = False

    async def _send(self, made: Rig) -> None:
        """What an uplink would send now of what it has not sent yet."""
        for lane in Lane:
            rows = await made.store.read(
                lambda connection, lane=lane: read_rows(connection, lane, self.at[lane], 1000)  # type: ignore[misc]
            )
            for row in rows:
                body = corrected(row.body, row.private, made.clock)
                payload = made.policies["district"].render(lane, row.numbers["district"], body, row.private)
                self.sent.append(json.loads(payload) | {"in": self.board.boot})
                self.at[lane] = row.seq


def check(life: Life) -> None:
    """Nothing lost, in order, numbered; times are as good as they say."""
    ids = list(life.taken)
    assert ids == sorted(ids)
    assert sorted(event["id"] for event in life.sent) == ids
    for lane in Lane:
        stream = [event for event in life.sent if event["stream"] == f"district.{lane.value}"]
        assert [int(event["sequence"]) for event in stream] == list(range(1, len(stream) + 1))
        assert [event["id"] for event in stream] == sorted(event["id"] for event in stream)
    for event in life.sent:
        truth, boot = life.taken[event["id"]]
        if event["timequality"] == TimeQuality.UNSYNCED:
            continue
        assert abs(datetime.fromisoformat(event["time"]) - truth) < timedelta(seconds=1), event
        assert event["timequality"] != TimeQuality.CORRECTED or event["in"] == boot


def lived(*steps: Step) -> Life:
    """A life of these steps."""
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder))
        asyncio.run(life.run(steps))
    return life


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, min_size=8, max_size=40))
def test_whatever_happens_order_numbers_and_times_are_right(steps: list[Step]) -> None:
    check(lived(*steps))


def test_taken_in_1970_and_sent_after_the_network_came() -> None:
    life = lived(("grant", 0), ("pass", 3600), ("alarm", 0), ("kill", 0), ("pass", 60), ("sync", 0), ("open", 0))
    check(life)
    assert {event["type"]: event["timequality"] for event in life.sent} == {
        "access.granted": "corrected", "fire.smoke": "corrected", "door.open": "synced",
    }  # fmt: skip


def test_sent_before_the_clock_was_set_or_after_the_next_boot_it_stays_unsure() -> None:
    life = lived(("grant", 0), ("send", 0), ("alarm", 0), ("cut to 1970", 10), ("sync", 0))
    check(life)
    assert [event["timequality"] for event in life.sent] == ["unsynced", "unsynced"]


def test_the_next_boot_goes_on_where_the_last_one_stopped() -> None:
    """In 1970 again: not before what was saved, and ids go on."""
    life = lived(("sync", 0), ("open", 0), ("pass", 1000), ("stop", 0), ("cut to 1970", 7200), ("grant", 0))
    check(life)
    opened, granted = sorted(life.sent, key=lambda event: str(event["id"]))
    assert (opened["timequality"], granted["timequality"]) == ("synced", "unsynced")
    gone = datetime.fromisoformat(granted["time"]) - datetime.fromisoformat(opened["time"])
    assert gone == timedelta(seconds=1000)


def test_set_by_hand_a_day_ahead_ids_and_numbers_never_go_back() -> None:
    life = lived(("sync", 0), ("open", 0), ("jump", DAY_S), ("grant", 0), ("sync", 0), ("alarm", 0), ("kill", 0))
    check(life)
    assert {event["type"]: event["timequality"] for event in life.sent} == {
        "door.open": "synced", "access.granted": "corrected", "fire.smoke": "synced",
    }  # fmt: skip
