"""The HTTP interface under `/api/v1` as a machine uses it: what it answers, by whose right, and what it refuses."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import feedback
from gateway.audit import By
from gateway.driver import Command, Outcome, Picture
from gateway.house import House
from gateway.packets import Message
from gateway.web.visitor import RIGHTS, Right, Visitor
from tests.houses import Puppets, config, living, to
from tests.stocks import stocked
from tests.visitors import known, visiting

DEVICES = {"smoke-1": "smoke", "door-1": "door"}
WANG = By("王师傅", "duty", "page")
MACHINE = Visitor("rig", "platform", frozenset(RIGHTS), fresh=True)
OLD = "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f"


@pytest.fixture
def puppets() -> Puppets:
    return Puppets()


@pytest.fixture
async def house(tmp_path: Path, puppets: Puppets) -> AsyncIterator[House]:
    async with living(config(tmp_path, DEVICES, {"district": to(1)}), puppets) as house:
        yield house


@pytest.fixture
async def api(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(house, MACHINE) as client:
        yield client


async def got(api: httpx.AsyncClient, path: str) -> Any:
    answer = await api.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The refusal, in both languages."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["where"]
    assert error["what"]["en"]
    assert error["what"]["zh"]
    return error


# --- state, devices, events


async def test_answers_are_the_houses_own_documents(house: House, api: httpx.AsyncClient, puppets: Puppets) -> None:
    await puppets.emit("smoke-1", "fire.smoke", "raise", smoke_obscuration=1.32)
    assert (await got(api, "/devices"))["devices"] == house.devices()
    assert (await got(api, "/alarms"))["alarms"] == house.alarms()
    assert (await got(api, "/uplinks"))["uplinks"].keys() == {"district"}
    status = await got(api, "/status")
    assert (status["verdict"]["word"], set(status) - {"verdict"}) == ("fire", set(house.health()))
    assert await got(api, "/notices") == {"notices": [], "feedback": {"quiet": True}}
    assert await got(api, "/incidents") == {"incidents": []}


async def test_all_that_is_known_of_a_device(house: House, api: httpx.AsyncClient, puppets: Puppets) -> None:
    alarm = await puppets.emit("smoke-1", "device.battery_low", "raise", battery=2.9)
    told = await got(api, "/devices/smoke-1")
    assert told["battery"] == {"low": True, "values": {"battery": {"value": 2.9}}}
    assert [event["id"] for event in told["events"]] == [alarm]
    assert [one["alarm"] for one in told["open_alarms"]] == [alarm]
    assert (told["actions"], told["parts"], told["place_label"]) == (["unlock"], [], "大门")
    assert "battery" not in await got(api, "/devices/door-1")
    await refused(await api.get("/api/v1/devices/none"), 404)


async def test_events_by_pages(tmp_path: Path, puppets: Puppets) -> None:
    stock = stocked(tmp_path, 300)
    async with living(config(tmp_path, DEVICES), puppets) as house, visiting(house, MACHINE) as api:
        seen, path = [], "/events?limit=110"
        while path:
            page = await got(api, path)
            seen += [event["id"] for event in page["events"]]
            path = f"/events?limit=110&cursor={page['next']}" if "next" in page else ""
        assert seen == [event["id"] for event in stock]
        since, until = stock[40]["time"], stock[30]["time"]
        told = await got(api, f"/events?since={since}&until={until}&type=fire.*&type=access.denied&severity=critical")
        assert [event["id"] for event in told["events"]] == [
            event["id"] for event in stock[30:41] if event["type"] == "fire.smoke"
        ]
        assert (await got(api, "/events?since=2026-11-18T08:00:00 08:00&limit=1"))["events"]  # a + that got lost


@pytest.mark.parametrize(
    ("query", "where", "zh"),
    [
        ("typ=fire.*", "typ", "是否想写 type"),
        ("type=fire.smok", "type.0", "是否想写 fire.smoke"),
        ("severity=sever", "severity.0", "可用"),
        ("limit=501", "limit", "不能大于 500"),
        ("limit=0", "limit", "不能小于 1"),
        ("limit=x", "limit", "需要整数"),
        ("since=yesterday", "since", "需要时间"),
        ("until=2026-02-30", "until", "需要时间"),
        ("cursor=7", "cursor", "不符合格式"),
        ("text=" + "x" * 101, "text", "最多 100 个字符"),
        ("limit=0&since=x", "since", "limit"),
    ],
)
async def test_wrong_filters(api: httpx.AsyncClient, query: str, where: str, zh: str) -> None:
    error = await refused(await api.get(f"/api/v1/events?{query}"), 400)
    assert (error["where"], zh in error["what"]["zh"]) == (where, True), error


async def test_a_picture(house: House, api: httpx.AsyncClient) -> None:
    body = b"\xff\xd8 not much of a face"
    ref = (await house.pictures.keep("door-1", Picture(body, "image/jpeg")))["ref"]
    answer = await api.get(f"/api/v1/pictures/{ref}")
    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"  # nobody who comes later finds a face on the disk
    assert hashlib.sha256(body).hexdigest() in ref
    for other in ("none", "..%2F..%2Fevents.db", ref.replace("door-1", "door-2")):
        assert (await api.get(f"/api/v1/pictures/{other}")).status_code == 404


# --- alarms


async def test_the_life_of_an_alarm(house: House, api: httpx.AsyncClient, puppets: Puppets) -> None:
    alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
    other = await puppets.emit("door-1", "door.forced", "raise")
    path = f"/api/v1/alarms/{alarm}"
    silenced = (await api.post(f"{path}/silence")).json()
    assert (silenced["alarm"], silenced["flags"]["silenced"]) == (alarm, True)
    left = (await api.post("/api/v1/alarms/silence")).json()["silenced"]
    assert [one["alarm"] for one in left] == [other]
    acknowledged = (await api.post(f"{path}/acknowledge", json={"note": "已到现场"})).json()
    assert acknowledged["history"][-1] == {**acknowledged["history"][-1], "who": "rig", "note": "已到现场"}
    error = await refused(await api.post(f"{path}/reset"), 409)
    assert error["what"] == {"en": "its cause still lasts", "zh": "报警原因尚未消除"}
    disposed = (await api.post(f"{path}/dispose", json={"outcome": "false", "cause": "灰尘"})).json()
    assert disposed["outcome"] == "false"
    await puppets.emit("smoke-1", "fire.smoke", "clear")
    told = await got(api, f"/alarms/{alarm}")
    assert "alarm" not in told
    assert (told["ended"]["alarm"], told["ended"]["outcome"], told["ended"]["device"]) == (alarm, "false", "smoke-1")
    assert told["ended"]["cleared"] == told["events"][0]["time"]
    assert [event["type"] for event in told["events"]][-1] == "fire.smoke"
    assert [one["alarm"] for one in (await got(api, "/alarms?ended=true"))["ended"]] == [alarm]
    assert (await got(api, f"/alarms/{other[-8:]}"))["alarm"]["alarm"] == other


async def test_a_shelf(house: House, api: httpx.AsyncClient, puppets: Puppets) -> None:
    held = await puppets.emit("door-1", "door.held", "raise")
    fire = await puppets.emit("smoke-1", "fire.smoke", "raise")
    asked = {"seconds": 600, "reason": "搬家"}
    shelved = await api.post(f"/api/v1/alarms/{held}/shelve", json=asked)
    assert shelved.json()["flags"]["shelved"] is True
    await refused(await api.post(f"/api/v1/alarms/{fire}/shelve", json=asked), 409)
    await refused(await api.post(f"/api/v1/alarms/{held}/shelve", json=asked | {"seconds": 8 * 3600 + 1}), 400)
    lifted = await api.post(f"/api/v1/alarms/{held}/shelve", json=asked | {"seconds": 0})
    assert lifted.json()["flags"]["shelved"] is False


@pytest.mark.parametrize("alarm", [OLD, "abcdef", "zzzzzz", "01a207de-e9f3"])
async def test_an_alarm_that_there_is_not(api: httpx.AsyncClient, alarm: str) -> None:
    await refused(await api.get(f"/api/v1/alarms/{alarm}"), 404)
    await refused(await api.post(f"/api/v1/alarms/{alarm}/acknowledge"), 404)


# --- devices and the log


async def test_measures_laid_and_lifted(house: House, api: httpx.AsyncClient) -> None:
    asked = {"seconds": 600, "reason": "更换探测器"}
    assert (await api.post("/api/v1/devices/smoke-1/shield", json=asked)).json()["state"] == "shielded"
    assert (await api.post("/api/v1/devices/smoke-1/unshield", json={"reason": "已更换"})).json()["state"] != "shielded"
    await refused(await api.post("/api/v1/devices/smoke-1/unshield", json={"reason": "x"}), 409)
    await refused(await api.post("/api/v1/devices/none/shield", json=asked), 404)
    (drill,) = (await api.post("/api/v1/drills", json={"target": "gate", "seconds": 60})).json()["drills"]
    assert (drill["target"], drill["who"]) == ("gate", "rig")
    assert (await got(api, "/drills"))["drills"] == [drill]
    assert (await api.post("/api/v1/drills", json={"target": "gate", "seconds": 0})).json() == {"drills": []}
    await refused(await api.post("/api/v1/drills", json={"target": "moon", "seconds": 60}), 404)


async def test_a_door_is_opened(house: House, api: httpx.AsyncClient, puppets: Puppets) -> None:
    path, asked = "/api/v1/devices/door-1/commands", {"action": "unlock", "args": {"seconds": 5}}
    error = await refused(await api.post(path, json=asked), 409)  # no driver of it takes commands yet
    assert "供电" in error["do"]["zh"]
    opened: list[Command] = []
    link = await puppets.link("door-1")

    async def handler(command: Command) -> Outcome:
        opened.append(command)
        return Outcome("ok")

    with link.handle("door-1", ["unlock"], handler):
        done = await api.post(path, json=asked)
    assert (done.status_code, done.json()["status"]) == (200, "done")
    assert [(command.action, command.args["seconds"]) for command in opened] == [("unlock", 5)]
    lines = (await got(api, "/audit?limit=3"))["lines"]
    assert ("rig", "command.unlock", "door-1", "ok") in [
        (line["who"], line["what"], line["subject"], line["outcome"]) for line in lines
    ]


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"action": "unlok"}, "body"),
        ({"action": "unlock", "args": {"seconds": 0}}, "unlock.args.seconds"),
        ({"action": "unlock", "arg": {}}, "unlock.arg"),
        ({"action": "output", "args": {"number": 1}}, "output.args.state"),
        ({"action": "shelve", "args": {}}, "body"),
        ([], "body"),
    ],
)
async def test_commands_that_are_none(api: httpx.AsyncClient, asked: Any, where: str) -> None:
    error = await refused(await api.post("/api/v1/devices/door-1/commands", json=asked), 400)
    assert error["where"] == where, error


async def test_the_log_by_pages(house: House, api: httpx.AsyncClient) -> None:
    for number in range(7):
        await house.audit.put(WANG, "login", f"n{number}")
    seen, path = [], "/audit?limit=3"
    while path:
        page = await got(api, path)
        seen += [line["subject"] for line in page["lines"]]
        path = f"/audit?limit=3&before={page['next']}" if "next" in page else ""
    assert seen == [f"n{number}" for number in (6, 5, 4, 3, 2, 1, 0)]


# --- what the platforms tell


async def test_a_case_is_taken_in_hand_and_handled(house: House, api: httpx.AsyncClient) -> None:
    for uplink in ("district", "fire"):
        topic, payload = f"x/incident/{feedback.incident()['incident']}", json.dumps(feedback.incident()).encode()
        await house.incidents.casebook.hearing(uplink)(Message(topic, payload))
    listed = (await got(api, "/incidents"))["incidents"]
    assert {(case["uplink"], case["incident"]) for case in listed} == {("district", "case-0815"), ("fire", "case-0815")}
    await refused(await api.post("/api/v1/incidents/case-0815/handling"), 404)  # which of the two?
    path = "/api/v1/incidents/fire/case-0815"
    handling = (await api.post(f"{path}/handling", json={"note": "已派人"})).json()
    assert (handling["uplink"], handling["step"], handling["mine"]["who"]) == ("fire", "handling", "rig")
    handled = (await api.post(f"{path}/handled", json={"note": "已清理"})).json()
    assert (handled["step"], handled["mine"]["note"], handled["may"]) == ("handled", "已清理", [])
    error = await refused(await api.post(f"{path}/handling"), 409)
    assert "已处置" in error["what"]["zh"]


async def test_notices(house: House, api: httpx.AsyncClient) -> None:
    notice = feedback.notice() | {"expires": None}
    await house.notices.hearing("district")(Message(f"x/notice/{notice['id']}", json.dumps(notice).encode()))
    (told,) = (await got(api, "/notices"))["notices"]
    assert (told["id"], told["uplink"], told["kind"]) == (notice["id"], "district", notice["kind"])


# --- who may, and bodies


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/alarms/silence", "handle"),
        (f"/alarms/{OLD}/acknowledge", "handle"),
        (f"/alarms/{OLD}/dispose", "handle"),
        (f"/alarms/{OLD}/reset", "handle"),
        (f"/alarms/{OLD}/shelve", "cover"),
        ("/devices/door-1/commands", "doors"),
        ("/devices/door-1/shield", "cover"),
        ("/devices/door-1/unshield", "cover"),
        ("/drills", "cover"),
        ("/incidents/x/handling", "handle"),
        ("/incidents/x/handled", "handle"),
    ],
)
async def test_each_step_takes_its_right(house: House, path: str, right: Right) -> None:
    others: frozenset[Right] = frozenset(RIGHTS) - {right}
    async with visiting(house, Visitor("x", "platform", others, fresh=True)) as api:
        error = await refused(await api.post(f"/api/v1{path}", json={"bad": 1}), 403)
        assert right in error["what"]["en"]
    async with visiting(house, Visitor("x", "platform", frozenset({right}), fresh=True)) as api:
        assert (await api.post(f"/api/v1{path}", json={"bad": 1})).status_code == 400


async def test_a_door_takes_the_password_once_more(house: House) -> None:
    async with visiting(house, known("duty", fresh=False)) as api:
        answer = await api.post("/api/v1/devices/door-1/commands", json={"action": "unlock"})
    await refused(answer, 403)
    assert answer.headers["X-Step-Up"] == "1"


async def test_an_auditor_reads_and_duty_does_not_read_the_log(house: House) -> None:
    async with visiting(house, known("auditor")) as api:
        assert (await api.get("/api/v1/audit")).status_code == 200
        assert (await api.post("/api/v1/alarms/silence")).status_code == 403
    async with visiting(house, known("duty")) as api:
        assert (await api.get("/api/v1/audit")).status_code == 403


async def test_a_body_is_json_and_says_so(api: httpx.AsyncClient) -> None:
    body, kind = b'{"target": "", "seconds": 0}', {"Content-Type": "application/x-www-form-urlencoded"}
    await refused(await api.post("/api/v1/drills", content=body, headers=kind), 415)
    await refused(await api.post("/api/v1/drills", content=body, headers={"Content-Type": "text/plain"}), 415)
    said = {"Content-Type": "application/json; charset=utf-8"}
    assert (await api.post("/api/v1/drills", content=body, headers=said)).status_code == 200
    for broken in (b"{", b"\xff", b"[" * 100_000, b""):
        await refused(await api.post("/api/v1/drills", content=broken, headers=said), 400)
