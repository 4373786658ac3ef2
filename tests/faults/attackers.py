"""Whoever means no good, or has gone mad, in a process of its own: `python -m tests.faults.attackers WAY PORT …`.

It says that it has begun, runs until its standard input ends, then prints what it did as JSON. It is as nice as can be
(nice(2)): in truth it stands on another machine and takes no CPU time from us but by what it sends.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

from gateway.clock import SystemClock

HOST = "127.0.0.1"
NICE = 19
AT_ONCE = 300  # connections; more than any listener takes
POURS = 40  # that send without end at once
DRIP_S = 0.1
PAUSE_S = 0.02  # before a connection is tried again
CLOCK = SystemClock()
CHUNK_BYTES = 64 * 1024
TOGETHER = 50  # datagrams, or messages, before the loop turns


@dataclass
class Done:
    """What came of it."""

    opened: int = 0  # connections that were made
    closed: int = 0  # of these, by the other end
    refused: int = 0  # that were not even made
    sent_bytes: int = 0
    most_open: int = 0
    heard_bytes: int = 0
    present: int = 0


@dataclass(frozen=True)
class Aim:
    """Where to, from which address of this machine, and what to send."""

    port: int
    source: str
    pieces: tuple[bytes, ...]


def _write(done: Done, writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    done.sent_bytes += len(data)


@asynccontextmanager
async def _connected(done: Done, aim: Aim) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, aim.port, local_addr=(aim.source, 0))
    done.opened += 1
    done.present += 1
    done.most_open = max(done.most_open, done.present)
    try:
        yield reader, writer
    finally:
        done.present -= 1
        writer.transport.abort()


async def _again(done: Done, once: Callable[[], Awaitable[None]]) -> None:
    """For ever; each end by the other side is counted."""
    while True:
        opened = done.opened
        try:
            await once()
            done.closed += 1
        except OSError:
            done.closed, done.refused = done.closed + (done.opened > opened), done.refused + (done.opened == opened)
        await CLOCK.sleep(PAUSE_S)


async def hold(done: Done, aim: Aim) -> None:
    """Slow loris: the first piece at once, then the second again and again, a drop at a time."""
    first, drop = (*aim.pieces, b"")[:2]

    async def once() -> None:
        async with _connected(done, aim) as (reader, writer):
            _write(done, writer, first)
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(DRIP_S):
                        if not await reader.read(CHUNK_BYTES):
                            return
                _write(done, writer, drop)
                await writer.drain()

    await _all(AT_ONCE, done, once)


async def knock(done: Done, aim: Aim) -> None:
    """Connections without end: opened, and closed again."""

    async def once() -> None:
        async with _connected(done, aim):
            pass

    async with asyncio.TaskGroup() as group:
        for _ in range(POURS):
            group.create_task(_again(done, once))


async def pour(done: Done, aim: Aim) -> None:
    """All pieces over and over on each connection, as fast as they are taken; what is answered is thrown away."""

    async def once() -> None:
        async with _connected(done, aim) as (reader, writer):
            listening = asyncio.create_task(_heard(done, reader))
            try:
                for piece in cycle(aim.pieces):
                    _write(done, writer, piece)
                    await writer.drain()
                    await CLOCK.sleep(0)
                    if listening.done():
                        return
            finally:
                listening.cancel()

    await _all(POURS, done, once)


async def _heard(done: Done, reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            done.heard_bytes += len(data)


async def _all(count: int, done: Done, once: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(_again(done, once))


async def rain(done: Done, aim: Aim) -> None:
    """Datagrams."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=(aim.source, 0), remote_addr=(HOST, aim.port)
    )
    for number, piece in enumerate(cycle(aim.pieces)):
        transport.sendto(piece)
        done.sent_bytes += len(piece)
        if number % TOGETHER == 0:
            await CLOCK.sleep(0.001)


async def talk(done: Done, aim: Aim) -> None:
    """Be the converter that the gateway has called: `port` is the connection's file descriptor. For ever the pieces."""
    with socket.socket(fileno=aim.port) as opened:
        opened.setblocking(False)
        for piece in cycle(aim.pieces):
            await asyncio.get_running_loop().sock_sendall(opened, piece)
            done.sent_bytes += len(piece)


async def publish(done: Done, aim: Aim) -> None:
    """On one connection to a broker: the first piece once, the others for ever."""
    first, *others = aim.pieces
    async with _connected(done, aim) as (_, writer):
        _write(done, writer, first)
        for piece in cycle(others):
            _write(done, writer, piece)
            await writer.drain()
            await CLOCK.sleep(0)


WAYS = {way.__name__: way for way in (hold, knock, pour, rain, talk, publish)}


async def main(way: str, aim: Aim) -> None:
    """Until standard input ends."""
    os.nice(NICE)
    done = Done()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    attacking = asyncio.create_task(WAYS[way](done, aim))
    ended = asyncio.create_task(reader.read())
    await asyncio.wait({attacking, ended}, return_when=asyncio.FIRST_COMPLETED)
    attacking.cancel()
    await asyncio.wait({attacking})
    error = None if attacking.cancelled() else attacking.exception()
    sys.stdout.write(json.dumps(asdict(done) | ({"error": repr(error)} if error else {})) + "\n")


def aim_of(port: str, source: str, pieces: str) -> Aim:
    """`pieces` is a file with a JSON list of hexadecimal digits."""
    found = json.loads(Path(pieces).read_text("ascii"))
    return Aim(int(port), source, tuple(bytes.fromhex(each) for each in found))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], aim_of(*sys.argv[2:5])))
