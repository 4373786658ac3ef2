"""One connected session of an uplink: what goes out in which order, and what the broker said of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gateway.clock import Clock
from gateway.errors import StorageError, Text
from gateway.event import Lane
from gateway.mqtt import CLOUD_EVENT, JSON, Session
from gateway.outbox import Entry, Outbox
from gateway.privacy import Policy
from gateway.retained import Retained, encode

SILENT_S = 12.0  # messages in flight and no PUBACK for so long: the link is dead
HEALTH_S = 60.0  # contract, section 2
VALUES_S = 10.0  # state documents in which only values changed go out this often
FLUSH_S = 3.0  # at shutdown, for what is still owed
FAREWELL_S = 1.0  # at shutdown, for the last status
REFUSED = 0x80  # MQTT 5.0, 2.4: reason codes from here on are failures
TOO_LARGE = 0x95  # MQTT 5.0, 2.4: packet too large
_NOT_SENT = 0  # no packet identifier (MQTT 5.0, 2.2.1)
_HEAD_BYTES = 128  # of a PUBLISH besides topic and payload, at most
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What an uplink tells, and by which rules. Functions give documents as they are now."""

    name: str
    base: str  # {root}/{district}/{street}/{community}/{gateway}
    policy: Policy
    status: Callable[[str, int], Document]  # (online or offline, session)
    health: Callable[[], Document]
    dossier: Callable[[], Awaitable[Document]]
    state: Callable[[str], Document]
    devices: tuple[str, ...]  # whose state is retained on the broker; none where the uplink wants none


@dataclass(frozen=True)
class Parts:
    """What an uplink works with."""

    plan: Plan
    outbox: Outbox
    retained: Retained
    clock: Clock
    log: logging.Logger


class Delivery:
    """`await Delivery(parts, session, number).run(stopping)` ends when the link is lost, or after a farewell."""

    def __init__(self, parts: Parts, session: Session, number: int) -> None:
        self._plan = parts.plan
        self._outbox = parts.outbox
        self._retained = parts.retained
        self._clock = parts.clock
        self._log = parts.log
        self._session = session
        self._number = number
        self.window = session.opened.window
        self._flying: dict[int, Entry | tuple[str, str]] = {}
        self._topics: dict[str, bytes] = {}
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._lazy: set[str] = set()
        self._turned = asyncio.Event()
        self._grown = asyncio.Event()
        self._heard_at_s = parts.clock.monotonic()

    async def run(self, stopping: asyncio.Event) -> Text | None:
        """Returns why the link was lost, or None after a farewell."""
        self._session.on_ack = self._acknowledged
        self._session.on_turn = self._turn
        await self._announce()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._read_ahead()), group.create_task(self._tick())]
            stop = group.create_task(stopping.wait())
            ends: set[asyncio.Future[Any]] = {stop, self._session.lost}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not self._session.lost.done():
                await self._farewell()
            for task in (stop, *tasks):
                task.cancel()
        return self._session.lost.result() if self._session.lost.done() else None

    def grown(self, _lane: Lane) -> None:
        """The store has committed something."""
        self._grown.set()

    def state_changed(self, device: str) -> None:
        """A device's document may have changed: a new word goes out at once, mere values in a while."""
        if device not in self._shown:
            return
        document = self._plan.state(device)
        if _word(document) == self._shown[device]:
            self._lazy.add(device)
        else:
            self._shown[device] = _word(document)
            self._retained.update(f"state/{device}", document)
            self._grown.set()

    # sending

    async def _announce(self) -> None:
        """Birth first; then the rest, what changed before what did not (see Retained)."""
        self._retained.announce("status", self._plan.status("online", self._number))
        self._retained.announce("dossier", await self._plan.dossier())
        for device in self._plan.devices:
            document = self._plan.state(device)
            self._shown[device] = _word(document)
            self._retained.announce(f"state/{device}", document)
        self._retained.update("health", self._plan.health())

    def _pump(self) -> None:
        """Fill the window."""
        now_s = self._clock.monotonic()
        while len(self._flying) < self.window and self._send_next(now_s):
            pass
        self._session.flush()

    def _send_next(self, now_s: float) -> bool:
        if self._send_document(self._retained.urgent):
            return True
        for lane in self._outbox.order():
            entry = self._outbox.take(lane, now_s)
            if entry is not None:
                self._send_event(entry)
                return True
            if lane is Lane.ALARM and self._send_document(self._retained.rest):
                return True
        return False

    def _send_document(self, queue: dict[str, str]) -> bool:
        found = self._retained.take(queue)
        if found is None:
            return False
        self._fly(found, f"{self._plan.base}/{found[0]}".encode(), found[1].encode(), JSON, retain=True)
        return True

    def _send_event(self, entry: Entry) -> None:
        row = entry.row
        start = row.body.index('"type":"') + 8
        category = row.body[start : row.body.index(".", start)]
        topic = self._topics.get(category)
        if topic is None:
            topic = self._topics[category] = f"{self._plan.base}/event/{category}".encode()
        payload = self._plan.policy.render(entry.lane, entry.sequence, row.body, row.private).encode()
        self._fly(entry, topic, payload, CLOUD_EVENT)

    def _fly(
        self, what: Entry | tuple[str, str], topic: bytes, payload: bytes, kind: bytes, *, retain: bool = False
    ) -> None:
        if not self._flying:
            self._heard_at_s = self._clock.monotonic()
        largest_bytes = self._session.opened.largest_bytes
        if largest_bytes is not None and _HEAD_BYTES + len(topic) + len(payload) > largest_bytes:
            self._flying[_NOT_SENT] = what  # the broker would hang up (MQTT 5.0, 3.2.2.3.6)
            self._acknowledged(_NOT_SENT, TOO_LARGE)
        else:
            self._flying[self._session.publish(topic, payload, kind, retain=retain)] = what

    # hearing

    def _acknowledged(self, mid: int, reason: int) -> None:
        """A refusal is told once: an event is kept and tried again slowly, a document when it changes."""
        what = self._flying.pop(mid, None)
        if isinstance(what, Entry):
            if reason < REFUSED:
                self._outbox.confirmed(what)
            elif self._outbox.refused(what, self._clock.monotonic()):
                self._log.error(
                    "the broker refuses events of the %s lane (reason 0x%02X); kept and tried again slowly; %s",
                    what.lane.value,
                    reason,
                    _what_to_do(reason, self._session.opened.largest_bytes),
                )
        elif what is not None and reason < REFUSED:
            self._retained.confirmed(*what)
        elif what is not None and self._retained.refused(what[0]):
            where, do = f"{self._plan.base}/{what[0]}", _what_to_do(reason, self._session.opened.largest_bytes)
            self._log.error("the broker refuses %s (reason 0x%02X); %s", where, reason, do)

    def _turn(self) -> None:
        self._heard_at_s = self._clock.monotonic()
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
        values_s = health_s = self._clock.monotonic()
        while True:
            await self._clock.sleep(1.0)
            now_s = self._clock.monotonic()
            if self._flying and now_s - self._heard_at_s > SILENT_S:
                self._session.give_up(Text("no answer from the broker", "服务器没有应答"))
            if now_s - values_s >= VALUES_S:
                values_s = now_s
                for device in self._lazy:
                    self._retained.update(f"state/{device}", self._plan.state(device))
                self._lazy.clear()
            if now_s - health_s >= HEALTH_S:
                health_s = now_s
                self._retained.update("health", self._plan.health())
            self._pump()

    async def _farewell(self) -> None:
        """Let what is owed go out for a while, then say that we leave."""
        lost = self._session.lost
        await _until(self._turned, lost, lambda: not any(self._outbox.backlog(lane) for lane in Lane), FLUSH_S)
        self._retained.clear()
        self._retained.urgent["status"] = encode(self._plan.status("offline", self._number))
        self._pump()
        await _until(self._turned, lost, lambda: not self._flying, FAREWELL_S)


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


def _what_to_do(reason: int, largest_bytes: int | None) -> str:
    if reason != TOO_LARGE:
        return "check this gateway's rights on the topic"
    return f"set the largest packet it takes higher than {largest_bytes or '?'} bytes"


def _word(document: Document) -> tuple[Any, ...]:
    return document["state"], document["online"], *document["alarms"]
