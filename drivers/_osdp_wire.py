"""OSDP packets (IEC 60839-11-5 = SIA OSDP 2.2): framing, check, and the replies that report something. Pure.

`[FF] 53 address length(2, LE, from 53 to the end of the check) control [security block] code data check`.
Control: bits 0-1 sequence, bit 2 CRC-16 instead of a checksum, bit 3 security block present. A reply's address has
bit 7 set. The secure channel itself is libosdp's.
"""

from binascii import crc_hqx
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SOM = 0x53
REPLY = 0x80
SEQUENCE = 0x03
CRC = 0x04
SECURED = 0x08
LONGEST = 1440  # bytes; SIA OSDP 2.2, 5.6
SHORTEST = 7  # 5 of header, the code, a checksum

CMD_CAP, CMD_KEYSET, CMD_CHLNG, CMD_SCRYPT = 0x62, 0x75, 0x76, 0x77
ACK, NAK, PDCAP = 0x40, 0x41, 0x46
LSTATR, ISTATR, RSTATR, RAW, KEYPAD = 0x48, 0x49, 0x4B, 0x50, 0x53
CCRYPT, BUSY = 0x76, 0x79
KEYS = {0x0D: "#", 0x7F: "*"}  # what '#' and '*' are sent as; other keys are ASCII


@dataclass(frozen=True)
class Packet:
    """One sound packet. `data` is in clear only where `secured` is False."""

    address: int
    sequence: int
    secured: bool
    code: int
    data: bytes


@dataclass(frozen=True)
class Card:
    """Card bits, left aligned in `data`."""

    reader: int
    bits: int
    data: bytes


@dataclass(frozen=True)
class Keys:
    """Keys pressed, as digits, `#` and `*`."""

    reader: int
    keys: str


@dataclass(frozen=True)
class Local:
    """The reader's own state."""

    tamper: bool
    power_fault: bool


@dataclass(frozen=True)
class Inputs:
    """State of each input; True is active."""

    active: tuple[bool, ...]


@dataclass(frozen=True)
class Attached:
    """A read head behind the reader: 0 normal, 1 not connected, 2 tamper (SIA OSDP 2.2, RSTATR)."""

    state: int


Report = Card | Keys | Local | Inputs | Attached


def crc16(data: bytes) -> int:
    """Poly 0x1021, start 0x1D0F, not reflected, no final xor. Noise may ask for many: in C it is 500 times as fast."""
    return crc_hqx(data, 0x1D0F)


def sound(packet: bytes) -> bool:
    """Does the packet (from 53, whole) carry the right CRC or checksum?"""
    if packet[4] & CRC:
        return crc16(packet[:-2]) == int.from_bytes(packet[-2:], "little")
    return sum(packet) & 0xFF == 0


def packets(heard: bytes) -> Iterator[bytes]:
    """Every sound packet among what was heard, noise skipped; a packet cut short is not there yet."""
    at = heard.find(SOM)
    while at >= 0:
        length = int.from_bytes(heard[at + 2 : at + 4], "little")
        whole = heard[at : at + length]
        if SHORTEST <= length <= LONGEST and len(whole) == length and sound(whole):
            yield whole
            at += length - 1
        at = heard.find(SOM, at + 1)


def parse(packet: bytes) -> Packet:
    """A sound packet (from 53) into its parts."""
    control = packet[4]
    start = 5 + (packet[5] if control & SECURED else 0)
    check = 2 if control & CRC else 1
    body = packet[start : len(packet) - check]
    secured = bool(control & SECURED) and packet[6] >= 0x15  # SCS_15 to SCS_18: MAC, data perhaps encrypted
    return Packet(packet[1], control & SEQUENCE, secured, body[0] if body else 0, body[1:])


def reply_to(command: bytes, heard: bytes) -> bytes | None:
    """The reply to `command` (as sent, with or without mark) among what was heard: address and sequence must match.

    A BUSY comes with sequence 0, and so does the NAK of a reader that was restarted meanwhile. Our own echo, other
    readers' and late replies are passed over, and a checksum where we sent a CRC: one flipped bit may make one of it.
    """
    sent = command[command.index(SOM) :]
    asked = parse(sent)
    for packet in packets(heard):
        found = parse(packet)
        apt = found.sequence == asked.sequence or (found.sequence == 0 and found.code in (BUSY, NAK))
        checked = packet[4] & CRC or not sent[4] & CRC or found.code == NAK
        if apt and checked and found.address == asked.address | REPLY:
            return packet
    return None


def report(code: int, data: bytes) -> Report | None:
    """A reply's code and clear data → what it reports; None where it reports nothing. ValueError: too short."""
    if code == RAW and len(data) >= 4:
        return Card(data[0], int.from_bytes(data[2:4], "little"), data[4:])
    if code == KEYPAD and len(data) >= 2:
        return Keys(data[0], keys(data[2 : 2 + data[1]]))
    if code == LSTATR and len(data) == 2:
        return Local(data[0] != 0, data[1] != 0)
    if code == ISTATR and data:
        return Inputs(tuple(byte != 0 for byte in data))
    if code == RSTATR and data:
        return Attached(data[0])
    if code in (RAW, KEYPAD, LSTATR, ISTATR, RSTATR):
        raise ValueError(f"reply {code:02X} with {len(data)} bytes of data")
    return None


def keys(data: bytes) -> str:
    """Key codes → digits, `#` and `*`; what is none of them is left out."""
    text = "".join(KEYS.get(byte, chr(byte)) for byte in data)
    return "".join(key for key in text if key in "0123456789#*")


def reported(event: Mapping[str, Any]) -> Report | None:
    """An event as libosdp's Python binding gives it (`data.c`) → what it reports."""
    if "report" in event:
        code = {0: ISTATR, 2: LSTATR, 3: RSTATR}.get(event["type"], ACK)
        return report(code, event["report"])
    if "length" in event:
        return Card(event["reader_no"], event["length"], event["data"])
    if "reader_no" in event:
        return Keys(event["reader_no"], keys(event["data"]))
    return None
