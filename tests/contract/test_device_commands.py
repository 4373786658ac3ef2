"""The platform moves devices: a real mosquitto, the real daemon, a door, a relay board and a camera on real wires."""

import base64
import hashlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drivers.sim import isapi, modbus, osdp
from gateway.chores import ENDS_S
from gateway.clock import SystemClock, rfc3339
from gateway.database import put_fact
from gateway.signing import signed_form
from gateway.store import Store
from gateway.timekeeper import FACT
from tests.brokers import Mosquitto, Subscriber, subscribed
from tests.daemons import SITE, Own

BASE = "sc/v1/310104/013/002/gw-0001"
KEY = secrets.token_bytes(16)
PRIVATE = Ed25519PrivateKey.generate()
SECTIONS = """\
uplinks:
  district:
    url: "mqtt://127.0.0.1:{port}"
    commands: [unlock, output, snapshot, restart]
    command_key: !file platform.pub
buses:
  io: {{serial: "{io}", baudrate: 115200}}
  doors: {{serial: "{doors}", baudrate: 115200}}
devices:
  - {{id: relays-1, driver: modbus, bus: io, address: 7, profile: waveshare-io-8ch, place: gate, poll: 100ms}}
  - {{id: door-1, driver: osdp, bus: doors, address: 1, key: !file door-1.key, place: b3/u2,
     door: {{seconds: 1, contact: 0}}}}
  - {{id: cam-1, driver: isapi, url: "{camera}", password: !file camera.password, place: gate}}
"""


@dataclass
class Site:
    """All that stands."""

    daemon: Own
    port: int
    platform: Subscriber
    door: osdp.Reader
    readers: osdp.Line
    relays: modbus.Slave

    async def send(
        self, identity: str, device: str, action: str, key: Ed25519PrivateKey = PRIVATE, **args: Any
    ) -> None:
        """A command of the platform, signed."""
        topic, expires = f"{BASE}/command/{device}", rfc3339(datetime.now(UTC) + timedelta(seconds=60))
        asked = {"id": identity, "action": action, "args": args, "expires": expires, "issuer": "值班员 7"}
        asked["signature"] = base64.b64encode(key.sign(signed_form(topic, asked))).decode()
        async with aiomqtt.Client("127.0.0.1", self.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.publish(topic, json.dumps(asked), qos=1)

    async def reply(self, identity: str) -> dict[str, Any]:
        """The answer, as soon as there is one."""
        await self.platform.until(lambda: self.platform.document(f"/reply/{identity}"), 20.0)
        return self.platform.document(f"/reply/{identity}") or {}

    async def asked(self, identity: str, device: str, action: str, **args: Any) -> dict[str, Any]:
        """Sent and answered."""
        await self.send(identity, device, action, **args)
        return await self.reply(identity)

    def answers(self, device: str) -> bool:
        """Does the platform know it online?"""
        return (self.platform.document(f"/state/{device}") or {}).get("online") is True

    def told(self) -> list[dict[str, Any]]:
        """The events about what was done."""
        return [event for event in self.platform.events() if event["type"] == "gateway.action"]

    @property
    def unlocked(self) -> int:
        """How often the door's lock was told to open."""
        return len(self.readers.ledger.of("output", 1))


async def with_a_clock(state: Path) -> None:
    """A state folder whose last run knew the time: this machine's clock may be one that nobody has set."""
    os.makedirs(state, exist_ok=True)
    clock = SystemClock()
    known = {"utc": rfc3339(datetime.now(UTC)), "boot": clock.boot, "at": clock.since_boot_s(), "set": True}
    async with Store(state / "events.db", ("district",)) as store:
        await store.transact(lambda connection: put_fact(connection, FACT, json.dumps(known)))


@asynccontextmanager
async def site(folder: Path, *, known_time: bool = True) -> AsyncIterator[Site]:
    """Everything stands, and each device has answered."""
    door, relays = osdp.Reader(1, KEY, inputs=1), modbus.Slave(7, "waveshare-io-8ch")
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        broker = await enter(Mosquitto(folder))
        platform = await enter(subscribed(broker.port))
        board, readers = await enter(modbus.Line(relays)), await enter(osdp.Line([door]))
        camera = await enter(isapi.Camera(("admin", "camera-1234"), isapi.Quirks(heartbeat_s=1.0)))
        sections = SITE + SECTIONS.format(port=broker.port, io=board.port, doors=readers.port, camera=camera.url)
        public = base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()
        files = {"door-1.key": KEY.hex(), "camera.password": "camera-1234", "platform.pub": public}
        daemon = await enter(Own(folder, sections, files))
        if known_time:
            await with_a_clock(daemon.state)
        await daemon.start()
        made = Site(daemon, broker.port, platform, door, readers, relays)
        await platform.until(lambda: all(map(made.answers, ("door-1", "relays-1", "cam-1"))), 30.0)
        yield made


async def test_a_door_a_relay_and_a_camera_do_as_they_are_told(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        await made.send("c-1", "door-1", "unlock", seconds=10)
        await made.readers.ledger.wait("output", 1)
        made.door.input(0, active=True)  # somebody goes in
        unlocked = await made.reply("c-1")
        assert (unlocked["status"], unlocked["result"]) == ("done", {"relay": "confirmed", "contact": "opened"})
        made.door.input(0, active=False)
        await made.platform.until(lambda: [e for e in made.platform.events() if e["type"] == "door.open"][1:])
        unlocked = await made.asked("c-2", "door-1", "unlock", seconds=0.3)
        assert unlocked["result"] == {"relay": "confirmed", "contact": "not-opened"}

        switched = await made.asked("c-3", "relays-1", "output", number=3, state=True)
        assert (switched["code"], made.relays.output(3)) == ("ok", True)
        wrong = await made.asked("c-4", "relays-1", "output", number=99, state=True)
        assert (wrong["status"], wrong["code"]) == ("refused", "bad-arguments")

        shot = await made.asked("c-5", "cam-1", "snapshot")
        body = isapi.picture()
        kept = shot["result"]["picture"]
        told = {"content_type": "image/png", "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        assert kept == {"ref": kept["ref"], **told}
        assert (await made.asked("c-6", "gateway", "picture", ref=kept["ref"]))["code"] == "not-allowed"
        await made.platform.until(lambda: len(made.told()) == 5)
        for event, (device, action, result) in zip(made.told(), DONE, strict=True):
            data = event["data"]
            assert (event["subject"], data["action"], data["result"]) == (device, action, result)
            assert (data["who"], data["from"]) == ("值班员 7", "uplink:district")


DONE = (
    ("door-1", "unlock", "ok"), ("door-1", "unlock", "ok"), ("relays-1", "output", "ok"),
    ("relays-1", "output", "bad-arguments"), ("cam-1", "snapshot", "ok"),
)  # fmt: skip


async def test_none_but_the_platform_moves_anything_and_that_once(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        await made.send("c-1", "door-1", "unlock", Ed25519PrivateKey.generate())
        assert (await made.reply("c-1"))["code"] == "bad-signature"
        assert (await made.asked("c-2", "door-1", "release"))["code"] == "not-allowed"
        assert made.unlocked == 0
        assert (await made.asked("c-3", "door-1", "unlock", seconds=0.2))["code"] == "ok"
        made.platform.messages.clear()
        assert (await made.asked("c-3", "door-1", "unlock", seconds=0.2))["code"] == "duplicate"
        assert made.unlocked == 1


async def killed(made: Site) -> None:
    await made.daemon.kill()
    assert made.platform.document("/reply/c-1") is None
    await made.daemon.start()


async def restarted(made: Site) -> None:
    await made.send("c-2", "gateway", "restart")
    assert (await made.reply("c-2"))["result"] == {"ends_in_s": ENDS_S}


@pytest.mark.parametrize("ends", [killed, restarted])
async def test_what_is_interrupted_is_answered_and_never_done_again(
    tmp_path: Path, ends: Callable[[Site], Any]
) -> None:
    """The relay has opened, its contact is waited for, and then there is no gateway any more."""
    async with site(tmp_path) as made:
        await made.send("c-1", "door-1", "unlock", seconds=60)
        await made.readers.ledger.wait("output", 1)
        before = made.unlocked
        await ends(made)
        reply = await made.reply("c-1")
        assert (reply["status"], reply["code"]) == ("failed", "timeout")
        assert (await made.asked("c-3", "door-1", "unlock", seconds=0.2))["code"] == "ok"
        assert made.unlocked == before + 1


async def test_with_a_clock_that_nobody_has_set_no_door_moves(tmp_path: Path) -> None:
    if SystemClock().quality() != "unsynced":
        pytest.skip("this machine's clock is set: tests/unit/test_desk.py shows it with one that is not")
    async with site(tmp_path, known_time=False) as made:
        assert (await made.asked("c-1", "door-1", "unlock"))["code"] == "clock-unsure"
        assert (await made.asked("c-2", "gateway", "ping"))["code"] == "ok"
        assert made.unlocked == 0
