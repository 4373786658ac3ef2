"""What values in gateway.yaml look like: ids, durations, sizes, secrets; the models of a bus and of a device."""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from gateway.errors import Text

ID_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"  # contract, section 1
USUAL_OPENING_S = 5.0  # of a door whose own controller knows better
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$")
_DURATION_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|kB|MB|GB)$")
_SIZE_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
_SHARE = re.compile(r"^(\d+(?:\.\d+)?)\s*%$")
_HOST_PORT = re.compile(r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]*):(\d{1,5})$")


class Wrong(ValueError):
    """A value that does not fit: says what is needed, in both languages. What validators raise."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.text = Text(en, zh)


def parse_duration(value: Any) -> float:
    """`"500ms"`, `"30s"`, `"5m"`, `"2h"`, `"30d"` → seconds. ValueError says what is allowed."""
    match = _DURATION.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise Wrong(
            "a duration with its unit is needed, e.g. 500ms, 30s, 5m, 2h, 30d",
            "需要带单位的时长,例如 500ms、30s、5m、2h、30d",
        )
    return float(match[1]) * _DURATION_S[match[2]]


def parse_size(value: Any) -> int:
    """`"512MiB"`, `"2GB"` → bytes."""
    match = _SIZE.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise Wrong(
            "a size with its unit is needed, e.g. 64MiB, 2GiB, 500MB", "需要带单位的大小,例如 64MiB、2GiB、500MB"
        )
    return int(float(match[1]) * _SIZE_BYTES[match[2]])


def parse_share(value: Any) -> float:
    """`"25%"` → 0.25."""
    match = _SHARE.match(value.strip()) if isinstance(value, str) else None
    if match is None or float(match[1]) > 100:
        raise Wrong("a percentage from 0% to 100% is needed, e.g. 25%", "需要 0% 到 100% 的百分比,例如 25%")
    return float(match[1]) / 100


def parse_host_port(value: Any) -> tuple[str, int]:
    """`"192.0.2.40:502"`, `"[::1]:502"`, `"gate.example:502"` → (host, port); an empty host is every address."""
    match = _HOST_PORT.match(value.strip()) if isinstance(value, str) else None
    if match is None or not 0 < int(match[2]) < 65536:
        raise Wrong('"host:port" is needed, e.g. "192.0.2.40:502"', '需要 "主机:端口",例如 "192.0.2.40:502"')
    return match[1].strip("[]"), int(match[2])


def _readable(path: Path, info: ValidationInfo) -> Path:
    """Relative to the folder of the YAML file (`base` in the context), and there to be read."""
    found = (info.context or {}).get("base", Path()) / path
    try:
        with found.open("rb"):
            return Path(found)
    except OSError as exc:
        why = exc.strerror or str(exc)
        raise Wrong(f"{found} cannot be read: {why}", f"无法读取 {found}:{why}") from exc


Id = Annotated[str, Field(pattern=ID_PATTERN)]
Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=str)]  # seconds
Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str)]  # bytes
Share = Annotated[float, BeforeValidator(parse_share, json_schema_input_type=str)]  # 0 to 1
HostPort = Annotated[tuple[str, int], BeforeValidator(parse_host_port, json_schema_input_type=str)]
Secret = SecretStr
File = Annotated[Path, AfterValidator(_readable)]  # of a certificate, a list, …


class Model(BaseModel):
    """Every part of the configuration: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BusConfig(Model):
    """A line that devices share: an RS-485 port, or a TCP connection to one."""

    serial: str | None = Field(None, description="serial port, best by /dev/serial/by-id/…")
    tcp: HostPort | None = Field(None, description='"host:port" of a Modbus TCP device or a serial server')
    framing: Literal["tcp", "rtu"] = Field("tcp", description="on a tcp bus: Modbus TCP, or RTU over TCP")
    baudrate: int = Field(9600, ge=300, le=921600, description="bits per second")
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1

    @model_validator(mode="after")
    def _one_way(self) -> "BusConfig":
        if (self.serial is None) == (self.tcp is None):
            raise Wrong(
                "a bus is either serial: /dev/… or tcp: host:port", "总线要么写 serial: /dev/…,要么写 tcp: 主机:端口"
            )
        return self


class DeviceConfig(Model):
    """What every device has, whatever its driver; a driver's own model adds the rest."""

    id: Id
    driver: str
    place: str = Field(description="path inside the community, e.g. b3/u2/f5")
    kind: str | None = Field(None, description="smoke, heat, gas, door, camera, input, relay, …: the word rules use")
    name: str | None = Field(None, description="what people call it")
    make: str | None = None
    model: str | None = None
    installed: date | None = None
    tested: date | None = None

    def opening(self) -> tuple[float, bool | None]:
        """How long an unlock opens its door, in seconds; whether a contact tells of it, None where nobody knows."""
        return USUAL_OPENING_S, None

    def advice(self) -> tuple[tuple[str, Text], ...]:
        """What is allowed but not wise, by key: told by `gateway check` and at each start."""
        return ()
