"""The line of a simulated transmission device: dials by TCP or UDP, again and again. (An underscore: no simulator.)"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from drivers._gb26875_frame import Frame, Framer

CHUNK_BYTES = 4096
Heard = Callable[[Frame | None], Awaitable[None]]  # a frame; None: the line is there


class Dialer:
    """Keeps a connection while it is plugged in."""

    def __init__(self, host: str, port: int, heard: Heard, *, udp: bool, retry_s: float) -> None:
        self.host, self.port = host, port
        self._heard, self._udp, self._retry_s = heard, udp, retry_s
        self._send_bytes: Callable[[bytes], object] | None = None
        self._end: Callable[[], object] | None = None
        self._plugged = asyncio.Event()
        self._plugged.set()

    @property
    def online(self) -> bool:
        """There is a connection."""
        return self._send_bytes is not None

    def unplug(self) -> None:
        """The line is gone until `plug`."""
        self._plugged.clear()
        self.hang_up()

    def plug(self) -> None:
        """It is back."""
        self._plugged.set()

    def hang_up(self) -> None:
        """The connection ends; a new one is made soon."""
        if self._end is not None:
            self._end()

    def send(self, data: bytes) -> None:
        """Any bytes, at once; lost without a connection."""
        if self._send_bytes is not None:
            self._send_bytes(data)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._plugged.wait()
            with suppress(OSError):
                await (self._over_udp() if self._udp else self._over_tcp())
            await asyncio.sleep(self._retry_s)

    async def _over_tcp(self) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        self._send_bytes, self._end = writer.write, writer.transport.abort
        await self._heard(None)
        framer = Framer()
        try:
            while data := await reader.read(CHUNK_BYTES):
                await self._take(framer, data)
        finally:
            self._send_bytes = self._end = None
            writer.transport.abort()

    async def _over_udp(self) -> None:
        loop = asyncio.get_running_loop()
        transport, mailbox = await loop.create_datagram_endpoint(Mailbox, remote_addr=(self.host, self.port))
        self._send_bytes, self._end = transport.sendto, transport.abort
        await self._heard(None)
        try:
            while data := await mailbox.waiting.get():
                await self._take(Framer(), data)
        finally:
            self._send_bytes = self._end = None
            transport.close()

    async def _take(self, framer: Framer, data: bytes) -> None:
        for found in framer.feed(data):
            if isinstance(found, Frame):
                await self._heard(found)


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
