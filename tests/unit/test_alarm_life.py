"""Alarms over a real pipeline and store: whatever devices, people and time do in whatever order (domain notes, 3.4)."""

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.alarms import Key
from gateway.audit import verify
from gateway.deeds import NotFound, NotNow
from gateway.measures import LONGEST_SHELF_S, cover, may_be_shelved
from tests.fakes import ManualClock
from tests.wards import WANG, Ward, ward

KINDS = (("smoke-1", "fire.smoke"), ("door-1", "door.forced"), ("door-2", "door.held"), ("door-2", "safety.panic"))
OFF_DELAYS_MS = {"door.held": 10_000}
kinds = st.sampled_from(KINDS)
spans_s = st.sampled_from([1, 5, 11, 600, 9 * 3600])


class World(RuleBasedStateMachine):
    """Devices, time, and the gateway's end and start.

    `asks` holds what nobody has seen since it began, `loud` what nobody has silenced, `tests` what a drill began.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.clock = ManualClock()
        self.asks, self.active, self.loud = set[Key](), set[Key](), set[Key]()
        self.tests: dict[Key, bool] = {}
        self.drill_until_s = 0.0

    @initialize()
    def start(self) -> None:
        self.open()

    def open(self) -> None:
        async def opened() -> tuple[AsyncExitStack, Ward]:
            stack = AsyncExitStack()
            made = ward(Path(self.folder.name), self.clock, off_delays_ms=OFF_DELAYS_MS)
            return stack, await stack.enter_async_context(made)

        self.stack, self.ward = self.runner.run(opened())

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()

    @rule(kind=kinds, phase=st.sampled_from(["raise", "raise", "clear", "pulse"]))
    def tell(self, kind: tuple[str, str], phase: str) -> None:
        key = (*kind, "")
        old = self.ward.book.recall(key)
        drill = self.clock.now_s < self.drill_until_s
        real_again = old is not None and old.test and not drill
        self.runner.run(self.ward.tell(*kind, phase))
        if phase == "clear":
            self.active.discard(key)
            return
        back = old is not None and old.until_ms - self.clock.utc().timestamp() * 1000 > 0 and phase == "raise"
        if phase == "pulse" or (key not in self.active and not back) or real_again:
            self.asks.add(key)
            self.loud.add(key)
        gone = old is None or (old.rests and not back)
        self.tests[key] = drill if gone else self.tests[key] and drill
        if phase == "raise":
            self.active.add(key)

    @rule(span_s=spans_s)
    def later(self, span_s: int) -> None:
        self.runner.run(self.ward.later(span_s))

    @rule()
    def restart(self) -> None:
        before = set(self.ward.book), dict(self.ward.book.lasting)
        self.runner.run(self.stack.aclose())
        self.open()
        assert (set(self.ward.book), self.ward.book.lasting) == before


class People(World):
    """What they do about alarms, and lay over them."""

    @rule()
    def silence(self) -> None:
        self.runner.run(self.ward.duty.silence(WANG))
        self.loud.clear()

    @rule(kind=kinds, dispose=st.booleans())
    def see(self, kind: tuple[str, str], dispose: bool) -> None:
        if (alarm := self.ward.book.get((*kind, ""))) is not None:
            duty = self.ward.duty
            self.runner.run(duty.dispose(alarm.id, WANG, "real") if dispose else duty.acknowledge(alarm.id, WANG))
            self.asks.discard(alarm.key)
            self.loud.discard(alarm.key)

    @rule()
    def see_the_rest(self) -> None:
        self.runner.run(self.ward.duty.acknowledge_rest(WANG))
        for key in [("door-1", "door.forced", ""), ("door-2", "door.held", "")]:  # and no critical one
            self.asks.discard(key)
            self.loud.discard(key)

    @rule(kind=kinds)
    def reset(self, kind: tuple[str, str]) -> None:
        alarm = self.ward.book.get((*kind, ""))
        with suppress(NotNow, NotFound):
            self.runner.run(self.ward.duty.reset(alarm.id if alarm else "nothing", WANG))
            assert alarm is not None
            assert alarm.key not in self.active | self.asks
            assert alarm.confirmed or not alarm.type.startswith("fire.")

    @rule(kind=kinds, span_s=spans_s, whole=st.booleans())
    def shelve(self, kind: tuple[str, str], span_s: int, whole: bool) -> None:
        alarm = self.ward.book.get((*kind, ""))
        with suppress(NotNow):
            if alarm is not None:
                self.runner.run(self.ward.covers.shelve(kind[0] if whole else alarm.id, span_s, "known", WANG))
                assert span_s <= LONGEST_SHELF_S
                assert whole or may_be_shelved(alarm.type)

    @rule(kind=kinds, span_s=spans_s)
    def shield(self, kind: tuple[str, str], span_s: int) -> None:
        self.runner.run(self.ward.covers.shield(kind[0], span_s, "works", WANG))

    @rule(kind=kinds)
    def suppress(self, kind: tuple[str, str]) -> None:
        if (alarm := self.ward.book.get((*kind, ""))) is not None:
            self.runner.run(self.ward.covers.suppress(alarm, "bus rs485-1", WANG))

    @rule(span_s=st.sampled_from([0, 5, 600]))
    def drill(self, span_s: int) -> None:
        self.runner.run(self.ward.covers.drill("", span_s, WANG))
        self.drill_until_s = self.clock.now_s + span_s


class Life(People):
    """What holds whatever they do."""

    @invariant()
    def nothing_is_lost(self) -> None:
        book = self.ward.book
        for key in self.asks | self.active:
            alarm = book.get(key)
            assert alarm is not None, key
            assert alarm.active == (key in self.active)
            assert not (alarm.acknowledged and key in self.asks)
            assert not (alarm.silenced and key in self.loud)

    @invariant()
    def a_drill_marks_what_it_raised_and_nothing_else(self) -> None:
        for alarm in self.ward.book:
            if alarm.key in self.tests:
                assert alarm.test == self.tests[alarm.key], alarm

    @invariant()
    def nothing_lies_over_a_fire_but_a_shield(self) -> None:
        now_ms = self.clock.utc().timestamp() * 1000
        for alarm in self.ward.book:
            over = cover(self.ward.book, alarm)
            if not may_be_shelved(alarm.type):
                assert (over.shelf, over.suppression) == (None, None)
            assert over.shelf is None or 0 < over.shelf.until_ms - now_ms <= LONGEST_SHELF_S * 1000

    @invariant()
    def the_first_fire_is_one_until_there_is_none(self) -> None:
        for test in (False, True):
            assert len({fire.first_of for fire in self.ward.book.fires.values() if fire.test is test}) <= 1

    @invariant()
    def the_audit_holds(self) -> None:
        assert self.runner.run(self.ward.store.read(lambda connection: list(verify(connection)))) == []


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
