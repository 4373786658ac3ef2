"""What the platform feeds back: incidents and notices; and the digital file that it has of the community."""

import getpass
import os
from collections.abc import Mapping
from typing import Annotated, Any, Optional

import typer

from gateway.cli import show
from gateway.cli.ask import ask
from gateway.cli.language import say
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, StateDirOption, state_dir
from gateway.errors import Text

HEADS = {
    "incident": Text("INCIDENT", "案卷"),
    "step": Text("STEP", "步骤"),
    "owner": Text("OWNER", "责任人"),
    "due": Text("DUE", "时限"),
    "reason": Text("REASON", "原因"),
    "evidence": Text("ALARMS", "报警"),
    "path": Text("WHAT", "内容"),
    "before": Text("BEFORE", "原值"),
    "now": Text("NOW", "现值"),
}
NO_INCIDENT = Text("there is no incident", "没有案卷")
NO_NOTICE = Text("there is no notice", "没有通知")
UNCHANGED = Text("nothing has changed since the revision before, or there is none", "与上一版相比没有变化,或没有上一版")
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="What is to be remembered.")]
Incident = Annotated[str, typer.Argument(metavar="INCIDENT", help="As `gateway incidents` lists it.")]


def incidents(
    ctx: typer.Context, config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False
) -> None:
    """List the platform's incidents, or tell it what was done.

    Each with its step, who is to handle it and until when, and what became of its alarms; also while the platform is
    not reachable.
    """
    if ctx.invoked_subcommand is not None:
        return
    answer = ask(state_dir(config, state_folder), "incidents")
    if json:
        show.document(answer)
    elif answer:
        heads = [HEADS[head] for head in ("incident", "step", "owner", "due", "reason", "evidence")]
        show.table(heads, map(_incident, answer), ["red" if case["overdue"] else "" for case in answer])
    else:
        show.put(say(NO_INCIDENT))


def _incident(case: Mapping[str, Any]) -> list[str]:
    from gateway.feedback import STEPS

    due = show.moment(case["due"]) if "due" in case else ""
    if case["overdue"]:
        unset = Text(", clock not synchronized", ",时钟未同步") if "clock" in case else Text("", "")
        due += say(Text(f" (overdue{unset.en})", f"(已超期{unset.zh})"))
    proofs = "; ".join(map(_proof, case["evidence"]))
    step = say(STEPS[case["step"]])
    return [case["incident"], step, case.get("owner", ""), due, case.get("reason", ""), proofs]


def _proof(proof: Mapping[str, Any]) -> str:
    name = f"{proof['device']} {proof['type']}" if "device" in proof else proof["alarm"]
    words = {
        "active": Text("lasts", "持续"),
        "inactive": Text("over", "已消除"),
        "unknown": Text("not known here", "本机无记录"),
    }
    if "state" in proof:
        return f"{name} {say(words[proof['state']])}"
    since = show.moment(proof["back_to_normal"])
    return say(Text(f"{name} normal since {since}", f"{name} {since} 恢复正常"))


def handling(
    incident: Incident,
    note: Note = "",
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Take an incident in hand.

    The platform is told, with your user name.
    """
    _move(incident, "handling", config, state_folder, json, note=note)


def handled(
    incident: Incident,
    note: Note = "",
    picture: Annotated[
        str, typer.Option("--picture", metavar="REF", help="Reference of a picture that is kept here.")
    ] = "",
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Say that an incident is handled.

    The platform is told, with your user name and what became of the alarms, and verifies it.
    """
    _move(incident, "handled", config, state_folder, json, note=note, picture=picture)


def _move(incident: str, step: str, config: Any, folder: Any, json: bool, **more: str) -> None:
    from gateway.feedback import STEPS

    who = os.environ.get("SUDO_USER") or getpass.getuser()
    answer = ask(state_dir(config, folder), "incident", incident=incident, step=step, who=who, **more)
    if json:
        show.document(answer)
        return
    stands = STEPS[answer["step"]]
    show.put(say(Text(f"incident {answer['incident']}: {stands.en}", f"案卷 {answer['incident']}:{stands.zh}")))


def notices(config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False) -> None:
    """Show what the district has told the community.

    Notices, figures and case results that have not expired, the newest first; and since when nothing has come.
    """
    answer = ask(state_dir(config, state_folder), "notices")
    if json:
        show.document(answer)
        return
    from gateway.feedback import KINDS

    for notice in answer["notices"]:
        show.put(f"{show.moment(notice['time'])} {say(KINDS[notice['kind']])} · {notice['title']}", "bold")
        show.put("".join(f"  {line}\n" for line in notice["text"].splitlines()).rstrip("\n"))
    if not answer["notices"]:
        show.put(say(NO_NOTICE))
    if answer["feedback"]["quiet"]:
        show.put(say(_quiet(answer["feedback"].get("since"))), "yellow")


def _quiet(since: str | None) -> Text:
    if since is None:
        return Text("no feedback has ever come from the district", "尚未收到过区级反馈")
    return Text(f"no feedback since {show.moment(since)}", f"自 {show.moment(since)} 起没有收到反馈")


def dossier(
    uplink: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--uplink", metavar="UPLINK", help="Whose; without, the first one's."),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="What changed since the revision before.")] = False,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Print the community's digital file as an uplink has it.

    JSON: places, devices, who is responsible, what is kept how long and shared with whom.
    """
    answer = ask(state_dir(config, state_folder), "dossier", uplink=uplink or "")
    if not diff:
        show.document(answer["dossier"])
    elif json:
        show.document(answer["changes"])
    elif answer["changes"]:
        heads = ("path", "before", "now")
        rows = [[_cell(change.get(head)) for head in heads] for change in answer["changes"]]
        show.table([HEADS[head] for head in heads], rows)
    else:
        show.put(say(UNCHANGED))


def _cell(value: Any) -> str:
    from json import dumps

    return "" if value is None else value if isinstance(value, str) else dumps(value, ensure_ascii=False)
