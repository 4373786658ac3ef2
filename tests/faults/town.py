"""A real daemon and all that stands around it: devices that keep a ledger, districts on lines of their own.

Whatever is broken meanwhile, at the end `Town.judged` compares what the devices were told with what each district got.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt

from drivers.sim.modbus import Line, Slave
from drivers.sim.webhook import Poster
from gateway.event import Lane
from tests.brokers import Mosquitto, Subscriber
from tests.faults.daemon import BASE, Daemon, token, webhook
from tests.faults.judge import Event, check_streams, first_arrivals
from tests.wires import FaultyWire

RETRY_S = 0.02
SETTLED_S = 60.0  # longest wait at the end, for what was held up
EVERYDAY = (
    {"type": "access.granted", "values": {"reader": 1}},
    {"type": "safety.panic", "phase": "raise"},
    {"type": "video.motion", "phase": "raise"},
    {"type": "video.motion", "phase": "clear"},
    {"type": "safety.panic", "phase": "clear"},
)
MEASURED = (
    {"type": "telemetry.sample", "values": {"temperature": {"value": 21.5, "unit": "°C"}}},
    {"type": "telemetry.sample", "values": {"humidity": {"value": 45, "unit": "%RH"}}},
)
SMOKE = "smoke-1"
# A broker that is killed loses what it has in memory: so it keeps nothing there, but hands on before it acknowledges.
PATIENT = ("allow_anonymous true", "max_queued_messages 0", "max_inflight_messages 0")


class City(Subscriber):
    """All events of a district, over all lives of its broker, each decoded once."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Event] = []
        self.ids: set[str] = set()
        self.edges: list[str] = []  # phases of smoke as they first arrived, but for `still`: it is no edge

    async def take(self, message: aiomqtt.Message) -> None:
        """One more."""
        event = json.loads(bytes(message.payload))
        self.told.append(event)
        if event["type"] == "fire.smoke" and event["phase"] != "still" and event["id"] not in self.ids:
            self.edges.append(event["phase"])
        self.ids.add(event["id"])
        await super().take(message)

    def events(self, lane: str | None = None) -> list[Event]:
        """As they arrived."""
        return [event for event in self.told if lane is None or event["stream"].endswith(f".{lane}")]

    async def has(self, ids: Iterable[str], wait_s: float = SETTLED_S) -> None:
        """Until all of these have arrived."""
        wanted = set(ids)
        await self.until(lambda: len(self.ids) >= len(wanted) and wanted <= self.ids, wait_s)


class District:
    """A broker, whoever listens there, and the line from the gateway: `async with District(folder, name) as district`.

    `away`: nobody is there until `rise()`.
    """

    def __init__(self, folder: Path, name: str, *options: str, away: bool = False) -> None:
        self.name = name
        self.broker = Mosquitto(folder, *(options or PATIENT))
        self.wire = FaultyWire(self.broker.port)
        self.city = City()
        self.window = 1  # messages: no later one comes before an earlier one
        self._away = away
        self._ears = AsyncExitStack()  # the connection of who listens
        self._hearing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "District":
        await self.wire.__aenter__()
        if not self._away:
            await self.rise()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.wire.__aexit__()
        if self._hearing is not None:
            self._hearing.cancel()
        await self._ears.aclose()
        if not self._away:
            await self.broker.stop()

    async def die(self) -> None:
        """kill -9 of the broker; all it has handed on is heard, and nobody is let in before somebody listens again."""
        await self.broker.stop(signal.SIGKILL)
        self.wire.cut()
        if self._hearing is not None:
            await self._hearing
        await self._ears.aclose()

    async def rise(self) -> None:
        """It is there, and somebody listens."""
        self._away = False
        await self.broker.start()
        client = await self._ears.enter_async_context(aiomqtt.Client("127.0.0.1", self.broker.port))
        await client.subscribe(f"{BASE}/event/#", qos=0)  # who writes nothing reads all that a dead broker has sent
        self._hearing = asyncio.create_task(self._hear(client))
        self.wire.mend()

    async def _hear(self, client: aiomqtt.Client) -> None:
        with suppress(aiomqtt.MqttError):
            async for message in client.messages:
                await self.city.take(message)


@dataclass
class Town:
    """All that stands around the daemon."""

    daemon: Daemon
    districts: dict[str, District]
    line: Line  # with a smoke detector
    posters: list[Poster]
    talking: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def accepted(self) -> list[str]:
        """Ids that were answered 200."""
        return [identity for poster in self.posters for identity in poster.accepted]

    @property
    def city(self) -> City:
        """What the district got."""
        return self.districts["district"].city

    def talk(self) -> None:
        """Two that post alarms and everyday events, one that measures; smoke comes and goes."""
        kinds = (EVERYDAY, EVERYDAY, MEASURED)
        pairs = zip(self.posters[:3], kinds, strict=True)
        self.talking = [asyncio.create_task(chatter(*pair)) for pair in pairs]
        self.talking.append(asyncio.create_task(self._flicker()))

    async def _flicker(self) -> None:
        """Smoke: each time it has reached the city, whatever died on the way, the other way round."""
        smoke, on = self.line.slaves[5], True
        while True:
            smoke.set_condition("fire.smoke", on)
            await self._told_of(len(self.line.ledger))
            on = not on

    async def _told_of(self, edges: int) -> None:
        await self.city.until(lambda: len(self.city.edges) >= edges, SETTLED_S)

    async def hush(self) -> None:
        """No more is said, and all that was said has been accepted."""
        for task in self.talking:
            task.cancel()
        async with asyncio.timeout(SETTLED_S):
            for poster in self.posters:
                await poster.all_accepted()
        await self._told_of(len(self.line.ledger))

    async def judged(self, what: str) -> None:
        """All that was accepted arrives everywhere; nothing lost, no gap, no disorder. Prints what came twice."""
        accepted, edges = set(self.accepted), len(self.line.ledger)
        for district in self.districts.values():
            try:
                await district.city.has(accepted)
            except TimeoutError:
                lost = accepted - district.city.ids
                raise AssertionError(f"{district.name}: {len(lost)} lost, e.g. {min(lost)}") from None
            check_streams(district.city.told, *Lane, uplink=district.name, window=district.window)
            if district.window == 1:
                check_devices(first_arrivals(district.city))
        assert self.city.edges == ["raise", "clear"] * (edges // 2) + ["raise"] * (edges % 2)
        said = {(event["subject"], event["data"]["raw"]["n"]) for event in self.city.told if posted(event)}
        twice = len({event["id"] for event in self.city.told if posted(event)}) - len(said)
        sys.stdout.write(f"\n{what}: {len(accepted)} accepted, {twice} taken in twice, {edges} edges of smoke\n")
        for district in self.districts.values():
            arrived, once = len(district.city.told), len(district.city.ids)
            sys.stdout.write(f"  {district.name}: {once} arrived, {arrived - once} of them again; 0 lost, 0 gaps\n")


@asynccontextmanager
async def town(folder: Path, *others: District, room: str = "512MiB") -> AsyncIterator[Town]:
    """A district with a broker that loses nothing, `others` beside it, a smoke detector, three that post, one that can.

    Nothing is started yet.
    """
    names = [f"poster-{number}" for number in range(4)]
    devices = [webhook(name) for name in names]
    devices += [f"{{id: {SMOKE}, driver: modbus, bus: line, address: 5, profile: rs-yg-n01, place: b3, poll: 50ms}}"]
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        districts = [await enter(each) for each in (District(folder, "district"), *others)]
        line = await enter(Line(Slave(5, "rs-yg-n01")))
        daemon = Daemon(
            folder, uplink=districts[0].wire.port, beside={each.name: each.wire.port for each in others},
            devices=devices, buses={"line": f"{{serial: {line.port}, baudrate: 115200}}"}, room=room,
        )  # fmt: skip
        await enter(daemon)
        posters = [await enter(Poster(f"{daemon.url}/ingest/{name}", token(name), RETRY_S)) for name in names]
        yield Town(daemon, {each.name: each for each in districts}, line, posters)


async def chatter(poster: Poster, kinds: Sequence[Mapping[str, Any]]) -> None:
    """Post for ever, a few at a time, each reading with its number."""
    number = 0
    while True:
        batch = [{**kinds[n % len(kinds)], "raw": {"n": n}} for n in range(number, number + 20)]
        await poster.say(*batch)
        await poster.all_accepted()
        number += len(batch)


def posted(event: Event) -> bool:
    """One of `chatter`'s."""
    return "n" in event["data"].get("raw", {})


def check_devices(events: list[Event]) -> None:
    """Of each poster and lane: every number it was accepted with, in the order in which it spoke."""
    spoken: dict[tuple[str, str], list[int]] = {}
    for event in events:
        if posted(event):
            spoken.setdefault((event["subject"], event["stream"]), []).append(event["data"]["raw"]["n"])
    assert len(spoken) == 5  # two of two lanes, one of the third
    for numbers in spoken.values():
        assert numbers == sorted(numbers)
    for subject in {subject for subject, _ in spoken}:
        everything = {n for (who, _), numbers in spoken.items() if who == subject for n in numbers}
        assert everything == set(range(len(everything)))
