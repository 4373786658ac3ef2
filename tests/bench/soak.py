"""`python -m tests.bench.soak [SECONDS]`: does anything grow? 500 events/s for 10 minutes, the uplink coming and going.

A real daemon, devices that post, a smoke detector on a line, a subscriber that counts, somebody who looks at the page.
Prints memory, open files, threads and tasks at the start (after WARM_S) and at the end, and what became of the events.
Exit status 1 where one was lost, a number is missing, or something grew.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import aiomqtt

from drivers.sim.modbus import Line, Slave
from gateway.clock import SystemClock
from tests.bench.figures import BUILD
from tests.brokers import Mosquitto, Wire
from tests.faults.daemon import BASE, Daemon, token, webhook
from tests.faults.seen import counter

SOAK_S = 600.0
WARM_S = 30.0  # at least, and one whole cycle of the link: buffers and caches have their size then
RATE_PER_S = 500
POSTERS = 5
BATCH_EVENTS = 20  # of one post
UP_S, AWAY_S = 20.0, 10.0  # the link
DRAIN_S = 60.0  # for what is still owed at the end
ROOM = "48MiB"  # so small that history has to go meanwhile
GROWN_BYTES = 16 * 2**20  # beyond this, memory has grown; it breathes by less
GROWN_COUNT = 3  # files, threads, tasks: a request may be under way
ANSWER = aiohttp.ClientTimeout(total=20.0)  # nobody waits longer for a disk
CLOCK = SystemClock()


class Size(NamedTuple):
    """What could grow."""

    rss_bytes: int
    files: int
    threads: int
    tasks: int


@dataclass
class Ledger:
    """What was accepted, and what arrived by stream and number."""

    accepted: set[str] = field(default_factory=set)
    arrived: set[str] = field(default_factory=set)
    numbers: dict[str, set[int]] = field(default_factory=dict)
    duplicates: int = 0

    def take(self, payload: bytes) -> None:
        """One delivery."""
        event = json.loads(payload)
        numbers = self.numbers.setdefault(event["stream"], set())
        self.duplicates += event["id"] in self.arrived
        self.arrived.add(event["id"])
        numbers.add(int(event["sequence"]))

    @property
    def lost(self) -> int:
        """Accepted, and never arrived."""
        return len(self.accepted - self.arrived)

    @property
    def gaps(self) -> int:
        """Numbers that did not come."""
        return sum(max(numbers) - len(numbers) for numbers in self.numbers.values())


class Counted(Daemon):
    """A daemon that says how many tasks it has: `program` is tests.bench.counted."""

    async def size(self) -> Size:
        """Now."""
        told = self._tasks()
        os.kill(self.running.pid, signal.SIGUSR1)
        await self.logged(lambda _: len(self._tasks()) > len(told))
        folder = Path(f"/proc/{self.running.pid}")
        pid = self.running.pid
        files, threads = len(list((folder / "fd").iterdir())), counter(pid, "Threads")
        return Size(counter(pid, "VmRSS") * 1024, files, threads, self._tasks()[-1])

    def _tasks(self) -> list[int]:
        return [int(line.rpartition(" ")[2]) for line in self.log if "tests.bench: tasks:" in line]


def readings(number: int) -> list[dict[str, Any]]:
    """One post: mostly cards and movements, some measurements, now and then an alarm."""
    kinds: list[dict[str, Any]] = [{"type": "access.granted"}] * (BATCH_EVENTS - 8)
    kinds += [{"type": "video.motion", "phase": phase} for phase in ("raise", "clear")] * 2
    kinds += [{"type": "telemetry.sample", "values": {"temperature": {"value": number % 40, "unit": "°C"}}}] * 2
    kinds += [{"type": "safety.panic", "phase": phase} for phase in ("raise", "clear")]
    return kinds


async def post(daemon: Daemon, device: str, ledger: Ledger, until_s: float) -> None:
    """Its share of the rate, whether the link is there or not."""
    url, headers = f"{daemon.url}/ingest/{device}", {"Authorization": f"Bearer {token(device)}"}
    every_s, due_s, number = BATCH_EVENTS * POSTERS / RATE_PER_S, time.monotonic(), 0
    async with aiohttp.ClientSession(headers=headers, timeout=ANSWER) as http:
        while due_s < until_s:
            async with http.post(url, json=readings(number)) as answer:
                answer.raise_for_status()
                ledger.accepted.update((await answer.json())["ids"])
            due_s, number = due_s + every_s, number + 1
            await CLOCK.sleep(max(0.0, due_s - time.monotonic()))


async def disturb(wire: Wire, daemon: Daemon, detector: Slave, until_s: float) -> None:
    """The link comes and goes, smoke too; each time somebody looks at the page."""
    smoke = False
    while time.monotonic() < until_s:
        for up, seconds in ((True, UP_S), (False, AWAY_S)):
            wire.mend() if up else wire.cut()
            smoke = not smoke
            detector.set_condition("fire.smoke", smoke)
            async with aiohttp.ClientSession(timeout=ANSWER) as http, http.get(daemon.url) as page:
                page.raise_for_status()
            await CLOCK.sleep(min(seconds, max(0.0, until_s - time.monotonic())))
    wire.mend()


@asynccontextmanager
async def counting(port: int, ledger: Ledger) -> AsyncIterator[None]:
    """A subscriber while the block lasts."""

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            ledger.take(bytes(message.payload))

    async with aiomqtt.Client("127.0.0.1", port, max_queued_incoming_messages=0) as client:
        await client.subscribe(f"{BASE}/event/#", qos=1)
        task = asyncio.create_task(listen(client))
        yield
        task.cancel()


async def soak(folder: Path, seconds: float) -> tuple[Size, Size, Ledger]:
    """Sizes when warm and at the end, everything delivered."""
    ledger = Ledger()
    names = [f"poster-{number}" for number in range(POSTERS)]
    devices = [webhook(name) for name in names]
    devices += ["{id: smoke-1, driver: modbus, bus: line, address: 5, profile: rs-yg-n01, place: b3, poll: 200ms}"]
    async with (
        Mosquitto(folder, "allow_anonymous true", "max_queued_messages 0") as broker,
        counting(broker.port, ledger),
        Wire(broker.port) as wire,
        Line(Slave(5, "rs-yg-n01")) as line,
        Counted(
            folder,
            uplink=wire.port,
            devices=devices,
            buses={"line": f"{{serial: {line.port}}}"},
            room=ROOM,
            program="tests.bench.counted",
        ) as it,
    ):
        await it.start()
        warm_s = min(max(WARM_S, UP_S + AWAY_S), seconds / 2)
        until_s = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(post(it, name, ledger, until_s))
            group.create_task(disturb(wire, it, line.slaves[5], until_s))
            await it.after(warm_s)
            first = await it.size()
            while time.monotonic() < until_s - 1:
                say(await it.size(), until_s - time.monotonic())
                await it.after(min(WARM_S, max(0.1, until_s - time.monotonic())))
        async with asyncio.timeout(DRAIN_S):
            while ledger.lost:
                await it.after(0.1)
        last = await it.size()
        await it.stop()
    return first, last, ledger


def say(size: Size, left_s: float) -> None:
    """How it goes."""
    sys.stderr.write(f"{left_s:5.0f} s left: {size.rss_bytes / 2**20:.1f} MiB, {size[1:]}\n")


def main(seconds: float) -> int:
    """Runs it and prints; 1 where something is not as it must be."""
    folder = BUILD / "soak"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    first, last, ledger = asyncio.run(soak(folder, seconds))
    shutil.rmtree(folder)
    out = [f"{'':14}{'start':>10}{'end':>10}"]
    out += [f"{'RSS, MiB':14}{first.rss_bytes / 2**20:>10.1f}{last.rss_bytes / 2**20:>10.1f}"]
    out += [f"{name:14}{a:>10}{b:>10}" for name, a, b in zip(Size._fields[1:], first[1:], last[1:], strict=True)]
    out += [f"{len(ledger.accepted)} accepted, {len(ledger.accepted & ledger.arrived)} of them delivered"]
    out += [f"{ledger.duplicates} duplicates, {ledger.gaps} gaps, {ledger.lost} lost"]
    sys.stdout.write("\n".join(out) + "\n")
    grown = last.rss_bytes - first.rss_bytes > GROWN_BYTES
    grown = grown or any(b - a > GROWN_COUNT for a, b in zip(first[1:], last[1:], strict=True))
    return int(bool(grown or ledger.gaps or ledger.lost))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if sys.argv[1:] else SOAK_S))
