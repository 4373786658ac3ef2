"""The uplink's promises, on real mosquitto: everything arrives, in order, numbered, whatever happens to the link."""

import asyncio
import json
import signal
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import pytest
import trustme

from gateway import uplink as uplink_module
from gateway.clock import TimeQuality
from gateway.errors import LinkError, LinkRefused, Text
from gateway.event import Credential, Lane, Phase, Reading
from gateway.mqtt import Target
from gateway.outbox import PREFETCH_ROWS
from tests.brokers import Mosquitto, Wire, subscribed, websocket_door
from tests.fakes import EPOCH, FastClock, ManualClock
from tests.rig import BASE, Rig, rig, running


def to(port: int, **more: object) -> Callable[[str], Target]:
    """A target on loopback, by protocol."""
    return lambda protocol: Target("127.0.0.1", port, "gw-0001-district", protocol=protocol, **more)  # type: ignore[arg-type]


async def take_in(made: Rig, count: int) -> list[str]:
    """Grants at a door, and every tenth an alarm."""
    ids = []
    for number in range(count):
        kind = "video.falling_object" if number % 10 == 9 else "access.granted"
        ids.append(await made.accept(kind))
    return ids


def gapless(events: list[dict[str, str]]) -> bool:
    """Sequences 1, 2, 3 … in the order of first arrival."""
    seen: dict[str, str] = {}
    for event in events:
        seen.setdefault(event["id"], event["sequence"])
    return list(seen.values()) == [f"{n:016d}" for n in range(1, len(seen) + 1)]


@pytest.mark.parametrize("protocol", ["5", "3.1.1", "auto"])
async def test_all_arrive_in_order_and_numbered(tmp_path: Path, protocol: str) -> None:
    async with Mosquitto(tmp_path) as broker, rig(tmp_path, "district") as made:
        async with (
            subscribed(broker.port) as district,
            running(made, made.uplink("district", to(broker.port), protocol)),
        ):
            ids = await take_in(made, 200)
            await district.until(lambda: len(district.events()) == 200)
        assert {event["id"] for event in district.events()} == set(ids)
        assert gapless(district.events("alarm"))
        assert gapless(district.events("event"))
        assert [e["id"] for e in district.events("event")] == sorted(e["id"] for e in district.events("event"))


@pytest.mark.parametrize("quality", [TimeQuality.SYNCED, TimeQuality.HOLDOVER])
async def test_what_was_taken_in_without_a_clock_is_put_right_when_it_is_set(
    tmp_path: Path, quality: TimeQuality
) -> None:
    card = Credential("wiegand-26", 90, 324)
    clock = ManualClock(datetime(1970, 1, 1, tzinfo=UTC), TimeQuality.UNSYNCED)
    grant = Reading("door-1", "access.granted", Phase.PULSE, credential=card)
    async with (
        Mosquitto(tmp_path) as broker,
        subscribed(broker.port) as city,
        rig(tmp_path, "district", clock=clock) as made,
    ):
        clock.boot = "the boot before"
        await made.accept("video.motion", "raise")
        clock.boot = "this one"
        for reading in (grant, Reading("smoke-1", "fire.smoke", Phase.RAISE)):
            clock.advance(60)
            await made.pipeline.accept([reading])
        clock.advance(60)
        clock.set_wall((EPOCH - clock.utc()).total_seconds())
        clock.time_quality = quality
        await made.accept("door.open", "raise")
        async with running(made, made.uplink("district", to(broker.port))):
            await city.until(lambda: len(city.events()) == 4)
    told = {event["type"]: (event["time"], event["timequality"]) for event in city.events()}
    assert told == {
        "video.motion": ("1970-01-01T00:00:00.000Z", "unsynced"),
        "access.granted": ("2026-11-23T10:04:19.000Z", "corrected"),
        "fire.smoke": ("2026-11-23T10:05:19.000Z", "corrected"),
        "door.open": ("2026-11-23T10:06:19.000Z", quality.value),
    }
    (granted,) = [event for event in city.events() if event["type"] == "access.granted"]
    assert set(granted["data"]["credential"]) == {"ref", "kind", "format"}
    assert gapless(city.events("event"))
    assert not any(word in json.dumps(city.events()) for word in ('"boot"', '"at"'))


async def test_mqtt_5_says_what_the_payload_is(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, rig(tmp_path, "district") as made:
        version = aiomqtt.ProtocolVersion.V5
        async with (
            subscribed(broker.port, protocol=version) as district,
            running(made, made.uplink("district", to(broker.port))),
        ):
            await made.accept("access.granted")
            await district.until(district.events)
        (message,) = [m for m in district.messages if "/event/" in str(m.topic)]
        assert str(message.topic) == f"{BASE}/event/access"
        told = vars(message.properties)  # paho sets them by name
        assert told["ContentType"] == "application/cloudevents+json; charset=utf-8"
        assert told["PayloadFormatIndicator"] == 1
        assert not message.retain


async def test_tls_with_client_certificates(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server, client = authority.issue_cert("localhost"), authority.issue_cert("gw-0001", common_name="gw-0001")
    server.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    server.private_key_pem.write_to_path(tmp_path / "server.key")
    options = [f"cafile {tmp_path}/ca.pem", f"certfile {tmp_path}/server.pem", f"keyfile {tmp_path}/server.key"]
    context = ssl.create_default_context()
    authority.configure_trust(context)
    client.configure_cert(context)
    async with (
        Mosquitto(tmp_path, *options, "require_certificate true", "use_identity_as_username true") as broker,
        rig(tmp_path, "district") as made,
    ):
        target = Target("localhost", broker.port, "gw-0001", tls=context)
        async with running(made, made.uplink("district", lambda _: target)) as uplink:
            await asyncio.gather(*(made.accept("access.granted") for _ in range(500)))
            await drained(made, uplink.parts.outbox.backlog)
            assert uplink.parts.outbox.queues[Lane.EVENT].confirmed == 500


async def drained(made: Rig, backlog: Callable[[Lane], int]) -> None:
    async with asyncio.timeout(10):
        while any(backlog(lane) for lane in Lane):
            await made.store.read(lambda connection: None)


async def test_websockets(tmp_path: Path) -> None:
    async with (
        Mosquitto(tmp_path) as broker,
        websocket_door(broker.port) as port,
        rig(tmp_path, "district") as made,
        running(made, made.uplink("district", to(port, websocket=True))) as uplink,
    ):
        await asyncio.gather(*(made.accept("access.granted") for _ in range(500)))
        await drained(made, uplink.parts.outbox.backlog)
        assert uplink.parts.outbox.queues[Lane.EVENT].confirmed == 500


async def test_a_cut_line_loses_nothing(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, Wire(broker.port) as wire, rig(tmp_path, "district") as made:
        async with subscribed(broker.port) as district, running(made, made.uplink("district", to(wire.port))) as uplink:
            first = await take_in(made, 50)
            wire.cut()
            second = await take_in(made, 50)
            wire.mend()
            await district.until(lambda: len({e["id"] for e in district.events()}) == 100)
            await drained(made, uplink.parts.outbox.backlog)
        assert {e["id"] for e in district.events()} == set(first + second)
        assert gapless(district.events("alarm"))
        assert gapless(district.events("event"))


async def test_alarms_overtake_the_backlog(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, rig(tmp_path, "district") as made:
        await asyncio.gather(*(made.accept("access.granted") for _ in range(3000)))
        alarm = await made.accept("fire.smoke", "raise", "smoke-1")
        async with subscribed(broker.port) as district, running(made, made.uplink("district", to(broker.port))):
            await district.until(lambda: any(e["id"] == alarm for e in district.events()))
            assert len(district.events()) <= 64 + 1  # one window


async def test_receive_maximum_one(tmp_path: Path) -> None:
    options = ("allow_anonymous true", "max_inflight_messages 1")
    async with (
        Mosquitto(tmp_path, *options) as broker,
        rig(tmp_path, "district") as made,
        subscribed(broker.port) as district,
        running(made, made.uplink("district", to(broker.port))) as uplink,
    ):
        await take_in(made, 30)
        await district.until(lambda: len(district.events()) == 30)
        assert uplink.delivery is not None
        assert uplink.delivery.window == 1


async def test_refused_publish_is_kept_and_delivered_later(tmp_path: Path) -> None:
    rights = tmp_path / "acl"
    rights.write_text("topic read #\ntopic write sc/v1/+/+/+/+/status\n", "utf-8")
    rights.chmod(0o600)
    options = ("allow_anonymous true", f"acl_file {rights}")
    async with Mosquitto(tmp_path, *options) as broker, rig(tmp_path, "district") as made:
        async with (
            subscribed(broker.port) as district,
            running(made, made.uplink("district", to(broker.port))) as uplink,
        ):
            ids = await take_in(made, 5)
            queue = uplink.parts.outbox.queues[Lane.EVENT]
            async with asyncio.timeout(10):
                while not queue.refused:
                    await made.store.read(lambda connection: None)
            assert uplink.parts.outbox.backlog(Lane.EVENT) == 5
            rights.write_text("topic readwrite #\n", "utf-8")
            broker.signal(signal.SIGHUP)
            await district.until(lambda: len(district.events()) == 5)
            await drained(made, uplink.parts.outbox.backlog)
        assert [e["id"] for e in district.events()] == ids
        assert gapless(district.events("event"))


async def test_what_is_too_large_for_the_broker_breaks_no_link(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It would hang up on it (MQTT 5.0, 3.2.2.3.6), again after each connection, and nothing behind would arrive."""
    async with (
        Mosquitto(tmp_path, "allow_anonymous true", "max_packet_size 2000") as broker,
        rig(tmp_path, "district") as made,
    ):
        uplink = made.uplink("district", to(broker.port), devices=["x" * 3000])
        async with subscribed(broker.port) as district, running(made, uplink):
            await made.accept("access.granted", "pulse", "door-1", **{f"value_{n}": float(n) for n in range(100)})
            await made.accept("access.granted")
            alarm = await made.accept("fire.smoke", "raise", "smoke-1")
            await district.until(lambda: district.events("alarm"))
            await district.until(lambda: alarm in [event["id"] for event in district.events("alarm")])
            await drained(made, uplink.parts.outbox.backlog)
            assert uplink.connected
            assert uplink.parts.outbox.queues[Lane.EVENT].dead == 1
        assert [event["sequence"] for event in district.events("event")] == [f"{2:016d}"]
        assert made.sessions == 1
    told = [record.getMessage() for record in caplog.records if "2000" in record.getMessage()]
    assert len(told) == 1


async def test_the_news_of_the_loss_does_not_shorten_the_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in the alarm lane of every uplink that is lost: else none would ever wait longer than 10 s."""
    monkeypatch.setattr(uplink_module, "BACKOFF_ALARM_S", 0.05)
    monkeypatch.setattr(uplink_module, "URGENT_FOR_S", 0.0)
    async with rig(tmp_path, "district") as made:
        uplink = made.uplink("district", to(1))
        uplink._backoff.failures = 16
        await made.accept("gateway.uplink_lost", "raise", "gw-0001")
        waiting = asyncio.create_task(uplink._pause(asyncio.Event()))
        assert not (await asyncio.wait([waiting], timeout=0.2))[0]
        await made.accept("fire.smoke", "raise", "smoke-1")
        async with asyncio.timeout(2):
            await waiting


async def wait_s(uplink: uplink_module.Uplink, clock: FastClock) -> float:
    """How long the next pause is, on the uplink's clock, which is the real one here but for its speed."""
    began_s = clock.monotonic()
    async with asyncio.timeout(10):
        await uplink._pause(asyncio.Event())
    return (clock.monotonic() - began_s) / clock.times


@pytest.mark.parametrize("refused", [False, True])
async def test_no_pause_is_longer_than_10_s_while_an_alarm_is_unsent(
    tmp_path: Path, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is that keeps the link away: a wrong password too, for somebody may be mending it right now."""
    monkeypatch.setattr(uplink_module, "BACKOFF_ALARM_S", 0.2)
    monkeypatch.setattr(uplink_module, "URGENT_FOR_S", 0.0)
    clock = FastClock(1)
    async with rig(tmp_path, "district", clock=clock) as made:
        uplink = made.uplink("district", to(1))
        error = LinkRefused if refused else LinkError
        uplink.why = error("127.0.0.1:1", Text("not authorized", "未授权"))
        uplink._backoff.failures = 16
        await made.accept("fire.smoke", "raise", "smoke-1")
        for _ in range(3):
            assert await wait_s(uplink, clock) < 5


async def test_an_alarm_behind_more_news_of_losses_than_are_read_ahead_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uplink_module, "BACKOFF_ALARM_S", 0.2)
    monkeypatch.setattr(uplink_module, "URGENT_FOR_S", 0.0)
    clock = FastClock(1)
    async with rig(tmp_path, "district", clock=clock) as made:
        uplink = made.uplink("district", to(1))
        uplink._backoff.failures = 16
        for number in range(PREFETCH_ROWS):
            await made.accept("gateway.uplink_lost", "clear" if number % 2 else "raise", "gw-0001")
        await made.accept("fire.smoke", "raise", "smoke-1")
        assert await wait_s(uplink, clock) < 5


async def test_an_alarm_in_flight_when_the_link_was_lost_counts(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, rig(tmp_path, "district") as made:
        uplink = made.uplink("district", to(broker.port))
        async with running(made, uplink):
            async with asyncio.timeout(5):
                while uplink.delivery is None:
                    await made.store.read(lambda _: None)
            broker.signal(signal.SIGSTOP)
            await made.accept("fire.smoke", "raise", "smoke-1")
            async with asyncio.timeout(5):
                while not uplink.parts.outbox.queues[Lane.ALARM].flying:
                    await made.store.read(lambda _: None)
            assert await uplink._owes_alarm()
            broker.signal(signal.SIGCONT)


async def test_each_attempt_reads_its_certificates_once(tmp_path: Path) -> None:
    """Reading them holds up everything else meanwhile."""
    made_targets: list[Target] = []
    async with Mosquitto(tmp_path) as broker, rig(tmp_path, "district") as made:

        def target(protocol: str) -> Target:
            made_targets.append(to(broker.port)(protocol))
            return made_targets[-1]

        uplink = made.uplink("district", target)
        connected = asyncio.Event()
        uplink.on_change = lambda _: connected.set()
        async with running(made, uplink), asyncio.timeout(5):
            await connected.wait()
    assert len(made_targets) == 1


async def test_a_broker_that_hangs_is_noticed(tmp_path: Path) -> None:
    async with (
        Mosquitto(tmp_path) as broker,
        rig(tmp_path, "district", clock=FastClock(10)) as made,
        subscribed(broker.port) as district,
        running(made, made.uplink("district", to(broker.port))) as uplink,
    ):
        await made.accept("access.granted")
        await district.until(district.events)
        changed = asyncio.Event()
        uplink.on_change = lambda _: changed.set()
        broker.signal(signal.SIGSTOP)
        await made.accept("access.granted")
        async with asyncio.timeout(20):
            await changed.wait()
        assert not uplink.connected
        broker.signal(signal.SIGCONT)
        await district.until(lambda: len({e["id"] for e in district.events()}) == 2, 20)


async def test_birth_will_and_farewell(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, rig(tmp_path, "district") as made:
        async with subscribed(broker.port) as district:
            async with running(made, made.uplink("district", to(broker.port), devices=["door-1"])):
                await district.until(lambda: district.document("/health"))
                assert district.document("/status") == {"state": "online", "gateway": "gw-0001", "session": 1}
                state = district.document("/state/door-1")
                assert state is not None
                assert state["state"] == "normal"
            await district.until(lambda: (district.document("/status") or {})["state"] == "offline")
        async with subscribed(broker.port) as later:
            await later.until(lambda: later.document("/status"))
            assert all(message.retain for message in later.messages)


async def test_after_a_restart_only_what_was_not_confirmed_comes_again(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port) as district:
        async with rig(tmp_path, "district") as made, running(made, made.uplink("district", to(broker.port))) as uplink:
            first = await take_in(made, 20)
            await drained(made, uplink.parts.outbox.backlog)
        async with rig(tmp_path, "district") as made, running(made, made.uplink("district", to(broker.port))):
            second = await take_in(made, 20)
            await district.until(lambda: len(district.events()) == 40)
        assert [e["id"] for e in sorted(district.events(), key=lambda e: str(e["id"]))] == first + second
        assert gapless(district.events("event"))
