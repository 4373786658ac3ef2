"""One Modbus line: one request at a time, asked again where nobody answers. (An underscore: no driver.)

RTU by `_modbus_rtu`, on a serial port or behind a serial server; Modbus TCP by `_modbus_tcp`; what is asked and what
counts as an answer by `_modbus_pdu`.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple, Protocol

from drivers._modbus_pdu import EXCEPTION, checked, reading, writing
from drivers._modbus_pdu import Refused as Refused
from drivers._modbus_pdu import Silent as Silent
from drivers._modbus_rtu import AROUND_BYTES, SHORTEST, Port, RtuClient, SerialPort, crc_right, silence_s
from drivers._modbus_tcp import TcpClient
from drivers._modbus_values import Block
from drivers._serial import open_port
from gateway.clock import Clock
from gateway.errors import Text, Unreachable
from gateway.fields import BusConfig

CONNECT_TIMEOUT_S = 5.0
BUSY = (5, 6, 10, 11)  # exceptions that mean "no answer now": acknowledge, busy, and a bridge with nobody behind it


class Peer(NamedTuple):
    """Whom to ask and how patiently."""

    address: int
    timeout_s: float
    retries: int


class Client(Protocol):
    """A line's way to ask. OSError: no answer, or (not `connected`) no line."""

    @property
    def connected(self) -> bool:
        """The line stands, as far as is known."""

    async def open(self) -> None:
        """OSError or Unreachable where it cannot be had."""

    def close(self) -> None:
        """Let go of it."""

    async def quiet(self) -> None:
        """Until a request may be sent."""

    async def ask(self, unit: int, pdu: bytes) -> bytes:
        """The answer's PDU, for which it waits for ever."""


class Wire:
    """Asks one thing at a time; whoever waits comes next, so a command waits for one request at most."""

    def __init__(self, name: str, bus: BusConfig, clock: Clock) -> None:
        self.name = name
        self.bus = bus
        self._clock = clock
        self._turn = asyncio.Lock()
        self._client: Client | None = None

    async def open(self) -> None:
        """Connect, or connect anew. Unreachable says why not."""
        self.close()
        client = _client(self.name, self.bus, self._clock)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.open()
        except (OSError, TimeoutError) as error:
            client.close()
            raise _unreachable(self.name, self.bus) from error
        self._client = client

    async def reopen(self) -> None:
        """A new connection in place of one over which nobody answers (a TCP peer that went away without a word)."""
        async with self._turn:
            await self.open()

    def close(self) -> None:
        """Let go of the port."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def read(self, peer: Peer, block: Block) -> list[int]:
        """Registers, or bits as 0 and 1. Silent, Refused, Unreachable (the line itself is gone)."""
        return block.unpack((await self._ask(peer, reading(block)))[2:])

    async def write(self, peer: Peer, function: int, address: int, values: Sequence[int]) -> None:
        """Function 5, 6 or 16; returns when the device has said the same. Silent, Refused, Unreachable."""
        await self._ask(peer, writing(function, address, values))

    async def _ask(self, peer: Peer, request: bytes) -> bytes:
        async with self._turn:
            for attempt in range(peer.retries + 1):
                try:
                    return await self._once(peer, request)
                except Silent:
                    if attempt == peer.retries:
                        raise
        raise Silent

    async def _once(self, peer: Peer, request: bytes) -> bytes:
        client = self._client
        if client is None:
            raise _unreachable(self.name, self.bus)
        await client.quiet()
        try:
            async with asyncio.timeout(peer.timeout_s):
                answer = await client.ask(peer.address, request)
            return checked(request, answer)
        except Refused as refusal:
            if refusal.code in BUSY:
                raise Silent from refusal
            raise
        except (OSError, TimeoutError) as error:
            if not client.connected:
                raise _unreachable(self.name, self.bus) from error
            raise Silent from error


@asynccontextmanager
async def open_wire(name: str, bus: BusConfig, clock: Clock) -> AsyncIterator[Wire]:
    """The line, connected; closed at the end. Unreachable where it cannot be opened."""
    wire = Wire(name, bus, clock)
    try:
        await wire.open()
        yield wire
    finally:
        wire.close()


def _client(name: str, bus: BusConfig, clock: Clock) -> Client:
    if bus.serial is not None:
        return RtuClient(partial(_on_serial, name, bus), clock, silence_s(bus.baudrate))
    host, port = bus.tcp or ("", 0)
    if bus.framing == "tcp":
        return TcpClient(host, port)
    return RtuClient(partial(_over_tcp, host, port), clock, 0.0)  # the serial server keeps the line's pauses


async def _on_serial(name: str, bus: BusConfig, client: asyncio.Protocol) -> Port:
    port = SerialPort(open_port(name, bus), client)
    port.listen()
    return port


async def _over_tcp(host: str, port: int, client: asyncio.Protocol) -> Port:
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: client, host, port)
    return transport


def _unreachable(name: str, bus: BusConfig) -> Unreachable:
    if bus.serial is not None:
        return Unreachable(
            name,
            Text(f"the serial port {bus.serial} is gone", f"串口 {bus.serial} 已断开"),
            Text("plug the adapter in again; it is opened again by itself", "请重新插好转换器；网关会自动重新打开"),
        )
    host, port = bus.tcp or ("", 0)
    return Unreachable(
        name,
        Text(f"{host}:{port} does not take the connection, or dropped it", f"{host}:{port} 拒绝或断开了连接"),
        Text("check the address, the port and the cable; it is tried again", "请检查地址、端口和网线；网关会自动重试"),
    )


def words_of(wire: bytes, blocks: Sequence[Block]) -> tuple[Block, list[int]] | None:
    """An RTU reply to one of `blocks` (the first it fits) → the block and its registers or bits; None where it is none.

    Refused where the frame is an exception.
    """
    if len(wire) < SHORTEST or not crc_right(wire):
        return None
    if wire[1] & EXCEPTION:
        raise Refused(wire[1] & ~EXCEPTION, wire[2])
    for block in blocks:
        if wire[1] == block.function and wire[2] == block.reply_bytes == len(wire) - 2 - AROUND_BYTES:
            return block, block.unpack(wire[3:-2])
    return None
