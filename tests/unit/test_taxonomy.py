"""The closed list: complete, labelled in both languages, and its codes as the standards number them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import taxonomy
from gateway.event import Lane, Phase, Severity
from gateway.taxonomy import DENIALS, EVENTS, KINDS, OPERATIONS, TYPES, codes, lane, matches, severity

_LATCHING = {
    "fire.smoke", "fire.heat", "fire.manual", "fire.gas", "fire.panel", "safety.panic",
    "access.duress", "door.forced", "device.tamper",
}  # fmt: skip
_PULSES = {
    "access.granted", "access.denied", "access.duress", "video.line_cross", "video.tailgating",
    "video.falling_object", "gateway.data_lost", "device.unmapped", "telemetry.sample", "gateway.action",
    "gateway.escalation",
}  # fmt: skip
_PART = {"table": "2011", "level": "part", "system": 1}


def test_forty_two_types_and_the_operator_stream() -> None:
    assert len(EVENTS) == 42
    assert {row.name.partition(".")[2] for row in OPERATIONS} == {
        "silence", "ack", "reset", "dispose", "shield", "unshield", "shelve", "test", "selftest",
        "handling", "handled", "drill", "config",
    }  # fmt: skip
    assert len(TYPES) == len(EVENTS) + len(OPERATIONS)


def test_latches_and_pulses() -> None:
    assert {row.name for row in EVENTS if row.latches} == _LATCHING
    assert {row.name for row in EVENTS if row.returns == "pulse"} == _PULSES
    assert TYPES["fire.smoke"].phases == (Phase.RAISE, Phase.CLEAR, Phase.STILL)
    assert TYPES["access.granted"].phases == (Phase.PULSE,)
    assert TYPES["operator.drill"].phases == (Phase.RAISE, Phase.CLEAR)


@pytest.mark.parametrize("row", TYPES.values(), ids=lambda row: row.name)
def test_every_row_is_whole(row: taxonomy.EventType) -> None:
    assert row.category in taxonomy.CATEGORIES
    assert row.label.en.isascii()
    assert _chinese(row.zh)
    assert not row.latches or row.severity is not Severity.INFO
    assert all(100 <= code <= 699 for code in row.contact_id.values())
    assert all(0 <= bit <= 13 for bit in row.gb.values())


@pytest.mark.parametrize(
    ("type", "kind", "extra", "expected"),
    [
        ("fire.smoke", "smoke", {}, {"contact-id": 111, "gb26875.3": {**_PART, "part": 40, "bit": 1}}),
        ("fire.smoke", "panel", {}, {"contact-id": 111, "gb26875.3": {**_PART, "part": 40, "bit": 1}}),
        (
            "fire.smoke",
            "panel",
            {"part": {"system": 2, "type": 42}},
            {"contact-id": 111, "gb26875.3": {**_PART, "system": 2, "part": 42, "bit": 1}},
        ),
        ("fire.smoke", "camera", {}, {"contact-id": 111}),
        ("fire.gas", "co", {}, {"contact-id": 162, "gb26875.3": {**_PART, "part": 74, "bit": 1}}),
        (
            "fire.panel",
            "panel",
            {},
            {"contact-id": 110, "gb26875.3": {"table": "2011", "level": "system", "system": 1, "bit": 1}},
        ),
        ("fire.prealarm", "smoke", {}, {"contact-id": 118}),
        ("device.fault", "heat", {}, {"contact-id": 373, "gb26875.3": {**_PART, "part": 30, "bit": 2}}),
        ("device.fault", "reader", {}, {"contact-id": 427}),
        ("device.fault", "camera", {}, {"contact-id": 380}),
        ("device.fault", None, {}, {"contact-id": 380}),
        (
            "device.power_fault",
            "utd",
            {"reason": "backup"},
            {"contact-id": 311, "gb26875.3": {"table": "2011", "level": "device", "bit": 4}},
        ),
        (
            "device.power_fault",
            "panel",
            {"reason": "main"},
            {"contact-id": 301, "gb26875.3": {"table": "2011", "level": "system", "system": 1, "bit": 8}},
        ),
        (
            "device.offline",
            "smoke",
            {"reason": "no-answer"},
            {"contact-id": 381, "gb26875.3": {"table": "2011", "level": "device", "bit": 6}},
        ),
        ("device.battery_low", "utd", {}, {"contact-id": 384}),
        ("device.shielded", "door", {}, {"contact-id": 577}),
        ("access.granted", "door", {}, {"contact-id": 422}),
        ("access.granted", "door", {"reason": "egress"}, {"contact-id": 425}),
        ("access.denied", "door", {"reason": "expired"}, {"contact-id": 421}),
        ("video.motion", "camera", {}, {}),
        ("operator.dispose", "smoke", {"reason": "false"}, {"contact-id": 406}),
        ("operator.dispose", "smoke", {"reason": "real"}, {}),
    ],
)
def test_codes(type: str, kind: str | None, extra: dict[str, Any], expected: dict[str, Any]) -> None:
    assert codes(type, kind, **extra) == expected


def test_a_caller_may_add_to_what_codes_returns() -> None:
    codes("fire.smoke", "smoke")["contact-id"] = 0
    assert codes("fire.smoke", "smoke")["contact-id"] == 111


@given(st.sampled_from(list(TYPES)), st.sampled_from([None, "vacuum", *KINDS]), st.sampled_from([None, "backup", "x"]))
def test_gb_codes_stand_for_fire_devices_only(type: str, kind: str | None, reason: str | None) -> None:
    found = codes(type, kind, reason)
    assert set(found) <= {"contact-id", "gb26875.3"}
    if "gb26875.3" in found:
        assert taxonomy.is_fire_kind(kind)
        assert {"table", "level", "bit"} <= set(found["gb26875.3"])
        assert ("part" in found["gb26875.3"]) == (found["gb26875.3"]["level"] == "part")


def test_fire_devices_count_one_level_higher() -> None:
    assert severity("device.offline", fire=True) is Severity.HIGH
    assert severity("device.shielded", fire=True) is Severity.MEDIUM
    assert severity("device.fault", fire=False) is Severity.MEDIUM
    assert severity("device.battery_low", fire=True) is Severity.LOW
    assert severity("fire.smoke", fire=True) is Severity.CRITICAL


def test_lanes() -> None:
    assert lane("fire.smoke", Severity.CRITICAL) is Lane.ALARM
    assert lane("door.forced", Severity.HIGH) is Lane.ALARM
    assert lane("door.held", Severity.MEDIUM) is Lane.EVENT
    assert lane("telemetry.sample", Severity.INFO) is Lane.TELEMETRY


def test_every_kind_and_denial_has_both_labels() -> None:
    assert all(_chinese(kind.zh) and kind.en.isascii() for kind in KINDS.values())
    assert len(DENIALS) == 14
    assert all(_chinese(text.zh) and text.en.isascii() for text in DENIALS.values())
    assert set(taxonomy.SEVERITIES) == set(Severity)
    assert set(taxonomy.PHASES) == set(Phase)
    assert set(taxonomy.CATEGORIES) == {row.category for row in TYPES.values()}


def test_patterns() -> None:
    assert matches("*", "fire.smoke")
    assert matches("fire.*", "fire.smoke")
    assert not matches("fire.*", "firefly.x")
    assert not matches("fire", "fire.smoke")
    assert matches("device.fault", "device.fault")
    assert taxonomy.known("door.*")
    assert not taxonomy.known("doors.*")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("fire.smok", "fire.smoke"), ("Fire.Smoke", "fire.smoke"), ("video.ebike-lift", "video.ebike_lift"),
     ("fires.*", "fire.*"), ("zzz", None)],
)  # fmt: skip
def test_did_you_mean(name: str, meant: str | None) -> None:
    assert taxonomy.suggest(name) == meant


def _chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)
