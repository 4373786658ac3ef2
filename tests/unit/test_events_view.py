"""The view of events: what a person finds there, in both languages, and what it makes of hostile names and filters."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.audit import By
from gateway.house import House
from gateway.web.visitor import Visitor
from tests.houses import Puppets, config, living, to
from tests.stocks import stocked
from tests.visitors import EVIL, known, visiting

WANG = By("王师傅", "duty", "page")
DEVICES = {"smoke-1": "smoke", "door-1": "door"}


@pytest.fixture
def puppets() -> Puppets:
    return Puppets()


@pytest.fixture
async def house(tmp_path: Path, puppets: Puppets) -> AsyncIterator[House]:
    async with living(config(tmp_path, DEVICES, {"district": to(1)}), puppets) as house:
        yield house


async def page(house: House, path: str = "/events", language: str = "zh", status: int = 200) -> str:
    async with visiting(house, known("duty"), language=language) as client:
        answer = await client.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def rows(text: str) -> list[str]:
    """What each row says, without markup."""
    found = re.findall(r'<tr role="row" id="event-.*?</tr>', text, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]


@pytest.mark.parametrize(
    ("language", "first", "second"),
    [
        ("zh", "· 处置结论 王师傅 (值班员) 误报 · 灰尘 · 已清理", "▲ 感烟火警 发生"),
        ("en", "· Disposed 王师傅 (duty) false alarm · 灰尘 · 已清理", "▲ Smoke alarm begins"),
    ],
)
async def test_each_row_says_what_where_who_and_what_came_of_it(
    house: House, puppets: Puppets, language: str, first: str, second: str
) -> None:
    alarm = await puppets.emit("smoke-1", "fire.smoke", "raise", smoke_obscuration=1.32)
    await house.duty.dispose(alarm, WANG, "false", "灰尘", "已清理")
    text = await page(house, language=language)
    told = rows(text)
    assert first in told[0]
    assert second in told[2]
    assert "1.32" in told[2]
    assert ("发送中" if language == "zh" else "being sent") in told[2]
    assert ("时钟未校准" if language == "zh" else "clock was not set") in told[0] or house.health()["clock"][
        "quality"
    ] == "synced"
    assert f'href="/alarms/{alarm}"' in text
    assert 'href="/devices/smoke-1"' in text


async def test_an_alarm_that_is_over_leads_to_its_events(house: House, puppets: Puppets) -> None:
    alarm = await puppets.emit("door-1", "door.held", "raise")
    await house.duty.dispose(alarm, WANG, "real")
    await puppets.emit("door-1", "door.held", "clear")
    text = await page(house)
    assert f'href="/events?alarm={alarm}"' in text
    assert f"/alarms/{alarm}" not in text
    assert len(rows(await page(house, f"/events?alarm={alarm}"))) == 4
    assert "✓ 开门超时" in rows(text)[0]


async def test_filters(house: House, puppets: Puppets) -> None:
    await puppets.emit("smoke-1", "fire.smoke", "raise")
    await puppets.emit("smoke-1", "telemetry.sample", temperature=21.5)
    await puppets.emit("door-1", "access.denied")
    counts = {
        "": 2,
        "type=telemetry.*": 1,
        "type=fire.*": 1,
        "type=access.denied&device=door-1": 1,
        "type=access.denied&device=smoke-1": 0,
        "place=gate": 2,
        "place=b3": 0,
        "text=感烟": 1,
        "text=%22": 0,
        "since=2020-01-01": 2,
        "until=2020-01-01": 0,
    }
    for query, count in counts.items():
        text = await page(house, f"/events?{query}")
        assert len(rows(text)) == count, query
        assert ("没有符合条件的事件" in text) == (count == 0), query
    assert '<option value="access.denied" selected>' in await page(house, "/events?type=access.denied")


async def test_fifty_a_page_there_and_back(tmp_path: Path, puppets: Puppets) -> None:
    stock = [event for event in stocked(tmp_path, 180) if event["type"] != "telemetry.sample"]
    async with living(config(tmp_path, DEVICES), puppets) as house:
        seen: list[list[str]] = []
        path: str | None = "/events?place=&text="
        texts = []
        while path:
            texts.append(await page(house, path))
            seen.append(re.findall(r'id="event-([0-9a-f-]{36})"', texts[-1]))
            path = _way(texts[-1], "next")
        assert [identity for ids in seen for identity in ids] == [event["id"] for event in stock]
        assert [len(ids) for ids in seen] == [50, 50, 50]
        assert "data-live" in texts[0]
        assert "data-live" not in texts[1]
        back = await page(house, _way(texts[2], "prev") or "")
        assert seen[1] == re.findall(r'id="event-([0-9a-f-]{36})"', back)
        assert _way(back, "prev") == "/events"


def _way(text: str, rel: str) -> str | None:
    found = re.search(rf'href="([^"]+)" rel="{rel}"', text)
    return found[1].replace("&amp;", "&") if found else None


@pytest.mark.parametrize(
    ("query", "word"),
    [("since=2026-13-01", "起始日期"), ("until=x", "截止日期"), ("type=fire.smok", "类型"), ("since=0000", "起始日期")],
)
async def test_what_cannot_be_a_filter_is_told(house: House, query: str, word: str) -> None:
    text = await page(house, f"/events?{query}", status=400)
    assert f"筛选条件有误:{word}" in text


async def test_nothing_yet(house: House) -> None:
    assert "尚无事件" in await page(house)
    assert "Nothing has happened yet" in await page(house, language="en")


async def test_foreign_words_are_text_only(tmp_path: Path, puppets: Puppets) -> None:
    made = config(tmp_path, DEVICES)
    evil = tuple(device.model_copy(update={"name": EVIL}) for device in made.devices)
    async with living(made.model_copy(update={"devices": evil}), puppets) as house:
        alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
        await house.duty.acknowledge(alarm, By(EVIL, "duty", "page"), EVIL)
        for path in ("/events", f"/events?text={EVIL}", f"/events?device={EVIL}", f"/events?alarm={EVIL}"):
            text = await page(house, path)
            assert "&lt;script&gt;alert" in text
            assert EVIL not in text


async def test_the_table_to_take_along_has_the_same_filters(house: House) -> None:
    text = await page(house, "/events?type=fire.*&text=3%20%26")
    assert 'href="/api/v1/export.csv?type=fire.%2A&amp;text=3+%26"' in text
    assert "type=fire.%2A&amp;type=safety.%2A" in await page(house)


async def test_who_may_not_see_is_refused(house: House) -> None:
    async with visiting(house, Visitor("x", "platform", frozenset({"metrics"}))) as client:
        assert (await client.get("/events")).status_code == 403
