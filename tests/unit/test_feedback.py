"""Reading what the platform sends back: whatever comes is read or refused, and what is shown is plain text."""

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import feedback
from gateway.casebook import Case, Mine, renewed
from gateway.dossiers import changes
from gateway.errors import BadInput
from gateway.feedback import INCIDENT_BYTES, STEPS, Incident, Notice, plain, read

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)
TOPIC = "sc/v1/310104/013/002/gw-0001/incident/case-0815"


def told(step: str, time: str = "2026-11-23T10:08:02Z") -> Incident:
    document = feedback.incident() | {"step": step, "time": time}
    found = read(Incident, TOPIC, json.dumps(document).encode(), INCIDENT_BYTES)[1]
    assert found is not None
    return found


def stands(step: str, mine: str) -> Case:
    known = told(step)
    return Case("district", "", known, Mine.model_validate({"step": mine, "on": known.time}), 0)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_is_read_or_refused(payload: bytes) -> None:
    for model in (Incident, Notice):
        try:
            name, found = read(model, TOPIC, payload, 150)  # type: ignore[type-var]
        except BadInput:
            refused = True
        else:
            refused = False
            assert (name, found is None) == ("case-0815", payload == b"")
        assert refused or len(payload) <= 150


@given(st.text())
def test_plain_text_has_no_controls(text: str) -> None:
    shown = plain(text)
    assert all(letter == "\n" or unicodedata.category(letter)[0] != "C" for letter in shown)
    assert plain(shown) == shown


@pytest.mark.parametrize(
    "wrong",
    [{"step": "lost"}, {"incident": "other"}, {"time": "today"}, {"due": "2026-11-23T10:00:00"}, {"alarms": ["x"]}],
)
def test_a_wrong_field_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        read(Incident, TOPIC, json.dumps(feedback.incident() | wrong).encode(), INCIDENT_BYTES)


def test_null_is_as_absent_and_unknown_fields_pass() -> None:
    document = feedback.incident() | {"owner": None, "case_class": 3}
    found = read(Incident, TOPIC, json.dumps(document).encode(), INCIDENT_BYTES)[1]
    assert found is not None
    assert found.owner is None


@pytest.mark.parametrize("step", STEPS)
def test_the_platform_has_the_last_word_once_it_is_not_under_way(step: str) -> None:
    under_way = step in ("accepted", "dispatched", "returned", "handling", "not-passed")
    assert stands(step, "handled").step == ("handled" if under_way else step)


@pytest.mark.parametrize(
    ("before", "after", "time", "kept"),
    [
        ("dispatched", "handling", "2026-11-23T11:00:00Z", "handled"),
        ("accepted", "dispatched", "2026-11-23T11:00:00Z", "handled"),
        ("handled", "not-passed", "2026-11-23T11:00:00Z", ""),
        ("not-passed", "not-passed", "2026-11-23T11:00:00Z", ""),
        ("not-passed", "not-passed", "2026-11-23T10:08:02Z", "handled"),
        ("handled", "dispatched", "2026-11-23T11:00:00Z", ""),
    ],
)
def test_sent_back_it_begins_anew(before: str, after: str, time: str, kept: str) -> None:
    assert renewed(stands(before, "handled"), told(after, time)).step == kept


@given(JSON, JSON)
def test_changes_are_none_exactly_where_nothing_changed(before: Any, now: Any) -> None:
    assert changes({"x": before}, {"x": before}) == []
    if json.dumps(before) != json.dumps(now) and before != now:
        assert changes({"x": before}, {"x": now})


def test_a_changed_device_is_named() -> None:
    one = {"revision": 1, "devices": [{"id": "a", "tested": "2026-01-01"}, {"id": "b"}]}
    two = {"revision": 2, "devices": [{"id": "a", "tested": "2026-11-01"}, {"id": "c"}]}
    assert changes(one, two) == [
        {"path": "devices.a.tested", "before": "2026-01-01", "now": "2026-11-01"},
        {"path": "devices.b", "before": {"id": "b"}},
        {"path": "devices.c", "now": {"id": "c"}},
    ]
