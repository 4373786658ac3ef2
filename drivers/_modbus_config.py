"""What gateway.yaml says of a Modbus device, joined with its profile. (An underscore: no driver.)"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from drivers._modbus_profile import Condition, EventName, Input, Inputs, Points, Profile, Read, load, locate
from drivers._modbus_values import Block, Layout, layout, plan
from drivers._modbus_wire import Peer
from gateway.event import Json, part_key
from gateway.fields import DeviceConfig, Duration, Id, Model, Wrong, parse_duration

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


def _named(part: dict[str, Json], name: str | None) -> Mapping[str, Json]:
    return part if name is None else {**part, "text": name}


def _located(profile: str, info: ValidationInfo) -> str:
    """Relative to the folder of the YAML file (`base` in the context), as all paths are."""
    return locate(profile, (info.context or {}).get("base", Path()))


Patience = Annotated[int | float, BeforeValidator(patience, json_schema_input_type=int | str)]


class PowerCut(Model):
    """How latching heads are let go: an output of this board that cuts their power, for so long."""

    output: int = Field(ge=1, le=64)
    seconds: float = Field(default=5.0, ge=0.1, le=60)


PointName = Annotated[str, Field(pattern=r"^\d{1,3}-\d{1,3}$", description="loop and point, e.g. 1-5")]


class Keys(DeviceConfig):
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
    loops: dict[int, int] = Field(default_factory=dict, description="of a panel: loop → how many points are asked")
    states: dict[int, EventName] = Field(
        default_factory=dict, description="of a panel: a point's value → the event type it means; others are told"
    )
    points: dict[PointName, str] = Field(
        default_factory=dict, description="of a panel: loop-point → what people call it"
    )
    reset: PowerCut | None = Field(None, description="command reset: cut the power of latching heads by an output")

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
    def _inputs_exist(self) -> "Keys":
        count = self.map.inputs.count if self.map.inputs else 0
        strange = next((number for number in self.inputs if not 1 <= number <= count), None)
        if strange is not None:
            has = f"inputs 1 to {count}" if count else "no inputs"
            raise Wrong(
                f"input {strange}: a {self.profile} has {has}",
                f"输入 {strange}:{self.profile} " + (f"的输入为 1 到 {count}" if count else "没有输入"),
            )
        return self

    @model_validator(mode="after")
    def _loops_exist(self) -> "Keys":
        points = self.map.points
        if points is None and (self.loops or self.states or self.points):
            raise Wrong(
                f"loops:, states: and points: are of panels; a {self.profile} is none",
                f"loops:、states: 和 points: 只用于控制器,{self.profile} 不是控制器",
            )
        if points is not None:
            self._check_loops(points)
        return self

    def _check_loops(self, points: Points) -> None:
        if not self.loops:
            raise Wrong(
                "which points are asked? write loops: {1: 60} for points 1 to 60 of loop 1",
                "需要写明查询哪些点,例如 loops: {1: 60} 表示 1 号回路的 1 到 60 号点",
            )
        for loop, count in self.loops.items():
            if not 1 <= loop <= points.max_loops or not 1 <= count <= points.max_points:
                raise Wrong(
                    f"loop {loop}: loops 1 to {points.max_loops}, with 1 to {points.max_points} points, are allowed",
                    f"回路 {loop}:允许 1 到 {points.max_loops} 号回路,每个 1 到 {points.max_points} 个点",
                )
        known = {f"{loop}-{point}" for loop, point in self.asked()}
        strange = next((name for name in self.points if name not in known), None)
        if strange is not None:
            raise Wrong(f"point {strange} is not among loops:", f"loops: 中没有点 {strange}")

    @model_validator(mode="after")
    def _reset_works(self) -> "Keys":
        outputs = self.map.outputs
        if self.reset is not None and (outputs is None or outputs.pulse is None or self.reset.output > outputs.count):
            count = outputs.count if outputs is not None and outputs.pulse is not None else 0
            raise Wrong(
                f"reset: needs an output that the board itself times; {self.profile} has {count} of them",
                f"reset: 需要由模块自行定时的输出,{self.profile} 有 {count} 路",
            )
        return self

    @cached_property
    def map(self) -> Profile:
        """The profile."""
        return load(self.profile)

    def asked(self) -> list[tuple[int, int]]:
        """Loop and point of every point of a panel that is read."""
        return [(loop, point) for loop, count in sorted(self.loops.items()) for point in range(1, count + 1)]


class Config(Keys):
    """The same, and what follows from it: what is read, and what it means."""

    @cached_property
    def reads(self) -> tuple[Read, ...]:
        """Every value to read: the profile's, a board's inputs, a panel's points."""
        inputs, points = self.map.inputs, self.map.points
        more = [] if inputs is None else [inputs.read(number) for number in range(1, inputs.count + 1)]
        asked = [] if points is None else [points.read(*where) for where in self.asked()]
        return (*self.map.reads, *more, *asked)

    @cached_property
    def parts(self) -> Mapping[str, Mapping[str, Json]]:
        """The part of the device that a read is about, by its name; none where it is about the device itself."""
        inputs = {f"input_{number}": _named({"point": number}, item.name) for number, item in self.inputs.items()}
        points = {f"point_{loop}_{point}": self._part(loop, point) for loop, point in self.asked()}
        return {**inputs, **points}

    def _part(self, loop: int, point: int) -> Mapping[str, Json]:
        address = f"{loop}-{point}"
        return _named({"address": address, "loop": loop, "point": point}, self.points.get(address))

    @cached_property
    def watches(self) -> tuple[Watch, ...]:
        """Every condition: the profile's, those of the inputs named here, and what a panel's states mean."""
        reads = {read.name: read for read in self.reads}
        own = [Watch(self._own(condition), reads[condition.read]) for condition in self.map.conditions]
        board = self.map.inputs
        inputs = [] if board is None else [self._input(board, *item) for item in sorted(self.inputs.items())]
        points = [self._point(reads[f"point_{loop}_{point}"], type) for loop, point in self.asked()
                  for type in dict.fromkeys(self.states.values())]  # fmt: skip
        return (*own, *inputs, *points)

    def _own(self, condition: Condition) -> Condition:
        return condition if self.debounce is None else condition.model_copy(update={"debounce": self.debounce})

    def _input(self, board: Inputs, number: int, item: Input) -> Watch:
        inverted = board.inverted if item.inverted is None else item.inverted
        read = board.read(number)
        condition = self._own(Condition(type=item.type, read=read.name, equals=(1,), inverted=inverted))
        if item.debounce is not None:
            condition = condition.model_copy(update={"debounce": item.debounce})
        return Watch(condition, read, self.parts[read.name])

    def _point(self, read: Read, type: str) -> Watch:
        values = tuple(value for value, meant in self.states.items() if meant == type)
        return Watch(self._own(Condition(type=type, read=read.name, equals=values)), read, self.parts[read.name])

    @cached_property
    def layout(self) -> Layout:
        """Which reads each request brings."""
        return layout(self.reads, self.blocks)

    @cached_property
    def meant(self) -> Mapping[str, list[Condition]]:
        """The conditions that look at a read, by its name."""
        found: dict[str, list[Condition]] = {}
        for watch in self.watches:
            found.setdefault(watch.read.name, []).append(watch.condition)
        return found

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The requests of one poll."""
        return plan(self.reads, self.map.gap, self.map.max_count)

    @cached_property
    def poll_s(self) -> float:
        """Seconds between two polls."""
        return self.map.poll if self.poll is None else self.poll

    @cached_property
    def peer(self) -> Peer:
        """Whom to ask, and how patiently."""
        retries = self.map.retries if self.retries is None else self.retries
        return Peer(self.address, self.timeout or self.map.timeout, retries)

    def offline(self, misses: int, silent_s: float) -> bool:
        """Whether so many missed polls, or so long a silence, mean that the device is lost."""
        limit = self.map.offline_after if self.offline_after is None else self.offline_after
        return misses >= limit if isinstance(limit, int) else misses > 0 and silent_s >= limit
