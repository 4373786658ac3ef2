"""A ZKTeco terminal or controller that pushes: handshake, polls, records kept until acknowledged, commands carried out.

`async with Terminal(url, "CKJ1234567") as door:` then `door.event(27, card="123")`, `await door.all_accepted()`. Both
dialects. What the server acknowledged stands in `accepted`, what it ordered in `orders`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Literal, Self

import aiohttp

_TIMEOUT = aiohttp.ClientTimeout(total=10)
BATCH = 10  # records in one upload
_NORMAL, _SHORT, _CLOSED, _OPEN = 0, 1, 0b01, 0b10
UNKNOWN_COMMAND = -13  # security PUSH 4.8, appendix 1
Dialect = Literal["access", "attendance"]


@dataclass
class Quirks:
    """What one firmware does differently from another."""

    prefix: str = "/iclock"  # some say /iclock/iclock
    suffix: str = ""  # some say .aspx
    shuffled: bool = False  # the fields of a record in another order
    described: bool = False  # wants commands in the form of CmdFormat=1
    encoding: str = "utf-8"
    registers: bool = True


@dataclass(frozen=True)
class Order:
    """A command that was carried out."""

    number: str
    text: str


@dataclass
class _Upload:
    """Records of one table, and the answer that lets them go."""

    table: str
    body: bytes
    thanks: tuple[str, ...]
    names: tuple[str, ...] = ()
    result: str = field(default="")


class _Memory:
    """What it has to tell, until it is acknowledged."""

    def __init__(self, clock: Callable[[], datetime], encoding: str) -> None:
        self.kept: deque[_Upload] = deque()
        self._clock, self._encoding = clock, encoding
        self._changed = asyncio.Event()

    def now(self) -> str:
        """As it writes times."""
        return self._clock().strftime("%Y-%m-%d %H:%M:%S")

    def record(self, table: str, line: str, name: str) -> None:
        """One line more for a table; lines that wait together go in one upload."""
        last = self.kept[-1] if len(self.kept) > 1 else None  # the first may be on its way
        if last is not None and last.table == table and len(last.names) < BATCH:
            last.body += b"\r\n" + line.encode(self._encoding)
            last.names += (name,)
        else:
            thanks = ("OK",) if table.startswith("rt") else ("OK", "OK:", "OK: ")
            self.kept.append(_Upload(table, line.encode(self._encoding), thanks, (name,)))
        self.note()

    def add(self, table: str, body: bytes, thanks: str, name: str) -> None:
        """An upload of its own."""
        self.kept.append(_Upload(table, body, (thanks,), (name,)))
        self.note()

    def note(self) -> None:
        """Something has changed."""
        self._changed.set()

    async def until(self, predicate: Callable[[], object]) -> None:
        """Until it holds; looked at after each change."""
        while not predicate():
            self._changed.clear()
            await self._changed.wait()


class Terminal:
    """One device; its state is what tests look at."""

    def __init__(
        self,
        url: str,
        serial: str = "CKJ1234567",
        dialect: Dialect = "access",
        quirks: Quirks | None = None,
        *,
        doors: int = 1,
        poll_s: float = 2.0,
        retry_s: float = 0.5,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.url, self.serial, self.dialect, self.quirks = url, serial, dialect, quirks or Quirks()
        self.doors = doors
        self.accepted: list[str] = []  # the ledger: names of the records the server acknowledged, in order
        self.refused: list[tuple[int, str]] = []  # answers that were no success, in order
        self.orders: list[Order] = []
        self.config: dict[str, str] = {}  # what the server wants
        self.polls = 0
        self.obeys = True  # else it fetches commands and never says what became of them
        self._index = 0
        self._sensors = [_CLOSED] * doors
        self._memory = _Memory(clock, self.quirks.encoding)
        self._wire = _Wire(self, self._memory, poll_s, retry_s)
        self._group = asyncio.TaskGroup()
        self._life: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self.power(True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.power(False)
        await self._group.__aexit__(kind, exc, tb)

    # --- what happens at the door

    def power(self, on: bool) -> None:
        """Without, it keeps what it has to tell."""
        if self._life is not None:
            self._life.cancel()
        self._life = self._group.create_task(self._wire.live(), name=f"terminal {self.serial}") if on else None

    def event(self, code: int, pin: str = "0", card: str = "0", door: int = 1, verify: str = "200") -> str:
        """One event of the security dialect; gives its name in the ledger."""
        self._index += 1
        pairs = [
            ("time", self._memory.now()), ("pin", pin), ("cardno", card), ("eventaddr", str(door)),
            ("event", str(code)), ("inoutstatus", "0"), ("verifytype", verify), ("index", str(self._index)),
            ("sitecode", "0"),
        ]  # fmt: skip
        if self.quirks.shuffled:
            pairs = [pairs[0], *reversed(pairs[1:])]
        self._memory.record("rtlog", "\t".join(f"{name}={value}" for name, value in pairs), str(self._index))
        return str(self._index)

    def stored(self, code: int, index: int, seconds: int) -> None:
        """An event out of its memory, in the other form: `table=tabledata`, the vendor's seconds."""
        line = f"transaction cardno=0\tpin=0\tverified=200\tdoorid=1\teventtype={code}\tinoutstate=2"
        line += f"\ttime_second={seconds}\tindex={index}"
        self._memory.add("tabledata&tablename=transaction&count=1", line.encode(), "transaction=1", str(index))

    def sensor(self, door: int, is_open: bool) -> None:
        """The door contact changes: the event, and the state."""
        self._sensors[door - 1] = _OPEN if is_open else _CLOSED
        if self.dialect == "access":
            self.event(200 if is_open else 201, door=door)
            self.state()
        else:
            self.operation(3, 51 if is_open else 50)

    def state(self, *alarms: int) -> None:
        """The state of all doors: sensors, and alarm bits of door 1, 2, …"""
        packed = bytearray(2)
        for door, sensor in enumerate(self._sensors):
            packed[door // 4] |= sensor << door % 4 * 2
        bits = bytes(alarms).ljust(8, b"\0").hex()
        self._memory.record("rtstate", f"time={self._memory.now()}\tsensor={packed.hex()}\trelay=00\talarm={bits}", "")

    def stamp(self, pin: str, status: int = 0, verify: int = 15) -> None:
        """A person is let in (0) or out (1): the attendance dialect."""
        self._memory.record("ATTLOG", f"{pin}\t{self._memory.now()}\t{status}\t{verify}\t0\t0\t0", f"{pin} {status}")

    def operation(self, code: int, what: int = 0) -> None:
        """A line of the operation log, e.g. alarm (3) because its casing was opened (55)."""
        self._memory.record("OPERLOG", f"OPLOG {code}\t0\t{self._memory.now()}\t{what}\t0\t0\t0", f"{code} {what}")

    def photo(self, size_bytes: int) -> None:
        """A picture of whoever stood there."""
        body = b"PIN=20261123180619.jpg\nSN=X\nsize=1\nCMD=uploadphoto\0" + bytes(size_bytes)
        self._memory.add("ATTPHOTO&Stamp=9999", body, "OK", "photo")

    def people(self, count: int) -> None:
        """It sends its list of people."""
        body = "\n".join(f"user uid={n}\tcardno={n}\tpin={n}\tname=张三" for n in range(count))
        table = f"tabledata&tablename=user&count={count}"
        self._memory.add(table, body.encode(self.quirks.encoding), f"user={count}", "people")

    async def all_accepted(self) -> None:
        """Until nothing is kept any more."""
        await self.until(lambda: not self._memory.kept)

    async def until(self, predicate: Callable[[], object]) -> None:
        """Until it holds; looked at after everything that happens here."""
        await self._memory.until(predicate)


class _Wire:
    """Its side of the wire."""

    def __init__(self, device: Terminal, memory: _Memory, poll_s: float, retry_s: float) -> None:
        self._device, self._memory = device, memory
        self._poll_s, self._retry_s = poll_s, retry_s

    async def live(self) -> None:
        """Until it is switched off."""
        connector = aiohttp.TCPConnector(limit=2)
        async with aiohttp.ClientSession(self._device.url, timeout=_TIMEOUT, connector=connector) as http:
            while True:
                if await self._shake_hands(http):
                    break
                await asyncio.sleep(self._retry_s)
            while True:
                if self._memory.kept:
                    if not await self._send(http, self._memory.kept[0]):
                        await asyncio.sleep(self._retry_s)
                    continue
                await self._poll(http)
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._poll_s):
                await self._memory.until(lambda: self._memory.kept)
        except TimeoutError:
            return

    async def _ask(self, http: aiohttp.ClientSession, method: str, word: str, body: bytes = b"") -> str | None:
        """The answer's text; None where it is no success, or none came."""
        quirks, (name, _, more) = self._device.quirks, word.partition("?")
        path = f"{quirks.prefix}/{name}{quirks.suffix}?SN={self._device.serial}"
        try:
            async with http.request(method, path + (f"&{more}" if more else ""), data=body or None) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        if answer.status != 200:
            self._device.refused.append((answer.status, text))
            self._memory.note()
            return None
        return text

    async def _shake_hands(self, http: aiohttp.ClientSession) -> bool:
        if self._device.dialect == "attendance":
            told = await self._ask(http, "GET", "cdata?options=all&pushver=2.4.1&language=83")
            self._device.config = dict(_pairs((told or "").splitlines()))
            return told is not None and told.startswith(f"GET OPTION FROM: {self._device.serial}")
        told = await self._ask(http, "GET", "cdata?options=all&pushver=3.1.2&DeviceType=acc")
        if told is None:
            return False
        if not told.startswith("registry=ok"):
            described = ",CmdFormat=1" if self._device.quirks.described else ""
            body = f"DeviceType=acc,~DeviceName=C3-400,FirmVer=Ver 8.0.4.3,LockCount={self._device.doors}{described}"
            code = await self._ask(http, "POST", "registry", body.encode()) if self._device.quirks.registers else None
            if code is None or not code.startswith("RegistryCode="):
                return False
            told = await self._ask(http, "POST", "push") or ""
        self._device.config = dict(_pairs(told.splitlines()))
        return "SessionID" in self._device.config

    async def _send(self, http: aiohttp.ClientSession, upload: _Upload) -> bool:
        names = upload.names
        answer = await self._ask(http, "POST", f"cdata?table={upload.table}", upload.body)
        if answer is None or not (answer in upload.thanks or answer.rstrip("0123456789") in upload.thanks):
            return False
        self._memory.kept.popleft()
        self._device.accepted += [name for name in names if name]
        self._memory.note()
        return True

    async def _poll(self, http: aiohttp.ClientSession) -> None:
        answer = await self._ask(http, "GET", "getrequest")
        if answer is None:
            return
        self._device.polls += 1
        for line in answer.split("\r\n") if answer != "OK" else []:
            if line:
                await self._obey(http, line)
        self._memory.note()

    async def _obey(self, http: aiohttp.ClientSession, line: str) -> None:
        plain = line.partition("CmdDesc=")[2] if self._device.quirks.described else line
        _, number, text = plain.split(":", 2)
        self._device.orders.append(Order(number, text))
        if self._device.obeys:
            known = text.startswith("CONTROL DEVICE ") if self._device.dialect == "access" else text == "AC_UNLOCK"
            result = f"ID={number}&Return={0 if known else UNKNOWN_COMMAND}&CMD={text.partition(' 0')[0]}"
            await self._ask(http, "POST", "devicecmd", result.encode())


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    return ((name, value) for name, equals, value in (line.partition("=") for line in lines) if equals)
