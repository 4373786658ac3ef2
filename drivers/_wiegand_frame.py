"""What a Wiegand converter sends, as a small table: where a message begins and ends, and where the card stands in it.

Pure. A message is `start`, a body, `end`; the body ends at `end`, or has `size_bytes`, or says its own `length`.
Positions count the body's bytes from 0, negative ones from its end; of hexadecimal digits they count what these mean.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import reduce
from operator import xor
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from drivers._wiegand import LAYOUTS, Format, decode, pack
from gateway.event import Credential
from gateway.fields import Model, Wrong

LONGEST = 128  # bytes of a message; a card with all its trimmings has 30
GAP_S = 0.25  # a silence so long ends whatever was half heard
NIBBLE_KEYS = "0123456789*#"  # 4-bit keypad bursts; 10 is ESC (*), 11 is ENTER (#)
_PAIR = re.compile(r"\s*(\d+)(?:\D+(\d+))?\s*")


def _bytes(value: Any) -> bytes:
    """Hexadecimal digits, spaces as one likes: `0D 0A`."""
    try:
        found = value if isinstance(value, bytes) else bytes.fromhex(value)
    except (TypeError, ValueError):
        found = b""
    if not found or len(found) > LONGEST:
        raise Wrong('bytes in hexadecimal digits are needed, e.g. "0D 0A"', '需要十六进制字节,例如 "0D 0A"')
    return found


Bytes = Annotated[bytes, BeforeValidator(_bytes, json_schema_input_type=str)]
Place = Annotated[int, Field(ge=-LONGEST, le=LONGEST)]  # a byte of the body; negative from its end
Span = Annotated[tuple[Place, Place], Field(description="first and last byte, both inside")]


class Length(Model):
    """The body's own length: the number in byte `at`, plus `plus`, is how many bytes the body has."""

    at: int = Field(ge=0, le=LONGEST)
    plus: int = Field(default=0, ge=-LONGEST, le=LONGEST)


class Check(Model):
    """What tells a damaged message: a sum over some bytes, and where it stands (crc16: low byte first, as Modbus)."""

    kind: Literal["xor", "sum", "crc16"]
    over: Span
    at: Place = -1


class Frame(Model):
    """How a converter's messages look."""

    coding: Literal["bytes", "hex", "decimal", "bits"] = Field(
        description="the body: plain bytes, hexadecimal digits, decimal digits, or the characters 0 and 1"
    )
    carries: Literal["bits", "number"] = Field(
        default="number", description="all Wiegand bits with their parity, or the number alone"
    )
    start: Bytes = Field(default=b"", description='what every message begins with, in hexadecimal digits, e.g. "02"')
    end: Bytes = Field(default=b"", description='what every message ends with, e.g. "0D 0A"')
    size_bytes: int | None = Field(
        default=None, ge=1, le=LONGEST, description="bytes of the body, where it is always the same"
    )
    length: Length | None = Field(default=None, description="where the body says its own length")
    address: Place | None = Field(default=None, description="the byte that says which reader it was")
    count: Place | None = Field(default=None, description="the byte that says how many bits there are")
    card: Span = (0, -1)
    align: Literal["left", "right"] = Field(
        default="left", description="where spare bits are: right of the card, or left"
    )
    reversed: bool = Field(default=False, description="lowest byte of the card first")
    check: Check | None = Field(default=None, description="what tells a damaged message")
    keys: bool = Field(default=False, description="keys of a keypad come as single characters, without start and end")
    heartbeat: Bytes = Field(default=b"", description="a whole message that only says that it is there")
    unlock: Bytes = Field(default=b"", description="what opens the door for its own time, where the converter can")

    @model_validator(mode="after")
    def _ends(self) -> "Frame":
        if self.size_bytes is not None and self.length is not None:
            raise Wrong("size_bytes: and length: do not go together", "size_bytes: 与 length: 不能同时使用")
        if not self.end and self.size_bytes is None and self.length is None:
            raise Wrong(
                "where does a message end? write end:, size_bytes: or length:",
                "报文在哪里结束?请写 end:、size_bytes: 或 length:",
            )
        if self.coding in ("decimal", "bits") and self.length is not None:
            raise Wrong("length: is of bytes and hex", "length: 只用于 bytes 和 hex")
        carried = {"bits": "bits", "decimal": "number"}.get(self.coding, "number" if self.count is None else "bits")
        if self.carries != carried:
            raise Wrong(
                "carries: bits goes with coding: bits, or with bytes or hex and count:; all else carries a number",
                "carries: bits 须与 coding: bits,或与 bytes、hex 加 count: 同时使用;其余均为 number",
            )
        return self


FRAMES: Mapping[str, Frame] = {
    "hex-line": Frame(coding="hex", end=b"\r"),
    "decimal-line": Frame(coding="decimal", end=b"\r\n", keys=True),
    "bits-line": Frame(coding="bits", carries="bits", end=b"\r"),
    "em-uart": Frame(
        coding="hex",
        start=b"\x02",
        end=b"\x03",
        size_bytes=12,
        card=(1, 4),
        check=Check(kind="xor", over=(0, -2), at=-1),
    ),
}


def named(value: Any) -> Any:
    """The name of a frame that comes along → the frame. Wrong: there is none of this name."""
    if not isinstance(value, str):
        return value
    if value not in FRAMES:
        near = get_close_matches(value, FRAMES, 1)
        known = ", ".join(FRAMES)
        raise Wrong(
            f'there is no frame "{value}" (known: {known})' + (f"; did you mean {near[0]}?" if near else ""),
            f'没有名为 "{value}" 的帧格式(可用:{known})' + (f";是否想写 {near[0]}?" if near else ""),
        )
    return FRAMES[value]


@dataclass(frozen=True)
class Message:
    """One message. Neither card nor keys: it came damaged, or its parity is wrong. `bits`: how many came, 0 unknown."""

    address: int | None = None
    credential: Credential | None = None
    keys: str = ""
    alive: bool = False
    bits: int = 0


def crc16(data: bytes) -> int:
    """CRC-16 of Modbus over serial line 1.02, 2.5.1.2, with the bytes swapped as sent: low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


SUMS: Mapping[str, Callable[[bytes], bytes]] = {
    "xor": lambda data: bytes([reduce(xor, data, 0)]),
    "sum": lambda data: bytes([sum(data) & 0xFF]),
    "crc16": lambda data: crc16(data).to_bytes(2, "little"),
}


class Finder:
    """Messages out of a stream of bytes: noise before one is passed over, half of one ends with a silence."""

    def __init__(self, frame: Frame, format: Format) -> None:
        self._frame = frame
        self._format = format
        self._buffer = b""
        self._last_s = 0.0

    @property
    def waiting(self) -> bool:
        """Something was heard that is no whole message yet."""
        return bool(self._buffer)

    def feed(self, data: bytes, now_s: float) -> list[Message]:
        """Bytes that came now (none: time passed) → the messages in them."""
        found: list[Message] = []
        if self._buffer and now_s - self._last_s >= GAP_S:
            found += self._forget()
        if data:
            self._last_s = now_s
            self._buffer += data
            found += self._take()
            self._buffer = self._buffer[-LONGEST:]
        return found

    def _forget(self) -> list[Message]:
        left, self._buffer = self._buffer.decode("latin-1"), b""
        return [Message(keys=left)] if self._frame.keys and set(left) <= set(NIBBLE_KEYS) else []

    def _take(self) -> Iterator[Message]:
        frame = self._frame
        while self._buffer:
            start, beat = self._buffer.find(frame.start), self._buffer.find(frame.heartbeat) if frame.heartbeat else -1
            if beat >= 0 and (start < 0 or beat <= start):
                self._buffer = self._buffer[beat + len(frame.heartbeat) :]
                yield Message(alive=True)
                continue
            if start < 0:
                kept = max(len(frame.start), len(frame.heartbeat)) - 1  # what may be the beginning of one
                self._buffer = self._buffer[-kept:] if kept else b""
                return
            first = start + len(frame.start)
            size = _size(frame, self._buffer[first:])
            if size is None:
                return
            after = first + size + len(frame.end)
            if size < 0 or self._buffer[first + size : after] != frame.end:
                self._buffer = self._buffer[start + 1 :]  # not the beginning of one
                continue
            body, self._buffer = self._buffer[first : first + size], self._buffer[after:]
            if body.strip():
                yield read(frame, self._format, body)


def _size(frame: Frame, rest: bytes) -> int | None:
    """Bytes of the body at the beginning of `rest`; None where more must come, -1 where it cannot be one."""
    if frame.size_bytes is not None:
        size = frame.size_bytes
    elif frame.length is not None:
        digits = 2 if frame.coding == "hex" else 1
        told = rest[frame.length.at * digits : (frame.length.at + 1) * digits]
        if len(told) < digits:
            return None
        byte = _unhex(told) if frame.coding == "hex" else told
        size = digits * (byte[0] + frame.length.plus) if byte else -1
    else:
        found = rest.find(frame.end)
        return found if found >= 0 else None
    if not 0 < size <= LONGEST:
        return -1
    return size if len(rest) >= size + len(frame.end) else None


def _unhex(text: bytes) -> bytes | None:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return None


def read(frame: Frame, format: Format, body: bytes) -> Message:
    """A body → what it says."""
    if frame.coding in ("decimal", "bits"):
        return _text(frame, format, body.decode("latin-1").strip())
    plain = _unhex(body) if frame.coding == "hex" else body
    if plain is None or not _sound(frame, plain):
        return Message()
    try:
        address = None if frame.address is None else plain[frame.address]
        count = None if frame.count is None else plain[frame.count]
    except IndexError:
        return Message()
    card = _cut(plain, frame.card)
    card = card[::-1] if frame.reversed else card
    if frame.carries == "number":
        number = int.from_bytes(card, "big")
        return Message(address, number_credential(number, format, 8 * len(card)) if card else None, bits=8 * len(card))
    return _bits(address, count or 0, card, frame.align, format)


def _cut(data: bytes, span: tuple[int, int]) -> bytes:
    first, last = (place + len(data) if place < 0 else place for place in span)
    return data[max(first, 0) : last + 1]


def _sound(frame: Frame, body: bytes) -> bool:
    check = frame.check
    if check is None:
        return True
    wanted = SUMS[check.kind](_cut(body, check.over))
    at = check.at + len(body) if check.at < 0 else check.at
    return at >= 0 and body[at : at + len(wanted)] == wanted


def _text(frame: Frame, format: Format, text: str) -> Message:
    if frame.coding == "bits":
        good = text and set(text) <= {"0", "1"}
        return _bits(None, len(text), pack(text), "left", format) if good else Message()
    match = _PAIR.fullmatch(text)
    if match is None:
        return Message()
    if match[2] is None:
        return Message(credential=number_credential(int(match[1]), format, 32), bits=32)
    return Message(credential=_fits(format, int(match[1]), int(match[2])))


def _bits(address: int | None, count: int, data: bytes, align: str, format: Format) -> Message:
    if not 0 < count <= 8 * len(data):
        return Message(address, bits=count)
    number = int.from_bytes(data, "big")
    if align == "right":
        number &= (1 << count) - 1
        data = pack(f"{number:0{count}b}")
    keys = _keys(count, data)
    if count in (4, 8):
        return Message(address, keys=keys, bits=count)
    return Message(address, decode(count, data, format), bits=count)


def _keys(count: int, data: bytes) -> str:
    """A keypad's burst: 4 bits are the key; 8 bits the key and, before it, its complement. Empty where it is none."""
    high, low = data[0] >> 4, data[0] & 0xF
    value = high if count == 4 else low if high == low ^ 0xF else len(NIBBLE_KEYS)
    return NIBBLE_KEYS[value] if value < len(NIBBLE_KEYS) else ""


def number_credential(number: int, format: Format, bits: int) -> Credential:
    """A bare number of so many bits → the card as a reader of `format` would send it: its lowest bits count.

    `auto`: 24 bits are what a 26-bit card holds, 32 bits what a 34-bit one does; others stay as they are.
    """
    name = {24: "wiegand-26", 32: "wiegand-34"}.get(bits, "") if format == "auto" else format
    layout = LAYOUTS.get(name)
    if layout is None:
        return Credential(f"raw-{bits}", 0, number & ((1 << bits) - 1))
    width = layout.number[1] - layout.number[0] + 1
    high = layout.facility[1] - layout.facility[0] + 1
    return Credential(layout.name, number >> width & ((1 << high) - 1), number & ((1 << width) - 1))


def _fits(format: Format, facility: int, number: int) -> Credential | None:
    layout = LAYOUTS.get("wiegand-26" if format in ("auto", "raw") else format)
    if layout is None:
        return None
    good = not facility >> (layout.facility[1] - layout.facility[0] + 1) and not number >> (
        layout.number[1] - layout.number[0] + 1
    )
    return Credential(layout.name, facility, number) if good else None
