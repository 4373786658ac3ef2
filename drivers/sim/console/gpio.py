"""Simulated pins moved by words: contacts, analog levels; outputs are told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from drivers.sim.console import Act, Stage, Tell, Words, on_off, word_of
from drivers.sim.gpio import Pins
from gateway.errors import Text

CONTACTS, OUTPUTS, ANALOG = (1, 2), (11, 12), "in_voltage0_raw"
MIDDLE, LOW, HIGH = 2000, 1000, 3000  # raw steps of a supervised loop: as it is, and its thresholds
LOOK_S = 0.05


@asynccontextmanager
async def stage(tell: Tell) -> AsyncIterator[Stage]:
    """Two contacts, a supervised loop, two outputs, in a folder."""
    with Pins(CONTACTS, OUTPUTS, {ANALOG: MIDDLE}) as pins:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(_tell_outputs(pins, tell))
            title = Text(f"simulated pins in {pins.folder}", f"模拟引脚,位于 {pins.folder}")
            yield Stage(title, _config(pins), _acts(pins))
            watch.cancel()


def _config(pins: Pins) -> str:
    loop = f"{{file: {pins.folder / ANALOG}, low: {LOW}, high: {HIGH}}}"
    return "\n".join([
        "devices:",
        "  - id: pins-sim",
        "    driver: gpio",
        f"    chip: {pins.folder}",
        "    place: PLACE",
        "    inputs:",
        *(f"      {line}: {{type: door.open, line: {line}}}" for line in CONTACTS),
        f"      3: {{type: safety.panic, normal: open, analog: {loop}}}",
        f"    outputs: {{{', '.join(f'{line - 10}: {{line: {line}}}' for line in OUTPUTS)}}}",
    ])  # fmt: skip


async def _tell_outputs(pins: Pins, tell: Tell) -> None:
    shown = {line: pins.on(line) for line in OUTPUTS}
    while True:
        await asyncio.sleep(LOOK_S)
        for line in OUTPUTS:
            if pins.on(line) != shown[line]:
                shown[line] = pins.on(line)
                word = word_of(shown[line])
                tell(Text(f"output {line - 10} is {word.en}", f"输出 {line - 10}:{word.zh}"))


def _acts(pins: Pins) -> dict[str, Act]:
    return {
        "contact": Act(
            "contact NUMBER on|off", Text("close (on) or open a contact", "闭合(on)或断开触点"), partial(_contact, pins)
        ),
        "level": Act("level RAW", Text("the supervised loop's raw value", "监测回路的原始值"), partial(_level, pins)),
        "press": Act("press", Text("the loop's contact closes", "回路触点闭合"), partial(_set, pins, LOW - 500)),
        "release": Act("release", Text("it opens again", "触点恢复断开"), partial(_set, pins, MIDDLE)),
        "cut": Act("cut", Text("the loop's wire is cut", "回路断线"), partial(_set, pins, HIGH + 500)),
    }


def _contact(pins: Pins, words: Words) -> None:
    number, state = words
    pins.put(int(number), not on_off(state))


def _level(pins: Pins, words: Words) -> None:
    (raw,) = words
    pins.measure(ANALOG, int(raw))


def _set(pins: Pins, raw: int, _: Words) -> None:
    pins.measure(ANALOG, raw)
