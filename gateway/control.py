"""The door for the command line: a Unix socket in the state folder. File permission decides who may; no password.

One JSON object a line: `{"ask": "status"}` is answered with one line `{"ok": …}` or `{"error": {"en", "zh"}}`;
`{"ask": "follow"}` with a line for each event until the client leaves.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway import __version__
from gateway.audit import By
from gateway.errors import GatewayError, Text
from gateway.house import Filter, House

LINE_BYTES = 65536  # longest request
MOST_EVENTS = 100_000  # in one answer
MOST_NUMBER = 2**63 - 1  # that SQLite takes (its documentation, "datatypes", 2)
NAME = "control.sock"


class Question(BaseModel):
    """What every question has; a question that needs nothing else is only this."""

    model_config = ConfigDict(strict=True, frozen=True)
    ask: str


class Search(Question):
    """Which events; `limit` counts from the newest."""

    types: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    since_ms: Annotated[int, Field(ge=0, le=MOST_NUMBER)] = 0
    limit: Annotated[int, Field(ge=1, le=MOST_EVENTS)] = 50

    @property
    def filter(self) -> Filter:
        """As the house takes it."""
        return Filter(self.types, self.devices, self.since_ms)


class Ack(Question):
    """Which alarm, who has seen it, and what it was (contract, section 10)."""

    alarm: str
    who: str
    outcome: Literal["real", "false", "test", "drill", "other"] | None = None
    note: str | None = None


class Resend(Question):
    """Which stream, from which number, to which; without `to` to its newest."""

    stream: str
    first: Annotated[int, Field(ge=1, le=MOST_NUMBER, alias="from")]
    last: Annotated[int | None, Field(ge=1, le=MOST_NUMBER, alias="to")] = None


class Move(Question):
    """Which incident, to which step, by whom."""

    incident: str
    step: Literal["handling", "handled"]
    who: str
    note: Annotated[str, Field(max_length=1000)] = ""
    picture: Annotated[str, Field(max_length=200)] = ""


class File(Question):
    """Whose digital file."""

    uplink: str


class Control:
    """Answers questions about one house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._answers: dict[str, tuple[type[Question], Callable[[Any], Awaitable[Any]]]] = {
            "status": (Question, self._status),
            "devices": (Question, self._devices),
            "alarms": (Question, self._alarms),
            "outbox": (Question, self._outbox),
            "resend": (Resend, self._resend),
            "events": (Search, self._events),
            "ack": (Ack, self._ack),
            **_fed(house),
        }

    async def _status(self, _: Question) -> Any:
        return {"version": __version__, **self._house.verdict(), "health": self._house.health()}

    async def _devices(self, _: Question) -> Any:
        return self._house.devices()

    async def _alarms(self, _: Question) -> Any:
        return self._house.alarms()

    async def _outbox(self, _: Question) -> Any:
        return await self._house.outbox()

    async def _resend(self, resend: Resend) -> Any:
        return await self._house.resend(resend.stream, resend.first, resend.last)

    async def _events(self, search: Search) -> Any:
        return await self._house.events(search.filter, search.limit)

    async def _ack(self, ack: Ack) -> Any:
        return await self._house.acknowledge(ack.alarm, By(ack.who, "installer", "cli"), ack.outcome, ack.note)

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


def _fed(house: House) -> dict[str, tuple[type[Question], Callable[[Any], Awaitable[Any]]]]:
    """What the platform feeds back, and the file it has of the community."""
    cases, notices = house.incidents, house.notices

    async def incidents(_: Question) -> Any:
        return await cases.list()

    async def move(asked: Move) -> Any:
        by = By(asked.who, "installer", "cli")
        if asked.step == "handling":
            return await cases.handling(asked.incident, by, asked.note)
        return await cases.handled(asked.incident, by, asked.note, asked.picture)

    async def told(_: Question) -> Any:
        return {"notices": await notices.list(), "feedback": await notices.feedback()}

    async def file(asked: File) -> Any:
        return await house.dossiers.show(asked.uplink or next(iter(house.config.uplinks), ""))

    return {
        "incidents": (Question, incidents),
        "incident": (Move, move),
        "notices": (Question, told),
        "dossier": (File, file),
    }


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
