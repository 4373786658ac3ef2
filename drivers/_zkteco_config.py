"""What gateway.yaml says of a ZKTeco terminal or controller. (An underscore: no driver.)"""

from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from drivers._network import Network, network
from drivers._types import device_type
from drivers._zone import BEIJING, Zone
from gateway.errors import Text
from gateway.event import Phase
from gateway.fields import DeviceConfig, Duration, HostPort, Model, Wrong
from gateway.taxonomy import TYPES

MOST_DOORS = 16  # security PUSH 4.8, 12.4: doors 01 to 10 (hexadecimal)
LONGEST_OPEN_S = 254  # the same: 01 to FE are seconds, FF is for ever
Dialect = Literal["auto", "attendance", "access"]


TypeName = Annotated[str, AfterValidator(device_type)]


class Meaning(Model):
    """What an event code means on this device, where the vendor's table does not say what is true here."""

    type: TypeName = Field(description="event type, e.g. access.granted")
    phase: Phase | None = Field(None, description="raise or clear; not needed for happenings")
    reason: str | None = Field(None, max_length=64)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"type": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _fits(self) -> "Meaning":
        allowed = TYPES[self.type].phases
        if (self.phase or Phase.PULSE) not in allowed:
            words = ", ".join(phase for phase in allowed if phase is not Phase.STILL)
            raise Wrong(f"{self.type} needs phase: one of {words}", f"{self.type} 需要 phase:,可用 {words}")
        return self


class Input(Model):
    """What a contact on an auxiliary input of the controller means."""

    type: TypeName = Field(description="event type, e.g. door.open or safety.panic")
    active: Literal["short", "open"] = Field("short", description="what the input reads while it is so")
    name: str | None = Field(None, max_length=64, description="what people call it")


class Config(DeviceConfig):
    """A terminal or controller that pushes to the gateway."""

    listen: HostPort = Field(description='"host:port" where the gateway waits for it; several may share one')
    address: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$", description="its serial number, as its menu and label say")
    allow: tuple[Network, ...] = Field((), description="addresses it may come from; without: any that reaches us")
    part: str | None = Field(
        None, pattern=r"^(door|input|reader|line)-\d{1,2}$", description="this door of a controller, e.g. door-2"
    )
    doors: int = Field(1, ge=1, le=MOST_DOORS, description="how many doors it has; events then say which")
    dialect: Dialect = Field("auto", description="what it speaks, where it does not say so itself")
    zone: Zone = Field(BEIJING, description="of its clock, which sends no offset")
    inputs: dict[int, Input] = Field(default_factory=dict, description="auxiliary inputs by number")
    events: dict[int, Meaning] = Field(default_factory=dict, description="codes that mean something else here")
    open_for: Duration = Field(5.0, description="how long unlock opens, where the command does not say")
    command_timeout: Duration = Field(20.0, description="a command the device has not carried out by then has failed")
    offline_after: Duration = Field(180.0, description="silence that means it is offline; it polls every few seconds")

    @model_validator(mode="after")
    def _in_range(self) -> "Config":
        if not 1 <= self.open_for <= LONGEST_OPEN_S:
            raise Wrong("open_for is 1s to 254s", "open_for 应为 1s 到 254s")
        return self

    def allows(self, peer: str) -> bool:
        """May it come from this address?"""
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address
        return not self.allow or any(plain in network(each) for each in self.allow)

    def advice(self) -> tuple[tuple[str, Text], ...]:
        """The protocol has no password: the address is all there is to know a device by."""
        if self.allow or self.part is not None:
            return ()
        text = Text(
            "any machine that reaches this port can pass for the device: write allow: with its address",
            "任何能访问该端口的机器都可冒充此设备:请用 allow: 写明它的 IP 地址",
        )
        return (("address", text),)
