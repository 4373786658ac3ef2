"""The section `alarms:`: which off-delay a type has, and that none is given to what must never wait."""

import pytest
from pydantic import ValidationError

from gateway.alarmrules import AlarmsConfig


def test_the_longest_pattern_counts() -> None:
    config = AlarmsConfig.model_validate({"off_delay": {"door.*": "1m", "door.held": "10s"}})
    found = config.off_delays_ms()
    assert (found["door.held"], found["door.forced"], found.get("device.offline")) == (10_000, 60_000, None)


def test_without_one_nothing_waits() -> None:
    assert AlarmsConfig().off_delays_ms() == {}


@pytest.mark.parametrize("pattern", ["fire.*", "fire.smoke", "safety.panic", "access.*", "*"])
def test_a_critical_alarm_that_comes_back_is_always_new(pattern: str) -> None:
    with pytest.raises(ValidationError, match="always a new one"):
        AlarmsConfig.model_validate({"off_delay": {pattern: "10s"}})


@pytest.mark.parametrize("span", ["11m", "0s", "10", 10])
def test_how_long(span: object) -> None:
    with pytest.raises(ValidationError):
        AlarmsConfig.model_validate({"off_delay": {"door.held": span}})


def test_a_type_must_be_one() -> None:
    with pytest.raises(ValidationError):
        AlarmsConfig.model_validate({"off_delay": {"door.hold": "10s"}})
