"""A device that posts its events, keeps each until it is answered 200, and notes the ids it was given."""

import asyncio
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

_RETRY_S = 0.5
_TIMEOUT = aiohttp.ClientTimeout(total=10)


class Poster:
    """`async with Poster(url, token) as device:` then `device.say({...})`; `await device.all_accepted()`."""

    def __init__(self, url: str, token: str, retry_s: float = _RETRY_S) -> None:
        self.url, self._token, self._retry_s = url, token, retry_s
        self.accepted: list[str] = []  # the ledger: ids of what the gateway has on disk, in order
        self.refused: list[tuple[int, Any]] = []  # (status, answer) of what it will never take
        self.attempts = 0
        self._kept: deque[Mapping[str, Any]] = deque()
        self._changed = asyncio.Condition()
        self._group = asyncio.TaskGroup()
        self._sender: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._sender = self._group.create_task(self._send(), name="webhook device")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._sender is not None:
            self._sender.cancel()
        await self._group.__aexit__(kind, exc, tb)

    async def say(self, *readings: Mapping[str, Any]) -> None:
        """Puts readings in the queue; each is one request."""
        async with self._changed:
            self._kept.extend(readings)
            self._changed.notify_all()

    async def all_accepted(self) -> None:
        """Until nothing is kept any more."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._kept)

    async def _send(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        async with aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as http:
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._kept)
                if not await self._post(http, self._kept[0]):
                    await asyncio.sleep(self._retry_s)
                    continue
                async with self._changed:
                    self._kept.popleft()
                    self._changed.notify_all()

    async def _post(self, http: aiohttp.ClientSession, reading: Mapping[str, Any]) -> bool:
        """Whether the reading is done with: accepted, or refused for good (400, 413, 415)."""
        self.attempts += 1
        try:
            async with http.post(self.url, json=reading) as answer:
                body = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
        if answer.status == 200:
            self.accepted += body["ids"]
            return True
        if answer.status in (400, 413, 415):
            self.refused.append((answer.status, body))
            return True
        return False
