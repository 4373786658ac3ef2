"""The real daemon with a configuration of a test's own, and a whole community around it: devices on real wires."""

import json
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from drivers.sim import isapi, modbus, osdp, webhook
from gateway.access import hash_card
from gateway.event import Credential
from tests.brokers import Mosquitto, Subscriber, free_port, subscribed
from tests.faults.daemon import Daemon

RESIDENT = Credential("wiegand-26", 90, 324)
RESIDENT_BITS = (26, bytes.fromhex("2D00A200"))  # the same card as a reader sends it
STRANGER = Credential("wiegand-26", 90, 325)
STRANGER_BITS = (26, bytes.fromhex("2D00A2C0"))
SITE = """\
site:
  name: 阳光花园
  area: {district: "310104", street: "013", community: "002"}
  grid: "00000031010401300201"
  places:
    b3: {label: 3号楼, units: {u2: {label: 2单元, floors: {f5: {label: 5层, grid: "00000031010401300205"}}}}}
    gate: {label: 大门}
"""
COMMUNITY = (
    SITE.replace("{", "{{").replace("}", "}}")
    + """\
uplinks:
  district: {{url: "mqtt://127.0.0.1:{district}"}}
  fire-brigade: {{url: "mqtt://127.0.0.1:{brigade}", types: ["fire.*", "device.fault"], redact: strict}}
  police: {{url: "mqtt://127.0.0.1:{brigade}", root: police/v1, types: ["access.*", "operator.*"], redact: clear}}
  dead: {{url: "mqtt://127.0.0.1:{dead}", root: dead/v1}}
buses:
  rs485-1: {{serial: "{modbus}", baudrate: 115200}}
  rs485-2: {{serial: "{osdp}", baudrate: 115200}}
devices:
  - {{id: smoke-1, driver: modbus, bus: rs485-1, address: 5, profile: rs-yg-n01, place: b3/u2/f5, poll: 100ms}}
  - {{id: climate-1, driver: modbus, bus: rs485-1, address: 6, profile: lt-001-m1920, place: b3/u2, poll: 100ms}}
  - {{id: door-1, driver: osdp, bus: rs485-2, address: 1, key: !file door-1.key, place: b3/u2,
     door: {{seconds: 1, contact: 0, held_after: 1s}}, ignore_repeats: 1ms}}
  - {{id: door-2, driver: osdp, bus: rs485-2, address: 2, key: !file door-2.key, place: gate, offline_after: 1s}}
  - {{id: cam-1, driver: isapi, url: "{camera}", password: !file camera.password, place: gate}}
  - {{id: panic-1, driver: webhook, token: !file panic.token, kind: panic, place: gate}}
credentials:
  key: !file cards.key
  list:
    - {{card: "{card}", doors: ["*"], note: resident}}
"""
)


class Own(Daemon):
    """`gateway run` with the test's own sections beside `gateway:`, which has a page and a folder of its own."""

    def __init__(
        self,
        folder: Path,
        sections: str,
        files: Mapping[str, str] | None = None,
        *,
        language: str = "en",
        state: Path | None = None,
    ) -> None:
        super().__init__(folder, uplink=free_port(), state=state)
        page = f'web: {{listen: "127.0.0.1:{self.page}"}}'
        head = f"gateway: {{id: gw-0001, state_dir: {json.dumps(str(self.state))}, language: {language}, {page}}}\n"
        self._config.write_text(head + sections, "utf-8")
        for name, text in (files or {}).items():
            (folder / name).write_text(text, "utf-8")
            (folder / name).chmod(0o600)

    @property
    def command(self) -> tuple[str, ...]:
        """What it is started with."""
        return sys.executable, "-m", "gateway", "run", "--config", str(self._config)


@dataclass
class Community:
    """All that stands around the daemon."""

    daemon: Own
    broker: Mosquitto  # the district's
    city: Subscriber  # everything on it
    brigade: Subscriber  # everything on the other broker: fire brigade and police
    detectors: modbus.Line
    readers: osdp.Line
    camera: isapi.Camera
    panic: webhook.Poster

    def answers(self, device: str) -> bool:
        """Whether the district knows it online."""
        return (self.city.document(f"/state/{device}") or {}).get("online") is True

    @property
    def smoke(self) -> modbus.Slave:
        """The detector smoke-1."""
        return self.detectors.slaves[5]

    @property
    def climate(self) -> modbus.Slave:
        """The detector climate-1, which measures."""
        return self.detectors.slaves[6]


@asynccontextmanager
async def community(folder: Path) -> AsyncIterator[Community]:
    """Everything stands, and the daemon is ready; each of its devices has answered."""
    keys = {number: secrets.token_bytes(16) for number in (1, 2)}
    climate = modbus.Slave(6, "lt-001-m1920")
    climate.set_value("temperature", 21.5)
    climate.set_value("humidity", 48.0)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        broker, other = await enter(Mosquitto(folder)), await enter(Mosquitto(folder))
        city, brigade = await enter(subscribed(broker.port)), await enter(subscribed(other.port))
        detectors = await enter(modbus.Line(modbus.Slave(5, "rs-yg-n01"), climate))
        readers = await enter(osdp.Line([osdp.Reader(number, key, inputs=1) for number, key in keys.items()]))
        camera = await enter(isapi.Camera(("admin", "camera-1234"), isapi.Quirks(heartbeat_s=1.0)))
        token, cards = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        sections = COMMUNITY.format(
            district=broker.port,
            brigade=other.port,
            dead=free_port(),
            modbus=detectors.port,
            osdp=readers.port,
            camera=camera.url,
            card=hash_card(cards, RESIDENT),
        )
        files = {f"door-{number}.key": key.hex() for number, key in keys.items()}
        files |= {"camera.password": "camera-1234", "panic.token": token, "cards.key": cards}
        daemon = await enter(Own(folder, sections, files))
        await daemon.start()
        panic = await enter(webhook.Poster(f"{daemon.url}/ingest/panic-1", token))
        yield Community(daemon, broker, city, brigade, detectors, readers, camera, panic)
