"""Reports of a real daemon: read on the command line in both languages, as CSV and JSON, and as a page to print."""

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.contract.test_cli import PANIC, daemon, gateway, post
from tests.faults.daemon import Daemon

SHIFTS = '  places: {b3: {label: 3号楼}}\nshifts: [{name: 白班, from: "08:00"}, {name: 夜班, from: "20:00"}]\n'


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Daemon]:
    """A call for help that was a false alarm, and an intruder that nobody has seen yet."""
    edit = ("  places: {b3: {label: 3号楼}}\n", SHIFTS)
    async with daemon(tmp_path, edit, devices=PANIC) as made:
        await post(made, "raise safety.panic")
        (alarm,) = (await gateway("alarms", "--state-dir", made.state, "--json")).json()
        arguments = ("ack", alarm["alarm"], "--outcome", "false", "--note", "=1+1 小孩误按")
        assert (await gateway(*arguments, "--state-dir", made.state)).status == 0
        await post(made, "raise video.intrusion")
        yield made


async def test_on_the_command_line(made: Daemon) -> None:
    where = ("--state-dir", made.state)
    told = (await gateway("report", *where, "--json")).json()
    assert told["alarms"]["by_building"] == [{"building": "b3", "count": 2, "tests": 0, "label": "3号楼"}]
    assert told["disposed"]["outcomes"]["false"] == 1
    read = await gateway("--lang", "zh", "report", "day", *where)
    assert (read.status, read.err) == (0, "")
    assert read.out.startswith("阳光花园 日报 ")
    assert "紧急求助" in read.out
    assert "误报率" in read.out
    assert "Noisiest points" in (await gateway("--lang", "en", "report", "month", *where)).out
    sheet = await gateway("--lang", "zh", "report", "shift", *where, "--csv")
    assert sheet.out.startswith("\ufeff阳光花园 班次报表 ")
    cells = [cell for row in csv.reader(io.StringIO(sheet.out)) for cell in row]
    assert "'=1+1 小孩误按" in cells
    empty = (await gateway("report", "--at", "2001-01-01", *where, "--json")).json()
    assert (empty["alarms"]["count"], empty["open"], empty["from"]) == (0, [], "2000-12-31T16:00:00.000Z")
    wrong = await gateway("--lang", "zh", "report", "--at", "昨天", *where)
    assert (wrong.status, "不是日期" in wrong.err) == (1, True)
    both = await gateway("report", "--json", "--csv", *where)
    assert both.status == 2


async def test_a_shift_is_handed_over(made: Daemon) -> None:
    where = ("--state-dir", made.state)
    said = await gateway("--lang", "zh", "handover", "--who", "李", "--note", "2 号梯维修中", *where)
    assert (said.status, said.err) == (0, "")
    assert "交接班记录" in said.out
    assert "交班人:李" in said.out
    assert "区域入侵" in said.out  # still open
    assert "未连接" in said.out  # and the platform has not heard of it
    await made.kill()
    await made.start()
    told = (await gateway("report", "month", *where, "--json")).json()
    assert [(h["who"], h["note"]) for h in told["handovers"]] == [("李", "2 号梯维修中")]


async def test_over_http(made: Daemon) -> None:
    async with aiohttp.ClientSession(made.url, headers={"Accept-Language": "zh-CN"}) as http:
        async with http.get("/api/v1/reports/daily") as answer:
            figures = await answer.json()
        assert figures["alarms"]["count"] == 2
        async with http.get("/api/v1/reports/daily?format=csv") as answer:
            assert answer.headers["Content-Disposition"].startswith('attachment; filename="day-')
            assert (await answer.read()).startswith("\ufeff阳光花园".encode())
        for name, title in (("daily", "日报"), ("monthly", "月报"), ("shift", "班次报表")):
            async with http.get(f"/reports/{name}") as answer:
                page = await answer.text()
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert f"<h1>阳光花园 {title} " in page
            assert "<script" not in page
            assert "=1+1 小孩误按" in page
        async with http.get("/static/report.css") as answer:
            assert "size: A4" in await answer.text()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/reports/yearly", 404),
        ("/reports/daily?format=pdf", 404),
        ("/reports/daily?at=nonsense", 400),
        ("/api/v1/reports/daily?at=9999-12-31", 400),
    ],
)
async def test_what_there_is_not(tmp_path: Path, path: str, status: int) -> None:
    async with (
        daemon(tmp_path, devices=PANIC) as made,
        aiohttp.ClientSession(made.url) as http,
        http.get(path) as answer,
    ):
        assert answer.status == status
        told = await answer.json()
        assert set(told["error"]["what"]) == {"en", "zh"}
