"""What a door reader behind a Wiegand converter has in gateway.yaml. (An underscore: no driver.)"""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from drivers._wiegand import Format
from drivers._wiegand_frame import Frame, named
from gateway.fields import DeviceConfig, Duration, Id, Wrong


class Config(DeviceConfig):
    """A reader behind a converter of Wiegand to a serial line or to TCP."""

    bus: Id = Field(description="the line to the converter, one of buses:")
    frame: Annotated[Frame, BeforeValidator(named, json_schema_input_type=str | Frame)] = Field(
        description="how its messages look: hex-line, decimal-line, bits-line, em-uart, or a table of your own"
    )
    address: int | None = Field(
        default=None, ge=0, le=255, description="which reader, where the converter has several and says so"
    )
    format: Format = Field(default="auto", description="card layout, where the message leaves it open")
    ignore_repeats: Duration = Field(
        default=1.0, description="the same card again within this time is the same reading"
    )
    pin_timeout: Duration = Field(default=10.0, description="keys older than this are forgotten")
    offline_after: Duration | None = Field(
        default=None, description="no message, not even a heartbeat, for so long is offline"
    )

    @model_validator(mode="after")
    def _fits(self) -> "Config":
        if self.offline_after is not None and not self.frame.heartbeat:
            raise Wrong(
                "offline_after: needs a converter that sends something by itself: write its heartbeat: in frame:",
                "offline_after: 需要会主动发送心跳的转换器:请在 frame: 中写 heartbeat:",
            )
        if (self.address is None) != (self.frame.address is None):
            raise Wrong(
                "address: goes with a frame whose address: says where it stands",
                "address: 须与 frame: 中的 address:(读头号所在字节)同时使用",
            )
        return self
