"""kill -9 in a loop, of the daemon, the broker, or both: nothing that a device was told is on disk may be missing, out
of order or told differently.
"""

import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from drivers.sim.modbus import Slave
from tests.brokers import subscribed
from tests.faults import ROUNDS
from tests.faults.daemon import BASE, STOP_S
from tests.faults.judge import first_arrivals
from tests.faults.seen import on_disk
from tests.faults.town import EVERYDAY as EVERYDAY
from tests.faults.town import SMOKE, City, Town, town
from tests.faults.town import chatter as chatter

SEED = 20261123
KILLS = 12 * ROUNDS
BEFORE_READY = (3, 7)  # of 12 kills: those at which the daemon is not even up
LINK_AWAY = (1, 2, 5, 8, 10)  # of 12 kills: those during which the broker cannot be reached
BROKER_KILLS = 5 * ROUNDS
LIVES_S = (0.02, 0.7)  # from READY to the kill
STARTS_S = (0.1, 0.9)  # from the start to a kill before READY
BROKER_LIVES_S = (0.3, 2.5)  # from where it is there again: the uplink is back within 2 s
BROKER_AWAY_S = (0.0, 0.5)


async def kill_the_daemon(made: Town, dice: random.Random) -> None:
    for kill in range(KILLS):
        wire = made.districts["district"].wire
        wire.cut() if kill % 12 in LINK_AWAY else wire.mend()
        await made.daemon.spawn()
        if kill % 12 not in BEFORE_READY:
            await made.daemon.ready()
        await made.daemon.after(dice.uniform(*(STARTS_S if kill % 12 in BEFORE_READY else LIVES_S)))
        await made.daemon.kill()
    wire.mend()
    await made.daemon.start()


async def kill_the_broker(made: Town, dice: random.Random) -> None:
    district = made.districts["district"]
    await made.daemon.start()
    for _ in range(BROKER_KILLS):
        await made.daemon.after(dice.uniform(*BROKER_LIVES_S))
        await district.die()
        await made.daemon.after(dice.uniform(*BROKER_AWAY_S))
        await district.rise()


async def kill_both(made: Town, dice: random.Random) -> None:
    """In turn, and every third time together."""
    district = made.districts["district"]
    await made.daemon.start()
    for kill in range(2 * BROKER_KILLS):
        await made.daemon.after(dice.uniform(*LIVES_S))
        if kill % 3 != 1:
            await made.daemon.kill()
        if kill % 3 != 0:
            await district.die()
            await district.rise()
        if kill % 3 != 1:
            await made.daemon.start()


@pytest.mark.parametrize("killing", [kill_the_daemon, kill_the_broker, kill_both])
async def test_nothing_accepted_is_lost_by_kill_9(
    tmp_path: Path, killing: Callable[[Town, random.Random], Awaitable[None]]
) -> None:
    async with town(tmp_path) as made:
        made.talk()
        await killing(made, random.Random(SEED))
        await made.hush()
        assert len(made.accepted) > 10 * KILLS
        await made.judged(killing.__name__)
        assert (await made.daemon.stop())[0] == 0


async def test_sigterm_ends_in_time_with_everything_on_disk(tmp_path: Path) -> None:
    async with town(tmp_path) as made:
        made.districts["district"].wire.cut()
        await made.daemon.start()
        made.talk()
        await made.posters[0].say({"type": "access.granted"})
        await made.daemon.after(0.5)
        status, seconds = await made.daemon.stop()
        for task in made.talking:
            task.cancel()
        assert status == 0, made.daemon.log
        assert seconds < STOP_S
        stored = {event["id"] for event in on_disk(made.daemon.state)}
        assert [identity for identity in made.accepted if identity not in stored] == []
        assert made.accepted


async def test_a_farewell_when_the_broker_is_there(tmp_path: Path) -> None:
    async with town(tmp_path) as made, subscribed(made.districts["district"].broker.port, f"{BASE}/status") as statuses:
        await made.daemon.start()
        await statuses.until(lambda: (statuses.document("/status") or {}).get("state") == "online")
        await made.posters[0].say(*EVERYDAY)
        await made.posters[0].all_accepted()
        status, seconds = await made.daemon.stop()
        await statuses.until(lambda: (statuses.document("/status") or {}).get("state") == "offline")
        arrived = {event["id"] for event in made.city.told}
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
    async with town(tmp_path) as made:
        await made.daemon.start()
        happen(made.line.slaves[5], True)
        await made.city.until(lambda: phases(made.city, what) == ["raise"])
        await made.daemon.kill()
        happen(made.line.slaves[5], False)
        await made.daemon.start()
        await made.city.until(lambda: phases(made.city, what) == ["raise", "clear"])


def phases(city: City, what: str) -> list[str]:
    """Of the detector's events of one type, as they first arrived."""
    return [e["phase"] for e in first_arrivals(city) if (e["subject"], e["type"]) == (SMOKE, what)]
