"""The status page without a server: what `render` makes of documents, and that every word stands in both languages."""

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from gateway.web.pages import render

from gateway.errors import Text
from gateway.web import words
from tests.contract.test_web import HEALTH, NOW, device


@pytest.mark.parametrize(("language", "index"), [("en", 0), ("zh", 1)])
def test_why_a_part_does_not_run_is_told(language: str, index: int) -> None:
    why = {name: {"en": f"{name} fails", "zh": f"{name} 失败"} for name in ("disk", "driver", "uplink")}
    health = HEALTH | {
        "disk": HEALTH["disk"] | {"failing": why["disk"]},
        "drivers": {"osdp": {"state": "stopped", "devices": 1, "offline": 1, "why": why["driver"]}},
        "uplinks": {"district": HEALTH["uplinks"]["district"] | {"why": why["uplink"]}},
        "clock": {"quality": "unsynced", "offset_ms": 0},
    }
    text = render(health, [device("d", "normal")], {"word": "fault"}, language)
    for name in why:
        assert list(why[name].values())[index] in text
        assert list(why[name].values())[1 - index] not in text
    assert words.LABELS["clock_unsynced"].say(language) in text


def test_a_time_of_another_day_has_its_date() -> None:
    rows = [device("d-1", "normal"), device("d-2", "normal", last_seen="2026-11-20T01:41:03.000Z")]
    times = re.findall(r'<time datetime="([^"]+)">([^<]+)<', render(HEALTH, rows, {"word": "normal"}, "en"))
    forms = {moment: re.sub("[0-9]", "0", shown) for moment, shown in times}
    assert forms == {NOW: "00:00:00", "2026-11-20T01:41:03.000Z": "0000-00-00 00:00:00"}


def test_names_cannot_become_markup() -> None:
    evil = "<script>alert(1)</script>"
    row = device("d", "normal", label=evil, place_label=f"at {evil}", building=evil)
    text = render(HEALTH, [row], {"word": evil}, "en")
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;") == 3


def test_an_empty_house_is_told_as_such() -> None:
    text = render(HEALTH | {"uplinks": {}}, [], {"word": "unknown"}, "zh")
    assert words.LABELS["no_devices"].zh in text
    assert words.LABELS["no_uplinks"].zh in text


# --- words ----------------------------------------------------------------------------------------------------------


def catalogue() -> dict[str, Text]:
    found = {f"label {key}": text for key, text in words.LABELS.items()}
    found |= {f"unit {key}": text for key, text in words.UNITS.items()}
    found |= {f"verdict {key}": text for key, (_, text) in words.VERDICTS.items()}
    found |= {f"state {key}": text for key, (_, text) in words.STATES.items()}
    return found | {f"refusal {status}": words.refusal(status) for status in (400, 401, 404, 405, 408, 413, 500)}


def test_every_word_stands_in_both_languages() -> None:
    for key, text in catalogue().items():
        assert re.search(r"[一-鿿]", text.zh) or key == "label of", key
        assert text.en, key
        assert not re.search(r"[一-鿿]", text.en), key


def templates() -> dict[str, str]:
    return {each.name: each.read_text("utf-8") for each in (files("gateway.web") / "templates").iterdir()}


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_no_text_stands_in_the_templates() -> None:
    for name, source in templates().items():
        parser = _Texts()
        parser.feed(re.sub(r"{{.*?}}|{%.*?%}", "", source))
        assert not re.findall(r"[^\W\d_]+", " ".join(parser.texts)), name


def test_the_templates_use_known_keys_and_all_keys_are_used() -> None:
    used = set(re.findall(r"say\('(\w+)'\)", templates()["status.html"]))
    derived = {key for key in words.LABELS if key.startswith(("lane_", "clock_"))}
    assert used | derived == set(words.LABELS)


def test_no_script_or_style_stands_in_the_page() -> None:
    text = render(HEALTH, [device("d", "normal")], {"word": "normal", "since": NOW}, "en")
    assert re.findall(r"<script(?! src=\"/static/)|<style|style=| on\w+=", text) == []
