"""The database on disk, looked at without the daemon: `gateway outbox check`."""

from typing import TYPE_CHECKING, Any

import typer

from gateway.cli import show
from gateway.cli.language import say
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, StateDirOption, state_dir
from gateway.cli.words import LANES
from gateway.errors import StateError, Text

if TYPE_CHECKING:
    from gateway.salvage import Found


def outbox_check(config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False) -> None:
    """Check the database on disk.

    Also while the gateway is stopped. Says whether the file is sound, and what the gateway would do with it; changes
    nothing. Exit status 1 where it is not sound.
    """
    import sqlite3

    from gateway.app import DATABASE
    from gateway.clock import SystemClock
    from gateway.salvage import survey

    path = state_dir(config, state_folder) / DATABASE
    if not path.exists():
        raise StateError(
            str(path),
            Text("there is no database", "没有数据库"),
            Text("gateway run makes one; --state-dir names another folder", "gateway run 会创建;可用 --state-dir 指定"),
        )
    try:
        wrong, found = survey(path, (), int(SystemClock().utc().timestamp() * 1_000_000))
    except (sqlite3.Error, OSError) as error:
        raise StateError(str(path), Text(f"it cannot be read ({error})", f"无法读取({error})")) from error
    if json:
        show.document(_document(str(path), wrong, found))
    else:
        show.put(f"{path}: {say(_verdict(wrong, found))}", "green" if wrong is None else "red")
        for line in _lost(found) if wrong is not None else ():
            show.put(f"  {say(line)}")
    raise typer.Exit(0 if wrong is None else 1)


def _verdict(wrong: str | None, found: "Found") -> Text:
    counted = ", ".join(f"{LANES[lane].en} {count}" for lane, count in found.rows.items())
    in_chinese = ",".join(f"{LANES[lane].zh} {count}" for lane, count in found.rows.items())
    if wrong is None:
        return Text(f"sound ({counted}); the gateway uses it as it is", f"完好({in_chinese}),网关直接使用")
    return Text(
        f"damaged ({wrong}); the gateway moves it aside (.damaged-TIME), saves what can be read, at least: {counted}, "
        "tells upstream which numbers will never come, and goes on",
        f"已损坏({wrong});网关将其移至 .damaged-时间,抢救可读数据(至少:{in_chinese}),"
        "向上级告知不再到达的序号,并继续运行",
    )


def _lost(found: "Found") -> list[Text]:
    ranges = [(f"{uplink}.{lane}", *one) for (uplink, lane), many in found.holes.items() for one in many]
    return [
        Text(f"{stream}: numbers {first} to {last} are lost", f"{stream}:序号 {first} 至 {last} 丢失")
        for stream, first, last in ranges
    ]


def _document(path: str, wrong: str | None, found: "Found") -> dict[str, Any]:
    lost = [
        {"stream": f"{uplink}.{lane}", "first": f"{first:016d}", "last": f"{last:016d}", "count": last - first + 1}
        for (uplink, lane), ranges in found.holes.items()
        for first, last in ranges
    ]
    shown: dict[str, Any] = {"file": path, "sound": wrong is None, "events": dict(found.rows)}
    if wrong is not None:
        shown |= {
            "wrong": wrong,
            "lost": lost,
            "does": {"en": _verdict(wrong, found).en, "zh": _verdict(wrong, found).zh},
        }
    return shown
