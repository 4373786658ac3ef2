"""What the district feeds back to the community (数据反哺): notices, figures and case results, kept until they expire.

As they came, from each uplink; shown on the page and the command line as plain text.
"""

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway import feedback
from gateway.alarmview import moment
from gateway.clock import Clock
from gateway.database import put_fact, read_fact
from gateway.errors import BadInput
from gateway.feedback import NOTICE_BYTES, Notice
from gateway.packets import Message
from gateway.store import Store

MOST = 1000  # of one uplink; then its oldest go
MOST_BYTES = 2 * 2**20  # of one uplink: all of them are held in memory
QUIET_MS = 7 * 86_400_000  # without a word for so long is shown
_HEARD = "feedback"  # fact: when the last notice or result came, ms since 1970
_LOG = logging.getLogger("gateway.notices")


@dataclass(frozen=True)
class Kept:
    """One notice: from which uplink, as it came, as it is read, and when; `expires_ms` 0 is never."""

    uplink: str
    document: str
    told: Notice
    expires_ms: int
    received_ms: int

    @property
    def key(self) -> tuple[str, str]:
        """What there is one of."""
        return self.uplink, self.told.id


class Notices:
    """All of them. `hearing(uplink)` takes them in."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._kept: dict[tuple[str, str], Kept] | None = None
        self._heard_ms = 0

    async def load(self) -> dict[tuple[str, str], Kept]:
        """As they stand on disk; read once. StorageError."""
        if self._kept is None:
            found, heard_ms = await self._store.read(_notices)
            if self._kept is None:
                self._kept, self._heard_ms = {kept.key: kept for kept in found}, heard_ms
        return self._kept

    def hearing(self, uplink: str) -> Callable[[Message], Awaitable[None]]:
        """What an uplink's inbox calls."""
        return partial(self._hear, uplink)

    async def _hear(self, uplink: str, message: Message) -> None:
        """StorageError: it is heard again."""
        known = await self.load()
        try:
            name, told = feedback.read(Notice, message.topic, message.payload, NOTICE_BYTES)
        except BadInput as error:
            _LOG.warning("%s: %s", uplink, error)
            return
        old = known.get((uplink, name))
        if told is None:
            if old is not None:
                await self._change([old])
            return
        now_ms, text = self._now_ms(), message.payload.decode()
        ends_ms = 0 if told.expires is None else int(feedback.moment_of(told.expires).timestamp() * 1000)
        if (old is None or old.document != text) and not 0 < ends_ms <= now_ms:
            await self._take(Kept(uplink, text, told, ends_ms, now_ms))

    async def _take(self, new: Kept) -> None:
        known = await self.load()
        others = (kept for kept in known.values() if kept.uplink == new.uplink and kept.key != new.key)
        rest = sorted(others, key=lambda kept: kept.received_ms, reverse=True)
        gone, room_bytes = [], MOST_BYTES - len(new.document)
        for number, kept in enumerate(rest, 2):
            room_bytes -= len(kept.document)
            if self._over(kept) or number > MOST or room_bytes < 0:
                gone.append(kept)
        await self._change(gone, new)

    async def _change(self, gone: list[Kept], new: Kept | None = None) -> None:
        known = await self.load()
        await self._store.transact(partial(_write, gone=gone, new=new))
        for kept in gone:
            known.pop(kept.key, None)
        if new is not None:
            known[new.key] = new
            self._heard_ms = new.received_ms if new.told.kind != "figures" else self._heard_ms

    def _over(self, kept: Kept) -> bool:
        return 0 < kept.expires_ms <= self._now_ms()

    def _now_ms(self) -> int:
        return int(self._clock.utc().timestamp() * 1000)

    async def list(self) -> list[dict[str, Any]]:
        """The newest first, without what has expired; the same from two uplinks is shown once. StorageError."""
        known = await self.load()
        shown: dict[str, Kept] = {}
        for kept in sorted(known.values(), key=lambda kept: (kept.received_ms, kept.key), reverse=True):
            if not self._over(kept):
                shown.setdefault(kept.document, kept)
        return [_shown(kept) for kept in shown.values()]

    async def feedback(self) -> dict[str, Any]:
        """`since`: when the last notice or result came, if one ever did; `quiet`: longer ago than 7 days, or never."""
        await self.load()
        since = {"since": moment(self._heard_ms)} if self._heard_ms else {}
        return {**since, "quiet": self._now_ms() - self._heard_ms > QUIET_MS}


def _shown(kept: Kept) -> dict[str, Any]:
    told = kept.told.model_dump(mode="json", include=set(Notice.model_fields), exclude_none=True)
    return told | {"uplink": kept.uplink, "received": moment(kept.received_ms)}


def _notices(connection: sqlite3.Connection) -> tuple[list[Kept], int]:
    found = []
    for name, *columns in connection.execute("SELECT id, uplink, document, expires_ms, received_ms FROM notice"):
        uplink, document, expires_ms, received_ms = columns
        try:
            _, told = feedback.read(Notice, name, document.encode(), NOTICE_BYTES)
        except BadInput as error:  # as a salvage or an earlier version left it
            _LOG.warning("notice %s of %s cannot be read any more: %s", name, uplink, error)
            continue
        if told is not None:
            found.append(Kept(uplink, document, told, expires_ms, received_ms))
    return found, int(read_fact(connection, _HEARD) or 0)


def _write(connection: sqlite3.Connection, gone: list[Kept], new: Kept | None) -> None:
    connection.executemany("DELETE FROM notice WHERE uplink = ? AND id = ?", [kept.key for kept in gone])
    if new is not None:
        row = (new.told.id, new.uplink, new.document, new.expires_ms, new.received_ms)
        connection.execute("INSERT OR REPLACE INTO notice VALUES (?, ?, ?, ?, ?)", row)
        if new.told.kind != "figures":
            put_fact(connection, _HEARD, str(new.received_ms))
