"""Every trouble of a line at once, each on an uplink of its own, beside one that is well, under a real daemon.

Half-open (the broker stands still; packets vanish), PUBACKs lost, cut in mid-frame, publishes refused, nobody there,
one message at a time. Nothing of it costs the healthy one its promptness, and in the end each district has everything.
"""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.mqtt import WINDOW
from tests.faults import ROUNDS
from tests.faults.town import District, Town, town

PATIENT_S = 20.0  # issue: link loss noticed within
BUSY_S = 5.0  # and on a busy machine
PROMPT_S = 2.0  # an alarm with the link up, 99 of 100
PANIC = {"type": "safety.panic", "phase": "raise"}
SILENT = {"stopped", "vanished", "deaf"}  # nothing is closed: only silence tells
MAY_NOT = "topic read #\n" + "".join(f"topic write sc/v1/+/+/+/+/{name}\n" for name in ("status", "health", "dossier"))
MAY = "topic readwrite #\n"


class Strict(District):
    """A broker that refuses events (PUBACK 0x87) while it is told to."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        self.rights = folder / "acl"
        self.rights.write_text(MAY, "utf-8")
        self.rights.chmod(0o600)
        # not max_queued_messages 0: mosquitto 2.0.11 then hangs up on whom it refuses, for any queue is longer
        super().__init__(folder, name, "allow_anonymous true", "max_queued_messages 99999", f"acl_file {self.rights}")
        self.window = WINDOW  # its rights may come back in the middle of what is in flight

    def refuse(self, refuses: bool) -> None:
        """From now on, or no longer."""
        self.rights.write_text(MAY_NOT if refuses else MAY, "utf-8")
        self.broker.signal(signal.SIGHUP)


Trouble = Callable[[District, random.Random], None]


def stop(district: District, _: random.Random) -> None:
    """Half-open: TCP stays, nobody answers."""
    district.broker.signal(signal.SIGSTOP)


def vanish(district: District, _: random.Random) -> None:
    """Half-open: packets are lost both ways."""
    district.wire.deaf = district.wire.mute = True


def deafen(district: District, _: random.Random) -> None:
    """What is sent arrives, and no PUBACK comes back."""
    district.wire.deaf = True


def tear(district: District, dice: random.Random) -> None:
    """This connection, and the next ones after so many bytes: in the middle of a PUBLISH, or of CONNECT."""
    district.wire.cuts_bytes = [dice.randrange(1, 20_000) for _ in range(4)]
    district.wire.cut()
    district.wire.mend()


def refuse(district: District, _: random.Random) -> None:
    """PUBACK 0x87."""
    assert isinstance(district, Strict)
    district.refuse(True)


TROUBLES: dict[str, Trouble] = {
    "stopped": stop, "vanished": vanish, "deaf": deafen, "torn": tear, "refusing": refuse,
}  # fmt: skip


def heal(district: District) -> None:
    """As if nothing had been."""
    district.broker.signal(signal.SIGCONT)
    district.wire.deaf = district.wire.mute = False


@asynccontextmanager
async def troubled(folder: Path) -> AsyncIterator[Town]:
    """A district, and beside it those to be troubled, one that is not there yet, and one that is slow."""
    others = [District(folder, name) for name in TROUBLES if name != "refusing"]
    others += [Strict(folder / "strict", "refusing"), District(folder, "dead", away=True)]
    others += [District(folder, "slow", "allow_anonymous true", "max_queued_messages 0", "max_inflight_messages 1")]
    async with town(folder, *others) as made:
        yield made


async def uplinks(made: Town) -> dict[str, Any]:
    """What the daemon says of them."""
    _, status = await made.daemon.get("/api/v1/status")
    told: dict[str, Any] = status["uplinks"]
    return told


def count(uplink: dict[str, Any], what: str) -> int:
    """Over its lanes."""
    return sum(int(lane[what]) for lane in uplink["lanes"].values())


async def refused(made: Town) -> None:
    """Until the daemon shows it."""
    async with asyncio.timeout(BUSY_S):
        while not count((await uplinks(made))["refusing"], "refused"):
            await made.daemon.after(0.1)


async def alarm_s(made: Town) -> float:
    """Seconds from a post to the healthy district."""
    loop, poster = asyncio.get_running_loop(), made.posters[3]
    began_s = loop.time()
    await poster.say(PANIC)
    await poster.all_accepted()
    await made.city.has(poster.accepted[-1:])
    return loop.time() - began_s


async def noticed(made: Town) -> list[float]:
    """Until the daemon knows of each line that is silent; seconds that alarms took meanwhile."""
    took_s: list[float] = []
    async with asyncio.timeout(PATIENT_S + BUSY_S):
        while {name for name, told in (await uplinks(made)).items() if told["connected"]} & SILENT:
            took_s.append(await alarm_s(made))
            await made.daemon.after(0.1)
    return took_s


async def test_each_line_has_its_trouble_and_all_get_everything(tmp_path: Path) -> None:
    dice, took_s = random.Random(1), list[float]()
    async with troubled(tmp_path) as made:
        strict, torn = made.districts["refusing"], made.districts["torn"]
        assert isinstance(strict, Strict)
        await made.daemon.start()
        made.talk()
        for _ in range(ROUNDS):
            await made.posters[3].say(PANIC)
            await made.posters[3].all_accepted()
            for name in TROUBLES:
                await made.districts[name].city.has(made.posters[3].accepted)  # it is up
            for name, trouble in TROUBLES.items():
                trouble(made.districts[name], dice)
            await refused(made)
            strict.refuse(False)
            took_s += await noticed(made)
            for name in SILENT:
                heal(made.districts[name])
        told, kept = await uplinks(made), len(made.accepted)
        assert not told["dead"]["connected"]
        assert count(told["dead"], "backlog") > kept // 2
        await made.districts["dead"].rise()
        await made.hush()
        await made.judged(f"{ROUNDS} x every trouble of a line")
        assert torn.wire.cuts_bytes == []
    took_s.sort()
    sys.stdout.write(
        f"  {len(took_s)} alarms beside: half in {took_s[len(took_s) // 2]:.3f} s, all in {took_s[-1]:.3f} s\n"
    )
    assert took_s[len(took_s) * 9 // 10] < PROMPT_S
