"""What is on its way: how long the broker has been silent, and what the next connection sends again; no network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.commands import Reply
from gateway.dead import LEAVES
from gateway.delivery import SILENT_S
from gateway.event import Lane
from gateway.flight import Flight
from gateway.mqtt import Opened, Session, Target
from gateway.outbox import Entry
from gateway.parts import Parts
from tests.fakes import ManualClock
from tests.rig import BASE, Rig, rig

REPLY = Reply(f"{BASE}/reply/c-1", "{}", b"\0", lambda: None)


def session(*, present: bool, window: int = 64) -> Session:
    """As one that is connected, which it is not."""
    made = Session(Target("127.0.0.1", 1, "gw-0001"), lambda *_: None)
    made.opened = Opened(present, window, None)
    return made


@asynccontextmanager
async def flying(folder: Path) -> AsyncIterator[tuple[Rig, ManualClock, Flight, Parts]]:
    """A flight, and what it works with; five events wait."""
    clock = ManualClock()
    async with rig(folder, "district", clock=clock) as made:
        parts = made.uplink("district", lambda _: Target("127.0.0.1", 1, "gw-0001")).parts
        for _ in range(5):
            await made.accept("access.granted")
        await parts.outbox.fill()
        flight = Flight(parts)
        flight.begin(session(present=False))
        yield made, clock, flight, parts


def taken(parts: Parts) -> Entry:
    """The next event."""
    entry = parts.outbox.take(Lane.EVENT, 0.0)
    assert entry is not None
    return entry


def due(flight: Flight) -> list[int]:
    """What the connection is to send again, in order; and it does."""
    found = []
    while (again := flight.again()) is not None:
        flight.sent(again[0], again[1], again[0])
        found.append(again[0])
    return found


# silence


async def test_silence_is_the_age_of_the_oldest_that_nobody_answered(tmp_path: Path) -> None:
    async with flying(tmp_path) as (_, clock, flight, parts):
        clock.advance(100)
        assert flight.silent_s == 0
        flight.sent(1, taken(parts))
        clock.advance(10)
        flight.sent(2, taken(parts))  # what is sent later does not make it younger
        clock.advance(SILENT_S - 10)
        assert flight.silent_s == SILENT_S
        flight.acknowledged(1, 0)
        assert flight.silent_s == 0
        clock.advance(5)
        assert flight.silent_s == 5
        flight.acknowledged(2, 0)
        clock.advance(100)
        assert flight.silent_s == 0


async def test_however_slowly_it_answers_it_is_not_silent(tmp_path: Path) -> None:
    async with flying(tmp_path) as (_, clock, flight, parts):
        for number in range(1, 6):
            flight.sent(number, taken(parts))
        for number in range(1, 6):
            clock.advance(SILENT_S)
            assert flight.silent_s <= SILENT_S
            flight.acknowledged(number, 0x87 if number == 3 else 0)  # a refusal is an answer too
        assert parts.outbox.queues[Lane.EVENT].confirmed == 4


async def test_a_new_connection_is_not_silent_from_the_start(tmp_path: Path) -> None:
    async with flying(tmp_path) as (_, clock, flight, parts):
        flight.sent(1, taken(parts))
        clock.advance(1000)
        flight.begin(session(present=True))
        assert flight.silent_s == 0
        assert due(flight) == [1]
        clock.advance(3)
        assert flight.silent_s == 3


# what is sent again


async def test_a_session_that_goes_on_gets_it_with_its_ids_in_order(tmp_path: Path) -> None:
    async with flying(tmp_path) as (_, _, flight, parts):
        flight.sent(7, ("status", "{}"))
        entries = {packet_id: taken(parts) for packet_id in (8, 9, 10)}
        for packet_id, entry in entries.items():
            flight.sent(packet_id, entry)
        flight.sent(11, REPLY)
        flight.acknowledged(9, 0)
        flight.begin(session(present=True))
        assert (len(flight), flight.last_id) == (0, 11)
        assert flight.holds("status")
        assert not flight.holds("dossier")
        assert due(flight) == [7, 8, 10, 11]
        assert len(flight) == 4
        assert not flight.holds("status")
        for packet_id in (7, 8, 10, 11):
            flight.acknowledged(packet_id, 0)
        assert len(flight) == 0
        queue = parts.outbox.queues[Lane.EVENT]
        assert (queue.confirmed, queue.cursor.sequence, len(queue.waiting)) == (3, 3, 2)
        assert taken(parts).sequence == 4


async def test_a_second_loss_in_the_middle_keeps_the_order(tmp_path: Path) -> None:
    async with flying(tmp_path) as (_, _, flight, parts):
        for packet_id in (1, 2, 3):
            flight.sent(packet_id, taken(parts))
        flight.begin(session(present=True, window=1))
        again = flight.again()
        assert again is not None
        flight.sent(again[0], again[1], again[0])
        assert flight.full
        flight.begin(session(present=True))
        assert due(flight) == [1, 2, 3]


async def test_a_new_session_begins_at_the_cursor(tmp_path: Path) -> None:
    async with flying(tmp_path) as (_, _, flight, parts):
        for packet_id in (1, 2, 3):
            flight.sent(packet_id, taken(parts))
        flight.acknowledged(1, 0)
        flight.begin(session(present=False))
        assert flight.again() is None
        assert [taken(parts).sequence for _ in range(4)] == [2, 3, 4, 5]


async def test_what_a_refusal_held_is_tried_at_once(tmp_path: Path) -> None:
    """It was answered, so it is no part of the session; the rights may have been mended."""
    async with flying(tmp_path) as (_, clock, flight, parts):
        flight.sent(1, taken(parts))
        flight.sent(2, taken(parts))
        flight.acknowledged(1, 0x87)
        assert parts.outbox.take(Lane.EVENT, clock.monotonic()) is None
        flight.begin(session(present=True))
        assert due(flight) == [2]
        assert taken(parts).sequence == 1
        assert parts.outbox.take(Lane.EVENT, clock.monotonic()) is None  # one at a time


async def test_what_has_become_too_large_is_not_sent_again(tmp_path: Path) -> None:
    async with flying(tmp_path) as (_, _, flight, parts):
        flight.sent(1, taken(parts))
        flight.begin(session(present=True))
        again = flight.again()
        assert again is not None
        flight.sent(None, again[1], again[0])
        assert (len(flight), flight.again()) == (0, None)
        await parts.dead.settled()
        assert parts.outbox.queues[Lane.EVENT].dead == 1


async def test_an_answer_to_the_connection_before_counts(tmp_path: Path) -> None:
    async with flying(tmp_path) as (_, _, flight, parts):
        flight.sent(1, taken(parts))
        flight.sent(2, taken(parts))
        flight.begin(session(present=True))
        flight.acknowledged(2, 0)
        assert due(flight) == [1]


async def test_what_the_broker_leaves_at_each_time_is_not_sent_again_so(tmp_path: Path) -> None:
    async with flying(tmp_path) as (_, _, flight, parts):
        flight.sent(1, taken(parts))
        flight.sent(2, taken(parts))
        for _ in range(LEAVES):
            begun = session(present=True)
            flight.begin(begun)
            assert flight.again() is not None
            begun.closing = 0x80
            assert due(flight) == [1, 2]
            await flight.blame()
        flight.begin(session(present=True))
        assert flight.again() is None
        assert taken(parts).sequence == 1
