"""Runs each line's driver: an error's class says what happens next; offline and back are told once.

A driver never decides. It raises; here it is restarted with a back-off, left alone, or told to a person. What one line
meets costs no other line anything.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.clock import Clock
from gateway.driver import Command, Decision, Driver, Handler, Intake, Line, Outcome
from gateway.errors import DeviceError, GatewayError, Misconfigured, NeedsPerson, StorageError, Text
from gateway.event import NOTHING, Credential, Json, Phase, Reading
from gateway.pipeline import Pipeline
from gateway.pulse import Pulse, PulseClock, standing
from gateway.states import OFFLINE, States
from gateway.vault import Vault

RETRY_FIRST_S = 1.0
RETRY_MOST_S = 10.0  # a device that comes back is seen within this time
PERSON_FIRST_S = 60.0  # wrong password: slowly, or the device locks us out
PERSON_MOST_S = 600.0
END_S = (1.0, 0.5)  # a driver is told to end so often, and has so long each time; together within the stage of the end
_NOT_RUNNING = Text("the device's driver is not running", "该设备的驱动未运行")
Running = Literal["running", "retrying", "stopped"]
Decide = Callable[[str, Credential], Decision]


class Stuck(GatewayError):
    """A driver hangs: it has not used its link for longer than a healthy one would."""


@dataclass(frozen=True)
class Tools:
    """What every line's link is made from."""

    pipeline: Pipeline
    states: States
    clock: Clock
    vault: Vault
    decide: Decide


@dataclass
class Switchboard:
    """Who takes commands and posts, by device."""

    handlers: dict[str, tuple[frozenset[str], Handler]] = field(default_factory=dict)
    intakes: dict[str, tuple[str, Intake]] = field(default_factory=dict)


class DeviceLink:
    """The `Link` of one line (see `gateway.driver`)."""

    def __init__(self, tools: Tools, board: Switchboard, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self.pulse = Pulse(tools.clock)
        self.clock: Clock = PulseClock(tools.clock, self.pulse)
        self.log = log
        self._tools = tools
        self._board = board

    async def emit(self, *readings: Reading) -> list[str]:
        """Returns after the commit."""
        with self.pulse:
            return await self._tools.pipeline.accept(readings)

    async def seen(self, device: str) -> None:
        """Clears `device.offline` when it was told. StorageError: the next call tells it."""
        with self.pulse:
            await self._seen(device)

    async def _seen(self, device: str) -> None:
        states = self._tools.states
        if states[device].online is not True:
            await self._tools.pipeline.load()
            if (OFFLINE, None) in self.active(device):
                await self.emit(Reading(device, OFFLINE, Phase.CLEAR))
                self.log.info("%s answers again", device)
        if states.heard(device, self.clock.utc()):
            states.changed(device)

    async def lost(self, device: str, reason: str, raw: Mapping[str, Json] = NOTHING) -> None:
        """Raises `device.offline` once. StorageError: the next call tells it."""
        with self.pulse:
            await self._lost(device, reason, raw)

    async def _lost(self, device: str, reason: str, raw: Mapping[str, Json]) -> None:
        news = self._tools.states[device].online is not False
        self._tools.states.silent(device)
        await self._tools.pipeline.load()
        if (OFFLINE, None) not in self.active(device):
            await self.emit(Reading(device, OFFLINE, Phase.RAISE, reason=reason, raw=raw))
            self.log.warning("%s does not answer (%s)", device, reason)
        if news:
            self._tools.states.changed(device)

    def active(self, device: str) -> frozenset[tuple[str, str | None]]:
        """Conditions open on the device."""
        return frozenset((a.type, a.part or None) for a in self._tools.pipeline.shown.of(device) if a.active)

    def decide(self, door: str, credential: Credential) -> Decision:
        """By the local list."""
        return self._tools.decide(door, credential)

    @contextmanager
    def handle(self, device: str, actions: Sequence[str], handler: Handler) -> Iterator[None]:
        """Commands to the device go to `handler` while the block lasts."""
        self._board.handlers[device] = frozenset(actions), handler
        try:
            yield
        finally:
            self._board.handlers.pop(device, None)

    @contextmanager
    def intake(self, device: str, token: str, intake: Intake) -> Iterator[None]:
        """Posts for the device go to `intake` while the block lasts."""
        self._board.intakes[device] = token, intake
        try:
            yield
        finally:
            self._board.intakes.pop(device, None)

    def keep(self, name: str, secret: bytes) -> None:
        """Into the vault."""
        self._tools.vault.keep(name, secret)

    def kept(self, name: str) -> bytes | None:
        """From the vault."""
        return self._tools.vault.kept(name)


class Supervised:
    """One line and the state of its driver."""

    def __init__(self, name: str, driver: Driver[Any], line: Line[Any], link: DeviceLink) -> None:
        self.driver_name = name
        self.line = line
        self.state: Running = "running"
        self.why: GatewayError | None = None
        self.dead = False  # its driver hangs and cannot be ended: only the end of the process helps
        self._driver = driver
        self._link = link
        self._failures = 0
        self._told = ""

    @property
    def actions(self) -> dict[str, tuple[str, ...]]:
        """Commands that each device of this line takes."""
        takes = self._driver.takes or (lambda _: self._driver.actions)
        return {device.id: takes(device) for device in self.line.devices}

    async def run(self) -> None:
        """Until cancelled, or until the line cannot work as configured."""
        while True:
            started_s = self._link.clock.monotonic()
            try:
                await self._drive()
                failure: Exception = RuntimeError("the driver ended by itself")
            except (DeviceError, StorageError) as error:
                failure = error
            except Exception as error:  # noqa: BLE001  # a driver's bug must not end the other lines
                failure = error
            if self._link.clock.monotonic() - started_s > RETRY_MOST_S * 6:
                self._failures, self._told = 0, ""
            await self._failed(failure)
            if self.state == "stopped":
                return
            await self._link.clock.sleep(self._wait_s(failure))
            self.state = "running"

    async def _drive(self) -> None:
        """One run of the driver: ends as it ends, or by Stuck. No task of it is left that can be ended."""
        running = asyncio.ensure_future(self._driver.run(self.line, self._link))
        tasks = {running}
        quiet_s = None if self._driver.quiet_s is None else self._driver.quiet_s(self.line)
        if quiet_s is not None:
            self._link.pulse.beat()
            tasks.add(asyncio.ensure_future(self._link.pulse.stops(quiet_s)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise self._stuck(running, quiet_s or 0.0)
            if running.cancelled():
                raise RuntimeError("the driver cancelled itself")
            running.result()
        finally:
            for task in tasks - {running}:
                task.cancel()
            await self._end(running)

    def _stuck(self, running: "asyncio.Future[None]", quiet_s: float) -> Stuck:
        what = Text(f"its driver hangs: no sign of life for {quiet_s:g} s", f"驱动停滞:{quiet_s:g} 秒没有任何动作")
        failure = Stuck(self.line.name, what, Text("it is started anew", "正在重新启动该驱动"))
        mine = [task for task in self._link.pulse.tasks if task is not running]
        failure.add_note(standing([running, *mine] if isinstance(running, asyncio.Task) else mine))
        return failure

    async def _end(self, running: "asyncio.Future[None]") -> None:
        for patience_s in END_S:
            if running.done():
                break
            running.cancel()
            await asyncio.wait({running}, timeout=patience_s)
        if not running.done():
            self.dead = True
            self._link.log.error("the driver does not end when it is told to; it is left behind")
        elif not running.cancelled() and (error := running.exception()) is not None:
            self._link.log.debug("the driver ended with %r", error)

    async def _failed(self, failure: Exception) -> None:
        self.state = "stopped" if self.dead or isinstance(failure, Misconfigured) else "retrying"
        self.why = failure if isinstance(failure, GatewayError) else None
        if self._told != repr(failure):
            self._told = repr(failure)
            known = isinstance(failure, GatewayError) and not isinstance(failure, Stuck)
            self._link.log.error("%s", failure, exc_info=None if known else failure)
        if isinstance(failure, StorageError):
            return  # the devices are as they were; it is our disk
        for device in self.line.devices:
            try:
                await self._link.lost(device.id, _reason(failure))
            except StorageError as error:
                self._link.log.warning("%s", error)
                return

    def _wait_s(self, failure: Exception) -> float:
        slow = isinstance(failure, NeedsPerson)
        first_s, most_s = (PERSON_FIRST_S, PERSON_MOST_S) if slow else (RETRY_FIRST_S, RETRY_MOST_S)
        bound_s = min(most_s, first_s * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return random.uniform(bound_s / 2, bound_s)  # noqa: S311  # jitter, no secret


class Supervisor:
    """All lines."""

    def __init__(
        self, tools: Tools, drivers: Mapping[str, Driver[Any]], lines: Sequence[tuple[str, Line[Any]]]
    ) -> None:
        self.board = Switchboard()
        self.guard: Callable[[Command], Outcome | None] = _free  # what is not handed to a device as things stand
        self.lines: list[Supervised] = []
        for name, line in lines:
            log = logging.LoggerAdapter(logging.getLogger(f"gateway.driver.{name}"), {"line": line.name})
            link = DeviceLink(tools, self.board, log)
            self.lines.append(Supervised(name, drivers[name], line, link))

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for line in self.lines:
                group.create_task(line.run(), name=f"driver {line.line.name}")

    def takes(self) -> dict[str, frozenset[str]]:
        """The actions that each device takes, its driver running or not."""
        return {device: frozenset(actions) for line in self.lines for device, actions in line.actions.items()}

    async def command(self, command: Command) -> Outcome:
        """Hand a command to its device's driver."""
        found = self.board.handlers.get(command.device)
        if found is None:
            return Outcome("device-offline", _NOT_RUNNING.en, said=_NOT_RUNNING)
        actions, handler = found
        if command.action not in actions:
            return Outcome("unknown-action", f"it takes {', '.join(sorted(actions))}")
        return self.guard(command) or await handler(command)


def _free(_: Command) -> Outcome | None:
    return None


def _reason(failure: Exception) -> str:
    if isinstance(failure, NeedsPerson):
        return "refused"
    if isinstance(failure, Misconfigured):
        return "misconfigured"
    return "unreachable" if isinstance(failure, DeviceError) else "driver-error"
