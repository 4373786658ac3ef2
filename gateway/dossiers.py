"""The community's digital file (建档立卡) over time: each device's last test, and each uplink's last two files."""

import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from gateway.clock import Clock
from gateway.database import put_fact, read_fact
from gateway.deeds import NotFound
from gateway.errors import StorageError, Text
from gateway.event import Phase
from gateway.pipeline import Taken
from gateway.store import Store

TICK_S = 10.0
_TESTED, _KEPT = "tested", "dossiers."  # facts: a date by device; by uplink the file before and the present one
_TESTS = ("device.test", "operator.test")
_RESTLESS = ("revision", "sha256", "time")  # of a file: no content
_LOG = logging.getLogger("gateway.dossier")
Document = Mapping[str, Any]


class Dossiers:
    """`took` hears what is tested; `run(announce)` keeps it, and has the changed file told."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tested: dict[str, str] | None = None
        self._seen: dict[str, str] = {}  # not yet on disk

    def took(self, taken: Taken) -> None:
        """After each commit."""
        if taken.reading.type in _TESTS and taken.phase in (Phase.RAISE, Phase.PULSE):
            self._seen[taken.reading.device] = self._clock.utc().astimezone().date().isoformat()

    async def tested(self) -> Mapping[str, str]:
        """The day of each device's last test, as on disk."""
        if self._tested is None:
            try:
                self._tested = json.loads(await self._store.read(lambda c: read_fact(c, _TESTED) or "{}"))
            except StorageError:
                return {}
        return self._tested or {}

    async def run(self, announce: Callable[[], Awaitable[None]]) -> None:
        """For ever."""
        while True:
            try:
                if await self._write():
                    await announce()
            except StorageError:
                pass  # it is tried again with the next tick; the disk's trouble is told by the store
            await self._clock.sleep(TICK_S)

    async def _write(self) -> bool:
        """Whether there was something new."""
        seen, known = dict(self._seen), await self.tested()
        made = {**known, **seen}
        if made == known or self._tested is None:
            return False
        await self._store.transact(partial(put_fact, name=_TESTED, value=json.dumps(made)))
        self._tested = made
        self._seen = {device: day for device, day in self._seen.items() if seen.get(device) != day}
        return True

    async def keep(self, uplink: str, document: Document) -> None:
        """The present file; the one before stays beside it. Where the disk does not take it, nothing is told of it."""
        try:
            await self._store.transact(partial(_keep, uplink=uplink, document=document))
        except StorageError as error:
            _LOG.debug("not kept: %s", error)

    async def show(self, uplink: str) -> dict[str, Any]:
        """The present file, and what changed since the one before. NotFound: none was made yet. StorageError."""
        before, present = await self._store.read(partial(_kept, uplink=uplink))
        if present is None:
            what = Text("there is no such uplink, or it was never connected", "没有这条上行链路,或尚未连接过")
            raise NotFound(uplink, what, Text("`gateway status` lists them", "用 gateway status 查看"))
        return {"dossier": present, "changes": [] if before is None else changes(before, present)}


def changes(before: Any, present: Any, path: str = "") -> list[dict[str, Any]]:
    """What is not the same: `path`, and `before` and `now` as far as there are; devices by id, places by path."""
    before, present = _named(before), _named(present)
    if not isinstance(before, dict) or not isinstance(present, dict):
        return [] if before == present else [{"path": path, "before": before, "now": present}]
    found: list[dict[str, Any]] = []
    for name in [*before, *(name for name in present if name not in before)]:
        below = f"{path}.{name}".lstrip(".")
        if not path and name in _RESTLESS:
            continue
        if name not in present:
            found.append({"path": below, "before": before[name]})
        elif name not in before:
            found.append({"path": below, "now": present[name]})
        else:
            found += changes(before[name], present[name], below)
    return found


def _named(value: Any) -> Any:
    """A list of things that have a name, by it."""
    for key in ("id", "path", "uplink"):
        if isinstance(value, list) and value and all(isinstance(item, dict) and key in item for item in value):
            return {str(item[key]): item for item in value}
    return value


def _kept(connection: sqlite3.Connection, uplink: str) -> tuple[Document | None, Document | None]:
    before, present = json.loads(read_fact(connection, _KEPT + uplink) or "[null, null]")
    return before, present


def _keep(connection: sqlite3.Connection, uplink: str, document: Document) -> None:
    _, present = _kept(connection, uplink)
    if present is None or present["sha256"] != document["sha256"]:
        put_fact(connection, _KEPT + uplink, json.dumps([present, document], ensure_ascii=False))
