"""What gateway.yaml says of an ISAPI device. (An underscore: no driver.)"""

from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator
from yarl import URL

from drivers._http import DeviceUrl, Site, Tls
from drivers._network import Network, network
from drivers._types import device_type
from gateway.errors import Text
from gateway.fields import DeviceConfig, Duration, HostPort, Model, Secret, Wrong

MOST_DOORS = 256


class Input(Model):
    """What a wire on one of the device's alarm inputs means."""

    type: Annotated[str, AfterValidator(device_type)] = Field(description="event type, e.g. door.open")
    clear_after: Duration | None = Field(None, description="silence that means the end; else the device's")


class Config(DeviceConfig):
    """A camera, recorder, door controller or face terminal with ISAPI."""

    url: DeviceUrl = Field(description='"http://192.0.2.64" or "https://…"')
    username: str = Field("admin", pattern=r"^[^:]+$")
    password: Secret
    tls: Tls | None = Field(None, description="how to check a certificate no public authority has signed")
    channel: int | None = Field(None, ge=0, description="only this channel of a recorder")
    door: int | None = Field(None, ge=1, le=MOST_DOORS, description="only this door of a controller; commands go to it")
    inputs: dict[int, Input] = Field(default_factory=dict, description="alarm inputs by number")
    clear_after: Duration = Field(10.0, description="silence that means the end of a condition")
    silence: Duration = Field(60.0, description="a device without a word for this long is asked, or heard anew")
    retry: Duration = Field(5.0, description="between attempts; longer after each")
    answer_within: Duration = Field(15.0, description="an answer that has not begun by then does not come")
    records: Duration = Field(
        30.0, description="how often a door controller's memory is looked through for what is new"
    )
    listen: HostPort | None = Field(None, description='"host:port" where the device pushes to; else it is listened to')
    callback: HostPort | None = Field(
        None, description="where the device reaches that port, if not at this box's address"
    )
    path: str | None = Field(
        None, pattern=r"^/[A-Za-z0-9/_-]{16,120}$", description="where it pushes to, set on the device by hand"
    )
    allow: tuple[Network, ...] = Field((), description="addresses it may push from; without: only that in its url")

    @model_validator(mode="after")
    def _push(self) -> "Config":
        if self.listen is None and (self.path is not None or self.callback is not None or self.allow):
            raise Wrong(
                "path, callback and allow go with listen: they are about a device that pushes",
                "path、callback、allow 仅用于推送方式,须与 listen: 一起使用",
            )
        return self

    @property
    def site(self) -> Site:
        """Where and how to log in."""
        return Site(self.id, self.url, self.username, self.password, self.tls, self.answer_within)

    def allows(self, peer: str) -> bool:
        """May it push from this address? By default from that of its `url`; from any where that is a name."""
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address
        return not self.allowed or any(plain in network(each) for each in self.allowed)

    @property
    def allowed(self) -> tuple[str, ...]:
        """The addresses and networks it may push from; none: any."""
        own = _address(self.url)
        return self.allow or (() if own is None else (own,))

    def advice(self) -> tuple[tuple[str, Text], ...]:
        """A pushing device is known by its address and a path that nobody can guess."""
        if self.listen is None or self.allow or _address(self.url) is not None:
            return ()
        text = Text(
            "any machine that learns the path can pass for the device: write allow: with its address",
            "任何知道该路径的机器都可冒充此设备:请用 allow: 写明它的 IP 地址",
        )
        return (("listen", text),)


def _address(url: str) -> str | None:
    """The address in a url; None where a name stands there."""
    host = URL(url).host or ""
    try:
        return str(ip_address(host))
    except ValueError:
        return None
