"""What a door does, end to end on a pty: who passes, lock and light, the disk, keypad, contacts, commands."""

import asyncio
from typing import Any

import osdp as libosdp  # type: ignore[import-untyped]
import pytest

from drivers.sim import osdp as sim
from gateway.event import Credential, Phase, Reading
from tests.contract.test_osdp import KEY, answers, card, card_seen, config, link, running, serial
from tests.fakes import FastClock, RecordingLink

GREEN, RED = libosdp.CommandLEDColor.Green, libosdp.CommandLEDColor.Red


def outputs(line: sim.Line) -> list[tuple[int, int, int]]:
    commands = [entry.detail for entry in line.ledger.of("output")]
    return [(c["output_no"], c["control_code"], c["timer_count"]) for c in commands]


async def test_a_granted_card_opens_with_green_light_and_one_beep() -> None:
    reader, to = sim.Reader(1, KEY), link()
    door = {"output": 1, "seconds": 7}
    async with sim.Line([reader]) as line, running(serial(line), to, config(door=door)):
        await card_seen(to, reader, 324)
        beep = (await line.ledger.wait("buzzer")).detail
    (reading,) = to.readings
    assert (reading.type, reading.phase, reading.reason) == ("access.granted", Phase.PULSE, None)
    assert reading.credential == Credential("wiegand-26", 90, 324)
    assert reading.raw == {"reader": 0, "bits": 26}
    assert outputs(line) == [(1, 5, 70)]
    light = line.ledger.of("led")[0].detail
    assert (light["on_color"], light["timer_count"], light["temporary"], beep["rep_count"]) == (GREEN, 70, True, 1)


async def test_a_denied_card_gets_red_light_and_three_beeps() -> None:
    reader, to = sim.Reader(1, KEY), link(granted=False)
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        await card_seen(to, reader, 324)
        beep = (await line.ledger.wait("buzzer")).detail
    assert [(r.type, r.reason) for r in to.readings] == [("access.denied", "no_right")]
    assert (line.ledger.of("led")[0].detail["on_color"], beep["rep_count"], outputs(line)) == (RED, 3, [])


async def test_the_disk_comes_first_then_the_door() -> None:
    reader, to, order = sim.Reader(1, KEY), link(), []
    asked, gate = asyncio.Event(), asyncio.Event()

    async def slow(readings: tuple[Reading, ...]) -> None:
        asked.set()
        await gate.wait()
        order.append(("stored", len(line.ledger.of("output"))))

    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        await answers(to, "door-1")
        to.before_emit = slow
        reader.present(*card(1))
        await asked.wait()
        gate.set()
        await line.ledger.wait("output")
    assert order == [("stored", 0)]


async def test_a_disk_that_hangs_leaves_no_one_outside() -> None:
    reader, to, gate = sim.Reader(1, KEY), link(), asyncio.Event()

    async def hangs(readings: tuple[Reading, ...]) -> None:
        await gate.wait()

    to.before_emit = hangs
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        for number in (1, 2):
            reader.present(*card(number))
            await line.ledger.wait("output", count=number)
        assert to.readings == []
        gate.set()
        await to.until(lambda: len(to.of("access.granted")) == 2)


async def test_a_disk_that_fails_is_told_when_it_is_back() -> None:
    reader, to = sim.Reader(1, KEY), link()
    to.clock = FastClock(10)
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        await answers(to, "door-1")
        to.failing = 1
        reader.present(*card(1))
        await line.ledger.wait("output")
        await to.until(lambda: to.readings)
    assert [(r.type, "seen_at" in r.data) for r in to.readings] == [("access.granted", True)]


async def test_the_same_card_at_once_is_one_reading_and_later_another() -> None:
    reader, to = sim.Reader(1, KEY), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config(ignore_repeats="300ms")):
        for number in (1, 1, 2):
            reader.present(*card(number))
        await to.until(lambda: len(to.readings) == 2)
        while len(to.readings) < 3:  # renewed by each try, so tried at a distance
            reader.present(*card(1))
            tries = to.seen_count["door-1"]
            await to.until(lambda tries=tries: to.seen_count["door-1"] > tries + 8)  # type: ignore[misc]
    assert [r.credential.number for r in to.readings if r.credential] == [1, 2, 1]


async def test_a_parity_error_is_a_read_error_and_no_card() -> None:
    reader, to = sim.Reader(1, KEY), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        reader.present(26, bytes((card(1)[1][0] ^ 0x20, *card(1)[1][1:])))
        await to.until(lambda: to.readings)
        assert (await line.ledger.wait("led")).detail["on_color"] == RED
    (reading,) = to.readings
    assert (reading.type, reading.reason, reading.credential) == ("device.unmapped", "read-error", None)
    assert (reading.raw, outputs(line)) == ({"reader": 0, "bits": 26}, [])


async def test_a_pin_over_several_key_reports() -> None:
    reader, to = sim.Reader(1, KEY), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        for keys in ("9*", "0", "12", "3#"):
            reader.press(keys)
        await to.until(lambda: to.readings)
    assert to.readings[0].credential == Credential("pin", 4, 123, kind="pin")


async def test_tamper_and_power_are_raised_and_cleared_once() -> None:
    reader, to = sim.Reader(1, KEY), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        for change in (reader.tamper, reader.power_fault):
            for on in (True, True, False):
                change(on)
        await to.until(lambda: len(to.readings) == 4)
        await card_seen(to, reader, 1)
    told = [(r.type, r.phase) for r in to.of("device.*")]
    assert told == [(t, p) for t in ("device.tamper", "device.power_fault") for p in (Phase.RAISE, Phase.CLEAR)]


async def test_a_condition_raised_before_the_restart_is_cleared_after_it() -> None:
    reader, to = sim.Reader(1, KEY), link()
    to.conditions["door-1"] = {("device.tamper", None), ("device.fault", None)}
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        await to.until(lambda: len(to.readings) == 2)
    assert {(r.type, r.phase) for r in to.readings} == {("device.tamper", Phase.CLEAR), ("device.fault", Phase.CLEAR)}


CONTACT = {"contact": 0, "exit": 1, "seconds": 1, "held_after": "5s"}


async def test_forced_open_closed_then_by_card_and_by_the_exit_button() -> None:
    reader, to = sim.Reader(1, KEY, inputs=2), link()
    to.clock = FastClock(10)
    async with sim.Line([reader]) as line, running(serial(line), to, config(door=CONTACT, offline_after="60s")):
        reader.input(0, False)
        reader.input(0, True)
        await to.until(lambda: to.of("door.forced", Phase.RAISE))
        reader.input(0, False)
        await to.until(lambda: to.of("door.forced", Phase.CLEAR))
        await card_seen(to, reader, 1)
        reader.input(0, True)
        await to.until(lambda: len(to.of("door.open", Phase.RAISE)) == 2)
        reader.input(0, False)
        reader.input(1, True)
        await line.ledger.wait("output", count=2)
        reader.input(0, True)
        await to.until(lambda: len(to.of("door.open", Phase.RAISE)) == 3)
    assert len(to.of("door.forced")) == 2


async def test_a_door_that_stands_open_is_held_until_it_closes() -> None:
    reader, to = sim.Reader(1, KEY, inputs=1), RecordingLink(clock=FastClock(10))
    settings: dict[str, Any] = {"door": {"contact": 0, "held_after": "5s"}, "offline_after": "60s"}
    async with sim.Line([reader]) as line, running(serial(line), to, config(**settings)):
        reader.input(0, True)
        await to.until(lambda: to.of("door.held", Phase.RAISE))
        reader.input(0, False)
        await to.until(lambda: to.of("door.open", Phase.CLEAR))
    raised = [r.type for r in to.readings if r.phase is Phase.RAISE]
    assert raised == ["door.open", "door.held"]
    assert {r.type for r in to.readings if r.phase is Phase.CLEAR} == set(raised)


async def test_commands_are_done_when_the_reader_says_so() -> None:
    reader, to = sim.Reader(1, KEY), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        await answers(to, "door-1")
        assert (await to.command("door-1", "unlock")).code == "ok"
        assert (await to.command("door-1", "unlock", seconds=2)).code == "ok"
        assert (await to.command("door-1", "release")).code == "ok"
        assert (await to.command("door-1", "lock")).code == "ok"
        assert (await to.command("door-1", "output", number=1, state=True, seconds=3)).code == "ok"
        assert (await to.command("door-1", "output", number=1, state=False)).code == "ok"
    assert outputs(line) == [(0, 5, 50), (0, 5, 20), (0, 2, 0), (0, 1, 0), (1, 5, 30), (1, 1, 0)]
    assert [(r.type, r.phase) for r in to.readings] == [("door.released", Phase.RAISE), ("door.released", Phase.CLEAR)]


@pytest.mark.parametrize(
    ("action", "args"),
    [
        ("unlock", {"seconds": 0}),
        ("unlock", {"seconds": True}),
        ("unlock", {"second": 1}),
        ("lock", {"seconds": 1}),
        ("output", {"number": 1}),
        ("output", {"number": True, "state": True}),
        ("output", {"number": 1, "state": False, "seconds": 1}),
        ("output", {"number": 1, "state": True, "seconds": 60}),
    ],
)
async def test_commands_with_bad_arguments_change_nothing(action: str, args: dict[str, Any]) -> None:
    reader, to = sim.Reader(1, KEY), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        await answers(to, "door-1")
        assert (await to.command("door-1", action, **args)).code == "bad-arguments"
    assert line.ledger.entries == []


async def test_a_command_to_a_silent_reader_is_answered_at_once() -> None:
    to = link()
    async with sim.Line([]) as line, running(serial(line), to, config()):
        await to.until(lambda: ("door-1", "unlock") in to.handlers)
        assert (await to.command("door-1", "unlock")).code == "device-offline"


async def test_an_output_that_the_reader_refuses_is_a_fault_until_it_works() -> None:
    reader, to = sim.Reader(1, KEY), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        await answers(to, "door-1")
        reader.refuses.add(libosdp.Command.Output)
        assert (await to.command("door-1", "unlock")).code == "device-refused"
        await to.until(lambda: to.of("device.fault", Phase.RAISE))
        reader.refuses.clear()
        await to.until(lambda: to.seen_count["door-1"] > 20)
        assert (await to.command("door-1", "unlock")).code == "ok"
        await to.until(lambda: to.of("device.fault", Phase.CLEAR))
    assert [r.reason for r in to.of("device.fault")] == ["output-refused", None]


async def test_a_light_that_the_reader_refuses_is_not_tried_again() -> None:
    reader, to = sim.Reader(1, KEY), link()
    reader.refuses |= {libosdp.Command.LED, libosdp.Command.Buzzer}
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        for number in (1, 2, 3):
            await card_seen(to, reader, number)
        await line.ledger.wait("output", count=3)
    assert to.of("device.*") == []


async def test_a_release_outlives_the_reader_s_power() -> None:
    reader, to = sim.Reader(1, KEY), link()
    async with sim.Line([reader]) as line, running(serial(line), to, config()):
        await answers(to, "door-1")
        assert (await to.command("door-1", "release")).code == "ok"
        reader.power(True)
        await line.ledger.wait("output", count=2)
    assert outputs(line) == [(0, 2, 0)] * 2


async def test_a_long_opening_is_renewed_in_time() -> None:
    reader, to = sim.Reader(1, KEY), RecordingLink(clock=FastClock(100))
    async with sim.Line([reader]) as line, running(serial(line), to, config(offline_after="500s")):
        await answers(to, "door-1")
        assert (await to.command("door-1", "unlock", seconds=60)).code == "ok"
        await line.ledger.wait("output", count=3)
    assert outputs(line)[:2] == [(0, 5, 255)] * 2
    assert 0 < outputs(line)[2][2] <= 255
