"""Questions and answers of Modbus, whatever carries them: pure. (An underscore: no driver.)

Modbus application protocol 1.1b3. A PDU is the function and what belongs to it, without address and checksum.
"""

import struct
from collections.abc import Sequence

from drivers._modbus_values import Block

EXCEPTION = 0x80  # added to the function; 1.1b3, 7
EXCEPTION_BYTES = 2
WRITTEN_BYTES = 5  # of the answer to any write: function, address, value or count; 6.5, 6.6, 6.12
SEVERAL = 16  # write multiple registers; 6.12


class Silent(Exception):
    """Nobody answered in time."""


class Refused(Exception):
    """The device answered with an exception."""

    def __init__(self, function: int, code: int) -> None:
        super().__init__(function, code)
        self.function = function
        self.code = code


def reading(block: Block) -> bytes:
    """The question for its registers or bits: function 1 to 4."""
    return struct.pack(">BHH", block.function, block.address, block.count)


def writing(function: int, address: int, values: Sequence[int]) -> bytes:
    """The order to write: function 5 or 6 with one value (of 5 any: boards have codes of their own), or 16."""
    if function != SEVERAL:
        return struct.pack(">BHH", function, address, values[0])
    count = len(values)
    return struct.pack(f">BHHB{count}H", function, address, count, 2 * count, *values)


def answer_bytes(request: bytes) -> int:
    """How long the answer is that is no exception."""
    function, count = request[0], request[3] << 8 | request[4]
    return WRITTEN_BYTES if function > 4 else 2 + Block(function, 0, count).reply_bytes


def answers(request: bytes, answer: bytes) -> bool:
    """Same function with the right length (reads), or the same address and value (writes); or an exception to it."""
    if answer[0] == request[0] | EXCEPTION:
        return len(answer) >= EXCEPTION_BYTES
    if request[0] > 4:
        return answer == request[:WRITTEN_BYTES]
    return answer[0] == request[0] and len(answer) == answer_bytes(request) and answer[1] == len(answer) - 2


def checked(request: bytes, answer: bytes) -> bytes:
    """The answer, if it is one. Silent: it answers something else; Refused: it is an exception."""
    if not answers(request, answer):
        raise Silent
    if answer[0] & EXCEPTION:
        raise Refused(request[0], answer[1])
    return answer
