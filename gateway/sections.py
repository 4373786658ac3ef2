"""The models of gateway.yaml's sections (contract, section 6): the gateway, its site, its uplinks."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from gateway import taxonomy
from gateway.errors import Text
from gateway.event import Severity
from gateway.fields import Duration, File, HostPort, Id, Model, Secret, Share, Size, Wrong
from gateway.shifts import TIMEZONE, TimeZone
from gateway.signing import CommandKey

STATE_DIR = Path("/var/lib/community-gateway")
PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}  # IANA's, by scheme
SMALLEST_BUFFER_BYTES = 2**20
KEEPALIVE_S = (1.0, 60.0)  # least and most; MQTT 5.0, 3.1.2.10
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")  # RFC 1123, 2.1
ALWAYS_ALLOWED = ("ping", "sync", "resend")  # contract, section 4

Action = Literal[
    "unlock", "lock", "release", "lockdown", "output", "snapshot", "test", "shelve", "shield", "unshield",
    "ping", "sync", "resend", "silence", "acknowledge", "dispose", "reset", "drill", "reload", "restart", "bundle",
    "picture",
]  # fmt: skip


def _in_folder(path: Path, info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("base", Path()) / path)


def _event_types(pattern: str) -> str:
    if not taxonomy.known(pattern):
        close = taxonomy.suggest(pattern)
        raise Wrong(
            f'no event type is like "{pattern}" (allowed: fire.smoke, fire.*, *, …'
            + (f"; did you mean {close}?)" if close else ")"),
            f'没有 "{pattern}" 这样的事件类型(可用:fire.smoke、fire.*、* 等'
            + (f";是否想写 {close}?)" if close else ")"),
        )
    return pattern


def _host_name(name: str) -> str:
    if not _HOST_NAME.match(name):
        raise Wrong(
            "a host name is needed, without http:// and port, e.g. gateway.local",
            "需要主机名,不带 http:// 和端口,例如 gateway.local",
        )
    return name


Folder = Annotated[Path, AfterValidator(_in_folder)]
HostName = Annotated[str, AfterValidator(_host_name)]
PerSecond = Annotated[float, Field(gt=0)]
TypePattern = Annotated[str, AfterValidator(_event_types)]


class WebTlsConfig(Model):
    """The owner's own certificate for the page: PEM files, relative to the YAML file."""

    cert: File = Field(description="with all that stand between it and an authority that browsers know")
    key: File = Field(description="its private key, without a password")


class WebConfig(Model):
    """The local page and HTTP interface."""

    listen: HostPort = Field(
        default=("127.0.0.1", 8080), description="in the clear: for this machine, and for devices that post"
    )
    https: HostPort | None = Field(
        default=None, description='for people on other machines, e.g. "0.0.0.0:8443"; without: this machine only'
    )
    tls: WebTlsConfig | None = Field(
        default=None, description="certificate of https; without: the box makes one of its own"
    )
    plain: bool = Field(default=False, description="people on other machines may come in the clear, passwords and all")
    names: tuple[HostName, ...] = Field(
        default=(), description="host names it may be called by, besides IP addresses and localhost"
    )

    @model_validator(mode="after")
    def _two_ways(self) -> "WebConfig":
        if self.tls is not None and self.https is None:
            raise Wrong('tls: needs https: "0.0.0.0:8443"', '使用 tls: 时必须写 https: "0.0.0.0:8443"')
        if self.https is not None and self.https[1] == self.listen[1]:
            raise Wrong("listen: and https: need a port each", "listen: 和 https: 必须使用不同端口")
        return self

    def advice(self) -> list[Text]:
        """What its owner should know although it is right."""
        if not self.plain:
            return []
        return [
            Text(
                "plain: true lets passwords and doors' commands pass the network in the clear; "
                'https: "0.0.0.0:8443" and no plain: is better',
                'plain: true 会使密码和开门指令在网络中明文传输;建议改用 https: "0.0.0.0:8443" 并删除 plain:',
            )
        ]


class BufferConfig(Model):
    """What is kept on disk for uplinks that lag."""

    max_size: Size = Field(default=512 * 2**20, description="room for events, on disk")
    max_age: Duration = Field(default=30 * 86400.0, description="older ones go")
    alarm_reserve: Share = Field(default=0.25, description="share of the room that only alarms may use")
    max_cards_age: Duration | None = Field(
        default=None, description="clear card numbers of confirmed events go; without: with their event"
    )

    @field_validator("max_size")
    @classmethod
    def _some_room(cls, size_bytes: int) -> int:
        if size_bytes < SMALLEST_BUFFER_BYTES:
            raise Wrong("at least 1MiB is needed", "至少需要 1MiB")
        return size_bytes


class LogConfig(Model):
    """What the daemon writes about itself."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


def _web(value: Any) -> Any:
    """`off` is a word in YAML 1.2 and a false in 1.1."""
    if value is False or value == "off":
        return None
    if not isinstance(value, dict | WebConfig):
        raise Wrong('write off, or {listen: "127.0.0.1:8080"}', '请写 off,或 {listen: "127.0.0.1:8080"}')
    return value


class GatewayConfig(Model):
    """This gateway itself."""

    id: Id = Field(description="its name for ever, e.g. gw-0001")
    state_dir: Folder = Field(default=STATE_DIR, description="the one folder it writes to")
    language: Literal["zh-CN", "en"] = "zh-CN"
    web: Annotated[WebConfig | None, BeforeValidator(_web, json_schema_input_type=WebConfig | Literal["off"])] = Field(
        default=WebConfig(), description="the local page; `off` for none"
    )
    buffer: BufferConfig = BufferConfig()
    log: LogConfig = LogConfig()

    @field_validator("id")
    @classmethod
    def _no_level_of_topics(cls, value: str) -> str:
        if value == "notice":
            raise Wrong("no gateway is called notice: it is a level of topics", "网关不能叫 notice:它是主题的一级")
        return value


Label = Annotated[str, Field(min_length=1, max_length=64)]
Grid = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,32}$", description="community grid code, 20 digits (CJ/T 349)")]


class AreaConfig(Model):
    """The 12 digits of the statistical division code, in three parts, each in quotes: zeros count."""

    district: Annotated[str, Field(pattern=r"^[0-9]{6}$", description="6 digits (GB/T 2260)")]
    street: Annotated[str, Field(pattern=r"^[0-9]{3}$", description="3 digits (GB/T 10114)")]
    community: Annotated[str, Field(pattern=r"^[0-9]{3}$", description="3 digits")]


class RoomConfig(Model):
    """A room, and what every place has."""

    label: Label = Field(description="what people call it, e.g. 3号楼")
    grid: Grid | None = Field(default=None, description="where it differs from what it stands in")


class FloorConfig(RoomConfig):
    """A floor."""

    rooms: dict[Id, RoomConfig] = Field(default={})


class UnitConfig(RoomConfig):
    """A unit (a staircase) of a building."""

    floors: dict[Id, FloorConfig] = Field(default={})


class PlaceConfig(RoomConfig):
    """A building, or a named spot such as the gate, which has no units."""

    units: dict[Id, UnitConfig] = Field(default={})


class SiteConfig(Model):
    """The community that the gateway stands in."""

    name: Label
    area: AreaConfig
    grid: Grid | None = None
    timezone: TimeZone = Field(
        default=TIMEZONE,
        description="by which shifts, days and months begin; where it is written, rules' hours and messages too, "
        "which else go by the machine's own",
    )
    external_ids: dict[str, str] = Field(default={}, description="its ids in other systems, by system")
    places: dict[Id, PlaceConfig] = Field(default={}, description="buildings and named spots by id")


class Endpoint(NamedTuple):
    """Where a broker listens."""

    scheme: str  # mqtt, mqtts, ws, wss
    host: str
    port: int
    path: str  # of a WebSocket

    @property
    def secure(self) -> bool:
        """Over TLS?"""
        return self.scheme in ("mqtts", "wss")


def parse_endpoint(url: str) -> Endpoint:
    """`mqtts://host[:port]`, `wss://host[:port][/path]` → where to connect. Wrong: anything else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    websocket = parts.scheme in ("ws", "wss")
    if parts.scheme not in PORTS or not host or port == 0 or (parts.path.strip("/") and not websocket):
        raise Wrong(
            "mqtt://host, mqtts://host, ws://host/mqtt or wss://host/mqtt is needed, with :port (1-65535) if unusual",
            "需要 mqtt://主机、mqtts://主机、ws://主机/mqtt 或 wss://主机/mqtt,端口不同于默认时加 :端口(1 至 65535)",
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise Wrong(
            "user and password do not stand in the URL: write username: and password: !file …",
            "用户名和密码不要写在 URL 中:请写 username: 和 password: !file …",
        )
    return Endpoint(parts.scheme, host, port or PORTS[parts.scheme], parts.path if parts.path.strip("/") else "/mqtt")


class TlsConfig(Model):
    """Certificates of an uplink: PEM files, relative to the YAML file."""

    ca: File | None = Field(default=None, description="authority of the broker's certificate; without, the system's")
    cert: File | None = Field(default=None, description="this gateway's certificate")
    key: File | None = Field(default=None, description="its private key")

    @model_validator(mode="after")
    def _a_pair(self) -> "TlsConfig":
        if (self.cert is None) != (self.key is None):
            raise Wrong("cert: and key: go together", "cert: 和 key: 必须同时提供")
        return self


def _version(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class UplinkConfig(Model):
    """A department's broker, and what it gets."""

    url: str = Field(description="mqtt://, mqtts://, ws:// or wss://")
    username: str | None = None
    password: Secret | None = Field(default=None, description="best by !file")
    client_id: str | None = Field(
        default=None, min_length=1, max_length=128, description="without: made from the gateway's id"
    )
    protocol: Annotated[
        Literal["auto", "5", "3.1.1"], BeforeValidator(_version, json_schema_input_type=Literal["auto", "5", "3.1.1"])
    ] = Field(default="auto", description="MQTT version; auto: 5, and 3.1.1 where the broker refuses that")
    tls: TlsConfig | None = None
    root: str = Field(
        default="sc/v1", pattern=r"^[a-z0-9_-]+(/[a-z0-9_-]+)*$", description="first levels of every topic"
    )
    types: tuple[TypePattern, ...] = Field(default=("*",), min_length=1, description="event types it gets, e.g. fire.*")
    start: Literal["now", "oldest"] = Field(
        default="now",
        description="where one that is added to a running site begins: with what comes from now on, or with the oldest "
        "event that is kept; now, because what a department was not meant to have yesterday it gets by a decision only",
    )
    places: tuple[str, ...] = Field(
        default=(), description="only what stands there, with all inside; the gateway's own events go everywhere"
    )
    severity: Severity = Field(default=Severity.INFO, description="only events of this severity and worse")
    redact: Id = Field(
        default="keyed",
        description="what passes: keyed, strict, clear, fire, police, street, property, or one of profiles:",
    )
    keep: Duration | None = Field(
        default=None, description="how long the department may keep what it gets; told to it and on /public"
    )
    retain_states: bool = Field(default=True, description="keep every device's present state on the broker")
    commands: tuple[Action, ...] = Field(default=(), description="actions it may ask for, besides ping, sync, resend")
    pictures: bool = Field(default=False, description="may fetch cameras' pictures, which may show faces")
    command_key: CommandKey | None = Field(
        default=None,
        description="Ed25519 public key, PEM or base64, best by !file: then only commands with its signature are taken",
    )
    config: bool = Field(
        default=False, description="may push a configuration (config/desired); tried before it is kept"
    )
    keepalive: Duration = Field(default=15.0, description="silence after which the link is probed; at most 60s")

    replay_rate: PerSecond | None = Field(
        default=None, description="of what waited while the link was away, events per second; without: no limit"
    )

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str) -> str:
        parse_endpoint(url)
        return url

    @field_validator("keepalive")
    @classmethod
    def _soon_enough(cls, seconds: float) -> float:
        if not KEEPALIVE_S[0] <= seconds <= KEEPALIVE_S[1]:
            raise Wrong("1s to 60s are allowed", "允许 1s 到 60s")
        return seconds

    @model_validator(mode="after")
    def _tls_is_used(self) -> "UplinkConfig":
        if self.tls is not None and not self.endpoint.secure:
            raise Wrong("tls: needs mqtts:// or wss:// in url:", "使用 tls: 时,url: 必须是 mqtts:// 或 wss://")
        if self.password is not None and self.username is None:
            raise Wrong("password: needs username:", "有 password: 时必须写 username:")
        return self

    @property
    def endpoint(self) -> Endpoint:
        """Where to connect."""
        return parse_endpoint(self.url)

    @property
    def allowed(self) -> frozenset[str]:
        """The actions it may ask for."""
        return frozenset({*ALWAYS_ALLOWED, *self.commands, *(("picture",) if self.pictures else ())})


def place_paths(places: Any, levels: Iterable[str] = ("units", "floors", "rooms"), above: str = "") -> list[str]:
    """Every path of a tree of places as it stands in YAML, checked or not."""
    first, *below = (*levels, "")
    found: list[str] = []
    for name, place in places.items() if isinstance(places, dict) else ():
        found.append(f"{above}{name}")
        inner = place.get(first) if isinstance(place, dict) else None
        found += place_paths(inner, tuple(filter(None, below)), f"{above}{name}/") if first else []
    return found
