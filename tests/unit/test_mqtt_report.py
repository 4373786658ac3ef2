"""One report by its map: what is news and what is not; words, thresholds, times, values; any bytes."""

import json
import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers._mqtt_profile import Map, load
from drivers._mqtt_report import (
    MOST_BYTES,
    SAMPLE_S,
    Heard,
    Memory,
    Report,
    moment_of,
    over,
    parse,
    plain,
    plan_of,
    read,
)
from drivers.mqtt_in import DRIVER
from gateway.errors import BadInput
from gateway.event import Phase, Reading, Value

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


class Device:
    """A device with a map, and what it has reported so far."""

    def __init__(self, **spec: Any) -> None:
        self.plan = plan_of(Map.model_validate(spec), {}, {})
        self.memory = Memory()
        self.held: set[tuple[str, str | None]] = set()
        self.now_s = 0.0

    def report(self, retained: bool = False, **body: Any) -> Report:
        """What is new in it."""
        return read(self.plan, body, Heard("d", self.now_s, "+08:00", retained), self.memory, self.held)

    def news(self, retained: bool = False, **body: Any) -> list[tuple[str, str]]:
        """Types and phases of conditions and happenings."""
        return [(reading.type, reading.phase.value) for reading in self.report(retained, **body).urgent]

    def values(self, retained: bool = False, **body: Any) -> dict[str, Any] | None:
        """What is told as measured; None: nothing."""
        samples = self.report(retained, **body).samples
        return {name: value.value for name, value in samples[0].values.items()} if samples else None


# golden messages


@pytest.mark.parametrize("example", DRIVER.examples, ids=lambda example: example.title)
def test_golden_messages(example: Any) -> None:
    config = DRIVER.Config.model_validate({"id": "example", "driver": "mqtt_in", "place": "b3", **example.config})
    assert tuple(DRIVER.decode(config, example.wire)) == example.readings


# conditions


def test_only_what_differs_is_news() -> None:
    device = Device(conditions={"smoke": "fire.smoke"})
    assert device.news(smoke=False) == []
    assert device.news(smoke=True) == [("fire.smoke", "raise")]
    assert device.news(smoke=True) == device.news(smoke=True, retained=True) == device.news(other=1) == []
    assert device.news(smoke=None) == []
    assert device.news(smoke=False) == [("fire.smoke", "clear")]
    assert device.news(smoke=False) == []


def test_what_stands_open_on_disk_is_known_from_the_start() -> None:
    device = Device(conditions={"smoke": "fire.smoke"})
    device.held = {("fire.smoke", None)}
    assert device.news(smoke=True) == []
    assert device.news(smoke=False) == [("fire.smoke", "clear")]


def test_a_retained_condition_that_nobody_knows_begins() -> None:
    assert Device(conditions={"smoke": "fire.smoke"}).news(smoke=True, retained=True) == [("fire.smoke", "raise")]


@pytest.mark.parametrize("said", [True, 1, "ON", " on ", "1", "true", "Alarm", 1.0, "yes"])
def test_words_that_mean_yes(said: Any) -> None:
    assert Device(conditions={"x": "device.fault"}).news(x=said) == [("device.fault", "raise")]


@pytest.mark.parametrize("said", [False, 0, "off", "0", "Normal", 0.0, "inactive"])
def test_words_that_mean_no(said: Any) -> None:
    device = Device(conditions={"x": "device.fault"})
    device.held = {("device.fault", None)}
    assert device.news(x=said) == [("device.fault", "clear")]


def test_a_word_that_nobody_knows_is_told_once_with_what_it_was() -> None:
    device = Device(conditions={"state": {"type": "device.fault", "on": ["bad"], "off": ["good"]}})
    (unknown,) = device.report(state="odd").urgent
    assert (unknown.type, unknown.phase, unknown.raw) == ("device.unmapped", Phase.PULSE, {"state": "odd"})
    assert device.news(state="odd") == []
    assert device.news(state="even") == [("device.unmapped", "pulse")]


def test_parts_stand_for_themselves() -> None:
    parts = {"a": {"type": "fire.smoke", "part": "1"}, "b": {"type": "fire.smoke", "part": "2"}}
    device = Device(conditions=parts)
    (reading,) = device.report(a=True, b=False).urgent
    assert reading.part == {"address": "1"}
    assert device.news(a=True, b=True) == [("fire.smoke", "raise")]
    assert device.held == {("fire.smoke", "1"), ("fire.smoke", "2")}


def test_thresholds_have_a_hysteresis() -> None:
    device = Device(conditions={"battery": {"type": "device.battery_low", "below": 10, "hysteresis": 5}})
    said = [11, 10, 14, "14.9", 15, 14, None, "?", True]
    news = [device.news(battery=value) for value in said]
    assert news[:6] == [[], [("device.battery_low", "raise")], [], [], [("device.battery_low", "clear")], []]
    assert news[6] == []
    assert news[7] == news[8] == [("device.unmapped", "pulse")]
    hot = Device(conditions={"t": {"type": "fire.heat", "above": 60, "hysteresis": 5}})
    assert [bool(hot.news(t=value)) for value in (59, 60, 56, 55)] == [False, True, False, True]


def test_what_is_left_out_may_mean_something() -> None:
    """ChirpStack leaves out what is 0; and a battery level where there is no battery."""
    device = Device(
        conditions={
            "level": {"type": "device.battery_low", "below": 10, "default": 0, "unless": ["mains", "unknown"]},
        }
    )
    assert device.news(mains=True) == device.news(unknown="true") == []
    assert device.news(mains=False) == [("device.battery_low", "raise")]
    assert device.news(level=90) == [("device.battery_low", "clear")]


def test_a_field_that_is_an_object() -> None:
    device = Device(conditions={"Switch1": "fire.smoke"}, unwrap="Action")
    assert device.news(Switch1={"Action": "ON"}) == [("fire.smoke", "raise")]
    assert device.news(Switch1="ON") == device.news(Switch1={"State": "OFF"}) == device.news(Switch1=["OFF"]) == []
    assert device.news(Switch1="OFF") == [("fire.smoke", "clear")]


def test_a_test_marks_what_comes_with_it_and_ends() -> None:
    device = Device(test="test", conditions={"test": "device.test", "smoke": "fire.smoke"})
    assert {reading.test for reading in device.report(test=True, smoke=True).urgent} == {True}
    ended = device.report(test=False, smoke=False).urgent
    assert [(r.type, r.phase, r.test) for r in ended] == [
        ("device.test", Phase.CLEAR, True),
        ("fire.smoke", Phase.CLEAR, True),
    ]


def test_a_real_fire_during_a_test_stays_real() -> None:
    device = Device(test="test", conditions={"test": "device.test", "smoke": "fire.smoke"})
    assert [reading.test for reading in device.report(test=False, smoke=True).urgent] == [False]
    assert device.news(test=True, smoke=True) == [("device.test", "raise")]
    after = device.report(test=False, smoke=True).urgent
    assert [(r.type, r.phase, r.test) for r in after] == [
        ("device.test", Phase.CLEAR, True),
        ("fire.smoke", Phase.RAISE, False),
    ]


# values


def test_values_are_told_when_they_change_and_now_and_then() -> None:
    device = Device(values={"t": {"unit": "°C", "dead_band": 0.5}, "on": {}})
    assert device.values(t=20.0, on=True) == {"t": 20.0, "on": True}
    assert device.values(t=20.4, on=True) is None
    assert device.values(t=20.6, on=True) == {"t": 20.6, "on": True}
    assert device.values(on=False) == {"on": False}
    device.now_s = SAMPLE_S
    assert device.values(on=False) == {"on": False}
    assert device.values(other=1) is None


def test_retained_values_are_no_measurement() -> None:
    device = Device(values={"t": "°C"})
    assert device.values(t=20, retained=True) is None
    assert device.values(t=20) == {"t": 20}


@pytest.mark.parametrize(
    ("said", "told"),
    [(7, 7), ("7.5", 7.5), (True, True), ("open", "open"), (None, None), ([1], None), ({}, None),
     (2**53, float(2**53)), ("x" * 300, "x" * 256)],
)  # fmt: skip
def test_what_a_value_can_be(said: Any, told: Any) -> None:
    assert Device(values={"v": {}}).values(v=said) == (None if told is None else {"v": told})


def test_a_value_is_scaled_and_placed() -> None:
    device = Device(values={"t": {"path": "a.1.t", "scale": 0.1, "offset": -40, "unit": "°C"}})
    (sample,) = device.report(a=[0, {"t": 625}]).samples
    assert sample.values == {"t": Value(22.5, "°C")}


def test_other_fields_of_an_object_become_values_too() -> None:
    device = Device(conditions={"object.smoke": "fire.smoke"}, values={"t": {"path": "object.t"}}, others="object")
    (sample,) = device.report(object={"smoke": 0, "t": 5, "level": 7, "mode": "eco", "deep": {"x": 1}}).samples
    assert {name: value.value for name, value in sample.values.items()} == {"t": 5, "level": 7, "mode": "eco"}


def test_what_an_alarm_was_measured_at_stands_with_it() -> None:
    device = Device(conditions={"smoke": "fire.smoke"}, values={"d": "dB/m"}, raw=["id"])
    (raised,) = device.report(smoke=True, d=1.32, id=7).urgent
    assert raised.values == {"d": Value(1.32, "dB/m")}
    assert raised.raw == {"id": 7}


# happenings and activities

BUTTON = {
    "at": "action",
    "momentary": True,
    "map": {"type": {"path": "action", "table": {"sos": "safety.panic", "idle": None}}, "phase": "raise"},
}
DOORBELL = {"at": "kind", "each": "list", "map": {"type": {"path": "kind", "table": {"pass": "access.granted"}}}}


def test_a_button_is_over_at_once_and_counts_each_time() -> None:
    device = Device(happenings=[BUTTON])
    pressed = [("safety.panic", "raise"), ("safety.panic", "clear")]
    assert device.news(action="sos") == device.news(action="sos") == pressed
    assert device.news(action="") == device.news(action=None) == device.news(action="idle") == device.news() == []
    assert device.news(action="sos", retained=True) == []
    assert device.news(action="double") == [("device.unmapped", "pulse")]


def test_each_item_of_a_list_is_a_happening() -> None:
    device = Device(happenings=[DOORBELL])
    assert device.news(list=[{"kind": "pass"}, {"kind": "pass"}, "junk", {}]) == [("access.granted", "pulse")] * 2
    assert device.news(list="junk") == []


def test_told_conditions_are_known_by_their_edges() -> None:
    mapped = {"type": "door.held", "phase": {"path": "on", "table": {True: "raise", False: "clear"}}}
    device = Device(happenings=[{"at": "on", "map": mapped}])
    said = [True, True, False, False]
    assert [device.news(on=on) for on in said] == [[("door.held", "raise")], [], [("door.held", "clear")], []]


def review(id: str, severity: str, type: str = "update") -> dict[str, Any]:
    return {"type": type, "after": {"id": id, "camera": "front", "severity": severity, "data": {}}}


def camera() -> Device:
    device = Device()
    device.plan = plan_of(load("frigate").maps["review"], {}, {})
    return device


def test_activities_that_overlap_are_one_condition() -> None:
    device = camera()
    assert device.news(**review("1", "alert", "new")) == [("video.intrusion", "raise")]
    assert device.news(**review("2", "alert", "new")) == device.news(**review("1", "alert", "end")) == []
    assert device.news(**review("2", "alert", "end")) == [("video.intrusion", "clear")]


def test_the_end_of_an_activity_from_before_this_run_counts() -> None:
    device = camera()
    device.held = {("video.intrusion", None)}
    assert device.news(**review("1", "alert")) == []
    assert device.news(**review("1", "alert", "end")) == [("video.intrusion", "clear")]
    assert device.news(**review("1", "panic")) == [("device.unmapped", "pulse")]
    assert device.news(retained=True, **review("1", "alert")) == []


def test_an_activity_of_which_nobody_speaks_is_over() -> None:
    device = camera()
    device.report(**review("1", "alert"))
    assert list(over("d", device.memory, device.held, 599)) == []
    device.now_s = 500
    device.report(**review("1", "alert"))
    assert list(over("d", device.memory, device.held, 601)) == []
    assert list(over("d", device.memory, device.held, math.inf)) == [Reading("d", "video.intrusion", Phase.CLEAR)]
    assert device.held == set()


def test_a_report_of_which_nothing_is_understood_is_told_where_that_is_wanted() -> None:
    device = Device(tell_all=True, values={"t": {}}, raw=["data"])
    assert device.news(data="qg==") == [("device.unmapped", "pulse")]
    assert device.news(data="qg==", t=1) == device.news(data="qg==", retained=True) == []


# times


@pytest.mark.parametrize(
    ("form", "said", "told"),
    [
        ("iso", "2026-11-23T12:00:00.123456789Z", NOON.replace(microsecond=123456)),
        ("iso", "2026-11-23T12:00:00", None),
        ("local", "2026-11-23T20:00:00", NOON),
        ("local", "1970-01-01T00:00:07", None),
        ("epoch", NOON.timestamp(), NOON),
        ("epoch-ms", NOON.timestamp() * 1000, NOON),
        ("any", NOON.timestamp() * 1000, NOON),
        ("any", int(NOON.timestamp()), NOON),
        ("any", "2026-11-23T20:00:00", NOON),
        ("any", "2026-11-23T12:00:00Z", NOON),
        ("iso", NOON.timestamp(), None),
        ("epoch", 1e300, None),
        ("epoch", True, None),
        ("any", [1], None),
        ("any", "soon", None),
    ],
)
def test_times(form: str, said: Any, told: datetime | None) -> None:
    spec = Map.model_validate({"time": {"path": "t", "form": form}})
    assert moment_of(spec.time, {"t": said}, "+08:00") == told
    assert moment_of(spec.time, {}, "+08:00") is None


# whatever comes


def test_deep_json_is_refused_and_so_is_much_of_it() -> None:
    for payload in (b"[" * 100_000, b'{"a":' * 100_000, b" " * (MOST_BYTES + 1), b"\xff", b'"\\ud800"', b""):
        with pytest.raises(BadInput):
            parse("payload", payload)
    assert plain(b"[" * 100_000).startswith("[")
    assert plain(b"\xffON ") == "\ufffdON"
    assert plain(b"true") is True


def configs() -> list[Any]:
    made = {"id": "hub", "driver": "mqtt_in", "place": "b3", "url": "mqtt://h"}
    names = sorted({example.config["profile"] for example in DRIVER.examples})
    return [DRIVER.Config.model_validate({**made, "profile": name}) for name in names]


CONFIGS = configs()
TOPICS = sorted({example.wire.partition(b"\n")[0] for example in DRIVER.examples})


@given(st.sampled_from(CONFIGS), st.binary(max_size=60) | st.sampled_from(TOPICS), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(config: Any, topic: bytes, payload: bytes) -> None:
    with suppress(BadInput):
        assert all(reading.device == "hub" for reading in DRIVER.decode(config, topic + b"\n" + payload))


@given(st.sampled_from(CONFIGS), st.sampled_from(TOPICS), JSON)
def test_any_json_is_read_or_refused(config: Any, topic: bytes, body: Any) -> None:
    with suppress(BadInput):
        assert all(reading.type for reading in DRIVER.decode(config, topic + b"\n" + json.dumps(body).encode()))


FIELDS = sorted({name for map in load("zigbee2mqtt").maps.values() for name in (*map.conditions, *map.values)})


@given(st.lists(st.dictionaries(st.sampled_from([*FIELDS, "action", "last_seen"]), JSON, max_size=6), max_size=5))
def test_conditions_begin_before_they_end_and_end_once(bodies: list[dict[str, Any]]) -> None:
    device = Device()
    device.plan = plan_of(load("zigbee2mqtt").maps["device"], {}, {})
    open_: set[tuple[str, Any]] = set()
    for body in bodies:
        for reading in device.report(**{name: value for name, value in body.items() if name != "retained"}).urgent:
            key = (reading.type, (reading.part or {}).get("address"))
            if reading.phase is Phase.CLEAR:
                assert key in open_
                open_.discard(key)
            elif reading.phase is Phase.RAISE:
                open_.add(key)
        assert open_ == device.held
