"""What each device is now: the retained state document (contract, sections 2 and 10), made from what was accepted."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.alarms import Alarm, Book
from gateway.clock import rfc3339
from gateway.event import Phase, Reading, Value, told
from gateway.measures import shields, uncovered

_FAULTS = ("device.fault", "device.power_fault")
_NOT_ALARMS = (
    *_FAULTS, "device.offline", "device.shielded", "device.test", "device.battery_low", "device.end_of_life",
)  # fmt: skip
OFFLINE = "device.offline"
MOST_VALUES = 256  # of one device; it may name them anew with each post: then the oldest go


@dataclass(slots=True)
class Presence:
    """What is known of a device in this run: answered or not, when last, and its newest values."""

    online: bool | None = None  # None: not a word from it yet
    last_seen: datetime | None = None
    values: dict[str, tuple[str, Value]] = field(default_factory=dict)  # with the type of event that brought it


class States:
    """Every device's present state. `listeners` hear the id of a device whose document may have changed."""

    def __init__(self, devices: Iterable[str]) -> None:
        self._presence = {device: Presence() for device in devices}
        self.listeners: list[Callable[[str], None]] = []

    def __getitem__(self, device: str) -> Presence:
        return self._presence[device]

    def heard(self, device: str, now: datetime) -> bool:
        """The device answered. Returns whether that is news."""
        presence = self._presence[device]
        presence.last_seen = now
        news = presence.online is not True
        presence.online = True
        return news

    def silent(self, device: str) -> None:
        """The device does not answer."""
        self._presence[device].online = False

    def took(self, reading: Reading) -> None:
        """A reading was accepted: remember its values, and that the document may have changed."""
        presence = self._presence.get(reading.device)
        if presence is not None:
            presence.values.update({name: (reading.type, value) for name, value in told(reading.values).items()})
            if len(presence.values) > MOST_VALUES:
                spare = [name for name in presence.values if name not in reading.values]
                for name in spare[: len(presence.values) - MOST_VALUES]:
                    del presence.values[name]
            if reading.phase is not Phase.PULSE or reading.values or not reading.type.startswith("telemetry."):
                self.changed(reading.device)

    def changed(self, device: str) -> None:
        """Tell whoever keeps a copy."""
        for listener in self.listeners:
            listener(device)

    def document(self, device: str, book: Book, wants: Callable[..., bool] = lambda *_: True) -> dict[str, Any]:
        """The state document for whoever `wants` only some types of events; fields without a value are left out."""
        presence = self._presence[device]
        mine = book.of(device)
        alarms = [alarm for alarm in _counted(mine) if wants(alarm.type, alarm.severity)]
        over = [alarm for alarm in uncovered(mine) if wants(alarm.type, alarm.severity) or shields(alarm)]
        document: dict[str, Any] = {
            "device": device,
            "online": presence.online is True,
            "state": word(presence.online, over),
            "alarms": sorted({alarm.type for alarm in alarms if alarm.active or alarm.latched}),
            "values": {name: _value(value) for name, (kind, value) in presence.values.items() if wants(kind)},
        }
        if presence.last_seen is not None:
            document["last_seen"] = rfc3339(presence.last_seen)
        return document


def word(online: bool | None, alarms: Iterable[Alarm]) -> str:
    """One word, in the contract's order: alarm, fault, shielded, test, offline, unknown, normal.

    What a shield or a suppression lies over says nothing; the shield says `shielded`.
    """
    alarms = _counted(uncovered(alarms))
    active = {alarm.type for alarm in alarms if alarm.active}
    if any(alarm.type not in _NOT_ALARMS for alarm in alarms):
        return "alarm"
    if active.intersection(_FAULTS):
        return "fault"
    for name in ("shielded", "test", "offline"):
        if f"device.{name}" in active:
            return name
    if online is None:
        return "unknown"
    return "normal" if online else "offline"


def _counted(alarms: Iterable[Alarm]) -> list[Alarm]:
    """Without mere conditions, such as an open door: they change no word."""
    return [alarm for alarm in alarms if alarm.severity != "info" or alarm.type in _NOT_ALARMS]


def _value(value: Value) -> dict[str, Any]:
    return {"value": value.value, "unit": value.unit} if value.unit else {"value": value.value}
