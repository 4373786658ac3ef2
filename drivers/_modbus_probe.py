"""Questions to a Modbus device that nobody knows, and what it says of itself. Pure but for `Asker`. (No driver.)

Modbus application protocol 1.1b3: functions 1 to 4 (6.1 to 6.4), and 43/14, read device identification (6.21). Nothing
else is ever sent.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from drivers._modbus_rtu import SHORTEST, crc_right, framed, reply_in
from drivers._modbus_tcp import BEFORE_LENGTH_ENDS, HEAD
from drivers._modbus_values import Block
from drivers._probe import Probe

IDENTIFY, MEI = 0x2B, 0x0E  # 6.21
BASIC = 1  # the same: the basic objects, as a stream
MORE = 0xFF  # the same: more follows
NAMES = (0, 1, 2)  # the same: vendor, product code, revision
NOBODY = (10, 11)  # 7: a bridge says that nobody is behind it
MOST_PARTS = 8  # answers of one identification


class Heard(NamedTuple):
    """What came after a question: the answer's PDU (an exception too; empty: none), and whether else anything came."""

    pdu: bytes
    damaged: bool = False

    @property
    def there(self) -> bool:
        """Somebody answered, if only that it does not know this."""
        return bool(self.pdu) and not (self.refused and self.pdu[1] in NOBODY)

    @property
    def refused(self) -> bool:
        """An exception."""
        return bool(self.pdu) and self.pdu[0] >= 0x80


def read_pdu(block: Block) -> bytes:
    """Function 1 to 4."""
    return struct.pack(">BHH", block.function, block.address, block.count)


def frame(rtu: bool, number: int, address: int, pdu: bytes) -> bytes:
    """A question as it goes on the wire: RTU, or Modbus TCP with this transaction number."""
    if not rtu:
        return HEAD.pack(number, 0, len(pdu) + 1, address) + pdu
    return framed(address, pdu)


def answer_in(rtu: bool, question: bytes, heard: bytes) -> bytes:
    """The PDU that answers `question` among what was heard, exceptions too; empty where there is none (yet)."""
    if not rtu:
        return next(_messages(question, heard), b"")
    found = _identification(question, heard) if question[1] == IDENTIFY else reply_in(question, heard)
    return found[1:-2]


def _messages(question: bytes, heard: bytes) -> Iterator[bytes]:
    transaction, _, _, unit = HEAD.unpack_from(question)
    while len(heard) > HEAD.size:
        number, protocol, length, by = HEAD.unpack_from(heard)
        end = BEFORE_LENGTH_ENDS + length
        if protocol or length < 3 or len(heard) < end:
            return
        pdu, heard = heard[HEAD.size : end], heard[end:]
        if (number, by, pdu[0] & 0x7F) == (transaction, unit, question[HEAD.size]):
            yield pdu


def _identification(question: bytes, heard: bytes) -> bytes:
    """An RTU frame that answers 43/14: its length is known only from what is in it."""
    for start in range(len(heard) - SHORTEST + 1):
        part = heard[start:]
        if part[0] != question[0] or part[1] & 0x7F != IDENTIFY:
            continue
        size = SHORTEST if part[1] & 0x80 else _identification_bytes(part)
        if SHORTEST <= size <= len(part) and crc_right(part[:size]):
            return part[:size]
    return b""


def _identification_bytes(part: bytes) -> int:
    """Its length with address and checksum; 0 where that cannot be told yet."""
    at = 8  # address, function, MEI, code, conformity, more, next, count
    for _ in range(part[7] if len(part) > 7 else 0):
        if at + 1 >= len(part):
            return 0
        at += 2 + part[at + 1]
    return at + 2


def objects(pdu: bytes) -> tuple[dict[int, str], int | None]:
    """An answer to 43/14 → its texts by object, and the object to ask for next; nothing where it is none."""
    found: dict[int, str] = {}
    if len(pdu) < 7 or pdu[:2] != bytes((IDENTIFY, MEI)):
        return found, None
    at = 7
    for _ in range(pdu[6]):
        if at + 1 >= len(pdu):
            break
        text = pdu[at + 2 : at + 2 + pdu[at + 1]].decode("utf-8", "replace")
        found[pdu[at]] = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        at += 2 + pdu[at + 1]
    return found, pdu[5] if pdu[4] == MORE else None


class Asker:
    """Asks one address of an open line. `wait_s`: how long it has before its answer begins."""

    def __init__(self, probe: Probe, rtu: bool, address: int, wait_s: float) -> None:
        self._probe = probe
        self._rtu = rtu
        self._address = address
        self._wait_s = wait_s
        self._number = 0

    async def read(self, block: Block) -> Heard:
        """Registers or bits. What came damaged is asked for once more. Unreachable: the line is gone."""
        heard = await self._ask(read_pdu(block))
        return await self._ask(read_pdu(block)) if heard.damaged else heard

    async def words(self, block: Block) -> list[int] | None:
        """The same of a device that is there, as numbers; None where it says anything else, or twice nothing."""
        pdu = (await self.read(block)).pdu or (await self.read(block)).pdu
        sound = len(pdu) == 2 + block.reply_bytes and (pdu[0], pdu[1]) == (block.function, block.reply_bytes)
        return block.unpack(pdu[2:]) if sound else None

    async def identity(self) -> dict[int, str]:
        """Vendor, product code and revision by object number, as far as it tells."""
        found: dict[int, str] = {}
        next_object: int | None = 0
        for _ in range(MOST_PARTS):
            heard = await self._ask(bytes((IDENTIFY, MEI, BASIC, next_object or 0)))
            told, next_object = objects(heard.pdu)
            found |= told
            if next_object is None:
                break
        return {name: found[name] for name in NAMES if found.get(name)}

    async def _ask(self, pdu: bytes) -> Heard:
        self._number += 1
        question = frame(self._rtu, self._number, self._address, pdu)
        heard = await self._probe.ask(question, lambda got: answer_in(self._rtu, question, got), self._wait_s)
        answer = answer_in(self._rtu, question, heard)
        return Heard(answer, not answer and bool(heard.replace(question, b"")))
