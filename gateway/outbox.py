"""What one uplink still owes: a cursor per lane over the store, what is in flight, which comes next.

- Handed out in the order of the lane; alarms first, then events, then telemetry, which gets at least one message in
  TELEMETRY_SHARE so that it never starves.
- The cursor moves over the confirmed prefix only. A refused message holds its lane and is tried again slowly.
- A letter that the broker can never take is set aside, and the lane goes on.
- What is asked for once more goes out when its lane has nothing new.
- What waited while the link was away goes out at `rate`; alarms do not wait for it.
- After a lost link what was in flight is sent again, at least once, with the same id and number: by the flight where
  the broker's session goes on, else it is handed out again.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from gateway.batch import Cursor
from gateway.database import Hole, Row, read_cursors, read_holes
from gateway.event import Lane
from gateway.letters import count_dead, put_again, read_agains
from gateway.replay import Found, Rate, Replay, look
from gateway.store import Store

TELEMETRY_SHARE = 50  # contract, section 3: one telemetry message in 50
PREFETCH_ROWS = 256
SKIP_ROWS = 1000  # a cursor that only passed foreign events is made durable this often
REFUSED_FIRST_S = 1.0
REFUSED_MOST_S = 60.0
SHUT_FIRST_S = 60.0  # each try costs the link
SHUT_MOST_S = 900.0
SHUT_ALARM_S = 10.0  # an alarm never waits longer to be tried (architecture, section 5)


@dataclass(slots=True, eq=False)
class Entry:
    """One event on its way to one uplink."""

    lane: Lane
    row: Row
    sequence: int
    state: Literal["flying", "confirmed", "refused", "dying"] = "flying"
    again: bool = False  # sent once more, because it was asked for


@dataclass(slots=True)
class Queue:
    """One lane of one uplink."""

    cursor: Cursor = field(default_factory=Cursor)
    read_to: int = 0  # rows up to this seq have been looked at
    waiting: deque[Row] = field(default_factory=deque)
    flying: deque[Entry] = field(default_factory=deque)
    refused_s: float = 0.0  # how long the lane is held after a refusal; 0: it is not
    try_at_s: float = 0.0  # when a held lane tries again, on the monotonic clock
    sent: int = 0
    confirmed: int = 0
    refused: int = 0
    dropped: int = 0
    dead: int = 0  # letters set aside
    shut_s: float = 0.0  # how long nothing of the lane goes out, because the broker leaves at it; 0: it does
    open_at_s: float = 0.0  # when it is tried again, on the monotonic clock; also on another connection
    watched: set[int] = field(default_factory=set)  # seqs of events that opened an alarm (gateway/proofs.py)
    late_to: int = 0  # rows up to this seq waited while the link was away
    replay: Replay = field(default_factory=Replay)

    def next(self, lane: Lane, uplink: str, rate: Rate, now_s: float) -> Entry | None:
        """What comes next, now in flight: new before what is sent once more; late ones as `rate` allows."""
        again = not self.waiting
        source = self.replay.waiting if again else self.waiting
        if not source:
            return None
        if lane is not Lane.ALARM and (again or source[0].seq <= self.late_to):
            if not rate.allows(now_s):
                return None
            rate.took(now_s)
        row = source.popleft()
        entry = Entry(lane, row, row.numbers[uplink], again=again)
        if again:
            self.replay.flying.append(row)
        else:
            self.flying.append(entry)
        return entry

    def retry(self, lane: Lane, uplink: str, rate: Rate, now_s: float) -> Entry | None:
        """While the lane is held: one at a time."""
        if now_s < self.try_at_s:
            return None
        for entry in self.flying:
            if entry.state == "flying":
                return None
            if entry.state == "refused":
                entry.state = "flying"
                return entry
        return None if self.replay.flying else self.next(lane, uplink, rate, now_s)

    def rewind(self) -> None:
        """Nothing is in flight any more, also nothing that was confirmed out of order."""
        self.waiting.extendleft(entry.row for entry in reversed(self.flying))
        self.flying.clear()
        self.refused_s = 0.0
        self.replay.rewind()

    def shut(self, lane: Lane, now_s: float) -> bool:
        """The broker leaves at what comes next: it waits, so that the other lanes have a link. True when it is news."""
        news = self.shut_s == 0.0
        self.refused += 1
        self.shut_s = min(2 * self.shut_s or SHUT_FIRST_S, SHUT_ALARM_S if lane is Lane.ALARM else SHUT_MOST_S)
        self.open_at_s = now_s + self.shut_s
        return news

    def advance(self) -> bool:
        """The cursor over the confirmed prefix; True when it moved. With nothing refused the lane is held no longer."""
        moved = None
        while self.flying and self.flying[0].state == "confirmed":
            moved = self.flying.popleft()
        if moved is not None:
            self.cursor = Cursor(moved.row.seq, moved.sequence)
        if self.refused_s and not any(entry.state == "refused" for entry in self.flying):
            self.refused_s = 0.0
        return moved is not None


class Outbox:
    """One uplink's lanes."""

    def __init__(self, store: Store, uplink: str) -> None:
        self._store = store
        self.uplink = uplink
        self.rate = Rate(None)
        self._since_telemetry = 0
        self._loaded = False
        self._holes: dict[Lane, Hole] = {}
        self.on_fate: Callable[[Lane, int, bool], None] = lambda *_: None  # of a watched seq: has the broker got it
        self.queues = {lane: Queue() for lane in Lane}

    async def load(self) -> None:
        """Cursors as they stand on disk, once. StorageError when the disk fails."""
        if self._loaded:
            return
        cursors, holes = await self._store.transact(
            lambda connection: (read_cursors(connection), read_holes(connection))
        )
        await count_letters(self, self._store)
        agains = await self._store.read(partial(read_agains, uplink=self.uplink))
        if self._loaded:
            return  # somebody else was first, and has gone on from there
        for lane, queue in self.queues.items():
            queue.replay.ask(*agains.get(lane, (0, 0)))
            queue.cursor = cursors.get((self.uplink, lane), Cursor())
            queue.read_to = queue.cursor.seq
        self._holes = {hole.lane: hole for hole in holes if hole.uplink == self.uplink}
        self._loaded = True

    # what comes next

    def take(self, lane: Lane, now_s: float) -> Entry | None:
        """The lane's next event, now in flight; None when there is none or the lane is held."""
        queue = self.queues[lane]
        if now_s < queue.open_at_s:
            return None
        entry = (
            queue.retry(lane, self.uplink, self.rate, now_s)
            if queue.refused_s
            else queue.next(lane, self.uplink, self.rate, now_s)
        )
        if entry is not None:
            queue.sent += 1
            self._since_telemetry = 0 if lane is Lane.TELEMETRY else self._since_telemetry + 1
        return entry

    def order(self) -> tuple[Lane, ...]:
        """Which lane to ask first now."""
        if self._since_telemetry >= TELEMETRY_SHARE - 1 and self.queues[Lane.TELEMETRY].waiting:
            return Lane.TELEMETRY, Lane.ALARM, Lane.EVENT
        return Lane.ALARM, Lane.EVENT, Lane.TELEMETRY

    # what became of it

    def confirmed(self, entry: Entry) -> None:
        """The broker has it: the cursor moves over the confirmed prefix."""
        queue = self.queues[entry.lane]
        queue.confirmed += 1
        queue.shut_s = 0.0
        if entry.row.seq in queue.watched:
            self.on_fate(entry.lane, entry.row.seq, True)
        self._settle(queue, entry)

    def set_aside(self, entry: Entry, dead: int) -> None:
        """The broker will never have it, and it is in the list of dead letters, now `dead` long for its lane."""
        queue = self.queues[entry.lane]
        queue.dead = dead
        if entry.row.seq in queue.watched:
            self.on_fate(entry.lane, entry.row.seq, False)
        self._settle(queue, entry)

    def _settle(self, queue: Queue, entry: Entry) -> None:
        """Nothing more is to be done with it: the cursor moves over the settled prefix."""
        entry.state = "confirmed"
        if entry.again:
            queue.replay.landed(entry.row)
        if queue.advance():
            self._store.mark(self.uplink, entry.lane, queue.cursor)

    def refused(self, entry: Entry, now_s: float) -> bool:
        """The broker has it not, and said so: the lane is held. True when that is news."""
        queue = self.queues[entry.lane]
        if entry.row.seq <= queue.cursor.seq and not entry.again:
            return False  # given up meanwhile
        news = queue.refused_s == 0.0
        queue.refused += 1
        entry.state = "refused"
        if entry.row.seq in queue.watched:
            self.on_fate(entry.lane, entry.row.seq, False)
        if entry.again:
            queue.replay.back(entry.row)
        if news or now_s >= queue.try_at_s:  # not once more for each of the same window
            queue.refused_s = min(max(2 * queue.refused_s, REFUSED_FIRST_S), REFUSED_MOST_S)
            queue.try_at_s = now_s + queue.refused_s
        return news

    def give_up(self, lane: Lane, seq: int, sequence: int, count: int) -> None:
        """What was owed up to `seq` is gone from the disk, told as lost: `count` events, up to number `sequence`."""
        queue = self.queues[lane]
        if seq <= queue.cursor.seq:
            return
        for lost in [watched for watched in queue.watched if queue.cursor.seq < watched <= seq]:
            self.on_fate(lane, lost, False)
        while queue.waiting and queue.waiting[0].seq <= seq:
            queue.waiting.popleft()
        while queue.flying and queue.flying[0].row.seq <= seq:
            queue.flying.popleft()
        queue.read_to = max(queue.read_to, seq)
        queue.cursor = Cursor(seq, max(sequence, queue.cursor.sequence))
        queue.dropped += count
        queue.advance()
        self._store.mark(self.uplink, lane, queue.cursor)

    def connected(self, *, goes_on: bool) -> None:
        """A link is up. Where the broker's session goes on what is in flight stays so, else it begins at the cursor.

        What has been taken in by now is late: it goes out at `rate`.
        """
        for lane, queue in self.queues.items():
            queue.late_to = self._store.last[lane]
            queue.try_at_s = 0.0
            if not goes_on:
                queue.rewind()

    # reading ahead

    async def fill(self) -> bool:
        """Read ahead a piece where a lane runs short; True: call again. StorageError when the disk fails."""
        await self.load()
        found = False
        for lane, queue in self.queues.items():
            if len(queue.waiting) < PREFETCH_ROWS and self._store.last[lane] > queue.read_to:
                rows = await self._store.rows(lane, queue.read_to, PREFETCH_ROWS)
                queue.waiting.extend(r for r in rows if r.seq > queue.read_to and self.uplink in r.numbers)
                queue.read_to = max(queue.read_to, rows[-1].seq if rows else 0)
                found = found or bool(rows)
            self._skip(lane, queue)
            found = await queue.replay.fill(self._store, self.uplink, lane, PREFETCH_ROWS) or found
        return found

    def _skip(self, lane: Lane, queue: Queue) -> None:
        idle = not queue.waiting and not queue.flying
        if idle and queue.read_to - queue.cursor.seq >= SKIP_ROWS:
            queue.cursor = Cursor(queue.read_to, queue.cursor.sequence)
            self._store.mark(self.uplink, lane, queue.cursor)

    @property
    def short(self) -> bool:
        """Some lane runs out of what was read ahead, and there is more on disk."""
        return any(
            (len(queue.waiting) < PREFETCH_ROWS // 2 and self._store.last[lane] > queue.read_to) or queue.replay.short
            for lane, queue in self.queues.items()
        )

    # what is left

    def backlog(self, lane: Lane) -> int:
        """How many events of the lane the uplink has not confirmed."""
        newest = self._store.numbers.get(lane, {}).get(self.uplink, 0)
        confirmed, hole = self.queues[lane].cursor.sequence, self._holes.get(lane)
        return max(0, newest - confirmed - (hole.beyond(confirmed) if hole else 0))

    def oldest_ms(self, lane: Lane) -> int | None:
        """When the oldest unconfirmed event was taken in, ms since 1970."""
        queue = self.queues[lane]
        if queue.flying:
            return queue.flying[0].row.time_ms
        return queue.waiting[0].time_ms if queue.waiting else None


async def count_letters(outbox: Outbox, store: Store) -> None:
    """How many letters are set aside, as it stands on disk. StorageError when the disk fails."""
    for lane, letters in (await store.read(partial(count_dead, uplink=outbox.uplink))).items():
        outbox.queues[lane].dead = letters


async def resend(outbox: Outbox, store: Store, lane: Lane, first: int, last: int | None) -> Found:
    """Send numbers `first` to `last` once more, as far as they are kept. StorageError when the disk fails.

    What has not been confirmed yet is on its way anyway, and does not belong to it.
    """
    await outbox.load()
    cursor, replay = outbox.queues[lane].cursor, outbox.queues[lane].replay
    upto = cursor.sequence if last is None else min(last, cursor.sequence)
    found = await look(store, outbox.uplink, lane, cursor.seq, first, upto)
    if found.count:
        merged = replay.merged(found.after, found.upto)
        await store.transact(partial(put_again, uplink=outbox.uplink, lane=lane, after=merged[0], upto=merged[1]))
        replay.ask(*merged)
    return found
