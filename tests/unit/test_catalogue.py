"""What the page says: every sentence stands in both languages, and none stands in a template or in a script."""

import re
from html.parser import HTMLParser
from importlib.resources import files
from string import Formatter

import pytest

from gateway.errors import Text
from gateway.web import words
from gateway.web.catalogue import Speaker, sayings

WEB = files("gateway.web")
ROOMS = sorted(each.name.removesuffix(".toml") for each in (WEB / "catalogue").iterdir())
SAME = re.compile(r"key_\w+|other_language")  # keys of a keyboard; the other language's own name
HAN = re.compile(r"[一-鿿]")


def templates() -> dict[str, str]:
    return {each.name: each.read_text("utf-8") for each in (WEB / "templates").iterdir()}


def told() -> dict[str, Text]:
    found = {f"{room} {key}": text for room in ROOMS for key, text in sayings(room).items()}
    found |= {f"unit {key}": text for key, text in words.UNITS.items()}
    for table in ("VERDICTS", "STATES", "LINKS"):
        found |= {f"{table} {key}": text for key, (_, text) in getattr(words, table).items()}
    return found | {f"refusal {status}": words.refusal(status) for status in (400, 401, 404, 405, 408, 413, 500)}


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_sentence_stands_in_both_languages() -> None:
    for key, text in told().items():
        if SAME.fullmatch(key.partition(" ")[2]):
            continue
        assert HAN.search(text.zh), key
        assert text.en, key
        assert not HAN.search(text.en), key


def test_both_languages_have_the_same_places() -> None:
    for key, text in told().items():
        assert places(text.en) == places(text.zh), key


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_no_text_stands_in_the_templates() -> None:
    for name, source in templates().items():
        parser = _Texts()
        parser.feed(re.sub(r"{{.*?}}|{%.*?%}|{#.*?#}", "", source, flags=re.DOTALL))
        assert not re.findall(r"[^\W\d_]{2,}", " ".join(parser.texts)), name


def test_no_sentence_stands_in_the_scripts() -> None:
    for each in (WEB / "static").iterdir():
        if each.name.endswith(".js"):
            assert not HAN.search(each.read_text("utf-8")), each.name


def test_no_script_or_style_stands_in_the_templates() -> None:
    for name, source in templates().items():
        assert re.findall(r"<script(?! src=)|<style|\sstyle=|\son\w+=", source) == [], name


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_s_own_templates_use_keys_that_there_are(room: str) -> None:
    known = sayings("frame") | sayings(room)
    mine = [source for name, source in templates().items() if name.startswith(room)]
    used = {key for source in mine for key in re.findall(r"""say\(['"](\w+)['"][,)]""", source)}
    assert used <= known.keys()


def test_no_room_takes_a_word_from_the_frame() -> None:
    """What the frame says stands around every room: a room's word of the same key would stand there too."""
    ours = sayings("frame").keys()
    assert [f"{room} {key}" for room in ROOMS if room != "frame" for key in sayings(room).keys() & ours] == []


def spoken() -> tuple[set[str], set[str], set[str]]:
    """What code and templates name: whole keys, families by what they begin with, families by what they end with."""
    every = [*templates().values(), *(each.read_text("utf-8") for each in WEB.iterdir() if each.name.endswith(".py"))]
    source = "\n".join(every)
    whole = set(re.findall(r"""["']([\w.*-]+)["']""", source))
    heads = set(re.findall(r"""["']([a-z]+(?:_[a-z]+)*?)_?(?:["']|\{)""", source))
    tails = set(re.findall(r"""["'}]_([a-z]+)_?["'{]""", source))
    return whole, heads, tails


def test_every_sentence_is_said_somewhere() -> None:
    whole, heads, tails = spoken()
    for key in (f"{room} {key}" for room in ROOMS for key in sayings(room)):
        name = key.partition(" ")[2]
        cuts = [(name[: at.start()], name[at.end() :]) for at in re.finditer("_", name)]
        assert name in whole or any(head in heads or tail.split("_")[0] in tails for head, tail in cuts), key


def test_the_speaker_falls_back_to_the_frame_and_refuses_what_nobody_says() -> None:
    assert Speaker("overview", "zh")("script_lost") == "页面已断开"
    assert Speaker("overview", "en")("waits", count=3) == "3 events wait to be sent"
    with pytest.raises(KeyError):
        Speaker("overview", "en")("no_such_key")
