"""Door readers behind Wiegand converters, on a serial line or over TCP.

HID's open formats of 26, 34 and 37 bits (`_wiegand`), and bare numbers as many converters hand on. What a converter's
messages look like stands in a small table (`_wiegand_frame`). Cards and PINs are decided by the gateway's own list. A
wrong parity bit or checksum is a read error, never a card. The converter cannot be asked: on a serial line, that nobody
is there shows only where it sends a heartbeat.
"""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial

from drivers._allowance import of_line
from drivers._group import as_itself
from drivers._osdp_door import Keypad, judged, pin_credential
from drivers._osdp_tray import Tray
from drivers._wiegand_config import Config as Config
from drivers._wiegand_frame import GAP_S, Finder, Message
from drivers._wiegand_line import Line as Wire
from drivers._wiegand_line import open_line
from gateway.driver import Command, Driver, Example, Line, Link, Outcome, Proof
from gateway.errors import BadInput, Misconfigured, StorageError, Text, Unreachable
from gateway.event import Credential, Phase, Reading

TICK_S = 1.0  # so often it is looked whether someone has fallen silent
QUIET_S = 60.0
READ_ERROR = "read-error"


def readings(config: Config, message: Message) -> list[Reading]:
    """One message by itself, nothing known before: a card or PIN without a list is unknown."""
    if message.alive or message.address != config.address:
        return []
    if message.credential is not None:
        return [presented(config, message.credential)]
    if message.keys:
        return [presented(config, pin) for pin in Keypad(config.pin_timeout).feed(message.keys, 0.0)]
    return [read_error(config, message)]


def read_error(config: Config, message: Message) -> Reading:
    """A card that could not be read: how many bits came, where that is known, never which."""
    raw = {"bits": message.bits} if message.bits else {}
    return Reading(config.id, "device.unmapped", Phase.PULSE, reason=READ_ERROR, raw=raw)


def presented(config: Config, credential: Credential) -> Reading:
    """A card or PIN at the door, undecided."""
    return Reading(config.id, "access.denied", Phase.PULSE, reason="unknown_credential", credential=credential)


def decode(config: Config, wire: bytes) -> Sequence[Reading]:
    """Bytes of a converter → what they say, nothing known before. BadInput: no whole message is in them."""
    finder = Finder(config.frame, config.format)
    messages = [*finder.feed(wire, 0.0), *finder.feed(b"", GAP_S)]
    if not messages:
        raise BadInput(config.id, Text("no whole message in it", "其中没有完整报文"))
    return [reading for message in messages for reading in readings(config, message)]


class Repeats:
    """The same again within `window_s` is one reading; each sight of it renews the moment."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._seen: dict[Credential | int, float] = {}

    def again(self, what: Credential | int, now_s: float) -> bool:
        """Was it here a moment ago? `what`: a card, or the bits of a read error."""
        self._seen = {seen: at_s for seen, at_s in self._seen.items() if now_s - at_s <= self._window_s}
        known = what in self._seen
        self._seen[what] = now_s
        return known


class Desk:
    """One reader: decides what it hears, brings it to disk, opens the door where the converter can."""

    def __init__(self, config: Config, link: Link, wire: Wire) -> None:
        self.config = config
        self.tray = Tray(config.id, link)
        self._link = link
        self._wire = wire
        self._repeats = Repeats(config.ignore_repeats)
        self._keypad = Keypad(config.pin_timeout)
        self._heard_s = link.clock.monotonic()

    async def hear(self, message: Message) -> None:
        """Something of this reader."""
        now_s = self._heard_s = self._link.clock.monotonic()
        if message.keys:
            for pin in self._keypad.feed(message.keys, now_s):
                await self._decide(pin)
        elif not self._repeats.again(message.credential or message.bits, now_s):
            if message.credential is not None:
                await self._decide(message.credential)
            else:
                await self.tray.put(read_error(self.config, message))
        await self.present()

    async def _decide(self, credential: Credential) -> None:
        decision = self._link.decide(self.config.id, credential)
        await self.tray.put(judged(presented(self.config, credential), decision))
        if decision.granted and self.config.frame.unlock:
            self._wire.write(self.config.frame.unlock)

    async def present(self) -> None:
        """It is there."""
        with suppress(StorageError):  # told with the next message
            await self._link.seen(self.config.id)

    async def alive(self) -> None:
        """A heartbeat."""
        self._heard_s = self._link.clock.monotonic()
        await self.present()

    async def look(self) -> None:
        """Has it been silent for too long?"""
        limit_s = self.config.offline_after
        if limit_s is not None and self._link.clock.monotonic() - self._heard_s >= limit_s:
            with suppress(StorageError):  # told at the next look
                await self._link.lost(self.config.id, "no-answer")

    async def unlock(self, command: Command) -> Outcome:
        """`unlock`: for the converter's own time."""
        if command.args:
            return Outcome("bad-arguments", "unlock takes no arguments: the converter has its own time")
        try:
            self._wire.write(self.config.frame.unlock)
        except Unreachable as error:
            return Outcome("device-offline", str(error))
        return Outcome(message="sent; the converter does not confirm", result={"relay": "sent"})


async def run(line: Line[Config], link: Link) -> None:
    """Serves the readers of one converter line for ever. Unreachable: the line is gone. Misconfigured: see `check`."""
    if line.bus is None:
        raise Misconfigured(line.name, Text("wiegand needs a bus", "wiegand 需要总线(buses:)"))
    check(line)
    with as_itself():
        async with open_line(line.name, line.bus) as wire, asyncio.TaskGroup() as group:
            desks = {config.address: Desk(config, link, wire) for config in line.devices}
            for desk in desks.values():
                group.create_task(desk.tray.run(), name=f"wiegand store {desk.config.id}")
            await _serve(line, link, wire, desks)


def check(line: Line[Config]) -> None:
    """Misconfigured: readers of one line that cannot be told apart, or whose messages look different."""
    if len({(config.frame, config.format) for config in line.devices}) > 1:
        what = Text("the readers of one line differ in frame: or format:", "同一线路上读头的 frame: 或 format: 不一致")
        raise Misconfigured(line.name, what, Text("give them the same", "请为它们写相同的值"))
    if len({config.address for config in line.devices}) < len(line.devices):
        what = Text("two readers of one line have the same address, or none", "同一线路上有读头地址相同或未写地址")
        do = Text(
            "give each its address:, and say in frame: where it stands", "请各写 address:,并在 frame: 中说明其位置"
        )
        raise Misconfigured(line.name, what, do)


async def _serve(line: Line[Config], link: Link, wire: Wire, desks: dict[int | None, Desk]) -> None:
    first = line.devices[0]
    finder, strangers, allowance = Finder(first.frame, first.format), set[int | None](), of_line(link.clock)
    with ExitStack() as commands:
        for desk in desks.values():
            if first.frame.unlock:
                commands.enter_context(link.handle(desk.config.id, ("unlock",), desk.unlock))
            if desk.config.offline_after is None:
                await desk.present()  # the line is there; more cannot be known
        while True:
            data = await wire.more(GAP_S if finder.waiting else TICK_S)
            if wait_s := allowance.take(len(data)):
                await link.clock.sleep(wait_s)
            for message in finder.feed(data, link.clock.monotonic()):
                await asyncio.sleep(0)  # the others' turn
                await _hand_on(message, desks, partial(_stranger, link, strangers))
            for desk in desks.values():
                await desk.look()


async def _hand_on(message: Message, desks: dict[int | None, Desk], stranger: "partial[None]") -> None:
    if message.alive:
        for desk in desks.values():
            await desk.alive()
    elif message.address in desks:
        await desks[message.address].hear(message)
    elif message.address is None and len(desks) == 1:
        await next(iter(desks.values())).hear(message)  # damaged, before it could say of whom
    else:
        stranger(message.address)


def _stranger(link: Link, known: set[int | None], address: int | None) -> None:
    if address not in known:
        known.add(address)
        link.log.warning("a message of no reader that is configured (address %s) is not taken", address)


_HID26 = Credential("wiegand-26", 90, 324)


def _example(title: str, frame: object, wire: bytes, *told: Reading, **config: object) -> Example:
    return Example(title, {"bus": "line", "frame": frame, **config}, wire, told)


def _card(credential: Credential) -> Reading:
    return Reading("example", "access.denied", Phase.PULSE, reason="unknown_credential", credential=credential)


_ERROR = partial(Reading, "example", "device.unmapped", Phase.PULSE, reason=READ_ERROR)
_BINARY = {
    "coding": "bytes", "carries": "bits", "start": "AA", "end": "55", "length": {"at": 0, "plus": 1},
    "address": 1, "count": 2, "card": [3, -2], "check": {"kind": "xor", "over": [0, -2]},
    "heartbeat": "AA 00 55",
}  # fmt: skip

DRIVER = Driver(
    title="Door readers behind Wiegand converters (serial, TCP)",
    Config=Config,
    run=run,
    decode=decode,
    kind="door",
    actions=("unlock",),
    quiet_s=lambda _line: QUIET_S,
    proof=Proof(
        "HID's open formats of 26, 34 and 37 bits; converters as their makers describe them",
        {
            "published vectors": "tests/unit/test_wiegand.py",
            "makers' example messages": "tests/unit/test_wiegand_driver.py",
            "socat as the line": "tests/contract/test_wiegand.py",
        },
        "every converter and reader",
    ),
    examples=(
        _example("24 bits in hexadecimal digits", "hex-line", b"5A0144\r", _card(_HID26)),
        _example(
            "ten decimal digits, of a 26-bit reader",
            "decimal-line",
            b"0005898564\r\n",
            _card(_HID26),
            format="wiegand-26",
        ),
        _example("facility and number in decimal", "decimal-line", b"090,00324\r\n", _card(_HID26)),
        _example("26 bits as characters", "bits-line", b"00101101000000001010001000\r", _card(_HID26)),
        _example("a wrong parity bit", "bits-line", b"00101101000000001010001001\r", _ERROR(raw={"bits": 26})),
        _example(
            "EM card over a UART", "em-uart", b"\x0262E3086CED08\x03", _card(Credential("wiegand-34", 0, 0xE3086CED))
        ),
        _example("the same, damaged", "em-uart", b"\x0262E3086CEE08\x03", _ERROR()),
        _example("PIN, a character a key", "decimal-line", b"1234#", _card(pin_credential("1234"))),
        _example(
            "binary: reader 2, 26 bits",
            _BINARY,
            bytes.fromhex("AA 07 02 1A 2D 00 A2 00 90 55"),
            _card(_HID26),
            address=2,
        ),
        _example("a heartbeat", _BINARY, bytes.fromhex("AA 00 55"), address=2),
    ),
)
