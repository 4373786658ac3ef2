"""Commands of the platform over real mosquitto: each answered, none carried out twice, none lost while away."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.event import Lane
from gateway.mqtt import Message, Target
from gateway.uplink import Uplink
from tests.brokers import Mosquitto, Subscriber, subscribed
from tests.rig import BASE, Rig, rig, running

V5 = aiomqtt.ProtocolVersion.V5
LATER = "2099-01-01T00:00:00Z"


def request(identity: str, action: str, **more: Any) -> bytes:
    """A command that can be read."""
    return json.dumps({"id": identity, "action": action, "expires": LATER, "issuer": "duty"} | more).encode()


async def send(port: int, payload: bytes, device: str = "gateway", **options: Any) -> None:
    """From the platform."""
    async with aiomqtt.Client("127.0.0.1", port, protocol=V5) as client:
        await client.publish(f"{BASE}/command/{device}", payload, qos=1, **options)


def replies(platform: Subscriber, tail: str = "") -> list[dict[str, Any]]:
    """Answers, in order."""
    found = [m for m in platform.messages if str(m.topic).startswith(f"{BASE}/reply/{tail}")]
    return [json.loads(bytes(m.payload)) for m in found]


def target(port: int, protocol: str = "5") -> Target:
    return Target("127.0.0.1", port, "gw-0001-district", protocol=protocol)


@asynccontextmanager
async def asked(folder: Path, protocol: str = "5") -> AsyncIterator[tuple[Rig, Uplink, Mosquitto, Subscriber]]:
    """A gateway that listens, and the platform."""
    async with Mosquitto(folder) as broker, rig(folder, "district") as made:
        uplink = made.uplink("district", lambda _: target(broker.port, protocol), protocol)
        async with subscribed(broker.port) as platform, running(made, uplink):
            await platform.until(lambda: platform.document("/health"))
            yield made, uplink, broker, platform


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_ping(tmp_path: Path, protocol: str) -> None:
    async with asked(tmp_path, protocol) as (_, _, broker, platform):
        await send(broker.port, request("c-1", "ping"))
        await platform.until(lambda: replies(platform))
    (reply,) = replies(platform, "c-1")
    assert (reply["id"], reply["status"], reply["code"]) == ("c-1", "done", "ok")
    assert reply["result"]["state"] == "online"
    assert reply["time"].endswith("Z")


async def test_the_response_topic_is_used_where_it_is_ours(tmp_path: Path) -> None:
    async with asked(tmp_path) as (_, _, broker, _), subscribed(broker.port, protocol=V5) as platform:
        for number, wished in enumerate((f"{BASE}/reply/desk-7", "elsewhere/desk-7", f"{BASE}/reply/")):
            told = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            told.ResponseTopic, told.CorrelationData = wished, b"\x00\x01"
            await send(broker.port, request(f"c-{number}", "ping"), properties=told)
        await platform.until(lambda: len(replies(platform)) == 3)
    topics = [str(m.topic) for m in platform.messages if "/reply/" in str(m.topic)]
    assert topics == [f"{BASE}/reply/{tail}" for tail in ("desk-7", "c-1", "c-2")]
    for message in platform.messages:
        if "/reply/" in str(message.topic):
            assert vars(message.properties)["CorrelationData"] == b"\x00\x01"
            assert vars(message.properties)["ContentType"] == "application/json"


REFUSALS = {
    "too-large": (b" " * 16385, "gateway"),
    "bad-json": (b"{", "gateway"),
    "no-expiry": (b'{"id": "c-1", "action": "ping"}', "gateway"),
    "expired": (request("c-1", "ping", expires="2020-01-01T00:00:00Z"), "gateway"),
    "unknown-device": (request("c-1", "unlock"), "door-9"),
    "unknown-action": (request("c-1", "dance"), "gateway"),
    "not-allowed": (request("c-1", "unlock"), "door-1"),
    "bad-arguments": (request("c-1", "resend", args={"stream": "other.event", "from": 1}), "gateway"),
}


@pytest.mark.parametrize("code", REFUSALS)
async def test_what_is_not_carried_out_is_answered_with_its_code(tmp_path: Path, code: str) -> None:
    payload, device = REFUSALS[code]
    async with asked(tmp_path) as (_, _, broker, platform):
        await send(broker.port, payload, device)
        await platform.until(lambda: replies(platform))
    (reply,) = replies(platform, "c-1" if b"c-1" in payload else "invalid")
    assert reply["code"] == code
    assert reply["status"] == ("expired" if code == "expired" else "refused")


async def test_a_retained_command_is_refused(tmp_path: Path) -> None:
    async with asked(tmp_path) as (_, _, broker, platform):
        await send(broker.port, request("c-1", "ping"), retain=True)
        await platform.until(lambda: replies(platform))
    assert [reply["code"] for reply in replies(platform)] == ["retained"]


async def test_once_only_also_after_a_restart(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port) as platform:
        for codes in (["ok"], ["ok", "duplicate"]):
            async with (
                rig(tmp_path, "district") as made,
                running(made, made.uplink("district", lambda _: target(broker.port))),
            ):
                await platform.until(lambda: platform.document("/health"))
                await send(broker.port, request("c-1", "ping"))
                await platform.until(lambda codes=codes: len(replies(platform)) == len(codes))  # type: ignore[misc]
            assert [reply["code"] for reply in replies(platform)] == codes
    first, second = replies(platform)
    assert second["status"] == "duplicate"
    assert second["result"] == first


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_none_is_lost_while_the_link_is_away(tmp_path: Path, protocol: str) -> None:
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port) as platform, rig(tmp_path, "district") as made:
        for _ in range(2):
            async with running(made, made.uplink("district", lambda _: target(broker.port, protocol), protocol)):
                await platform.until(lambda: platform.document("/health"))
            for number in range(30):  # more than the broker hands over at once
                await send(broker.port, request(f"c-{number}", "ping"))
        async with running(made, made.uplink("district", lambda _: target(broker.port, protocol), protocol)):
            await platform.until(lambda: len(replies(platform)) == 60)
    assert [reply["code"] for reply in replies(platform)] == ["ok"] * 30 + ["duplicate"] * 30


async def test_an_answer_that_the_broker_did_not_get_is_sent_again_as_it_was(tmp_path: Path) -> None:
    """The request is not acknowledged before its answer is on the wire: so it comes again."""
    async with asked(tmp_path) as (made, uplink, broker, platform):
        desk = uplink.parts.desk
        message = heard(request("c-1", "ping"))
        first = await desk.answer(message)  # and the link is lost here
        again = await desk.answer(heard(request("c-1", "ping"), again=True))
        assert again.payload == first.payload
        await made.store.transact(lambda connection: connection.execute("UPDATE command SET reply = NULL"))
        interrupted = json.loads((await desk.answer(heard(request("c-1", "ping"), again=True))).payload)
        assert (interrupted["status"], interrupted["code"]) == ("failed", "timeout")
        assert broker.port
        assert not replies(platform)


def heard(payload: bytes, *, again: bool = False) -> Message:
    return Message(f"{BASE}/command/gateway", payload, again=again)


async def test_sync_sends_the_documents_again(tmp_path: Path) -> None:
    async with asked(tmp_path) as (_, uplink, broker, platform):
        await platform.until(lambda: platform.document("/dossier"))
        platform.messages.clear()
        await send(broker.port, request("c-1", "sync", args={"replay_rate": 100}))
        await platform.until(lambda: all(platform.document(tail) for tail in ("/status", "/dossier", "/health")))
        await platform.until(lambda: replies(platform))
        assert uplink.parts.outbox.rate.per_s == 100
    assert replies(platform)[0]["code"] == "ok"


async def test_resend_sends_what_history_holds_and_tells_what_it_does_not(tmp_path: Path) -> None:
    async with asked(tmp_path) as (made, uplink, broker, platform):
        ids = [await made.accept("access.granted") for _ in range(10)]
        async with asyncio.timeout(10):
            while uplink.parts.outbox.backlog(Lane.EVENT):
                await made.store.read(lambda _: None)
        await platform.until(lambda: len(platform.events("event")) == 10)
        await made.store.transact(lambda c: c.execute("DELETE FROM event_lane WHERE seq IN (1, 2, 5)"))
        made.store.tails[Lane.EVENT].clear()
        args = {"stream": "district.event", "from": f"{1:016d}", "to": 7}
        await send(broker.port, request("c-1", "resend", args=args))
        await platform.until(lambda: len(platform.events("event")) == 14)
        await platform.until(lambda: replies(platform))
        await made.accept("access.granted")
        await platform.until(lambda: len(platform.events("event")) == 15)
    again = platform.events("event")[10:14]
    assert [(int(event["sequence"]), event["id"]) for event in again] == [(n, ids[n - 1]) for n in (3, 4, 6, 7)]
    (reply,) = replies(platform)
    assert reply["result"] == {
        "stream": "district.event",
        "first": f"{1:016d}",
        "last": f"{7:016d}",
        "count": 4,
        "gone": [{"first": f"{1:016d}", "last": f"{2:016d}"}, {"first": f"{5:016d}", "last": f"{5:016d}"}],
    }
