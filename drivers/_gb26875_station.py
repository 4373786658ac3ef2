"""One transmission device: what it sends goes to disk and is confirmed then; what it is asked, it answers.

Everything of one device happens in order, on whatever connection it comes. A frame that is sent again (its confirm got
lost) is known by its serial number and bytes: it begins what is not open, and tells nothing else twice. (An underscore:
no driver.)
"""

import asyncio

from drivers._gb26875_board import LINE, OFFLINE, Board
from drivers._gb26875_dialogue import Dialogue, Way
from drivers._gb26875_family import Family
from drivers._gb26875_frame import FIRST_VENDOR_CODE, Code, Frame
from drivers._gb26875_resends import Resends
from drivers._gb26875_timing import Timing
from drivers._gb26875_unit import hexadecimal, parse
from gateway.driver import Link
from gateway.errors import StorageError
from gateway.event import Phase

CONFIRM_S = 2.0  # a confirm later than this is told once: the device will soon send again
RETRY_S = 5.0
HELLO, HELLO_ANSWER = b"\x16", b"\x17"  # one vendor's heartbeat: one byte, and another inside the confirm
_CLASH = (
    "%s: system %s has a part of the same address as another one: declare each panel as a device of its own, with "
    'part: "TTAA" (type and address of the system)'
)


class Station:
    """A transmission device and what is behind it."""

    def __init__(self, family: Family, link: Link) -> None:
        self.family = family
        self.config = family.main
        self.dialogue = Dialogue(family.main, link.clock)
        self.timing = Timing(family.main, link, self.dialogue)
        self.post_checked = asyncio.Event()  # an operator has answered
        self._link = link
        self._board = Board(family)
        self._resends = Resends()
        self._order = asyncio.Lock()
        self._heard_s = link.clock.monotonic()
        self._spoke = asyncio.Event()
        self._told: set[str] = set()  # troubles that are told once

    @property
    def online(self) -> bool:
        """It can be asked something."""
        return self.dialogue.open and self.silent_s < self.config.offline_after

    @property
    def silent_s(self) -> float:
        """Seconds since its last frame."""
        return self._link.clock.monotonic() - self._heard_s

    async def take(self, frame: Frame, way: Way) -> None:
        """One frame of it: to disk, then the confirm. Without a disk no confirm, and the device sends it again."""
        self._heard_s = self._link.clock.monotonic()
        self._spoke.set()
        async with self._order:
            self.dialogue.heard(frame, way)
            try:
                await self._link.seen(self.config.id)
                await self._carry_out(frame, way)
                self._told.discard("disk")
            except StorageError as error:
                self._tell_once("disk", "%s: not confirmed, it is to send again: %s", error)
        self.timing.look(frame)

    async def _carry_out(self, frame: Frame, way: Way) -> None:
        if frame.command in (Code.CONFIRM, Code.ANSWER, Code.DENY):
            if frame.command == Code.ANSWER:
                await self._store(frame)
            self.dialogue.settle(frame)
        elif frame.command == Code.SEND or frame.command >= FIRST_VENDOR_CODE:
            await self._store(frame)
            await self._tell_presence()
            self.dialogue.reply(frame, way, Code.CONFIRM, HELLO_ANSWER if frame.data == HELLO else b"")
        else:
            self._tell_once(f"command {frame.command}", "%s: denied: command byte %d is not for us", frame.command)
            self.dialogue.reply(frame, way, Code.DENY)

    def deny(self, frame: Frame, way: Way, reason: str) -> None:
        """What came was damaged: the device is to send it again (annex A)."""
        told = "%s: a damaged frame (%s) is denied; further ones in silence"
        self._tell_once(f"damage {reason}", told, reason)
        self.dialogue.reply(frame, way, Code.DENY)

    async def _store(self, frame: Frame) -> None:
        """Returns after the commit. StorageError: nothing of it was taken in, and the board is as it was."""
        if frame.command == Code.SEND and frame.data in (b"", HELLO):
            return
        unit = None if frame.command >= FIRST_VENDOR_CODE else parse(self.config.table, frame.data, self.config.sizes)
        draft = self._board.draft(frame.command, unit, frame.data, self._link.active)
        now_s = self._link.clock.monotonic()
        readings = draft.readings
        if self._resends.known(frame, now_s):
            readings = [reading for reading in readings if reading.phase is Phase.RAISE]
        if readings:
            await self._link.emit(*readings)
        self._resends.remember(frame, now_s)
        if readings or not draft.readings:
            self._board.keep(draft)
        if draft.post_checked:
            self.post_checked.set()
        took_s = self._link.clock.monotonic() - now_s
        if took_s > CONFIRM_S:
            told = "%s: the disk took %.1f s: the confirm comes late, the device may send again"
            self._tell_once("slow", told, took_s)
        if draft.clash is not None:
            self._tell_once("clash", _CLASH, hexadecimal(draft.clash.system))

    async def _tell_presence(self) -> None:
        """What is behind it is there too, unless it says that the line to it is broken."""
        broken = (OFFLINE, LINE) in self._link.active(self.config.id)
        for config in self.family.parts.values():
            await (self._link.lost(config.id, "fire-system-line") if broken else self._link.seen(config.id))

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
