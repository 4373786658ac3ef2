"""`python -m tests.bench.fanin_modbus`: 32 Modbus TCP detectors polled flat out, and how soon a change is told.

The detectors are simulated in a process of their own, each on a TCP port; the daemon is `gateway run`, the broker
mosquitto. A change is timed from the moment its register changes to a subscriber's hands, while all are polled flat
out. Half of the detectors believe the first read (`debounce: 1`), half need two in a row, as profiles have it.
"""

import asyncio
import json
import random
import shutil
import statistics
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiomqtt

from drivers.sim.modbus import Line, Slave
from tests.bench.children import Child, child, orders, say
from tests.bench.figures import BUILD, Figure, table
from tests.brokers import Mosquitto
from tests.faults.daemon import BASE, Daemon
from tests.faults.seen import cpu_s

MODULE = "tests.bench.fanin_modbus"
DETECTORS = 32
PROFILE = "rs-yg-n01"
WARM_S = 2.0
RATE_S = 5.0  # how long requests are counted
CHANGES = 200
BETWEEN_S = 0.03  # changes, on average
FIGURES = (
    Figure("modbus_requests_per_s", "32 Modbus TCP detectors flat out, requests per second", "{:,.0f}", "≥ 4,500"),
    Figure("modbus_cpu_us_per_request", "the daemon's CPU time per request, µs", "{:.0f}"),
    Figure("modbus_change_p50_ms", "change to subscriber, debounce 1, p50, ms", "{:.1f}", "≤ 10"),
    Figure("modbus_change_p99_ms", "… p99, ms", "{:.1f}"),
    Figure("modbus_change2_p50_ms", "change to subscriber, debounce 2, p50, ms", "{:.1f}"),
)
Found = dict[str, float]


async def slaves() -> None:
    """The simulators' process: prints the ports; `count` and `flip N` on standard input, answers as JSON lines."""
    made = [Slave(1, PROFILE) for _ in range(DETECTORS)]
    on = [False] * DETECTORS
    async with AsyncExitStack() as stack:
        lines = [Line(slave, tcp=("127.0.0.1", 0), framing="tcp") for slave in made]
        for line in lines:
            await stack.enter_async_context(line)
        say([line.address[1] for line in lines])
        async for word in orders():
            if word[0] == "flip":
                number = int(word[1])
                on[number] = not on[number]
                made[number].set_condition("fire.smoke", on[number])
            say([sum(slave.requests for slave in made), time.monotonic()])


def _device(number: int) -> str:
    debounce = 1 if number % 2 else 2
    return (
        f"{{id: d-{number}, driver: modbus, bus: line-{number}, address: 1, profile: {PROFILE}, "
        f"poll: 1ms, debounce: {debounce}, place: b3}}"
    )


async def modbus_tcp(folder: Path) -> Found:
    """The figures."""
    async with (
        Mosquitto(folder) as broker,
        child(MODULE, "slaves") as them,
        aiomqtt.Client("127.0.0.1", broker.port) as client,
    ):
        ports = await them.ask()
        buses = {f"line-{number}": f'{{tcp: "127.0.0.1:{port}"}}' for number, port in enumerate(ports)}
        devices = [_device(number) for number in range(DETECTORS)]
        await client.subscribe(f"{BASE}/event/fire", qos=1)
        async with Daemon(folder, uplink=broker.port, devices=devices, buses=buses) as daemon:
            await daemon.start()
            await daemon.after(WARM_S)
            cpu_before_s = cpu_s(daemon.running.pid)
            before, began_s = await them.ask("count")
            await daemon.after(RATE_S)
            after, ended_s = await them.ask("count")
            used_s = cpu_s(daemon.running.pid) - cpu_before_s
            took_ms = await _changes(daemon, them, client)
    once, twice = sorted(took_ms[1]), sorted(took_ms[0])
    return {
        "modbus_requests_per_s": (after - before) / (ended_s - began_s),
        "modbus_cpu_us_per_request": used_s / (after - before) * 1e6,
        "modbus_change_p50_ms": statistics.median(once),
        "modbus_change_p99_ms": once[len(once) * 99 // 100],
        "modbus_change2_p50_ms": statistics.median(twice),
    }


async def _changes(daemon: Daemon, them: Child, client: aiomqtt.Client) -> tuple[list[float], list[float]]:
    """How long each change took, ms: of detectors with debounce 2 (even numbers), and with debounce 1 (odd)."""
    told: tuple[list[float], list[float]] = ([], [])
    messages = aiter(client.messages)
    for turn in range(CHANGES):
        await daemon.after(random.uniform(0.5, 1.5) * BETWEEN_S)
        number = turn % DETECTORS
        _, changed_s = await them.ask(f"flip {number}")
        async with asyncio.timeout(10):
            event = json.loads(bytes((await anext(messages)).payload))
        assert event["subject"] == f"d-{number}"
        told[number % 2].append((time.monotonic() - changed_s) * 1000)
    return told


def main() -> None:
    """Measure and print."""
    folder = BUILD / "fanin-modbus"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found = asyncio.run(modbus_tcp(folder))
    shutil.rmtree(folder)
    sys.stdout.write(table(found, FIGURES) + "\n")


if __name__ == "__main__":
    asyncio.run(slaves()) if sys.argv[1:] == ["slaves"] else main()
