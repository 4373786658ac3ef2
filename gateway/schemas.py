"""JSON Schema 2020-12, made from the models: of the events that go up, and of gateway.yaml with every driver's keys."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from gateway import fields, taxonomy
from gateway.documents import (
    ActionData,
    ClockData,
    Data,
    DataLost,
    DeniedData,
    Event,
    GrantedData,
    LockoutData,
    OperatorData,
)
from gateway.driver import Driver
from gateway.event import Severity
from gateway.taxonomy import EventType

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEFS = "#/$defs/{model}"
_OF_DEVICES_ONLY = frozenset({"fire", "safety", "access", "door", "video"})
_DATA: dict[str, type[BaseModel]] = {
    "access.denied": DeniedData,
    "access.granted": GrantedData,
    "access.lockout": LockoutData,
    "gateway.action": ActionData,
    "gateway.clock_bad": ClockData,
    "gateway.data_lost": DataLost,
}
_DURATIONS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"), (0.001, "ms"))  # seconds
_SIZES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))  # bytes
_MEDIUM_WHEN_FAILED = "gateway.action"


class LeftOut(GenerateJsonSchema):
    """Absent values are left out of a document, never null; titles that only repeat a field's name say nothing."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """The schema of the value itself."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """The schema of the value, with its default where that says something, as one would write it."""
        default, inner = schema.get("default"), schema["schema"]
        if default in (None, (), {}, "") or isinstance(default, BaseModel):
            return self.generate_inner(inner)
        made = super().default_schema(schema)
        parsers = list(_parsers(inner))
        return made | {"default": spoken(default, parsers)} if parsers else made

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Keys that must match a pattern, and no others."""
        made = super().dict_schema(schema)
        return made | {"additionalProperties": False} if "patternProperties" in made else made

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the base class names it
        """Never."""
        return False


def _parsers(schema: Any) -> Iterator[Any]:
    """The functions that read a value before it is checked, outermost first."""
    while schema is not None:
        if schema["type"] == "function-before":
            yield schema["function"]["function"]
        schema = schema.get("schema")


def spoken(value: Any, parsers: Sequence[Any]) -> str:
    """A default as one would write it in gateway.yaml: `60.0` seconds → `1m`, `536870912` bytes → `512MiB`."""
    if fields.parse_duration in parsers:
        seconds, unit = next((u for u in _DURATIONS if value >= u[0] and value % u[0] == 0), _DURATIONS[-1])
        return f"{value / seconds:.12g}{unit}"
    if fields.parse_size in parsers:
        size, unit = next(u for u in _SIZES if value % u[0] == 0)
        return f"{value // size}{unit}"
    if fields.parse_share in parsers:
        return f"{value * 100:g}%"
    if fields.parse_host_port in parsers:
        return f"{value[0]}:{value[1]}"
    return json.dumps(value, ensure_ascii=False, default=str).strip('"')


def definitions(ref_template: str, *models: type[BaseModel], mode: JsonSchemaMode = "validation") -> dict[str, Any]:
    """Every model and what it is made of, by name; `ref_template` says where they will stand."""
    made: dict[str, Any] = {}
    for model in models:
        schema = model.model_json_schema(ref_template=ref_template, schema_generator=LeftOut, mode=mode)
        made |= schema.pop("$defs", {})
        made[model.__name__] = schema
    return made


def data_models(ref_template: str) -> dict[str, Any]:
    """What `data` is made of, for every type."""
    return definitions(ref_template, Data, *_DATA.values(), OperatorData)


def severities(row: EventType) -> list[str]:
    """The severities its events may have: the table's, one level higher for fire-class devices where that applies."""
    found = {taxonomy.severity(row.name, fire) for fire in (False, True)}
    if row.name == _MEDIUM_WHEN_FAILED:
        found.add(Severity.MEDIUM)
    return [level.value for level in Severity if level in found]


def of_type(row: EventType, ref_template: str) -> dict[str, Any]:
    """What one type says beyond the envelope: its name, phases, severities, lanes, and what its data must hold."""
    lanes = {taxonomy.lane(row.name, Severity(level)).value for level in severities(row)}
    return {
        "title": f"{row.en} · {row.zh}",
        "type": "object",
        "properties": {
            "type": {"const": row.name},
            "dataschema": {"const": f"urn:sc:v1:{row.name}"},
            "phase": {"enum": [phase.value for phase in row.phases]},
            "severity": {"enum": severities(row)},
            "stream": {"pattern": rf"\.({'|'.join(sorted(lanes))})$"},
            "data": _data(row, ref_template),
        },
        "required": ["type"],
    }


def _data(row: EventType, ref_template: str) -> dict[str, Any]:
    model = OperatorData if row.category == "operator" else _DATA.get(row.name)
    needed = ["place"] if row.category in _OF_DEVICES_ONLY else []
    if "" in row.contact_id and row.category != "operator":
        needed.append("codes")
    schema: dict[str, Any] = {"allOf": [{"$ref": ref_template.format(model=model.__name__)}]} if model else {}
    numbers: dict[str, Any] = {}
    if row.contact_id:
        numbers["contact-id"] = {"enum": sorted(set(row.contact_id.values()))}
    if row.gb:
        numbers["gb26875.3"] = {"properties": {"bit": {"enum": sorted(set(row.gb.values()))}}}
    return schema | {"required": needed, "properties": {"codes": {"properties": numbers}} if numbers else {}}


def json_schema_events() -> dict[str, Any]:
    """One document: the envelope under `$defs/Event`, and a `oneOf` with one entry per type of the closed list."""
    types = {row.name: of_type(row, DEFS) for row in taxonomy.TYPES.values()}
    return {
        "$schema": DIALECT,
        "$id": f"urn:sc:v1:events:{taxonomy.VERSION}",
        "title": "Events of the community gateway",
        "description": "CloudEvents 1.0, structured mode. Readers ignore fields they do not know.",
        "allOf": [{"$ref": "#/$defs/Event"}],
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in types],
        "$defs": definitions(DEFS, Event) | data_models(DEFS) | types,
    }


def json_schema_config(config: type[BaseModel], drivers: Mapping[str, Driver[Any]]) -> dict[str, Any]:
    """The schema of gateway.yaml: `config`'s own, with `devices` one of the drivers' models, told apart by `driver`."""
    made = definitions(DEFS, config)
    whole = made.pop(config.__name__)
    for name, driver in sorted(drivers.items()):
        made |= _device(name, driver)
    devices = [{"$ref": f"#/$defs/device-{name}"} for name in sorted(drivers)]
    whole["properties"]["devices"] |= {"items": {"oneOf": devices}}
    return {"$schema": DIALECT, "title": "gateway.yaml", **whole, "$defs": made}


def _device(name: str, driver: Driver[Any]) -> dict[str, Any]:
    """A driver's devices under `device-{name}`, and what they are made of under names that no other driver has."""
    own = f"#/$defs/{name}.{{model}}"
    device = driver.Config.model_json_schema(ref_template=own, schema_generator=LeftOut)
    made = {f"{name}.{model}": schema for model, schema in device.pop("$defs", {}).items()}
    device["properties"]["driver"] = {"const": name}
    return made | {f"device-{name}": device | {"title": driver.title}}
