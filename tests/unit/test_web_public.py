"""`/public`: open to anybody, in the language that is asked for, in words; and the sheet for the notice board."""

import re
from pathlib import Path

import pytest
import segno

from gateway.web.public import qr, rules
from tests.brokers import free_port
from tests.houses import Puppets, config, living, to
from tests.visitors import known, visiting

SHARE = {
    "fire": to(1, types=["fire.*", "device.fault"], redact="fire", severity="high", keep="90d", commands=["snapshot"])
}


@pytest.mark.parametrize(
    ("asked", "browser", "words"),
    [
        ("", "zh", ("本小区感知与共享公示", "消防类、故障", "部位", "90 天", "抓拍", "lang=en")),
        ("?lang=en", "zh", ("What is sensed here", "all of fire", "measured values", "90 d", "lang=zh")),
        ("", "en", ("What is sensed here", "not told")),
    ],
)
async def test_it_is_told_in_words(tmp_path: Path, asked: str, browser: str, words: tuple[str, ...]) -> None:
    made = config(tmp_path, {"door-1": "door"}, SHARE)
    async with living(made, Puppets()) as house, visiting(house, None, language=browser) as client:
        answer = await client.get(f"/public{asked}")
    assert answer.status_code == 200
    for word in words:
        assert word in answer.text
    assert "<script" not in answer.text
    assert "fire.*" not in answer.text
    assert ("lang=en" in answer.headers.get("set-cookie", "")) == bool(asked)


async def test_empty_is_said_as_such(tmp_path: Path) -> None:
    async with living(config(tmp_path, {}), Puppets()) as house, visiting(house, None) as client:
        text = (await client.get("/public")).text
    assert "尚未配置设备" in text
    assert "数据不离开本机" in text


async def test_a_place_cannot_become_markup(tmp_path: Path) -> None:
    made = config(tmp_path, {"door-1": "door"})
    site = made.site.model_copy(update={"name": "<script>alert(1)</script>"})
    async with (
        living(made.model_copy(update={"site": site}), Puppets()) as house,
        visiting(house, None) as client,
    ):
        text = (await client.get("/public")).text
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 2


def test_every_rule_is_in_words() -> None:
    uplink = {
        "types": ["*", "odd.thing"], "places": ["大门", "3号楼"], "severity": "low", "fields": ["*", "x.y"],
        "without": ["raw"], "credentials": "clear", "operators": "none", "place": "unit", "states": False,
        "commands": ["unlock", "ping", "odd"], "keep": "90s",
    }  # fmt: skip
    assert [value for _, value in rules(uplink, "zh")] == [
        "所有事件、odd.thing", "大门、3号楼", "提示", "全部内容(卡片和操作人见下)、x.y", "厂商原始数据", "明文",
        "不提供", "单元", "否", "开门、查询在线、odd", "90 秒",
    ]  # fmt: skip


# --- the sheet


async def test_the_sheet_leads_to_the_page(tmp_path: Path) -> None:
    web = {"listen": f"127.0.0.1:{(port := free_port())}", "names": ["gw.example"]}
    async with living(config(tmp_path, {}, web=web), Puppets()) as house, visiting(house, known("duty")) as client:
        text = (await client.get("/public/poster")).text
    assert f"http://gw.example:{port}/public" in text
    assert "本小区的烟感" in text
    assert "Smoke detectors" in text
    assert not re.search(r"<script|\sstyle=", text)
    assert 'd="M' in text


async def test_without_a_name_it_says_what_to_do(tmp_path: Path) -> None:
    async with living(config(tmp_path, {}), Puppets()) as house, visiting(house, known("duty")) as client:
        answer = await client.get("/public/poster")
    assert answer.status_code == 409
    assert "gateway.web.names" in answer.json()["error"]["do"]["zh"]


async def test_the_sheet_is_not_for_anybody(tmp_path: Path) -> None:
    async with living(config(tmp_path, {}), Puppets()) as house, visiting(house, None) as client:
        assert (await client.get("/public/poster")).status_code in (401, 403)


def test_the_code_has_every_dark_module() -> None:
    width, path = qr("http://gw.example/public")
    matrix = segno.make("http://gw.example/public", micro=False, error="m").matrix
    assert width == len(matrix) + 8
    assert path.count("M") == sum(map(sum, matrix))
    assert path.startswith("M4 4h1")
