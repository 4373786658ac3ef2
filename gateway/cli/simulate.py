"""`gateway simulate`: devices that speak the real wire protocols, moved by lines on standard input."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from gateway.cli import show
from gateway.cli.frame import Command, Group
from gateway.cli.language import say
from gateway.cli.words import HEADS
from gateway.errors import GatewayError, Text

if TYPE_CHECKING:
    from drivers.sim.console import Tell

simulators = typer.Typer(cls=Group, invoke_without_command=True, rich_markup_mode=None)
WHAT = {
    "modbus": Text("detectors and boards on a pty or on TCP", "pty 或 TCP 上的探测器、输入输出模块"),
    "osdp": Text("door readers with a secure channel, on a pty or on TCP", "pty 或 TCP 上带安全通道的门禁读卡器"),
    "wiegand": Text("card readers behind a Wiegand converter, on a pty or on TCP", "pty 或 TCP 上的韦根转换器及读头"),
    "gpio": Text("contacts and outputs as files in a folder", "以文件模拟的触点和输出引脚"),
    "isapi": Text("a camera with an alert stream", "带报警流的摄像机"),
    "onvif": Text("a camera with an ONVIF pull point", "带 ONVIF 拉取点的摄像机"),
    "gb26875": Text("a fire panel's transmission device that dials a gateway", "连接网关的用户信息传输装置"),
    "serial_text": Text("a fire panel's printer port, on a pty or on TCP", "pty 或 TCP 上的火灾报警控制器打印口"),
    "zkteco": Text("a door controller or terminal that pushes to a gateway", "向网关推送的中控门禁控制器或考勤机"),
    "mqtt_in": Text("zigbee2mqtt, Frigate and others, on a broker", "消息服务器上的 zigbee2mqtt、Frigate 等"),
    "webhook": Text("a device that posts its events to a gateway", "向网关推送事件的设备"),
}
Addresses = Annotated[
    Optional[list[int]],  # noqa: UP045
    typer.Option(
        "--address", min=0, max=247, metavar="N", help="Address on the line, else 1; several make several devices."
    ),
]
DEFAULT_PROFILE = "rs-yg-n01"
STDIN = 0  # its handle (unistd.h)
OTHER_PORT = Text("choose another port, or 0 for any", "请换一个端口,或用 0 表示任意端口")
CAMERA_LOGIN = ("admin", "camera-1234")  # of the simulated camera


@simulators.callback()
def simulate(context: typer.Context) -> None:
    """Run a simulated device that speaks its real protocol.

    Without a name: list them. Lines on standard input make it do things: `help` lists them, Ctrl-C ends it.
    """
    if context.invoked_subcommand is None:
        show.table([HEADS["simulator"], HEADS["what"]], [[name, say(what)] for name, what in WHAT.items()])
        more = Text("gateway simulate SIMULATOR --help says more", "gateway simulate 模拟器 --help 查看用法")
        show.put(say(more))


@simulators.command(cls=Command)
def modbus(
    address: Addresses = None,
    profile: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--profile",
            metavar="NAME",
            help="Device profile; one for all, or one for each address. Else rs-yg-n01, a smoke detector.",
        ),
    ] = None,
    tcp: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--tcp", metavar="HOST:PORT", help="Listen there instead of on a pty; port 0 is any."),
    ] = None,
    framing: Annotated[
        Literal["tcp", "rtu"], typer.Option("--framing", help="On TCP: Modbus TCP, or RTU over it.")
    ] = "tcp",
) -> None:
    """Modbus devices on a line of their own: a pty, or TCP.

    They begin normal; the line `smoke 5 on` makes the detector at address 5 smell smoke.
    """
    from drivers.sim.console.modbus import stage

    listen = None if tcp is None else _host_port(tcp)
    _play(lambda tell: stage(profile or [DEFAULT_PROFILE], address or [1], tell, listen, framing))


@simulators.command(cls=Command)
def osdp(
    address: Addresses = None,
    key: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--key", metavar="HEX", help="The key it already has, 32 hexadecimal digits; else it waits for its first."
        ),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="A reader without a secure channel.")] = False,
    tcp: Annotated[bool, typer.Option("--tcp", help="On a TCP port of this machine instead of a pty.")] = False,
) -> None:
    """Door readers (OSDP) on a line of their own: a pty, or TCP.

    The line `card 1 26 90 324` presents a 26-bit card at address 1.
    """
    from drivers.sim.console.osdp import stage

    _play(lambda tell: stage(address or [1], tell, key, clear, tcp))


@simulators.command(cls=Command)
def wiegand(
    frame: Annotated[
        str,
        typer.Option(
            "--frame", metavar="NAME", help="How its messages look: hex-line, decimal-line, bits-line, em-uart."
        ),
    ] = "hex-line",
    tcp: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--tcp", metavar="HOST:PORT", help="Listen there instead of on a pty; port 0 is any."),
    ] = None,
) -> None:
    """A Wiegand converter with one card reader.

    The line `card 26 90 324` presents a 26-bit card.
    """
    from drivers.sim.console.wiegand import stage

    listen = None if tcp is None else _host_port(tcp)
    _play(lambda tell: stage(frame, tell, listen))


@simulators.command(cls=Command)
def gpio() -> None:
    """Contacts, a loop and outputs, as files in a folder.

    The line `contact 1 off` opens a contact, `cut` cuts the loop's wire.
    """
    from drivers.sim.console.gpio import stage

    _play(stage)


@simulators.command(cls=Command)
def isapi(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, metavar="N", help="Port; 0 is any.")] = 0,
    username: Annotated[
        str, typer.Option("--username", metavar="NAME", help="User name for its login.")
    ] = CAMERA_LOGIN[0],
    password: Annotated[str, typer.Option("--password", metavar="TEXT", help="Password for its login.")] = CAMERA_LOGIN[
        1
    ],
) -> None:
    """A camera (Hikvision ISAPI) with its alert stream.

    The lines `motion on` and `motion off` are its events.
    """
    from drivers.sim.console.isapi import stage

    _play(lambda tell: stage(port, (username, password), tell))


@simulators.command(cls=Command)
def onvif(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, metavar="N", help="Port; 0 is any.")] = 0,
    username: Annotated[
        str, typer.Option("--username", metavar="NAME", help="User name for its login.")
    ] = CAMERA_LOGIN[0],
    password: Annotated[str, typer.Option("--password", metavar="TEXT", help="Password for its login.")] = CAMERA_LOGIN[
        1
    ],
) -> None:
    """A camera (ONVIF) with alarm inputs and relays.

    The lines `motion on` and `input 1 on` are its events.
    """
    from drivers.sim.console.onvif import stage

    _play(lambda tell: stage(port, (username, password), tell))


@simulators.command(cls=Command)
def gb26875(
    gateway: Annotated[
        str, typer.Option("--gateway", metavar="HOST:PORT", help="Where the gateway listens for it.")
    ] = "127.0.0.1:5200",
    address: Annotated[
        str, typer.Option("--source", metavar="HEX", help="Its source address, 12 hexadecimal digits.")
    ] = "790300000000",
    udp: Annotated[bool, typer.Option("--udp", help="By UDP instead of TCP.")] = False,
) -> None:
    """A fire panel's transmission device (GB/T 26875.3).

    The line `help` lists what it can be told to report.
    """
    from drivers.sim.console.gb26875 import stage

    where = _host_port(gateway, "--gateway")
    _play(lambda tell: stage(where, address, tell, udp))


@simulators.command("serial_text", cls=Command)
def serial_text(
    tcp: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--tcp", metavar="HOST:PORT", help="Listen there instead of on a pty; port 0 is any."),
    ] = None,
) -> None:
    """The printer port of a fire panel.

    The line `help` lists what it can be told to print.
    """
    from drivers.sim.console.serial_text import stage

    listen = None if tcp is None else _host_port(tcp)
    _play(lambda tell: stage(tell, listen))


@simulators.command(cls=Command)
def zkteco(
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="http://HOST:PORT where the gateway listens for it.")
    ],
    serial: Annotated[str, typer.Option("--serial", metavar="TEXT", help="Its serial number.")] = "CKJ1234567",
    dialect: Annotated[
        Literal["access", "attendance"], typer.Option("--dialect", help="A door controller, or an attendance terminal.")
    ] = "access",
) -> None:
    """A ZKTeco controller or terminal that pushes.

    The line `help` lists what can happen at its doors.
    """
    from drivers.sim.console.zkteco import stage

    _play(lambda tell: stage(url, serial, dialect, tell))


@simulators.command("mqtt_in", cls=Command)
def mqtt_in(
    kind: Annotated[str, typer.Argument(metavar="HUB", help="zigbee2mqtt, frigate, chirpstack, tasmota, shelly …")],
    devices: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--device", metavar="NAME", help="A device of its; several make several. Else smoke-1."),
    ] = None,
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="The broker it publishes to.")
    ] = "mqtt://127.0.0.1:1883",
) -> None:
    """A hub that publishes on a broker, as zigbee2mqtt.

    The line `help` lists what its devices can be told to report.
    """
    from drivers.sim.console.mqtt_in import stage

    _play(lambda tell: stage(kind, url, devices or ["smoke-1"], tell))


@simulators.command(cls=Command)
def webhook(
    url: Annotated[str, typer.Option("--url", metavar="URL", help="http://HOST:PORT/ingest/DEVICE of the gateway.")],
    token: Annotated[str, typer.Option("--token", metavar="TEXT", help="The device's token there.")],
) -> None:
    """A device that posts its events to a gateway.

    The lines `raise fire.smoke` and `clear fire.smoke` are its events. It ends when no line is left and all it was told
    to say is on the gateway's disk.
    """
    from drivers.sim.console.webhook import stage

    _play(lambda tell: stage(url, token, tell))


def _host_port(text: str, option: str = "--tcp") -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        wanted = Text(f"{text} is no address; write 127.0.0.1:1502", f"{text} 不是地址;请写 127.0.0.1:1502")
        raise typer.BadParameter(say(wanted), param_hint=f"'{option}'")
    return host.strip("[]") or "127.0.0.1", int(port)


def _play(simulator: "Callable[[Tell], Any]") -> None:
    from drivers.sim.console.play import play
    from gateway.fields import Wrong

    with suppress(KeyboardInterrupt):
        try:
            asyncio.run(play(simulator(_tell), STDIN, _tell))
        except Wrong as wrong:
            raise typer.BadParameter(say(wrong.text)) from wrong
        except OSError as error:
            why = error.strerror or str(error)
            raise GatewayError("simulate", Text(f"cannot listen: {why}", f"无法监听:{why}"), OTHER_PORT) from error


def _tell(text: Text) -> None:
    show.put(f"{datetime.now().astimezone():%H:%M:%S}  {say(text)}")
