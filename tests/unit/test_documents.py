"""The documents' models, their schemas and the AsyncAPI document, checked against the official meta-schemas."""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.protocols import Validator
from pydantic import BaseModel, ValidationError

from gateway import asyncapi, documents, samples, schemas
from gateway.config import Config
from gateway.event import Json
from gateway.taxonomy import TYPES

META = Path(__file__).parents[1] / "golden" / "asyncapi" / "3.0.0.json"
DOCUMENTS: dict[str, type[BaseModel]] = {
    "status": documents.Status,
    "state": documents.State,
    "health": documents.Health,
    "alarm": documents.AlarmNow,
    "dossier": documents.Dossier,
}
CONTRACT_SAMPLE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f",
    "source": "/310104/013/002/gw-0001",
    "subject": "smoke-b3-u2-f5",
    "type": "fire.smoke",
    "time": "2026-11-23T10:06:19.123Z",
    "datacontenttype": "application/json",
    "dataschema": "urn:sc:v1:fire.smoke",
    "phase": "raise",
    "severity": "critical",
    "stream": "district.alarm",
    "sequence": "0000000000000042",
    "timequality": "synced",
    "data": {
        "place": {"path": "b3/u2/f5", "label": "3号楼2单元5层", "grid": "00000031010401300201"},
        "alarm": "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f",
        "values": {"smoke_obscuration": {"value": 1.32, "unit": "dB/m"}},
        "codes": {
            "gb26875.3": {"table": "2011", "level": "part", "system": 1, "part": 40, "bit": 1},
            "contact-id": 111,
        },
        "test": False,
        "raw": {"register": 2},
    },
}


@cache
def events() -> Validator:
    return Draft202012Validator(schemas.json_schema_events())


@cache
def api() -> dict[str, Any]:
    return asyncapi.document()


def changed(path: str, value: Json) -> dict[str, Any]:
    """The contract's sample with one field (dotted path) set."""
    event = copy.deepcopy(CONTRACT_SAMPLE)
    *parents, last = path.split("/")
    target: dict[str, Any] = event
    for parent in parents:
        target = target[parent]
    target[last] = value
    return event


def test_the_events_schema_is_valid_json_schema_2020_12() -> None:
    Draft202012Validator.check_schema(schemas.json_schema_events())


def test_the_contracts_own_sample_is_valid() -> None:
    events().validate(CONTRACT_SAMPLE)
    assert documents.Event.model_validate_json(json.dumps(CONTRACT_SAMPLE)).severity == "critical"


def test_unknown_fields_are_let_through() -> None:
    assert events().is_valid(CONTRACT_SAMPLE | {"traceparent": "00-1"})
    assert events().is_valid(changed("data/vendor_word", "x"))


@pytest.mark.parametrize("row", TYPES.values(), ids=lambda row: row.name)
def test_every_types_sample_is_valid_and_only_as_its_own_type(row: Any) -> None:
    sample = samples.event(row)
    events().validate(sample)
    documents.Event.model_validate_json(json.dumps(sample))
    other = "door.open" if row.name != "door.open" else "door.held"
    assert not events().is_valid(sample | {"dataschema": f"urn:sc:v1:{other}"})


@given(st.sampled_from(list(CONTRACT_SAMPLE)), st.one_of(st.none(), st.integers(), st.booleans(), st.just("?")))
def test_no_required_field_may_be_missing_or_of_another_kind(field: str, value: Json) -> None:
    without = {name: given for name, given in CONTRACT_SAMPLE.items() if name != field}
    assert not events().is_valid(without)
    assert not events().is_valid(without | {field: value})
    with pytest.raises(ValidationError):
        documents.Event.model_validate_json(json.dumps(without | {field: value}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("type", "fire.smog"),
        ("phase", "pulse"),
        ("severity", "low"),
        ("stream", "district.event"),
        ("sequence", "42"),
        ("time", "2026-11-23T10:06:19Z"),
        ("time", "2026-11-23T18:06:19.123+08:00"),
        ("id", "5f0c6f0e-52c3-4b0e-8a57-0d7f5d3c9b11"),
        ("subject", "Smoke 3"),
        ("dataschema", "urn:sc:v1:fire.heat"),
        ("data/place/path", "/b3"),
        ("data/place/grid", None),
        ("data/codes/contact-id", 115),
        ("data/codes/gb26875.3/bit", 2),
        ("data/codes/gb26875.3/level", "floor"),
        ("data/test", None),
        ("data/credential", {"ref": "0011223344", "kind": "card", "format": "wiegand-26"}),
        ("data/values", {"smoke_obscuration": 1.32}),
        ("data/device_time", "0000-00-00"),
    ],
)
def test_wrong_values_are_refused(path: str, value: Json) -> None:
    assert not events().is_valid(changed(path, value))


@pytest.mark.parametrize("field", ["place", "codes"])
def test_a_devices_event_says_where_and_carries_its_codes(field: str) -> None:
    event = copy.deepcopy(CONTRACT_SAMPLE)
    del event["data"][field]
    assert not events().is_valid(event)


def test_denials_are_a_closed_list() -> None:
    sample = samples.event(TYPES["access.denied"])
    sample["data"]["reason"] = "bad mood"
    assert not events().is_valid(sample)


@pytest.mark.parametrize(
    ("origin", "valid"), [("device", True), ("uplink:district", True), ("uplink:", False), ("tv", False)]
)
def test_an_operator_acts_at_a_device_or_through_the_gateway(origin: str, valid: bool) -> None:
    sample = samples.event(TYPES["operator.reset"])
    sample["data"]["from"] = origin
    assert events().is_valid(sample) == valid


def test_data_lost_names_the_stream_and_the_numbers() -> None:
    sample = samples.event(TYPES["gateway.data_lost"])
    for field in ("stream", "first", "last", "count", "reason"):
        less = {name: value for name, value in sample["data"].items() if name != field}
        assert not events().is_valid(sample | {"data": less})


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_accept_their_sample_and_refuse_a_missing_field(name: str) -> None:
    model, sample = DOCUMENTS[name], api()["components"]["messages"][name]["examples"][0]["payload"]
    model.model_validate_json(json.dumps(sample))
    for field in (name for name, info in model.model_fields.items() if info.is_required()):
        with pytest.raises(ValidationError):
            model.model_validate_json(json.dumps({k: v for k, v in sample.items() if k != field}))


def test_only_a_temperature_may_be_null() -> None:
    sample = samples.health()
    documents.Health.model_validate(sample | {"temperature_c": None})
    with pytest.raises(ValidationError, match="left out"):
        documents.Health.model_validate(sample | {"cpu_percent": None})


def test_the_asyncapi_document_is_valid_asyncapi_3() -> None:
    meta = Draft7Validator(json.loads(META.read_text()))
    assert [error.message for error in meta.iter_errors(api())] == []
    assert not meta.is_valid({name: part for name, part in api().items() if name != "info"})


@pytest.mark.parametrize("name", [*TYPES, *DOCUMENTS])
def test_every_messages_example_is_valid_by_its_payload_schema(name: str) -> None:
    message = api()["components"]["messages"][name]
    payload = Draft7Validator(message["payload"] | {"components": api()["components"]})
    example = message["examples"][0]["payload"]
    payload.validate(example)
    assert not payload.is_valid({field: value for field, value in example.items() if field not in ("time", "device")})


def test_channels_are_the_contracts_topics() -> None:
    base = "{root}/{district}/{street}/{community}/{gateway}"
    assert {channel["address"] for channel in api()["channels"].values()} == {
        f"{base}/event/{{category}}",
        f"{base}/state/{{device}}",
        f"{base}/status",
        f"{base}/health",
        f"{base}/dossier",
        f"{base}/alarm/{{alarm}}",
        f"{base}/command/{{device}}",
        f"{base}/config/desired",
        f"{base}/config/reported",
        f"{base}/reply/{{request}}",
        f"{base}/incident/{{incident}}",
        "{root}/{district}/{street}/{community}/notice/{notice}",
    }
    for operation in api()["operations"].values():
        channel = operation["channel"]["$ref"].removeprefix("#/channels/")
        kept = channel not in ("event", "command")
        assert operation["action"] == ("receive" if channel in ("command", "desired", "incident", "notice") else "send")
        assert operation["bindings"]["mqtt"] == {"qos": 1, "retain": kept, "bindingVersion": "0.2.0"}


def test_every_reference_leads_somewhere() -> None:
    for reference in references(api()):
        target: Any = api()
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def test_a_configuration_fills_the_topic_levels_and_brokers_in() -> None:
    config = Config.model_validate(
        {
            "gateway": {"id": "gw-0007"},
            "site": {"name": "阳光花园", "area": {"district": "310104", "street": "013", "community": "002"}},
            "uplinks": {"fire": {"url": "mqtt://fire.example:1883"}, "police": {"url": "wss://p.example/mqtt"}},
        }
    )
    made = asyncapi.document(asyncapi.place_of(config))
    assert made["channels"]["status"]["parameters"]["gateway"]["enum"] == ["gw-0007"]
    assert made["servers"]["fire"]["host"] == "fire.example:1883"
    assert made["servers"]["fire"]["protocol"] == "mqtt"
    assert made["servers"]["police"]["pathname"] == "/mqtt"
    assert Draft7Validator(json.loads(META.read_text())).is_valid(made)


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for value in node.values() for found in references(value)]
