"""What open pages cost the event path: events per second to disk with PAGES streams open and without, in one run."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.event import Phase, Reading
from gateway.health import rss_bytes
from gateway.house import House
from gateway.web import bind, create, serve
from tests.bench.figures import Figure
from tests.houses import Puppets, config, living

PAGES = 20
EVENTS = 20_000
TASKS = 50
ROUNDS = 5
DEVICES = 50
FIGURES = (
    Figure("pages_rate_ratio", "events to the disk with 20 pages open, to without", "{:.2f}", "≥ 0.95"),
    Figure("pages_rss_mb", "memory that the page with 20 open takes", "{:.1f} MB", "≤ 15 MB"),
)


async def pages(folder: Path) -> dict[str, float]:
    """In turn, so that both see the same machine; the median of the rounds' ratios."""
    puppets, names = Puppets(), [f"door-{number}" for number in range(DEVICES)]
    async with living(config(folder, dict.fromkeys(names, "door")), puppets) as house:
        for name in names:
            await puppets.link(name)
        await _per_s(puppets, names)  # warm
        before_bytes = rss_bytes()
        ratios = []
        for _ in range(ROUNDS):
            alone = await _per_s(puppets, names)
            async with _open(house):
                ratios.append(await _per_s(puppets, names) / alone)
        return {"pages_rate_ratio": statistics.median(ratios), "pages_rss_mb": (rss_bytes() - before_bytes) / 1e6}


async def _per_s(puppets: Puppets, names: list[str]) -> float:
    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(TASKS):
            group.create_task(_drive(puppets, names[number % len(names)]))
    return EVENTS / (time.perf_counter() - began_s)


async def _drive(puppets: Puppets, device: str) -> None:
    link = await puppets.link(device)
    for _ in range(EVENTS // TASKS):
        await link.emit(Reading(device, "access.granted", Phase.PULSE))


@asynccontextmanager
async def _open(house: House) -> AsyncIterator[None]:
    """PAGES streams, read by a process of its own."""
    sockets = bind("127.0.0.1", 0)
    command = [sys.executable, "-m", "tests.bench.readers", str(sockets[0].getsockname()[1]), str(PAGES)]
    async with serve(create(house), sockets):
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        assert process.stdin is not None
        assert process.stdout is not None
        await process.stdout.readline()
        yield
        process.stdin.close()
        await process.wait()
