"""A simulators' process of its own: it is told what to do by lines on standard input and answers each in JSON."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class Child:
    """The process as the bench sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def ask(self, words: str = "") -> Any:
        """One line there, one back; without words: what it says by itself when it has begun."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            if words:
                self._process.stdin.write(f"{words}\n".encode())
            return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def child(module: str, *arguments: object) -> AsyncIterator[Child]:
    """Starts `python -m module …`; ends it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *map(str, arguments),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# inside the process


async def orders() -> AsyncIterator[list[str]]:
    """The words of each line that the bench sends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().split()


def say(value: Any) -> None:
    """An answer."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
