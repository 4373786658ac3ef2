"""What an uplink owes: a small model beside the real outbox on a real store, whatever happens in whatever order."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway import database as database_module
from gateway import outbox as outbox_module
from gateway import store as store_module
from gateway import writer as writer_module
from gateway.batch import Cursor
from gateway.database import Draft, read_cursors
from gateway.event import Lane
from gateway.identity import Identities
from gateway.outbox import REFUSED_FIRST_S, REFUSED_MOST_S, TELEMETRY_SHARE, Entry, Outbox
from gateway.store import Store

NOW_MS = 1795428379123
IDENTITIES = Identities()
NAMES = ("city", "district", "fire-brigade")
T = TypeVar("T")
lanes = st.sampled_from(Lane)
names = st.sampled_from(NAMES)
some = st.integers(0, len(NAMES) - 1)  # which of the uplinks that are there
configured = st.sets(names, min_size=1)
picks = st.lists(st.integers(0, 63), min_size=1, max_size=6)


def draft(lane: Lane, uplinks: Sequence[str] = ("district",)) -> Draft:
    """An event with an id of its own."""
    body = json.dumps({"id": IDENTITIES.next(NOW_MS)}, separators=(",", ":"))
    return Draft(lane, NOW_MS, body, frozenset(uplinks))


def identity(entry: Entry) -> str:
    """The id of the event on its way."""
    return str(json.loads(entry.row.body)["id"])


def next_entry(outbox: Outbox, now_s: float) -> Entry | None:
    """What goes out next, asked for as a delivery does."""
    found = (outbox.take(lane, now_s) for lane in outbox.order())
    return next((entry for entry in found if entry is not None), None)


def picked(flying: list[Entry], picks: list[int]) -> list[Entry]:
    """Some of those in flight, which they leave."""
    return [flying.pop(pick % len(flying)) for pick in picks if flying]


class Outboxes(RuleBasedStateMachine):
    """Uplinks come and go, links break, brokers refuse; every event is confirmed or still owed, in order, numbered."""

    def __init__(self) -> None:
        super().__init__()
        shared = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(store_module, "TELEMETRY_GATHER_S", 0.0)
        self.patch.setattr(store_module, "TAIL_ROWS", 5)
        self.patch.setattr(writer_module, "SETTLE_ROWS", 2)
        self.patch.setattr(database_module, "JOURNAL_ROWS", 3)
        self.patch.setattr(outbox_module, "PREFETCH_ROWS", 4)
        self.patch.setattr(outbox_module, "SKIP_ROWS", 3)
        self.loop = asyncio.new_event_loop()
        self.now_s = 0.0
        self.streams: dict[tuple[str, Lane], list[str]] = {(name, lane): [] for name in NAMES for lane in Lane}
        self.arrived: dict[tuple[str, Lane], set[int]] = {stream: set() for stream in self.streams}  # ever confirmed
        self.outboxes: dict[str, Outbox] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """On the machine's own loop."""
        return self.loop.run_until_complete(work)

    @initialize(uplinks=configured)
    def start(self, uplinks: set[str]) -> None:
        """Open the store for these uplinks, as the daemon starts."""
        self.store = Store(self.folder / "events.db", sorted(uplinks))
        self.run(self.store.__aenter__())
        self.outboxes = {name: Outbox(self.store, name) for name in uplinks}
        self.flying: dict[str, list[Entry]] = {name: [] for name in uplinks}
        self.others = dict.fromkeys(uplinks, 0)  # messages since the last one of telemetry
        self.handed: dict[tuple[str, Lane], int] = {}  # the highest number handed out since the link came up
        self.confirmed: dict[tuple[str, Lane], set[int]] = {}  # out of order, beyond the prefix
        self.prefix: dict[tuple[str, Lane], int] = {}
        for name, outbox in self.outboxes.items():
            self.run(outbox.load())
            for lane in Lane:
                self.prefix[name, lane] = self.handed[name, lane] = outbox.queues[lane].cursor.sequence
                self.confirmed[name, lane] = set()

    @rule(uplinks=configured, crash=st.booleans())
    def restart(self, uplinks: set[str], crash: bool) -> None:
        """The daemon ends and starts, maybe configured anew; a crash loses the newest cursors."""
        if crash:
            self.store._pending.marks.clear()
        before = dict(self.prefix)
        self.run(self.store.__aexit__(None, None, None))
        self.start(uplinks)
        for stream in set(before) & set(self.prefix):
            assert self.prefix[stream] <= before[stream]
            assert crash or self.prefix[stream] == before[stream]

    @rule(events=st.lists(st.tuples(lanes, st.sets(names, max_size=1)), min_size=4, max_size=12))
    def append(self, events: list[tuple[Lane, set[str]]]) -> None:
        """Each event goes to all uplinks but some."""
        drafts = [draft(lane, sorted(set(self.outboxes) - without)) for lane, without in events]
        self.run(self.store.append(drafts))
        for made in drafts:
            for name in made.uplinks:
                self.streams[name, made.lane].append(json.loads(made.body)["id"])

    def named(self, number: int) -> str:
        """One of the uplinks that are configured now."""
        return sorted(self.outboxes)[number % len(self.outboxes)]

    @rule(number=some, count=st.integers(4, 16))
    def send(self, number: int, count: int) -> None:
        """Fill the window, as a delivery does."""
        name = self.named(number)
        for _ in range(count):
            outbox = self.outboxes[name]
            while self.run(outbox.fill()):
                pass
            entry = next_entry(outbox, self.now_s)
            if entry is not None:
                self.flying[name].append(entry)
                self.look_at(name, entry)

    def look_at(self, name: str, entry: Entry) -> None:
        """Is it the event of that number, and the next one of its lane? Does it jump no queue?"""
        stream = name, entry.lane
        assert self.streams[stream][entry.sequence - 1] == identity(entry)
        assert entry.row.numbers[name] == entry.sequence
        if entry.sequence > self.handed[stream]:
            assert entry.sequence == self.handed[stream] + 1
            self.handed[stream] = entry.sequence
        due = entry.lane is Lane.TELEMETRY and self.others[name] >= TELEMETRY_SHARE - 1
        self.others[name] = 0 if entry.lane is Lane.TELEMETRY else self.others[name] + 1
        ahead = {Lane.ALARM: (), Lane.EVENT: (Lane.ALARM,), Lane.TELEMETRY: (Lane.ALARM, Lane.EVENT)}[entry.lane]
        for lane in ahead:
            held = self.outboxes[name].queues[lane].refused_s > 0
            assert due or held or self.handed[name, lane] == len(self.streams[name, lane])

    @rule(number=some, picks=picks)
    def confirm(self, number: int, picks: list[int]) -> None:
        """The broker has some of those in flight, not always the first."""
        name = self.named(number)
        for entry in picked(self.flying[name], picks):
            stream = name, entry.lane
            self.outboxes[name].confirmed(entry)
            self.arrived[stream].add(entry.sequence)
            self.confirmed[stream].add(entry.sequence)
            while self.prefix[stream] + 1 in self.confirmed[stream]:
                self.prefix[stream] += 1

    @rule(number=some, picks=picks)
    def confirm_and_lose_link(self, number: int, picks: list[int]) -> None:
        """Some confirmations came before the line was cut."""
        self.confirm(number, picks)
        self.lose_link(number, goes_on=False)

    @rule(number=some, picks=picks)
    def refuse(self, number: int, picks: list[int]) -> None:
        """The broker has some of them not."""
        name = self.named(number)
        for entry in picked(self.flying[name], picks):
            self.outboxes[name].refused(entry, self.now_s)

    @rule(seconds=st.sampled_from([0.5, REFUSED_FIRST_S, REFUSED_MOST_S]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now_s += seconds

    @rule(number=some, goes_on=st.booleans())
    def lose_link(self, number: int, goes_on: bool) -> None:
        """What was in flight still is, where the broker's session goes on; else it begins again at the cursor."""
        name = self.named(number)
        self.outboxes[name].connected(goes_on=goes_on)
        if goes_on:
            return
        self.flying[name].clear()
        for lane in Lane:
            self.handed[name, lane] = self.prefix[name, lane]
            self.confirmed[name, lane].clear()

    @invariant()
    def the_cursor_is_the_confirmed_prefix(self) -> None:
        """Neither more nor less; what is left is the backlog."""
        for (name, lane), prefix in self.prefix.items():
            outbox = self.outboxes[name]
            assert outbox.queues[lane].cursor.sequence == prefix
            assert outbox.backlog(lane) == len(self.streams[name, lane]) - prefix
            assert (outbox.backlog(lane) == 0) == (self.prefix[name, lane] == len(self.streams[name, lane]))

    def teardown(self) -> None:
        """With patience everything arrives, also at uplinks that were gone for a while."""
        if self.outboxes:
            self.restart(set(NAMES), crash=False)
            for number, name in enumerate(NAMES):
                owed = sum(self.outboxes[name].backlog(lane) for lane in Lane)
                for _ in range(owed // 16 + 2):
                    self.send(number, 16)
                    self.confirm(number, [0] * 16)
                assert [self.outboxes[name].backlog(lane) for lane in Lane] == [0, 0, 0]
            for stream, ids in self.streams.items():
                assert self.arrived[stream] == set(range(1, len(ids) + 1))
            self.run(self.store.__aexit__(None, None, None))
        self.loop.close()
        self.patch.undo()
        shutil.rmtree(self.folder)


TestOutboxes = Outboxes.TestCase
TestOutboxes.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# one thing at a time


@asynccontextmanager
async def one(folder: Path, **counts: int) -> AsyncIterator[tuple[Store, Outbox]]:
    """A store with so many events in each lane, and the outbox of `district`, filled."""
    async with Store(folder / "events.db", ("district", "other")) as store:
        outbox = Outbox(store, "district")
        await store.append([draft(Lane(lane)) for lane, count in counts.items() for _ in range(count)])
        await outbox.fill()
        yield store, outbox


async def test_telemetry_gets_one_in_fifty(tmp_path: Path) -> None:
    async with one(tmp_path, telemetry=10, event=100, alarm=100) as (_, outbox):
        sent = [next_entry(outbox, 0.0) for _ in range(210)]
    found = [entry.lane for entry in sent if entry is not None]
    assert [place for place, lane in enumerate(found, 1) if lane is Lane.TELEMETRY][:4] == [50, 100, 150, 200]
    assert TELEMETRY_SHARE == 50
    others = [lane for lane in found if lane is not Lane.TELEMETRY]
    assert others == [Lane.ALARM] * 100 + [Lane.EVENT] * 100


async def test_after_a_lost_link_it_begins_at_the_cursor(tmp_path: Path) -> None:
    """What was confirmed beyond a hole goes once more, with its id and number: else the backlog never ends."""
    async with one(tmp_path, event=2) as (_, outbox):
        first, second = outbox.take(Lane.EVENT, 0.0), outbox.take(Lane.EVENT, 0.0)
        assert first is not None
        assert second is not None
        outbox.confirmed(second)
        outbox.connected(goes_on=False)
        again = [entry for entry in (outbox.take(Lane.EVENT, 0.0) for _ in range(3)) if entry]
        assert [(entry.sequence, entry.row) for entry in again] == [(1, first.row), (2, second.row)]
        for entry in again:
            outbox.confirmed(entry)
        assert outbox.backlog(Lane.EVENT) == 0


async def test_the_rest_of_a_refused_window_does_not_make_the_wait_longer(tmp_path: Path) -> None:
    async with one(tmp_path, event=64) as (_, outbox):
        window = [entry for entry in (outbox.take(Lane.EVENT, 0.0) for _ in range(64)) if entry]
        assert [outbox.refused(entry, 0.0) for entry in window] == [True] + [False] * 63
        assert outbox.take(Lane.EVENT, REFUSED_FIRST_S - 0.1) is None
        assert outbox.take(Lane.EVENT, REFUSED_FIRST_S) is window[0]


async def test_a_refused_lane_tries_one_at_a_time_ever_more_slowly(tmp_path: Path) -> None:
    async with one(tmp_path, event=10, alarm=1) as (_, outbox):
        first, second = outbox.take(Lane.EVENT, 0.0), outbox.take(Lane.EVENT, 0.0)
        assert first is not None
        assert second is not None
        now_s, waits = 0.0, list[float]()
        outbox.refused(first, now_s)
        outbox.confirmed(second)
        while len(waits) < 8:
            due_s = outbox.queues[Lane.EVENT].try_at_s
            waits.append(due_s - now_s)
            assert outbox.take(Lane.EVENT, due_s - 0.01) is None
            assert outbox.take(Lane.EVENT, due_s) is first
            assert outbox.take(Lane.EVENT, due_s + 1000) is None  # until it is answered
            now_s = due_s
            assert not outbox.refused(first, now_s)
        assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
        assert outbox.take(Lane.ALARM, now_s) is not None  # the other lanes go on
        assert outbox.take(Lane.EVENT, now_s + REFUSED_MOST_S) is first
        outbox.confirmed(first)
        third = outbox.take(Lane.EVENT, now_s)
        assert third is not None
        assert (third.sequence, outbox.queues[Lane.EVENT].cursor.sequence) == (3, 2)


async def test_a_held_lane_goes_on_when_what_held_it_is_given_up(tmp_path: Path) -> None:
    """The refused one is gone for want of room: those behind it that arrived are over, the rest goes out."""
    async with one(tmp_path, event=4) as (_, outbox):
        window = [entry for entry in (outbox.take(Lane.EVENT, 0.0) for _ in range(3)) if entry]
        outbox.refused(window[0], 0.0)
        outbox.confirmed(window[1])
        outbox.confirmed(window[2])
        outbox.give_up(Lane.EVENT, window[0].row.seq, 1, 1)
        assert outbox.queues[Lane.EVENT].cursor.sequence == 3
        fourth = outbox.take(Lane.EVENT, 0.1)
        assert fourth is not None
        assert fourth.sequence == 4


async def test_a_refusal_of_what_was_given_up_holds_nothing(tmp_path: Path) -> None:
    async with one(tmp_path, event=2) as (_, outbox):
        first = outbox.take(Lane.EVENT, 0.0)
        assert first is not None
        outbox.give_up(Lane.EVENT, first.row.seq, 1, 1)
        assert not outbox.refused(first, 0.0)
        second = outbox.take(Lane.EVENT, 0.1)
        assert second is not None
        assert second.sequence == 2


async def test_events_of_others_do_not_hold_up_an_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An uplink that wants little has much to pass over: it looks at the alarms in between."""
    monkeypatch.setattr(store_module, "TAIL_ROWS", 5)
    monkeypatch.setattr(database_module, "JOURNAL_ROWS", 3)
    monkeypatch.setattr(outbox_module, "PREFETCH_ROWS", 10)
    async with one(tmp_path) as (store, outbox):
        await store.append([draft(Lane.EVENT, ("other",)) for _ in range(200)])
        assert await outbox.fill()
        assert outbox.queues[Lane.EVENT].read_to < 200
        await store.append([draft(Lane.ALARM)])
        assert await outbox.fill()
        assert outbox.queues[Lane.EVENT].read_to < 200
        assert outbox.take(Lane.ALARM, 0.0) is not None
        while await outbox.fill():
            pass
        assert outbox.queues[Lane.EVENT].read_to == 200


async def test_what_was_passed_over_is_passed_over_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "SKIP_ROWS", 100)
    async with one(tmp_path) as (store, outbox):
        await store.append([draft(Lane.EVENT, ("other",)) for _ in range(300)])
        while await outbox.fill():
            pass
        assert not outbox.backlog(Lane.EVENT)
    async with Store(tmp_path / "events.db", ("district", "other")) as store:
        cursors = await store.transact(read_cursors)
        assert cursors["district", Lane.EVENT].seq > 200
        assert cursors["district", Lane.EVENT].sequence == 0


async def test_given_up_while_being_read(tmp_path: Path) -> None:
    """What was told as lost is not sent after all, and the cursor does not go back."""
    async with one(tmp_path, event=1) as (store, outbox):
        await store.append([draft(Lane.EVENT) for _ in range(9)])
        await store.read(lambda _: None)
        store.tails[Lane.EVENT].clear()  # from disk, which takes its time
        reading = asyncio.create_task(outbox.fill())
        while not reading.done() and outbox.queues[Lane.EVENT].cursor.seq == 0:
            store.listeners.append(lambda _: None)
            await asyncio.wait([reading], timeout=0)
            outbox.give_up(Lane.EVENT, 5, 5, 5)
        await reading
        sent = [entry.sequence for entry in (outbox.take(Lane.EVENT, 0.0) for _ in range(10)) if entry]
        assert sent == [6, 7, 8, 9, 10]
        assert outbox.backlog(Lane.EVENT) == 5
        outbox.give_up(Lane.EVENT, 6, 0, 0)  # rows of a time when this uplink was not configured know nothing of it
        assert outbox.queues[Lane.EVENT].cursor == Cursor(6, 5)


async def test_two_who_load_at_once_load_once(tmp_path: Path) -> None:
    """The delivery and whoever looks after the room both begin with it."""
    async with one(tmp_path) as (store, _):
        await store.append([draft(Lane.EVENT) for _ in range(5)])
        outbox = Outbox(store, "district")
        filling, loading = asyncio.create_task(outbox.fill()), asyncio.create_task(outbox.load())
        await asyncio.gather(filling, loading)
        await outbox.fill()
        sent = [entry.sequence for entry in (outbox.take(Lane.EVENT, 0.0) for _ in range(10)) if entry]
        assert sent == [1, 2, 3, 4, 5]


async def test_the_oldest_is_what_waits_longest(tmp_path: Path) -> None:
    async with one(tmp_path, event=2) as (_, outbox):
        assert outbox.oldest_ms(Lane.ALARM) is None
        assert outbox.oldest_ms(Lane.EVENT) == NOW_MS
        entry = outbox.take(Lane.EVENT, 0.0)
        assert entry is not None
        assert outbox.oldest_ms(Lane.EVENT) == NOW_MS
        for owed in (entry, outbox.take(Lane.EVENT, 0.0)):
            assert owed is not None
            outbox.confirmed(owed)
        assert outbox.oldest_ms(Lane.EVENT) is None
