"""The seam between the gpio driver and the pins: a chip through gpiod, or a folder of value files.

The folder is what /sys/class/gpio looks like on boards without a character device, and what the simulator makes.
"""

import asyncio
import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from drivers._gpio_config import Config
from gateway.errors import DeviceError, Misconfigured, Text, Unreachable

if TYPE_CHECKING:
    import gpiod

CONSUMER = "community-gateway"  # what gpioinfo shows
NO_GPIOD = Text("the pins of this machine need the Python package gpiod", "使用本机引脚需要 Python 软件包 gpiod")
INSTALL = Text("install it: pip install 'community-gateway[gpio]'", "请安装:pip install 'community-gateway[gpio]'")
WHY: Mapping[int, tuple[type[DeviceError], Text, Text]] = {
    errno.ENOENT: (
        Unreachable,
        Text("there is no {chip}", "没有 {chip}"),
        Text("correct chip: (gpiodetect lists what there is)", "请改正 chip:(gpiodetect 可列出)"),
    ),
    errno.EACCES: (
        Unreachable,
        Text("no permission for {chip}", "没有 {chip} 的权限"),
        Text("add the gateway's user to the group gpio", "请把网关用户加入 gpio 组"),
    ),
    errno.EBUSY: (
        Unreachable,
        Text("a line of {chip} is used by another program", "{chip} 的某个引脚正被其他程序占用"),
        Text("gpioinfo shows by whom", "gpioinfo 可查看占用者"),
    ),
    errno.EINVAL: (
        Misconfigured,
        Text("{chip} has no such line, or not with this pull:", "{chip} 没有该引脚,或不支持该 pull:"),
        Text("compare line: with gpioinfo", "请用 gpioinfo 核对 line:"),
    ),
    errno.ENODEV: (
        Misconfigured,
        Text("{chip} is no GPIO chip", "{chip} 不是 GPIO 芯片"),
        Text("correct chip: (gpiodetect lists what there is)", "请改正 chip:(gpiodetect 可列出)"),
    ),
}
OTHER = (
    Unreachable,
    Text("{chip} cannot be used ({why})", "无法使用 {chip}({why})"),
    Text("check the board; it is tried again", "请检查主板;网关会自动重试"),
)


class Board(Protocol):
    """The pins that a device asked for."""

    tells: bool  # whether it says so when an input changes; else it must be looked at again and again

    def levels(self) -> Mapping[int, bool]:
        """Which lines are high, outputs included. OSError."""

    def set(self, line: int, high: bool) -> None:
        """An output. OSError."""


def trouble(where: str, chip: str, error: Exception) -> DeviceError:
    """What a person is told when the pins cannot be used."""
    number = getattr(error, "errno", None) or 0
    kind, what, do = WHY.get(errno.ENODEV if number == errno.ENOTTY else number, OTHER)
    filled = Text(*(text.format(chip=chip, why=error) for text in what))
    return kind(where, filled, do)


@contextmanager
def open_board(config: Config, changed: Callable[[], object]) -> Iterator[Board]:
    """The lines of `config`, outputs off; `changed` is called when an input has. Unreachable, Misconfigured."""
    folder = Path(config.chip)
    opened = _chip(config, changed) if config.lines and not folder.is_dir() else _folder(config)
    with opened as board:
        yield board


class _Chip:
    """Lines of a character device, uAPI v2 (Linux 5.10), through gpiod 2."""

    tells = True

    def __init__(self, request: "gpiod.LineRequest") -> None:
        self._request = request

    def levels(self) -> Mapping[int, bool]:
        from gpiod.line import Value

        values = self._request.get_values()
        return {line: value is Value.ACTIVE for line, value in zip(self._request.offsets, values, strict=True)}

    def set(self, line: int, high: bool) -> None:
        from gpiod.line import Value

        self._request.set_value(line, Value.ACTIVE if high else Value.INACTIVE)


@contextmanager
def _chip(config: Config, changed: Callable[[], object]) -> Iterator[Board]:
    try:
        gpiod = import_module("gpiod")
    except ImportError as error:
        raise Misconfigured(config.id, NO_GPIOD, INSTALL) from error
    try:
        request = gpiod.request_lines(config.chip, consumer=CONSUMER, config=_settings(config))
    except (OSError, ValueError) as error:
        raise trouble(config.id, config.chip, error) from error

    def edges() -> None:
        request.read_edge_events()
        changed()

    loop = asyncio.get_running_loop()
    loop.add_reader(request.fd, edges)
    try:
        yield _Chip(request)
    finally:
        loop.remove_reader(request.fd)
        request.release()


def _settings(config: Config) -> "dict[int, gpiod.LineSettings]":
    from gpiod import LineSettings
    from gpiod.line import Bias, Direction, Edge, Value

    pulls = {"up": Bias.PULL_UP, "down": Bias.PULL_DOWN, "none": Bias.DISABLED, "as-is": Bias.AS_IS}
    found = {}
    for contact in config.inputs.values():
        if contact.line is not None:
            found[contact.line] = LineSettings(
                direction=Direction.INPUT, edge_detection=Edge.BOTH, bias=pulls[contact.pull]
            )
    for output in config.outputs.values():
        off = Value.ACTIVE if output.on == "low" else Value.INACTIVE
        found[output.line] = LineSettings(direction=Direction.OUTPUT, output_value=off)
    return found


class _Folder:
    """`gpioN/value` files: 0 or 1."""

    tells = False

    def __init__(self, folder: Path, lines: list[int]) -> None:
        self._files = {line: folder / f"gpio{line}" / "value" for line in lines}

    def levels(self) -> Mapping[int, bool]:
        return {line: file.read_text("ascii").strip() == "1" for line, file in self._files.items()}

    def set(self, line: int, high: bool) -> None:
        with self._files[line].open("r+b", buffering=0) as file:
            file.write(b"1" if high else b"0")


@contextmanager
def _folder(config: Config) -> Iterator[Board]:
    folder = Path(config.chip)
    board = _Folder(folder, config.lines)
    try:
        for contact in config.inputs.values():
            _direct(folder, contact.line, "in")
        for output in config.outputs.values():
            _direct(folder, output.line, "high" if output.on == "low" else "low")
            board.set(output.line, output.on == "low")
    except OSError as error:
        raise trouble(config.id, config.chip, error) from error
    yield board


def _direct(folder: Path, line: int | None, way: str) -> None:
    """Documentation/ABI/obsolete/sysfs-gpio of Linux: `low` and `high` make an output without a glitch."""
    file = folder / f"gpio{line}" / "direction"
    if line is not None and file.exists():
        file.write_text(way, "ascii")
