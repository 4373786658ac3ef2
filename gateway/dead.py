"""Letters that a broker can never take: too large, of a topic or payload it calls invalid, or answered by leaving.

The number is told as lost (`gateway.data_lost`, reason `refused`), the letter is kept in a list of its own, and the
lane goes on. What tells a loss is never set aside itself. Who leaves may have other reasons: so a letter is accused
only when it was alone on its way, on a connection that had taken something before, LEAVES times in a row. With MQTT
3.1.1 to leave is also how a broker refuses what the rights do not allow, which goes for a whole topic: so an event is
set aside only when the broker has taken another one of its topic before, since the last one of it that was set aside,
or when it is so large that this may be why. Otherwise its lane is held, and it is tried again, slowly.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from gateway.clock import Clock
from gateway.errors import StorageError
from gateway.letters import drop_dead, is_dead, put_dead
from gateway.loss import Loss
from gateway.outbox import Entry, Outbox
from gateway.pipeline import Pipeline
from gateway.privacy import DATA_LOST
from gateway.store import Store

NEVER = {0x90: "topic-invalid", 0x95: "too-large", 0x99: "payload-invalid"}  # MQTT 5.0, 3.4.2.1 and table 2-6
TOO_LARGE = 0x95
LEFT = 0x80  # the broker left, and gave no reason
NOT_AUTHORIZED = 0x87
LEAVES = 3
PLAIN_CHARS = 4096  # no broker finds an event of this size too large
CAREFUL_MESSAGES = 1000  # without the suspect among them: it is not sent any more
_BLAMES = {
    LEFT,
    0x81,
    0x82,
    0x83,
    NOT_AUTHORIZED,
    *NEVER,
    0x9A,
    0x9B,
}  # malformed, protocol error, … retain or QoS not supported
_LOST_BODY = f'"type":"{DATA_LOST}"'
_TRY_S = 1.0
Letter = Entry | tuple[str, str]  # an event, or a document: topic and payload


class Suspicion:
    """Which letter makes a broker leave. It outlives connections."""

    def __init__(self) -> None:
        self._key: tuple[str, int] | None = None
        self._leaves = 0
        self._times = 0  # in a row that it was the first in flight
        self._passed = 0  # letters since then
        self._may_accuse = True
        self._taken: set[str] = set()  # topics of which it has taken an event, since one of it was accused
        self._unsure: tuple[str, int] | None = None  # a letter that is held

    @property
    def careful(self) -> bool:
        """One at a time, to see at which one it leaves."""
        return self._key is not None

    @property
    def hardened(self) -> bool:
        """It is the same one again and again."""
        return self.careful and self._times >= LEAVES

    def confirmed(self, letter: Letter) -> None:
        """The broker has taken it."""
        if isinstance(letter, Entry):
            self._may_accuse = True
            self._taken.add(category(letter.row.body))
        self._passed += 1
        if _key(letter) == self._key or self._passed > CAREFUL_MESSAGES:
            self._key, self._leaves = None, 0

    def left(self, reason: int | None, flying: Sequence[Letter], proven: bool) -> tuple[Letter, bool] | None:
        """The link is lost: the letter that does it, if one does, and whether that is the letter's own fault.

        `proven`: this connection had taken something. Not its own fault: the broker may leave for want of rights.
        """
        if reason not in _BLAMES or not flying:
            return None
        guilty, exact = flying[0], self.careful and proven and len(flying) == 1
        same = _key(guilty) == self._key
        self._leaves, self._times = exact + same * self._leaves, 1 + same * self._times
        self._key, self._passed = _key(guilty), 0
        own_fault = self._own_fault(guilty, reason)
        if self._leaves < LEAVES and (own_fault or self._key != self._unsure):
            return None
        self._unsure = None if own_fault else self._key
        self._key, self._leaves = None, 0
        if own_fault and isinstance(guilty, Entry):
            self._may_accuse = False
            self._taken.discard(category(guilty.row.body))
        return guilty, own_fault

    def _own_fault(self, letter: Letter, reason: int) -> bool:
        """Not so for an event of a topic of which it has taken none, unless it may be too large for the broker."""
        if isinstance(letter, tuple):
            return True
        if reason == NOT_AUTHORIZED or told_loss(letter):
            return False
        large = self._may_accuse and len(letter.row.body) > PLAIN_CHARS
        return large or category(letter.row.body) in self._taken


def _key(letter: Letter) -> tuple[str, int]:
    return (letter.lane.value, letter.row.seq) if isinstance(letter, Entry) else (letter[0], 0)


def category(body: str) -> str:
    """Of an event: the last level of its topic."""
    start = body.index('"type":"') + 8
    return body[start : body.index(".", start)]


def told_loss(entry: Entry) -> bool:
    """It tells a loss, and is never given up itself."""
    return _LOST_BODY in entry.row.body


@dataclass(frozen=True)
class Room:
    """Where losses are told, and letters are kept."""

    gateway: str
    store: Store
    pipeline: Pipeline


class DeadLetters:
    """One uplink's: `await letters.run(clock)` until cancelled carries out what `add` and `arrived` asked for."""

    def __init__(self, uplink: str, outbox: Outbox, room: Room, log: logging.Logger) -> None:
        self._uplink = uplink
        self._outbox = outbox
        self._room = room
        self._log = log
        self._due: deque[tuple[Entry, str | None]] = deque()  # why it is set aside; None: it has arrived after all
        self._grown = asyncio.Event()
        self.suspicion = Suspicion()

    def add(self, entry: Entry, reason: int) -> None:
        """The broker can never take it."""
        entry.state = "dying"
        self._due.append((entry, NEVER.get(reason, "connection-closed")))
        self._grown.set()

    def arrived(self, entry: Entry) -> None:
        """What was sent once more was confirmed: if it was dead, it is not any more."""
        if self._outbox.queues[entry.lane].dead:
            self._due.append((entry, None))
            self._grown.set()

    async def run(self, clock: Clock) -> None:
        """What the disk does not take is tried until it does."""
        if self._due:
            self._grown.set()
        while True:
            await self._grown.wait()
            self._grown.clear()
            if not await self.settled():
                await clock.sleep(_TRY_S)
                self._grown.set()

    async def settled(self) -> bool:
        """Carry out what is due. False: the disk does not take it; the store tells of it."""
        while self._due:
            try:
                await self._settle(*self._due[0])
            except StorageError:
                return False
            self._due.popleft()
        return True

    async def _settle(self, entry: Entry, reason: str | None) -> None:
        store, lane, queue = self._room.store, entry.lane, self._outbox.queues[entry.lane]
        if reason is None:
            queue.dead = await store.transact(partial(drop_dead, uplink=self._uplink, lane=lane, seq=entry.row.seq))
            return
        if not await store.read(partial(is_dead, uplink=self._uplink, lane=lane, seq=entry.row.seq)):
            await self._tell(entry, reason)
        put = partial(put_dead, uplink=self._uplink, lane=lane, row=entry.row, reason=reason)
        self._outbox.set_aside(entry, await store.transact(put))

    async def _tell(self, entry: Entry, reason: str) -> None:
        stream = f"{self._uplink}.{entry.lane.value}"
        self._log.error(
            "the broker can never take number %d of %s (%s); set aside: `gateway outbox show` lists it",
            entry.sequence,
            stream,
            reason,
        )
        loss = Loss(stream, "refused", entry.sequence, entry.sequence)
        await self._room.pipeline.accept([loss.reading(self._room.gateway)])
