"""Rules against each other, as `gateway check` tells it; and rules in words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gateway.config import load
from gateway.driver import registry
from gateway.fields import DeviceConfig
from gateway.problems import ConfigProblems
from gateway.rulebook import Rule
from gateway.rulecheck import Catalogue, Trade
from gateway.rulewords import do_text, hours_text, type_text, when_text, whom
from tests.unit.configs import write

HEAD = """\
gateway: {id: gw-0001}
site:
  name: 阳光花园
  area: {district: "310104", street: "013", community: "002"}
  places: {b3: {label: 3号楼}, gate: {label: 大门}}
devices:
  - {id: door-1, driver: webhook, token: 0123456789abcdef0, place: b3, kind: door}
  - {id: panic-1, driver: webhook, token: 0123456789abcdef1, place: gate, kind: panic}
"""
DOOR = "devices: {kind: door}"
OPENS = f"  - {{name: opens, when: {{type: safety.panic}}, do: [{{action: release, {DOOR}, until: cleared}}]}}\n"


class Alike(Catalogue):
    """Drivers that are all of one trade."""

    def __init__(self, models: Catalogue, trade: Trade) -> None:
        self._models = models
        self._trade = trade

    def __getitem__(self, name: str) -> type[DeviceConfig]:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def trade_of(self, name: str) -> Trade:
        return self._trade


def told(folder: Path, rules: str, language: str = "en") -> list[str]:
    """What is wrong, or not wise, without the file's name."""
    drivers = registry()
    file = write(folder, HEAD + "rules:\n" + rules)
    try:
        problems = list(load(file, Alike(drivers.models(), Trade())).warnings)
    except ConfigProblems as wrong:
        problems = list(wrong.problems)
    return [problem.say(language).partition(": ")[2].replace(f"{folder}/", "") for problem in problems]


def shuts(name: str = "shuts", type: str = "device.tamper", action: str = "lockdown", more: str = "") -> str:
    return f"  - {{name: {name}, when: {{type: {type}{more}}}, do: [{{action: {action}, {DOOR}}}]}}\n"


def test_two_rules_that_contradict_each_other(tmp_path: Path) -> None:
    (said,) = told(tmp_path, OPENS + shuts())
    assert said.startswith("rules[1].do[0]: rule shuts would lockdown door-1, which rule opens (gateway.yaml:")
    assert "yields_to:" in said
    (chinese,) = told(tmp_path, OPENS + shuts(), "zh")
    assert "规则 shuts 对 door-1 执行 lockdown" in chinese


@pytest.mark.parametrize(
    "other",
    [
        shuts().replace("}]}", "}], yields_to: [opens]}"),
        shuts(action="unlock"),
        shuts(type="safety.panic", action="lock", more=", phase: clear"),
        shuts().replace("kind: door", "place: gate"),
    ],
)
def test_two_rules_that_do_not(tmp_path: Path, other: str) -> None:
    assert told(tmp_path, OPENS + other) == []


def test_hours_that_never_meet(tmp_path: Path) -> None:
    day, night = ', hours: {mon-sun: "07:00-22:00"}', ', hours: {mon-sun: "22:00-07:00"}'
    opens = OPENS.replace("safety.panic", f"safety.panic{day}")
    assert told(tmp_path, opens + shuts(more=night)) == []
    assert len(told(tmp_path, opens + shuts(more=day))) == 1


def test_one_output_both_ways(tmp_path: Path) -> None:
    on, off = ("number: 1, state: true", "number: 1, state: false")
    rules = shuts("a").replace("lockdown", f"output, {on}") + shuts("b").replace("lockdown", f"output, {off}")
    assert "rule b would output door-1" in told(tmp_path, rules)[0]
    assert told(tmp_path, rules.replace("number: 1, state: false", "number: 2, state: false")) == []


def test_a_loop_names_every_rule_of_it(tmp_path: Path) -> None:
    rules = OPENS + (
        f"  - {{name: round, when: {{type: door.released}}, do: [{{action: unlock, {DOOR}}}]}}\n"
        "  - {name: again, when: {type: gateway.action, kind: door}, do: [{action: release, devices: {kind: door}}]}\n"
    )
    (said,) = [line for line in told(tmp_path, rules) if "loop" in line]
    assert "round (gateway.yaml:" in said or "again (gateway.yaml:" in said
    chain = f"  - {{name: round, when: {{type: door.released}}, do: [{{action: snapshot, {DOOR}}}]}}\n"
    assert [line for line in told(tmp_path, OPENS + chain) if "loop" in line] == []


def test_a_rule_that_makes_itself_act(tmp_path: Path) -> None:
    rules = f"  - {{name: self, when: {{type: door.lockdown}}, do: [{{action: lockdown, {DOOR}}}]}}\n"
    assert "self (gateway.yaml:" in told(tmp_path, rules)[0]


def test_devices_whose_driver_has_no_such_command_are_warned_of(tmp_path: Path) -> None:
    drivers = registry()
    file = write(tmp_path, HEAD + "rules:\n" + OPENS)
    loaded = load(file, Alike(drivers.models(), Trade("door", ("unlock",))))
    (said,) = [warning.say("en") for warning in loaded.warnings]
    assert said.endswith("rules[0].do[0].action: rule opens: door-1 cannot release: its driver has no such command")


def test_selectors_that_find_nothing_are_warned_of(tmp_path: Path) -> None:
    rules = "  - {name: r, when: {type: fire.smoke, kind: meter}, do: [{action: unlock, devices: {kind: lift}}]}\n"
    said = told(tmp_path, rules)
    assert [line.partition(": ")[0] for line in said] == ["rules[0].when", "rules[0].do[0].devices"]


@pytest.mark.parametrize(
    ("rules", "what"),
    [
        (OPENS.replace("safety.panic", "fire.smoke"), "stay open until the alarm is disposed of"),
        (OPENS.replace("release", "snapshot"), "snapshot has no end"),
        (OPENS.replace(", until: cleared", ", hold: 5s, until: cleared"), "either hold: or until:"),
        (shuts(action="output"), "output needs number:"),
        (shuts(action="shelve"), "shelve needs hold:"),
        (shuts(action="sound"), "sound takes no devices:"),
        (shuts().replace(f", {DOOR}", ""), "lockdown needs devices:"),
        (shuts(more=", count: 3"), "count: and within: go together"),
        (shuts(more=", outcome: real, phase: raise"), "outcome: goes with no phase:"),
        (shuts(more=", phase: clear, for: 5s"), "for: goes with phase: raise"),
        (shuts(more=", place: b9"), "no place is called b9"),
        (shuts(more=", devices: [nobody]"), "no device is called nobody"),
        (shuts(more=", kind: dor"), "dor is no kind of device"),
        (shuts().replace("kind: door", "ids: [nobody]"), "no device is called nobody"),
        (shuts().replace("}]}", "}], yields_to: [nobody]}"), "no rule is called nobody"),
        (shuts().replace("}]}", ", number: 1}]}"), "lockdown takes no number:"),
        (shuts(action="shelve").replace("}]}", ", hold: 9h}]}"), "for 1s to 8h"),
    ],
)
def test_rules_that_are_wrong_by_themselves(tmp_path: Path, rules: str, what: str) -> None:
    (said,) = told(tmp_path, rules)
    assert what in said


WORDS = """
name: r
when: {type: [door.held, "fire.*"], kind: door, place: b3, devices: [door-1], for: 30s, hours: {sat: "08:00-09:30"},
       test: any}
do:
  - {action: output, devices: {ids: [relay-1]}, number: 2, state: true, delay: 5s, hold: 1m}
  - {action: suppress, type: device.offline, devices: {kind: door, place: same-building}}
  - {action: notify, target: 物业经理}
  - {action: release, devices: {place: b3}, until: reset}
"""


def test_in_words() -> None:
    rule = Rule.model_validate(YAML(typ="safe", pure=True).load(WORDS))
    said = when_text(rule.when)
    assert said.en == "door.held, fire.*, of door-1, door, in b3, for 30 s, on sat 08:00-09:30, also as a test"
    assert said.zh == "开门超时、消防类,设备 door-1,门,位置 b3,持续 30 秒,周六 08:00-09:30,包括测试"
    does = [do_text(rule, number) for number in range(4)]
    assert [text.en for text in does] == [
        "switch output 2 on of relay-1, after 5 s, for 60 s",
        "suppress device.offline of every door in the same building, until it has ended",
        "notify 物业经理",
        "open and keep open in b3, until its cause is gone and a person has disposed of it",
    ]
    assert does[1].zh == "抑制 离线:同一楼栋内所有门,直到恢复"


@pytest.mark.parametrize(
    ("when", "zh"),
    [
        ({"type": "fire.smoke", "outcome": "real"}, "感烟火警 被处置为真实"),
        ({"type": "door.open", "phase": "clear"}, "门打开 恢复"),
        ({"type": "access.denied", "count": 3, "within": "60s", "test": True}, "拒绝通行,60 秒内 3 次,仅测试时"),
    ],
)
def test_conditions_in_chinese(when: dict[str, Any], zh: str) -> None:
    rule = Rule.model_validate({"name": "r", "when": when, "do": [{"action": "sound"}]})
    assert when_text(rule.when).zh == zh


def test_hours_types_and_whom_it_tells_are_in_words() -> None:
    weekdays = (frozenset(range(5)), 480, 1080)
    assert hours_text([weekdays]) == ("on mon-fri 08:00-18:00", "周一至周五 08:00-18:00")
    assert hours_text([(frozenset({0, 2}), 0, 60), (frozenset(range(7)), 60, 120)]).zh == (
        "周一、三 00:00-01:00;每天 01:00-02:00"
    )
    assert [type_text(name).zh for name in ("*", "fire.*", "fire.smoke", "odd")] == [
        "所有事件", "消防类", "感烟火警", "odd",
    ]  # fmt: skip
    assert [whom("sound").zh, whom("page").zh, whom("district").zh] == ["页面声音", "值班页面", "district"]
