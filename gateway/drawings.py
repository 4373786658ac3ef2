"""Pictures that people bring as floor plans: PNG, JPEG and WebP by their own bytes, taken apart and put together. Pure.

Only what a picture needs is taken over: no text, no place where it was taken, nothing that stands behind its end. So a
file that is two things at once is refused or becomes one. Its size is read from its header; one that unpacks to more
than a phone can hold is refused before anybody unpacks it.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from gateway.errors import GatewayError, Text

T = TypeVar("T")
Kind = Literal["png", "jpg", "webp"]
MOST_BYTES = 4 * 2**20
MOST_PIECES = 5000  # that a file is made of: a real one has some hundred
MOST_SIDE = 8000  # pixels
MOST_PIXELS = 32_000_000  # unpacked four bytes each
CONTENT_TYPES: dict[str, str] = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = {b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"sRGB", b"IDAT", b"IEND"}
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOFn: the segments that say how large it is
_APP, _COMMENT = range(0xE0, 0xF0), 0xFE
_ADOBE, _JFIF = 0xEE, 0xE0  # of the APPn, those that say how colours are meant
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # where coded data ends
_WEBP_KEPT = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP"}
_ICC, _ALPHA = 0x20, 0x10  # flags of VP8X; EXIF, XMP and animation are gone


class NoDrawing(GatewayError):
    """It is not taken as a floor plan, and nothing of it is kept."""


@dataclass(frozen=True)
class Drawing:
    """A picture as it is kept."""

    kind: Kind
    width: int  # pixels
    height: int
    body: bytes = field(repr=False)


def drawing(body: bytes) -> Drawing:
    """The picture in these bytes. NoDrawing says why there is none."""
    if len(body) > MOST_BYTES:
        raise _no("it is larger than 4 MiB", "文件超过 4 MiB", "export it smaller", "请缩小后重新导出")
    made = next((make(body) for begins, make in _KINDS if begins(body)), None)
    if made is None:
        raise _no("it is no PNG, JPEG or WebP picture", "不是 PNG、JPEG 或 WebP 图片",
                  "save it as PNG or JPEG; SVG and PDF are not taken",
                  "请另存为 PNG 或 JPEG;不接受 SVG 和 PDF")  # fmt: skip
    if not (0 < made.width <= MOST_SIDE and 0 < made.height <= MOST_SIDE and made.width * made.height <= MOST_PIXELS):
        raise _no(f"it has {made.width} × {made.height} pixels", f"图片为 {made.width} × {made.height} 像素",
                  f"at most {MOST_SIDE} a side and 32 million together are taken",
                  f"每边最多 {MOST_SIDE} 像素,总计最多 3200 万像素")  # fmt: skip
    return made


def _no(en: str, zh: str, do_en: str, do_zh: str) -> NoDrawing:
    return NoDrawing("picture", Text(en, zh), Text(do_en, do_zh))


def _damaged() -> NoDrawing:
    return _no("the picture is damaged, or something stands behind its end", "图片已损坏,或文件末尾附带了其他内容",
               "open it, save it again, and take that file", "请打开后重新保存,再上传新文件")  # fmt: skip


def _png(body: bytes) -> Drawing:
    chunks = list(_few(_png_chunks(body)))
    names = [name for name, _, _ in chunks]
    header = chunks[0][1] if chunks else b""
    if names[:1] != [b"IHDR"] or names[-1] != b"IEND" or b"IDAT" not in names or len(header) != 13:
        raise _damaged()
    width, height = struct.unpack(">II", header[:8])
    kept = [whole for name, _, whole in chunks if name in _PNG_KEPT]
    return Drawing("png", width, height, _PNG + b"".join(kept))


def _png_chunks(body: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(name, data, all of it); its end is the file's end."""
    at, name = len(_PNG), b""
    while at < len(body):
        length, name = struct.unpack(">I4s", _slice(body, at, 8))
        data, checked = _slice(body, at + 8, length), struct.unpack(">I", _slice(body, at + 8 + length, 4))[0]
        if zlib.crc32(name + data) != checked:
            raise _damaged()
        yield name, data, body[at : at + 12 + length]
        at += 12 + length
        if name == b"IEND" and at != len(body):
            raise _damaged()


def _jpg(body: bytes) -> Drawing:
    kept, width, height = [b"\xff\xd8"], 0, 0
    for marker, data, whole in _few(_segments(body)):
        if marker in _SIZES and len(data) >= 5:
            height, width = struct.unpack(">HH", data[1:5])
        if marker != _COMMENT and (marker not in _APP or marker in (_ADOBE, _JFIF)):
            kept.append(whole)
    return Drawing("jpg", width, height, b"".join(kept))


def _segments(body: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(marker, data, all of it with what is coded behind it); the last is the file's end."""
    at, scanned = 2, False
    while True:
        first, marker = _slice(body, at, 2)
        if first != 0xFF or marker in (0x00, 0xFF):
            raise _damaged()
        if marker == 0xD9:
            if not scanned or at + 2 != len(body):
                raise _damaged()
            yield marker, b"", body[at:]
            return
        length = struct.unpack(">H", _slice(body, at + 2, 2))[0]
        data, end = _slice(body, at + 4, max(0, length - 2)), at + 2 + max(2, length)
        if marker == 0xDA:
            scanned, end = True, _coded(body, end)
        yield marker, data, body[at:end]
        at = end


def _coded(body: bytes, at: int) -> int:
    """Where the next marker stands behind coded data: FF00 is data, FFD0 to FFD7 are beats in it."""
    found = _MARKER.search(body, at)
    if found is None:
        raise _damaged()
    return found.start()


def _webp(body: bytes) -> Drawing:
    if struct.unpack("<I", _slice(body, 4, 4))[0] + 8 != len(body):
        raise _damaged()
    kept, size, icc = [], (0, 0), 0
    for name, data in _few(_webp_chunks(body)):
        if name not in _WEBP_KEPT:
            continue
        icc |= _ICC if name == b"ICCP" else 0
        size = size if any(size) else _webp_size(name, data)
        kept.append((name, data))
    chunks = b"".join(_webp_chunk(name, _plain(data, icc) if name == b"VP8X" else data) for name, data in kept)
    if not any(name in (b"VP8 ", b"VP8L") for name, _ in kept):
        raise _damaged()
    return Drawing("webp", *size, b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks)


def _webp_chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at < len(body):
        name, length = struct.unpack("<4sI", _slice(body, at, 8))
        yield name, _slice(body, at + 8, length)
        at += 8 + length + length % 2
    if at != len(body):
        raise _damaged()


def _webp_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _webp_size(name: bytes, data: bytes) -> tuple[int, int]:
    if name == b"VP8X":
        whole = _slice(data, 4, 6)
        return int.from_bytes(whole[:3], "little") + 1, int.from_bytes(whole[3:], "little") + 1
    if name == b"VP8L":
        bits = struct.unpack("<I", _slice(data, 1, 4))[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if name == b"VP8 ":
        width, height = struct.unpack("<HH", _slice(data, 6, 4))
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _plain(header: bytes, icc: int) -> bytes:
    """VP8X that promises no more than is left."""
    return bytes([_slice(header, 0, 1)[0] & _ALPHA | icc]) + header[1:]


def _few(pieces: Iterable[T]) -> Iterator[T]:
    """What is cut into very many pieces would keep the gateway busy, and is no picture."""
    for number, piece in enumerate(pieces):
        if number >= MOST_PIECES:
            raise _damaged()
        yield piece


def _slice(body: bytes, at: int, length: int) -> bytes:
    found = body[at : at + length]
    if len(found) != length:
        raise _damaged()
    return found


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Drawing]], ...] = (
    (lambda body: body.startswith(_PNG), _png),
    (lambda body: body.startswith(b"\xff\xd8\xff"), _jpg),
    (lambda body: body[:4] == b"RIFF" and body[8:12] == b"WEBP", _webp),
)
