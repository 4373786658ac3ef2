"""A Wiegand converter moved by words: cards, keys, heartbeats, noise."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from drivers.sim.console import Act, Stage, Tell, Words
from drivers.sim.console.cards import parse
from drivers.sim.wiegand import Converter
from gateway.errors import Text


@asynccontextmanager
async def stage(frame: str, tell: Tell, tcp: tuple[str, int] | None = None) -> AsyncIterator[Stage]:
    """One converter on a pty, or on a TCP port. Wrong: there is no such frame."""
    async with Converter(frame, tcp) as converter:
        converter.listeners.append(_Narrator(converter, tell).changed)
        at = converter.port or "{}:{}".format(*converter.address)
        title = Text(f"a Wiegand converter on {at}, messages {frame}", f"韦根转换器,位于 {at},报文格式 {frame}")
        bus = f"serial: {at}" if converter.port else f"tcp: '{at}'"
        device = f"{{id: door-sim, driver: wiegand, bus: sim-wiegand, frame: {frame}, place: PLACE}}"
        config = f"buses:\n  sim-wiegand: {{{bus}}}\ndevices:\n  - {device}"
        yield Stage(title, config, _acts(converter))


class _Narrator:
    def __init__(self, converter: Converter, tell: Tell) -> None:
        self._converter, self._tell = converter, tell
        self._opened = 0

    def changed(self) -> None:
        """Called by the converter."""
        if self._converter.opened != self._opened:
            self._opened = self._converter.opened
            self._tell(Text("the door opens", "开门"))


def _acts(converter: Converter) -> dict[str, Act]:
    return {
        "card": Act("card BITS FACILITY NUMBER", Text("present a card", "刷卡"), partial(_card, converter, False)),
        "damaged": Act(
            "damaged BITS FACILITY NUMBER",
            Text("the same, read wrongly", "刷卡但读错"),
            partial(_card, converter, True),
        ),
        "keys": Act("keys DIGITS#", Text("press keys of the keypad", "按键"), partial(_keys, converter)),
        "noise": Act("noise HEX", Text("bytes that mean nothing", "发送杂乱字节"), partial(_noise, converter)),
        "drop": Act("drop", Text("cut the TCP connections", "断开 TCP 连接"), partial(_drop, converter)),
    }


def _card(converter: Converter, damaged: bool, words: Words) -> None:
    form, facility, number = words
    converter.present(parse(form, int(facility), int(number)), damaged=damaged)


def _keys(converter: Converter, words: Words) -> None:
    (keys,) = words
    converter.press(keys)


def _noise(converter: Converter, words: Words) -> None:
    converter.send(bytes.fromhex("".join(words)))


def _drop(converter: Converter, _: Words) -> None:
    converter.drop()
