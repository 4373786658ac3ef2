"""One follower of the house for all pages that are open: what changed is rendered once for each sort of reader.

It runs only while somebody looks. It tells at once after quiet and then at most every BETWEEN_S, whatever comes in: a
burst costs a bounded amount, and nothing of it stands in the event path, which only sets a flag. A page that does not
read what it is sent is let go; its browser comes again and is shown how things are then.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from gateway.database import Row, read_newest
from gateway.errors import StorageError
from gateway.event import Lane
from gateway.house import House
from gateway.store import Store
from gateway.web.glance import Glance
from gateway.web.visitor import Right

BETWEEN_S = 0.2  # between two tellings
LOOK_S = 1.0  # what no event tells, such as an uplink that came back, is looked for so often
ROWS = 20  # newest events of one telling, and of the list on the page
QUEUE_FRAMES = 32  # a page that lets so many lie is let go
LANES = (Lane.ALARM, Lane.EVENT)  # measured values are no news
Sort = tuple[str, frozenset[Right]]  # readers who see the same: language and rights
_LOG = logging.getLogger("gateway.web")


class Draws(Protocol):
    """Makes what the pages are sent."""

    @property
    def house(self) -> House:
        """Which is followed."""

    def glance(self) -> Glance:
        """One look."""

    def state(self, glance: Glance, language: str) -> dict[str, Any]:
        """The top of the page, as the script needs it."""

    def banner(self, glance: Glance, language: str, rights: frozenset[Right]) -> str:
        """The banner's HTML."""

    def rows(self, events: Iterable[Mapping[str, Any]], language: str, skipped: int = 0) -> str:
        """Live events as HTML, the newest first."""


def message(event: str, data: str) -> str:
    """One server-sent event (HTML, 9.2.6); `data` may have lines."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {event}\n{lines}\n"


class Page:
    """One that is open: `await page.next()` is what to send, None: it is to end."""

    def __init__(self, language: str, rights: frozenset[Right]) -> None:
        self.sort: Sort = (language, rights)
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_FRAMES)

    async def next(self) -> bytes | None:
        """As soon as there is something."""
        return await self._queue.get()

    def put(self, frames: bytes) -> bool:
        """False: it does not read; it is let go."""
        with suppress(asyncio.QueueFull):
            self._queue.put_nowait(frames)
            return True
        self.end()
        return False

    def end(self) -> None:
        """After this nothing more comes."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)


class Hub:
    """`async with hub.page(language, rights) as page`."""

    def __init__(self, draws: Draws) -> None:
        self._draws = draws
        self._pages: set[Page] = set()
        self._task: asyncio.Task[None] | None = None
        self._dirty = asyncio.Event()
        self._told: dict[tuple[str, Sort], str] = {}  # what each sort of reader was told last
        self._seen: dict[Lane, int] = {}
        self._marks: dict[str, Any] = {}

    @property
    def open_pages_count(self) -> int:
        """How many look."""
        return len(self._pages)

    @asynccontextmanager
    async def page(self, language: str, rights: frozenset[Right]) -> AsyncIterator[Page]:
        """It is told how things are at once, and what changes from then on."""
        page = Page(language, rights)
        if self._task is None:
            self._begin()
        self._pages.add(page)
        page.put("".join([*self._present(self._draws.glance(), page.sort).values(), self._newest_id()]).encode())
        try:
            yield page
        finally:
            self._pages.discard(page)
            if not self._pages:
                self._end()

    def close(self) -> None:
        """The daemon ends: so do all pages."""
        for page in self._pages:
            page.end()

    def _begin(self) -> None:
        store = self._draws.house.store
        self._seen = {lane: store.last[lane] for lane in LANES}
        self._marks = _marks(self._draws.glance())
        store.listeners.append(self._grown)
        self._task = asyncio.create_task(self._run(), name="pages")
        self._task.add_done_callback(self._over)

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self._told.clear()
            self._draws.house.store.listeners.remove(self._grown)

    def _over(self, task: asyncio.Task[None]) -> None:
        """What breaks here must not leave pages that seem alive: they end, and come again."""
        if not task.cancelled():
            _LOG.error("the pages' stream broke", exc_info=task.exception())
            self.close()

    def _grown(self, lane: Lane) -> None:
        if lane in LANES:
            self._dirty.set()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._dirty.wait()
            self._dirty.clear()
            with suppress(StorageError):  # told by the store; the rows come with the next telling
                await self._tell()
            await asyncio.sleep(BETWEEN_S)

    async def _tell(self) -> None:
        events, skipped = await self._newest()
        glance = self._draws.glance()
        before, self._marks = self._marks, _marks(glance)
        changed = [name for name, mark in self._marks.items() if mark != before[name]]
        changed += ["events"] if events else []
        frames: dict[Sort, bytes] = {}
        for page in list(self._pages):
            if page.sort not in frames:
                frames[page.sort] = self._frames(page.sort, glance, events, skipped, changed)
            if frames[page.sort] and not page.put(frames[page.sort]):
                self._pages.discard(page)

    def _frames(
        self, sort: Sort, glance: Glance, events: list[dict[str, Any]], skipped: int, changed: list[str]
    ) -> bytes:
        told = [text for name, text in self._present(glance, sort).items() if self._is_news(name, sort, text)]
        if events:
            told.append(message("row", self._draws.rows(events, sort[0], skipped)))
        if changed:
            told.append(message("changed", json.dumps(changed)))
        return "".join(told).encode()

    def _present(self, glance: Glance, sort: Sort) -> dict[str, str]:
        language, rights = sort
        state = json.dumps(self._draws.state(glance, language), ensure_ascii=False)
        banner = self._draws.banner(glance, language, rights)
        return {"state": message("state", state), "banner": message("banner", banner)}

    def _newest_id(self) -> str:
        """By which a page knows whether it was drawn before the last event: then it fetches its views again."""
        tails = self._draws.house.store.tails
        ids = [str(json.loads(tails[lane][-1].body)["id"]) for lane in LANES if tails[lane]]
        return message("newest", max(ids)) if ids else ""

    def _is_news(self, name: str, sort: Sort, text: str) -> bool:
        before = self._told.get((name, sort))
        self._told[name, sort] = text
        return text != before

    async def _newest(self) -> tuple[list[dict[str, Any]], int]:
        """Events since the last telling, the newest first, ROWS at most; and how many there were besides."""
        store, rows, skipped = self._draws.house.store, list[Row](), 0
        for lane in LANES:
            last, seen = store.last[lane], self._seen[lane]
            start = max(seen, last - ROWS)
            skipped += start - seen
            found = await store.rows(lane, start, last - start) if last > start else ()
            self._seen[lane] = last
            rows += found
        events = sorted((json.loads(row.body) for row in rows), key=lambda event: str(event["id"]), reverse=True)
        return events[:ROWS], skipped + len(events[ROWS:])


async def newest(store: Store) -> list[dict[str, Any]]:
    """The last events on disk, the newest first; from memory where there are enough of them. StorageError."""
    rows: list[Row] = []
    for lane in LANES:
        kept = list(store.tails[lane])[-ROWS:]
        if len(kept) < ROWS:
            before = store.last[lane] + 1
            kept = await store.read(lambda c, lane=lane, before=before: read_newest(c, lane, before, ROWS))  # type: ignore[misc]
        rows += kept
    events = sorted((json.loads(row.body) for row in rows), key=lambda event: str(event["id"]), reverse=True)
    return events[:ROWS]


def _marks(glance: Glance) -> dict[str, Any]:
    """By the name of what views show: it is another when they are to be fetched again."""
    return {"alarms": glance.alarm_marks, "devices": glance.device_marks, "uplinks": glance.uplinks}
