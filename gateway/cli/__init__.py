"""The command `gateway`: one file per group of commands, no logic of its own. Heavy imports stand inside commands."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, Optional

import typer

from gateway.cli import (
    act,
    audit,
    backup,
    daemon,
    disk,
    duty,
    events,
    fed,
    handle,
    language,
    look,
    people,
    profile,
    report,
    revisions,
    rules,
    scan,
    schema,
    sharing,
    show,
    simulate,
)
from gateway.cli.frame import Command, Group, explain
from gateway.errors import ConfigError, GatewayError

app = typer.Typer(
    name="gateway",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
outbox = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, help="What each uplink still owes.")
schemas = typer.Typer(
    cls=Group, no_args_is_help=True, rich_markup_mode=None, help="What the gateway speaks, for machines."
)
linkage = typer.Typer(cls=Group, invoke_without_command=True, rich_markup_mode=None)
configs = typer.Typer(
    cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Configurations that ran here, and the way back."
)
profiles = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, help="Register maps of Modbus devices.")

plain: tuple[Callable[..., None], ...] = (
    daemon.run,
    daemon.check,
    revisions.reload,
    look.status,
    events.events,
    look.devices,
    look.alarms,
    act.ack,
    report.report,
    report.handover,
    act.send,
    handle.silence,
    handle.dispose,
    handle.reset,
    handle.shelve,
    handle.shield,
    handle.unshield,
    handle.drill,
    act.card,
    sharing.disclosure,
    sharing.forget,
    duty.responsibility,
)
for command in plain:
    app.command(cls=Command)(command)
outbox.command("show", cls=Command)(look.outbox_show)
outbox.command("check", cls=Command)(disk.outbox_check)
outbox.command("resend", cls=Command)(act.resend)
for command in (schema.config, schema.events, schema.asyncapi, schema.openapi):
    schemas.command(cls=Command)(command)
duty.contacts.command("test", cls=Command)(duty.try_out)
app.add_typer(duty.contacts, name="notify")
app.add_typer(audit.audits, name="audit")
app.add_typer(people.people, name="people")
configs.command("log", cls=Command)(revisions.log)
configs.command("diff", cls=Command)(revisions.diff)
configs.command("show", cls=Command)(revisions.print_text)
configs.command("rollback", cls=Command)(revisions.rollback)
app.add_typer(configs, name="config")
app.add_typer(outbox, name="outbox")
app.add_typer(schemas, name="schema")
app.add_typer(simulate.simulators, name="simulate")
linkage.callback()(rules.listed)
linkage.command("test", cls=Command)(rules.play)
app.add_typer(linkage, name="rules")
profiles.command("test", cls=Command)(profile.try_out)
app.add_typer(profiles, name="profile")
app.add_typer(scan.scans, name="scan")
cases = typer.Typer(cls=Group, invoke_without_command=True, rich_markup_mode=None)
cases.callback()(fed.incidents)
cases.command("handling", cls=Command)(fed.handling)
cases.command("handled", cls=Command)(fed.handled)
app.add_typer(cases, name="incidents")
app.command(cls=Command)(fed.notices)
app.command(cls=Command)(fed.dossier)
app.command(cls=Command)(backup.backup)
app.command(cls=Command)(backup.restore)
app.command(cls=Command)(daemon.demo)
app.command(cls=Command)(daemon.version)


@app.callback()
def _gateway(
    lang: Annotated[
        Optional[Literal["zh", "en"]],  # noqa: UP045
        typer.Option("--lang", help="Chinese or English; before or after the command. Else the locale's."),
    ] = None,
) -> None:
    """The community gateway: reads a compound's devices, keeps every event on disk, tells the district."""


def main() -> None:
    """The entry point."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carries out one command. Exit status: 0 done, 1 failed, 2 wrong use or wrong configuration."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a locale without Chinese
    try:
        code = app(args=language.choose(arguments, os.environ), prog_name="gateway", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as wrong:
        show.complain(explain(wrong))
        return wrong.exit_code
    except GatewayError as error:
        show.complain(error.say(language.spoken()))
        return 2 if isinstance(error, ConfigError) else 1
    except BrokenPipeError:
        show.hang_up()
        return 0
    return code if isinstance(code, int) else 0
