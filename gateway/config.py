"""gateway.yaml as a whole (contract, section 6), and `load`, which tells everything wrong with it at once."""

from pydantic import Field, SerializeAsAny

from gateway.credentials import CredentialEntry, CredentialsConfig
from gateway.fields import BusConfig, DeviceConfig, Id, Model
from gateway.sections import GatewayConfig, Responsibility, Rule, SiteConfig, TypePattern, UplinkConfig

__all__ = [
    "Config",
    "CredentialEntry",
    "CredentialsConfig",
    "GatewayConfig",
    "SiteConfig",
    "UplinkConfig",
]


class Config(Model):
    """The whole of gateway.yaml."""

    gateway: GatewayConfig
    site: SiteConfig
    uplinks: dict[Id, UplinkConfig] = Field(default={}, description="departments' brokers by name")
    buses: dict[Id, BusConfig] = Field(default={}, description="lines that devices share, by name")
    devices: tuple[SerializeAsAny[DeviceConfig], ...] = Field(
        default=(), description="each with the keys of its driver"
    )
    credentials: CredentialsConfig | None = Field(
        default=None, description="who may open which door, also with no uplink"
    )
    responsibility: dict[TypePattern, Responsibility] = Field(default={}, description="who acts on which alarm type")
    rules: tuple[Rule, ...] = Field(default=(), description="events that make devices act")
