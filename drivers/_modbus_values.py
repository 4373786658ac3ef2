"""From Modbus words to conditions and samples: pure. Shared plumbing of `modbus` (an underscore: no driver)."""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from drivers._modbus_profile import REGISTERS, Condition, Read
from gateway.event import Value

BITS_AT_ONCE = 2000  # Modbus application protocol 1.1b3, 6.1
FORMATS = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "f32": ">f"}


@dataclass(frozen=True, slots=True)
class Block:
    """One read request: `count` registers or bits from `address` on."""

    function: int
    address: int
    count: int

    @property
    def reply_bytes(self) -> int:
        """How many data bytes the answer has."""
        return 2 * self.count if self.function > 2 else (self.count + 7) // 8

    def unpack(self, data: bytes) -> list[int]:
        """The answer's data bytes → registers, or bits as 0 and 1."""
        if self.function > 2:
            return list(struct.unpack(f">{self.count}H", data))
        return [data[i // 8] >> i % 8 & 1 for i in range(self.count)]

    def holds(self, read: Read) -> bool:
        """Whether the read's words stand in this block."""
        end = read.address + REGISTERS[read.type]
        return read.function == self.function and self.address <= read.address and end <= self.address + self.count


@dataclass(frozen=True, slots=True)
class Sample:
    """A value as it came (`raw`) and in its unit (`value`)."""

    raw: int | float
    value: int | float | bool


def plan(reads: Iterable[Read], gap: int, max_count: int) -> tuple[Block, ...]:
    """As few requests as the registers allow: neighbours (and those at most `gap` apart) go together."""
    blocks: list[Block] = []
    for read in sorted(reads, key=lambda r: (r.function, r.address, REGISTERS[r.type])):
        end = read.address + REGISTERS[read.type]
        last = blocks[-1] if blocks else None
        limit = BITS_AT_ONCE if read.function < 3 else max_count
        if last is not None and last.function == read.function:
            count = max(last.address + last.count, end) - last.address
            if read.address - (last.address + last.count) <= gap and count <= limit:
                blocks[-1] = Block(last.function, last.address, count)
                continue
        blocks.append(Block(read.function, read.address, end - read.address))
    return tuple(blocks)


def sample(read: Read, block: Block, words: Sequence[int]) -> Sample:
    """The read's value out of its block's answer (registers, or bits as 0 and 1). May be NaN where f32 is."""
    start = read.address - block.address
    own = list(words[start : start + REGISTERS[read.type]])
    if read.type == "bit":
        raw = own[0] if read.bit is None else own[0] >> read.bit & 1
        return Sample(raw, bool(raw))
    if read.words == "low-first":
        own.reverse()
    if read.bytes == "low-first":
        own = [word >> 8 | (word & 0xFF) << 8 for word in own]
    (number,) = struct.unpack(FORMATS[read.type], struct.pack(f">{len(own)}H", *own))
    if read.scale == 1.0 and read.offset == 0.0:
        return Sample(number, number)
    return Sample(number, float(f"{number * read.scale + read.offset:.10g}"))  # 0.1 * 3 is 0.3


Layout = Mapping[Block, Sequence[Read]]


def layout(reads: Iterable[Read], blocks: Iterable[Block]) -> Layout:
    """Which reads stand in which block."""
    listed = list(reads)
    return {block: [read for read in listed if block.holds(read)] for block in blocks}


def samples(where: Layout, answers: Mapping[Block, Sequence[int]]) -> dict[str, Sample]:
    """Every read whose block was answered, by name."""
    return {read.name: sample(read, block, words) for block, words in answers.items() for read in where[block]}


def sound(value: Sample) -> bool:
    """False for NaN and infinities: those are no measurements."""
    return math.isfinite(value.value)


class Detector:
    """Is the condition there? With hysteresis, and only after `debounce` consecutive reads that say so."""

    def __init__(self, condition: Condition, active: bool = False) -> None:
        self.condition = condition
        self.active = active
        self._streak = 0

    @property
    def limit(self) -> int:
        """Consecutive reads before the state changes."""
        return self.condition.debounce

    @property
    def doubtful(self) -> bool:
        """It may be beginning: the last read said so, and not enough of them in a row yet."""
        return self._streak > 0 and not self.active

    def feed(self, value: Sample) -> bool:
        """One read. True when the condition has just begun or ended."""
        self._streak = self._streak + 1 if self._test(value) != self.active else 0
        if self._streak < self.limit:
            return False
        self._streak = 0
        self.active = not self.active
        return True

    def _test(self, value: Sample) -> bool:
        return met(self.condition, value, self.active) != self.condition.inverted


def met(condition: Condition, value: Sample, active: bool = False) -> bool:
    """One value against one condition, before inversion; `active` says on which side of the hysteresis we are."""
    if condition.equals is not None:
        return value.raw in condition.equals
    if condition.bit is not None:
        return bool(int(value.raw) >> condition.bit & 1)
    held = active != condition.inverted
    if condition.above is not None:
        return value.value >= condition.above or (held and value.value > condition.above - condition.hysteresis)
    limit = condition.below or 0.0
    return value.value <= limit or (held and value.value < limit + condition.hysteresis)


class Sampler:
    """Which values are worth telling now: beyond the dead band after the minimum, or the maximum interval is over."""

    def __init__(self, reads: Iterable[Read]) -> None:
        self._reads = [read for read in reads if read.telemetry is not None]
        self._told: dict[str, tuple[float, float]] = {}  # name → (value, monotonic seconds)

    def due(self, values: Mapping[str, Sample], now_s: float) -> dict[str, Value]:
        """The values to tell now, with their units; they count as told."""
        found = {}
        for read in self._reads:
            sample = values.get(read.name)
            if sample is not None and sound(sample) and self._due(read, sample, now_s):
                self._told[read.name] = (float(sample.value), now_s)
                found[read.name] = Value(sample.value, read.unit)
        return found

    def _due(self, read: Read, sample: Sample, now_s: float) -> bool:
        if read.name not in self._told or read.telemetry is None:
            return True
        value, at_s = self._told[read.name]
        if now_s - at_s >= read.telemetry.max_interval:
            return True
        moved = abs(float(sample.value) - value)
        return now_s - at_s >= read.telemetry.min_interval and moved > read.telemetry.dead_band
