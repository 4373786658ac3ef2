"""`python -m tests.bench community`: a large community on its wires, all of it on this machine, at everyday rates.

32 readers, 200 detectors, 20 transmission devices, 60 cameras and 500 Zigbee sensors (`crowd`, in processes of their
own), the daemon, a broker for Zigbee and one as the district. First everyday life alone: processor time and memory.
Then beside it one thing after another that is timed until a subscriber has it. What a wire itself takes is counted
where the wire is what people wait for (`smoke`: the bit until the district knows, two polls with their wire time), and
not where the question is what the gateway adds (`community_p50_ms` and `…_p99_ms`: from the camera's part,
the fire panel's frame, the sensor's message; `answer`: from that in which the detector says smoke the second time).
A round of 50 detectors at 9600 baud takes 50 × (26 ms + 4 ms of silence + what we add), so two reads that agree are
there after 1.6 to 3.3 s, whoever polls; hence the aim of 4 s.
`python -m tests.bench.community` shows where the daemon's time goes in everyday life.
"""

import asyncio
import json
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiomqtt

from tests.bench import crowd
from tests.bench.children import Child, child
from tests.bench.figures import BUILD, Figure
from tests.brokers import Mosquitto, free_port
from tests.faults.daemon import BASE, Daemon
from tests.faults.seen import counter, cpu_s

EVERYDAY_S = 30.0
PROBES = 60  # of each kind
BETWEEN_S = 0.7  # two probes of a kind
SETTLED_S = 60.0  # longest until all are online
WARM_S = 5.0  # after that
COME_S = 10.0  # longest wait for an event
FIGURES = (
    Figure("community_cpu_percent", "large community, everyday: CPU of one core", "{:.1f} %", "≤ 10 %"),
    Figure("community_rss_mb", "… memory", "{:.1f} MB", "≤ 150 MB"),
    Figure("community_p50_ms", "… wire to subscriber, half within", "{:.1f} ms"),
    Figure("community_p99_ms", "… 99 of 100 within", "{:.1f} ms", "≤ 100 ms"),
    Figure("community_card_p99_ms", "… a card, from its presentation, its reader's next poll included", "{:.0f} ms"),
    Figure(
        "community_smoke_p50_ms", "… a detector's bit, two polls of a line of 50 included, half within", "{:.0f} ms"
    ),
    Figure("community_smoke_p99_ms", "… 99 of 100 within", "{:.0f} ms", "≤ 4,000 ms"),
)
Found = dict[str, float]


class Kind(NamedTuple):
    """A probe: who makes it happen and how, which device tells it, and the event's type."""

    name: str
    process: str
    device: str
    first: int  # of its devices
    devices: int  # which take turns
    type: str


KINDS = (
    Kind("card", "lines", "door", crowd.READERS - crowd.LINES, crowd.LINES, "access."),
    Kind("smoke", "lines", "smoke", 0, crowd.DETECTORS, "fire.smoke"),
    Kind("camera", "net", "cam", 0, crowd.CAMERAS, "video.line_cross"),
    Kind("fire", "net", "utd", 0, crowd.TRANSMITTERS, "fire.smoke"),
    Kind("sensor", "net", "zigbee", 0, crowd.PROBES, "fire.smoke"),
)


class Awaited:
    """Events that are waited for, by device and the beginning of the type."""

    def __init__(self) -> None:
        self._futures: dict[str, tuple[str, asyncio.Future[float]]] = {}

    def expect(self, device: str, type: str) -> asyncio.Future[float]:
        """When it has come, monotonic seconds."""
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._futures[device] = type, future
        return future

    async def listen(self, client: aiomqtt.Client) -> None:
        """For ever."""
        async for message in client.messages:
            now_s, event = time.monotonic(), json.loads(bytes(message.payload))
            type, future = self._futures.get(event["subject"], ("-", None))
            if future is not None and event["type"].startswith(type) and not future.done():
                future.set_result(now_s)


def _devices(cameras: list[str], hub_port: int, utd_port: int) -> list[str]:
    hub = crowd.sensors()
    made = [
        f"{{id: door-{n}, driver: osdp, bus: osdp-{n % crowd.LINES}, address: {1 + n // crowd.LINES}, "
        f"key: '{crowd.key(n).hex()}', place: b3}}"
        for n in range(crowd.READERS)
    ]
    made += [
        f"{{id: smoke-{n}, driver: modbus, bus: modbus-{n % crowd.LINES}, address: {1 + n // crowd.LINES}, "
        "profile: rs-yg-n01, place: b3}"
        for n in range(crowd.DETECTORS)
    ]
    made += [
        f"{{id: utd-{n}, driver: gb26875, listen: '127.0.0.1:{utd_port}', address: '{crowd.utd_address(n)}', "
        "place: b3}"
        for n in range(crowd.TRANSMITTERS)
    ]
    made += [
        f"{{id: cam-{n}, driver: isapi, url: '{url}', password: camera-1234, place: b3}}"
        for n, url in enumerate(cameras)
    ]
    made += [f"{{id: hub, driver: mqtt_in, url: 'mqtt://127.0.0.1:{hub_port}', profile: zigbee2mqtt, place: b3}}"]
    made += [
        f"{{id: zigbee-{n}, driver: mqtt_in, hub: hub, address: '{hub.address(crowd.sensor(n))}', kind: smoke, "
        "place: b3}"
        for n in range(crowd.SENSORS)
    ]
    return made


class Town(NamedTuple):
    """All of it, alive."""

    daemon: Daemon
    processes: dict[str, Child]
    awaited: Awaited


@asynccontextmanager
async def town(folder: Path, program: str = "gateway") -> AsyncIterator[Town]:
    """The community with its daemon, once every device has been heard and everyday life has begun."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(Mosquitto(folder))
        broker = await stack.enter_async_context(Mosquitto(folder))
        utd_port = free_port()
        names = {"lines": ("lines",), "net": ("net", hub.port, utd_port)}
        module = "tests.bench.crowd"
        them = {name: await stack.enter_async_context(child(module, *words)) for name, words in names.items()}
        ports, cameras = await them["lines"].ask(), await them["net"].ask()
        buses = {f"{kind}-{n}": f"{{serial: {port}}}" for kind, lines in ports.items() for n, port in enumerate(lines)}
        client = await stack.enter_async_context(aiomqtt.Client("127.0.0.1", broker.port))
        await client.subscribe(f"{BASE}/event/#", qos=1)
        awaited = Awaited()
        listening = asyncio.create_task(awaited.listen(client))
        stack.callback(listening.cancel)
        devices = _devices(cameras, hub.port, utd_port)
        daemon = Daemon(folder, uplink=broker.port, devices=devices, buses=buses, program=program)
        await stack.enter_async_context(daemon)
        await daemon.start()
        for process in them.values():
            await process.ask("begin")
        await _settled(daemon, "hub")  # it is subscribed: what the sensors say is heard from now on
        await them["net"].ask("hello")
        await _settled(daemon)
        await daemon.after(WARM_S)
        yield Town(daemon, them, awaited)


async def _settled(daemon: Daemon, *devices: str) -> None:
    """Until these are online, or all of them."""
    async with asyncio.timeout(SETTLED_S):
        while await _missing(daemon, devices):
            await daemon.after(0.5)


async def _missing(daemon: Daemon, devices: Sequence[str]) -> list[str]:
    _, said = await daemon.get("/api/v1/devices")
    offline = [each["device"] for each in said["devices"] if not each["online"]]
    return [device for device in offline if device in devices or not devices]


async def community(folder: Path) -> Found:
    """The figures."""
    async with town(folder) as it:
        pid = it.daemon.running.pid
        before_s, began_s = cpu_s(pid), time.monotonic()
        await it.daemon.after(EVERYDAY_S)
        percent = (cpu_s(pid) - before_s) / (time.monotonic() - began_s) * 100
        took_s: dict[str, list[float]] = {}
        async with asyncio.TaskGroup() as group:
            for kind in KINDS:
                group.create_task(_probes(it, kind, took_s))
        rss_mb = counter(pid, "VmRSS") / 1024
    ours = sorted(each for name, told_s in took_s.items() if name not in ("card", "smoke") for each in told_s)
    found = {"community_cpu_percent": percent, "community_rss_mb": rss_mb}
    for name, all_s in {**took_s, "": ours}.items():
        label = f"community_{name}_".replace("__", "_")
        found |= {f"{label}p50_ms": _at(all_s, 50), f"{label}p99_ms": _at(all_s, 99)}
    return found


def _at(took_s: list[float], percent: int) -> float:
    return sorted(took_s)[len(took_s) * percent // 100] * 1000


async def _probes(it: Town, kind: Kind, took_s: dict[str, list[float]]) -> None:
    """One after the other, whether the one before has come or not."""
    began_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for turn in range(PROBES):
            group.create_task(_probe(it, kind, turn, took_s))
            await it.daemon.after(max(0.0, began_s + (turn + 1) * BETWEEN_S - time.monotonic()))


async def _probe(it: Town, kind: Kind, turn: int, took_s: dict[str, list[float]]) -> None:
    process, number = it.processes[kind.process], kind.first + turn % kind.devices
    coming = it.awaited.expect(f"{kind.device}-{number}", kind.type)
    at_s = await process.ask(f"{kind.name} {turn if kind.name == 'fire' else number}")
    async with asyncio.timeout(COME_S):
        came_s = await coming
    took_s.setdefault(kind.name, []).append(came_s - at_s)
    if kind.name == "smoke":
        took_s.setdefault("answer", []).append(came_s - await process.ask(f"believed {number}"))


async def profiled(folder: Path) -> None:
    """Where the daemon's time goes in everyday life, on standard error."""
    async with town(folder, "tests.bench.profiled") as it:
        it.daemon.running.send_signal(signal.SIGUSR1)
        await it.daemon.after(EVERYDAY_S)
        it.daemon.running.send_signal(signal.SIGUSR2)
        await it.daemon.logged(lambda lines: any("END OF PROFILE" in line for line in lines))
        sys.stderr.write("\n".join(it.daemon.log) + "\n")


if __name__ == "__main__":
    shutil.rmtree(BUILD / "community", ignore_errors=True)
    (BUILD / "community").mkdir(parents=True)
    asyncio.run(profiled(BUILD / "community"))
    shutil.rmtree(BUILD / "community")
