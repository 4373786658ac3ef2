"""The search for hubs on a real mosquitto: all kinds at once, nothing published, no session left behind."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from drivers import _mqtt_search, _search_wait
from drivers._mqtt_search import search
from drivers._mqtt_signs import FILTERS
from drivers._mqtt_survey import Survey
from drivers.sim.mqtt_in import ChirpStack, Frigate, Player, Shelly, ShellyGen1, Source, Tasmota, Zigbee2mqtt
from gateway.driver import Found
from gateway.errors import NeedsPerson, Unreachable
from gateway.mqtt import Session
from tests.brokers import WAIT_S, Mosquitto, free_port, subscribed
from tests.finds import opened, until, validated, whole

HOST = "127.0.0.1"
NAME = "3号楼/烟感 1"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with Mosquitto(tmp_path) as made:
        yield made


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short steps."""
    monkeypatch.setattr(_search_wait, "STEP_S", 0.1)


def sources() -> list[Source]:
    gen1 = ShellyGen1(["shellysmoke-01"])
    return [Zigbee2mqtt([NAME]), Frigate([]), Tasmota(["pump"]), Shelly(["shellyplussmoke-aabb"]), gen1]


def addresses(found: list[Found]) -> set[tuple[str, str]]:
    """(hub, address) of the devices behind hubs."""
    return {(each.device["hub"], each.device["address"]) for each in found if "hub" in each.device}


async def test_every_hub_that_has_left_messages_is_found_at_once(broker: Mosquitto) -> None:
    async with AsyncExitStack() as stack:
        for source in sources():
            player = await stack.enter_async_context(Player(source, HOST, broker.port))
            await player.say(source.presence("shellysmoke-01", True) if source.kind == "shelly-gen1" else [])
        found = await until(search(HOST, broker.port, None, None, 10.0), 5 + 4)
    hubs = {each.device["id"] for each in found if "id" in each.device}
    assert hubs == {"zigbee2mqtt", "frigate", "tasmota", "shelly", "shelly-gen1"}
    assert addresses(found) == {
        ("zigbee2mqtt", "0x00158d0000000001"),
        ("tasmota", "pump"),
        ("shelly", "shellyplussmoke-aabb"),
        ("shelly-gen1", "shellysmoke-01"),
    }
    for each in found:
        assert validated(each).driver == "mqtt_in"
        assert each.where.startswith(f"127.0.0.1:{broker.port}")


@pytest.mark.usefixtures("quick")
async def test_a_device_behind_chirpstack_shows_when_it_sends(broker: Mosquitto) -> None:
    source = ChirpStack(["yard"])
    async with Player(source, HOST, broker.port) as player:
        run = opened(search(HOST, broker.port, None, None, 10.0))
        assert await anext(run) is None  # a step in which nothing came
        await player.say(source.smoke("yard", True))
        found = await _first(run, 2)
        await run.aclose()
    assert addresses(found) == {("chirpstack", "0101010101010001")}


async def _first(run: AsyncIterator[Found | None], count: int) -> list[Found]:
    found: list[Found] = []
    async with asyncio.timeout(WAIT_S):
        while len(found) < count:
            each = await anext(run)
            found += [each] if each is not None else []
    return found


@pytest.mark.usefixtures("quick")
async def test_a_thousand_messages_that_must_be_acknowledged(broker: Mosquitto) -> None:
    """A broker sends twenty, and waits (mosquitto's max_inflight_messages)."""
    source = ChirpStack([f"d{n}" for n in range(100)])
    async with Player(source, HOST, broker.port) as player:
        run = opened(search(HOST, broker.port, None, None, 10.0))
        assert await anext(run) is None
        for _ in range(10):
            await player.say(each for name in source.devices for each in source.smoke(name, True))
        found = await _first(run, 1 + 100)
        await run.aclose()
    assert len(addresses(found)) == 100


async def test_nothing_is_published(broker: Mosquitto) -> None:
    source = Zigbee2mqtt([NAME])
    async with subscribed(broker.port) as everything, Player(source, HOST, broker.port) as player:
        assert len(await whole(search(HOST, broker.port, None, None, 0.5))) == 2
        await player.say(source.smoke(NAME, True))
        await everything.until(lambda: b'"smoke": true' in bytes(everything.messages[-1].payload))
    said = [*source.hello()[:2], source.state(NAME, smoke=False), source.state(NAME, smoke=True)]
    heard = [(str(message.topic), bytes(message.payload).decode()) for message in everything.messages]
    assert heard == [(each.topic, each.payload) for each in said]


async def test_no_session_is_left_and_none_is_taken_over(broker: Mosquitto) -> None:
    target = _mqtt_search._target(HOST, broker.port, None, None)
    assert len(target.client_id) <= 23
    assert target.client_id != _mqtt_search._target(HOST, broker.port, None, None).client_id
    survey = Survey(HOST, broker.port, None)
    assert [each async for each in _mqtt_search._run(target, survey, 0.1)] == [None]
    later = replace(target, subscribe=(), session_expiry_s=60)
    async with Session(later, lambda *_: None) as session:
        assert session.opened.session_present is False


async def test_a_search_that_is_left_leaves_nothing_open(broker: Mosquitto) -> None:
    async with Player(Zigbee2mqtt([NAME]), HOST, broker.port):
        before = len(os.listdir("/proc/self/fd"))
        assert len(await until(search(HOST, broker.port, None, None, 10.0), 1)) == 1
        assert len(os.listdir("/proc/self/fd")) == before


# what goes wrong


async def test_no_broker_there() -> None:
    port = free_port()
    with pytest.raises(Unreachable, match="check that the broker runs there") as caught:
        await whole(search(HOST, port, None, None, 1.0))
    assert caught.value.where == f"127.0.0.1:{port}"


async def test_a_broker_that_refuses_us(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path, "allow_anonymous false") as broker:
        with pytest.raises(NeedsPerson, match="refuses") as caught:
            await whole(search(HOST, broker.port, "gw", "wrong-1234", 1.0))
    assert "username" in caught.value.say("zh")


@pytest.mark.usefixtures("quick")
async def test_a_broker_that_stops_meanwhile(broker: Mosquitto) -> None:
    run = opened(search(HOST, broker.port, None, None, 10.0))
    assert await anext(run) is None
    await broker.stop()
    with pytest.raises(Unreachable, match="search again"):
        async for _ in run:
            pass


async def test_tls_by_an_authority_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    (tmp_path / "crt.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
    (tmp_path / "key.pem").write_bytes(leaf.private_key_pem.bytes())
    tls = f"certfile {tmp_path}/crt.pem", f"keyfile {tmp_path}/key.pem"
    async with Mosquitto(tmp_path, "allow_anonymous true", *tls) as broker:
        monkeypatch.setattr(_mqtt_search, "PORTS", {"mqtts": broker.port})
        with pytest.raises(NeedsPerson, match="certificate is not accepted"):
            await whole(search(HOST, broker.port, None, None, 0.2))
        context = ssl.create_default_context()
        authority.configure_trust(context)
        monkeypatch.setattr(ssl, "create_default_context", lambda: context)
        assert await whole(search(HOST, broker.port, None, None, 0.2)) == []


async def test_how_long_it_takes() -> None:
    """No broker is there: until it is given up. There is one that says nothing: all of the wait."""
    plain, secured, patient = (
        search(HOST, port, None, None, s) for port, s in ((1883, 2.5), (8883, 2.5), (1883, 30.0))
    )
    assert (plain.steps, plain.longest_s, secured.longest_s, patient.longest_s) == (3, 10.0, 15.0, 30.0)
    assert len(FILTERS) < 25
