"""The guide "write a driver in one file" (docs/drivers.md), followed to the letter from an empty folder.

Its files are written as they stand there, its commands are run; only ports, and the silence of the trial, are others.
"""

import asyncio
import importlib.util
import os
import re
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.driver import Driver, Line
from gateway.errors import BadInput, StorageError, Text, Unreachable
from gateway.event import Reading
from tests.brokers import Mosquitto, Subscriber, free_port, subscribed
from tests.daemons import SITE, Own
from tests.fakes import RecordingLink

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "drivers.md").read_text("utf-8")
MOST_LINES = 60
PRESSED, RELEASED = b"7,1,2.3*53\r\n", b"8,0,3.1*52\r\n"


def python(*arguments: str | Path, cwd: Path = ROOT, path: Path = ROOT) -> None:
    """Runs a Python command of the guide, which must succeed; `path` holds what is installed beside the rest."""
    environment = os.environ | {"PYTHONPATH": str(path)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`klingel/` with the files of the guide."""
    made = tmp_path_factory.mktemp("own") / "klingel"
    made.mkdir()
    for name, text in re.findall(r"```\w+ (\S+)\n(.*?)```", GUIDE, re.DOTALL):
        (made / name).write_text(text, "utf-8")
    assert {path.name for path in made.iterdir()} == {"klingel.py", "test_klingel.py", "pyproject.toml"}
    return made


@pytest.fixture(scope="module")
def driver(folder: Path) -> Driver[Any]:
    """Its DRIVER."""
    spec = importlib.util.spec_from_file_location("klingel", folder / "klingel.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Driver[Any] = module.DRIVER
    return found


def test_it_is_as_short_as_promised_and_right_by_the_house_s_rules(folder: Path) -> None:
    text = (folder / "klingel.py").read_text("utf-8")
    assert text.count("\n") <= MOST_LINES
    assert f"{text.count(chr(10))} lines" in GUIDE
    assert text.endswith('kind="panic")\n')
    python("-m", "mypy", "--strict", folder / "klingel.py")
    python("-m", "ruff", "check", "--config", ROOT / "pyproject.toml", folder / "klingel.py")
    python("-m", "ruff", "format", "--check", "--config", ROOT / "pyproject.toml", folder / "klingel.py")


def test_the_guide_s_own_test_of_the_golden_example(folder: Path) -> None:
    assert "python -m pytest test_klingel.py" in GUIDE
    python("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_klingel.py", cwd=folder)


# --- on the wire, with a disk that a test can hold


class Button:
    """The device's side of one connection."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.writer: asyncio.StreamWriter | None = None
        self.reader: asyncio.StreamReader | None = None

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The gateway calls."""
        self.reader, self.writer = reader, writer
        self.connected.set()

    def send(self, wire: bytes) -> None:
        """A line, or anything else."""
        assert self.writer is not None
        self.writer.write(wire)

    async def heard(self) -> bytes:
        """The next line from the gateway; empty once it has hung up."""
        assert self.reader is not None
        async with asyncio.timeout(10):
            return await self.reader.readline()


@asynccontextmanager
async def running(
    driver: Driver[Any], link: RecordingLink, silence: str = "60s"
) -> AsyncIterator[tuple[Button, "asyncio.Task[None]"]]:
    button = Button()
    async with await asyncio.start_server(button.take, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        keys = {"id": "help", "driver": "klingel", "place": "gate", "address": f"127.0.0.1:{port}", "silence": silence}
        line = Line("help", None, (driver.Config.model_validate(keys),))
        task = asyncio.ensure_future(driver.run(line, link))
        try:
            async with asyncio.timeout(10):
                await button.connected.wait()
            yield button, task
        finally:
            task.cancel()
            await asyncio.wait({task})
            if button.writer is not None:
                button.writer.close()


async def test_the_answer_comes_after_the_commit(driver: Driver[Any]) -> None:
    link, commit, reached = RecordingLink(), asyncio.Event(), asyncio.Event()

    async def slow_disk(readings: tuple[Reading, ...]) -> None:
        reached.set()
        await commit.wait()

    link.before_emit = slow_disk
    async with running(driver, link) as (button, _), asyncio.timeout(10):
        button.send(PRESSED)
        answer = asyncio.ensure_future(button.heard())
        await reached.wait()
        assert not answer.done()
        assert link.readings == []
        commit.set()
        assert await answer == b"ACK 7\r\n"
        assert [r.type for r in link.readings] == ["safety.panic", "device.battery_low"]


async def test_a_repeated_line_says_nothing_new_and_a_damaged_one_gets_no_answer(driver: Driver[Any]) -> None:
    link = RecordingLink()
    async with running(driver, link) as (button, _):
        for wire in (PRESSED, b"7,1,2.4*53\r\n", b"hello\r\n", PRESSED, RELEASED):
            button.send(wire)
        assert [await button.heard() for _ in range(3)] == [b"ACK 7\r\n", b"ACK 7\r\n", b"ACK 8\r\n"]
    assert [r.phase for r in link.readings] == ["raise", "raise", "clear", "clear"]


async def test_what_the_disk_does_not_take_is_not_answered(driver: Driver[Any]) -> None:
    link = RecordingLink()
    async with running(driver, link) as (button, task):
        link.before_emit = _refuse
        button.send(PRESSED)
        assert await button.heard() == b""
        assert isinstance(task.exception(), StorageError)


async def _refuse(readings: tuple[Reading, ...]) -> None:
    raise StorageError("store", Text("the disk is full", "磁盘已满"))


@pytest.mark.parametrize(("wire", "silence"), [(b"", "10ms"), (b"7" * 1000, "60s")])
async def test_silence_and_a_line_without_an_end_are_unreachable(
    driver: Driver[Any], wire: bytes, silence: str
) -> None:
    async with running(driver, RecordingLink(), silence) as (button, task):
        button.send(wire)
        assert await button.heard() == b""
        error = task.exception()
        assert isinstance(error, Unreachable)
        assert "收不到报文" in error.say("zh-CN")


async def test_nobody_there_is_unreachable_and_a_damaged_line_is_bad_input(driver: Driver[Any]) -> None:
    keys = {"id": "help", "driver": "klingel", "place": "gate", "address": f"127.0.0.1:{free_port()}"}
    config = driver.Config.model_validate(keys)
    with pytest.raises(Unreachable, match="ConnectionRefusedError"):
        await driver.run(Line("help", None, (config,)), RecordingLink())
    for wire in (b"", b"7,1,2.3*54\r\n", b"7,1,2.3*53", b"7,2,2.3*54\r\n", b"\xff" * 80):
        with pytest.raises(BadInput):
            driver.decode(config, wire)


# --- with the real daemon


def told(city: Subscriber) -> list[tuple[str, str]]:
    """What the district has heard of the button, types and phases."""
    return [(event["type"], event["phase"]) for event in city.events() if event["subject"] == "help-gate"]


@asynccontextmanager
async def socat(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The button as the guide plays it."""
    shown = "socat - TCP-LISTEN:4001,reuseaddr,crlf"
    assert shown in GUIDE
    process = await asyncio.create_subprocess_exec(*shown.replace("4001", str(port)).split(), stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def typed(button: asyncio.subprocess.Process, line: str) -> str:
    """Types a line; what is answered."""
    assert f"`{line}`" in GUIDE
    assert button.stdin is not None
    assert button.stdout is not None
    button.stdin.write(f"{line}\n".encode())
    async with asyncio.timeout(20):
        return (await button.stdout.readline()).decode().strip()


async def test_the_guide_from_the_first_file_to_the_subscriber(folder: Path, tmp_path: Path) -> None:
    assert "pip install --no-deps --no-build-isolation ./klingel" in GUIDE
    site = tmp_path / "site"  # in place of the environment, which belongs to all tests
    flags = ("-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--target", site)
    python("-m", "pip", "install", *flags, "./klingel", cwd=folder.parent)
    port = free_port()
    (shown,) = (block for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL))
    device = shown.replace("4001", str(port)).replace("20s", "2s")
    async with Mosquitto(tmp_path) as broker, subscribed(broker.port) as city:
        uplink = f'uplinks: {{district: {{url: "mqtt://127.0.0.1:{broker.port}"}}}}\n'
        async with Own(tmp_path, SITE + uplink + device) as daemon:
            daemon.environment["PYTHONPATH"] = str(site)
            python("-m", "gateway", "check", "--config", tmp_path / "gateway.yaml", path=site)
            async with socat(port) as button:
                await daemon.start()
                assert await typed(button, "7,1,2.3*53") == "ACK 7"
                await city.until(lambda: len(told(city)) == 2)
                await city.until(lambda: ("device.offline", "raise") in told(city))
            async with socat(port) as button:
                assert await typed(button, "8,0,3.1*52") == "ACK 8"
                await city.until(lambda: len(told(city)) == 6)
    assert [phase for type, phase in told(city) if type == "safety.panic"] == ["raise", "clear"]
    assert [entry for entry in told(city) if entry[0] != "safety.panic"] == [  # a lane of its own, so in order
        ("device.battery_low", "raise"),
        ("device.offline", "raise"),
        ("device.offline", "clear"),
        ("device.battery_low", "clear"),
    ]
