"""The daemon and its configuration: run, check, demo, version."""

import faulthandler
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway import __version__
from gateway.cli import show
from gateway.cli.language import fall_back_on, say, spoken
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, chosen, loaded, use_language_of
from gateway.clock import live_in
from gateway.errors import GatewayError, Text

if TYPE_CHECKING:
    from gateway.problems import Problem


def run(config: ConfigOption = CONFIG) -> None:
    """Run the gateway until it is told to stop.

    SIGTERM and Ctrl-C stop it. With a wrong configuration it does not start: all mistakes are told, exit status 2.
    """

    from gateway import app, logs

    try:
        start, drivers = chosen(config)
    except GatewayError:
        use_language_of(config)
        raise
    found = start.loaded
    fall_back_on(found.config.gateway.language)
    log = found.config.gateway.log
    logs.configure(log.format, log.level)
    for warning in found.warnings:
        logging.getLogger("gateway.config").warning("%s", warning.say(spoken()))
    if "timezone" in found.config.site.model_fields_set:
        live_in(found.config.site.timezone)
    faulthandler.enable()  # systemd's watchdog ends a process that stands still by SIGABRT: then it says where it stood
    if app.main(found.config, drivers, start):
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # the same command, anew


def check(config: ConfigOption = CONFIG, json: JsonOption = False) -> None:
    """Check the configuration without starting anything.

    Every mistake is one line: FILE:LINE:COLUMN: key: what is wrong (what is allowed). Exit status 2 if there is one.
    """
    from gateway.build import lines
    from gateway.config import ConfigProblems

    try:
        found, _ = loaded(config)
    except ConfigProblems as wrong:
        if not json:
            raise
        show.document({"ok": False, "file": str(config), "problems": [_problem(p) for p in wrong.problems]})
        raise typer.Exit(2) from wrong
    counts = {"devices": len(found.config.devices), "lines": len(lines(found.config)),
              "uplinks": len(found.config.uplinks)}  # fmt: skip
    if json:
        warnings = [_problem(warning) for warning in found.warnings]
        show.document({"ok": True, "file": str(config), "problems": [], "warnings": warnings, **counts})
        return
    for warning in found.warnings:
        show.complain(warning.say(spoken()))
    show.put(say(_summary(**counts)), "green")


def _problem(problem: "Problem") -> dict[str, Any]:
    place = {"file": str(problem.file), "line": problem.line, "column": problem.column, "key": problem.key}
    return place | {"what": problem.what._asdict()}


def _summary(devices: int, lines: int, uplinks: int) -> Text:
    counted = ", ".join(
        f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in ((devices, "device"), (uplinks, "uplink"))
    )
    on = f" on {lines} line{'' if lines == 1 else 's'}" if devices else ""
    return Text(
        f"OK: {counted.replace(',', on + ',', 1)}", f"配置正确:{devices} 台设备,{lines} 条线路,{uplinks} 条上行链路"
    )


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the story, with a summary.")] = False,
) -> None:
    """Show everything on this machine, with simulated devices.

    A broker, the gateway, devices on real wires, and a subscriber that prints every event. Nothing has to be
    configured. With --once the exit status is 0 only if every event arrived exactly once.
    """
    from gateway.demo import main

    raise typer.Exit(main(once=once, language=spoken()))


def version(json: JsonOption = False) -> None:
    """Say which version this is."""
    python = ".".join(map(str, sys.version_info[:3]))
    if json:
        show.document({"version": __version__, "python": python, "folder": str(Path(__file__).parents[1])})
    else:
        show.put(f"community-gateway {__version__} (Python {python})")
