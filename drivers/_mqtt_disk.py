"""Batches on their way to the disk, and the acknowledgements that follow. (An underscore: no driver.)

- A message of QoS 1 is acknowledged when all of it is on disk, in the order in which messages came (MQTT 5.0, 4.6).
- Conditions and happenings are on disk before the next batch is judged; measured values gather on the disk's side, so
  they are handed over and not waited for.
- A disk that takes nothing: the batch is kept and tried again, and nothing is acknowledged.
- A message that comes again, because the link broke before its acknowledgement got through, is known by itself while
  this run lasts, and by its key after that.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from drivers._mqtt_broker import UNANSWERED_MESSAGES
from drivers._mqtt_device import Batch
from drivers._mqtt_hub import MOST_KEYS, Hub
from gateway.driver import Link
from gateway.errors import StorageError
from gateway.mqtt import Message, Session

MOST_OWED = 1000  # batches on their way
RETRY_S = 1.0


@dataclass(slots=True)
class _Owed:
    """What is to be acknowledged when it is on disk."""

    session: Session | None
    messages: Sequence[Message]
    open: bool = True  # some of it is not on disk yet


class Disk:
    """Of one hub."""

    def __init__(self, hub: Hub, link: Link, group: asyncio.TaskGroup) -> None:
        self._hub = hub
        self._link = link
        self._group = group
        self._owed: deque[_Owed] = deque()
        self._fewer = asyncio.Event()  # owed than before
        self._answered: deque[int] = deque(maxlen=UNANSWERED_MESSAGES)
        self._taken: frozenset[int] = frozenset()  # what the broker may send again though it is ours already
        self._keys: deque[str] = deque(maxlen=MOST_KEYS)  # of what is on disk
        self._unsaved = False
        self._answering = False
        self._told = ""

    async def settle(self, batch: Batch, session: Session | None = None, messages: Iterable[Message] = ()) -> None:
        """Returns when conditions, happenings and presence are on disk; samples follow, then the acknowledgement."""
        owed = _Owed(session, [message for message in messages if message.id])
        self._owed.append(owed)
        await self._there(batch)
        if batch.urgent:
            await self._keep_on(partial(self._link.emit, *batch.urgent))
        for name, why in batch.gone.items():
            await self._keep_on(partial(self._link.lost, name, why))
            if (gone := self._hub.devices.get(name)) is not None:
                gone.away = why
        self._list_finds()
        if batch.samples:
            self._group.create_task(self._sample(batch, owed), name=f"mqtt_in samples {self._hub.config.id}")
        else:
            self._done(batch, owed)
        await self.settled(MOST_OWED)

    async def settled(self, most: int = 0) -> None:
        """Until no more than so many batches are on their way."""
        while len(self._owed) > most:
            self._fewer.clear()
            await self._fewer.wait()

    async def _there(self, batch: Batch) -> None:
        if any(device is not None for device in batch.there.values()) and self._hub.roll.online is not False:
            batch.there.setdefault(self._hub.config.id, None)
        for name, device in batch.there.items():
            await self._keep_on(partial(self._link.seen, name))
            if device is not None:
                device.away = None

    async def _sample(self, batch: Batch, owed: _Owed) -> None:
        await self._keep_on(partial(self._link.emit, *batch.samples))
        self._done(batch, owed)

    async def _keep_on(self, work: Callable[[], Awaitable[object]]) -> None:
        """Until the disk takes it."""
        while True:
            try:
                await work()
            except StorageError as error:
                if self._told != str(error):
                    self._told = str(error)
                    self._link.log.warning("%s; nothing is acknowledged meanwhile", error)
                await self._link.clock.sleep(RETRY_S)
            else:
                self._told = ""
                return

    # acknowledgements

    def _done(self, batch: Batch, owed: _Owed) -> None:
        """All of it is on disk. What one commit has brought there is acknowledged together."""
        owed.open = False
        if batch.keys and owed.messages:
            self._keys.extend(batch.keys)
            self._unsaved = True
        if not self._answering:
            self._answering = True
            asyncio.get_running_loop().call_soon(self._answer)

    def _answer(self) -> None:
        """Acknowledge what is on disk, with all that came before it; its keys are kept first, and no other."""
        self._answering = False
        if self._unsaved:
            self._unsaved = False
            self._save("keys", json.dumps(list(self._keys)).encode())
        flushed: Session | None = None
        while self._owed and not self._owed[0].open:
            done = self._owed.popleft()
            self._answered.extend(map(_mark, done.messages))
            if done.session is not None and not done.session.lost.done():
                flushed = done.session
                for message in done.messages:
                    message.done()
        if flushed is not None:
            flushed.flush()
        self._fewer.set()

    def parted(self) -> None:
        """The connection is lost: the broker sends again what it has not heard of."""
        owed = (message for each in self._owed for message in each.messages)
        self._taken = frozenset([*self._answered, *map(_mark, owed)])

    def has(self, message: Message) -> bool:
        """Has it come before, and is it on disk, or on its way there?"""
        return message.again and _mark(message) in self._taken

    # what is kept

    def _list_finds(self) -> None:
        finds = self._hub.directory.finds
        if finds.changed:
            finds.changed = False
            self._save("found.yaml", finds.text().encode())

    def _save(self, name: str, content: bytes) -> None:
        """A disk that does not take it costs a repetition at worst."""
        try:
            self._link.keep(f"mqtt-in-{self._hub.config.id}.{name}", content)
        except StorageError as error:
            self._link.log.warning("%s", error)

    def recall(self) -> None:
        """What the run before has kept; anything else than that is as good as nothing."""
        try:
            kept = json.loads(self._link.kept(f"mqtt-in-{self._hub.config.id}.keys") or b"[]")
            self._keys.extend(str(key) for key in kept)
            self._hub.keys.update(dict.fromkeys(self._keys))
        except (ValueError, TypeError):
            self._link.log.warning("what was taken before is not known any more")


def _mark(message: Message) -> int:
    """Tells it from any other that may come in the same session."""
    return hash((message.id, message.topic, message.payload))
