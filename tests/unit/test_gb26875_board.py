"""What a transmission device's words mean, and one device in the middle of its conversation, with a moved clock."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers._gb26875_board import Board
from drivers._gb26875_config import Config
from drivers._gb26875_dialogue import Way
from drivers._gb26875_family import Family
from drivers._gb26875_frame import Frame, whole
from drivers._gb26875_orders import carry_out
from drivers._gb26875_station import Station
from drivers._gb26875_table import GB2011
from drivers._gb26875_unit import parse, write_time
from gateway.clock import TimeQuality
from gateway.driver import Command
from gateway.event import Reading, Value
from tests.fakes import ManualClock, RecordingLink
from tests.unit.test_gb26875 import FIRE, TALKER, config, frame, of, part


class Desk:
    """A board and the conditions that stand on disk."""

    def __init__(self, main: Config | None = None, *parts: Config) -> None:
        self.family = Family(main or config(), {p.part: p for p in parts if p.part})
        self.board = Board(self.family)
        self.link = RecordingLink()

    async def take(self, data: bytes, command: int = 2) -> list[tuple[str, str]]:
        """What of it is news, as (type, phase)."""
        draft = self.board.draft(command, parse(self.family.main.table, data), data, self.link.active)
        await self.link.emit(*draft.readings)
        self.board.keep(draft)
        return [(reading.type, reading.phase.value) for reading in draft.readings]

    def restart(self) -> None:
        """Only the disk remembers."""
        self.board = Board(self.family)

    @property
    def newest(self) -> Reading:
        return self.link.readings[-1]


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- status words


async def test_a_word_told_again_says_nothing_and_its_end_is_told(desk: Desk) -> None:
    assert await desk.take(of(2, part(0x0002))) == [("fire.smoke", "raise")]
    assert await desk.take(of(2, part(0x0002))) == []
    assert await desk.take(of(2, part(0x0006))) == [("device.fault", "raise")]
    assert await desk.take(of(2, part(0x0005))) == [("fire.smoke", "clear")]
    assert await desk.take(of(2, part(0x0001))) == [("device.fault", "clear")]
    assert await desk.take(of(2, part(0x0002))) == [("fire.smoke", "raise")]


async def test_a_restart_forgets_nothing(desk: Desk) -> None:
    await desk.take(of(2, part(0x0006)))
    desk.restart()
    assert await desk.take(of(2, part(0x0006))) == []
    desk.restart()
    assert await desk.take(of(2, part(0x0000))) == [("device.fault", "clear"), ("fire.smoke", "clear")]


async def test_several_bits_and_several_objects_at_once(desk: Desk) -> None:
    other = bytes.fromhex("0B000200")
    told = await desk.take(of(2, part(0x011E), part(0x0002, 31, other), part(0, 31, other)))
    raised = {"fire.smoke", "device.fault", "device.shielded", "fire.supervisory", "device.power_fault"}
    assert {type for type, phase in told[:5] if phase == "raise"} == raised
    assert told[5:] == [("fire.heat", "raise"), ("fire.heat", "clear")]


async def test_bits_without_a_type_go_through_with_their_numbers_when_they_change(desk: Desk) -> None:
    assert await desk.take(of(2, part(0x4021, 91))) == [("device.unmapped", "pulse")] * 2
    first, second = desk.link.readings
    assert (first.reason, first.raw["bit"], first.raw["value"]) == ("started", 5, 1)
    assert (second.reason, second.raw["bit"], second.raw["part"]) == (None, 14, 91)
    assert await desk.take(of(2, part(0x4021, 91))) == []
    assert await desk.take(of(2, part(0x0021, 91))) == [("device.unmapped", "pulse")]
    assert desk.newest.raw["value"] == 0


async def test_outputs_release_doors(desk: Desk) -> None:
    assert await desk.take(of(2, part(0x0021, 86))) == [("door.released", "raise")]
    assert await desk.take(of(2, part(0x0061, 86))) == [("door.released", "raise")]
    assert desk.newest.reason == "feedback"
    assert await desk.take(of(2, part(0x0041, 86))) == [("door.released", "raise")]  # still, for one reason less
    assert await desk.take(of(2, part(0x0001, 86))) == [("door.released", "clear")]


async def test_a_system(desk: Desk) -> None:
    def word(status: int) -> bytes:
        return of(1, TALKER.object(1, system=1, system_address=1, status=status))

    assert await desk.take(word(0x0301)) == [("device.power_fault", "raise")] * 2
    assert [reading.reason for reading in desk.link.readings] == [None, "backup"]
    assert desk.newest.part == {"system": 1, "address": "0101"}
    code = {"table": "2011", "level": "system", "bit": 9, "system": 1}
    assert desk.newest.data["codes"] == {"contact-id": 311, "gb26875.3": code}
    assert await desk.take(word(0x0403)) == [
        ("device.fault", "raise"), ("device.power_fault", "clear"), ("fire.panel", "raise"),
    ]  # fmt: skip
    assert next(r for r in desk.link.readings if r.type == "device.fault").reason == "bus"
    assert await desk.take(word(0x1C03)) == [("device.unmapped", "pulse"), ("operator.config", "pulse")]
    assert desk.link.readings[-2].reason == "manual-mode"


async def test_the_device_itself(desk: Desk) -> None:
    def word(status: int) -> bytes:
        return of(21, TALKER.object(21, status=status))

    assert await desk.take(word(0xFF)) == [
        ("device.fault", "raise"), ("device.offline", "raise"), ("device.power_fault", "raise"),
        ("device.power_fault", "raise"), ("fire.panel", "raise"), ("gateway.uplink_lost", "raise"),
        ("device.unmapped", "pulse"),
    ]  # fmt: skip
    (line,) = desk.link.of("device.offline")
    assert (line.part, line.reason) == ({"address": "fire-system"}, "fire-system-line")
    assert {phase for _, phase in await desk.take(word(0x01))} == {"clear", "pulse"}
    assert desk.link.active("utd") == frozenset()


async def test_bit_0_is_an_attribute_unless_the_device_is_trusted_with_it(desk: Desk) -> None:
    await desk.take(of(2, part(0x0002)))
    assert (desk.newest.test, desk.newest.data["test_bit"]) == (False, True)
    trusted = Desk(config(test_bit="test"))
    assert await trusted.take(of(2, part(0x0002))) == [("device.test", "raise"), ("fire.smoke", "raise")]
    assert trusted.newest.test
    assert await trusted.take(of(2, part(0x0002))) == []
    assert await trusted.take(of(2, part(0x0003))) == [("device.test", "clear"), ("fire.smoke", "raise")]
    assert not trusted.newest.test
    trusted.restart()
    assert await trusted.take(of(2, part(0x0003))) == [("fire.smoke", "raise")]  # was it a test before? It is none now


# --- operations and resets


@pytest.mark.parametrize(
    ("flag", "type"),
    [(0, "operator.reset"), (1, "operator.silence"), (3, "operator.dispose"), (4, "operator.selftest"),
     (5, "operator.ack"), (6, "operator.test"), (7, "device.unmapped")],
)  # fmt: skip
async def test_operations(desk: Desk, flag: int, type: str) -> None:
    device = TALKER.object(24, flags=1 << flag, operator=7)
    panel = TALKER.object(4, system=1, system_address=2, flags=1 << flag, operator=7)
    assert await desk.take(of(24, device)) == await desk.take(of(4, panel)) == [(type, "pulse")]
    if type.startswith("operator."):
        assert desk.newest.data["who"] == "operator-7"
    assert [reading.reason for reading in desk.link.readings] == (["post-check", None] if flag == 5 else [None, None])


async def test_a_manual_alarm_begins_and_ends(desk: Desk) -> None:
    assert await desk.take(of(24, TALKER.object(24, flags=4))) == [("fire.manual", "raise")]
    assert await desk.take(of(24, TALKER.object(24, flags=4))) == []
    assert await desk.take(of(21, TALKER.object(21, status=1))) == []  # of which its status word says nothing
    assert await desk.take(of(24, TALKER.object(24, flags=8))) == [
        ("operator.dispose", "pulse"),
        ("fire.manual", "clear"),
    ]


RESETS = {
    "type 4": TALKER.object(4, system=1, system_address=1, flags=1),
    "type 1": TALKER.object(1, system=1, system_address=1, status=0x2001),
}


@pytest.mark.parametrize("how", RESETS)
@pytest.mark.parametrize("forgetful", [False, True])
async def test_a_reset_ends_what_its_system_showed_but_for_shields(desk: Desk, how: str, forgetful: bool) -> None:
    await desk.take(of(2, part(0x000A), part(0x0004, address=bytes(4))))
    await desk.take(of(21, TALKER.object(21, status=0x09)))
    if forgetful:
        desk.restart()
    told = await desk.take(of(int(how[-1]), RESETS[how]))
    assert told == [("operator.reset", "pulse"), ("device.fault", "clear"), ("fire.smoke", "clear")] or told == [
        ("device.fault", "clear"), ("fire.smoke", "clear"), ("operator.reset", "pulse"),
    ]  # fmt: skip
    assert desk.link.active("utd") == {("device.shielded", "0A000200"), ("device.power_fault", None)}
    if how == "type 1":
        assert await desk.take(of(1, RESETS[how])) == []  # its bit stands on: no second reset
    assert ("fire.smoke", "raise") in await desk.take(of(2, part(0x000A)))  # the panel finds it again


async def test_a_reset_leaves_another_system_alone(desk: Desk) -> None:
    await desk.take(of(2, part(0x0002, address=bytes(4)), part(0x0002, panel=2)))
    await desk.take(of(4, RESETS["type 4"]))
    assert desk.link.active("utd") == {("fire.smoke", "0A000200")}


async def test_a_reset_at_the_device_ends_all_fires_behind_it(desk: Desk) -> None:
    await desk.take(of(2, part(0x0002), part(0x0002, address=bytes(4), panel=2)))
    await desk.take(of(21, TALKER.object(21, status=0x0B)))
    await desk.take(of(24, TALKER.object(24, flags=1)))
    assert desk.link.active("utd") == {("device.power_fault", None)}


# --- values, versions, texts, clocks


@pytest.mark.parametrize(
    ("analog", "value", "name", "said"),
    [(3, 235, "temperature", Value(23.5, "°C")), (3, -52, "temperature", Value(-5.2, "°C")),
     (2, 312, "height", Value(3.12, "m")), (4, 5, "pressure", Value(0.5, "MPa")),
     (1, 12, "events", Value(12)), (6, 99, "gas", Value(9.9, "%LEL"))],
)  # fmt: skip
async def test_measured_values(desk: Desk, analog: int, value: int, name: str, said: Value) -> None:
    await desk.take(of(3, TALKER.object(3, system=1, part=92, address=FIRE, analog=analog, value=value)))
    assert desk.newest.values == {name: said}
    assert (desk.newest.part or {})["loop"] == 2


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (of(5, b"\1\1\3\7"), {"software_version": "3.7"}),
        (of(25, b"\2\0"), {"software_version": "2.0"}),
        (of(6, b"\1\1\4" + "甲乙".encode("gb18030")), {"configuration": "甲乙"}),
        (of(26, b"\2ab"), {"configuration": "ab"}),
        (of(7, bytes(7) + b"hall".ljust(31)), {"description": "hall"}),
        (of(8, b"\1\1" + bytes([1, 2, 3, 4, 5, 24])), {"clock": "2024-05-04T03:02:01+08:00"}),
        (of(28, bytes(6)), {"clock": "000000000000"}),
    ],
)
async def test_versions_texts_and_clocks(desk: Desk, data: bytes, values: Mapping[str, str]) -> None:
    assert await desk.take(data) == [("telemetry.sample", "pulse")]
    assert desk.newest.values == {name: Value(value) for name, value in values.items()}


async def test_an_unknown_analog_type_goes_through_with_its_numbers(desk: Desk) -> None:
    assert await desk.take(of(3, TALKER.object(3, analog=77, value=5))) == [("device.unmapped", "pulse")]
    assert (desk.newest.raw["analog"], desk.newest.raw["value"]) == (77, 5)


# --- devices behind it


@pytest.mark.parametrize(
    ("kind", "type"),
    [*[(n, "fire.smoke") for n in range(40, 45)], (30, "fire.heat"), (37, "fire.heat"), (23, "fire.manual"),
     (24, "fire.manual"), (11, "fire.gas"), (74, "fire.gas"), (0, "fire.panel"), (25, "fire.panel"),
     (51, "fire.panel"), (200, "fire.panel"), (86, "fire.panel")],
)  # fmt: skip
async def test_every_part_can_report_a_fire(desk: Desk, kind: int, type: str) -> None:
    for status in (0x0002, 0x0003):  # whatever bit 0 says
        assert (type, "raise") in await desk.take(of(2, part(status, kind, address=bytes([status, 0, 0, 0]))))


async def test_parts_that_are_devices_of_their_own() -> None:
    smoke = config(id="smoke", part="0A000200", kind="smoke")
    panel = config(id="panel-2", part="0102", kind="panel")
    exact = config(id="heat", part="01030A000200", kind="heat")
    desk = Desk(config(), smoke, panel, exact)
    await desk.take(
        of(2, part(2, 0), part(2, 0, panel=3), part(2, address=bytes(4)), part(2, address=bytes(4), panel=2))
    )
    await desk.take(of(1, TALKER.object(1, system=1, system_address=2, status=2)))
    told = [(r.device, r.type, None if r.part is None else r.part["address"]) for r in desk.link.readings]
    assert told == [
        ("smoke", "fire.smoke", None), ("heat", "fire.heat", None), ("utd", "fire.smoke", "00000000"),
        ("panel-2", "fire.smoke", "00000000"), ("panel-2", "fire.panel", None),
    ]  # fmt: skip
    await desk.take(of(4, TALKER.object(4, system=1, system_address=2, flags=1)))
    assert desk.link.active("panel-2") == frozenset()
    assert desk.link.active("smoke") == {("fire.smoke", None)}


# --- one device, with a clock that the test moves


class Bench:
    """A station whose line is a list."""

    def __init__(self, **more: Any) -> None:
        self.clock = ManualClock()
        self.link = RecordingLink(clock=self.clock)
        self.station = Station(Family(config(**more)), self.link)
        self.sent: list[Frame] = []
        self.way = Way("here", self._send)

    def _send(self, wire: bytes) -> None:
        found = whole(wire)
        assert found is not None
        self.sent.append(found)
        self.link.changed()

    async def take(self, sent: Frame) -> int | None:
        """The command of the reply."""
        before = len(self.sent)
        await self.station.take(sent, self.way)
        return self.sent[-1].command if len(self.sent) > before else None


async def test_a_confirm_has_the_serial_the_swapped_addresses_and_a_fresh_time() -> None:
    bench = Bench()
    sent = frame(of(2, part(2)))._replace(destination=b"centre", tag=bytes(6), version=b"\x10\x00")
    assert await bench.take(sent) == 3
    assert bench.sent[0] == Frame(7, b"\x10\x00", write_time(bench.clock.utc()), b"centre", sent.source, 3)


async def test_a_vendors_hello_is_answered_in_the_confirm() -> None:
    bench = Bench()
    assert await bench.take(frame(b"\x16")) == 3
    assert bench.sent[0].data == b"\x17"
    assert bench.link.readings == []


@pytest.mark.parametrize("command", [0, 1, 4, 7, 127])
async def test_commands_that_are_not_for_a_centre_are_denied(command: int) -> None:
    bench = Bench()
    assert await bench.take(frame(of(2, part(2)), command)) == 6
    assert bench.link.readings == []


async def test_an_operation_sent_again_is_told_once() -> None:
    bench = Bench()
    press = frame(of(24, TALKER.object(24, flags=2)))
    assert [await bench.take(press), await bench.take(press)] == [3, 3]
    assert len(bench.link.of("operator.silence")) == 1
    assert await bench.take(press._replace(serial=8)) == 3
    assert len(bench.link.of("operator.silence")) == 2
    bench.clock.advance(61)
    await bench.take(press)
    assert len(bench.link.of("operator.silence")) == 3


async def test_a_late_resend_may_begin_a_fire_but_never_end_one() -> None:
    bench = Bench()
    fire, normal = frame(of(2, part(2, time=bytes(6)))), frame(of(2, part(1, time=bytes(6))), serial=8)
    for sent in (fire, normal, fire, normal):
        await bench.take(sent)
    assert [r.phase.value for r in bench.link.of("fire.smoke")] == ["raise", "clear", "raise"]


async def test_a_device_that_numbers_all_alike_is_believed_each_time() -> None:
    bench = Bench()
    fire, normal = frame(of(2, part(2, time=bytes(6)))), frame(of(2, part(1, time=bytes(6))))
    for sent in (fire, normal, fire, normal):
        await bench.take(sent)
    assert [r.phase.value for r in bench.link.of("fire.smoke")] == ["raise", "clear", "raise", "clear"]


async def test_without_a_disk_there_is_no_confirm_and_nothing_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.link.failing = 2
    fire = frame(of(2, part(2)))
    assert [await bench.take(fire), await bench.take(fire), await bench.take(fire)] == [None, None, 3]
    assert len(bench.link.of("fire.smoke")) == 1
    assert caplog.text.count("not confirmed") == 1


@pytest.mark.parametrize("quality", [TimeQuality.SYNCED, TimeQuality.UNSYNCED])
async def test_only_a_right_clock_sets_others(quality: TimeQuality) -> None:
    bench = Bench()
    bench.clock.time_quality = quality
    right = write_time(bench.clock.utc() + timedelta(seconds=20))
    for tag in (right, bytes(6)):
        await bench.take(frame()._replace(tag=tag))
    assert bench.station.timing.wanted is (quality is TimeQuality.SYNCED)


@pytest.mark.parametrize(
    ("action", "args", "said"),
    [
        ("test", {}, "seconds:"),
        ("test", {"seconds": 10**6}, "from 1 to 15300"),
        ("test", {"seconds": 60, "minutes": 1}, "minutes: not known"),
        ("read", {}, "type: one of 61,"),
        ("read", {"type": 89}, "type: one of 61,"),
        ("read", {"type": True}, "type: one of 61,"),
        ("read", {"type": 81, "system": 1}, "system: not known"),
        ("read", {"type": 61, "system": 256}, "from 0 to 255"),
        ("read", {"type": 62}, "part: the 8"),
        ("read", {"type": 64, "since": "yesterday"}, ""),
        ("read", {"type": 84, "since": "2026-11-23T10:06:19"}, "since:"),
        ("read", {"type": 84, "count": 0}, "count:"),
    ],
)
async def test_commands_that_make_no_sense(action: str, args: dict[str, Any], said: str) -> None:
    bench = Bench()
    outcome = await carry_out(bench.station, bench.clock, Command("c", "utd", action, args))
    assert outcome.code == "bad-arguments"
    assert said in outcome.message


async def test_a_device_that_never_spoke_cannot_be_asked() -> None:
    bench = Bench()
    outcome = await carry_out(bench.station, bench.clock, Command("c", "utd", "read", {"type": 81}))
    assert outcome.code == "device-offline"


# --- against a simple model


PARTS = [bytes([n, 0, 1, 0]) for n in range(3)]
TYPE_OF = {1: "fire.smoke", 2: "device.fault", 3: "device.shielded", 4: "fire.supervisory", 8: "device.power_fault"}


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(PARTS), st.integers(0, 0xFFFF)) | st.sampled_from(["restart", "reset", "refused"]),
        max_size=30,
    )
)
async def test_what_stands_open_is_what_the_newest_words_say(steps: list[tuple[bytes, int] | str]) -> None:
    """Whatever comes, with restarts, resets and a disk that refuses in between."""
    desk, model = Desk(), set[tuple[str, str | None]]()
    for step in steps:
        if step == "restart":
            desk.restart()
        elif step == "reset":
            await desk.take(of(4, RESETS["type 4"]))
            model = {key for key in model if key[0] == "device.shielded"}
        elif step == "refused":
            data = of(2, part(0xFFFF, address=PARTS[0]))
            desk.board.draft(2, parse(GB2011, data), data, desk.link.active)  # not kept
        elif isinstance(step, tuple):
            address, word = step
            key = address.hex().upper()
            told = await desk.take(of(2, part(word, address=address)))
            fresh = {(type, key) for bit, type in TYPE_OF.items() if word >> bit & 1}
            begun = [(type, key) for type, phase in told if phase == "raise"]
            assert sorted(begun) == sorted(fresh - model)
            model = {each for each in model if each[1] != key} | fresh
        assert desk.link.active("utd") == model
