"""Properties of the Modbus driver over all its profiles: values, pulses, panels, requests, what is said of them."""

import asyncio
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu.register_message import WriteMultipleRegistersRequest

from drivers._modbus_config import Config
from drivers._modbus_orders import Order, order, takes
from drivers._modbus_profile import Profile, Read, known, load
from drivers._modbus_rtu import Sieve, reply_in
from drivers._modbus_station import Station
from drivers._modbus_trial import _meaning, described, explained
from drivers._modbus_values import Block, Sample, layout, plan, sample, samples
from drivers.sim._modbus_codec import Tables, rtu_frame
from drivers.sim.modbus import FORMATS, Slave, _put
from gateway.event import Phase

ORDERS = st.fixed_dictionaries(
    {"words": st.sampled_from(["high-first", "low-first"]), "bytes": st.sampled_from(["high-first", "low-first"])}
)
TIMED = [name for name in known() if load(name).outputs is not None and load(name).outputs.pulse is not None]  # type: ignore[union-attr]
BASE = {"id": "d", "driver": "modbus", "place": "b3", "bus": "line", "address": 1}


def device(profile: str, **more: Any) -> Config:
    return Config.model_validate({**BASE, "profile": profile, **more})


@pytest.mark.parametrize(
    ("profile", "expected"),
    [("rs-yg-n01", ()), ("lt-001-m1920", ()), ("jydam-8", ("output",)), ("waveshare-io-8ch", ("output",))],
)
def test_a_device_takes_only_what_its_profile_has(profile: str, expected: tuple[str, ...]) -> None:
    assert takes(device(profile)) == expected
    cut = {"reset": {"output": 1, "seconds": 5}} if profile == "jydam-8" else {}
    assert takes(device(profile, **cut)) == (*expected, *(["reset"] if cut else []))


# --- values


@given(st.sampled_from(sorted(FORMATS)), ORDERS, st.integers(0, 0xFFF0), st.data())
def test_what_a_device_holds_is_what_is_read(
    type: str, orders: dict[str, Any], address: int, data: st.DataObject
) -> None:
    sizes = {"u16": (0, 2**16 - 1), "i16": (-(2**15), 2**15 - 1), "u32": (0, 2**32 - 1), "i32": (-(2**31), 2**31 - 1)}
    number = data.draw(st.floats(width=32, allow_nan=False) if type == "f32" else st.integers(*sizes[type]))
    read = Read.model_validate({"name": "x", "function": 3, "address": address, "type": type, **orders})
    tables = Tables()
    _put(tables, read, number)
    (block,) = plan([read], 0, 125)
    words = tables.read(3, block.address, block.count)
    assert sample(read, block, words) == Sample(number, number)


@pytest.mark.parametrize(
    ("words", "bytes", "wire"),
    [
        ("high-first", "high-first", "41 BC CC CD"),  # ABCD
        ("low-first", "high-first", "CC CD 41 BC"),  # CDAB
        ("high-first", "low-first", "BC 41 CD CC"),  # BADC
        ("low-first", "low-first", "CD CC BC 41"),  # DCBA
    ],
)
def test_the_four_orders_of_23_6(words: str, bytes: str, wire: str) -> None:
    read = Read.model_validate(
        {"name": "x", "function": 3, "address": 0, "type": "f32", "words": words, "bytes": bytes}
    )
    registers = struct.unpack(">2H", bytes_of(wire))
    assert sample(read, Block(3, 0, 2), registers).value == pytest.approx(23.6, abs=1e-5)


def bytes_of(wire: str) -> bytes:
    return bytes.fromhex(wire)


@given(
    st.lists(st.tuples(st.sampled_from([3, 4]), st.integers(0, 60), st.sampled_from(["u16", "f32"])), min_size=1),
    st.integers(0, 5),
    st.integers(2, 125),
)
def test_grouped_reads_bring_what_single_ones_would(places: list[tuple[int, int, str]], gap: int, most: int) -> None:
    reads = [
        Read.model_validate({"name": f"r{n}", "function": function, "address": address, "type": type})
        for n, (function, address, type) in enumerate(places)
    ]
    tables = Tables({1: {}, 2: {}, 3: {a: 7 * a for a in range(70)}, 4: {a: 11 * a for a in range(70)}})
    blocks = plan(reads, gap, most)
    answers = {block: tables.read(block.function, block.address, block.count) for block in blocks}
    grouped = samples(layout(reads, blocks), answers)
    for read in reads:
        (single,) = plan([read], 0, 2)
        alone = sample(read, single, tables.read(single.function, single.address, single.count))
        assert grouped[read.name] == alone
    assert len(blocks) <= len(reads)


# --- outputs


@given(st.sampled_from(TIMED), st.data())
def test_any_pulse_that_is_allowed_is_understood_by_its_board(profile: str, data: st.DataObject) -> None:
    outputs = load(profile).outputs
    assert outputs is not None
    assert outputs.pulse is not None
    step = outputs.pulse.step
    number = data.draw(st.integers(1, outputs.count))
    seconds = data.draw(st.integers(1, outputs.pulse.max_steps)) * step
    made = order(outputs, {"number": number, "state": True, "seconds": seconds})
    for word in (made.address, *made.values):
        assert 0 <= word <= 0xFFFF

    async def on_the_board() -> tuple[bool, float]:
        board = Slave(1, profile)
        assert board.hear(pdu(made))[0] == made.function
        timer = board._timers[number]
        timer.cancel()
        return board.output(number), timer.when() - asyncio.get_running_loop().time()

    on, left_s = asyncio.run(on_the_board())
    assert on
    assert seconds - 1.0 < left_s <= seconds + 0.01


def pdu(made: Order) -> bytes:
    """The write as the wire has it."""
    if made.function != 16:
        return struct.pack(">BHH", made.function, made.address, *made.values)
    count = len(made.values)
    return struct.pack(f">BHHB{count}H", 16, made.address, count, 2 * count, *made.values)


@pytest.mark.parametrize(
    ("profile", "args", "frame"),
    [
        ("waveshare-relay-8", {"number": 1, "seconds": 0.7}, "01 05 02 00 00 07 8D B0"),
        ("jydam-8", {"number": 1, "seconds": 2}, "01 10 00 03 00 02 04 00 04 00 14 F2 74"),
        ("jydam-8", {"number": 1, "seconds": 5}, "01 10 00 03 00 02 04 00 04 00 32 73 AE"),
        ("waveshare-io-8ch", {"number": 1}, "01 05 00 00 FF 00 8C 3A"),
    ],
)
def test_orders_are_the_published_frames(profile: str, args: dict[str, Any], frame: str) -> None:
    made = order(load(profile).outputs, {"state": True, **args})
    assert rtu_frame(1, pdu(made)) == bytes.fromhex(frame)


def test_the_published_frames_at_another_address() -> None:
    for number, frame in ((1, "FE 10 00 03 00 02 04 00 04 00 0A 41 6B"), (2, "FE 10 00 08 00 02 04 00 04 00 0A 00 D8")):
        made = order(load("jydam-8").outputs, {"number": number, "state": True, "seconds": 1})
        assert rtu_frame(0xFE, pdu(made)) == bytes.fromhex(frame)


@given(st.integers(0, 0xFFFF), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=4), st.binary(max_size=8))
def test_a_write_of_several_registers_is_answered_by_its_head(address: int, values: list[int], noise: bytes) -> None:
    request = FramerRTU(None).buildFrame(WriteMultipleRegistersRequest(address=address, registers=values, dev_id=7))  # type: ignore[arg-type]
    assert request == rtu_frame(7, pdu(Order(16, address, tuple(values))))
    answer = rtu_frame(7, struct.pack(">BHH", 16, address, len(values)))
    sieve = Sieve()
    sieve.asks(request)
    assert sieve.hears(noise + answer)[:8] in noise + answer
    assert reply_in(request, answer) == answer
    other = rtu_frame(7, struct.pack(">BHH", 16, address ^ 1, len(values)))
    assert reply_in(request, other) == b""


# --- panels

LOOPS = st.dictionaries(st.integers(1, 127), st.integers(1, 255), min_size=1, max_size=4)


@given(LOOPS)
def test_every_point_of_a_panel_is_read_once_and_fifty_at_most_together(loops: dict[int, int]) -> None:
    made = device("jade-bird", loops=loops)
    assert all(block.count <= 50 for block in made.blocks)
    read = [address for block in made.blocks for address in range(block.address, block.address + block.count)]
    wanted = [loop * 256 + point for loop, count in loops.items() for point in range(1, count + 1)]
    assert sorted(read) == sorted(wanted)
    assert len({str(part["address"]) for part in made.parts.values()}) == len(wanted)


@given(
    st.lists(st.dictionaries(st.integers(1, 6), st.integers(0, 4), max_size=4), max_size=25),
    st.integers(1, 3),
)
def test_a_panel_is_told_as_it_stands(rounds: list[dict[int, int]], debounce: int) -> None:
    """Points change at will; what is open is what has been shown for so many rounds in a row."""
    states = {1: "fire.panel", 2: "device.fault", 3: "fire.panel"}
    station = Station(device("jade-bird", loops={1: 6}, states=states, debounce=debounce), frozenset(), 0.0)
    shown = dict.fromkeys(range(1, 7), 0)
    history: list[dict[int, int]] = []
    held: set[tuple[str, str]] = set()
    for changes in rounds:
        shown.update(changes)
        history.append(dict(shown))
        (block,) = station.config.blocks
        station.answered({block: [shown[point] for point in range(1, 7)]}, None, station.due_s)
        for reading in station.tray.readings():
            if reading.phase is not Phase.PULSE:
                key = (reading.type, str((reading.part or {})["address"]))
                assert (key in held) == (reading.phase is Phase.CLEAR)
                held ^= {key}
        station.tray.accepted(len(station.tray.readings()))
        recent = history[-debounce:]
        for point in range(1, 7):
            for type in ("fire.panel", "device.fault"):
                there = {states.get(one[point]) == type for one in recent}
                if len(recent) == debounce and len(there) == 1:
                    assert ((type, f"1-{point}") in held) == there.pop()


def test_a_value_nobody_described_is_told_once_and_again_only_when_it_was_away() -> None:
    station = Station(device("jade-bird", loops={1: 2}), frozenset(), 0.0)
    (block,) = station.config.blocks
    told = []
    for words in ([9, 0], [9, 0], [0, 0], [9, 8], [9, 8], [7, 8]):
        station.answered({block: words}, None, station.due_s)
        told.append([(r.raw["value"], (r.part or {})["point"]) for r in station.tray.readings()])
        station.tray.accepted(len(station.tray.readings()))
    assert told == [[(9, 1)], [], [], [(9, 1), (8, 2)], [], [(7, 1)]]


# --- what is said of a profile


@pytest.mark.parametrize("name", known())
def test_every_profile_is_explained_in_both_languages(name: str) -> None:
    keys = {"loops": {1: 4}} if load(name).points is not None else {}
    told = explained(name, keys)
    assert told[0].en.startswith(load(name).title.en)
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in text.zh) for text in told)


@pytest.mark.parametrize("name", known())
def test_of_every_condition_the_trial_says_when_it_is_there(name: str) -> None:
    slave, made = Slave(1, name), described(name, {"loops": {1: 4}} if load(name).points is not None else {})
    for condition in load(name).conditions:
        slave.set_condition(condition.type, True)
        answers = {b: slave.tables.read(b.function, b.address, b.count) for b in made.blocks}
        value = samples(made.layout, answers)[condition.read]
        read = next(read for read in made.reads if read.name == condition.read)
        meaning, good = _meaning(read, value, made.meant[condition.read])
        assert good
        assert meaning.en.startswith(condition.type)
        assert meaning.zh.startswith(condition.type)


def test_a_low_limit_is_said_from_above() -> None:
    profile = Profile.model_validate({
        "title": {"en": "A", "zh": "甲"}, "kind": "sensor", "source": "a test of the driver", "confidence": "memory",
        "reads": [{"name": "volts", "function": 4, "address": 0, "scale": 0.01, "unit": "V"}],
        "conditions": [{"type": "device.battery_low", "read": "volts", "below": 2.4}],
    })  # fmt: skip
    (read,), conditions = profile.reads, profile.conditions
    assert _meaning(read, Sample(300, 3.0), conditions)[0].en == "normal; device.battery_low down from 2.4 V"
    assert _meaning(read, Sample(200, 2.0), conditions)[0].en.startswith("device.battery_low (Battery low) after 2")
    assert _meaning(read, Sample(1, float("nan")), conditions)[1] is False
