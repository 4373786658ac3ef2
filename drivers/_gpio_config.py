"""What gateway.yaml says of a board's own pins: contacts, analog inputs, outputs. (An underscore: no driver.)"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from drivers._types import condition_type
from gateway.fields import DeviceConfig, Duration, Model, Wrong

EventName = Annotated[
    str, AfterValidator(condition_type), Field(description="event type, e.g. door.open, safety.panic")
]
LineNumber = Annotated[int, Field(ge=0, le=1023)]
MOST = 64  # inputs or outputs of one device


class Analog(Model):
    """A supervised line: an end-of-line resistor makes a wire that is cut or shorted differ from the contact."""

    file: str = Field(
        pattern=r"^/", description="Linux IIO file, e.g. /sys/bus/iio/devices/iio:device0/in_voltage0_raw"
    )
    scale: float = Field(default=1.0, gt=0, description="of one raw step, in `unit`")
    unit: str = ""
    low: float = Field(
        description="down from here the wires are joined: the contact (normal: open), or a short circuit"
    )
    high: float = Field(description="up from here the loop is open: the contact (normal: closed), or a cut wire")
    hysteresis: float = Field(default=0.0, ge=0, description="in `unit`")

    @model_validator(mode="after")
    def _ordered(self) -> "Analog":
        if not self.low + 2 * self.hysteresis < self.high:
            raise Wrong(
                "low: must lie below high:, by more than twice the hysteresis:",
                "low: 必须低于 high:,且差值大于 hysteresis: 的两倍",
            )
        return self


class Contact(Model):
    """A contact: on a pin (`line`), or supervised by an analog value (`analog`)."""

    type: EventName
    name: str | None = Field(default=None, description="what people call it")
    line: LineNumber | None = Field(default=None, description="the pin's number on the chip (gpioinfo lists them)")
    pull: Literal["up", "down", "none", "as-is"] = Field(default="up", description="the pin's own resistor")
    closed: Literal["low", "high"] = Field(default="low", description="what a pin reads while its contact is closed")
    analog: Analog | None = None
    normal: Literal["closed", "open"] = Field(
        default="closed", description="closed is fail-safe: a cut wire alarms as well"
    )
    debounce: Duration = Field(default=0.05, description="so long it must stay before it counts")

    @model_validator(mode="after")
    def _one_way(self) -> "Contact":
        if (self.line is None) == (self.analog is None):
            raise Wrong("an input has either line: or analog:", "输入要么写 line:,要么写 analog:")
        return self


class Output(Model):
    """An output pin; off when the gateway starts and when it ends."""

    line: LineNumber
    on: Literal["high", "low"] = Field(default="high", description="what the pin shows while it is on")
    name: str | None = Field(default=None, description="what people call it")


class Config(DeviceConfig):
    """Pins of this machine: one chip with its inputs and outputs."""

    chip: str = Field(
        default="/dev/gpiochip0",
        pattern=r"^/",
        description="character device of the chip, or a folder with gpioN/value files, e.g. /sys/class/gpio",
    )
    inputs: dict[Annotated[int, Field(ge=1, le=MOST)], Contact] = Field(default_factory=dict, description="by number")
    outputs: dict[Annotated[int, Field(ge=1, le=MOST)], Output] = Field(default_factory=dict, description="by number")
    poll: Duration = Field(default=0.1, description="how often analog inputs, and pins that are files, are read")

    @model_validator(mode="after")
    def _pins(self) -> "Config":
        lines = self.lines
        twice = next((line for line in lines if lines.count(line) > 1), None)
        if twice is not None:
            raise Wrong(f"line {twice} is used twice", f"引脚 {twice} 重复使用")
        if not self.inputs and not self.outputs:
            raise Wrong("neither inputs: nor outputs: are named", "inputs: 和 outputs: 均未填写")
        if not 0.01 <= self.poll <= 10:
            raise Wrong("poll: 10ms to 10s are allowed", "poll: 允许 10ms 到 10s")
        return self

    @property
    def lines(self) -> list[int]:
        """The numbers of all pins."""
        inputs = [contact.line for contact in self.inputs.values() if contact.line is not None]
        return inputs + [output.line for output in self.outputs.values()]
