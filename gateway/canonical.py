"""The one form of a JSON value (RFC 8785, JCS), for digests that two sides compute alike."""

import hashlib
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

LARGEST_INTEGER = 2**53 - 1  # RFC 8785, 3.2.2.3: what IEEE 754 doubles hold exactly
_PLAIN_BELOW = 21  # digits before the point; ECMA-262, Number::toString
_PLAIN_ABOVE = -7  # exponent of ten; the same


def canonical(value: Any) -> bytes:
    """UTF-8: keys by UTF-16 code units, no spaces, numbers as ECMAScript writes them. ValueError: not JSON."""
    return _text(value).encode()


def sha256_hex(value: Any) -> str:
    """The digest of a value's one form."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _text(value: Any) -> str:
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{_text(name)}:{_text(value[name])}" for name in names) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_text, value)) + "]"
    raise ValueError(f"{type(value).__name__} is no JSON value")


def _number(value: float) -> str:
    if not math.isfinite(value) or (isinstance(value, int) and abs(value) > LARGEST_INTEGER):
        raise ValueError(f"{value} cannot stand in canonical JSON")
    if value == int(value) and abs(value) <= LARGEST_INTEGER:
        return str(int(value))
    sign, digits, last = Decimal(repr(value)).normalize().as_tuple()  # repr gives the shortest digits, as ECMAScript
    text, before = "".join(map(str, digits)), len(digits) + int(last)
    minus = "-" if sign else ""
    if 0 < before <= _PLAIN_BELOW:
        return minus + (text.ljust(before, "0") if len(text) <= before else f"{text[:before]}.{text[before:]}")
    if _PLAIN_ABOVE < before - 1 < 0:
        return f"{minus}0.{'0' * -before}{text}"
    mantissa = text if len(text) == 1 else f"{text[0]}.{text[1:]}"
    return f"{minus}{mantissa}e{before - 1:+d}"
