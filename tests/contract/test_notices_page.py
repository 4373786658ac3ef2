"""Notices and cases in a whole gateway: shown in both languages, moved by who may, refused with the reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.alarmhouse import EVIL, FUTURE, PAST, SMALL, TIME, estate, harmless, heard, plain, raised
from tests.houses import Puppets, living, to
from tests.visitors import known, said, visiting

UPLINKS = {"district": to(9)}


def case(step: str = "dispatched", *alarms: str, **more: Any) -> str:
    return json.dumps({"incident": "case-1", "alarms": alarms, "step": step, "time": TIME} | more)


def notice(**more: Any) -> str:
    return json.dumps({"id": "n-1", "kind": "figures", "title": "11月数据", "text": "误报 2 次", "time": TIME} | more)


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("zh", ["平台没有本小区的案件", "没有有效的通知", "平台从未反馈"]),
        ("en", ["The platform has no case", "No notice is in force", "The platform has never fed anything back"]),
    ],
)
async def test_nothing_came_yet(tmp_path: Path, language: str, sentences: list[str]) -> None:
    made = estate(tmp_path, SMALL, uplinks=UPLINKS)
    async with living(made, Puppets()) as house, visiting(house, known("duty"), language=language) as me:
        page = plain(await me.get("/notices"))
        assert [sentence for sentence in sentences if sentence not in page] == []
        assert "{" not in page


async def test_without_a_platform_that_is_said(tmp_path: Path) -> None:
    async with living(estate(tmp_path, SMALL), Puppets()) as house, visiting(house, known("duty")) as me:
        page = plain(await me.get("/notices"))
        assert "尚未配置上行平台" in page
        assert "无反馈" not in page


async def test_notices_with_their_kind_and_end(tmp_path: Path) -> None:
    made = estate(tmp_path, SMALL, uplinks=UPLINKS)
    async with living(made, Puppets()) as house, visiting(house, known("auditor")) as me:
        await heard(house, "notice/n-1", notice(expires=FUTURE))
        assert "平台从未反馈" in plain(await me.get("/notices"))  # figures are no answer to anything
        await heard(house, "notice/n-2", notice(id="n-2", kind="result", title="误报率已核查"))
        page = plain(await me.get("/notices"))
        for sentence in ("11月数据 月度数据", "误报 2 次", "误报率已核查 办理结果", "有效期至 2099-01-01 08:00:00"):
            assert sentence in page
        assert "无反馈" not in page


@pytest.mark.parametrize(
    ("language", "overdue", "back", "told"),
    [
        ("zh", "已超期", "已恢复正常", ["已记录:处置中", "已记录:已处置"]),
        ("en", "overdue", "back to normal", ["Noted: being handled", "Noted: handled"]),
    ],
)
async def test_a_case_goes_its_way(tmp_path: Path, language: str, overdue: str, back: str, told: list[str]) -> None:
    puppets = Puppets()
    made = estate(tmp_path, SMALL, uplinks=UPLINKS)
    async with living(made, puppets) as house, visiting(house, known("duty"), language=language) as me:
        (door,) = await raised(puppets, ("door-1", "door.held"))
        await heard(house, "gw-0001/incident/case-1", case("dispatched", door, due=PAST, owner="阳光物业"))
        page = await me.get("/notices")
        for sentence in ("case-1", overdue, "阳光物业", "大门 大门门禁"):
            assert sentence in plain(page)
        assert f'href="/alarms/{door}"' in page.text
        await puppets.emit("door-1", "door.held", "clear")
        assert back in plain(await me.get("/notices"))
        for step, form, sentence in zip(
            ("handling", "handled"), ({"note": ""}, {"note": "门已关好", "picture": "p-1"}), told, strict=True
        ):
            answer = await me.post(f"/notices/district/case-1/{step}", data=form)
            assert (answer.status_code, sentence in said(answer)) == (204, True)
        page = await me.get("/notices")
        assert "门已关好" in plain(page)
        assert 'href="/api/v1/pictures/p-1"' in page.text
        assert "/case-1/handled" not in page.text  # there is nothing left to do here
        assert overdue not in plain(page)


async def test_what_cannot_be_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with living(estate(tmp_path, SMALL, uplinks=UPLINKS), Puppets()) as house:
        await heard(house, "gw-0001/incident/case-1", case("reported"))
        async with visiting(house, known("duty")) as me:
            assert 'aria-current="step"' in (await me.get("/notices")).text
            for path, form, status, sentence in (
                ("district/case-1/handling", {"note": ""}, 409, "当前步骤为上报"),
                ("district/case-1/handled", {"note": ""}, 409, "“处置情况”未填写"),
                ("district/case-2/handling", {"note": "x"}, 404, "没有这个案卷"),
            ):
                answer = await me.post(f"/notices/{path}", data=form)
                assert (answer.status_code, sentence in answer.json()["error"]["what"]["zh"]) == (status, True)
        async with visiting(house, known("auditor")) as me:
            for step in ("handling", "handled"):
                assert (await me.post(f"/notices/district/case-1/{step}", data={"note": "x"})).status_code == 403
            assert 'hx-post="/notices' not in (await me.get("/notices")).text
        assert (await house.incidents.list())[0]["step"] == "reported"


async def test_what_the_platform_writes_is_only_read(tmp_path: Path) -> None:
    async with living(estate(tmp_path, SMALL, uplinks=UPLINKS), Puppets()) as house:
        await heard(house, "notice/n-1", notice(title=EVIL, text=EVIL))
        await heard(house, "gw-0001/incident/case-1", case("returned", owner=EVIL, reason=EVIL))
        async with visiting(house, known("duty", EVIL)) as me:
            done = await me.post("/notices/district/case-1/handled", data={"note": EVIL, "picture": EVIL})
            page = await me.get("/notices")
        assert done.status_code == 204
        assert harmless(page)
        assert page.text.count("&lt;script&gt;alert(1)") == 8  # title, text, owner, reason, note; who, three times
