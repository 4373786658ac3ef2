"""`/settings/audit`: who did what in words, page by page, by person; and whether the chain is whole."""

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.audit import By
from gateway.house import House
from gateway.web.audit import PAGE_LINES, Reader
from tests.houses import Puppets, config, living
from tests.visitors import EVIL, known, said, visiting

LI, RULE = By("李师傅", "duty", "page"), By("fire-opens", "rule", "rule:fire-opens")
DISTRICT = By("值班员", "platform", "uplink:district")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with living(config(tmp_path, {"door-1": "door", "smoke-1": "smoke"}), Puppets()) as house:
        yield house


async def wrote(house: House) -> None:
    await house.audit.put(LI, "operator.ack", "smoke-1", note=f"=1+1 {EVIL}")
    await house.audit.put(RULE, "release, snapshot", "door-1, gw-0001")
    await house.audit.put(DISTRICT, "command.unlock", "door-1", "not-allowed")
    await house.audit.put(LI, "operator.shelve", "smoke-1", seconds=0, reason="expired")
    await house.audit.put(LI, "operator.shelve", "smoke-1", seconds=600)
    await house.audit.put(LI, "handover", "早班", "done")
    await house.audit.put(LI, "something.else", "x", "odd")


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        (
            "zh",
            [
                ("something.else", "x", "odd", "", "网页"),
                ("交接班", "早班", "已完成", "", "网页"),
                ("暂缓", "smoke-1", "已受理", "600 秒", "网页"),
                ("暂缓结束", "smoke-1", "已受理", "到期", "网页"),
                ("开门", "door-1", "被拒绝:无权限", "", "平台 district"),
                ("释放(保持开启)、抓拍", "door-1、网关", "已受理", "", "联动规则"),
                ("确认", "smoke-1", "已受理", f"=1+1 {EVIL}", "网页"),
            ],
        ),
        (
            "en",
            [
                ("something.else", "x", "odd", "", "page"),
                ("Shift handed over", "morning shift", "done", "", "page"),
                ("Shelved", "smoke-1", "begun", "for 600 s", "page"),
                ("Shelving ended", "smoke-1", "begun", "its time was over", "page"),
                ("unlock", "door-1", "refused: not allowed", "", "platform district"),
                ("open and keep open, take a picture of", "door-1, the gateway", "begun", "", "rule"),
                ("Acknowledged", "smoke-1", "begun", f"=1+1 {EVIL}", "page"),
            ],
        ),
    ],
)
async def test_lines_are_told_in_words(house: House, language: str, lines: list[tuple[str, ...]]) -> None:
    await wrote(house)
    read = await Reader(house, language).lines(2**62, 50, "")
    assert [(line.what, line.subject, line.outcome, line.more, line.origin) for line in read] == lines
    async with visiting(house, known("auditor"), language=language) as client:
        text = (await client.get("/settings/audit")).text
    assert lines[1][0] in text
    assert EVIL not in text
    assert "&lt;script&gt;alert(1)" in text


async def test_one_persons_lines_page_by_page(house: House) -> None:
    for number in range(PAGE_LINES + 5):
        await house.audit.put(LI, "operator.silence", f"d-{number}")
    await house.audit.put(DISTRICT, "command.ping", "gateway", "ok")
    async with visiting(house, known("manager")) as client:
        first = (await client.get("/settings/audit?who=李师傅")).text
        assert "查询在线" not in first
        assert f"d-{PAGE_LINES + 4}" in first
        assert "d-4<" not in first
        second = (await client.get(f"/settings/audit?before={6}&who=李师傅")).text
        assert "d-4<" in second
        assert "d-5<" not in second
        assert "最新" in second
        nobody = (await client.get("/settings/audit?who=张三")).text
        assert "该人员没有操作记录" in nobody
        assert (await client.get("/settings/audit?before=x")).status_code == 400


@pytest.mark.parametrize("before", ["9" * 30, "-1", "x"])
async def test_a_number_that_no_line_can_have_is_refused(house: House, before: str) -> None:
    async with visiting(house, known("auditor")) as client:
        answer = await client.get("/settings/audit", params={"before": before})
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, "before")


async def test_an_empty_log_says_so(house: House) -> None:
    async with visiting(house, known("installer")) as client:
        assert "尚无操作记录" in (await client.get("/settings/audit")).text


@pytest.mark.parametrize("path", ["/settings/audit", "/settings/audit.csv"])
async def test_it_is_not_for_who_is_on_duty(house: House, path: str) -> None:
    async with visiting(house, known("duty")) as client:
        assert (await client.get(path)).status_code == 403
        assert (await client.post("/settings/audit/verify")).status_code == 403


async def test_no_cell_of_the_sheet_is_carried_out(house: House) -> None:
    await wrote(house)
    async with visiting(house, known("auditor")) as client:
        answer = await client.get("/settings/audit.csv")
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert rows[0][:3] == ["序号", "时间", "人员"]
    assert rows[-1][-1].startswith("'=1+1")
    assert len(rows) == 8


async def test_the_chain_is_checked(house: House) -> None:
    async with visiting(house, known("auditor")) as client:
        for number in range(1203):  # more than two pieces
            await house.audit.put(LI, "operator.silence", f"d-{number}")
        whole = await client.post("/settings/audit/verify")
        assert said(whole).startswith("日志完整:共 1203 行")
        await house.store.transact(lambda connection: connection.execute("DROP TRIGGER audit_stays"))
        await house.store.transact(lambda connection: connection.execute("DELETE FROM audit WHERE n = 700"))
        broken = await client.post("/settings/audit/verify")
        assert said(broken).startswith("日志不完整:缺第 700 行(共 1 处)")
