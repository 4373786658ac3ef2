"""`gateway scan`: what answers on a line or in a network, and how it would stand in gateway.yaml. It only reads."""

import importlib
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional, TypeVar

import typer

from gateway.cli import where
from gateway.cli.frame import Command, Group
from gateway.cli.held import refuse_held
from gateway.cli.language import say
from gateway.cli.where import ConfigOption, JsonOption
from gateway.errors import StateError, Text

if TYPE_CHECKING:
    from gateway.driver import Search
    from gateway.fields import BusConfig

T = TypeVar("T")


class Parity(StrEnum):
    """Of a serial line (`buses:`)."""

    NONE = "N"
    EVEN = "E"
    ODD = "O"


scans = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Look for devices; it only reads.")

FROM_ENVIRONMENT = "GATEWAY_SCAN_PASSWORD"
MOST_HOSTS = 4096  # a /20: at one step each, minutes
MODBUS_RATES = (9600, 4800, 19200, 38400, 115200)  # the likeliest first
OSDP_RATES = (9600, 115200, 38400, 19200, 57600)
SILENT_LINE = Text(
    "Nothing answered. Is it powered? Swap A and B. Try more speeds (--baudrate), parities, addresses (--addresses), "
    "or more patience (--wait 1s). Only one master may talk on a line: unplug any other.",
    "没有应答。请检查供电;对调 A、B 线;增加波特率(--baudrate)、校验、地址(--addresses)或等待时间(--wait 1s)。"
    "一条线路上只能有一个主站,请断开其他主站。",
)
SILENT_NETWORK = Text(
    "Nothing answered. Are the devices powered, and in the same network as this machine? Is the range right?",
    "没有应答。请检查设备供电、是否与本机同一网络,以及地址范围。",
)
SILENT_BROKER = Text(
    "Nothing was announced. Is that the broker to which the hub publishes, and may this user read its topics?",
    "未发现设备。请确认集线设备连接的是此消息服务器,且该用户有权读取其主题。",
)

PortOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--port", metavar="DEVICE", help="The serial port, e.g. /dev/ttyUSB0."),
]
RateOption = Annotated[
    Optional[list[int]],  # noqa: UP045
    typer.Option(
        "--baudrate", min=300, max=921600, metavar="N", help="Speed to try; several are tried in turn. Else the usual."
    ),
]
WaitOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--wait", metavar="TIME", help="How long each may take to answer, e.g. 300ms, 1s."),
]
UserOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--user", metavar="NAME", help="Log in as this user."),
]
PasswordOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--password-file",
        metavar="FILE",
        readable=False,
        help="File with the password; else GATEWAY_SCAN_PASSWORD, else it is asked for.",
    ),
]


@scans.command(cls=Command)
def modbus(
    port: PortOption = None,
    tcp: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--tcp", metavar="HOST:PORT", help="A Modbus TCP device instead, or a serial server."),
    ] = None,
    framing: Annotated[
        Literal["tcp", "rtu"], typer.Option("--framing", help="On TCP: Modbus TCP, or RTU over it.")
    ] = "tcp",
    baudrate: RateOption = None,
    parity: Annotated[
        Optional[list[Parity]],  # noqa: UP045
        typer.Option("--parity", help="Parity to try; several are tried in turn. Else N."),
    ] = None,
    addresses: Annotated[
        str, typer.Option("--addresses", metavar="LIST", help="Addresses to try; 1-247 is every one.")
    ] = "1-32,255",
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Four questions each, for boards that ignore what they do not know.")
    ] = False,
    wait: WaitOption = None,
    config: ConfigOption = where.CONFIG,
    json: JsonOption = False,
) -> None:
    """Look for Modbus devices on a line, and say what each could be.

    Each address is asked for one register at each speed; the usual factory settings come first.

    Exit status 1 where nothing was found, 130 after Ctrl-C.
    """
    buses = _buses(port, tcp, framing, baudrate or MODBUS_RATES, parity or [Parity.NONE])
    refuse_held(config, buses[0])
    more = {} if wait is None else {"wait_s": _duration_s(wait)}
    search = _searcher("modbus")(buses, _numbers(addresses, 1, 255), thorough=thorough, **more)
    _carry_out(search, "modbus", port or tcp or "", SILENT_LINE, json)


@scans.command(cls=Command)
def osdp(
    port: PortOption = None,
    tcp: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--tcp", metavar="HOST:PORT", help="A serial server instead."),
    ] = None,
    baudrate: RateOption = None,
    addresses: Annotated[
        str, typer.Option("--addresses", metavar="LIST", help="Addresses to try, e.g. 0-7,12.")
    ] = "0-126",
    wait: WaitOption = None,
    config: ConfigOption = where.CONFIG,
    json: JsonOption = False,
) -> None:
    """Look for OSDP door readers on a line.

    Each is asked in clear what it is and what it can; no key is tried.

    Exit status 1 where nothing was found, 130 after Ctrl-C.
    """
    buses = _buses(port, tcp, "rtu", baudrate or OSDP_RATES, [Parity.NONE])
    refuse_held(config, buses[0])
    more = {} if wait is None else {"wait_s": _duration_s(wait)}
    search = _searcher("osdp")(buses, _numbers(addresses, 0, 126), **more)
    _carry_out(search, "osdp", port or tcp or "", SILENT_LINE, json)


@scans.command(cls=Command)
def onvif(
    interface: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--interface", metavar="NAME", help="The network interface, or this machine's address on it; else all."
        ),
    ] = None,
    wait: Annotated[str, typer.Option("--wait", metavar="TIME", help="How long to listen.")] = "5s",
    json: JsonOption = False,
) -> None:
    """Look for ONVIF cameras in the local network.

    One multicast question (WS-Discovery), which ONVIF devices answer.

    Exit status 1 where nothing was found, 130 after Ctrl-C.
    """
    search = _searcher("onvif")(_duration_s(wait), interface)
    _carry_out(search, "onvif", interface or say(Text("the local network", "本地网络")), SILENT_NETWORK, json)


@scans.command(cls=Command)
def isapi(
    span: Annotated[str, typer.Argument(metavar="RANGE", help="Addresses to try: 192.0.2.0/28, or one.")],
    port: Annotated[
        Optional[list[int]],  # noqa: UP045
        typer.Option("--port", min=1, max=65535, metavar="N", help="Port to try; several are tried in turn. Else 80."),
    ] = None,
    user: UserOption = None,
    password_file: PasswordOption = None,
    json: JsonOption = False,
) -> None:
    """Look for Hikvision devices in a range of addresses.

    With a user they also say their model.

    Exit status 1 where nothing was found, 130 after Ctrl-C.
    """
    hosts = _hosts(span)
    search = _searcher("isapi")(hosts, port or [80], user, _password(user, password_file))
    _carry_out(search, "isapi", span, SILENT_NETWORK, json)


@scans.command(cls=Command)
def mqtt(
    broker: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="The broker; port 1883 where none is said.")],
    user: UserOption = None,
    password_file: PasswordOption = None,
    wait: Annotated[str, typer.Option("--wait", metavar="TIME", help="How long to listen.")] = "10s",
    json: JsonOption = False,
) -> None:
    """Look for devices that hubs announce on a broker.

    Of zigbee2mqtt and ChirpStack.

    Exit status 1 where nothing was found, 130 after Ctrl-C.
    """
    host, number = _checked(_host_port, broker if ":" in broker else f"{broker}:1883", "HOST[:PORT]")
    search = _searcher("mqtt")(host, number, user, _password(user, password_file), _duration_s(wait))
    _carry_out(search, "mqtt_in", broker, SILENT_BROKER, json)


def _searcher(name: str) -> "Callable[..., Search]":
    """`search` of drivers/_NAME_search.py, which a driver brings along."""
    found: Callable[..., Search] = importlib.import_module(f"drivers._{name}_search").search
    return found


def _carry_out(search: "Search", driver: str, place: str, nothing: Text, json: bool) -> None:
    from gateway.cli.found import carry_out

    carry_out(search, driver, place, nothing, json)


def _buses(
    port: str | None, tcp: str | None, framing: str, rates_baud: "list[int] | tuple[int, ...]", parities: "list[Parity]"
) -> "list[BusConfig]":
    """The line at each of its settings; TCP has one."""
    from pydantic import ValidationError

    from gateway.fields import BusConfig

    if port is None and tcp is None:
        raise typer.BadParameter(say(Text("--port or --tcp says which line", "请用 --port 或 --tcp 指定线路")))
    given = {"serial": port, "tcp": tcp, "framing": framing}
    ways = [{"baudrate": rate, "parity": parity} for rate in rates_baud for parity in parities]
    try:
        return [BusConfig.model_validate({**given, **way}) for way in (ways if tcp is None else ways[:1])]
    except ValidationError as exc:
        wrong = exc.errors()[0].get("ctx", {}).get("error")
        raise typer.BadParameter(say(getattr(wrong, "text", Text(str(exc), str(exc))))) from exc


def _numbers(text: str, low: int, high: int) -> list[int]:
    """`1-32,255` → each number once, in this order; BadParameter."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not (first.isdecimal() and (last or first).isdecimal() and low <= int(first) <= int(last or first) <= high):
            wanted = Text(
                f"{part} is no address; write {low}-32,40, up to {high}",
                f"{part} 不是地址;请写 {low}-32,40,最大 {high}",
            )
            raise typer.BadParameter(say(wanted), param_hint="'--addresses'")
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))


def _hosts(text: str) -> list[str]:
    """Every host of `192.0.2.0/28`, or the one address; BadParameter."""
    import ipaddress

    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as exc:
        wanted = Text(f"{text} is no range; write 192.0.2.0/28", f"{text} 不是地址范围;请写 192.0.2.0/28")
        raise typer.BadParameter(say(wanted), param_hint="'RANGE'") from exc
    if network.num_addresses > MOST_HOSTS:
        wide = Text(f"more than {MOST_HOSTS} addresses: search in parts", f"超过 {MOST_HOSTS} 个地址,请分段搜索")
        raise typer.BadParameter(say(wide), param_hint="'RANGE'")
    return [str(host) for host in network.hosts()]


def _duration_s(text: str) -> float:
    from gateway.fields import parse_duration

    return _checked(parse_duration, text, "--wait")


def _host_port(text: str) -> tuple[str, int]:
    from gateway.fields import parse_host_port

    return parse_host_port(text)


def _checked(parse: Callable[[str], T], text: str, option: str) -> T:
    """What the text says; BadParameter in the parser's own words."""
    from gateway.fields import Wrong

    try:
        return parse(text)
    except Wrong as wrong:
        raise typer.BadParameter(say(wrong.text), param_hint=f"'{option}'") from wrong


def _password(user: str | None, file: Path | None) -> str | None:
    """From the file, else the environment, else asked for; never from the command line, which others can read."""
    if user is None:
        return None
    if file is not None:
        try:
            return file.read_text("utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(str(file), Text("cannot be read", "无法读取")) from error
    if FROM_ENVIRONMENT in os.environ:
        return os.environ[FROM_ENVIRONMENT]
    if sys.stdin.isatty():
        asked: str = typer.prompt(say(Text(f"Password of {user}", f"{user} 的密码")), hide_input=True, err=True)
        return asked
    wanted = Text(
        f"--user needs --password-file, or {FROM_ENVIRONMENT} in the environment",
        f"--user 需要 --password-file,或环境变量 {FROM_ENVIRONMENT}",
    )
    raise typer.BadParameter(say(wanted))
