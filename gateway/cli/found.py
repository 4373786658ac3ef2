"""Carries a search out: says what it will do and how long, shows how far it is, then what it found."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import typer

from gateway.cli import show
from gateway.cli.fragment import clean, fragment
from gateway.cli.language import say
from gateway.cli.words import HEADS
from gateway.errors import GatewayError, Text

if TYPE_CHECKING:
    from gateway.driver import Found, Search

INTERRUPTED = 130  # exit status after Ctrl-C, as shells have it
WHERE = Text("WHERE IT ANSWERED", "应答位置")
STOPPED = Text("stopped before its end: this is what was found until then", "提前结束:以下是已找到的内容")


@dataclass
class Result:
    """What was found so far; `complete`: the search came to its end."""

    found: "list[Found]" = field(default_factory=list)
    complete: bool = False

    @property
    def devices(self) -> "list[Found]":
        """Without the hints."""
        return [each for each in self.found if each.device]


def carry_out(search: "Search", driver: str, where: str, nothing: Text, json: bool) -> None:
    """The whole command. `where` is what is searched, `nothing` what to look at where nothing is found.

    Ends with the exit status: 0 something was found, 1 nothing, 130 stopped by Ctrl-C. Unreachable, after showing what
    was found until then.
    """
    show.complain(say(plan(search, where)))
    result = Result()
    try:
        with _progress(search.steps) as step:
            asyncio.run(_gather(search, driver, result, step))
        result.complete = True
    except KeyboardInterrupt:
        show.complain(say(STOPPED))
    except GatewayError:
        if result.found:
            _tell(result, nothing, json)
        raise
    _tell(result, nothing, json)
    raise typer.Exit(INTERRUPTED if not result.complete else 0 if result.devices else 1)


def plan(search: "Search", where: str) -> Text:
    """What will be done, and how long it takes at most."""
    span = show.span(search.longest_s)
    return Text(
        f"searching {where}: steps: {search.steps}, {span} where nothing answers, a little more for each device; it "
        "only reads, and changes nothing. Ctrl-C ends it and shows what was found.",
        f"正在搜索 {where}:共 {search.steps} 步,无应答时约 {span},每找到一台设备略有增加;只读,不作任何修改。"
        "按 Ctrl-C 结束并显示已找到的内容。",
    )


async def _gather(search: "Search", driver: str, result: Result, step: Callable[[], None]) -> None:
    async for each in search.run():
        if each is None:
            step()
        else:
            device = {"driver": driver, **each.device} if each.device else {}
            result.found.append(replace(each, device=device))


@contextmanager
def _progress(steps: int) -> Iterator[Callable[[], None]]:
    """A bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=steps)
        yield lambda: bar.update(task, advance=1, refresh=True)


def _tell(result: Result, nothing: Text, json: bool) -> None:
    from gateway.driver import registry

    config = fragment(result.found, registry().models())
    if json:
        show.document({"complete": result.complete, "found": [_plain(each) for each in result.found], "config": config})
        return
    if result.found:
        rows = [[clean(each.where), clean(say(each.what))] for each in result.found]
        show.table([WHERE, HEADS["what"]], rows, ["" if each.device else "yellow" for each in result.found])
    if config:
        show.put(f"\n{config}")
    elif result.complete:
        show.complain(say(nothing))


def _plain(found: "Found") -> dict[str, Any]:
    bus = None if found.bus is None else dict(found.bus)
    return {"where": found.where, "what": found.what._asdict(), "device": dict(found.device), "bus": bus}
