"""Pure parts of the searches: frames, what answers them, the lines for gateway.yaml; and the command's wrong use."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from drivers import _osdp_wire
from drivers._modbus_probe import IDENTIFY, Heard, answer_in, frame, objects
from drivers._modbus_search import plausible
from drivers._modbus_search import search as search_modbus
from drivers._modbus_values import Sample
from drivers._osdp_search import CMD_ID, Ability, capabilities, command, identity
from drivers._osdp_search import search as search_osdp
from drivers._sweep import rounds
from drivers.modbus import DRIVER as MODBUS
from drivers.osdp import DRIVER as OSDP
from gateway.cli import language, run, scan
from gateway.cli.found import plan
from gateway.cli.fragment import clean, fragment
from gateway.config import Config, load
from gateway.driver import Found, registry
from gateway.errors import Text
from gateway.fields import BusConfig
from gateway.problems import ConfigProblems

MINIMAL = Path(__file__).resolve().parents[2] / "config" / "minimal.yaml"
KEY = "7c1f9a0243d5e86b10b7c2954e3fa681"
MODELS = {"modbus": MODBUS.Config, "osdp": OSDP.Config}


@pytest.fixture(autouse=True)
def english() -> Any:
    """The language is English again afterwards."""
    language.choose([], {})
    yield
    language.choose([], {})


# --- frames ----------------------------------------------------------------------------------------------------------

NAMED = bytes.fromhex("2B 0E 01 01 00 00 02 00 04") + b"Acme" + b"\x01\x03S-1"
ANSWERS = [bytes.fromhex(text) for text in ("03 02 00 05", "83 02", "AB 01")] + [NAMED]


def asked(answer: bytes) -> bytes:
    """A request to which this is an answer."""
    return bytes((IDENTIFY, 0x0E, 1, 0)) if answer[0] & 0x7F == IDENTIFY else bytes.fromhex("03 00 00 00 01")


@given(st.binary(max_size=20), st.sampled_from(ANSWERS), st.binary(max_size=20), st.integers(1, 247))
def test_an_rtu_answer_is_found_in_noise(before: bytes, answer: bytes, after: bytes, address: int) -> None:
    question = frame(True, 1, address, asked(answer))
    assert answer_in(True, question, before + frame(True, 1, address, answer) + after) == answer


@given(st.sampled_from(ANSWERS), st.integers(1, 60), st.integers(1, 247))
def test_half_an_answer_and_another_address_s_are_none(answer: bytes, cut: int, address: int) -> None:
    question, whole = frame(True, 1, address, asked(answer)), frame(True, 1, address, answer)
    assert answer_in(True, question, whole[: -min(cut, len(whole))]) == b""
    assert answer_in(True, question, frame(True, 1, address + 1, answer)) == b""
    assert answer_in(True, question, question) == b""  # an echo


@given(st.binary(max_size=80), st.booleans(), st.sampled_from(ANSWERS))
def test_rubbish_raises_nothing(rubbish: bytes, rtu: bool, answer: bytes) -> None:
    question = frame(rtu, 7, 5, asked(answer))
    assert len(answer_in(rtu, question, rubbish)) <= len(rubbish)
    objects(rubbish)


@given(st.sampled_from(ANSWERS), st.integers(1, 0xFFFF))
def test_on_tcp_the_transaction_and_the_unit_tell(answer: bytes, number: int) -> None:
    question, right = frame(False, number, 5, asked(answer)), frame(False, number, 5, answer)
    late, other = frame(False, number % 0xFFFF + 1, 5, answer), frame(False, number, 6, answer)
    assert answer_in(False, question, late + other + right) == answer
    assert answer_in(False, question, late + other + right[:-1]) == b""


def test_golden_frames() -> None:
    assert frame(True, 1, 1, bytes.fromhex("03 00 00 00 03")).hex() == "0103000000" + "0305cb"  # as published
    assert command(0, CMD_ID).hex() == "ff530009000461" + "00c066"  # SIA OSDP 2.2, annex E


def test_what_a_device_calls_itself() -> None:
    assert objects(NAMED) == ({0: "Acme", 1: "S-1"}, None)
    more = bytes.fromhex("2B 0E 01 01 FF 02 01 00 04") + b"A\x1b\nc"
    assert objects(more) == ({0: "A c"}, 2)  # nothing that moves a terminal's cursor
    assert objects(bytes.fromhex("AB 01")) == ({}, None)


@pytest.mark.parametrize(
    ("pdu", "there"), [("", False), ("0302", True), ("8302", True), ("830A", False), ("830B", False)]
)
def test_who_is_there(pdu: str, there: bool) -> None:
    assert Heard(bytes.fromhex(pdu)).there == there


def test_what_an_osdp_reader_says() -> None:
    trace = bytes.fromhex("53 80 14 00 04 45 16 42 68 00 0C 4C 8F BC F4 02 0A 02 C6 4C")
    told = identity(_osdp_wire.parse(trace))
    assert told is not None
    assert (told.vendor, told.model, told.version, told.serial, told.firmware) == (
        "164268", 0, 12, 0xF4BC8F4C, "2.10.2",
    )  # fmt: skip
    assert identity(_osdp_wire.Packet(0x80, 0, False, _osdp_wire.NAK, b"\x06")) is None
    abilities = _osdp_wire.Packet(0x80, 0, False, _osdp_wire.PDCAP, bytes((1, 1, 2, 9, 0, 0, 4)))
    assert capabilities(abilities) == {1: Ability(1, 2), 9: Ability(0, 0)}
    assert capabilities(None) == {}


# --- order, times, plausibility --------------------------------------------------------------------------------------


def buses(*rates: int) -> list[BusConfig]:
    return [BusConfig.model_validate({"serial": "/dev/ttyUSB0", "baudrate": rate}) for rate in rates]


def test_factory_addresses_come_first_at_every_speed() -> None:
    order = [(bus.baudrate, list(group)) for bus, group in rounds(buses(9600, 4800), [1, 2, 3, 4], (2, 1, 255))]
    assert order == [(9600, [2, 1]), (4800, [2, 1]), (9600, [3, 4]), (4800, [3, 4])]


def test_how_long_it_takes_is_said_honestly() -> None:
    every = search_modbus(buses(9600, 4800), range(1, 248))
    assert every.steps == 2 * 247
    assert 2 * 247 * 0.3 < every.longest_s < 2 * 247 * 0.35
    assert search_modbus(buses(9600), [1], thorough=True).longest_s == 4 * search_modbus(buses(9600), [1]).longest_s
    assert search_modbus(buses(300), [1]).longest_s > 0.7  # slow lines take their time
    assert 25 < search_osdp(buses(9600), range(127)).longest_s < 30
    said = plan(every, "/dev/ttyUSB0")
    assert "steps: 494, 2 min" in said.en
    assert "只读" in said.zh


@pytest.mark.parametrize(
    ("name", "profile", "raw", "value", "fits"),
    [
        ("status", "rs-yg-n01", 0, 0, True),
        ("status", "rs-yg-n01", 1, 1, True),
        ("status", "rs-yg-n01", 230, 230, False),
        ("temperature", "lt-001-m1920", 235, 23.5, True),
        ("temperature", "lt-001-m1920", 30000, 3000.0, False),
        ("temperature", "lt-001-m1920", 0, float("nan"), False),
        ("smoke_concentration", "lt-001-m1920", 60000, 60000, True),
    ],
)
def test_which_values_make_sense(name: str, profile: str, raw: int, value: float, fits: bool) -> None:
    device = {"id": "a", "driver": "modbus", "place": "b", "bus": "c", "address": 1, "profile": profile}
    map = MODBUS.Config.model_validate(device).map
    read = next(read for read in map.reads if read.name == name)
    assert plausible(map, read, Sample(raw, value)) is fits


# --- lines for gateway.yaml ------------------------------------------------------------------------------------------

LINE = {"serial": "/dev/ttyUSB7", "baudrate": 4800}
SERVER = {"tcp": "192.0.2.9:4001"}
FOUND = [
    Found("/dev/ttyUSB7 4800 8N1 #5", Text("a", "甲"), {"driver": "modbus", "address": 5}, LINE),
    Found("/dev/ttyUSB7 4800 8N1 #6", Text("b", "乙"), {"driver": "modbus", "address": 6}, dict(LINE)),
    Found("/dev/ttyUSB8 9600 8N1 #5", Text("b", "乙"), {"driver": "modbus", "address": 5}, {"serial": "/dev/ttyUSB8"}),
    Found("192.0.2.9:4001 #1", Text("c", "丙"), {"driver": "osdp", "address": 1, "key": None}, SERVER),
    Found("192.0.2.9:4001 #2", Text("d", "丁"), {"driver": "osdp", "address": 2, "insecure": True}, SERVER),
    Found("192.0.2.17:80", Text("e", "戊"), {"driver": "isapi", "url": "http://192.0.2.17"}),
    Found("mqtt", Text("f", "己"), {"driver": "mqtt_in", "id": "zigbee", "url": "mqtt://a", "profile": "zigbee2mqtt"}),
    Found("/dev/ttyUSB7 9600 8N1", Text("a hint", "提示"), {}),
]  # fmt: skip


def pasted(folder: Path, text: str) -> Path:
    """A configuration with these lines, as a person would put them together."""
    minimal = MINIMAL.read_text("utf-8")
    head = re.split(r"^(?:buses|devices):", minimal, maxsplit=1, flags=re.MULTILINE)[0]
    file = folder / "gateway.yaml"
    file.write_text(f"{head}\n{text}\n", "utf-8")
    return file


def filled(text: str) -> str:
    """The same with every place filled."""
    text = re.sub(r"profile: #.*", "profile: rs-yg-n01", text)
    return re.sub(r"place: #.*", "place: b3", text)


@pytest.mark.parametrize("spoken", ["en", "zh"])
def test_the_lines_are_refused_until_they_are_filled_and_accepted_then(tmp_path: Path, spoken: str) -> None:
    language.choose(["--lang", spoken], {})
    text = fragment(FOUND, registry().models())
    marks = {"en": "← fill in", "zh": "← 请填写"}
    assert text.count(marks[spoken]) == 3 * 2 + 2 + 1 + 2 + 1
    file = pasted(tmp_path, text)
    with pytest.raises(ConfigProblems) as refused:
        load(file, registry().models())
    assert len([p for p in refused.value.problems if ".place" in p.key or ".profile" in p.key]) == 7 + 3
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "osdp-1.key").write_text(KEY, "utf-8")
    (tmp_path / "secrets" / "isapi-192-0-2-17-80.password").write_text("secret", "utf-8")
    config: Config = load(pasted(tmp_path, filled(text)), registry().models()).config
    ids = [device.id for device in config.devices]
    assert ids == ["modbus-5", "modbus-6", "modbus-5-2", "osdp-1", "osdp-2", "isapi-192-0-2-17-80", "zigbee"]
    assert [config.buses[name].serial for name in ("line-1", "line-2", "line-3")] == [
        "/dev/ttyUSB7",
        "/dev/ttyUSB8",
        None,
    ]


def test_no_secret_and_no_profile_is_made_up() -> None:
    text = fragment(FOUND[:4], MODELS)
    assert "key: !file secrets/osdp-1.key" in text
    assert not re.search(r"profile: [^#]", text)
    assert "insecure" not in text


def test_nothing_that_is_a_device_makes_no_lines() -> None:
    assert fragment([], MODELS) == fragment(FOUND[-1:], MODELS) == ""


@given(st.text(), st.text())
def test_names_that_devices_choose_cannot_leave_their_place(name: str, where: str) -> None:
    found = Found(where, Text(name, name), {"driver": "osdp", "address": 1, "key": None, "name": name}, {"tcp": name})
    lines = fragment([found], MODELS).split("\n")
    assert [line.split()[0] for line in lines] == [
        "#", "buses:", "line-1:", "devices:", "#", "-", "driver:", "bus:", "address:", "name:", "place:", "key:",
    ]  # fmt: skip
    assert clean(name).isprintable()


def test_texts_that_yaml_takes_for_something_else_are_quoted() -> None:
    found = Found(
        "x", Text("a", "甲"), {"driver": "osdp", "address": 1, "name": "no", "make": "a: b", "insecure": True}
    )
    text = fragment([found], MODELS)
    assert ('name: "no"' in text, 'make: "a: b"' in text, "insecure: true" in text) == (True, True, True)


def test_a_login_needs_its_password_and_a_driver_that_is_not_there_its_place() -> None:
    hub = {"driver": "mqtt_in", "id": "zigbee", "url": "mqtt://a", "username": "gw", "profile": "zigbee2mqtt"}
    text = fragment([Found("a", Text("a", "甲"), hub)], registry().models())
    assert "    password: !file secrets/zigbee.password # ← fill in: put it there" in text
    strange = fragment([Found("a", Text("a", "甲"), {"driver": "elsewhere"})], registry().models())
    assert strange.splitlines()[-2:] == ["    driver: elsewhere", "    place: # ← fill in: where it is, e.g. b3/u2/f5"]


# --- wrong use -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("modbus", "--port or --tcp"),
        ("modbus --port /dev/a --tcp a:502", "either serial"),
        ("modbus --port /dev/a --addresses 0", "0 is no address; write 1-32,40"),
        ("modbus --port /dev/a --addresses 9-3", "9-3 is no address"),
        ("osdp --port /dev/a --addresses 127", "up to 126"),
        ("osdp --port /dev/a --wait 3", "a duration with its unit"),
        ("isapi 192.0.2.300", "is no range"),
        ("isapi 10.0.0.0/8", "more than 4096"),
        ("mqtt 192.0.2.1:x", "host:port"),
    ],
)
def test_wrong_use(line: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scan", *line.split(), "--lang", "en"]) == 2
    assert says in capsys.readouterr().err


def test_addresses_and_hosts() -> None:
    assert scan._numbers("3, 1-4,255", 1, 255) == [3, 1, 2, 4, 255]
    assert scan._hosts("192.0.2.0/30") == ["192.0.2.1", "192.0.2.2"]
    assert scan._hosts("192.0.2.7") == ["192.0.2.7"]


def test_where_a_password_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "password"
    file.write_text("from file\n", "utf-8")
    monkeypatch.delenv(scan.FROM_ENVIRONMENT, raising=False)
    assert scan._password(None, file) is None  # nobody to log in as
    assert scan._password("admin", file) == "from file"
    with pytest.raises(typer.BadParameter, match="GATEWAY_SCAN_PASSWORD"):
        scan._password("admin", None)
    monkeypatch.setenv(scan.FROM_ENVIRONMENT, "from environment")
    assert scan._password("admin", None) == "from environment"
