"""The client of the running daemon: JSON lines over the Unix socket in its state folder (`gateway.control`)."""

import json
import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from gateway.errors import GatewayError, StateError, Text

SOCKET = "control.sock"  # gateway.control.NAME, without importing the daemon
PATIENT_S = 600.0  # the report of a month with a million events takes minutes on a small board
ANSWER_S = 30.0  # a page of old events may have to be looked for

NOT_RUNNING = (
    Text("no gateway is running on this state folder", "此状态目录上没有网关在运行"),
    Text(
        "start it with: gateway run (or systemctl start community-gateway); another state folder is named by --config "
        "or --state-dir",
        "请启动:gateway run(或 systemctl start community-gateway);其他状态目录请用 --config 或 --state-dir 指定",
    ),
)


class Refused(GatewayError):
    """The daemon answered that it cannot; in its own words."""

    def say(self, language: str) -> str:
        """As the daemon says it."""
        return self.what.say(language)


def ask(folder: Path, question: str, **details: Any) -> Any:
    """One question, one answer. StateError: no daemon there, or not for this user; Refused: the daemon says no."""
    with _asked(folder, {"ask": question, **details}, ANSWER_S) as lines:
        return _answer(folder, lines)


def ask_patiently(folder: Path, question: str, **details: Any) -> Any:
    """The same of what takes its time."""
    with _asked(folder, {"ask": question, **details}, PATIENT_S) as lines:
        return _answer(folder, lines)


@contextmanager
def following(folder: Path, **details: Any) -> Iterator[Iterator[dict[str, Any]]]:
    """Events from now on, for as long as the block lasts or the daemon runs."""
    with _asked(folder, {"ask": "follow", **details}, None) as lines:
        _answer(folder, lines)
        yield map(json.loads, lines)


@contextmanager
def _asked(folder: Path, question: dict[str, Any], timeout_s: float | None) -> Iterator[BufferedReader]:
    try:
        client = _connect(folder)
    except PermissionError as error:
        what = Text("this user may not ask the gateway", "当前用户无权访问网关")
        raise StateError(str(folder), what, _owner_may(folder)) from error
    except OSError as error:
        raise StateError(str(folder), *NOT_RUNNING) from error
    with client, client.makefile("rb") as lines:
        client.settimeout(timeout_s)
        client.sendall(json.dumps(question).encode() + b"\n")
        yield lines


def _connect(folder: Path) -> socket.socket:
    """Through the folder's descriptor, because an address holds 107 bytes only (unix(7)). OSError."""
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect(f"/proc/self/fd/{handle}/{SOCKET}")
    except OSError:
        client.close()
        raise
    finally:
        os.close(handle)
    return client


def refuse_unreadable(config: Path) -> None:
    """StateError where there is a configuration that this user may not read."""
    try:
        with config.open("rb"):
            return
    except PermissionError as error:
        what = Text("this user may not read the configuration", "当前用户无权读取配置")
        raise StateError(str(config), what, _owner_may(config)) from error
    except OSError:
        return  # told with its place when it is read


def _owner_may(path: Path) -> Text:
    try:
        owner = pwd.getpwuid(path.stat().st_uid).pw_name
    except (OSError, KeyError):
        owner = "community-gateway"
    return Text(f"ask as its own user: sudo -u {owner} gateway …", f"请以其用户执行:sudo -u {owner} gateway …")


def _answer(folder: Path, lines: BufferedReader) -> Any:
    try:
        answer = json.loads(lines.readline())
    except (OSError, ValueError) as error:
        raise StateError(
            str(folder),
            Text("the gateway did not answer", "网关没有应答"),
            Text("it may be stopping: look at its log and ask again", "它可能正在停止:请查看日志后重试"),
        ) from error
    if "error" in answer:
        raise Refused(str(folder), Text(answer["error"]["en"], answer["error"]["zh"]))
    return answer["ok"]
