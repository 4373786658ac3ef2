"""What happens at one door: who may pass, the lock, the light and the beep, and commands from elsewhere."""

import asyncio
from typing import Any

import osdp  # type: ignore[import-untyped]  # libosdp has no type hints

from drivers._osdp_door import Keypad, Repeats, Watch, card_reading, judged, pin_reading
from drivers._osdp_orders import Order
from drivers._osdp_reader import Reader
from drivers._osdp_wire import Attached, Card, Inputs, Keys, Local, Report
from gateway.driver import Command, Link, Outcome
from gateway.event import Reading

ACTIONS = ("unlock", "lock", "release", "output")
OFF, ON, TIMED = 1, 2, 5  # output control codes: permanent off, permanent on, on for a time
LONGEST_TIMER_S = 25.5  # libosdp's Python binding cuts the timer to 8 bits of 100 ms
RENEW_S = 20.0  # a longer opening is renewed in time, so that a dead gateway leaves no door open
LONGEST_S = 3600.0
FEEDBACK_S, COMMAND_S = 2.0, 5.0  # how long an order may wait for the reader
RELEASED = "door.released"
TICK = 0.1  # seconds: the wire's unit of time


class Doorman:
    """Serves one door for ever: `serve()` never returns."""

    def __init__(self, reader: Reader, link: Link) -> None:
        config = reader.config
        self._id = config.id
        self._config = config
        self._reader = reader
        self._link = link
        self._repeats = Repeats(config.ignore_repeats)
        self._keypad = Keypad(config.pin_timeout)
        self._watch = Watch(config.door, reader.conditions)
        self._open_until = self._renew_at = 0.0

    async def serve(self) -> None:
        """Polls the reader and acts on what it reports; commands are taken meanwhile."""
        with self._link.handle(self._id, ACTIONS, self.command):
            while True:
                risen, reports = await self._reader.turn()
                if risen:
                    self._greet()
                for report in reports:
                    await self._report(report)
                if self._reader.up:
                    await self._tick()

    def _greet(self) -> None:
        """The reader is (again) there: how does it stand, and how should the lock stand?"""
        self._ask(osdp.StatusReportType.Local)
        inputs = self._reader.count(osdp.Capability.ContactStatusMonitoring)
        if inputs and (self._config.door.contact is not None or self._config.door.exit is not None):
            self._ask(osdp.StatusReportType.Input)
        if RELEASED in self._reader.conditions:
            self._output(ON)

    def _ask(self, status: int) -> None:
        self._reader.order({"command": osdp.Command.Status, "type": status}, FEEDBACK_S)

    async def _report(self, report: Report) -> None:
        now = self._link.clock.monotonic()
        if isinstance(report, Card):
            if not self._repeats.again(report, now):
                await self._presented(card_reading(self._config, report))
        elif isinstance(report, Keys):
            for pin in self._keypad.feed(report.keys, now):
                await self._presented(pin_reading(self._config, report, pin))
        elif isinstance(report, Local):
            await self._reader.tell(*self._watch.local(report))
        elif isinstance(report, Attached):
            await self._reader.tell(*self._watch.attached(report))
        else:
            await self._inputs(report, now)

    async def _inputs(self, report: Inputs, now: float) -> None:
        if self._watch.exit_pressed(report):
            self._unlock(self._config.door.seconds)
        await self._reader.tell(*self._watch.contact(report, now))

    async def _presented(self, reading: Reading) -> None:
        """Decided at once, stored, then the door opens: a person waits, but not for a disk that fails (`Tray`)."""
        granted = False
        if reading.credential is not None:
            decision = self._link.decide(self._id, reading.credential)
            reading, granted = judged(reading, decision), decision.granted
        await self._reader.tell(reading)
        if granted:
            self._unlock(self._config.door.seconds)
        self._feedback(granted)

    async def _tick(self) -> None:
        now = self._link.clock.monotonic()
        if self._renew_at < now < self._open_until:
            self._unlock(self._open_until - now)
        await self._reader.tell(*self._watch.tick(now))

    def _unlock(self, seconds: float) -> Order:
        now = self._link.clock.monotonic()
        self._watch.allow(now, seconds)
        self._open_until = now + seconds
        self._renew_at = now + RENEW_S if seconds > LONGEST_TIMER_S else self._open_until
        return self._output(TIMED, min(seconds, LONGEST_TIMER_S))

    def _output(self, control: int, seconds: float = 0.0, number: int | None = None) -> Order:
        output = self._config.door.output if number is None else number
        command = {"command": osdp.Command.Output, "output_no": output, "control_code": control}
        return self._reader.order({**command, "timer_count": round(seconds / TICK)}, COMMAND_S)

    def _feedback(self, granted: bool) -> None:
        door = self._config.door
        shown_s = min(door.seconds, LONGEST_TIMER_S) if granted else 1.0
        if self._reader.count(osdp.Capability.LEDControl):
            self._reader.order(led(door.led, granted, shown_s), FEEDBACK_S)
        if self._reader.count(osdp.Capability.AudibleControl):
            self._reader.order(beep(1 if granted else 3), FEEDBACK_S)

    async def command(self, command: Command) -> Outcome:
        """`unlock {seconds?}`, `lock`, `release`, `output {number, state, seconds?}`; done when the reader says so."""
        if not self._reader.reachable:
            return Outcome("device-offline", "the reader does not answer")
        try:
            order = self._begin(command.action, dict(command.args))
        except ValueError as error:
            return Outcome("bad-arguments", str(error))
        try:
            async with asyncio.timeout(COMMAND_S + FEEDBACK_S):
                code = await order.done
        except TimeoutError:
            code = "timeout"
        if code == "ok":
            await self._reader.tell(*self._settled(command.action))
        return Outcome(code, "" if code == "ok" else f"{command.action}: {code}")

    def _begin(self, action: str, args: dict[str, Any]) -> Order:
        door = self._config.door
        if action == "output":
            return self._begin_output(args)
        seconds = _seconds(args.pop("seconds", door.seconds), LONGEST_S) if action == "unlock" else 0.0
        if args:
            raise ValueError(f"{action} takes no {', '.join(args)}")
        if action == "unlock":
            return self._unlock(seconds)
        self._open_until = 0.0
        if action == "lock":
            self._watch.forbid()
        return self._output(ON if action == "release" else OFF)

    def _begin_output(self, args: dict[str, Any]) -> Order:
        number, state, seconds = (args.pop(name, None) for name in ("number", "state", "seconds"))
        if args or isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 255:
            raise ValueError("output takes number (0 to 255), state (true or false) and seconds")
        if not isinstance(state, bool) or (seconds is not None and not state):
            raise ValueError("state is true or false, and seconds goes with true")
        if seconds is not None:
            return self._output(TIMED, _seconds(seconds, LONGEST_TIMER_S), number)
        return self._output(ON if state else OFF, number=number)

    def _settled(self, action: str) -> list[Reading]:
        if action not in ("lock", "release"):
            return []
        return self._reader.conditions.put(RELEASED, action == "release")


def _seconds(value: Any, longest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not TICK <= value <= longest:
        raise ValueError(f"seconds is a number from {TICK} to {longest:g}")
    return float(value)


def led(number: int, granted: bool, seconds: float) -> dict[str, Any]:
    """Green or red for so long, then as before."""
    colour = osdp.CommandLEDColor.Green if granted else osdp.CommandLEDColor.Red
    command = {"command": osdp.Command.LED, "reader": 0, "led_number": number, "temporary": True, "control_code": 2}
    times = {"on_count": 10, "off_count": 0, "timer_count": round(seconds / TICK)}
    return {**command, **times, "on_color": colour, "off_color": osdp.CommandLEDColor.Black}


def beep(times: int) -> dict[str, Any]:
    """Short beeps."""
    command = {"command": osdp.Command.Buzzer, "reader": 0, "control_code": 2}
    return {**command, "on_count": 1, "off_count": 1, "rep_count": times}
