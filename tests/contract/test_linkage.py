"""Smoke on the wire opens doors on the wire and takes a picture, with no uplink at all; and who may lock them again."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.sim import isapi, modbus
from drivers.sim import osdp as sim
from gateway.documents import ActionData
from tests.daemons import SITE, Own
from tests.houses import ask

SECTIONS = (
    SITE.replace("{", "{{").replace("}", "}}")
    + """\
buses:
  rs485-1: {{serial: "{modbus}", baudrate: 115200}}
  rs485-2: {{serial: "{osdp}", baudrate: 115200}}
devices:
  - {{id: smoke-1, driver: modbus, bus: rs485-1, address: 5, profile: rs-yg-n01, place: b3/u2/f5, poll: 100ms}}
  - {{id: door-1, driver: osdp, bus: rs485-2, address: 1, key: !file door-1.key, place: b3/u2}}
  - {{id: door-2, driver: osdp, bus: rs485-2, address: 2, key: !file door-2.key, place: b3, offline_after: 1s}}
  - {{id: cam-1, driver: isapi, url: "{camera}", password: !file camera.password, place: b3}}
rules:
  - name: fire-opens-doors
    when: {{type: "fire.*", phase: raise}}
    do:
      - {{action: release, devices: {{kind: door, place: same-building}}}}
      - {{action: snapshot, devices: {{kind: camera, place: same-building}}}}
"""
)
ON, OFF = 2, 1  # output control codes: permanently
Event = dict[str, Any]


@dataclass
class Building:
    """The daemon and what it is wired to."""

    daemon: Own
    smoke: modbus.Slave
    readers: sim.Line

    async def events(self, condition: Callable[[list[Event]], object]) -> list[Event]:
        """All events, as soon as they fit."""
        async with asyncio.timeout(30):
            while not condition(found := await ask(self.daemon.state, "events", limit=1000)):
                await self.daemon.after(0.1)
        return list(found)

    async def online(self) -> None:
        """Every device has answered."""
        async with asyncio.timeout(30):
            while not all(device.get("online") for device in await ask(self.daemon.state, "devices")):
                await self.daemon.after(0.1)

    def last(self, address: int) -> int | None:
        """How the door's relay was set last."""
        outputs = self.readers.ledger.of("output", address)
        return int(outputs[-1].detail["control_code"]) if outputs else None

    async def relays(self, control: int) -> None:
        """Until both stand so."""
        async with asyncio.timeout(30):
            while {self.last(1), self.last(2)} != {control}:
                await self.daemon.after(0.05)


def acted(events: list[Event], action: str, result: str = "ok") -> list[str]:
    """The devices of which this was told."""
    return [
        event["subject"]
        for event in events
        if event["type"] == "gateway.action"
        and (event["data"]["action"], event["data"]["result"]) == (action, result)
    ]  # fmt: skip


@asynccontextmanager
async def building(folder: Path) -> AsyncIterator[Building]:
    """All of it runs, and every device has answered; there is no uplink."""
    keys = {number: secrets.token_bytes(16) for number in (1, 2)}
    async with AsyncExitStack() as stack:
        smoke = modbus.Slave(5, "rs-yg-n01")
        line = await stack.enter_async_context(modbus.Line(smoke))
        readers = await stack.enter_async_context(sim.Line([sim.Reader(n, key) for n, key in keys.items()]))
        camera = await stack.enter_async_context(isapi.Camera(("admin", "camera-1234"), isapi.Quirks(heartbeat_s=1.0)))
        files = {f"door-{number}.key": key.hex() for number, key in keys.items()} | {"camera.password": "camera-1234"}
        sections = SECTIONS.format(modbus=line.port, osdp=readers.port, camera=camera.url)
        daemon = await stack.enter_async_context(Own(folder, sections, files))
        await daemon.start()
        made = Building(daemon, smoke, readers)
        await made.online()
        yield made


async def test_smoke_opens_the_doors_and_takes_a_picture_with_no_uplink(tmp_path: Path) -> None:
    async with building(tmp_path) as made:
        made.smoke.set_condition("fire.smoke", True)
        await made.relays(ON)
        events = await made.events(lambda e: acted(e, "snapshot") and len(acted(e, "release")) == 2)
        (fire,) = [event for event in events if event["type"] == "fire.smoke"]
        assert sorted(acted(events, "release")) == ["door-1", "door-2"]
        assert {e["data"]["cause"] for e in events if e["type"] == "gateway.action"} == {fire["id"]}
        assert sorted(e["subject"] for e in events if e["type"] == "door.released") == ["door-1", "door-2"]
        (shot,) = [e["data"] for e in events if e["type"] == "gateway.action" and e["data"]["action"] == "snapshot"]
        for event in events:
            if event["type"] == "gateway.action":
                ActionData.model_validate(event["data"])
        kept = tmp_path / "state" / "pictures" / shot["picture"]["ref"]
        assert kept.read_bytes() == isapi.picture()
        assert (shot["proof"], shot["picture"]["content_type"]) == ("picture", "image/png")


async def test_killed_and_started_again_they_are_open_and_a_reset_locks_them(tmp_path: Path) -> None:
    async with building(tmp_path) as made:
        made.smoke.set_condition("fire.smoke", True)
        await made.relays(ON)
        await made.events(lambda e: len(acted(e, "release")) == 2)
        await made.daemon.kill()
        told = len(made.readers.ledger.of("output"))
        await made.daemon.start()
        await made.events(lambda e: len(acted(e, "release")) == 4)
        assert {entry.detail["control_code"] for entry in made.readers.ledger.of("output")[told:]} == {ON}
        (alarm,) = [a["alarm"] for a in await ask(made.daemon.state, "alarms") if a["type"] == "fire.smoke"]
        made.smoke.set_condition("fire.smoke", False)
        await made.events(lambda e: any((x["type"], x["phase"]) == ("fire.smoke", "clear") for x in e))
        assert {made.last(1), made.last(2)} == {ON}  # the cause is over, but nobody has said what it was
        await ask(made.daemon.state, "ack", alarm=alarm, who="王师傅", outcome="real")
        await made.relays(OFF)
        events = await made.events(lambda e: len(acted(e, "lock")) == 2)
        ended = [e["subject"] for e in events if (e["type"], e["phase"]) == ("door.released", "clear")]
        assert sorted(ended) == ["door-1", "door-2"]


async def test_a_door_that_was_away_opens_when_it_is_back(tmp_path: Path) -> None:
    async with building(tmp_path) as made:
        away = made.readers.readers[2]
        away.power(False)
        await made.events(lambda e: any((x["type"], x["subject"]) == ("device.offline", "door-2") for x in e))
        made.smoke.set_condition("fire.smoke", True)
        events = await made.events(lambda e: acted(e, "release", "device-offline"))
        failed = [e for e in events if e["type"] == "gateway.action" and e["data"]["result"] == "device-offline"]
        assert [(e["subject"], e["severity"]) for e in failed] == [("door-2", "medium")]  # told once, and an alarm
        away.power(True)
        await made.relays(ON)
        await made.events(lambda e: "door-2" in acted(e, "release"))
