"""READY=1 means it: devices are heard from then on, and a port that is taken keeps nothing else waiting."""

import asyncio
import socket
from pathlib import Path

from drivers.sim.webhook import Poster
from tests.brokers import free_port
from tests.faults.daemon import Daemon, token, webhook


async def test_the_page_answers_when_ready_is_told(tmp_path: Path) -> None:
    async with Daemon(tmp_path, uplink=free_port(), devices=[webhook("panic-1")]) as daemon:
        await daemon.start()
        assert await daemon.get("/readyz") == (200, {"ready": True})


async def test_ready_all_the_same_when_the_page_has_no_port(tmp_path: Path) -> None:
    async with Daemon(tmp_path, uplink=free_port()) as daemon:
        with socket.create_server(("127.0.0.1", daemon.page)):
            await daemon.start()
            await daemon.logged(lambda log: [line for line in log if f"{daemon.page} is in use" in line])


async def test_a_device_that_posts_one_by_one_is_not_held_up(tmp_path: Path) -> None:
    """An answer held back for the last one's TCP acknowledgement (Nagle's algorithm) takes 40 ms longer."""
    loop = asyncio.get_running_loop()
    async with Daemon(tmp_path, uplink=free_port(), devices=[webhook("panic-1")]) as daemon:
        await daemon.start()
        took_s = []
        async with Poster(f"{daemon.url}/ingest/panic-1", token("panic-1")) as device:
            for _ in range(20):
                began_s = loop.time()
                await device.say({"type": "access.granted"})
                await device.all_accepted()
                took_s.append(loop.time() - began_s)
        assert sorted(took_s)[10] < 0.03, took_s
