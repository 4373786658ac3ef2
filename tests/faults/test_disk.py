"""A full disk, at the start and while running: the gateway lives, says so, takes nothing it cannot keep, and goes on.

Two kinds: no file of the daemon may grow (RLIMIT_FSIZE: writes fail with EFBIG), which needs no rights, and a small
tmpfs that is really full (ENOSPC), which needs to be root.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest

from drivers.sim.webhook import Poster
from gateway.event import Lane
from tests.brokers import Mosquitto, Subscriber, subscribed
from tests.faults.daemon import BASE, Daemon, token, webhook
from tests.faults.judge import check_streams
from tests.faults.seen import allow

RETRY_S = 0.05
PANIC = {"type": "safety.panic", "phase": "raise"}
BALLAST_BYTES = 64 * 1024


class Disk(Protocol):
    """A disk that can be full. `state` is a folder on it."""

    state: Path

    async def start(self, daemon: Daemon, full: bool = False) -> None:
        """Start the daemon on it."""

    def fill(self, daemon: Daemon) -> None:
        """No room any more."""

    def free(self, daemon: Daemon) -> None:
        """Room again."""


class Limited:
    """RLIMIT_FSIZE of the daemon (setrlimit(2))."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"

    async def start(self, daemon: Daemon, full: bool = False) -> None:
        await daemon.start(file_bytes=0 if full else None)

    def fill(self, daemon: Daemon) -> None:
        allow(daemon.running.pid, 0)

    def free(self, daemon: Daemon) -> None:
        allow(daemon.running.pid)


class Small:
    """A tmpfs with a ballast file."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "mounted" / "state"
        self.ballast = folder / "mounted" / "ballast"

    async def start(self, daemon: Daemon, full: bool = False) -> None:
        if full:
            self.fill(daemon)
        await daemon.start()

    def fill(self, daemon: Daemon) -> None:
        with self.ballast.open("ab", buffering=0) as out:
            for size in (BALLAST_BYTES, 1):
                try:
                    while True:
                        out.write(bytes(size))
                except OSError:
                    continue

    def free(self, daemon: Daemon) -> None:
        self.ballast.unlink()


@pytest.fixture(params=["limit", "tmpfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    if request.param == "limit":
        yield Limited(tmp_path)
        return
    if os.geteuid() != 0:
        pytest.skip("only root can mount a tmpfs; the same is tried with RLIMIT_FSIZE")
    folder = tmp_path / "mounted"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "community-gateway-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield Small(tmp_path)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@dataclass
class Ground:
    """A daemon on such a disk, and what stands around it."""

    disk: Disk
    daemon: Daemon
    city: Subscriber
    device: Poster

    async def until_ready(self, ready: bool) -> None:
        """Until `/readyz` says so."""
        wanted = (200, {"ready": True}) if ready else (503, {"ready": False})
        async with asyncio.timeout(20):
            while await self.daemon.get("/readyz") != wanted:
                await self.daemon.after(0.05)


@asynccontextmanager
async def ground(folder: Path, disk: Disk) -> AsyncIterator[Ground]:
    async with (
        Mosquitto(folder) as broker,
        subscribed(broker.port, f"{BASE}/#") as city,
        Daemon(folder, uplink=broker.port, devices=[webhook("panic-1", "panic")], state=disk.state) as daemon,
        Poster(f"{daemon.url}/ingest/panic-1", token("panic-1"), RETRY_S) as device,
    ):
        yield Ground(disk, daemon, city, device)


def about_the_disk(log: list[str]) -> list[str]:
    return [line for line in log if "gateway.store" in line]


async def test_full_while_running(disk: Disk, tmp_path: Path) -> None:
    async with ground(tmp_path, disk) as made:
        await disk.start(made.daemon)
        await made.device.say(*[PANIC] * 5)
        await made.device.all_accepted()
        disk.fill(made.daemon)
        await refuses(made)
        kept = len(made.device.accepted)
        await made.device.say(*[PANIC] * 5)
        await made.until_ready(False)
        failing = (await made.daemon.get("/api/v1/status"))[1]["disk"]["failing"]
        assert "disk" in failing["en"]
        assert "磁盘" in failing["zh"]
        attempts = made.device.attempts
        while made.device.attempts < attempts + 5:
            await made.daemon.after(RETRY_S)
        assert len(made.device.accepted) == kept
        disk.free(made.daemon)
        await made.device.all_accepted()
        await goes_on(made)


async def refuses(made: Ground) -> None:
    """Posts until one is refused: SQLite may still have had room in a file that does not grow."""
    url, headers = f"{made.daemon.url}/ingest/panic-1", {"Authorization": f"Bearer {token('panic-1')}"}
    async with aiohttp.ClientSession(headers=headers) as http, asyncio.timeout(20):
        while True:
            async with http.post(url, json=PANIC) as answer:
                body = await answer.json()
            if answer.status != 200:
                break
            made.device.accepted += body["ids"]
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert set(body["error"]["what"]) == set(body["error"]["do"]) == {"en", "zh"}


async def goes_on(made: Ground) -> None:
    """Ready, everything accepted arrives, no number is missing, and the log has one line for each change."""
    await made.until_ready(True)
    await made.device.say(PANIC)
    await made.device.all_accepted()
    await made.city.until(lambda: set(made.device.accepted) <= {event["id"] for event in made.city.events()})
    check_streams(made.city.events(), Lane.ALARM)
    await made.daemon.logged(lambda log: len(about_the_disk(log)) == 2)
    worse, better = about_the_disk(made.daemon.log)
    assert "does not take it" in worse
    assert "again" in better
    assert (await made.daemon.stop())[0] == 0


async def test_full_at_the_start(disk: Disk, tmp_path: Path) -> None:
    async with ground(tmp_path, disk) as made:
        await disk.start(made.daemon)
        await made.device.say(*[PANIC] * 5)
        await made.device.all_accepted()
        await made.daemon.stop()
        await disk.start(made.daemon, full=True)
        await made.until_ready(False)
        await refuses(made)
        await made.city.until(lambda: (made.city.document("/status") or {}).get("state") == "online")
        disk.free(made.daemon)
        await made.until_ready(True)  # by itself, though nothing happens
        await goes_on(made)


async def test_the_very_first_start_on_a_full_disk_says_what_to_do(disk: Disk, tmp_path: Path) -> None:
    async with ground(tmp_path, disk) as made:
        with pytest.raises(AssertionError, match=r"cannot be stored: .*; free space"):
            await disk.start(made.daemon, full=True)
        assert len(made.daemon.log) == 2  # the configuration's history cannot be kept either
        assert (await made.daemon.stop())[0] == 1
