"""A large community's devices, in two processes: `python -m tests.bench.crowd lines`, `… net HUB_PORT UTD_PORT`.

`lines`: 32 OSDP readers and 200 Modbus detectors on four lines each. `net`: 60 cameras, 20 transmission devices, 500
Zigbee sensors. All answer on real wires; a pty has no speed of its own, so what 9600 baud and a detector's own time
would take is waited for. `begin` starts everyday life; every other order makes one thing happen, and is answered with
the moment, monotonic seconds.
"""

import asyncio
import hashlib
import itertools
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from drivers.sim import modbus, osdp
from drivers.sim.gb26875 import Quirks as Habits
from drivers.sim.gb26875 import Transmitter
from drivers.sim.isapi import Camera
from drivers.sim.mqtt_in import Player, Zigbee2mqtt
from gateway.clock import SystemClock
from tests.bench.children import orders, say

READERS, DETECTORS, TRANSMITTERS, CAMERAS, SENSORS = 32, 200, 20, 60, 500
LINES = 4  # of readers, and of detectors
OSDP_S = 0.031  # a poll in the secure channel and its answer: 30 bytes of 10 bits at 9600 baud
MODBUS_S = 0.026  # question and answer, 15 bytes of 10 bits at 9600 baud, and 10 ms that a detector takes
CARD_EVERY_S = 2.0  # of all readers: each door is used by 56 people an hour, as when all come home
MOTION_EVERY_S = 5.0  # of all cameras: each sees something every 5 minutes …
MOTION_REPORTS = 5  # … and says so once a second for as long as it lasts
CAMERA_BEAT_S = 10.0  # the vendor's own
UTD_BEAT_S = 30.0  # GB/T 26875.3 leaves it open; vendors have 10 to 60
ANALOG_EVERY_S = 6.0  # of all transmission devices: each tells its water pressure every 2 minutes
SENSOR_EVERY_S = 300.0 / SENSORS  # of all: each reports every 5 minutes, as zigbee2mqtt sets up temperature and battery
ALARM_EVERY_S = 20.0  # of all sensors: smoke from a kitchen, and over with the next
CARD_BITS = 26
PROBES = 100  # sensors below this number are left to the bench; so are the last readers of each line
PRESSURE_PART, PRESSURE = 91, 5  # table 5: no detector; table 6: pressure
SMOKE_PART = 40  # table 5
FIRE = 0x0002  # figure 9: bit 1
CLOCK = SystemClock()


def key(number: int) -> bytes:
    """A reader's own."""
    return hashlib.sha256(f"reader {number}".encode()).digest()[:16]


def utd_address(number: int) -> str:
    """A transmission device's, as on the wire."""
    return f"79{number:02X}00000000"


def sensor(number: int) -> str:
    """A Zigbee sensor's name; `sensors` has its address."""
    return f"烟感-{number}"


def sensors() -> Zigbee2mqtt:
    """The hub that plays them."""
    return Zigbee2mqtt([sensor(number) for number in range(SENSORS)])


async def every(period_s: float, act: Callable[[int], Awaitable[None]]) -> None:
    """For ever; counts from 0."""
    due_s = CLOCK.monotonic()
    for number in itertools.count():
        await act(number)
        due_s += period_s
        await CLOCK.sleep(due_s - CLOCK.monotonic())


class Detector(modbus.Slave):
    """Remembers when its alarm was told a second time: with `debounce: 2` that is when the gateway believes it."""

    def __init__(self, address: int) -> None:
        super().__init__(address, "rs-yg-n01")
        self.delay_s = MODBUS_S
        self.smoke = False
        self._told_s: list[float] = []

    def turn(self) -> None:
        """Smoke begins, or is over."""
        self.smoke = not self.smoke
        self._told_s.clear()
        self.set_condition("fire.smoke", self.smoke)

    def hear(self, pdu: bytes) -> bytes:
        """The answer leaves after `delay_s`."""
        self._told_s.append(time.monotonic() + self.delay_s)
        return super().hear(pdu)

    @property
    def believed_s(self) -> float:
        """Monotonic seconds."""
        return self._told_s[1]


async def lines(group: asyncio.TaskGroup, stack: AsyncExitStack) -> None:
    """Says where the lines are; `card N`, `smoke N`, `believed N`."""
    readers = [osdp.Reader(1 + number // LINES, key(number)) for number in range(READERS)]
    detectors = [Detector(1 + number // LINES) for number in range(DETECTORS)]
    doors = [await stack.enter_async_context(osdp.Line(readers[line::LINES])) for line in range(LINES)]
    for door in doors:
        door.PIECE_S = OSDP_S
        door.disturb = lambda reply: [b"", reply]
    smoke = [await stack.enter_async_context(modbus.Line(*detectors[line::LINES])) for line in range(LINES)]
    say({"osdp": [line.port for line in doors], "modbus": [line.port for line in smoke]})

    async def come_home(number: int) -> None:
        present(number % (READERS - LINES))

    def present(number: int) -> None:
        readers[number].present(CARD_BITS, bytes.fromhex("2D00A2C0"))

    async for word, *numbers in orders():
        now_s, number = time.monotonic(), int(numbers[0]) if numbers else 0
        if word == "begin":
            group.create_task(every(CARD_EVERY_S, come_home))
        elif word == "card":
            present(number)
        elif word == "smoke":
            detectors[number].turn()
        elif word == "believed":
            now_s = detectors[number].believed_s
        say(now_s)


async def net(group: asyncio.TaskGroup, stack: AsyncExitStack, hub_port: int, utd_port: int) -> None:
    """Says the cameras' addresses; `camera N`, `fire N`, `sensor N`."""
    cameras = [await stack.enter_async_context(Camera()) for _ in range(CAMERAS)]
    hub = Player(sensors(), "127.0.0.1", hub_port)
    habits = Habits(heartbeat_s=UTD_BEAT_S)
    utds = [Transmitter("127.0.0.1", utd_port, utd_address(number), quirks=habits) for number in range(TRANSMITTERS)]
    for utd in utds:
        await stack.enter_async_context(utd)
    say([camera.url for camera in cameras])
    async for word, *numbers in orders():
        now_s, number = time.monotonic(), int(numbers[0]) if numbers else 0
        if word == "begin":
            await stack.enter_async_context(hub)
            for life in (everyday_cameras, everyday_utds, everyday_sensors):
                life(group, cameras, utds, hub)
        elif word == "hello":
            await hub.say(hub.source.hello())
        elif word == "camera":
            cameras[number].event("linedetection")
        elif word == "fire":
            part = f"{number // TRANSMITTERS + 1:02X}000200"
            group.create_task(told(utds[number % TRANSMITTERS].part(SMOKE_PART, part, FIRE)))
        elif word == "sensor":
            await smoke(hub, number, True)
        say(now_s)


async def told(telling: Awaitable[bool]) -> None:
    """The centre must have confirmed it."""
    assert await telling


async def smoke(hub: Player, number: int, on: bool) -> None:
    """A sensor says so."""
    await hub.say(hub.source.smoke(sensor(number), on))


Life = tuple[asyncio.TaskGroup, list[Camera], list[Transmitter], Player]


def everyday_cameras(group: asyncio.TaskGroup, cameras: list[Camera], *_: object) -> None:
    """Motion here and there."""

    async def motion(number: int) -> None:
        group.create_task(seen(cameras[number % CAMERAS]))

    async def seen(camera: Camera) -> None:
        for _ in range(MOTION_REPORTS):
            camera.motion(True)
            await CLOCK.sleep(1.0)

    group.create_task(every(MOTION_EVERY_S, motion))


def everyday_utds(group: asyncio.TaskGroup, _: object, utds: list[Transmitter], *__: object) -> None:
    """Pressures; heartbeats are sent anyhow."""

    async def pressure(number: int) -> None:
        value = {"system": 1, "system_address": 1, "part": PRESSURE_PART, "address": bytes(4), "analog": PRESSURE}
        group.create_task(told(utds[number % TRANSMITTERS].tell(3, value=400 + number % 9, **value)))  # type: ignore[arg-type]

    group.create_task(every(ANALOG_EVERY_S, pressure))


def everyday_sensors(group: asyncio.TaskGroup, _: object, __: object, hub: Player) -> None:
    """Temperatures, each with the battery's state; now and then smoke."""

    async def report(number: int) -> None:
        await hub.say(hub.source.measure(sensor(number % SENSORS), "temperature", 20 + number % 11))

    async def kitchen(number: int) -> None:
        await smoke(hub, PROBES + number // 2 % (SENSORS - PROBES), number % 2 == 0)

    group.create_task(every(SENSOR_EVERY_S, report))
    group.create_task(every(ALARM_EVERY_S, kitchen))


async def main(role: str, *ports: str) -> None:
    """Plays until it is ended."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        await (lines(group, stack) if role == "lines" else net(group, stack, *map(int, ports)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
