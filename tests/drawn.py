"""Pictures for tests: three that a browser's own encoders made (8 × 6 pixels), and PNG of any size, built here."""

import base64
import struct
import zlib

_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAGCAYAAAD+Bd/7AAAANklEQVR4AYSKwQ0AMAgC0ZW6/widiRoSk8pHIo/DSy5JVG4EuoXjJIzFQMIh0bU/"
    "JPj48yo8AAAA//+fr/0UAAAABklEQVQDAGIgKO2c5iJpAAAAAElFTkSuQmCC"
)
_JPG = (  # a colour profile was taken out, as the gateway does
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeXBkeFxl"
    "Z2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2P/wAARCAAGAAgDASIAAhEB"
    "AxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAb/xAAeEAABBgIDAAAAAAAAAAAAAAAAAQIDBBIUIRNBof/EABUBAQEAAAAAAAAAAAAAAAAAAAAB/8QAFhEB"
    "AQEAAAAAAAAAAAAAAAAAAQAR/9oADAMBAAIRAxEAPwC2iw8Z59zJkO8yrVdXZKNnpJdFvwgAAqqut//Z"
)


def chunk(name: bytes, data: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int = 8, height: int = 6, *more: bytes) -> bytes:
    """Grey, of that size by its header; `more` are chunks behind the header."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * ((min(width, 100) + 1) * min(height, 100)))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def segment(marker: int, data: bytes) -> bytes:
    """Of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP of these chunks."""
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


BROWSERS_PNG, JPG = base64.b64decode(_PNG), base64.b64decode(_JPG)
VP8L = b"\x2f" + struct.pack("<I", 7 | 5 << 14) + b"\0" * 6
VP8 = b"\x70\x01\x00\x9d\x01\x2a" + struct.pack("<HH", 8, 6) + b"\0" * 8
WEBP = base64.b64decode(
    "UklGRlwAAABXRUJQVlA4WAoAAAAQAAAABwAABQAAQUxQSAwAAAABDzD/ERFiHCL6HwZWUDggKgAAAHABAJ0BKggABgACwEwlkALsAUAAAP7wOE"
    "CtjH86wJEv6Sj/5Xf1WcAAAA=="
)
