"""One device on the line: what it said, what is believed to stand on disk, when it is due. Pure but for its owner.

An underscore: no driver.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from drivers._modbus_config import Config, Key, Watch
from drivers._modbus_profile import Condition
from drivers._modbus_values import Block, Detector, Sample, Sampler, samples, sound
from drivers._modbus_wire import Refused
from gateway.event import Json, Phase, Reading, Value

FAULT: Key = ("device.fault", None)
GATEWAY_OWN = ("device.offline", "device.shielded", "device.test", "device.end_of_life")  # never ours to clear
EXCEPTIONS = {1: "illegal-function", 2: "illegal-address", 3: "illegal-value", 4: "device-failure", 8: "memory-parity"}
NOT_SO = (1, 2)  # exceptions of a device that has these registers elsewhere
FIRST_PROBE_S = 1.0  # a device that missed a poll is asked again so soon, whatever its interval
DOUBT_S = 0.2  # what may be an alarm is looked at again so soon, before all others
LAST_PROBE_S = 4.0  # a lost one so seldom: it is seen again well within 10 s


def condition_reading(config: Config, watch: Watch, value: Sample, phase: Phase) -> Reading:
    """A condition that begins or ends, with the value that says so."""
    return Reading(
        config.id,
        watch.condition.type,
        phase,
        values={watch.read.name: Value(value.value, watch.read.unit)},
        part=watch.part,
        reason=watch.condition.reason,
        raw={"function": watch.read.function, "register": watch.read.address, "value": value.raw},
        data={"latching": True} if watch.condition.latching else {},
    )


def refused(config: Config, refusal: Refused) -> Reading:
    """The device answered, but with an exception."""
    reason = EXCEPTIONS.get(refusal.code, f"exception-{refusal.code}")
    raw: dict[str, Json] = {"function": refusal.function, "exception": refusal.code}
    return Reading(config.id, FAULT[0], Phase.RAISE, reason=reason, raw=raw)


def senseless(config: Config, values: Mapping[str, Sample]) -> Reading | None:
    """A fault where a value is no number (NaN, infinite)."""
    name = next((name for name, value in values.items() if not sound(value)), None)
    if name is None:
        return None
    return Reading(
        config.id, FAULT[0], Phase.RAISE, reason="bad-value", raw={"read": name, "value": str(values[name].raw)}
    )


def unmapped(config: Config, values: Mapping[str, Sample]) -> dict[str, Reading]:
    """Values, by read, that the profile calls neither normal nor a condition: never guessed into an alarm."""
    found = {}
    for read in config.reads:
        value = values.get(read.name)
        if value is None or not read.normal or value.raw in read.normal:
            continue
        if not any(_means(condition, int(value.raw)) for condition in config.meant.get(read.name, ())):
            raw: dict[str, Json] = {"function": read.function, "register": read.address, "value": value.raw}
            part = config.parts.get(read.name)
            found[read.name] = Reading(config.id, "device.unmapped", Phase.PULSE, part=part, raw=raw)
    return found


def _means(condition: Condition, raw: int) -> bool:
    if condition.equals is not None:
        return raw in condition.equals
    return condition.bit is not None and raw >> condition.bit & 1 == 1


class Tray:
    """What begins and ends and is not on disk yet, oldest first; at most two entries a condition."""

    def __init__(self, told: Iterable[Key]) -> None:
        self.open: set[Key] = set(told)  # as it will be when the tray is empty
        self.waiting: list[tuple[Key, Reading]] = []

    def settle(self, key: Key, reading: Reading) -> None:
        """A condition is (RAISE) or is not (CLEAR) there: noted where that is news."""
        begins = reading.phase is Phase.RAISE
        if begins == (key in self.open):
            return
        (self.open.add if begins else self.open.discard)(key)
        self.put(key, reading)

    def put(self, key: Key, reading: Reading) -> None:
        """One more entry. While the disk refuses, the last one of a condition stands for what came and went."""
        if sum(known == key for known, _ in self.waiting) >= 2:
            self.waiting = [entry for entry in self.waiting if entry[0] != key]
        self.waiting.append((key, reading))

    def readings(self) -> tuple[Reading, ...]:
        """What is to be emitted."""
        return tuple(reading for _, reading in self.waiting)

    def accepted(self, count: int) -> None:
        """The first `count` entries are on disk."""
        del self.waiting[:count]


class Station:
    """One device: its detectors, its tray, its next due time (monotonic seconds)."""

    def __init__(self, config: Config, open_on_disk: frozenset[Key], now_s: float) -> None:
        self.config = config
        self.detectors = [(watch, Detector(watch.condition, watch.key in open_on_disk)) for watch in config.watches]
        self.tray = Tray(key for key in open_on_disk if key[0] not in GATEWAY_OWN)
        self.sampler = Sampler(config.reads)
        self.due_s = now_s
        self.misses = 0
        self.lost = False
        self.doubtful = False  # a condition may be beginning
        self._heard_s = now_s
        self._strange: dict[str, int | float] = {}
        self._fallen = False

    def asked(self, block: Block) -> Block:
        """The request as this device understands it: maybe with the other function that reads registers."""
        return replace(block, function=4) if self._fallen and block.function == 3 else block

    def falls_back(self, refusal: Refused) -> bool:
        """Is it worth to ask with the other function, now that this one was refused?"""
        if self.config.map.fallback is None or refusal.code not in NOT_SO:
            return False
        self._fallen = not self._fallen
        return True

    def answered(
        self, answers: Mapping[Block, Sequence[int]], refusal: Refused | None, now_s: float
    ) -> dict[str, Value]:
        """An answer to at least one request: fills the tray; returns the values to tell as telemetry."""
        self.misses, self.lost, self._heard_s = 0, False, now_s
        self.due_s = max(self.due_s + self.config.poll_s, now_s)
        values = samples(self.config.layout, answers)
        trouble = refused(self.config, refusal) if refusal else senseless(self.config, values)
        changed = [self._feed(watch, detector, values) for watch, detector in self.detectors]
        self._settle(values, [watch for watch in changed if watch is not None], trouble)
        self._note_strange(values)
        self.doubtful = any(detector.doubtful for _, detector in self.detectors)
        if self.doubtful:
            self.due_s = min(self.due_s, now_s + DOUBT_S)
        return self.sampler.due(values, now_s)

    def _feed(self, watch: Watch, detector: Detector, values: Mapping[str, Sample]) -> Watch | None:
        value = values.get(watch.read.name)
        return watch if value is not None and sound(value) and detector.feed(value) else None

    def _settle(self, values: Mapping[str, Sample], changed: Sequence[Watch], trouble: Reading | None) -> None:
        active = {watch.key for watch, detector in self.detectors if detector.active}
        for watch in changed:  # of several watches with one key the first begins it, the last ends it
            phase = Phase.RAISE if watch.key in active else Phase.CLEAR
            self.tray.settle(watch.key, condition_reading(self.config, watch, values[watch.read.name], phase))
        if trouble is not None:
            self.tray.settle(FAULT, trouble)
            return
        ours = {watch.key for watch, _ in self.detectors}
        for key in self.tray.open - ours | ({FAULT} & self.tray.open - active):
            part: dict[str, Json] | None = {"point": key[1]} if key[1] is not None else None
            self.tray.settle(key, Reading(self.config.id, key[0], Phase.CLEAR, part=part))

    def _note_strange(self, values: Mapping[str, Sample]) -> None:
        strange = unmapped(self.config, values)
        for name, reading in strange.items():
            if self._strange.get(name) != values[name].raw:
                self.tray.put((reading.type, name), reading)
        self._strange = {name: values[name].raw for name in strange}

    def missed(self, now_s: float) -> None:
        """No answer: after enough of them the device is lost, and asked less and less often."""
        self.misses += 1
        self.doubtful = False
        if self.lost:
            self.due_s = now_s + min(LAST_PROBE_S, FIRST_PROBE_S * 2 ** min(self.misses, 8))
            return
        self.lost = self.config.offline(self.misses, now_s - self._heard_s)
        self.due_s = now_s + min(self.config.poll_s, FIRST_PROBE_S)


def telemetry(device: str, values: Mapping[str, Value]) -> Reading:
    """A sample of measured values."""
    return Reading(device, "telemetry.sample", Phase.PULSE, values=values)


def merged(old: Reading | None, new: Reading) -> Reading:
    """Two samples of one device that wait for the disk, as one: newer values win."""
    return new if old is None else telemetry(new.device, {**old.values, **new.values})
