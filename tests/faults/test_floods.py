"""One way in is attacked, and the other devices do not notice: their events' way to the subscriber is timed meanwhile.

Slow loris, endless lines, half frames, floods of connections, of valid and of invalid messages, by a process of its own
from addresses that are allowed, and from others that are not.
"""

import asyncio
import json
import os
import re
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import pytest

from gateway.clock import SystemClock
from tests.brokers import Mosquitto, Subscriber, subscribed
from tests.faults import ROUNDS
from tests.faults.attacks import ATTACKS, OURS, Attack, Called, Doors, buses, devices, doors, served, under
from tests.faults.daemon import BASE, Daemon, token
from tests.faults.seen import counter, cpu_s

CLOCK = SystemClock()
GOAL_S = 0.1  # issue: p99 of the others' events
NOISE = 5  # times the quiet p99, on a machine that is busy
TRIES = 3  # a machine that stumbles does not stumble three times at the same attack
EVERY_S = 0.02
PHASE_S = float(os.environ.get("FLOOD_S", "0.6" if ROUNDS == 1 else "5"))
ARRIVED_S = 60.0
GROWTH_KB = 48 * 1024
LINES = 12  # of log, for one attack


class Ear(Subscriber):
    """When each of the neighbour's events arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.at_s: dict[int, float] = {}

    async def take(self, message: aiomqtt.Message) -> None:
        """One more."""
        event = json.loads(bytes(message.payload))
        if event["subject"] == "neighbour":
            self.at_s.setdefault(event["data"]["raw"]["n"], CLOCK.monotonic())
        await super().take(message)


@dataclass
class Neighbour:
    """Posts at an everyday pace over one connection at a time, whether answered or not."""

    http: aiohttp.ClientSession
    ear: Ear
    number: int = 0
    refused: int = 0

    async def timed(self, seconds: float) -> list[float]:
        """Seconds from the post to the subscriber, of each event in so long a time, sorted."""
        began_s, first = CLOCK.monotonic(), self.number
        due_s: dict[int, float] = {}
        async with asyncio.TaskGroup() as group:
            while (now_s := CLOCK.monotonic()) < began_s + seconds:
                due_s[self.number] = now_s
                group.create_task(self._post(self.number))
                self.number += 1
                await CLOCK.sleep(began_s + (self.number - first) * EVERY_S - CLOCK.monotonic())
        await self.ear.until(lambda: due_s.keys() <= self.ear.at_s.keys(), ARRIVED_S)
        return sorted(self.ear.at_s[number] - at_s for number, at_s in due_s.items())

    async def _post(self, number: int) -> None:
        reading = {"type": "video.falling_object", "phase": "pulse", "raw": {"n": number}}
        while True:
            try:
                async with self.http.post("/ingest/neighbour", json=reading) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            self.refused += 1
            await CLOCK.sleep(EVERY_S)


def p99(sorted_s: Sequence[float]) -> float:
    """The highest but one of a hundred."""
    return sorted_s[int(0.99 * (len(sorted_s) - 1))]


@dataclass
class Siege:
    """A daemon with a device behind each way in, and what was found."""

    daemon: Daemon
    neighbour: Neighbour
    doors: Doors
    called: Called
    folder: Path

    async def suffer(self, attack: Attack) -> tuple[list[float], dict[str, Any], bool]:
        """The neighbour's times meanwhile, what came of the attack, and whether the right device got through."""
        talks = attack.way == "talk"
        port = await self.called.line(attack.door) if talks else self.doors.port(attack.door)
        async with under(attack, port, self.folder) as ended:
            timing = asyncio.create_task(self.neighbour.timed(PHASE_S))
            through = await served(attack.door, port)
            times_s = await timing
            return times_s, await ended(), through or await served(attack.door, port)


@asynccontextmanager
async def siege(folder: Path) -> AsyncIterator[Siege]:
    """Everything runs, and has been warmed."""
    (folder / "hub").mkdir()
    ports = doors()
    async with (
        Mosquitto(folder, "allow_anonymous true", "max_queued_messages 0") as broker,
        Mosquitto(folder / "hub") as hub,
    ):
        hub.give_way()
        ports = {**ports, "broker": hub.port}
        daemon = Daemon(folder, uplink=broker.port, devices=devices(ports, hub.port), buses=buses(ports))
        ear = Ear()
        with closing(Called(ports)) as called:
            async with daemon, _heard(broker.port, ear):
                await daemon.start()
                headers = {"Authorization": f"Bearer {token('neighbour')}"}
                async with aiohttp.ClientSession(daemon.url, headers=headers) as http:
                    neighbour = Neighbour(http, ear)
                    await neighbour.timed(0.5)
                    yield Siege(daemon, neighbour, Doors(daemon.page, ports), called, folder)


@asynccontextmanager
async def _heard(port: int, ear: Ear) -> AsyncIterator[None]:
    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            await ear.take(message)

    async with aiomqtt.Client(OURS, port) as client:
        await client.subscribe(f"{BASE}/event/video")
        task = asyncio.create_task(listen(client))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


async def test_whatever_is_attacked_the_others_are_as_prompt_as_before(tmp_path: Path) -> None:
    only = os.environ.get("FLOOD_ONLY", "")
    async with siege(tmp_path) as made:
        pid = made.daemon.running.pid
        quiet_s = await made.neighbour.timed(2 * PHASE_S)
        out = sys.stdout
        out.write(
            f"\n{'quiet':42} {statistics.median(quiet_s) * 1e3:6.1f} {p99(quiet_s) * 1e3:6.1f} {quiet_s[-1] * 1e3:6.1f}\n"
        )
        for attack in ATTACKS:
            if not re.search(only, attack.name):
                continue
            rss, lines, cpu = counter(pid, "VmRSS"), len(made.daemon.log), cpu_s(pid)
            times_s, done, through = await made.suffer(attack)
            cpu = cpu_s(pid) - cpu
            now = counter(pid, "VmRSS")
            out.write(
                f"{attack.name:42} {statistics.median(times_s) * 1e3:6.1f} {p99(times_s) * 1e3:6.1f} {times_s[-1] * 1e3:6.1f}"
                f" cpu {cpu:4.1f} rss {rss // 1024}->{now // 1024} log {len(made.daemon.log) - lines} {'through' if through else 'SHUT OUT'} {done}\n"
            )
            for line in made.daemon.log[lines:][:4]:
                out.write("      " + line[:200] + "\n")
