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
BACKLOG_EVENTS = 100_000
ALARMS = 5
BETWEEN_ALARMS_S = 0.3
AWAY_S = 5.0
STORED_EVENTS = 1_000_000
RETURNS = 7  # of the link, with a million events waiting
DEVICES = 50
LINE_DEVICES = 25  # of one line, where there are many devices
MANY_LINES = 8
IDLE_S = 10.0
MANY_IDLE_S = 20.0
REFRESH_S = 5.0  # of the page in a browser
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
    """An alarm that waited with 100,000 events for the link, and five that come while those drain."""
    fill(folder / "state" / "events.db", BACKLOG_EVENTS)
    async with (
        Mosquitto(folder) as broker,
        arriving(broker.port, f"{BASE}/event/safety") as arrivals,
        Wire(broker.port) as wire,
        Daemon(folder, uplink=wire.port, devices=[webhook("panic-1", "panic")]) as daemon,
        posting(daemon, "panic-1") as post,
    ):
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
    return {
        "alarm_behind_backlog_s": max(took_s),
        "alarm_after_return_s": arrivals.at_s[0] - returned_s,
        "drain_per_s": BACKLOG_EVENTS / drained_s,
    }


async def _owed(daemon: Daemon) -> int:
    _, status = await daemon.get("/api/v1/status")
    return int(status["uplinks"]["district"]["lanes"][Lane.EVENT]["backlog"])


async def million(folder: Path) -> Found:
    """1,000,000 events are owed: the start, an alarm when the link returns, seven times over, and then all of it.

    The bare publisher beside it, on the same broker, before and after.
    """
    fill(folder / "state" / "events.db", STORED_EVENTS)
    ready_s = await _starts(folder, folder / "state")
    async with (
        Mosquitto(folder) as broker,
        arriving(broker.port, f"{BASE}/event/safety") as arrivals,
        Wire(broker.port) as wire,
        Daemon(folder, uplink=wire.port, devices=[webhook("panic-1", "panic")], room="8GiB") as daemon,
        posting(daemon, "panic-1") as post,
    ):
        bare = [await _child("bare", broker.port, EVENTS)]
        wire.cut()
        await daemon.start()
        took_s = []
        for number in range(RETURNS):
            wire.cut()
            await post(number, "safety.panic", "clear" if number % 2 else "raise")
            await daemon.after(AWAY_S)
            wire.mend()
            began_s = time.monotonic()
            await arrivals.until(lambda number=number: number in arrivals.at_s)  # type: ignore[misc]
            took_s.append(arrivals.at_s[number] - began_s)
        per_s, rss_mb = await _drained(daemon)
        bare.append(await _child("bare", broker.port, EVENTS))
    return {
        "ready_1m_s": ready_s,
        "alarm_behind_backlog_1m_s": statistics.median(took_s),
        "alarm_behind_backlog_1m_max_s": max(took_s),
        "drain_1m_per_s": per_s,
        "drain_ratio_1m": per_s / statistics.mean(found["per_s"] for found in bare),
        "rss_drain_mb": rss_mb,
    }


async def _drained(daemon: Daemon) -> tuple[float, float]:
    """Until nothing is owed: events per second, and the most memory meanwhile, MB."""
    owed, began_s, rss_kb = await _owed(daemon), time.monotonic(), 0
    count = owed
    while owed:
        await daemon.after(0.2)
        owed, rss_kb = await _owed(daemon), max(rss_kb, counter(daemon.running.pid, "VmRSS"))
    return count / (time.monotonic() - began_s), rss_kb / 1024


def _detectors(line: str, slaves: Line) -> list[str]:
    return [
        f"{{id: {line}-{address}, driver: modbus, bus: {line}, address: {address}, profile: rs-yg-n01, place: b3}}"
        for address in slaves.slaves
    ]


@asynccontextmanager
async def polling(folder: Path, lines: int, devices: int) -> AsyncIterator[Daemon]:
    """A daemon that asks so many smoke detectors on each of so many lines, its uplink there; all have answered."""
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Mosquitto(folder))
        made: dict[str, Line] = {}
        for number in range(lines):
            slaves = (Slave(address, "rs-yg-n01") for address in range(1, devices + 1))
            made[f"line-{number}"] = await stack.enter_async_context(Line(*slaves))
        listed = [device for name, line in made.items() for device in _detectors(name, line)]
        buses = {name: f"{{serial: {line.port}, baudrate: 115200}}" for name, line in made.items()}
        daemon = await stack.enter_async_context(Daemon(folder, uplink=broker.port, devices=listed, buses=buses))
        await daemon.start()
        asked = [slave for line in made.values() for slave in line.slaves.values()]
        while not all(slave.requests > 1 for slave in asked):
            await daemon.after(0.1)
        await _look(daemon)
        yield daemon


async def _look(daemon: Daemon) -> None:
    """Somebody looks at the page."""
    async with aiohttp.ClientSession() as http, http.get(daemon.url) as page:
        page.raise_for_status()
        await page.read()


async def _cpu_percent(daemon: Daemon, seconds: float, looks: int = 0) -> float:
    """Of one core, for so long; the page is read so often meanwhile."""
    before_s, began_s = cpu_s(daemon.running.pid), time.monotonic()
    for _ in range(looks):
        await _look(daemon)
        await daemon.after(seconds / looks)
    await daemon.after(max(0.0, began_s + seconds - time.monotonic()))
    return (cpu_s(daemon.running.pid) - before_s) / (time.monotonic() - began_s) * 100


async def idle(folder: Path) -> Found:
    """50 smoke detectors polled on one line, uplink and page there, the page looked at; nothing happens."""
    async with polling(folder, 1, DEVICES) as daemon:
        cpu_percent = await _cpu_percent(daemon, IDLE_S)
        return {"rss_idle_mb": counter(daemon.running.pid, "VmRSS") / 1024, "cpu_idle_percent": cpu_percent}


async def idle_200(folder: Path) -> Found:
    """200 smoke detectors polled on 8 lines; nothing happens. Then the same with the page open in a browser."""
    async with polling(folder, MANY_LINES, LINE_DEVICES) as daemon:
        cpu_percent = await _cpu_percent(daemon, MANY_IDLE_S)
        rss_mb = counter(daemon.running.pid, "VmRSS") / 1024
        return {
            "rss_idle_200_mb": rss_mb,
            "cpu_idle_200_percent": cpu_percent,
            "cpu_idle_200_page_percent": await _cpu_percent(daemon, MANY_IDLE_S, round(MANY_IDLE_S / REFRESH_S)),
        }


async def start(folder: Path) -> Found:
    """From the start of the process to READY=1, with the broker away."""
    return {"ready_s": await _starts(folder)}


async def _starts(folder: Path, state: Path | None = None) -> float:
    """Seconds to READY=1, on an empty folder or on `state`; the median of a few."""
    took_s = []
    for number in range(STARTS):
        where = state or folder / f"empty-{number}"
        async with Daemon(folder, uplink=free_port(), devices=[webhook("a-1")], state=where, room="8GiB") as daemon:
            took_s.append(await daemon.start())
    return statistics.median(took_s)


MEASURES = (throughput, latency, backlog, million, idle, idle_200, start)
