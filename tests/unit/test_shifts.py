"""The sections `shifts:` and `site.timezone`: what is wrong with them is told at its place."""

from pathlib import Path

import pytest

from gateway.config import ConfigProblems, load
from tests.unit.configs import DRIVERS, VALID, write

TWO = 'shifts:\n  - {name: 早班, from: "08:00"}\n  - {name: 晚班, from: "20:00"}\n'


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigProblems) as caught:
        load(write(folder, text), DRIVERS)
    return [problem.say("en") for problem in caught.value.problems]


def test_shifts_as_they_are_written(tmp_path: Path) -> None:
    config = load(write(tmp_path, VALID + TWO), DRIVERS).config
    assert [(shift.name, f"{shift.start:%H:%M}") for shift in config.shifts] == [("早班", "08:00"), ("晚班", "20:00")]
    assert config.site.timezone == "Asia/Shanghai"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('from: "20:00"', 'from: "20.00"', "shifts[1].from: a time of day in quotes is needed"),
        ('from: "20:00"', "from: 8:00", "shifts[1].from: a time of day in quotes is needed"),
        ('from: "20:00"', 'from: "08:00"', "shifts[1].from: the shift in gateway.yaml:"),
        ('from: "20:00"', 'form: "20:00"', "shifts[1].form: not a known key (allowed: name, from"),
        ("name: 晚班, ", "", "shifts[1].name: this key is missing"),
    ],
)
def test_wrong_shifts(tmp_path: Path, old: str, new: str, said: str) -> None:
    told = problems(tmp_path, VALID + TWO.replace(old, new))
    assert any(said in line for line in told), told


@pytest.mark.parametrize("zone", ["Asia/Peking", "../etc/passwd", "8", '""'])
def test_a_wrong_time_zone(tmp_path: Path, zone: str) -> None:
    assert "site:\n" in VALID
    (told,) = problems(tmp_path, VALID.replace("site:\n", f"site:\n  timezone: {zone}\n"))
    assert "site.timezone: a name of the IANA time zones is needed" in told
