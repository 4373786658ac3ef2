"""The arguments of each action (contract, section 10): exactly these, of these types."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from gateway.event import Lane
from gateway.fields import Wrong
from gateway.sections import PerSecond


class Args(BaseModel):
    """None."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _number(value: Any) -> Any:
    """A sequence as events carry it, 16 digits, or as a number."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,16}", value) else value


_NUMBER = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9]{1,16}$"}]}
Number = Annotated[int, BeforeValidator(_number), Field(ge=1, lt=10**16), WithJsonSchema(_NUMBER)]  # 16 digits
Reason = Annotated[str, Field(min_length=1, max_length=200)]
Note = Annotated[str, Field(max_length=1000)]


class SyncArgs(Args):
    """`replay_rate`: events per second of what waited while the link was away, until the gateway starts again."""

    replay_rate: PerSecond | None = None


class ResendArgs(Args):
    """Which stream, from which number, to which: both are included."""

    stream: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\.(alarm|event|telemetry)$")]
    first: Annotated[Number, Field(alias="from")]
    last: Annotated[Number | None, Field(alias="to")] = None

    @property
    def lane(self) -> Lane:
        """The stream's."""
        return Lane(self.stream.rpartition(".")[2])

    @property
    def uplink(self) -> str:
        """The stream's."""
        return self.stream.rpartition(".")[0]


class UnlockArgs(Args):
    """For how long; without: as the door is configured."""

    seconds: Annotated[float, Field(gt=0, le=3600)] | None = None


class OutputArgs(Args):
    """Which output, on or off; `seconds`: and back after so long."""

    number: Annotated[int, Field(ge=0)]
    state: bool | Literal["on", "off"]
    seconds: Annotated[float, Field(gt=0, le=86400)] | None = None


class TestArgs(Args):
    """For how long what the device raises is a test; 0 ends it. A fire transmission device: the post check's time."""

    __test__ = False  # nothing for pytest
    seconds: Annotated[float, Field(ge=0, le=366 * 86400)]


class ShelveArgs(Args):
    """For how long, at most 8 h (0 ends it), and why."""

    seconds: Annotated[float, Field(ge=0, le=8 * 3600)]  # measures.LONGEST_SHELF_S
    reason: Reason


class ShieldArgs(Args):
    """For how long, and why."""

    seconds: Annotated[float, Field(ge=1, le=366 * 86400)]
    reason: Reason


class UnshieldArgs(Args):
    """Why."""

    reason: Reason


class AlarmArgs(Args):
    """Which alarm."""

    alarm: Annotated[str, Field(min_length=6, max_length=64)]


class AcknowledgeArgs(AlarmArgs):
    """Which alarm, and what is to be remembered."""

    note: Note | None = None


class DisposeArgs(AcknowledgeArgs):
    """Which alarm, what it was, and from what cause."""

    outcome: Literal["real", "false", "test", "drill", "other"]
    cause: Note | None = None


class DrillArgs(Args):
    """Which place or device, or neither for all of the site; for how long: 0 ends it."""

    place: str | None = None
    device: str | None = None
    seconds: Annotated[float, Field(ge=0, le=366 * 86400)]

    @model_validator(mode="after")
    def _one(self) -> "DrillArgs":
        if self.place is not None and self.device is not None:
            raise Wrong("place or device, not both", "place 和 device 只能写一个")
        return self

    @property
    def scope(self) -> str:
        """As `Covers.drill` takes it."""
        return self.place or self.device or ""


class PictureArgs(Args):
    """Which picture (`ref`, as its event has it), from which byte: 48 KiB come at a time."""

    ref: Annotated[str, Field(min_length=1, max_length=200)]
    offset: Annotated[int, Field(ge=0, lt=2**31)] = 0


ARGUMENTS: dict[str, type[Args]] = {
    "unlock": UnlockArgs, "lock": Args, "release": Args, "lockdown": Args, "output": OutputArgs, "snapshot": Args,
    "test": TestArgs, "shelve": ShelveArgs, "shield": ShieldArgs, "unshield": UnshieldArgs,
    "ping": Args, "sync": SyncArgs, "resend": ResendArgs, "silence": Args, "acknowledge": AcknowledgeArgs,
    "dispose": DisposeArgs, "reset": AlarmArgs, "drill": DrillArgs, "reload": Args, "restart": Args, "bundle": Args,
    "picture": PictureArgs,
}  # fmt: skip
