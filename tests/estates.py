"""A community for tests of the page: the real daemon, a real broker, and devices on real wires that a test moves.

Everything is normal once it stands: each device has said a word. `names` lets a test give hostile ones.
"""

import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt

from drivers.sim import modbus, osdp, webhook
from gateway.access import hash_card
from gateway.clock import rfc3339
from tests.brokers import Mosquitto, Subscriber, subscribed
from tests.daemons import RESIDENT, Own
from tests.faults.daemon import BASE

NAMES: Mapping[str, str] = {  # what people call things
    "site": "阳光花园",
    "b2": "2号楼",
    "b3": "3号楼",
    "u2": "2单元",
    "f5": "5层",
    "gate": "大门",
    "smoke-1": "走廊烟感",
    "climate-1": "机房温湿度",
    "door-1": "单元门",
    "panic-1": "岗亭求助按钮",
    "hall-1": "大堂烟感",
    "lift-1": "1号电梯摄像机",
    "note": "住户",
}
POSTERS = {"panic-1": ("panic", "gate"), "hall-1": ("smoke", "b2"), "lift-1": ("camera", "b2")}  # kind, place
CARDS_KEY = "k" * 32


@dataclass
class Estate:
    """All that stands around the daemon; `places` of one test are another's: it leaves everything as it was."""

    daemon: Own
    broker: Mosquitto
    city: Subscriber
    detectors: modbus.Line
    readers: osdp.Line
    posters: dict[str, webhook.Poster]
    people: dict[str, list[dict[str, str]]] = field(default_factory=dict)  # cookies of those who have signed in

    async def post(self, device: str, type: str, phase: str = "raise", **more: Any) -> None:
        """A device of the webhook kind says something; returns when it is on the gateway's disk."""
        spoken = {"type": type} | ({} if phase == "pulse" else {"phase": phase}) | more
        await self.posters[device].say(spoken)
        await self.posters[device].all_accepted()

    def smoke(self, active: bool) -> None:
        """On the wire of smoke-1, in 3号楼 on the 5th floor."""
        self.detectors.slaves[5].set_condition("fire.smoke", active)

    async def told_by_the_platform(self, text: str = "周六上午停水两小时") -> None:
        """A notice and a case, retained as a platform keeps them; which brings them to the gateway."""
        now = datetime.now(UTC)
        said = {"time": rfc3339(now), "title": text, "text": text, "owner": text, "reason": text}
        notice = said | {"id": "n1", "kind": "notice"}
        case = said | {"incident": "i1", "step": "dispatched", "due": rfc3339(now - timedelta(hours=1)), "alarms": []}
        async with aiomqtt.Client("127.0.0.1", self.broker.port) as platform:
            await platform.publish("sc/v1/310104/013/002/notice/n1", json.dumps(notice), qos=1, retain=True)
            await platform.publish(f"{BASE}/incident/i1", json.dumps(case), qos=1, retain=True)

    async def city_events(self, type: str) -> list[dict[str, Any]]:
        """Those of that type that the platform has, when there is at least one."""
        await self.city.until(lambda: any(event["type"] == type for event in self.city.events()))
        return [event for event in self.city.events() if event["type"] == type]

    async def until(self, state: str, device: str) -> None:
        """The platform knows the device in that state."""
        await self.city.until(lambda: (self.city.document(f"/state/{device}") or {}).get("state") == state)


def sections(names: Mapping[str, str], broker: int, modbus_: str, osdp_: str) -> str:
    """The configuration beside `gateway:`. JSON's strings are YAML's, whatever stands in them."""
    named = {key: json.dumps(name, ensure_ascii=False) for key, name in names.items()}
    posters = "".join(
        f"  - {{id: {name}, driver: webhook, token: !file {name}.token, kind: {kind}, place: {place}, "
        f"name: {named[name]}}}\n"
        for name, (kind, place) in POSTERS.items()
    )
    return f"""\
site:
  name: {named["site"]}
  area: {{district: "310104", street: "013", community: "002"}}
  grid: "00000031010401300201"
  places:
    b2: {{label: {named["b2"]}}}
    b3: {{label: {named["b3"]}, units: {{u2: {{label: {named["u2"]}, floors: {{f5: {{label: {named["f5"]}}}}}}}}}}}
    gate: {{label: {named["gate"]}}}
uplinks:
  district: {{url: "mqtt://127.0.0.1:{broker}"}}
buses:
  rs485-1: {{serial: "{modbus_}", baudrate: 115200}}
  rs485-2: {{serial: "{osdp_}", baudrate: 115200}}
devices:
  - {{id: smoke-1, driver: modbus, bus: rs485-1, address: 5, profile: rs-yg-n01, place: b3/u2/f5, poll: 100ms,
     name: {named["smoke-1"]}}}
  - {{id: climate-1, driver: modbus, bus: rs485-1, address: 6, profile: lt-001-m1920, place: b3/u2, poll: 100ms,
     name: {named["climate-1"]}}}
  - {{id: door-1, driver: osdp, bus: rs485-2, address: 1, key: !file door-1.key, place: b3/u2,
     door: {{seconds: 1, contact: 0, held_after: 1s}}, ignore_repeats: 1ms, name: {named["door-1"]}}}
{posters}credentials:
  key: !file cards.key
  list:
    - {{card: "{hash_card(CARDS_KEY, RESIDENT)}", doors: ["*"], note: {named["note"]}}}
"""


@asynccontextmanager
async def estate(folder: Path, names: Mapping[str, str] = NAMES) -> AsyncIterator[Estate]:
    """It stands, and every device of it is known to be normal."""
    key = secrets.token_bytes(16)
    climate = modbus.Slave(6, "lt-001-m1920")
    climate.set_value("temperature", 21.5)
    climate.set_value("humidity", 48.0)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        broker = await enter(Mosquitto(folder))
        city = await enter(subscribed(broker.port))
        detectors = await enter(modbus.Line(modbus.Slave(5, "rs-yg-n01"), climate))
        readers = await enter(osdp.Line([osdp.Reader(1, key, inputs=1)]))
        tokens = {name: secrets.token_urlsafe(24) for name in POSTERS}
        files = {f"{name}.token": token for name, token in tokens.items()}
        files |= {"door-1.key": key.hex(), "cards.key": CARDS_KEY}
        daemon = await enter(
            Own(folder, sections(names, broker.port, detectors.port, readers.port), files, language="zh-CN")
        )
        await daemon.start()
        posters = {
            name: await enter(webhook.Poster(f"{daemon.url}/ingest/{name}", token)) for name, token in tokens.items()
        }
        made = Estate(daemon, broker, city, detectors, readers, posters)
        for name in POSTERS:
            await made.post(name, "telemetry.sample", "pulse", values={"battery": {"value": 96, "unit": "%"}})
        for name in ("smoke-1", "climate-1", "door-1", *POSTERS):
            await made.until("normal", name)
        yield made
