"""Writes what is generated in docs/: events.md, configuration.md, the table of drivers.md, schemas under contract/.

`make docs` writes (`python -P`: docs/drivers is no package); tests/test_docs.py compares. Everything comes from the
taxonomy, the models and the drivers, so that no page can say what the code does not do.
"""

import inspect
import json
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway import asyncapi, credentials, fields, schemas, taxonomy
from gateway.config import Config
from gateway.driver import Driver, Proof, registry
from gateway.fields import DeviceConfig
from gateway.taxonomy import EventType

DOCS = Path(__file__).parent
_TABLE = "<!-- This table is made by docs/generate.py from each driver's Proof. -->"
_END = "<!-- End of the table. -->"
_NOTE = "<!-- Made by docs/generate.py; edit the code it is made from. -->\n"
_WORDS: Mapping[Any, str] = {
    fields.parse_duration: "duration",
    fields.parse_size: "size",
    fields.parse_share: "percentage",
    fields.parse_host_port: "host:port",
    credentials.parse_hours: "hours by weekday",
}
_PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    date: "date",
    Path: "path of a file",
    SecretStr: "secret",
}


def files() -> dict[str, str]:
    """Every generated file by its path below docs/, with its text."""
    drivers = registry()
    return {
        "events.md": events(),
        "configuration.md": configuration(drivers),
        "drivers.md": proofs(drivers, (DOCS / "drivers.md").read_text("utf-8")),
        "contract/events.schema.json": _json(schemas.json_schema_events()),
        "contract/config.schema.json": _json(schemas.json_schema_config(Config, drivers)),
        "contract/asyncapi.json": _json(asyncapi.document()),
    }


def events() -> str:
    """The page on event types: one table per list, each made from the taxonomy."""
    return "\n".join([
        _NOTE,
        "# Events\n",
        "One type per condition; how it begins and ends is told by `phase`. The envelope is CloudEvents 1.0; its "
        "fields, and what each type allows, are in [the JSON Schema](contract/events.schema.json), the topics in "
        "[the AsyncAPI document](contract/asyncapi.json).\n",
        f"Version {taxonomy.VERSION} of the list. Contact ID codes are those of SIA DC-05. GB/T 26875.3 numbers are "
        f"those of edition {taxonomy.GB_TABLE}, and stand in an event only where the device is of fire kind; which "
        "edition, stands in the event (`table`).\n",
        f"## The {len(taxonomy.EVENTS)} types\n",
        _table(("type", "中文", "English", "severity", "phases", "latches", "Contact ID", "GB/T 26875.3"),
               map(_event, taxonomy.EVENTS)),
        "A fire-class device's `device.fault`, `device.offline` and `device.shielded` count one level higher. "
        "A latching alarm stays until it is reset. `device.test` has bit 0, which is inverted: 0 is test.\n",
        "## What people did\n",
        "Category `operator`; `data` says who, in what role, from where.\n",
        _table(("type", "中文", "English", "phases", "Contact ID", "GB/T 26875.3 operation"),
               map(_operation, taxonomy.OPERATIONS)),
        "## Severities\n",
        _table(("severity", "中文", "GB/T 28181 AlarmPriority"),
               ((f"`{level}`", text.zh, str(number) if number < 5 else "none: no alarm")
                for number, (level, text) in enumerate(taxonomy.SEVERITIES.items(), 1))),
        "## Phases\n",
        _table(("phase", "中文", "English"), _labels(taxonomy.PHASES)),
        "## Denial reasons\n",
        "`data.reason` of `access.denied`.\n",
        _table(("reason", "中文", "English"), _labels(taxonomy.DENIALS)),
        "## Kinds of device\n",
        "The word a device has as `kind`, and that rules use.\n",
        _table(("kind", "中文", "English", "family", "GB/T 26875.3 part type"),
               ((f"`{kind.name}`", kind.zh, kind.en, kind.family, _or_dash(kind.part))
                for kind in taxonomy.KINDS.values())),
    ])  # fmt: skip


def _event(row: EventType) -> tuple[str, ...]:
    phases = ", ".join(row.phases)
    latches = "yes" if row.latches else ""
    return (
        f"`{row.name}`", row.zh, row.en, row.severity.value, phases, latches, _contact_id(row), _gb(row),
    )  # fmt: skip


def _operation(row: EventType) -> tuple[str, ...]:
    bit = "—" if row.gb_operation is None else f"bit {row.gb_operation}"
    return f"`{row.name}`", row.zh, row.en, ", ".join(row.phases), _contact_id(row), bit


def _contact_id(row: EventType) -> str:
    return ", ".join(f"{variant} {code}".strip() for variant, code in row.contact_id.items()) or "—"


def _gb(row: EventType) -> str:
    if not row.gb:
        return "—"
    parts = f"part type {_ranges(row.gb_parts)}: " if row.gb_parts else ""
    return parts + ", ".join(f"{level.replace(':', ' ')} bit {bit}" for level, bit in row.gb.items())


def _ranges(numbers: Sequence[int]) -> str:
    """`(10, 11, 12, 74)` → `10-12, 74`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def configuration(drivers: Mapping[str, Driver[Any]]) -> str:
    """The page on gateway.yaml: every key of every part, then the keys of each driver's devices."""
    parts = [
        _NOTE,
        "# Configuration\n",
        "One YAML file. Unknown keys are errors. `!file PATH` and `!env NAME` bring a value in, `!include FILE` a "
        "part. `gateway check` tells every error with its line; "
        "[the JSON Schema](contract/config.schema.json) lets an editor do so while typing.\n",
        "A **duration** is written with its unit (`500ms`, `30s`, `5m`, `2h`, `30d`), a **size** too (`512MiB`, "
        "`2GB`), a **percentage** with its sign (`25%`), a **date** as `2026-05-01`; **host:port** stands in quotes "
        '(`"192.0.2.40:502"`). A **secret** is text that best comes by `!file`, so that it does not stand here.\n',
        *_sections("", Config, set()),
        "# Drivers\n",
        "A device has these keys, whatever its driver:\n",
        _keys(DeviceConfig.model_fields),
    ]
    for name, driver in sorted(drivers.items()):
        parts += _driver(name, driver)
    return "\n".join(parts)


def _driver(name: str, driver: Driver[Any]) -> Iterator[str]:
    yield f"## `driver: {name}`\n"
    yield f"{driver.title}. Kind of a device that names none: `{driver.kind}`.\n"
    if driver.actions:
        yield f"Commands: {', '.join(f'`{action}`' for action in driver.actions)}.\n"
    own = {key: info for key, info in driver.Config.model_fields.items() if key not in DeviceConfig.model_fields}
    if own:
        yield _keys(own)
    seen: set[type[BaseModel]] = set()
    for key, info in own.items():
        yield from _nested(key, info, seen, "###")


def proofs(drivers: Mapping[str, Driver[Any]], page: str) -> str:
    """The page on the drivers, all of it as it was but the table of what each rests on."""
    head, _, rest = page.partition(_TABLE)
    _, _, tail = rest.partition(_END)
    heads = ("driver", "what", "edition", "proved by", "never met", "commands")
    rows = (_proof(name, driver) for name, driver in sorted(drivers.items()))
    return f"{head}{_TABLE}\n{_table(heads, rows)}{_END}{tail}"


def _proof(name: str, driver: Driver[Any]) -> tuple[str, ...]:
    proof = driver.proof or Proof("", {}, "")
    shown = "; ".join(f"[{what}](../{test})" for what, test in proof.shown.items())
    actions = ", ".join(f"`{action}`" for action in driver.actions)
    return f"[`{name}`](drivers/{name}.md)", driver.title, proof.edition, shown, proof.never_met, actions or "—"


def _sections(path: str, model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    if path:
        yield f"## `{path}`\n"
        yield f"{_first_line(model)}\n"
    yield _keys(model.model_fields)
    for key, info in model.model_fields.items():
        yield from _nested(f"{path}.{key}".lstrip("."), info, seen, "##")


def _nested(path: str, info: FieldInfo, seen: set[type[BaseModel]], heading: str) -> Iterator[str]:
    for model, step in _models(info.annotation, ""):
        if model in seen or model is DeviceConfig:
            continue
        seen.add(model)
        yield f"{heading} `{path}{step}`\n"
        yield f"{_first_line(model)}\n"
        yield _keys(model.model_fields)
        for key, inner in model.model_fields.items():
            yield from _nested(f"{path}{step}.{key}", inner, seen, heading)


def _models(annotation: Any, step: str) -> Iterator[tuple[type[BaseModel], str]]:
    """The models inside an annotation, with what a path says of them: `.NAME` in a mapping, `[]` in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, step
        return
    origin, inside = get_origin(annotation), get_args(annotation)
    further = {dict: ".NAME", Mapping: ".NAME", list: "[]", tuple: "[]", Sequence: "[]"}.get(origin, "")
    for item in inside if origin is not Annotated else inside[:1]:
        yield from _models(item, step + further)


def _keys(infos: Mapping[str, FieldInfo]) -> str:
    return _table(("key", "type", "default", "meaning"), (_key(info.alias or k, info) for k, info in infos.items()))


def _key(name: str, info: FieldInfo) -> tuple[str, ...]:
    return f"`{name}`", _type(info.annotation, info.metadata), _default(info), info.description or ""


def _type(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    for item in metadata:
        if isinstance(item, BeforeValidator) and item.func in _WORDS:
            return _WORDS[item.func]
        if isinstance(item, BeforeValidator) and item.json_schema_input_type is not PydanticUndefined:
            return _type(item.json_schema_input_type)
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inside[0], inside[1:])
    if origin in (Union, types.UnionType):
        return " or ".join(_type(item) for item in inside if item is not type(None))
    if origin is Literal:
        return ", ".join(f"`{item}`" for item in inside)
    return _container(annotation, origin, inside)


def _container(annotation: Any, origin: Any, inside: Sequence[Any]) -> str:
    if origin in (dict, Mapping):
        return f"mapping of name to {_type(inside[1])}"
    if origin in (list, tuple, set, frozenset, Sequence):
        return f"list of {_type(inside[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{item.value}`" for item in annotation)
    return _PLAIN.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "**required**"
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ((), [], {}, "", b"") or isinstance(value, BaseModel):
        return ""
    parsers = [item.func for item in info.metadata if isinstance(item, BeforeValidator)]
    return f"`{schemas.spoken(value, parsers)}`"


def _first_line(model: type[BaseModel]) -> str:
    return (inspect.getdoc(model) or "").partition("\n")[0]


def _labels(texts: Mapping[Any, Any]) -> Iterator[tuple[str, ...]]:
    return ((f"`{name}`", text.zh, text.en) for name, text in texts.items())


def _or_dash(number: int | None) -> str:
    return "—" if number is None else str(number)


def _table(heads: Sequence[str], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def main() -> None:
    """Write them all."""
    for name, text in files().items():
        (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
