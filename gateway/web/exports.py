"""Events as a table to take along: `/api/v1/export.csv` and `.xlsx`, with the filters of `/api/v1/events`.

CSV is streamed as it is read, whole, with a byte order mark so that spreadsheets see Chinese. A spreadsheet file can
only be written as a whole: its newest MOST_ROWS rows, in a file that has no name. A cell that would be taken for a
formula is defused by an apostrophe.
"""

import asyncio
import csv
import io
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import IO, Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from gateway.browse import Browse, Wanted
from gateway.errors import StorageError, Text
from gateway.reportview import harmless
from gateway.web.catalogue import Speaker
from gateway.web.eventrows import Row, Rows
from gateway.web.frame import Frame
from gateway.web.inputs import Filters
from gateway.web.rest import refusals, router
from gateway.web.show import local
from gateway.web.visitor import needs

MOST_ROWS = 100_000  # of a spreadsheet
READ_ROWS = 250  # held at once
PAGE_ROWS = 100  # written in one turn of the loop
CHUNK_BYTES = 64 * 1024
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_COLUMNS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("quality", lambda row: row.quality),
    ("place", lambda row: row.place),
    ("device", lambda row: row.name),
    ("event", lambda row: row.label),
    ("phase", lambda row: row.phase),
    ("severity", lambda row: row.severity),
    ("who", lambda row: row.who),
    ("outcome", lambda row: row.outcome),
    ("values", lambda row: row.values),
    ("device_id", lambda row: row.subject),
    ("type_id", lambda row: row.type),
    ("event_id", lambda row: row.id),
    ("alarm", lambda row: row.alarm),
)
Language = Annotated[Literal["zh", "en"] | None, Query(description="of the words; else as the browser likes")]


def add(app: FastAPI, frame: Frame) -> None:
    """The routes."""
    api, sees, one = router("events"), [needs("see").depends], asyncio.Lock()

    def described(kind: str) -> dict[str, Any]:
        content = {kind: {"schema": {"type": "string", "format": "binary"}}}
        return {"response_class": StreamingResponse, "responses": refusals() | {200: {"content": content}}}

    @api.get("/export.csv", operation_id="export_csv", summary="Events as CSV, newest first", dependencies=sees,
             **described("text/csv"))  # fmt: skip
    async def as_csv(request: Request, filters: Annotated[Filters, Depends()], lang: Language = None) -> Any:
        table = Table(frame, filters.wanted(frame.zone), lang or frame.language(request))
        return StreamingResponse(_csv(table), media_type="text/csv; charset=utf-8", headers=_named("csv", frame))

    @api.get("/export.xlsx", operation_id="export_xlsx", summary="Events as a spreadsheet, newest first",
             dependencies=sees, **described(XLSX))  # fmt: skip
    async def as_xlsx(request: Request, filters: Annotated[Filters, Depends()], lang: Language = None) -> Any:
        async with one:
            file = await _xlsx(Table(frame, filters.wanted(frame.zone), lang or frame.language(request)))
        headers, tidy = _named("xlsx", frame), BackgroundTask(file.close)
        return StreamingResponse(_pieces(file), media_type=XLSX, headers=headers, background=tidy)

    app.include_router(api)


class Table:
    """Rows of cells, the newest event first."""

    def __init__(self, frame: Frame, wanted: Wanted, language: str) -> None:
        self.say = Speaker("events", language)
        self._frame = frame
        self._wanted = wanted
        self._rows = Rows(frame.house, language)

    @property
    def head(self) -> list[str]:
        """What the columns are called."""
        return [self.say("time"), *(self.say(name) for name, _ in _COLUMNS)]

    async def pages(self) -> AsyncIterator[list[list[str]]]:
        """Some rows at a time. StorageError."""
        browse, cursor = Browse(self._frame.house.store, self._frame.house.site), None
        while True:
            page = await browse.page(self._wanted, cursor, READ_ROWS)
            for start in range(0, len(page.events), PAGE_ROWS):
                yield [self._cells(self._rows.row(event)) for event in page.events[start : start + PAGE_ROWS]]
                await asyncio.sleep(0)  # whoever takes them may never wait: others have a turn all the same
            if page.cursor is None:
                return
            cursor = page.cursor

    def _cells(self, row: Row) -> list[str]:
        return [local(row.time, self._frame.zone), *(harmless(cell(row)) for _, cell in _COLUMNS)]


def _named(ending: str, frame: Frame) -> dict[str, str]:
    house = frame.house
    day = local(house.health()["time"], frame.zone)[:10]
    return {"Content-Disposition": f'attachment; filename="events-{house.config.gateway.id}-{day}.{ending}"'}


async def _csv(table: Table) -> AsyncIterator[str]:
    yield "\ufeff" + _lines([table.head])
    async for rows in table.pages():
        yield _lines(rows)


def _lines(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


async def _xlsx(table: Table) -> IO[bytes]:
    """Written beside the gateway, a few rows at a time (gateway/spreadsheet.py). StorageError: it cannot be now."""
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed when it has been sent
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.spreadsheet"), stdin=asyncio.subprocess.PIPE, stdout=file
    )
    assert process.stdin is not None  # noqa: S101  # it is a pipe
    try:
        with suppress(ConnectionError):  # it has ended: its status says why
            async for lines in _sheet_lines(table):
                process.stdin.write(lines)
                await process.stdin.drain()
            process.stdin.close()
        if await process.wait():
            raise _no_sheet(process.returncode)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return file


async def _sheet_lines(table: Table) -> AsyncIterator[bytes]:
    yield _json_lines([{"name": table.say("sheet"), "head": table.head}])
    left = MOST_ROWS
    async for rows in table.pages():
        yield _json_lines(rows[:left])
        left -= len(rows)
        if left <= 0:
            yield _json_lines([[table.say("truncated", count=MOST_ROWS)]])
            return


def _json_lines(rows: Sequence[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _no_sheet(status: int | None) -> StorageError:
    what = Text(f"the spreadsheet was not written (status {status})", f"表格生成失败(状态 {status})")
    return StorageError("export.xlsx", what, Text("try again, or take the CSV", "请重试,或改用 CSV"))


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    file.seek(0)
    while piece := file.read(CHUNK_BYTES):
        yield piece
