"""Simulators moved by words: what is typed reaches the wire, what cannot be understood says how it is written."""

import asyncio
import os
import re
import socket
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from drivers.sim.console import (
    Stage,
    cards,
    gb26875,
    gpio,
    isapi,
    modbus,
    mqtt_in,
    onvif,
    osdp,
    serial_text,
    webhook,
    wiegand,
    zkteco,
)
from drivers.sim.console.play import lines, play
from drivers.sim.mqtt_in import SOURCES
from gateway.clock import SystemClock
from gateway.driver import Line, registry
from gateway.errors import Text
from gateway.event import Credential
from gateway.fields import Wrong
from tests.brokers import Mosquitto, free_port, subscribed
from tests.fakes import RecordingLink

WAIT_S = 10.0
KEY = "000102030405060708090a0b0c0d0e10"
UTD = "790300000000"  # source address of a transmission device


class Told:
    """What a simulator tells."""

    def __init__(self) -> None:
        self.texts: list[Text] = []

    def __call__(self, text: Text) -> None:
        self.texts.append(text)

    def english(self) -> str:
        """All of it."""
        return "\n".join(text.en for text in self.texts)


class Centre:
    """A monitoring centre (GB/T 26875.3) that confirms whatever comes whole."""

    def __init__(self) -> None:
        self.types: list[int] = []
        self.address = ("", 0)

    async def __aenter__(self) -> "Centre":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = self._server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(27):
            size = int.from_bytes(head[24:26], "little")
            data = (await reader.readexactly(size + 3))[:size]
            self.types += data[:1]
            body = head[2:12] + head[18:24] + head[12:18] + bytes([0, 0, 3])
            writer.write(b"@@" + body + bytes([sum(body) & 0xFF]) + b"##")
        writer.close()


@pytest.fixture
def told() -> Told:
    return Told()


def stages(told: Told) -> dict[str, AbstractAsyncContextManager[Stage]]:
    """Each simulator once."""
    return {
        "modbus": modbus.stage(["rs-yg-n01"], [5, 6], told),
        "modbus-panel": modbus.stage(["jade-bird"], [1], told),
        "wiegand": wiegand.stage("hex-line", told),
        "wiegand-tcp": wiegand.stage("decimal-line", told, ("127.0.0.1", 0)),
        "gpio": gpio.stage(told),
        "modbus-tcp": modbus.stage(["waveshare-io-8ch"], [1], told, ("127.0.0.1", 0)),
        "osdp": osdp.stage([1], told, KEY),
        "osdp-install": osdp.stage([1, 2], told, tcp=True),
        "osdp-clear": osdp.stage([1], told, clear=True),
        "isapi": isapi.stage(0, ("admin", "camera-1234"), told),
        "onvif": onvif.stage(0, ("admin", "camera-1234"), told),
        "gb26875": gb26875.stage(("127.0.0.1", 9), UTD, told),
        "webhook": webhook.stage("http://127.0.0.1:9/ingest/panic", "0123456789abcdef", told),
        "zkteco": zkteco.stage("http://127.0.0.1:9", "CKJ1234567", "access", told),
        "zkteco-attendance": zkteco.stage("http://127.0.0.1:9", "CKJ1234567", "attendance", told),
        "serial_text": serial_text.stage(told),
        "serial_text-tcp": serial_text.stage(told, ("127.0.0.1", 0)),
    }


@pytest.mark.parametrize("name", sorted(stages(Told())))
async def test_what_it_prints_for_gateway_yaml_is_right(name: str, told: Told) -> None:
    async with stages(told)[name] as stage:
        printed = YAML(typ="safe", pure=True).load(stage.config)
    models = registry().models()
    for device in printed["devices"]:
        assert models[device["driver"]].model_validate(device).place == "PLACE"
        assert device.get("bus") in {None, *printed.get("buses", {})}
    for act in stage.acts.values():
        assert act.usage.split()[0] in stage.acts
        assert re.search(r"[\u4e00-\u9fff]", act.what.zh)


@pytest.mark.parametrize(
    ("name", "line", "what"),
    [
        ("modbus", "smok 5 on", "did you mean smoke?"),
        ("modbus", "smoke on", "write it so: smoke ADDRESS on|off"),
        ("modbus", "smoke 7 on", "write it so: smoke ADDRESS on|off"),
        ("modbus", "smoke 5 maybe", "write it so: smoke ADDRESS on|off"),
        ("modbus", "value 5 pressure 3", "write it so: value ADDRESS NAME NUMBER"),
        ("modbus", "noise xyz", "write it so: noise HEX"),
        ("modbus-panel", "point 1 1 21 1", "write it so: point ADDRESS LOOP POINT VALUE"),
        ("wiegand", "card 26 90", "write it so: card BITS FACILITY NUMBER"),
        ("wiegand", "keys 1234#", "messages of this frame carry no keys"),
        ("gpio", "contact 3 on", "write it so: contact NUMBER on|off"),
        ("gpio", "level much", "write it so: level RAW"),
        ("osdp", "card 1 26 90", "write it so: card ADDRESS BITS FACILITY NUMBER"),
        ("osdp", "card 1 26 256 1", "do not fit wiegand-26"),
        ("osdp", "tamper", "write it so: tamper ADDRESS on|off"),
        ("osdp", "input 1 9 on", "write it so: input ADDRESS NUMBER on|off"),
        ("isapi", "motion", "write it so: motion on|off"),
        ("onvif", "relay R7 on", "write it so: relay R0|R1 on|off"),
        ("isapi", "event VMD", "write it so: event TYPE on|off"),
        ("gb26875", "part smok 0A000200 fire on", "write it so: part smoke|heat|"),
        ("gb26875", "part smoke 0A fire on", "write it so: part smoke|heat|"),
        ("gb26875", "operate fire", "write it so: operate reset|silence|"),
        ("webhook", "raise fire.smok", "did you mean fire.smoke?"),
        ("webhook", "json {", "write it so: json"),
        ("zkteco", "event forced", "write it so: event CODE [CARD [DOOR]]"),
        ("zkteco", "door 5 on", "write it so: door NUMBER on|off"),
        ("zkteco", "pass 7", "pass is nothing it can do"),
        ("zkteco-attendance", "alarm", "write it so: alarm NUMBER"),
        ("serial_text", "fire 1 1", "write it so: fire LOOP POINT WHERE [DEVICE]"),
        ("serial_text", "fault 1000 1 hall", "write it so: fault LOOP POINT WHERE [DEVICE]"),
        ("serial_text", "line", "write it so: line TEXT"),
    ],
)
async def test_what_cannot_be_understood(name: str, line: str, what: str, told: Told) -> None:
    async with stages(told)[name] as stage:
        with pytest.raises(Wrong, match=re.escape(what)) as wrong:
            await stage.perform(line)
    assert wrong.value.text.zh != wrong.value.text.en


async def test_modbus_devices_do_what_is_said(told: Told) -> None:
    async with modbus.stage(["hnag1000", "waveshare-io-8ch"], [5, 6], told) as stage:
        for line in ("gas 5 on", "gas 5 0", "input 6 3 on", "unplug 5", "plug 5", "delay 5 0.1", "exception 5 4"):
            await stage.perform(line)
    expected = ["fire.gas = 1", "fire.gas = 0", "input_3 = 1", "plug = 0", "plug = 1"]
    assert [text.en.partition(": ")[2] for text in told.texts] == expected


async def test_a_panel_and_pins_do_what_is_said(told: Told) -> None:
    async with modbus.stage(["jade-bird"], [1], told) as stage:
        for line in ("point 1 2 20 1", "point 2 20 0"):
            await stage.perform(line)
    assert [text.en.partition(": ")[2] for text in told.texts] == ["point_2_20 = 1", "point_2_20 = 0"]
    async with gpio.stage(told) as stage:
        for line in ("contact 1 off", "press", "release", "cut", "level 1800"):
            await stage.perform(line)
        chip = Path(YAML(typ="safe", pure=True).load(stage.config)["devices"][0]["chip"])
        assert (chip / "gpio1" / "value").read_text("ascii").startswith("1")
        assert (chip / "in_voltage0_raw").read_text("ascii") == "1800\n"


async def test_a_converter_does_what_is_said(told: Told) -> None:
    async with wiegand.stage("decimal-line", told, ("127.0.0.1", 0)) as stage:
        bus = YAML(typ="safe", pure=True).load(stage.config)["buses"]["sim-wiegand"]
        host, _, port = bus["tcp"].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        async with asyncio.timeout(WAIT_S):
            for line, came in (("card 26 90 324", b"090,00324\r\n"), ("keys 12#", b"12#"), ("noise 00ff", b"\x00\xff")):
                await stage.perform(line)
                assert await reader.readexactly(len(came)) == came
            await stage.perform("drop")
            assert await reader.read() == b""
        writer.close()


async def test_one_slave_needs_no_address(told: Told) -> None:
    async with modbus.stage(["rs-yg-n01"], [9], told) as stage:
        await stage.perform("smoke on")
    assert told.english() == "address 9: fire.smoke = 1"


async def test_readers_do_what_is_said(told: Told) -> None:
    async with osdp.stage([1], told, KEY) as stage:
        for line in ("card 1 26 90 324", "keys 1 1234#", "tamper 1 on", "input 1 0 on", "power 1 off", "reset 1"):
            await stage.perform(line)
    assert told.english().splitlines() == ["reader 1: card 26 bit 2d00a200", "reader 1: keys 1234#"]


async def test_a_transmission_device_does_what_is_said(told: Told) -> None:
    async with asyncio.timeout(WAIT_S), Centre() as centre, gb26875.stage(centre.address, UTD, told) as stage:
        for line in ("part smoke 0A000200 fire on 3号楼", "device mains on", "operate silence", "answer"):
            await stage.perform(line)
        await stage.finished()
        for line in ("unplug", "plug", "noise 4040"):
            await stage.perform(line)
    assert centre.types == [2, 21, 24, 24]
    assert told.english().count("is confirmed") == 4


@pytest.mark.parametrize(
    ("form", "credential"),
    [
        ("26", Credential("wiegand-26", 90, 324)),
        ("wiegand-34-h10306", Credential("wiegand-34-h10306", 90, 324)),
        ("56", None),
        ("wiegand-37", None),
    ],
)
def test_cards(form: str, credential: Credential | None) -> None:
    if credential is not None:
        assert cards.parse(form, 90, 324) == credential
    else:  # these have no facility code
        parsed = cards.parse(form, 0, 324)
        assert (parsed.facility, parsed.number) == (0, 324)


@pytest.mark.parametrize(
    ("form", "facility", "number"), [("weigand-26", 0, 1), ("raw-4", 0, 16), ("wiegand-26", 0, -1)]
)
def test_no_cards(form: str, facility: int, number: int) -> None:
    with pytest.raises(Wrong):
        cards.parse(form, facility, number)


async def test_lines_come_whole_whatever_the_pieces() -> None:
    ours, theirs = os.pipe()
    came = lines(ours)
    try:
        os.write(theirs, b"smo")
        first = asyncio.ensure_future(anext(came))
        os.write(theirs, "ke 5 on\n  重启 \nlast".encode())
        async with asyncio.timeout(WAIT_S):
            assert await first == "smoke 5 on"
            assert await anext(came) == "重启"
            os.close(theirs)
            assert [line async for line in came] == ["last"]
    finally:
        os.close(ours)


async def test_a_script_is_played_to_its_end(told: Told, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("# a fire\nsmoke 5 on\n\nwait 0\nwait x\nbrew\nhelp\nquit\nsmoke 5 off\n", "utf-8")
    with script.open() as opened:
        async with asyncio.timeout(WAIT_S):
            await play(modbus.stage(["rs-yg-n01"], [5], told), opened.fileno(), told)
    said = told.english()
    assert said.startswith("Modbus devices on /dev/pts/")
    assert "fire.smoke = 1" in said
    assert "write it so: wait SECONDS" in said
    assert "brew is nothing it can do: value, input" in said
    assert "  smoke ADDRESS on|off         begin or end fire.smoke\n" in said
    assert "fire.smoke = 0" not in said


async def test_what_waits_for_a_gateway_goes_on_after_the_last_line(told: Told) -> None:
    with tempfile.TemporaryFile() as nothing:
        playing = asyncio.create_task(play(osdp.stage([1], told, KEY), nothing.fileno(), told))
        done, _ = await asyncio.wait({playing}, timeout=0.1)
        assert done == set()
        playing.cancel()
        await asyncio.wait({playing})


async def test_a_terminal_does_what_is_said_and_tells_what_it_is_ordered(told: Told) -> None:
    link = RecordingLink(clock=SystemClock())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = "http://127.0.0.1:{1}".format(*probe.getsockname())
    async with zkteco.stage(url, "CKJ1234567", "access", told) as stage, asyncio.timeout(WAIT_S):
        (device,) = YAML(typ="safe", pure=True).load(stage.config)["devices"]
        line = Line("line", None, (registry()["zkteco"].Config.model_validate(device),))
        driver = asyncio.ensure_future(registry()["zkteco"].run(line, link))
        for words in ("event 27 123456 2", "door 1 on", "state 1", "event 102"):
            await stage.perform(words)
        await stage.finished()
        driver.cancel()
    assert [r.type for r in link.readings] == ["access.denied", "door.open", "door.forced", "door.forced"]
    assert told.english().splitlines() == [f"on the gateway's disk: record {number}" for number in (1, 2, 3)]


async def test_a_panel_prints_what_is_said(told: Told) -> None:
    async with serial_text.stage(told) as stage:
        for words in ("fire 4 4 大厅", "fire 4 5 大厅 手动报警按钮", "system 主电故障", "reset", "line hello  world"):
            await stage.perform(words)
    printed = [line.partition(": ")[2].partition(" | ")[2] for line in told.english().splitlines()]
    assert printed[:2] == ["004-004 | 首次火警 | 大厅 | 感烟探测器", "004-005 | 火警后续 | 大厅 | 手动报警按钮"]
    assert told.english().splitlines()[-1] == "printed: hello world"


# hubs on a broker


@pytest.mark.parametrize("kind", sorted(SOURCES))
async def test_hubs_say_what_they_are_told_and_print_what_is_right(kind: str, told: Told, tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port) as everything:
        async with mqtt_in.stage(kind, f"mqtt://127.0.0.1:{broker.port}", ["room 1", "b"], told) as stage:
            printed = YAML(typ="safe", pure=True).load(stage.config)
            for act in ("smoke room 1 on", "again", "smoke room 1 off", "device b on", "hub on", "say any/topic {}"):
                await stage.perform(act)
            if kind != "frigate":
                await stage.perform("value b temperature 20.5")
            with pytest.raises(Wrong, match="room 2 is not among its devices: room 1, b"):
                await stage.perform("smoke room 2 on")
            with pytest.raises(Wrong, match="write it so: hub on"):
                await stage.perform("hub")
            assert ("test" in stage.acts) is SOURCES[kind].tests
        await everything.until(lambda: any(str(message.topic) == "any/topic" for message in everything.messages))
    config = registry().models()["mqtt_in"]
    hub, *devices = [config.model_validate(device).model_dump() for device in printed["devices"]]
    assert hub["profile"] == kind
    assert [device["hub"] for device in devices] == ["hub", "hub"]
    assert "any/topic {}" in told.english()


async def test_hubs_need_a_broker_and_a_kind(told: Told) -> None:
    for kind, what in (("zigbee", "no hub that can be played: json, zigbee2mqtt"), ("json", "no broker answers at")):
        with pytest.raises(Wrong, match=what):
            async with mqtt_in.stage(kind, f"mqtt://127.0.0.1:{free_port()}", ["a"], told):
                pass
