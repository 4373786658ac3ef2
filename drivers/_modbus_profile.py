"""Modbus device profiles: register maps as data. Shared plumbing of `modbus` (an underscore: no driver).

A profile is a YAML file: which registers to read, what their values mean, which conditions they make, which outputs
there are. Addresses are 0-based as on the wire (manuals often print them 1-based, or as 40001…). Every profile says
where its map comes from and how sure it is.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from drivers._shelf import Shelf
from drivers._types import condition_type
from gateway.errors import Text
from gateway.fields import Duration, Model, Wrong
from gateway.taxonomy import KINDS

FOLDER = Path(__file__).with_name("profiles")
Address = Annotated[int, Field(ge=0, le=0xFFFF)]
Word = Annotated[int, Field(ge=0, le=0xFFFF)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
REGISTERS = {"u16": 1, "i16": 1, "u32": 2, "i32": 2, "f32": 2, "bit": 1}  # how many each type takes
COIL_ON = 0xFF00  # Modbus application protocol 1.1b3, 6.5
MAX_READ_REGISTERS = 125  # the same, 6.3


EventName = Annotated[
    str, AfterValidator(condition_type), Field(description="event type, e.g. fire.smoke, door.forced")
]


class Telemetry(Model):
    """When a value is told as `telemetry.sample`: on a change beyond the dead band, and every `max_interval`."""

    dead_band: float = Field(default=0.0, ge=0, description="in the value's unit")
    min_interval: Duration = 10.0
    max_interval: Duration = 900.0


class Read(Model):
    """One value: where it stands and how it is read."""

    name: Name
    function: Literal[1, 2, 3, 4]
    address: Address
    type: Literal["u16", "i16", "u32", "i32", "f32", "bit"] = "u16"
    words: Literal["high-first", "low-first"] = Field(
        default="high-first", description="of two registers, which one holds the high half"
    )
    bytes: Literal["high-first", "low-first"] = Field(
        default="high-first", description="low-first where a device swaps the bytes of each register"
    )
    bit: int | None = Field(default=None, ge=0, le=15, description="one bit of a register, 0 is the lowest")
    scale: float = 1.0
    offset: float = Field(default=0.0, description="added after scaling")
    unit: str = ""
    normal: tuple[int, ...] = Field(
        default=(), description="raw values without a condition; any other unknown one is told"
    )
    telemetry: Telemetry | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Read":
        if self.function in (1, 2) and (self.type != "bit" or self.bit is not None):
            raise Wrong(
                f"{self.name}: functions 1 and 2 read single bits, so type: bit and no bit:",
                f"{self.name}:功能码 1 和 2 读单个位,应写 type: bit,不写 bit:",
            )
        if self.function in (3, 4) and (self.type == "bit") != (self.bit is not None):
            raise Wrong(
                f"{self.name}: of a register, type: bit needs bit: 0 to 15, and bit: needs type: bit",
                f"{self.name}:读寄存器时,type: bit 需要 bit: 0 到 15,写 bit: 则需要 type: bit",
            )
        return self


class Condition(Model):
    """What a value means: by equality (raw), by a bit (raw), or by a threshold (scaled) with hysteresis."""

    type: EventName
    read: Name
    equals: tuple[int, ...] | None = None
    bit: int | None = Field(default=None, ge=0, le=31)
    above: float | None = Field(default=None, description="from this value on; it ends at `above - hysteresis`")
    below: float | None = Field(default=None, description="from this value down; it ends at `below + hysteresis`")
    hysteresis: float = Field(default=0.0, ge=0, description="in the value's unit")
    debounce: int = Field(default=2, ge=1, le=20, description="consecutive reads before it begins or ends")
    inverted: bool = Field(default=False, description="fail-safe contact: closed is normal")
    latching: bool = Field(default=False, description="the device holds it until it is reset or its power is cut")
    reason: str | None = None

    @model_validator(mode="after")
    def _one_test(self) -> "Condition":
        if sum(test is not None for test in (self.equals, self.bit, self.above, self.below)) != 1:
            raise Wrong(
                f"{self.type} of {self.read}: exactly one of equals, bit, above, below is needed",
                f"{self.read} 的 {self.type}:equals、bit、above、below 必须且只能写一个",
            )
        return self


class Inputs(Model):
    """Discrete inputs 1 to `count`; what they mean is said per device."""

    count: int = Field(ge=1, le=64)
    function: Literal[1, 2] = 2
    address: Address = 0
    inverted: bool = Field(default=False, description="1 is normal: the board's contacts are wired fail-safe")

    def read(self, number: int) -> Read:
        """Where input `number` (from 1) stands."""
        return Read(name=f"input_{number}", function=self.function, address=self.address + number - 1, type="bit")


class Pulse(Model):
    """The board's own timer, so that an output falls back even if the gateway dies.

    Output n stands at `address + (n - 1) × stride`. Function 5 or 6 writes there `code` plus the number of steps;
    function 16 writes two registers, `code` and the number of steps.
    """

    address: Address
    step: Duration = Field(description="the timer's unit, e.g. 100ms")
    max_steps: int = Field(default=0x7FFF, ge=1, le=0xFFFF)
    function: Literal[5, 6, 16] = 5
    stride: int = Field(default=1, ge=1, le=16, description="addresses from one output to the next")
    code: Word = Field(default=0, description="added to the steps; with function 16 the register before them")

    @model_validator(mode="after")
    def _fits(self) -> "Pulse":
        if self.step <= 0 or (self.function != 16 and self.code + self.max_steps > 0xFFFF):
            raise Wrong(
                "step: is longer than nothing, and code: with max_steps: is at most 65535",
                "step: 必须大于零,code: 加 max_steps: 不能超过 65535",
            )
        return self


class Outputs(Model):
    """Outputs 1 to `count`, written with function 5 (coils) or 6 (registers)."""

    count: int = Field(ge=1, le=64)
    function: Literal[5, 6] = 5
    address: Address = 0
    on: Word = COIL_ON
    off: Word = 0
    pulse: Pulse | None = None


class Reset(Model):
    """One write that makes a latching head let go."""

    function: Literal[5, 6] = 6
    address: Address
    value: Word


class Points(Model):
    """A panel that shows each of its detectors as one register, at `address + loop × loop_step + point`."""

    function: Literal[3, 4] = 3
    address: Address = 0
    loop_step: int = Field(default=256, ge=1, le=0x7FFF, description="registers from one loop to the next")
    max_points: int = Field(default=255, ge=1, le=999, description="points of a loop, from 1")
    max_loops: int = Field(default=255, ge=1, le=255, description="loops, from 1")
    normal: tuple[int, ...] = Field(default=(0,), description="raw values of a point that is well")

    def read(self, loop: int, point: int) -> Read:
        """Where point `point` of loop `loop` stands, both counted from 1."""
        address = self.address + loop * self.loop_step + point
        return Read(name=f"point_{loop}_{point}", function=self.function, address=address, normal=self.normal)


class Title(Model):
    """What people read."""

    en: str
    zh: str


class Profile(Model):
    """A device's register map."""

    title: Title
    kind: str
    source: str = Field(min_length=10, description="where the map comes from")
    confidence: Literal["certain", "single-source", "memory"]
    poll: Duration = 1.0
    timeout: Duration = 0.5
    retries: int = Field(default=0, ge=0, le=5, description="at once; the next poll is a retry too, after the others")
    offline_after: int = Field(default=3, ge=1, le=100, description="missed polls")
    gap: int = Field(default=0, ge=0, le=100, description="unlisted addresses that may be read through")
    max_count: int = Field(
        default=MAX_READ_REGISTERS, ge=1, le=MAX_READ_REGISTERS, description="at most so many at once"
    )
    reads: tuple[Read, ...] = ()
    conditions: tuple[Condition, ...] = ()
    inputs: Inputs | None = None
    outputs: Outputs | None = None
    points: Points | None = None
    reset: Reset | None = None
    fallback: Literal[4] | None = Field(
        default=None, description="asked instead of function 3 by devices that refuse that"
    )

    @model_validator(mode="after")
    def _whole(self) -> "Profile":
        names = [read.name for read in self.reads]
        if len(set(names)) < len(names):
            raise Wrong("two reads have one name", "有两个 reads 同名")
        strange = next((c.read for c in self.conditions if c.read not in names), None)
        if strange is not None:
            raise Wrong(
                f'a condition names the read "{strange}", which is not among reads',
                f'conditions 引用了 "{strange}",但 reads 中没有',
            )
        if not self.reads and self.inputs is None and self.points is None:
            raise Wrong(
                "there is nothing to read: a device that is never asked cannot be told from a dead one",
                "没有可读取的内容:从不轮询的设备无法判断是否在线",
            )
        if self.kind not in KINDS:
            known = ", ".join(KINDS)
            raise Wrong(f'there is no kind "{self.kind}" (known: {known})', f'没有 "{self.kind}" 类设备(可用:{known})')
        return self


class Input(Model):
    """What one input of a board means on this device."""

    type: EventName
    name: str | None = Field(default=None, description="what people call it")
    inverted: bool | None = Field(
        default=None, description="fail-safe contact: closed is normal; else as the profile says"
    )
    debounce: int | None = Field(default=None, ge=1, le=20)


SHELF = Shelf(FOLDER, Profile, Text("profile", "设备模板"))
known, locate, load = SHELF.known, SHELF.locate, SHELF.load
