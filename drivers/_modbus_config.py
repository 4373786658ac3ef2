"""What gateway.yaml says of a Modbus device, joined with its profile. (An underscore: no driver.)"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from drivers._modbus_profile import Condition, Input, Inputs, Profile, Read, load, locate
from drivers._modbus_values import Block, plan
from drivers._modbus_wire import Peer
from gateway.event import Json, part_key
from gateway.fields import DeviceConfig, Duration, Id, Wrong, parse_duration

MAX_MISSES = 100
Key = tuple[str, str | None]  # event type, part


@dataclass(frozen=True)
class Watch:
    """A condition of this device, with the part it belongs to and the read it looks at."""

    condition: Condition
    read: Read
    part: Mapping[str, Json] | None = None

    @property
    def key(self) -> Key:
        """What there is one condition of."""
        return self.condition.type, part_key(self.part) or None


def patience(value: Any) -> int | float:
    """A count of missed polls (int), or a duration (float, seconds). Wrong says what is allowed."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_MISSES:
            raise Wrong(f"1 to {MAX_MISSES} missed polls are allowed", f"允许 1 到 {MAX_MISSES} 次轮询无应答")
        return value
    try:
        return parse_duration(value)
    except Wrong as error:
        said = error.text
        raise Wrong(f"a count of missed polls, or {said.en}", f"需要轮询无应答次数;或者{said.zh}") from error


def _located(profile: str, info: ValidationInfo) -> str:
    """Relative to the folder of the YAML file (`base` in the context), as all paths are."""
    return locate(profile, (info.context or {}).get("base", Path()))


Patience = Annotated[int | float, BeforeValidator(patience, json_schema_input_type=int | str)]


class Config(DeviceConfig):
    """A device on a Modbus line. What is not set here is as its profile says."""

    bus: Id
    address: int = Field(ge=1, le=255, description="1 to 247; some boards leave the factory with 255")
    profile: str = Field(description="name of a profile, or path of a profile file of your own (has a / or .yaml)")
    poll: Duration | None = Field(None, description="how often it is asked")
    timeout: Duration | None = Field(None, description="how long an answer may take")
    retries: int | None = Field(None, ge=0, le=5, description="further tries within one poll")
    offline_after: Patience | None = Field(None, description="missed polls, or time without an answer")
    debounce: int | None = Field(None, ge=1, le=20, description="consecutive reads before a condition begins or ends")
    inputs: dict[int, Input] = Field(default_factory=dict, description="what each input of a board means")

    @model_validator(mode="before")
    @classmethod
    def _kind_of_profile(cls, data: Any, info: ValidationInfo) -> Any:
        if isinstance(data, dict) and data.get("kind") is None and isinstance(data.get("profile"), str):
            try:
                return {**data, "kind": load(_located(data["profile"], info)).kind}
            except Wrong:
                return data  # told by the field itself
        return data

    @field_validator("profile")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        located = _located(value, info)
        load(located)
        return located

    @model_validator(mode="after")
    def _inputs_exist(self) -> "Config":
        count = self.map.inputs.count if self.map.inputs else 0
        strange = next((number for number in self.inputs if not 1 <= number <= count), None)
        if strange is not None:
            has = f"inputs 1 to {count}" if count else "no inputs"
            raise Wrong(
                f"input {strange}: a {self.profile} has {has}",
                f"输入 {strange}:{self.profile} " + (f"的输入为 1 到 {count}" if count else "没有输入"),
            )
        return self

    @cached_property
    def map(self) -> Profile:
        """The profile."""
        return load(self.profile)

    @cached_property
    def reads(self) -> tuple[Read, ...]:
        """Every value to read, the board's inputs included."""
        inputs = self.map.inputs
        return self.map.reads if inputs is None else (*self.map.reads, *map(inputs.read, range(1, inputs.count + 1)))

    @cached_property
    def watches(self) -> tuple[Watch, ...]:
        """Every condition: the profile's, and those of the inputs named here."""
        reads = {read.name: read for read in self.map.reads}
        own = [Watch(self._own(condition), reads[condition.read]) for condition in self.map.conditions]
        if self.map.inputs is None:
            return tuple(own)
        return (*own, *(self._input(self.map.inputs, number, item) for number, item in sorted(self.inputs.items())))

    def _own(self, condition: Condition) -> Condition:
        return condition if self.debounce is None else condition.model_copy(update={"debounce": self.debounce})

    def _input(self, board: Inputs, number: int, item: Input) -> Watch:
        inverted = board.inverted if item.inverted is None else item.inverted
        read = board.read(number)
        condition = Condition(type=item.type, read=read.name, equals=(1,), inverted=inverted)
        debounce = item.debounce or self.debounce or condition.debounce
        part: dict[str, Json] = {"point": number} | ({"text": item.name} if item.name else {})
        return Watch(condition.model_copy(update={"debounce": debounce}), read, part)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The requests of one poll."""
        return plan(self.reads, self.map.gap, self.map.max_count)

    @cached_property
    def poll_s(self) -> float:
        """Seconds between two polls."""
        return self.poll or self.map.poll

    @cached_property
    def peer(self) -> Peer:
        """Whom to ask, and how patiently."""
        retries = self.map.retries if self.retries is None else self.retries
        return Peer(self.address, self.timeout or self.map.timeout, retries)

    def offline(self, misses: int, silent_s: float) -> bool:
        """Whether so many missed polls, or so long a silence, mean that the device is lost."""
        limit = self.map.offline_after if self.offline_after is None else self.offline_after
        return misses >= limit if isinstance(limit, int) else misses > 0 and silent_s >= limit
