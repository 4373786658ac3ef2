"""The first screen: what is counted where, what waits for whom, and the view itself in both languages."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.house import House
from gateway.web import words
from gateway.web.glance import TILES, Glance
from gateway.web.overview import certificates, tiles, todos, wall, ways
from gateway.web.visitor import Visitor
from tests.contract.test_web import HEALTH, NOW, device
from tests.houses import Puppets, config, living, to, until
from tests.visitors import EVIL, known, visiting

WORDS = {"zh": ("待处理", "楼栋", "最近事件"), "en": ("Waiting for you", "Buildings", "Live events")}


def alarm(type: str, *, state: str = "active_unacked", **more: Any) -> dict[str, Any]:
    flags = {"active": True, "acknowledged": False, "confirmed": False, "latched": False, "silenced": False}
    flags |= more.pop("flags", {})
    return {
        "alarm": f"id-{type}", "device": "d-1", "type": type, "severity": "high", "state": state, "flags": flags,
        "count": 1, "first": NOW, "last": NOW, "test": False, "history": [],
    } | more  # fmt: skip


def glance(*alarms: dict[str, Any], word: str = "normal") -> Glance:
    devices = [device("d-1", "normal", place_label="3号楼", label="烟感")]
    return Glance({"word": word}, list(alarms), devices, dict.fromkeys(TILES, 0), {"alarm": 0}, {})


async def page(house: House, path: str = "/", language: str = "zh") -> str:
    async with visiting(house, known("duty"), language=language) as client:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text


def counts(text: str) -> dict[str, int]:
    found = re.findall(r'class="tile [^>]*>.*?</span> ([^<]+)</span> <b class="number">(\d+)</b>', text)
    return {word: int(count) for word, count in found}


# --- pure -----------------------------------------------------------------------------------------------------------


def test_the_lamps_keep_their_order_and_stay_when_dark() -> None:
    assert [tile.name for tile in tiles(glance())] == [*TILES, "alarm"]
    assert [tile.count for tile in tiles(glance())] == [0] * 8


def test_the_wall_is_in_natural_order_with_the_worst_of_each() -> None:
    rows = [
        device("d-1", "normal", "b10/u1", building="10栋"),
        device("d-2", "offline", "b2/u1", building="2栋"),
        device("d-3", "alarm", "b2/u2", building="2栋", alarms=["fire.smoke"]),
        device("d-4", "splendid", "gate", building="大门"),
    ]
    assert [(b.label, b.state, b.abnormal, b.total) for b in wall(rows)] == [
        ("2栋", "fire", 2, 2), ("10栋", "normal", 0, 1), ("大门", "unknown", 1, 1),
    ]  # fmt: skip


def test_what_waits_stands_in_its_order_and_what_is_settled_does_not() -> None:
    seen = {"acknowledged": True}
    looked = glance(
        alarm("device.offline"),
        alarm("door.forced"),
        alarm("fire.smoke", flags=seen),
        alarm("video.loss", flags={**seen, "confirmed": True}),
        alarm("device.battery_low", state="shelved"),
    )
    health = HEALTH | {"clock": {"quality": "unsynced"}}
    found = todos(looked, health, [{"incident": "c-1", "overdue": True, "step": "accepted", "due": NOW}])
    assert [(todo.kind, todo.step) for todo in found] == [
        ("fire", "dispose"), ("alarm", "see"), ("incident", "incident"), ("uplink", "uplink"), ("clock", "clock"),
        ("fault", "offline"),
    ]  # fmt: skip
    assert found[0].where == "3号楼 烟感"


def test_of_a_group_the_head_waits_for_all() -> None:
    cause = {"en": "line a does not answer", "zh": "线路 a 无应答"}
    heads = [
        alarm("device.offline", alarm=f"id-{n}", group={"head": n == 1, "count": 3, "cause": cause}) for n in range(3)
    ]
    (todo, _) = todos(glance(*heads), HEALTH)[::-1]
    assert (todo.count, todo.why) == (3, cause)


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"disk": HEALTH["disk"] | {"failing": {"en": "full", "zh": "已满"}}}, "disk"),
        ({"drivers": {"osdp": {"state": "stopped", "why": {"en": "broke", "zh": "出错"}}}}, "driver"),
        ({"uplinks": {"city": HEALTH["uplinks"]["district"] | {"connected": True, "why": {"en": "deaf"}}}}, "deaf"),
    ],
)
def test_a_part_that_fails_waits_with_its_reason(change: dict[str, Any], step: str) -> None:
    found = {todo.step: todo for todo in todos(glance(), HEALTH | change)}
    assert found[step].why


def test_a_case_that_is_closed_or_in_time_does_not_wait() -> None:
    cases = [
        {"incident": "a", "overdue": True, "step": "closed"},
        {"incident": "b", "overdue": False, "step": "accepted"},
    ]
    assert [todo.step for todo in todos(glance(), HEALTH, cases)] == ["uplink"]


def test_the_way_to_a_platform_with_the_last_confirmation() -> None:
    sent = {"district": {"state": "confirmed", "at": "2026-11-23T01:41:03.800Z"}}
    (way,) = ways(HEALTH, [alarm("fire.smoke", delivery=sent)])
    assert (way.state, way.backlog, way.oldest_s, way.confirmed) == ("disconnected", 40, 3700, 24)
    assert way.last is not None
    assert (way.last[0], round(way.last[1], 3)) == ("2026-11-23T01:41:03.800Z", 0.8)


def test_a_certificate_that_ends_soon_waits(tmp_path: Path) -> None:
    authority, now = trustme.CA(), datetime.now(UTC)
    soon = authority.issue_cert("gw.example", not_after=now + timedelta(days=5))
    paths = {name: tmp_path / name for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(paths["ca"])
    soon.cert_chain_pems[0].write_to_path(paths["cert"])
    soon.private_key_pem.write_to_path(paths["key"])
    paths["key"].chmod(0o600)
    tls = {name: str(path) for name, path in paths.items()}
    made = config(tmp_path, {}, {"district": {"url": "mqtts://127.0.0.1:1", "tls": tls}})
    assert [todo.where for todo in certificates(made, now)] == ["district"]
    assert certificates(made, now - timedelta(days=60)) == []
    paths["cert"].write_text("no certificate", "utf-8")
    assert certificates(made, now) == []


# --- the view -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_a_fire_is_what_one_sees_first(tmp_path: Path, language: str) -> None:
    puppets = Puppets()
    async with living(config(tmp_path, {"smoke-1": "smoke", "door-1": "door"}), puppets) as house:
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        await puppets.emit("door-1", "door.released", "raise")
        text = await page(house, language=language)
        shape, word = words.VERDICTS["fire"]
        assert '<div id="top" class="verdict fire"' in text
        assert f"<title>{shape} {word.say(language)} 1 · 大门</title>" in text
        assert all(heading in text for heading in WORDS[language])
        lit = counts(text)
        assert list(lit.values()) == [1, 1, 0, 0, 0, 0, 2, 0]
        assert text.count('<li id="e-') == 2


@pytest.mark.parametrize(("language", "other"), [("zh", "en"), ("en", "zh")])
async def test_the_other_language_keeps_what_was_asked_for(tmp_path: Path, language: str, other: str) -> None:
    async with living(config(tmp_path, {"smoke-1": "smoke"}), Puppets()) as house:
        text = await page(house, "/devices?state=abnormal&q=2%E5%8F%B7&lang=" + language, language=language)
        assert f'class="tongue" href="?state=abnormal&amp;q=2%E5%8F%B7&amp;lang={other}"' in text


async def test_live_events_name_a_device_as_people_do(tmp_path: Path) -> None:
    made, puppets = config(tmp_path, {"smoke-1": "smoke"}), Puppets()
    named = made.devices[0].model_copy(update={"name": "走廊烟感"})
    async with living(made.model_copy(update={"devices": [named]}), puppets) as house:
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        text = await page(house)
        assert re.search(r'<span class="where">.*大门</a> <small>走廊烟感</small>', text)
        assert "<small>smoke-1</small>" not in text


async def test_feedback_is_an_open_door_or_what_a_panel_says(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(config(tmp_path, {"door-1": "door", "door-2": "door"}), puppets) as house:
        for name in ("door-1", "door-2"):
            await puppets.emit(name, "door.released", "raise")
        assert counts(await page(house))["反馈"] == 0
        await puppets.emit("door-1", "door.open", "raise")
        assert counts(await page(house))["反馈"] == 1


async def test_a_drill_and_a_shield_are_counted_apart(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(config(tmp_path, {"smoke-1": "smoke", "smoke-2": "smoke"}), puppets) as house:
        by = known("manager").by
        await house.covers.shield("smoke-1", 600, "steam", by)
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        lit = counts(await page(house))
        assert (lit["火警"], lit["屏蔽"]) == (0, 1)


async def test_an_empty_house_is_told_as_such_and_is_not_green(tmp_path: Path) -> None:
    async with living(config(tmp_path, {}), Puppets()) as house:
        text = await page(house)
        assert all(sentence in text for sentence in ("尚未配置设备。", "尚未配置平台", "还没有事件。"))
        assert 'class="verdict unknown"' in text


async def test_a_platform_out_of_reach_stands_in_the_top_line_with_what_waits(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(config(tmp_path, {"door-1": "door"}, {"district": to(1)}), puppets) as house:
        await puppets.emit("door-1", "access.granted")
        await until(house, lambda: house.uplinks[0].why is not None)
        text = await page(house)
        assert "平台:未连接(district)" in text
        assert "积压 1" in text
        assert "无法连接" in text


async def test_names_cannot_become_markup(tmp_path: Path) -> None:
    made = config(tmp_path, {"smoke-1": "smoke"})
    evil = made.devices[0].model_copy(update={"name": EVIL})
    made = made.model_copy(update={"devices": [evil], "site": made.site.model_copy(update={"name": f"'\"{EVIL}"})})
    puppets = Puppets()
    async with living(made, puppets) as house:
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        for language in ("zh", "en"):
            text = await page(house, language=language)
            assert EVIL not in text
            assert text.count("&lt;script&gt;") >= 2


@pytest.mark.parametrize(
    ("language", "said"), [("zh", "以火灾报警控制器为准"), ("en", "the fire alarm control panel decides")]
)
async def test_help_names_every_word_and_key(tmp_path: Path, language: str, said: str) -> None:
    async with living(config(tmp_path, {}), Puppets()) as house:
        text = await page(house, "/help", language)
        assert said in text
        assert all(word.say(language) in text for _, word in words.VERDICTS.values())


@pytest.mark.parametrize("path", ["/", "/help", "/stream", "/api/v1/events/stream"])
async def test_who_may_not_see_sees_nothing(tmp_path: Path, path: str) -> None:
    async with living(config(tmp_path, {}), Puppets()) as house:
        for visitor in (None, Visitor("meter", "platform", frozenset({"metrics"}))):
            async with visiting(house, visitor) as client:
                answer = await client.get(path)
                assert answer.status_code in (303, 401, 403)
                assert "阳光花园" not in answer.text


async def test_only_who_handles_alarms_is_asked_to_turn_the_sound_on(tmp_path: Path) -> None:
    async with living(config(tmp_path, {}), Puppets()) as house:
        assert 'id="duty"' in await page(house)
        async with visiting(house, known("auditor")) as client:
            assert 'id="duty"' not in (await client.get("/")).text
