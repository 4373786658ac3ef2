"""What gateway.yaml says of an ONVIF device. (An underscore: no driver.)"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drivers._http import DeviceUrl, Site, Tls
from drivers._types import device_type
from gateway.errors import Text
from gateway.fields import DeviceConfig, Duration, Model, Secret

Token = Annotated[str, Field(pattern=r"^[^\s/]{1,64}$")]  # tt:ReferenceToken, at most 64 characters (onvif.xsd)
Span = Annotated[Duration, Field(ge=1.0, le=3600.0)]
LEAST_LIFETIME_S = 10.0
SHORT_LIFETIME_S = 300.0


class Input(Model):
    """What a wire on one of the device's digital inputs means."""

    type: Annotated[str, AfterValidator(device_type)] = Field(description="event type, e.g. safety.panic")
    inverted: bool = Field(False, description="the device says false while it is so (normally closed)")


class Config(DeviceConfig):
    """A camera, recorder or intercom with ONVIF."""

    url: DeviceUrl = Field(description='"http://192.0.2.64:8000" or "https://…", with the port of ONVIF')
    username: str = Field("admin", pattern=r"^[^:]+$", description="of ONVIF's users, often apart from the web page's")
    password: Secret
    tls: Tls | None = Field(None, description="how to check a certificate no public authority has signed")
    path: str = Field("/onvif/device_service", pattern=r"^/[!-~]{0,200}$", description="of the device service")
    login: Literal["both", "token", "digest"] = Field(
        "both", description="token in each message (WS-UsernameToken), HTTP digest where asked for it, or both"
    )
    source: Token | None = Field(None, description="only this video source of a recorder, by its token")
    inputs: dict[Token, Input] = Field(default_factory=dict, description="digital inputs by token")
    ignore: tuple[Annotated[str, Field(pattern=r"^[!-~]{1,200}$")], ...] = Field(
        (), description="topics that are not told, e.g. VideoSource/MotionAlarm where both tell the same motion"
    )
    clear_after: Span = Field(30.0, description="silence that means the end, where a state is repeated while it lasts")
    never_false: bool = Field(False, description="no end is ever told: clear_after of silence always means it")
    pull: Span = Field(30.0, description="how long the device may hold a question for news")
    lifetime: Annotated[Duration, Field(ge=LEAST_LIFETIME_S, le=3600.0)] = Field(
        120.0, description="of a subscription; renewed at half of it, and gone by itself after a crash"
    )
    retry: Span = Field(5.0, description="between attempts; longer after each")
    answer_within: Span = Field(15.0, description="an answer that has not begun by then does not come")

    @property
    def site(self) -> Site:
        """Where and how to log in."""
        return Site(self.id, self.url, self.username, self.password, self.tls, self.answer_within)

    def advice(self) -> tuple[tuple[str, Text], ...]:
        """Most cameras have room for about five subscriptions, and cannot list them."""
        if self.lifetime <= SHORT_LIFETIME_S:
            return ()
        text = Text(
            "after a power cut the old subscription holds its place in the camera for so long: 2m is plenty",
            "断电后旧订阅会在摄像机中占位这么久:2m 已足够",
        )
        return (("lifetime", text),)
