"""mqtt_in in the real daemon: from a hub's broker to the district's, found devices, kill -9, an orderly restart."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pytest

from drivers.sim.mqtt_in import ChirpStack, Player, Source, Zigbee2mqtt, said
from tests.brokers import Mosquitto, Subscriber, subscribed
from tests.faults.daemon import BASE, Daemon

UPLINKS, BURST = 300, 100
CONNECTED = "mqtt_in[hub]: connected to"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """The hub's, and the district's as well."""
    async with Mosquitto(tmp_path, "allow_anonymous true", "max_queued_messages 0") as made:
        yield made


def devices(source: Source, port: int, **own: str) -> list[str]:
    """Lines of gateway.yaml."""
    more = "".join(f", {key}: {value}" for key, value in own.items())
    hub = f"{{id: hub, driver: mqtt_in, url: 'mqtt://127.0.0.1:{port}', profile: {source.kind}, place: b3{more}}}"
    behind = enumerate(map(source.address, source.devices), 1)
    return [
        hub,
        *(f"{{id: d-{n}, driver: mqtt_in, hub: hub, address: '{at}', kind: smoke, place: b3}}" for n, at in behind),
    ]


@lru_cache(maxsize=4096)
def decoded(payload: bytes) -> dict[str, Any]:
    """An event; each is looked at again and again."""
    found: dict[str, Any] = json.loads(payload)
    return found


def events(district: Subscriber, type: str) -> list[dict[str, Any]]:
    """Of one type, each once, in the order of their first arrival."""
    payloads = (bytes(message.payload) for message in district.messages if "/event/" in str(message.topic))
    found = {event["id"]: event for event in map(decoded, payloads) if event["type"] == type}
    return list(found.values())


async def test_from_a_detector_to_the_district(tmp_path: Path, broker: Mosquitto) -> None:
    source = Zigbee2mqtt(["3号楼/烟感", "new"])
    lines = devices(source, broker.port, ids='"z2m-{address}"')[:2]
    async with (
        subscribed(broker.port, f"{BASE}/#") as district,
        Player(source, "127.0.0.1", broker.port) as player,
        Daemon(tmp_path, uplink=broker.port, devices=lines) as daemon,
    ):
        await daemon.start()
        await daemon.logged(lambda log: any(CONNECTED in line for line in log))
        await player.say([*source.smoke("3号楼/烟感", True), *source.smoke("new", True)])
        await district.until(lambda: events(district, "fire.smoke"))
        await player.say([source.state("3号楼/烟感"), *source.smoke("3号楼/烟感", False)])
        await district.until(lambda: len(events(district, "fire.smoke")) == 2)
        raised, cleared = events(district, "fire.smoke")
        await daemon.logged(lambda log: any("found, and left alone until it is adopted" in line for line in log))
        status, _ = await daemon.stop()
    assert status == 0
    assert (raised["subject"], raised["phase"], raised["severity"]) == ("d-1", "raise", "critical")
    assert raised["data"]["codes"]["gb26875.3"]["part"] == 40
    assert raised["data"]["values"]["battery"] == {"value": 100, "unit": "%"}
    assert cleared["data"]["alarm"] == raised["data"]["alarm"]
    listed = (daemon.state / "keys" / "mqtt-in-hub.found.yaml").read_text("utf-8")
    assert "z2m-0x00158d0000000002" in listed
    assert "d-1" not in listed


async def test_an_alarm_does_not_wait_for_gathering_values(tmp_path: Path, broker: Mosquitto) -> None:
    """Values gather for half a second on their way to the disk; what burns meanwhile does not."""
    source = Zigbee2mqtt(["a"])
    async with (
        subscribed(broker.port, f"{BASE}/event/#") as district,
        Player(source, "127.0.0.1", broker.port) as player,
        Daemon(tmp_path, uplink=broker.port, devices=devices(source, broker.port)) as daemon,
    ):
        await daemon.start()
        await daemon.logged(lambda log: any(CONNECTED in line for line in log))
        await player.say([source.state("a", temperature=1), source.state("a", temperature=2, smoke=True)])
        await district.until(lambda: events(district, "fire.smoke"))
        await district.until(lambda: len(events(district, "telemetry.sample")) >= 2)
        order = [decoded(bytes(message.payload))["type"] for message in district.messages]
    assert order.index("fire.smoke") < len(order) - 1


async def publish(source: ChirpStack, port: int, numbers: Iterable[int]) -> None:
    """Uplinks of QoS 1 with their own keys, as fast as the broker takes them."""
    async with Player(source, "127.0.0.1", port) as player:
        for number in numbers:
            await player.say([source.up(source.devices[number % 3], {"level": number}, key=f"key-{number}")])


def connected(times: int, log: list[str]) -> bool:
    """Has the driver connected so often?"""
    return sum(CONNECTED in line for line in log) >= times


async def test_killed_in_the_middle_nothing_is_lost_and_order_is_kept(tmp_path: Path, broker: Mosquitto) -> None:
    source = ChirpStack(["a", "b", "c"])
    keys: list[str] = []

    def arrived() -> int:
        keys[:] = [event["data"]["raw"]["deduplicationId"] for event in events(district, "telemetry.sample")]
        return len(set(keys))

    async with (
        subscribed(broker.port, f"{BASE}/event/telemetry") as district,
        Daemon(tmp_path, uplink=broker.port, devices=devices(source, broker.port)) as daemon,
    ):
        await daemon.start()
        for first in range(0, UPLINKS, BURST):
            connections = first // BURST + 1
            await daemon.logged(partial(connected, connections))
            before = arrived()
            publishing = asyncio.create_task(publish(source, broker.port, range(first, first + BURST)))
            await district.until(lambda before=before: arrived() > before)  # type: ignore[misc]
            await daemon.kill()
            await daemon.start()
            await publishing
        await district.until(lambda: arrived() == UPLINKS)
        samples = events(district, "telemetry.sample")
    assert set(keys) == {f"key-{number}" for number in range(UPLINKS)}
    for device in ("d-1", "d-2", "d-3"):
        levels = [event["data"]["values"]["level"]["value"] for event in samples if event["subject"] == device]
        assert list(dict.fromkeys(levels)) == sorted(set(levels))


async def test_an_orderly_restart_repeats_nothing_even_without_a_key(tmp_path: Path, broker: Mosquitto) -> None:
    source = Zigbee2mqtt(["a"])
    address = source.address("a")
    async with (
        subscribed(broker.port, f"{BASE}/event/#") as district,
        Player(source, "127.0.0.1", broker.port) as player,
        Daemon(tmp_path, uplink=broker.port, devices=devices(source, broker.port)) as daemon,
    ):
        await daemon.start()
        await daemon.logged(lambda log: any(CONNECTED in line for line in log))
        for number in range(20):  # the last ones gather when it is told to stop
            await player.say([said(f"zigbee2mqtt/{address}", {"action": f"a{number}", "temperature": number}, qos=1)])
        await district.until(lambda: len(events(district, "device.unmapped")) == 20)
        assert (await daemon.stop())[0] == 0
        await player.say([said(f"zigbee2mqtt/{address}", {"action": "last", "temperature": 99}, qos=1)])
        await daemon.start()
        await district.until(
            lambda: any(e["data"]["raw"]["action"] == "last" for e in events(district, "device.unmapped"))
        )
        await district.until(
            lambda: any(e["data"]["values"]["temperature"]["value"] == 99 for e in events(district, "telemetry.sample"))
        )
    assert len(events(district, "device.unmapped")) == len(events(district, "telemetry.sample")) == 21
