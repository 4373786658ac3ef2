"""mqtt_in on real mosquitto: every hub's messages, acknowledged after the commit, through losses and refusals."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from drivers.mqtt_in import DRIVER
from drivers.sim.mqtt_in import SOURCES, ChirpStack, Frigate, Player, Source, Zigbee2mqtt, said
from gateway.driver import Line
from gateway.errors import DeviceError, NeedsPerson
from gateway.event import Phase, Reading
from tests.brokers import WAIT_S, Mosquitto, Wire, free_port
from tests.fakes import FastClock, RecordingLink

NAME = "3号楼/烟感 1"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path) as made:
        yield made


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink(FastClock(20))


def line(source: Source, port: int, *, url: str = "mqtt://127.0.0.1", **hub: Any) -> Line[Any]:
    """The hub and its devices, `device-1` and so on, as gateway.yaml would have them."""
    base = {"base": source.base} if source.kind == "json" else {}
    own = {"conditions": {"Switch1": "fire.smoke"}} if source.condition == "Switch1" else {}
    hub = {"id": "hub", "url": f"{url}:{port}", "profile": source.kind, **base, **hub}
    entries = [{"id": f"device-{n}", "hub": "hub", "address": source.address(name), **own}
               for n, name in enumerate(source.devices, 1)]  # fmt: skip
    made = [DRIVER.Config.model_validate({"driver": "mqtt_in", "place": "b3", **entry}) for entry in (hub, *entries)]
    return Line("hub", None, tuple(made))


@asynccontextmanager
async def running(to: RecordingLink, served: Line[Any]) -> AsyncIterator["asyncio.Task[None]"]:
    """The driver, while the block lasts."""
    task = asyncio.ensure_future(DRIVER.run(served, to))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def heard(link: RecordingLink, device: str = "device-1") -> None:
    """The device has been heard."""
    await link.until(lambda: device in link.seen_count, WAIT_S)


async def connected(link: RecordingLink) -> None:
    """The hub has been heard."""
    await heard(link, "hub")


def told(link: RecordingLink, type: str, device: str = "device-1") -> list[Phase]:
    """The phases of a type, in order."""
    return [reading.phase for reading in link.readings if (reading.type, reading.device) == (type, device)]


def count(link: RecordingLink, type: str) -> int:
    """How many of a type."""
    return sum(reading.type == type for reading in link.readings)


# each hub


@pytest.mark.parametrize("kind", sorted(SOURCES))
async def test_a_repeated_report_is_a_state_and_no_second_alarm(
    kind: str, broker: Mosquitto, link: RecordingLink
) -> None:
    source = SOURCES[kind](["front" if kind == "frigate" else "detector"])
    (device,) = source.devices
    type = "video.intrusion" if kind == "frigate" else "fire.smoke"
    async with Player(source, "127.0.0.1", broker.port) as player, running(link, line(source, broker.port)):
        await link.until(lambda: link.presence, WAIT_S)
        raised = source.smoke(device, True)
        await player.say(raised)
        await player.say(raised)
        await player.say(source.smoke(device, False))
        await player.say(source.smoke(device, False) if kind != "frigate" else [])
        await link.until(lambda: Phase.CLEAR in told(link, type), WAIT_S)
    assert told(link, type) == [Phase.RAISE, Phase.CLEAR]
    assert "device-1" in link.seen_count


@pytest.mark.parametrize(
    ("kind", "name", "unit"),
    [("zigbee2mqtt", "temperature", "°C"), ("chirpstack", "ppm", ""), ("tasmota", "temperature", "°C"),
     ("shelly", "battery", "%"), ("shelly-gen1", "temperature", "°C"), ("json", "temperature", "°C")],
)  # fmt: skip
async def test_measured_values(kind: str, name: str, unit: str, broker: Mosquitto, link: RecordingLink) -> None:
    source = SOURCES[kind](["detector"])
    async with Player(source, "127.0.0.1", broker.port) as player, running(link, line(source, broker.port)):
        await link.until(lambda: link.presence, WAIT_S)
        await player.say(source.measure("detector", name, 20.5))
        await link.until(lambda: any(20.5 in [v.value for v in r.values.values()] for r in link.readings), WAIT_S)
    last = link.readings[-1]
    assert (last.type, last.phase) == ("telemetry.sample", Phase.PULSE)
    assert unit in {value.unit for value in last.values.values() if value.value == 20.5}


async def test_a_test_is_marked_and_what_it_began_becomes_real(broker: Mosquitto, link: RecordingLink) -> None:
    source = Zigbee2mqtt([NAME])
    async with Player(source, "127.0.0.1", broker.port) as player, running(link, line(source, broker.port)):
        await heard(link)
        await player.say(source.test(NAME, True))
        await player.say([source.state(NAME, test=False)])
        await player.say([source.state(NAME, smoke=False)])
        await link.until(lambda: Phase.CLEAR in told(link, "fire.smoke"), WAIT_S)
    smoke = [(reading.phase, reading.test) for reading in link.of("fire.smoke")]
    assert smoke == [(Phase.RAISE, True), (Phase.RAISE, False), (Phase.CLEAR, False)]
    assert told(link, "device.test") == [Phase.RAISE, Phase.CLEAR]


# zigbee2mqtt


@pytest.mark.parametrize("old_forms", [False, True])
async def test_availability_in_both_forms(old_forms: bool, broker: Mosquitto, link: RecordingLink) -> None:
    source = Zigbee2mqtt([NAME])
    source.old_forms = old_forms
    async with Player(source, "127.0.0.1", broker.port) as player, running(link, line(source, broker.port)):
        await heard(link)
        await player.say(source.presence(NAME, False))
        await link.until(lambda: link.offline == {"device-1": "reported-offline"}, WAIT_S)
        await player.say(source.presence(NAME, True))
        await link.until(lambda: not link.offline, WAIT_S)


async def test_a_renamed_device_stays_the_same_device(broker: Mosquitto, link: RecordingLink) -> None:
    source = Zigbee2mqtt([NAME])
    async with Player(source, "127.0.0.1", broker.port) as player, running(link, line(source, broker.port)):
        await heard(link)
        await player.say(source.rename(NAME, "大厅"))
        await player.say(source.smoke("大厅", True))
        await link.until(lambda: told(link, "fire.smoke"), WAIT_S)


async def test_retained_states_wait_for_the_inventory(broker: Mosquitto, link: RecordingLink) -> None:
    """mosquitto sends what is retained by the order of topics: the device's before the bridge's."""
    source = Zigbee2mqtt(["a"])
    async with Player(source, "127.0.0.1", broker.port) as player:
        await player.say([said("zigbee2mqtt/a", {"smoke": True}, retain=True)])
        async with running(link, line(source, broker.port)):
            await link.until(lambda: told(link, "fire.smoke"), WAIT_S)
    assert "mqtt-in-hub.found.yaml" not in link.secrets


async def test_an_unknown_device_is_listed_and_not_forwarded(broker: Mosquitto, link: RecordingLink) -> None:
    source = Zigbee2mqtt(["known", "新 烟感"])
    served = line(source, broker.port, ids="z2m-{address}")
    served = Line("hub", None, served.devices[:2])
    async with Player(source, "127.0.0.1", broker.port) as player, running(link, served):
        await heard(link)
        await player.say(source.smoke("新 烟感", True))
        await player.say(source.smoke("known", True))
        await link.until(lambda: told(link, "fire.smoke"), WAIT_S)
    assert {reading.device for reading in link.readings} == {"device-1"}
    listed = link.secrets["mqtt-in-hub.found.yaml"].decode()
    assert listed.count("driver: mqtt_in") == 1
    assert '{id: z2m-0x00158d0000000002, driver: mqtt_in, hub: hub, address: "0x00158d0000000002"' in listed
    assert "新 烟感, HEIMAN, HS1SA" in listed


async def test_the_hub_takes_its_devices_along(broker: Mosquitto, link: RecordingLink) -> None:
    source = Zigbee2mqtt(["a", "b"])
    async with running(link, line(source, broker.port)):
        async with Player(source, "127.0.0.1", broker.port) as player:
            await heard(link, "device-2")
            await player.say([source.will()])
            await link.until(lambda: link.offline.get("device-2") == "hub-offline", WAIT_S)
            assert link.offline == {"hub": "reported-offline", "device-1": "hub-offline", "device-2": "hub-offline"}
        async with Player(source, "127.0.0.1", broker.port):
            await link.until(lambda: not link.offline, WAIT_S)


# Frigate and ChirpStack


async def test_an_alert_whose_end_nobody_tells_ends_with_frigate(broker: Mosquitto, link: RecordingLink) -> None:
    source = Frigate(["front"])
    async with Player(source, "127.0.0.1", broker.port) as player, running(link, line(source, broker.port)):
        await heard(link)
        await player.say(source.review("front", "detection", True))
        await player.say(source.review("front", "alert", True, update=True))
        await link.until(lambda: told(link, "video.intrusion"), WAIT_S)
        await player.say([source.will()])
        await link.until(lambda: "device-1" in link.offline, WAIT_S)
    assert told(link, "video.motion") == told(link, "video.intrusion") == [Phase.RAISE, Phase.CLEAR]
    assert "Bob" not in str(link.readings)


async def test_one_uplink_twice_is_one(broker: Mosquitto, link: RecordingLink) -> None:
    source = ChirpStack(["meter"])
    async with Player(source, "127.0.0.1", broker.port) as player, running(link, line(source, broker.port)):
        await connected(link)
        twice = source.up("meter", None, key="3ac7e3c4")
        await player.say([twice, twice, source.up("meter", {"level": 7})])
        await link.until(lambda: count(link, "telemetry.sample"), WAIT_S)
    (unknown,) = link.of("device.unmapped")
    assert unknown.raw["data"] == "qg=="
    assert unknown.raw["fCnt"] == 0


# the promise


async def published(source: Source, port: int, *messages: Any) -> None:
    async with Player(source, "127.0.0.1", port) as player:
        await player.say(messages)


async def test_nothing_is_acknowledged_before_it_is_on_disk(broker: Mosquitto, link: RecordingLink) -> None:
    """A run that ends while the disk is slow has acknowledged nothing: the next one hears it again."""
    source = Zigbee2mqtt(["a"])
    source.qos = 1
    served = line(source, broker.port)
    reached = asyncio.Event()

    async def slow_disk(readings: tuple[Reading, ...]) -> None:
        reached.set()
        await asyncio.Event().wait()

    async with Player(source, "127.0.0.1", broker.port) as player, running(link, served):
        await connected(link)
        link.before_emit = slow_disk
        await player.say(source.smoke("a", True))
        async with asyncio.timeout(WAIT_S):
            await reached.wait()
    assert link.readings == []
    link.before_emit = None
    async with running(link, served):
        await link.until(lambda: told(link, "fire.smoke"), WAIT_S)


async def test_a_disk_that_takes_nothing_and_a_link_that_breaks_meanwhile(
    broker: Mosquitto, link: RecordingLink
) -> None:
    """The broker sends again what it has not heard of; it is one event all the same, though it has no key."""
    source = Zigbee2mqtt(["a"])
    source.qos = 1
    async with (
        Wire(broker.port) as wire,
        running(link, line(source, wire.port)),
        Player(source, "127.0.0.1", broker.port) as player,
    ):
        await heard(link)
        link.failing = 3
        await player.say([said("zigbee2mqtt/a", {"action": "single", "temperature": 21}, qos=1)])
        await link.until(lambda: link.refused >= 1, WAIT_S)
        wire.cut()
        await link.until(lambda: count(link, "device.unmapped"), WAIT_S)
        wire.mend()
        await player.say([said("zigbee2mqtt/a", {"action": "double"}, qos=1)])
        await link.until(lambda: count(link, "device.unmapped") > 1, WAIT_S)
    assert [r.raw["action"] for r in link.of("device.unmapped")] == ["single", "double"]


async def test_killed_between_commit_and_acknowledgement_what_has_a_key_is_known(
    broker: Mosquitto, link: RecordingLink
) -> None:
    source = ChirpStack(["meter"])
    served: Line[Any]
    async with Wire(broker.port) as wire:
        served = line(source, wire.port)

        async def cut(readings: tuple[Reading, ...]) -> None:
            wire.cut()  # the commit follows, the acknowledgement finds no way

        async with running(link, served):
            await connected(link)
            link.before_emit = cut
            await published(source, broker.port, source.up("meter", None, key="once"))
            await link.until(lambda: "mqtt-in-hub.keys" in link.secrets, WAIT_S)
        link.before_emit = None
        wire.mend()
        async with running(link, served):  # another run, which knows nothing but what is kept
            await published(source, broker.port, source.up("meter", None, key="twice"))
            await link.until(lambda: len(link.of("device.unmapped")) == 2, WAIT_S)
    assert [reading.raw["deduplicationId"] for reading in link.of("device.unmapped")] == ["once", "twice"]


async def test_a_key_is_kept_when_its_report_is_on_disk_and_not_before(broker: Mosquitto, link: RecordingLink) -> None:
    """Killed in between, it would be taken for a repetition of what nobody has."""
    source = ChirpStack(["meter"])
    commit, reached = asyncio.Event(), asyncio.Event()

    async def slow_disk(readings: tuple[Reading, ...]) -> None:
        reached.set()
        await commit.wait()

    link.before_emit = slow_disk
    async with Player(source, "127.0.0.1", broker.port) as player, running(link, line(source, broker.port)):
        await connected(link)
        await player.say([source.up("meter", {"level": 1}, key="slow"), source.event("meter", "join", {})])
        async with asyncio.timeout(WAIT_S):
            await reached.wait()
        await heard(link)
        assert "mqtt-in-hub.keys" not in link.secrets
        commit.set()
        await link.until(lambda: "mqtt-in-hub.keys" in link.secrets, WAIT_S)
    assert json.loads(link.secrets["mqtt-in-hub.keys"]) == ["device-1 slow"]


async def test_what_comes_while_nobody_runs_waits_in_the_session(broker: Mosquitto, link: RecordingLink) -> None:
    source = ChirpStack(["meter"])
    served = line(source, broker.port)
    async with running(link, served):
        await connected(link)
    await published(source, broker.port, *(source.up("meter", {"level": number}) for number in range(50)))
    async with running(link, served):
        await link.until(lambda: count(link, "telemetry.sample") == 50, WAIT_S)
    assert [reading.values["level"].value for reading in link.of("telemetry.sample")] == list(range(50))


async def test_order_is_kept_and_nothing_lost(broker: Mosquitto, link: RecordingLink) -> None:
    source = ChirpStack([f"meter-{n}" for n in range(5)])
    async with Player(source, "127.0.0.1", broker.port) as player, running(link, line(source, broker.port)):
        await connected(link)
        for number in range(100):
            await player.say(source.up(device, {"level": number}) for device in source.devices)
        await link.until(lambda: count(link, "telemetry.sample") == 500, WAIT_S)
    for number in range(1, 6):
        mine = [r.values["level"].value for r in link.of("telemetry.sample") if r.device == f"device-{number}"]
        assert mine == list(range(100))


# the broker


async def test_a_broker_that_comes_later(tmp_path: Path, link: RecordingLink) -> None:
    source, port = Zigbee2mqtt(["a"]), free_port()
    async with running(link, line(source, port)):
        await link.until(lambda: link.offline == {"hub": "unreachable", "device-1": "unreachable"}, WAIT_S)
        async with Mosquitto(tmp_path, port=port), Player(source, "127.0.0.1", port):
            await link.until(lambda: not link.offline, WAIT_S)


async def test_a_broker_that_goes_and_comes_back(broker: Mosquitto, link: RecordingLink) -> None:
    source = Zigbee2mqtt(["a"])
    async with running(link, line(source, broker.port)):
        async with Player(source, "127.0.0.1", broker.port):
            await heard(link)
        await broker.stop()
        await link.until(lambda: link.offline.get("device-1") == "unreachable", WAIT_S)
        assert link.presence.count(("device-1", "unreachable")) == 1
        await broker.start()
        async with Player(source, "127.0.0.1", broker.port) as player:
            await link.until(lambda: not link.offline, WAIT_S)
            await player.say(source.smoke("a", True))
            await link.until(lambda: told(link, "fire.smoke"), WAIT_S)


async def test_silence_is_told_as_offline_never_as_normal(broker: Mosquitto, link: RecordingLink) -> None:
    source = Zigbee2mqtt(["a"])
    served = line(source, broker.port, offline_after="10s")
    async with running(link, served), Player(source, "127.0.0.1", broker.port) as player:
        await heard(link)
        await link.until(lambda: link.offline == {"device-1": "silent"}, WAIT_S)
        await player.say(source.smoke("a", False))
        await link.until(lambda: not link.offline, WAIT_S)


async def test_mqtt_3_1_1(broker: Mosquitto, link: RecordingLink) -> None:
    source = ChirpStack(["meter"])
    served = line(source, broker.port, protocol="3.1.1")
    async with running(link, served):
        await connected(link)
    await published(source, broker.port, source.up("meter", {"level": 1}))
    async with running(link, served):
        await link.until(lambda: count(link, "telemetry.sample"), WAIT_S)


async def failure(link: RecordingLink, served: Line[Any]) -> DeviceError:
    """What the driver ends with."""
    with pytest.raises(DeviceError) as caught:
        async with asyncio.timeout(WAIT_S):
            await DRIVER.run(served, link)
    assert caught.value.do is not None
    return caught.value


async def test_a_broker_that_refuses_us(tmp_path: Path, link: RecordingLink) -> None:
    async with Mosquitto(tmp_path, "allow_anonymous false") as broker:
        error = await failure(link, line(Zigbee2mqtt(["a"]), broker.port))
    assert isinstance(error, NeedsPerson)
    assert "password" in error.say("en")


async def test_a_broker_that_refuses_our_topics(link: RecordingLink) -> None:
    """mosquitto says nothing and sends nothing; others refuse (MQTT 5.0, 3.9.3)."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(bytes.fromhex("20 03 00 00 00"))
        subscribe = await reader.read(1024)
        writer.write(b"\x90\x04" + subscribe[2:4] + b"\x00\x87")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        error = await failure(link, line(Zigbee2mqtt(["a"]), server.sockets[0].getsockname()[1]))
    assert isinstance(error, NeedsPerson)
    assert "the broker refuses the subscription: Not authorized" in error.say("en")


async def test_tls(tmp_path: Path, link: RecordingLink) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "server.key")
    files = [f"cafile {tmp_path}/ca.pem", f"certfile {tmp_path}/server.pem", f"keyfile {tmp_path}/server.key"]
    source = ChirpStack(["meter"])
    async with Mosquitto(tmp_path, "allow_anonymous true", *files) as broker:
        trusting = line(source, broker.port, url="mqtts://127.0.0.1", tls={"ca": str(tmp_path / "ca.pem")})
        async with running(link, trusting):
            await connected(link)
        error = await failure(link, line(source, broker.port, url="mqtts://127.0.0.1"))
    assert isinstance(error, NeedsPerson)
    assert "certificate" in error.say("en")


async def test_a_message_that_is_too_large_keeps_nobody(broker: Mosquitto, link: RecordingLink) -> None:
    """MQTT 5 tells the broker what we take; on 3.1.1 it comes, and is read past."""
    source = ChirpStack(["meter"])
    for protocol in ("5", "3.1.1"):
        served = line(source, broker.port, protocol=protocol, client_id=f"c-{protocol}")
        before = count(link, "telemetry.sample")
        async with running(link, served), Player(source, "127.0.0.1", broker.port) as player:
            await connected(link)
            huge = json.dumps({"deviceInfo": {}, "data": "A" * (9 * 2**20)})
            await player.say([said(f"application/app/device/{source.address('meter')}/event/up", huge, qos=1)])
            await player.say([source.up("meter", {"level": before})])
            await link.until(lambda before=before: count(link, "telemetry.sample") > before, WAIT_S)  # type: ignore[misc]
