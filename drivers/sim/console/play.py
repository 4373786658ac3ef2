"""Plays a simulator by lines: typed, piped, or from a file; `help`, `wait SECONDS` and `quit` are always there."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from drivers.sim.console import Act, Stage, Tell, Words
from gateway.errors import Text
from gateway.fields import Wrong

CHUNK_BYTES = 4096


def _nothing(_: Words) -> None:
    """`play` itself does it."""


async def _wait(words: Words) -> None:
    (seconds,) = words
    await asyncio.sleep(float(seconds))


ALWAYS = {
    "help": Act("help", Text("list what it can do", "列出可用动作"), _nothing),
    "wait": Act("wait SECONDS", Text("before the next line", "等待后再执行下一行"), _wait),
    "quit": Act("quit", Text("end", "结束"), _nothing),
}


async def play(simulator: AbstractAsyncContextManager[Stage], handle: int, tell: Tell) -> None:
    """Runs until `quit`, or until no line is left to read from `handle` and the simulator has finished."""
    async with simulator as stage:
        tell(stage.title)
        tell(Text(f"for gateway.yaml:\n{stage.config}", f"gateway.yaml 中的写法:\n{stage.config}"))
        whole = Stage(stage.title, stage.config, {**stage.acts, **ALWAYS}, stage.finished)
        async for line in lines(handle):
            if line == "quit":
                return
            if line == "help":
                tell(usage(whole))
            elif line and not line.startswith("#"):
                await _perform(whole, line, tell)
        await whole.finished()


async def _perform(stage: Stage, line: str, tell: Tell) -> None:
    try:
        await stage.perform(line)
    except Wrong as wrong:
        tell(wrong.text)


def usage(stage: Stage) -> Text:
    """All that it can do, one a line."""
    wide = max(len(act.usage) for act in stage.acts.values())
    listed = [(act.usage.ljust(wide), act.what) for act in stage.acts.values()]
    return Text(
        "\n".join(["it can:", *(f"  {use}  {what.en}" for use, what in listed)]),
        "\n".join(["可用动作:", *(f"  {use}  {what.zh}" for use, what in listed)]),
    )


async def lines(handle: int) -> AsyncIterator[str]:
    """Lines without spaces around, as they come; a terminal, a pipe or a file. Does not make the handle non-blocking,
    because a terminal's is also the shell's."""
    rest = b""
    while data := await _some(handle):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace").strip()
    if rest.strip():
        yield rest.decode("utf-8", "replace").strip()


async def _some(handle: int) -> bytes:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(handle, ready.set)
    except PermissionError:  # a plain file is always ready: epoll(7) does not take it
        return os.read(handle, CHUNK_BYTES)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(handle)
    return os.read(handle, CHUNK_BYTES)
