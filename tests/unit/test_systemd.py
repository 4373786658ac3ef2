"""sd_notify(3) by a real datagram socket; the watchdog's rhythm by its variables."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.systemd import notify, reloading, watchdog_s


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_it_hears_lines(manager: socket.socket) -> None:
    notify("READY=1", "STATUS=3 台设备")
    assert manager.recv(1000) == "READY=1\nSTATUS=3 台设备".encode()
    notify("STOPPING=1")
    assert manager.recv(1000) == b"STOPPING=1"


def test_starting_anew_is_no_end(manager: socket.socket) -> None:
    before_us = time.monotonic_ns() // 1000
    notify(*reloading())
    first, second = manager.recv(1000).decode().split("\n")
    name, told_us = second.split("=")
    assert (first, name) == ("RELOADING=1", "MONOTONIC_USEC")
    assert before_us <= int(told_us) <= time.monotonic_ns() // 1000


def test_an_abstract_address(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"gateway-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify("WATCHDOG=1")
        assert listening.recv(1000) == b"WATCHDOG=1"


def test_a_manager_that_does_not_read_stops_nothing(manager: socket.socket) -> None:
    """The event loop would stand still for ever: with it every door, every post and every alarm."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, 5.0)
    try:
        for number in range(2000):
            notify(f"STATUS={number}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert manager.recv(1000) == b"STATUS=0"


def _too_long(*_: object) -> None:
    raise AssertionError("notify() waits for the manager")


def test_nobody_there_is_no_error(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    manager.close()
    notify("WATCHDOG=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "absent")
    notify("WATCHDOG=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify("WATCHDOG=1")


@pytest.mark.parametrize(
    ("allowed_us", "pid", "expected_s"),
    [
        ("30000000", None, 15.0),
        ("30000000", str(os.getpid()), 15.0),
        ("30000000", "1", None),
        (None, None, None),
        ("", None, None),
        ("soon", None, None),
        ("0", None, None),
    ],
)
def test_the_watchdog_s_rhythm(
    allowed_us: str | None, pid: str | None, expected_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", allowed_us), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert watchdog_s() == expected_s
