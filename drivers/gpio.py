"""Contacts and outputs on the pins of this machine, and supervised loops on its analog inputs.

Pins through the Linux GPIO character device (gpiod 2, the extra `gpio`) or value files; analog values through Linux IIO
files. A contact counts when it has stayed for its debounce time. A supervised loop tells a cut wire or a short circuit
from its contact. Outputs are off at the start and at the end; a pulse is counted here, so wire a lock that must close
by itself to a board with a timer of its own (driver `modbus`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import NoReturn

from drivers._gpio_board import Board, open_board, trouble
from drivers._gpio_config import Config as Config
from drivers._gpio_contact import FAULT, Seen, Settling, State, meaning, state_of
from drivers._modbus_station import Tray
from gateway.driver import Command, Driver, Example, Line, Link, Outcome, Proof
from gateway.errors import BadInput, DeviceError, StorageError, Text
from gateway.event import Json, Phase, Reading, Value

TICK_S = 5.0  # so often a board is looked at that tells of changes by itself
LEAST_S = 0.005  # between two looks, however much a contact chatters
RETRY_S = 1.0  # after a disk that refused
QUIET_S = 60.0
LONGEST_S = 3600.0
GATEWAY_OWN = ("device.offline", "device.shielded", "device.test", "device.end_of_life")  # never ours to clear


def decode(config: Config, wire: bytes) -> Sequence[Reading]:
    """`17=1 27=0 /sys/…/in_voltage0_raw=2048`: levels by line, raw values by file → what is true now. BadInput."""
    try:
        pairs = [pair.rsplit("=", 1) for pair in wire.decode("ascii").split()]
        values = {name: _level(value) for name, value in pairs}
        told = {n: seen(config, n, values) for n in config.inputs if _source(config, n) in values}
    except ValueError as error:
        raise BadInput(config.id, Text("levels look like 17=1 27=0", "电平的写法为 17=1 27=0")) from error
    readings = [reading for number, look in told.items() for _, reading in meaning(config, number, look)]
    return [reading for reading in readings if reading.phase is Phase.RAISE]


def _level(text: str) -> float:
    level = float(text)
    if not isfinite(level):
        raise ValueError(text)
    return level


def _source(config: Config, number: int) -> str:
    contact = config.inputs[number]
    return contact.analog.file if contact.analog is not None else str(contact.line)


def seen(config: Config, number: int, values: Mapping[str, float], before: State | None = None) -> Seen:
    """One look at an input, by what was read of its source."""
    contact, raw = config.inputs[number], values[_source(config, number)]
    value = raw if contact.analog is None else float(f"{raw * contact.analog.scale:.10g}")
    return Seen(state_of(contact, value, before), value)


class Pins:
    """One device: looks at its inputs, switches its outputs, tells what is new."""

    def __init__(self, config: Config, link: Link, board: Board, woken: asyncio.Event) -> None:
        self.config = config
        self._link = link
        self._board = board
        self._woken = woken
        self._settling = {number: Settling(contact.debounce) for number, contact in config.inputs.items()}
        self._tray = Tray(key for key in link.active(config.id) if key[0] not in GATEWAY_OWN)
        self._looked = board.tells and not any(contact.analog for contact in config.inputs.values())
        self._timers: dict[int, asyncio.Task[None]] = {}
        self._disk_refuses = False
        inputs = {(contact.type, str(number)) for number, contact in config.inputs.items()}
        ours = inputs | {(FAULT, str(number)) for number in config.inputs}
        for type, point in self._tray.open - ours:  # of inputs that are configured no more
            gone = None if point is None else {"point": point}
            self._tray.settle((type, point), Reading(config.id, type, Phase.CLEAR, part=gone))

    async def serve(self) -> NoReturn:
        """For ever. Unreachable: a pin or a file cannot be read any more."""
        while True:
            self._woken.clear()
            self._look()
            await self._tell()
            await self._link.clock.sleep(LEAST_S)
            await self._pause()

    def _look(self) -> None:
        now_s, values = self._link.clock.monotonic(), self._read()
        for number, settling in self._settling.items():
            look = seen(self.config, number, values, settling.state)
            if settling.feed(look.state, now_s):
                for key, reading in meaning(self.config, number, look):
                    self._tray.settle(key, reading)

    def _read(self) -> dict[str, float]:
        analogs = [contact.analog for contact in self.config.inputs.values() if contact.analog is not None]
        source = self.config.chip
        try:
            values = {str(line): float(high) for line, high in self._board.levels().items()}
            for analog in analogs:
                source = analog.file
                values[source] = float(Path(source).read_text("ascii"))
        except (OSError, ValueError) as error:
            raise trouble(self.config.id, source, error) from error
        return values

    async def _tell(self) -> None:
        readings = self._tray.readings()
        try:
            if readings:
                await self._link.emit(*readings)
                self._tray.accepted(len(readings))
            await self._link.seen(self.config.id)
            self._disk_refuses = False
        except StorageError as error:  # it stays in the tray, and is told with the next look
            if not self._disk_refuses:
                self._link.log.warning("what the contacts say waits for the disk: %s", error)
            self._disk_refuses = True

    async def _pause(self) -> None:
        """Until an input changes, a state may have settled, or it is time to look anyway."""
        now_s = self._link.clock.monotonic()
        due = [settling.due_s - now_s for settling in self._settling.values() if settling.due_s is not None]
        wait_s = min([*due, TICK_S if self._looked else self.config.poll, *([RETRY_S] if self._disk_refuses else [])])
        if wait_s <= 0:
            return
        alarm = asyncio.ensure_future(self._link.clock.sleep(wait_s))
        alarm.add_done_callback(self._wake)
        try:
            await self._woken.wait()
        finally:
            alarm.cancel()

    def _wake(self, alarm: "asyncio.Future[None]") -> None:
        if not alarm.cancelled():
            self._woken.set()

    async def output(self, group: asyncio.TaskGroup, command: Command) -> Outcome:
        """Carry out `output {number, state, seconds?}`; done when the pin shows it."""
        try:
            number, on, seconds = ordered(self.config, command.args)
        except ValueError as error:
            return Outcome("bad-arguments", str(error))
        timer = self._timers.pop(number, None)
        if timer is not None:
            timer.cancel()
        try:
            self.switch(number, on)
            pin = self.config.outputs[number]
            shown = self._board.levels()[pin.line] == (on == (pin.on == "high"))
        except OSError as error:
            return Outcome("device-offline", str(trouble(self.config.id, self.config.chip, error)))
        if not shown:
            return Outcome("device-refused", "the pin does not follow")
        if seconds is not None:
            self._timers[number] = group.create_task(self._fall(number, seconds), name=f"gpio pulse {number}")
        return Outcome(
            result={name: command.args[name] for name in ("number", "state", "seconds") if name in command.args}
        )

    def switch(self, number: int, on: bool) -> None:
        """An output, at once; told as telemetry."""
        pin = self.config.outputs[number]
        self._board.set(pin.line, on == (pin.on == "high"))
        values = {f"output_{number}": Value(on)}
        self._tray.put(("telemetry.sample", str(number)), Reading(
            self.config.id, "telemetry.sample", Phase.PULSE, values=values))  # fmt: skip
        self._woken.set()

    async def _fall(self, number: int, seconds: float) -> None:
        await self._link.clock.sleep(seconds)
        try:
            self.switch(number, False)
        except OSError as error:  # the next look says so
            self._link.log.warning("output %s of %s does not fall back: %s", number, self.config.id, error)
            self._woken.set()

    def rest(self) -> None:
        """No pulse runs on; all outputs off, as far as the pins are there."""
        for timer in self._timers.values():
            timer.cancel()
        for pin in self.config.outputs.values():
            try:
                self._board.set(pin.line, pin.on == "low")
            except OSError as error:
                self._link.log.debug("%s", error)


def ordered(config: Config, args: Mapping[str, Json]) -> tuple[int, bool, float | None]:
    """The arguments of `output` → number, on, seconds. ValueError is a sentence for the sender."""
    number, state, seconds = args.get("number"), args.get("state"), args.get("seconds")
    if isinstance(number, bool) or not isinstance(number, int) or number not in config.outputs:
        listed = ", ".join(map(str, sorted(config.outputs)))
        raise ValueError(f"number is one of {listed}" if listed else "this device has no outputs")
    if state not in (True, False, "on", "off"):
        raise ValueError('state is true, false, "on" or "off"')
    on = state in (True, "on")
    if seconds is None:
        return number, on, None
    if not on:
        raise ValueError("seconds goes with state on")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not LEAST_S <= seconds <= LONGEST_S:
        raise ValueError(f"seconds is {LEAST_S:g} to {LONGEST_S:g}")
    return number, on, float(seconds)


async def run(line: Line[Config], link: Link) -> None:
    """Serve one device for ever. Unreachable: its pins are gone; Misconfigured: no gpiod, or no such pins."""
    (config,) = line.devices
    woken = asyncio.Event()
    with open_board(config, woken.set) as board:
        gone = await _serve(Pins(config, link, board, woken), link)
    raise gone


async def _serve(pins: Pins, link: Link) -> DeviceError:
    async with asyncio.TaskGroup() as pulses:
        with link.handle(pins.config.id, DRIVER.actions, partial(pins.output, pulses)):
            try:
                await pins.serve()
            except DeviceError as error:
                return error  # not out of the group, which would wrap it
            finally:
                pins.rest()


_DOOR: Mapping[str, Json] = {"type": "door.open", "line": 17, "name": "大门门磁"}
_LOOP: Mapping[str, Json] = {"file": "/adc", "scale": 0.8, "unit": "mV", "low": 600, "high": 2400}
_MANUAL: Mapping[str, Json] = {"type": "fire.manual", "normal": "open", "analog": dict(_LOOP)}


def _example(title: str, contact: Mapping[str, Json], wire: bytes, *told: Reading) -> Example:
    return Example(title, {"inputs": {"1": dict(contact)}}, wire, told)


def _loop(type: str, level: float, state: str, reason: str | None = None) -> Reading:
    values = {} if reason else {"input_1": Value(state == "closed")}
    values["level_1"] = Value(level, "mV")
    return Reading("example", type, Phase.RAISE, values=values, part={"point": 1}, reason=reason, raw={"state": state})


EXAMPLES = (
    _example("a door contact, closed: normal", _DOOR, b"17=0"),
    _example(
        "a door contact, open", _DOOR, b"17=1",
        Reading("example", "door.open", Phase.RAISE, values={"input_1": Value(False)},
                part={"point": 1, "text": "大门门磁"}, raw={"line": 17, "value": 1}),
    ),
    _example("a supervised call point: normal", _MANUAL, b"/adc=2000"),
    _example("… pressed", _MANUAL, b"/adc=250", _loop("fire.manual", 200.0, "closed")),
    _example("… its wire cut", _MANUAL, b"/adc=4095", _loop("device.fault", 3276.0, "cut", "wire-cut")),
    _example(
        "a fail-safe loop, shorted", {**_MANUAL, "normal": "closed"}, b"/adc=3",
        _loop("device.fault", 2.4, "short", "short-circuit"),
    ),
)  # fmt: skip

DRIVER = Driver(
    title="Contacts and outputs on this machine's own pins (GPIO), supervised loops on its analog inputs",
    Config=Config,
    run=run,
    decode=decode,
    examples=EXAMPLES,
    kind="input",
    actions=("output",),
    quiet_s=lambda _line: QUIET_S,
    proof=Proof(
        "Linux GPIO character device v2 (gpiod 2), Linux IIO sysfs files",
        {"gpiod's own settings objects": "tests/unit/test_gpio.py"},
        "every chip and analog converter",
    ),
)
