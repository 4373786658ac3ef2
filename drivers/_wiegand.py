"""Wiegand card layouts: bits as a reader sends them ↔ credentials, parity checked. Pure; an underscore: no driver.

HID's open formats H10301 (26 bits), H10306 (34), H10302 and H10304 (37). Bit 0 is the first on the wire; bytes are
left aligned, most significant bit first, as in an OSDP RAW reply. Lengths without a layout carry no parity: they are
taken as one number (`raw-32` is the 32-bit serial number that many readers send).
"""

from dataclasses import dataclass
from typing import Literal

from gateway.event import Credential

Format = Literal["auto", "wiegand-26", "wiegand-34", "wiegand-34-h10306", "wiegand-37", "wiegand-37-h10304", "raw"]
Span = tuple[int, int]  # first and last bit, both inside
NONE: Span = (0, -1)
MAX_BITS = 512  # 64 bytes, what libosdp's card event holds


@dataclass(frozen=True)
class Layout:
    """Where the fields of a format stand. Bit 0 makes `even` with itself even, the last bit `odd` odd."""

    name: str
    bits: int
    even: Span
    odd: Span
    facility: Span
    number: Span


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("wiegand-26", 26, (1, 12), (13, 24), (1, 8), (9, 24)),
        Layout("wiegand-34", 34, (1, 16), (17, 32), NONE, (1, 32)),
        Layout("wiegand-34-h10306", 34, (1, 16), (17, 32), (1, 16), (17, 32)),
        Layout("wiegand-37", 37, (1, 18), (18, 35), NONE, (1, 35)),
        Layout("wiegand-37-h10304", 37, (1, 18), (18, 35), (1, 16), (17, 35)),
    )
}
BY_LENGTH = {26: LAYOUTS["wiegand-26"], 34: LAYOUTS["wiegand-34"], 37: LAYOUTS["wiegand-37"]}


def bit_string(count: int, data: bytes) -> str:
    """The first `count` bits of left-aligned `data` as "0" and "1"."""
    return "".join(f"{byte:08b}" for byte in data)[:count]


def pack(bits: str) -> bytes:
    """ "0101…" → left-aligned bytes, the rest zero."""
    padded = bits + "0" * (-len(bits) % 8)
    return bytes(int(padded[i : i + 8], 2) for i in range(0, len(padded), 8))


def decode(count: int, data: bytes, format: Format = "auto") -> Credential | None:
    """`count` bits, left aligned in `data` → the credential; None where it is a read error, not a card.

    A read error is a wrong parity bit, a length that `format` does not have, or fewer bytes than bits.
    """
    if not 0 < count <= min(MAX_BITS, 8 * len(data)):
        return None
    bits = bit_string(count, data)
    layout = BY_LENGTH.get(count) if format == "auto" else LAYOUTS.get(format)
    if layout is None:
        return Credential(f"raw-{count}", 0, int(bits, 2))
    if layout.bits != count or not _sound(layout, bits):
        return None
    return Credential(layout.name, _field(bits, layout.facility), _field(bits, layout.number))


def encode(credential: Credential) -> tuple[int, bytes]:
    """A card → (bit count, left-aligned bytes). ValueError where its format does not hold its numbers."""
    layout = LAYOUTS.get(credential.format)
    if layout is None:
        return _encode_raw(credential)
    bits = ["0"] * layout.bits
    _put(bits, layout.facility, credential.facility)
    _put(bits, layout.number, credential.number)
    bits[0] = str(_ones(bits, layout.even) % 2)
    bits[-1] = str((_ones(bits, layout.odd) + 1) % 2)
    return layout.bits, pack("".join(bits))


def _encode_raw(credential: Credential) -> tuple[int, bytes]:
    name, _, length = credential.format.partition("-")
    if name != "raw" or not length.isdigit() or credential.number >> int(length):
        raise ValueError(f"{credential.format} is no card format, or does not hold the number")
    return int(length), pack(f"{credential.number:0{length}b}")


def _sound(layout: Layout, bits: str) -> bool:
    even = _ones(bits, layout.even) + int(bits[0])
    odd = _ones(bits, layout.odd) + int(bits[-1])
    return even % 2 == 0 and odd % 2 == 1


def _ones(bits: str | list[str], span: Span) -> int:
    return bits[span[0] : span[1] + 1].count("1")


def _field(bits: str, span: Span) -> int:
    return int(bits[span[0] : span[1] + 1] or "0", 2)


def _put(bits: list[str], span: Span, value: int) -> None:
    width = span[1] - span[0] + 1
    if value < 0 or value >> width:
        raise ValueError(f"{value} does not fit {width} bits")
    bits[span[0] : span[1] + 1] = f"{value:0{width}b}" if width else ""
