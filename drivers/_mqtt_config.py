"""What gateway.yaml says of a hub on a broker, and of a device behind one. (An underscore: no driver.)"""

import re
from functools import cached_property
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from drivers._mapping import Path
from drivers._mqtt_profile import MOST_FIELDS, Meaning, Measured, Name, Profile, load, locate
from drivers._zone import BEIJING, Zone
from gateway.errors import Text
from gateway.fields import DeviceConfig, Duration, File, Id, Model, Secret, Wrong

PORTS = {"mqtt": 1883, "mqtts": 8883}  # IANA's, by scheme
_IDS = re.compile(r"(?:[a-z0-9-]|\{[A-Za-z_][A-Za-z0-9_.:-]{0,62}\})+")
_OF_A_HUB = ("username", "password", "tls", "client_id", "protocol", "base", "ids")
_OF_A_DEVICE = ("address", "conditions", "values", "sleeps")


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0 and parts.path in ("", "/")
    except ValueError:
        good = False
    if not good or "@" in text or "?" in text or "#" in text:
        raise Wrong(
            'the broker is needed as "mqtt://host" or "mqtts://host", with :port if unusual, without user and password',
            '需要 "mqtt://主机" 或 "mqtts://主机",端口不同于默认时加 :端口,不带用户名和密码',
        )
    return text


def _ids(pattern: str) -> str:
    if not _IDS.fullmatch(pattern) or "{" not in pattern:
        raise Wrong(
            'a pattern of ids is needed: a-z, 0-9, - and at least one {name}, in quotes: "z2m-{address}"',
            '需要设备 id 的格式:a-z、0-9、- 以及至少一个 {名称},并加引号,例如 "z2m-{address}"',
        )
    return pattern


def _version(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Tls(Model):
    """Certificates, PEM files; without this, the broker's is checked against the system's authorities."""

    ca: File | None = Field(None, description="authority of the broker's certificate")
    cert: File | None = Field(None, description="this gateway's certificate")
    key: File | None = Field(None, description="its private key")

    @model_validator(mode="after")
    def _a_pair(self) -> "Tls":
        if (self.cert is None) != (self.key is None):
            raise Wrong("cert: and key: go together", "cert: 和 key: 必须同时提供")
        return self


class Config(DeviceConfig):
    """A hub (zigbee2mqtt, Frigate, ChirpStack, …) by `url`, or a device behind one by `hub`."""

    url: Annotated[str, AfterValidator(_url)] | None = Field(None, description="of a hub: mqtt:// or mqtts:// broker")
    username: str | None = Field(None, description="of a hub, as its broker asks")
    password: Secret | None = Field(None, description="best by !file")
    tls: Tls | None = None
    client_id: str | None = Field(
        None, min_length=1, max_length=128, description="of a hub; without: made once and kept"
    )
    protocol: Annotated[
        Literal["auto", "5", "3.1.1"], BeforeValidator(_version, json_schema_input_type=Literal["auto", "5", "3.1.1"])
    ] = Field("auto", description="of a hub: MQTT version; auto: 5, and 3.1.1 where the broker refuses that")
    profile: str | None = Field(None, description="of a hub: zigbee2mqtt, frigate, …, or a file of your own")
    base: str | None = Field(
        None, pattern=r"^[^+#{}]*$", max_length=256, description="of a hub: first levels of topics"
    )
    ids: Annotated[str, AfterValidator(_ids)] | None = Field(
        None,
        description='of a hub: what the ids behind it are made of, e.g. "z2m-{address}"; no address: is needed then',
    )
    hub: Id | None = Field(None, description="of a device: the hub it stands behind")
    address: str | None = Field(
        None, min_length=1, max_length=256, description="of a device: as the hub calls it; IEEE address, DevEUI, camera"
    )
    conditions: dict[Path, Meaning] = Field(
        default_factory=dict, max_length=MOST_FIELDS, description="fields of this device, beside the profile's"
    )
    values: dict[Name, Measured] = Field(default_factory=dict, max_length=MOST_FIELDS)
    sleeps: bool = Field(False, description="it sleeps between reports: that it says so itself is no news")
    offline_after: Duration | None = Field(None, description="silence that means it is offline; of a hub: its devices'")
    zone: Zone = Field(BEIJING, description="of a clock that sends no offset")

    @field_validator("profile")
    @classmethod
    def _found(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is None:
            return None
        where = locate(name, (info.context or {}).get("base", FilePath()))
        load(where)
        return where

    @model_validator(mode="after")
    def _one_of_two(self) -> "Config":
        if (self.url is None) == (self.hub is None):
            raise Wrong(
                "either url: of the broker, for a hub, or hub: with a hub's id, for a device behind it",
                "汇聚设备写 url:(服务器地址),其下的设备写 hub:(汇聚设备的 id),二者写一个",
            )
        foreign = _OF_A_HUB if self.url is None else _OF_A_DEVICE
        given = next((name for name in foreign if name in self.model_fields_set), None)
        if given is not None and self.url is None:
            raise Wrong(f"{given}: stands with the hub", f"{given}: 应写在汇聚设备上")
        if given is not None:
            raise Wrong(f"{given}: stands with a device behind the hub", f"{given}: 应写在汇聚设备下的设备上")
        return self

    @model_validator(mode="after")
    def _hub_is_whole(self) -> "Config":
        if (self.url is None) != (self.profile is None):
            raise Wrong(
                "a hub needs profile: (zigbee2mqtt, frigate, …); the devices behind it have none",
                "汇聚设备需要 profile:(zigbee2mqtt、frigate 等);其下的设备不写",
            )
        if self.tls is not None and not self.secure:
            raise Wrong("tls: needs mqtts:// in url:", "使用 tls: 时,url: 必须是 mqtts://")
        if self.password is not None and self.username is None:
            raise Wrong("password: needs username:", "有 password: 时必须写 username:")
        return self

    @property
    def secure(self) -> bool:
        """Over TLS?"""
        return (self.url or "").startswith("mqtts:")

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port of a hub's broker."""
        parts = urlsplit(self.url or "")
        return parts.hostname or "", parts.port or PORTS[parts.scheme]

    @cached_property
    def meaning(self) -> Profile:
        """A hub's profile."""
        return load(self.profile or "")

    def advice(self) -> tuple[tuple[str, Text], ...]:
        """A broker without a password is open to whoever reaches it."""
        local = self.endpoint[0] in ("127.0.0.1", "localhost", "::1") if self.url else True
        if local or self.username is not None or (self.tls is not None and self.tls.cert is not None):
            return ()
        text = Text(
            "without username: anybody who reaches this broker can report for every device of the hub",
            "未写 username::任何能访问该服务器的人都可冒充其下所有设备上报",
        )
        return (("url", text),)
