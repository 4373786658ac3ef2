"""`gateway audit`: who did what; `gateway audit verify`: whether a line was changed, deleted or put elsewhere."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from gateway.cli import show
from gateway.cli.ask import ask
from gateway.cli.events import since
from gateway.cli.frame import Command, Group
from gateway.cli.language import say
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, StateDirOption, state_dir
from gateway.cli.words import HEADS, NOTHING
from gateway.errors import StateError, Text

if TYPE_CHECKING:
    from gateway.audit import Broken, Seal

audits = typer.Typer(cls=Group, rich_markup_mode=None, invoke_without_command=True)
_WRONG = {"missing": Text("it is missing", "缺失"), "changed": Text("it was changed", "被改动")}
_SAID = ("reason", "note", "said", "seconds", "scope")  # what may stand in a line beside who, what and where


@audits.callback()
def lines(
    context: typer.Context,
    since_text: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--since", metavar="TIME", help="Not before: 30s, 10m, 2h, 7d ago, or an RFC 3339 time."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many lines; the newest.")] = 50,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show who did what, the newest last."""
    if context.invoked_subcommand is not None:
        return
    since_ms = 0 if since_text is None else int(since(since_text, datetime.now(UTC)).timestamp() * 1000)
    found = ask(state_dir(config, state_folder), "audit", since_ms=since_ms, limit=limit)
    if json:
        show.document(found)
    elif not found:
        show.put(say(NOTHING["audit"]))
    else:
        heads = ("number", "time", "who", "from", "step", "subject", "outcome", "note")
        show.table([HEADS[head] for head in heads], map(_line, found), [""] * len(found))


def _line(line: Mapping[str, Any]) -> list[str]:
    said = [str(line[name]) for name in _SAID if name in line]
    cells = [str(line.get(name, "")) for name in ("who", "from", "what", "subject", "outcome")]
    return [str(line["n"]), show.moment(line.get("time")), *cells, " ".join(said)]


@audits.command("verify", cls=Command)
def verify(config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False) -> None:
    """Check that no line was changed, deleted or put elsewhere.

    Reads the file, also while the gateway is stopped. The seal of the last line stands in each health document that
    went up: compare it, to find lines cut off at the end. Exit status 1 where the chain is broken.
    """
    from gateway.app import DATABASE

    path = state_dir(config, state_folder) / DATABASE
    seal, broken = _read(path)
    if json:
        places = [{"line": one.line, "what": one.what} for one in broken]
        show.document(
            {"file": str(path), "whole": not broken, "count": seal.count, "sha256": seal.sha256, "broken": places}
        )
    else:
        _tell(path, seal, broken)
    raise typer.Exit(1 if broken else 0)


def _tell(path: Path, seal: "Seal", broken: "list[Broken]") -> None:
    if not broken:
        whole = Text(f"whole, {seal.count} lines, seal {seal.sha256}", f"完整,共 {seal.count} 行,封印 {seal.sha256}")
        show.put(f"{path}: {say(whole)}", "green")
    for one in broken:
        wrong = _WRONG[one.what]
        show.put(f"{path}: {say(Text(f'line {one.line}: {wrong.en}', f'第 {one.line} 行{wrong.zh}'))}", "red")


def _read(path: Path) -> "tuple[Seal, list[Broken]]":
    import sqlite3
    from contextlib import closing

    from gateway import audit

    if not path.exists():
        raise StateError(
            str(path),
            Text("there is no database", "没有数据库"),
            Text("gateway run makes one; --state-dir names another folder", "gateway run 会创建;可用 --state-dir 指定"),
        )
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("BEGIN")
            return audit.newest(connection), list(audit.verify(connection))
    except (sqlite3.Error, OSError) as error:
        raise StateError(str(path), Text(f"it cannot be read ({error})", f"无法读取({error})")) from error
