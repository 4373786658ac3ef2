"""What a door makes of a reader's reports: cards, PINs, tamper, the door contact. Pure: time is an argument (seconds).

A card or PIN becomes `access.denied` with `unknown_credential`, which is what a door without a list says of it; the
reader's task then asks the local list and turns it into what that says.
"""

from collections.abc import Iterable
from dataclasses import replace

from drivers._osdp_config import Config, Door
from drivers._osdp_wire import Attached, Card, Inputs, Keys, Local, Report
from drivers._wiegand import decode as decode_card
from gateway.driver import Decision
from gateway.event import Credential, Json, Phase, Reading

GRACE_S = 1.0  # between the grant's end and the contact's report of an opening that was in time
LONGEST_PIN = 12  # digits


def card_reading(config: Config, card: Card) -> Reading:
    """Card bits → a credential that was presented, or a read error: how many bits, never which."""
    raw: dict[str, Json] = {"reader": card.reader, "bits": card.bits}
    credential = decode_card(card.bits, card.data, config.format)
    if credential is None:
        return Reading(config.id, "device.unmapped", Phase.PULSE, reason="read-error", raw=raw)
    return _presented(config, credential, raw)


def pin_credential(digits: str) -> Credential:
    """A typed PIN; how many digits stands as facility, so that 0123 and 123 differ."""
    return Credential("pin", len(digits), int(digits), kind="pin")


def pin_reading(config: Config, report: Keys, pin: Credential) -> Reading:
    """A PIN that was completed."""
    return _presented(config, pin, {"reader": report.reader})


def _presented(config: Config, credential: Credential, raw: dict[str, Json]) -> Reading:
    reason = "unknown_credential"
    return Reading(config.id, "access.denied", Phase.PULSE, reason=reason, credential=credential, raw=raw)


def judged(reading: Reading, decision: Decision) -> Reading:
    """The same, decided."""
    if decision.granted:
        return replace(reading, type="access.granted", reason=None, data={**reading.data, **decision.data})
    return replace(reading, reason=decision.reason)


class Keypad:
    """Gathers keys to PINs: `#` ends one, `*` clears, a pause of `timeout_s` forgets."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._digits = ""
        self._last = 0.0

    def feed(self, keys: str, now: float) -> list[Credential]:
        """Keys pressed → the PINs that were completed."""
        if now - self._last > self._timeout_s:
            self._digits = ""
        self._last = now
        found: list[Credential] = []
        for key in keys:
            if key == "#" and self._digits:
                found.append(pin_credential(self._digits))
            self._digits = self._digits + key if key.isdigit() else ""
            if len(self._digits) > LONGEST_PIN:
                self._digits = ""
        return found


class Repeats:
    """The same bits again within `window_s` are one reading (a reply lost on the wire is sent again, hands shake)."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._seen: dict[Card, float] = {}

    def again(self, card: Card, now: float) -> bool:
        """Was it here a moment ago? Each sight of it renews the moment."""
        self._seen = {seen: at for seen, at in self._seen.items() if now - at <= self._window_s}
        known = card in self._seen
        self._seen[card] = now
        return known


class Conditions:
    """What is raised on one device, so that each is raised once and cleared once, also across a restart."""

    def __init__(self, device: str, active: Iterable[tuple[str, str | None]]) -> None:
        self._device = device
        self._active = {type for type, part in active if part is None}

    def __contains__(self, type: str) -> bool:
        return type in self._active

    def put(self, type: str, on: bool, reason: str | None = None) -> list[Reading]:
        """The condition is (not) there: a raise or a clear where that is new."""
        if on == (type in self._active):
            return []
        self._active ^= {type}
        return [Reading(self._device, type, Phase.RAISE if on else Phase.CLEAR, reason=reason)]


class Watch:
    """The door contact, the exit button and the casing: what the reader's reports mean for the door."""

    def __init__(self, door: Door, conditions: Conditions) -> None:
        self._door = door
        self._conditions = conditions
        self._allowed_until = 0.0
        self._open_since: float | None = None
        self._known = False  # was the contact reported before? A door found open has not been forced
        self._exit = False
        self._tamper = {"local": False, "attached": False}

    def allow(self, now: float, seconds: float) -> None:
        """The door may be opened for so long."""
        self._allowed_until = max(self._allowed_until, now + seconds + GRACE_S)

    def forbid(self) -> None:
        """The door was locked again."""
        self._allowed_until = 0.0

    def local(self, report: Local) -> list[Reading]:
        """Tamper and power of the reader."""
        return self._tampered("local", report.tamper) + self._conditions.put("device.power_fault", report.power_fault)

    def attached(self, report: Attached) -> list[Reading]:
        """The read head behind the reader: gone or tampered with, both a tamper of the device."""
        return self._tampered("attached", report.state != 0)

    def _tampered(self, which: str, on: bool) -> list[Reading]:
        self._tamper[which] = on
        return self._conditions.put("device.tamper", any(self._tamper.values()))

    def exit_pressed(self, inputs: Inputs) -> bool:
        """Has the exit button just been pressed?"""
        pressed = _input(inputs, self._door.exit) is True
        edge, self._exit = pressed and not self._exit, pressed
        return edge

    def contact(self, inputs: Inputs, now: float) -> list[Reading]:
        """The door contact's new state."""
        active = _input(inputs, self._door.contact)
        if active is None:
            return []
        is_open = active == (self._door.contact_open == "active")
        known, self._known = self._known, True
        if not is_open:
            self._open_since = None
            return [r for type in ("door.held", "door.forced", "door.open") for r in self._conditions.put(type, False)]
        found = self._conditions.put("door.open", True)
        if found and known and now > self._allowed_until and "door.released" not in self._conditions:
            found += self._conditions.put("door.forced", True)
        if self._open_since is None:
            self._open_since = now
        return found

    def tick(self, now: float) -> list[Reading]:
        """Time passes: has the door stood open for too long?"""
        if "door.released" in self._conditions and self._open_since is not None:
            self._open_since = now
        if self._open_since is None or now - self._open_since < self._door.held_after:
            return []
        return self._conditions.put("door.held", True)


def _input(inputs: Inputs, number: int | None) -> bool | None:
    return inputs.active[number] if number is not None and number < len(inputs.active) else None


def plain_readings(config: Config, report: Report) -> list[Reading]:
    """One report by itself, nothing known before: what `decode` gives."""
    device = config.id
    if isinstance(report, Card):
        return [card_reading(config, report)]
    if isinstance(report, Keys):
        return [pin_reading(config, report, pin) for pin in Keypad(config.pin_timeout).feed(report.keys, 0.0)]
    if isinstance(report, Local):
        states = {"device.tamper": report.tamper, "device.power_fault": report.power_fault}
    elif isinstance(report, Attached):
        states = {"device.tamper": report.state != 0}
    else:
        active = _input(report, config.door.contact)
        states = {} if active is None else {"door.open": active == (config.door.contact_open == "active")}
    return [Reading(device, type, Phase.RAISE if on else Phase.CLEAR) for type, on in states.items()]
