"""What really goes up is what the schema promises: readings of every type through normalize and a policy."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway import normalize, samples, schemas, taxonomy
from gateway.clock import TimeQuality
from gateway.event import Credential, Json, Reading, Value
from gateway.normalize import Stamp, Subject
from gateway.privacy import Policy
from gateway.taxonomy import DENIALS, KINDS, TYPES, EventType

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
    if row.name == "gateway.data_lost":
        return {**samples.event(row)["data"]}
    return {"who": "王师傅", "role": "物业", "from": "cli"} if row.category == "operator" else {}


@settings(max_examples=50)
@given(st.data(), st.sampled_from(list(TYPES.values())), st.sampled_from(list(KINDS)), st.booleans())
def test_every_reading_becomes_an_event_the_schema_knows(data: Any, row: EventType, kind: str, strict: bool) -> None:
    reading = data.draw(readings(row))
    subject = Subject("dev-1", "/310104/013/002/gw-0001", kind, {"path": "b3", "label": "3号楼"})
    severity = taxonomy.severity(row.name, subject.fire)
    stamp = Stamp(ID, NOW, TimeQuality.SYNCED, reading.phase, severity, ID)
    policy = Policy("district", ("*",), "strict" if strict else "keyed", b"k" * 32)
    body = normalize.body(subject, reading, stamp)
    sent = policy.render(taxonomy.lane(row.name, severity), 42, body, normalize.private(reading.credential))
    EVENTS.validate(json.loads(sent))
