"""What a platform sends back, over a real broker: kept across restarts, answered with evidence, overdue offline."""

import json
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from gateway.audit import By
from gateway.deeds import NotNow
from gateway.house import House
from tests.brokers import Mosquitto, subscribed
from tests.houses import Puppets, config, disk, living, to, until

AREA = "sc/v1/310104/013/002"
BY = By("王师傅", "manager", "page")
PAST, FUTURE = "2020-01-01T00:00:00.000Z", "2099-01-01T00:00:00Z"


def case(step: str, *alarms: str, **more: str) -> str:
    return json.dumps({"incident": "case-1", "alarms": alarms, "step": step, "time": PAST, "owner": "阳光物业"} | more)


async def published(broker: Mosquitto, tail: str, payload: str) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.publish(f"{AREA}/{tail}", payload, qos=1, retain=True)


async def stands(house: House, step: str) -> dict[str, Any]:
    book = await house.incidents.casebook.load()
    await until(house, lambda: any(c.told.step == step for c in book.values()))
    return (await house.incidents.list())[0]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_case_goes_its_way(tmp_path: Path, protocol: str) -> None:
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port) as city:
        made = config(tmp_path, {"door-1": "door"}, {"district": to(broker.port, protocol=protocol)})
        puppets = Puppets()
        async with living(made, puppets) as house:
            alarm = await puppets.emit("door-1", "door.held", "raise")
            await published(broker, "gw-0001/incident/case-1", case("dispatched", alarm, due=FUTURE))
            assert (await stands(house, "dispatched"))["may"] == ["handling", "handled"]
            await house.incidents.handling("case-1", BY, "在路上")
            await puppets.emit("door-1", "door.held", "clear")
            done = await house.incidents.handled("case-1", BY, "门已关", "p-1")
            assert done["step"] == "handled"
            assert done["evidence"][0]["back_to_normal"]
            with pytest.raises(NotNow):
                await house.incidents.handling("case-1", BY)
        async with living(made, Puppets()) as house:  # what was done is on disk
            assert (await house.incidents.list())[0]["step"] == "handled"
            await published(broker, "gw-0001/incident/case-1", case("handled", alarm))
            await city.until(
                lambda: any(len(e["data"].get("evidence", ())) for e in city.events() if e["type"] == "gateway.action")
            )
            await published(broker, "gw-0001/incident/case-1", "")
            book = await house.incidents.casebook.load()
            await until(house, lambda: not book)
            told = [e for e in await disk(house) if e["type"].startswith("operator.hand")]
        assert [(e["type"], e["subject"], e["data"]["note"]) for e in told] == [
            ("operator.handling", "door-1", "在路上"),
            ("operator.handled", "door-1", "门已关"),
        ]
        assert told[1]["data"]["picture"] == {"ref": "p-1"}


async def test_overdue_is_told_once_also_offline(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        made = config(tmp_path, {}, {"district": to(broker.port)})
        await published(broker, "gw-0001/incident/case-1", case("dispatched", due=FUTURE))
        async with living(made, Puppets()) as house:
            await stands(house, "dispatched")
            await broker.stop()
            book = await house.incidents.casebook.load()
            found = next(iter(book.values()))
            await house.incidents.casebook.keep(
                type(found)(
                    found.uplink,
                    case("dispatched", due=PAST),
                    found.told.model_copy(update={"due": PAST}),
                    found.mine,
                    1,
                )
            )
            await until(house, lambda: next(iter(book.values())).mine.overdue == PAST)
            assert (await house.incidents.list())[0]["overdue"] is True
        async with living(made, Puppets()) as house:
            told = [e for e in await disk(house) if e["type"] == "gateway.escalation"]
        assert [e["data"]["step"] for e in told] == ["overdue"]


async def test_notices_are_kept_expire_and_go(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        made = config(tmp_path, {}, {"district": to(broker.port)})
        notice = {"id": "n-1", "kind": "notice", "title": "停水\u202e通知", "text": "a\u0000b", "time": PAST}
        await published(broker, "notice/n-1", json.dumps(notice))
        await published(broker, "notice/n-2", json.dumps(notice | {"id": "n-2", "expires": PAST}))
        await published(broker, "notice/n-3", "no JSON")
        async with living(made, Puppets()) as house:
            kept = await house.notices.load()
            await until(house, lambda: kept)
        async with living(made, Puppets()) as house:
            (shown,) = await house.notices.list()
            assert (shown["title"], shown["text"]) == ("停水通知", "ab")
            assert (await house.notices.feedback())["quiet"] is False
            await published(broker, "notice/n-1", "")
            kept = await house.notices.load()
            await until(house, lambda: not kept)
