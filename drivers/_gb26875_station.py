"""One transmission device: what it sends goes to disk and is confirmed then; what it is asked, it answers.

Everything of one device happens in order, on whatever connection it comes. A frame that is sent again (its confirm got
lost) is known by its serial number and bytes: it begins what is not open, and tells nothing else twice. (An underscore:
no driver.)
"""

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NamedTuple, TypeVar

from drivers._gb26875_board import LINE, OFFLINE, Board, Draft
from drivers._gb26875_family import Family
from drivers._gb26875_frame import FIRST_VENDOR_CODE, Code, Frame, encode
from drivers._gb26875_table import Edition
from drivers._gb26875_unit import hexadecimal, parse, read_time, write_time
from gateway.clock import TRUSTED, Clock
from gateway.driver import Link
from gateway.errors import StorageError
from gateway.event import Phase

CONFIRM_S = 2.0  # a confirm later than this is told once: the device will soon send again
RESENDS_S = 60.0  # a device sends again for about 40 s (annex A: 3 times after at most 10 s)
MOST_RECENT = 64  # frames remembered for that
SETTLE_S = 3600.0  # a clock that stays off is set so often at most
RETRY_S = 5.0
SET_CLOCK = 90  # data type
MARK_BYTES = 8  # source address and serial number: how a message is told from others
HELLO, HELLO_ANSWER = b"\x16", b"\x17"  # one vendor's heartbeat: one byte, and another inside the confirm
T = TypeVar("T")


class Way(NamedTuple):
    """How to reach a device just now."""

    name: str
    send: Callable[[bytes], None]


_CLASH = (
    "%s: system %s has a part of the same address as another one: declare each panel as a device of its own, with "
    'part: "TTAA" (type and address of the system)'
)


class Silent(Exception):
    """No answer, in all tries. The message says from whom."""


class Denied(Exception):
    """The device answered with a deny."""


async def within(clock: Clock, seconds: float, work: Awaitable[T]) -> T | None:
    """What `work` gives, or None after so many seconds of this clock."""
    task, timer = asyncio.ensure_future(work), asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        timer.cancel()


class Station:
    """A transmission device and what is behind it."""

    def __init__(self, family: Family, link: Link) -> None:
        self.family = family
        self.config = family.main
        self._link = link
        self._board = Board(family)
        self._order = asyncio.Lock()
        self._heard_s = link.clock.monotonic()
        self._spoke = asyncio.Event()
        self._recent: OrderedDict[bytes, float] = OrderedDict()  # frames that are on disk → since when
        self._newest = b""  # of them
        self._counts = True  # its messages have serial numbers of their own
        self._way: Way | None = None
        self._last: Frame | None = None  # the newest that came: whose version and addresses ours take over
        self._serials = itertools.count()
        self._asked: dict[int, asyncio.Future[Frame]] = {}  # serial → its reply
        self.post_checked = asyncio.Event()
        self._told: set[str] = set()  # troubles that are told once
        self._clock_set_s = -SETTLE_S
        self._clock_off = asyncio.Event()

    @property
    def online(self) -> bool:
        """It can be asked something."""
        return self._way is not None and self.silent_s < self.config.offline_after

    @property
    def silent_s(self) -> float:
        """Seconds since its last frame."""
        return self._link.clock.monotonic() - self._heard_s

    @property
    def table(self) -> Edition:
        """Its code tables."""
        return self.config.table

    def arrived(self) -> None:
        """It has opened a connection: its clock is looked at anew."""
        self._clock_set_s = -SETTLE_S

    def gone(self, way: Way) -> None:
        """A connection has ended; silence will tell whether the device has gone."""
        if self._way == way:
            self._way = None

    async def take(self, frame: Frame, way: Way) -> None:
        """One frame of it: to disk, then the confirm. Without a disk no confirm, and the device sends it again."""
        self._heard_s = self._link.clock.monotonic()
        self._spoke.set()
        async with self._order:
            self._way, self._last = way, frame
            try:
                await self._link.seen(self.config.id)
                await self._carry_out(frame, way)
                self._told.discard("disk")
            except StorageError as error:
                self._tell_once("disk", "%s: not confirmed, it is to send again: %s", error)
        self._look_at_clock(frame)

    async def _carry_out(self, frame: Frame, way: Way) -> None:
        if frame.command in (Code.CONFIRM, Code.ANSWER, Code.DENY):
            if frame.command == Code.ANSWER:
                await self._store(frame)
            asked = self._asked.get(frame.serial)
            if asked is not None and not asked.done():
                asked.set_result(frame)
        elif frame.command == Code.SEND or frame.command >= FIRST_VENDOR_CODE:
            await self._store(frame)
            await self._tell_presence()
            self._reply(frame, way, Code.CONFIRM, HELLO_ANSWER if frame.data == HELLO else b"")
        else:
            self._tell_once(f"command {frame.command}", "%s: denied: command byte %d is not for us", frame.command)
            self._reply(frame, way, Code.DENY)

    def deny(self, frame: Frame, way: Way, reason: str) -> None:
        """What came was damaged: the device is to send it again (annex A)."""
        self._tell_once(f"damage {reason}", "%s: a damaged frame (%s) is denied; further ones in silence", reason)
        self._reply(frame, way, Code.DENY)

    def _reply(self, frame: Frame, way: Way, command: Code, data: bytes = b"") -> None:
        way.send(encode(frame.reply(command, write_time(self._link.clock.utc()), data)))

    async def _store(self, frame: Frame) -> None:
        """Returns after the commit. StorageError: nothing of it was taken in, and the board is as it was."""
        if frame.command == Code.SEND and frame.data in (b"", HELLO):
            return
        draft = self._draft(frame)
        now_s = self._link.clock.monotonic()
        readings = draft.readings
        if self._resent(frame, now_s):
            readings = [reading for reading in readings if reading.phase is Phase.RAISE]
        if readings:
            await self._link.emit(*readings)
        self._remember(frame, now_s)
        if readings or not draft.readings:
            self._board.keep(draft)
        if draft.post_checked:
            self.post_checked.set()
        took_s = self._link.clock.monotonic() - now_s
        if took_s > CONFIRM_S:
            self._tell_once(
                "slow", "%s: the disk took %.1f s: the confirm comes late, the device may send again", took_s
            )
        if draft.clash is not None:
            self._tell_once("clash", _CLASH, hexadecimal(draft.clash.system))

    def _resent(self, frame: Frame, now_s: float) -> bool:
        """Is it on disk already? Never of a device that numbers all its messages alike: it may really say it twice."""
        while self._recent and next(iter(self._recent.values())) < now_s - RESENDS_S:
            self._recent.popitem(last=False)
        return self._counts and _mark(frame) in self._recent

    def _remember(self, frame: Frame, now_s: float) -> None:
        mark = _mark(frame)
        if mark not in self._recent:
            self._counts = mark[:MARK_BYTES] != self._newest[:MARK_BYTES]
            self._recent[mark], self._newest = now_s, mark
            if len(self._recent) > MOST_RECENT:
                self._recent.popitem(last=False)

    def _draft(self, frame: Frame) -> Draft:
        unit = None if frame.command >= FIRST_VENDOR_CODE else parse(self.table, frame.data, self.config.sizes)
        return self._board.draft(frame.command, unit, frame.data, self._link.active)

    async def _tell_presence(self) -> None:
        """What is behind it is there too, unless it says that the line to it is broken."""
        broken = (OFFLINE, LINE) in self._link.active(self.config.id)
        for config in self.family.parts.values():
            await (self._link.lost(config.id, "fire-system-line") if broken else self._link.seen(config.id))

    # --- what we ask

    async def ask(self, command: Code, data: bytes) -> Frame:
        """Its confirm or answer. Silent: it gave none, or is not there. Denied: it will not."""
        way, last = self._way, self._last
        if way is None or last is None:
            raise Silent(self.config.id)
        serial = next(self._serials) & 0xFFFF
        tag = write_time(self._link.clock.utc())
        frame = Frame(serial, last.version, tag, last.destination, last.source, command, data)
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[serial] = answer
        try:
            for _ in range(1 + self.config.retries):
                (self._way or way).send(encode(frame))
                if await within(self._link.clock, self.config.timeout, asyncio.wait({answer})):
                    break
        finally:
            del self._asked[serial]
        if not answer.done():
            answer.cancel()
            raise Silent(self.config.id)
        reply = answer.result()
        if reply.command == Code.DENY:
            raise Denied(self.config.id)
        return reply

    def _look_at_clock(self, frame: Frame) -> None:
        """Each frame shows the device's clock. Ours must be right itself, before it sets others."""
        clock, limit = self._link.clock, timedelta(seconds=self.config.clock_off)
        if not self.config.set_clock or clock.quality() not in TRUSTED:
            return
        shown = read_time(frame.tag)
        right = shown is not None and abs(shown - clock.utc()) <= limit
        if not right and clock.monotonic() - self._clock_set_s >= SETTLE_S:
            self._clock_set_s = clock.monotonic()
            self._clock_off.set()

    async def keep_clock(self) -> None:
        """Sets the device's clock whenever it was seen to be off."""
        while True:
            await self._clock_off.wait()
            self._clock_off.clear()
            try:
                await self.ask(Code.CONTROL, bytes([SET_CLOCK, 1]) + write_time(self._link.clock.utc()))
                self._link.log.info("%s: its clock was off and has been set", self.config.id)
            except (Silent, Denied) as error:
                self._tell_once(
                    "clock", "%s: its clock is off, and setting it failed (%s)", type(error).__name__.lower()
                )

    # --- silence

    async def watch(self) -> None:
        """Tells it lost after `offline_after` without a frame, and all that is behind it."""
        clock = self._link.clock
        while True:
            wait_s = self.config.offline_after - self.silent_s
            if wait_s > 0:
                await clock.sleep(wait_s)
                continue
            self._spoke.clear()
            try:
                for config in self.family.devices:
                    await self._link.lost(config.id, "silent")
            except StorageError:
                await clock.sleep(RETRY_S)
                continue
            await self._spoke.wait()

    def _tell_once(self, what: str, message: str, *values: object) -> None:
        if what not in self._told:
            self._told.add(what)
            self._link.log.warning(message, self.config.id, *values)


def _mark(frame: Frame) -> bytes:
    """What a frame and its resend have in common: address, serial number, command, data."""
    return frame.source + frame.serial.to_bytes(2, "little") + bytes([frame.command]) + frame.data
