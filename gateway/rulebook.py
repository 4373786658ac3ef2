"""The models of `rules:` (linkage, 联动): which events make devices act, on what, for how long, and who gives way."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from gateway.credentials import Hours
from gateway.event import Phase
from gateway.fields import Duration, Id, Model, Size, Wrong
from gateway.sections import Label, TypePattern

SAME_BUILDING = "same-building"
ON_DOORS = ("release", "unlock", "lock", "lockdown")
LASTING = ("release", "lockdown", "output", "sound", "suppress")  # what has an end of its own
WITHOUT_DEVICE = ("sound", "notify")
LONGEST_SHELF_S = 8 * 3600.0  # domain notes, 3.4
FIRE = "fire."  # how the types begin that open doors until a person resets

Verb = Literal[
    "release", "unlock", "lock", "lockdown", "output", "snapshot", "sound", "notify", "shelve", "suppress"
]  # fmt: skip


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Types = Annotated[
    tuple[TypePattern, ...],
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
    Field(min_length=1, description="event types, e.g. fire.*, or a list of them"),
]


class When(Model):
    """What a rule waits for. All that is given must be met."""

    type: Types
    phase: Phase | None = Field(default=None, description="without: its beginning (raise or pulse)")
    outcome: Literal["real", "false", "test", "drill", "other"] | None = Field(
        default=None, description="not the event itself, but that a person disposed of its alarm as this"
    )
    devices: tuple[Id, ...] = Field(default=(), description="only of these devices")
    kind: str | None = Field(default=None, description="only of devices of this kind")
    place: str | None = Field(default=None, description="only of devices there, or inside it")
    hours: Hours | None = Field(default=None, description='only then, e.g. {mon-fri: "22:00-06:00"}')
    lasts: Duration | None = Field(default=None, alias="for", description="only when it lasts so long")
    count: Annotated[int, Field(ge=2, le=1000)] | None = Field(default=None, description="only the so-many-th within …")
    within: Duration | None = None
    test: bool | Literal["any"] = Field(
        default=False, description="a test or drill moves nothing; true: only a test does; any: both do"
    )

    @model_validator(mode="after")
    def _together(self) -> "When":
        if (self.count is None) != (self.within is None):
            raise Wrong("count: and within: go together", "count: 和 within: 必须同时提供")
        if self.outcome is not None and (self.phase or self.lasts or self.count):
            raise Wrong("outcome: goes with no phase:, for: or count:", "outcome: 不能与 phase:、for:、count: 同时使用")
        if self.lasts is not None and self.phase not in (None, Phase.RAISE):
            raise Wrong("for: goes with phase: raise", "for: 只能与 phase: raise 一起使用")
        return self


class Selector(Model):
    """Which devices a rule acts on. All that is given must be met."""

    kind: str | None = None
    place: str | None = Field(default=None, description="same-building, or a path: all that is there and inside it")
    ids: tuple[Id, ...] = Field(default=(), description="only these")

    @model_validator(mode="after")
    def _some(self) -> "Selector":
        if self.kind is None and self.place is None and not self.ids:
            raise Wrong("kind: or place: is needed, or ids:", "需要 kind:、place: 或 ids:")
        return self


class Do(Model):
    """What a rule does."""

    action: Verb
    devices: Selector | None = Field(default=None, description="not with sound and notify")
    delay: Duration = Field(default=0.0, description="so long after the event")
    hold: Duration | None = Field(default=None, description="for so long, then back; of shelve: how long")
    until: Literal["cleared", "reset"] | None = Field(
        default=None, description="until the event's condition has ended, or until a person has reset its alarm"
    )
    number: Annotated[int, Field(ge=0, le=65535)] | None = Field(default=None, description="of output: which")
    state: bool | None = Field(default=None, description="of output: on or off")
    type: TypePattern | None = Field(default=None, description="of suppress: which alarms, e.g. device.offline")
    target: Label | None = Field(default=None, description="of notify: whom, as under responsibility")
    text: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="of notify, sound and shelve: what people read"
    )

    @model_validator(mode="after")
    def _complete(self) -> "Do":
        alone = self.action in WITHOUT_DEVICE
        if (self.devices is None) != alone:
            raise Wrong(
                f"{self.action} " + ("takes no devices:" if alone else "needs devices:"),
                f"{self.action} " + ("不需要 devices:" if alone else "需要 devices:"),
            )
        needed = {"output": ("number", "state"), "notify": ("target",), "suppress": ("type",), "shelve": ("hold",)}
        for key in needed.get(self.action, ()):
            if getattr(self, key) is None:
                raise Wrong(f"{self.action} needs {key}:", f"{self.action} 需要 {key}:")
        for key in ("number", "state", "target", "type"):
            if getattr(self, key) is not None and key not in needed.get(self.action, ()):
                raise Wrong(f"{self.action} takes no {key}:", f"{self.action} 不需要 {key}:")
        self._end()
        return self

    def _end(self) -> None:
        if self.hold is not None and self.until is not None:
            raise Wrong("either hold: or until:", "hold: 和 until: 只能写一个")
        if self.until is not None and self.action not in LASTING:
            raise Wrong(f"{self.action} has no end: until: is of no use", f"{self.action} 没有结束,不能写 until:")
        if self.hold is not None and self.action not in (*LASTING, "unlock", "shelve"):
            raise Wrong(f"{self.action} has no end: hold: is of no use", f"{self.action} 没有结束,不能写 hold:")
        if self.action == "shelve" and self.hold is not None and not 1 <= self.hold <= LONGEST_SHELF_S:
            raise Wrong("an alarm is shelved for 1s to 8h", "暂缓时长为 1s 至 8h")


class Rule(Model):
    """An event that makes devices act."""

    name: Id
    when: When
    do: tuple[Do, ...] = Field(min_length=1)
    yields_to: tuple[Id, ...] = Field(
        default=(), description="rules that win where both would move the same door or output, each another way"
    )

    @model_validator(mode="after")
    def _fire_stays_open(self) -> "Rule":
        fire = all(pattern.startswith(FIRE) for pattern in self.when.type) and self.when.phase is not Phase.CLEAR
        for do in self.do:
            if fire and do.action == "release" and (do.hold is not None or do.until == "cleared"):
                raise Wrong(
                    "doors that fire has opened stay open until the alarm is disposed of: leave hold: and until: out",
                    "火警释放的门须保持开启,直到人工处置报警:请去掉 hold: 和 until:",
                )
        return self


class PicturesConfig(Model):
    """What is kept of the cameras' pictures, on this box only."""

    max_size: Size = Field(default=256 * 2**20, description="room for pictures, on disk; the oldest go first")
    max_age: Duration = Field(default=7 * 86400.0, description="older ones go")
