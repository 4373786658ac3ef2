"""Slips of the keyboard are named beside the problem they make, and only there."""

from pathlib import Path

import pytest

from gateway.config import ConfigProblems, load
from gateway.driver import registry
from gateway.slips import hint

RIGHT = """\
gateway:
  id: gw-0001
site:
  name: 阳光花园，一期
  area: {district: "310104", street: "013", community: "002"}
  places: {gate: {label: 大门}}
devices:
  - {id: panic, driver: webhook, kind: panic, token: 0123456789abcdef, place: gate}
"""
SLIPS = {
    "id: gw-0001": ("id：gw-0001", 2, "the '：' in this line is a full-width character: it must be ':' and a space"),
    "driver: webhook, kind": ("driver: webhook，kind", 8, "it must be ',' and a space"),
    '"310104"': ("“310104”", 5, "it must be '\"'"),
    "kind: panic": ("kind:panic", 8, "a space must follow the colon"),
    "- {id": ("-{id", 8, "wrong indentation"),
    "  id: gw": ("  id:\u3000gw", 2, "it must be ' '"),
}


def problems(folder: Path, text: str) -> dict[int, str]:
    """Line → what is said of it."""
    file = folder / "gateway.yaml"
    file.write_text(text, "utf-8")
    try:
        load(file, registry().models())
    except ConfigProblems as wrong:
        return {problem.line: problem.say("en") for problem in wrong.problems}
    return {}


@pytest.mark.parametrize("right", SLIPS)
def test_a_slip_is_named(tmp_path: Path, right: str) -> None:
    wrong, line, said = SLIPS[right]
    assert said in problems(tmp_path, RIGHT.replace(right, wrong, 1))[line]


def test_what_is_right_is_no_slip(tmp_path: Path) -> None:
    assert problems(tmp_path, RIGHT) == {}
    (said,) = problems(tmp_path, RIGHT.replace('"013"', "013")).values()
    assert "full-width" not in said


@pytest.mark.parametrize(
    "line",
    [
        'name: "三期：东"', "name: '三期，东'", "id: a # 注释：，", "url: mqtt://127.0.0.1:1883", "--- ", "- a",
        "n: -1", 'listen: "127.0.0.1:8080"', "  - {id: a, place: b3/u2}",
    ],
)  # fmt: skip
def test_lines_without_a_slip(line: str) -> None:
    assert hint(line).en == hint(line).zh == ""
