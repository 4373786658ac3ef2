"""What an error's class leads to, that one line costs no other anything, and that offline and back are told once."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.database import read_rows
from gateway.driver import Answer, Command, Decision, Driver, Line, Link, Outcome, Posted
from gateway.errors import BadInput, DeviceError, Misconfigured, NeedsPerson, StorageError, Text, Unreachable
from gateway.event import Credential, Lane, Phase, Reading
from gateway.fields import DeviceConfig
from gateway.states import States
from gateway.supervisor import RETRY_MOST_S, DeviceLink, Supervised, Supervisor, Tools
from gateway.vault import Vault
from tests.fakes import ManualClock
from tests.rig import Rig, refusing, rig

WHY = Text("for a reason", "有原因")
Run = Callable[[Line[DeviceConfig], Link], Awaitable[None]]


@dataclass
class Stage:
    """A supervisor over tiny drivers, on a real store; time moves by `pass_s` only."""

    made: Rig
    clock: ManualClock
    states: States
    supervisor: Supervisor
    runs: dict[str, int] = field(default_factory=dict)  # how often each line's driver was started

    def line(self, name: str) -> Supervised:
        """By its name."""
        return next(line for line in self.supervisor.lines if line.line.name == name)

    async def until(self, condition: Callable[[], object]) -> None:
        """Let everything run until it holds."""
        async with asyncio.timeout(10):
            while not condition():
                await self.made.store.read(lambda connection: None)

    async def settle(self) -> None:
        """Until nothing moves without time."""
        for _ in range(5):
            await self.made.store.transact(lambda connection: None)

    async def starts(self, name: str, most_s: float, step_s: float = 0.25) -> float:
        """Seconds until the line's driver is started again, at most so many."""
        await self.settle()
        before, began_s = self.runs[name], self.clock.now_s
        while self.runs[name] == before and self.clock.now_s - began_s < most_s:
            self.clock.advance(step_s)
            await self.settle()
        return self.clock.now_s - began_s

    async def told(self, kind: str = "device.offline") -> list[tuple[str, str, str | None]]:
        """(device, phase, reason) of every event of a type, in order."""
        found = []
        for lane in (Lane.ALARM, Lane.EVENT):
            for row in await self.made.store.read(lambda c, lane=lane: read_rows(c, lane, 0, 1000)):  # type: ignore[misc]
                event = json.loads(row.body)
                if event["type"] == kind:
                    found.append((event["subject"], event["phase"], event["data"].get("reason")))
        return found


def failing(*errors: Exception | None) -> Run:
    """A driver that raises these, one at each start, the last one for ever; None runs on."""
    left = list(errors)

    async def run(line: Line[DeviceConfig], link: Link) -> None:
        error = left.pop(0) if len(left) > 1 else left[0]
        if error is not None:
            raise error
        await asyncio.Event().wait()

    return run


def device(name: str) -> DeviceConfig:
    """A device of a tiny driver."""
    return DeviceConfig(id=name, driver="tiny", place="b3", kind="door", name=None)


def decide(door: str, credential: Credential) -> Decision:
    """Everybody may."""
    return Decision(True)


@asynccontextmanager
async def stage(
    folder: Path, lines: Mapping[str, tuple[Run, Sequence[str]]], quiet_s: float | None = None
) -> AsyncIterator[Stage]:
    """Lines by name: what the driver does, and its devices. Running while the block lasts."""
    clock = ManualClock()
    async with rig(folder, "district", clock=clock) as made:
        states = States(made.pipeline._rim.subjects)
        tools = Tools(made.pipeline, states, clock, Vault(folder / "keys"), decide)
        runs: dict[str, int] = dict.fromkeys(lines, 0)

        def counted(run: Run) -> Run:
            async def count(line: Line[DeviceConfig], link: Link) -> None:
                runs[line.name] += 1
                await run(line, link)

            return count

        patience = None if quiet_s is None else lambda _line: quiet_s
        drivers: dict[str, Driver[Any]] = {
            name: Driver("tiny", DeviceConfig, counted(run), lambda config, wire: (), quiet_s=patience)
            for name, (run, _) in lines.items()
        }
        made_lines = [(name, Line(name, None, tuple(map(device, mine)))) for name, (_, mine) in lines.items()]
        staged = Stage(made, clock, states, Supervisor(tools, drivers, made_lines), runs)
        running = asyncio.create_task(staged.supervisor.run())
        try:
            yield staged
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


# what next


@pytest.mark.parametrize("error", [Unreachable, BadInput, DeviceError, StorageError])
async def test_trouble_is_tried_again_with_a_back_off(tmp_path: Path, error: type[Exception]) -> None:
    async with stage(tmp_path, {"line": (failing(error("line", WHY)), ["door-1"])}) as house:
        waits = [await house.starts("line", 60) for _ in range(12)]
        assert 0.5 <= waits[0] <= 1.25
        assert all(wait <= RETRY_MOST_S + 0.25 for wait in waits)
        assert max(waits) > 4
        await house.settle()
        assert house.line("line").state == "retrying"
        assert house.line("line").why is not None


async def test_what_needs_a_person_is_tried_slowly(tmp_path: Path) -> None:
    async with stage(tmp_path, {"line": (failing(NeedsPerson("line", WHY)), ["door-1"])}) as house:
        waits = [await house.starts("line", 1000, step_s=5) for _ in range(6)]
        assert 30 <= waits[0] <= 65
        assert waits[-1] >= 300
        assert all(wait <= 605 for wait in waits)
        assert await house.told() == [("door-1", "raise", "refused")]


async def test_what_cannot_work_as_configured_stops_alone(tmp_path: Path) -> None:
    lines = {
        "wrong": (failing(Misconfigured("wrong", WHY)), ["door-1"]),
        "right": (failing(Unreachable("right", WHY)), ["door-2"]),
    }
    async with stage(tmp_path, lines) as house:
        await house.starts("right", 60)
        house.clock.advance(3600)
        await house.settle()
        assert house.line("wrong").state == "stopped"
        assert house.runs["wrong"] == 1
        assert house.runs["right"] == 3
        assert ("door-1", "raise", "misconfigured") in await house.told()


async def test_a_bug_is_told_once_with_its_stack_and_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = {
        "buggy": (failing(ZeroDivisionError("a bug")), ["door-1"]),
        "other": (failing(None), ["door-2"]),
    }
    async with stage(tmp_path, lines) as house:
        for _ in range(3):
            await house.starts("buggy", 60)
        assert house.runs == {"buggy": 4, "other": 1}
        assert house.line("other").state == "running"
        assert await house.told() == [("door-1", "raise", "driver-error")]
    (record,) = [r for r in caplog.records if r.exc_info]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


async def test_a_driver_that_ends_is_started_again(tmp_path: Path) -> None:
    async def ends(line: Line[DeviceConfig], link: Link) -> None:
        return

    async with stage(tmp_path, {"line": (ends, ["door-1"])}) as house:
        assert await house.starts("line", 60) <= 1.25


async def test_the_same_error_is_told_once_and_again_after_a_good_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = asyncio.Event()

    async def run(line: Line[DeviceConfig], link: Link) -> None:
        if link.clock.monotonic() > 100:
            await gate.wait()
        raise Unreachable("line", WHY)

    def told() -> int:
        return [record.getMessage() for record in caplog.records].count("line: for a reason")

    async with stage(tmp_path, {"line": (run, ["door-1"])}) as house:
        while house.clock.now_s < 120:
            await house.starts("line", 20)
        assert told() == 1
        house.clock.advance(3600)
        gate.set()
        await house.until(lambda: told() == 2)
        assert await house.starts("line", 60) <= 1.25  # and the back-off begins anew


# offline and back


async def test_offline_and_back_are_told_once(tmp_path: Path) -> None:
    async def run(line: Line[DeviceConfig], link: Link) -> None:
        for _ in range(3):
            await link.lost("door-1", "no-answer", {"attempts": 3})
        assert link.active("door-1") == {("device.offline", None)}
        for _ in range(3):
            await link.seen("door-1")
        assert link.active("door-1") == frozenset()
        await asyncio.Event().wait()

    async with stage(tmp_path, {"line": (run, ["door-1"])}) as house:
        await house.until(lambda: house.states["door-1"].online)
        assert await house.told() == [("door-1", "raise", "no-answer"), ("door-1", "clear", None)]
        assert house.states["door-1"].last_seen == house.clock.utc()


async def test_what_was_never_away_is_not_told_as_back(tmp_path: Path) -> None:
    async def run(line: Line[DeviceConfig], link: Link) -> None:
        await link.seen("door-1")
        await asyncio.Event().wait()

    async with stage(tmp_path, {"line": (run, ["door-1"])}) as house:
        await house.until(lambda: house.states["door-1"].online)
        assert await house.told() == []


async def test_offline_outlives_a_restart(tmp_path: Path) -> None:
    """Raised before it, not raised again after it, cleared by the first answer."""
    async with stage(tmp_path, {"line": (failing(Unreachable("line", WHY)), ["door-1"])}) as house:
        await house.settle()
    gate = asyncio.Event()

    async def run(line: Line[DeviceConfig], link: Link) -> None:
        await link.lost("door-1", "no-answer")
        await gate.wait()
        await link.seen("door-1")
        await asyncio.Event().wait()

    async with stage(tmp_path, {"line": (run, ["door-1"])}) as house:
        await house.until(lambda: house.states["door-1"].online is False)
        assert await house.told() == [("door-1", "raise", "unreachable")]
        gate.set()
        await house.until(lambda: house.states["door-1"].online)
        assert [phase for _, phase, _ in await house.told()] == ["raise", "clear"]


async def test_every_device_of_a_line_goes_with_it(tmp_path: Path) -> None:
    async with stage(tmp_path, {"line": (failing(Unreachable("line", WHY)), ["door-1", "door-2"])}) as house:
        await house.starts("line", 60)
        assert {name for name, _, _ in await house.told()} == {"door-1", "door-2"}
        assert house.states["door-3"].online is None


# when the disk does not take it


async def test_offline_that_was_refused_is_told_when_the_disk_takes_it(tmp_path: Path) -> None:
    async with stage(tmp_path, {"line": (failing(Unreachable("line", WHY)), ["door-1"])}) as house:
        with refusing(tmp_path, "event_lane"):
            for _ in range(3):
                await house.starts("line", 60)
            assert await house.told() == []
            assert house.states["door-1"].online is False
        await house.starts("line", 60)
        await house.settle()
        assert await house.told() == [("door-1", "raise", "unreachable")]


def link_of(house: Stage) -> DeviceLink:
    """The link of the first line."""
    return house.supervisor.lines[0]._link


async def test_back_that_was_refused_is_told_when_the_disk_takes_it(tmp_path: Path) -> None:
    async with stage(tmp_path, {"line": (failing(None), ["door-1"])}) as house:
        link = link_of(house)
        await link.lost("door-1", "no-answer")
        with refusing(tmp_path, "event_lane"), pytest.raises(StorageError):
            await link.seen("door-1")
        await link.seen("door-1")
        await link.seen("door-1")
        assert [phase for _, phase, _ in await house.told()] == ["raise", "clear"]


async def test_a_full_disk_does_not_make_devices_silent(tmp_path: Path) -> None:
    async def run(line: Line[DeviceConfig], link: Link) -> None:
        await link.seen("door-1")
        await link.emit(Reading("door-1", "door.forced", Phase.RAISE))
        await asyncio.Event().wait()

    async with stage(tmp_path, {"line": (run, ["door-1"])}) as house:
        with refusing(tmp_path, "alarm_lane"):
            await house.until(lambda: house.line("line").state == "retrying")
        await house.starts("line", 60)
        await house.until(lambda: house.line("line").state == "running")
        await house.settle()
        assert house.states["door-1"].online is True
        assert await house.told() == []
        assert len(await house.told("door.forced")) == 1


# commands and posts


async def test_commands_and_posts_find_their_device_while_it_is_served(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def unlock(command: Command) -> Outcome:
        return Outcome(result={"did": command.action})

    async def take(posted: Posted) -> Answer:
        return Answer(200, {"bytes": len(posted.body)})

    async def run(line: Line[DeviceConfig], link: Link) -> None:
        with link.handle("door-1", ["unlock"], unlock), link.intake("door-1", "token", take):
            await gate.wait()
        await asyncio.Event().wait()

    async with stage(tmp_path, {"line": (run, ["door-1"])}) as house:
        supervisor = house.supervisor
        await house.until(lambda: supervisor.board.intakes)
        assert (await supervisor.command(Command("1", "door-1", "unlock"))).result == {"did": "unlock"}
        assert (await supervisor.command(Command("2", "door-1", "explode"))).code == "unknown-action"
        assert (await supervisor.command(Command("3", "door-9", "unlock"))).code == "device-offline"
        answer = await supervisor.board.intakes["door-1"][1](Posted(b"12", "text/plain"))
        assert answer == Answer(200, {"bytes": 2})
        gate.set()
        await house.until(lambda: not supervisor.board.intakes)
        assert (await supervisor.command(Command("4", "door-1", "unlock"))).code == "device-offline"


async def test_what_a_driver_can_reach(tmp_path: Path) -> None:
    async with stage(tmp_path, {"line": (failing(None), ["door-1"])}) as house:
        link = link_of(house)
        assert link.decide("door-1", Credential("wiegand-26", 1, 2)).granted
        assert link.kept("osdp-door-1") is None
        link.keep("osdp-door-1", b"secret")
        assert link.kept("osdp-door-1") == b"secret"
        assert link.clock.utc() == house.clock.utc()
