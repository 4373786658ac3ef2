"""Modbus TCP (Modbus messaging on TCP/IP 1.0b): one connection, one request at a time. (An underscore: no driver.)

Own code beside pymodbus: on many lines polled flat out an alarm waits for a request of each of them at every step of
its way, and a request costs here a fraction of what it costs there (docs/decisions/0014-modbus-tcp-encoded-here.md).
"""

import asyncio
import struct
from collections.abc import Sequence

from drivers._modbus_values import Block

HEAD = struct.Struct(">HHHB")  # transaction, protocol (0), length of what follows it, unit
BEFORE_LENGTH_ENDS = 6  # bytes
LONGEST = 260  # bytes of a message; Modbus messaging on TCP/IP 1.0b, 4.1
MOST_STRAYS = 16  # answers that nobody asked for; then the connection ends


class Silent(Exception):
    """Nobody answered in time."""


class Refused(Exception):
    """The device answered with an exception."""

    def __init__(self, function: int, code: int) -> None:
        super().__init__(function, code)
        self.function = function
        self.code = code


class TcpClient(asyncio.Protocol):
    """A connection to one Modbus TCP device or bridge."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._transaction = 0
        self._asked = (0, 0)  # transaction and unit of the request on its way
        self._answer: asyncio.Future[bytes] | None = None
        self._strays = 0  # answers to nothing since the last question

    @property
    def connected(self) -> bool:
        """The connection stands, as far as is known."""
        return self._transport is not None and not self._transport.is_closing()

    async def open(self) -> None:
        """OSError where it cannot be had."""
        await asyncio.get_running_loop().create_connection(lambda: self, *self._address)

    def close(self) -> None:
        """At once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = transport if isinstance(transport, asyncio.Transport) else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits for an answer is told."""
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        """The answer to the request on its way, by its transaction and unit; what answers another is dropped."""
        self._buffer += data
        while len(self._buffer) > HEAD.size:
            transaction, protocol, length, unit = HEAD.unpack_from(self._buffer)
            end = BEFORE_LENGTH_ENDS + length
            if protocol != 0 or not 3 <= length <= LONGEST:
                self.close()  # whatever this is, it is not Modbus TCP, or out of step for good
                return
            if len(self._buffer) < end:
                return
            pdu, self._buffer = self._buffer[HEAD.size : end], self._buffer[end:]
            if (transaction, unit) == self._asked and self._answer is not None and not self._answer.done():
                self._answer.set_result(pdu)
            else:
                self._stray()

    def _stray(self) -> None:
        self._strays += 1
        if self._strays > MOST_STRAYS:
            self._buffer = b""
            self.close()

    async def _ask(self, unit: int, pdu: bytes) -> bytes:
        if self._transport is None:
            raise ConnectionResetError
        self._transaction = self._transaction % 0xFFFF + 1
        self._asked, self._strays = (self._transaction, unit), 0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(HEAD.pack(self._transaction, 0, len(pdu) + 1, unit) + pdu)
        answer = await self._answer
        if answer[0] == pdu[0] | 0x80:
            raise Refused(pdu[0], answer[1])
        return answer

    async def read(self, unit: int, block: Block) -> list[int]:
        """Registers, or bits as 0 and 1. Refused, Silent (the answer to another question), OSError."""
        answer = await self._ask(unit, struct.pack(">BHH", block.function, block.address, block.count))
        if answer[0] != block.function or answer[1] != block.reply_bytes or len(answer) != 2 + block.reply_bytes:
            raise Silent
        return block.unpack(answer[2:])

    async def write(self, unit: int, function: int, address: int, values: Sequence[int]) -> bool:
        """Function 5, 6 or 16; returns when the device has said the same. Refused, Silent, OSError."""
        if function == 16:
            count = len(values)
            pdu = struct.pack(f">BHHB{count}H", 16, address, count, 2 * count, *values)
        else:
            pdu = struct.pack(">BHH", function, address, values[0])
        if await self._ask(unit, pdu) != pdu[:5]:
            raise Silent
        return True
