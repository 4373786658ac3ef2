"""`/reports`: headline figures first, a wrong date, and a shift that is handed over by who may."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.audit import By
from gateway.house import House
from gateway.reportview import View, headlines, shift_name
from tests.houses import Puppets, config, living
from tests.visitors import EVIL, known, said, visiting

LI = By("李师傅", "duty", "page")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A fire that nobody has seen, and a false one."""
    puppets = Puppets()
    async with living(config(tmp_path, {"smoke-1": "smoke", "smoke-2": "smoke"}), puppets) as house:
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        alarm = await puppets.emit("smoke-2", "fire.smoke", "raise")
        await house.acknowledge(alarm, LI, "false", f"油烟 {EVIL}")
        yield house


@pytest.mark.parametrize(
    ("kind", "language", "words"),
    [
        ("shift", "zh", ("班次报表", "要点", "误报率", "上一班 0", "交接班", "北京时间", "接班人")),
        ("day", "zh", ("日报", "前一天 0", "打印(A4)")),
        ("month", "zh", ("月报", "按楼栋统计")),
        ("shift", "en", ("Shift report", "In short", "shift before: 0", "Hand over and sign")),
        ("day", "en", ("Day report", "day before: 0", "To print (A4)")),
    ],
)
async def test_a_report_in_the_frame(house: House, kind: str, language: str, words: tuple[str, ...]) -> None:
    async with visiting(house, known("duty"), language=language) as client:
        text = (await client.get(f"/reports?kind={kind}")).text
    for word in words:
        assert word in text
    assert text.index('class="headlines"') < text.index("<table>")
    assert EVIL not in text
    assert "&lt;script&gt;alert(1)" in text
    assert ("hx-post" in text.partition("<main")[2]) == (kind == "shift")


async def test_a_wrong_date_is_told_beside_the_present_day(house: House) -> None:
    async with visiting(house, known("duty")) as client:
        answer = await client.get("/reports", params={"kind": "day", "at": f"昨天{EVIL}"})
        other = await client.get("/reports?kind=year")
    assert answer.status_code == 400
    assert "不是日期 请写" in answer.text
    assert EVIL not in answer.text
    assert 'class="headlines"' in answer.text
    assert "日报" in other.text


async def test_the_days_before_and_after_are_a_step_away(house: House) -> None:
    async with visiting(house, known("duty")) as client:
        now = (await client.get("/reports?kind=day")).text
        past = (await client.get("/reports?kind=day&at=2026-01-02")).text
    assert "后一天" not in now
    assert "at=2025-12-31T16%3A00%3A00.000Z" not in now
    assert "at=2026-01-01T15%3A59%3A00.000Z" in past  # 2 January begins at 16:00 UTC of the first
    assert "at=2026-01-02T16%3A00%3A00.000Z" in past


async def test_a_shift_is_handed_over(house: House) -> None:
    async with visiting(house, known("duty", "王师傅")) as client:
        form = {"taker": "赵师傅", "note": f"2 号梯维修中 {EVIL}"}
        answer = await client.post("/reports/handover", data=form)
        assert (answer.status_code, said(answer)) == (204, "王师傅 已交班")
        text = (await client.get(answer.headers["HX-Redirect"])).text
    assert "接班人:赵师傅。\n2 号梯维修中" in text
    assert EVIL not in text
    assert "尚无交接班记录" not in text


@pytest.mark.parametrize("role", ["auditor"])
async def test_who_does_not_handle_hands_nothing_over(house: House, role: str) -> None:
    async with visiting(house, known(role)) as client:  # type: ignore[arg-type]
        text = (await client.get("/reports?kind=shift")).text
        answer = await client.post("/reports/handover", data={"note": "x"})
    assert "请以值班员或物业经理身份登录后交班" in text
    assert 'name="note"' not in text
    assert answer.status_code == 403


async def test_a_note_that_is_too_long_is_refused(house: House) -> None:
    async with visiting(house, known("duty"), language="en") as client:
        answer = await client.post("/reports/handover", data={"note": "x" * 1001})
    assert answer.status_code == 409
    assert "1000" in answer.json()["error"]["what"]["en"]


@pytest.mark.parametrize("name", ["daily", "monthly", "shift"])
async def test_the_sheet_to_print_has_no_script(house: House, name: str) -> None:
    async with visiting(house, known("auditor"), language="en") as client:
        text = (await client.get(f"/reports/{name}?lang=zh")).text
        assert "<script" not in text
        assert "签名:" in text
        assert "</html>" in (await client.get(f"/reports/{name}")).text
        assert "误报率" in (await client.get(f"/api/v1/reports/{name}?format=csv&lang=zh")).text


async def test_headlines_of_two_periods(house: House) -> None:
    now = await house.reporting.report("day")
    past = await house.reporting.report("day", "2026-01-02")
    told = {one.name: (one.value, one.before) for one in headlines(View(now, "zh"), now, past)}
    assert told["报警"] == ("2", "0")
    assert told["误报率"] == ("100.0%", "–")
    assert told["设备离线合计"] == ("0.0 小时", "0.0 小时")
    assert {one.before for one in headlines(View(now, "en"), now, None)} == {None}


async def test_what_the_gateway_wrote_is_put_into_words(house: House) -> None:
    document = await house.reporting.report("day")
    document["lost"] = [{"stream": "district.alarm", "events": 3}]
    laid = {"cover": "gateway.suppressed", "device": "smoke-1", "label": "烟感"}
    document["covers"] = [laid | {"reason": "bus rs485-1"}, laid | {"reason": "line clearance at 5"}]
    tables = {table.title: table.rows for table in View(document, "zh").tables()}
    assert tables["数据丢弃"] == [["district 报警", "3"]]
    assert [row[2] for row in tables["暂缓、屏蔽、演练"]] == ["总线 rs485-1", "line clearance at 5"]
    assert shift_name("早班", "en") == "morning shift"
    assert shift_name("白班", "en") == "白班"
