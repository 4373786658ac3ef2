"""What a bad neighbour costs: one uplink's rate and its alarms' latency beside a second one and without, in one run."""

import asyncio
import logging
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from gateway.clock import SystemClock
from gateway.event import Lane
from gateway.mqtt import Target
from gateway.uplink import Uplink
from tests.brokers import Mosquitto, free_port
from tests.frames import PUBACK, FramedWire, kind
from tests.rig import Rig, rig, running

EVENTS = 6_000
TASKS = 50
ALARMS = 60
ROUNDS = 5
SLOW_S = 0.2  # a slow broker's PUBACKs come so far apart
LOOK_S = 0.0005
CLOCK = SystemClock()
WAYS = ("dead", "stalled", "slow", "refusing")
Measured = tuple[float, float]  # events per second to PUBACK; half of the alarms take no longer, seconds


async def beside(folder: Path) -> dict[str, float]:
    """Alone and beside each kind in turn, so that all see the same machine; the medians of the rounds' ratios."""
    logging.getLogger("tests").setLevel(logging.CRITICAL)  # what the neighbours meet is known
    rounds: list[dict[str, Measured]] = []
    async with Mosquitto(folder, "allow_anonymous true", "max_queued_messages 0") as broker:
        for number in range(ROUNDS):
            found = {way: await _one(folder / f"{way}-{number}", broker.port, way) for way in ("alone", *WAYS)}
            rounds.append(found)
    rates = {way: statistics.median(each[way][0] / each["alone"][0] for each in rounds) for way in WAYS}
    waits = {way: statistics.median(each[way][1] / each["alone"][1] for each in rounds) for way in WAYS}
    return {
        "beside_rate_ratio": min(rates.values()),
        "beside_alarm_ratio": max(waits.values()),
        **{f"beside_{way}_rate_ratio": rate for way, rate in rates.items()},
        **{f"beside_{way}_alarm_ratio": wait for way, wait in waits.items()},
    }


def _empty(folder: Path) -> None:
    folder.mkdir()


async def _one(folder: Path, port: int, way: str) -> Measured:
    _empty(folder)
    names = ("district",) if way == "alone" else ("district", "fire")
    async with rig(folder, *names) as made, AsyncExitStack() as stack:
        district = made.uplink("district", partial(Target, "127.0.0.1", port, f"bench-{folder.name}"), "5")
        await stack.enter_async_context(running(made, district))
        if way != "alone":
            await stack.enter_async_context(_neighbour(folder, made, way))
        await _until(lambda: district.connected)
        await _rate(made, district, 500)  # warm
        return await _rate(made, district, EVENTS), await _latency(made, district)


async def _rate(made: Rig, district: Uplink, count: int) -> float:
    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(TASKS):
            group.create_task(_drive(made, f"door-{number % 8 + 1}", count // TASKS))
    await _until(lambda: not district.parts.outbox.backlog(Lane.EVENT))
    return count / (time.perf_counter() - began_s)


async def _drive(made: Rig, device: str, count: int) -> None:
    for _ in range(count):
        await made.accept("access.granted", "pulse", device)


async def _latency(made: Rig, district: Uplink) -> float:
    took_s = []
    for _ in range(ALARMS):
        began_s = time.perf_counter()
        await made.accept("video.falling_object")
        await _until(lambda: not district.parts.outbox.backlog(Lane.ALARM))
        took_s.append(time.perf_counter() - began_s)
    return statistics.median(took_s)


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await CLOCK.sleep(LOOK_S)


@asynccontextmanager
async def _neighbour(folder: Path, made: Rig, way: str) -> AsyncIterator[None]:
    """The fire brigade's uplink, to a broker that is away, hangs, answers slowly, or refuses every event."""
    async with AsyncExitStack() as stack:
        port = free_port()
        if way != "dead":
            broker = await stack.enter_async_context(Mosquitto(folder, "allow_anonymous true", *_rights(folder, way)))
            wire = await stack.enter_async_context(FramedWire(broker.port))
            port = wire.port
        fire = made.uplink("fire", partial(Target, "127.0.0.1", port, "bench-fire"), "5")
        await stack.enter_async_context(running(made, fire))
        if way != "dead":
            await _until(lambda: fire.connected)
        if way == "stalled":
            broker.signal(signal.SIGSTOP)
            stack.callback(broker.signal, signal.SIGCONT)
        if way == "slow":
            stack.callback(setattr, wire, "down", wire.down)
            wire.down = _slowly
        yield


async def _slowly(packet: bytes) -> bytes | None:
    if kind(packet) == PUBACK:
        await CLOCK.sleep(SLOW_S)
    return packet


def _rights(folder: Path, way: str) -> list[str]:
    if way != "refusing":
        return []
    rights = folder / "acl"
    rights.write_text("topic read #\n", "utf-8")
    rights.chmod(0o600)
    return [f"acl_file {rights}"]
