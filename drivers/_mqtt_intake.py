"""From a hub's broker to the disk: connections, batches, acknowledgements. (An underscore: no driver.)

- A message of QoS 1 is acknowledged when all of it is on disk, in the order in which messages came (MQTT 5.0, 4.6).
  Until then the broker keeps it, through losses of the link and restarts of either end (a persistent session).
- What arrived together is stored together. Conditions and happenings one batch after the other, each on disk before the
  next is judged; measured values gather on the disk's side, so they are handed over and not waited for.
- A disk that takes nothing: the batch is kept and tried again, nothing is acknowledged, and in the end the socket is
  not read any more (gateway/mqtt.py).
- A message that comes again, because the link broke before its acknowledgement got through, is known by itself while
  this run lasts, and by its key after that.
"""

import asyncio
import json
import secrets
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

from drivers._mqtt_config import Config
from drivers._mqtt_hub import SILENT, UNREACHABLE, Batch, Hub
from gateway.driver import Link
from gateway.errors import LinkError, LinkRefused, Misconfigured, NeedsPerson, ProtocolRefused, StorageError, Text
from gateway.event import Reading
from gateway.mqtt import Message, Session
from gateway.peer import Target
from gateway.tls import by_what_is_certain

AT_ONCE_MESSAGES = 500
UNANSWERED_MESSAGES = 1000  # what the broker may send before it has heard of the first (MQTT 5.0, 3.1.2.11.3)
LARGEST_BYTES = 8 * 2**20  # of a packet: an inventory of hundreds of devices
SESSION_S = 86400  # how long the broker keeps what comes while we are away
KEEPALIVE_S = 15
MOST_OWED = 1000  # batches on their way to the disk
GRACE_S = 10.0  # a shorter loss of the broker is told of no device
RETRY_FIRST_S, RETRY_MOST_S = 0.5, 10.0
DISK_RETRY_S = 1.0
ANSWER_S = 5.0  # to a subscription, at most
FAREWELL_S = 0.8
LIST_WAIT_S = 5.0  # so long a message waits for the list of devices that says whose it is
WATCH_S = 30.0  # at most between two looks at who is silent
MOST_KEPT_KEYS = 256


@dataclass(slots=True)
class _Owed:
    """What is to be acknowledged when it is on disk."""

    session: Session | None
    messages: Sequence[Message]
    open: bool  # some of it is not on disk yet


class Intake:
    """One hub's. `run` ends only by an error."""

    def __init__(self, hub: Hub, link: Link) -> None:
        self.hub = hub
        self._link = link
        self._config: Config = hub.config
        self._owed: deque[_Owed] = deque()
        self._fewer = asyncio.Event()  # owed than before
        self._stored: set[bytes] = set()  # messages taken, whose acknowledgement got lost with the link
        self._turn = asyncio.Lock()
        self._away_s: float | None = link.clock.monotonic()  # since when there is no connection
        self._awake = asyncio.Event()
        self._told = ""

    async def run(self) -> None:
        """NeedsPerson: the broker refuses us. Misconfigured: it cannot be reached as configured."""
        self._recall()
        async with asyncio.TaskGroup() as self._group:
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
        session = Session(self._target(protocol), lambda *_: None)
        session.on_turn = lambda: _refused(session)
        async with session:
            self._away_s = None
            self._link.log.info("connected to %s, MQTT %s", session.target.name, protocol)
            self._told = ""
            try:
                await self._take(session)
            except asyncio.CancelledError:  # we are to end: what is on its way to the disk is still acknowledged
                with suppress(TimeoutError):
                    async with asyncio.timeout(FAREWELL_S):
                        await self._settled()
                raise
            finally:
                self._away_s = self._link.clock.monotonic()
                self._forget(session)
            why = session.lost.result()
        if session.refusals:
            raise NeedsPerson(
                self._config.id, why, Text("allow it to read these topics", "请在服务器上允许读取这些主题")
            )
        self._tell(LinkError(session.target.name, why, Text("it is tried again", "将自动重连")))

    def _target(self, protocol: str) -> Target:
        config = self._config
        host, port = config.endpoint
        return Target(
            host,
            port,
            config.client_id or self._client_id(),
            protocol=protocol,
            tls=self._tls() if config.secure else None,
            username=config.username,
            password=None if config.password is None else config.password.get_secret_value(),
            keepalive_s=KEEPALIVE_S,
            session_expiry_s=SESSION_S,
            subscribe=self.hub.filters,
            retained_again=True,
            unanswered_messages=UNANSWERED_MESSAGES,
            largest_bytes=LARGEST_BYTES,
        )

    def _client_id(self) -> str:
        """Made once: the broker knows our session by it."""
        name = f"mqtt-in-{self._config.id}"
        kept = self._link.kept(name)
        if kept is None:
            kept = f"gateway-{secrets.token_hex(7)}".encode()  # 3.1.1 promises 23 characters (3.1.3.1)
            self._link.keep(name, kept)
        return kept.decode()

    def _tls(self) -> ssl.SSLContext:
        tls = self._config.tls
        try:
            context = ssl.create_default_context(cafile=None if tls is None or tls.ca is None else str(tls.ca))
            if tls is not None and tls.cert is not None:
                context.load_cert_chain(tls.cert, tls.key, password=lambda: "")
        except (OSError, ssl.SSLError) as error:
            what = Text(f"the certificate files cannot be used: {error}", f"证书文件无法使用:{error}")
            raise Misconfigured(self._config.id, what, Text("check tls:", "请检查 tls:")) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        by_what_is_certain(context, self._link.clock)
        return context

    def _tell(self, error: LinkError) -> None:
        if self._told != str(error):
            self._told = str(error)
            self._link.log.warning("%s", error)

    # messages

    async def _take(self, session: Session) -> None:
        """All that comes, until the connection is lost and what had come before is taken as well."""
        await self._begin(session)
        waiting: list[Message] = []  # for the list of devices
        listed_by_s = self._link.clock.monotonic() + LIST_WAIT_S
        while messages := await self._arrived(session, listed_by_s if waiting else None):
            async with self._turn:
                batch = Batch()
                if self._link.clock.monotonic() >= listed_by_s:
                    self.hub.listed = True
                come = [message for message in messages if message is not _NOBODY]
                late = [message for message in come if self._gather(batch, message)]
                waiting += late
                if waiting and self.hub.listed:
                    for message in waiting:
                        self.hub.take(batch, message.topic, message.payload, message.retained)
                    come, waiting, late = come + [m for m in waiting if m not in late], [], []
                await self._settle(batch, session, [message for message in come if message not in late])

    async def _begin(self, session: Session) -> None:
        subscribed = asyncio.ensure_future(session.subscribed.wait())
        try:
            either: set[asyncio.Future[Any]] = {subscribed, session.lost}
            await asyncio.wait(either, timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            subscribed.cancel()
        if session.subscribed.is_set() and not session.refusals:
            await self._settle(self.hub.connected(), None, ())
            self._awake.set()

    def _gather(self, batch: Batch, message: Message) -> bool:
        """Into the batch; True: it is to wait."""
        if message.again and _digest(message) in self._stored:
            return False
        if self.hub.waits(message.topic):
            return True
        self.hub.take(batch, message.topic, message.payload, message.retained)
        return False

    async def _arrived(self, session: Session, until_s: float | None) -> list[Message]:
        """What has arrived, some of it at least; [] when the connection is lost; nobody's where it is time to go on."""
        queue = session.messages
        if queue.empty() and not session.lost.done():
            coming = asyncio.ensure_future(queue.get())
            timer = None if until_s is None else asyncio.ensure_future(self._until(until_s))
            events: set[asyncio.Future[Any]] = {coming, session.lost}
            if timer is not None:
                events.add(timer)
            try:
                await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if timer is not None:
                    timer.cancel()
                if not coming.done():
                    coming.cancel()
            first = [coming.result()] if coming.done() else [] if session.lost.done() else [_NOBODY]
        else:
            first = []
        while not queue.empty() and len(first) < AT_ONCE_MESSAGES:
            first.append(queue.get_nowait())
        return first

    async def _until(self, moment_s: float) -> None:
        await self._link.clock.sleep(moment_s - self._link.clock.monotonic())

    # to the disk

    async def _settle(self, batch: Batch, session: Session | None, messages: Sequence[Message]) -> None:
        """Returns when conditions, happenings and presence are on disk; samples follow, then the acknowledgement."""
        await self._there(batch)
        if batch.urgent:
            await self._keep_on(partial(self._link.emit, *batch.urgent))
        for name, why in batch.gone.items():
            await self._keep_on(partial(self._link.lost, name, why))
            if (gone := self.hub.devices.get(name)) is not None:
                gone.away = why
        self._remember(batch, messages)
        owed = _Owed(session, [message for message in messages if message.qos], bool(batch.samples))
        self._owed.append(owed)
        if batch.samples:
            self._group.create_task(self._sample(batch.samples, owed), name=f"mqtt_in samples {self._config.id}")
        self._answer()
        await self._settled(MOST_OWED)

    async def _there(self, batch: Batch) -> None:
        if any(device is not None for device in batch.there.values()) and self.hub.online is not False:
            batch.there.setdefault(self._config.id, None)
        for name, device in batch.there.items():
            await self._keep_on(partial(self._link.seen, name))
            if device is not None:
                device.away = None

    def _remember(self, batch: Batch, messages: Sequence[Message]) -> None:
        if batch.keys and any(message.qos for message in messages):
            self._save("keys", json.dumps(list(self.hub.keys)[-MOST_KEPT_KEYS:]).encode())
        if self.hub.finds.changed:
            self.hub.finds.changed = False
            self._save("found.yaml", self.hub.finds.text().encode())

    async def _sample(self, samples: list[Reading], owed: _Owed) -> None:
        await self._keep_on(partial(self._link.emit, *samples))
        owed.open = False
        self._answer()

    async def _keep_on(self, work: Callable[[], Awaitable[object]]) -> None:
        """Until the disk takes it."""
        while True:
            try:
                await work()
            except StorageError as error:
                if self._told != str(error):
                    self._told = str(error)
                    self._link.log.warning("%s; nothing is acknowledged meanwhile", error)
                await self._link.clock.sleep(DISK_RETRY_S)
            else:
                return

    async def _settled(self, most: int = 0) -> None:
        """Until no more than so many batches are on their way."""
        while len(self._owed) > most:
            self._fewer.clear()
            await self._fewer.wait()

    def _answer(self) -> None:
        """Acknowledge what is on disk, with all that came before it."""
        flushed: Session | None = None
        while self._owed and not self._owed[0].open:
            done = self._owed.popleft()
            if done.session is not None and not done.session.lost.done():
                flushed = done.session
                for message in done.messages:
                    message.done()
        if flushed is not None:
            flushed.flush()
        self._fewer.set()

    def _forget(self, session: Session) -> None:
        """The broker sends again what it has not heard of: it is taken already, or on its way to the disk."""
        self._stored = {_digest(message) for owed in self._owed if owed.session is session for message in owed.messages}

    # who is there

    async def _watch(self) -> None:
        """Tells who is silent, and everybody when the broker stays away."""
        while True:
            now_s = self._link.clock.monotonic()
            async with self._turn:
                batch = Batch()
                batch.urgent += self.hub.over(batch, now_s)
                batch.gone = dict.fromkeys(self.hub.silent(), SILENT)
                if batch.gone or batch.urgent:
                    await self._settle(batch, None, ())
            due_s = self.hub.due_s()
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
            names = [name for name, device in self.hub.devices.items() if device.away is None]
            await self._settle(Batch(gone=dict.fromkeys([self._config.id, *names], UNREACHABLE)), None, ())

    # what is kept

    def _save(self, name: str, content: bytes) -> None:
        """A disk that does not take it costs a repetition at worst."""
        try:
            self._link.keep(f"mqtt-in-{self._config.id}.{name}", content)
        except StorageError as error:
            self._link.log.warning("%s", error)

    def _recall(self) -> None:
        try:
            kept = json.loads(self._link.kept(f"mqtt-in-{self._config.id}.keys") or b"[]")
            self.hub.keys.update(dict.fromkeys(str(key) for key in kept))
        except (ValueError, TypeError):
            self._link.log.warning("what was taken before is not known any more")


_NOBODY = Message("", b"", qos=0)


def _digest(message: Message) -> bytes:
    return blake2b(message.topic.encode() + b"\0" + message.payload, digest_size=16).digest()


def _refused(session: Session) -> None:
    if session.refusals and not session.lost.done():
        why = ", ".join(session.refusals)
        session.give_up(Text(f"the broker refuses the subscription: {why}", f"服务器拒绝订阅:{why}"))
