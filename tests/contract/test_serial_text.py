"""The serial_text driver on real ptys and sockets, against a simulated panel."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from drivers import serial_text
from drivers._text_map import FOLDER
from drivers.serial_text import DRIVER, Config
from drivers.sim.serial_text import HEAT, MANUAL, Panel
from gateway.driver import Line
from gateway.errors import Misconfigured, Unreachable
from gateway.event import Phase, Reading
from gateway.fields import BusConfig
from tests.fakes import FastClock, RecordingLink

NOW = datetime.fromisoformat("2026-11-23T18:06:00")


def config(**more: Any) -> Config:
    base = {"id": "panel", "driver": "serial_text", "place": "b3", "bus": "line", "profile": "gst"}
    return Config.model_validate(base | more)


def bus_of(panel: Panel) -> BusConfig:
    if panel.port:
        return BusConfig.model_validate({"serial": panel.port})
    return BusConfig.model_validate({"tcp": "{}:{}".format(*panel.address)})


@asynccontextmanager
async def running(link: RecordingLink, panel: Panel, *devices: Config) -> AsyncIterator["asyncio.Task[None]"]:
    """The driver, listening to the panel."""
    bus = bus_of(panel)
    task = asyncio.ensure_future(DRIVER.run(Line("line", bus, devices or (config(),)), link))
    try:
        await panel.listened()
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Unreachable):
            await task


@pytest.fixture
def link() -> RecordingLink:
    return RecordingLink(clock=FastClock(20))


def brief(link: RecordingLink) -> list[tuple[str, str, str, object]]:
    return [(r.device, r.type, r.phase.value, r.part and r.part["address"]) for r in link.readings]


WIRES: dict[str, dict[str, Any]] = {
    "pty": {},
    "pty, CR LF": {"end": b"\r\n"},
    "a serial server": {"tcp": ("127.0.0.1", 0)},
}


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
async def test_fires_are_raised_and_a_reset_ends_them(link: RecordingLink, wire: dict[str, Any]) -> None:
    async with Panel(clock=lambda: NOW, **wire) as panel, running(link, panel), asyncio.timeout(5):
        panel.fire(4, 4, "裙楼一层")
        panel.fire(6, 7, "中庭", HEAT)
        panel.fault(1, 9, "地下车库")
        panel.reset()
        panel.back(1, 9, "地下车库")
        await link.until(lambda: link.of("device.fault", Phase.CLEAR))
    assert brief(link) == [
        ("panel", "fire.smoke", "raise", "004-004"),
        ("panel", "fire.heat", "raise", "006-007"),
        ("panel", "device.fault", "raise", "001-009"),
        ("panel", "fire.heat", "clear", "006-007"),
        ("panel", "fire.smoke", "clear", "004-004"),
        ("panel", "device.fault", "clear", "001-009"),
    ]
    first = link.readings[0]
    assert first.part == {"address": "004-004", "loop": 4, "point": 4, "text": "裙楼一层"}
    assert first.device_time is not None
    assert first.device_time.isoformat() == "2026-11-23T18:06:00+08:00"
    assert link.presence == [("panel", "seen")]


async def test_a_port_that_sends_no_newline_is_read_by_its_silence(link: RecordingLink, tmp_path: Path) -> None:
    (tmp_path / "quick.yaml").write_text("idle: 50ms\n" + (FOLDER / "gst.yaml").read_text("utf-8"), "utf-8")
    async with Panel() as panel, running(link, panel, config(profile=str(tmp_path / "quick.yaml"))):
        panel.raw("26/11/23 18:06\n主电故障".encode("gb18030"))
        await link.until(lambda: link.of("device.power_fault", Phase.RAISE))


async def test_bytes_one_by_one_are_the_same(link: RecordingLink) -> None:
    async with Panel(tcp=("127.0.0.1", 0)) as panel, running(link, panel), asyncio.timeout(5):
        for byte in DRIVER.examples[0].wire:
            panel.raw(bytes([byte]))
        await link.until(lambda: link.readings)
    assert brief(link) == [("panel", "fire.smoke", "raise", "004-004")]


async def test_a_line_printed_again_is_no_second_alarm(link: RecordingLink) -> None:
    async with Panel(clock=lambda: NOW) as panel, running(link, panel):
        for _ in range(5):
            panel.record(4, 4, "火警", "裙楼", MANUAL)
        panel.system("备电故障")
        await link.until(lambda: link.of("device.power_fault"))
    assert [(r.type, r.phase) for r in link.readings] == [
        ("fire.manual", Phase.RAISE),
        ("device.power_fault", Phase.RAISE),
    ]


async def test_unknown_lines_go_through_with_their_text(link: RecordingLink) -> None:
    async with Panel(clock=lambda: NOW) as panel, running(link, panel):
        panel.record(2, 3, "启动", "排烟机房", "排烟风机")
        await link.until(lambda: link.readings)
    (found,) = link.of("device.unmapped")
    assert found.raw["text"] == "26/11/23 18:06\n002-003\n启动\n排烟机房\n排烟风机"


async def test_a_part_may_be_a_device_of_its_own(link: RecordingLink) -> None:
    devices = config(), config(id="smoke-4", profile=None, part="004-004", kind="smoke")
    async with Panel(clock=lambda: NOW) as panel, running(link, panel, *devices):
        panel.fire(4, 4, "裙楼")
        panel.fire(4, 5, "裙楼")
        panel.reset()
        await link.until(lambda: len(link.of("fire.*", Phase.CLEAR)) == 2)
    assert brief(link)[:2] == [
        ("smoke-4", "fire.smoke", "raise", "004-004"),
        ("panel", "fire.smoke", "raise", "004-005"),
    ]
    assert {device for device, _ in link.presence} == {"panel", "smoke-4"}


async def test_what_the_disk_refuses_waits_and_arrives_once_in_order(
    link: RecordingLink, caplog: pytest.LogCaptureFixture
) -> None:
    async with Panel(clock=lambda: NOW) as panel, running(link, panel):
        link.failing = 3
        for point in range(1, 6):
            panel.fire(1, point, "大厅")
        await link.until(lambda: len(link.readings) == 5)
    assert link.refused == 3
    assert [r.part and r.part["point"] for r in link.readings] == [1, 2, 3, 4, 5]
    assert len([r for r in caplog.records if "waits for the disk" in r.getMessage()]) == 1


async def test_a_disk_that_does_not_answer_stops_the_reading_not_the_memory(
    link: RecordingLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serial_text, "MOST_WAITING", 4)
    commit, waiting = asyncio.Event(), asyncio.Event()

    async def slow_disk(_: tuple[Reading, ...]) -> None:
        waiting.set()
        await commit.wait()

    link.before_emit = slow_disk
    async with Panel(clock=lambda: NOW) as panel, running(link, panel), asyncio.timeout(5):
        for point in range(1, 21):
            panel.fire(1, point, "大厅")
        await waiting.wait()
        assert link.readings == []
        commit.set()
        await link.until(lambda: len(link.readings) == 20)


async def test_a_condition_that_was_open_before_a_restart_is_ended_by_the_reset(link: RecordingLink) -> None:
    link.conditions["panel"] = {("fire.smoke", "004-004"), ("device.offline", None)}
    async with Panel() as panel, running(link, panel):
        panel.reset()
        await link.until(lambda: link.readings)
    assert brief(link) == [("panel", "fire.smoke", "clear", "004-004")]


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
async def test_a_port_that_goes_is_told_with_what_it_said_last(link: RecordingLink, wire: dict[str, Any]) -> None:
    async with Panel(clock=lambda: NOW, **wire) as panel, running(link, panel) as task, asyncio.timeout(5):
        panel.fire(4, 4, "裙楼")
        await link.until(lambda: link.readings)
        panel.raw("26/11/23 18:06\n主电故障".encode("gb18030"))
        panel.hang_up()
        with pytest.raises(Unreachable, match="line: the port is gone"):
            await task
    assert link.offline == {"panel": "bus-down"}
    if "tcp" in wire:  # a pty forgets what was not read when it goes
        assert link.of("device.power_fault")


async def test_a_panel_that_has_said_nothing_is_not_known_to_be_well(link: RecordingLink) -> None:
    async with Panel() as panel, running(link, panel) as task:
        done, _ = await asyncio.wait({task}, timeout=0.05)
        assert not done
    assert (link.presence, link.readings) == ([], [])


async def test_silence_is_told_where_it_means_something(link: RecordingLink) -> None:
    async with Panel() as panel, running(link, panel, config(offline_after="3s")):
        await link.until(lambda: link.offline == {"panel": "silent"})
        panel.system("主电恢复")
        await link.until(lambda: link.offline == {})
    assert link.presence[:2] == [("panel", "silent"), ("panel", "seen")]


async def test_a_port_at_a_wrong_speed_is_named_once(link: RecordingLink, caplog: pytest.LogCaptureFixture) -> None:
    async with Panel(tcp=("127.0.0.1", 0)) as panel, running(link, panel), asyncio.timeout(5):
        for number in range(60):
            panel.raw(b"\xf0\x80\xfe %d\n\n" % number)
        panel.fire(4, 4, "裙楼")
        await link.until(lambda: link.of("fire.smoke"))
    assert len(link.of("device.unmapped")) == 30
    assert len([r for r in caplog.records if "check baudrate: and profile:" in r.getMessage()]) == 1


async def test_an_endless_line_is_one_line(link: RecordingLink) -> None:
    async with Panel(tcp=("127.0.0.1", 0)) as panel, running(link, panel), asyncio.timeout(5):
        panel.raw(b"x" * 1_000_000 + b"\n\n")
        panel.fire(4, 4, "裙楼")
        await link.until(lambda: link.of("fire.smoke"))
    assert [len(str(r.raw["text"])) for r in link.of("device.unmapped")] == [256]


@pytest.mark.parametrize("bus", [{"serial": "/dev/nothing-here"}, {"tcp": "127.0.0.1:1"}])
async def test_a_port_that_is_not_there_is_unreachable(link: RecordingLink, bus: dict[str, str]) -> None:
    with pytest.raises(Unreachable, match="line: "):
        await DRIVER.run(Line("line", BusConfig.model_validate(bus), (config(),)), link)
    assert link.offline == {"panel": "bus-down"}


async def test_without_a_bus_it_is_misconfigured(link: RecordingLink) -> None:
    with pytest.raises(Misconfigured, match="needs a bus"):
        await DRIVER.run(Line("panel", None, (config(),)), link)


@pytest.mark.skipif(shutil.which("socat") is None, reason="needs socat")
async def test_a_serial_line_made_by_socat(link: RecordingLink, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    socat = await asyncio.create_subprocess_exec(
        "socat", "-d", "-d", f"pty,raw,echo=0,link={ours}", f"pty,raw,echo=0,link={theirs}",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert socat.stderr is not None
    bus = BusConfig.model_validate({"serial": str(ours), "baudrate": 9600})
    opened = asyncio.Event()

    class Watched(RecordingLink):
        def active(self, device: str) -> frozenset[tuple[str, str | None]]:
            opened.set()
            return super().active(device)

    try:
        async with asyncio.timeout(10):
            while b"starting data transfer" not in await socat.stderr.readline():
                pass
            watched = Watched(clock=link.clock)
            task = asyncio.ensure_future(DRIVER.run(Line("line", bus, (config(),)), watched))
            while not opened.is_set():  # what comes before the port is open is lost: say it until it is heard
                theirs.write_bytes("26/11/23 18:06\n主电故障\n\n".encode("gb18030"))
                await asyncio.wait({task}, timeout=0.05)
            await watched.until(lambda: watched.of("device.power_fault", Phase.RAISE))
            task.cancel()
            await asyncio.wait({task})
    finally:
        socat.terminate()
        await socat.wait()
    assert watched.readings[0].reason == "mains"


async def test_a_second_program_cannot_take_the_port(link: RecordingLink) -> None:
    async with Panel() as panel, running(link, panel):
        with pytest.raises(Unreachable, match="another program uses the serial port"):
            await DRIVER.run(Line("line", bus_of(panel), (config(),)), RecordingLink())
