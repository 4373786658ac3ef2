"""What we ask a transmission device, and how it is reached: its tries, its replies. (An underscore: no driver.)

The device dials us, so it can be asked once it has spoken; our frames take over its version and the addresses it uses.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from drivers._gb26875_config import Config
from drivers._gb26875_frame import Code, Frame, encode
from drivers._gb26875_unit import write_time
from gateway.clock import Clock

T = TypeVar("T")


class Way(NamedTuple):
    """How to reach a device just now."""

    name: str
    send: Callable[[bytes], None]


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


class Dialogue:
    """With one device."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self._way: Way | None = None
        self._last: Frame | None = None  # the newest that came: whose version and addresses ours take over
        self._serials = itertools.count()
        self._asked: dict[int, asyncio.Future[Frame]] = {}  # serial → its reply

    @property
    def open(self) -> bool:
        """It has a connection, or has spoken by UDP."""
        return self._way is not None

    def heard(self, frame: Frame, way: Way) -> None:
        """It spoke, and this is how it can be reached."""
        self._way, self._last = way, frame

    def gone(self, way: Way) -> None:
        """A connection has ended."""
        if self._way == way:
            self._way = None

    def settle(self, reply: Frame) -> None:
        """A confirm, an answer or a deny came: whoever asked gets it."""
        asked = self._asked.get(reply.serial)
        if asked is not None and not asked.done():
            asked.set_result(reply)

    def reply(self, frame: Frame, way: Way, command: Code, data: bytes = b"") -> None:
        """Confirms or denies a frame, with our time."""
        way.send(encode(frame.reply(command, write_time(self._clock.utc()), data)))

    async def ask(self, command: Code, data: bytes) -> Frame:
        """Its confirm or answer. Silent: it gave none, or is not there. Denied: it will not."""
        way, last = self._way, self._last
        if way is None or last is None:
            raise Silent(self._config.id)
        serial = next(self._serials) & 0xFFFF
        tag = write_time(self._clock.utc())
        frame = Frame(serial, last.version, tag, last.destination, last.source, command, data)
        reply: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[serial] = reply
        try:
            for _ in range(1 + self._config.retries):
                (self._way or way).send(encode(frame))
                if await within(self._clock, self._config.timeout, asyncio.wait({reply})):
                    break
        finally:
            del self._asked[serial]
        if not reply.done():
            reply.cancel()
            raise Silent(self._config.id)
        answer = reply.result()
        if answer.command == Code.DENY:
            raise Denied(self._config.id)
        return answer
