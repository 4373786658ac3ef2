"""What a device's states mean for its conditions: raised once, cleared once, across restarts and new subscriptions.

A state says `true` and later `false`; some firmware repeats `true` while it lasts, some never says `false`. So silence
means an end only where it can: of a state that is repeated and has never told its end, of all with `never_false`, and,
after a new subscription, of what the device does not confirm. Pure: the time is an argument. (An underscore: no
driver.)
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from drivers._onvif_notes import Sighting, ended
from gateway.event import Phase, Reading, part_key

MOST = 1024  # states that are remembered; a recorder has about ten per camera
SETTLE_S = 1.0  # after a first `false`: another state of the same condition may be about to say `true`
_BEFORE = ""  # the state that held a condition before this run


class _Key(NamedTuple):
    type: str
    part: str


@dataclass(slots=True)
class _Held:
    reading: Reading
    until: dict[str, float] = field(default_factory=dict)  # identity → when its silence means the end


class States:
    """Of one device."""

    def __init__(self, clear_after_s: float, *, never_false: bool = False) -> None:
        self._clear_after_s, self._never_false = clear_after_s, never_false
        self._held: dict[_Key, _Held] = {}
        self._bursts: dict[str, float] = {}  # happening → when it may be told again, if it does not end before
        self._values: dict[str, bool | None] = {}
        self._ending: dict[str, None] = {}  # states that have told an end, the newest last
        self.crowded = False  # more states than are remembered

    def copy(self) -> "States":
        """For what may fail: see on a copy, and keep that when what it said is on disk."""
        made = States(self._clear_after_s, never_false=self._never_false)
        made._held = {key: replace(held, until=dict(held.until)) for key, held in self._held.items()}
        made._bursts, made._values, made._ending = dict(self._bursts), dict(self._values), dict(self._ending)
        made.crowded = self.crowded
        return made

    def restore(self, device: str, active: Iterable[tuple[str, str | None]]) -> None:
        """Conditions that are open on disk, as `Link.active` gives them."""
        for type, address in active:
            reading = Reading(device, type, Phase.RAISE, part={"address": address} if address else None)
            self._held[_Key(type, address or "")] = _Held(reading, {_BEFORE: math.inf})

    def doubt(self, now_s: float, *, told: bool) -> None:
        """A new subscription. `told`: the device says how it is; what it does not confirm is over after a while.

        Where it does not, only what the picture shows is taken to be over; a contact or a fault is not.
        """
        for key, held in self._held.items():
            if told or key.type.startswith("video."):
                held.until = dict.fromkeys(held.until, now_s + self._clear_after_s)

    def see(self, sighting: Sighting, now_s: float) -> Reading | None:
        """What is new about it, or None."""
        if sighting.reading.values:
            return self._value(sighting)
        if sighting.reading.phase is Phase.PULSE:
            return self._happening(sighting, now_s)
        return self._over(sighting, now_s) if sighting.active is False else self._began(sighting, now_s)

    def _room(self) -> bool:
        known = len(self._bursts) + len(self._values) + sum(len(held.until) for held in self._held.values())
        self.crowded |= known >= MOST
        return known < MOST

    def _value(self, sighting: Sighting) -> Reading | None:
        if self._values.get(sighting.identity) is sighting.active:
            return None
        if sighting.identity in self._values or self._room():
            self._values[sighting.identity] = sighting.active
            return sighting.reading
        return None

    def _happening(self, sighting: Sighting, now_s: float) -> Reading | None:
        known = self._bursts.pop(sighting.identity, -math.inf) > now_s
        if sighting.active is False:
            return None
        if not known and not self._room():
            return None
        self._bursts[sighting.identity] = now_s + self._clear_after_s
        return None if known or sighting.initial else sighting.reading

    def _began(self, sighting: Sighting, now_s: float) -> Reading | None:
        key, identity = _key(sighting.reading), sighting.identity
        held = self._held.get(key)
        repeated = held is not None and identity in held.until and not sighting.initial
        silence = self._never_false or sighting.active is None or (repeated and identity not in self._ending)
        until_s = now_s + self._clear_after_s if silence else math.inf
        if held is None:
            if not self._room():
                return None
            self._held[key] = _Held(sighting.reading, {identity: until_s})
            return sighting.reading
        if identity in held.until or self._room():
            held.until.pop(_BEFORE, None)
            held.until[identity] = until_s
        return None

    def _over(self, sighting: Sighting, now_s: float) -> Reading | None:
        key, identity = _key(sighting.reading), sighting.identity
        held = self._held.get(key)
        if held is None:
            return None
        if held.until.pop(identity, None) is not None:
            self._remember_ending(identity)
        if _BEFORE in held.until and sighting.initial:
            held.until[_BEFORE] = min(held.until[_BEFORE], now_s + SETTLE_S)
        else:
            held.until.pop(_BEFORE, None)
        if held.until:
            return None
        del self._held[key]
        return ended(sighting.reading)

    def _remember_ending(self, identity: str) -> None:
        self._ending.pop(identity, None)
        self._ending[identity] = None
        if len(self._ending) > MOST:
            del self._ending[next(iter(self._ending))]

    def silent(self, now_s: float) -> list[Reading]:
        """What has ended because nobody spoke of it any more."""
        self._bursts = {identity: until for identity, until in self._bursts.items() if until > now_s}
        over: list[Reading] = []
        for key, held in list(self._held.items()):
            held.until = {identity: until for identity, until in held.until.items() if until > now_s}
            if not held.until:
                del self._held[key]
                over.append(Reading(held.reading.device, key.type, Phase.CLEAR, part=held.reading.part))
        return over

    def due_s(self) -> float:
        """When `silent` may next have something to say (monotonic seconds); infinity for never."""
        return min((until for held in self._held.values() for until in held.until.values()), default=math.inf)


def _key(reading: Reading) -> _Key:
    return _Key(reading.type, part_key(reading.part))
