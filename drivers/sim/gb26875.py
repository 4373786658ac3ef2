"""A user information transmission device: dials the centre, tells, waits for the confirm, sends again, answers.

What it sends stands in `confirmed` or `failed` when its fate is known. `Quirks` are what real devices do differently.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from drivers._gb26875_frame import Code, Frame, encode
from drivers._gb26875_table import GB2011
from drivers._gb26875_unit import build, read_time, write_time
from drivers.sim._gb26875_line import Dialer

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


class Messenger:
    """One device's side of the conversation: messages with their resends, and answers to what it is asked."""

    def __init__(
        self, host: str, port: int, address: str = "790300000000", *, udp: bool = False, quirks: Quirks | None = None
    ) -> None:
        self.quirks = quirks or Quirks()
        self.line = Dialer(host, port, self._heard, udp=udp, retry_s=self.quirks.retry_s)
        self.confirmed: list[Frame] = []  # what the centre has confirmed, in order
        self.failed: list[Frame] = []
        self.replies: list[Frame] = []  # the centre's confirms and denies
        self.questions: list[Frame] = []  # requests and controls that came
        self.sent = 0  # frames, resends counted
        self.clock_off = timedelta(seconds=self.quirks.clock_off_s)
        self.known: dict[int, bytes] = {}  # data type → the newest object of it: what reads are answered with
        self.listeners: list[Callable[[], object]] = []
        self._address, self._centre = bytes.fromhex(address), bytes.fromhex("385B01000000")
        self._serial = 0
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._changed = asyncio.Condition()
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._tasks = [self._group.create_task(self.line.run()), self._group.create_task(self._beating())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, exc, tb)

    async def until(self, predicate: Callable[[], object]) -> None:
        """Until it holds; looked at whenever something came."""
        async with self._changed:
            await self._changed.wait_for(predicate)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
        for listener in self.listeners:
            listener()

    def time(self) -> bytes:
        """What its clock shows."""
        return write_time(self.quirks.now() + self.clock_off)

    def frame(self, data: bytes, command: int = Code.SEND) -> Frame:
        """The next message, not sent yet."""
        serial = self._serial
        self._serial = (self._serial + self.quirks.counts) & 0xFFFF
        return Frame(serial, self.quirks.version, self.time(), self._address, self._centre, command, data)

    async def say(self, data: bytes) -> bool:
        """One message, sent again until it is confirmed; whether it was."""
        return await self.deliver(self.frame(data))

    async def deliver(self, frame: Frame) -> bool:
        """A frame as it stands, sent again on a timeout or a deny (annex A)."""
        for _ in range(1 + self.quirks.resends):
            await self.until(lambda: self.line.online)
            if await self._confirmed(frame):
                self.confirmed.append(frame)
                await self._notify()
                return True
        self.failed.append(frame)
        await self._notify()
        return False

    async def _confirmed(self, frame: Frame) -> bool:
        reply: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._waiting[frame.serial] = reply
        self.sent += 1
        self.line.send(encode(frame))
        try:
            async with asyncio.timeout(self.quirks.timeout_s):
                return (await reply).command == Code.CONFIRM
        except TimeoutError:
            return False

    async def beat(self) -> bool:
        """A heartbeat: a message without data."""
        return await self.say(b"")

    async def _beating(self) -> None:
        while self.quirks.heartbeat_s is not None:
            await self.beat()
            await asyncio.sleep(self.quirks.heartbeat_s)

    async def _heard(self, frame: Frame | None) -> None:
        if frame is not None and frame.command in (Code.CONFIRM, Code.DENY):
            self.replies.append(frame)
            waiting = self._waiting.pop(frame.serial, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(frame)
        elif frame is not None:
            self.questions.append(frame)
            self._answer(frame)
        await self._notify()

    def _answer(self, asked: Frame) -> None:
        kind = asked.data[0] if asked.data else 0
        if kind in self.quirks.deaf:
            return
        command, data = Code.DENY, b""
        if kind not in self.quirks.denies:
            if asked.command == Code.REQUEST and kind in GB2011.reads:
                told = GB2011.reads[kind]
                command, data = Code.ANSWER, bytes([told, 1]) + self.known.get(told, blank(told, self.time()))
            elif asked.command == Code.CONTROL and kind in (SETTING, POST_CHECK):
                command = Code.CONFIRM
                moment = read_time(asked.data[2:8]) if kind == SETTING else None
                self.clock_off = moment - self.quirks.now() if moment else self.clock_off
        self.line.send(encode(asked.reply(command, self.time(), data)))


def blank(kind: int, now: bytes, /, **numbers: int | bytes) -> bytes:
    """One object's bytes by the names of its fields; what is not named is zero. KeyError: it has no such field."""
    layout = GB2011.layouts[kind]
    fields = {name: now if name == "time" else bytes(width) for name, width in layout.items()}
    for name, value in numbers.items():
        fields[name] = value if isinstance(value, bytes) else value.to_bytes(layout[name], "little", signed=value < 0)
    return build(kind, [fields])[2:]


class Transmitter(Messenger):
    """`async with Transmitter(host, port) as utd: await utd.part(40, "0A000200", 0x0003)`; `udp=True`: not by TCP."""

    def object(self, kind: int, **numbers: int | bytes) -> bytes:
        """One object's bytes by the names of its fields; `time` is now."""
        return blank(kind, self.time(), **numbers)

    async def tell(self, kind: int, **numbers: int | bytes) -> bool:
        """One object of a data type."""
        self.known[kind] = self.object(kind, **numbers)
        return await self.say(bytes([kind, 1]) + self.known[kind])

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
