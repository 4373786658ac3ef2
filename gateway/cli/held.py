"""Whether the running gateway talks on a line: two masters on one line disturb each other, and its alarms with them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli import ask, where
from gateway.errors import GatewayError, StateError, Text

if TYPE_CHECKING:
    from gateway.fields import BusConfig

DO = Text(
    "stop it for the search (systemctl stop community-gateway), and start it again afterwards",
    "请先停止网关(systemctl stop community-gateway)再搜索,完成后重新启动",
)


def refuse_held(config: Path, bus: "BusConfig") -> None:
    """StateError where this configuration has the line among its buses and its gateway runs.

    Nothing where the configuration is not there or cannot be read: then the port's own lock has to tell.
    """
    from gateway.yamlmarks import read

    document = read(config).value if os.access(config, os.R_OK) else None
    buses = document.get("buses") if isinstance(document, dict) else None
    named = buses.items() if isinstance(buses, dict) else ()
    name = next((name for name, each in named if isinstance(each, dict) and _same(each, bus)), None)
    if name is not None and _running(config):
        line = bus.serial or ":".join(map(str, bus.tcp or ()))
        what = Text(f"the running gateway talks on this line (bus {name})", f"正在运行的网关占用此线路(总线 {name})")
        raise StateError(line, what, DO)


def _same(written: Mapping[str, Any], bus: "BusConfig") -> bool:
    if bus.serial is not None:
        return os.path.realpath(str(written.get("serial"))) == os.path.realpath(bus.serial)
    from gateway.fields import parse_host_port

    try:
        return parse_host_port(written.get("tcp")) == bus.tcp
    except ValueError:
        return False


def _running(config: Path) -> bool:
    try:
        ask.ask(where.state_dir(config, None), "status")
    except StateError as error:
        return error.what != ask.NOT_RUNNING[0]  # there, though not for this user
    except GatewayError:
        return False  # no state folder can be known
    return True
