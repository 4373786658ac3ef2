"""READY=1 means it: devices are heard from then on, and a port that is taken keeps nothing else waiting."""

import socket
from pathlib import Path

from tests.brokers import free_port
from tests.faults.daemon import Daemon, webhook


async def test_the_page_answers_when_ready_is_told(tmp_path: Path) -> None:
    async with Daemon(tmp_path, uplink=free_port(), devices=[webhook("panic-1")]) as daemon:
        await daemon.start()
        assert await daemon.get("/readyz") == (200, {"ready": True})


async def test_ready_all_the_same_when_the_page_has_no_port(tmp_path: Path) -> None:
    async with Daemon(tmp_path, uplink=free_port()) as daemon:
        with socket.create_server(("127.0.0.1", daemon.page)):
            await daemon.start()
            await daemon.logged(lambda log: [line for line in log if f"{daemon.page} is in use" in line])
