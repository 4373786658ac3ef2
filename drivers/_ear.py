"""What is heard on a line, for whoever asks one question at a time. (An underscore: no driver.)"""

import asyncio


class Ear(asyncio.Protocol):
    """What was heard since last asked, and whether the line is still there; of a flood the newest `room_bytes`."""

    def __init__(self, room_bytes: int) -> None:
        self.heard = bytearray()
        self.news = asyncio.Event()
        self.lost: str | None = None
        self._room_bytes = room_bytes

    def data_received(self, data: bytes) -> None:
        """As asyncio has it."""
        self.heard += data
        del self.heard[: -self._room_bytes]
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio has it."""
        self.lost = str(exc) if exc else "closed by the other end"
        self.news.set()
