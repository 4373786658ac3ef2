"""One way in is attacked, and the other devices do not notice: their events' way to the subscriber is timed meanwhile.

Slow loris, endless lines, half frames, floods of connections, of valid and of invalid messages, by a process of its own
from addresses that are allowed, and from others that are not.
"""

import asyncio
import json
import statistics
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt

from gateway.clock import SystemClock
from tests.brokers import Mosquitto, Subscriber
from tests.faults import ROUNDS
from tests.faults.attacks import (
    ATTACKS,
    MAD,
    OURS,
    STRANGER,
    Attack,
    Called,
    Doors,
    buses,
    devices,
    doors,
    served,
    under,
)
from tests.faults.daemon import BASE, Daemon, token
from tests.faults.seen import counter

CLOCK = SystemClock()
GOAL_S = 0.1  # issue: p99 of the others' events
NOISE = 5  # times the quiet p99, on a machine that is busy
TRIES = 3  # a machine that stumbles does not stumble three times at the same attack
EVERY_S = 0.02
PHASE_S = 0.6 if ROUNDS == 1 else 3.0
ARRIVED_S = 60.0
GROWTH_KB = 64 * 1024
LINES = 12  # of log, for one attack
CLOSED, MOST_LEFT = 0.9, 144  # of the attacker's connections, by us; what it may still have in the end
EACH = 3  # in the short form every third attack
TOLD = {  # once each, however often it happened; then there are counts
    "web: half heads, a drop at a time": f"{STRANGER} has 128 connections already (page)",
    "isapi: half heads of strangers": f"{STRANGER} is in no list of those that may connect (isapi door, mad-door)",
    "gb: connections of strangers": f"{STRANGER} is in no list of those that may connect (gb26875 utd, mad-utd)",
    "gb: datagrams of a device gone mad": f"{MAD} sends more datagrams than are taken (gb26875 udp-utd)",
}


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


@dataclass
class Row:
    """What one attack came to."""

    attack: Attack
    times_s: Sequence[float]
    done: Mapping[str, int]
    through: bool
    rss_kb: int
    lines: int

    def __str__(self) -> str:
        half, most = statistics.median(self.times_s), self.times_s[-1]
        sent = f"{self.done['opened']:6} connections, {self.done['sent_bytes'] // 1000:8} kB"
        times = f"{half * 1e3:6.1f} {p99(self.times_s) * 1e3:6.1f} {most * 1e3:6.1f} ms"
        return f"{self.attack.name:40} {times}; {sent}; {self.rss_kb // 1024} MiB, {self.lines} lines of log"


async def attacked(made: Siege, attack: Attack) -> Row:
    """What it comes to; again where the neighbour was slow, with how slow it is in peace just then."""
    pid, lines = made.daemon.running.pid, len(made.daemon.log)
    for tries_left in reversed(range(TRIES)):
        times_s, done, through = await made.suffer(attack)
        row = Row(attack, times_s, done, through, counter(pid, "VmRSS"), len(made.daemon.log) - lines)
        sys.stdout.write(f"{row}\n")
        if p99(times_s) < GOAL_S and through:
            break
        await made.neighbour.timed(PHASE_S)  # what the attack has left behind is no peace
        quiet_s = await made.neighbour.timed(2 * PHASE_S)
        if through and p99(times_s) < NOISE * p99(quiet_s):
            break
        assert tries_left, f"{row}, and in peace {p99(quiet_s) * 1e3:.1f} ms; served: {through}"
    return row


async def test_whatever_is_attacked_the_others_are_as_prompt_as_before(tmp_path: Path) -> None:
    attacks = ATTACKS if ROUNDS > 1 else ATTACKS[::EACH]
    async with siege(tmp_path) as made:
        quiet_s = await made.neighbour.timed(2 * PHASE_S)
        began_kb = counter(made.daemon.running.pid, "VmRSS")
        half, most = statistics.median(quiet_s), quiet_s[-1]
        sys.stdout.write(f"\n{'quiet':40} {half * 1e3:6.1f} {p99(quiet_s) * 1e3:6.1f} {most * 1e3:6.1f} ms\n")
        for attack in attacks:
            row = await attacked(made, attack)
            assert row.done["closed"] >= row.done["opened"] * CLOSED - MOST_LEFT
            assert row.rss_kb - began_kb < GROWTH_KB
            assert row.lines <= LINES * TRIES, "\n".join(made.daemon.log[-row.lines :])
        log = "\n".join(made.daemon.log)
        assert made.neighbour.refused == 0
        for told in {TOLD[attack.name] for attack in attacks if attack.name in TOLD}:
            assert log.count(f"refused: {told}") == 1, told
        assert " more (page), " in log
