"""The daemon on a box without a battery clock: in 1970 at the start, set by the network, jumping by days.

Its wall time goes wrong by a shim (`clock_shim.c`) that lies to that process alone; timers, devices, broker and
subscriber live in true time. The uplink has TLS, with a certificate that in 1970 is not valid yet.
"""

import asyncio
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from drivers.sim.webhook import Poster
from gateway.event import Lane
from tests.brokers import Mosquitto, Subscriber, Wire, free_port, subscribed
from tests.daemons import SITE, Own
from tests.faults.daemon import BASE, STOP_S, token, webhook
from tests.faults.judge import Event, check_streams

COMPILER = shutil.which("cc") or shutil.which("gcc")
SHIM = Path(__file__).with_name("clock_shim.c")
DAY_S = 86400.0
ALARM_MOST_S = 2.0  # architecture, section 5, with the link up
EXACT_S = 1.0
EVERYDAY: tuple[dict[str, Any], ...] = (
    {"type": "safety.panic", "phase": "raise"},
    {"type": "access.granted"},
    {"type": "safety.panic", "phase": "clear"},
    {"type": "telemetry.sample", "values": {"temperature": {"value": 21.5, "unit": "°C"}}},
)

pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="needs a C compiler (cc) for the shim that lies about the time"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs LD_PRELOAD and adjtimex(2) of Linux"),
]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, compiled."""
    made = tmp_path_factory.mktemp("shim") / "clock_shim.so"
    command = [str(COMPILER), "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(made), str(SHIM), "-ldl", "-lm"]
    subprocess.run(command, check=True)
    return made


class Wall:
    """The wall time that the daemon sees."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(12))
        self._file = path.open("r+b", buffering=0)
        self.shift_s = 0.0

    def show(self, shift_s: float, *, synced: bool = False) -> None:
        """Off by so much from now on."""
        self.shift_s = shift_s
        os.pwrite(self._file.fileno(), struct.pack("=di", shift_s, synced), 0)

    def in_1970(self) -> None:
        """As after a power cut: half a minute since the first of January."""
        self.show(30.0 - time.time())

    def jump(self, seconds: float) -> None:
        """Somebody sets it."""
        self.show(self.shift_s + seconds)

    def sync(self) -> None:
        """The network sets it."""
        self.show(0.0, synced=True)


@dataclass
class Ground:
    """All that stands around the daemon."""

    wall: Wall
    wire: Wire
    city: Subscriber
    daemon: Own
    poster: Poster
    truth_s: dict[str, tuple[float, float]] = field(default_factory=dict)  # by id: taken in between these moments

    async def post(self) -> list[str]:
        """One of each lane, and an alarm's end; their ids."""
        ids = []
        for reading in EVERYDAY:
            began_s = time.time()
            await self.poster.say(reading)
            await self.poster.all_accepted()
            identity = self.poster.accepted[-1]
            self.truth_s[identity] = began_s, time.time()
            ids.append(identity)
        return ids

    async def arrived(self, ids: list[str], wait_s: float) -> None:
        """All of these are with the city."""
        await self.city.until(lambda: set(ids) <= {event["id"] for event in self.city.events()}, wait_s)

    def bad(self) -> list[tuple[str, str | None]]:
        """What was told of the clock: phase and reason."""
        events = [event for event in self.city.events() if event["type"] == "gateway.clock_bad"]
        return [(event["phase"], event["data"].get("reason")) for event in events]


@asynccontextmanager
async def ground(folder: Path, shim: Path) -> AsyncIterator[Ground]:
    """A TLS listener for the daemon and a plain one for the city, on one broker; nothing runs yet."""
    authority, plain = trustme.CA(), free_port()
    server = authority.issue_cert("localhost", not_before=datetime(2026, 1, 1))  # noqa: DTZ001  # as trustme takes it
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server.cert_chain_pems[0].write_to_path(folder / "server.pem")
    server.private_key_pem.write_to_path(folder / "server.key")
    options = ["allow_anonymous true", f"certfile {folder}/server.pem", f"keyfile {folder}/server.key"]
    wall = Wall(folder / "wall")
    async with (
        Mosquitto(folder, *options, f"listener {plain} 127.0.0.1", "max_queued_messages 0") as broker,
        subscribed(plain, f"{BASE}/event/#") as city,
        Wire(broker.port) as wire,
    ):
        uplink = f'uplinks: {{district: {{url: "mqtts://localhost:{wire.port}", tls: {{ca: ca.pem}}}}}}\n'
        async with Own(folder, SITE + uplink + f"devices:\n  - {webhook('post-1', 'gate')}\n") as daemon:
            daemon.environment = {"LD_PRELOAD": str(shim), "CLOCK_SHIM": str(folder / "wall")}
            async with Poster(f"{daemon.url}/ingest/post-1", token("post-1"), 0.02) as poster:
                yield Ground(wall, wire, city, daemon, poster)


def times_are_as_good_as_they_say(made: Ground) -> None:
    for event in made.city.events():
        if event["id"] in made.truth_s and event["timequality"] != "unsynced":
            first_s, last_s = made.truth_s[event["id"]]
            told_s = datetime.fromisoformat(event["time"]).timestamp()
            assert first_s - EXACT_S < told_s < last_s + EXACT_S, event


def qualities(made: Ground, ids: list[str]) -> set[str]:
    """How far the times of these are to be trusted, as the city knows it."""
    return {event["timequality"] for event in made.city.events() if event["id"] in ids}


async def test_taken_in_in_1970_and_sent_when_the_network_came(tmp_path: Path, shim: Path) -> None:
    async with ground(tmp_path, shim) as made:
        made.wall.in_1970()
        made.wire.cut()
        await made.daemon.start()
        early = await made.post()
        await made.daemon.kill()
        made.wall.in_1970()
        await made.daemon.start()
        for jump_s in (DAY_S, -2 * DAY_S, 0.5 * DAY_S):
            made.wall.jump(jump_s)
            early += await made.post()
        made.wall.sync()
        late = await made.post()
        made.wire.mend()
        await made.arrived(early + late, 20.0)
        _, took_s = await made.daemon.stop()
        assert took_s < STOP_S
        assert qualities(made, early) == {"corrected"}
        assert qualities(made, late) == {"synced"}
        no_gap_no_disorder(made, early + late)


async def test_jumps_by_a_day_hold_nothing_up_and_lock_nothing_out(tmp_path: Path, shim: Path) -> None:
    async with ground(tmp_path, shim) as made:
        made.wall.sync()
        await made.daemon.start()
        ids = await made.post()
        await made.arrived(ids, 10.0)
        for jump_s in (DAY_S, -2 * DAY_S):
            made.wall.jump(jump_s)
            await posted_and_there(made, ids)
        made.wall.in_1970()
        made.wire.cut()
        made.wire.mend()
        ids += (missed := await made.post())
        await made.arrived(missed, 20.0)  # OpenSSL, too, lives in 1970
        assert qualities(made, missed) == {"unsynced"}
        await made.city.until(lambda: made.bad() == [("raise", "jumped")])
        made.wall.sync()
        await made.city.until(lambda: made.bad() == [("raise", "jumped"), ("clear", None)])
        await posted_and_there(made, ids)
        assert qualities(made, ids[-len(EVERYDAY) :]) == {"synced"}
        no_gap_no_disorder(made, ids)


async def posted_and_there(made: Ground, ids: list[str]) -> None:
    """As fast as ever."""
    ids += (posted := await made.post())
    async with asyncio.timeout(ALARM_MOST_S + 1.0):  # telemetry gathers for half a second, and waits for its turn
        await made.arrived(posted, ALARM_MOST_S + 1.0)


def no_gap_no_disorder(made: Ground, ids: list[str]) -> None:
    events: list[Event] = made.city.events()
    assert ids == sorted(ids)
    assert set(ids) <= {event["id"] for event in events}
    check_streams(events, *Lane)
    times_are_as_good_as_they_say(made)
