"""What a transmission device's objects mean: readings, and what of them is news. Pure. (An underscore: no driver.)

A status word tells all that is true of a part, a system or the device itself: a bit that is new begins a condition, a
bit that is gone ends it, and the same word again says nothing. What stands open comes from the disk (`active`), so a
restart forgets nothing; the board only remembers the newest words. Bit 0 (0: test) is inverted and, with many vendors,
simply unused: it never suppresses anything.
"""

from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from drivers._gb26875_family import Family, Key, Place
from drivers._gb26875_table import POST_CHECK, Bit, Edition
from drivers._gb26875_unit import Fields, Unit, hexadecimal, number, read_time, text
from gateway import taxonomy
from gateway.event import Json, Phase, Reading, Value
from gateway.taxonomy import TYPES, Level

KIND = "utd"  # of a device whose configuration names none
LINE = "fire-system"  # the part that `device.offline` of the device's bit 6 is about: what is behind the line
OFFLINE, TEST, MANUAL, PANEL, RELEASED, UNMAPPED = (
    "device.offline", "device.test", "fire.manual", "fire.panel", "door.released", "device.unmapped",
)  # fmt: skip
STATUS: Mapping[int, Level] = {1: "system", 2: "part", 21: "device"}  # data types with a status word
SYSTEM_OPERATION = 4  # data type
RESET = "operator.reset"
_OUTLASTS_RESET = frozenset({"device.shielded", OFFLINE, TEST, "gateway.uplink_lost"})
_MOST_REMEMBERED = 20_000  # words of one device; the oldest are forgotten, and would be told anew
_TEST_BIT = 1  # of a word: bit 0, turned round so that 1 is test
Active = Callable[[str], frozenset[tuple[str, str | None]]]


class Memory(NamedTuple):
    """The newest status word of each key (bit 0 turned round), and where it belongs."""

    words: MutableMapping[Key, int]
    places: MutableMapping[Key, Place]


class Draft:
    """What one frame says, beside what is known: taken into the memory once it is on disk."""

    def __init__(self, memory: Memory, active: Active) -> None:
        self.readings: list[Reading] = []
        self.words: ChainMap[Key, int] = ChainMap({}, memory.words)
        self.places: ChainMap[Key, Place] = ChainMap({}, memory.places)
        self.clash: Place | None = None  # one part address in two systems
        self.post_checked = False  # somebody answered the post check
        self._active = active
        self._held: dict[str, set[tuple[str, str | None]]] = {}

    def held(self, device: str) -> set[tuple[str, str | None]]:
        """What stands open on a device, with what this draft changes."""
        return self._held.setdefault(device, set(self._active(device)))

    def add(self, reading: Reading, key: Key) -> None:
        """One more, in order."""
        self.readings.append(reading)
        if reading.phase is Phase.RAISE:
            self.held(key[0]).add((reading.type, key[1]))
        elif reading.phase is Phase.CLEAR:
            self.held(key[0]).discard((reading.type, key[1]))


class _Object(NamedTuple):
    """One object of a unit, and whom it is about."""

    kind: int  # data type
    fields: Fields
    place: Place

    def reading(self, type: str, phase: Phase, reason: str | None = None, **numbers: Json) -> Reading:
        """A reading of it; `numbers` go to the vendor's numbers."""
        time = self.fields.get("time", b"")
        moment = read_time(time)
        raw = self.place.raw | {"type": self.kind} | numbers
        raw |= {"time": hexadecimal(time)} if time and moment is None else {}
        raw |= {"private": hexadecimal(self.fields["private"])} if "private" in self.fields else {}
        return Reading(
            self.place.config.id, type, phase, part=self.place.part, device_time=moment, reason=reason, raw=raw
        )


class Board:
    """All that is known of one transmission device and what is behind it."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._table: Edition = family.main.table
        self._memory = Memory({}, {})

    def draft(self, command: int, unit: Unit | None, data: bytes, active: Active) -> Draft:
        """What of a frame is news. Its `data` is told whole where nothing is known of it, or not its size."""
        draft = Draft(self._memory, active)
        if unit is None or unit.objects is None:
            raw: dict[str, Json] = {"command": command, "bytes": len(data), "data": hexadecimal(data)}
            raw |= {} if unit is None else {"type": unit.type, "count": unit.total}
            draft.readings.append(Reading(self._family.main.id, UNMAPPED, Phase.PULSE, raw=raw))
            return draft
        for fields in unit.objects:
            seen = _Object(unit.type, fields, self._family.place(fields))
            self._note_place(draft, seen.place)
            if unit.type in STATUS:
                self._status(draft, seen)
            elif "flags" in fields:
                self._operation(draft, seen)
            else:
                draft.add(self._told(seen), seen.place.key)
        return draft

    def keep(self, draft: Draft) -> None:
        """It is on disk."""
        _remember(self._memory.words, draft.words.maps[0])
        _remember(self._memory.places, draft.places.maps[0])

    def _note_place(self, draft: Draft, place: Place) -> None:
        known = draft.places.get(place.key)
        if known is not None and known.system != place.system and place.system:
            draft.clash = place
        draft.places[place.key] = place

    def _status(self, draft: Draft, seen: _Object) -> None:
        place, level = seen.place, STATUS[seen.kind]
        word = number(seen.fields["status"]) ^ _TEST_BIT
        before = draft.words.get(place.key)
        draft.words[place.key] = word
        meanings = self._meanings(level, place)
        fresh = word & ~(before or 0)
        if any(meaning.type == RESET and fresh >> bit & 1 for bit, meaning in meanings.items()):
            self._reset(draft, seen, spare=place.key)
        self._conditions(draft, seen, meanings, before)
        for bit in range(1, 16):
            meaning = meanings.get(bit, Bit(None))
            if (word ^ (before or 0)) >> bit & 1 and (meaning.type is None or meaning.type.startswith("operator.")):
                _happened(draft, seen, bit, meaning, word)

    def _meanings(self, level: Level, place: Place) -> dict[int, Bit]:
        table = self._table
        found = dict({"system": table.system_bits, "part": table.part_bits, "device": table.device_bits}[level])
        if level == "part":
            found[1] = Bit(self._fire(place))
            if place.type in table.output_parts:
                found |= {5: Bit(RELEASED), 6: Bit(RELEASED, "feedback")}
        if place.config.test_bit == "test" or self._family.main.test_bit == "test":
            found[0] = Bit(TEST)
        return found

    def _fire(self, place: Place) -> str:
        """The type of a part's fire: by its own number, else by the kind that the configuration names."""
        kind = taxonomy.KINDS.get(place.config.kind or "") if place.part is None else None
        numbers = (place.type, kind.part if kind else None)
        return next(
            (self._table.fire_parts[n] for n in numbers if n is not None and n in self._table.fire_parts), PANEL
        )

    def _conditions(self, draft: Draft, seen: _Object, meanings: Mapping[int, Bit], before: int | None) -> None:
        """Each type this level can tell: what its bits say now, beside what is open."""
        types = {meaning.type for meaning in meanings.values() if meaning.type}
        if STATUS[seen.kind] == "part":
            types |= {*self._table.fire_parts.values(), PANEL, RELEASED}
        for type in sorted(type for type in types if TYPES[type].returns == "clear"):
            bits = {bit: meaning.word for bit, meaning in meanings.items() if meaning.type == type}
            about = seen._replace(place=seen.place.behind(LINE)) if type == OFFLINE else seen
            _Condition(about, type, bits, TEST in types).tell(draft, draft.words[seen.place.key], before)

    def _operation(self, draft: Draft, seen: _Object) -> None:
        """What somebody did at the panel or the device; a reset there ends what it showed."""
        table = self._table.operations if seen.kind == SYSTEM_OPERATION else self._table.device_operations
        flags, place = number(seen.fields["flags"]), seen.place
        for bit in (bit for bit in range(8) if flags >> bit & 1):
            meaning = table.get(bit, Bit(None))
            manual = (MANUAL, place.key[1]) in draft.held(place.key[0])
            if meaning.type == MANUAL:
                if not manual:
                    draft.add(seen.reading(MANUAL, Phase.RAISE, flags=flags, bit=bit), place.key)
                continue
            _happened(draft, seen, bit, meaning, flags)
            draft.post_checked |= meaning.word == POST_CHECK
            if meaning.type == RESET:
                self._reset(draft, seen)
            elif meaning.type == "operator.dispose" and manual:
                draft.add(seen.reading(MANUAL, Phase.CLEAR, flags=flags, bit=bit), place.key)

    def _reset(self, draft: Draft, seen: _Object, spare: Key | None = None) -> None:
        """Ends what stands open behind the system, or behind the whole device; `spare` is told by its own word."""
        system = seen.place.system
        for config in self._family.devices:
            for type, part in sorted(draft.held(config.id), key=str):
                key = config.id, part
                place = draft.places.get(key)
                if type in _OUTLASTS_RESET or key == spare or not self._family.within(system, key, place, type):
                    continue
                about = (place.part if place else None) or ({"address": part} if part else None)
                raw: dict[str, Json] = {"type": seen.kind, "by": RESET}
                draft.add(Reading(config.id, type, Phase.CLEAR, part=about, reason="reset", raw=raw), key)

    def _told(self, seen: _Object) -> Reading:
        """What is neither a condition nor an operation: values, versions, texts, clocks."""
        values = self._values(seen.fields)
        if values is None:
            analog, value = number(seen.fields["analog"]), number(seen.fields["value"])
            return seen.reading(UNMAPPED, Phase.PULSE, analog=analog, value=value)
        return replace(seen.reading("telemetry.sample", Phase.PULSE), values=values)

    def _values(self, fields: Fields) -> dict[str, Value] | None:
        if "analog" in fields:
            analog = self._table.analogs.get(number(fields["analog"]))
            if analog is None:
                return None
            value = number(fields["value"], signed=True)
            return {analog.name: Value(round(value * analog.step, 2) if analog.step != 1 else value, analog.unit)}
        if "major" in fields:
            return {"software_version": Value(f"{number(fields['major'])}.{number(fields['minor'])}")}
        if "text" in fields:
            return {"description" if "address" in fields else "configuration": Value(text(fields["text"]))}
        moment = read_time(fields.get("time", b""))
        return {"clock": Value(moment.isoformat() if moment else hexadecimal(fields.get("time", b"")))}


class _Condition(NamedTuple):
    """One type of event at one place, and the bits that mean it."""

    seen: _Object
    type: str
    bits: Mapping[int, str | None]  # with the reason that each gives
    trusted: bool  # bit 0 means a test here

    def tell(self, draft: Draft, word: int, before: int | None) -> None:
        """Begins it, ends it, or tells what is new about it; nothing where all is as it was."""
        key = self.seen.place.key
        held = (self.type, key[1]) in draft.held(key[0])
        now = [bit for bit in self.bits if word >> bit & 1]
        if not now:
            if held:
                draft.add(self._reading(Phase.CLEAR, min(self.bits, default=0), word), key)
            return
        for bit in self._news(now, word, before) if held else now:
            draft.add(self._reading(Phase.RAISE, bit, word), key)

    def _news(self, now: Sequence[int], word: int, before: int | None) -> Sequence[int]:
        """Of an open condition: other bits than before, or in earnest what was a test."""
        in_earnest = self.trusted and self.type != TEST and not word & _TEST_BIT
        if before is None:
            return now[:1] if in_earnest else ()
        fresh = [bit for bit in now if not before >> bit & 1]
        fewer = any(before >> bit & 1 and bit not in now for bit in self.bits)
        if fresh or fewer:
            return fresh or now[:1]
        return now[:1] if in_earnest and before & _TEST_BIT else ()

    def _reading(self, phase: Phase, bit: int, word: int) -> Reading:
        reason = self.bits.get(bit) if phase is Phase.RAISE else None
        said = self.seen.reading(self.type, phase, reason, status=word ^ _TEST_BIT, bit=bit)
        data: dict[str, Json] = {"codes": self._codes(bit, reason)}
        testing = bool(word & _TEST_BIT)
        if testing and not self.trusted and phase is Phase.RAISE:
            data["test_bit"] = True
        return replace(said, test=testing and self.trusted, data=data)

    def _codes(self, bit: int, reason: str | None) -> dict[str, Json]:
        """`data.codes`: as the taxonomy has them, with the level, numbers and bit that really came."""
        place, level = self.seen.place, STATUS[self.seen.kind]
        kind = place.config.kind or KIND
        codes = taxonomy.codes(self.type, kind, reason)
        codes.pop("gb26875.3", None)
        if taxonomy.is_fire_kind(kind) and bit in TYPES[self.type].gb.values():
            code: dict[str, Json] = {"table": place.config.edition, "level": level, "bit": bit}
            code |= {} if level == "device" else {"system": place.system[0]}
            code |= {} if level != "part" or place.type is None else {"part": place.type}
            codes["gb26875.3"] = code
        return codes


def _happened(draft: Draft, seen: _Object, bit: int, meaning: Bit, word: int) -> None:
    """A bit that is no condition: an operation, once; anything else as it stands, when it comes and when it goes."""
    on = bool(word >> bit & 1)
    if meaning.type is None:
        seen_as = seen.reading(UNMAPPED, Phase.PULSE, meaning.word, bit=bit, value=int(on), word=word)
        draft.add(seen_as, seen.place.key)
    elif on:
        who = f"operator-{number(seen.fields['operator'])}" if "operator" in seen.fields else "unknown"
        data: dict[str, Json] = {"who": who, "role": "control-room", "from": "device"}
        told = seen.reading(meaning.type, Phase.PULSE, meaning.word, bit=bit)
        draft.add(replace(told, data=data), seen.place.key)


def _remember(known: MutableMapping[Key, int] | MutableMapping[Key, Place], newer: Mapping[Key, object]) -> None:
    """Takes over; the oldest goes beyond the bound."""
    known.update(newer)  # type: ignore[arg-type]
    while len(known) > _MOST_REMEMBERED:
        del known[next(iter(known))]
