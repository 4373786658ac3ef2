"""The searches on real ptys and sockets: several devices at their own speeds, noise, collisions; and only reading."""

import asyncio
import os
import random
import termios
import tty
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

import pytest
from pymodbus import ModbusDeviceIdentification
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer

from drivers import _modbus_search, _osdp_search, _osdp_wire
from drivers._modbus_rtu import crc_right
from drivers.sim import modbus, osdp
from gateway.driver import Found, Search
from gateway.errors import Unreachable
from gateway.fields import BusConfig
from tests.contract.test_modbus import sim_device, three_devices

WAIT_S = 0.05
RATES = {4800: termios.B4800, 9600: termios.B9600, 19200: termios.B19200, 115200: termios.B115200}
Sent = Callable[[bytes], None]


def at(port: str, *rates: int) -> list[BusConfig]:
    return [BusConfig.model_validate({"serial": port, "baudrate": rate}) for rate in rates]


def tcp(address: tuple[str, int], framing: str = "tcp") -> list[BusConfig]:
    return [BusConfig.model_validate({"tcp": f"{address[0]}:{address[1]}", "framing": framing})]


async def found(search: Search) -> list[Found]:
    """All of it; that it takes as many steps as it said is checked."""
    async with asyncio.timeout(30):
        results = [each async for each in search.run()]
    assert results.count(None) == search.steps
    return [each for each in results if each is not None]


def addresses(results: Iterable[Found]) -> dict[int, Any]:
    """Which were found, each with the speed (or nothing, on TCP)."""
    return {each.device["address"]: (each.bus or {}).get("baudrate") for each in results if each.device}


def rate_of(port: str) -> int:
    """The speed that was set on a pty, as its other end may see it."""
    handle = os.open(port, os.O_RDWR | os.O_NOCTTY)
    try:
        speed = termios.tcgetattr(handle)[5]
    finally:
        os.close(handle)
    return next(rate for rate, code in RATES.items() if code == speed)


class RatedLine(modbus.Line):
    """A line whose slaves hear only what comes at their own speed; at any other they babble, or are silent."""

    def __init__(self, rates: dict[int, int], *slaves: modbus.Slave, babble: bytes = b"") -> None:
        super().__init__(*slaves)
        self._rates = rates
        self._babble = babble

    def heard(self, frame: bytes, reply: Callable[[int, bytes], None]) -> None:
        """As on a real line: another speed is another language."""
        if rate_of(self.port) == self._rates.get(frame[0]):
            super().heard(frame, reply)
        elif frame[0] in self._rates:
            self.put_noise(self._babble)


class RatedReaders(osdp.Line):
    """The same of door readers."""

    def __init__(self, rates: dict[int, int], *readers: osdp.Reader) -> None:
        super().__init__(readers)
        self._rates = rates

    def _feed(self, data: bytes, write: Sent) -> None:
        for reader in self.readers.values():
            reader.powered = rate_of(self.port) == self._rates[reader.address]
        super()._feed(data, write)


class Tap:
    """Between who asks and a simulated line: every byte that went towards the devices."""

    def __init__(self) -> None:
        self.asked = b""
        self.port = ""


@asynccontextmanager
async def tapped(far: str) -> AsyncIterator[Tap]:
    """A pty of its own, joined to the simulator's."""
    tap = Tap()
    ours, theirs = os.openpty()
    there = os.open(far, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(theirs)
    tap.port = os.ttyname(theirs)
    loop = asyncio.get_running_loop()

    def ask() -> None:
        data = os.read(ours, 4096)
        tap.asked += data
        os.write(there, data)

    loop.add_reader(ours, ask)
    loop.add_reader(there, lambda: os.write(ours, os.read(there, 4096)))
    try:
        yield tap
    finally:
        for handle in (ours, there):
            loop.remove_reader(handle)
        for handle in (ours, theirs, there):
            os.close(handle)


def functions(asked: bytes) -> set[int]:
    """The functions of RTU requests that stand one behind the other, to the last byte."""
    seen = set()
    while asked:
        size = next(size for size in (7, 8) if crc_right(asked[:size]))
        seen.add(asked[1])
        asked = asked[size:]
    return seen


# --- Modbus ----------------------------------------------------------------------------------------------------------


async def test_each_device_is_found_at_its_own_speed() -> None:
    slaves = modbus.Slave(1, "rs-yg-n01"), modbus.Slave(7, "waveshare-io-8ch"), modbus.Slave(255, "novabo-2di")
    async with RatedLine({1: 4800, 7: 9600, 255: 9600}, *slaves) as line:
        results = await found(_modbus_search.search(at(line.port, 9600, 4800), [*range(1, 9), 255], WAIT_S))
    assert addresses(results) == {1: 4800, 7: 9600, 255: 9600}
    assert [each.device["address"] for each in results] == [255, 1, 7]  # factory addresses first, at every speed
    assert results[1].where == f"{line.port} 4800 8N1 #1"
    assert results[1].bus == {"serial": line.port, "baudrate": 4800}
    assert line.ledger == []


async def test_who_was_found_is_not_asked_again_at_other_speeds() -> None:
    slave = modbus.Slave(3, "rs-yg-n01")
    async with modbus.Line(slave) as line:  # it hears every speed
        results = await found(_modbus_search.search(at(line.port, 9600, 4800), [3], WAIT_S))
    assert (len(results), addresses(results)) == (1, {3: 9600})


async def test_an_exception_is_an_answer_too() -> None:
    slave = modbus.Slave(3)
    async with modbus.Line(slave) as line:
        slave.exception = 1
        results = await found(_modbus_search.search(at(line.port, 9600), [3, 4], WAIT_S))
    assert addresses(results) == {3: 9600}
    assert "no profile that comes along fits" in results[0].what.en
    assert "模板" in results[0].what.zh


async def test_profiles_that_fit_are_told_and_none_is_chosen() -> None:
    smoke, board = modbus.Slave(2, "lt-001-m1920"), modbus.Slave(3, "waveshare-io-8ch")
    smoke.set_value("temperature", 23.5)
    smoke.set_value("humidity", 45.0)
    async with modbus.Line(smoke, board) as line:
        first, second = await found(_modbus_search.search(at(line.port, 9600), [2, 3], WAIT_S))
        smoke.set_value("humidity", 3000.0)  # no such humidity: whatever this is, it is not that
        third, _ = await found(_modbus_search.search(at(line.port, 9600), [2, 3], WAIT_S))
    assert "lt-001-m1920 (3)" in first.what.en
    assert "rs-yg-n01" not in first.what.en  # register 3 is not there
    assert "waveshare-io-8ch (16)" in second.what.en
    assert "lc-modbus-8r-d7 (16)" in second.what.en
    assert "lt-001-m1920" not in third.what.en
    assert "profile" not in {**first.device, **second.device}


async def test_a_board_that_ignores_what_it_does_not_know() -> None:
    class Stubborn(modbus.Slave):
        def hear(self, pdu: bytes) -> bytes:
            return super().hear(pdu) if pdu[0] == 1 else b""

    async with modbus.Line(Stubborn(2, "wp8025adam")) as line:
        assert await found(_modbus_search.search(at(line.port, 9600), [2], WAIT_S)) == []
        thorough = await found(_modbus_search.search(at(line.port, 9600), [2], WAIT_S, thorough=True))
    assert addresses(thorough) == {2: 9600}
    assert "wp8025adam (8)" in thorough[0].what.en


async def test_another_speed_is_heard_and_told_unless_the_right_one_is_found() -> None:
    babble = bytes.fromhex("F8 80 00 78 FE")
    async with RatedLine({5: 4800}, modbus.Slave(5, "rs-yg-n01"), babble=babble) as line:
        (hint,) = await found(_modbus_search.search(at(line.port, 9600), [4, 5, 6], WAIT_S))
        both = await found(_modbus_search.search(at(line.port, 9600, 4800), [4, 5, 6], WAIT_S))
    assert (hint.where, dict(hint.device)) == (f"{line.port} 9600 8N1", {})
    assert "asked: 5)" in hint.what.en
    assert "another speed" in hint.what.en
    assert "波特率" in hint.what.zh
    assert addresses(both) == {5: 4800}
    assert len(both) == 1


async def test_noise_before_the_answer_and_an_adapter_that_echoes() -> None:
    slave = modbus.Slave(5, "rs-yg-n01")
    slave.noise = b"\x00\xff\x05\x03"
    async with modbus.Line(slave, echo=True) as line:
        results = await found(_modbus_search.search(at(line.port, 9600), [4, 5, 6], WAIT_S))
    assert addresses(results) == {5: 9600}
    assert len(results) == 1  # an echo alone is nobody


@pytest.mark.parametrize("cut", [1, 4, 6])
async def test_half_frames_are_no_device_but_a_hint(cut: int) -> None:
    class Cut(modbus.Line):
        def heard(self, frame: bytes, reply: Callable[[int, bytes], None]) -> None:
            if frame[0] == 5:
                self.put_noise(bytes.fromhex("05 03 02 00 00 49 84")[:cut])

    async with Cut() as line:
        (hint,) = await found(_modbus_search.search(at(line.port, 9600), [4, 5], WAIT_S))
    assert not hint.device


async def test_a_damaged_answer_is_asked_for_once_more() -> None:
    class Flipping(modbus.Line):
        asked = 0

        def heard(self, frame: bytes, reply: Callable[[int, bytes], None]) -> None:
            self.asked += 1
            if self.asked == 1:
                self.put_noise(bytes.fromhex("05 03 02 00 01 49 84"))
            else:
                super().heard(frame, reply)

    async with Flipping(modbus.Slave(5, "rs-yg-n01")) as line:
        results = await found(_modbus_search.search(at(line.port, 9600), [5], WAIT_S))
    assert addresses(results) == {5: 9600}


async def test_a_line_that_babbles_all_the_time_finds_nobody_and_comes_to_its_end() -> None:
    async with modbus.Line() as line:
        noise = random.Random(4)
        stop = asyncio.Event()

        async def babble() -> None:
            while not stop.is_set():
                line.put_noise(noise.randbytes(20))
                try:
                    async with asyncio.timeout(0.01):
                        await stop.wait()
                except TimeoutError:
                    continue

        async with asyncio.TaskGroup() as group:
            group.create_task(babble())
            results = await found(_modbus_search.search(at(line.port, 9600), [1], WAIT_S))
            stop.set()
    assert [dict(each.device) for each in results] == [{}]


async def test_only_reading_is_on_the_wire() -> None:
    slaves = [modbus.Slave(1, "waveshare-relay-8"), modbus.Slave(2, "rs-yg-n01"), modbus.Slave(3)]
    async with modbus.Line(*slaves) as line, tapped(line.port) as tap:
        before = [deepcopy(slave.tables.by_function) for slave in slaves]
        search = _modbus_search.search(at(tap.port, 9600), [1, 2, 3, 4], WAIT_S, thorough=True)
        assert len(addresses(await found(search))) == 3
        assert functions(tap.asked) == {1, 2, 3, 4, 0x2B}
        assert [slave.tables.by_function for slave in slaves] == before
    assert line.ledger == []


async def test_a_port_that_is_not_there_or_taken() -> None:
    with pytest.raises(Unreachable, match="there is no serial port"):
        await found(_modbus_search.search(at("/dev/nothing", 9600), [1], WAIT_S))
    async with modbus.Line() as line:
        async for _ in _modbus_search.search(at(line.port, 9600), [1, 2], WAIT_S).run():
            with pytest.raises(Unreachable, match="another program uses the serial port"):
                await found(_modbus_search.search(at(line.port, 9600), [1], WAIT_S))


async def test_a_server_that_is_not_there_or_goes_away() -> None:
    async with modbus.Line(modbus.Slave(1), tcp=("127.0.0.1", 0), framing="tcp") as line:
        address = line.address
        steps = _modbus_search.search(tcp(address), [1, 2, 3], WAIT_S).run()
        assert await anext(steps) is not None
        line.drop()
        with pytest.raises(Unreachable, match="the line is gone"):
            assert [each async for each in steps] == []
    with pytest.raises(Unreachable, match="no connection"):
        await found(_modbus_search.search(tcp(address), [1], WAIT_S))


@pytest.mark.parametrize("framing", ["tcp", "rtu"])
async def test_over_tcp(framing: Any) -> None:
    slaves = modbus.Slave(5, "rs-yg-n01"), modbus.Slave(6, "waveshare-relay-8")
    async with modbus.Line(*slaves, tcp=("127.0.0.1", 0), framing=framing) as line:
        results = await found(_modbus_search.search(tcp(line.address, framing), [4, 5, 6, 7], WAIT_S))
    assert addresses(results) == {5: None, 6: None}
    assert results[0].bus == {"tcp": f"127.0.0.1:{line.address[1]}"} | ({"framing": "rtu"} if framing == "rtu" else {})


# --- Modbus, an independent peer: pymodbus' server -------------------------------------------------------------------

NAMES = {"VendorName": "Acme", "ProductCode": "S-1", "MajorMinorRevision": "2.0"}


@asynccontextmanager
async def peer(devices: Sequence[Any], framer: FramerType) -> AsyncIterator[tuple[str, int]]:
    names: Any = ModbusDeviceIdentification
    server: Any = ModbusTcpServer(
        list(devices), framer=framer, identity=names(info_name=NAMES), address=("127.0.0.1", 0)
    )
    await server.serve_forever(background=True)
    try:
        yield server.transport.sockets[0].getsockname()
    finally:
        await server.shutdown()


async def test_pymodbus_names_itself_in_rtu_frames() -> None:
    async with peer([sim_device(5)], FramerType.RTU) as address:
        (result,) = await found(_modbus_search.search(tcp(address, "rtu"), [5], 0.5))
    assert result.what.en.startswith("Acme S-1 2.0; its registers could be of")


async def test_pymodbus_that_answers_to_any_address_is_one_device() -> None:
    async with peer([sim_device(0)], FramerType.SOCKET) as address:
        (result,) = await found(_modbus_search.search(tcp(address), [4, 5, 6], 0.5))
    assert result.device["address"] == 4
    assert result.what.en.startswith("Acme S-1 2.0; it answers to any address")


async def test_a_bridge_that_answers_for_absent_devices() -> None:
    async with peer(three_devices(), FramerType.SOCKET) as address:  # exception 4 at other addresses
        results = await found(_modbus_search.search(tcp(address), [4, 5, 6, 7, 8], 0.5))
    assert addresses(results) == {5: None, 6: None, 7: None}


# --- OSDP ------------------------------------------------------------------------------------------------------------

KEY = bytes.fromhex("7c1f9a0243d5e86b10b7c2954e3fa681")


async def test_each_reader_is_found_at_its_own_speed_and_says_what_it_is() -> None:
    readers = osdp.Reader(0, clear=True, inputs=2), osdp.Reader(3, KEY), osdp.Reader(9)
    async with RatedReaders({0: 9600, 3: 115200, 9: 9600}, *readers) as line:
        results = await found(_osdp_search.search(at(line.port, 9600, 115200), range(12), WAIT_S))
    assert addresses(results) == {0: 9600, 9: 9600, 3: 115200}
    assert dict(results[0].device) == {"driver": "osdp", "address": 0, "insecure": True}
    assert dict(results[1].device) == {"driver": "osdp", "address": 9, "key": None}
    assert "inputs 2, outputs 2" in results[0].what.en
    assert "no secure channel" in results[0].what.en
    assert "it can do the secure channel" in results[2].what.en
    assert "serial 3735928495" in results[2].what.en  # DEADBEEF, libosdp's own
    assert "序列号 3735928495" in results[2].what.zh


async def test_only_id_and_capabilities_are_asked() -> None:
    async with osdp.Line([osdp.Reader(0, KEY), osdp.Reader(5)]) as line, tapped(line.port) as tap:
        assert addresses(await found(_osdp_search.search(at(tap.port, 9600), range(8), WAIT_S))) == {0: 9600, 5: 9600}
        asked = [_osdp_wire.parse(packet) for packet in _osdp_wire.packets(tap.asked)]
        assert {packet.code for packet in asked} == {_osdp_search.CMD_ID, _osdp_wire.CMD_CAP}
        assert len(tap.asked) == 10 * len(asked)  # a mark and 9 bytes each: nothing else was sent
        assert not any(packet.secured for packet in asked)
    assert line.ledger.entries == []
    assert line.readers[5].key is None


async def test_a_busy_reader_and_one_that_refuses() -> None:
    busy, shy = osdp.Reader(1), osdp.Reader(2)
    busy.busy = 2

    class Shy(osdp.Line):
        def _reply(self, reply: bytes, write: Sent) -> None:
            if reply and _osdp_wire.parse(reply[reply.index(0x53) :]).address & 0x7F == shy.address:
                packet = bytes((0x53, shy.address | 0x80, 9, 0, 4, _osdp_wire.NAK, 6))
                reply = packet + _osdp_wire.crc16(packet).to_bytes(2, "little")
            super()._reply(reply, write)

    async with Shy([busy, shy]) as line:
        first, second = await found(_osdp_search.search(at(line.port, 9600), [1, 2], WAIT_S))
    assert first.what.en.startswith("vendor ")
    assert second.what.en == "a reader that does not say what it is"


async def test_answers_in_pieces_with_noise_and_a_collision() -> None:
    async with osdp.Line([osdp.Reader(1), osdp.Reader(2)]) as line:
        line.disturb = lambda reply: [b"\x00\x53", reply[:5], reply[5:]]
        assert addresses(await found(_osdp_search.search(at(line.port, 9600), [1, 2], WAIT_S))) == {1: 9600, 2: 9600}
        line.disturb = lambda reply: [bytes(byte | 0x18 for byte in reply)]  # two at once: the bits of both
        (hint,) = await found(_osdp_search.search(at(line.port, 9600), [1, 2, 3], WAIT_S))
    assert not hint.device
    assert "asked: 1, 2)" in hint.what.en


async def test_readers_behind_a_serial_server() -> None:
    async with osdp.Line([osdp.Reader(4)], tcp=True) as line:
        results = await found(_osdp_search.search(tcp(line.address, "rtu"), [3, 4], WAIT_S))
    assert addresses(results) == {4: None}
    assert results[0].bus == {"tcp": f"127.0.0.1:{line.address[1]}", "framing": "rtu"}
