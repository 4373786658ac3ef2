"""A frame's application data (clause 8): type, count, objects; fields, times, texts. (An underscore: no driver.)

No object says how long it is: the type does. Vendors leave the time out or add fields of their own; what fits in none
of these ways is left whole, never guessed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from drivers._gb26875_table import Edition, Layout

CHINA = timezone(timedelta(hours=8))  # the standard's clocks are local; China has one zone and no summer time
NO_SIZES: Mapping[int, int] = {}
Fields = dict[str, bytes]  # an object's fields as the bytes on the wire; `private`: what a vendor added


class Unit(NamedTuple):
    """What a frame tells: objects of one type. None: its type or its size is not known here."""

    type: int
    total: int  # objects, as it says
    objects: tuple[Fields, ...] | None


def parse(edition: Edition, data: bytes, sizes: Mapping[int, int] = NO_SIZES) -> Unit | None:
    """`data` as a unit; None where it has no type and count. `sizes`: a vendor's bytes per object, by type."""
    if len(data) < 2:
        return None
    kind, count, rest = data[0], data[1], data[2:]
    layout = edition.layouts.get(kind)
    if layout is None or count == 0:
        return Unit(kind, count, None)
    if 0 in layout.values():
        return Unit(kind, count, _by_length(layout, count, rest))
    size, left = divmod(len(rest), count)
    fitting = None if left else _fitting(layout, size, sizes.get(kind))
    if fitting is None:
        return Unit(kind, count, None)
    pieces = (rest[at : at + size] for at in range(0, len(rest), size))
    return Unit(kind, count, tuple(_cut(fitting, piece) for piece in pieces))


def _fitting(layout: Layout, size_bytes: int, vendor_bytes: int | None) -> Layout | None:
    """The layout of objects of `size_bytes`: the vendor's, the standard's, the standard's without its time."""
    standard = sum(layout.values())
    if size_bytes == standard:
        return layout
    if size_bytes == standard - layout.get("time", 0):
        return {name: width for name, width in layout.items() if name != "time"}
    if size_bytes != vendor_bytes:
        return None
    if size_bytes > standard:
        return {**layout, "private": size_bytes - standard}
    text_bytes = layout.get("text", 0) + size_bytes - standard
    return {**layout, "text": text_bytes} if text_bytes >= 0 else None


def _cut(layout: Layout, piece: bytes) -> Fields:
    fields: Fields = {}
    for name, width in layout.items():
        fields[name], piece = piece[:width], piece[width:]
    return fields


def _by_length(layout: Layout, count: int, rest: bytes) -> tuple[Fields, ...] | None:
    """Objects that say the length of their text (types 6 and 26)."""
    fixed = sum(layout.values())
    objects = []
    for _ in range(count):
        if len(rest) < fixed:
            return None
        fields, rest = _cut(layout, rest[:fixed]), rest[fixed:]
        size = number(fields["length"])
        fields["text"], rest = rest[:size], rest[size:]
        objects.append(fields)
        if len(fields["text"]) < size:
            return None
    return None if rest else tuple(objects)


def build(kind: int, objects: Sequence[Fields]) -> bytes:
    """The way back: type, count, and the fields in their order."""
    return bytes([kind, len(objects)]) + b"".join(b"".join(fields.values()) for fields in objects)


def number(field: bytes, *, signed: bool = False) -> int:
    """A field's number, low byte first."""
    return int.from_bytes(field, "little", signed=signed)


def hexadecimal(data: bytes) -> str:
    """As contract and configuration write bytes: `0A000200`."""
    return data.hex().upper()


def text(data: bytes) -> str:
    """GB 18030 up to the first NUL, as vendors fill it: with spaces, garbage, half a character at the end."""
    words = data.partition(b"\0")[0].decode("gb18030", "replace")
    return "".join(each for each in words if each.isprintable()).strip(" \u3000\ufffd")


def read_time(data: bytes) -> datetime | None:
    """Six bytes of a clock; None where they make no date."""
    if len(data) != 6:
        return None
    second, minute, hour, day, month, year = data
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=CHINA) if year < 100 else None
    except ValueError:
        return None


def write_time(moment: datetime) -> bytes:
    """The other way; moments outside of this century are its ends."""
    local = moment.astimezone(CHINA)
    year = min(max(local.year - 2000, 0), 99)
    return bytes([local.second, local.minute, local.hour, local.day, local.month, year])
