"""What repeats becomes one event: a condition is told when it begins and when it ends, a happening once per burst.

Cameras say `active` about every second while something is true, and many never say that it ended. So a condition ends
with `inactive`, or after `hold_s` seconds in which no source of it spoke. Pure: the time is an argument.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gateway.event import Phase, Reading, part_key

_BEFORE = ""  # the source of a condition that was open before this run: whoever speaks next is taken for it


@dataclass(frozen=True, slots=True)
class Sighting:
    """One word of a device about one condition. `source` is the vendor's name of it; two sources may mean one type."""

    reading: Reading  # phase RAISE, or PULSE for a happening
    source: str
    active: bool
    hold_s: float
    lone: bool = False  # a record of its own: never part of a burst

    def ended(self) -> Reading:
        """The reading that says it is over."""
        return replace(self.reading, phase=Phase.CLEAR)


class _Key(NamedTuple):
    type: str
    part: str
    source: str  # of a happening; conditions of one type and part are one, whatever their source


@dataclass(slots=True)
class _Open:
    last: Reading
    hold_s: float
    until: dict[str, float] = field(default_factory=dict)  # source → when its silence means the end


class Conditions:
    """The open conditions and running bursts of one device."""

    def __init__(self) -> None:
        self._open: dict[_Key, _Open] = {}

    def restore(self, device: str, active: Iterable[tuple[str, str | None]], hold_s: float, now: float) -> None:
        """Conditions that are open on disk, as `Link.active` gives them."""
        for type, address in active:
            part = {"address": address} if address else None
            reading = Reading(device, type, Phase.RAISE, part=part)
            self._open[_Key(type, address or "", "")] = _Open(reading, hold_s, {_BEFORE: now + hold_s})

    def copy(self) -> "Conditions":
        """For what may fail: see on a copy, and keep that when what it said is on disk."""
        made = Conditions()
        made._open = {key: replace(held, until=dict(held.until)) for key, held in self._open.items()}
        return made

    def resume(self, now: float) -> None:
        """The device is there again: silence counts from now, as nothing could be heard before."""
        for held in self._open.values():
            held.until = dict.fromkeys(held.until, now + held.hold_s)

    def see(self, sighting: Sighting, now: float) -> Reading | None:
        """What is new about it, or None."""
        if sighting.lone:
            return sighting.reading
        reading = sighting.reading
        happening = reading.phase is Phase.PULSE
        key = _Key(reading.type, part_key(reading.part), sighting.source if happening else "")
        held = self._open.get(key)
        if sighting.active:
            return self._began(key, held, sighting, now)
        if held is None:
            return None
        held.until.pop(_BEFORE, None)
        held.until.pop(sighting.source, None)
        if held.until:
            return None
        del self._open[key]
        return None if happening else sighting.ended()

    def _began(self, key: _Key, held: _Open | None, sighting: Sighting, now: float) -> Reading | None:
        until = now + sighting.hold_s
        if held is None:
            self._open[key] = _Open(sighting.reading, sighting.hold_s, {sighting.source: until})
            return sighting.reading
        known = sighting.source in held.until or _BEFORE in held.until
        held.until.pop(_BEFORE, None)
        held.until[sighting.source] = until
        # A second fault of another reason is told; a second detector of one intrusion is not.
        return None if known or sighting.reading.reason in (None, held.last.reason) else sighting.reading

    def silent(self, now: float) -> list[Reading]:
        """What has ended because nobody spoke of it any more."""
        over: list[Reading] = []
        for key, held in list(self._open.items()):
            held.until = {source: until for source, until in held.until.items() if until > now}
            if held.until:
                continue
            del self._open[key]
            if held.last.phase is not Phase.PULSE:
                over.append(Reading(held.last.device, key.type, Phase.CLEAR, part=held.last.part))
        return over

    def due(self) -> float | None:
        """When `silent` may next have something to say (monotonic seconds)."""
        return min((until for held in self._open.values() for until in held.until.values()), default=None)
