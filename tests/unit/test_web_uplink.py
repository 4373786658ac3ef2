"""`/uplink`: what is shown of each link, what is sent again, and how the last 24 hours are remembered."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
import trustme

from gateway.app import standing
from gateway.audit import lines_of
from gateway.clock import rfc3339
from gateway.config import UplinkConfig
from gateway.database import Row
from gateway.errors import LinkError, LinkRefused, Text
from gateway.event import Lane, Phase, Reading
from gateway.house import House
from gateway.identity import Identities
from gateway.letters import put_dead
from gateway.web.daybook import MOST_CHANGES, Daybook, Record, link_of
from gateway.web.uplink import hours, series
from gateway.web.validity import validities
from tests.brokers import Mosquitto, free_port
from tests.fakes import ManualClock
from tests.houses import Puppets, config, living, to, until
from tests.visitors import known, said, visiting

REFUSED = LinkRefused("district", Text("wrong password", "密码错误"), Text("correct it", "请改正"))
DOWN = LinkError("district", Text("no answer", "没有应答"), Text("look at the network", "请检查网络"))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Its one platform is not there, and nothing runs: a link is as a test says."""
    made = config(tmp_path, {"smoke-1": "smoke"}, {"district": to(free_port(), username="gw", password="p4ssword")})
    async with standing(made, Puppets().drivers) as house:
        yield house


def letter(number: int, reason: str, house: House) -> partial[int]:
    """A dead one, as the store takes it."""
    identity = Identities().next(1_800_000_000_000)
    row = Row(number, 1_800_000_000_000, {"district": number}, f'{{"type":"fire.smoke","id":"{identity}"}}', "")
    return partial(put_dead, uplink="district", lane=Lane.ALARM, row=row, reason=reason)


async def page(house: House, language: str = "zh") -> str:
    async with visiting(house, known("installer"), language=language) as client:
        answer = await client.get("/uplink")
        assert answer.status_code == 200
        return answer.text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh", ("断开时本机继续记录,恢复后补传", "重连中", "没有应答", "待上报 1 条", "所有事件")),
        ("en", ("goes on recording", "connecting again", "no answer", "1 waiting to be sent", "every event")),
    ],
)
async def test_a_link_that_is_down_says_why_and_what_waits(house: House, language: str, words: tuple[str, ...]) -> None:
    await house.pipeline.accept([Reading("smoke-1", "fire.smoke", Phase.RAISE)])
    (uplink,) = house.uplinks
    uplink.why = DOWN
    await uplink.parts.outbox.load()
    text = await page(house, language)
    for word in words:
        assert word in text
    assert "p4ssword" not in text
    assert f"mqtt://127.0.0.1:{house.config.uplinks['district'].endpoint.port}" in text
    assert not re.search(r"\sstyle=|\son\w+=", text)


async def test_nobody_to_tell_is_said_as_such(tmp_path: Path) -> None:
    async with living(config(tmp_path, {"smoke-1": "smoke"}), Puppets()) as house:
        text = await page(house)
    assert "尚未配置上行平台" in text
    assert "<form hx-post" not in text


async def test_the_state_is_one_of_five(house: House) -> None:
    (uplink,) = house.uplinks
    uplink.why, uplink.connected = None, False
    assert link_of(uplink) == "disconnected"
    uplink.why = REFUSED
    assert link_of(uplink) == "refused"
    assert "对方拒绝" in await page(house)
    uplink.why = DOWN
    assert link_of(uplink) == "retrying"
    uplink.why, uplink.connected = None, True
    assert link_of(uplink) == "connected"
    uplink.deaf = REFUSED
    assert link_of(uplink) == "deaf"
    text = await page(house)
    uplink.connected = False
    assert "收不到下发操作" in text
    assert "密码错误" in text


async def test_what_the_platform_does_not_take_is_listed_with_what_to_do(house: House) -> None:
    await house.store.transact(letter(7, "too-large", house))
    await house.store.transact(letter(8, "<b>odd</b>", house))
    text = await page(house)
    assert "请平台调大上限后重发" in text
    assert "&lt;b&gt;odd&lt;/b&gt;" in text
    assert "<b>odd" not in text
    assert 'name="first" value="0000000000000007"' in text
    assert "感烟火警" in text


async def test_a_kind_that_the_platform_does_not_take_is_told(house: House) -> None:
    assert "目前不接收" not in await page(house)
    house.uplinks[0].parts.outbox.queues[Lane.EVENT].refused_s = 5.0
    assert "平台目前不接收事件。数据已保留并自动重试" in await page(house)


# --- sending again


@pytest.mark.parametrize("role", ["duty", "manager", "auditor"])
async def test_only_who_configures_sends_again(house: House, role: str) -> None:
    async with visiting(house, known(role)) as client:  # type: ignore[arg-type]
        assert 'hx-post="/uplink/resend"' not in (await client.get("/uplink")).text
        answer = await client.post("/uplink/resend", data={"stream": "district.alarm", "first": "1"})
    assert answer.status_code == 403


async def test_a_range_is_sent_again_and_audited(house: House) -> None:
    async with visiting(house, known("installer")) as client:
        answer = await client.post("/uplink/resend", data={"stream": "district.alarm", "first": " 1 ", "last": ""})
    assert answer.status_code == 204
    assert said(answer) == "正在重发 0 条"
    (line,) = await house.store.read(partial(lines_of, what="command.resend", limit=5))
    assert (line["who"], line["subject"], line["first"]) == ("王师傅", "district.alarm", 1)


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"stream": "district.alarm", "first": "x"}, 409, "必须是数字"),
        ({"stream": "district.alarm", "first": "5", "last": "4"}, 409, "终止序号小于起始序号"),
        ({"stream": "nowhere.alarm", "first": "1"}, 404, "没有这个流"),
        ({"stream": "district.alarm", "first": "1" * 12_000}, 409, "必须是数字"),
        ({"stream": "district.alarm", "first": "1" * 20_000}, 413, "请求内容过大"),
    ],
)
async def test_a_wrong_range_is_told(house: House, form: dict[str, str], status: int, said: str) -> None:
    async with visiting(house, known("installer")) as client:
        answer = await client.post("/uplink/resend", data=form)
    assert (answer.status_code, said in answer.json()["error"]["what"]["zh"]) == (status, True)


# --- the last 24 hours


def remembered(house: House) -> tuple[Record, ManualClock]:
    clock = ManualClock(datetime.now(UTC))
    return Record(house.uplinks[0], clock), clock


async def test_a_minute_is_what_was_seen_in_it(house: House) -> None:
    record, clock = remembered(house)
    (uplink,) = house.uplinks
    queue = uplink.parts.outbox.queues[Lane.ALARM]
    for connected, confirmed in ((True, 2), (False, 3), (False, 3)):
        uplink.connected, queue.confirmed = connected, confirmed
        record.tick()
        clock.advance(20)
    uplink.connected = True
    record.tick()
    uplink.connected = False
    first, second = record.minutes
    assert (first.ticks, first.up, first.confirmed) == (3, 1, 3)
    assert (second.ticks, second.up, second.confirmed) == (1, 1, 0)
    assert record.online_share() == 0.5
    told = series(record)
    assert told["connected"] == [33, 100]
    assert told["time"][1] - told["time"][0] == 60
    assert sum(hour.confirmed for hour in hours(record)) == 3


async def test_no_more_than_a_day_is_kept(house: House) -> None:
    record, clock = remembered(house)
    for _ in range(1500):
        record.tick()
        clock.advance(60)
    assert len(record.minutes) == 1440
    assert 24 <= len(list(hours(record))) <= 25


async def test_changes_of_the_connection_are_kept_with_why(house: House) -> None:
    record, _ = remembered(house)
    (uplink,) = house.uplinks
    uplink.why = REFUSED
    for _ in range(MOST_CHANGES + 5):
        uplink.on_change(uplink)
    assert len(record.changes) == MOST_CHANGES
    assert (record.changes[-1].link, record.changes[-1].why) == ("refused", REFUSED.what)


async def test_how_long_alarms_take_to_be_confirmed(tmp_path: Path) -> None:
    puppets = Puppets()
    async with Mosquitto(tmp_path) as broker:
        made = config(tmp_path, {"smoke-1": "smoke", "smoke-2": "smoke"}, {"district": to(broker.port)})
        async with living(made, puppets) as house, visiting(house, known("duty")) as client:
            daybook = Daybook(house)
            daybook.look()
            assert daybook.records["district"].confirms() is None
            await until(house, lambda: house.uplinks[0].connected)
            for device in ("smoke-1", "smoke-2"):
                await puppets.emit(device, "fire.smoke", "raise")
            await until(house, lambda: (found := daybook.records["district"].confirms()) and found.count == 2)
            found = daybook.records["district"].confirms()
            assert found is not None
            assert 0 <= found.median_s <= found.longest_s < 10
            daybook.look()
            assert series(daybook.records["district"])["longest_s"] == [found.longest_s]
            text = (await client.get("/uplink")).text
            told = (await client.get("/uplink/district/day")).json()
            assert (await client.get("/uplink/none/day")).status_code == 404
    assert told["connected"] == [100]
    assert "已连接" in text
    assert "已全部上报" in text


# --- certificates


def test_certificates_tell_how_long_they_are_good(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    soon = authority.issue_cert("gw", not_after=now + timedelta(days=12, hours=1))
    soon.private_key_and_cert_chain_pem.write_to_path(tmp_path / "gw.pem")
    tls = {"ca": tmp_path / "ca.pem", "cert": tmp_path / "gw.pem", "key": tmp_path / "gw.pem"}
    made = UplinkConfig.model_validate({"url": "mqtts://127.0.0.1", "tls": tls})
    cert, ca = validities(made, now)
    assert (cert.use, cert.state, cert.days_left) == ("cert", "soon", 12)
    assert cert.day("Asia/Shanghai") > rfc3339(now)[:10]
    assert (ca.use, ca.state) == ("ca", "good")
    late = next(iter(validities(made, now + timedelta(days=20))))
    assert late.state == "over"
    (tmp_path / "gw.pem").write_text("nonsense")
    (tmp_path / "ca.pem").unlink()
    assert [(paper.state, paper.day("Asia/Shanghai")) for paper in validities(made, now)] == [("unreadable", "")] * 2
    assert list(validities(UplinkConfig.model_validate({"url": "mqtt://127.0.0.1"}), now)) == []


async def test_the_running_page_remembers_by_itself(tmp_path: Path) -> None:
    """Its errand is the daemon's own."""
    port = free_port()
    made = config(tmp_path, {"smoke-1": "smoke"}, {"district": to(free_port())}, web={"listen": f"127.0.0.1:{port}"})
    async with living(made, Puppets()) as house, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await until(house, lambda: house.uplinks[0].why)
        told = (await client.get("/uplink/district/day")).json()
        text = (await client.get("/uplink")).text
    assert told["connected"] == [0]
    assert re.search(r"\(([1-9]\d*)\)</summary>", text)  # changes of the connection
