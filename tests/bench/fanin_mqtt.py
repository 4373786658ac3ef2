"""`python -m tests.bench.fanin_mqtt`: 20,000 JSON messages of 50 devices through mqtt_in, beside a bare paho client.

The messages wait on a local mosquitto, in the persistent session of the one who is measured, so that nobody else
works meanwhile. Ours is the daemon as it runs, with its page off: it takes them in, stores, normalizes and publishes
them, and hears each PUBACK. Bare paho reads the JSON, makes an event of the same shape of it and publishes that; it
stores nothing and acknowledges on its own. Both are timed from their connection to their last PUBACK, in turn. What
they published waits in a third session, where it is counted and its order compared. `profile` instead of nothing shows
where our time goes.
"""

import asyncio
import cProfile
import json
import logging
import os
import pstats
import shutil
import statistics
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.app import live, standing
from gateway.clock import SystemClock
from gateway.config import load
from gateway.driver import registry
from gateway.event import Lane
from gateway.mqtt import Session, Target
from tests.bench.figures import BASE, BUILD, EVENT, Figure, table
from tests.brokers import Mosquitto

MODULE = "tests.bench.fanin_mqtt"
MESSAGES = 20_000
DEVICES = 50
ROUNDS = 3
WINDOW = 64
HUB = "zigbee2mqtt"
KEPT_S = 3600
LOOK_S = 0.002
WAIT_S = 120.0
OPTIONS = ("allow_anonymous true", "max_queued_messages 0")  # 0: any number waits
FIGURES = (
    Figure("mqtt_in_per_s", "20,000 JSON messages of 50 devices, stored, to PUBACK, per second", "{:,.0f}"),
    Figure("mqtt_bare_per_s", "bare paho subscriber-publisher without storage, per second", "{:,.0f}"),
    Figure("mqtt_in_ratio", "ratio", "{:.2f}", "≥ 0.9"),
    Figure("mqtt_in_cpu_us", "CPU per message, µs", "{:.0f}"),
    Figure("mqtt_bare_cpu_us", "CPU per message, bare, µs", "{:.0f}"),
)
Found = dict[str, float]


# the two


def ours(port: int, folder: Path, profiled: bool) -> Found:
    """The daemon's rate and CPU time."""
    hub = f"{{id: hub, driver: mqtt_in, url: 'mqtt://127.0.0.1:{port}', profile: {HUB}, client_id: ours, place: b3}}"
    devices = "".join(
        f"  - {{id: sensor-{n}, driver: mqtt_in, hub: hub, address: sensor-{n}, place: b3}}\n" for n in range(DEVICES)
    )
    (folder / "gateway.yaml").write_text(
        f"gateway: {{id: gw-0001, state_dir: {json.dumps(str(folder / 'state'))}, web: off}}\n"
        'site: {name: 阳光花园, area: {district: "310104", street: "013", community: "002"}, '
        "places: {b3: {label: 3号楼}}}\n"
        f'uplinks: {{district: {{url: "mqtt://127.0.0.1:{port}"}}}}\n'
        f"devices:\n  - {hub}\n{devices}",
        "utf-8",
    )
    return asyncio.run(_ours(folder / "gateway.yaml", profiled))


class _Connected(logging.Handler):
    """Notes when the driver says that it is connected."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.began_s = self.cpu_s = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("connected to"):
            self.began_s, self.cpu_s = time.perf_counter(), time.process_time()


async def _ours(config: Path, profiled: bool) -> Found:
    watch, stopping, clock, profile = _Connected(), asyncio.Event(), SystemClock(), cProfile.Profile()
    logger = logging.getLogger("gateway.driver.mqtt_in")
    logger.setLevel(logging.INFO)
    logger.addHandler(watch)
    drivers = registry()
    loaded = load(config, drivers.models()).config
    async with standing(loaded, drivers) as house, asyncio.TaskGroup() as group:
        group.create_task(live(house, stopping))
        outbox = house.uplinks[0].parts.outbox
        if profiled:
            profile.enable()
        while house.store.last[Lane.TELEMETRY] < MESSAGES or any(outbox.backlog(lane) for lane in Lane):
            await clock.sleep(LOOK_S)
        profile.disable()
        took_s, used_s = time.perf_counter() - watch.began_s, time.process_time() - watch.cpu_s
        stopping.set()
    if profiled:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(40)
    return {"per_s": MESSAGES / took_s, "cpu_us": used_s / MESSAGES * 1e6}


class Bare:
    """What one writes with paho's documentation at hand."""

    def __init__(self) -> None:
        self.came = self.confirmed = 0
        self.done = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="bare", protocol=MQTTProtocolVersion.MQTTv5)
        self.client.max_inflight_messages_set(WINDOW)
        self.client.on_connect = lambda *_: self._begin()
        self.client.on_message = lambda _client, _data, message: self._publish(message)
        self.client.on_publish = lambda *_: self._acknowledged()
        self.properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        self.properties.ContentType = "application/cloudevents+json; charset=utf-8"
        self.properties.PayloadFormatIndicator = 1

    def _begin(self) -> None:
        self.began_s, self.cpu_s = time.perf_counter(), time.process_time()

    def _publish(self, message: MQTTMessage) -> None:
        self.came += 1
        said = json.loads(message.payload)
        event: dict[str, Any] = {
            **EVENT,
            "id": str(uuid.uuid4()),
            "subject": message.topic.partition("/")[2],
            "time": datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "type": "telemetry.sample",
            "dataschema": "urn:sc:v1:telemetry.sample",
            "sequence": f"{self.came:016d}",
            "data": {
                "place": {"path": "b3", "label": "3号楼"},
                "values": {
                    "battery": {"value": said["battery"], "unit": "%"},
                    "voltage": {"value": said["voltage"], "unit": "mV"},
                    "temperature": {"value": said["temperature"], "unit": "°C"},
                    "humidity": {"value": said["humidity"], "unit": "%"},
                },
                "test": False,
                "raw": {"linkquality": said["linkquality"]},
            },
        }
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        self.client.publish(f"{BASE}/event/telemetry", payload, qos=1, properties=self.properties)

    def _acknowledged(self) -> None:
        self.confirmed += 1
        if self.confirmed == MESSAGES:
            self.done.set()

    def run(self, port: int) -> Found:
        """Its rate and CPU time."""
        kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        kept.SessionExpiryInterval = KEPT_S
        self.client.connect("127.0.0.1", port, clean_start=False, properties=kept)
        self.client.loop_start()
        self.done.wait(WAIT_S)
        took_s, used_s = time.perf_counter() - self.began_s, time.process_time() - self.cpu_s
        self.client.disconnect()
        self.client.loop_stop()
        return {"per_s": self.confirmed / took_s, "cpu_us": used_s / MESSAGES * 1e6}


# around them


def reports() -> Iterator[tuple[str, str]]:
    """What zigbee2mqtt publishes: topic and state. The temperature counts, so that order can be seen."""
    for number in range(MESSAGES):
        state: dict[str, Any] = {
            "battery": 97,
            "battery_low": False,
            "humidity": 40 + number % 7,
            "linkquality": 120,
            "smoke": False,
        }
        state |= {"tamper": False, "temperature": number // DEVICES / 10, "test": False, "voltage": 3000}
        yield f"{HUB}/sensor-{number % DEVICES}", json.dumps(state)


async def subscribe(port: int, client: str, topics: str) -> None:
    """A session that keeps what comes."""
    target = Target("127.0.0.1", port, client, session_expiry_s=KEPT_S, subscribe=(topics,))
    async with Session(target, lambda *_: None) as session:
        session.publish(f"{client}/ready".encode(), b"", b"\0")
        confirmed = asyncio.Event()
        session.on_ack = lambda *_: confirmed.set()
        session.flush()
        async with asyncio.timeout(WAIT_S):
            await confirmed.wait()  # SUBSCRIBE came before it


async def publish(port: int) -> None:
    """All of the reports, QoS 1."""
    confirmed = asyncio.Semaphore(WINDOW)
    async with Session(Target("127.0.0.1", port, "hub"), lambda *_: confirmed.release()) as session:
        for topic, state in reports():
            await confirmed.acquire()
            session.publish(topic.encode(), state.encode(), b"\0")
            session.flush()
        for _ in range(WINDOW):
            await confirmed.acquire()


async def check(port: int) -> None:
    """All that was published has come, and each device's in order. AssertionError: not so."""
    came: dict[str, list[float]] = defaultdict(list)
    target = Target("127.0.0.1", port, "check", session_expiry_s=KEPT_S, unanswered_messages=1000)
    async with Session(target, lambda *_: None) as session, asyncio.timeout(WAIT_S):
        while sum(map(len, came.values())) < MESSAGES:
            message = await session.messages.get()
            event = json.loads(message.payload)
            if event["type"] == "telemetry.sample":
                came[event["subject"]].append(event["data"]["values"]["temperature"]["value"])
            message.done()
            if session.messages.empty():
                session.flush()
    for device, temperatures in came.items():
        assert temperatures == [n / 10 for n in range(MESSAGES // DEVICES)], device


async def _child(*arguments: object) -> Found:
    command = [sys.executable, "-m", MODULE, *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed")
    found: Found = json.loads(said)
    return found


async def _turn(folder: Path, who: str, *more: str) -> Found:
    """One of the two, on a broker of its own, which begins with nothing."""
    async with Mosquitto(folder, *OPTIONS) as broker:
        await subscribe(broker.port, who, f"{HUB}/#")
        await subscribe(broker.port, "check", f"{BASE}/event/+")
        await publish(broker.port)
        found = await _child(who, broker.port, folder, *more)
        await check(broker.port)
    return found


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def mqtt_in(folder: Path, rounds: int = ROUNDS) -> Found:
    """The figures: medians, and the median of the ratios of each round."""
    mine: list[Found] = []
    bare: list[Found] = []
    for number in range(rounds):
        bare.append(await _turn(_empty(folder / f"bare-{number}"), "bare"))
        mine.append(await _turn(_empty(folder / f"ours-{number}"), "ours"))
    return {
        "mqtt_in_per_s": statistics.median(found["per_s"] for found in mine),
        "mqtt_bare_per_s": statistics.median(found["per_s"] for found in bare),
        "mqtt_in_ratio": statistics.median(a["per_s"] / b["per_s"] for a, b in zip(mine, bare, strict=True)),
        "mqtt_in_cpu_us": statistics.median(found["cpu_us"] for found in mine),
        "mqtt_bare_cpu_us": statistics.median(found["cpu_us"] for found in bare),
    }


def main(words: list[str]) -> None:
    """Measure and print; or be one of the two."""
    if words[:1] in (["ours"], ["bare"]):
        port, folder = int(words[1]), Path(words[2])
        found = Bare().run(port) if words[0] == "bare" else ours(port, folder, "profile" in words)
        sys.stdout.write(json.dumps(found) + "\n")
        return
    folder = BUILD / f"fanin-mqtt-{os.getpid()}"
    folder.mkdir(parents=True)
    try:
        if words == ["profile"]:
            asyncio.run(_turn(folder, "ours", "profile"))
        else:
            sys.stdout.write(table(asyncio.run(mqtt_in(folder)), FIGURES) + "\n")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
