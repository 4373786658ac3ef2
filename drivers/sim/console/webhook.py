"""A device that posts, moved by words: begin, end, tell a happening; any JSON."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from drivers.sim.console import Act, Stage, Tell, Words
from drivers.sim.webhook import Poster
from gateway.errors import Text
from gateway.fields import Wrong
from gateway.taxonomy import TYPES, suggest

PATIENCE_S = 2.0  # after this it is told that the gateway has not answered yet
_PHASES = {
    "raise": Text("a condition begins", "状况开始"),
    "clear": Text("it ends", "状况结束"),
    "still": Text("it is told again", "状况持续"),
    "pulse": Text("a happening without duration", "瞬时事件"),
}


@asynccontextmanager
async def stage(url: str, token: str, tell: Tell) -> AsyncIterator[Stage]:
    """One device that posts to `/ingest/{device}`; ends when all it was told to say is on disk or refused."""
    async with Poster(url, token) as poster:
        posting = _Posting(poster, tell)
        title = Text(f"a device that posts to {url}", f"向 {url} 推送事件的设备")
        device = url.partition("?")[0].rstrip("/").rpartition("/")[2]
        config = f"devices:\n  - {{id: {device}, driver: webhook, token: {token}, place: PLACE}}"
        acts = {
            phase: Act(f"{phase} TYPE [NAME=NUMBER …]", what, partial(_reading, posting, phase))
            for phase, what in _PHASES.items()
        }
        acts["json"] = Act('json {"type": …}', Text("post this JSON as it stands", "原样推送 JSON"), posting.json)
        yield Stage(title, config, acts, posting.finished)


class _Posting:
    """Posts, and tells what became of it."""

    def __init__(self, poster: Poster, tell: Tell) -> None:
        self._poster, self._tell = poster, tell
        self._told = (0, 0)

    async def json(self, words: Words) -> None:
        """Any JSON."""
        await self.say(json.loads(" ".join(words)))

    async def say(self, body: Mapping[str, Any]) -> None:
        """One request; it is kept and sent again until it is answered."""
        await self._poster.say(body)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._poster.all_accepted()
        except TimeoutError:
            told = Text("the gateway does not take it yet: it is kept and sent again", "网关尚未接收:已保留,将重新发送")
            self._tell(told)
        self._tell_new()

    async def finished(self) -> None:
        """All is on disk, or refused."""
        await self._poster.all_accepted()
        self._tell_new()

    def _tell_new(self) -> None:
        taken, refused = self._poster.accepted, self._poster.refused
        for identity in taken[self._told[0] :]:
            self._tell(Text(f"on the gateway's disk: event {identity}", f"网关已存盘:事件 {identity}"))
        for status, answer in refused[self._told[1] :]:
            shown = json.dumps(answer, ensure_ascii=False)
            self._tell(Text(f"refused ({status}): {shown}", f"被拒绝({status}):{shown}"))
        self._told = len(taken), len(refused)


async def _reading(posting: _Posting, phase: str, words: Words) -> None:
    kind, *values = words
    if kind not in TYPES:
        close = suggest(kind)
        hint = Text(f"; did you mean {close}?", f";是否想写 {close}?") if close else Text("", "")
        raise Wrong(f"{kind} is no event type{hint.en}", f"{kind} 不是事件类型{hint.zh}")
    named = dict(value.split("=", 1) for value in values)
    await posting.say({"type": kind, "phase": phase, "values": {name: float(n) for name, n in named.items()}})
