"""What left for whom, and a person's cards forgotten."""

import getpass
import os
import re
from datetime import date
from typing import Annotated, Optional

import typer

from gateway.cli import show
from gateway.cli.ask import ask
from gateway.cli.language import say, spoken
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, StateDirOption, state_dir
from gateway.cli.words import HEADS
from gateway.errors import Text
from gateway.fields import Wrong
from gateway.taxonomy import TYPES

_REFERENCE = re.compile(r"hmac-sha256:[A-Za-z0-9_-]{43}")
_DAY = Text("a day is written 2026-11-24", "日期写作 2026-11-24")
_CARD = Text(
    "write FORMAT FACILITY NUMBER, or one reference hmac-sha256:…", "请写 格式 区域码 卡号,或一个 hmac-sha256:… 引用"
)


def disclosure(
    day: Annotated[Optional[str], typer.Option("--day", metavar="DATE", help="Only this day, e.g. 2026-11-24.")] = None,  # noqa: UP045
    since: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--since", metavar="DATE", help="From this day on; without it and --day everything."),
    ] = None,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """List what left this box.

    How many events of which type, with which fields, each uplink was given on which day; kept for three years.
    """
    first, last = _day(day or since) or "0000", _day(day) or "9999"
    answer = ask(state_dir(config, state_folder), "disclosure", since=first, until=last)
    if json:
        show.document(answer)
        return
    rows = [
        [one["day"], one["uplink"], _label(one["type"]), str(one["count"]), ", ".join(one["fields"])] for one in answer
    ]
    if rows:
        show.table([HEADS[head] for head in ("day", "uplink", "type", "count", "fields")], rows)
    else:
        show.put(say(Text("nothing has left", "没有数据离开本机")))


def forget(
    card: Annotated[
        str, typer.Argument(metavar="CARD", help="Its format as for `gateway card`, or an uplink's reference alone.")
    ],
    facility: Annotated[
        Optional[int],  # noqa: UP045
        typer.Argument(metavar="[FACILITY]", min=0, help="Facility code; 0 where there is none."),
    ] = None,
    number: Annotated[Optional[int], typer.Argument(metavar="[NUMBER]", min=0, help="Card number.")] = None,  # noqa: UP045
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Forget a person's card (PIPL, article 47).

    Its number goes from every event on disk, the events stay; each uplink that may hold references is told which one
    to delete. Take the card off `credentials:` first. Asked again, it does what is left to do.
    """
    who = os.environ.get("SUDO_USER") or getpass.getuser()
    answer = ask(state_dir(config, state_folder), "forget", who=who, **_asked(card, facility, number))
    if json:
        show.document(answer)
        return
    count, told = answer["events"], ", ".join(answer["told"]) or "–"
    show.put(say(Text(f"{count} events forgot the card; told: {told}", f"已从 {count} 条事件中清除该卡;已通知:{told}")))
    for text in answer["do"]:
        show.put(text[spoken()], "yellow")


def _asked(card: str, facility: int | None, number: int | None) -> dict[str, str | int]:
    from drivers.sim.console.cards import parse

    if facility is None and _REFERENCE.fullmatch(card):
        return {"ref": card}
    if facility is None or number is None:
        raise typer.BadParameter(say(_CARD))
    try:
        credential = parse(card, facility, number)
    except Wrong as wrong:
        raise typer.BadParameter(say(wrong.text)) from wrong
    return {"format": credential.format, "facility": credential.facility, "number": credential.number}


def _day(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise typer.BadParameter(say(_DAY)) from error


def _label(kind: str) -> str:
    return say(TYPES[kind].label) if kind in TYPES else kind
