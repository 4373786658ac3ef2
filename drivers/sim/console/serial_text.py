"""A fire panel's printer moved by words: fires, faults, a reset, any line."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from drivers.sim.console import Act, Stage, Tell, Words
from drivers.sim.serial_text import SMOKE, Panel
from gateway.errors import Text


@asynccontextmanager
async def stage(tell: Tell, tcp: tuple[str, int] | None = None) -> AsyncIterator[Stage]:
    """One panel on a pty, or on a TCP port of this machine (0: any)."""
    async with Panel(tcp=tcp) as panel:
        at = panel.port or "{}:{}".format(*panel.address)
        bus = f"serial: {panel.port}" if panel.port else f'tcp: "{at}"'
        config = (
            f"buses:\n  sim-printer: {{{bus}}}\n"
            "devices:\n  - {id: panel-sim, driver: serial_text, bus: sim-printer, profile: gst, place: PLACE}"
        )
        title = Text(f"a fire panel's printer port on {at}", f"火灾报警控制器打印口,位于 {at}")
        yield Stage(title, config, _acts(panel, tell))


def _acts(panel: Panel, tell: Tell) -> dict[str, Act]:
    known: dict[str, tuple[str, Text, Callable[[Panel, Words], None]]] = {
        "fire": ("fire LOOP POINT WHERE [DEVICE]", Text("a part is in alarm", "部件火警"), partial(_part, Panel.fire)),
        "fault": ("fault LOOP POINT WHERE [DEVICE]", Text("a part is faulty", "部件故障"), partial(_part, Panel.fault)),
        "back": ("back LOOP POINT WHERE [DEVICE]", Text("it is well again", "故障恢复"), partial(_part, Panel.back)),
        "system": ("system WORD", Text("about the panel itself, in its own words", "系统信息,如 主电故障"), _system),
        "reset": ("reset", Text("somebody resets the panel", "复位控制器"), _reset),
        "line": ("line TEXT", Text("print this line as it stands", "原样打印一行"), _line),
    }

    def told(do: Callable[[Panel, Words], None], words: Words) -> None:
        before = len(panel.printed)
        do(panel, words)
        for record in panel.printed[before:]:
            shown = " | ".join(line.strip() for line in record.split("\n"))
            tell(Text(f"printed: {shown}", f"已打印:{shown}"))

    return {word: Act(usage, what, partial(told, do)) for word, (usage, what, do) in known.items()}


def _part(do: Callable[[Panel, int, int, str, str], None], panel: Panel, words: Words) -> None:
    loop, point, where, *device = words
    do(panel, _number(loop), _number(point), where, device[0] if device else SMOKE)


def _number(word: str) -> int:
    if not 0 <= int(word) <= 999:
        raise ValueError(word)
    return int(word)


def _system(panel: Panel, words: Words) -> None:
    (word,) = words
    panel.system(word)


def _reset(panel: Panel, _: Words) -> None:
    panel.reset()


def _line(panel: Panel, words: Words) -> None:
    if not words:
        raise ValueError("nothing to print")
    panel.line(" ".join(words))
