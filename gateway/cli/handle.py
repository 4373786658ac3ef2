"""What is done to alarms and laid over them: silence, dispose, reset, shelve, shield, unshield, drill."""

from collections.abc import Mapping
from typing import Annotated, Any, Optional

import typer

from gateway.cli import show
from gateway.cli.act import Outcome, user
from gateway.cli.ask import ask
from gateway.cli.language import say
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, StateDirOption, state_dir
from gateway.cli.words import ALARM_STATES
from gateway.errors import Text
from gateway.fields import Wrong, parse_duration

AlarmArgument = Annotated[
    str, typer.Argument(metavar="ALARM", help="As `gateway alarms` lists it, or its last 6 characters.")
]
DeviceArgument = Annotated[str, typer.Argument(metavar="DEVICE", help="As `gateway devices` lists it.")]
DurationArgument = Annotated[str, typer.Argument(metavar="DURATION", help="For how long: 30m, 2h, 1d.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is told and written down.")]
PartOption = Annotated[str, typer.Option("--part", metavar="PART", help="Only this part of the device.")]


def _seconds(text: str) -> float:
    """`0` ends it."""
    try:
        return 0.0 if text == "0" else parse_duration(text)
    except Wrong as wrong:
        raise typer.BadParameter(say(wrong.text), param_hint="DURATION") from wrong


def _alarm(done: Mapping[str, Any], said: Text) -> None:
    kind, device, state = done["type"], done["device"], ALARM_STATES[done["state"]]
    show.put(
        say(Text(f"{said.en}: {kind} of {device}, now {state.en}", f"{said.zh}:{device} 的 {kind},当前{state.zh}"))
    )


def silence(config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False) -> None:
    """Silence the alarms that sound now.

    Never the next one: it sounds again.
    """
    answer = ask(state_dir(config, state_folder), "silence", who=user())
    if json:
        show.document(answer)
    else:
        show.put(say(Text(f"silenced: {len(answer)}", f"已消音:{len(answer)} 个报警")))


def dispose(
    alarm: AlarmArgument,
    outcome: Annotated[Outcome, typer.Option("--outcome", help="What it was.")],
    cause: Annotated[Optional[str], typer.Option("--cause", metavar="TEXT", help="What caused it.")] = None,  # noqa: UP045
    note: Annotated[Optional[str], typer.Option("--note", metavar="TEXT", help="What is to be remembered.")] = None,  # noqa: UP045
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Say what an alarm was.

    It is acknowledged by this, and is over once its cause is gone.
    """
    said = {"alarm": alarm, "outcome": outcome, "cause": cause, "note": note}
    answer = ask(state_dir(config, state_folder), "dispose", who=user(), **said)
    if json:
        show.document(answer)
    else:
        _alarm(answer, Text("disposed", "已处置"))


def reset(
    alarm: AlarmArgument,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Reset an alarm that latches.

    Refused, with the reason, while its cause lasts, while nobody has acknowledged it, and of a fire while nobody has
    said what it was.
    """
    answer = ask(state_dir(config, state_folder), "reset", who=user(), alarm=alarm)
    if json:
        show.document(answer)
    else:
        _alarm(answer, Text("reset", "已复位"))


def shelve(
    target: Annotated[
        str, typer.Argument(metavar="ALARM|DEVICE", help="One alarm, or all of a device; never fire, panic or duress.")
    ],
    duration: Annotated[str, typer.Argument(metavar="DURATION", help="At most 8h; 0 ends it.")],
    reason: ReasonOption,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Put an alarm aside for a while.

    It goes on as ever and is told upstream; when its time is over and it still lasts, it asks for somebody again.
    """
    asked = {"target": target, "seconds": _seconds(duration), "reason": reason}
    _laid(ask(state_dir(config, state_folder), "shelve", who=user(), **asked), Text("shelved", "已暂缓"), json)


def shield(
    device: DeviceArgument,
    duration: DurationArgument,
    reason: ReasonOption,
    part: PartOption = "",
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Take a device out of service for a while.

    Counted wherever the gateway shows how it is, and ends by itself.
    """
    asked = {"target": device, "seconds": _seconds(duration), "reason": reason, "part": part}
    _laid(ask(state_dir(config, state_folder), "shield", who=user(), **asked), Text("shielded", "已屏蔽"), json)


def unshield(
    device: DeviceArgument,
    reason: ReasonOption,
    part: PartOption = "",
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Put a device back into service."""
    answer = ask(state_dir(config, state_folder), "unshield", who=user(), device=device, reason=reason, part=part)
    if json:
        show.document(answer)
    else:
        show.put(say(Text(f"in service again: {device}", f"已解除屏蔽:{device}")))


def drill(
    target: Annotated[str, typer.Argument(metavar="[PLACE|DEVICE]", help="Where; without it everywhere.")],
    duration: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="DURATION", help="For how long: 30m, 2h; 0 ends it."),
    ] = None,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Begin or end a drill.

    What is raised meanwhile is a test, here and upstream. It ends by itself.
    """
    if duration is None:
        target, duration = "", target
    answer = ask(state_dir(config, state_folder), "drill", who=user(), target=target, seconds=_seconds(duration))
    _laid(answer, Text("drill", "演练"), json)


def _laid(done: Mapping[str, Any], said: Text, json: bool) -> None:
    if json:
        show.document(done)
        return
    name, until = done["target"], show.moment(done["until"]) if "until" in done else ""
    what = Text(name or "the whole site", name or "整个小区")
    ends = Text(f"until {until}", f"至 {until}") if until else Text("over", "已结束")
    show.put(say(Text(f"{said.en}: {what.en}, {ends.en}", f"{said.zh}:{what.zh},{ends.zh}")))
