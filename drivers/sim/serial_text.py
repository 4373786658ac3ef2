"""A fire panel's printer port: records as a Gulf (GST) cabinet prints them, on a pty or on a TCP serial server.

`async with Panel() as panel:` gives `panel.port` (or `panel.address` with `tcp=True`); then `panel.fire(4, 4, "裙楼")`.
It only talks. What it printed stands in `printed`. Nothing is printed twice, and nothing is kept for who listens late.
"""

import asyncio
import os
import select
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Self

_BEGIN, _BOLD = b"\x1b6", b"\x1b9"  # what the published bytes have before the date and before the word
_LOOK_S = 0.01
SMOKE, HEAT, MANUAL = "感烟探测器", "感温探测器", "手动报警按钮"


class Panel:
    """One panel; `clock` gives the local time it prints."""

    def __init__(
        self, *, tcp: tuple[str, int] | None = None, clock: Callable[[], datetime] = datetime.now, end: bytes = b"\n"
    ) -> None:
        self.port = ""
        self.address = ("", 0)
        self.printed: list[str] = []
        self.fires = 0
        self._tcp, self._clock, self._end = tcp, clock, end
        self._stack = AsyncExitStack()
        self._handle = -1
        self._clients: list[asyncio.StreamWriter] = []
        self._came = asyncio.Event()

    async def __aenter__(self) -> Self:
        if self._tcp is None:
            self._handle, theirs = os.openpty()
            self.port = os.ttyname(theirs)
            os.close(theirs)  # so that one can see whether somebody has opened it
            self._stack.callback(self.hang_up)
        else:
            server = await asyncio.start_server(self._join, *self._tcp)
            self._stack.push_async_callback(server.wait_closed)
            self._stack.callback(server.close)
            self._stack.callback(self.hang_up)
            self.address = server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    async def _join(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.append(writer)
        self._came.set()

    async def listened(self) -> None:
        """Until somebody has connected, or opened the pty: what is printed before that is lost, as on a real port."""
        if self._tcp is not None:
            await self._came.wait()
            return
        line = select.poll()
        line.register(self._handle, select.POLLOUT)
        while True:
            if not any(event & select.POLLHUP for _, event in line.poll(0)):
                return
            await asyncio.sleep(_LOOK_S)

    def hang_up(self) -> None:
        """The adapter is pulled out, or the serial server goes."""
        for writer in self._clients:
            writer.close()
        self._clients.clear()
        self._came.clear()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    # --- what it prints

    def fire(self, loop: int, point: int, where: str, what: str = SMOKE) -> None:
        """A detector or call point is in alarm: the first since the reset is printed as such."""
        self.fires += 1
        self.record(loop, point, "首次火警" if self.fires == 1 else "火警后续", where, what)

    def fault(self, loop: int, point: int, where: str, what: str = SMOKE) -> None:
        """A part is faulty."""
        self.record(loop, point, "故障", where, what)

    def back(self, loop: int, point: int, where: str, what: str = SMOKE) -> None:
        """It is well again."""
        self.record(loop, point, "恢复", where, what)

    def record(self, loop: int, point: int, word: str, where: str, what: str) -> None:
        """Any word about a part."""
        self._print(f"  {loop:03d}-{point:03d}", word, where, what)

    def reset(self) -> None:
        """Somebody resets the panel."""
        self.fires = 0
        self._print("  ", "系统复位")

    def system(self, word: str) -> None:
        """Something about the panel itself, e.g. 主电故障."""
        self._print(word)

    def line(self, text: str) -> None:
        """A line of its own, and an empty one."""
        self.printed.append(text)
        self.raw(text.encode("gb18030", "replace") + 2 * self._end)

    def _print(self, *lines: str) -> None:
        date, *rest = [f"{self._clock():%y/%m/%d  %H:%M}", *lines]
        self.printed.append("\n".join([date, *rest]))
        encoded = [line.encode("gb18030") for line in rest]
        if len(encoded) > 1:
            encoded[1] = _BOLD + encoded[1]
        self.raw(self._end.join([_BEGIN + date.encode(), *encoded]) + 2 * self._end)

    def raw(self, data: bytes) -> None:
        """Bytes as they stand."""
        if self._handle >= 0:
            os.write(self._handle, data)
        for writer in self._clients:
            with suppress(OSError):
                writer.write(data)
