"""A driver that hangs is told from one with nothing to do; what systemd's watchdog hears, on a real socket."""

import asyncio
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import supervisor, watchdog, writer
from gateway.driver import Line, Link
from gateway.errors import StorageError
from gateway.event import Phase, Reading
from gateway.fields import DeviceConfig
from gateway.pulse import GRACE_S, Pulse, standing
from gateway.store import Store
from tests.fakes import ManualClock
from tests.unit.test_supervisor import Stage, stage

QUIET_S = 60.0
ROOT = Path(__file__).resolve().parents[2]
Config = Line[DeviceConfig]


async def never_answers() -> None:
    """Where a driver hangs."""
    await asyncio.get_running_loop().create_future()


async def hangs(line: Config, link: Link) -> None:
    """A driver that asks a device, and waits without an end of its own."""
    await link.seen("door-1")
    await never_answers()


async def passing(house: Stage, seconds: float, step_s: float = 5.0) -> None:
    """Time goes by."""
    end_s = house.clock.now_s + seconds
    while house.clock.now_s < end_s:
        house.clock.advance(step_s)
        await house.settle()


# drivers


async def test_a_driver_that_hangs_is_started_anew_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def works(line: Config, link: Link) -> None:
        while True:
            await link.seen("door-2")
            await link.clock.sleep(10.0)

    async with stage(tmp_path, {"line": (hangs, ["door-1"]), "other": (works, ["door-2"])}, QUIET_S) as house:
        await house.until(lambda: house.states["door-1"].online)
        began_s = house.clock.now_s
        await house.starts("line", 200)
        assert QUIET_S <= house.clock.now_s - began_s <= QUIET_S + 2 * GRACE_S + supervisor.RETRY_FIRST_S + 1
        await house.until(lambda: house.states["door-1"].online)
        assert house.runs == {"line": 2, "other": 1}
        assert await house.told() == [("door-1", "raise", "driver-error"), ("door-1", "clear", None)]
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.getMessage() == "line: its driver hangs: no sign of life for 60 s; it is started anew"
    trace = logging.Formatter().formatException(record.exc_info or (None, None, None))
    assert "in never_answers" in trace
    assert "create_future()" in trace


async def test_each_time_it_hangs_is_told_with_where_it_stands(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(tmp_path, {"line": (hangs, ["door-1"])}, QUIET_S) as house:
        for _ in range(3):
            await house.starts("line", 200)
        assert house.line("line").state == "running"
    assert len([record for record in caplog.records if record.exc_info]) == 3


async def test_the_health_document_says_why_until_it_is_tried_again(tmp_path: Path) -> None:
    async with stage(tmp_path, {"line": (hangs, ["door-1"])}, QUIET_S) as house:
        await house.until(lambda: house.states["door-1"].online)
        house.clock.advance(QUIET_S + GRACE_S)
        await house.settle()
        house.clock.advance(GRACE_S)
        await house.until(lambda: house.line("line").state == "retrying")
        why = house.line("line").why
        assert why is not None
        assert "停滞" in why.say("zh")


@pytest.mark.parametrize("quiet_s", [None, QUIET_S])
async def test_one_that_waits_for_the_world_is_never_touched(tmp_path: Path, quiet_s: float | None) -> None:
    """It waits for posts for ever, or sleeps for an hour between polls."""

    async def waits(line: Config, link: Link) -> None:
        if quiet_s is None:
            await never_answers()
        while True:
            await link.clock.sleep(3600)
            await link.seen("door-1")

    async with stage(tmp_path, {"line": (waits, ["door-1"])}, quiet_s) as house:
        await passing(house, 86400, 300)
        assert house.runs == {"line": 1}
        assert await house.told() == []


async def test_a_slow_disk_is_not_the_driver_s_fault(tmp_path: Path) -> None:
    gate = threading.Event()

    async def emits(line: Config, link: Link) -> None:
        await link.emit(Reading("door-1", "access.granted", Phase.PULSE))
        await never_answers()

    async with stage(tmp_path, {"line": (emits, ["door-1"])}, QUIET_S) as house:
        held = asyncio.ensure_future(house.made.store.transact(lambda _: gate.wait(10)))
        for _ in range(20):
            house.clock.advance(QUIET_S / 2)
            await house.made.store.read(lambda _: None)
        assert house.runs == {"line": 1}
        gate.set()
        await held
        assert await house.starts("line", 200) >= QUIET_S  # now it is


async def test_a_pause_of_the_whole_process_kills_no_driver(tmp_path: Path) -> None:
    """Its own timers are due at the same moment as the watch: it gets its turn first."""

    async def polls(line: Config, link: Link) -> None:
        while True:
            await link.seen("door-1")
            async with asyncio.timeout(60):
                await asyncio.wait_for(asked.wait(), None)
            asked.clear()

    asked = asyncio.Event()
    async with stage(tmp_path, {"line": (polls, ["door-1"])}, QUIET_S) as house:
        await house.settle()
        for _ in range(5):
            house.clock.advance(10 * QUIET_S)
            asked.set()
            await house.settle()
            house.clock.advance(GRACE_S)
            await house.settle()
        assert house.runs == {"line": 1}


async def test_one_that_swallows_its_end_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "END_S", (0.01, 0.01))
    gate = asyncio.Event()

    async def stubborn(line: Config, link: Link) -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    try:
        async with stage(tmp_path, {"line": (stubborn, ["door-1"])}, QUIET_S) as house:
            await passing(house, QUIET_S + 2 * GRACE_S, 1.0)
            await house.until(lambda: house.line("line").state == "stopped")
            assert house.line("line").dead
            await passing(house, 600)
            assert house.runs == {"line": 1}  # not a second one on the same wire
            ailing = watchdog.ailing(None, house.supervisor.lines, 0.0)
            assert ailing is not None
            assert "line" in ailing.en
    finally:
        gate.set()
    assert "left behind" in caplog.text


async def test_the_end_of_the_daemon_does_not_wait_for_it(tmp_path: Path) -> None:
    """The real end of a process: its event loop must not wait for the driver either."""
    script = f"""
import asyncio, os, signal, pathlib
from gateway import app, supervisor
from tests.houses import Puppets, config
supervisor.END_S = (0.05, 0.05)
puppets = Puppets()
async def stubborn(line, link):
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue
puppets._run = stubborn
app.main(config(pathlib.Path({str(tmp_path)!r}), {{"door-1": "door"}}), puppets.drivers)
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(10):
        _, said = await process.communicate()
    assert process.returncode == 0
    assert b"left behind" in said


async def test_a_task_that_a_driver_started_is_shown_too() -> None:
    clock = ManualClock()
    pulse = Pulse(clock)

    async def child() -> None:
        with pulse:
            pass
        await never_answers()

    task = asyncio.create_task(child(), name="reader 7")
    async with asyncio.timeout(1):
        while not pulse.tasks:
            await asyncio.wait({task}, timeout=0)
    shown = standing(pulse.tasks)
    assert shown.startswith("task reader 7:")
    assert shown.index("in child") < shown.index("in never_answers")
    task.cancel()


# what systemd hears


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """What systemd listens on; it wants to hear something every 10 ms."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    listening.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setattr(watchdog, "AILING_S", 0.01)
    return listening


async def heard(manager: socket.socket, count: int = 1) -> None:
    """So many `WATCHDOG=1`."""
    async with asyncio.timeout(5):
        for _ in range(count):
            assert await asyncio.get_running_loop().sock_recv(manager, 100) == b"WATCHDOG=1"


def drain(manager: socket.socket) -> int:
    """How many wait to be read."""
    count = 0
    try:
        while manager.recv(100):
            count += 1
    except BlockingIOError:
        return count
    return count


async def logged(store: Store, condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await store._reader.read(lambda _: None)


async def test_it_falls_silent_while_the_writer_hangs(
    tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watchdog, "WRITER_S", 0.05)
    gate = threading.Event()
    async with Store(tmp_path / "events.db", ("district",)) as store:
        watching = asyncio.create_task(watchdog.watch(store, ()))
        await heard(manager, 3)
        assert store.flight.oldest_s is None
        before_s = asyncio.get_running_loop().time()
        held = asyncio.ensure_future(store.transact(lambda _: gate.wait(10)))
        await logged(store, lambda: "has not answered the writer" in caplog.text)
        assert store.flight.oldest_s is not None
        assert before_s <= store.flight.oldest_s <= asyncio.get_running_loop().time() - watchdog.WRITER_S
        drain(manager)
        later = asyncio.ensure_future(store.transact(lambda _: None))  # younger: the oldest counts
        await logged(store, lambda: asyncio.get_running_loop().time() - before_s > 0.2)
        assert drain(manager) == 0
        gate.set()
        await asyncio.gather(held, later)
        await heard(manager, 3)
        assert store.flight.oldest_s is None
        watching.cancel()
    assert [record.levelname for record in caplog.records if record.name == "gateway.watchdog"] == [
        "CRITICAL",
        "WARNING",
    ]


async def test_it_waits_while_a_damaged_database_is_salvaged(
    tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However long that takes, within reason: whoever ends it begins it anew."""
    monkeypatch.setattr(watchdog, "WRITER_S", 0.0)
    gate = threading.Event()

    def slowly(*_: object) -> None:
        gate.wait(10)
        raise OSError("and there is no room")

    monkeypatch.setattr(writer, "mend", slowly)
    async with Store(tmp_path / "events.db", ("district",)) as store:
        store.writer.damaged = True
        held = asyncio.ensure_future(store.transact(lambda _: None))
        await logged(store, lambda: store.writer.mending)
        watching = asyncio.create_task(watchdog.watch(store, ()))
        await heard(manager, 3)
        watching.cancel()
        gate.set()
        with pytest.raises(StorageError, match="no room"):
            await held
        store.writer.damaged = False
    assert [record for record in caplog.records if record.name == "gateway.watchdog"] == []


async def test_without_systemd_nothing_is_watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    async with asyncio.timeout(1):
        await watchdog.watch(Store(tmp_path / "events.db", ()), ())


@pytest.mark.parametrize(("busy_since_s", "ill"), [(None, False), (100.0 - watchdog.WRITER_S, False), (39.9, True)])
def test_a_writer_that_is_busy_is_not_stuck_at_once(busy_since_s: float | None, ill: bool) -> None:
    assert (watchdog.ailing(busy_since_s, (), 100.0) is not None) is ill


def test_systemd_s_patience_is_longer_than_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """WatchdogSec of the unit, and what follows from it."""
    from gateway.systemd import watchdog_s

    unit = (ROOT / "deploy/systemd/community-gateway.service").read_text("utf-8")
    (allowed_s,) = [int(line.partition("=")[2]) for line in unit.splitlines() if line.startswith("WatchdogSec=")]
    monkeypatch.setenv("WATCHDOG_USEC", str(allowed_s * 1_000_000))
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert (watchdog_s() or 0) + supervisor.END_S[0] < allowed_s
    assert sum(supervisor.END_S) < 2.0  # the stage of the drivers' end
