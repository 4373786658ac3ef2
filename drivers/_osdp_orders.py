"""Commands on their way to one reader: in line, one at a time, given up in time, given again when no answer came."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import osdp  # type: ignore[import-untyped]  # libosdp has no type hints

from drivers._osdp_panel import Panel

OUTPUT = osdp.Command.Output


@dataclass
class Order:
    """A libosdp command, wanted until `until` (monotonic seconds); `done` gets the code of its outcome."""

    command: dict[str, Any]
    until: float
    done: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def end(self, code: str) -> None:
        """Tells who waits."""
        if not self.done.done():
            self.done.set_result(code)


class Orders:
    """The line of orders of one reader."""

    def __init__(self) -> None:
        self._waiting: deque[Order] = deque()
        self._sent: Order | None = None
        self._unable: set[int] = set()  # commands that this reader refuses: not tried again, but for the lock

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, command: dict[str, Any], until: float) -> Order:
        """Puts a command in line."""
        order = Order(command, until)
        if command["command"] in self._unable:
            order.end("device-refused")
        else:
            self._waiting.append(order)
        return order

    def expire(self, now: float) -> None:
        """Gives up what has waited too long."""
        for order in [order for order in self._waiting if order.until < now]:
            order.end("timeout")
            self._waiting.remove(order)

    def submit(self, panel: Panel) -> None:
        """Hands the next one to a session that stands."""
        if self._sent is None and self._waiting:
            self._sent = self._waiting.popleft()
            if not panel.submit(self._sent.command):
                self._sent.end("device-refused")
                self._sent = None

    def take_back(self) -> None:
        """The session is gone: what has no answer is given again; no order does harm twice."""
        if self._sent is not None:
            self._waiting.appendleft(self._sent)
            self._sent = None

    def answered(self, panel: Panel) -> bool | None:
        """After an answer: did the lock's output do as it was told? None: it was not asked, or not answered yet."""
        finished = panel.finished()
        if finished is None or self._sent is None or panel.forgotten:
            return None
        order, self._sent = self._sent, None
        order.end("ok" if finished else "device-refused")
        if order.command["command"] == OUTPUT:
            return finished
        if not finished:
            self._unable.add(order.command["command"])
        return None
