"""Printed text without ports: which patterns are safe, how records are cut, what maps mean, what is news."""

import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from drivers import _text_panel
from drivers._patterns import MAX_CHARS, compiled, safe
from drivers._text_frame import MAX_LINE_BYTES, MAX_LINES, Framer
from drivers._text_map import TextMap, known_maps, load
from drivers._text_panel import MOST_TEXTS, MOST_UNKNOWN, Panel
from drivers._zone import local_time, zone_of
from drivers.serial_text import DRIVER, Config, decode, panel_of
from gateway.driver import Example, Line
from gateway.errors import Misconfigured
from gateway.event import Phase, Reading, part_key
from gateway.fields import Wrong
from gateway.taxonomy import TYPES

LINES: dict[str, Any] = {
    "title": {"en": "A", "zh": "甲"},
    "source": "a test",
    "confidence": "certain",
    "times": ["%Y-%m-%d %H:%M:%S"],
    "ignore": ["-+", r"Page \d+"],
    "rows": [
        {"match": r"(?P<time>\S+ \S+) ALARM (?P<part>\d+) ?(?P<text>.*)", "type": "fire.smoke", "phase": "raise"},
        {"match": r"(?P<time>\S+ \S+) OK (?P<part>\d+)", "type": "fire.smoke", "phase": "clear"},
        {"match": "TEST (?P<part>[0-9]+)", "type": "fire.smoke", "phase": "raise", "test": True},
        {"match": "RESET", "clears": ["fire.*"]},
        {"match": "CARD (?P<word>yes|no|hm)", "type": {"group": "word", "table": {"yes": "access.granted"}}},
    ],
}
ALARM = "2026-11-23 18:06:19 ALARM 17 Hall"


def text_map(**more: Any) -> TextMap:
    return TextMap.model_validate(LINES | more)


def config(**more: Any) -> Config:
    return Config.model_validate({"id": "example", "driver": "serial_text", "place": "b3", "bus": "line"} | more)


def panel(parts: dict[str, str] | None = None, **more: Any) -> Panel:
    return Panel("panel", text_map(**more), "+08:00", parts or {}, 60.0)


@pytest.mark.parametrize("example", DRIVER.examples, ids=lambda e: e.title)
def test_golden_bytes(example: Example) -> None:
    assert tuple(decode(config(**example.config), example.wire)) == example.readings


# --- patterns


@pytest.mark.parametrize(
    "pattern",
    [
        r"\d+-\d+ .*",
        r".*火警.*",
        r".*a.*b",
        r"(?P<a>[^\n]*)\n(?P<b>[^\n]+)\n(?P<c>.*)",
        r"(?:x|yy|z)?\s*\d{2,4}(?:/\d{2})?",
        r"\w++\w+",
        r"a{3}b{0,5}c*?d",
        r"(?>ab|a)c",
        r"^(?P<x>\S+)$",
        "",
    ],
)
def test_patterns_that_are_quick(pattern: str) -> None:
    assert safe(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a+)+b", "a group cannot be repeated"),
        ("(?:ab)*", "a group cannot be repeated"),
        ("(a|a)*", "a group cannot be repeated"),
        (".*a.*b.*c.*d", "it could take too long"),
        (r"\w+\w+\w+\w+x", "it could take too long"),
        (r"\d*\s*\d*\s*\d*\s*\d*x", "it could take too long"),
        ("x?" * 20 + "y", "it could take too long"),
        (r"(a)\1", "looking around or back"),
        ("(?=a)b", "looking around or back"),
        ("(?i)a", "flags like"),
        ("(", "not a regular expression"),
        ("[z-a]", "not a regular expression"),
        ("a{99999999999999999999}", "not a regular expression"),
    ],
)
def test_patterns_that_are_not_taken(pattern: str, said: str) -> None:
    with pytest.raises(Wrong, match=said) as wrong:
        safe(pattern)
    assert re.search("[一-鿿]", wrong.value.text.zh)


ATOMS = st.sampled_from([".", r"\d", r"\w", r"\s", "a", "b", "[^a]", "[a-c]", "火", r"\S", "(?:a|ab)"])
REPEATS = st.sampled_from(["", "*", "+", "?", "{2}", "{1,3}", "*?", "+?", "++"])
PATTERNS = st.lists(st.builds(lambda atom, repeat: atom + repeat, ATOMS, REPEATS), max_size=8).map("".join)


@settings(max_examples=150, deadline=None)
@given(PATTERNS, st.sampled_from(["a", "ab", "1 ", "火", "abc1", " "]), st.sampled_from(["", "!", "b"]))
def test_whatever_is_taken_is_quick_on_the_worst_of_texts(pattern: str, piece: str, last: str) -> None:
    try:
        safe(pattern)
    except Wrong:
        return
    text = (piece * MAX_CHARS)[: MAX_CHARS - 1] + last
    began = time.process_time()
    compiled(pattern).fullmatch(text)
    assert time.process_time() - began < 1.0


# --- records


def cut(data: bytes, **more: Any) -> list[str]:
    framer = Framer(text_map(**more))
    return [*framer.feed(data), *framer.idle()]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\r", b"\r", b"\x0c"])
def test_lines_end_as_printers_end_them(end: bytes) -> None:
    assert cut(b"one" + end + end + b"  two \t x" + end) == ["one", "two x"]


def test_a_block_ends_at_an_empty_line_not_at_one_of_blanks() -> None:
    assert cut(b"a\n  \nb\n\nc\r\nd\r\n\r\n", record="block") == ["a\nb", "c\nd"]


def test_a_block_ends_where_the_next_begins_and_when_it_is_too_long() -> None:
    assert cut(b"12:00\na\n12:01\nb\n", record="block", begins=r"\d\d:\d\d") == ["12:00\na", "12:01\nb"]
    assert [len(text.split("\n")) for text in cut(b"x\n" * 20, record="block")] == [MAX_LINES, 20 - MAX_LINES]


def test_silence_ends_what_is_begun() -> None:
    framer = Framer(text_map())
    assert (framer.feed(b"half a li"), framer.pending) == ([], True)
    assert (framer.idle(), framer.pending, framer.idle()) == (["half a li"], False, [])


def test_printer_commands_are_taken_out_with_what_belongs_to_them() -> None:
    assert cut(b"\x1b@\x1b1\x04\x1bJ\x0aA\x1b9B\x1c&C\x1bp012D\n") == ["ABCD"]
    assert cut(b"\x1bz12A\n", escapes={"z": 2}) == ["A"]
    assert cut(b"A\x1b") == ["A"]


def test_an_endless_line_is_cut() -> None:
    (text,) = cut(b"x" * 100_000)
    assert len(text) == MAX_CHARS
    assert MAX_LINE_BYTES >= MAX_CHARS


def test_gb_18030_is_read_and_rubbish_is_replaced() -> None:
    assert cut("裙楼一层".encode("gb18030") + b"\xff\x80\n") == ["裙楼一层��"]
    assert cut("ß".encode("latin-1") + b"\n", encoding="latin-1") == ["ß"]


@given(st.binary(max_size=400), st.sets(st.integers(0, 400)), st.sampled_from(["line", "block"]))
def test_pieces_make_no_difference(data: bytes, cuts: set[int], record: str) -> None:
    framer = Framer(text_map(record=record))
    places = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(places)]
    found = [text for piece in pieces for text in framer.feed(piece)] + framer.idle()
    assert found == cut(data, record=record)
    assert all(0 < len(text) <= MAX_CHARS and text == text.strip() for text in found)


@given(st.binary(max_size=300))
def test_whatever_comes_is_told(data: bytes) -> None:
    for reading in decode(config(profile="gst"), data):
        assert reading.phase in TYPES[reading.type].phases
        assert reading.raw["text"]


# --- maps


@pytest.mark.parametrize("name", known_maps())
def test_every_shipped_map_is_sound(name: str) -> None:
    found = load(name)
    assert found.title["zh"] != found.title["en"]
    assert found.source


GST = {
    "27/01/31 08:00\n012-034\n首次火警\n大厅\n感温探测器": ("fire.heat", "raise", None),
    "27/01/31 08:00\n012-034\n火警\n大厅\n手动报警按钮": ("fire.manual", "raise", None),
    "27/01/31 08:00\n012-034\n火警后续\n大厅\n声光警报器": ("fire.panel", "raise", None),
    "27/01/31 08:00\n012-034\n故障\n大厅\n感烟探测器": ("device.fault", "raise", None),
    "27/01/31 08:00\n012-034\n恢复\n大厅\n感烟探测器": ("device.fault", "clear", None),
    "27/01/31 08:00\n012-034\n屏蔽\n大厅\n感烟探测器": ("device.shielded", "raise", None),
    "27/01/31 08:00\n012-034\n释放\n大厅\n感烟探测器": ("device.shielded", "clear", None),
    "27/01/31 08:00\n012-034\n监管恢复\n泵房\n信号阀": ("fire.supervisory", "clear", None),
    "27/01/31 08:00\n备电故障": ("device.power_fault", "raise", "backup"),
    "27/01/31 08:00\n主电恢复": ("device.power_fault", "clear", "mains"),
    "27/01/31 08:00\n012-034\n启动\n大厅\n声光警报器": ("device.unmapped", "pulse", None),
}


@pytest.mark.parametrize(("text", "expected"), GST.items(), ids=[" ".join(text.split()[2:]) for text in GST])
def test_words_of_the_gst_map(text: str, expected: tuple[str, str, str | None]) -> None:
    (found,) = decode(config(profile="gst"), text.encode("gb18030"))
    assert (found.type, found.phase.value, found.reason) == expected


def test_a_line_says_what_when_and_where() -> None:
    (found,) = panel().meaning(ALARM)
    assert found == Reading(
        "panel",
        "fire.smoke",
        Phase.RAISE,
        part={"address": "17", "text": "Hall"},
        device_time=local_time("2026-11-23 18:06:19", ["%Y-%m-%d %H:%M:%S"], "+08:00"),
        raw={"text": ALARM},
    )


def test_test_marks_are_kept() -> None:
    assert [found.test for found in panel().meaning("TEST 5")] == [True]


@pytest.mark.parametrize(("text", "types"), [("----", []), ("Page 12", []), ("CARD hm", ["device.unmapped"])])
def test_headers_say_nothing_and_unknown_words_go_through(text: str, types: list[str]) -> None:
    assert [found.type for found in panel().meaning(text)] == types


@pytest.mark.parametrize("text", ["2026-13-45 18:06:19 ALARM 17", "0000-00-00 00:00:00 ALARM 17"])
def test_a_date_that_makes_no_sense_is_left_out(text: str) -> None:
    (found,) = panel().meaning(text)
    assert (found.device_time, found.raw["text"]) == (None, text)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"match": "x"}, "either type: or clears:"),
        ({"match": "x", "type": "fire.smoke"}, "fire.smoke needs phase: one of raise, clear"),
        ({"match": "x", "type": "fire.smoke", "phase": "on"}, "fire.smoke needs phase"),
        ({"match": "x", "type": "fire.smok", "phase": "raise"}, "did you mean fire.smoke?"),
        ({"match": "x", "type": "operator.ack"}, "is the gateway's to tell"),
        ({"match": "x", "clears": ["fire.*", "flood.*"]}, 'no event type "flood.*"'),
        ({"match": "x", "type": {"group": "w", "table": {"a": "access.granted"}}}, "has no group"),
        ({"match": "(x+)+", "type": "access.granted"}, "a group cannot be repeated"),
    ],
)
def test_rows_that_do_not_fit(row: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        text_map(rows=[row])


def test_a_map_of_ones_own_is_read_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "title: {en: A, zh: 甲}\nkind: sensor\nsource: me\nconfidence: memory\n"
        "rows: [{match: X, type: access.granted}]\n"
    )
    given = {"id": "x", "driver": "serial_text", "place": "b3", "bus": "line", "profile": "./mine.yaml"}
    made = Config.model_validate(given, context={"base": tmp_path})
    assert made.kind == "sensor"
    assert [found.type for found in decode(made, b"X")] == ["access.granted"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"profile": "gts"}, "did you mean gst?"),
        ({}, "profile: is needed"),
        ({"profile": "gst", "part": "1"}, "profile: is needed"),
        ({"profile": "./no.yaml"}, "no.yaml cannot be read"),
        ({"profile": "gst", "zone": "8"}, "an offset from UTC"),
        ({"profile": "gst", "zone": "+15:00"}, "an offset from UTC"),
    ],
)
def test_configurations_that_do_not_fit(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        config(**more)


@pytest.mark.parametrize(("text", "hours"), [("+08:00", 8.0), ("-03:30", -3.5), ("+00:00", 0.0)])
def test_zones(text: str, hours: float) -> None:
    offset = zone_of(text).utcoffset(None)
    assert offset.total_seconds() == hours * 3600


# --- what is news


class Open:
    """Conditions that are open, as a link has them."""

    def __init__(self) -> None:
        self.keys: dict[str, set[tuple[str, str | None]]] = {}

    def __call__(self, device: str) -> frozenset[tuple[str, str | None]]:
        return frozenset(self.keys.get(device, ()))

    def print(self, to: Panel, text: str, now_s: float = 0.0) -> list[tuple[str, str]]:
        """What is told of it, and follow it."""
        found = to.news(text, self, now_s)
        to.told(text, now_s)
        for reading in found:
            held = self.keys.setdefault(reading.device, set())
            key = (reading.type, part_key(reading.part) or None)
            (held.add if reading.phase is not Phase.CLEAR else held.discard)(key)
        return [(reading.type, reading.phase.value) for reading in found]


def test_a_repeated_line_is_a_state() -> None:
    here, it = panel(), Open()
    assert it.print(here, ALARM) == [("fire.smoke", "raise")]
    assert it.print(here, ALARM, 1.0) == []
    assert it.print(here, ALARM, 61.0) == [("fire.smoke", "still")]
    assert it.print(here, ALARM.replace("19", "20"), 62.0) == [("fire.smoke", "still")]


def test_a_fire_after_a_reset_is_a_new_one_even_with_the_same_words() -> None:
    here, it = panel(), Open()
    for _ in range(2):
        assert it.print(here, ALARM) == [("fire.smoke", "raise")]
        assert it.print(here, "RESET") == [("fire.smoke", "clear")]
    assert it.print(here, "RESET") == []


def test_a_happening_printed_twice_is_one() -> None:
    here, it = panel(), Open()
    assert it.print(here, "CARD yes") == [("access.granted", "pulse")]
    assert it.print(here, "CARD yes", 30.0) == []
    assert it.print(here, "CARD yes", 91.0) == [("access.granted", "pulse")]


def test_an_end_without_a_beginning_is_told_once() -> None:
    here, it = panel(), Open()
    ended = ALARM.replace("ALARM 17 Hall", "OK 17")
    assert [it.print(here, ended) for _ in range(2)] == [[("fire.smoke", "clear")], []]


def test_a_part_that_is_a_device_of_its_own_gets_its_own_events_and_is_reset_with_the_panel() -> None:
    here, it = panel({"17": "smoke-17"}), Open()
    (found,) = here.news(ALARM, it, 0.0)
    assert (found.device, found.part and found.part["address"]) == ("smoke-17", "17")
    it.print(here, ALARM)
    it.print(here, ALARM.replace("17", "18"))
    assert [(r.device, r.part) for r in here.news("RESET", it, 0.0)] == [
        ("panel", {"address": "18"}),
        ("smoke-17", {"address": "17"}),
    ]


def test_a_panel_without_parts_is_reset_too() -> None:
    it = Open()
    it.keys["panel"] = {("fire.panel", None), ("device.offline", None)}
    assert panel().news("RESET", it, 0.0) == [Reading("panel", "fire.panel", Phase.CLEAR)]


def test_of_what_nobody_has_described_so_much_a_minute() -> None:
    here, it = panel(), Open()
    told = [it.print(here, f"noise {number}") for number in range(MOST_UNKNOWN + 7)]
    assert sum(map(len, told)) == MOST_UNKNOWN
    assert it.print(here, ALARM) == [("fire.smoke", "raise")]
    (found,) = here.news("noise", it, 61.0)
    assert found.raw == {"text": "noise", "left_out": 7}
    assert here.news("more noise", it, 62.0)[0].raw == {"text": "more noise"}


def test_what_is_remembered_is_bounded() -> None:
    here = panel()
    for number in range(MOST_TEXTS + 5):
        here.told(str(number), 0.0)
    assert len(here._told) == MOST_TEXTS
    assert _text_panel.MOST_TEXTS == MOST_TEXTS


@pytest.mark.parametrize("parts", [["1", "1"], ["1"]])
def test_a_port_has_one_panel_and_each_part_once(parts: list[str]) -> None:
    devices = tuple(config(id=f"p-{n}", part=part) for n, part in enumerate(parts))
    with pytest.raises(Misconfigured, match="one panel"):
        panel_of(Line("line", None, devices))


def test_the_guide_shows_a_map_and_devices_that_are_right() -> None:
    page = (Path(__file__).parents[2] / "docs" / "drivers" / "serial_text.md").read_text("utf-8")
    devices, shown = (
        YAML(typ="safe", pure=True).load(block) for block in re.findall("```yaml\n(.*?)```", page, re.DOTALL)
    )
    for device in devices["devices"]:
        assert Config.model_validate(device).bus in devices["buses"]
    found = TextMap.model_validate(shown)
    here, it = Panel("panel", found, "+08:00", {}, 60.0), Open()
    printed = ["2026-11-23 18:06:19 ALARM 4/17 Hall", "2026-11-23 18:06:20 TROUBLE 4/18 Hall", "-----", "Page 3"]
    assert [it.print(here, text) for text in printed] == [
        [("fire.smoke", "raise")],
        [("device.fault", "raise")],
        [],
        [],
    ]
    assert it.print(here, "2026-11-23 18:06:21 NORMAL 4/18 Hall") == [("device.fault", "clear")]
    assert it.print(here, "2026-11-23 18:06:22 SYSTEM RESET") == [("fire.smoke", "clear")]
