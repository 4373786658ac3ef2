"""The door for the command line: a Unix socket in the state folder. File permission decides who may; no password.

One JSON object a line: `{"ask": "status"}` is answered with one line `{"ok": …}` or `{"error": {"en", "zh"}}`;
`{"ask": "follow"}` with a line for each event until the client leaves.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.errors import GatewayError, Text
from gateway.house import Filter, House

LINE_BYTES = 65536  # longest request
NAME = "control.sock"
Question = Mapping[str, Any]


class Control:
    """Answers questions about one house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._answers: dict[str, Callable[[Question], Awaitable[Any]]] = {
            "status": self._status,
            "devices": self._devices,
            "alarms": self._alarms,
            "outbox": self._outbox,
            "events": self._events,
            "ack": self._ack,
        }

    async def _status(self, _: Question) -> Any:
        return {"version": __version__, **self._house.verdict(), "health": self._house.health()}

    async def _devices(self, _: Question) -> Any:
        return self._house.devices()

    async def _alarms(self, _: Question) -> Any:
        return self._house.alarms()

    async def _outbox(self, _: Question) -> Any:
        return self._house.outbox()

    async def _events(self, question: Question) -> Any:
        return await self._house.events(_filter(question), int(question.get("limit", 50)))

    async def _ack(self, question: Question) -> Any:
        return await self._house.acknowledge(
            str(question["alarm"]), str(question["who"]), question.get("outcome"), question.get("note")
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it leaves."""
        try:
            while line := await reader.readline():
                question = json.loads(line)
                if question.get("ask") == "follow":
                    await self._follow(question, writer)
                    return
                await _write(writer, await self._answer(question))
        except (ValueError, ConnectionError) as error:
            writer.write(json.dumps({"error": {"en": str(error), "zh": str(error)}}).encode() + b"\n")
        finally:
            writer.close()

    async def _answer(self, question: Question) -> Mapping[str, Any]:
        answer = self._answers.get(str(question.get("ask")))
        if answer is None:
            return _error(Text(f"no such question: {question.get('ask')}", f"没有这个请求:{question.get('ask')}"))
        try:
            return {"ok": await answer(question)}
        except GatewayError as error:
            return _error(Text(error.say("en"), error.say("zh")))

    async def _follow(self, question: Question, writer: asyncio.StreamWriter) -> None:
        events: AsyncIterator[dict[str, Any]] = self._house.follow(_filter(question))
        await _write(writer, {"ok": "following"})
        async for event in events:
            await _write(writer, event)


@asynccontextmanager
async def listening(house: House, folder: Path) -> AsyncIterator[None]:
    """The socket stands while the block lasts."""
    path = folder / NAME
    path.unlink(missing_ok=True)
    umask = os.umask(0o117)  # owner and group only
    try:
        server = await asyncio.start_unix_server(Control(house).serve, path, limit=LINE_BYTES)
    finally:
        os.umask(umask)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def _write(writer: asyncio.StreamWriter, answer: Mapping[str, Any]) -> None:
    writer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
    await writer.drain()


def _filter(question: Question) -> Filter:
    return Filter(
        tuple(question.get("types", ())), tuple(question.get("devices", ())), int(question.get("since_ms", 0))
    )


def _error(text: Text) -> dict[str, Any]:
    return {"error": {"en": text.en, "zh": text.zh}}
