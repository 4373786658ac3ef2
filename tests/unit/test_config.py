"""gateway.yaml: what is right loads, and everything wrong is told at once, at its place, in both languages."""

from datetime import date
from pathlib import Path

import pytest

from gateway.config import ConfigProblems, Loaded, load
from gateway.errors import ConfigError
from tests.unit.configs import CARD, DRIVERS, ROOT, VALID, WRONG, Detector, changed, marked, real_drivers, write


def loaded(folder: Path, text: str) -> Loaded:
    return load(write(folder, text), DRIVERS)


def problems(folder: Path, text: str, language: str = "en") -> list[str]:
    """What load() says, without the folder's name."""
    with pytest.raises(ConfigProblems) as caught:
        loaded(folder, text)
    return caught.value.say(language).replace(f"{folder}/", "").split("\n")


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
    assert config.rules[0].do[0].devices is not None
    assert config.rules[0].do[0].devices.place == "same-building"


def test_what_is_checked_but_not_carried_out_is_told_as_a_warning(tmp_path: Path) -> None:
    warnings = [w.say("en").replace(f"{tmp_path}/", "") for w in loaded(tmp_path, VALID).warnings]
    assert warnings == [
        "gateway.yaml:30:28: rules[0].do[0].devices: rule doors: no device is meant by this, "
        "so that release does nothing",
    ]
    assert loaded(tmp_path, VALID.partition("rules:")[0]).warnings == ()


@pytest.mark.parametrize("web", ["{plain: true}", '{plain: true, https: "0.0.0.0:8443"}'])
def test_a_page_in_the_clear_is_right_and_warned_of(tmp_path: Path, web: str) -> None:
    text = VALID.partition("rules:")[0].replace("buffer: {max_size: 64MiB}", f"web: {web}")
    (warning,) = loaded(tmp_path, text).warnings
    assert "gateway.yaml:1:30: gateway.web.plain: plain: true lets passwords" in warning.say("en")
    assert "明文" in warning.say("zh-CN")
    assert loaded(tmp_path, text.replace("true", "false")).warnings == ()


def test_sections_without_content_are_as_if_left_out(tmp_path: Path) -> None:
    config = loaded(tmp_path, VALID.partition("uplinks:")[0] + "uplinks:\ndevices:\ncredentials:\n").config
    assert (config.uplinks, config.devices, config.credentials) == ({}, (), None)


@pytest.mark.parametrize("off", ["off", "false", '"off"'])
def test_web_can_be_off_in_every_spelling(tmp_path: Path, off: str) -> None:
    text = VALID.partition("uplinks:")[0].replace("gw-0001,", f"gw-0001, web: {off},")
    assert loaded(tmp_path, text).config.gateway.web is None


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
    assert [line.split(":")[1] for line in told] == ["1", "9", "15", "15", "30"]


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


@pytest.mark.parametrize("name", ["minimal.yaml", "gateway.yaml"])
def test_the_examples_are_right_with_the_real_drivers(name: str) -> None:
    config = load(ROOT / "config" / name, real_drivers()).config
    used = {device.driver for device in config.devices}
    assert used == (set(real_drivers()) if name == "gateway.yaml" else {"modbus"})
