"""What gateway.yaml says of a transmission device, or of a part behind one. (An underscore: no driver.)"""

import re
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from drivers._gb26875_table import EDITIONS, Edition
from gateway.errors import Text
from gateway.fields import DeviceConfig, Duration, Wrong, parse_host_port

ADDRESS_BYTES = 6
PART_BYTES = (2, 4, 6)  # system type and address; part address; both
UDP = "udp://"
_EVERYWHERE = ("", "0.0.0.0", "::")


class Listen(NamedTuple):
    """Where to listen; an empty host is every address."""

    udp: bool
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or "*"
        return f"{'udp' if self.udp else 'tcp'} {host}:{self.port}"


def parse_listen(value: Any) -> Listen:
    """`"0.0.0.0:5200"`, `"udp://0.0.0.0:5200"`. Wrong says what is allowed."""
    text = value.strip() if isinstance(value, str) else ""
    udp = text.startswith(UDP)
    try:
        return Listen(udp, *parse_host_port(text.removeprefix(UDP)))
    except Wrong:
        raise Wrong(
            '"host:port" for TCP or "udp://host:port" is needed, e.g. "0.0.0.0:5200"',
            '需要 "主机:端口"(TCP)或 "udp://主机:端口"(UDP),例如 "0.0.0.0:5200"',
        ) from None


def _listen(value: Any) -> str:
    parse_listen(value)
    return str(value).strip()


def _hexadecimal(value: Any, sizes: tuple[int, ...], en: str, zh: str) -> str:
    digits = re.sub(r"[\s:-]", "", value).upper() if isinstance(value, str) else ""
    if not re.fullmatch(r"(?:[0-9A-F]{2})+", digits) or len(digits) // 2 not in sizes:
        raise Wrong(en, zh)
    return digits


def _address(value: Any) -> str:
    return _hexadecimal(
        value,
        (ADDRESS_BYTES,),
        'the 12 hexadecimal digits of its source address as on the wire are needed, in quotes: "790300000000"',
        '需要带引号的 12 位十六进制源地址,按线路上的字节顺序,例如 "790300000000"',
    )


def _part(value: Any) -> str:
    return _hexadecimal(
        value,
        PART_BYTES,
        'in quotes: 8 hexadecimal digits of a part ("0A000200"), 4 of a system ("0101"), or 12 of both',
        '需要带引号的十六进制:部件地址 8 位(如 "0A000200")、系统 4 位(如 "0101"),或系统加部件 12 位',
    )


def _network(value: Any) -> str:
    try:
        return str(ip_network(value if isinstance(value, str) else "", strict=False))
    except ValueError:
        raise Wrong(
            'an IP address or network is needed, e.g. "192.0.2.40" or "192.0.2.0/24"',
            '需要 IP 地址或网段,例如 "192.0.2.40" 或 "192.0.2.0/24"',
        ) from None


def _split(value: Any) -> str:
    if value == "none":
        return "----"
    if not isinstance(value, str) or not re.fullmatch(r"[pPlL-]{4}", value):
        raise Wrong(
            "four signs for the four bytes: p point, l loop, - neither, capitals: high byte first; or none",
            "需要 4 个符号对应 4 个字节:p 为位号,l 为回路,- 为不用,大写表示高字节在前;或写 none",
        )
    return value


def _edition(value: str) -> str:
    if value not in EDITIONS:
        known = ", ".join(EDITIONS)
        raise Wrong(f"there is no table of edition {value} (known: {known})", f"没有 {value} 版的代码表(可用:{known})")
    return value


Hexadecimal = Annotated[str, BeforeValidator(_address, json_schema_input_type=str)]
Part = Annotated[str, BeforeValidator(_part, json_schema_input_type=str)]
Network = Annotated[str, BeforeValidator(_network, json_schema_input_type=str)]


class Config(DeviceConfig):
    """A transmission device (用户信息传输装置), or with `part` one of the parts or systems behind it."""

    listen: Annotated[str, BeforeValidator(_listen, json_schema_input_type=str)] = Field(
        description='where the gateway listens: "host:port" for TCP, "udp://host:port"; devices may share one'
    )
    address: Hexadecimal | None = Field(
        None, description="source address: 12 hexadecimal digits as on the wire; else peers tell it apart"
    )
    part: Part | None = Field(
        None, description="this is a part behind the device: 8 digits; 4: a system (type, address); 12: both"
    )
    peers: tuple[Network, ...] = Field((), description="IP addresses or networks it may come from; none: any")
    offline_after: Duration = Field(90.0, description="silence that means the device is offline")
    set_clock: bool = Field(True, description="set its clock when it is off")
    clock_off: Duration = Field(30.0, description="its clock is off when it differs by more than this")
    test_bit: Literal["attribute", "test"] = Field(
        "attribute",
        description="bit 0 = 0: attribute tells it beside the event; test marks the event as a test, for devices that "
        "keep to the standard",
    )
    split: Annotated[str, BeforeValidator(_split, json_schema_input_type=str)] = Field(
        "ppll", description="bytes of a part's address: p point, l loop, - neither, capitals high byte first; or none"
    )
    sizes: dict[int, int] = Field(
        default_factory=dict, description="bytes of an object by data type, where a vendor has its own"
    )
    edition: Annotated[str, AfterValidator(_edition)] = Field("2011", description="edition of the code tables")
    timeout: Duration = Field(5.0, description="how long it may take to answer a question")
    retries: int = Field(2, ge=0, le=5, description="further tries of a question")

    @model_validator(mode="after")
    def _known_by(self) -> "Config":
        if self.address is None and not self.peers:
            raise Wrong(
                "address: or peers: is needed, else nobody knows which device speaks",
                "需要 address: 或 peers:,否则无法判断是哪台装置",
            )
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> "Config":
        for kind, size in self.sizes.items():
            layout = self.table.layouts.get(kind, {0: 0})
            if 0 in layout.values() or not 1 <= size <= 1022:
                fixed = ", ".join(str(each) for each, fields in self.table.layouts.items() if 0 not in fields.values())
                raise Wrong(
                    f"sizes: {kind}: {size}: data types {fixed} have objects of a size, 1 to 1022 bytes",
                    f"sizes: {kind}: {size}:只有数据类型 {fixed} 的对象有固定长度,1 到 1022 字节",
                )
        return self

    def advice(self) -> tuple[tuple[str, Text], ...]:
        """The protocol has no password: whoever reaches the port can report."""
        if self.peers or self.listening.host not in _EVERYWHERE:
            return ()
        return ((
            "listen",
            Text(
                "anybody who reaches this port can report in this device's name: name its addresses in peers:",
                "协议没有口令,能访问此端口者均可冒充该装置上报:请用 peers: 写明其 IP 地址",
            ),
        ),)  # fmt: skip

    @cached_property
    def table(self) -> Edition:
        """The code tables."""
        return EDITIONS[self.edition]

    @cached_property
    def listening(self) -> Listen:
        """`listen`, taken apart."""
        return parse_listen(self.listen)

    @cached_property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`peers`, ready to be asked."""
        return tuple(ip_network(peer) for peer in self.peers)

    def admits(self, host: str) -> bool:
        """May it come from there? IPv4 addresses in IPv6 clothes are IPv4 addresses."""
        if not self.networks:
            return True
        address = ip_address(host.partition("%")[0])
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self.networks)

    def numbers(self, address: bytes) -> dict[str, int]:
        """Loop and point of a part's address, as `split` has them."""
        found = {}
        for name in ("loop", "point"):
            picked = [byte for sign, byte in zip(self.split, address, strict=True) if sign.lower() == name[0]]
            big = name[0].upper() in self.split
            if picked:
                found[name] = int.from_bytes(picked, "big" if big else "little")
        return found
