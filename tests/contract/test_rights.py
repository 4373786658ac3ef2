"""A broker that hangs up on what the rights do not allow, as MQTT 3.1.1 lets it: nothing is lost, the rest goes on."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import outbox as outbox_module
from gateway import uplink as uplink_module
from gateway.event import Lane
from gateway.mqtt import Target
from gateway.uplink import Uplink
from tests.brokers import Mosquitto, subscribed
from tests.fakes import FastClock
from tests.frames import PUBLISH, FramedWire, kind, topic
from tests.rig import Rig, rig, running


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink_module, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(uplink_module, "BACKOFF_REFUSED_S", 0.02)
    monkeypatch.setattr(uplink_module, "BACKOFF_MOST_S", 0.05)


class Guard:
    """The broker's rights: it hangs up on topics that end so. On MQTT 5 it says why first."""

    def __init__(self, wire: FramedWire, *closed: str, says: bytes = b"") -> None:
        self.closed = set(closed)
        self.refused = 0
        self._wire = wire
        self._says = says
        wire.up = self.check

    async def check(self, packet: bytes) -> bytes | None:
        """A packet on its way."""
        if kind(packet) != PUBLISH or not any(topic(packet).endswith(tail) for tail in self.closed):
            return packet
        self.refused += 1
        self._wire.clients[-1].write(self._says)
        return None


async def until(made: Rig, condition: Callable[[], object]) -> None:
    """Looked at again after each read of the disk."""
    async with asyncio.timeout(15):
        while not condition():
            await made.store.read(lambda _: None)


def owed(uplink: Uplink, lane: Lane) -> int:
    return uplink.parts.outbox.backlog(lane)


@pytest.mark.parametrize(("protocol", "says"), [("3.1.1", ""), ("5", "e0 01 87")])  # MQTT 5.0, 3.14.2.1: not authorized
async def test_nothing_is_set_aside_and_the_other_lanes_go_on(
    tmp_path: Path, protocol: str, says: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "SHUT_FIRST_S", 5.0)
    clock = FastClock(10)
    async with (
        Mosquitto(tmp_path) as broker,
        FramedWire(broker.port) as wire,
        rig(tmp_path, "district", clock=clock) as made,
        subscribed(broker.port) as district,
    ):
        guard = Guard(wire, "/event/access", says=bytes.fromhex(says))
        uplink = made.uplink(
            "district", lambda p: Target("127.0.0.1", wire.port, "gw-0001-district", protocol=p), protocol
        )
        queue = uplink.parts.outbox.queues[Lane.EVENT]
        async with running(made, uplink):
            await district.until(lambda: district.document("/status"))
            ids = [await made.accept("access.granted") for _ in range(5)]
            await until(made, lambda: queue.shut_s)
            for number in range(1, 6):  # alarms go out meanwhile, and the link stands
                await made.accept("fire.smoke", "raise" if number % 2 else "clear", "smoke-1")
                await district.until(lambda number=number: len(district.events("alarm")) >= number)  # type: ignore[misc]
            await until(made, lambda: queue.shut_s >= 20)  # it was tried again
            assert (owed(uplink, Lane.EVENT), queue.dead) == (5, 0)
            assert not district.events("event")
            guard.closed.clear()  # the rights are mended
            await district.until(lambda: len(district.events("event")) == 5)
            await until(made, lambda: not owed(uplink, Lane.EVENT))
            assert queue.shut_s == 0
        assert [event["id"] for event in district.events("event")] == ids
        assert not [event for event in district.events("alarm") if event["type"] == "gateway.data_lost"]
        assert guard.refused <= 20  # no storm: some 4 to be sure, then one each time
    assert sum("event/access" in record.getMessage() for record in caplog.records) == 1


async def test_an_alarm_behind_closed_doors_is_tried_every_10_s(tmp_path: Path) -> None:
    clock = FastClock(20)
    async with (
        Mosquitto(tmp_path) as broker,
        FramedWire(broker.port) as wire,
        rig(tmp_path, "district", clock=clock) as made,
        subscribed(broker.port) as district,
    ):
        guard = Guard(wire, "/event/fire")
        uplink = made.uplink("district", lambda _: Target("127.0.0.1", wire.port, "gw", protocol="3.1.1"), "3.1.1")
        async with running(made, uplink):
            await district.until(lambda: district.document("/status"))
            identity = await made.accept("fire.smoke", "raise", "smoke-1")
            queue = uplink.parts.outbox.queues[Lane.ALARM]
            for count in (1, 2, 3):
                await until(made, lambda count=count: queue.refused >= count)  # type: ignore[misc]
                assert queue.shut_s == 10
            guard.closed.clear()
            await district.until(lambda: [event["id"] for event in district.events("alarm")] == [identity])


async def test_mosquitto_says_nothing_at_all(tmp_path: Path) -> None:
    """With 3.1.1 it acknowledges what the rights do not allow, as that version's 3.3.5 lets it: nobody can tell."""
    rights = tmp_path / "acl"
    rights.write_text("topic read #\ntopic write sc/v1/+/+/+/+/status\n", "utf-8")
    rights.chmod(0o600)
    async with (
        Mosquitto(tmp_path, "allow_anonymous true", f"acl_file {rights}") as broker,
        rig(tmp_path, "district") as made,
        subscribed(broker.port) as district,
    ):
        uplink = made.uplink("district", lambda _: Target("127.0.0.1", broker.port, "gw", protocol="3.1.1"), "3.1.1")
        async with running(made, uplink):
            await made.accept("access.granted")
            await until(made, lambda: uplink.parts.outbox.queues[Lane.EVENT].confirmed)
            assert made.sessions == 1
    assert {json.loads(bytes(message.payload))["state"] for message in district.messages} == {"online", "offline"}
