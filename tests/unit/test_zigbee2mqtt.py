"""The zigbee2mqtt profile against every safety property of every published device (tests/golden/zigbee2mqtt)."""

import json
from pathlib import Path
from typing import Any

import pytest

from drivers._mqtt_profile import load
from drivers._mqtt_report import Heard, Memory, plan_of, read

FACTS = json.loads((Path(__file__).parents[1] / "golden/zigbee2mqtt/exposes.json").read_text("utf-8"))
ROWS: list[dict[str, Any]] = FACTS["properties"]
PLAN = plan_of(load("zigbee2mqtt").maps["device"], {}, {})


def all_of(names: str) -> set[str]:
    """Names with blanks between them."""
    return {*names.split()}


# each condition that a published device shows, and the words that begin and end it
MEANS: dict[str, tuple[str, set[Any], set[Any]]] = {
    "alarm_state": ("fire.prealarm", {"prealarm"}, {"normal", "warning_alarm", "alarmed", "critical_alarm"}),
    "battery_defect": ("device.fault", {True}, {False}),
    "battery_level": ("device.battery_low", {"low"}, {"middle", "high"}),
    "battery_low": ("device.battery_low", {True}, {False}),
    "battery_state": ("device.battery_low", {"low"}, {"medium", "middle", "high", "usb", "USB"}),
    "carbon_monoxide": ("fire.gas", {True, "ON"}, {False, "OFF"}),
    "carbon_monoxide_alarm_1": ("fire.gas", {True}, {False}),
    "carbon_monoxide_alarm_2": ("fire.gas", {True}, {False}),
    "chamber_contamination": (
        "device.fault", {"critical_contamination"}, {"normal", "light_contamination", "medium_contamination"}
    ),
    "checking_result": ("device.fault", {"check_failure"}, {"check_success", "checking"}),
    "co_state": ("fire.gas", {"alarm"}, {"normal"}),
    "contact": ("door.open", {False}, {True}),
    "contact_alarm_1": ("door.open", {True}, {False}),
    "contact_alarm_2": ("door.open", {True}, {False}),
    "device_fault": ("device.fault", {True}, {False}),
    "end_of_life": ("device.end_of_life", {True}, {False}),
    "endoflife": ("device.end_of_life", {"expired"}, {"normal", "expires_soon"}),
    "fault": (
        "device.fault",
        {True, "DETECTED", "Fault", "fault", "power_fault", "probe_fault", "sensor_fault", "serious_fault"},
        {False, "NOT_DETECTED", "None", "none", "Normal", "clear"},
    ),
    "fault_alarm": ("device.fault", {True}, {False, "none"}),
    "gas": ("fire.gas", {True}, {False}),
    "gas_alarm_1": ("fire.gas", {True}, {False}),
    "gas_alarm_2": ("fire.gas", {True}, {False}),
    "gas_sensor_state": ("fire.gas", {"alarm"}, {"normal"}),
    "mains_power_connected": ("device.power_fault", {False}, {True}),
    "opening_state": ("door.open", {"open", "tilted"}, {"closed"}),
    "self_test": (
        "device.fault",
        {"check_failure", "Check failure"},
        {"check_success", "Check success", "checking", "Checking"},
    ),
    "self_test_result": ("device.fault", {"failure"}, {"success", "checking"}),
    "smoke": ("fire.smoke", {True}, {False}),
    "smoke_alarm_1": ("fire.smoke", {True}, {False}),
    "smoke_alarm_2": ("fire.smoke", {True}, {False}),
    "smoke_state": ("fire.smoke", {"alarm"}, {"normal", "none"}),
    "sos": ("safety.panic", {True}, {False}),
    "sos_alarm": ("safety.panic", {True}, {False}),
    "tamper": ("device.tamper", {True}, {False}),
    "tamper_alarm": ("device.tamper", {"ON"}, {"OFF"}),
    "test": ("device.test", {True}, {False}),
    "trouble": ("device.fault", {True}, {False}),
}  # fmt: skip
NOT_UNDERSTOOD: dict[
    str, set[Any]
] = {  # words of these are told as device.unmapped: nobody knows what they mean for safety
    "alarm_state": {"alarm_co2", "alarm_pm25", "alarm_light", "alarm_sound", "alarm_sound_light", "no_alarm"},
    "battery_state": {"charged", "charging", "no_charge", "not_charging", "discharging", "full", "missing"},
    "checking_result": {"others"},
    "contact": {"ON", "OFF"},
    "self_test": {"others", "comm_fault", "radar_fault", "test", "clear", True, False},
    "self_test_result": {"others"},
    "smoke_state": {"detecting", "unknown"},
}
BREAKERS = {"fault", "fault_alarm"}  # circuit breakers and thermostats have some thirty words more
CARRIED = all_of(
    """active_water_leak alarm alarm_1 alarm_2 alarm_status carbon_monoxide_value co_ppm fault_code fault_state
    gas_density gas_value lock_state occupancy presence smoke_concentration smoke_density smoke_density_dbm
    smoke_level smoke_value vibration water_leak water_leak_alarm_1 water_leak_alarm_2 water_leakage_state"""
)  # as measured values: without an event type of their own, or without a meaning that all makers share
LEFT = all_of(
    """ac_connected alarm_alarm_1 alarm_alarm_2 application_fault_status battery_status contact_last_changed
    factory_test fault_status faults halo_test_result motor_fault occupancy_1 occupancy_2 occupancy_alarm_1
    occupancy_alarm_2 occupancy_status oem_fault_code presence_state self_test_auto self_test_auto_days
    self_test_auto_hours smoke_alarm_silenced smoke_battery smoke_unit tamper_last_changed test_alarm_result
    test_in_progress testing trv_latest_firmware water_leak_both_zones water_leak_wire_1 water_leak_wire_2
    water_leak_wire_3 water_leak_wire_4 water_leak_zone_1 water_leak_zone_2"""
)  # air conditioners, valves, sirens, settings; a device that matters has `conditions:` or `values:` of its own


class Device:
    """One device: what it has reported, and what stands open."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.held: set[tuple[str, str | None]] = set()

    def news(self, **body: Any) -> list[tuple[str, str]]:
        """Types and phases of what a report tells."""
        report = read(PLAN, body, Heard("d", 0.0, "+08:00"), self.memory, self.held)
        return [(reading.type, reading.phase.value) for reading in report.urgent]


def words(row: dict[str, Any]) -> set[Any]:
    """Whatever a property may say, but numbers and free text."""
    return {row["on"], row["off"]} if row["type"] == "binary" else set(row.get("values", ()))


def test_every_published_property_is_accounted_for() -> None:
    names = {row["property"] for row in ROWS}
    assert names == set(MEANS) | CARRIED | LEFT
    assert set(PLAN.conditions) - {"battery"} == set(MEANS)
    assert set(PLAN.values) >= CARRIED
    assert not (set(PLAN.values) | set(PLAN.conditions)) & LEFT


@pytest.mark.parametrize("name", MEANS)
def test_every_published_word_begins_ends_or_is_told(name: str) -> None:
    type, begins, ends = MEANS[name]
    published = set().union(*(words(row) for row in ROWS if row["property"] == name))
    strange = published - begins - ends
    assert begins | ends <= published | {"usb"}
    assert name in BREAKERS or strange == NOT_UNDERSTOOD.get(name, set())
    for begin in begins:
        for end in ends:
            device = Device()
            assert [device.news(**{name: said}) for said in (end, begin, begin, end)] == [
                [], [(type, "raise")], [], [(type, "clear")]
            ]  # fmt: skip
    for word in strange:
        assert Device().news(**{name: word}) == [("device.unmapped", "pulse")]


@pytest.mark.parametrize("number", [0, 1, 0.5, 17])
def test_a_gas_meter_is_no_gas_detector(number: float) -> None:
    """Both call it `gas`: m³ or % LEL of three models, true or false of twenty-six."""
    assert {row["type"] for row in ROWS if row["property"] == "gas"} == {"binary", "numeric"}
    assert Device().news(gas=number) == [("device.unmapped", "pulse")]


def test_smoke_said_in_two_ways_is_one_alarm() -> None:
    """Two models have both."""
    device = Device()
    assert device.news(smoke=True, smoke_state="alarm") == [("fire.smoke", "raise")]
    assert device.news(smoke=False, smoke_state="normal") == [("fire.smoke", "clear")]


def test_buttons_that_call_for_help_are_understood() -> None:
    actions = {row["value"] for row in FACTS["actions"]}
    help = {action for action in actions if {"sos", "panic", "emergency"} & set(action.split("_"))}
    assert help == {"sos", "panic", "emergency"}
    for action in actions:
        told = Device().news(action=action)
        assert (told == [("safety.panic", "raise"), ("safety.panic", "clear")]) == (action in help), (action, told)
