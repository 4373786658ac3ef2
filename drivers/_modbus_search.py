"""Searches a line for Modbus devices: addresses and settings one by one, by one reading question each. (No driver.)

Any answer counts, an exception too. What is damaged is a hint: another speed, or two devices at one address. Whoever
answers is asked what it is (43/14) and which of the profiles that come along its registers fit; several may, and one
that fits may still be another device: a person decides.
"""

from collections.abc import Sequence
from dataclasses import replace

from drivers._modbus_probe import Asker, Heard
from drivers._modbus_profile import Profile, Read, load
from drivers._modbus_profile import known as known_profiles
from drivers._modbus_values import Block, layout, plan, samples, sound
from drivers._modbus_values import Sample as Sampled
from drivers._probe import Probe, keys, setting
from drivers._sweep import longest_s, rounds, sweep
from gateway.driver import Found, Search
from gateway.errors import Text
from gateway.fields import BusConfig

WAIT_S = 0.3  # before an answer begins, unless told otherwise; detectors take 10 to 100 ms
FIRST = (1, 2, 255)  # what devices leave the factory with
NO_DEVICE = 250  # reserved (Modbus over serial line 1.02, 2.2): who answers on TCP answers to any address
QUESTIONS = tuple(Block(function, 0, 1) for function in (3, 1, 2, 4))
QUESTION_BYTES = 8
PLAUSIBLE = {"°C": (-40.0, 125.0), "%RH": (0.0, 100.0), "%LEL": (0.0, 100.0), "%": (0.0, 100.0)}  # by unit


def search(
    buses: Sequence[BusConfig], addresses: Sequence[int], wait_s: float = WAIT_S, thorough: bool = False
) -> Search:
    """One line at each of its settings (`buses`), at each of `addresses` (1 to 255).

    `wait_s`: how long a device may take to begin its answer. `thorough`: each address is asked with all four reading
    functions, for boards that are silent to those they do not know.
    """
    questions = QUESTIONS if thorough else QUESTIONS[:1]
    plans = list(rounds(buses, addresses, FIRST))
    return Search(
        steps=sum(len(group) for _, group in plans),
        longest_s=longest_s(buses, len(addresses) * len(questions), QUESTION_BYTES, wait_s),
        run=lambda: sweep(plans, _Caller(questions, wait_s), damaged),
    )


class _Caller:
    """Knocks at one address after the other."""

    def __init__(self, questions: Sequence[Block], wait_s: float) -> None:
        self._questions = questions
        self._wait_s = wait_s
        self._nowhere: Heard | None = None  # on Modbus TCP: what an address answers that no device has
        self._over = False  # what is there answers to any address, and is found

    async def __call__(self, probe: Probe, bus: BusConfig, address: int) -> Found | bool:
        """The device there; else whether anything came that is no answer."""
        if self._over:
            return False
        rtu = bus.tcp is None or bus.framing == "rtu"
        if not rtu and self._nowhere is None:
            self._nowhere = await self._knock(Asker(probe, rtu, NO_DEVICE, self._wait_s))
        asker = Asker(probe, rtu, address, self._wait_s)
        heard = await self._knock(asker)
        if not heard.there:
            return heard.damaged
        self._over = self._nowhere is not None and self._nowhere.there and not self._nowhere.refused
        what = await _what(asker, ANY_ADDRESS if self._over else None)
        return Found(f"{setting(bus)} #{address}", what, {"driver": "modbus", "address": address}, keys(bus))

    async def _knock(self, asker: Asker) -> Heard:
        """The first answer; else whether anything else came.

        A bridge may answer for devices that are not there, by an exception: then only another answer counts.
        """
        bridge = self._nowhere is not None and self._nowhere.refused
        damaged = False
        for question in QUESTIONS if bridge else self._questions:
            heard = await asker.read(question)
            if heard.there and not (bridge and self._nowhere is not None and heard.pdu[1:] == self._nowhere.pdu[1:]):
                return heard
            damaged = damaged or heard.damaged
        return Heard(b"", damaged)


async def _what(asker: Asker, more: Text | None) -> Text:
    fit = _fit(await _fitting(asker))
    named = " ".join((await asker.identity()).values())  # last: some devices stumble over functions they do not know
    texts = [Text(named, named) if named else UNNAMED, *([more] if more else []), fit]
    return Text("; ".join(text.en for text in texts), ";".join(text.zh for text in texts))


ANY_ADDRESS = Text("it answers to any address: one device, or a converter", "对任何地址都应答:单台设备或转换器")
UNNAMED = Text("a Modbus device that does not name itself", "未报型号的 Modbus 设备")
NONE_FITS = Text(
    "no profile that comes along fits: write one for it (docs/drivers/modbus.md)",
    "自带模板均不符合,请编写模板(见 docs/drivers/modbus.md)",
)


def _fit(fitting: Sequence[tuple[str, int]]) -> Text:
    """Most values first: the more were read and made sense, the less it is by chance."""
    if not fitting:
        return NONE_FITS
    sorted_ = sorted(fitting, key=lambda each: (-each[1], each[0]))
    named = ", ".join(f"{name} ({count})" for name, count in sorted_)
    return Text(
        f"its registers could be of (values read): {named}; compare with its label",
        f"寄存器可能符合以下模板(读到的数值个数):{named};请与铭牌核对",
    )


def damaged(addresses: Sequence[int]) -> Text:
    """Bytes came that are no answer."""
    listed = ", ".join(map(str, addresses[:8])) + (", …" if len(addresses) > 8 else "")
    return Text(
        f"bytes came, but no sound answer (asked: {listed}): another speed or parity, two devices at one address, "
        "another protocol, or A and B swapped",
        f"收到数据但不是有效应答(询问地址:{listed}):波特率或校验不同、地址冲突、其他协议,或 A/B 线接反",
    )


async def _fitting(asker: Asker) -> list[tuple[str, int]]:
    """The profiles that come along and fit, each with how many of its values were read. Each register is read once."""
    answers: dict[Block, list[int] | None] = {}
    found = []
    for name in known_profiles():
        profile = load(name)
        reads = _reads(profile)
        blocks = plan(reads, profile.gap, profile.max_count)
        if all([await _answer(asker, block, profile, answers) is not None for block in blocks]):
            words = {block: answers[block] or [] for block in blocks}
            values = samples(layout(reads, blocks), words)
            if all(plausible(profile, read, values[read.name]) for read in reads):
                found.append((name, len(reads)))
    return found


async def _answer(
    asker: Asker, block: Block, profile: Profile, answers: dict[Block, list[int] | None]
) -> list[int] | None:
    if block not in answers:
        answers[block] = await asker.words(block)
        if answers[block] is None and profile.fallback is not None and block.function == 3:
            answers[block] = await asker.words(replace(block, function=profile.fallback))
    return answers[block]


def _reads(profile: Profile) -> list[Read]:
    """All that it says is there: its reads, a board's inputs, a panel's first point."""
    inputs = range(1, profile.inputs.count + 1) if profile.inputs else ()
    own = [profile.inputs.read(number) for number in inputs if profile.inputs]
    return [*profile.reads, *own, *([profile.points.read(1, 1)] if profile.points else [])]


def plausible(profile: Profile, read: Read, value: Sampled) -> bool:
    """Whether a value could be of such a device: a number, within what its unit allows, and one that means something.

    A status that only names what is normal and what is an alarm has no other values.
    """
    low, high = PLAUSIBLE.get(read.unit, (float("-inf"), float("inf")))
    if not sound(value) or not low <= value.value <= high:
        return False
    if not read.normal:
        return True
    watched = [condition for condition in profile.conditions if condition.read == read.name]
    if any(condition.equals is None for condition in watched):
        return True
    return value.raw in read.normal or any(value.raw in (condition.equals or ()) for condition in watched)
