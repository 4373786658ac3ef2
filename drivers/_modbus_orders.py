"""Commands to a Modbus device as the writes that carry them out: pure. (An underscore: no driver.)"""

from collections.abc import Mapping
from typing import NamedTuple

from drivers._modbus_config import Config
from drivers._modbus_profile import Outputs
from gateway.event import Json


class Order(NamedTuple):
    """A write: function 5, 6 or 16, 0-based address, one value (two with function 16)."""

    function: int
    address: int
    values: tuple[int, ...]


def order(outputs: Outputs | None, args: Mapping[str, Json]) -> Order:
    """The arguments of `output {number, state, seconds?}` → the write. ValueError is a sentence for the sender.

    With `seconds` only where the board itself counts them: an output held by us would stay on if we died.
    """
    count = outputs.count if outputs else 0
    number, state, seconds = args.get("number"), args.get("state"), args.get("seconds")
    if outputs is None or not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= count:
        raise ValueError(f"number is 1 to {count}" if count else "this device has no outputs")
    if state not in (True, False, "on", "off"):
        raise ValueError('state is true, false, "on" or "off"')
    on = state in (True, "on")
    if seconds is not None:
        return _pulse(outputs, number, on, seconds)
    return Order(outputs.function, outputs.address + number - 1, (outputs.on if on else outputs.off,))


def _pulse(outputs: Outputs, number: int, on: bool, seconds: Json) -> Order:
    pulse = outputs.pulse
    if pulse is None or not on:
        raise ValueError("this board cannot time an output by itself" if on else "seconds goes with state on")
    longest_s = pulse.max_steps * pulse.step
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not pulse.step <= seconds <= longest_s:
        raise ValueError(f"seconds is {pulse.step:g} to {longest_s:g}")
    steps, address = round(seconds / pulse.step), pulse.address + (number - 1) * pulse.stride
    return Order(pulse.function, address, (pulse.code, steps) if pulse.function == 16 else (pulse.code + steps,))


def reset(config: Config) -> Order:
    """What makes latching heads let go. ValueError is a sentence for the sender."""
    cut, write = config.reset, config.map.reset
    if cut is not None:
        return order(config.map.outputs, {"number": cut.output, "state": True, "seconds": cut.seconds})
    if write is not None:
        return Order(write.function, write.address, (write.value,))
    raise ValueError("this device has no reset of its own: its power must be cut")


def takes(config: Config) -> tuple[str, ...]:
    """Which commands this device can carry out: a detector has no outputs."""
    able = {
        "output": config.map.outputs is not None,
        "reset": config.reset is not None or config.map.reset is not None,
    }
    return tuple(action for action, can in able.items() if can)
