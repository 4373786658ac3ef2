"""gateway.yaml: what is right loads, and everything wrong is told at once, at its place, in both languages."""

import copy
import random
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field
from ruamel.yaml import YAML

from gateway.config import Config, ConfigProblems, Loaded, load
from gateway.driver import registry
from gateway.errors import ConfigError
from gateway.explain import SENTENCES, choices, keys_at
from gateway.fields import DeviceConfig, Duration, Id, Secret

ROOT = Path(__file__).parent.parent.parent
CARD = "hmac-sha256:" + "a" * 43


class Detector(DeviceConfig):
    """A device on a bus."""

    bus: Id
    address: int = Field(ge=1, le=247)
    part: str | None = None
    poll: Duration = 1.0
    install: bool | str = False


class Poster(DeviceConfig):
    """A device that posts."""

    token: Secret


class Panel(DeviceConfig):
    """Devices that share a listener."""

    listen: str
    address: str


DRIVERS: Mapping[str, type[DeviceConfig]] = {"modbus": Detector, "osdp": Detector, "webhook": Poster, "gb26875": Panel}

VALID = f"""\
gateway: {{id: gw-0001, buffer: {{max_size: 64MiB}}}}
site:
  name: 阳光花园
  area: {{district: "310104", street: "013", community: "002"}}
  places:
    b3: {{label: 3号楼, units: {{u2: {{label: 2单元, floors: {{f5: {{label: 5层, rooms: {{501: {{label: 室}}}}}}}}}}}}}}
    gate: {{label: 大门}}
uplinks:
  district: {{url: mqtt://127.0.0.1:1883, username: gw-0001, password: secret, types: ["fire.*", device.fault]}}
  fire: {{url: "wss://fire.example/broker", protocol: 5, commands: [unlock]}}
buses:
  line-1: {{serial: /dev/ttyS90, baudrate: 4800}}
  line-2: {{tcp: "192.0.2.40:502", framing: rtu}}
devices:
  - {{id: smoke-1, driver: modbus, bus: line-1, address: 5, place: b3/u2/f5, kind: smoke, installed: 2026-05-01}}
  - {{id: door-1, driver: osdp, bus: line-2, address: 5, place: b3/u2, poll: 500ms}}
  - {{id: hook-1, driver: webhook, token: 0123456789abcdef, place: gate}}
  - {{id: panel-1, driver: gb26875, listen: "0.0.0.0:5200", address: "010203040506", place: b3/u2/f5/501}}
credentials:
  key: 0123456789abcdef-key
  list:
    - {{card: "{CARD}", doors: ["*"]}}
    - {{card: "{CARD}", doors: [door-1], valid_until: 2026-12-31, hours: {{mon-fri: "22:00-06:00"}}}}
responsibility:
  fire.*: {{lead: 消控室, assist: [物业经理], escalate: [district], respond: 60s}}
rules:
  - name: doors
    when: {{type: "fire.*", phase: raise}}
    do: [{{action: release, devices: {{kind: door, place: same-building}}}}]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "gateway.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def loaded(folder: Path, text: str) -> Loaded:
    return load(write(folder, text), DRIVERS)


def problems(folder: Path, text: str, language: str = "en") -> list[str]:
    """What load() says, without the folder's name."""
    with pytest.raises(ConfigProblems) as caught:
        loaded(folder, text)
    return caught.value.say(language).replace(f"{folder}/", "").split("\n")


def changed(old: str, new: str) -> str:
    assert old in VALID
    return VALID.replace(old, new, 1)


def test_a_right_file_loads_with_its_values(tmp_path: Path) -> None:
    config = loaded(tmp_path, VALID).config
    assert config.gateway.buffer.max_size == 64 * 2**20
    assert config.gateway.web is not None
    assert config.gateway.web.listen == ("127.0.0.1", 8080)
    assert config.uplinks["fire"].endpoint == ("wss", "fire.example", 443, "/broker")
    assert config.uplinks["fire"].protocol == "5"
    assert config.uplinks["fire"].allowed == {"ping", "sync", "resend", "unlock"}
    assert config.uplinks["district"].types == ("fire.*", "device.fault")
    smoke = config.devices[0]
    assert isinstance(smoke, Detector)
    assert (smoke.address, smoke.installed) == (5, date(2026, 5, 1))
    assert config.credentials is not None
    assert config.credentials.list[1].hours == (
        (frozenset(range(5)), 22 * 60, 24 * 60),
        (frozenset(range(1, 6)), 0, 6 * 60),
    )
    assert config.responsibility["fire.*"].respond == 60.0
    assert config.rules[0].do[0].devices.place == "same-building"


def test_what_is_checked_but_not_carried_out_is_told_as_a_warning(tmp_path: Path) -> None:
    warnings = [w.say("en").replace(f"{tmp_path}/", "") for w in loaded(tmp_path, VALID).warnings]
    assert warnings == [
        "gateway.yaml:24:1: responsibility: this version checks the responsibility list, but does not carry it out: "
        "nobody is told when an alarm waits",
        "gateway.yaml:26:1: rules: this version checks rules, but does not carry them out: no device acts on them",
    ]
    assert loaded(tmp_path, VALID.partition("responsibility:")[0]).warnings == ()


def test_sections_without_content_are_as_if_left_out(tmp_path: Path) -> None:
    config = loaded(tmp_path, VALID.partition("uplinks:")[0] + "uplinks:\ndevices:\ncredentials:\n").config
    assert (config.uplinks, config.devices, config.credentials) == ({}, (), None)


@pytest.mark.parametrize("off", ["off", "false", '"off"'])
def test_web_can_be_off_in_every_spelling(tmp_path: Path, off: str) -> None:
    text = VALID.partition("uplinks:")[0].replace("gw-0001,", f"gw-0001, web: {off},")
    assert loaded(tmp_path, text).config.gateway.web is None


WRONG = [  # what is changed, into what, what is said; § marks where, else line and column are said
    ("id: gw-0001", "id: §GW 1", "gateway.id: a name is needed: lower-case"),
    ("id: gw-0001", "id: §notice", "gateway.id: no gateway is called notice"),
    ("id: gw-0001, ", "", "1:1: gateway.id: this key is missing"),
    ("max_size: 64MiB", "max_size: §64", "gateway.buffer.max_size: a size with its unit is needed"),
    ("max_size: 64MiB", "max_size: §64KiB", "gateway.buffer.max_size: at least 1MiB"),
    ("max_size: 64MiB", "max_age: §30", "gateway.buffer.max_age: a duration with its unit"),
    ("max_size: 64MiB", "alarm_reserve: §25", "gateway.buffer.alarm_reserve: a percentage"),
    (
        "max_size: 64MiB",
        "§maxsize: 1GiB",
        "gateway.buffer.maxsize: not a known key (allowed: max_size, max_age, alarm_reserve; did you mean max_size?)",
    ),
    (
        "buffer: {max_size: 64MiB}",
        "language: §fr",
        "gateway.language: not one of the allowed values (allowed: zh-CN, en)",
    ),
    (
        "buffer: {max_size: 64MiB}",
        "log: {level: §warn}",
        "gateway.log.level: not one of the allowed values "
        "(allowed: debug, info, warning, error; did you mean warning?)",
    ),
    ("buffer: {max_size: 64MiB}", "web: §on", 'gateway.web: write off, or {listen: "127.0.0.1:8080"}'),
    ("buffer: {max_size: 64MiB}", "web: {listen: §8080}", 'gateway.web.listen: "host:port" is needed'),
    ("buffer: {max_size: 64MiB}", "buffer: §64MiB", "gateway.buffer: a mapping is needed"),
    ("  name: 阳光花园\n", "  name:\n", "4:3: site.name: a value is missing after the colon"),
    (
        'street: "013"',
        "street: §013",
        "site.area.street: a text is needed; YAML takes this for a number or a yes/no: put it in quotes",
    ),
    ('street: "013"', 'street: §"13"', "site.area.street: 3 digits are needed, in quotes"),
    ("gate: {label: 大门}", "gate: {label: 大门, grid: §00000031010401300201}", "site.places.gate.grid: a text"),
    (
        "gate: {label: 大门}",
        "gate: {label: 大门, §unit: {}}",
        "site.places.gate.unit: not a known key (allowed: label, grid, units; did you mean units?)",
    ),
    ("mqtt://127.0.0.1:1883", "§http://127.0.0.1", "uplinks.district.url: mqtt://host"),
    ("mqtt://127.0.0.1:1883", "§mqtt://h:99999", "uplinks.district.url: mqtt://host"),
    ("mqtt://127.0.0.1:1883", "§mqtt://:1883", "uplinks.district.url: mqtt://host"),
    ("mqtt://127.0.0.1:1883", "§mqtt://me:pw@h", "uplinks.district.url: user and password do not stand"),
    ("username: gw-0001, ", "", "9:3: uplinks.district: password: needs username:"),
    (
        '"fire.*"',
        '§"fier.*"',
        'uplinks.district.types[0]: no event type is like "fier.*" '
        "(allowed: fire.smoke, fire.*, *, …; did you mean fire.*?)",
    ),
    ('types: ["fire.*", device.fault]', "§types: []", "uplinks.district.types: at least 1 of them"),
    ("protocol: 5", "protocol: §4", "uplinks.fire.protocol: not one of the allowed values (allowed: auto, 5, 3.1.1)"),
    ("commands: [unlock]", "commands: [§unlok]", "uplinks.fire.commands[0]: not one of the allowed values"),
    ("commands: [unlock]", "keepalive: §2m", "uplinks.fire.keepalive: 1s to 60s are allowed"),
    ("commands: [unlock]", "root: §/sc/v1", "uplinks.fire.root: levels of a-z"),
    ("commands: [unlock]", "root: §$SYS", "uplinks.fire.root: levels of a-z"),
    ("commands: [unlock]", "root: §a/+/b", "uplinks.fire.root: levels of a-z"),
    ("commands: [unlock]", "tls: {ca: §nope.pem}", "uplinks.fire.tls.ca: nope.pem cannot be read: No such file"),
    ("commands: [unlock]", "§tls: {cert: gateway.yaml}", "uplinks.fire.tls: cert: and key: go together"),
    ("fire: {url", "§Fire: {url", "uplinks.Fire: a name is needed"),
    ("username: gw-0001", "tls: {}, username: x", "9:3: uplinks.district: tls: needs mqtts:// or wss://"),
    ("serial: /dev/ttyS90, ", "", "12:3: buses.line-1: a bus is either serial: /dev/… or tcp: host:port"),
    ("baudrate: 4800", "baudrate: §fast", "buses.line-1.baudrate: a whole number is needed"),
    ("baudrate: 4800", "baudrate: §100", "buses.line-1.baudrate: at least 300 is needed"),
    (
        'tcp: "192.0.2.40:502", framing: rtu',
        "serial: §/dev/../dev/ttyS90",
        "buses.line-2.serial: this serial port is taken by the bus in gateway.yaml:12",
    ),
    (
        "driver: modbus",
        "driver: §modbsu",
        "devices[0].driver: no driver is called modbsu (allowed: gb26875, modbus, osdp, webhook; did you mean modbus?)",
    ),
    ("driver: modbus, ", "", "15:5: devices[0].driver: this key is missing"),
    (
        "bus: line-1",
        "bus: §line-3",
        "devices[0].bus: no bus is called line-3 (allowed: line-1, line-2; did you mean line-",
    ),
    ("address: 5, place: b3/u2/f5", "address: §300, place: b3/u2/f5", "devices[0].address: at most 247"),
    ("kind: smoke", "kind: §smok", "devices[0].kind: smok is no kind of device"),
    ("kind: smoke", "§install: [1]", "devices[0].install: true or false is needed; or a text is needed"),
    ("installed: 2026-05-01", "installed: §2026-02-30", "devices[0].installed: a date is needed"),
    ("installed: 2026-05-01", "§adress: 1", "devices[0].adress: not a known key"),
    (
        "place: b3/u2/f5,",
        "place: §b3/u2/f6,",
        "devices[0].place: no place is called b3/u2/f6 "
        "(allowed: b3, b3/u2, b3/u2/f5, b3/u2/f5/501, gate; did you mean b3/u2/f5?)",
    ),
    ("id: hook-1", "id: §smoke-1", "devices[2].id: this id stands already in gateway.yaml:15"),
    ("id: hook-1", "id: §gateway", "devices[2].id: no device is called gateway"),
    (
        "bus: line-2, address: 5",
        "bus: §line-1, address: 6",
        "devices[1].bus: the bus line-1 is used by driver modbus already (device smoke-1); a bus has one driver",
    ),
    (
        "osdp, bus: line-2",
        "modbus, bus: line-1",
        "16:56: devices[1].address: this address is taken by the device in gateway.yaml:15; only part:",
    ),
    (
        "buffer: {max_size: 64MiB}",
        "web: off",
        "17:5: devices[2]: hook-1 posts its events to /ingest/hook-1, but gateway.web is off",
    ),
    (
        '  - {id: panel-1, driver: gb26875, listen: "0.0.0.0:5200", address: "010203040506",',
        "  - {id: hook-2, driver: webhook, token: §0123456789abcdef,",
        "devices[3].token: this token is that of the device in gateway.yaml:17",
    ),
    ('address: "010203040506"', "address: §010203040506", "devices[3].address: a text is needed; YAML takes"),
    ("key: 0123456789abcdef-key", "key: §short", "credentials.key: a key has at least 16 characters"),
    ("doors: [door-1]", "doors: [§dor-1]", "credentials.list[1].doors[0]: no device is called dor-1"),
    ("mon-fri", "mon-fry", '23:115: credentials.list[1].hours: "mon-fry" names no weekdays'),
    ("22:00-06:00", "22:00-25:00", '23:115: credentials.list[1].hours: "22:00-25:00" are no hours'),
    (
        "valid_until: 2026-12-31",
        "valid_until: 2026-01-01, valid_from: 2026-02-01",
        "23:7: credentials.list[1]: valid_until is before valid_from",
    ),
    (
        '"hmac-sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", doors: ["*"]',
        '§"0004711", doors: ["*"]',
        "credentials.list[0].card: hmac-sha256: and 43",
    ),
    ("fire.*: {lead", "§fire.smok: {lead", 'responsibility.fire.smok: no event type is like "fire.smok"'),
    (
        "escalate: [district]",
        "escalate: [§distrct]",
        "responsibility.fire.*.escalate[0]: no uplink is called distrct "
        "(allowed: district, fire; did you mean district?)",
    ),
    (
        "phase: raise",
        "phase: §rise",
        "rules[0].when.phase: not one of the allowed values (allowed: raise, clear, still, pulse; did you mean raise?)",
    ),
    ("{kind: door, place: same-building}", "{}", "29:28: rules[0].do[0].devices: kind: or place: is needed"),
    ("place: same-building", "place: §b9", "rules[0].do[0].devices.place: no place is called b9"),
    ("kind: door", "kind: §dor", "rules[0].do[0].devices.kind: dor is no kind of device"),
    ("rules:\n", "§rulez:\n", "rulez: not a known key"),
]


def marked(old: str, new: str, expected: str) -> tuple[str, str]:
    """The changed text, and what is to be said with its line and column."""
    text = changed(old, new)
    if "§" in new:
        before = text.partition("§")[0]
        expected = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: {expected}"
    return text.replace("§", ""), f"gateway.yaml:{expected}"


@pytest.mark.parametrize(("old", "new", "expected"), WRONG)
def test_one_mistake_is_told_once_at_its_place(tmp_path: Path, old: str, new: str, expected: str) -> None:
    text, start = marked(old, new, expected)
    told = problems(tmp_path, text)
    assert len(told) == 1, told
    assert told[0].startswith(start)
    (chinese,) = problems(tmp_path, text, "zh-CN")
    assert chinese.split(": ")[:2] == told[0].split(": ")[:2]
    assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)


def test_all_mistakes_are_told_at_once_in_order(tmp_path: Path) -> None:
    mistakes = ("id: gw-0001", "mqtt://127.0.0.1:1883", "bus: line-1", "installed: 2026-05-01", "kind: door")
    text = VALID
    for old, new, _ in reversed(WRONG):
        if old in mistakes and text.count(old):
            text = text.replace(old, new.replace("§", ""), 1)
    told = problems(tmp_path, text)
    assert [line.split(":")[1] for line in told] == ["1", "9", "15", "15", "29"]


def test_parts_tell_devices_on_one_address_apart(tmp_path: Path) -> None:
    text = changed("osdp, bus: line-2, address: 5,", 'modbus, bus: line-1, address: 5, part: "0A000200",')
    assert len(loaded(tmp_path, text).config.devices) == 4


def test_a_part_that_cannot_be_read_is_told_once_and_not_as_missing_names(tmp_path: Path) -> None:
    told = problems(tmp_path, changed("buses:\n", "buses: !include nope.yaml\nold:\n"))
    assert [line.partition(": ")[2][:40] for line in told] == [
        "buses: nope.yaml is not there, or no fil",
        "old: not a known key (allowed: gateway, ",
    ]


def test_a_secret_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    told = problems(tmp_path, changed("token: 0123456789abcdef", "token: !file nope"))
    assert told == ["gateway.yaml:17:42: devices[2].token: nope is not there, or no file"]


def test_no_problem_shows_a_secret(tmp_path: Path) -> None:
    text = changed("password: secret", "password: [hunter2]").replace("0123456789abcdef-key", "hunter2")
    told = problems(tmp_path, text.replace("token: 0123456789abcdef", "token: {hunter2: 1}"))
    assert len(told) == 3
    assert not any("hunter2" in line for line in told)


def test_a_problem_is_one_line_whatever_is_in_the_file(tmp_path: Path) -> None:
    told = problems(tmp_path, changed("kind: smoke", '"ki\\nnd": x'))
    assert len(told) == 1
    assert told[0].startswith("gateway.yaml:15:77: devices[0].ki\\nnd: not a known key")


@pytest.mark.parametrize("text", ["[1]", "just words", "3"])
def test_a_file_that_is_no_mapping_gets_one_answer(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == ["gateway.yaml:1:1: a mapping is needed: lines of key: value"]


def test_an_empty_mapping_misses_what_every_gateway_has(tmp_path: Path) -> None:
    assert problems(tmp_path, "{}") == [
        "gateway.yaml:1:1: gateway: this key is missing",
        "gateway.yaml:1:1: site: this key is missing",
    ]


def test_a_file_that_is_not_there_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "nope.yaml", DRIVERS)
    assert str(caught.value) == f"{tmp_path}/nope.yaml:1:1: {tmp_path}/nope.yaml is not there, or no file"


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "ca.pem").write_text("")
    (tmp_path / "parts" / "up.yaml").write_text("{a: {url: mqtts://h, tls: {ca: ca.pem}}}")
    text = (
        VALID.partition("uplinks:")[0].replace("id: gw", "state_dir: state, id: gw") + "uplinks: !include parts/up.yaml"
    )
    config = loaded(tmp_path, text).config
    assert config.uplinks["a"].tls is not None
    assert config.uplinks["a"].tls.ca == tmp_path / "parts" / "ca.pem"
    assert config.gateway.state_dir == tmp_path / "state"


# CSV


def with_csv(folder: Path, rows: str | bytes) -> str:
    (folder / "cards.csv").write_bytes(rows.encode() if isinstance(rows, str) else rows)
    return changed("  list:\n", "  file: cards.csv\n  list:\n")


def test_rows_of_csv_end_as_the_same_entries(tmp_path: Path) -> None:
    rows = (
        "note,card,doors,valid_from,hours,disabled\r\n"
        f"a,{CARD},door-1 hook-1,2026-01-01,mon-fri 07:00-22:00; sat 08:00-12:00,\r\n\r\n"
        f'"b, c",{CARD},*,,,true\r\n'
    )
    credentials = loaded(tmp_path, with_csv(tmp_path, rows)).config.credentials
    assert credentials is not None
    first, second = credentials.list[2:]
    assert (first.doors, first.valid_from) == (("door-1", "hook-1"), date(2026, 1, 1))
    assert first.hours == ((frozenset(range(5)), 420, 1320), (frozenset({5}), 480, 720))
    assert (second.note, second.doors, second.hours, second.disabled) == ("b, c", ("*",), None, True)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("", ["1:1: credentials.file: no columns (needed: card, doors)"]),
        ("card,dors\n", [
            "1:1: credentials.file: the column doors is missing",
            "1:6: credentials.file: no column is called 'dors' (allowed: card, doors, valid_from, valid_until, hours, "
            "disabled, note; did you mean doors?)",
        ]),
        ("card,doors,card\n", ["1:12: credentials.file: the column card stands twice"]),
        ("card,doors\n4711,*\n", ["2:1: credentials.file[0].card: hmac-sha256: and 43"]),
        (f"card,doors\n{CARD},dor-1\n", ["2:57: credentials.file[0].doors[0]: no device is called dor-1"]),
        (f"card,doors\n\n{CARD},\n", ["3:57: credentials.file[0].doors: this key is missing"]),
        (f"card,doors,hours\n{CARD},*,always\n", ['2:59: credentials.file[0].hours: "always" names no weekdays']),
        (f"card,doors\n{CARD},door-1,hook-1\n", ["2:64: credentials.file[0]: more cells than columns"]),
        (f'card,doors\n{CARD},"*\n{CARD},*\n', ["2:1: credentials.file: a quote is not closed in this line"]),
        ("卡号,门\n".encode("gbk"), ["1:1: credentials.file: this is not UTF-8 (it seems to be GBK)"]),
    ],
)  # fmt: skip
def test_mistakes_in_csv_have_their_line_and_column(tmp_path: Path, rows: str | bytes, expected: list[str]) -> None:
    told = problems(tmp_path, with_csv(tmp_path, rows))
    assert len(told) == len(expected), told
    for line, start in zip(told, expected, strict=True):
        assert line.startswith(f"cards.csv:{start}")


# examples


def real_drivers() -> dict[str, type[DeviceConfig]]:
    return {name: driver.Config for name, driver in registry().items()}


@pytest.mark.parametrize("name", ["minimal.yaml", "gateway.yaml"])
def test_the_examples_are_right_with_the_real_drivers(name: str) -> None:
    config = load(ROOT / "config" / name, real_drivers()).config
    used = {device.driver for device in config.devices}
    assert used == (set(real_drivers()) if name == "gateway.yaml" else {"modbus"})


# sentences


BOUNDS = {"gt": "greater_than", "ge": "greater_than_equal", "lt": "less_than", "le": "less_than_equal"}


def error_types(schema: Any) -> Iterator[str]:
    """The types of error that a core schema's validators may raise."""
    kinds = {
        "str": ["string_type", "string_unicode", "string_pattern_mismatch", "string_too_short", "string_too_long"],
        "int": ["int_type", "int_parsing", "int_parsing_size", "int_from_float", "multiple_of"],
        "float": ["float_type", "float_parsing", "finite_number"],
        "bool": ["bool_type", "bool_parsing"],
        "date": ["date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"],
        "literal": ["literal_error"],
        "enum": ["enum"],
        "dict": ["dict_type", "too_short", "too_long"],
        "list": ["list_type", "too_short", "too_long"],
        "tuple": ["tuple_type", "too_short", "too_long", "missing"],
        "set": ["set_type", "set_item_not_hashable"],
        "frozenset": ["frozen_set_type", "set_item_not_hashable"],
        "model-fields": ["missing", "extra_forbidden", "model_type", "model_attributes_type"],
        "is-instance": ["is_instance_of"],
        "tagged-union": ["union_tag_invalid", "union_tag_not_found"],
        "lax-or-strict": ["path_type"],
        "function-before": ["value_error", "assertion_error"],
        "function-after": ["value_error", "assertion_error"],
        "function-wrap": ["value_error", "assertion_error"],
        "function-plain": ["value_error", "assertion_error"],
    }
    silent = {"model", "model-field", "nullable", "default", "union", "definitions", "definition-ref", "json-or-python",
              "chain", "any", "to-string", "function", "no-info", "with-info", "none"}  # fmt: skip
    if isinstance(schema, dict):
        kind = schema.get("type")
        if isinstance(kind, str):
            assert kind in kinds or kind in silent or kind.startswith(("format", "model", "include")), kind
            yield from kinds.get(kind, ())
        yield from (name for bound, name in BOUNDS.items() if bound in schema)
        for key, value in schema.items():
            if key not in ("metadata", "serialization", "default", "expected", "ref", "cls"):
                yield from error_types(value)
    elif isinstance(schema, list | tuple):
        for item in schema:
            yield from error_types(item)


@pytest.mark.parametrize("model", [Config, *real_drivers().values()], ids=lambda model: str(model.__module__))
def test_every_error_that_can_occur_has_a_sentence(model: type[DeviceConfig]) -> None:
    found = set(error_types(model.__pydantic_core_schema__))
    assert {"missing", "extra_forbidden", "string_type"} <= found
    assert found - set(SENTENCES) == set()


def test_choices_are_read_out_of_what_pydantic_says() -> None:
    assert choices("'N', 'E' or 'O'") == ["N", "E", "O"]
    assert choices("1 or 2") == ["1", "2"]
    assert choices("'auto', '5' or '3.1.1'") == ["auto", "5", "3.1.1"]
    assert choices("'zh-CN' or 'en'") == ["zh-CN", "en"]


def test_keys_are_found_through_mappings_lists_and_optional_parts() -> None:
    assert keys_at(Config, ("credentials", "list", 0))[:2] == ["card", "doors"]
    assert keys_at(Config, ("site", "places", "b3", "units", "u2"))[-1] == "floors"
    assert keys_at(Config, ("nope", 1)) == []


# properties

PLAIN: dict[str, Any] = YAML(typ="safe", pure=True).load(VALID)
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "fire.*",
    "gateway",
    [],
    {},
    [[]],
    {"a": {}},
    "2026-01-01",
    "\n",
    "0:0",
]


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, item in items:
        yield value, key
        yield from places_in(item)


def mutate(tree: Any, kind: Literal["delete", "retype", "misspell", "duplicate"], chance: random.Random) -> None:
    container, key = chance.choice(list(places_in(tree)))
    if kind == "delete":
        del container[key]
    elif kind == "retype":
        container[key] = copy.deepcopy(chance.choice(ODD))
    elif kind == "duplicate" and isinstance(container, list):
        container.append(copy.deepcopy(container[key]))
    elif isinstance(container, dict):
        place = chance.randrange(len(str(key)) + 1)
        name = str(key)[:place] + chance.choice("az-_.9 ü") + str(key)[place + (kind == "misspell") :]
        container[name] = copy.deepcopy(container[key]) if kind == "duplicate" else container.pop(key)


MUTATIONS = st.lists(st.sampled_from(["delete", "retype", "misspell", "duplicate"]), min_size=1, max_size=6)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MUTATIONS, st.randoms(use_true_random=False))
def test_no_mutation_does_more_than_raise_config_problems(
    tmp_path: Path, kinds: list[Any], chance: random.Random
) -> None:
    tree = copy.deepcopy(PLAIN)
    for kind in kinds:
        if tree:
            mutate(tree, kind, chance)
    file = tmp_path / "gateway.yaml"
    with file.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(tree, stream)
    lines = file.read_text(encoding="utf-8").splitlines()
    for problem in told_of(file):
        assert problem.file == file
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert "does not fit:" not in problem.what.en, "a sentence is missing"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(VALID) - 1), st.integers(0, 12), st.text(alphabet=" \n\t:{}[],\"'#-!&*a0", max_size=6))
def test_no_damaged_text_does_more_than_raise_config_problems(tmp_path: Path, at: int, cut: int, text: str) -> None:
    file = write(tmp_path, VALID[:at] + text + VALID[at + cut :])
    lines = file.read_text(encoding="utf-8").splitlines()
    for problem in told_of(file):
        assert 1 <= problem.line <= max(1, len(lines))
        assert problem.what.zh


def told_of(file: Path) -> tuple[Any, ...]:
    try:
        load(file, DRIVERS)
    except ConfigProblems as exc:
        return exc.problems
    return ()
