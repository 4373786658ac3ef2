"""A user information transmission device: dials the centre, tells, waits for the confirm, sends again, answers.

What it sends stands in `confirmed` or `failed` when its fate is known. `Quirks` are what real devices do differently.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

from drivers._gb26875_frame import Code, Damage, Frame, Framer, encode
from drivers._gb26875_table import GB2011
from drivers._gb26875_unit import build, read_time, write_time

SETTING, POST_CHECK = 90, 91  # data types of a control
POST_CHECK_ANSWER = 1 << 5  # operation flag (figure 19)
TEXT_BYTES = 31
CHUNK_BYTES = 4096


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Quirks:
    """What one device does differently from another."""

    version: bytes = b"\x01\x01"
    counts: bool = True  # its messages have serial numbers of their own
    clock_off_s: float = 0.0  # how far its clock is off
    denies: tuple[int, ...] = ()  # data types it will not do
    deaf: tuple[int, ...] = ()  # data types it does not react to
    timeout_s: float = 5.0  # for a confirm
    resends: int = 3
    heartbeat_s: float | None = None
    retry_s: float = 0.2  # between attempts to connect
    now: Callable[[], datetime] = _now


class Transmitter:
    """`async with Transmitter(host, port) as utd: await utd.part(40, "0A000200", 0x0002)`; `udp`: not TCP."""

    def __init__(
        self,
        host: str,
        port: int,
        address: str = "790300000000",
        *,
        udp: bool = False,
        quirks: Quirks | None = None,
    ) -> None:
        self.host, self.port, self.udp = host, port, udp
        self.quirks = quirks or Quirks()
        self.confirmed: list[Frame] = []  # what the centre has confirmed, in order; its replies are in `replies`
        self.failed: list[Frame] = []
        self.replies: list[Frame] = []
        self.questions: list[Frame] = []  # requests and controls that came
        self.sent = 0  # frames, resends counted
        self.clock_off = timedelta(seconds=self.quirks.clock_off_s)
        self.known: dict[int, bytes] = {}  # data type → the newest object of it: what reads are answered with
        self.listeners: list[Callable[[], object]] = []
        self._address, self._centre = bytes.fromhex(address), bytes.fromhex("385B01000000")
        self._serial = 0
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._changed = asyncio.Condition()
        self._send_bytes: Callable[[bytes], object] | None = None
        self._hang_up: Callable[[], object] | None = None
        self._plugged = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._plugged.set()
        await self._group.__aenter__()
        self._tasks = [self._group.create_task(self._connect()), self._group.create_task(self._beat())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, exc, tb)

    # --- the line

    async def _connect(self) -> None:
        while True:
            await self._plugged.wait()
            with suppress(OSError):
                await (self._over_udp() if self.udp else self._over_tcp())
            await asyncio.sleep(self.quirks.retry_s)

    async def _over_tcp(self) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        await self._online(writer.write, writer.transport.abort)
        framer = Framer()
        try:
            while data := await reader.read(CHUNK_BYTES):
                await self._heard(framer, data)
        finally:
            self._send_bytes = self._hang_up = None
            writer.transport.abort()

    async def _over_udp(self) -> None:
        loop = asyncio.get_running_loop()
        transport, mailbox = await loop.create_datagram_endpoint(Mailbox, remote_addr=(self.host, self.port))
        await self._online(transport.sendto, partial(mailbox.connection_lost, None))
        try:
            while data := await mailbox.waiting.get():
                await self._heard(Framer(), data)
        finally:
            self._send_bytes = self._hang_up = None
            transport.close()

    async def _online(self, send: Callable[[bytes], object], hang_up: Callable[[], object]) -> None:
        self._send_bytes, self._hang_up = send, hang_up
        await self._notify()

    async def online(self) -> None:
        """Until there is a connection."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._send_bytes is not None)

    def unplug(self) -> None:
        """The line is gone until `plug`."""
        self._plugged.clear()
        self.hang_up()

    def plug(self) -> None:
        """It is back."""
        self._plugged.set()

    def hang_up(self) -> None:
        """The connection ends; a new one is made soon."""
        if self._hang_up is not None:
            self._hang_up()

    def raw(self, data: bytes) -> None:
        """Any bytes, at once; lost without a connection."""
        if self._send_bytes is not None:
            self._send_bytes(data)

    async def until(self, predicate: Callable[[], object]) -> None:
        """Until it holds; looked at whenever something came."""
        async with self._changed:
            await self._changed.wait_for(predicate)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
        for listener in self.listeners:
            listener()

    # --- what it says

    def frame(self, data: bytes, command: int = Code.SEND) -> Frame:
        """The next message, not sent yet."""
        serial = self._serial
        self._serial = (self._serial + self.quirks.counts) & 0xFFFF
        return Frame(serial, self.quirks.version, self.time(), self._address, self._centre, command, data)

    def time(self) -> bytes:
        """What its clock shows."""
        return write_time(self.quirks.now() + self.clock_off)

    async def say(self, data: bytes, command: int = Code.SEND) -> bool:
        """One message, sent again until it is confirmed; whether it was."""
        return await self.deliver(self.frame(data, command))

    async def deliver(self, frame: Frame) -> bool:
        """A frame as it stands, sent again on a timeout or a deny (annex A)."""
        for _ in range(1 + self.quirks.resends):
            await self.online()
            reply = asyncio.get_running_loop().create_future()
            self._waiting[frame.serial] = reply
            self.sent += 1
            self.raw(encode(frame))
            with suppress(TimeoutError):
                async with asyncio.timeout(self.quirks.timeout_s):
                    if (await reply).command == Code.CONFIRM:
                        self.confirmed.append(frame)
                        await self._notify()
                        return True
        self.failed.append(frame)
        await self._notify()
        return False

    async def tell(self, kind: int, **numbers: int | bytes) -> bool:
        """One object of a data type by the names of its fields; what is not named is zero, `time` is now."""
        self.known[kind] = self.object(kind, **numbers)
        return await self.say(bytes([kind, 1]) + self.known[kind])

    def object(self, kind: int, **numbers: int | bytes) -> bytes:
        """One object's bytes. KeyError: it has no such field."""
        layout = GB2011.layouts[kind]
        fields = {name: bytes(width) for name, width in layout.items()}
        fields |= {"time": self.time()} if "time" in layout else {}
        for name, value in numbers.items():
            width = layout[name]
            fields[name] = value if isinstance(value, bytes) else value.to_bytes(width, "little", signed=value < 0)
        return build(kind, [fields])[2:]

    async def part(self, kind: int, address: str, status: int, text: str = "", system: int = 1, panel: int = 1) -> bool:
        """A part's status word (type 2)."""
        called = text.encode("gb18030")[:TEXT_BYTES].ljust(TEXT_BYTES, b"\0")
        numbers: Mapping[str, int | bytes] = {"address": bytes.fromhex(address), "text": called}
        return await self.tell(2, system=system, system_address=panel, part=kind, status=status, **numbers)

    async def system(self, status: int, system: int = 1, panel: int = 1) -> bool:
        """A system's status word (type 1)."""
        return await self.tell(1, system=system, system_address=panel, status=status)

    async def device(self, status: int) -> bool:
        """Its own status word (type 21)."""
        return await self.tell(21, status=status)

    async def operate(self, flags: int, operator: int = 1, panel: int | None = None) -> bool:
        """Something was done at it (type 24), or at a panel (type 4)."""
        if panel is None:
            return await self.tell(24, flags=flags, operator=operator)
        return await self.tell(4, system=1, system_address=panel, flags=flags, operator=operator)

    async def beat(self) -> bool:
        """A heartbeat: a message without data."""
        return await self.say(b"")

    async def _beat(self) -> None:
        while self.quirks.heartbeat_s is not None:
            await self.beat()
            await asyncio.sleep(self.quirks.heartbeat_s)

    # --- what it hears

    async def _heard(self, framer: Framer, data: bytes) -> None:
        for found in framer.feed(data):
            if isinstance(found, Damage):
                continue
            if found.command in (Code.CONFIRM, Code.DENY):
                self.replies.append(found)
                waiting = self._waiting.pop(found.serial, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(found)
            else:
                self.questions.append(found)
                self._answer(found)
        await self._notify()

    def _answer(self, asked: Frame) -> None:
        kind = asked.data[0] if asked.data else 0
        if kind in self.quirks.deaf:
            return
        known = asked.command == Code.REQUEST and kind in GB2011.reads
        control = asked.command == Code.CONTROL and kind in (SETTING, POST_CHECK)
        if kind in self.quirks.denies or not (known or control):
            self.raw(encode(asked.reply(Code.DENY, self.time())))
        elif known:
            told = GB2011.reads[kind]
            answer = bytes([told, 1]) + self.known.get(told, self.object(told))
            self.raw(encode(asked.reply(Code.ANSWER, self.time(), answer)))
        else:
            if kind == SETTING:
                self._set_clock(asked.data[2:8])
            self.raw(encode(asked.reply(Code.CONFIRM, self.time())))

    def _set_clock(self, time: bytes) -> None:
        moment = read_time(time)
        if moment is not None:
            self.clock_off = moment - self.quirks.now()


class Mailbox(asyncio.DatagramProtocol):
    """What comes by UDP."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: ARG002 - asyncio's signature
        """One datagram."""
        self.waiting.put_nowait(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The line is gone: an empty one ends the reading."""
        self.waiting.put_nowait(b"")
