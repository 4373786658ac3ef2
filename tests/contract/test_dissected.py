"""Our frames before Wireshark's dissectors (tshark): nothing malformed, and the fields say what was meant.

Each line is recorded while the real drivers and a real broker talk over it.
"""

import asyncio
from pathlib import Path
from typing import Literal

import pytest

from drivers.sim.isapi import Camera
from drivers.sim.modbus import Line as Serial
from drivers.sim.modbus import Slave
from gateway.event import Phase
from gateway.fields import BusConfig
from gateway.mqtt import CLOUD_EVENT, Session, Target, Will, properties
from tests.brokers import WAIT_S, Mosquitto
from tests.contract.test_isapi import running
from tests.contract.test_modbus import device, driving
from tests.fakes import FastClock, RecordingLink
from tests.pcap import Piece, Tap, capture, complaints, dissected

RTU = ("-d", "tcp.port==502,mbrtu", "-o", "mbrtu.tcp.port:502", "-o", "mbrtu.crc_verification:TRUE")
ALERTS = "/ISAPI/Event/notification/alertStream"
SMOKE_AT = "3"  # register of rs-yg-n01


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink(clock=FastClock(50))


async def modbus_line(link: RecordingLink, framing: Literal["tcp", "rtu"]) -> list[Piece]:
    """A detector is read until it tells smoke; a relay board is switched; another device refuses its function."""
    smoke, board, strange = Slave(5, "rs-yg-n01"), Slave(1, "waveshare-relay-8"), Slave(9, "hnag1000")
    strange.unknown_functions = {3, 4}
    async with (
        Serial(smoke, board, strange, tcp=("127.0.0.1", 0), framing=framing) as serial,
        Tap(serial.address[1]) as tap,
    ):
        bus = BusConfig.model_validate({"tcp": f"127.0.0.1:{tap.port}", "framing": framing})
        profiles = {"smoke": (5, "rs-yg-n01"), "relays": (1, "waveshare-relay-8"), "gas": (9, "hnag1000")}
        devices = [device(id, *what, timeout="10s") for id, what in profiles.items()]  # one question at a time
        async with driving(link, bus, *devices):
            await link.until(lambda: {"smoke", "relays"} <= link.seen_count.keys())
            smoke.set_condition("fire.smoke", True)
            assert (await link.command("relays", "output", number=3, state=True)).code == "ok"
            await link.until(lambda: link.of("fire.smoke", Phase.RAISE) and link.of("device.fault"))
        await tap.ended()
    return tap.pieces


@pytest.mark.parametrize(("framing", "name", "options"), [("tcp", "mbtcp", ()), ("rtu", "mbrtu", RTU)])
async def test_modbus(
    link: RecordingLink, tmp_path: Path, framing: Literal["tcp", "rtu"], name: str, options: tuple[str, ...]
) -> None:
    file = tmp_path / "line.pcap"
    pieces = await modbus_line(link, framing)
    file.write_bytes(capture(pieces, 502))
    assert await complaints(file, *options) == []
    unit, asked, answered = f"{name}.unit_id", "tcp.dstport == 502", "tcp.srcport == 502"
    fields = [unit, "modbus.func_code", "modbus.reference_num", "modbus.data"]
    requests = await dissected(file, f"modbus && {asked}", fields, *options)
    assert len(requests) == sum(
        piece.asked and piece.data != b"" for piece in pieces
    )  # one frame a packet, each understood
    assert [["1"], ["5"], ["2"], ["ff00"]] in requests  # relay 3, on
    answers = await dissected(
        file, f"modbus && {answered}", [unit, "modbus.func_code", "modbus.exception_code"], *options
    )
    assert [["1"], ["5"], []] in answers
    assert {row[2][0] for row in answers if row[0] == ["9"]} == {"1"}  # no such function
    told = await dissected(file, f"{answered} && {unit} == 5", ["modbus.regnum16", "modbus.regval_uint16"], *options)
    registers = [dict(zip(*row, strict=True)) for row in told]
    assert registers[0][SMOKE_AT] == "0"
    assert registers[-1][SMOKE_AT] == "1"


async def mqtt_line(tmp_path: Path, protocol: str) -> list[Piece]:
    """Three messages go up, one of them comes down again; each is acknowledged."""
    acknowledged: asyncio.Queue[int] = asyncio.Queue()
    async with Mosquitto(tmp_path) as broker, Tap(broker.port) as tap, asyncio.timeout(WAIT_S):
        will = Will("up/status", "gone")
        target = Target("127.0.0.1", tap.port, "gw-0001", protocol=protocol, subscribe=("down/#",), will=will)
        async with Session(target, lambda *told: acknowledged.put_nowait(told[1])) as session:
            await session.subscribed.wait()
            session.publish("up/火警".encode(), b'{"a":1}', CLOUD_EVENT)
            session.publish(b"up/state", b"{}", properties("application/json", b"ask-1"), retain=True)
            session.publish(b"down/1", b"x" * 3000, CLOUD_EVENT)
            session.flush()
            (await session.messages.get()).done()
            reasons = [await acknowledged.get() for _ in range(3)]
        await tap.ended()
    assert reasons == ([16, 16, 0] if protocol == "5" else [0, 0, 0])  # MQTT 5.0, 3.4.2.1: nobody listens
    return tap.pieces


@pytest.mark.parametrize(("protocol", "version"), [("5", "5"), ("3.1.1", "4")])
async def test_mqtt(tmp_path: Path, protocol: str, version: str) -> None:
    file = tmp_path / "line.pcap"
    file.write_bytes(capture(await mqtt_line(tmp_path, protocol), 1883))
    assert await complaints(file) == []
    hello = ["mqtt.ver", "mqtt.clientid", "mqtt.willtopic", "mqtt.willmsg"]
    (greeting,) = await dissected(file, "mqtt.msgtype == 1", hello)
    assert greeting == [[version], ["gw-0001"], ["up/status"], [b"gone".hex()]]
    ours = "tcp.dstport == 1883 && (mqtt.msgtype == 3 || mqtt.msgtype == 4)"
    packets = ["mqtt.msgtype", "mqtt.topic", "mqtt.qos", "mqtt.retain", "mqtt.msgid", "mqtt.msg"]
    first, large, acknowledgement = await dissected(file, ours, packets)
    assert first == [
        ["3", "3"],
        ["up/火警", "up/state"],
        ["1", "1"],
        ["0", "1"],
        ["2", "3"],
        ["7b2261223a317d", "7b7d"],
    ]
    assert large == [["3"], ["down/1"], ["1"], ["0"], ["4"], ["78" * 3000]]
    assert (acknowledgement[0][0], acknowledgement[4]) == ("4", ["1"])  # the broker's own packet id


async def test_what_mqtt_5_says_beside_a_message(tmp_path: Path) -> None:
    file = tmp_path / "line.pcap"
    file.write_bytes(capture(await mqtt_line(tmp_path, "5"), 1883))
    properties = ["mqtt.property.content_type", "mqtt.property_id", "mqtt.prop_number", "mqtt.prop_string"]
    both, _, _ = await dissected(file, "mqtt.msgtype == 3", properties)
    kind, names, texts, correlation = both
    assert kind == ["application/cloudevents+json; charset=utf-8", "application/json"]
    assert names == ["0x01", "0x03", "0x01", "0x03", "0x09"]  # UTF-8, content type; and correlation data
    assert (texts, correlation) == (["1", "1"], ["ask-1"])


async def test_isapi(link: RecordingLink, tmp_path: Path) -> None:
    """The driver's login and requests; and the simulated camera's stream of XML, part by part."""
    file = tmp_path / "line.pcap"
    async with Camera() as camera, Tap(int(camera.url.rpartition(":")[2])) as tap:
        async with running(link, f"http://127.0.0.1:{tap.port}"):
            await camera.watched(within_s=WAIT_S)
            for active in (True, False, True):
                camera.motion(active)
            await link.until(lambda: link.of("video.motion"))
            camera.hang_up()
            await camera.watched(2, within_s=WAIT_S)
        await tap.ended()
    file.write_bytes(capture(tap.pieces, 80))
    assert await complaints(file) == []
    asked = await dissected(file, "http.request", ["http.request.method", "http.request.uri", "http.authorization"])
    stream = [login for (method,), (path,), login in asked if (method, path) == ("GET", ALERTS)]
    assert stream[0] == []
    assert all(login[0].startswith('Digest username="admin", realm="DS-1", nonce="') for login in stream[1:])
    fields = ["mime_multipart.header.content-type", "xml.cdata"]
    ((kinds, told),) = await dissected(file, "mime_multipart", fields)
    assert kinds == ["application/xml;charset=UTF-8"] * 2  # the third is not ended by another one
    assert [word for word in told if word in {"VMD", "active", "inactive"}] == ["VMD", "active", "VMD", "inactive"]


# --- these judges do see what is wrong


def framed(*data: bytes, asked: bool = True) -> list[Piece]:
    return [Piece(1, asked, piece) for piece in data]


SOUND_RTU = bytes.fromhex("05 03 00 02 00 02 65 8f")
BROKEN = {
    "RTU with a wrong checksum": (framed(SOUND_RTU[:-1] + b"\x90"), 502, RTU, "CRC"),
    "Modbus TCP: a length too short": (framed(bytes.fromhex("0001 0000 0003 05 03 0002 0002")), 502, (), "Malformed"),
    "Modbus TCP: an answer of an odd size": (
        framed(bytes.fromhex("0001 0000 0006 05 03 03 000102"), asked=False), 502, (), "Malformed"
    ),
    "MQTT: a topic longer than its packet": (framed(b"\x32\x07\x00\x09abcde"), 1883, (), "Malformed"),
}  # fmt: skip


@pytest.mark.parametrize(("pieces", "port", "options", "said"), BROKEN.values(), ids=BROKEN)
async def test_what_is_broken_is_complained_of(
    tmp_path: Path, pieces: list[Piece], port: int, options: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "line.pcap"
    file.write_bytes(capture(pieces, port))
    assert said in str(await complaints(file, *options))


async def test_what_is_no_modbus_is_not_read_as_such(tmp_path: Path) -> None:
    file = tmp_path / "line.pcap"
    request = bytes.fromhex("0001 0000 0006 05 03 0002 0002")
    file.write_bytes(capture(framed(request, request.replace(b"\0\0", b"\0\7", 1)), 502))
    assert await dissected(file, "modbus", ["mbtcp.prot_id"]) == [[["0"]]]
