"""One Modbus line, strict about which bytes answer which request. (An underscore: no driver.)

Modbus TCP by `_modbus_tcp`; RTU by pymodbus' client. RTU has no transaction ids, adapters echo, and noise stands before
replies: so on RTU lines every incoming byte goes through a `Sieve`, which lets exactly the frame through that answers
the request on its way, and nothing else.
"""

import asyncio
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusIOException
from pymodbus.framer import FramerType
from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import WriteSingleCoilRequest

from drivers._modbus_tcp import Refused as Refused
from drivers._modbus_tcp import Silent as Silent
from drivers._modbus_tcp import TcpClient
from drivers._modbus_values import Block
from drivers._serial import open_port
from gateway.clock import Clock
from gateway.errors import Text, Unreachable
from gateway.fields import BusConfig

CONNECT_TIMEOUT_S = 5.0
NO_LIMIT = 1_000_000_000  # how many silent requests pymodbus endures: the supervisor decides, not the library
BITS_PER_CHARACTER = 11  # Modbus over serial line 1.02, 2.5.1
SILENT_CHARACTERS = 3.5  # the same, 2.5.1.1: between frames
FASTEST_SILENCE_S = 0.00175  # the same: above 19200 baud
BUSY = (5, 6, 10, 11)  # exceptions that mean "no answer now": acknowledge, busy, and a bridge with nobody behind it
EXCEPTION_BYTES = 5

T = TypeVar("T")


class Peer(NamedTuple):
    """Whom to ask and how patiently."""

    address: int
    timeout_s: float
    retries: int


def reply_in(request: bytes, data: bytes) -> bytes:
    """The first frame in `data` that answers the RTU frame `request`; empty where there is none (yet)."""
    for start in range(len(data) - EXCEPTION_BYTES + 1):
        for size in (_reply_size(request), EXCEPTION_BYTES):
            frame = data[start : start + size]
            if len(frame) == size and _answers(request, frame):
                return frame
    return b""


def _reply_size(request: bytes) -> int:
    if request[1] > 4:
        return 8
    return 5 + _data_bytes(request)


def _data_bytes(request: bytes) -> int:
    (count,) = struct.unpack_from(">H", request, 4)
    return Block(request[1], 0, count).reply_bytes


def _answers(request: bytes, frame: bytes) -> bool:
    """Same address; same function with the right length (reads) or the same address and value (writes); CRC right."""
    if frame[0] != request[0] or not crc_right(frame):
        return False
    if frame[1] == request[1] | 0x80:
        return len(frame) == EXCEPTION_BYTES
    if frame[1] != request[1]:
        return False
    return frame[2] == _data_bytes(request) if request[1] <= 4 else frame[2:6] == request[2:6]


def crc_right(frame: bytes) -> bool:
    """CRC-16 of Modbus over serial line 1.02, 2.5.1.2."""
    return FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big"))


class Sieve:
    """pymodbus' packet trace on an RTU line: only the reply passes. Learns from reads whether the line echoes."""

    def __init__(self) -> None:
        self._request = b""
        self._echoes = False

    def __call__(self, sending: bool, data: bytes) -> bytes:
        """Bytes on their way out as they are; of bytes that came in, the reply alone."""
        if sending:
            self._request = data
            return data
        if not self._request:
            return b""
        if self._request[1] <= 4 and self._request in data:
            self._echoes = True
        if self._echoes and self._request[1] > 4:  # the echo of a write looks like its answer
            data = data.partition(self._request)[2]
        return reply_in(self._request, data)


class Flash(WriteSingleCoilRequest):
    """Function 5 with any value: pymodbus' own knows on and off only."""

    def __init__(self, address: int, value: int, dev_id: int) -> None:
        super().__init__(address=address, bits=[bool(value)], dev_id=dev_id)
        self.value = value

    def encode(self) -> bytes:
        """Address and value, big-endian."""
        return struct.pack(">HH", self.address, self.value)


class Wire:
    """Asks one thing at a time; whoever waits comes next, so a command waits for one request at most."""

    def __init__(self, name: str, bus: BusConfig, clock: Clock) -> None:
        self.name = name
        self.bus = bus
        self._clock = clock
        self._turn = asyncio.Lock()
        self._client: Client | None = None
        self._silence_s = _silence_s(bus)
        self._quiet_at_s = 0.0

    async def open(self) -> None:
        """Connect, or connect anew. Unreachable says why not."""
        self.close()
        client = _client(self.bus)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.open()
        except (OSError, TimeoutError):
            client.close()
            self._explain()
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

    def _explain(self) -> None:
        if self.bus.serial is not None:
            open_port(self.name, self.bus).close()  # raises what pymodbus only logs
        raise _unreachable(self.name, self.bus)

    async def read(self, peer: Peer, block: Block) -> list[int]:
        """Registers, or bits as 0 and 1. Silent, Refused, Unreachable (the line itself is gone)."""
        return await self._ask(peer, lambda client: client.read(peer.address, block))

    async def write(self, peer: Peer, function: int, address: int, values: Sequence[int]) -> None:
        """Function 5, 6 or 16; returns when the device has said the same. Silent, Refused, Unreachable."""
        await self._ask(peer, lambda client: client.write(peer.address, function, address, values))

    async def _ask(self, peer: Peer, ask: Callable[["Client"], Awaitable[T]]) -> T:
        async with self._turn:
            for attempt in range(peer.retries + 1):
                try:
                    return await self._once(peer, ask)
                except Silent:
                    if attempt == peer.retries:
                        raise
        raise Silent

    async def _once(self, peer: Peer, ask: Callable[["Client"], Awaitable[T]]) -> T:
        if self._client is None:
            raise _unreachable(self.name, self.bus)
        if self._silence_s:
            await self._clock.sleep(self._quiet_at_s - self._clock.monotonic())
        try:
            async with asyncio.timeout(peer.timeout_s):
                return await ask(self._client)
        except Refused as refusal:
            if refusal.code in BUSY:
                raise Silent from refusal
            raise
        except (OSError, TimeoutError) as error:
            if not self._client.connected:
                raise _unreachable(self.name, self.bus) from error
            raise Silent from error
        finally:
            self._quiet_at_s = self._clock.monotonic() + self._silence_s


class Client(Protocol):
    """A line's way to ask. OSError or TimeoutError: no answer, or (not `connected`) no line; Refused; Silent."""

    @property
    def connected(self) -> bool:
        """The line stands, as far as is known."""

    async def open(self) -> None:
        """OSError where it cannot be had."""

    def close(self) -> None:
        """Let go of it."""

    async def read(self, unit: int, block: Block) -> list[int]:
        """Registers, or bits as 0 and 1."""

    async def write(self, unit: int, function: int, address: int, values: Sequence[int]) -> bool:
        """Returns when the device has said the same."""


class _Rtu:
    """pymodbus' client on a serial line or a serial server, behind a sieve."""

    def __init__(self, client: AsyncModbusSerialClient | AsyncModbusTcpClient) -> None:
        self._client = client
        client.set_max_no_responses(NO_LIMIT)

    @property
    def connected(self) -> bool:
        return bool(self._client.connected)

    async def open(self) -> None:
        if not await self._client.connect():
            raise ConnectionRefusedError

    def close(self) -> None:
        self._client.close()

    async def read(self, unit: int, block: Block) -> list[int]:
        client = self._client
        calls = {1: client.read_coils, 2: client.read_discrete_inputs}
        calls |= {3: client.read_holding_registers, 4: client.read_input_registers}
        call = partial(calls[block.function], block.address, count=block.count, device_id=unit)
        answer = await self._ask(call)
        words = [int(bit) for bit in answer.bits] if block.function < 3 else list(answer.registers)
        if len(words) < block.count:
            raise Silent  # the answer to another question
        return words[: block.count]

    async def write(self, unit: int, function: int, address: int, values: Sequence[int]) -> bool:
        if function == 16:
            await self._ask(partial(self._client.write_registers, address, list(values), device_id=unit))
        elif function == 6:
            await self._ask(partial(self._client.write_register, address, values[0], device_id=unit))
        else:
            await self._ask(partial(self._client.execute, False, Flash(address, values[0], unit)))
        return True

    async def _ask(self, call: Callable[[], Awaitable[ModbusPDU]]) -> ModbusPDU:
        try:
            answer = await call()  # which may raise before there is anything to await
        except ConnectionException as error:
            self._client.close()
            raise ConnectionResetError from error
        except ModbusIOException as error:
            raise TimeoutError from error
        _obey_cancel()
        code = getattr(answer, "exception_code", 0)
        if code:
            raise Refused(answer.function_code & 0x7F, code)
        return answer


def _obey_cancel() -> None:
    """pymodbus uses asyncio.wait_for, which before Python 3.12 forgets a cancel that comes with the answer."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@asynccontextmanager
async def open_wire(name: str, bus: BusConfig, clock: Clock) -> AsyncIterator[Wire]:
    """The line, connected; closed at the end. Unreachable where it cannot be opened."""
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it logs each silent device; we tell a change, once
    wire = Wire(name, bus, clock)
    try:
        await wire.open()
        yield wire
    finally:
        wire.close()


def _client(bus: BusConfig) -> Client:
    if bus.serial is not None:
        serial = AsyncModbusSerialClient(
            bus.serial,
            baudrate=bus.baudrate,
            parity=bus.parity,
            stopbits=bus.stopbits,
            timeout=CONNECT_TIMEOUT_S,
            retries=0,
            reconnect_delay=0,
            trace_packet=Sieve(),
        )
        return _Rtu(serial)
    host, port = bus.tcp or ("", 0)
    if bus.framing == "tcp":
        return TcpClient(host, port)
    over_tcp = AsyncModbusTcpClient(
        host,
        port=port,
        framer=FramerType.RTU,
        timeout=CONNECT_TIMEOUT_S,
        retries=0,
        reconnect_delay=0,
        trace_packet=Sieve(),
    )
    return _Rtu(over_tcp)


def _silence_s(bus: BusConfig) -> float:
    if bus.serial is None:
        return 0.0
    return max(FASTEST_SILENCE_S, SILENT_CHARACTERS * BITS_PER_CHARACTER / bus.baudrate)


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
    if len(wire) < EXCEPTION_BYTES or not crc_right(wire):
        return None
    if wire[1] & 0x80:
        raise Refused(wire[1] & 0x7F, wire[2])
    for block in blocks:
        if wire[1] == block.function and wire[2] == block.reply_bytes == len(wire) - EXCEPTION_BYTES:
            return block, block.unpack(wire[3:-2])
    return None
