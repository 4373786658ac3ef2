"""Configurations that ran and run: their history, differences, and the way back."""

import getpass
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from gateway.cli import show
from gateway.cli.ask import NOT_RUNNING, ask
from gateway.cli.language import say
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, StateDirOption, state_dir
from gateway.cli.words import PLACES, REVISION_STATES
from gateway.errors import StateError, Text

if TYPE_CHECKING:
    from gateway.archive import Archive
    from gateway.revisions import History, Revision

_HEADS = (
    Text("no.", "编号"), Text("revision", "版本"), Text("state", "状态"), Text("time", "时间"), Text("who", "操作人"),
    Text("from", "来源"), Text("remark", "备注"),
)  # fmt: skip


def log(config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False) -> None:
    """List the configurations that ran here, the newest first.

    Who brought each in, when and from where. Also while the gateway is stopped.
    """
    folder, history = _history(config, state_folder)
    listed = [_row(history, revision) for revision in reversed(history.revisions)]
    differs = _differs(config, history)
    if json:
        show.document({"folder": str(folder.folder), "edited": differs, "revisions": listed})
        return
    if not listed:
        show.put(say(Text("no configuration has run yet", "尚无运行过的配置")))
        return
    rows = [
        (
            str(row["number"]), row["name"], say(REVISION_STATES[row["state"]]), show.moment(row["time"]), row["who"],
            _place(row["place"]), _remark(row),
        )
        for row in listed
    ]  # fmt: skip
    styles = {"running": "green", "trying": "yellow", "rolled-back": "red"}
    show.table(_HEADS, rows, [styles.get(row["state"], "") for row in listed])
    if differs:
        edited = Text(
            f"{config} says something else than what runs: where it was edited since, gateway reload or the "
            "next start takes it in",
            f"{config} 与正在运行的配置不同:如在此之后修改过,执行 gateway reload 或下次启动时生效",
        )
        show.put(say(edited))


def diff(
    old: Annotated[
        Optional[int],  # noqa: UP045
        typer.Argument(metavar="[A]", help="A revision's number; without, the one before."),
    ] = None,
    new: Annotated[
        Optional[int],  # noqa: UP045
        typer.Argument(metavar="[B]", help="Another one's; without, the one that runs."),
    ] = None,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show what differs between two configurations.

    Passwords and keys are hidden. Exit status 0 also where they differ.
    """
    from gateway.masks import difference

    archive, history = _history(config, state_folder)
    after = history.current if new is None else new
    earlier = [revision.number for revision in history.revisions if revision.number < after]
    before = old if old is not None else earlier[-1] if earlier else after
    lines = difference(_texts(archive, history, before), _texts(archive, history, after), (str(before), str(after)))
    hidden = archive.texts(before) != archive.texts(after) and not lines
    if json:
        show.document({"old": before, "new": after, "diff": lines, "secrets_differ": hidden})
        return
    for line in lines:
        show.put(line, {"+": "green", "-": "red", "@": "cyan"}.get(line[0], ""))
    if hidden:
        only = Text("only passwords or keys differ; they are hidden", "仅密码或密钥不同,已隐藏")
        show.put(say(only))
    elif not lines:
        show.put(say(Text(f"{before} and {after} say the same", f"{before} 与 {after} 内容相同")))


def print_text(
    number: Annotated[
        Optional[int],  # noqa: UP045
        typer.Argument(metavar="[REVISION]", help="Its number; without, the one that runs."),
    ] = None,
    secrets: Annotated[bool, typer.Option("--secrets", help="With passwords and keys, as it stands.")] = False,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Print a configuration as it ran.

    Passwords and keys that stand in it are hidden, unless --secrets is given.
    """
    archive, history = _history(config, state_folder)
    wanted = history.current if number is None else number
    texts = _texts(archive, history, wanted, secrets=secrets)
    if json:
        show.document({"number": wanted, "texts": texts})
        return
    for place, (name, text) in enumerate(texts.items()):
        show.put(text.rstrip("\n") if place == 0 else f"# --- {name}\n{text}".rstrip("\n"))


def rollback(
    number: Annotated[int, typer.Argument(metavar="REVISION", min=1, help="As `gateway config log` lists it.")],
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Let an older configuration run again.

    It becomes the newest revision, and gateway.yaml stays as it is. A running gateway starts anew at once, one that is
    stopped takes it at its next start.
    """
    folder = state_dir(config, state_folder)
    try:
        made = ask(folder, "rollback", number=number, who=_me())
    except StateError as error:
        if error.what != NOT_RUNNING[0]:
            raise
        made = _rollback_here(config, folder, number)
    if json:
        show.document(made)
        return
    name = made["name"]
    show.put(say(Text(f"revision {number} runs again, as {name}", f"版本 {number} 重新生效,新版本为 {name}")), "green")


def reload(config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False) -> None:
    """Let the running gateway read its configuration again.

    It is checked first: with a mistake in it nothing happens. Then the gateway starts anew, which takes some seconds;
    no event is lost.
    """
    folder = state_dir(config, state_folder)
    answer = ask(folder, "reload", who=_me())
    if json:
        show.document(answer)
    else:
        show.put(say(Text("it is right; the gateway starts anew", "配置正确,网关正在重新启动")), "green")


def _rollback_here(config: Path, folder: Path, number: int) -> dict[str, Any]:
    """Without a daemon. ConfigProblems: it is not right any more."""
    from gateway.archive import Archive, bring_back, shelf
    from gateway.clock import SystemClock, rfc3339
    from gateway.config import load
    from gateway.driver import registry
    from gateway.folder import held

    archive = Archive(folder)
    with held(folder):
        history = bring_back(archive.history(), number, _me(), rfc3339(SystemClock().utc()))
        texts = archive.texts(number)
        load(config, registry().models(), shelf(config, texts))
        archive.save(history, texts)
    return history.revisions[-1].model_dump()


def _me() -> str:
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _history(config: Path, state_folder: Path | None) -> "tuple[Archive, History]":
    from gateway.archive import Archive

    archive = Archive(state_dir(config, state_folder))
    return archive, archive.history()


def _texts(archive: "Archive", history: "History", number: int, *, secrets: bool = False) -> dict[str, str]:
    """StateError: there is no such revision."""
    from gateway.config import Config
    from gateway.driver import registry
    from gateway.masks import masked, secret_keys

    if history.find(number) is None:
        what = Text(f"there is no revision {number}", f"没有版本 {number}")
        do = Text("see which there are: gateway config log", "查看可选版本:gateway config log")
        raise StateError("config", what, do)
    texts = archive.texts(number)
    if secrets:
        return texts
    keys = secret_keys([Config, *registry().models().values()])
    return {name: masked(text, keys) for name, text in texts.items()}


def _differs(config: Path, history: "History") -> bool:
    from gateway.archive import local_differs
    from gateway.yamlmarks import read

    return local_differs(history, read(config))


def _row(history: "History", revision: "Revision") -> dict[str, Any]:
    state = "rolled-back" if revision.failed is not None else "earlier"
    if revision.number == history.current:
        state = "running" if history.trial is None else "trying"
    elif revision.number == history.running:
        state = "kept"
    failed = None if revision.failed is None else Text(*revision.failed)._asdict()
    return revision.model_dump(exclude={"failed"}) | {"state": state} | ({"failed": failed} if failed else {})


def _place(place: str) -> str:
    head, _, name = place.partition(":")
    return say(PLACES[head]) + (f" {name}" if name else "")


def _remark(row: Mapping[str, Any]) -> str:
    if "failed" in row:
        return say(Text(**row["failed"]))
    return say(Text(f"as {row['of']} was", f"同版本 {row['of']}")) if row["of"] else ""
