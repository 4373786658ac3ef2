"""What a broker can never take, on real mosquitto: set aside, told, listed, and sent again when it can."""

import asyncio
from pathlib import Path

import pytest

from gateway import uplink as uplink_module
from gateway.dead import LEAVES
from gateway.event import Lane, Phase, Reading
from gateway.letters import list_dead
from gateway.mqtt import Target
from gateway.uplink import Uplink
from tests.brokers import Mosquitto, Subscriber, subscribed
from tests.rig import Rig, rig, running

WAYS = {
    "named in CONNACK": ("5", "max_packet_size 2000"),
    "PUBACK 0x95": ("5", "message_size_limit 2000"),
    "the broker leaves": ("3.1.1", "max_packet_size 2000"),
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink_module, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(uplink_module, "BACKOFF_MOST_S", 0.05)


def made_for(made: Rig, port: int, protocol: str = "5") -> Uplink:
    """An uplink on loopback."""
    return made.uplink("district", lambda _: Target("127.0.0.1", port, "gw-1", protocol=protocol), protocol)


async def large(made: Rig, size_bytes: int = 4000) -> str:
    """An event that is larger than these brokers take."""
    reading = Reading("door-1", "access.granted", Phase.PULSE, raw={"text": "x" * size_bytes})
    (identity,) = await made.pipeline.accept([reading])
    return identity


def numbers(subscriber: Subscriber, lane: str = "event") -> list[int]:
    """What arrived of a lane, in order."""
    return [int(event["sequence"]) for event in subscriber.events(lane)]


async def quiet(made: Rig, uplink: Uplink) -> None:
    """Nothing is owed any more."""
    async with asyncio.timeout(10):
        while any(uplink.parts.outbox.backlog(lane) for lane in Lane):
            await made.store.read(lambda _: None)


@pytest.mark.parametrize("way", WAYS)
async def test_it_is_set_aside_and_told_and_the_lane_goes_on(tmp_path: Path, way: str) -> None:
    protocol, option = WAYS[way]
    async with Mosquitto(tmp_path, "allow_anonymous true", option) as broker, rig(tmp_path, "district") as made:
        uplink = made_for(made, broker.port, protocol)
        async with subscribed(broker.port) as district, running(made, uplink):
            await made.accept("access.granted")
            identity = await large(made)
            await made.accept("access.granted")
            await quiet(made, uplink)
            await district.until(lambda: district.events("alarm") and 3 in numbers(district))
        assert sorted(set(numbers(district))) == [1, 3]
        (told,) = district.events("alarm")
        number = f"{2:016d}"
        lost = {"stream": "district.event", "first": number, "last": number, "count": 1, "reason": "refused"}
        assert told["type"] == "gateway.data_lost"
        assert {name: told["data"][name] for name in lost} == lost
        assert uplink.parts.outbox.queues[Lane.EVENT].dead == 1
        (letter,) = await made.store.read(lambda connection: list_dead(connection, "district"))
        reason = "connection-closed" if protocol == "3.1.1" else "too-large"
        assert (letter.id, letter.sequence, letter.reason) == (identity, 2, reason)
        if protocol == "3.1.1":
            assert made.sessions <= 3 * LEAVES  # a reset may take a PUBACK along: then the leave does not count


async def test_a_dead_letter_survives_and_is_sent_when_it_can_be(tmp_path: Path) -> None:
    option = "max_packet_size 2000"
    async with Mosquitto(tmp_path, "allow_anonymous true", option) as broker, rig(tmp_path, "district") as made:
        uplink = made_for(made, broker.port)
        async with running(made, uplink):
            identity = await large(made)
            await quiet(made, uplink)
    async with Mosquitto(tmp_path) as broker, rig(tmp_path, "district") as made:
        uplink = made_for(made, broker.port)
        queue = uplink.parts.outbox.queues[Lane.EVENT]
        async with subscribed(broker.port) as district, running(made, uplink):
            await made.accept("access.granted")
            await district.until(lambda: numbers(district) == [2])
            assert queue.dead == 1
            found = await uplink.resend(Lane.EVENT, 1, 1)
            assert (found.count, found.gone) == (1, [])
            await district.until(lambda: numbers(district) == [2, 1])
            assert district.events("event")[-1]["id"] == identity
            async with asyncio.timeout(10):
                while queue.dead:
                    await made.store.read(lambda _: None)


@pytest.mark.parametrize("way", WAYS)
async def test_a_document_too_large_makes_no_loop(tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture) -> None:
    protocol, option = WAYS[way]
    async with Mosquitto(tmp_path, "allow_anonymous true", option) as broker, rig(tmp_path, "district") as made:
        uplink = made_for(made, broker.port, protocol)

        async def dossier() -> dict[str, object]:
            return {"revision": 1, "sha256": "x" * 4000, "time": ""}

        object.__setattr__(uplink.parts.plan, "dossier", dossier)
        async with subscribed(broker.port) as district, running(made, uplink):
            await made.accept("access.granted")
            await district.until(lambda: numbers(district) == [1])
            assert uplink.delivery is not None
            sessions = made.sessions
            await uplink.delivery.announce()
            await made.accept("access.granted")
            await district.until(lambda: numbers(district) == [1, 2])
            assert made.sessions == sessions
            assert not district.document("/dossier")
        assert sum("dossier" in record.getMessage() for record in caplog.records) == 1


async def test_a_loss_that_is_told_is_never_set_aside(tmp_path: Path) -> None:
    """Else each would bring the next: it waits, as what is refused for want of rights does."""
    options = ("allow_anonymous true", "message_size_limit 100")
    async with Mosquitto(tmp_path, *options) as broker, rig(tmp_path, "district") as made:
        uplink = made_for(made, broker.port)
        async with running(made, uplink):
            await large(made)
            queues = uplink.parts.outbox.queues
            async with asyncio.timeout(10):
                while not (queues[Lane.ALARM].refused and queues[Lane.EVENT].dead):
                    await made.store.read(lambda _: None)
            assert uplink.parts.outbox.backlog(Lane.ALARM) == 1
            assert queues[Lane.ALARM].dead == 0
