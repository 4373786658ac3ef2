"""Server-sent events (HTML, 9.2): `/stream` for the page itself, `/api/v1/events/stream` for whoever follows events.

An event's `id` there is a cursor: how far the stream has come in each lane (`alarm.event.telemetry`). Whoever comes
again with the last one as `Last-Event-ID` goes on exactly behind it, from disk; what is not kept any more is told as
`gap`.
"""

import asyncio
import heapq
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Annotated, Any

from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import StreamingResponse

from gateway import taxonomy
from gateway.clock import rfc3339
from gateway.database import Row
from gateway.errors import GatewayError, StorageError, Text
from gateway.event import Lane
from gateway.store import Store
from gateway.web.frame import Frame
from gateway.web.hub import Hub, message
from gateway.web.visitor import Keeper, NotAllowed, Sees, Visitor

TICK_S = 5.0  # a page that hears nothing for twice as long says so itself
BETWEEN_S = 0.05  # between two looks at what came in
CHUNK_ROWS = 500
_TYPE = "text/event-stream"
_LANES = tuple(Lane)


class BadCursor(GatewayError):
    """What came as `Last-Event-ID` is none of ours."""


@dataclass(frozen=True)
class Wanted:
    """Patterns of types, devices, and places with all below them; empty takes all."""

    types: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    places: tuple[str, ...] = ()

    def takes(self, event: Mapping[str, Any]) -> bool:
        """Is it one of them?"""
        path = str(event["data"].get("place", {}).get("path", ""))
        typed = not self.types or any(taxonomy.matches(pattern, event["type"]) for pattern in self.types)
        placed = not self.places or any(path == place or path.startswith(f"{place}/") for place in self.places)
        return typed and placed and (not self.devices or event["subject"] in self.devices)


def cursor_of(text: str) -> dict[Lane, int]:
    """How far each lane is. BadCursor."""
    parts = text.split(".")
    if len(parts) != len(_LANES) or not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in parts):
        raise BadCursor(
            "Last-Event-ID",
            Text(f"{text[:40]!r} is no place in the stream", f"{text[:40]!r} 不是有效的续传位置"),
            Text("send back the last id as it came, or none", "请原样发回最后一个 id,或不发送"),
        )
    return dict(zip(_LANES, map(int, parts), strict=True))


def text_of(cursor: Mapping[Lane, int]) -> str:
    """As an event's id."""
    return ".".join(str(cursor[lane]) for lane in _LANES)


class Reader:
    """Follows the lanes from a cursor on."""

    def __init__(self, store: Store, wanted: Wanted, cursor: Mapping[Lane, int]) -> None:
        self.cursor = dict(cursor)
        self._store = store
        self._wanted = wanted

    async def next(self) -> str:
        """What has come in since, as messages; empty: nothing. StorageError."""
        told: list[str] = []
        found = [await self._rows(lane, told) for lane in _LANES]
        for _, lane, row in heapq.merge(*found, key=itemgetter(0)):
            self.cursor[lane] = row.seq
            if self._wanted == Wanted() or self._wanted.takes(json.loads(row.body)):
                told.append(f"id: {text_of(self.cursor)}\ndata: {_body(lane, row)}\n\n")
        return "".join(told)

    async def _rows(self, lane: Lane, told: list[str]) -> list[tuple[int, Lane, Row]]:
        after, last = self.cursor[lane], self._store.last[lane]
        if after == last:
            return []
        rows = await self._store.rows(lane, min(after, last), CHUNK_ROWS)
        first = rows[0].seq if rows else last + 1
        if after > last or first > after + 1:  # a backup was restored, or these were too old to be kept
            self.cursor[lane] = first - 1
            gap = {"lane": lane.value, "after": after, "next": first}
            told.append(f"id: {text_of(self.cursor)}\n{message('gap', json.dumps(gap))}")
        return [(row.time_ms, lane, row) for row in rows]


def _body(lane: Lane, row: Row) -> str:
    streams = {f"{uplink}.{lane.value}": f"{number:016d}" for uplink, number in row.numbers.items()}
    return f'{row.body.rstrip()[:-1]},"streams":{json.dumps(streams)}}}'


class Followers:
    """All that follow events now; `close` ends them with the daemon."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._grown: set[asyncio.Event] = set()
        self._ended: set[asyncio.Event] = set()

    @property
    def count(self) -> int:
        """How many follow."""
        return len(self._grown)

    def close(self) -> None:
        """Nothing more comes to those who follow now."""
        self._ended |= self._grown
        for grown in self._grown:
            grown.set()

    async def follow(self, reader: Reader, may: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
        """Messages until the end; the place reached, with a comment, when nothing came for a while.

        Whether whoever follows still `may` is asked every TICK_S.
        """
        grown, listeners, now_s = asyncio.Event(), self._store().listeners, asyncio.get_running_loop().time

        def listener(_: Lane) -> None:
            grown.set()

        self._grown.add(grown)
        listeners.append(listener)
        try:
            yield f"retry: 1000\nid: {text_of(reader.cursor)}\n\n"
            look_s = now_s()
            while grown not in self._ended:
                if now_s() >= look_s:
                    if not await may():
                        return
                    look_s = now_s() + TICK_S
                grown.clear()
                told = await _next(reader)
                if told:
                    yield told
                    await asyncio.sleep(BETWEEN_S)
                elif not await _within(TICK_S, grown):
                    yield f": {text_of(reader.cursor)}\nid: {text_of(reader.cursor)}\n\n"
        finally:
            self._grown.discard(grown)
            self._ended.discard(grown)
            listeners.remove(listener)


async def _next(reader: Reader) -> str:
    """Nothing while the disk does not answer: the store tells of it, and it is tried again."""
    try:
        return await reader.next()
    except StorageError:
        return ""


async def _within(limit_s: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(limit_s):
            return await event.wait()
    except TimeoutError:
        return False


def add(app: FastAPI, frame: Frame, keeper: Keeper) -> None:
    """The routes."""
    hub = Hub(frame)
    followers = Followers(lambda: frame.house.store)
    app.state.hub = hub
    app.state.ends = [hub.close, followers.close]
    app.state.streams = lambda: hub.open_pages_count + followers.count

    @app.get("/stream", include_in_schema=False)
    async def page(request: Request, visitor: Sees) -> StreamingResponse:
        return StreamingResponse(_page(request, visitor, frame, hub, keeper), media_type=_TYPE)

    @app.get(
        "/api/v1/events/stream",
        summary="Events as they come in, as server-sent events",
        response_class=StreamingResponse,
        responses={200: {"content": {_TYPE: {}}, "description": "One event a message; its id is where to go on"}},
    )
    async def events(
        request: Request,
        visitor: Sees,
        type: Annotated[Sequence[str], Query(description="patterns, e.g. fire.*")] = (),
        device: Annotated[Sequence[str], Query()] = (),
        place: Annotated[Sequence[str], Query(description="with all below it")] = (),
        last_event_id: Annotated[str, Query(description="as the header, for who cannot set one")] = "",
        last: Annotated[str, Header(alias="Last-Event-ID")] = "",
    ) -> StreamingResponse:
        store = frame.house.store
        cursor = cursor_of(last or last_event_id) if last or last_event_id else dict(store.last)
        reader = Reader(store, Wanted(tuple(type), tuple(device), tuple(place)), cursor)

        async def may() -> bool:
            now = await _visitor(keeper, request, visitor)
            return now is not None and now.may("see")

        return StreamingResponse(followers.follow(reader, may), media_type=_TYPE)


async def _page(request: Request, visitor: Visitor, frame: Frame, hub: Hub, keeper: Keeper) -> AsyncIterator[bytes]:
    loop, house = asyncio.get_running_loop(), frame.house
    async with hub.page(frame.language(request), visitor.rights) as page:
        yield b"retry: 1000\n\n"
        tick_s = loop.time()
        while True:
            if loop.time() >= tick_s:
                tick_s = loop.time() + TICK_S
                now = await _visitor(keeper, request, visitor)
                if now is None:
                    yield message("ended", "").encode()
                if now is None or now.rights != visitor.rights:  # with other rights it comes again
                    return
                yield message("tick", rfc3339(house.vitals.clock.utc())).encode()
            try:
                async with asyncio.timeout_at(tick_s):
                    frames = await page.next()
            except TimeoutError:
                continue
            if frames is None:
                return
            yield frames


async def _visitor(keeper: Keeper, request: Request, before: Visitor) -> Visitor | None:
    """Who it is now; a disk that does not answer ends no session."""
    try:
        return await keeper.visitor(request)
    except StorageError:
        return before
    except NotAllowed:
        return None
