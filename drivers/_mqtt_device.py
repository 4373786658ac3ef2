"""A device behind a hub, and what a few messages come to. (An underscore: no driver.)"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers._mqtt_config import Config
from drivers._mqtt_profile import Profile
from drivers._mqtt_report import Key, Memory, Plan, plan_of
from gateway.event import Reading


@dataclass(slots=True)
class Device:
    """One device behind the hub."""

    config: Config
    plans: dict[str, Plan]  # by the name of the map
    offline_after_s: float  # infinite: silence means nothing
    memory: Memory = field(default_factory=Memory)
    heard_s: float = -math.inf  # monotonic
    away: str | None = None  # why it was last told to be offline


def device_of(config: Config, hub: Config, profile: Profile) -> Device:
    """As it stands before it was heard. Its own entry counts more than the hub's, and that more than the profile."""
    limits = (config.offline_after, hub.offline_after, profile.offline_after, math.inf)
    limit_s = next(limit for limit in limits if limit is not None)
    plans = {name: plan_of(map, config.conditions, config.values) for name, map in profile.maps.items()}
    return Device(config, plans, limit_s)


@dataclass(slots=True)
class Batch:
    """What a few messages come to. `active` gives the conditions that stand open on disk, by device."""

    active: Callable[[str], frozenset[Key]]
    urgent: list[Reading] = field(default_factory=list)
    samples: list[Reading] = field(default_factory=list)
    there: dict[str, Device | None] = field(default_factory=dict)  # None: the hub itself
    gone: dict[str, str] = field(default_factory=dict)  # device → why
    keys: list[str] = field(default_factory=list)
    _held: dict[str, set[Key]] = field(default_factory=dict)

    def held(self, device: str) -> set[Key]:
        """Conditions that stand open on a device, with what the batch has changed so far."""
        if device not in self._held:
            self._held[device] = set(self.active(device))
        return self._held[device]
