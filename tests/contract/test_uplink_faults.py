"""An uplink on lines and beside neighbours that fail in one way only, on real mosquitto."""

import asyncio
import logging
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from iotcore import Broker

from gateway import uplink as uplink_module
from gateway.event import Lane
from gateway.mqtt import Target
from gateway.uplink import Uplink
from tests.brokers import Mosquitto, Subscriber, free_port, subscribed
from tests.fakes import FastClock
from tests.rig import Rig, rig, running
from tests.wires import FaultyWire

EVENTS = 1500
ALARMS = 30


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink_module, "BACKOFF_FIRST_S", 0.02)
    monkeypatch.setattr(uplink_module, "BACKOFF_MOST_S", 0.1)


def to(port: int) -> Callable[[str], Target]:
    """A target on loopback, by protocol."""
    return lambda protocol: Target("127.0.0.1", port, "gw-0001-district", protocol=protocol)


def in_order(district: Subscriber) -> bool:
    """The numbers of each lane come in order at their first arrival, without a gap; a repetition is the same event."""
    for lane in ("alarm", "event"):
        first: dict[str, str] = {}
        for event in district.events(lane):
            assert first.setdefault(event["sequence"], event["id"]) == event["id"]
        assert list(first) == [f"{number:016d}" for number in range(1, len(first) + 1)]
    return True


async def take_in(made: Rig, count: int) -> set[str]:
    """Every tenth an alarm."""
    kinds = ("video.falling_object" if number % 10 == 9 else "access.granted" for number in range(count))
    return set(await asyncio.gather(*(made.accept(kind) for kind in kinds)))


async def arrived(district: Subscriber, ids: set[str]) -> None:
    await district.until(lambda: {event["id"] for event in district.events()} >= ids)


# lines


async def test_pubacks_alone_are_lost(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, FaultyWire(broker.port) as wire, AsyncExitStack() as stack:
        made = await stack.enter_async_context(rig(tmp_path, "district", clock=FastClock(20)))
        district = await stack.enter_async_context(subscribed(broker.port))
        async with running(made, made.uplink("district", to(wire.port))) as uplink:
            await district.until(lambda: district.document("/health"))
            assert uplink.delivery is not None
            window = uplink.delivery.window
            wire.deaf = True
            ids = await take_in(made, 200)
            await district.until(district.events)
            assert len(district.events()) <= window
            gone = asyncio.Event()
            uplink.on_change = lambda _: gone.set()
            async with asyncio.timeout(10):
                await gone.wait()
            wire.deaf = False
            await arrived(district, ids)
        assert wire.dropped_bytes
        assert in_order(district)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_cut_in_mid_frame(tmp_path: Path, protocol: str) -> None:
    async with (
        Mosquitto(tmp_path) as broker,
        FaultyWire(broker.port) as wire,
        rig(tmp_path, "district") as made,
        subscribed(broker.port) as district,
    ):
        ids = await take_in(made, 300)
        wire.cuts_bytes = [2000, 3001, 4999, 8192, 20011, 1]
        async with running(made, made.uplink("district", to(wire.port), protocol)) as uplink:
            await arrived(district, ids)
            assert wire.connections == 7
            assert in_order(district)
            async with asyncio.timeout(10):
                while any(uplink.parts.outbox.backlog(lane) for lane in Lane):
                    await made.store.read(lambda _: None)


# which version


async def test_a_reset_while_a_broker_restarts_is_no_reason_for_3_1_1(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, FaultyWire(broker.port) as wire, rig(tmp_path, "district") as made:
        wire.resets = 1
        uplink = made.uplink("district", to(wire.port), "auto")
        async with subscribed(broker.port) as district, running(made, uplink):
            await arrived(district, await take_in(made, 10))
            assert uplink.delivery is not None
            assert uplink.protocol == "5"


async def old_broker(made: Rig, port: int) -> None:
    async with subscribed(port) as district:
        await arrived(district, await take_in(made, 10))


async def test_after_a_loss_it_begins_with_5_again(tmp_path: Path) -> None:
    """A broker that closed on 5 may have been replaced by one that speaks it."""
    port = free_port()
    async with rig(tmp_path, "district") as made:
        uplink = made.uplink("district", to(port), "auto")
        async with running(made, uplink):
            with Broker(port=port, listen="127.0.0.1"):
                await old_broker(made, port)
                assert uplink.protocol == "3.1.1"
            async with Mosquitto(tmp_path, port=port), subscribed(port) as district:
                await arrived(district, await take_in(made, 10))
                assert uplink.protocol == "5"


# after a loss


async def test_the_backlog_goes_out_at_its_rate_and_alarms_do_not_wait(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, rig(tmp_path, "district") as made, subscribed(broker.port) as district:
        ids = await take_in(made, 200)
        uplink = made.uplink("district", to(broker.port))
        uplink.parts.outbox.rate.per_s = 100.0
        began_s = time.monotonic()
        async with running(made, uplink):
            await district.until(lambda: len(district.events("alarm")) == 20)
            assert len(district.events("event")) <= 101
            await arrived(district, ids)
            assert 0.5 <= time.monotonic() - began_s <= 5
            assert in_order(district)


# neighbours


def _read_only(folder: Path) -> Path:
    """Rights to write nothing, in a folder of their own."""
    folder.mkdir()
    rights = folder / "acl"
    rights.write_text("topic read #\n", "utf-8")
    rights.chmod(0o600)
    return rights


@asynccontextmanager
async def neighbour(folder: Path, made: Rig, how: str) -> AsyncIterator[Uplink]:
    """A second uplink that is away, hangs, takes one at a time, or refuses everything."""
    rights = _read_only(folder)
    options = {"slow": ["max_inflight_messages 1"], "refusing": [f"acl_file {rights}"]}.get(how, [])
    async with AsyncExitStack() as stack:
        port = free_port()
        if how != "dead":
            broker = await stack.enter_async_context(Mosquitto(folder, "allow_anonymous true", *options))
            port = broker.port
        fire = made.uplink("fire", lambda protocol: Target("127.0.0.1", port, "gw-0001-fire", protocol=protocol))
        await stack.enter_async_context(running(made, fire))
        if how == "stalled":
            async with asyncio.timeout(10):
                while not fire.connected:
                    await made.store.read(lambda _: None)
            broker.signal(signal.SIGSTOP)
            stack.callback(broker.signal, signal.SIGCONT)
        yield fire


async def rate_and_latency(made: Rig, district: Subscriber) -> tuple[float, float]:
    """Events per second through the district's uplink; half of the alarms take no longer, seconds."""
    due = len(district.messages) + EVENTS
    began_s = time.monotonic()
    await asyncio.gather(*(made.accept("access.granted") for _ in range(EVENTS)))
    await district.until(lambda: len(district.messages) == due)
    rate = EVENTS / (time.monotonic() - began_s)
    waits_s = []
    for _ in range(ALARMS):
        began_s, due = time.monotonic(), due + 1
        await made.accept("video.falling_object")
        await district.until(lambda due=due: len(district.messages) == due)  # type: ignore[misc]
        waits_s.append(time.monotonic() - began_s)
    return rate, statistics.median(waits_s)


@pytest.mark.parametrize("how", ["dead", "stalled", "slow", "refusing"])
async def test_a_bad_neighbour_costs_nothing(tmp_path: Path, how: str) -> None:
    options = ("allow_anonymous true", "max_queued_messages 0")
    async with Mosquitto(tmp_path, *options) as broker, rig(tmp_path, "district", "fire") as made:
        uplink = made.uplink("district", to(broker.port))
        async with subscribed(broker.port, topic="sc/v1/+/+/+/+/event/#") as district, running(made, uplink):
            alone = [await rate_and_latency(made, district) for _ in range(2)]
            async with neighbour(tmp_path / "fire", made, how) as fire:
                beside = [await rate_and_latency(made, district) for _ in range(2)]
                assert fire.parts.outbox.backlog(Lane.EVENT) or how == "slow"
                district_owes = uplink.parts.outbox.backlog(Lane.EVENT)
        assert district_owes <= 64
        rate = max(rate for rate, _ in beside) / max(rate for rate, _ in alone)
        latency = min(wait_s for _, wait_s in beside) / min(wait_s for _, wait_s in alone)
        assert rate >= 0.4, f"{rate:.2f} of the rate beside one that is {how}"
        assert latency <= 3.0, f"{latency:.2f} times the latency beside one that is {how}"
        logging.getLogger("tests").warning("beside %s: %.2f of the rate, %.2f of the latency", how, rate, latency)
