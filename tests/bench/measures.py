"""What is measured, one function for each group of figures. All of it on disk under `folder`, on this machine."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt

from drivers.sim.modbus import Line, Slave
from gateway.clock import SystemClock
from gateway.event import Lane
from tests.bench.stored import fill
from tests.brokers import Mosquitto, Wire, free_port
from tests.faults.daemon import BASE, Daemon, token, webhook
from tests.faults.seen import counter, cpu_s

EVENTS = 20_000
ROUNDS = 3
RATE_PER_S = 50
LATENCY_S = 10
WARM_EVENTS = 50
BACKLOG_EVENTS = 1_000_000
BARE_DRAIN_EVENTS = 100_000
ALARMS = 5
BETWEEN_ALARMS_S = 0.3
AWAY_S = 5.0
STORED_EVENTS = 1_000_000
DEVICES = 50  # on one line
LINES = 4
IDLE_S = 10.0
SETTLED_S = 5.0  # every device has answered once
STARTS = 3
CLOCK = SystemClock()
Found = dict[str, float]


async def throughput(folder: Path) -> Found:
    """Ours and bare in turn, so that both see the same machine; medians."""
    bare: list[Found] = []
    ours: list[Found] = []
    cards: list[Found] = []
    async with Mosquitto(folder) as broker:
        for number in range(ROUNDS):
            bare.append(await _child("bare", broker.port, EVENTS))
            ours.append(await _child("ours", broker.port, EVENTS, _empty(folder / f"ours-{number}"), "plain"))
            cards.append(await _child("ours", broker.port, EVENTS, _empty(folder / f"cards-{number}"), "cards"))
    return {
        "events_per_s": _median(ours, "per_s"),
        "bare_per_s": _median(bare, "per_s"),
        "throughput_ratio": statistics.median(a["per_s"] / b["per_s"] for a, b in zip(ours, bare, strict=True)),
        "cards_per_s": _median(cards, "per_s"),
        "cpu_s_per_10k": _median(ours, "cpu_s_per_10k"),
        "bare_cpu_s_per_10k": _median(bare, "cpu_s_per_10k"),
        "bytes_per_event": _median(ours, "bytes_per_event"),
    }


async def _child(module: str, *arguments: object) -> Found:
    command = [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed")
    found: Found = json.loads(said)
    return found


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _median(rounds: list[Found], name: str) -> float:
    return statistics.median(found[name] for found in rounds)


class Arrivals:
    """When each numbered event reached a subscriber, monotonic seconds."""

    def __init__(self) -> None:
        self.at_s: dict[int, float] = {}
        self._changed = asyncio.Condition()

    async def listen(self, client: aiomqtt.Client) -> None:
        """Note each one as it comes."""
        async for message in client.messages:
            now_s = time.monotonic()
            async with self._changed:
                self.at_s[json.loads(bytes(message.payload))["data"]["raw"]["n"]] = now_s
                self._changed.notify_all()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for it."""
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(condition)


@asynccontextmanager
async def arriving(port: int, topic: str) -> AsyncIterator[Arrivals]:
    """A subscriber to `topic`, QoS 1."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(topic, qos=1)
        arrivals = Arrivals()
        task = asyncio.create_task(arrivals.listen(client))
        yield arrivals
        task.cancel()


Post = Callable[[int, str, str], Awaitable[None]]


@asynccontextmanager
async def posting(daemon: Daemon, device: str) -> AsyncIterator[Post]:
    """`post(number, type, phase)` as a device: returns when the gateway has answered 200."""
    headers = {"Authorization": f"Bearer {token(device)}"}
    async with aiohttp.ClientSession(headers=headers) as http:

        async def post(number: int, kind: str, phase: str) -> None:
            reading: dict[str, Any] = {"type": kind, "phase": phase, "raw": {"n": number}}
            async with http.post(f"{daemon.url}/ingest/{device}", json=reading) as answer:
                answer.raise_for_status()

        yield post


async def latency(folder: Path) -> Found:
    """A device posts 50 events per second, whether answered or not; each is timed from the request to a subscriber."""
    async with (
        Mosquitto(folder) as broker,
        arriving(broker.port, f"{BASE}/event/access") as arrivals,
        Daemon(folder, uplink=broker.port, devices=[webhook("door-1", "door")]) as daemon,
        posting(daemon, "door-1") as post,
    ):
        await daemon.start()
        for number in range(-WARM_EVENTS, 0):
            await post(number, "access.granted", "pulse")
        await arrivals.until(lambda: len(arrivals.at_s) == WARM_EVENTS)
        before_bytes, sent_s = counter(daemon.running.pid, "write_bytes"), {}
        began_s, count = time.monotonic() + 0.1, RATE_PER_S * LATENCY_S
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                await CLOCK.sleep(began_s + number / RATE_PER_S - time.monotonic())
                sent_s[number] = time.monotonic()
                group.create_task(_sent(post(number, "access.granted", "pulse")))
        await arrivals.until(lambda: len(arrivals.at_s) == WARM_EVENTS + count)
        await daemon.after(1.0)  # until the last cursor is written
        written_bytes = counter(daemon.running.pid, "write_bytes") - before_bytes
    took_ms = sorted((arrivals.at_s[number] - sent_s[number]) * 1000 for number in sent_s)
    return {
        "latency_p50_ms": took_ms[count // 2],
        "latency_p99_ms": took_ms[count * 99 // 100],
        "latency_max_ms": took_ms[-1],
        "bytes_per_event_trickle": written_bytes / count,
    }


async def _sent(post: Awaitable[None]) -> None:
    await post


async def backlog(folder: Path) -> Found:
    """An alarm that waited with a million events for the link, and five that come while those drain."""
    fill(folder / "state" / "events.db", BACKLOG_EVENTS)
    async with (
        Mosquitto(folder) as broker,
        arriving(broker.port, f"{BASE}/event/safety") as arrivals,
        Wire(broker.port) as wire,
        Daemon(folder, uplink=wire.port, devices=[webhook("panic-1", "panic")], room="8GiB") as daemon,
        posting(daemon, "panic-1") as post,
    ):
        bare = await _child("bare", broker.port, BARE_DRAIN_EVENTS)
        wire.cut()
        await daemon.start()
        await post(0, "safety.panic", "raise")
        await daemon.after(AWAY_S)
        wire.mend()
        returned_s = time.monotonic()
        await arrivals.until(lambda: 0 in arrivals.at_s)
        took_s = []
        for number in range(1, ALARMS + 1):
            await daemon.after(BETWEEN_ALARMS_S)
            began_s = time.monotonic()
            await post(number, "safety.panic", "clear" if number % 2 else "raise")
            await arrivals.until(lambda number=number: number in arrivals.at_s)  # type: ignore[misc]
            took_s.append(arrivals.at_s[number] - began_s)
        if not await _owed(daemon):
            raise RuntimeError("the backlog was gone before the last alarm: make BACKLOG_EVENTS larger")
        while await _owed(daemon):
            await daemon.after(0.1)
        drained_s = time.monotonic() - arrivals.at_s[0]
        peak_bytes = counter(daemon.running.pid, "VmHWM") * 1024
    return {
        "alarm_behind_backlog_s": max(took_s),
        "alarm_after_return_s": arrivals.at_s[0] - returned_s,
        "drain_per_s": BACKLOG_EVENTS / drained_s,
        "drain_ratio": BACKLOG_EVENTS / drained_s / bare["per_s"],
        "rss_drain_mb": peak_bytes / 2**20,
    }


async def _owed(daemon: Daemon) -> int:
    _, status = await daemon.get("/api/v1/status")
    return int(status["uplinks"]["district"]["lanes"][Lane.EVENT]["backlog"])


async def idle(folder: Path) -> Found:
    """Smoke detectors polled, uplink and page there, the page looked at; nothing happens. 50 on one line, 200 on 4."""
    one, all_lines = await _idle(_empty(folder / "one"), 1), await _idle(_empty(folder / "four"), LINES)
    return {
        "rss_idle_mb": one["rss_mb"],
        "cpu_idle_percent": one["cpu_percent"],
        "rss_idle_200_mb": all_lines["rss_mb"],
        "cpu_idle_200_percent": all_lines["cpu_percent"],
    }


async def _idle(folder: Path, count: int) -> Found:
    lines = [Line(*(Slave(address, "rs-yg-n01") for address in range(1, DEVICES + 1))) for _ in range(count)]
    devices = [
        f"{{id: smoke-{number}-{address}, driver: modbus, bus: line-{number}, address: {address}, profile: rs-yg-n01, "
        "place: b3}"
        for number, line in enumerate(lines)
        for address in line.slaves
    ]
    async with Mosquitto(folder) as broker, AsyncExitStack() as there:
        for line in lines:
            await there.enter_async_context(line)
        buses = {f"line-{number}": f"{{serial: {line.port}, baudrate: 115200}}" for number, line in enumerate(lines)}
        async with Daemon(folder, uplink=broker.port, devices=devices, buses=buses) as daemon:
            await daemon.start()
            async with aiohttp.ClientSession() as http, http.get(daemon.url) as page:
                page.raise_for_status()
            await daemon.after(SETTLED_S)
            before_s = cpu_s(daemon.running.pid)
            await daemon.after(IDLE_S)
            return {
                "rss_mb": counter(daemon.running.pid, "VmRSS") / 1024,
                "cpu_percent": (cpu_s(daemon.running.pid) - before_s) / IDLE_S * 100,
            }


async def start(folder: Path) -> Found:
    """From the start of the process to READY=1, with the broker away; the stored events all still owed."""
    fill(folder / "full" / "events.db", STORED_EVENTS)
    took_s: dict[str, list[float]] = {"ready_s": [], "ready_1m_s": []}
    for number in range(STARTS):
        for name, state in (("ready_s", folder / f"empty-{number}"), ("ready_1m_s", folder / "full")):
            async with Daemon(folder, uplink=free_port(), devices=[webhook("a-1")], state=state, room="8GiB") as daemon:
                took_s[name].append(await daemon.start())
    return {name: statistics.median(times) for name, times in took_s.items()}


MEASURES = (throughput, latency, backlog, idle, start)
