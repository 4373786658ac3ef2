"""Modbus TCP (Modbus messaging on TCP/IP 1.0b): one connection, one request at a time. (An underscore: no driver.)"""

import asyncio
import struct

HEAD = struct.Struct(">HHHB")  # transaction, protocol (0), length of what follows it, unit
BEFORE_LENGTH_ENDS = 6  # bytes
LONGEST = 260  # bytes of a message; Modbus messaging on TCP/IP 1.0b, 4.1
MOST_STRAYS = 16  # answers that nobody asked for; then the connection ends


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

    async def quiet(self) -> None:
        """Nothing to wait for."""

    async def ask(self, unit: int, pdu: bytes) -> bytes:
        """The answer's PDU, for which it waits for ever. OSError: the connection is gone."""
        if self._transport is None:
            raise ConnectionResetError
        self._transaction = self._transaction % 0xFFFF + 1
        self._asked, self._strays = (self._transaction, unit), 0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(HEAD.pack(self._transaction, 0, len(pdu) + 1, unit) + pdu)
        return await self._answer
