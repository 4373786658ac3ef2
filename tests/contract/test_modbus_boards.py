"""Relay boards with timers of their own, latching heads, fire panels: the driver on real wires; mbpoll as a peer."""

import asyncio
from pathlib import Path

import pytest

from drivers.modbus import Config
from drivers.sim.modbus import Line as Wire
from drivers.sim.modbus import Slave
from gateway.event import Phase
from tests.contract.test_modbus import FAST, WIRES, bus_of, device, driving
from tests.fakes import FastClock, RecordingLink

HEAD = """\
title: {en: A latching head, zh: 自保持探头}
kind: smoke
source: a test of the driver
confidence: memory
reads: [{name: status, function: 3, address: 7, normal: [0]}]
conditions: [{type: fire.smoke, read: status, equals: [1], latching: true}]
reset: {function: 6, address: 9, value: 0x55AA}
"""


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink(clock=FastClock(50))


def panel(**more: object) -> Config:
    base = {"id": "panel", "profile": "jade-bird", "address": 1, "loops": {1: 60, 2: 3}}
    return Config.model_validate({**FAST, **base, **more})


@pytest.mark.parametrize("kind", WIRES)
@pytest.mark.parametrize(("profile", "seconds"), [("jydam-8", 0.1), ("r421a08", 1)])
async def test_a_board_counts_its_pulse_itself(link: RecordingLink, kind: str, profile: str, seconds: float) -> None:
    board = Slave(1, profile)
    async with Wire(board, **WIRES[kind]) as wire:
        wire.listeners.append(link.changed)
        async with driving(link, bus_of(wire, WIRES[kind].get("framing", "tcp")), device("relays", 1, profile)):
            await link.until(lambda: link.seen_count)
            assert (await link.command("relays", "output", number=3, state=True, seconds=seconds)).code == "ok"
            assert board.output(3)
        assert board.output(3)  # the gateway is gone, and the board goes on counting
        await link.until(lambda: not board.output(3))
    assert [edge.value for edge in wire.ledger if edge.what == "output_3"] == [1, 0]


async def test_on_and_off_end_a_pulse(link: RecordingLink) -> None:
    board = Slave(1, "jydam-8")
    async with Wire(board) as wire, driving(link, bus_of(wire), device("relays", 1, "jydam-8")):
        await link.until(lambda: link.seen_count)
        assert (await link.command("relays", "output", number=1, state=True, seconds=60)).code == "ok"
        assert (await link.command("relays", "output", number=1, state=False)).code == "ok"
        assert not board.output(1)


async def test_a_latching_head_is_reset(link: RecordingLink, tmp_path: Path) -> None:
    profile = tmp_path / "head.yaml"
    profile.write_text(HEAD, "utf-8")
    head = Slave(1, str(profile))
    async with Wire(head) as wire, driving(link, bus_of(wire), device("head", 1, str(profile))):
        head.set_condition("fire.smoke", True)
        await link.until(lambda: link.of("fire.smoke", Phase.RAISE))
        assert link.of("fire.smoke")[0].data == {"latching": True}
        assert (await link.command("head", "reset")).code == "ok"
        await link.until(lambda: link.of("fire.smoke", Phase.CLEAR))


async def test_heads_whose_power_a_board_cuts(link: RecordingLink) -> None:
    board = Slave(1, "waveshare-relay-8")
    async with Wire(board) as wire:
        wire.listeners.append(link.changed)
        config = device("zone", 1, "waveshare-relay-8", reset={"output": 2, "seconds": 0.1})
        async with driving(link, bus_of(wire), config):
            await link.until(lambda: link.seen_count)
            assert (await link.command("zone", "reset")).code == "ok"
            await link.until(lambda: len([edge for edge in wire.ledger if edge.what == "output_2"]) == 2)
    assert not board.output(2)


async def test_what_has_no_reset_says_so(link: RecordingLink) -> None:
    async with Wire(Slave(5, "rs-yg-n01")) as wire, driving(link, bus_of(wire), device("smoke", 5)):
        await link.until(lambda: link.seen_count)
        outcome = await link.command("smoke", "reset")
        assert (outcome.code, outcome.message) == (
            "bad-arguments", "this device has no reset of its own: its power must be cut",
        )  # fmt: skip


@pytest.mark.parametrize("refused", [set(), {3}])
async def test_a_panel_tells_its_points(link: RecordingLink, refused: set[int]) -> None:
    slave = Slave(1, "jade-bird", loops={1: 60, 2: 3})
    slave.unknown_functions = refused
    config = panel(states={1: "fire.panel"}, points={"2-3": "地下车库"})
    async with Wire(slave) as wire, driving(link, bus_of(wire), config):
        await link.until(lambda: link.seen_count)
        slave.set_point(2, 3, 1)
        slave.set_point(1, 60, 4)
        await link.until(lambda: link.of("fire.panel", Phase.RAISE) and link.of("device.unmapped"))
        slave.set_point(2, 3, 0)
        await link.until(lambda: link.of("fire.panel", Phase.CLEAR))
    part = {"address": "2-3", "loop": 2, "point": 3, "text": "地下车库"}
    assert [r.part for r in link.of("fire.panel")] == [part, part]
    assert [(r.part or {}).get("address") for r in link.of("device.unmapped")] == ["1-60"]
    assert link.of("device.fault") == []  # a panel that knows the other function is well


async def test_a_panel_whose_loop_is_shorter_than_configured_is_a_fault(link: RecordingLink) -> None:
    slave = Slave(1, "jade-bird", loops={1: 60, 2: 2})
    async with Wire(slave) as wire, driving(link, bus_of(wire), panel()):
        await link.until(lambda: link.of("device.fault"))
    assert link.of("device.fault")[0].reason == "illegal-address"


async def test_what_a_panel_says_while_the_disk_refuses_is_told_later(link: RecordingLink) -> None:
    slave = Slave(1, "jade-bird", loops={1: 60, 2: 3})
    async with Wire(slave) as wire, driving(link, bus_of(wire), panel(states={1: "fire.panel"})):
        await link.until(lambda: link.seen_count)
        link.failing = 6
        for point in range(1, 41):
            slave.set_point(1, point, 1)
        await link.until(lambda: link.refused >= 3)
        await link.until(lambda: len(link.of("fire.panel", Phase.RAISE)) == 40)
    assert len({str(r.part) for r in link.of("fire.panel")}) == 40


async def mbpoll(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "mbpoll", "-1", "-0", "-q", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(10):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_mbpoll_reads_our_simulated_devices() -> None:
    gas = Slave(9, "hnag1000")
    gas.set_value("gas_concentration", 10.0)
    async with Wire(gas, tcp=("127.0.0.1", 0), framing="tcp") as wire:
        host, port = wire.address
        over_tcp = await mbpoll("-m", "tcp", "-a", "9", "-p", str(port), "-t", "4", "-r", "0", "-c", "2", host)
    async with Wire(gas) as wire:
        over_serial = await mbpoll("-m", "rtu", "-b", "9600", "-P", "none", "-a", "9", "-t", "4", "-r", "0", wire.port)
    assert "[0]: \t100" in over_tcp[1]
    assert "[0]: \t100" in over_serial[1]


async def test_mbpoll_switches_our_simulated_board() -> None:
    board = Slave(1, "waveshare-relay-8")
    async with Wire(board, tcp=("127.0.0.1", 0), framing="tcp") as wire:
        host, port = wire.address
        status, said = await mbpoll("-m", "tcp", "-a", "1", "-p", str(port), "-t", "0", "-r", "2", host, "1")
    assert (status, board.output(3)) == (0, True), said
