"""The pure parts of the Modbus driver: golden frames, the sieve, detectors, samples, trays, timing, orders."""

import errno
import math
import struct
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers._modbus_config import Config
from drivers._modbus_orders import order, reset
from drivers._modbus_profile import Condition, Read
from drivers._modbus_rtu import Sieve, reply_in
from drivers._modbus_station import DOUBT_S, FAULT, LAST_PROBE_S, Station, Tray, merged, telemetry
from drivers._modbus_values import Block, Detector, Sample, Sampler, plan, sample
from drivers._modbus_wire import Refused
from drivers._serial import cannot_open
from drivers.modbus import DRIVER, PROBE_HANDICAP_S, _urgency, decode
from drivers.sim._modbus_codec import Tables, crc16, pack_bits, respond, rtu_frame, take_rtu, take_tcp, tcp_frame
from gateway.driver import Example
from gateway.errors import BadInput
from gateway.event import Phase, Reading, Value

REQUEST = bytes.fromhex("01 03 00 03 00 01 74 0A")
REPLY = bytes.fromhex("01 03 02 00 01 79 84")
WRITE = bytes.fromhex("01 05 00 00 FF 00 8C 3A")


def config(profile: str = "rs-yg-n01", **more: Any) -> Config:
    base = {"id": "example", "driver": "modbus", "place": "b3", "bus": "line", "address": 1, "profile": profile}
    return Config.model_validate({**base, **more})


@pytest.mark.parametrize("example", DRIVER.examples, ids=lambda example: example.title)
def test_golden_frames(example: Example) -> None:
    assert tuple(decode(config(**example.config), example.wire)) == example.readings


@pytest.mark.parametrize(
    "wire", ["", "01 03 02 00 01 79 85", "02 03 02 00 01 3D 84", "01 04 02 00 01 78 F0", "01 03 04 00 01 00 00 AB F3"]
)
def test_what_is_no_reply_is_bad_input(wire: str) -> None:
    with pytest.raises(BadInput, match="no reply to a rs-yg-n01"):
        decode(config(), bytes.fromhex(wire))


@given(st.binary(max_size=40))
def test_any_bytes_are_readings_or_bad_input(wire: bytes) -> None:
    readings: Sequence[Reading] = ()
    with suppress(BadInput):
        readings = decode(config(), wire)
    assert all(reading.device == "example" for reading in readings)


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_the_reply_is_found_between_noise(before: bytes, after: bytes) -> None:
    found = reply_in(REQUEST, before + REPLY + after)
    assert crc16(found[:-2]) == found[-2:]
    assert found == REPLY or found in before + REPLY + after  # noise with a right checksum is a reply
    assert reply_in(REQUEST, REPLY + after) == REPLY


@given(st.integers(0, 6))
def test_half_a_reply_is_none(size: int) -> None:
    assert reply_in(REQUEST, REPLY[:size]) == b""


@pytest.mark.parametrize(
    "other",
    [
        rtu_frame(2, REPLY[1:-2]),  # another device
        rtu_frame(1, b"\x04\x02\x00\x01"),  # another function
        rtu_frame(1, b"\x03\x04\x00\x01\x00\x00"),  # another length
        REPLY[:-1] + b"\x85",  # damaged
        REQUEST,  # an echo
    ],
)
def test_other_frames_do_not_answer(other: bytes) -> None:
    assert reply_in(REQUEST, other) == b""


def test_exceptions_and_writes_answer() -> None:
    refusal = bytes.fromhex("01 83 02 C0 F1")
    assert reply_in(REQUEST, refusal) == refusal
    assert reply_in(WRITE, WRITE) == WRITE
    assert reply_in(WRITE, bytes.fromhex("01 05 00 00 00 00 CD CA")) == b""  # off is not on


def test_the_sieve_learns_that_a_line_echoes() -> None:
    sieve = Sieve()
    assert sieve.hears(REPLY) == b""  # nobody asked
    sieve.asks(REQUEST)
    assert sieve.hears(REQUEST) == b""
    assert sieve.hears(REPLY) == REPLY
    sieve.asks(WRITE)
    assert sieve.hears(WRITE) == b""
    assert sieve.hears(WRITE) == WRITE


@given(st.binary(max_size=12), st.lists(st.sampled_from([REQUEST, WRITE]), max_size=4))
def test_the_slave_finds_requests_after_noise(noise: bytes, requests: list[bytes]) -> None:
    frames, rest = [], b"".join(requests) + noise
    frame, rest = take_rtu(rest)
    while frame:
        frames.append(frame)
        frame, rest = take_rtu(rest)
    assert frames[: len(requests)] == [request[:-2] for request in requests]


@given(
    st.binary(min_size=4, max_size=4), st.integers(0, 255), st.binary(min_size=1, max_size=50), st.binary(max_size=9)
)
def test_mbap_round_trip(head: bytes, unit: int, pdu: bytes, rest: bytes) -> None:
    message = tcp_frame(head, unit, pdu)
    assert take_tcp(message + rest) == (head, bytes([unit]) + pdu, rest)
    assert take_tcp(message[:-1])[0] == b""


def test_the_check_value_of_the_checksum() -> None:
    assert crc16(b"123456789") == bytes.fromhex("37 4B")


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("01 00 00 00 03", "01 01 05"),
        ("03 00 00 00 02", "03 04 00 07 00 08"),
        ("03 00 01 00 02", "83 02"),
        ("03 00 00 00 00", "83 03"),
        ("05 00 01 FF 00", "05 00 01 FF 00"),
        ("05 00 01 12 34", "85 03"),
        ("06 00 00 00 09", "06 00 00 00 09"),
        ("0F 00 00 00 03 01 02", "0F 00 00 00 03"),
        ("10 00 00 00 02 04 00 01 00 02", "10 00 00 00 02"),
        ("10 00 00 00 02 03 00 01 00", "90 03"),
        ("07", "87 01"),
        ("03 00", "83 03"),
    ],
)
def test_the_slave_answers_as_the_standard_says(request_: str, answer: str) -> None:
    tables = Tables({1: {0: 1, 1: 0, 2: 1}, 2: {}, 3: {0: 7, 1: 8}, 4: {}})
    assert respond(tables, bytes.fromhex(request_), lambda *_: False) == bytes.fromhex(answer)


def condition(**test: Any) -> Condition:
    return Condition.model_validate({"type": "fire.smoke", "read": "x", **test})


def samples_of(values: list[float]) -> list[Sample]:
    return [Sample(value, value) for value in values]


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5), st.booleans(), st.booleans())
def test_a_detector_changes_only_after_so_many_reads_in_a_row(
    reads: list[bool], debounce: int, start: bool, inverted: bool
) -> None:
    detector = Detector(condition(equals=[1], debounce=debounce, inverted=inverted), start)
    history: list[bool] = []
    for read in reads:
        history.append(read != inverted)
        before = detector.active
        changed = detector.feed(Sample(int(read), read))
        assert changed == (detector.active != before)
        if changed:
            assert history[-debounce:] == [detector.active] * debounce
        elif len(history) >= debounce and all(state != before for state in history[-debounce:]):
            pytest.fail("so many reads in a row, and no change")


@given(st.lists(st.floats(0, 100, allow_nan=False), max_size=60), st.floats(10, 90), st.floats(0, 10), st.booleans())
def test_hysteresis(values: list[float], limit: float, width: float, rising: bool) -> None:
    test = {"above": limit} if rising else {"below": limit}
    detector = Detector(condition(**test, hysteresis=width, debounce=1))
    for value in samples_of(values):
        if detector.feed(value):
            if detector.active:
                assert value.value >= limit if rising else value.value <= limit
            else:
                assert value.value <= limit - width if rising else value.value >= limit + width
        if not detector.active:
            assert value.value < limit if rising else value.value > limit


def test_within_the_hysteresis_nothing_flutters() -> None:
    detector = Detector(condition(above=25.0, hysteresis=2.5, debounce=1))
    changes = [detector.feed(value) for value in samples_of([24.9, 25.0, 24.0, 25.1, 22.6, 22.4, 24.9])]
    assert changes == [False, True, False, False, False, True, False]


def read(**more: Any) -> Read:
    return Read.model_validate({"name": "x", "function": 3, "address": 0, **more})


@given(st.floats(width=32, allow_nan=False), st.booleans())
def test_f32_in_both_word_orders(number: float, low_first: bool) -> None:
    words = list(struct.unpack(">HH", struct.pack(">f", number)))
    order_ = {"words": "low-first"} if low_first else {}
    got = sample(read(type="f32", **order_), Block(3, 0, 2), words[::-1] if low_first else words)
    assert got.value == number


@pytest.mark.parametrize(
    ("more", "words", "value"),
    [
        ({"type": "i16", "scale": 0.1}, [0xFFFF], -0.1),
        ({"type": "u16", "scale": 0.1}, [3], 0.3),
        ({"type": "u32"}, [1, 2], 65538),
        ({"type": "i32", "words": "low-first"}, [0xFFFE, 0xFFFF], -2),
        ({"type": "bit", "bit": 3}, [8], True),
        ({"type": "bit", "bit": 2}, [8], False),
        ({"type": "u16", "offset": -40.0}, [65], 25.0),
        ({"type": "u32"}, [0x0102, 0x0304], 0x01020304),
        ({"type": "u32", "words": "low-first"}, [0x0304, 0x0102], 0x01020304),
        ({"type": "u32", "bytes": "low-first"}, [0x0201, 0x0403], 0x01020304),
        ({"type": "u32", "words": "low-first", "bytes": "low-first"}, [0x0403, 0x0201], 0x01020304),
    ],
)
def test_values(more: dict[str, Any], words: list[int], value: float) -> None:
    assert sample(read(**more), Block(3, 0, len(words)), words).value == value


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 3, 4]), st.integers(0, 300)), min_size=1, max_size=40), st.integers(0, 9)
)
def test_the_plan_holds_every_read_within_the_limits(places: list[tuple[int, int]], gap: int) -> None:
    reads = [
        read(name=f"r{i}", function=f, address=a, type="bit" if f < 3 else "u16") for i, (f, a) in enumerate(places)
    ]
    blocks = plan(reads, gap, 20)
    assert all(any(block.holds(each) for block in blocks) for each in reads)
    assert all(block.count <= 20 for block in blocks if block.function > 2)
    ends = [(block.function, block.address, block.address + block.count) for block in blocks]
    assert all(a[0] != b[0] or b[1] - a[2] > gap or b[2] - a[1] > 20 for a, b in pairwise(ends))


def test_neighbours_are_read_at_once() -> None:
    assert plan([read(address=3), read(address=0, type="u32"), read(address=2)], 0, 125) == (Block(3, 0, 4),)
    assert len(plan([read(address=0), read(address=2)], 0, 125)) == 2
    assert len(plan([read(address=0), read(address=2)], 1, 125)) == 1


def test_samples_are_told_beyond_the_dead_band_between_the_intervals() -> None:
    interval = {"dead_band": 0.5, "min_interval": "10s", "max_interval": "60s"}
    sampler = Sampler([read(unit="°C", telemetry=interval), read(name="silent")])

    def told(value: float, at_s: float) -> dict[str, Value]:
        return sampler.due({"x": Sample(value, value), "silent": Sample(1, 1)}, at_s)

    assert told(20.0, 0) == {"x": Value(20.0, "°C")}
    assert told(25.0, 9) == {}
    assert told(20.4, 10) == {}
    assert told(20.6, 11) == {"x": Value(20.6, "°C")}
    assert told(20.6, 70) == {}
    assert told(math.nan, 71) == {}
    assert told(20.6, 71) == {"x": Value(20.6, "°C")}


def edge(phase: Phase) -> Reading:
    return Reading("d", "fire.smoke", phase)


@given(st.lists(st.booleans(), max_size=30), st.booleans())
def test_a_tray_is_bounded_and_ends_in_the_truth(states: list[bool], told: bool) -> None:
    key = ("fire.smoke", None)
    tray = Tray([key] if told else [])
    for state in states:
        tray.settle(key, edge(Phase.RAISE if state else Phase.CLEAR))
    phases = [reading.phase for reading in tray.readings()]
    assert len(phases) <= 2
    assert phases in ([], *([a] for a in Phase), [Phase.RAISE, Phase.CLEAR], [Phase.CLEAR, Phase.RAISE])
    last = phases[-1] is Phase.RAISE if phases else told
    assert last == (states[-1] if states else told)


def block(station: Station) -> Block:
    return station.config.blocks[0]


def test_a_value_that_is_no_number_is_a_fault_not_normal() -> None:
    station = Station(config(), frozenset(), 0.0)
    station.config.__dict__["reads"] = (read(name="status", type="f32", address=3),)
    station.answered({Block(3, 3, 2): [0x7FC0, 0]}, None, 1.0)
    assert [(r.type, r.reason) for r in station.tray.readings()] == [("device.fault", "bad-value")]


def test_a_refused_block_does_not_blind_the_others() -> None:
    station = Station(config(debounce=1), frozenset(), 0.0)
    station.answered({block(station): [1]}, Refused(4, 2), 1.0)
    assert [r.type for r in station.tray.readings()] == ["fire.smoke", "device.fault"]
    station.answered({block(station): [1]}, None, 2.0)
    assert station.tray.readings()[-1].phase is Phase.CLEAR


def test_what_may_be_an_alarm_is_looked_at_again_soon_and_first() -> None:
    smoke, other = (Station(config(debounce=2), frozenset(), 0.0) for _ in range(2))
    smoke.answered({block(smoke): [1]}, None, 0.0)
    assert (smoke.doubtful, smoke.due_s) == (True, DOUBT_S)
    other.due_s = -1.0  # long overdue
    assert min((smoke, other), key=_urgency) is smoke
    smoke.answered({block(smoke): [1]}, None, DOUBT_S)
    assert [r.type for r in smoke.tray.readings()] == ["fire.smoke"]
    assert not smoke.doubtful
    assert smoke.due_s > DOUBT_S  # again at its own interval
    smoke.answered({block(smoke): [0]}, None, 2.0)
    assert not smoke.doubtful  # an end is in no hurry
    smoke.missed(3.0)
    assert min((smoke, other), key=_urgency) is other


def test_a_condition_no_longer_configured_is_cleared() -> None:
    on_disk = frozenset({("door.forced", "3"), ("device.offline", None), FAULT})
    station = Station(config(), on_disk, 0.0)
    station.answered({block(station): [0]}, None, 1.0)
    cleared = {(r.type, r.phase) for r in station.tray.readings()}
    assert cleared == {("door.forced", Phase.CLEAR), ("device.fault", Phase.CLEAR)}


def test_two_conditions_of_one_type_are_one() -> None:
    gas = config("hnag1000", debounce=1)
    two = (*gas.watches, *config("hnag1000", debounce=1).watches)
    gas.__dict__["watches"] = (two[0], type(two[1])(condition(type="fire.gas", above=50, debounce=1), two[1].read))
    station = Station(gas, frozenset(), 0.0)
    for raw in (300, 600, 300, 0):
        station.answered({block(station): [raw, 0]}, None, 1.0)
    assert [r.phase for r in station.tray.readings()] == [Phase.RAISE, Phase.CLEAR]


def test_a_lost_device_is_asked_seldom_and_seen_again_within_10_s() -> None:
    station = Station(config(poll="60s", offline_after=3), frozenset(), 0.0)
    now_s, asked = 0.0, []
    for _ in range(9):
        station.missed(now_s)
        asked.append(station.due_s - now_s)
        now_s = station.due_s
    assert asked[:3] == [1.0, 1.0, 1.0]
    assert station.lost
    assert max(asked) == LAST_PROBE_S
    assert LAST_PROBE_S + PROBE_HANDICAP_S + station.config.peer.timeout_s < 10
    station.answered({block(station): [0]}, None, now_s)
    assert not station.lost


def test_offline_after_a_time() -> None:
    station = Station(config(offline_after="30s"), frozenset(), 0.0)
    station.missed(29.0)
    assert not station.lost
    station.missed(30.0)
    assert station.lost


def test_waiting_samples_are_merged() -> None:
    old = telemetry("d", {"a": Value(1), "b": Value(1)})
    assert merged(old, telemetry("d", {"b": Value(2)})).values == {"a": Value(1), "b": Value(2)}


PANEL: dict[str, Any] = {
    "profile": "jade-bird",
    "loops": {1: 2, 3: 1},
    "states": {1: "fire.panel", 2: "device.fault", 5: "fire.panel"},
}


def panel_said(station: Station, **values: int) -> list[tuple[str, Phase, object]]:
    """Two polls in which the points named so show these values, the others 0; what is to be emitted then."""
    for _ in range(2):
        answers = {block: [0] * block.count for block in station.config.blocks}
        for block, words in answers.items():
            for each in station.config.layout[block]:
                words[each.address - block.address] = values.get(each.name, 0)
        station.answered(answers, None, station.due_s)
    told: list[tuple[str, Phase, object]] = [
        (r.type, r.phase, (r.part or {}).get("address")) for r in station.tray.readings()
    ]
    station.tray.accepted(len(told))
    return told


def test_a_panel_s_points() -> None:
    made = config(**PANEL, points={"3-1": "3号楼5层"})
    assert [(block.address, block.count) for block in made.blocks] == [(0x0101, 2), (0x0301, 1)]
    assert made.parts["point_3_1"] == {"address": "3-1", "loop": 3, "point": 1, "text": "3号楼5层"}
    station = Station(made, frozenset({("fire.panel", "1-2")}), 0.0)
    assert panel_said(station, point_1_2=5) == []
    assert panel_said(station, point_1_2=2, point_3_1=1) == [
        ("fire.panel", Phase.CLEAR, "1-2"), ("device.fault", Phase.RAISE, "1-2"), ("fire.panel", Phase.RAISE, "3-1"),
    ]  # fmt: skip
    assert panel_said(station, point_1_1=9, point_1_2=2, point_3_1=1) == [("device.unmapped", Phase.PULSE, "1-1")]
    assert panel_said(station, point_1_1=9, point_1_2=0, point_3_1=5) == [("device.fault", Phase.CLEAR, "1-2")]


def test_a_panel_that_refuses_one_function_is_asked_with_the_other() -> None:
    station = Station(config(**PANEL), frozenset(), 0.0)
    asked = Block(3, 0x0101, 2)
    assert station.asked(asked) == asked
    assert not station.falls_back(Refused(3, 4))
    assert station.falls_back(Refused(3, 1))
    assert station.asked(asked) == Block(4, 0x0101, 2)
    assert station.falls_back(Refused(4, 2))
    assert station.asked(asked) == asked
    assert not Station(config(), frozenset(), 0.0).falls_back(Refused(3, 1))


def test_a_large_panel_is_read_fifty_points_at_a_time() -> None:
    made = config(profile="jade-bird", loops={1: 120, 2: 60})
    assert [block.count for block in made.blocks] == [50, 50, 20, 50, 10]


@pytest.mark.parametrize(
    ("profile", "args", "expected"),
    [
        ("waveshare-relay-8", {"number": 1, "state": True}, (5, 0, (0xFF00,))),
        ("waveshare-relay-8", {"number": 8, "state": "off"}, (5, 7, (0,))),
        (
            "waveshare-relay-8",
            {"number": 1, "state": True, "seconds": 0.7},
            (5, 0x0200, (7,)),
        ),  # 01 05 02 00 00 07 8D B0
        ("r421a08", {"number": 2, "state": True}, (6, 2, (0x0100,))),
        ("r421a08", {"number": 2, "state": False}, (6, 2, (0x0200,))),
        ("r421a08", {"number": 1, "state": True, "seconds": 10}, (6, 1, (0x060A,))),
        ("jydam-8", {"number": 2, "state": True, "seconds": 1}, (16, 8, (4, 10))),  # 10 00 08 00 02 04 00 04 00 0A
    ],
)
def test_orders(profile: str, args: dict[str, Any], expected: tuple[int, int, tuple[int, ...]]) -> None:
    assert order(config(profile).map.outputs, args) == expected


@pytest.mark.parametrize(
    ("profile", "args", "says"),
    [
        ("rs-yg-n01", {"number": 1, "state": True}, "no outputs"),
        ("waveshare-relay-8", {"state": True}, "number is 1 to 8"),
        ("waveshare-relay-8", {"number": True, "state": True}, "number is 1 to 8"),
        ("waveshare-relay-8", {"number": 1, "state": "open"}, "state is"),
        ("waveshare-relay-8", {"number": 1, "state": [1]}, "state is"),
        ("waveshare-relay-8", {"number": 1, "state": False, "seconds": 1}, "goes with state on"),
        ("waveshare-relay-8", {"number": 1, "state": True, "seconds": 4000}, "0.1 to 3276.7"),
        ("waveshare-relay-8", {"number": 1, "state": True, "seconds": math.nan}, "0.1 to 3276.7"),
        ("r421a08", {"number": 1, "state": True, "seconds": 256}, "1 to 255"),
        ("waveshare-io-8ch", {"number": 1, "state": True, "seconds": 1}, "cannot time"),
    ],
)
def test_orders_that_make_no_sense(profile: str, args: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        order(config(profile).map.outputs, args)


def test_a_reset_cuts_the_power_of_the_heads_or_is_one_write() -> None:
    assert reset(config("waveshare-relay-8", reset={"output": 3, "seconds": 5})) == (5, 0x0202, (50,))
    with pytest.raises(ValueError, match="its power must be cut"):
        reset(config())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"profile": "rs-yg-n1"}, r"no profile .*known: hnag1000.*did you mean rs-yg-n01"),
        ({"profile": "/nowhere.yaml"}, "cannot be read"),
        ({"address": 0}, "greater than or equal to 1"),
        ({"offline_after": "soon"}, "a count of missed polls, or a duration"),
        ({"inputs": {1: {"type": "door.forced"}}}, "has no inputs"),
        ({"profile": "novabo-2di", "inputs": {3: {"type": "door.forced"}}}, "has inputs 1 to 2"),
        ({"profile": "novabo-2di", "inputs": {1: {"type": "door.force"}}}, "did you mean door.forced"),
        ({"profile": "novabo-2di", "inputs": {1: {"type": "access.granted"}}}, "no condition"),
        ({"profile": "jade-bird"}, "which points are asked"),
        ({"profile": "jade-bird", "loops": {1: 256}}, "loop 1: loops 1 to 127, with 1 to 255 points"),
        ({"profile": "jade-bird", "loops": {1: 9}, "points": {"1-10": "A"}}, "point 1-10 is not among loops"),
        ({"profile": "jade-bird", "loops": {1: 9}, "states": {1: "fire.smok"}}, "did you mean fire.smoke"),
        ({"loops": {1: 9}}, "a rs-yg-n01 is none"),
        ({"reset": {"output": 1}}, "rs-yg-n01 has 0 of them"),
        ({"profile": "waveshare-relay-8", "reset": {"output": 9}}, "waveshare-relay-8 has 8 of them"),
    ],
)
def test_config_says_what_is_wrong(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        config(**{"profile": "rs-yg-n01", **more})


def test_config_overrides_its_profile() -> None:
    made = config(
        "novabo-2di", poll="2s", timeout="1s", retries=0, inputs={2: {"type": "door.forced", "inverted": False}}
    )
    assert (made.poll_s, made.peer.timeout_s, made.peer.retries, made.kind) == (2.0, 1.0, 0, "input")
    assert [(watch.key, watch.condition.inverted) for watch in made.watches] == [(("door.forced", "2"), False)]
    assert config(kind="heat").kind == "heat"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(errno.EACCES, "no"), "group dialout"),
        (OSError(errno.EBUSY, "busy"), "fuser -v /dev/x"),
        (ValueError("Invalid baud rate"), r"cannot be opened \(Invalid baud rate\)"),
    ],
)
def test_a_port_that_does_not_open(error: Exception, says: str) -> None:
    with pytest.raises(type(cannot_open("line", "/dev/x", error)), match=says):
        raise cannot_open("line", "/dev/x", error)


def test_bits_are_packed_lowest_first() -> None:
    assert pack_bits([1, 0, 0, 0, 0, 0, 0, 0, 1]) == b"\x01\x01"
