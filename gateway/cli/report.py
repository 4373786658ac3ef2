"""Reports of a shift, a day, a month; handing a shift over."""

import getpass
import os
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from gateway.cli import show
from gateway.cli.ask import ask_patiently
from gateway.cli.language import say, spoken
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, StateDirOption, state_dir
from gateway.errors import Text

if TYPE_CHECKING:
    from gateway.reportview import View

Kind = Literal["shift", "day", "month"]
CsvOption = Annotated[bool, typer.Option("--csv", help="For a spreadsheet, instead of text.")]


def report(
    kind: Annotated[Kind, typer.Argument(metavar="[shift|day|month]", help="Of what; else the day.")] = "day",
    at: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--at", metavar="DATE", help="2026-11, 2026-11-23 or 2026-11-23T10:00, site time; else now."),
    ] = None,
    csv: CsvOption = False,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Say how a shift, a day or a month was.

    Alarms by type and building, how soon people acknowledged and disposed, false alarms, what was offline, shelved or
    shielded, the noisiest points.
    """
    _put(ask_patiently(state_dir(config, state_folder), "report", kind=kind, at=at), json=json, csv=csv)


def handover(
    note: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--note", metavar="TEXT", help="What the next shift is to know."),
    ] = None,
    who: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--who", metavar="NAME", help="Who signs; else your user name."),
    ] = None,
    csv: CsvOption = False,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Hand the shift over: the sheet, signed.

    Of the shift that is now, or ended within the last hour. That it was handed over, by whom and with what note, stands
    in the audit log.
    """
    who = who or os.environ.get("SUDO_USER") or getpass.getuser()
    _put(ask_patiently(state_dir(config, state_folder), "handover", who=who, note=note), json=json, csv=csv)


def _put(document: dict[str, Any], *, json: bool, csv: bool) -> None:
    if json and csv:
        raise typer.BadParameter(say(Text("--json and --csv exclude each other", "--json 与 --csv 不能同时使用")))
    if json:
        show.document(document)
        return
    from gateway.reportview import View, to_csv

    view = View(document, spoken())
    if csv:
        show.put(to_csv(view).rstrip("\r\n"))
    else:
        _read_aloud(view)


def _read_aloud(view: "View") -> None:
    show.put(view.title, "bold")
    for line in view.head():
        show.put(line)
    for table in view.tables():
        show.put(f"\n{table.title}", "bold")
        if table.rows:
            show.table([Text(head, head) for head in table.heads], table.rows)
        else:
            show.put(table.none)
