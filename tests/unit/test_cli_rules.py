"""`gateway rules` and `gateway rules test`: what stands there, what would happen, and that nothing is needed for it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli import language, run

SITE = """\
gateway: {id: gw-0001}
site:
  name: 阳光花园
  area: {district: "310104", street: "013", community: "002"}
  places: {b3: {label: 3号楼}, gate: {label: 大门}}
devices:
  - {id: smoke-1, driver: webhook, token: 0123456789abcdef1, place: b3, kind: smoke}
  - {id: door-1, driver: zkteco, listen: "0.0.0.0:8081", address: CKJ1, place: b3, kind: door}
"""
RULES = """\
rules:
  - name: fire
    when: {type: "fire.*"}
    do: [{action: release, devices: {kind: door, place: same-building}}, {action: sound}]
  - name: night
    when: {type: "fire.*", hours: {mon-sun: "22:00-06:00"}}
    do: [{action: lock, devices: {kind: door}, delay: 5s}]
    yields_to: [fire]
  - name: many
    when: {type: access.denied, count: 3, within: 60s}
    do: [{action: unlock, devices: {ids: [door-1]}, hold: 5s}]
    yields_to: [night]
"""


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    language.choose([], {})
    yield
    language.choose([], {})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "gateway.yaml"
    made.write_text(SITE + RULES, "utf-8")
    return made


def said(capsys: pytest.CaptureFixture[str], file: Path, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = run(["rules", *arguments, "--config", str(file)])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_rules_in_words(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    status, out, _ = said(capsys, file, "--lang", "en")
    assert status == 0
    assert "fire.*, every day 22:00-24:00; every day 00:00-06:00" in out
    assert "lock every door, after 5 s" in out
    _, out, _ = said(capsys, file, "--lang", "zh")
    assert "消防类,每天 22:00-24:00;每天 00:00-06:00" in out


def test_the_rules_as_json(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    listed = json.loads(said(capsys, file, "--json")[1])
    assert [(entry["rule"], entry["yields_to"]) for entry in listed] == [
        ("fire", []), ("fire", []), ("night", ["fire"]), ("many", ["night"]),
    ]  # fmt: skip


def played(capsys: pytest.CaptureFixture[str], file: Path, *arguments: str) -> list[dict[str, object]]:
    status, out, err = said(capsys, file, "test", "--json", *arguments)
    assert status == 0, err
    found: list[dict[str, object]] = json.loads(out)
    return found


def test_what_a_fire_at_night_would_do(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    acts = played(capsys, file, "--type", "fire.smoke", "--device", "smoke-1", "--at", "2026-11-23T23:00:00")
    assert acts == [
        {"after_s": 0.0, "rule": "fire", "action": "release", "device": "door-1", "until": "reset"},
        {"after_s": 0.0, "rule": "fire", "action": "sound", "until": "cleared"},
        {"after_s": 5.0, "rule": "night", "action": "lock", "device": "door-1", "refused": "held-by-fire"},
    ]
    day = played(capsys, file, "--type", "fire.smoke", "--device", "smoke-1", "--at", "2026-11-23T12:00:00")
    assert [act["rule"] for act in day] == ["fire", "fire"]


def test_a_test_would_do_nothing(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    assert played(capsys, file, "--type", "fire.smoke", "--device", "smoke-1", "--test") == []
    status, out, _ = said(capsys, file, "test", "--type", "fire.smoke", "--device", "smoke-1", "--test")
    assert (status, out) == (0, "nothing would happen: no rule waits for this\n")


def test_a_rule_that_counts_has_counted(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    (act,) = played(capsys, file, "--type", "access.denied", "--device", "door-1")
    assert (act["action"], act["args"]) == ("unlock", {"seconds": 5.0})


def test_as_a_table(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    at = ("--type", "fire.smoke", "--device", "smoke-1", "--at", "2026-11-23T23:00:00")
    _, out, _ = said(capsys, file, "test", *at)
    assert "until its cause is gone and a person has disposed of it" in out
    assert out.endswith("nothing was moved\n")
    _, out, _ = said(capsys, file, "test", *at, "--lang", "zh")
    assert "火警已释放" in out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--type", "fire.smokey", "--device", "smoke-1"), "no event type is called fire.smokey"),
        (("--type", "fire.smoke", "--device", "smoke-9"), "no device is called smoke-9"),
        (("--type", "fire.smoke", "--device", "smoke-1", "--phase", "pulse"), "fire.smoke has no phase pulse"),
        (("--type", "fire.smoke", "--device", "smoke-1", "--at", "noon"), "noon is no time"),
    ],
)
def test_wrong_use(capsys: pytest.CaptureFixture[str], file: Path, arguments: tuple[str, ...], what: str) -> None:
    status, _, err = said(capsys, file, "test", *arguments)
    assert status == 2
    assert what in err


def test_no_rules(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    file.write_text(SITE, "utf-8")
    assert said(capsys, file)[:2] == (0, "there are no rules\n")
