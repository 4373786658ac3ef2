"""What stands on the demo's stage: devices that speak the real wire, a broker, and the daemon as its own process."""

import asyncio
import os
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from drivers.sim import isapi, modbus, osdp, webhook
from gateway.access import hash_card
from gateway.demo.broker import broker
from gateway.demo.wire import Wire, free_port
from gateway.errors import StateError, Text
from gateway.event import Credential
from gateway.setupcode import CODE

READY_S = 20.0
STOP_S = 12.0
RESIDENT = Credential("wiegand-26", 90, 324)
RESIDENT_BITS = (26, bytes.fromhex("2D00A200"))  # the same card as a reader sends it
STRANGER_BITS = (26, bytes.fromhex("2D00A2C0"))  # number 325, which stands in no list
SMOKE, CLIMATE = 5, 6  # Modbus addresses
DOOR_B3, DOOR_GATE = 1, 2  # OSDP addresses
CONTACT = 0  # the input at which a door's contact is wired
CONFIG = """\
gateway: {{id: gw-0001, state_dir: state, language: {language}, web: {{listen: "127.0.0.1:{page}"}}}}
site:
  name: 阳光花园
  area: {{district: "310104", street: "013", community: "002"}}
  grid: "00000031010401300201"
  places:
    b3: {{label: 3号楼, units: {{u2: {{label: 2单元, floors: {{f5: {{label: 5层}}}}}}}}}}
    gate: {{label: 大门}}
uplinks:
  district: {{url: "mqtt://127.0.0.1:{wire}"}}
buses:
  rs485-1: {{serial: "{modbus}", baudrate: 9600}}
  rs485-2: {{serial: "{osdp}", baudrate: 9600}}
devices:
  - {{id: smoke-b3-u2-f5, driver: modbus, bus: rs485-1, address: 5, profile: rs-yg-n01, place: b3/u2/f5}}
  - {{id: climate-b3-u2, driver: modbus, bus: rs485-1, address: 6, profile: lt-001-m1920, place: b3/u2}}
  - {{id: door-b3-u2, driver: osdp, bus: rs485-2, address: 1, key: !file door-1.key, place: b3/u2,
     door: {{seconds: 3, contact: 0, held_after: 2s}}}}
  - {{id: door-gate, driver: osdp, bus: rs485-2, address: 2, key: !file door-2.key, place: gate}}
  - {{id: cam-gate, driver: isapi, url: "{camera}", username: admin, password: !file camera.password, place: gate}}
  - {{id: panic-gate, driver: webhook, token: !file panic.token, kind: panic, place: gate}}
credentials:
  key: !file cards.key
  list:
    - {{card: "{card}", doors: ["*"], note: resident}}
"""


@dataclass
class Stage:
    """All that the story moves."""

    folder: Path
    broker_name: str
    broker_port: int
    page: str
    wire: Wire
    detectors: modbus.Line
    readers: osdp.Line
    camera: isapi.Camera
    panic: webhook.Poster
    started_s: float = field(default_factory=time.monotonic)

    @property
    def setup_code(self) -> str:
        """By which the first person gets an account on the page."""
        return (self.folder / "state" / CODE).read_text("ascii").strip()


@asynccontextmanager
async def stage(folder: Path, language: str) -> AsyncIterator[Stage]:
    """Everything stands and the daemon is ready while the block lasts."""
    keys = {number: secrets.token_bytes(16) for number in (DOOR_B3, DOOR_GATE)}
    async with AsyncExitStack() as stack:
        name, port = await stack.enter_async_context(broker(folder))
        wire = await stack.enter_async_context(Wire(port))
        slaves = modbus.Slave(SMOKE, "rs-yg-n01"), modbus.Slave(CLIMATE, "lt-001-m1920")
        slaves[1].set_value("temperature", 21.5)
        slaves[1].set_value("humidity", 48.0)
        detectors = await stack.enter_async_context(modbus.Line(*slaves))
        readers = await stack.enter_async_context(
            osdp.Line([osdp.Reader(number, key, inputs=1) for number, key in keys.items()])
        )
        camera = await stack.enter_async_context(isapi.Camera(("admin", "camera-1234")))
        page = free_port()
        token, cards = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        files = {f"door-{number}.key": key.hex() for number, key in keys.items()}
        files |= {"camera.password": "camera-1234", "panic.token": token, "cards.key": cards}
        files["gateway.yaml"] = CONFIG.format(
            language="zh-CN" if language.startswith("zh") else "en",
            page=page,
            wire=wire.port,
            modbus=detectors.port,
            osdp=readers.port,
            camera=camera.url,
            card=hash_card(cards, RESIDENT),
        )
        for file, text in files.items():
            (folder / file).write_text(text, "utf-8")
            (folder / file).chmod(0o600)
        await stack.enter_async_context(_daemon(folder))
        address = f"http://127.0.0.1:{page}"
        panic = await stack.enter_async_context(webhook.Poster(f"{address}/ingest/panic-gate", token))
        yield Stage(folder, name, port, address, wire, detectors, readers, camera, panic)


@asynccontextmanager
async def _daemon(folder: Path) -> AsyncIterator[None]:
    """`gateway run` as its own process, ready by what it tells systemd; its log goes to `folder/gateway.log`."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as notify:
        notify.bind(str(path))
        with (folder / "gateway.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "run", "--config", str(folder / "gateway.yaml"),
                stdout=log, stderr=log, env=os.environ | {"NOTIFY_SOCKET": str(path)},
            )  # fmt: skip
        try:
            await _ready(process, notify, folder)
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(STOP_S):
                await process.wait()


async def _ready(process: asyncio.subprocess.Process, notify: socket.socket, folder: Path) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.create_task(process.wait())
    try:
        while True:
            told = asyncio.create_task(loop.sock_recv(notify, 4096))
            await asyncio.wait({ended, told}, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
            if not told.done():
                told.cancel()
                raise StateError(
                    "demo",
                    Text("the gateway did not start", "网关未能启动"),
                    Text(f"see {folder / 'gateway.log'}", f"请查看 {folder / 'gateway.log'}"),
                )
            if b"READY=1" in told.result():
                return
    finally:
        ended.cancel()
