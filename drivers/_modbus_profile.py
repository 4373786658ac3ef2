"""Modbus device profiles: register maps as data. Shared plumbing of `modbus` (an underscore: no driver).

A profile is a YAML file: which registers to read, what their values mean, which conditions they make, which outputs
there are. Addresses are 0-based as on the wire (manuals often print them 1-based, or as 40001…). Every profile says
where its map comes from and how sure it is.
"""

from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gateway.fields import Duration, Model
from gateway.taxonomy import KINDS, TYPES

FOLDER = Path(__file__).with_name("profiles")
Address = Annotated[int, Field(ge=0, le=0xFFFF)]
Word = Annotated[int, Field(ge=0, le=0xFFFF)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
REGISTERS = {"u16": 1, "i16": 1, "u32": 2, "i32": 2, "f32": 2, "bit": 1}  # how many each type takes
COIL_ON = 0xFF00  # Modbus application protocol 1.1b3, 6.5
MAX_READ_REGISTERS = 125  # the same, 6.3


def event_type(value: str) -> str:
    """A type of the taxonomy that can be raised and cleared; ValueError says what is allowed."""
    row = TYPES.get(value)
    if row is None:
        near = get_close_matches(value, TYPES, 1)
        raise ValueError(f'there is no event type "{value}"' + (f"; did you mean {near[0]}?" if near else ""))
    if row.returns != "clear" or row.category in ("gateway", "operator") or value == "device.offline":
        raise ValueError(f'"{value}" is no condition that a Modbus device can raise')
    return value


EventName = Annotated[str, Field(description="event type, e.g. fire.smoke, door.forced")]


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
    words: Literal["high-first", "low-first"] = "high-first"
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
            raise ValueError(f"{self.name}: functions 1 and 2 read single bits, so type: bit and no bit:")
        if self.function in (3, 4) and (self.type == "bit") != (self.bit is not None):
            raise ValueError(f"{self.name}: of a register, type: bit needs bit: 0 to 15, and bit: needs type: bit")
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

    _known = field_validator("type")(event_type)

    @model_validator(mode="after")
    def _one_test(self) -> "Condition":
        if sum(test is not None for test in (self.equals, self.bit, self.above, self.below)) != 1:
            raise ValueError(f"{self.type} of {self.read}: exactly one of equals, bit, above, below is needed")
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
    """The board's own timer: function 5 with the time as value, so the output falls back if the gateway dies."""

    address: Address
    step: Duration
    max_steps: int = Field(default=0x7FFF, ge=1, le=0x7FFF)


class Outputs(Model):
    """Outputs 1 to `count`, written with function 5 (coils) or 6 (registers)."""

    count: int = Field(ge=1, le=64)
    function: Literal[5, 6] = 5
    address: Address = 0
    on: Word = COIL_ON
    off: Word = 0
    pulse: Pulse | None = None


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

    @model_validator(mode="after")
    def _whole(self) -> "Profile":
        names = [read.name for read in self.reads]
        if len(set(names)) < len(names):
            raise ValueError("two reads have one name")
        strange = next((c.read for c in self.conditions if c.read not in names), None)
        if strange is not None:
            raise ValueError(f'a condition names the read "{strange}", which is not among reads')
        if not self.reads and self.inputs is None:
            raise ValueError("there is nothing to read: a device that is never asked cannot be told from a dead one")
        if self.kind not in KINDS:
            raise ValueError(f'there is no kind "{self.kind}" (known: {", ".join(KINDS)})')
        return self


class Input(Model):
    """What one input of a board means on this device."""

    type: EventName
    name: str | None = Field(default=None, description="what people call it")
    inverted: bool | None = Field(
        default=None, description="fail-safe contact: closed is normal; else as the profile says"
    )
    debounce: int | None = Field(default=None, ge=1, le=20)

    _known = field_validator("type")(event_type)


def known() -> list[str]:
    """The names of the profiles that come with the gateway."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Profile:
    """A profile by name, or by the path of a file (anything with a slash or .yaml). ValueError in one sentence."""
    own = "/" in name or name.endswith((".yaml", ".yml"))
    if not own and name not in known():
        near = get_close_matches(name, known(), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f'there is no profile "{name}" (known: {", ".join(known())}){hint}')
    path = Path(name) if own else FOLDER / f"{name}.yaml"
    try:
        return _load(name, path, path.stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the profile {name} cannot be read ({error})") from error


@lru_cache(maxsize=64)
def _load(name: str, path: Path, _mtime_ns: int) -> Profile:  # read again when the file has changed
    return parse(name, path.read_text("utf-8"))


def parse(name: str, text: str) -> Profile:
    """The text of a profile → Profile; ValueError names the profile, the key and what is wrong."""
    try:
        content: Any = YAML(typ="safe", pure=True).load(text)
        return Profile.model_validate(content)
    except YAMLError as error:
        raise ValueError(f"the profile {name} is no YAML ({' '.join(str(error).split())})") from error
    except ValidationError as error:
        faults = "; ".join(_fault(item) for item in error.errors())
        raise ValueError(f"the profile {name} is wrong: {faults}") from error


def _fault(item: Any) -> str:
    where = ".".join(str(step) for step in item["loc"])
    text = item["msg"].removeprefix("Value error, ")
    return f"{where}: {text}" if where else text
