"""The Modbus driver on real ptys and sockets, against our simulated slaves and against pymodbus' own server."""

import asyncio
import errno
import os
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers._serial import open_port
from drivers.modbus import Config, run
from drivers.sim.modbus import Line as Wire
from drivers.sim.modbus import Slave
from gateway.driver import Line
from gateway.errors import StorageError, Text, Unreachable
from gateway.event import Phase, Reading
from gateway.fields import BusConfig
from tests.fakes import FastClock, RecordingLink

FAST = {"driver": "modbus", "place": "b3", "bus": "line", "timeout": "60ms", "retries": 0}
WIRES: dict[str, dict[str, Any]] = {
    "pty": {},
    "tcp": {"tcp": ("127.0.0.1", 0), "framing": "tcp"},
    "rtu-over-tcp": {"tcp": ("127.0.0.1", 0), "framing": "rtu"},
}


def device(id: str, address: int, profile: str = "rs-yg-n01", **more: Any) -> Config:
    return Config.model_validate({"id": id, "address": address, "profile": profile, **FAST, **more})


def bus_of(wire: Wire, framing: str = "tcp") -> BusConfig:
    if wire.port:
        return BusConfig.model_validate({"serial": wire.port})
    return BusConfig.model_validate({"tcp": f"{wire.address[0]}:{wire.address[1]}", "framing": framing})


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink(clock=FastClock(50))


@asynccontextmanager
async def driving(link: RecordingLink, bus: BusConfig, *devices: Config) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(run(Line("line", bus, devices), link))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Unreachable):
            await task


@pytest.mark.parametrize("kind", WIRES)
async def test_smoke_is_raised_and_cleared_on_every_kind_of_wire(link: RecordingLink, kind: str) -> None:
    smoke = Slave(5, "rs-yg-n01")
    async with Wire(smoke, **WIRES[kind]) as wire:
        framing = WIRES[kind].get("framing", "tcp")
        async with driving(link, bus_of(wire, framing), device("smoke", 5)):
            await link.until(lambda: link.seen_count)
            assert link.of("fire.*") == []
            smoke.set_condition("fire.smoke", True)
            await link.until(lambda: link.of("fire.smoke", Phase.RAISE))
            smoke.set_condition("fire.smoke", False)
            await link.until(lambda: link.of("fire.smoke", Phase.CLEAR))
    raised = link.of("fire.smoke", Phase.RAISE)
    assert len(raised) == 1
    assert raised[0].raw == {"function": 3, "register": 3, "value": 1}
    assert [edge.value for edge in wire.ledger] == [1, 0]


async def test_one_read_is_no_alarm_two_are(link: RecordingLink) -> None:
    smoke = Slave(5, "rs-yg-n01")
    async with Wire(smoke) as wire, driving(link, bus_of(wire), device("smoke", 5, debounce=2)):
        await link.until(lambda: link.seen_count)
        before = smoke.requests
        smoke.set_condition("fire.smoke", True)
        await link.until(lambda: link.of("fire.smoke"))
        assert 2 <= smoke.requests - before <= 3  # one may have been on its way


async def test_what_stands_open_on_disk_is_not_raised_anew_and_what_ended_is_cleared(link: RecordingLink) -> None:
    still, ended = Slave(1, "rs-yg-n01"), Slave(2, "rs-yg-n01")
    link.conditions = {"still": {("fire.smoke", None)}, "ended": {("fire.smoke", None), ("device.shielded", None)}}
    still.set_condition("fire.smoke", True)
    async with Wire(still, ended) as wire, driving(link, bus_of(wire), device("still", 1), device("ended", 2)):
        await link.until(lambda: link.of("fire.*"))
        await link.until(lambda: link.seen_count["still"] > 5)
    assert [(r.device, r.phase) for r in link.of("fire.*")] == [("ended", Phase.CLEAR)]
    assert link.active("ended") == {("device.shielded", None)}


async def test_silence_is_offline_never_normal_and_it_is_seen_again(link: RecordingLink) -> None:
    smoke = Slave(5, "rs-yg-n01")
    smoke.set_condition("fire.smoke", True)
    async with Wire(smoke) as wire, driving(link, bus_of(wire), device("smoke", 5)):
        await link.until(lambda: link.of("fire.smoke"))
        smoke.unplug()
        await link.until(lambda: link.offline)
        assert link.active("smoke") == {("fire.smoke", None), ("device.offline", None)}
        smoke.plug()
        await link.until(lambda: not link.offline)
    assert link.presence == [("smoke", "seen"), ("smoke", "no-answer"), ("smoke", "seen")]
    assert [r.phase for r in link.of("fire.smoke")] == [Phase.RAISE]


async def test_a_silent_device_does_not_slow_the_others(link: RecordingLink) -> None:
    slaves = [Slave(address, "rs-yg-n01") for address in (1, 2, 3, 4)]
    slaves[3].unplug()
    async with (
        Wire(*slaves) as wire,
        driving(link, bus_of(wire), *(device(f"d{s.address}", s.address) for s in slaves)),
    ):
        await link.until(lambda: link.offline)
        begun = [slave.requests for slave in slaves]
        await link.until(lambda: slaves[0].requests - begun[0] >= 30)
        asked = [slave.requests - before for slave, before in zip(slaves, begun, strict=True)]
    assert max(asked[:3]) - min(asked[:3]) <= 1
    assert asked[3] <= asked[0] / 2


async def test_many_that_fall_silent_at_once_take_turns_with_the_others() -> None:
    link = RecordingLink(clock=FastClock(10))  # so that 50 ms are the usual half second
    slaves = [Slave(address, "rs-yg-n01") for address in range(1, 9)]
    devices = [device(f"d{slave.address}", slave.address, timeout="50ms") for slave in slaves]
    async with Wire(*slaves) as wire, driving(link, bus_of(wire), *devices):
        await link.until(lambda: len(link.seen_count) == 8)
        for slave in slaves[2:]:
            slave.unplug()
        begun = [slave.requests for slave in slaves]
        await link.until(lambda: len(link.offline) == 6)
        asked = [slave.requests - before for slave, before in zip(slaves, begun, strict=True)]
    assert asked[2:] == [3] * 6
    assert min(asked[:2]) >= 6  # after the first round no silence is followed by another while somebody lives


async def test_own_intervals_are_kept(link: RecordingLink) -> None:
    slaves = Slave(1, "rs-yg-n01"), Slave(2, "rs-yg-n01")
    devices = device("often", 1, poll="1s"), device("seldom", 2, poll="5s")
    async with Wire(*slaves) as wire, driving(link, bus_of(wire), *devices):
        await link.until(lambda: slaves[1].requests >= 5)
    assert 2 <= slaves[0].requests / slaves[1].requests <= 6  # 5; less where a busy machine asks late


async def test_noise_before_every_reply_and_between(link: RecordingLink) -> None:
    smoke = Slave(5, "rs-yg-n01")
    smoke.noise = b"\x00\x05\x03"  # looks like the beginning of its own reply
    async with Wire(smoke) as wire, driving(link, bus_of(wire), device("smoke", 5)):
        await link.until(lambda: link.seen_count)
        wire.put_noise(os.urandom(700))
        smoke.set_condition("fire.smoke", True)
        await link.until(lambda: link.of("fire.smoke"))
    assert not link.offline


class Forgetful(Slave):
    """Answers every second request."""

    def hear(self, pdu: bytes) -> bytes:
        answer = super().hear(pdu)
        return answer if self.requests % 2 == 0 else b""


async def test_a_retry_within_the_poll(link: RecordingLink) -> None:
    config = device("smoke", 5, retries=1, offline_after=1)
    async with Wire(Forgetful(5, "rs-yg-n01")) as wire, driving(link, bus_of(wire), config):
        await link.until(lambda: link.seen_count.get("smoke", 0) >= 4)
    assert link.presence == [("smoke", "seen")]


async def test_a_late_reply_answers_nothing(link: RecordingLink) -> None:
    gas = Slave(1, "hnag1000")
    gas.delay_s = 0.15
    async with Wire(gas) as wire, driving(link, bus_of(wire), device("gas", 1, "hnag1000")):
        await link.until(lambda: link.offline)
        gas.delay_s = 0.0
        await link.until(lambda: not link.offline)
        gas.set_condition("fire.gas", True)
        await link.until(lambda: link.of("fire.gas"))
    assert link.of("fire.gas")[0].values["gas_concentration"].value == 25.0


async def test_an_exception_is_a_fault_until_it_answers_rightly(link: RecordingLink) -> None:
    smoke = Slave(5, "rs-yg-n01")
    smoke.exception = 2
    async with Wire(smoke) as wire, driving(link, bus_of(wire), device("smoke", 5)):
        await link.until(lambda: link.of("device.fault"))
        await link.until(lambda: link.seen_count.get("smoke", 0) > 3)
        smoke.exception = None
        await link.until(lambda: link.of("device.fault", Phase.CLEAR))
    raised = link.of("device.fault", Phase.RAISE)
    assert [(r.reason, r.raw) for r in raised] == [("illegal-address", {"function": 3, "exception": 2})]


async def test_a_bridge_with_nobody_behind_it_is_silence(link: RecordingLink) -> None:
    smoke = Slave(5, "rs-yg-n01")
    smoke.exception = 11  # gateway target device failed to respond
    async with Wire(smoke, **WIRES["tcp"]) as wire, driving(link, bus_of(wire), device("smoke", 5)):
        await link.until(lambda: link.offline)
    assert link.of("device.fault") == []


async def test_fail_safe_inputs_with_their_parts(link: RecordingLink) -> None:
    board = Slave(255, "novabo-2di")
    config = device("board", 255, "novabo-2di", inputs={1: {"type": "door.forced", "name": "北门"}})
    async with Wire(board) as wire, driving(link, bus_of(wire), config):
        await link.until(lambda: link.seen_count)
        board.set_input(2, False)  # means nothing here
        board.set_input(1, False)
        await link.until(lambda: link.of("door.forced"))
        board.set_input(1, True)
        await link.until(lambda: link.of("door.forced", Phase.CLEAR))
    assert [r.part for r in link.readings] == [{"point": 1, "text": "北门"}] * 2


async def test_an_unknown_status_is_told_once_and_is_no_alarm(link: RecordingLink) -> None:
    smoke = Slave(5, "rs-yg-n01")
    async with Wire(smoke) as wire, driving(link, bus_of(wire), device("smoke", 5)):
        smoke.set_value("status", 9)
        await link.until(lambda: link.of("device.unmapped"))
        await link.until(lambda: link.seen_count["smoke"] > 5)
    assert [r.type for r in link.readings] == ["device.unmapped"]


async def test_nothing_is_lost_while_the_disk_refuses(link: RecordingLink) -> None:
    smoke = Slave(5, "rs-yg-n01")
    async with Wire(smoke) as wire, driving(link, bus_of(wire), device("smoke", 5)):
        await link.until(lambda: link.seen_count)
        link.failing = 8
        smoke.set_condition("fire.smoke", True)
        await link.until(lambda: link.refused >= 2)
        smoke.set_condition("fire.smoke", False)
        await link.until(lambda: link.of("fire.smoke", Phase.CLEAR))
    assert [r.phase for r in link.of("fire.smoke")] == [Phase.RAISE, Phase.CLEAR]


def heard(slave: Slave, count: int) -> bool:
    return slave.requests >= count


async def test_telemetry_that_waits_for_the_disk_does_not_hold_up_an_alarm(link: RecordingLink) -> None:
    smoke = Slave(1, "lt-001-m1920")
    freed = asyncio.Event()

    async def slow(readings: tuple[Reading, ...]) -> None:
        if readings[0].type == "telemetry.sample":
            await freed.wait()

    link.before_emit = slow
    async with Wire(smoke) as wire, driving(link, bus_of(wire), device("smoke", 1, "lt-001-m1920")):
        await link.until(lambda: link.seen_count)
        smoke.set_condition("fire.smoke", True)
        await link.until(lambda: link.of("fire.smoke"))
        for celsius in (10, 20, 30, 40):
            smoke.set_value("temperature", celsius)
            enough = smoke.requests + 11  # longer than the minimum interval
            await link.until(partial(heard, smoke, enough))
        assert link.of("telemetry.*") == []
        freed.set()
        await link.until(lambda: len(link.of("telemetry.*")) == 2)
    first, merged = link.of("telemetry.*")
    assert first.values["temperature"].value == 0.0
    assert merged.values["temperature"].value == 40.0
    assert merged.values["temperature"].unit == "°C"


async def test_telemetry_that_the_disk_refused_is_told_with_what_came_meanwhile(link: RecordingLink) -> None:
    smoke = Slave(1, "lt-001-m1920")
    asked: list[Reading] = []
    refused = asyncio.Event()

    async def once(readings: tuple[Reading, ...]) -> None:
        if readings[0].type == "telemetry.sample" and not asked:
            asked.extend(readings)
            link.changed()
            await refused.wait()
            raise StorageError("store", Text("the disk is full", "磁盘已满"))

    link.before_emit = once
    async with Wire(smoke) as wire, driving(link, bus_of(wire), device("smoke", 1, "lt-001-m1920")):
        await link.until(lambda: asked)
        smoke.set_value("humidity", 40)
        await link.until(partial(heard, smoke, smoke.requests + 11))  # longer than the minimum interval
        refused.set()
        await link.until(lambda: link.of("telemetry.*"))
    told = link.of("telemetry.*")[0].values
    assert told["humidity"].value == 40.0
    assert told["temperature"] == asked[0].values["temperature"]


async def test_three_words_are_one_request(link: RecordingLink) -> None:
    smoke = Slave(1, "lt-001-m1920")
    async with Wire(smoke) as wire, driving(link, bus_of(wire), device("smoke", 1, "lt-001-m1920")):
        await link.until(lambda: link.seen_count.get("smoke", 0) >= 5)
        assert smoke.requests <= link.seen_count["smoke"] + 1


@pytest.mark.parametrize("kind", WIRES)
async def test_an_output_is_switched_and_pulsed_by_the_board(link: RecordingLink, kind: str) -> None:
    board = Slave(1, "waveshare-relay-8")
    async with Wire(board, **WIRES[kind]) as wire:
        wire.listeners.append(link.changed)
        framing = WIRES[kind].get("framing", "tcp")
        async with driving(link, bus_of(wire, framing), device("relays", 1, "waveshare-relay-8")):
            await link.until(lambda: link.seen_count)
            done = await link.command("relays", "output", number=3, state=True)
            assert (done.code, done.result, board.output(3)) == ("ok", {"number": 3, "state": True}, True)
            assert (await link.command("relays", "output", number=3, state="off")).code == "ok"
            assert not board.output(3)
            assert (await link.command("relays", "output", number=8, state=True, seconds=0.1)).code == "ok"
            assert board.output(8)
            await link.until(lambda: not board.output(8))
    assert [(edge.what, edge.value) for edge in wire.ledger] == [
        ("output_3", 1), ("output_3", 0), ("output_8", 1), ("output_8", 0),
    ]  # fmt: skip


async def test_registers_as_outputs(link: RecordingLink) -> None:
    board = Slave(1, "r421a08")
    async with Wire(board) as wire, driving(link, bus_of(wire), device("relays", 1, "r421a08")):
        await link.until(lambda: link.seen_count)
        assert (await link.command("relays", "output", number=2, state=True)).code == "ok"
        assert board.output(2)
        refused = await link.command("relays", "output", number=2, state=True, seconds=256)
        assert (refused.code, refused.message) == ("bad-arguments", "seconds is 1 to 255")


async def test_commands_that_cannot_be_done(link: RecordingLink) -> None:
    board = Slave(1, "waveshare-io-8ch")
    async with Wire(board) as wire, driving(link, bus_of(wire), device("board", 1, "waveshare-io-8ch")):
        await link.until(lambda: link.seen_count)
        board.exception = 4
        assert (await link.command("board", "output", number=1, state=True)).code == "device-refused"
        board.exception = None
        board.unplug()
        assert (await link.command("board", "output", number=1, state=True)).code in ("timeout", "device-offline")
        await link.until(lambda: link.offline)
        assert (await link.command("board", "output", number=1, state=True)).code == "device-offline"
        assert (await link.command("board", "output", number=9, state=True)).message == "number is 1 to 8"


async def test_an_adapter_that_hears_itself_confirms_no_write(link: RecordingLink) -> None:
    board = Slave(1, "waveshare-relay-8")
    async with Wire(board, echo=True) as wire, driving(link, bus_of(wire), device("relays", 1, "waveshare-relay-8")):
        await link.until(lambda: link.seen_count)
        assert (await link.command("relays", "output", number=1, state=True)).code == "ok"
        assert board.output(1)
        board.unplug()
        assert (await link.command("relays", "output", number=1, state=False)).code in ("timeout", "device-offline")
        assert board.output(1)


async def failure(link: RecordingLink, bus: dict[str, Any]) -> Unreachable:
    devices = device("a", 1), device("b", 2)
    with pytest.raises(Unreachable) as caught:
        await run(Line("line", BusConfig.model_validate(bus), devices), link)
    assert link.offline == {"a": "bus-down", "b": "bus-down"}
    assert caught.value.where == "line"
    return caught.value


async def test_an_absent_port(link: RecordingLink) -> None:
    error = await failure(link, {"serial": "/dev/serial/by-id/nothing"})
    assert error.say("en") == (
        "line: there is no serial port /dev/serial/by-id/nothing; "
        "plug the adapter in, or correct serial: (ls -l /dev/serial/by-id)"
    )
    assert "没有串口" in error.say("zh-CN")


async def test_a_port_in_use(link: RecordingLink) -> None:
    async with Wire(Slave(1)) as wire:
        with open_port("other", bus_of(wire)):
            assert "another program uses the serial port" in str(await failure(link, {"serial": wire.port}))


async def test_a_file_is_no_port(link: RecordingLink) -> None:
    assert "is no serial port" in str(await failure(link, {"serial": "/dev/null"}))


async def test_a_connection_refused(link: RecordingLink) -> None:
    async with Wire(Slave(1), **WIRES["tcp"]) as wire:
        host, port = wire.address
    assert f"{host}:{port} does not take the connection" in str(await failure(link, {"tcp": f"{host}:{port}"}))


async def test_a_dropped_connection_is_told_and_the_next_run_goes_on(link: RecordingLink) -> None:
    smoke = Slave(5, "rs-yg-n01")
    async with Wire(smoke, **WIRES["tcp"]) as wire:
        async with driving(link, bus_of(wire), device("smoke", 5)) as task:
            await link.until(lambda: link.seen_count)
            wire.drop()
            with pytest.raises(Unreachable, match="dropped"):
                await task
        assert link.offline == {"smoke": "bus-down"}
        async with driving(link, bus_of(wire), device("smoke", 5)):
            await link.until(lambda: not link.offline)


async def test_a_tcp_peer_that_went_away_without_a_word_is_called_again(link: RecordingLink) -> None:
    async with Wire(Slave(5, "rs-yg-n01"), **WIRES["tcp"]) as wire, driving(link, bus_of(wire), device("smoke", 5)):
        await link.until(lambda: link.seen_count)
        wire.go_deaf()
        await link.until(lambda: link.offline == {"smoke": "no-answer"})
        await link.until(lambda: not link.offline)


async def test_an_adapter_pulled_out(link: RecordingLink) -> None:
    async with AsyncExitStack() as adapter:
        wire = await adapter.enter_async_context(Wire(Slave(5, "rs-yg-n01")))
        async with driving(link, bus_of(wire), device("smoke", 5)) as task:
            await link.until(lambda: link.seen_count)
            await adapter.aclose()
            with pytest.raises(Unreachable, match="is gone"):
                await task
    assert link.offline == {"smoke": "bus-down"}


# pymodbus' server is the independent peer: it shares no code with our slaves


def relay(source: int, target: int) -> None:
    try:
        os.write(target, os.read(source, 4096))
    except OSError as error:
        if error.errno != errno.EIO:
            raise


@contextmanager
def pty_pair() -> Iterator[tuple[str, str]]:
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        (a, a_end), (b, b_end) = os.openpty(), os.openpty()
        for fd in (a, a_end, b, b_end):
            stack.callback(os.close, fd)
        for end in (a_end, b_end):
            tty.setraw(end)
        for source, target in ((a, b), (b, a)):
            loop.add_reader(source, relay, source, target)
            stack.callback(loop.remove_reader, source)
        yield os.ttyname(a_end), os.ttyname(b_end)


def sim_device(address: int) -> SimDevice:
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    registers = [SimData(0, count=16, values=0, datatype=DataType.REGISTERS)]
    return SimDevice(address, simdata=(bits, bits, registers, registers))


async def story(link: RecordingLink, server: Any, bus: BusConfig) -> None:
    """Alarm and all clear, an illegal address, a relay, and the server gone: against pymodbus' server."""
    devices = device("smoke", 5), device("relays", 6, "waveshare-io-8ch"), device("wrong", 7, "r421a08")
    async with driving(link, bus, *devices) as task:
        await link.until(lambda: len(link.seen_count) == 3)
        await server.async_setValues(5, 16, 3, [1])
        await link.until(lambda: link.of("fire.smoke", Phase.RAISE))
        await server.async_setValues(5, 16, 3, [0])
        await link.until(lambda: link.of("fire.smoke", Phase.CLEAR))
        assert (await link.command("relays", "output", number=4, state=True)).code == "ok"
        assert (await server.async_getValues(6, 1, 0, 8))[:5] == [False, False, False, True, False]
        await link.until(lambda: link.of("device.fault", device="wrong"))
        assert link.of("device.fault")[0].reason == "illegal-address"
        await server.shutdown()
        await link.until(lambda: len(link.offline) == 3 or task.done())
    assert set(link.offline) == {"smoke", "relays", "wrong"}


def three_devices() -> list[SimDevice]:
    short = [SimData(0, count=4, values=0, datatype=DataType.REGISTERS)]
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    return [sim_device(5), sim_device(6), SimDevice(7, simdata=(bits, bits, short, short))]


async def test_against_pymodbus_on_a_serial_line(link: RecordingLink) -> None:
    with pty_pair() as (ours, theirs):
        server = ModbusSerialServer(three_devices(), port=theirs, baudrate=9600)
        await server.serve_forever(background=True)
        await story(link, server, BusConfig.model_validate({"serial": ours}))


async def test_against_pymodbus_on_tcp(link: RecordingLink) -> None:
    server = ModbusTcpServer(three_devices(), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    host, port = server.transport.sockets[0].getsockname()  # type: ignore[attr-defined]
    await story(link, server, BusConfig.model_validate({"tcp": f"{host}:{port}"}))
