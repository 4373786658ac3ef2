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
_BATCH = 10  # records in one upload
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
        self._poll_s, self._retry_s, self._clock = poll_s, retry_s, clock
        self._index = 0
        self._kept: deque[_Upload] = deque()
        self._sensors = [_CLOSED] * doors
        self._changed = asyncio.Condition()
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
        self._life = self._group.create_task(self._live(), name=f"terminal {self.serial}") if on else None

    def event(self, code: int, pin: str = "0", card: str = "0", door: int = 1, verify: str = "200") -> str:
        """One event of the security dialect; gives its name in the ledger."""
        self._index += 1
        pairs = [
            ("time", self._now()), ("pin", pin), ("cardno", card), ("eventaddr", str(door)), ("event", str(code)),
            ("inoutstatus", "0"), ("verifytype", verify), ("index", str(self._index)), ("sitecode", "0"),
        ]  # fmt: skip
        if self.quirks.shuffled:
            pairs = [pairs[0], *reversed(pairs[1:])]
        self._keep("rtlog", "\t".join(f"{name}={value}" for name, value in pairs), str(self._index))
        return str(self._index)

    def stored(self, code: int, index: int, seconds: int) -> None:
        """An event out of its memory, in the other form: `table=tabledata`, the vendor's seconds."""
        line = f"transaction cardno=0\tpin=0\tverified=200\tdoorid=1\teventtype={code}\tinoutstate=2"
        line += f"\ttime_second={seconds}\tindex={index}"
        self._kept.append(
            _Upload("tabledata&tablename=transaction&count=1", line.encode(), ("transaction=1",), (str(index),))
        )

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
        self._keep("rtstate", f"time={self._now()}\tsensor={packed.hex()}\trelay=00\talarm={bits}", "")

    def stamp(self, pin: str, status: int = 0, verify: int = 15) -> None:
        """A person is let in (0) or out (1): the attendance dialect."""
        self._keep("ATTLOG", f"{pin}\t{self._now()}\t{status}\t{verify}\t0\t0\t0", f"{pin} {status}")

    def operation(self, code: int, what: int = 0) -> None:
        """A line of the operation log, e.g. alarm (3) because its casing was opened (55)."""
        self._keep("OPERLOG", f"OPLOG {code}\t0\t{self._now()}\t{what}\t0\t0\t0", f"{code} {what}")

    def photo(self, size_bytes: int) -> None:
        """A picture of whoever stood there."""
        body = b"PIN=20261123180619.jpg\nSN=X\nsize=1\nCMD=uploadphoto\0" + bytes(size_bytes)
        self._kept.append(_Upload("ATTPHOTO&Stamp=9999", body, ("OK",), ("photo",)))
        self._wake()

    def people(self, count: int) -> None:
        """It sends its list of people."""
        body = "\n".join(f"user uid={n}\tcardno={n}\tpin={n}\tname=张三" for n in range(count))
        table = f"tabledata&tablename=user&count={count}"
        self._kept.append(_Upload(table, body.encode(self.quirks.encoding), (f"user={count}",), ("people",)))
        self._wake()

    def raw(self, table: str, body: bytes) -> None:
        """Anything."""
        self._kept.append(_Upload(table, body, ("OK",), ("raw",)))
        self._wake()

    async def all_accepted(self) -> None:
        """Until nothing is kept any more."""
        await self.until(lambda: not self._kept)

    async def until(self, predicate: Callable[[], object]) -> None:
        """Until it holds; looked at after everything that happens here."""
        async with self._changed:
            await self._changed.wait_for(predicate)

    # --- its side of the wire

    def _now(self) -> str:
        return self._clock().strftime("%Y-%m-%d %H:%M:%S")

    def _keep(self, table: str, line: str, name: str) -> None:
        thanks = ("OK",) if table.startswith("rt") else ("OK", "OK:", "OK: ")
        last = self._kept[-1] if len(self._kept) > 1 else None  # the first may be on its way
        if last is not None and last.table == table and len(last.names) < _BATCH:
            last.body += b"\r\n" + line.encode(self.quirks.encoding)
            last.names += (name,)
        else:
            self._kept.append(_Upload(table, line.encode(self.quirks.encoding), thanks, (name,)))
        self._wake()

    def _wake(self) -> None:
        if self._life is not None and not self._life.done():
            self._group.create_task(self._note())

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _live(self) -> None:
        connector = aiohttp.TCPConnector(limit=2)
        async with aiohttp.ClientSession(self.url, timeout=_TIMEOUT, connector=connector) as http:
            while not await self._shake_hands(http):
                await asyncio.sleep(self._retry_s)
            while True:
                if self._kept:
                    if not await self._send(http, self._kept[0]):
                        await asyncio.sleep(self._retry_s)
                    continue
                await self._poll(http)
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._poll_s), self._changed:
                await self._changed.wait_for(lambda: self._kept)
        except TimeoutError:
            return

    async def _ask(self, http: aiohttp.ClientSession, method: str, word: str, body: bytes = b"") -> str | None:
        """The answer's text; None where it is no success, or none came."""
        path = f"{self.quirks.prefix}/{word.partition('?')[0]}{self.quirks.suffix}?SN={self.serial}"
        more = word.partition("?")[2]
        try:
            async with http.request(method, path + (f"&{more}" if more else ""), data=body or None) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        if answer.status != 200:
            self.refused.append((answer.status, text))
            await self._note()
            return None
        return text

    async def _shake_hands(self, http: aiohttp.ClientSession) -> bool:
        if self.dialect == "attendance":
            told = await self._ask(http, "GET", "cdata?options=all&pushver=2.4.1&language=83")
            self.config = dict(_pairs((told or "").splitlines()))
            return told is not None and told.startswith(f"GET OPTION FROM: {self.serial}")
        told = await self._ask(http, "GET", "cdata?options=all&pushver=3.1.2&DeviceType=acc")
        if told is None:
            return False
        if not told.startswith("registry=ok"):
            described = ",CmdFormat=1" if self.quirks.described else ""
            body = f"DeviceType=acc,~DeviceName=C3-400,FirmVer=Ver 8.0.4.3,LockCount={self.doors}{described}"
            code = await self._ask(http, "POST", "registry", body.encode()) if self.quirks.registers else None
            if code is None or not code.startswith("RegistryCode="):
                return False
            told = await self._ask(http, "POST", "push") or ""
        self.config = dict(_pairs(told.splitlines()))
        return "SessionID" in self.config

    async def _send(self, http: aiohttp.ClientSession, upload: _Upload) -> bool:
        names = upload.names
        answer = await self._ask(http, "POST", f"cdata?table={upload.table}", upload.body)
        if answer is None or not (answer in upload.thanks or answer.rstrip("0123456789") in upload.thanks):
            return False
        self._kept.popleft()
        self.accepted += [name for name in names if name]
        await self._note()
        return True

    async def _poll(self, http: aiohttp.ClientSession) -> None:
        answer = await self._ask(http, "GET", "getrequest")
        if answer is None:
            return
        self.polls += 1
        for line in answer.split("\r\n") if answer != "OK" else []:
            if line:
                await self._obey(http, line)
        await self._note()

    async def _obey(self, http: aiohttp.ClientSession, line: str) -> None:
        plain = line.partition("CmdDesc=")[2] if self.quirks.described else line
        _, number, text = plain.split(":", 2)
        self.orders.append(Order(number, text))
        if self.obeys:
            known = text.startswith("CONTROL DEVICE ") if self.dialect == "access" else text == "AC_UNLOCK"
            result = f"ID={number}&Return={0 if known else UNKNOWN_COMMAND}&CMD={text.partition(' 0')[0]}"
            await self._ask(http, "POST", "devicecmd", result.encode())


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    return ((name, value) for name, equals, value in (line.partition("=") for line in lines) if equals)
