"""The wall of devices and the page of one, as people on duty get them: of a whole gateway, in both languages."""

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from gateway.driver import Command, Driver, Outcome
from gateway.event import Phase, Reading, Value
from gateway.fields import DeviceConfig
from gateway.house import House
from gateway.web import words
from gateway.web.visitor import Role
from tests.houses import Puppets, disk, living
from tests.visitors import known, visiting
from tests.walls import EVIL, FLOOR, community, device

HTMX = {"HX-Request": "true"}
DONE = Outcome()


class Doors(Puppets):
    """Puppets whose driver takes all that a device can be asked for."""

    @property
    def drivers(self) -> dict[str, Driver[Any]]:
        actions = ("unlock", "lock", "release", "lockdown", "output", "snapshot", "reset")
        return {"puppet": Driver("Doors", DeviceConfig, self._run, lambda _config, _wire: (), actions=actions)}


HOUSE = (
    device("smoke-5", name="5层烟感", make="Renke", model="RS-YG", installed="2026-05-01", tested="2026-10-02"),
    device("smoke-10", "b3/u2/f10", name="10层烟感"),
    device("smoke-2", "b3/u2/f2", name="2层烟感"),
    device("door-1", "b3/u2", kind="door", name="单元门"),
    device("evil", "b1/u2/f1", name=EVIL, make=EVIL, model="</td>", kind="lamp"),
    device("cam-1", "gate", kind="camera"),
)


@asynccontextmanager
async def lived(folder: Path, *devices: dict[str, Any]) -> AsyncIterator[tuple[House, Doors]]:
    puppets = Doors()
    async with living(community(folder, devices or HOUSE), puppets) as house:
        for each in house.site.devices:
            await puppets.link(each.id)
        yield house, puppets


async def page(house: House, path: str, *, role: Role = "duty", language: str = "zh", status: int = 200) -> str:
    async with visiting(house, known(role), language=language) as client:
        answer = await client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text


def order(text: str, *names: str) -> bool:
    places = [text.index(name) for name in names]
    return places == sorted(places)


# the wall


@pytest.mark.parametrize(
    ("language", "words"), [("zh", ("设备墙", "从未应答", "公共")), ("en", ("Devices", "never heard", "shared"))]
)
async def test_floors_stand_as_they_stand_in_the_building(
    tmp_path: Path, language: str, words: tuple[str, ...]
) -> None:
    async with lived(tmp_path) as (house, _):
        text = await page(house, "/devices", language=language)
    assert all(word in text for word in words)
    assert order(text, "1号楼</a>", "3号楼</a>", "大门</a>")
    assert order(text[text.index("3号楼</a>") :], "10层烟感", "5层烟感", "2层烟感", "单元门")
    assert "normal" not in re.findall(r'class="tile (\w+)"', text)  # nothing has been heard of any: unknown


async def test_states_are_words_and_shapes_and_the_worst_comes_first(tmp_path: Path) -> None:
    devices = [device(f"d{n}", name=f"d{n}") for n in range(4)]
    async with lived(tmp_path, *devices) as (house, puppets):
        for name in ("d0", "d1", "d2"):
            await (await puppets.link(name)).seen(name)
        await (await puppets.link("d1")).lost("d1", "no-answer")
        await puppets.emit("d2", "fire.smoke", "raise")
        text = await page(house, "/devices", language="en")
    tiles = re.findall(r'class="tile (\w+)" href="/devices/(\w+)"', text)
    assert tiles == [("fire", "d2"), ("offline", "d1"), ("unknown", "d3"), ("normal", "d0")]
    for state, _ in tiles:
        shape, said = words.STATES[state]
        assert re.search(f'<span aria-hidden="true">{re.escape(shape)}</span> {said.en}', text)
    assert "3 of 4 not normal" in text


async def test_an_offline_device_says_when_it_was_heard_last_and_its_battery(tmp_path: Path) -> None:
    async with lived(tmp_path) as (house, puppets):
        link = await puppets.link("smoke-5")
        await link.seen("smoke-5")
        await puppets.emit("smoke-5", "device.battery_low", "raise", battery=9)
        await link.lost("smoke-5", "no-answer")
        text = await page(house, "/devices?state=offline", language="en")
    (tile,) = re.findall(r'<a class="tile.*?</a>', text, re.DOTALL)
    assert "heard <time" in tile
    assert "battery 9 %" in tile


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {"smoke-5", "smoke-10", "smoke-2", "door-1", "evil", "cam-1"}),
        ("building=b3", {"smoke-5", "smoke-10", "smoke-2", "door-1"}),
        ("building=b3&kind=door", {"door-1"}),
        ("kind=camera", {"cam-1"}),
        ("q=10层", {"smoke-10"}),
        ("q=%E6%91%84%E5%83%8F", {"cam-1"}),
        ("q=3号楼 烟感", {"smoke-5", "smoke-10", "smoke-2"}),
        ("state=abnormal", {"smoke-5", "smoke-10", "smoke-2", "evil", "cam-1"}),
        ("state=normal", {"door-1"}),
        ("state=fire", set()),
        ("building=none", set()),
        ("q=%3Cscript%3E", {"evil"}),
    ],
)
async def test_filters(tmp_path: Path, query: str, shown: set[str]) -> None:
    async with lived(tmp_path) as (house, puppets):
        await (await puppets.link("door-1")).seen("door-1")
        text = await page(house, f"/devices?{query}")
    assert set(re.findall(r'class="tile \w+" href="/devices/([\w-]+)"', text)) == shown
    assert ("没有符合条件的设备" in text) is (not shown)
    assert "<script>alert" not in text


async def test_a_house_without_devices_says_what_to_do(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(community(tmp_path, []), puppets) as house:
        assert "请安装员在配置中添加" in await page(house, "/devices")
        assert "installer adds them" in await page(house, "/devices", language="en")


async def test_five_hundred_devices_are_light_and_none_vanishes(tmp_path: Path) -> None:
    devices = [device(f"s-{b}-{f}-{n}", f"b{b}/u2/f{f}") for b in (1, 2, 3) for f in range(1, 13) for n in range(14)]
    async with lived(tmp_path, *devices) as (house, puppets):
        for name, link in puppets.links.items():
            await link.seen(name)
        await puppets.emit("s-2-7-3", "fire.smoke", "raise")
        async with visiting(house, known("duty")) as client:
            await client.get("/devices")
            began = time.perf_counter()
            text = (await client.get("/devices")).text
            took_s = time.perf_counter() - began
            all_of_one = (await client.get("/devices?building=b1")).text
    counted = sum(map(int, re.findall(r"([0-9]+) 台正常<", text)))
    assert re.findall(r'class="tile (?:fire|unknown)" href="/devices/([\w-]+)"', text) == ["s-2-7-3"]
    assert counted + 1 == len(devices)
    assert "8层–12层" in text
    assert all_of_one.count('class="tile normal" href="/devices/s-1-') == 168
    assert len(text.encode()) < 40_000
    assert took_s < 2.0  # some 40 ms where nothing else runs


async def test_who_is_nobody_sees_nothing(tmp_path: Path) -> None:
    async with lived(tmp_path) as (house, _), visiting(house, None) as client:
        for path in ("/devices", "/devices/door-1", "/devices/door-1/values"):
            assert (await client.get(path)).status_code in (303, 401, 403)
        assert (await client.post("/devices/door-1/do", data={"action": "unlock"})).status_code in (401, 403)


# the page of one


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("zh", ("5层烟感", "3号楼2单元5层", "感烟探测器", "Renke RS-YG", "2026-10-02", "状态无法确定", "尚无事件")),
        ("en", ("5层烟感", "smoke detector", "Renke RS-YG", "2026-10-02", "nobody knows how it is", "No event yet")),
    ],
)
async def test_a_device_says_what_it_is(tmp_path: Path, language: str, told: tuple[str, ...]) -> None:
    async with lived(tmp_path) as (house, _):
        text = await page(house, "/devices/smoke-5", language=language)
    assert [word for word in told if word not in text] == []


async def test_names_that_are_markup_stay_text_on_every_view(tmp_path: Path) -> None:
    async with lived(tmp_path) as (house, puppets):
        link = await puppets.link("evil")
        data = {"action": EVIL, "result": EVIL, "who": EVIL, "contact": EVIL}
        await link.emit(
            Reading("evil", "door.forced", Phase.RAISE, reason=EVIL, part={"text": EVIL}, data=data),
            Reading("evil", "telemetry.sample", Phase.PULSE, values={EVIL: Value(1, EVIL), "word": Value(EVIL)}),
        )
        for path in ("/devices", "/devices/evil", "/devices/evil/values"):
            text = await page(house, path, role="installer")
            assert "<script>alert" not in text
            assert ' onload="' not in text
            assert "&lt;script&gt;" in text


async def test_alarms_events_and_parts_of_a_device(tmp_path: Path) -> None:
    async with lived(tmp_path) as (house, puppets):
        link = await puppets.link("smoke-5")
        part = {"address": "0A000200", "text": "二层手报"}
        await link.emit(Reading("smoke-5", "fire.smoke", Phase.RAISE, part=part, reason="no-answer"))
        (alarm,) = house.alarms()
        text = await page(house, "/devices/smoke-5", language="en")
    assert f'href="/alarms/{alarm["alarm"]}"' in text
    assert "not acknowledged" in text
    assert "0A000200: Smoke alarm" in text
    assert "二层手报 · no answer" in text
    assert 'href="/plans?device=smoke-5"' in text


async def test_its_own_clock_is_told_where_it_is_wrong(tmp_path: Path) -> None:
    async with lived(tmp_path) as (house, puppets):
        behind = house.vitals.clock.utc() - timedelta(days=3, hours=1)
        reading = Reading("smoke-5", "door.forced", Phase.PULSE, device_time=behind)
        await (await puppets.link("smoke-5")).emit(reading)
        assert "3 d 1 h behind" in await page(house, "/devices/smoke-5", language="en")


async def test_charts_have_words_and_a_table(tmp_path: Path) -> None:
    async with lived(tmp_path) as (house, puppets):
        link = await puppets.link("smoke-5")
        values = [{"temperature": Value(value, "°C"), "on": Value(True)} for value in (21.5, 19.0, 23.0)]
        await link.emit(*(Reading("smoke-5", "telemetry.sample", Phase.PULSE, values=each) for each in values))
        whole = await page(house, "/devices/smoke-5/values", language="en")
        shown = await page(house, "/devices/smoke-5", language="en")
        async with visiting(house, known("duty"), language="zh") as client:
            fragment = (await client.get("/devices/smoke-5/values?hours=168", headers=HTMX)).text
            empty = (await client.get("/devices/door-1/values?hours=7", headers=HTMX)).text
    assert "temperature: least 19, most 23, last 23 °C" in whole
    assert re.search(r"data-points=\'\[\[\d+, 21\.5\], \[\d+, 19\.0\], \[\d+, 23\.0\]\]", whole)
    assert "<html" in whole
    assert "<html" not in fragment
    assert "温度曲线: 最低 19, 最高 23" in fragment
    assert "该时段没有测量数据" in empty
    assert re.search(r"temperature</th><td[^>]*>23.0 °C", shown)
    assert re.search(r"on</th><td[^>]*>yes", shown)


async def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    async with lived(tmp_path) as (house, _), visiting(house, known("manager")) as client:
        answers = [await client.get(f"/devices/{name}") for name in ("none", "none/values", "%3Cscript%3E")]
        answers += [await client.post(f"/devices/none/{step}", data=data) for step, data in STEPS.items()]
    assert [answer.status_code for answer in answers] == [404] * len(answers)


STEPS = {
    "do": {"action": "unlock"},
    "shield": {"hours": "8", "reason": "灰尘"},
    "drill": {"minutes": "10"},
}


# what it is asked to do


@asynccontextmanager
async def served(puppets: Doors, name: str, answer: Callable[[Command], Outcome]) -> AsyncIterator[list[Command]]:
    asked: list[Command] = []

    async def handler(command: Command) -> Outcome:
        asked.append(command)
        return answer(command)

    link = await puppets.link(name)
    with link.handle(name, ("unlock", "lock", "release", "lockdown", "output", "snapshot"), handler):
        yield asked


@asynccontextmanager
async def at_the_door(
    folder: Path, role: Role, answer: Outcome = DONE, *, fresh: bool = True
) -> AsyncIterator[tuple[httpx.AsyncClient, list[Command]]]:
    async with (
        lived(folder) as (house, puppets),
        served(puppets, "door-1", lambda _: answer) as asked,
        visiting(house, known(role, fresh=fresh)) as client,
    ):
        yield client, asked


async def do(client: httpx.AsyncClient, name: str = "door-1", **form: str) -> httpx.Response:
    return await client.post(f"/devices/{name}/do", data=form)


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_a_door_is_opened_by_name_and_the_contact_is_told(tmp_path: Path, language: str) -> None:
    async with lived(tmp_path) as (house, puppets):
        await puppets.emit("door-1", "door.open", "raise")
        async with (
            served(puppets, "door-1", lambda _: Outcome()) as asked,
            visiting(house, known("duty"), language=language) as client,
        ):
            answer = await do(client, action="unlock", seconds="7")
        events = await disk(house)
    said = unquote(answer.headers["x-said"])
    assert answer.status_code == 204
    assert said == {"zh": "已开门。 门磁:门已打开。", "en": "Opened. Its contact says that it was opened."}[language]
    assert [(command.action, command.args) for command in asked] == [("unlock", {"seconds": 7.0})]
    assert [event["data"]["who"] for event in events if event["type"] == "gateway.action"] == ["王师傅"]


@pytest.mark.parametrize(
    ("form", "args"),
    [
        ({"action": "lock"}, {}),
        ({"action": "release"}, {}),
        ({"action": "lockdown"}, {}),
        ({"action": "snapshot"}, {}),
        ({"action": "output", "number": "2", "state": "on"}, {"number": 2, "state": "on"}),
        (
            {"action": "output", "number": "0", "state": "off", "seconds": "3"},
            {"number": 0, "state": "off", "seconds": 3.0},
        ),
    ],
)
async def test_everything_else_that_its_driver_takes(
    tmp_path: Path, form: dict[str, str], args: dict[str, Any]
) -> None:
    async with at_the_door(tmp_path, "duty") as (client, asked):
        assert (await do(client, **form)).status_code == 204
    assert [(command.action, command.args) for command in asked] == [(form["action"], args)]


@pytest.mark.parametrize(
    ("code", "said"), [("device-refused", "设备拒绝执行"), ("timeout", "未在时限内"), ("device-offline", "设备无应答")]
)
async def test_what_was_not_done_says_why_and_what_next(tmp_path: Path, code: str, said: str) -> None:
    async with at_the_door(tmp_path, "duty", Outcome(code, "E7")) as (client, _):
        answer = await do(client, action="lock")
    error = answer.json()["error"]
    assert answer.status_code == 409
    assert said in error["what"]["zh"]
    assert "E7" in error["what"]["en"]
    assert error["where"] == "单元门"
    assert error["do"]["zh"]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"action": "reset"},
        {"action": "reload"},
        {"action": "unlock", "seconds": "abc"},
        {"action": "unlock", "seconds": "0"},
        {"action": "unlock", "seconds": "99999"},
        {"action": "output", "number": "x", "state": "on"},
        {"action": "output", "number": "1", "state": "maybe"},
        {"action": "output", "number": "1"},
    ],
)
async def test_a_form_that_makes_no_sense_moves_nothing(tmp_path: Path, form: dict[str, str]) -> None:
    async with at_the_door(tmp_path, "installer") as (client, asked):
        answer = await do(client, **form)
    assert answer.status_code == 409
    assert set(answer.json()["error"]) == {"where", "what", "do"}
    assert asked == []


@pytest.mark.parametrize(
    ("role", "fresh", "step", "form", "status"),
    [
        ("auditor", True, "do", {"action": "unlock"}, 403),
        ("auditor", True, "do", {"action": "snapshot"}, 403),
        ("duty", False, "do", {"action": "unlock"}, 403),
        ("duty", False, "do", {"action": "output", "number": "1", "state": "on"}, 403),
        ("duty", False, "do", {"action": "snapshot"}, 204),
        ("duty", True, "shield", {"hours": "8", "reason": "x"}, 403),
        ("duty", True, "unshield", {"reason": "x"}, 403),
        ("duty", True, "drill", {"minutes": "10"}, 403),
        ("manager", False, "shield", {"hours": "8", "reason": "x"}, 204),
    ],
)
async def test_who_may_do_what(
    tmp_path: Path, role: Role, fresh: bool, step: str, form: dict[str, str], status: int
) -> None:
    async with at_the_door(tmp_path, role, fresh=fresh) as (client, asked):
        answer = await client.post(f"/devices/door-1/{step}", data=form)
    assert answer.status_code == status
    assert ("x-step-up" in answer.headers) is (role == "duty" and not fresh and status == 403)
    assert bool(asked) is (status == 204 and step == "do")


@pytest.mark.parametrize(
    ("role", "shown", "hidden"),
    [("duty", "开门", ">屏蔽<"), ("manager", ">屏蔽<", "none"), ("auditor", "设备信息", "开门")],
)
async def test_nobody_is_shown_what_they_may_not_do(tmp_path: Path, role: Role, shown: str, hidden: str) -> None:
    async with lived(tmp_path) as (house, _):
        text = await page(house, "/devices/door-1", role=role)
    main = text[text.index("<main") : text.index("</main>")]
    assert shown in main
    assert hidden not in main or hidden == "none"


async def test_a_shield_is_laid_shown_and_lifted(tmp_path: Path) -> None:
    async with lived(tmp_path) as (house, _), visiting(house, known("manager")) as client:
        answer = await client.post("/devices/smoke-5/shield", data={"hours": "8", "reason": "装修<b>"})
        assert answer.headers["HX-Redirect"] == "/devices/smoke-5"  # its form is done with, and what it made is shown
        assert unquote(answer.headers["x-said"]) == "已屏蔽 8 小时。"
        text = (await client.get("/devices/smoke-5")).text
        assert "装修&lt;b&gt;" in text
        assert "解除屏蔽" in text
        lifted = await client.post("/devices/smoke-5/unshield", data={"reason": "已修复"})
        assert unquote(lifted.headers["x-said"]) == "已解除屏蔽。"
        again = await client.post("/devices/smoke-5/unshield", data={"reason": "已修复"})
        assert again.status_code == 409
        wrong = [
            {"hours": "0", "reason": "x"},
            {"hours": "8"},
            {"hours": "8", "reason": " "},
            {"hours": "1e9", "reason": "x"},
        ]
        answers = [await client.post("/devices/smoke-5/shield", data=form) for form in wrong]
        assert {answer.status_code for answer in answers} == {409}
        assert "解除屏蔽</summary>" not in (await client.get("/devices/smoke-5")).text


async def test_a_drill_begins_is_shown_and_ends(tmp_path: Path) -> None:
    async with lived(tmp_path) as (house, puppets), visiting(house, known("installer"), language="en") as client:
        answer = await client.post("/devices/smoke-5/drill", data={"minutes": "30"})
        assert unquote(answer.headers["x-said"]) == "It is tested for 30 min."
        await puppets.emit("smoke-5", "fire.smoke", "raise")
        text = (await client.get("/devices/smoke-5")).text
        assert "End it" in text
        assert house.alarms()[0]["test"] is True
        ended = await client.post("/devices/smoke-5/drill", data={"minutes": "0"})
        assert unquote(ended.headers["x-said"]) == "The test has ended."
        assert "End it" not in (await client.get("/devices/smoke-5")).text
        assert (await client.post("/devices/smoke-5/drill", data={"minutes": "-1"})).status_code == 409


async def test_addresses_are_shown_without_who_logs_in(tmp_path: Path) -> None:
    from gateway.web.device import _harmless

    assert _harmless("http://user:secret@192.0.2.64:8000/x?token=secret#secret") == "http://192.0.2.64:8000/x"
    assert _harmless(None) == ""
    async with lived(tmp_path) as (house, _):
        assert FLOOR not in await page(house, "/devices/cam-1")
