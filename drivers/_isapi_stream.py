"""One device's alert stream, opened again whenever it ends; its memory is looked through meanwhile.

(An underscore: no driver.)
"""

import asyncio
import math
import re

import aiohttp

from drivers._http import Http, get
from drivers._isapi_config import Config
from drivers._isapi_desk import Desk
from drivers._isapi_memory import Memory
from drivers._multipart import Document, Parts
from gateway.driver import Link
from gateway.errors import BadInput, NeedsPerson, Text, Unreachable

PATHS = ("/ISAPI/Event/notification/alertStream", "/Event/notification/alertStream")
FAILED_RECONNECTS = 3  # then the device is told to be offline
OUTAGE_S = 60.0  # or after this long without a stream
OFFLINE = ("device.offline", None)


class Stream:
    """Of one device."""

    def __init__(self, desk: Desk, memory: Memory, http: Http, link: Link) -> None:
        self._config: Config = desk.config
        self._desk, self._memory, self._http, self._link = desk, memory, http, link
        self._failures = 0  # attempts in a row that brought not a single part
        self._down_since: float | None = None

    def _now(self) -> float:
        return self._link.clock.monotonic()

    async def run(self) -> None:
        """Until the device is lost (Unreachable) or refuses us (NeedsPerson); both are told to the link first."""
        while True:
            try:
                await self._open()
                trouble = self._unreachable("closed the event stream", "关闭了事件流")
            except Unreachable as exc:
                trouble = exc
            except NeedsPerson:
                await self._link.lost(self._config.id, "refused")
                raise
            if self._down_since is None:  # a stream that worked has ended: quietly again
                self._down_since = self._now()
            else:
                self._failures += 1
            if self._failures >= FAILED_RECONNECTS or self._now() - self._down_since >= OUTAGE_S:
                await self._link.lost(self._config.id, "no-answer")
                raise trouble
            await self._link.clock.sleep(self._config.retry * (self._failures or 0.2))

    def _unreachable(self, en: str, zh: str) -> Unreachable:
        return Unreachable(
            self._config.id,
            Text(f"{self._config.url} {en}", f"{self._config.url} {zh}"),
            Text("restart the device if this stays", "若持续如此请重启设备"),
        )

    async def _open(self) -> None:
        for path in PATHS:
            async with get(self._http, path) as answer:
                if answer.status == 200:
                    await self._read(answer)
                    return
        raise NeedsPerson(
            self._config.id,
            Text(f"{self._config.url} has no ISAPI event stream", f"{self._config.url} 没有 ISAPI 事件流"),
            Text("check the address and switch ISAPI on in the device", "请核对地址,并在设备中启用 ISAPI"),
        )

    async def _read(self, answer: aiohttp.ClientResponse) -> None:
        """Until the device closes it; Unreachable after `silence` seconds without a part."""
        declared = re.search(r'boundary="?([^";,\s]+)', answer.headers.get("Content-Type", ""), re.IGNORECASE)
        parts = Parts(declared[1] if declared else None)
        heard_at = opened_at = self._now()
        self._desk.resume()
        self._memory.interrupted()
        proved = not self._failures and OFFLINE not in self._link.active(self._config.id)
        if proved:
            await self._link.seen(self._config.id)
        while True:
            # a stream that opened, ended and opened again has proved nothing until it brings something, or stays
            proof_at = math.inf if proved else opened_at + self._config.retry
            chunk = await self._chunk(answer.content, min(heard_at + self._config.silence, proof_at, self._due()))
            if chunk == b"":
                return
            if chunk is None and self._now() >= heard_at + self._config.silence:
                raise self._unreachable("has gone silent", "没有任何消息")
            found = parts.feed(chunk or b"")
            if found:
                heard_at = self._now()
                await self._desk.take(part.body for part in found if isinstance(part, Document))
                self._memory.heard()
            if found or self._now() >= proof_at:
                self._failures, self._down_since, proved = 0, None, True
                await self._link.seen(self._config.id)
            await self._desk.expire()
            await self._remember()

    def _due(self) -> float:
        due = self._desk.due()
        return min(self._memory.due, math.inf if due is None else due)

    async def _chunk(self, content: aiohttp.StreamReader, until: float) -> bytes | None:
        """What came in, b"" at the end, None where nothing came until then."""
        try:
            async with asyncio.timeout(max(0.0, until - self._now())):
                return await content.readany()
        except TimeoutError:
            return None

    async def _remember(self) -> None:
        """The stream is there: a search that fails is tried again, and says so once; of a camera it means nothing."""
        if self._memory.due > self._now():
            return
        try:
            await self._memory.look()
        except (Unreachable, BadInput) as error:
            if self._desk.book.ledger.last is not None:
                self._desk.book.say(error.what)
