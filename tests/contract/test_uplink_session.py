"""What a broker says and leaves unsaid, packet by packet, on real mosquitto behind a line that understands frames."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import uplink as uplink_module
from gateway.delivery import SILENT_S
from gateway.errors import LinkRefused
from gateway.event import Lane
from gateway.mqtt import Target
from gateway.uplink import KICKS, Uplink
from tests.brokers import Mosquitto, Subscriber, subscribed
from tests.fakes import FastClock
from tests.frames import PINGRESP, PUBACK, PUBLISH, SUBACK, FramedWire, dup, kind, packet_id, topic
from tests.rig import Rig, rig, running

TAKEN_OVER = bytes.fromhex("e0 01 8e")  # DISCONNECT, session taken over (MQTT 5.0, 3.14)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink_module, "BACKOFF_FIRST_S", 0.02)
    monkeypatch.setattr(uplink_module, "BACKOFF_MOST_S", 0.1)


def to(port: int, keepalive_s: int = 60) -> Callable[[str], Target]:
    """A target on loopback, by protocol."""
    return lambda protocol: Target("127.0.0.1", port, "gw-0001-district", protocol=protocol, keepalive_s=keepalive_s)


@asynccontextmanager
async def lined(
    folder: Path, protocol: str = "5", clock: FastClock | None = None, *options: str
) -> AsyncIterator[tuple[Rig, Uplink, FramedWire, Subscriber]]:
    """An uplink over a line to a broker, and a subscriber there; the birth has arrived."""
    async with (
        Mosquitto(folder, "allow_anonymous true", *options) as broker,
        FramedWire(broker.port) as wire,
        rig(folder, "district", clock=clock) as made,
        subscribed(broker.port) as district,
    ):
        uplink = made.uplink("district", to(wire.port), protocol)
        async with running(made, uplink):
            await district.until(lambda: district.document("/health"))
            await drained(made, lambda: not uplink.parts.retained.rest and not len(uplink._flight))
            yield made, uplink, wire, district


async def drained(made: Rig, condition: Callable[[], object]) -> None:
    """Looked at again after each read of the disk."""
    async with asyncio.timeout(15):
        while not condition():
            await made.store.read(lambda _: None)


def nothing_owed(uplink: Uplink) -> Callable[[], bool]:
    return lambda: not any(uplink.parts.outbox.backlog(lane) for lane in Lane)


def numbers(district: Subscriber) -> list[int]:
    return [int(event["sequence"]) for event in district.events("event")]


# silence


class Changes:
    """When an uplink was lost, on its own clock, seconds."""

    def __init__(self, uplink: Uplink) -> None:
        self.lost_s: list[float] = []
        self.told = asyncio.Event()
        self._uplink = uplink
        uplink.on_change = self._changed

    def _changed(self, uplink: Uplink) -> None:
        if not uplink.connected:
            self.lost_s.append(uplink.parts.clock.monotonic())
            self.told.set()


async def test_a_broker_that_answers_pings_and_acknowledges_nothing_is_given_up(tmp_path: Path) -> None:
    clock = FastClock(20)
    async with lined(tmp_path, "5", clock) as (made, uplink, wire, district):
        pings = 0

        async def pubacks_are_lost(packet: bytes) -> bytes | None:
            nonlocal pings
            pings += kind(packet) == PINGRESP
            return b"" if kind(packet) == PUBACK else packet

        async def hurry(packet: bytes) -> bytes | None:
            return packet

        wire.down = pubacks_are_lost
        changes = Changes(uplink)
        delivery = uplink.delivery
        assert delivery is not None
        session = delivery._session
        session._client._keepalive = 1  # whole seconds of real time
        identity = await made.accept("access.granted")
        began_s = clock.monotonic()
        async with asyncio.timeout(15):
            await changes.told.wait()
        assert SILENT_S <= changes.lost_s[0] - began_s <= SILENT_S + 8  # 20 s, and a loaded machine 20 times faster
        assert uplink.why is not None
        assert "acknowledges nothing" in uplink.why.say("en")
        wire.down = hurry
        await drained(made, nothing_owed(uplink))
        await district.until(lambda: {event["id"] for event in district.events()} == {identity})


async def test_a_broker_that_acknowledges_slowly_is_not_cut(tmp_path: Path) -> None:
    """One PUBACK in 10 s, and no PINGRESP before all of them."""
    clock = FastClock(40)
    async with lined(tmp_path, "5", clock) as (made, uplink, wire, district):
        assert uplink.delivery is not None
        uplink.delivery._session._client._keepalive = 1

        async def slowly(packet: bytes) -> bytes | None:
            if kind(packet) == PUBACK:
                await clock.sleep(10)
            return b"" if kind(packet) == PINGRESP and uplink.parts.outbox.backlog(Lane.EVENT) else packet

        wire.down = slowly
        ids = [await made.accept("access.granted") for _ in range(12)]
        began_s = clock.monotonic()
        await drained(made, nothing_owed(uplink))
        assert clock.monotonic() - began_s >= 100
        assert wire.connections == made.sessions == 1
        await district.until(lambda: [event["id"] for event in district.events()] == ids)


# the session goes on


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_what_was_not_acknowledged_is_sent_again_with_its_id_and_dup(tmp_path: Path, protocol: str) -> None:
    async with lined(tmp_path, protocol) as (made, uplink, wire, district):

        async def pubacks_are_lost(packet: bytes) -> bytes | None:
            return b"" if kind(packet) == PUBACK else packet

        async def all_is_well(packet: bytes) -> bytes | None:
            return packet

        wire.down = pubacks_are_lost
        ids = [await made.accept("access.granted") for _ in range(5)]
        await district.until(lambda: len(district.events()) == 5)
        wire.cut()
        wire.down = all_is_well
        await drained(made, lambda: not uplink.connected)
        ids.append(await made.accept("access.granted"))
        wire.mend()
        await drained(made, nothing_owed(uplink))
        before, after = wire.published(0, "/event/access"), wire.published(-1, "/event/access")
        held = [packet_id(packet) for packet in before]
        assert [(packet_id(packet), dup(packet)) for packet in after[:5]] == [(number, True) for number in held]
        assert (dup(after[5]), len(after)) == (False, 6)
        assert packet_id(after[5]) not in held
        assert topic(wire.published(-1)[0]).endswith("/status")  # the birth comes first all the same
        assert not any(dup(packet) for packet in before)
        await district.until(lambda: [event["id"] for event in district.events()] == [*ids[:5], *ids])


async def test_receive_maximum_holds_for_what_is_sent_again(tmp_path: Path) -> None:
    async with lined(tmp_path, "5", None, "max_inflight_messages 3") as (made, uplink, wire, district):

        async def pubacks_are_lost(packet: bytes) -> bytes | None:
            return b"" if kind(packet) == PUBACK else packet

        most = flying = 0

        async def counted_up(packet: bytes) -> bytes | None:
            nonlocal most, flying
            flying += kind(packet) == PUBLISH
            most = max(most, flying)
            return packet

        async def counted_down(packet: bytes) -> bytes | None:
            nonlocal flying
            flying -= kind(packet) == PUBACK
            return packet

        wire.down = pubacks_are_lost
        for _ in range(10):
            await made.accept("access.granted")
        await district.until(lambda: len(district.events()) == 3)
        wire.cut()
        wire.up, wire.down = counted_up, counted_down
        wire.mend()
        await drained(made, nothing_owed(uplink))
        assert most <= 3
        await district.until(lambda: numbers(district) == [1, 2, 3, *range(1, 11)])


async def test_a_broker_that_has_forgotten_us_gets_it_anew(tmp_path: Path) -> None:
    """mosquitto keeps no sessions over a restart unless it is told to."""
    async with Mosquitto(tmp_path) as broker, FramedWire(broker.port) as wire, rig(tmp_path, "district") as made:
        uplink = made.uplink("district", to(wire.port))

        async def pubacks_are_lost(packet: bytes) -> bytes | None:
            return b"" if kind(packet) == PUBACK else packet

        async def all_is_well(packet: bytes) -> bytes | None:
            return packet

        async with running(made, uplink):
            wire.down = pubacks_are_lost
            for _ in range(5):
                await made.accept("access.granted")
            await drained(made, lambda: wire.sent and len(wire.published(0, "/event/access")) == 5)
            await broker.stop()
            wire.down = all_is_well
            await broker.start()
            async with subscribed(broker.port) as district:
                await made.accept("access.granted")
                await drained(made, nothing_owed(uplink))
                await district.until(lambda: len({event["id"] for event in district.events()}) >= 1)
        again = wire.published(-1, "/event/access")
        assert len(again) == 6
        assert not any(dup(packet) for packet in again)


# what it says


async def test_a_refused_subscription_is_told_and_events_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with lined(tmp_path) as (made, uplink, wire, district):

        async def not_authorized(packet: bytes) -> bytes | None:
            return packet[:-1] + b"\x87" if kind(packet) == SUBACK else packet  # MQTT 5.0, 3.9.3

        async def all_is_well(packet: bytes) -> bytes | None:
            return packet

        wire.down = not_authorized
        for session in (2, 3):
            wire.cut()
            wire.mend()
            await drained(made, lambda session=session: uplink.connected and made.sessions == session)  # type: ignore[misc]
            await drained(made, lambda: uplink.deaf)
        identity = await made.accept("access.granted")
        await district.until(lambda: [event["id"] for event in district.events()] == [identity])
        assert uplink.connected
        assert uplink.deaf is not None
        assert "command/#" in uplink.deaf.say("en")
        assert "没有权限" in uplink.deaf.say("zh")
        assert "订阅" in uplink.deaf.say("zh")
        assert sum("command/#" in record.getMessage() for record in caplog.records) == 1
        wire.down = all_is_well
        wire.cut()
        wire.mend()
        await drained(made, lambda: uplink.deaf is None)


async def test_a_session_that_another_took_over_says_so_and_makes_no_storm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two boxes with one identity: each throws the other out, slower and slower, whatever alarm is unsent."""
    monkeypatch.setattr(uplink_module, "BACKOFF_REFUSED_S", 0.5)
    monkeypatch.setattr(uplink_module, "BACKOFF_MOST_S", 300.0)
    async with lined(tmp_path) as (made, uplink, wire, district):
        await made.accept("fire.smoke", "raise", "smoke-1")
        await drained(made, nothing_owed(uplink))
        changes = Changes(uplink)
        for count in (1, 2):
            changes.told.clear()
            wire.clients[-1].write(TAKEN_OVER)
            async with asyncio.timeout(5):
                await changes.told.wait()
            assert isinstance(uplink.why, LinkRefused)
            assert "gw-0001-district" in uplink.why.say("zh")
            assert "client_id" in uplink.why.say("en")
            sessions = made.sessions
            await drained(made, lambda sessions=sessions: made.sessions > sessions and uplink.connected)  # type: ignore[misc]
            assert uplink._backoff.failures == count
        assert district.events("alarm")
    assert sum("client_id" in record.getMessage() for record in caplog.records) == 2


async def test_two_boxes_with_one_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mosquitto throws out the older one without a word: both slow down, both deliver, both say what may be wrong."""
    monkeypatch.setattr(uplink_module, "BACKOFF_FIRST_S", 0.1)
    monkeypatch.setattr(uplink_module, "BACKOFF_MOST_S", 300.0)
    (tmp_path / "other").mkdir()
    async with (
        Mosquitto(tmp_path) as broker,
        subscribed(broker.port) as district,
        rig(tmp_path, "district") as first,
        rig(tmp_path / "other", "district") as second,
        running(first, first.uplink("district", to(broker.port))) as old,
        running(second, second.uplink("district", to(broker.port))) as new,
    ):
        ids = {await made.accept("access.granted") for made in (first, second)}
        told: set[str] = set()

        def note(uplink: Uplink) -> None:
            if uplink.why is not None and "gateway.id" in uplink.why.say("zh"):
                told.add(uplink.why.say("en"))

        old.on_change = new.on_change = note
        await drained(first, lambda: told)
        await district.until(lambda: {event["id"] for event in district.events()} == ids)
        assert first.sessions + second.sessions <= 4 * KICKS
