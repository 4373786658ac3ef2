"""The lines that ZKTeco devices send: key=value records, attendance lines, option lists; their odd seconds. Pure.

Vendor's documents: security PUSH 4.8 of January 2024 (protocol 3.1.2) and attendance PUSH 4.0 of January 2021 (protocol
2.4.2). An underscore: no driver.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from gateway.event import Credential

_DAY_S = 24 * 60 * 60
_KINDS = (  # attendance and security PUSH, "verification modes": first matching wins, a face before its card
    ("face", frozenset(range(15, 21))),
    ("fingerprint", frozenset({1, 5, 6, 8, 9, 10, 12, 13, 14})),
    ("vein", frozenset(range(21, 25))),
    ("palm", frozenset(range(25, 30))),
    ("card", frozenset({4, 7, 11})),
    ("pin", frozenset({2, 3})),
)
_BITS = ((1, "face"), (4, "fingerprint"), (11, "card"), (12, "qr"), (9, "pin"), (10, "pin"), (5, "vein"), (2, "palm"))
_MASK_BITS = 16  # security PUSH 4.8, 7.4, NewVFStyles; bit 0 stands last
MOST_DIGITS = 20  # of a number in a record


@dataclass(frozen=True, slots=True)
class Record:
    """One event of the security dialect, from `rtlog` or from the stored `transaction` table; texts as they came."""

    time: str
    event: str
    door: str
    index: str
    pin: str = "0"
    card: str = "0"
    inout: str = ""
    verify: str = ""
    site: str = "0"

    @property
    def key(self) -> str:
        """What tells it from every other of its device: the number in its memory, which begins anew when cleared."""
        return digest(self.time, self.event, self.door, self.index, "" if self.index else self.pin)


class Stamp(NamedTuple):
    """One line of the attendance dialect's ATTLOG."""

    pin: str
    time: str
    status: str
    verify: str

    @property
    def key(self) -> str:
        """It has no number of its own."""
        return digest(*self)


def digest(*parts: str) -> str:
    """A short hash, so that what is remembered of a record names nobody."""
    return hashlib.blake2b("\t".join(parts).encode("utf-8", "replace"), digest_size=6).hexdigest()


def text_of(body: bytes) -> str:
    """UTF-8, else GB 18030 (devices set to Chinese), rubbish replaced, without zero bytes."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("gb18030", "replace")
    return text.replace("\0", "")


def lines(body: bytes) -> Iterator[str]:
    """The records of a body, one a line; empty lines are none."""
    return (line.strip() for line in text_of(body).splitlines() if line.strip())


def fields(line: str) -> Mapping[str, str]:
    """`time=…<tab>pin=…` → by name in lower case; a table's name in front (`transaction cardno=…`) is left out."""
    found = {}
    for item in line.split("\t"):
        name, equals, value = item.partition("=")
        if equals:
            found[name.strip().rpartition(" ")[2].lower()] = value.strip()
    return found


def options(text: str) -> Mapping[str, str]:
    """`DeviceType=acc,~DeviceName=F20/M,…` → by name without the tilde. A comma inside a value belongs to it."""
    found: dict[str, str] = {}
    last = ""
    for item in text.replace("\r", "").replace("\n", "").split(","):
        name, equals, value = item.partition("=")
        if equals:
            last = name.strip().lstrip("~")
            found[last] = value.strip()
        elif last:
            found[last] += f",{item}"
    return found


def record(line: str) -> Record | None:
    """A line of `rtlog` or of `transaction`; None where it has no event and no time (`rtstate`, rubbish)."""
    found = fields(line)
    event, door = found.get("event") or found.get("eventtype"), found.get("eventaddr") or found.get("doorid")
    time = found.get("time") or _stored_time(found.get("time_second", ""))
    if not event or not time:
        return None
    return Record(
        time,
        event,
        door or "0",
        found.get("index", ""),
        found.get("pin") or "0",
        found.get("cardno") or "0",
        found.get("inoutstatus") or found.get("inoutstate") or "",
        found.get("verifytype") or found.get("verified") or "",
        found.get("sitecode") or "0",
    )


def stamp(line: str) -> Stamp | None:
    """A line of ATTLOG; None where it has not the four fields that every edition has."""
    parts = [part.strip() for part in line.split("\t")]
    return Stamp(*parts[:4]) if len(parts) >= 4 and parts[0] and parts[1] else None


def whole(text: str, most: int = 2**31) -> int | None:
    """A number as it stands in a record; None for anything else, and where it is larger than `most`."""
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        return None
    return int(text) if int(text) <= most else None


def credential(pin: str, card: str, verify: str, site: str = "0") -> Credential | None:
    """What was presented: the card where there is one, else the person's number in the device; None for neither."""
    number = card_number(card)
    if number:
        return Credential("zkteco-card", whole(site) or 0, number)
    kind = kind_of(verify)
    person = whole(pin, 10**MOST_DIGITS)
    if person:
        return Credential("zkteco-user", 0, person, kind)
    if person is None and pin:  # a text (StringPinFunOn); its bytes are a number too
        return Credential("zkteco-user-text", 0, int.from_bytes(pin.encode()[:32]), kind)
    return None


def card_number(text: str) -> int | None:
    """`123456789`, `75bcd15`, or `[15CD5B07]` with the lowest byte first (attendance PUSH 4.0, 11.5)."""
    inner = text.strip("[]")
    if not inner or len(inner) > MOST_DIGITS or not inner.isascii():
        return None
    try:
        if text.startswith("["):
            return int.from_bytes(bytes.fromhex(inner), "little")
        return int(inner) if inner.isdigit() else int(inner, 16)
    except ValueError:
        return None


def kind_of(verify: str) -> str:
    """A number of the verification modes, or the newer mask of 16 characters → face, fingerprint, card, pin, …"""
    if len(verify) == _MASK_BITS and set(verify) <= {"0", "1"}:
        return next((kind for bit, kind in _BITS if verify[-1 - bit] == "1"), "card")
    number = whole(verify)
    return next((kind for kind, numbers in _KINDS if number in numbers), "card")


def encode_seconds(moment: datetime) -> int:
    """The vendor's seconds since 2000, in which every month has 31 days (security PUSH 4.8, appendix 5)."""
    days = ((moment.year - 2000) * 12 + moment.month - 1) * 31 + moment.day - 1
    return days * _DAY_S + (moment.hour * 60 + moment.minute) * 60 + moment.second


def decode_seconds(seconds: int) -> str:
    """The other way (appendix 6), as text, because some of its days are none."""
    days, second = divmod(seconds, _DAY_S)
    months, day = divmod(days, 31)
    year, month = divmod(months, 12)
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return f"{2000 + year:04d}-{month + 1:02d}-{day + 1:02d} {clock}"


def _stored_time(text: str) -> str:
    seconds = whole(text, 2**32)
    return decode_seconds(seconds) if seconds is not None else ""
