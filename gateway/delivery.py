"""One connected session of an uplink: what goes out in which order, and what the broker said of it."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from paho.mqtt.client import topic_matches_sub

from gateway.board import Board
from gateway.commands import Reply
from gateway.dead import category
from gateway.errors import StorageError, Text
from gateway.event import Lane
from gateway.flight import Flight, Sent
from gateway.mqtt import CLOUD_EVENT, JSON, Message, Session
from gateway.normalize import corrected
from gateway.outbox import Entry
from gateway.parts import Hearing, Parts, Plan
from gateway.retained import encode
from gateway.turns import Turns

SILENT_S = 17.0  # messages in flight and none answered for so long, whatever else comes: the link is dead
FLUSH_S = 3.0  # at shutdown, for what is still owed
FAREWELL_S = 1.0  # at shutdown, for the last status


class Delivery:
    """`await Delivery(…).run(stopping)` ends when the link is lost, or after a farewell."""

    def __init__(self, parts: Parts, session: Session, number: int, flight: Flight) -> None:
        self._plan = parts.plan
        self._outbox = parts.outbox
        self._retained = parts.retained
        self._clock = parts.clock
        self._log = parts.log
        self._dead = parts.dead
        self._desk = parts.desk
        self._replies: deque[Reply] = deque()
        self._flight = flight
        self._session = session
        self._number = number
        self.window = session.opened.window
        self._topics: dict[str, bytes] = {}
        self._posters = parts.posters
        self._board = Board(parts.plan, parts.retained, parts.posters, parts.clock.monotonic())
        self._turned = asyncio.Event()
        self._grown = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> Text | None:
        """Returns why the link was lost, or None after a farewell."""
        self._session.on_ack = self._flight.acknowledged
        self._session.on_turn = self._turn
        self._session.expecting = self._flight.__len__
        self._flight.begin(self._session)
        await self.announce()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read_ahead()), group.create_task(self._tick())]
            tasks += [group.create_task(self._dead.run(self._clock)), group.create_task(self._answer())]
            tasks.append(group.create_task(self._posters.run(self._retained, self._clock, self._pump)))
            stop = group.create_task(stopping.wait())
            ends: set[asyncio.Future[Any]] = {stop, self._session.lost}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not self._session.lost.done():
                await self._farewell()
            for task in (stop, *tasks):
                task.cancel()
        if not self._session.lost.done():
            return None
        await self._flight.blame()
        return self._session.lost.result()

    def grown(self, _lane: Lane) -> None:
        """The store has committed something."""
        self._grown.set()

    def state_changed(self, device: str) -> None:
        """A device's document may have changed."""
        if self._board.state_changed(device):
            self._grown.set()

    # sending

    async def announce(self) -> None:
        """Every document, after connecting, or when it is asked for."""
        await self._board.announce(self._number)
        self._grown.set()

    def _pump(self) -> None:
        """Fill the window."""
        now_s = self._clock.monotonic()
        while not self._flight.full and self._send_next(now_s):
            pass
        self._session.flush()

    def _send_next(self, now_s: float) -> bool:
        again, urgent = self._flight.again(), self._retained.urgent
        if again is not None and ("status" not in urgent or self._flight.holds("status")):
            self._send(again[1], again[0])  # in the order in which it was sent (MQTT 5.0, 4.6); only the birth is first
            return True
        if again is None and self._replies:
            reply = self._replies.popleft()
            self._send(reply)
            reply.done()
            return True
        if self._send_document(urgent):
            return True
        for lane in self._outbox.order():
            entry = self._outbox.take(lane, now_s)
            if entry is not None:
                self._send(entry)
                return True
            if lane is Lane.ALARM and self._send_document(self._retained.rest):
                return True
        return False

    def _send_document(self, queue: dict[str, str]) -> bool:
        found = self._retained.take(queue)
        if found is None:
            return False
        self._send(found)
        return True

    def _send(self, what: Sent, again: int | None = None) -> None:
        if isinstance(what, Entry):
            topic, payload = self._event(what)
            packet_id = self._session.publish(topic, payload, CLOUD_EVENT, again=again)
        elif isinstance(what, Reply):
            packet_id = self._session.publish(what.topic.encode(), what.payload.encode(), what.properties, again=again)
        else:
            topic = f"{self._plan.base}/{what[0]}".encode()
            packet_id = self._session.publish(topic, what[1].encode(), JSON, retain=True, again=again)
        self._flight.sent(packet_id, what, again)

    def _event(self, entry: Entry) -> tuple[bytes, bytes]:
        """Its topic and payload."""
        row = entry.row
        last = category(row.body)
        topic = self._topics.get(last)
        if topic is None:
            topic = self._topics[last] = f"{self._plan.base}/event/{last}".encode()
        body = corrected(row.body, row.private, self._clock)
        return topic, self._plan.policy.render(entry.lane, entry.sequence, body, row.private).encode()

    def _turn(self) -> None:
        self._pump()
        if self._outbox.short:
            self._grown.set()
        self._turned.set()

    # the tasks of a session

    async def _read_ahead(self) -> None:
        told = False
        while True:
            self._grown.clear()
            more = True
            try:
                more = await self._outbox.fill()
                told = False
            except StorageError as error:
                if not told:
                    self._log.error("cannot read what is to be sent: %s", error)
                told = True
                await self._clock.sleep(1.0)
            self._pump()
            if not more:
                await self._grown.wait()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(1.0)
            if self._flight.silent_s > SILENT_S:
                what = Text("the broker acknowledges nothing", "服务器对已发送的消息没有确认")
                self._session.give_up(what)
            self._board.tick(self._clock.monotonic())
            self._pump()

    async def _answer(self) -> None:
        """Commands, one after the other but for devices' own; each is acknowledged behind its answer."""
        turns = Turns()

        async def reply(hearing: Hearing, message: Message, leave: Callable[[], None]) -> None:
            try:
                made = await hearing(message)
                message.done() if made is None else self._replies.append(made)
            except StorageError:
                leave()  # not acknowledged: the broker hands it over again
            self._pump()

        async with asyncio.TaskGroup() as group:
            while True:
                message, leave = turns.enter(await self._session.messages.get())
                hearing = _hearing(self._plan, message)
                answering = reply(hearing or self._desk.answer, message, leave)
                if hearing is None and self._desk.may_last(message):
                    group.create_task(answering)
                else:
                    await answering

    async def _farewell(self) -> None:
        """Let what is owed go out for a while, then say that we leave."""
        lost = self._session.lost
        await _until(self._turned, lost, lambda: not any(self._outbox.backlog(lane) for lane in Lane), FLUSH_S)
        self._retained.clear()
        self._retained.urgent["status"] = encode(self._plan.status("offline", self._number))
        self._pump()
        await _until(self._turned, lost, lambda: not self._flight, FAREWELL_S)


def _hearing(plan: Plan, message: Message) -> Hearing | None:
    """Whoever wants this topic; None: it is a command."""
    return next((hear for topics, hear in plan.inbox.items() if topic_matches_sub(topics, message.topic)), None)


async def _until(
    turned: asyncio.Event, lost: asyncio.Future[Text], condition: Callable[[], bool], most_s: float
) -> None:
    """Wait, by turns of the session, until `condition()` holds, the link is lost, or for `most_s`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            while not condition() and not lost.done():
                turned.clear()
                waiting = asyncio.ensure_future(turned.wait())
                ends: set[asyncio.Future[Any]] = {waiting, lost}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
