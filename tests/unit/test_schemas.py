"""The schema of gateway.yaml: each driver's keys for its own devices, defaults as one would write them."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import Field

from gateway import fields, schemas
from gateway.driver import Driver, Line, Link
from gateway.event import Reading
from gateway.fields import BusConfig, DeviceConfig, Duration, Id, Model


class Input(Model):
    """One of lamp's inputs."""

    colour: str


class Lamp(DeviceConfig):
    """A lamp."""

    watts: int
    retry: Duration = 90.0
    inputs: dict[str, Input] = Field(default_factory=dict)


class Bell(DeviceConfig):
    """A bell, whose inputs are something else."""

    class Input(Model):
        """One of bell's inputs."""

        tone: int

    inputs: dict[str, Input] = Field(default_factory=dict)


class Whole(Model):
    """A configuration."""

    buses: dict[Id, BusConfig] = Field(default_factory=dict)
    devices: list[DeviceConfig] = Field(default_factory=list)


async def run(line: Line[Any], link: Link) -> None:
    """Nothing to do."""


def decode(config: DeviceConfig, wire: bytes) -> Sequence[Reading]:
    """Nothing is understood."""
    return ()


DRIVERS: dict[str, Driver[Any]] = {
    "lamp": Driver("Lamps", Lamp, run, decode),
    "bell": Driver("Bells", Bell, run, decode),
}
LAMP = {"id": "lamp-1", "driver": "lamp", "place": "b3", "watts": 5, "inputs": {"1": {"colour": "red"}}}
BELL = {"id": "bell-1", "driver": "bell", "place": "b3", "inputs": {"1": {"tone": 4}}}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return schemas.json_schema_config(Whole, DRIVERS)


def test_it_is_valid_json_schema_2020_12(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("config", "valid"),
    [
        ({"devices": [LAMP, BELL]}, True),
        ({"devices": [LAMP | {"driver": "bell"}]}, False),
        ({"devices": [BELL | {"inputs": LAMP["inputs"]}]}, False),
        ({"devices": [LAMP | {"driver": "horn"}]}, False),
        ({"devices": [LAMP | {"wats": 5}]}, False),
        ({"buses": {"line-1": {"serial": "/dev/ttyUSB0"}}}, True),
        ({"buses": {"Line 1": {"serial": "/dev/ttyUSB0"}}}, False),
        ({"devices": [LAMP | {"name": None}]}, False),
    ],
)
def test_what_it_lets_through(schema: dict[str, Any], config: dict[str, Any], valid: bool) -> None:
    assert Draft202012Validator(schema).is_valid(config) is valid


def test_defaults_are_as_one_would_write_them(schema: dict[str, Any]) -> None:
    assert schema["$defs"]["device-lamp"]["properties"]["retry"] == {"type": "string", "default": "90s"}


@given(st.integers(1, 10**9))
def test_spoken_durations_and_sizes_read_back_as_the_same(number: int) -> None:
    assert fields.parse_duration(schemas.spoken(float(number), [fields.parse_duration])) == number
    assert fields.parse_duration(schemas.spoken(number / 1000, [fields.parse_duration])) == pytest.approx(number / 1000)
    assert fields.parse_size(schemas.spoken(number, [fields.parse_size])) == number


@given(st.integers(0, 100))
def test_spoken_shares_read_back_as_the_same(percent: int) -> None:
    assert fields.parse_share(schemas.spoken(percent / 100, [fields.parse_share])) == pytest.approx(percent / 100)
