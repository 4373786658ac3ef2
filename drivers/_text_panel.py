"""What is news in what a panel prints: a repeated line is a state, not a second alarm. Pure: time is an argument.

(An underscore: no driver.)
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from re import Match

from drivers._text_map import Row, TextMap, ended, part_of, time_of
from drivers._zone import local_time
from gateway.event import Json, Phase, Reading, part_key
from gateway.taxonomy import TYPES

MOST_TEXTS = 256  # remembered, to know a repetition by
MOST_UNKNOWN, UNKNOWN_PER_S = 30, 60.0  # records that no row fits are told, in so many seconds
Active = Callable[[str], frozenset[tuple[str, str | None]]]  # as Link.active


class Panel:
    """One port: the panel's id, its map and zone, and the parts that are devices of their own."""

    def __init__(self, device: str, text_map: TextMap, zone: str, parts: dict[str, str], repeats_s: float) -> None:
        self.device = device
        self.map = text_map
        self._zone = zone
        self._parts = parts
        self._repeats_s = repeats_s
        self._told: OrderedDict[str, float] = OrderedDict()
        self._minute_s = float("-inf")
        self._unknown = 0  # records of this minute that no row fits
        self.left_out = 0  # of them, since the last that was told

    def meaning(self, text: str) -> list[Reading]:
        """A record by itself, nothing known before; ends of conditions that are not named in it are left out."""
        if self.map.idles(text):
            return []
        found = self.map.find(text)
        if found is None:
            return [self._unmapped(text)]
        row, match = found
        return [] if row.clears else [self._reading(row, match, text)]

    def news(self, text: str, active: Active, now_s: float) -> list[Reading]:
        """What a record tells that is not known yet. Nothing is remembered of it before `told`."""
        found = None if self.map.idles(text) else self.map.find(text)
        if found is not None and found[0].clears:
            return self._ends(found[0].clears, active)
        repeated = now_s - self._told.get(text, float("-inf")) < self._repeats_s
        news = [_new(each, active(each.device), repeated) for each in self.meaning(text)]
        return [self._counted(each) for each in news if each is not None and self._may_pass(each, now_s)]

    def _may_pass(self, reading: Reading, now_s: float) -> bool:
        """Of what nobody has described, so many a minute: a port at a wrong speed brings nothing else."""
        if reading.type != "device.unmapped":
            return True
        if now_s - self._minute_s >= UNKNOWN_PER_S:
            self._minute_s, self._unknown = now_s, 0
        self._unknown += 1
        self.left_out += self._unknown > MOST_UNKNOWN
        return self._unknown <= MOST_UNKNOWN

    def _counted(self, reading: Reading) -> Reading:
        """The first that passes again says how many did not."""
        if reading.type != "device.unmapped" or not self.left_out:
            return reading
        left_out, self.left_out = self.left_out, 0
        return replace(reading, raw={**reading.raw, "left_out": left_out})

    def told(self, text: str, now_s: float) -> None:
        """The record is on disk."""
        self._told[text] = now_s
        self._told.move_to_end(text)
        while len(self._told) > MOST_TEXTS:
            self._told.popitem(last=False)

    def _ends(self, types: Sequence[str], active: Active) -> list[Reading]:
        """A panel's own reset ends what it has told (contract, section 10), on the devices of its parts too."""
        return [
            Reading(device, type, Phase.CLEAR, part={"address": address} if address else None)
            for device in (self.device, *self._parts.values())
            for type, address in ended(types, active(device))
        ]

    def _reading(self, row: Row, match: Match[str], text: str) -> Reading:
        said = row.says(match)
        if said is None:
            return self._unmapped(text)
        part = part_of(match)
        return Reading(
            self._parts.get(part_key(part), self.device),
            *said,
            part=part,
            device_time=local_time(time_of(match), self.map.times, self._zone),
            test=row.test,
            reason=row.why(match),
            raw={"text": text},
        )

    def _unmapped(self, text: str) -> Reading:
        raw: dict[str, Json] = {"text": text}
        return Reading(self.device, "device.unmapped", Phase.PULSE, raw=raw)


def _new(reading: Reading, active: frozenset[tuple[str, str | None]], repeated: bool) -> Reading | None:
    """A happening printed twice is one; a condition that stands already is told again as such, but not at once."""
    if TYPES[reading.type].phases == (Phase.PULSE,):
        return None if repeated else reading
    stands = (reading.type, part_key(reading.part) or None) in active
    if stands == (reading.phase is Phase.RAISE):
        if repeated:
            return None
        return replace(reading, phase=Phase.STILL) if stands else reading
    return reading
