"""Lines to a broker that fail in one way only: PUBACKs lost, everything lost, cut in mid-frame, reset in answer to
CONNECT.
"""

import asyncio
from contextlib import suppress

from gateway.demo.wire import Wire


class FaultyWire(Wire):
    """A wire whose faults are set while it runs."""

    def __init__(self, to_port: int) -> None:
        super().__init__(to_port)
        self.resets = 0  # so many of the next connections are reset
        self.deaf = False  # what the broker says gets lost
        self.mute = False  # what is said to the broker gets lost
        self.cuts_bytes: list[int] = []  # the next connections are cut after so many bytes to the broker, each
        self.dropped_bytes = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.resets:
            self.resets -= 1
            writer.transport.abort()
            return
        left_bytes = self.cuts_bytes.pop(0) if self.cuts_bytes else None
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
            self._writers |= {writer, back}
            async with asyncio.TaskGroup() as group:
                group.create_task(self._up(reader, back, left_bytes))
                group.create_task(self._down(there, writer))
            self._writers -= {writer, back}

    async def _up(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, left_bytes: int | None) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if self.mute:
                    self.dropped_bytes += len(data)
                    continue
                sink.write(data if left_bytes is None else data[:left_bytes])
                await sink.drain()
                if left_bytes is not None and len(data) >= left_bytes:
                    break
                left_bytes = left_bytes if left_bytes is None else left_bytes - len(data)
        sink.close()

    async def _down(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if self.deaf:
                    self.dropped_bytes += len(data)
                    continue
                sink.write(data)
                await sink.drain()
        sink.transport.abort()
