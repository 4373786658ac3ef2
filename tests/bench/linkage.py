"""From a detector's bit on the wire to the door relay's frame on the wire: Modbus polled every 100 ms, OSDP doors.

The daemon with no uplink, its state on a real disk; smoke rises, two doors are released, a person resets, they are
locked; so many times over. Timed from the moment the register holds the bit until the reader has the output command.
"""

import asyncio
import secrets
from contextlib import AsyncExitStack
from pathlib import Path

from drivers.sim import modbus, osdp
from tests.bench.figures import Figure
from tests.daemons import SITE, Own
from tests.houses import ask

ROUNDS = 60
DOORS = (1, 2)
WAIT_S = 20.0  # longest for a round
ON, OFF = 2, 1  # OSDP output control codes
FIGURES = (
    Figure("linkage_p50_ms", "smoke on the wire to door on the wire, polled every 100 ms, half within", "{:.0f} ms"),
    Figure("linkage_p99_ms", "99 of 100 within", "{:.0f} ms", "≤ 500 ms"),
    Figure("linkage_max_ms", "longest of 120", "{:.0f} ms"),
)
SECTIONS = """\
buses:
  rs485-1: {{serial: "{modbus}", baudrate: 115200}}
  rs485-2: {{serial: "{osdp}", baudrate: 115200}}
devices:
  - {{id: smoke-1, driver: modbus, bus: rs485-1, address: 5, profile: rs-yg-n01, place: b3, poll: 100ms}}
  - {{id: door-1, driver: osdp, bus: rs485-2, address: 1, key: !file door-1.key, place: b3}}
  - {{id: door-2, driver: osdp, bus: rs485-2, address: 2, key: !file door-2.key, place: b3}}
rules:
  - name: fire-opens-doors
    when: {{type: "fire.*", phase: raise}}
    do: [{{action: release, devices: {{kind: door, place: same-building}}}}]
"""


async def linkage(folder: Path) -> dict[str, float]:
    """The figures, in milliseconds."""
    keys = {number: secrets.token_bytes(16) for number in DOORS}
    async with AsyncExitStack() as stack:
        smoke = modbus.Slave(5, "rs-yg-n01")
        line = await stack.enter_async_context(modbus.Line(smoke))
        readers = await stack.enter_async_context(osdp.Line([osdp.Reader(n, key) for n, key in keys.items()]))
        files = {f"door-{number}.key": key.hex() for number, key in keys.items()}
        sections = SITE + SECTIONS.format(modbus=line.port, osdp=readers.port)
        daemon = await stack.enter_async_context(Own(folder, sections, files))
        await daemon.start()
        while not all(device.get("online") for device in await ask(daemon.state, "devices")):
            await daemon.after(0.1)
        took_ms: list[float] = []
        for _ in range(ROUNDS):
            async with asyncio.timeout(WAIT_S):
                took_ms += await _round(daemon, smoke, readers)
    took_ms.sort()
    return {
        "linkage_p50_ms": took_ms[len(took_ms) // 2],
        "linkage_p99_ms": took_ms[len(took_ms) * 99 // 100],
        "linkage_max_ms": took_ms[-1],
    }


async def _round(daemon: Own, smoke: modbus.Slave, readers: osdp.Line) -> list[float]:
    """Smoke, doors open, over, a person says what it was, doors shut; the milliseconds until each door was open."""
    before = {number: len(readers.ledger.of("output", number)) for number in DOORS}
    began_s = asyncio.get_running_loop().time()
    smoke.set_condition("fire.smoke", True)
    opened = [await readers.ledger.wait("output", number, before[number] + 1) for number in DOORS]
    _stand(opened, ON)
    smoke.set_condition("fire.smoke", False)
    alarm = await _over(daemon)
    await ask(daemon.state, "ack", alarm=alarm, who="bench", outcome="test")
    _stand([await readers.ledger.wait("output", number, before[number] + 2) for number in DOORS], OFF)
    return [(entry.at_s - began_s) * 1000 for entry in opened]


async def _over(daemon: Own) -> str:
    """The alarm's id, when its cause has ended."""
    while True:
        for alarm in await ask(daemon.state, "alarms"):
            if alarm["type"] == "fire.smoke" and not alarm["flags"]["active"]:
                return str(alarm["alarm"])
        await daemon.after(0.05)


def _stand(entries: list[osdp.Entry], control: int) -> None:
    codes = [entry.detail["control_code"] for entry in entries]
    if codes != [control] * len(entries):
        raise RuntimeError(f"the doors were set to {codes}, not {control}")
