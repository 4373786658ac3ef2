"""OSDP readers moved by words: cards, keys, tamper, power, contacts."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from drivers._wiegand import encode
from drivers.sim.console import Act, Stage, Tell, Words, on_off
from drivers.sim.console.cards import parse
from drivers.sim.osdp import Ledger, Line, Reader
from gateway.errors import Text

INPUTS = 4  # contacts a reader has here
_DETAIL: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "output": lambda d: f"{d.get('output_no')} ← {d.get('control_code')}",
    "card": lambda d: f"{d['bits']} bit {d['data'].hex()}",
    "keys": lambda d: d["keys"],
}  # by what happened; LEDs, buzzers and keys of channels are told by name only


class _Told(Ledger):
    """A ledger that tells what is written into it."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell

    def add(self, address: int, what: str, detail: dict[str, Any]) -> None:
        """Writes a line, and tells it."""
        super().add(address, what, detail)
        more = _DETAIL[what](detail) if what in _DETAIL else ""
        self._tell(Text(f"reader {address}: {what} {more}".rstrip(), f"读卡器 {address}:{what} {more}".rstrip()))


@asynccontextmanager
async def stage(
    addresses: Sequence[int], tell: Tell, key: str | None = None, clear: bool = False, tcp: bool = False
) -> AsyncIterator[Stage]:
    """Readers on one line: a pty, or a TCP port of this machine. Without a key they wait for their first one."""
    secret = bytes.fromhex(key) if key else None
    readers = [Reader(address, secret, clear=clear, inputs=INPUTS) for address in addresses]
    async with Line(readers, tcp=tcp) as line:
        line.ledger = _Told(tell)
        for reader in readers:
            reader.ledger = line.ledger
        at = line.port or "{}:{}".format(*line.address)
        listed = ", ".join(map(str, addresses))
        title = Text(f"OSDP readers on {at}, address {listed}", f"OSDP 读卡器,位于 {at},地址 {listed}")
        yield Stage(title, _config(line, key, clear), _acts(line))


def _config(line: Line, key: str | None, clear: bool) -> str:
    bus = f"serial: {line.port}" if line.port else f"tcp: {line.address[0]}:{line.address[1]}, framing: rtu"
    how = "insecure: true" if clear else f"key: '{key}'" if key else "install: true"
    rows = [
        f"  - {{id: door-{address}, driver: osdp, bus: sim-osdp, address: {address}, {how}, place: PLACE}}"
        for address in line.readers
    ]
    return "\n".join(["buses:", f"  sim-osdp: {{{bus}}}", "devices:", *rows])


def _acts(line: Line) -> dict[str, Act]:
    def of(do: Callable[[Reader, Words], None]) -> Callable[[Words], None]:
        def run(words: Words) -> None:
            if not words:
                raise ValueError("no address")
            do(line.readers[int(words[0])], words[1:])

        return run

    return {
        "card": Act("card ADDRESS BITS FACILITY NUMBER", Text("present a card", "刷卡"), of(_card)),
        "keys": Act("keys ADDRESS DIGITS#", Text("press keys of the keypad", "按键"), of(_keys)),
        "tamper": Act("tamper ADDRESS on|off", Text("open or close the casing", "打开或合上外壳"), of(_tamper)),
        "fault": Act("fault ADDRESS on|off", Text("its supply fails, or is back", "供电故障或恢复"), of(_fault)),
        "input": Act(
            "input ADDRESS NUMBER on|off", Text("a contact of the reader changes", "读卡器触点变化"), of(_input)
        ),
        "power": Act("power ADDRESS on|off", Text("cut its power, or give it back", "断电或上电"), of(_power)),
        "reset": Act(
            "reset ADDRESS", Text("to factory state: it forgets its key", "恢复出厂状态,忘记密钥"), of(_reset)
        ),
    }


def _card(reader: Reader, words: Words) -> None:
    form, facility, number = words
    reader.present(*encode(parse(form, int(facility), int(number))))


def _keys(reader: Reader, words: Words) -> None:
    (keys,) = words
    reader.press(keys)


def _tamper(reader: Reader, words: Words) -> None:
    (state,) = words
    reader.tamper(on_off(state))


def _fault(reader: Reader, words: Words) -> None:
    (state,) = words
    reader.power_fault(on_off(state))


def _input(reader: Reader, words: Words) -> None:
    number, state = words
    if not 0 <= int(number) < INPUTS:
        raise ValueError(number)
    reader.input(int(number), on_off(state))


def _power(reader: Reader, words: Words) -> None:
    (state,) = words
    reader.power(on_off(state))


def _reset(reader: Reader, _: Words) -> None:
    reader.factory_reset()
