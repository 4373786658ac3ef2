"""Tables to take along: the same events as the interface has, in words, harmless in a spreadsheet, of any size."""

import csv
import io
import resource
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openpyxl import load_workbook

from gateway.audit import By
from gateway.browse import Wanted
from gateway.house import House
from gateway.reportview import harmless
from gateway.web import exports
from gateway.web.frame import Frame
from tests.houses import Puppets, config, living
from tests.stocks import stocked
from tests.turns import Turns
from tests.visitors import known, visiting

DEVICES = {"smoke-1": "smoke", "door-1": "door"}
FORMULA = '=HYPERLINK("http://x.example")'


@pytest.fixture
def puppets() -> Puppets:
    return Puppets()


@pytest.fixture
async def house(tmp_path: Path, puppets: Puppets) -> AsyncIterator[House]:
    async with living(config(tmp_path, DEVICES), puppets) as house:
        yield house


async def taken(house: House, ending: str, query: str = "", language: str = "zh") -> tuple[bytes, str]:
    """The file, and under which name it comes."""
    async with visiting(house, known("duty"), language=language) as client:
        answer = await client.get(f"/api/v1/export.{ending}?{query}")
    assert answer.status_code == 200, answer.text
    return answer.content, answer.headers["content-disposition"]


def table(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))


async def test_csv_as_spreadsheets_like_it(house: House, puppets: Puppets) -> None:
    alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
    await house.duty.acknowledge(alarm, By("王师傅", "duty", "page"), 'said "no",\nwent')
    body, name = await taken(house, "csv")
    assert body.startswith("\ufeff时间".encode())
    assert name.startswith('attachment; filename="events-gw-0001-20')
    head, newest, oldest = table(body)
    assert (head[4], newest[4], newest[7], newest[8]) == ("事件", "确认", "王师傅 (值班员)", 'said "no",\nwent')
    assert (oldest[2], oldest[4], oldest[5], oldest[6], oldest[13]) == ("大门", "感烟火警", "发生", "特急", alarm)
    english, _ = await taken(house, "csv", "type=fire.*", "en")
    assert [row[4] for row in table(english)] == ["Event", "Smoke alarm"]
    assert table((await taken(house, "csv", "lang=en"))[0])[0][0] == "Time"


async def test_a_spreadsheet_says_the_same(house: House, puppets: Puppets) -> None:
    alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
    await house.duty.acknowledge(alarm, By(f"\x07{FORMULA}", "duty", "page"), "bell \x07 rang")
    body, name = await taken(house, "xlsx")
    sheet = load_workbook(io.BytesIO(body)).active
    assert sheet is not None
    cells = [[cell.value or "" for cell in row] for row in sheet.iter_rows()]
    assert [[text.replace("\x07", "") for text in row] for row in table((await taken(house, "csv"))[0])] == cells
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
    assert name.endswith('.xlsx"')


@pytest.mark.parametrize("text", [FORMULA, "+1", "-1", "@SUM(A1)", "\tx", "\rx", "＝1", " =1", "\x07=1"])
def test_what_would_be_a_formula_is_text(text: str) -> None:
    assert harmless(text) == f"'{text}"
    assert harmless(f"a{text}") == f"a{text}"


async def test_a_spreadsheet_that_is_too_long_says_so(
    tmp_path: Path, puppets: Puppets, monkeypatch: pytest.MonkeyPatch
) -> None:
    stocked(tmp_path, 500)
    monkeypatch.setattr(exports, "MOST_ROWS", 300)
    async with living(config(tmp_path, DEVICES), puppets) as house:
        sheet = load_workbook(io.BytesIO((await taken(house, "xlsx"))[0])).active
        assert sheet is not None
        assert sheet.max_row == 1 + 300 + 1
        assert str(sheet.cell(302, 1).value).startswith("超过 300 行")
        assert len(table((await taken(house, "csv"))[0])) == 501


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
async def test_wrong_filters_are_refused_before_anything_is_sent(house: House, ending: str) -> None:
    async with visiting(house, known("duty")) as client:
        answer = await client.get(f"/api/v1/export.{ending}?since=yesterday")
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, "since")


@pytest.mark.parametrize(("ending", "count"), [("csv", 100_000), ("xlsx", 20_000)])
async def test_many_rows_hold_nobody_up(tmp_path: Path, puppets: Puppets, ending: str, count: int) -> None:
    stocked(tmp_path, count)
    async with living(config(tmp_path, DEVICES), puppets) as house:
        table = exports.Table(Frame(house), Wanted(), "zh")
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        with Turns() as turns:
            size_bytes = await _drained(table, ending)
        took_s, grown_kib = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    about = f"{took_s:.1f} s, {size_bytes / 2**20:.1f} MiB, +{grown_kib / 1024:.0f} MiB in memory"
    print(f"{count} rows as {ending}: {about}; {turns.told()}")  # noqa: T201
    assert turns.longest_s < 0.05
    assert grown_kib < 60 * 1024


async def _drained(built: exports.Table, ending: str) -> int:
    """How many bytes came, none of them kept: read as they come."""
    if ending == "csv":
        return sum([len(part.encode()) async for part in exports._csv(built)])
    with await exports._xlsx(built) as file:
        return file.seek(0, io.SEEK_END)
