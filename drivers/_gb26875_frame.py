"""Frames of GB/T 26875.3-2011 (clause 6 and annex A): bytes ↔ `Frame`, and finding them in whatever comes.

`40 40 | serial 2 | version 2 | time 6 | source 6 | destination 6 | length 2 | command 1 | data | sum 1 | 23 23`, low
bytes first. Marks may stand inside data, so a frame is believed only when length, end and sum fit; where they do not,
one byte is skipped and the search goes on. (An underscore: no driver.)
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

START, END = b"@@", b"##"
HEAD_BYTES = 27  # up to the command byte
TAIL_BYTES = 3  # sum and end mark
MOST_DATA_BYTES = 1024
MOST_FRAME_BYTES = HEAD_BYTES + MOST_DATA_BYTES + TAIL_BYTES
_HEAD = struct.Struct("<2sH2s6s6s6sHB")


class Code(IntEnum):
    """Command bytes (table 2). 7 to 127 are reserved, 128 to 255 the vendors' own."""

    CONTROL = 1
    SEND = 2
    CONFIRM = 3
    REQUEST = 4
    ANSWER = 5
    DENY = 6


FIRST_VENDOR_CODE = 128


class Frame(NamedTuple):
    """One frame. `version`, `tag` (the sender's clock) and the addresses are kept as the bytes on the wire."""

    serial: int
    version: bytes  # 2
    tag: bytes  # 6
    source: bytes  # 6
    destination: bytes  # 6
    command: int
    data: bytes = b""

    def reply(self, command: int, tag: bytes, data: bytes = b"") -> "Frame":
        """What answers it: the same serial, the addresses swapped."""
        return Frame(self.serial, self.version, tag, self.destination, self.source, command, data)


class Damage(NamedTuple):
    """Something that began as a frame. `head` is as much of it as could be read, without data."""

    reason: str  # length, end, checksum
    head: Frame


def encode(frame: Frame) -> bytes:
    """The bytes on the wire. ValueError: more data than a frame holds."""
    if len(frame.data) > MOST_DATA_BYTES:
        raise ValueError(f"{len(frame.data)} bytes of data; a frame holds {MOST_DATA_BYTES}")
    serial, version, tag, source, destination, command, data = frame
    head = _HEAD.pack(START, serial, version, tag, source, destination, len(data), command)
    return head + data + bytes([_sum(head[2:]) + _sum(data) & 0xFF]) + END


def _sum(data: bytes | bytearray) -> int:
    return sum(data) & 0xFF


class Framer:
    """Bytes in, frames and damage out. Never holds more than one frame and what was fed last."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._passed = 0  # bytes before the buffer
        self._told = 0  # damage that begins before this place is part of what was told
        self.garbage_bytes = 0  # since the last whole frame

    @property
    def pending(self) -> bool:
        """A frame has begun and is not whole."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame | Damage]:
        """What is found now, in order."""
        self._buffer += data
        while self._seek() and (found := self._first()) is not None:
            yield from found

    def expire(self) -> Iterator[Frame | Damage]:
        """The rest of what has begun will not come: it was no frame; what is found behind its first byte."""
        if self._buffer:
            self._skip(1)
        yield from self.feed(b"")

    def _seek(self) -> bool:
        """Throws away what cannot begin a frame; whether enough is there to look at."""
        at = self._buffer.find(START)
        if at < 0:
            at = len(self._buffer) - self._buffer.endswith(START[:1])
        self._skip(at)
        return len(self._buffer) >= HEAD_BYTES

    def _skip(self, count: int) -> None:
        del self._buffer[:count]
        self._passed += count
        self.garbage_bytes += count

    def _first(self) -> tuple[Frame | Damage, ...] | None:
        """What the buffer begins with; None: not enough of it is there yet."""
        _, serial, version, tag, source, destination, length, command = _HEAD.unpack_from(self._buffer)
        head = Frame(serial, version, tag, source, destination, command)
        if length > MOST_DATA_BYTES:
            return self._damaged("length", head, HEAD_BYTES)
        end = HEAD_BYTES + length
        size = end + TAIL_BYTES
        if len(self._buffer) < size:
            return None
        if self._buffer[end + 1 : size] != END:
            return self._damaged("end", head, size)
        if _sum(self._buffer[2:end]) != self._buffer[end]:
            return self._damaged("checksum", head, size)
        frame = head._replace(data=bytes(self._buffer[HEAD_BYTES:end]))
        self._skip(size)
        self.garbage_bytes = 0
        return (frame,)

    def _damaged(self, reason: str, head: Frame, size_bytes: int) -> tuple[Damage, ...]:
        at = self._passed
        self._skip(1)
        if at < self._told:
            return ()
        self._told = at + size_bytes
        return (Damage(reason, head),)


def whole(wire: bytes) -> Frame | None:
    """The one frame that `wire` is, or None."""
    framer = Framer()
    found = list(framer.feed(wire))
    return found[0] if len(found) == 1 and isinstance(found[0], Frame) and encode(found[0]) == wire else None
