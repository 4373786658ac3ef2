"""The gb26875 driver on a real store: what is on disk when the confirm goes out, and what a new process makes of it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from drivers._gb26875_config import Config
from drivers.gb26875 import run
from drivers.sim.gb26875 import Quirks, Transmitter
from gateway import schemas
from gateway.alarms import Alarm
from gateway.database import read_alarms, read_rows
from gateway.driver import Line
from gateway.event import Lane
from gateway.states import States
from gateway.supervisor import DeviceLink, Switchboard, Tools
from gateway.vault import Vault
from tests.contract.test_gb26875 import ADDRESS, FIRE, NORMAL, WAIT_S, free_port
from tests.rig import Rig, rig

DEVICE = "smoke-1"  # a device of fire kind that the rig knows


class Gateway:
    """One process: a store, a pipeline, and the driver on a port."""

    def __init__(self, made: Rig, folder: Path, port: int) -> None:
        self.made = made
        self.states = States(made.pipeline._rim.subjects)
        tools = Tools(made.pipeline, self.states, made.clock, Vault(folder / "keys"), lambda *_: NotImplemented)
        log = logging.LoggerAdapter(logging.getLogger("tests.gb26875"), {})
        self.link = DeviceLink(tools, Switchboard(), log)
        base = {"id": DEVICE, "driver": "gb26875", "place": "b3", "address": ADDRESS}
        self.config = Config.model_validate(base | {"listen": f"127.0.0.1:{port}"})

    async def alarms(self) -> list[Alarm]:
        return await self.made.store.read(read_alarms)

    async def events(self) -> list[dict[str, Any]]:
        """All of them, the alarm lane first, as an uplink gets them."""
        found = []
        for lane in Lane:
            for row in await self.made.store.read(lambda c, lane=lane: read_rows(c, lane, 0, 1000)):  # type: ignore[misc]
                numbers = {"stream": f"district.{lane.value}", "sequence": f"{row.numbers['district']:016d}"}
                found.append(json.loads(row.body) | numbers)
        return found


@asynccontextmanager
async def gateway(folder: Path, port: int) -> AsyncIterator[Gateway]:
    """From its start to its sudden end."""
    async with rig(folder, "district") as made:
        there = Gateway(made, folder, port)
        task = asyncio.create_task(run(Line("line", None, (there.config,)), there.link))
        try:
            yield there
        finally:
            task.cancel()
            await asyncio.wait({task})


def device(port: int) -> Transmitter:
    return Transmitter("127.0.0.1", port, ADDRESS, quirks=Quirks(retry_s=0.02, timeout_s=3.0, resends=5))


async def test_when_the_confirm_comes_the_fire_is_on_disk_and_a_restart_knows_it(tmp_path: Path) -> None:
    port = free_port("tcp")
    async with asyncio.timeout(WAIT_S), device(port) as utd:
        fire = utd.frame(bytes([2, 1]) + utd.object(2, system=1, system_address=1, part=40, status=FIRE))
        async with gateway(tmp_path, port) as first:
            assert await utd.deliver(fire)
            (alarm,) = await first.alarms()
            assert (alarm.type, alarm.part, alarm.active, alarm.count) == ("fire.smoke", "00000000", True, 1)
        async with gateway(tmp_path, port) as second:  # the confirm was lost: the same bytes again
            assert await utd.deliver(fire)
            assert await second.alarms() == [alarm]
            assert await utd.part(40, "00000000", NORMAL)
            (alarm,) = await second.alarms()
            assert (alarm.active, alarm.latched, alarm.count) == (False, True, 1)


async def test_what_goes_up_is_what_the_schemas_promise(tmp_path: Path) -> None:
    port = free_port("tcp")
    valid = Draft202012Validator(schemas.json_schema_events())
    async with asyncio.timeout(WAIT_S), device(port) as utd, gateway(tmp_path, port) as there:
        for kind in (0, 11, 23, 31, 40, 51, 78, 86, 91, 200):
            assert await utd.part(kind, f"{kind:02X}000100", 0xFFFE, "3号楼")
            assert await utd.part(kind, f"{kind:02X}000100", 0)
        for status in (0x0FFF, 0x0000):  # without bits 12 and 13, which are operations
            assert await utd.system(status)
        for status in (0xFF, 0x01):
            assert await utd.device(status)
        for kind in (3, 5, 7, 8, 25, 28):
            assert await utd.tell(kind)
        assert await utd.say(b"\x63\x01 vendor")
        events = await there.events()
    for event in events:
        valid.validate(event)
    assert {event["type"] for event in events} >= {
        "fire.smoke", "fire.heat", "fire.manual", "fire.gas", "fire.panel", "fire.supervisory", "device.fault",
        "device.shielded", "device.power_fault", "device.offline", "door.released", "gateway.uplink_lost",
        "device.unmapped", "telemetry.sample",
    }  # fmt: skip
