"""The state document and its one word: an alarm wins, silence never counts as normal."""

from dataclasses import replace

import pytest

from gateway.alarms import Alarm, Book, Told, acknowledged, cleared, disposed, raised
from gateway.event import Phase, Reading, Severity, Value
from gateway.measures import SHIELD, SUPPRESSION, ended, measure
from gateway.states import MOST_VALUES, States, word
from tests.fakes import EPOCH


def alarm(kind: str, severity: Severity = Severity.MEDIUM, *, latches: bool = False, device: str = "door-1") -> Alarm:
    """As its raise makes it."""
    return raised(None, Told((device, kind, ""), f"id-{kind}", severity, latches, 1, False))[1]


FIRE = alarm("fire.smoke", Severity.CRITICAL, latches=True)
FAULT, POWER = alarm("device.fault"), alarm("device.power_fault")
OFFLINE, SHIELDED = alarm("device.offline"), alarm("device.shielded", Severity.LOW)
TEST, OPEN = alarm("device.test", Severity.INFO), alarm("door.open", Severity.INFO)


@pytest.mark.parametrize(
    ("online", "alarms", "expected"),
    [
        (None, [], "unknown"),
        (True, [], "normal"),
        (False, [], "offline"),
        (True, [OPEN], "normal"),
        (None, [OPEN], "unknown"),
        (True, [FIRE, FAULT, SHIELDED, TEST, OFFLINE], "alarm"),
        (False, [FIRE, OFFLINE], "alarm"),
        (True, [acknowledged(FIRE)], "alarm"),
        (True, [cleared(FIRE)], "alarm"),
        (True, [acknowledged(cleared(FIRE))], "alarm"),  # latched
        (True, [cleared(alarm("door.held"))], "alarm"),  # nobody has seen it
        (True, [FAULT, SHIELDED], "fault"),
        (False, [POWER, OFFLINE], "fault"),
        (True, [cleared(FAULT)], "normal"),
        (True, [SHIELDED, TEST], "shielded"),
        (False, [TEST, OFFLINE], "test"),
        (False, [OFFLINE], "offline"),
        (None, [OFFLINE], "offline"),  # told before a restart, not a word since
        (True, [cleared(OFFLINE)], "normal"),
        (True, [alarm("device.tamper", Severity.HIGH)], "alarm"),
        (True, [alarm("device.battery_low", Severity.LOW)], "normal"),
    ],
)
def test_the_word_has_one_order(online: bool | None, alarms: list[Alarm], expected: str) -> None:
    assert word(online, alarms) == expected


def laid(kind: str, part: str, until_ms: int = 60_000) -> Alarm:
    """A shield or a suppression of the gateway's own."""
    key = ("door-1", kind, part)
    return measure(key, Told(key, kind, Severity.INFO, False, 1, False), until_ms, "works")


@pytest.mark.parametrize(
    ("over", "alarms", "expected"),
    [
        (laid(SHIELD, ""), [FIRE], "shielded"),
        (laid(SHIELD, ""), [FAULT], "shielded"),
        (laid(SHIELD, ""), [], "shielded"),
        (laid(SHIELD, "7"), [FIRE], "alarm"),
        (laid(SHIELD, "7"), [replace(FIRE, part="7")], "shielded"),
        (ended(laid(SHIELD, "")), [FIRE], "alarm"),
        (laid(SHIELD, "", until_ms=0), [FIRE], "alarm"),  # a panel tells that something of it is shielded
        (laid(SUPPRESSION, "device.offline"), [OFFLINE], "normal"),
        (laid(SUPPRESSION, "device.offline"), [FAULT], "fault"),
    ],
)
def test_what_lies_over_an_alarm_counts_in_its_stead(over: Alarm, alarms: list[Alarm], expected: str) -> None:
    assert word(True, [over, *alarms]) == expected
    states = States(["door-1"])
    states.heard("door-1", EPOCH)
    document = states.document("door-1", Book([over, *alarms]), lambda kind, *_: kind != SHIELD)
    assert document["state"] == expected  # also for whoever hears nothing of shields
    assert document["alarms"] == [alarm.type for alarm in alarms]  # it goes on as ever


def test_the_document() -> None:
    states = States(["door-1"])
    assert states.document("door-1", Book()) == {
        "device": "door-1", "online": False, "state": "unknown", "alarms": [], "values": {},
    }  # fmt: skip
    states.heard("door-1", EPOCH)
    states.took(Reading("door-1", "telemetry.sample", Phase.PULSE, values={"temperature": Value(21.5, "°C")}))
    document = states.document("door-1", Book([FIRE, cleared(FAULT), OPEN, replace(FIRE, device="door-2")]))
    assert document == {
        "device": "door-1",
        "online": True,
        "state": "alarm",
        "alarms": ["fire.smoke"],
        "values": {"temperature": {"value": 21.5, "unit": "°C"}},
        "last_seen": "2026-11-23T10:06:19.000Z",
    }
    assert states.document("door-1", Book([disposed(cleared(FIRE))]))["alarms"] == []


def test_whoever_gets_no_fire_events_sees_no_fire() -> None:
    states = States(["door-1"])
    states.heard("door-1", EPOCH)
    states.took(Reading("door-1", "fire.smoke", Phase.RAISE, values={"smoke_obscuration": Value(1.0, "dB/m")}))
    seen = states.document("door-1", Book([FIRE]), lambda kind, *_: not kind.startswith("fire."))
    assert (seen["state"], seen["alarms"], seen["values"]) == ("normal", [], {})


def test_the_newest_value_stands_and_what_is_no_number_does_not() -> None:
    states = States(["door-1"])
    for value in (1.0, 2.0, float("nan"), float("inf")):
        states.took(Reading("door-1", "telemetry.sample", Phase.PULSE, values={"temperature": Value(value, "°C")}))
    assert states.document("door-1", Book())["values"] == {"temperature": {"value": 2.0, "unit": "°C"}}


def test_a_device_that_names_its_values_anew_each_time_fills_no_memory() -> None:
    states = States(["door-1"])
    for number in range(2 * MOST_VALUES):
        values = {"count": Value(number), f"at_{number}": Value(number)}
        states.took(Reading("door-1", "telemetry.sample", Phase.PULSE, values=values))
    shown = states.document("door-1", Book())["values"]
    assert len(shown) == MOST_VALUES
    assert shown["count"] == {"value": 2 * MOST_VALUES - 1}
    assert f"at_{2 * MOST_VALUES - 1}" in shown


def test_who_keeps_a_copy_hears_of_changes() -> None:
    states, heard = States(["door-1"]), list[str]()
    states.listeners.append(heard.append)
    states.took(Reading("door-1", "door.open", Phase.RAISE))
    states.took(Reading("door-1", "access.denied", Phase.PULSE))
    states.took(Reading("gw-0001", "gateway.clock_bad", Phase.RAISE))  # the gateway itself has no such document
    assert heard == ["door-1", "door-1"]


def test_an_answer_is_news_once() -> None:
    states = States(["door-1"])
    assert [states.heard("door-1", EPOCH), states.heard("door-1", EPOCH)] == [True, False]
    states.silent("door-1")
    assert states["door-1"].last_seen == EPOCH
    assert states.heard("door-1", EPOCH)
