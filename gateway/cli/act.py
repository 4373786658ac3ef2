"""What an installer does with it: acknowledge an alarm, make the keyed hash of a card."""

import getpass
import os
from typing import Annotated, Any, Literal, Optional

import typer

from gateway.cli import show
from gateway.cli.ask import ask
from gateway.cli.language import say
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, StateDirOption, loaded, state_dir
from gateway.cli.words import ALARM_STATES
from gateway.errors import ConfigError, Text

MEASURED = frozenset(("seconds", "number", "state"))  # arguments that are no words (`gateway.arguments`)
Outcome = Literal["real", "false", "test", "drill", "other"]  # contract, section 10


def ack(
    alarm: Annotated[
        str, typer.Argument(metavar="ALARM", help="As `gateway alarms` lists it, or its last 6 characters.")
    ],
    outcome: Annotated[Optional[Outcome], typer.Option("--outcome", help="What it was.")] = None,  # noqa: UP045
    note: Annotated[Optional[str], typer.Option("--note", metavar="TEXT", help="What is to be remembered.")] = None,  # noqa: UP045
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Acknowledge an alarm: somebody has seen it.

    With --outcome also say what it was, which ends it once its cause is gone. Both are told to the uplinks, with your
    user name.
    """
    answer = ask(state_dir(config, state_folder), "ack", alarm=alarm, who=user(), outcome=outcome, note=note)
    if json:
        show.document(answer)
        return
    kind, device, state = answer["type"], answer["device"], ALARM_STATES[answer["state"]]
    told = Text(f"acknowledged: {kind} of {device}, now {state.en}", f"已确认:{device} 的 {kind},当前{state.zh}")
    show.put(say(told))


def user() -> str:
    """Who sits there."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def resend(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="UPLINK.LANE, e.g. district.event.")],
    first: Annotated[int, typer.Argument(metavar="FROM", min=1, help="The first number.")],
    last: Annotated[
        Optional[int],  # noqa: UP045
        typer.Argument(metavar="[TO]", min=1, help="The last number; without it the newest that was confirmed."),
    ] = None,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Send numbers of a stream once more, as far as they are kept.

    With their ids and numbers, also dead letters. What is not kept any more is told.
    """
    asked = {"stream": stream, "from": first, "to": last}
    answer = ask(state_dir(config, state_folder), "resend", **asked)
    if json:
        show.document(answer)
        return
    first, last, count = int(answer["first"]), int(answer["last"]), answer["count"]
    show.put(
        say(Text(f"{count} of {first} to {last} go out once more", f"{first} 至 {last} 中的 {count} 条将重新上报"))
    )
    for gone in answer["gone"]:
        ends = int(gone["first"]), int(gone["last"])
        show.put(say(Text(f"not kept any more: {ends[0]} to {ends[1]}", f"已不再保存:{ends[0]} 至 {ends[1]}")))


def send(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="Its id, or `gateway` for the gateway itself.")],
    action: Annotated[
        str, typer.Argument(metavar="ACTION", help="unlock, lock, release, output, snapshot, test, shelve, shield, …")
    ],
    args: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="KEY=VALUE", help="Its arguments, e.g. seconds=5 reason=cleaning."),
    ] = None,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Have a device or the gateway do something, now.

    Checked as a command of the platform is, but for its permission; it stands in the audit log with your user name.
    Exit status 1 where it was not done.
    """
    given = dict(_pair(text) for text in args or ())
    who = os.environ.get("SUDO_USER") or getpass.getuser()
    answer = ask(state_dir(config, state_folder), "send", device=device, action=action, args=given, who=who)
    if json:
        show.document(answer)
    else:
        said = f"{answer['code']}: {say(Text(**answer['message']))}"
        show.put(said, "green") if answer["status"] == "done" else show.complain(said)
        for name, value in answer.get("result", {}).items():
            show.put(f"  {name}: {value}")
    if answer["status"] != "done":
        raise typer.Exit(1)


def _pair(text: str) -> tuple[str, Any]:
    """`seconds=5` → a number where the argument is one, `state=on` a word."""
    from json import loads

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(say(Text(f"{text}: KEY=VALUE is needed", f"{text}:需要写成 键=值")))
    if name not in MEASURED:
        return name, value
    try:
        return name, loads(value)
    except ValueError:
        return name, value


def card(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help="wiegand-26, wiegand-34, wiegand-37, raw-32, …")],
    facility: Annotated[int, typer.Argument(metavar="FACILITY", min=0, help="Facility code; 0 where there is none.")],
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=0, help="Card number.")],
    config: ConfigOption = CONFIG,
    json: JsonOption = False,
) -> None:
    """Print a card's keyed hash for `credentials:`.

    So no card number stands in a file. It is made with this site's own key, from the configuration.
    """
    from drivers.sim.console.cards import parse
    from gateway.access import hash_card
    from gateway.fields import Wrong

    try:
        credential = parse(form, facility, number)
    except Wrong as wrong:
        raise typer.BadParameter(say(wrong.text)) from wrong
    credentials = loaded(config)[0].config.credentials
    if credentials is None:
        raise ConfigError(
            str(config),
            Text("there is no key for cards", "没有卡片密钥"),
            Text(
                "write `credentials: {key: !file secrets/cards}` and make the key: openssl rand -hex 32",
                "请写入 credentials: {key: !file secrets/cards},并生成密钥:openssl rand -hex 32",
            ),
        )
    hashed = hash_card(credentials.key.get_secret_value(), credential)
    if json:
        show.document({"card": hashed})
    else:
        show.put(hashed)
