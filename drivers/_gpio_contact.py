"""From levels to conditions: what a contact's state is, when it counts, what it means. Pure: time is an argument."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from drivers._gpio_config import Analog, Config, Contact
from gateway.event import Json, Phase, Reading, Value

State = Literal["closed", "open", "short", "cut"]
FAULTS: Mapping[State, str] = {"short": "short-circuit", "cut": "wire-cut"}
FAULT = "device.fault"
Key = tuple[str, str | None]


class Seen(NamedTuple):
    """One look at a contact: its state, and the number it was read from (a level 0 or 1, or an analog value)."""

    state: State
    value: float


def state_of(contact: Contact, value: float, before: State | None = None) -> State:
    """A pin's level (0, 1), or an analog value in its unit → the contact's state. `before` decides near a threshold."""
    analog = contact.analog
    if analog is None:
        return "closed" if (value >= 1) == (contact.closed == "high") else "open"
    shorted, parted = _sides(contact)
    if value <= _moved(analog.low, analog, before == shorted):
        return shorted
    if value >= _moved(analog.high, analog, before == parted, -1):
        return parted
    return contact.normal


def _sides(contact: Contact) -> tuple[State, State]:
    """What joined wires, and what a parted loop mean."""
    return ("closed", "cut") if contact.normal == "open" else ("short", "open")


def _moved(limit: float, analog: Analog, held: bool, sign: int = 1) -> float:
    return limit + sign * analog.hysteresis * held


class Settling:
    """A state counts when it has stayed for the debounce time."""

    def __init__(self, debounce_s: float) -> None:
        self.state: State | None = None
        self._debounce_s = debounce_s
        self._next: State | None = None
        self._since_s = 0.0

    def feed(self, state: State, now_s: float) -> bool:
        """One look. True when it has just come to count."""
        if state == self.state:
            self._next = None
            return False
        if state != self._next:
            self._next, self._since_s = state, now_s
        if now_s - self._since_s < self._debounce_s:
            return False
        self.state, self._next = state, None
        return True

    @property
    def due_s(self) -> float | None:
        """When the next look may make it count; None while nothing is on its way."""
        return None if self._next is None else self._since_s + self._debounce_s


def part(config: Config, number: int) -> Mapping[str, Json]:
    """An input as a part of its device."""
    name = config.inputs[number].name
    return {"point": number} if name is None else {"point": number, "text": name}


def meaning(config: Config, number: int, seen: Seen) -> list[tuple[Key, Reading]]:
    """What is (RAISE) and is not (CLEAR) true of an input now. A faulty loop says nothing of its contact."""
    contact, address = config.inputs[number], str(number)
    fault = FAULTS.get(seen.state)
    told: list[tuple[Key, Reading]] = [
        ((FAULT, address), _reading(config, number, FAULT, fault is not None, seen, fault))
    ]
    if fault is None:
        active = seen.state != contact.normal
        told.append(((contact.type, address), _reading(config, number, contact.type, active, seen, None)))
    return told


def _reading(config: Config, number: int, type: str, on: bool, seen: Seen, reason: str | None) -> Reading:
    contact = config.inputs[number]
    analog = contact.analog
    values = {f"input_{number}": Value(seen.state == "closed")} if seen.state not in FAULTS else {}
    raw: dict[str, Json] = {"line": contact.line, "value": int(seen.value)} if analog is None else {"state": seen.state}
    if analog is not None:
        values[f"level_{number}"] = Value(seen.value, analog.unit)
    phase = Phase.RAISE if on else Phase.CLEAR
    return Reading(config.id, type, phase, values=values, part=part(config, number), reason=reason, raw=raw)
