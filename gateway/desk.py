"""Where one uplink's commands are taken: at most once per id, each answered.

An id is taken on disk before anything is done, and the answer is kept: the same id once more is answered `duplicate`,
with the first answer as its result, also after a restart. A request is acknowledged right behind its answer, so that a
broker which did not get the answer hands the request over again, marked as such; then the kept answer is sent again as
it was. What was begun outlives the connection that brought it; what a crash interrupted is never begun again.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Self

from gateway.audit import Audit, By
from gateway.clerk import Clerk, Verdict
from gateway.clock import Clock, rfc3339
from gateway.commands import GATEWAY, Action, Refused, Reply, Request, Rules, read
from gateway.errors import StorageError, Text
from gateway.event import NOTHING
from gateway.letters import Known, claim, put_reply
from gateway.mqtt import Message, properties
from gateway.store import Store

PICTURE = "picture"  # an action
REMEMBERED = timedelta(days=30)  # an id is known for so long after it has expired: a clock may be put back
TAKEN = Text("this id has been taken already", "该 id 已处理过")
INTERRUPTED = Text(
    "it was interrupted, and what became of it is not known; ask again with another id",
    "执行被中断,结果未知;请换一个 id 重新发送",
)


class Desk:
    """`async with desk:` what is under way is its own; `await desk.answer(message)`."""

    def __init__(self, rules: Rules, store: Store, clock: Clock, actions: Mapping[str, Action], audit: Audit) -> None:
        self._rules = rules
        self._store = store
        self._clock = clock
        self._clerk = Clerk(rules, actions, audit, clock)
        self._group = asyncio.TaskGroup()
        self._open = False
        self._under_way: dict[str, asyncio.Task[str]] = {}

    async def __aenter__(self) -> Self:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._open = True
        return self

    async def __aexit__(self, *raised: Any) -> None:
        self._open = False
        for task in self._under_way.values():
            task.cancel()  # the drivers have ended: nothing will come of it, and that is what the next run answers
        await self._group.__aexit__(*raised)

    def may_last(self, message: Message) -> bool:
        """It is for a device, which takes its time: others need not wait for it."""
        return self._device(message) != GATEWAY

    async def answer(self, message: Message) -> Reply:
        """Carry it out, or not; what is to be answered, and where."""
        device = self._device(message)
        try:
            request = read(message, device, self._clock.utc())
        except Refused as refused:
            await self._clerk.note(self._by("unknown"), "unread", device, refused.code, refused.identity)
            return self._reply(message, refused.identity, self._refused(refused.identity, refused.code, refused.what))
        try:
            known = await self._claim(request)
            told = await self._begin(request) if known is None else await self._again(request, known, message)
        except StorageError as error:
            told = self._refused(request.id, "busy", error.what)
        return self._reply(message, request.id, told)

    def _device(self, message: Message) -> str:
        return message.topic.removeprefix(f"{self._rules.base}/command/")

    def _by(self, issuer: str) -> By:
        return By(issuer, "platform", f"uplink:{self._rules.uplink}")

    async def _claim(self, request: Request) -> Known | None:
        forget = self._clock.utc() - REMEMBERED
        work = partial(
            claim,
            identity=request.id,
            uplink=self._rules.uplink,
            expires_ms=int(request.expires.timestamp() * 1000),
            forget_ms=int(forget.timestamp() * 1000),
        )
        return await self._store.transact(work)

    async def _begin(self, request: Request) -> str:
        """The id is ours. A lost link ends the waiting, not the work."""
        if not self._open:
            return await self._first(request)
        task = self._group.create_task(self._first(request), name=f"command {request.id}")
        self._under_way[request.id] = task
        task.add_done_callback(lambda _: self._under_way.pop(request.id, None))
        return await asyncio.shield(task)

    async def _first(self, request: Request) -> str:
        """Carry it out, and keep the answer; where the disk does not take that, it is given nevertheless."""
        verdict = await self._clerk.attend(request, self._by(request.issuer))
        told = self._told(request.id, verdict)
        if request.action == PICTURE:  # no second place for pictures, and asking again moves nothing
            await self._kept(request.id, self._told(request.id, replace(verdict, result=NOTHING)))
            return told
        return await self._kept(request.id, told)

    async def _kept(self, identity: str, told: str) -> str:
        with suppress(StorageError):  # asked again it will be one that was interrupted
            await self._store.transact(partial(put_reply, identity=identity, reply=told))
        return told

    async def _again(self, request: Request, known: Known, message: Message) -> str:
        """The id is known: the broker's own repetition gets the kept answer, anybody else's is a duplicate."""
        if not message.again or not known.own:
            await self._clerk.note(self._by(request.issuer), request.action, request.device, "duplicate", request.id)
            first = json.loads(known.reply) if known.reply and known.own else NOTHING
            return self._refused(request.id, "duplicate", TAKEN, first)
        if known.reply:
            return known.reply
        if request.id in self._under_way:
            return await asyncio.shield(self._under_way[request.id])
        await self._clerk.note(self._by(request.issuer), request.action, request.device, "timeout", request.id)
        return await self._kept(request.id, self._refused(request.id, "timeout", INTERRUPTED))

    def _refused(self, identity: str | None, code: str, what: Text, result: Mapping[str, Any] = NOTHING) -> str:
        return self._told(identity, Verdict(code, what, result))

    def _told(self, identity: str | None, verdict: Verdict) -> str:
        document: dict[str, Any] = {} if identity is None else {"id": identity}
        message = verdict.what.say(self._rules.language)
        document |= {"status": verdict.status, "code": verdict.code, "message": message}
        document |= {"result": verdict.result} if verdict.result else {}
        document["time"] = rfc3339(self._clock.utc())
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    def _reply(self, message: Message, identity: str | None, told: str) -> Reply:
        """A response topic is used where it lies under BASE/reply/ and is a topic (MQTT 5.0, 4.7.1)."""
        below, wished = f"{self._rules.base}/reply/", message.response_topic or ""
        usable = wished.startswith(below) and len(wished) > len(below) and not re.search(r"[+#\0]", wished)
        topic = wished if usable else below + (identity or "invalid")
        return Reply(topic, told, properties("application/json", message.correlation), message.done)
