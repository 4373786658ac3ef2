"""kill -9 in a loop: nothing that a device was told is on disk may be missing, out of order or told differently."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.sim.modbus import Line, Slave
from drivers.sim.webhook import Poster
from gateway.event import Lane
from tests.brokers import Mosquitto, Subscriber, Wire, subscribed
from tests.faults.daemon import BASE, STOP_S, Daemon, token, webhook
from tests.faults.judge import check_streams, first_arrivals
from tests.faults.seen import on_disk

SEED = 20261123
KILLS = 12
BEFORE_READY = (3, 7)  # kills at which the daemon is not even up
LINK_AWAY = (1, 2, 5, 8, 10)  # kills during which the broker cannot be reached
LIVES_S = (0.02, 0.7)  # from READY to the kill
STARTS_S = (0.1, 0.9)  # from the start to a kill before READY
RETRY_S = 0.02
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


@dataclass
class Ground:
    """All that stands around the daemon."""

    wire: Wire
    city: Subscriber  # everything
    brigade: Subscriber  # what burns
    line: Line
    daemon: Daemon
    posters: list[Poster]

    @property
    def accepted(self) -> list[str]:
        """Ids that were answered 200."""
        return [identity for poster in self.posters for identity in poster.accepted]


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    """A broker that drops nothing, a subscriber, a line that can be cut, a smoke detector, three that post."""
    names = [f"poster-{number}" for number in range(3)]
    devices = [webhook(name) for name in names]
    devices += [f"{{id: {SMOKE}, driver: modbus, bus: line, address: 5, profile: rs-yg-n01, place: b3, poll: 50ms}}"]
    patient = ("allow_anonymous true", "max_queued_messages 0")
    async with (
        Mosquitto(folder, *patient) as broker,
        subscribed(broker.port, f"{BASE}/event/#") as city,
        subscribed(broker.port, f"{BASE}/event/fire") as brigade,
        Wire(broker.port) as wire,
        Line(Slave(5, "rs-yg-n01")) as line,
        Daemon(
            folder, uplink=wire.port, devices=devices, buses={"line": f"{{serial: {line.port}, baudrate: 115200}}"}
        ) as daemon,
    ):
        first, second, third = (Poster(f"{daemon.url}/ingest/{name}", token(name), RETRY_S) for name in names)
        async with first, second, third:
            yield Ground(wire, city, brigade, line, daemon, [first, second, third])


async def chatter(poster: Poster, kinds: Sequence[Mapping[str, Any]]) -> None:
    """Post for ever, a few at a time, each reading with its number."""
    number = 0
    while True:
        batch = [{**kinds[n % len(kinds)], "raw": {"n": n}} for n in range(number, number + 20)]
        await poster.say(*batch)
        await poster.all_accepted()
        number += len(batch)


def talk(made: Ground) -> list[asyncio.Task[None]]:
    """Two that post alarms and everyday events, one that measures."""
    kinds = (EVERYDAY, EVERYDAY, MEASURED)
    return [asyncio.create_task(chatter(*pair)) for pair in zip(made.posters, kinds, strict=True)]


async def flicker(made: Ground) -> None:
    """Smoke comes and goes: each time it has reached the city, whatever died on the way, the other way round."""
    smoke, on = made.line.slaves[5], True
    while True:
        smoke.set_condition("fire.smoke", on)
        edges = len(made.line.ledger)
        await made.brigade.until(lambda edges=edges: len(told(made.brigade)) >= edges, 60.0)  # type: ignore[misc]
        on = not on


def told(brigade: Subscriber) -> list[str]:
    """Phases of the detector's smoke as they first arrived, but for `still`: it is no edge."""
    events = [event for event in first_arrivals(brigade) if event["type"] == "fire.smoke"]
    return [event["phase"] for event in events if event["phase"] != "still"]


async def kill_in_a_loop(made: Ground, dice: random.Random) -> None:
    for kill in range(KILLS):
        made.wire.cut() if kill in LINK_AWAY else made.wire.mend()
        await made.daemon.spawn()
        if kill not in BEFORE_READY:
            await made.daemon.ready()
        await made.daemon.after(dice.uniform(*(STARTS_S if kill in BEFORE_READY else LIVES_S)))
        await made.daemon.kill()


async def test_nothing_accepted_is_lost_by_kill_9(tmp_path: Path) -> None:
    async with ground(tmp_path) as made:
        talking = talk(made)
        talking.append(asyncio.create_task(flicker(made)))
        await kill_in_a_loop(made, random.Random(SEED))
        for task in talking:
            task.cancel()
        made.wire.mend()
        await made.daemon.start()
        for poster in made.posters:
            await poster.all_accepted()
        edges = len(made.line.ledger)
        await made.brigade.until(lambda: len(told(made.brigade)) >= edges, 20.0)
        await made.daemon.stop()
        events = made.city.events()
        arrived = {event["id"] for event in events}
        assert [identity for identity in made.accepted if identity not in arrived] == []
        assert len(made.accepted) > 10 * KILLS
        check_streams(events, *Lane)
        check_devices(first_arrivals(made.city))
        assert told(made.brigade) == ["raise", "clear"] * (edges // 2) + ["raise"] * (edges % 2)
        report(made, events)


def check_devices(events: list[dict[str, Any]]) -> None:
    """Of each poster and lane: every number it was accepted with, in the order in which it spoke."""
    spoken: dict[tuple[str, str], list[int]] = {}
    for event in events:
        if event["subject"].startswith("poster-") and "raw" in event["data"]:
            spoken.setdefault((event["subject"], event["stream"]), []).append(event["data"]["raw"]["n"])
    assert len(spoken) == 5  # two of two lanes, one of the third
    for numbers in spoken.values():
        assert numbers == sorted(numbers)
    for subject in {subject for subject, _ in spoken}:
        everything = {n for (who, _), numbers in spoken.items() if who == subject for n in numbers}
        assert everything == set(range(len(everything)))


def report(made: Ground, events: list[dict[str, Any]]) -> None:
    """For `pytest -s`: what it cost."""
    once = first_arrivals(made.city)
    posted = [event for event in once if event["subject"].startswith("poster-")]
    said = {(event["subject"], event["data"]["raw"]["n"]) for event in posted}
    again, doubled = len(events) - len(once), len(posted) - len(said)
    sys.stdout.write(
        f"\n{KILLS} kills: {len(made.accepted)} accepted, {len(once)} arrived, {again} of them again, "
        f"{doubled} taken in twice, {len(made.line.ledger)} edges of smoke\n"
    )


async def test_sigterm_ends_in_time_with_everything_on_disk(tmp_path: Path) -> None:
    async with ground(tmp_path) as made:
        made.wire.cut()
        await made.daemon.start()
        talking = talk(made)
        await made.posters[0].say({"type": "access.granted"})
        await made.daemon.after(0.5)
        status, seconds = await made.daemon.stop()
        for task in talking:
            task.cancel()
        assert status == 0, made.daemon.log
        assert seconds < STOP_S
        stored = {event["id"] for event in on_disk(made.daemon.state)}
        assert [identity for identity in made.accepted if identity not in stored] == []
        assert made.accepted


async def test_a_farewell_when_the_broker_is_there(tmp_path: Path) -> None:
    async with ground(tmp_path) as made, subscribed(made.wire.to_port, f"{BASE}/status") as statuses:
        await made.daemon.start()
        await statuses.until(lambda: (statuses.document("/status") or {}).get("state") == "online")
        await made.posters[0].say(*EVERYDAY)
        await made.posters[0].all_accepted()
        status, seconds = await made.daemon.stop()
        await statuses.until(lambda: (statuses.document("/status") or {}).get("state") == "offline")
        arrived = {event["id"] for event in made.city.events()}
        assert [identity for identity in made.accepted if identity not in arrived] == []
        assert (status, seconds < STOP_S) == (0, True), made.daemon.log


def burn(detector: Slave, on: bool) -> None:
    """Smoke, or none."""
    detector.set_condition("fire.smoke", on)


def vanish(detector: Slave, on: bool) -> None:
    """Its plug out, or in."""
    detector.unplug() if on else detector.plug()


@pytest.mark.parametrize(("what", "happen"), [("fire.smoke", burn), ("device.offline", vanish)])
async def test_what_ended_while_it_was_dead_is_told(
    what: str, happen: Callable[[Slave, bool], None], tmp_path: Path
) -> None:
    async with ground(tmp_path) as made:
        await made.daemon.start()
        happen(made.line.slaves[5], True)
        await made.city.until(lambda: phases(made.city, what) == ["raise"])
        await made.daemon.kill()
        happen(made.line.slaves[5], False)
        await made.daemon.start()
        await made.city.until(lambda: phases(made.city, what) == ["raise", "clear"])


def phases(city: Subscriber, what: str) -> list[str]:
    """Of the detector's events of one type, as they first arrived."""
    return [e["phase"] for e in first_arrivals(city) if (e["subject"], e["type"]) == (SMOKE, what)]
