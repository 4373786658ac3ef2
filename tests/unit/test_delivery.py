"""What an uplink keeps on its broker: birth and will, sessions for ever, dossier, health, states by its own share."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from gateway import documents
from gateway.config import Config
from gateway.mqtt import WILL_DELAY_S
from tests.brokers import Mosquitto, Subscriber, Wire, subscribed
from tests.fakes import FastClock
from tests.houses import Puppets, config, living, to, until

DEVICES = {"smoke-1": "smoke", "door-1": "door"}
BASE = "sc/v1/310104/013/002/gw-0001"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FastClock:
    """Every house of the test runs on it."""
    made = FastClock(50)
    monkeypatch.setattr("gateway.build.SystemClock", lambda: made)
    return made


def all_of(subscriber: Subscriber, tail: str) -> list[dict[str, Any]]:
    """Every document whose topic ends so, in order; empty payloads left out."""
    found = [message for message in subscriber.messages if str(message.topic).endswith(tail) and message.payload]
    return [json.loads(bytes(message.payload)) for message in found]


def last(subscriber: Subscriber, tail: str) -> dict[str, Any]:
    """The newest of them, or an empty one."""
    return subscriber.document(tail) or {}


def one_uplink(folder: Path, wire: Wire) -> Config:
    """A community whose one uplink goes over a line that can be cut."""
    return config(folder, DEVICES, {"district": to(wire.port)})


@asynccontextmanager
async def district(folder: Path) -> AsyncIterator[tuple[Mosquitto, Wire, Subscriber]]:
    """A broker, a line to it that can be cut, and a subscriber."""
    async with Mosquitto(folder) as broker, Wire(broker.port) as wire, subscribed(broker.port) as subscriber:
        yield broker, wire, subscriber


# --- status


async def test_sessions_count_on_for_ever(tmp_path: Path) -> None:
    async with district(tmp_path) as (_, wire, city):
        made = one_uplink(tmp_path, wire)
        async with living(made, Puppets()):
            await city.until(lambda: last(city, "/status"))
            wire.cut()
            wire.mend()
            await city.until(lambda: last(city, "/status").get("session") == 2)
        async with living(made, Puppets()):
            await city.until(lambda: last(city, "/status").get("session") == 3)
        await city.until(lambda: last(city, "/status").get("state") == "offline")
    told = [(status["session"], status["state"]) for status in all_of(city, "/status") if status["state"] == "online"]
    assert list(dict.fromkeys(told)) == [(1, "online"), (2, "online"), (3, "online")]  # a cut may bring one twice
    boots = list({s["session"]: s["boot"] for s in all_of(city, "/status") if s["state"] == "online"}.values())
    assert boots[0] == boots[1] != boots[2]
    for status in all_of(city, "/status"):
        documents.Status.model_validate_json(json.dumps(status))
        assert set(status) == {"state", "gateway", "version", "boot", "session", "time"}


async def test_attempts_that_fail_are_no_sessions(tmp_path: Path) -> None:
    async with district(tmp_path) as (_, wire, city):
        wire.cut()
        async with living(one_uplink(tmp_path, wire), Puppets()) as house:
            await until(house, lambda: house.uplinks[0]._backoff.failures == 2)
            wire.mend()
            await city.until(lambda: last(city, "/status").get("session") == 1)


async def test_a_disk_that_takes_nothing_stops_no_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.database.BUSY_TIMEOUT_S", 0.01)
    made = tmp_path / "state" / "events.db"
    async with district(tmp_path) as (_, wire, city):
        async with living(one_uplink(tmp_path, wire), Puppets()) as house:
            await connected(city, 1)
            with closing(sqlite3.connect(made, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")  # somebody holds the database
                for session in (2, 3):
                    wire.cut()
                    wire.mend()
                    await connected(city, session)
                assert house.store.failing is not None
            wire.cut()
            wire.mend()
            await connected(city, 4)
        async with living(one_uplink(tmp_path, wire), Puppets()):
            await connected(city, 5)
    for status in all_of(city, "/status"):
        documents.Status.model_validate_json(json.dumps(status))
    for document in all_of(city, "/dossier"):
        documents.Dossier.model_validate_json(json.dumps(document))
        assert document["revision"] == 1


async def connected(city: Subscriber, session: int) -> None:
    """Birth, and all that is told after it."""
    await city.until(lambda: last(city, "/status").get("session") == session)
    await city.until(lambda: len(all_of(city, "/dossier")) >= session)


class Listener:
    """A port that takes one CONNECT and keeps its bytes."""

    def __init__(self) -> None:
        self.connect: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(2)
        size = head[1]
        if size > 0x7F:
            size = (size & 0x7F) | (await reader.readexactly(1))[0] << 7
        body = await reader.readexactly(size)
        if not self.connect.done():
            self.connect.set_result(head[:1] + body)
        writer.close()


def text(packet: bytes) -> tuple[bytes, bytes]:
    """A length and so many bytes (MQTT 5.0, 1.5.4) → them, and the rest."""
    size = int.from_bytes(packet[:2], "big")
    return packet[2 : 2 + size], packet[2 + size :]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_will_is_retained_and_with_mqtt_5_it_waits(tmp_path: Path, protocol: str) -> None:
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with living(config(tmp_path, DEVICES, {"district": to(port, protocol=protocol)}), Puppets()) as house:
        async with asyncio.timeout(5):
            packet = await listener.connect
        boot = house.vitals.boot
    server.close()
    name, rest = text(packet[1:])
    version, flags, rest = rest[0], rest[1], rest[4:]
    assert (packet[0], name, version) == (0x10, b"MQTT", 5 if protocol == "5" else 4)
    assert flags & 0b0011_1100 == 0b0010_1100  # a will, QoS 1, retained (MQTT 5.0, 3.1.2)
    if protocol == "5":
        assert expiry_s(rest[1 : 1 + rest[0]]) >= WILL_DELAY_S  # else it would not wait
        rest = rest[1 + rest[0] :]
    client, rest = text(rest)
    assert client == b"gw-0001-district"
    if protocol == "5":
        assert rest[:6] == bytes([5, 0x18]) + WILL_DELAY_S.to_bytes(4, "big")  # MQTT 5.0, 3.1.3.2.2
        rest = rest[6:]
    topic, rest = text(rest)
    will = json.loads(text(rest)[0])
    assert topic.decode() == f"{BASE}/status"
    assert (will["state"], will["gateway"], will["boot"], will["session"]) == ("offline", "gw-0001", boot, 1)
    documents.Status.model_validate_json(json.dumps(will))


def expiry_s(properties: bytes) -> int:
    """The session expiry among CONNECT's properties, seconds (MQTT 5.0, 3.1.2.11.2)."""
    assert properties[0] == 0x11
    return int.from_bytes(properties[1:5], "big")


# --- dossier


async def test_the_dossier_s_revision_goes_up_only_when_it_changed(tmp_path: Path) -> None:
    async with district(tmp_path) as (_, wire, city):

        async def revision(devices: dict[str, str], session: int) -> tuple[int, str]:
            async with living(config(tmp_path, devices, {"district": to(wire.port)}), Puppets()):
                await city.until(lambda: last(city, "/status").get("session") == session)
                seen = len(all_of(city, "/dossier"))
                await city.until(lambda: last(city, "/health").get("boot") == last(city, "/status")["boot"])
                assert seen <= len(all_of(city, "/dossier")) <= seen + 1
            document = last(city, "/dossier")
            documents.Dossier.model_validate_json(json.dumps(document))
            return document["revision"], document["sha256"]

        first = await revision(DEVICES, 1)
        assert first[0] == 1
        assert await revision(DEVICES, 2) == first
        second = await revision({"door-1": "door"}, 3)
        assert (second[0], second[1] != first[1]) == (2, True)
        assert await revision(DEVICES, 4) == (3, first[1])


async def test_a_new_connection_is_no_new_revision(tmp_path: Path) -> None:
    async with district(tmp_path) as (_, wire, city), living(one_uplink(tmp_path, wire), Puppets()):
        await city.until(lambda: last(city, "/dossier"))
        wire.cut()
        wire.mend()
        await city.until(lambda: len(all_of(city, "/dossier")) == 2)
    assert {document["revision"] for document in all_of(city, "/dossier")} == {1}


# --- health


async def test_health_comes_on_connecting_and_every_60_s(tmp_path: Path, clock: FastClock) -> None:
    async with district(tmp_path) as (_, wire, city), living(one_uplink(tmp_path, wire), Puppets()):
        await city.until(lambda: len(all_of(city, "/health")) == 3)
    first, second, third = (document["uptime_s"] for document in all_of(city, "/health"))
    assert first < 10
    assert 59 <= second - first <= 70
    assert 59 <= third - second <= 70


async def test_an_uplink_sees_only_itself(tmp_path: Path) -> None:
    async with district(tmp_path) as (_, wire, city):
        uplinks = {name: to(wire.port, root=name) for name in ("district", "fire")}
        async with living(config(tmp_path, DEVICES, uplinks), Puppets()) as house:
            for name in uplinks:
                await city.until(lambda name=name: health_of(city, name))  # type: ignore[misc]
                assert set(health_of(city, name)["uplinks"]) == {name}
                dossier = json.loads(bytes(next(m.payload for m in city.messages if of(m, name, "dossier"))))
                assert [entry["uplink"] for entry in dossier["sharing"]] == [name]
            assert set(house.health()["uplinks"]) == set(uplinks)


def of(message: Any, root: str, tail: str) -> bool:
    return str(message.topic) == f"{root}/310104/013/002/gw-0001/{tail}"


def health_of(city: Subscriber, root: str) -> dict[str, Any]:
    found = [message for message in city.messages if of(message, root, "health")]
    return json.loads(bytes(found[-1].payload)) if found else {}


# --- states


async def test_a_new_word_is_told_at_once_and_values_in_a_while(tmp_path: Path, clock: FastClock) -> None:
    puppets = Puppets()
    async with district(tmp_path) as (_, wire, city), living(one_uplink(tmp_path, wire), puppets):
        await city.until(lambda: last(city, "/state/smoke-1").get("state") == "unknown")
        link = await puppets.link("smoke-1")
        await link.seen("smoke-1")
        await city.until(lambda: last(city, "/state/smoke-1").get("state") == "normal")
        for temperature in (20.0, 21.0, 22.0, 23.0):
            await puppets.emit("smoke-1", "telemetry.sample", temperature=temperature)
        await city.until(lambda: last(city, "/state/smoke-1")["values"] == {"temperature": {"value": 23.0}})
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        await city.until(lambda: last(city, "/state/smoke-1")["state"] == "alarm")
        await link.lost("smoke-1", "no-answer")
        await city.until(lambda: not last(city, "/state/smoke-1")["online"])
    assert last(city, "/state/smoke-1")["state"] == "alarm"  # offline wins only over normal
    assert last(city, "/state/smoke-1")["alarms"] == ["device.offline", "fire.smoke"]
    for document in all_of(city, "/state/smoke-1"):
        documents.State.model_validate_json(json.dumps(document))


async def test_states_are_retained_and_stand_after_a_restart(tmp_path: Path) -> None:
    puppets = Puppets()
    async with Mosquitto(tmp_path) as broker:
        made = config(tmp_path, DEVICES, {"district": to(broker.port)})
        async with living(made, puppets) as house:
            await puppets.emit("smoke-1", "fire.smoke", "raise")
            await until(house, lambda: house.uplinks[0].parts.outbox.queues and not house.uplinks[0].why)
        async with living(made, Puppets()), subscribed(broker.port) as city:
            await city.until(lambda: last(city, "/state/smoke-1").get("state") == "alarm")
        async with subscribed(broker.port) as later:
            await later.until(lambda: last(later, "/state/smoke-1"))
            assert all(message.retain for message in later.messages)


async def test_without_retained_states_there_are_none(tmp_path: Path) -> None:
    puppets = Puppets()
    async with district(tmp_path) as (_, wire, city):
        async with living(config(tmp_path, DEVICES, {"district": to(wire.port, retain_states=False)}), puppets):
            await puppets.emit("smoke-1", "fire.smoke", "raise")
            await city.until(lambda: city.events() and last(city, "/health"))
        await city.until(lambda: last(city, "/status")["state"] == "offline")
    assert not [message for message in city.messages if "/state/" in str(message.topic)]


async def test_states_follow_an_uplink_s_types_as_events_do(tmp_path: Path) -> None:
    puppets = Puppets()
    async with district(tmp_path) as (_, wire, city):
        uplinks = {"fire": to(wire.port, types=["fire.*", "device.fault"])}
        async with living(config(tmp_path, DEVICES, uplinks), puppets):
            for device in DEVICES:
                await (await puppets.link(device)).seen(device)
                await city.until(lambda device=device: last(city, f"/state/{device}").get("online"))  # type: ignore[misc]
            await puppets.emit("door-1", "door.forced", "raise")
            await puppets.emit("smoke-1", "device.tamper", "raise", pressure=1.0)
            await puppets.emit("smoke-1", "fire.smoke", "raise", smoke_obscuration=1.5)
            await city.until(lambda: last(city, "/state/smoke-1").get("state") == "alarm")
    smoke, door = last(city, "/state/smoke-1"), last(city, "/state/door-1")
    assert (smoke["alarms"], smoke["values"]) == (["fire.smoke"], {"smoke_obscuration": {"value": 1.5}})
    assert (door["state"], door["alarms"]) == ("normal", [])
