"""HTTP as bytes into the daemon's own protocols, with no socket between: what is answered when nothing more comes."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, cast

from tests.fuzz.promises import Broken, promise

PEER = ("192.0.2.17", 40_000)
NEAR = ("127.0.0.1", 40_000)
MOST_TURNS = 20_000  # of the loop; then something goes in circles


class Failures(logging.Handler):
    """What the libraries log of a handler that failed, which they answer with 500."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[BaseException | None] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Only what carries an exception."""
        if record.exc_info:
            self.seen.append(record.exc_info[1])


class Pipe(asyncio.Transport):
    """A transport whose other end is a test."""

    def __init__(self, protocol: asyncio.Protocol, peer: tuple[str, int]) -> None:
        super().__init__({"peername": peer, "sockname": ("192.0.2.1", 80), "socket": None, "sslcontext": None})
        self.said = bytearray()
        self._protocol = protocol
        self._closing = False

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Kept."""
        self.said += data

    def writelines(self, list_of_data: "Iterable[bytes | bytearray | memoryview[Any]]") -> None:
        """Kept."""
        for data in list_of_data:
            self.said += data

    def is_closing(self) -> bool:
        """Nothing more is read."""
        return self._closing

    def close(self) -> None:
        """In the loop's next turn, as asyncio's own."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """For an upgrade."""
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """As set."""
        return self._protocol

    def pause_reading(self) -> None:
        """It has what it has."""

    def resume_reading(self) -> None:
        """It has what it has."""

    def get_write_buffer_size(self) -> int:
        """All of it is taken."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There are none."""


async def idle() -> None:
    """Until the loop has nothing left to do but wait. Broken: it never has."""
    loop = asyncio.get_running_loop()
    for _ in range(MOST_TURNS):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn
        if not loop._ready:  # type: ignore[attr-defined]
            return
    raise Broken("the loop does not come to rest")


async def answers(make: Callable[[], asyncio.Protocol], wire: bytes, peer: tuple[str, int] = PEER) -> bytes:
    """All that is answered to `wire`, in two pieces. Broken: a handler failed."""
    failures = Failures()
    watched = [logging.getLogger(name) for name in ("gateway.driver.http", "uvicorn.error", "asyncio")]
    for log in watched:
        log.addHandler(failures)
    try:
        protocol = make()
        pipe = Pipe(protocol, peer)
        protocol.connection_made(pipe)
        for piece in (wire[: len(wire) // 2], wire[len(wire) // 2 :]):
            if piece and not pipe.is_closing():
                protocol.data_received(piece)
                await idle()
        pipe.close()
        await idle()
    finally:
        for log in watched:
            log.removeHandler(failures)
    for failure in failures.seen:
        raise Broken("a request made a handler fail") from failure
    said = bytes(pipe.said)
    promise(b" 500 " not in said.partition(b"\r\n")[0], "answered with 500")
    return said
