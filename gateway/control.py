"""The door for the command line: a Unix socket in the state folder. File permission decides who may; no password.

One JSON object a line: `{"ask": "status"}` is answered with one line `{"ok": …}` or `{"error": {"en", "zh"}}`;
`{"ask": "follow"}` with a line for each event until the client leaves.
"""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.asks import Asks
from gateway.errors import GatewayError, Text
from gateway.feeds import fed
from gateway.house import House
from gateway.inquiry import Answers, Inquiry, Search
from gateway.listeners import announce
from gateway.peopleasks import PeopleAsks
from gateway.questions import Question
from gateway.reportasks import ReportAsks
from gateway.steps import Steps

_LOG = logging.getLogger("gateway")
LINE_BYTES = 65536  # longest request
NAME = "control.sock"


class Control:
    """Answers questions about one house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._answers: Answers = {
            **Inquiry(house).answers,
            **Steps(house).answers,
            **Asks(house).answers,
            **fed(house),
            **ReportAsks(house).answers,
            **PeopleAsks(house).answers,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it leaves."""
        try:
            while line := await reader.readline():
                await self._turn(line, reader, writer)
        except ValueError:  # where its end is cannot be told
            what = Text(f"a line has {LINE_BYTES} bytes at most", f"一行最多 {LINE_BYTES} 字节")
            await _write(writer, _error(what))
            writer.write_eof()
            await _left(reader)
        except ConnectionError:
            return  # it has left
        finally:
            writer.close()

    async def _turn(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            ask = Question.model_validate_json(line).ask
            if ask == "follow":
                await self._follow(Search.model_validate_json(line), reader, writer)
                return
            answer = await self._answer(ask, line)
        except ValidationError as error:
            answer = _error(_wrong(error))
        except GatewayError as error:
            answer = _error(Text(error.say("en"), error.say("zh")))
        await _write(writer, answer)

    async def _answer(self, ask: str, line: bytes) -> Mapping[str, Any]:
        if ask not in self._answers:
            return _error(Text(f"no such question: {ask}", f"没有这个请求:{ask}"))
        model, answer = self._answers[ask]
        return {"ok": await answer(model.model_validate_json(line))}

    async def _follow(self, search: Search, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _write(writer, {"ok": "following"})
        telling = asyncio.create_task(self._tell(search, writer))
        leaving = asyncio.create_task(_left(reader))
        try:
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            telling.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await telling

    async def _tell(self, search: Search, writer: asyncio.StreamWriter) -> None:
        async with aclosing(self._house.follow(search.filter)) as events:
            async for event in events:
                await _write(writer, event)


@asynccontextmanager
async def listening(house: House, folder: Path) -> AsyncIterator[None]:
    """The socket stands while the block lasts."""
    clients: set[asyncio.Task[None]] = set()
    control = Control(house)

    def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = asyncio.create_task(control.serve(reader, writer), name="control client")
        clients.add(client)
        client.add_done_callback(clients.discard)

    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    path = f"/proc/self/fd/{handle}/{NAME}"  # because an address holds 107 bytes only (unix(7))
    umask = os.umask(0o117)  # owner and group only
    try:
        server = await asyncio.start_unix_server(arrived, path, limit=LINE_BYTES)
    finally:
        os.umask(umask)
    announce(_LOG, "control", str(folder / NAME), ("its owner and group",))
    try:
        yield
    finally:
        server.close()
        (folder / NAME).unlink(missing_ok=True)
        os.close(handle)
        for client in clients:
            client.cancel()
        if clients:
            await asyncio.wait(clients)


async def _left(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(LINE_BYTES):
            pass


async def _write(writer: asyncio.StreamWriter, answer: Mapping[str, Any]) -> None:
    writer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
    await writer.drain()


def _wrong(error: ValidationError) -> Text:
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"])) or "JSON object"
    return Text(f"{field}: {first['msg']}", f"请求不正确:{field}({first['msg']})")


def _error(text: Text) -> dict[str, Any]:
    return {"error": {"en": text.en, "zh": text.zh}}
