"""`gateway profile`: what a description of a device's registers says, tried on the device itself."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from gateway.cli import show
from gateway.cli.language import say
from gateway.cli.where import JsonOption
from gateway.cli.words import HEADS
from gateway.errors import ConfigError, Text

if TYPE_CHECKING:
    from gateway.driver import Finding, Trial
    from gateway.fields import BusConfig

DRIVER = "modbus"  # the driver whose devices are described so
Failed = dict[str, str]  # what was last said of a value, by where it stands
NOT_ALL = Text("not all of it was understood: see the lines with !", "部分内容未能识别:见带 ! 的行")
ALL = Text("all of it was understood", "全部识别")
CHECKED = Text(
    "the profile is right; with --port or --tcp it is tried on the device", "模板无误;加 --port 或 --tcp 可在设备上试读"
)


def try_out(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A profile file, or the name of one that comes along.")],
    port: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--port", metavar="DEVICE", help="The serial port, e.g. /dev/ttyUSB0."),
    ] = None,
    tcp: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--tcp", metavar="HOST:PORT", help="A Modbus TCP device instead, or a serial server."),
    ] = None,
    framing: Annotated[
        Literal["tcp", "rtu"], typer.Option("--framing", help="On TCP: Modbus TCP, or RTU over it.")
    ] = "tcp",
    address: Annotated[
        int, typer.Option("--address", min=1, max=255, metavar="N", help="The device's address on the line.")
    ] = 1,
    baudrate: Annotated[
        int, typer.Option("--baudrate", min=300, max=921600, metavar="N", help="Bits per second of the serial port.")
    ] = 9600,
    parity: Annotated[Literal["N", "E", "O"], typer.Option("--parity", help="Parity of the serial port.")] = "N",
    device: Annotated[
        str,
        typer.Option("--device", metavar="KEYS", help="More keys as in gateway.yaml, e.g. 'loops: {1: 60}'."),
    ] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and say what changes; Ctrl-C ends it.")] = False,
    json: JsonOption = False,
) -> None:
    """Read every register of a profile and say what it means.

    It only reads. Without a port the profile is only checked. Exit status 1 where something did not answer or was not
    understood, 2 where the profile is wrong.
    """
    from gateway.driver import registry
    from gateway.fields import Wrong

    trial: Trial = registry()[DRIVER].trial  # type: ignore[assignment]  # this driver has one
    keys = {"address": address, **_keys(device)}
    try:
        told = trial.explain(file, keys)
        if not json:
            for text in told:
                show.put(say(text))
        bus = _bus(port, tcp, framing, baudrate, parity)
        if bus is None:
            show.document({"file": file, "ok": True}) if json else show.put(say(CHECKED))
            return
        with suppress(KeyboardInterrupt):
            good = asyncio.run(_try(trial, file, bus, keys, watch, json))
            raise typer.Exit(0 if good else 1)
    except Wrong as wrong:
        raise ConfigError(Path(file).name, wrong.text) from wrong


async def _try(trial: "Trial", file: str, bus: "BusConfig", keys: Mapping[str, Any], watch: bool, json: bool) -> bool:
    """Prints what is found; whether all of the last round was good."""
    from gateway.clock import SystemClock

    good, known = False, Failed()
    async for findings in trial.run(file, bus, keys, SystemClock(), None if watch else 1):
        good = all(finding.good for finding in findings)
        if json:
            show.document([_plain(finding) for finding in findings], one_line=watch)
        elif not known:
            _table(findings)
            show.put(say(ALL if good else NOT_ALL), "green" if good else "yellow")
        else:
            _changes(known, findings)
        known |= {finding.where + finding.name: finding.value for finding in findings}
    return good


def _plain(finding: "Finding") -> dict[str, Any]:
    return {**asdict(finding), "meaning": finding.meaning._asdict()}


def _table(findings: "list[Finding]") -> None:
    rows = [
        ["" if each.good else "!", each.name, each.where, each.raw, each.value, say(each.meaning)] for each in findings
    ]
    heads = [Text("", ""), *(HEADS[head] for head in ("value", "register", "raw", "reading", "meaning"))]
    show.table(heads, rows, ["" if each.good else "yellow" for each in findings])


def _changes(known: Failed, findings: "list[Finding]") -> None:
    for each in findings:
        before = known.get(each.where + each.name)
        if before != each.value:
            now = f"{datetime.now().astimezone():%H:%M:%S}"
            show.put(f"{now}  {each.name or each.where}: {before} → {each.value or '-'}  {say(each.meaning)}")


def _bus(port: str | None, tcp: str | None, framing: str, baudrate: int, parity: str) -> "BusConfig | None":
    from pydantic import ValidationError

    from gateway.fields import BusConfig

    if port is None and tcp is None:
        return None
    given = {"serial": port, "tcp": tcp, "framing": framing, "baudrate": baudrate, "parity": parity}
    try:
        return BusConfig.model_validate(given)
    except ValidationError as exc:
        wrong = exc.errors()[0].get("ctx", {}).get("error")
        raise typer.BadParameter(say(getattr(wrong, "text", Text(str(exc), str(exc))))) from exc


def _keys(device: str) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe", pure=True).load("{" + device + "}")
    except YAMLError as exc:
        wanted = Text("write it as in gateway.yaml: 'loops: {1: 60}'", "请按 gateway.yaml 的写法,例如 'loops: {1: 60}'")
        raise typer.BadParameter(say(wanted), param_hint="'--device'") from exc
    return dict(found)
