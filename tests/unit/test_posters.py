"""What stands on a real broker of each alarm: its document while it is not normal, and nothing after."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway import documents
from gateway.audit import By
from gateway.house import House
from gateway.retained import Retained
from tests.brokers import Mosquitto, Subscriber, free_port, subscribed
from tests.houses import Puppets, config, living, to

WANG = By("wang", "installer", "cli")
DEVICES = {"smoke-1": "smoke", "smoke-2": "smoke", "door-1": "door"}
TOPICS = "sc/v1/+/+/+/+/alarm/#"


def kept(heard: Subscriber) -> dict[str, Any]:
    """What the broker keeps, by alarm, as the subscriber has heard it; documents are as the contract says."""
    newest = {str(m.topic).rpartition("/")[2]: bytes(m.payload) for m in heard.messages}
    found = {name: json.loads(payload) for name, payload in newest.items() if payload}
    for document in found.values():
        documents.AlarmNow.model_validate(document)
    return found


def heard_of(heard: Subscriber, alarm: str) -> list[Any]:
    return [json.loads(bytes(m.payload) or b"null") for m in heard.messages if str(m.topic).endswith(alarm)]


def truth(house: House) -> set[str]:
    return {alarm["alarm"] for alarm in house.alarms()}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_document_follows_the_alarm_to_its_end(tmp_path: Path, protocol: str) -> None:
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port, TOPICS) as heard:
        puppets = Puppets()
        made = config(tmp_path, DEVICES, {"district": to(broker.port, protocol=protocol, retain_states=False)})
        async with living(made, puppets) as house:
            alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
            await heard.until(lambda: kept(heard).get(alarm, {}).get("delivery", {}).get("state") == "confirmed")
            document = kept(heard)[alarm]
            assert document["place"]["path"] == "gate"
            assert (document["state"], document["first_fire"]) == ("active_unacked", True)
            await house.duty.acknowledge(alarm, WANG, "seen")
            await heard.until(lambda: kept(heard)[alarm]["flags"]["acknowledged"])
            last = kept(heard)[alarm]["history"][-1]
            assert (last["step"], last["who"], last["from"], last["note"]) == ("ack", "wang", "cli", "seen")
            await house.covers.shield("smoke-1", 600, "works", WANG)
            await heard.until(lambda: kept(heard)[alarm]["state"] == "out_of_service")
            await house.covers.unshield("smoke-1", "done", WANG)
            await puppets.emit("smoke-1", "fire.smoke", "clear")
            await house.duty.dispose(alarm, WANG, "false")
            await heard.until(lambda: heard_of(heard, alarm)[-1] is None)
    assert all(bytes(m.payload) == b"" or "device" in json.loads(bytes(m.payload)) for m in heard.messages)


async def test_what_ends_while_the_link_is_away_or_the_daemon_restarts_is_cleared_too(tmp_path: Path) -> None:
    port = free_port()
    options = ("allow_anonymous true", "persistence true", f"persistence_location {tmp_path}/")
    made = config(tmp_path, DEVICES, {"district": to(port)})
    puppets = Puppets()
    async with living(made, puppets) as house:
        async with Mosquitto(tmp_path, *options, port=port), subscribed(port, TOPICS) as heard:
            ended = await puppets.emit("smoke-1", "fire.smoke", "raise")
            lasting = await puppets.emit("smoke-2", "fire.smoke", "raise")
            await heard.until(lambda: {ended, lasting} <= kept(heard).keys())
        await puppets.emit("smoke-1", "fire.smoke", "clear")
        await house.duty.dispose(ended, WANG, "real")
        unheard = await puppets.emit("door-1", "door.forced", "raise")
    puppets = Puppets()
    async with living(made, puppets) as house:
        await puppets.emit("door-1", "door.forced", "clear")
        await house.duty.dispose(unheard, WANG, "test")
        again = await puppets.emit("smoke-1", "fire.smoke", "raise")
        async with Mosquitto(tmp_path, *options, port=port), subscribed(port, TOPICS) as heard:
            await heard.until(lambda: kept(heard).keys() == truth(house) and again in truth(house))
            assert lasting in truth(house)
            assert not {ended, unheard} & truth(house)
            await heard.until(lambda: kept(heard)[again]["delivery"]["state"] == "confirmed")


async def test_each_uplink_has_only_what_it_may(tmp_path: Path) -> None:
    async with (
        Mosquitto(tmp_path) as one,
        Mosquitto(tmp_path) as other,
        subscribed(one.port, TOPICS) as all_of_it,
        subscribed(other.port, TOPICS) as doors,
    ):
        puppets = Puppets()
        uplinks = {"district": to(one.port), "police": to(other.port, types=["door.*"])}
        async with living(config(tmp_path, DEVICES, uplinks), puppets):
            fire = await puppets.emit("smoke-1", "fire.smoke", "raise")
            door = await puppets.emit("door-1", "door.forced", "raise")
            await all_of_it.until(lambda: {fire, door} <= kept(all_of_it).keys())
            await doors.until(lambda: door in kept(doors))
            assert fire not in kept(doors)


async def test_a_flood_of_one_alarm_is_no_flood_of_documents(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port, TOPICS) as heard:
        puppets = Puppets()
        async with living(config(tmp_path, DEVICES, {"district": to(broker.port)}), puppets) as house:
            alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
            await heard.until(lambda: alarm in kept(heard))
            started_s = asyncio.get_running_loop().time()
            for _ in range(20):
                await asyncio.gather(*(puppets.emit("smoke-1", "fire.smoke", "raise") for _ in range(50)))
            await heard.until(lambda: kept(heard)[alarm]["count"] == 1001)
            most = asyncio.get_running_loop().time() - started_s
            assert len(heard_of(heard, alarm)) <= 3 + most  # one a second, the first, its proof, one for the rounding
            assert truth(house) == {alarm}


async def test_sync_sends_them_again(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port, TOPICS) as heard:
        puppets = Puppets()
        async with living(config(tmp_path, DEVICES, {"district": to(broker.port)}), puppets) as house:
            alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
            await heard.until(lambda: kept(heard).get(alarm, {}).get("delivery", {}).get("state") == "confirmed")
            before = len(heard_of(heard, alarm))
            (uplink,) = house.uplinks
            assert uplink.delivery is not None
            await uplink.delivery.announce()
            await heard.until(lambda: len(heard_of(heard, alarm)) > before)


def test_nothing_is_a_payload_too_and_its_confirmation_is_told() -> None:
    retained, gone = Retained(), list[str]()
    retained.on_gone = gone.append
    retained.update("alarm/1", {"count": 1})
    retained.bar("alarm/1", "x")
    retained.update("alarm/1", None)
    assert retained.take(retained.rest) == ("alarm/1", "")
    retained.confirmed("alarm/1", "")
    assert gone == ["alarm/1"]
    retained.update("alarm/1", {"count": 2})
    assert retained.take(retained.rest) == ("alarm/1", '{"count":2}')  # it is not barred any more
