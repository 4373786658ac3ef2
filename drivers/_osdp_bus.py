"""One RS-485 line with OSDP readers, over a serial port or a serial server: one question, one answer at a time.

Half duplex: who asks holds the line until the answer has come or cannot come any more; those who wait are served in
the order in which they came. A damaged or foreign packet is passed over, so that a command whose answer was lost is
simply asked again with the same sequence number (SIA OSDP 2.2, 5.7), and no session breaks for a flipped bit.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import serial

from drivers._ear import Ear
from drivers._osdp_wire import LONGEST, reply_to
from drivers._serial import open_port
from gateway.errors import Text, Unreachable
from gateway.fields import BusConfig

REPLY_S = 0.2  # a reader must begin its answer within 200 ms (SIA OSDP 2.2, 5.7)
GAP_S = 0.05  # longest silence inside an answer: USB adapters and serial servers hand on late
BABBLE_S = 1.0  # no answer takes longer; a babbling device does not hold the line
BITS_PER_BYTE = 10  # 8N1
ROOM_BYTES = 4 * LONGEST  # that may wait to be looked at; of a flood the newest are kept
CONNECT_S = 5.0
CHECK = Text(
    "check that the adapter is plugged in and that buses: names its port (best by /dev/serial/by-id/…)",
    "请检查适配器是否插好，buses: 中的端口是否正确（最好用 /dev/serial/by-id/…）",
)


class Bus:
    """A line that is open. `byte_s`: how long one byte takes."""

    def __init__(self, name: str, ear: Ear, mouth: "_Mouth", byte_s: float) -> None:
        self._name = name
        self._ear = ear
        self._mouth = mouth
        self._byte_s = byte_s
        self._turn = asyncio.Lock()

    async def ask(self, command: bytes) -> bytes | None:
        """Sends a packet; the reply from 53 on, or None when none came. Unreachable: the line itself is gone."""
        async with self._turn:
            self._ear.heard.clear()
            try:
                self._mouth.write(command)
            except (OSError, serial.SerialException) as error:
                raise gone(self._name, str(error)) from error
            return await self._listen(command)

    async def _listen(self, command: bytes) -> bytes | None:
        now = asyncio.get_running_loop().time
        start = now() + len(command) * self._byte_s
        deadline = start + REPLY_S
        while (left := deadline - now()) > 0:
            if not await self._heard_more(left):
                return None
            if self._ear.lost is not None:
                raise gone(self._name, self._ear.lost)
            reply = reply_to(command, bytes(self._ear.heard))
            if reply is not None:
                return reply
            deadline = min(max(deadline, now() + GAP_S), start + BABBLE_S)
        return None

    async def _heard_more(self, wait_s: float) -> bool:
        try:
            async with asyncio.timeout(wait_s):
                await self._ear.news.wait()
        except TimeoutError:
            return False
        self._ear.news.clear()
        return True


class _Mouth:
    """Where commands go: a serial port, or a TCP connection."""

    def __init__(self, port: serial.Serial | asyncio.WriteTransport) -> None:
        self._port = port

    def write(self, data: bytes) -> None:
        self._port.write(data)


def gone(name: str, why: str) -> Unreachable:
    """The line cannot be used."""
    return Unreachable(name, Text(f"the line to the readers is gone: {why}", f"读卡器线路不可用：{why}"), CHECK)


@asynccontextmanager
async def open_bus(name: str, config: BusConfig) -> AsyncIterator[Bus]:
    """Opens the line of `buses: {name}`. Unreachable: the port or the server is not there."""
    opened = _open_tcp(name, config) if config.tcp else _open_serial(name, config)
    async with opened as bus:
        yield bus


@asynccontextmanager
async def _open_serial(name: str, config: BusConfig) -> AsyncIterator[Bus]:
    port = open_port(name, config)
    ear = Ear(ROOM_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: ear, port)
    try:
        yield Bus(name, ear, _Mouth(port), BITS_PER_BYTE / config.baudrate)
    finally:
        transport.close()


@asynccontextmanager
async def _open_tcp(name: str, config: BusConfig) -> AsyncIterator[Bus]:
    host, port = config.tcp or ("", 0)
    ear = Ear(ROOM_BYTES)
    try:
        async with asyncio.timeout(CONNECT_S):
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: ear, host, port)
    except (OSError, TimeoutError) as error:
        raise gone(name, f"{host}:{port}: {str(error) or 'no answer'}") from error
    try:
        yield Bus(name, ear, _Mouth(transport), BITS_PER_BYTE / config.baudrate)
    finally:
        transport.close()
