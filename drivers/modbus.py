"""Modbus: detectors, input boards and relay boards, on RS-485 (RTU), Modbus TCP, or RTU over TCP.

Modbus application protocol 1.1b3 (functions 1 to 6, and 16 to write) and Modbus over serial line 1.02 (framing,
silence). What a device means stands in its profile (`drivers/profiles/`). One loop per line asks each device at its own
interval; a silent device is soon asked seldom, so that it does not slow the others; a command waits for one request at
most. A condition is told when it begins and when it ends, after consecutive reads that say so; no answer is
`device.offline`, an exception is `device.fault`, and neither is ever "normal".
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial

from drivers._modbus_config import Config as Config
from drivers._modbus_orders import order, reset, takes
from drivers._modbus_station import (
    EXCEPTIONS,
    Station,
    condition_reading,
    merged,
    refused,
    senseless,
    telemetry,
    unmapped,
)
from drivers._modbus_trial import explained, trial
from drivers._modbus_values import Block, Sampler, met, samples, sound
from drivers._modbus_wire import Peer, Refused, Silent, Wire, open_wire, words_of
from gateway.driver import Command, Driver, Example, Line, Link, Outcome, Proof, Trial
from gateway.errors import BadInput, DeviceError, Misconfigured, StorageError, Text, Unreachable
from gateway.event import Json, Phase, Reading, Value

PROBE_HANDICAP_S = 3.0  # one that did not answer goes before one that did only when it is so much later
RETRY_TELEMETRY_S = 5.0
QUIET_S = 60.0  # beyond the longest answer: the line reads its clock around each question


def decode(config: Config, wire: bytes) -> Sequence[Reading]:
    """One RTU reply frame to the first of the device's requests that it fits → what is true now, and a sample.

    BadInput where the frame is damaged, another device's, or no answer to any of the profile's requests.
    """
    try:
        found = words_of(wire, config.blocks)
    except Refused as refusal:
        return [refused(config, refusal)]
    if found is None or wire[0] != config.address:
        what = Text(
            f"{wire.hex(' ')} is no reply to a {config.profile}", f"{wire.hex(' ')} 不是 {config.profile} 的应答"
        )
        raise BadInput(config.id, what, Text("check the wiring and the profile", "请检查接线和设备模板"))
    block, words = found
    values = samples(config.layout, {block: words})
    trouble = senseless(config, values)
    readings = [trouble] if trouble else []
    for watch in config.watches:
        value = values.get(watch.read.name)
        if value is not None and sound(value) and met(watch.condition, value) != watch.condition.inverted:
            readings.append(condition_reading(config, watch, value, Phase.RAISE))
    readings += unmapped(config, values).values()
    told = Sampler(config.reads).due(values, 0.0)
    return [*readings, telemetry(config.id, told)] if told else readings


class Round:
    """The polling loop of one line, its commands, and its telemetry on the way to the disk."""

    def __init__(self, line: Line[Config], link: Link, wire: Wire) -> None:
        self._link = link
        self._wire = wire
        now_s = link.clock.monotonic()
        self.stations = [Station(config, link.active(config.id), now_s) for config in line.devices]
        self._samples: dict[str, Reading] = {}  # at most one a device
        self._sampled = asyncio.Event()
        self._disk_refuses = False

    async def serve(self) -> None:
        """Ask whoever is due, for ever. Unreachable when the line is gone."""
        clock = self._link.clock
        while True:
            now_s = clock.monotonic()
            due = [station for station in self.stations if station.due_s <= now_s]
            if due:
                await self._poll(min(due, key=_urgency))
            else:
                await clock.sleep(min(station.due_s for station in self.stations) - now_s)

    async def _poll(self, station: Station) -> None:
        if self._wire.bus.tcp is not None and all(each.lost for each in self.stations):
            await self._wire.reopen()  # a TCP peer may have gone without a word
        answers, refusal = await self._ask(station)
        now_s = self._link.clock.monotonic()
        if answers or refusal:
            self._keep_sample(station, station.answered(answers, refusal, now_s))
        else:
            station.missed(now_s)
        try:
            await self._tell(station)
            self._disk_refuses = False
        except StorageError as error:  # it stays in the tray, and is told with the next poll
            if not self._disk_refuses:
                self._link.log.warning("what devices say waits for the disk: %s", error)
            self._disk_refuses = True

    async def _ask(self, station: Station) -> tuple[dict[Block, list[int]], Refused | None]:
        peer = station.config.peer._replace(retries=0) if station.misses else station.config.peer
        answers: dict[Block, list[int]] = {}
        refusal = None
        for block in station.config.blocks:
            try:
                answers[block] = await self._read(station, peer, block)
            except Refused as error:
                refusal = error
            except Silent:
                return {}, None
        return answers, refusal

    async def _read(self, station: Station, peer: Peer, block: Block) -> list[int]:
        try:
            return await self._wire.read(peer, station.asked(block))
        except Refused as refusal:
            if not station.falls_back(refusal):
                raise
        return await self._wire.read(peer, station.asked(block))

    async def _tell(self, station: Station) -> None:
        tray, device = station.tray, station.config.id
        readings = tray.readings()
        if readings:
            await self._link.emit(*readings)
            tray.accepted(len(readings))
        if station.misses == 0:
            await self._link.seen(device)
        elif station.lost:
            await self._link.lost(device, "no-answer", {"address": station.config.address})

    def _keep_sample(self, station: Station, values: Mapping[str, Value]) -> None:
        if values:
            device = station.config.id
            self._samples[device] = merged(self._samples.get(device), telemetry(device, values))
            self._sampled.set()

    async def carry(self) -> None:
        """Samples to the disk, one batch at a time, beside the polling; what comes meanwhile is merged by device."""
        while True:
            await self._sampled.wait()
            self._sampled.clear()
            batch, self._samples = self._samples, {}
            try:
                await self._link.emit(*batch.values())
            except StorageError:
                newer, self._samples = self._samples, batch
                for device, sample in newer.items():
                    self._samples[device] = merged(batch.get(device), sample)
                await self._link.clock.sleep(RETRY_TELEMETRY_S)
                self._sampled.set()

    async def command(self, station: Station, command: Command) -> Outcome:
        """Carry out `output {number, state, seconds?}` or `reset`; done when the device has said so."""
        try:
            write = (
                reset(station.config) if command.action == "reset" else order(station.config.map.outputs, command.args)
            )
        except ValueError as error:
            return Outcome("bad-arguments", str(error))
        try:
            await self._wire.write(station.config.peer, *write)
        except Silent:
            return Outcome("device-offline" if station.lost else "timeout", "the device did not answer")
        except Refused as refusal:
            return Outcome("device-refused", EXCEPTIONS.get(refusal.code, f"exception {refusal.code}"))
        except Unreachable as error:
            return Outcome("device-offline", str(error))
        station.due_s = self._link.clock.monotonic()  # show what it did
        return Outcome(
            result={name: command.args[name] for name in ("number", "state", "seconds") if name in command.args}
        )


def _urgency(station: Station) -> tuple[bool, float]:
    return not station.doubtful, station.due_s + (PROBE_HANDICAP_S if station.misses else 0.0)


async def run(line: Line[Config], link: Link) -> None:
    """Serve one line until it is gone (Unreachable) or cancelled."""
    if line.bus is None:
        what = Text("a Modbus device needs a bus", "Modbus 设备需要 bus")
        raise Misconfigured(line.name, what, Text("name one of buses: in bus:", "请在 bus: 中写明 buses: 里的一条"))
    try:
        async with open_wire(line.name, line.bus, link.clock) as wire:
            await _serve(Round(line, link, wire), link)
    except Unreachable:
        for config in line.devices:
            with suppress(StorageError):  # the supervisor starts us again, and we say it again
                await link.lost(config.id, "bus-down")
        raise


async def _serve(round: Round, link: Link) -> None:
    gone: DeviceError | None = None
    with ExitStack() as commands:
        for station in round.stations:
            handler = partial(round.command, station)
            commands.enter_context(link.handle(station.config.id, DRIVER.actions, handler))
        async with asyncio.TaskGroup() as tasks:
            courier = tasks.create_task(round.carry())
            try:
                await round.serve()
            except DeviceError as error:
                gone = error  # not out of the group, which would wrap it
            finally:
                courier.cancel()
    if gone is not None:
        raise gone


def quiet_s(line: Line[Config]) -> float:
    """The longest a healthy line leaves its link alone."""
    return QUIET_S + max(config.peer.timeout_s for config in line.devices)


def _example(title: str, profile: str, wire: str, *readings: Reading, **config: Json) -> Example:
    return Example(title, {"bus": "line", "address": 1, "profile": profile, **config}, bytes.fromhex(wire), readings)


_raised = partial(Reading, "example", phase=Phase.RAISE)
_ONE: Mapping[str, Json] = {"function": 3, "register": 3, "value": 1}

EXAMPLES = (
    _example("smoke, normal", "rs-yg-n01", "01 03 02 00 00 B8 44"),
    _example(
        "smoke, alarm", "rs-yg-n01", "01 03 02 00 01 79 84",
        _raised("fire.smoke", values={"status": Value(1)}, raw=_ONE),
    ),
    _example(
        "smoke, a status nobody has described", "rs-yg-n01", "01 03 02 00 02 39 85",
        Reading("example", "device.unmapped", Phase.PULSE, raw={**_ONE, "value": 2}),
    ),
    _example(
        "exception: illegal address", "rs-yg-n01", "01 83 02 C0 F1",
        _raised("device.fault", reason="illegal-address", raw={"function": 3, "exception": 2}),
    ),
    _example(
        "23.5 °C, 45.2 %RH, smoke over the threshold", "lt-001-m1920", "01 03 06 00 EB 01 C4 01 40 45 03",
        _raised(
            "fire.smoke",
            values={"smoke_concentration": Value(320)},
            raw={"function": 3, "register": 2, "value": 320},
        ),
        telemetry(
            "example",
            {"temperature": Value(23.5, "°C"), "humidity": Value(45.2, "%RH"), "smoke_concentration": Value(320)},
        ),
    ),
    _example(
        "fail-safe loop closed: normal", "novabo-2di", "FF 02 01 01 51 A0",
        address=255, inputs={"1": {"type": "door.forced"}},
    ),
    _example(
        "fail-safe loop open: alarm", "novabo-2di", "FF 02 01 00 90 60",
        _raised(
            "door.forced",
            values={"input_1": Value(False)},
            part={"point": 1},
            raw={"function": 2, "register": 0, "value": 0},
        ),
        address=255, inputs={"1": {"type": "door.forced"}},
    ),
    _example(
        "input 1 of a board on", "waveshare-io-8ch", "01 02 01 01 60 48",
        _raised(
            "safety.panic",
            values={"input_1": Value(True)},
            part={"point": 1, "text": "值班室"},
            raw={"function": 2, "register": 0, "value": 1},
        ),
        inputs={"1": {"type": "safety.panic", "name": "值班室"}},
    ),
)  # fmt: skip

DRIVER = Driver(
    title="Modbus RTU, TCP and RTU over TCP: detectors, input and relay boards by profile",
    Config=Config,
    run=run,
    decode=decode,
    examples=EXAMPLES,
    actions=("output", "reset"),
    takes=takes,
    quiet_s=quiet_s,
    trial=Trial(explained, trial),
    proof=Proof(
        "Modbus application protocol 1.1b3 (functions 1 to 6, 16); Modbus over serial line 1.02",
        {
            "pymodbus' server over pty and TCP": "tests/contract/test_modbus.py",
            "pymodbus' server, RTU over TCP": "tests/contract/test_modbus_rtu.py",
            "Debian's mbpoll (libmodbus), against the simulator": "tests/contract/test_modbus_boards.py",
            "tshark's dissectors, TCP and RTU": "tests/contract/test_dissected.py",
        },
        "every detector, board and panel: maps are their makers' documents; each states how sure it is",
    ),
)
