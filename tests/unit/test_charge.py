"""The responsibility list: the most specific line counts, place and hours make exceptions, steps have their times."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gateway import taxonomy
from gateway.charge import Call, Charge, Responsibility, Section, charge, pattern_for, raised_by, unled
from gateway.config import load
from gateway.driver import registry
from gateway.problems import ConfigProblems

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)  # a Tuesday
NIGHT = datetime(2026, 11, 24, 23, 0, tzinfo=UTC)
patterns = st.sampled_from([*taxonomy.TYPES, *(f"{category}.*" for category in taxonomy.CATEGORIES), "*"])


def section(**entries: Any) -> Section:
    """`fire__smoke={…}` stands for `fire.smoke`, `fire__all` for `fire.*`, `all` for `*`."""
    named = {
        name.replace("__all", ".*").replace("__", ".").replace("all", "*"): entry for name, entry in entries.items()
    }
    return TypeAdapter(dict[str, Responsibility]).validate_python(named)


def found(made: Section, type: str, place: str = "", local: datetime = NOON) -> Charge:
    """There is one."""
    held = charge(made, type, place, local)
    assert held is not None
    return held


@given(st.sets(patterns), st.sampled_from(list(taxonomy.TYPES)))
def test_the_most_specific_line_counts(named: set[str], type: str) -> None:
    made = {pattern: Responsibility(lead=pattern) for pattern in named}
    wished = next((p for p in (type, f"{taxonomy.category(type)}.*", "*") if p in named), None)
    assert pattern_for(made, type) == wished
    held = charge(made, type, "", NOON)
    assert (held and held.lead) == wished


def test_the_short_form_goes_from_one_to_the_next_each_time_to_respond() -> None:
    made = section(fire__all={"lead": "消控室", "escalate": ["district", "fire-brigade"], "respond": "90s"})
    assert found(made, "fire.smoke").calls == (Call(1, "district", 90.0), Call(2, "fire-brigade", 180.0))


def test_without_a_time_to_respond_it_is_a_minute() -> None:
    assert found(section(all={"lead": "a", "escalate": ["page"]}), "door.held").calls == (Call(1, "page", 60.0),)


def test_steps_with_times_of_their_own_stand_in_their_order() -> None:
    steps = [{"after": "3m", "to": "district"}, "page", {"after": "0s", "to": "sound"}]
    made = section(all={"lead": "a", "escalate": steps, "respond": "30s"})
    assert found(made, "door.held").calls == (
        Call(1, "sound", 0.0),
        Call(2, "district", 180.0),
        Call(3, "page", 210.0),  # that much after the one before it
    )


def test_the_first_exception_that_fits_replaces_what_it_names() -> None:
    day, night = (
        {"hours": {"mon-fri": "08:00-18:00"}, "lead": "工程部"},
        {"lead": "保安", "hours": {"mon-sun": "22:00-06:00"}},
    )
    pump = {"place": "pump-room", "lead": "维保", "assist": [], "escalate": ["page"]}
    made = section(all={"lead": "经理", "assist": ["b"], "escalate": ["sound"], "instead": [pump, day, night]})
    assert (found(made, "door.held").lead, found(made, "door.held", local=NIGHT).lead) == ("工程部", "保安")
    assert found(made, "door.held", local=NIGHT.replace(hour=20)).lead == "经理"
    here = found(made, "door.held", "pump-room/cellar", NIGHT)
    assert (here.lead, here.assist, [call.to for call in here.calls]) == ("维保", (), ["page"])
    assert found(made, "door.held", "pump-room-2", NIGHT).lead == "保安"


def test_who_leads_nothing_grave_is_found() -> None:
    assert unled(section(all={"lead": "a"}), ["smoke", "panic"]) == ((), ())
    here, others = unled(section(fire__all={"lead": "a"}, door__forced={"lead": "b"}), ["smoke", "panic", "camera"])
    assert here == ("safety.panic",)  # what a help button is there for
    assert {"access.duress", "video.intrusion"} <= set(others)
    named = {"fire.smoke", "door.forced", "door.held", "access.granted"}
    assert not named & {*here, *others}  # the last two are not grave


@pytest.mark.parametrize("kind", taxonomy.KINDS)
def test_a_kind_is_there_for_grave_types_only(kind: str) -> None:
    grave = {row.name for row in taxonomy.EVENTS if row.severity == "critical"}
    assert raised_by(kind) <= grave
    assert raised_by("panel") == taxonomy.FIRES


SITE = """\
gateway: {id: gw-0001}
site:
  name: 阳光花园
  area: {district: "310104", street: "013", community: "002"}
  places: {b3: {label: 3号楼}}
buses: {line: {serial: /dev/ttyS9}}
devices: [{id: smoke-1, driver: modbus, bus: line, address: 5, profile: rs-yg-n01, place: b3}]
responsibility:
"""


def test_once_there_is_a_list_somebody_leads_on_what_the_devices_are_there_for(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(SITE + "  door.*: {lead: 保安}\n", "utf-8")
    with pytest.raises(ConfigProblems) as told:
        load(file, registry().models())
    (problem,) = told.value.problems
    assert f"{file}:8:1: responsibility: nobody leads fire.smoke; add" in problem.say("en")
    file.write_text(SITE + "  fire.*: {lead: 消控室}\n", "utf-8")
    (advice,) = load(file, registry().models()).warnings
    assert "以下报警类型无人牵头:" in advice.say("zh-CN")
    assert "door.forced" in advice.say("zh-CN")


@pytest.mark.parametrize("name", ["fire.smoke", "gateway.data_lost"])
def test_without_a_list_nobody_leads(name: str) -> None:
    assert charge({}, name, "", NOON) is None


def test_a_step_is_written_down_as_it_was_written() -> None:
    entry = section(all={"lead": "a", "escalate": ["page", {"after": "2m", "to": "sound"}]})["*"]
    assert entry.model_dump(mode="json", exclude_defaults=True)["escalate"] == ["page", {"to": "sound", "after": 120.0}]
