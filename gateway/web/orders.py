"""What the HTTP interface takes in, as pydantic models: exactly this."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.arguments import Args, Note, OutputArgs, Reason, TestArgs, UnlockArgs
from gateway.duty import Outcome

_FROM_NOW = Field(examples=[3600], description="from now")


class Asked(BaseModel):
    """Exactly this."""

    model_config = ConfigDict(extra="forbid")


class Remark(Asked):
    """What is to be remembered."""

    note: Note | None = Field(None, examples=["已到现场"])


class Nothing(Asked):
    """No more to say."""


class Disposal(Remark):
    """What it was, from what cause."""

    outcome: Outcome
    cause: Note | None = Field(None, examples=["灰尘"])


class Shelf(Asked):
    """For how long, at most 8 h (0 ends it), and why."""

    seconds: Annotated[float, _FROM_NOW, Field(ge=0, le=8 * 3600)]
    reason: Reason = Field(examples=["装修粉尘"])


class Shield(Asked):
    """For how long, and why; of a part of the device where `part` is given."""

    seconds: Annotated[float, _FROM_NOW, Field(ge=1, le=366 * 86400)]
    reason: Reason = Field(examples=["更换探测器"])
    part: Annotated[str, Field(max_length=64)] = ""


class Unshield(Asked):
    """Why."""

    reason: Reason = Field(examples=["已更换"])
    part: Annotated[str, Field(max_length=64)] = ""


class DrillOrder(Asked):
    """A device, a place, or the whole site (""); for how long: 0 ends it."""

    target: Annotated[str, Field(max_length=200)] = ""
    seconds: Annotated[float, _FROM_NOW, Field(ge=0, le=366 * 86400)]


class Unlock(Asked):
    """Open the door for a moment."""

    action: Literal["unlock"]
    args: UnlockArgs = Field(UnlockArgs(), examples=[{"seconds": 5}])


def _whole(value: Any) -> Any:
    """`5.0` is an integer to JSON Schema (draft 2020-12, 6.1.1)."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Switch(OutputArgs):
    """Which output, on or off; `seconds`: and back after so long."""

    number: Annotated[int, Field(ge=0), BeforeValidator(_whole)]


class Output(Asked):
    """Switch an output."""

    action: Literal["output"]
    args: Switch


class TestRun(Asked):
    """What it raises meanwhile is a test."""

    __test__ = False  # nothing for pytest
    action: Literal["test"]
    args: TestArgs


class Plain(Asked):
    """What takes no arguments."""

    action: Literal["lock", "release", "lockdown", "snapshot"]
    args: Args = Args()


Command = Annotated[Unlock | Output | TestRun | Plain, Field(discriminator="action")]  # contract, section 10


class Handling(Remark):
    """`picture`: the reference of one that is kept (with `handled`)."""

    picture: Annotated[str, Field(max_length=200)] | None = None
