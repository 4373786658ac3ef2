"""Pins without a chip: what states mean, when they count, orders, configuration; gpiod's side of the seam."""

import asyncio
import errno
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import gpiod
import pytest
from gpiod.line import Bias, Direction, Edge, Value
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers._gpio_board import open_board, trouble
from drivers._gpio_config import Contact
from drivers._gpio_contact import Seen, Settling, State, meaning, state_of
from drivers.gpio import DRIVER, Config, decode, ordered
from gateway.driver import Example
from gateway.errors import BadInput, DeviceError, Misconfigured, Unreachable
from gateway.event import Phase

LOOP = {"file": "/adc", "low": 1000, "high": 3000, "hysteresis": 100}


def config(**more: Any) -> Config:
    inputs = {"1": {"type": "door.open", "line": 17}}
    return Config.model_validate(
        {"id": "example", "driver": "gpio", "place": "gate", **({"inputs": inputs} if not more else {}), **more}
    )


def contact(**more: Any) -> Contact:
    return Contact.model_validate({"type": "door.open", **more})


@pytest.mark.parametrize("example", DRIVER.examples, ids=lambda example: example.title)
def test_golden_levels(example: Example) -> None:
    assert tuple(decode(config(**example.config), example.wire)) == example.readings


@pytest.mark.parametrize("wire", [b"17", b"17=x", b"\xff=1"])
def test_what_is_no_level_is_bad_input(wire: bytes) -> None:
    with pytest.raises(BadInput, match="levels look like"):
        decode(config(), wire)


@given(st.binary(max_size=40))
def test_any_bytes_are_readings_or_bad_input(wire: bytes) -> None:
    try:
        told = decode(config(), wire)
    except BadInput:
        return
    assert all(reading.device == "example" for reading in told)


@pytest.mark.parametrize(
    ("closed", "level", "state"), [("low", 0, "closed"), ("low", 1, "open"), ("high", 1, "closed"), ("high", 0, "open")]
)
def test_pins(closed: str, level: int, state: State) -> None:
    assert state_of(contact(line=1, closed=closed), level) == state


@pytest.mark.parametrize(
    ("normal", "value", "before", "state"),
    [
        ("closed", 2000, None, "closed"), ("closed", 3000, None, "open"), ("closed", 1000, None, "short"),
        ("open", 2000, None, "open"), ("open", 1000, None, "closed"), ("open", 3000, None, "cut"),
        ("open", 1050, "closed", "closed"), ("open", 1050, "open", "open"), ("open", 1101, "closed", "open"),
        ("open", 2950, "cut", "cut"), ("open", 2899, "cut", "open"), ("open", 2950, "open", "open"),
    ],
)  # fmt: skip
def test_supervised_loops(normal: str, value: float, before: State | None, state: State) -> None:
    assert state_of(contact(analog=LOOP, normal=normal), value, before) == state


@given(st.lists(st.tuples(st.sampled_from(["open", "closed"]), st.floats(0.01, 0.2)), max_size=50))
def test_a_state_counts_only_after_it_has_stayed(looks: list[tuple[State, float]]) -> None:
    settling, now_s = Settling(0.1), 0.0
    history: list[tuple[float, State]] = []
    for state, later_s in looks:
        now_s += later_s
        history.append((now_s, state))
        before = settling.state
        if settling.feed(state, now_s):
            assert settling.state == state != before
            stayed = [at_s for at_s, seen in history if seen == state]
            assert now_s - stayed[0] >= 0.1
            assert all(seen == state for at_s, seen in history if at_s > now_s - 0.1)
        else:
            assert settling.state == before


def test_what_chatters_is_not_told() -> None:
    settling = Settling(0.05)
    assert settling.feed("closed", 0.0) is False
    assert settling.due_s == 0.05
    assert settling.feed("closed", 0.05)
    assert [settling.feed(state, 1.0 + n * 0.02) for n, state in enumerate(["open", "closed"] * 20)] == [False] * 40  # type: ignore[arg-type]
    assert settling.due_s is None
    assert Settling(0.0).feed("open", 7.0)


def test_a_faulty_loop_says_nothing_of_its_contact() -> None:
    made = config(inputs={"2": {"type": "safety.panic", "normal": "open", "analog": LOOP}})
    (fault,) = meaning(made, 2, Seen("cut", 4000.0))
    assert (fault[0], fault[1].phase, fault[1].reason) == (("device.fault", "2"), Phase.RAISE, "wire-cut")
    told = {key[0]: reading.phase for key, reading in meaning(made, 2, Seen("closed", 500.0))}
    assert told == {"device.fault": Phase.CLEAR, "safety.panic": Phase.RAISE}


OUTPUTS: Mapping[str, Any] = {"outputs": {"1": {"line": 22}, "3": {"line": 23, "on": "low"}}}


@pytest.mark.parametrize(
    ("args", "made"),
    [
        ({"number": 1, "state": True}, (1, True, None)),
        ({"number": 3, "state": "off"}, (3, False, None)),
        ({"number": 3, "state": "on", "seconds": 2}, (3, True, 2.0)),
    ],
)
def test_orders(args: dict[str, Any], made: tuple[int, bool, float | None]) -> None:
    assert ordered(config(**OUTPUTS), args) == made


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"number": 2, "state": True}, "number is one of 1, 3"),
        ({"number": True, "state": True}, "number is one of"),
        ({"number": 1}, "state is true"),
        ({"number": 1, "state": False, "seconds": 1}, "seconds goes with"),
        ({"number": 1, "state": True, "seconds": 9999}, "seconds is 0.005 to 3600"),
        ({"number": 1, "state": True, "seconds": "1"}, "seconds is"),
    ],
)
def test_orders_that_make_no_sense(args: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ordered(config(**OUTPUTS), args)
    with pytest.raises(ValueError, match="no outputs"):
        ordered(config(), args)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"inputs": {"1": {"type": "door.open"}}}, "either line: or analog:"),
        ({"inputs": {"1": {"type": "door.open", "line": 1, "analog": LOOP}}}, "either line: or analog:"),
        ({"inputs": {"1": {"type": "door.opne", "line": 1}}}, "did you mean door.open"),
        ({"inputs": {"1": {"type": "door.open", "analog": {**LOOP, "low": 2900}}}}, "low: must lie below high:"),
        ({"inputs": {"1": {"type": "door.open", "line": 22}}, **OUTPUTS}, "line 22 is used twice"),
        ({"inputs": {}}, "neither inputs: nor outputs:"),
        ({"poll": "1m", **OUTPUTS}, "10ms to 10s are allowed"),
        ({"inputs": {"0": {"type": "door.open", "line": 1}}}, "greater than or equal to 1"),
    ],
)
def test_config_says_what_is_wrong(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        config(**more)


# --- the chip: gpiod's settings are the real ones, the kernel behind them is not


class Kernel:
    """What a request for lines gives, in the shape of gpiod's LineRequest; edges come over a pipe."""

    def __init__(self, settings: Mapping[int, gpiod.LineSettings]) -> None:
        self.settings = settings
        self.values = {line: each.output_value for line, each in settings.items()}
        self.fd, self._end = os.pipe()
        self.released = False

    @property
    def offsets(self) -> list[int]:
        return list(self.values)

    def get_values(self) -> list[Value]:
        return list(self.values.values())

    def set_value(self, line: int, value: Value) -> None:
        self.values[line] = value

    def read_edge_events(self) -> list[object]:
        return [os.read(self.fd, 100)]

    def edge(self, line: int, value: Value) -> None:
        """The world moves a line."""
        self.values[line] = value
        os.write(self._end, b"e")

    def release(self) -> None:
        self.released = True
        os.close(self.fd)
        os.close(self._end)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Kernel]]:
    made: list[Kernel] = []

    def request(path: str, consumer: str, config: Mapping[int, gpiod.LineSettings]) -> Kernel:
        assert (path, consumer) == ("/dev/gpiochip0", "community-gateway")
        made.append(Kernel(config))
        return made[-1]

    monkeypatch.setattr(gpiod, "request_lines", request)
    yield made
    assert all(kernel.released for kernel in made)


async def test_lines_are_asked_for_as_configured(kernels: list[Kernel]) -> None:
    made = config(inputs={"1": {"type": "door.open", "line": 17, "pull": "down"}}, **OUTPUTS)
    changed = asyncio.Event()
    with open_board(made, changed.set) as board:
        (kernel,) = kernels
        door = kernel.settings[17]
        assert (door.direction, door.edge_detection, door.bias) == (Direction.INPUT, Edge.BOTH, Bias.PULL_DOWN)
        assert [kernel.settings[line].direction for line in (22, 23)] == [Direction.OUTPUT] * 2
        assert board.levels() == {17: False, 22: False, 23: True}  # off, whichever way round
        board.set(22, True)
        assert kernel.values[22] is Value.ACTIVE
        kernel.edge(17, Value.ACTIVE)
        async with asyncio.timeout(5):
            await changed.wait()
        assert board.levels()[17]
        assert board.tells


async def test_without_gpiod_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(Misconfigured) as caught, open_board(config(), lambda: None):
        pytest.fail("there is no chip")
    assert caught.value.say("en").endswith("install it: pip install 'community-gateway[gpio]'")
    assert "gpiod" in caught.value.say("zh-CN")


@pytest.mark.parametrize(
    ("chip", "kind", "says"),
    [
        ("/dev/gpiochip99", Unreachable, "there is no /dev/gpiochip99; correct chip: "),
        ("/dev/null", Misconfigured, "/dev/null is no GPIO chip"),
    ],
)
async def test_a_chip_that_is_none(chip: str, kind: type[DeviceError], says: str) -> None:
    with pytest.raises(kind, match=says), open_board(config(chip=chip, **OUTPUTS), lambda: None):
        pytest.fail("there is no chip")


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (errno.EACCES, Unreachable, "group gpio"),
        (errno.EBUSY, Unreachable, "used by another program"),
        (errno.EINVAL, Misconfigured, "compare line: with gpioinfo"),
        (errno.EIO, Unreachable, "cannot be used"),
    ],
)
def test_other_troubles(number: int, kind: type[DeviceError], says: str) -> None:
    error = trouble("gate", "/dev/gpiochip0", OSError(number, os.strerror(number)))
    assert type(error) is kind
    assert says in error.say("en")
