"""Event texts as they stand on disk: deflated (RFC 1951) against a list of what most events say, a third of their size.

A card wears out by the bytes that are written, and each event is written three times. A text that begins with `{` was
stored as it is, by schema versions 1 and 2.
"""

import zlib
from functools import cache
from importlib.resources import files

_FIRST = b"\x01"  # which list of words; a new one gets a new number, for this one is in every database
_WINDOW_BITS = -12  # raw deflate, 4 KiB: the list fits, and to begin costs 2 µs; 32 KiB costs 45 µs
_LEVEL = 1
_MEMORY = 5


@cache
def _words() -> bytes:
    return (files("gateway") / "schema" / "words-1.txt").read_bytes()


@cache
def _begun() -> "zlib._Compress":
    """The state after the list of words; to copy it is faster than to make one."""
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _words())


def pack(text: str) -> bytes:
    """As it is stored."""
    deflate = _begun().copy()
    return _FIRST + deflate.compress(text.encode()) + deflate.flush()


def unpack(stored: bytes | str) -> str:
    """The text. ValueError: it is not whole, or not ours."""
    if isinstance(stored, str):
        return stored
    if stored[:1] != _FIRST:
        return stored.decode()
    inflate = zlib.decompressobj(_WINDOW_BITS, _words())
    try:
        text = inflate.decompress(stored[1:]).decode()
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not inflate.eof or inflate.unused_data:
        raise ValueError("a packed text that ends too early or too late")
    return text
