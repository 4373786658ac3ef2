"""What an access controller's numbers mean: majorEventType and subEventType as one table. (An underscore: no driver.)

The numbers are those of the vendor's SDK headers (`MAJOR_…`, `MINOR_…`), in hexadecimal as they stand there; JSON has
them in decimal. A row says what a code is of: the door, the device, or a part with a name. What begins and has no
number for its end is told as begun and ended at once, so that it stays listed until somebody has seen it.
"""

from collections.abc import Mapping
from typing import NamedTuple

from gateway.event import Phase

ALARM, EXCEPTION, OPERATION, EVENT = 1, 2, 3, 5
DOOR, DEVICE = "door", "device"
INPUT, INPUT_ENDS = "input", "input-ends"


class Row(NamedTuple):
    """What a code means. `where` is `door`, `device`, or the kind of a part: `reader`, `input`, `network`, …"""

    type: str
    phase: Phase = Phase.PULSE
    reason: str | None = None
    where: str = DOOR
    kind: str = ""  # of what was presented; empty where a code does not say, `none` where it must not be kept
    once: bool = False  # no number tells its end
    ends: tuple[str, ...] = ()  # further conditions that are over with it


Codes = dict[int, Row]


def _split(text: str) -> list[tuple[int, str]]:
    """`"4b:face 9c:qr"` → (0x4b, "face"), …"""
    return [(int(code, 16), word) for code, _, word in (item.partition(":") for item in text.split())]


def _named(text: str, where: str = DOOR) -> Codes:
    """Known, but no condition and no passage: told as `device.unmapped` with a word."""
    return {code: Row("device.unmapped", reason=word, where=where) for code, word in _split(text)}


def _pairs(type: str, text: str, where: str = "") -> Codes:
    """`"406/407:reader"`: the word is the reason of its beginning, and the part it is of where `where` is not given."""
    found: Codes = {}
    for item in text.split():
        codes, _, word = item.partition(":")
        begin, _, end = codes.partition("/")
        at = where or word
        found[int(begin, 16)] = Row(type, Phase.RAISE, word or None, at)
        found[int(end, 16)] = Row(type, Phase.CLEAR, None, at)
    return found


def _once(type: str, text: str, where: str = "") -> Codes:
    return {code: Row(type, Phase.RAISE, word, where or word, once=True) for code, word in _split(text)}


_GRANTED = """
1:card 2:card 10:card 22:pin 26:fingerprint 28:card 2b:card 2e:fingerprint 36:face 39:face 3c:face 3f:face 42:face
45:fingerprint 48:fingerprint 4b:face 4d:face 65:pin 69:none 99: 9c:qr 9e: 9f:phone b5:pin"""
_DENIED = """
3:wrong_pin 4:timeout 5:other 6:no_right 7:out_of_time 8:expired 9:unknown_credential a:passback b:interlock c:no_right
d:out_of_time e:no_right f:no_right 23:other 24:timeout 27:unknown_credential 29:other 2a:timeout 2c:other 2d:timeout
2f:other 30:timeout 31:unknown_credential 37:other 38:timeout 3a:other 3b:timeout 3d:face_mismatch 3e:timeout 40:other
41:timeout 43:other 44:timeout 46:other 47:timeout 49:other 4a:timeout 4c:face_mismatch 4e:face_mismatch 4f:timeout
50:unknown_credential 5e:no_right 66:wrong_pin 67:timeout 68:other 70:face_mismatch 71:disabled 75:lockdown
76:out_of_time 77:other 78:other 82:lockdown 84:lockdown 96:wrong_pin 97:wrong_pin 98:unknown_credential 9a:timeout
9b:other 9d:unknown_credential a0:other a2:other a3:other c3:expired"""
_FACES = frozenset({0x3D, 0x4C, 0x4E, 0x50, 0x68})
_PRINTS = frozenset({0x27, 0x2F, 0x31, 0x46, 0x49})
_PAPERS = frozenset({0x70, 0x71})  # identity cards: their numbers are not kept


def _denied_kind(code: int) -> str:
    return "face" if code in _FACES else "fingerprint" if code in _PRINTS else "none" if code in _PAPERS else ""


_EVENTS: Codes = {
    **{code: Row("access.granted", kind=kind) for code, kind in _split(_GRANTED)},
    **{code: Row("access.denied", reason=why, kind=_denied_kind(code)) for code, why in _split(_DENIED)},
    **_named(
        """11:leader-card-begins 12:leader-card-ends 13:always-open-begins 14:always-open-ends 15:lock-opens
        16:lock-closes 18:exit-button-released 1d:output-on 1e:output-off 1f:always-closed-begins 20:always-closed-ends
        21:waits-for-remote-opening 25:doorbell 32:platform-is-asked 33:call 51:first-card-begins 52:first-card-ends
        5f:relay-open 60:relay-closed 61:relay-open 62:relay-closed 63:relay-open 64:relay-closed 72:message-accepted
        73:message-refused 74:mac-address-seen 83:heartbeat 89:passing-timeout 8b:passed-unauthorized 8f:loitering"""
    ),
    0x17: Row("access.granted", reason="egress"),
    0x19: Row("door.open", Phase.RAISE),
    0x1A: Row("door.open", Phase.CLEAR, ends=("door.forced", "door.held")),
    0x1B: Row("door.forced", Phase.RAISE),
    0x1C: Row("door.held", Phase.RAISE),
    0x34: Row("door.released", Phase.RAISE, "fire"),
    0x35: Row("door.released", Phase.CLEAR),
    0x85: Row("video.tailgating"),
    0x87: Row("door.forced", Phase.RAISE, "impact", once=True),
    0x8C: Row("device.fault", Phase.RAISE, "barrier-blocked", "barrier"),
    0x8D: Row("device.fault", Phase.CLEAR, None, "barrier"),
    **_once("video.intrusion", "86:wrong-way 88:climbed-over 8a:intrusion", DOOR),
    **_once(
        "device.fault", "53:lock-line-short 54:lock-line-open 55:lock-line-fault 5c:lock-fault 5d:lock-timeout", "lock"
    ),
    **_once("device.fault", "56:contact-line-short 57:contact-line-open 58:contact-line-fault", "contact"),
    **_once("device.fault", "59:exit-line-short 5a:exit-line-open 5b:exit-line-fault", "exit"),
}
_ALARMS: Codes = {
    **_pairs("device.tamper", "404/405:", DEVICE),
    **_pairs("device.tamper", "406/407:reader 40f/410:security-module 41e/41f:sub-controller 422/423:lane-controller"),
    **_pairs("fire.manual", "418/419:", "fire-button"),
    **_pairs("fire.panel", "424/425:", "fire-input"),  # a fire signal has come in; 415 and 416 are faults of its wire
    **_pairs("safety.panic", "41c/41d:", "emergency-button"),
    **_named("40e:picture-taken 411:checkout-begins 412:checkout-ends 413:poor-face 414:poor-fingerprint", DEVICE),
    0x408: Row("device.unmapped", reason=INPUT, where="input"),
    0x409: Row("device.unmapped", reason=INPUT_ENDS, where="input"),
    **_named("41a:maintenance-button 41b:maintenance-button-released", DEVICE),
    0x400: Row("device.fault", Phase.RAISE, "input-line-short", "input"),
    0x401: Row("device.fault", Phase.RAISE, "input-line-open", "input"),
    0x402: Row("device.fault", Phase.RAISE, "input-line-fault", "input"),
    0x403: Row("device.fault", Phase.CLEAR, None, "input"),
    0x40A: Row("access.duress"),
    0x95D: Row("access.duress"),
    0x40C: Row("access.lockout", Phase.RAISE, once=True),
    0x415: Row("device.fault", Phase.RAISE, "fire-input-line-short", "fire-input"),
    0x416: Row("device.fault", Phase.RAISE, "fire-input-line-open", "fire-input"),
    0x417: Row("device.fault", Phase.CLEAR, None, "fire-input"),
    **_once("device.fault", "40b:memory-nearly-full 442:memory-nearly-full", "memory"),
    **_once("device.fault", "40d:card-full", "memory"),
}
_EXCEPTIONS: Codes = {
    **_pairs("device.fault", "27/407:network"),
    **_pairs("device.power_fault", "405/406:mains", DEVICE),
    **_pairs("device.battery_low", "403/404: 411/412:", DEVICE),
    **_pairs(
        "device.fault",
        """409/40a:reader 40b/40c:indicator 40d/40e:lane-controller 40f/410:security-module 413/414:local-network
        415/416:rs485-loop 417/418:local-controller 419/41a:rs485-loop-below 41c/41b:sub-controller 41d/41e:id-reader
        41f/420:fingerprint-module 421/422:camera 423/424:serial-port 427/426:id-comparer 42a/42b:anti-passback-server
        42d/42e:can-bus 430/431:ir-emitter 432/433:lamp-board 434/435:ir-adaptor 437/436:printer 439/438:modem""",
    ),
    **_once("device.fault", "408:flash 42c:motor 42f:temperature"),
    **_named(
        "400:power-on 401:power-off 402:watchdog-restart 425:not-authorized 428:login-locked 429:login-unlocked", DEVICE
    ),
}
_OPERATIONS = _named(
    """50:local-login 51:local-logout 5a:local-upgrade 70:remote-login 71:remote-logout 79:armed 7a:disarmed 7b:restart
    7e:remote-upgrade 86:settings-exported 87:settings-imported d6:output-on d7:output-off 400:remote-open
    401:remote-close 402:remote-always-open 403:remote-always-closed 404:time-set 405:time-set-by-ntp 406:cards-erased
    407:settings-restored 408:input-armed 409:input-disarmed 40a:settings-restored-locally 40b:picture-taken
    40f:opened-by-password 41c:remote-close 41d:remote-open 41e:remote-always-open"""
)
TABLE: Mapping[int, Codes] = {ALARM: _ALARMS, EXCEPTION: _EXCEPTIONS, OPERATION: _OPERATIONS, EVENT: _EVENTS}
UNKNOWN = Row("device.unmapped", where=DEVICE)


def meaning(major: int | None, minor: int | None) -> Row:
    """The row of a code; `device.unmapped` where nobody has described it."""
    return TABLE.get(major or 0, {}).get(minor or 0, UNKNOWN)
