"""Who is there: by what a device sends, by what is said of it, by its hub, by silence. (An underscore: no driver.)"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from drivers._mapping import MISSING, at
from drivers._mqtt_config import Config
from drivers._mqtt_device import Batch, Device
from drivers._mqtt_profile import Presence, word
from drivers._mqtt_report import over, plain
from gateway.clock import Clock
from gateway.errors import BadInput, Text
from gateway.event import Reading

HUB_OFFLINE, SILENT, REPORTED, UNREACHABLE = "hub-offline", "silent", "reported-offline", "unreachable"
_WITH_THE_HUB = (HUB_OFFLINE, UNREACHABLE)  # why a device is gone though nothing is known of itself


class Roll:
    """The presence of one hub and its devices."""

    def __init__(self, hub: Config, devices: Mapping[str, Device], clock: Clock) -> None:
        self.online: bool | None = None  # as the hub says, in this connection
        self._hub = hub
        self._devices = devices
        self._clock = clock
        self._began_s = clock.monotonic()

    def alive(self, batch: Batch, device: Device, age_s: float = 0.0) -> None:
        """It was heard so long ago."""
        device.heard_s = max(device.heard_s, self._clock.monotonic() - age_s)
        batch.there[device.config.id] = device
        batch.gone.pop(device.config.id, None)

    def said(self, batch: Batch, device: Device, presence: Presence, body: Any) -> None:
        """It, or its hub, says whether it is there. BadInput: neither."""
        online = _online(device.config.id, presence, body)
        if online and self.online is not False:
            self.alive(batch, device)
        elif not online and not device.config.sleeps:
            batch.there.pop(device.config.id, None)
            batch.gone[device.config.id] = REPORTED

    def hub_said(self, batch: Batch, presence: Presence, payload: bytes) -> None:
        """The hub says whether it is there itself; its devices go, and come back, with it. BadInput: neither."""
        self.online = _online(self._hub.id, presence, plain(payload))
        if not self.online:
            batch.there.clear()
            batch.gone |= {self._hub.id: REPORTED, **dict.fromkeys(self._devices, HUB_OFFLINE)}
            batch.urgent += self.over(batch, math.inf)
            return
        kept = {name: why for name, why in batch.gone.items() if why != HUB_OFFLINE and name != self._hub.id}
        batch.gone = kept
        batch.there |= {name: device for name, device in self.back().items() if name not in kept}

    def back(self) -> dict[str, Device | None]:
        """Who is there because the hub is: itself, and devices that were lost with it and are not silent."""
        found = {name: device for name, device in self._devices.items() if self._returns(device)}
        return {self._hub.id: None, **found}

    def _returns(self, device: Device) -> bool:
        if self._hub.meaning.follow:
            return device.away != REPORTED
        silent = self._clock.monotonic() - device.heard_s >= device.offline_after_s
        return device.away in _WITH_THE_HUB and device.heard_s > -math.inf and not silent

    def silent(self) -> Iterator[str]:
        """Devices of which nothing has come for too long, and which are not told to be offline yet."""
        now_s = self._clock.monotonic()
        for name, device in self._devices.items():
            if device.away is None and now_s - max(device.heard_s, self._began_s) >= device.offline_after_s:
                yield name

    def due_s(self) -> float:
        """When `silent` or `over` may next have something to say, monotonic; infinite: never."""
        devices = self._devices.values()
        quiet = [max(d.heard_s, self._began_s) + d.offline_after_s for d in devices if d.away is None]
        ends = [until_s for d in devices for running in d.memory.running.values() for until_s in running.values()]
        return min([*quiet, *ends], default=math.inf)

    def over(self, batch: Batch, now_s: float) -> Iterator[Reading]:
        """Activities that have ended without a word."""
        for name, device in self._devices.items():
            if device.memory.running:
                yield from over(name, device.memory, batch.held(name), now_s)


def _online(whose: str, presence: Presence, body: Any) -> bool:
    said = at(body, presence.path) if presence.path is not None and isinstance(body, dict) else body
    if said is not MISSING and said is not None and not isinstance(said, (dict, list)):
        if word(said) in presence.online:
            return True
        if word(said) in presence.offline:
            return False
    raise BadInput(whose, Text("neither online nor offline", "既不是在线也不是离线"))
