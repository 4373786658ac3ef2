"""The demo as a newcomer runs it: the whole story on real wires, and its own verdict."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

STORY_S = 150.0
ENDED = re.compile(r"Nothing is missing\.")


async def demo(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    """`gateway demo …`, its folders below `folder`."""
    environment = os.environ | {"TMPDIR": str(folder)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "demo", *arguments, "--lang", "en", env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


def left_in(folder: Path) -> list[str]:
    """Names of what stands there."""
    return [path.name for path in folder.iterdir()]


async def test_the_story_ends_well_and_leaves_nothing(tmp_path: Path) -> None:
    process = await demo(tmp_path, "--once")
    async with asyncio.timeout(STORY_S):
        output, _ = await process.communicate()
    told = output.decode()
    assert process.returncode == 0, told
    assert ENDED.search(told)
    chapters = re.findall(r"^(\d)\. ", told, re.MULTILINE)
    assert chapters == [str(number) for number in range(1, len(chapters) + 1)]
    cut = told.partition("The uplink is cut")[2].splitlines()
    first, waited = cut[1:3], cut[3:]
    assert all(" alarm #" in line for line in first), told  # alarms overtake what waited
    assert any("Access granted" in line for line in waited)
    assert left_in(tmp_path) == []


async def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    process = await demo(tmp_path)
    assert process.stdout is not None
    async with asyncio.timeout(STORY_S):
        async for line in process.stdout:
            if b"stranger" in line:
                break
        process.send_signal(signal.SIGINT)
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in output
    assert left_in(tmp_path) == []
