"""The views of alarms in a whole gateway: what they show in both languages, who may do what, and what is refused."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import By
from gateway.event import Phase, Reading
from gateway.house import House
from gateway.web.alarmpast import PAGE_ALARMS
from gateway.web.banner import banner
from gateway.web.frame import Frame
from gateway.web.visitor import Role
from tests.alarmhouse import EVIL, SMALL, estate, harmless, plain, raised
from tests.houses import Puppets, living, to
from tests.visitors import known, said, visiting, why

WANG = By("王师傅", "duty", "page")
FLOOD = {f"smoke-{n}": ("smoke", f"{'b3/u2' if n % 2 else 'gate'}", f"烟感 {n}") for n in range(1, 61)}


def state(house: House, alarm: str) -> str:
    """As it stands now; `normal` where it is over."""
    return next((str(one["state"]) for one in house.alarms() if one["alarm"] == alarm), "normal")


@pytest.mark.parametrize(
    ("language", "nothing", "first", "todo"),
    [
        ("zh", "没有待处理的报警", "首警", "下一步:确认"),
        ("en", "Nothing waits for anybody", "First alarm", "Next: acknowledge"),
    ],
)
async def test_the_banner_and_the_list_in_both_languages(
    tmp_path: Path, language: str, nothing: str, first: str, todo: str
) -> None:
    puppets = Puppets()
    async with (
        living(estate(tmp_path, SMALL), puppets) as house,
        visiting(house, known("duty"), language=language) as me,
    ):
        calm = await me.get("/alarms")
        assert nothing in plain(calm)
        assert '<section id="banner" class="banner" aria-label' in calm.text  # there, and empty
        fire, _ = await raised(puppets, ("smoke-1", "fire.smoke"), ("door-1", "door.forced"))
        page = await me.get("/alarms")
        for sentence in (first, todo, "3号楼2单元 走廊烟感", "大门 大门门禁"):
            assert sentence in plain(page)
        assert 'data-sounding="fire"' in page.text
        assert f'data-announce-id="{fire}"' in page.text
        assert "{" not in plain(page)  # no placeholder was left


async def test_the_banner_stands_on_every_view(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(estate(tmp_path, SMALL), puppets) as house, visiting(house, known("duty")) as me:
        (fire,) = await raised(puppets, ("smoke-1", "fire.smoke"))
        for path in ("/alarms?tab=past", f"/alarms/{fire}", "/alarms/nothing", "/notices"):
            page = await me.get(path)
            steps = [page.text.index(f'id="banner-{step}"') for step in ("silence", "acknowledge", "handle")]
            assert steps == sorted(steps)  # 消音 确认 现场处理, always in this order


async def test_who_only_reads_sees_no_steps(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(estate(tmp_path, SMALL), puppets) as house, visiting(house, known("auditor")) as me:
        (fire,) = await raised(puppets, ("smoke-1", "fire.smoke"))
        for path in ("/alarms", f"/alarms/{fire}"):
            page = await me.get(path)
            assert "走廊烟感" in plain(page)
            assert 'hx-post="/alarms' not in page.text


STEPS = ("silence", "acknowledge-rest", "{}/acknowledge", "{}/dispose", "{}/reset")
COVERS = ("{}/shelve", "{}/unshelve", "{}/shield", "{}/unshield")


@pytest.mark.parametrize(("role", "steps"), [("auditor", STEPS + COVERS), ("duty", COVERS)])
async def test_who_may_not_gets_403_and_nothing_changes(tmp_path: Path, role: Role, steps: tuple[str, ...]) -> None:
    puppets = Puppets()
    async with living(estate(tmp_path, SMALL), puppets) as house, visiting(house, known(role)) as me:
        (door,) = await raised(puppets, ("door-1", "door.forced"))
        form = {"outcome": "false", "minutes": "60", "hours": "8", "reason": "施工"}
        for step in steps:
            answer = await me.post(f"/alarms/{step.format(door)}", data=form)
            assert (answer.status_code, "权限" in why(answer)) == (403, True), step
        (alarm,) = house.alarms()
        assert (alarm["state"], alarm["flags"]["silenced"]) == ("active_unacked", False)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("zh", ["已消音 1 条", "已确认。请到现场核实", "已记录:误报。原因消除后自动复位。"]),
        ("en", ["Silenced: 1.", "Acknowledged. Have a look on site", "Saved: False alarm. It resets by itself"]),
    ],
)
async def test_a_fire_from_its_first_word_to_its_end(tmp_path: Path, language: str, told: list[str]) -> None:
    puppets = Puppets()
    async with (
        living(estate(tmp_path, SMALL), puppets) as house,
        visiting(house, known("duty"), language=language) as me,
    ):
        (fire,) = await raised(puppets, ("smoke-1", "fire.smoke"))
        form = {"outcome": "false", "cause": "灰尘", "note": "已清洁"}
        done = [
            await me.post("/alarms/silence"),
            await me.post(f"/alarms/{fire[:18]}/acknowledge"),
            await me.post(f"/alarms/{fire}/dispose", data=form),
        ]
        assert [answer.status_code for answer in done] == [204, 204, 204]
        for answer, sentence in zip(done, told, strict=True):
            assert sentence in said(answer)
        assert 'data-sounding=""' in (await me.get("/alarms")).text
        await puppets.emit("smoke-1", "fire.smoke", "clear")
        assert state(house, fire) == "normal"
        page = plain(await me.get(f"/alarms/{fire}"))
        for word in (
            "王师傅",
            "灰尘",
            "已清洁",
            *(["误报", "值班员", "网页"] if language == "zh" else ["False alarm", "duty", "page"]),
        ):
            assert word in page
        audited = [line async for line in _audit(house)]
        assert [line["what"] for line in audited] == ["operator.silence", "operator.ack", "operator.dispose"]
        assert {(line["who"], line["role"], line["from"]) for line in audited} == {("王师傅", "duty", "page")}


async def _audit(house: House) -> Any:
    from gateway.audit import lines

    for _, line in await house.store.read(lambda connection: lines(connection, 0, 100)):
        yield line


async def test_silence_never_mutes_the_next(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(estate(tmp_path, SMALL), puppets) as house, visiting(house, known("duty")) as me:
        await raised(puppets, ("smoke-1", "fire.smoke"))
        await me.post("/alarms/silence")
        assert 'data-sounding=""' in (await me.get("/notices")).text
        await raised(puppets, ("door-1", "door.forced"))
        assert 'data-sounding="alarm"' in (await me.get("/notices")).text
        assert "没有响铃" not in said(await me.post("/alarms/silence"))
        assert "没有响铃" in said(await me.post("/alarms/silence"))


async def test_a_refusal_says_why_and_what_to_do(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(estate(tmp_path, SMALL), puppets) as house, visiting(house, known("manager")) as me:
        fire, door = await raised(puppets, ("smoke-1", "fire.smoke"), ("door-1", "door.forced"))
        long = {"outcome": "false", "note": "长" * 501}
        for path, form, status, sentence in (
            (f"/alarms/{fire}/reset", {}, 409, "报警原因尚未消除"),
            (f"/alarms/{fire}/dispose", {}, 409, "请在五项中选择一项"),
            (f"/alarms/{fire}/dispose", {"outcome": "<b>"}, 409, "请在五项中选择一项"),
            (f"/alarms/{fire}/dispose", long, 409, "最多 500 个字"),
            (f"/alarms/{fire}/shelve", {"minutes": "60", "reason": "施工"}, 409, "不可暂缓"),
            (f"/alarms/{door}/shelve", {"minutes": "60"}, 409, "“理由”未填写"),
            (f"/alarms/{door}/shelve", {"minutes": "481", "reason": "施工"}, 409, "可填 1 至 480"),
            (f"/alarms/{door}/shelve", {"minutes": "NaN", "reason": "施工"}, 409, "可填 1 至 480"),
            (f"/alarms/{door}/shield", {"hours": "0", "reason": "施工"}, 409, "可填 1 至 8784"),
            (f"/alarms/{door}/unshield", {"reason": "完工"}, 409, "未被屏蔽"),
            ("/alarms/nothing/acknowledge", {}, 404, "请查看最新的报警列表"),
        ):
            answer = await me.post(path, data=form)
            assert (answer.status_code, sentence in why(answer)) == (status, True), (path, form, answer.text)
        huge = await me.post(f"/alarms/{fire}/dispose", content=b"note=" + b"x" * 70_000)
        broken = await me.post(f"/alarms/{fire}/dispose", content=b"\xff\xfe")
        assert ["请求内容过大" in why(huge), "无法理解" in why(broken)] == [True, True]
        assert {alarm["state"] for alarm in house.alarms()} == {"active_unacked"}


async def test_shelf_and_shield_are_laid_and_lifted(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(estate(tmp_path, SMALL), puppets) as house, visiting(house, known("manager")) as me:
        (door,) = await raised(puppets, ("door-1", "door.held"))
        for step, form, after, button in (
            ("shelve", {"minutes": "60", "reason": "施工"}, "shelved", "unshelve"),
            ("unshelve", {}, "active_unacked", "shelve"),
            ("shield", {"hours": "8", "reason": "扬尘"}, "out_of_service", "unshield"),
            ("unshield", {"reason": "完工"}, "active_unacked", "shield"),
        ):
            answer = await me.post(f"/alarms/{door}/{step}", data=form)
            assert (answer.status_code, state(house, door)) == (204, after)
            assert answer.headers["HX-Redirect"] == f"/alarms/{door}"
            assert f'hx-post="/alarms/{door}/{button}"' in (await me.get(f"/alarms/{door}")).text
        await house.covers.shelve("door-1", 600, "整机检修", WANG)  # over all of the device
        assert "暂缓中 · 至" in plain(await me.get(f"/alarms/{door}"))
        assert "理由:整机检修" in plain(await me.get(f"/alarms/{door}"))
        assert "大门门禁" in plain(await me.get("/alarms?tab=covered"))
        assert (await me.post(f"/alarms/{door}/unshelve")).status_code == 204
        assert state(house, door) == "active_unacked"


async def test_all_others_are_acknowledged_at_once_but_no_fire_and_no_call_for_help(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(estate(tmp_path, SMALL), puppets) as house, visiting(house, known("duty")) as me:
        grave = await raised(puppets, ("smoke-1", "fire.smoke"), ("panic-1", "safety.panic"))
        mild = await raised(puppets, ("door-1", "door.forced"), ("smoke-2", "device.battery_low"))
        page = (await me.get("/alarms")).text
        assert page.index('hx-post="/alarms/acknowledge-rest"') > max(page.rindex(alarm) for alarm in (*grave, *mild))
        answer = await me.post("/alarms/acknowledge-rest")
        assert "已确认 2 条" in said(answer)
        assert [state(house, alarm) for alarm in (*grave, *mild)] == ["active_unacked"] * 2 + ["active_acked"] * 2
        assert "acknowledge-rest" not in (await me.get("/alarms")).text  # there are no others now


async def test_a_latched_alarm_is_reset_when_it_may_be(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(estate(tmp_path, SMALL), puppets) as house, visiting(house, known("duty")) as me:
        (door,) = await raised(puppets, ("door-1", "door.forced"))
        await puppets.emit("door-1", "door.forced", "clear")
        assert "已恢复,未确认" in plain(await me.get("/alarms?tab=over"))
        sentence = said(await me.post(f"/alarms/{door}/acknowledge"))
        assert "填写处置结论后复位" in sentence
        assert "待复位" in plain(await me.get("/alarms?tab=latched"))
        assert (await me.post(f"/alarms/{door}/reset")).status_code == 204
        assert state(house, door) == "normal"


async def test_a_flood_is_folded_and_nothing_is_hidden(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(estate(tmp_path, FLOOD), puppets) as house, visiting(house, known("duty")) as me:
        found = await raised(puppets, *((device, "fire.smoke") for device in FLOOD))
        page = await me.get("/alarms")
        assert [alarm for alarm in found if f'href="/alarms/{alarm}"' not in page.text] == []
        assert "后续 +59" in plain(page)
        assert "大门多处感烟火警" in plain(page)
        filtered = plain(await me.get("/alarms?building=gate&type=fire.smoke"))
        assert "烟感 2 " in filtered
        assert "烟感 3 " not in filtered


async def test_what_is_over_is_listed_a_page_at_a_time(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(estate(tmp_path, SMALL), puppets) as house, visiting(house, known("duty")) as me:
        assert "没有保存已结束的报警" in plain(await me.get("/alarms?tab=past"))
        over = []
        for number in range(PAGE_ALARMS + 5):
            device, kind = (("door-1", "door.held"), ("smoke-1", "device.fault"))[number % 2]
            (alarm,) = await raised(puppets, (device, kind))
            await house.duty.dispose(alarm, WANG, "false", "灰尘")
            await puppets.emit(device, kind, "clear")
            over.append(alarm)
        (still,) = await raised(puppets, ("smoke-2", "fire.smoke"))
        seen, path = [], "/alarms?tab=past"
        for expected in (PAGE_ALARMS, 5):
            page = await me.get(path)
            ids = [alarm for alarm in over if f'href="/alarms/{alarm}"' in page.text]
            assert (len(ids), page.text.count("误报")) == (expected, expected)
            seen += ids
            path = page.text.partition("before=")[2].partition('"')[0].join(("/alarms?tab=past&before=", ""))
        assert sorted(seen) == over
        assert "before=" not in page.text.partition("<main")[2]  # the other language keeps it
        assert "没有更早的报警" in plain(await me.get("/alarms?tab=past&before=0-0"))
        assert f'<a href="/alarms/{still}">' not in page.text.partition("</header>")[2].partition("past-list")[2]
        assert plain(await me.get("/alarms?tab=past&before=rubbish")) == plain(
            await me.get("/alarms?tab=past&before=0x1")
        )


@pytest.mark.parametrize("wanted", ["nothing", "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f", "%3Cscript%3Ealert(1)"])
async def test_an_alarm_that_is_not_here_has_a_clear_page(tmp_path: Path, wanted: str) -> None:
    async with living(estate(tmp_path, SMALL), Puppets()) as house, visiting(house, known("duty")) as me:
        page = await me.get(f"/alarms/{wanted}")
        assert page.status_code == 404
        assert "没有这条报警" in plain(page)
        assert "<script>alert" not in page.text
        assert 'href="/alarms"' in page.text


async def test_what_devices_and_people_write_is_only_read(tmp_path: Path) -> None:
    puppets = Puppets()
    places = {"b3": {"label": EVIL[:60], "units": {}}}
    area = {"district": "310104", "street": "013", "community": "002"}
    site = {"name": EVIL[:60], "area": area, "places": places}
    evil = estate(tmp_path, {"smoke-1": ("smoke", "b3", EVIL)}, site=site)
    async with living(evil, puppets) as house, visiting(house, known("manager", EVIL)) as me:
        (fire,) = await raised(puppets, ("smoke-1", "fire.smoke"))
        link = await puppets.link("smoke-1")
        (part,) = await link.emit(Reading("smoke-1", "device.fault", Phase.RAISE, part={"address": EVIL}))
        form = {"outcome": "other", "cause": EVIL, "note": EVIL, "minutes": "60", "reason": EVIL}
        assert (await me.post(f"/alarms/{fire}/dispose", data=form)).status_code == 204
        assert (await me.post(f"/alarms/{part}/shelve", data=form)).status_code == 204
        for path in ("/alarms", f"/alarms/{fire}", f"/alarms/{part}", "/alarms?tab=covered", "/notices"):
            assert harmless(await me.get(path)), path
        await puppets.emit("smoke-1", "fire.smoke", "clear")
        for path in ("/alarms?tab=past", f"/alarms/{fire}"):
            assert harmless(await me.get(path)), path


async def test_who_is_responsible_what_a_rule_saw_and_how_far_it_got(tmp_path: Path) -> None:
    duty = {
        "fire.*": {
            "lead": "消控室",
            "assist": ["物业"],
            "escalate": ["page"],
            "respond": "90s",
            "basis": "消防预案 5.3",
        }
    }
    uplinks = {"district": to(9)}
    puppets = Puppets()
    made = estate(tmp_path, SMALL, responsibility=duty, uplinks=uplinks)
    async with living(made, puppets) as house, visiting(house, known("duty")) as me:
        fire, door = await raised(puppets, ("smoke-1", "fire.smoke"), ("door-1", "door.forced"))
        link = await puppets.link("door-1")
        data = {"rule": "look", "action": "snapshot", "result": "ok", "cause": fire, "picture": {"ref": "p_1.jpg"}}
        await link.emit(Reading("door-1", "gateway.action", Phase.PULSE, data=json.loads(json.dumps(data))))
        page = await me.get(f"/alarms/{fire}")
        for sentence in (
            "牵头 消控室",
            "消防预案 5.3",
            "1 分 30 秒后通知 本页面",
            "平台 district:发送中",
            "联动规则 look",
        ):
            assert sentence in plain(page)
        assert 'src="/api/v1/pictures/p_1.jpg"' in page.text
        assert 'href="/plans?device=smoke-1"' in page.text
        assert "尚未指定责任人" in plain(await me.get(f"/alarms/{door}"))
        assert "真实火警" in plain(page)
        assert "真实报警" in plain(await me.get(f"/alarms/{door}"))


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        (
            "zh",
            ["平台 city:已确认", "(0.8 秒)", "平台 district:超过 10 秒未确认", "平台 fire:失败", "平台 town:发送中"],
        ),
        (
            "en",
            ["Platform city: confirmed", "(0.8 s)", "not confirmed for more than 10 s", "fire: refused", "being sent"],
        ),
    ],
)
async def test_how_far_an_alarm_got_is_told_in_words(tmp_path: Path, language: str, sentences: list[str]) -> None:
    puppets = Puppets()
    async with living(estate(tmp_path, SMALL), puppets) as house:
        await raised(puppets, ("smoke-1", "fire.smoke"))
        (doc,) = house.alarms()
        at = (datetime.fromisoformat(doc["first"]) + timedelta(milliseconds=800)).isoformat()
        doc["delivery"] = {
            "city": {"state": "confirmed", "at": at},
            "district": {"state": "sending", "unconfirmed": True},
            "fire": {"state": "failed", "at": at},
            "town": {"state": "sending"},
        }
        shown = plain(banner(Frame(house), language, frozenset(), [doc]))
        assert [sentence for sentence in sentences if sentence not in shown] == []
        assert "hx-post" not in shown


async def test_a_drill_is_told_as_one(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(estate(tmp_path, SMALL), puppets) as house, visiting(house, known("duty")) as me:
        await house.covers.drill("smoke-1", 600, WANG)
        await raised(puppets, ("smoke-1", "fire.smoke"))
        page = await me.get("/alarms?tab=test")
        assert 'class="banner test"' in page.text
        assert "演练/测试" in plain(page)
        (real,) = await raised(puppets, ("door-1", "door.forced"))
        assert f'href="/alarms/{real}#handle"' in (await me.get("/notices")).text  # what is real comes first
