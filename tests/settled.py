"""A gateway started from a file, as on a box: its configuration has a history, and commands know where it is."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.app import live, standing
from gateway.archive import choose
from gateway.clock import SystemClock
from gateway.driver import registry
from gateway.house import House
from tests.brokers import free_port
from tests.houses import WAIT_S

TEXT = """\
gateway: {{id: gw-0001, state_dir: {state}, language: zh-CN, web: {{listen: "127.0.0.1:{page}"}}}}
site:
  name: 阳光花园
  area: {{district: "310104", street: "013", community: "002"}}
  grid: "00000031010401300201"
  places:
    b10: {{label: 10号楼}}
    b3:
      label: 3号楼
      units: {{u2: {{label: 2单元, floors: {{f5: {{label: 5层, rooms: {{"501": {{label: 501室}}}}}}}}}}}}
    gate: {{label: 大门, grid: "00000031010401300202"}}
uplinks: {{district: {{url: "mqtt://127.0.0.1:{broker}", username: gw, password: {password}}}}}
devices:
  - {{id: cam-1, driver: webhook, token: {token}, kind: camera, place: gate, name: "{name}"}}
  - {{id: smoke-1, driver: webhook, token: another-{token}, kind: smoke, place: b3/u2/f5}}
"""
PASSWORD, TOKEN = "first-secret-word", "sixteen-letters-long"


@dataclass(frozen=True)
class Settled:
    """The house, and its file."""

    house: House
    file: Path


def write(folder: Path, *, name: str = "大门相机", password: str = PASSWORD, broker: int = 1, page: int = 0) -> Path:
    """gateway.yaml."""
    file, state = folder / "gateway.yaml", json.dumps(str(folder / "state"))
    told = TEXT.format(state=state, broker=broker, page=page or free_port(), password=password, token=TOKEN, name=name)
    file.write_text(told, "utf-8")
    return file


@asynccontextmanager
async def settled(folder: Path) -> AsyncIterator[Settled]:
    """It runs while the block lasts, from the file that is there, else from a new one."""
    file = folder / "gateway.yaml"
    if not file.exists():
        write(folder, broker=free_port())
    drivers, stopping = registry(), asyncio.Event()
    start = choose(file, folder / "state", drivers.models(), SystemClock())
    async with standing(start.loaded.config, drivers, start) as house:
        task = asyncio.create_task(live(house, stopping))
        try:
            yield Settled(house, file)
        finally:
            stopping.set()
            async with asyncio.timeout(WAIT_S):
                await task
