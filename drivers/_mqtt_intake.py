"""The connections to a hub's broker, and what comes on them, in batches. (An underscore: no driver.)

The broker keeps what is not acknowledged, through losses of the link and restarts of either end (a persistent session).
What has arrived together is taken together.
"""

import asyncio
from contextlib import suppress
from typing import Any

from drivers._mqtt_broker import target
from drivers._mqtt_device import Batch
from drivers._mqtt_disk import Disk
from drivers._mqtt_hub import Hub
from drivers._mqtt_roll import SILENT, UNREACHABLE
from gateway.driver import Link
from gateway.errors import LinkError, LinkRefused, NeedsPerson, ProtocolRefused, Text
from gateway.mqtt import Message, Session

AT_ONCE_MESSAGES = 100  # in one commit: its readings are taken in at a stroke, while all others wait
TURN_MESSAGES = 20  # judged at a stroke
ANSWER_S = 5.0  # to a subscription, at most
FAREWELL_S = 0.8  # of the second that a driver has to end
LIST_WAIT_S, MOST_WAITING_MESSAGES = 5.0, 5000  # for the list of devices that says whose they are
GRACE_S = 10.0  # a shorter loss of the broker is told of no device
RETRY_FIRST_S, RETRY_MOST_S = 0.5, 10.0
WATCH_S = 30.0  # at most between two looks at who is silent


class Intake:
    """One hub's. `run` ends only by an error."""

    def __init__(self, hub: Hub, link: Link) -> None:
        self._hub = hub
        self._link = link
        self._config = hub.config
        self._turn = asyncio.Lock()  # who judges what is new
        self._away_s: float | None = link.clock.monotonic()  # since when there is no connection
        self._awake = asyncio.Event()
        self._told = ""

    async def run(self) -> None:
        """NeedsPerson: the broker refuses us. Misconfigured: it cannot be reached as configured."""
        async with asyncio.TaskGroup() as self._group:
            self._disk = Disk(self._hub, self._link, self._group)
            self._disk.recall()
            self._group.create_task(self._watch(), name=f"mqtt_in watch {self._config.id}")
            await self._connect()

    # connections

    async def _connect(self) -> None:
        protocol = "5" if self._config.protocol == "auto" else self._config.protocol
        wait_s, first = RETRY_FIRST_S, True
        while True:
            try:
                await self._serve(protocol)
                wait_s = RETRY_FIRST_S
            except LinkRefused as error:
                raise NeedsPerson(self._config.id, error.what, error.do) from error
            except ProtocolRefused as error:
                if self._config.protocol != "auto" or protocol == "3.1.1":
                    raise NeedsPerson(self._config.id, error.what, error.do) from error
                protocol = "3.1.1"
                continue
            except LinkError as error:
                self._tell(error)
                if first:
                    await self._lost()
            first = False
            self._awake.set()
            await self._link.clock.sleep(wait_s)
            wait_s = min(RETRY_MOST_S, wait_s * 2)

    async def _serve(self, protocol: str) -> None:
        """One connection."""
        session = Session(target(self._config, self._hub.filters, self._link, protocol), lambda *_: None)
        session.on_turn = lambda: _refused(session)
        async with session:
            self._away_s, self._told = None, ""
            self._link.log.info("connected to %s, MQTT %s", session.target.name, protocol)
            try:
                await self._take(session)
            except asyncio.CancelledError:  # we are to end: what is on its way to the disk is still acknowledged
                with suppress(TimeoutError):
                    async with asyncio.timeout(FAREWELL_S):
                        await self._disk.settled()
                raise
            finally:
                self._away_s = self._link.clock.monotonic()
                self._disk.parted()
            why = session.lost.result()
        if session.refusals:
            do = Text("allow it to read these topics", "请在服务器上允许读取这些主题")
            raise NeedsPerson(self._config.id, why, do)
        self._tell(LinkError(session.target.name, why, Text("it is tried again", "将自动重连")))

    def _tell(self, error: LinkError) -> None:
        if self._told != str(error):
            self._told = str(error)
            self._link.log.warning("%s", error)

    # messages

    async def _begin(self, session: Session) -> None:
        """Until the broker has granted the subscription, or the connection is lost."""
        subscribed = asyncio.ensure_future(session.subscribed.wait())
        either: set[asyncio.Future[Any]] = {subscribed, session.lost}
        try:
            await asyncio.wait(either, timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            subscribed.cancel()
        if session.subscribed.is_set() and not session.refusals:
            await self._disk.settle(self._hub.connected())
            self._awake.set()

    async def _take(self, session: Session) -> None:
        """All that comes, until the connection is lost and what had come before is taken as well."""
        await self._begin(session)
        waiting: list[Message] = []  # for the list of devices
        listed_by_s = self._link.clock.monotonic() + LIST_WAIT_S
        while messages := await self._arrived(session, listed_by_s if waiting else None):
            async with self._turn:
                late = self._link.clock.monotonic() >= listed_by_s or len(waiting) > MOST_WAITING_MESSAGES
                self._hub.directory.listed |= late
                taken = await self._gather(messages, waiting)
                # its own task: to be told to end in the middle of it must not leave it half done
                settling = self._group.create_task(self._disk.settle(taken[0], session, taken[1]))
                await asyncio.shield(settling)
            await asyncio.sleep(0)  # the others' turn

    async def _gather(self, messages: list[Message], waiting: list[Message]) -> tuple[Batch, list[Message]]:
        """What these come to, and which are in it; those that must wait go to `waiting`."""
        batch = self._hub.batch()
        taken: list[Message] = []
        for number, message in enumerate(messages, 1):
            if number % TURN_MESSAGES == 0:
                await asyncio.sleep(0)  # the others' turn
            if self._hub.waits(message.topic):
                waiting.append(message)
                continue
            taken.append(message)
            if not self._disk.has(message):
                self._hub.take(batch, message.topic, message.payload, message.retained)
        if waiting and self._hub.directory.listed:
            for message in waiting:
                self._hub.take(batch, message.topic, message.payload, message.retained)
            taken += waiting
            waiting.clear()
        return batch, taken

    async def _arrived(self, session: Session, until_s: float | None) -> list[Message]:
        """What has arrived, some of it at least; [] when the connection is lost; nobody's where it is time to go on."""
        queue = session.messages
        came: list[Message] = []
        if queue.empty() and not session.lost.done():
            coming = asyncio.ensure_future(queue.get())
            events: set[asyncio.Future[Any]] = {coming, session.lost}
            timer = None if until_s is None else asyncio.ensure_future(self._until(until_s))
            if timer is not None:
                events.add(timer)
            try:
                await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (coming, timer):
                    if task is not None:
                        task.cancel()
            came = [coming.result()] if coming.done() else [] if session.lost.done() else [_NOBODY]
        while not queue.empty() and len(came) < AT_ONCE_MESSAGES:
            came.append(queue.get_nowait())
        return came

    async def _until(self, moment_s: float) -> None:
        await self._link.clock.sleep(moment_s - self._link.clock.monotonic())

    # who is there

    async def _watch(self) -> None:
        """Tells who is silent, and everybody when the broker stays away."""
        roll = self._hub.roll
        while True:
            now_s = self._link.clock.monotonic()
            async with self._turn:
                batch = self._hub.batch()
                batch.urgent += roll.over(batch, now_s)
                batch.gone |= dict.fromkeys(roll.silent(), SILENT)
                if batch.gone or batch.urgent:
                    await self._disk.settle(batch)
            due_s = roll.due_s()
            if self._away_s is not None:
                if now_s - self._away_s >= GRACE_S:
                    await self._lost()
                else:
                    due_s = min(due_s, self._away_s + GRACE_S)
            self._awake.clear()
            await self._pause(min(WATCH_S, max(0.01, due_s - now_s)))

    async def _pause(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._link.clock.sleep(seconds))
        waking = asyncio.ensure_future(self._awake.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()

    async def _lost(self) -> None:
        """The broker is away: nobody can be heard."""
        async with self._turn:
            batch = self._hub.batch()
            names = [name for name, device in self._hub.devices.items() if device.away is None]
            batch.gone |= dict.fromkeys([self._config.id, *names], UNREACHABLE)
            await self._disk.settle(batch)


_NOBODY = Message("", b"")  # on no topic of any hub


def _refused(session: Session) -> None:
    if session.refusals and not session.lost.done():
        why = ", ".join(session.refusals)
        session.give_up(Text(f"the broker refuses the subscription: {why}", f"服务器拒绝订阅:{why}"))
