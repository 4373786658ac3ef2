"""A Modbus slave's side of the wire, written from the standards alone: independent of what the driver uses. Pure.

Modbus application protocol 1.1b3 (functions 1 to 6, 15, 16), Modbus over serial line 1.02 (RTU, CRC-16), Modbus
messaging on TCP/IP 1.0b (MBAP).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
COIL_VALUES = {0xFF00: 1, 0x0000: 0}
MAX_BITS, MAX_REGISTERS = 2000, 125
_WRITTEN_BY = {5: 1, 15: 1, 6: 3, 16: 3}  # function → the table it writes, named by the function that reads it

Write = Callable[[int, int, list[int]], bool]  # function, address, values → taken by something other than the tables


class Exceptional(Exception):
    """The answer is an exception with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Tables:
    """What a slave holds: coils (1), discrete inputs (2), holding (3) and input registers (4), by 0-based address."""

    by_function: dict[int, dict[int, int]] = field(default_factory=lambda: {1: {}, 2: {}, 3: {}, 4: {}})

    def read(self, function: int, address: int, count: int) -> list[int]:
        """`count` values; Exceptional(2) where one is not there."""
        table = self.by_function[function]
        try:
            return [table[address + i] for i in range(count)]
        except KeyError:
            raise Exceptional(ILLEGAL_ADDRESS) from None

    def write(self, function: int, address: int, values: list[int]) -> None:
        """The same the other way; nothing is written where one address is not there."""
        table = self.by_function[_WRITTEN_BY[function]]
        if any(address + i not in table for i in range(len(values))):
            raise Exceptional(ILLEGAL_ADDRESS)
        table.update({address + i: value for i, value in enumerate(values)})


def crc16(data: bytes) -> bytes:
    """Polynomial 0xA001 reflected, start 0xFFFF, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def respond(tables: Tables, pdu: bytes, special: Write) -> bytes:
    """A request without address and checksum → the answer, an exception included."""
    try:
        return _respond(tables, pdu, special)
    except (struct.error, IndexError):
        return bytes([pdu[0] | 0x80, ILLEGAL_VALUE])
    except Exceptional as error:
        return bytes([pdu[0] | 0x80, error.code])


def _respond(tables: Tables, pdu: bytes, special: Write) -> bytes:
    function = pdu[0]
    if function not in (1, 2, 3, 4, 5, 6, 15, 16):
        raise Exceptional(ILLEGAL_FUNCTION)
    address, number = struct.unpack_from(">HH", pdu, 1)
    if function <= 4:
        return bytes([function]) + _read(tables, function, address, number)
    if function in (15, 16):
        values = _many(function, number, pdu[5:])
        if not special(function, address, values):
            tables.write(function, address, values)
        return pdu[:5]
    if not special(function, address, [number]):
        if function == 5 and number not in COIL_VALUES:
            raise Exceptional(ILLEGAL_VALUE)
        tables.write(function, address, [COIL_VALUES[number] if function == 5 else number])
    return pdu[:5]


def _read(tables: Tables, function: int, address: int, count: int) -> bytes:
    if not 1 <= count <= (MAX_BITS if function < 3 else MAX_REGISTERS):
        raise Exceptional(ILLEGAL_VALUE)
    values = tables.read(function, address, count)
    data = struct.pack(f">{count}H", *values) if function > 2 else pack_bits(values)
    return bytes([len(data)]) + data


def _many(function: int, count: int, data: bytes) -> list[int]:
    size = 2 * count if function == 16 else (count + 7) // 8
    if count < 1 or data[0] != size or len(data) != size + 1:
        raise Exceptional(ILLEGAL_VALUE)
    if function == 16:
        return list(struct.unpack(f">{count}H", data[1:]))
    return [data[1 + i // 8] >> i % 8 & 1 for i in range(count)]


def pack_bits(bits: list[int]) -> bytes:
    """Lowest bit of the first byte first."""
    packed = bytearray((len(bits) + 7) // 8)
    for i, bit in enumerate(bits):
        packed[i // 8] |= (bit & 1) << i % 8
    return bytes(packed)


def rtu_frame(address: int, pdu: bytes) -> bytes:
    """Address, PDU, checksum."""
    body = bytes([address]) + pdu
    return body + crc16(body)


def take_rtu(buffer: bytes) -> tuple[bytes, bytes]:
    """The first whole request in `buffer` (without checksum, or empty) and what is left after it; noise is skipped."""
    while len(buffer) >= 2:
        size = _rtu_size(buffer)
        if size is not None and size > len(buffer):
            return b"", buffer
        if size is not None and crc16(buffer[: size - 2]) == buffer[size - 2 : size]:
            return buffer[: size - 2], buffer[size:]
        buffer = buffer[1:]
    return b"", buffer


def _rtu_size(buffer: bytes) -> int | None:
    if 1 <= buffer[1] <= 6:
        return 8
    if buffer[1] in (15, 16):
        return 9 + buffer[6] if len(buffer) > 6 else len(buffer) + 1
    return None


def take_tcp(buffer: bytes) -> tuple[bytes, bytes, bytes]:
    """The first whole MBAP message: its first four bytes, unit and PDU, what is left; empty while there is none."""
    if len(buffer) < 8:
        return b"", b"", buffer
    size = int.from_bytes(buffer[4:6], "big")
    if len(buffer) < 6 + size:
        return b"", b"", buffer
    return buffer[:4], buffer[6 : 6 + size], buffer[6 + size :]


def tcp_frame(head: bytes, address: int, pdu: bytes) -> bytes:
    """Transaction and protocol as asked, length, unit, PDU."""
    return head + (len(pdu) + 1).to_bytes(2, "big") + bytes([address]) + pdu
