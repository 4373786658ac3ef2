"""A vendor's JSON into readings by a declarative table: dotted paths and look-ups, no expressions.

Whatever the table does not know goes through as `device.unmapped` with what was found; a type mapped to nothing
(`heartbeat: null`) is a mere sign of life.
"""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from drivers._types import DEVICE_TYPES, device_type
from gateway.driver import offset_time
from gateway.event import Json, Phase, Reading, Value
from gateway.fields import Model, Wrong
from gateway.taxonomy import TYPES

_MAX_TEXT = 256  # characters
MISSING = object()


def key_of(value: Any) -> str:
    """A table's key, or a value to look up, as JSON has it: 1, true, and texts without quotes."""
    return value if isinstance(value, str) else json.dumps(value)


def _keyed(table: Any) -> Any:
    return {key_of(key): value for key, value in table.items()} if isinstance(table, dict) else table


Path = Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$", max_length=256)]
Table = Annotated[dict[str, str | None], BeforeValidator(_keyed)]


class Lookup(Model):
    """A fixed text (`value`), or what stands at `path`, put through `table` where there is one."""

    value: str | None = None
    path: Path | None = Field(None, description="dotted, e.g. alarm.kind; numbers pick from lists")
    table: Table | None = Field(None, description="what stands there → what it means; null: take no notice")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"value": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one_way(self) -> "Lookup":
        if (self.value is None) == (self.path is None) or (self.table is not None and self.path is None):
            raise Wrong(
                "either a fixed word, or path: (with table: where the words differ)",
                "要么写一个固定的词,要么写 path:(取值不同时再加 table:)",
            )
        return self

    def results(self) -> list[str]:
        """All that it can be known to give."""
        return [word for word in (self.value, *(self.table or {}).values()) if word is not None]

    def find(self, body: Any) -> tuple[str | None, bool]:
        """(the word, whether it is known): `(None, True)` is to be ignored, `(None, False)` is not in the table."""
        if self.path is None:
            return self.value, True
        found = at(body, self.path)
        if self.table is None:
            return (found, True) if isinstance(found, str) else (None, False)
        key = None if isinstance(found, (dict, list)) or found is MISSING else key_of(found)
        return (self.table[key], True) if key is not None and key in self.table else (None, False)


class Measure(Model):
    """A number in the body: value × scale + offset, with its unit."""

    path: Path
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0


class Mapped(Model):
    """Where to find what."""

    type: Lookup
    phase: Lookup | None = Field(None, description="raise, clear, still; not needed for happenings")
    reason: Lookup | None = None
    time: Path | None = Field(None, description="what the device's clock says, ISO 8601 with offset")
    values: dict[str, Measure] = Field(default_factory=dict)
    raw: list[Path] = Field(default_factory=list, description="fields to keep as they came")

    @model_validator(mode="after")
    def _words(self) -> "Mapped":
        for type in self.type.results():
            row = TYPES[device_type(type)]
            if self.phase is None and row.returns != "pulse":
                raise Wrong(f"{type} begins and ends: phase: is needed", f"{type} 有触发和恢复:需要 phase:")
        for phase in self.phase.results() if self.phase else []:
            if phase not in tuple(Phase):
                raise Wrong(
                    f"{phase} is no phase (raise, clear, still, pulse)",
                    f"没有 {phase} 这样的阶段(可用:raise、clear、still、pulse)",
                )
        return self


def readings_of(mapped: Mapped, device: str, body: Mapping[str, Any]) -> list[Reading]:
    """One reading, or none where the table says that this is to be ignored."""
    type, known = mapped.type.find(body)
    if known and type is None:
        return []
    phase, known_phase = _phase(mapped, type, body)
    if known_phase and phase is None:
        return []
    return [
        Reading(
            device,
            "device.unmapped" if phase is None or type is None else type,
            Phase.PULSE if phase is None else phase,
            values=_values(mapped, body),
            device_time=_time(mapped, body),
            reason=mapped.reason.find(body)[0] if mapped.reason and phase is not None else None,
            raw=_raw(mapped, body, unmapped=phase is None),
        )
    ]


def _phase(mapped: Mapped, type: str | None, body: Any) -> tuple[Phase | None, bool]:
    """(the phase, whether it is known), as `Lookup.find`; None where it does not go with the type."""
    if type is None or type not in DEVICE_TYPES:
        return None, False
    row = TYPES[type]
    if row.phases == (Phase.PULSE,):
        return Phase.PULSE, True
    word, known = mapped.phase.find(body) if mapped.phase else (None, False)
    if word is None:
        return None, known
    return (Phase(word), True) if word in row.phases else (None, False)


def at(body: Any, path: str) -> Any:
    """What stands at a dotted path; MISSING where nothing does."""
    if isinstance(body, dict) and path in body:
        return body[path]
    for step in path.split("."):
        if isinstance(body, dict) and step in body:
            body = body[step]
        elif isinstance(body, list) and step.isascii() and step.isdigit() and len(step) < 6 and int(step) < len(body):
            body = body[int(step)]
        else:
            return MISSING
    return body


def _values(mapped: Mapped, body: Any) -> dict[str, Value]:
    """Those that are there; a text that holds a number counts as one."""
    found: dict[str, Value] = {}
    for name, measure in mapped.values.items():
        there = at(body, measure.path)
        if isinstance(there, bool) or not isinstance(there, (int, float, str)):
            continue
        try:
            value = float(there) * measure.scale + measure.offset
        except (ValueError, OverflowError):
            continue
        if math.isfinite(value):
            found[name] = Value(round(value, 9), measure.unit)
    return found


def _time(mapped: Mapped, body: Any) -> Any:
    said = at(body, mapped.time) if mapped.time else None
    return offset_time(said) if isinstance(said, str) else None


def _raw(mapped: Mapped, body: Any, *, unmapped: bool) -> dict[str, Json]:
    """The fields to keep; of what was not understood also those it was looked up by."""
    lookups = [path for path in (mapped.type.path, mapped.phase.path if mapped.phase else None) if path]
    found = {path: at(body, path) for path in dict.fromkeys([*mapped.raw, *(lookups if unmapped else [])])}
    return {path: kept(value) for path, value in found.items() if value is not MISSING}


def kept(value: Any) -> Json:
    """Numbers and short texts as they came; anything large as the beginning of its JSON."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= _MAX_TEXT else text[:_MAX_TEXT]
