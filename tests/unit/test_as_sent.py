"""What really goes up is what the schemas promise: readings of every type, states, and the examples' dossiers."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway import normalize, samples, schemas, taxonomy
from gateway.alarms import Book
from gateway.clock import TimeQuality
from gateway.config import Config, load
from gateway.documents import Dossier, State
from gateway.driver import registry
from gateway.event import Credential, Json, Reading, Value
from gateway.normalize import Stamp, Subject
from gateway.privacy import Policy
from gateway.profiles import BUILT_IN
from gateway.site import Site, dossier
from gateway.states import States
from gateway.taxonomy import DENIALS, KINDS, TYPES, EventType
from gateway.yamlmarks import read

EVENTS = Draft202012Validator(schemas.json_schema_events())
ID = "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f"
NOW = datetime(2026, 11, 23, 10, 6, 19, 123456, UTC)
CARD = Credential("wiegand-26", 12, 3456)

values = st.dictionaries(
    st.sampled_from(["smoke_obscuration", "temperature"]),
    st.builds(Value, st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.booleans(), st.text()),
)
PART: Mapping[str, Json] = {"system": 1, "type": 41, "address": "0A000200", "loop": 2, "point": 10}
parts = st.none() | st.just(PART)


@st.composite
def readings(draw: st.DrawFn, row: EventType) -> Reading:
    """A reading of this type as a driver may send it."""
    return Reading(
        "dev-1",
        row.name,
        draw(st.sampled_from(row.phases)),
        draw(values),
        draw(parts),
        draw(st.none() | st.just(NOW)),
        draw(st.booleans()),
        draw(
            st.sampled_from(list(DENIALS) if row.name == "access.denied" else [None, "egress", "backup", "no-answer"])
        ),
        draw(st.none() | st.just(CARD)),
        draw(st.dictionaries(st.text(), st.integers() | st.text())),
        own_fields(row),
    )


def own_fields(row: EventType) -> Mapping[str, Any]:
    """What the type itself adds to `data`."""
    if row.name in ("gateway.data_lost", "gateway.action"):
        return {**samples.event(row)["data"]}
    return {"who": "王师傅", "role": "物业", "from": "cli"} if row.category == "operator" else {}


CONFIG = Path(__file__).parents[2] / "config"
EXAMPLES = ("gateway.yaml", "minimal.yaml")


@settings(max_examples=50)
@given(st.data(), st.sampled_from(list(TYPES.values())), st.sampled_from(list(KINDS)), st.booleans())
def test_every_reading_becomes_an_event_the_schema_knows(data: Any, row: EventType, kind: str, strict: bool) -> None:
    reading = data.draw(readings(row))
    subject = Subject("dev-1", "/310104/013/002/gw-0001", kind, {"path": "b3", "label": "3号楼"})
    severity = taxonomy.severity(row.name, subject.fire)
    stamp = Stamp(ID, NOW, TimeQuality.SYNCED, reading.phase, severity, ID)
    policy = Policy("district", ("*",), BUILT_IN["strict" if strict else "keyed"], b"k" * 32)
    body = normalize.body(subject, reading, stamp)
    sent = policy.render(taxonomy.lane(row.name, severity), 42, body, normalize.private(reading.credential))
    EVENTS.validate(json.loads(sent))


@given(values, st.booleans(), st.none() | st.just(NOW))
def test_a_states_document_is_the_contracts(measured: Mapping[str, Value], online: bool, seen: datetime | None) -> None:
    states = States(["dev-1"])
    states["dev-1"].values.update({name: ("telemetry.measurement", value) for name, value in measured.items()})
    states["dev-1"].online, states["dev-1"].last_seen = online, seen
    document = states.document("dev-1", Book([]))
    State.model_validate_json(json.dumps(document))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_dossier_is_the_contracts(name: str) -> None:
    drivers = registry()
    config = load(CONFIG / name, {name: driver.Config for name, driver in drivers.items()}).config
    site = Site(config, {name: driver.kind for name, driver in drivers.items()})
    for uplink in config.uplinks:
        Dossier.model_validate_json(json.dumps(dossier(site, 1, NOW, {}, uplink)))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_are_valid_by_the_configurations_schema(name: str) -> None:
    schema = Draft202012Validator(schemas.json_schema_config(Config, registry()))
    config = json.loads(json.dumps(read(CONFIG / name).value, default=str))
    schema.validate(config)
    config["devices"][0]["adress"] = 5
    assert not schema.is_valid(config)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_kind_an_example_or_a_driver_names_is_of_the_list(name: str) -> None:
    named = {driver.kind for driver in registry().values()}
    named |= {device["kind"] for device in read(CONFIG / name).value["devices"] if "kind" in device}
    assert named <= set(KINDS)
