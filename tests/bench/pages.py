"""What open pages cost: events per second to disk with PAGES streams open and without, in one run; and memory.

Memory is the real daemon's: from its start until four people have signed in, every view was looked at in both
languages, PAGES streams are open, the interface was asked for its description and events were taken as a spreadsheet.
"""

import asyncio
import itertools
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from gateway.event import Phase, Reading
from gateway.house import House
from gateway.web import bind, create, serve
from tests.bench.figures import Figure
from tests.estates import Estate, estate
from tests.houses import Puppets, config, living
from tests.web.desk import VIEWS, settle_in

PAGES = 20
EVENTS = 20_000
TASKS = 50
ROUNDS = 5
DEVICES = 50
FIGURES = (
    Figure("pages_rate_ratio", "events to the disk with 20 pages open, to without", "{:.2f}", "≥ 0.95"),
    Figure("pages_rss_mb", "memory that the page in use takes, 20 open", "{:.1f} MB", "≤ 15 MB"),
)


async def pages(folder: Path) -> dict[str, float]:
    """In turn, so that both see the same machine; the median of the rounds' ratios."""
    puppets, names = Puppets(), [f"door-{number}" for number in range(DEVICES)]
    async with living(config(folder, dict.fromkeys(names, "door")), puppets) as house:
        for name in names:
            await puppets.link(name)
        await _per_s(puppets, names)  # warm
        ratios = []
        for _ in range(ROUNDS):
            alone = await _per_s(puppets, names)
            async with _open(house):
                ratios.append(await _per_s(puppets, names) / alone)
    return {"pages_rate_ratio": statistics.median(ratios), "pages_rss_mb": await _in_use_mb(folder)}


async def _in_use_mb(folder: Path) -> float:
    async with estate(folder) as here:
        before = _rss_bytes(here)
        await settle_in(here)
        cookies = {cookie["name"]: cookie["value"] for cookie in here.people["installer"]}
        async with aiohttp.ClientSession(here.daemon.url, cookies=cookies) as http, asyncio.TaskGroup() as group:
            for language, path in itertools.product(("zh", "en"), (*VIEWS.values(), "/api/v1/export.xlsx")):
                async with http.get(path, headers={"Accept": "text/html", "Accept-Language": language}) as answer:
                    await answer.read()
            await (await http.get("/openapi.json")).read()
            reading = [group.create_task(_read_on(await http.get("/stream"))) for _ in range(PAGES)]
            for _ in range(PAGES):
                await here.post("hall-1", "device.fault")
                await here.post("hall-1", "device.fault", "clear")
            grown_bytes = _rss_bytes(here) - before
            for task in reading:
                task.cancel()
    return grown_bytes / 1e6


async def _read_on(stream: aiohttp.ClientResponse) -> None:
    async for _ in stream.content.iter_any():
        pass


def _rss_bytes(here: Estate) -> int:
    """Of the daemon (proc(5), statm: second field, pages)."""
    pages = int(Path(f"/proc/{here.daemon.running.pid}/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


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
