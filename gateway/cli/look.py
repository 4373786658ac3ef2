"""What the running gateway says of itself: status, devices, alarms, outbox."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Optional

import typer

from gateway.cli import show
from gateway.cli.ask import ask
from gateway.cli.language import say, spoken
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, StateDirOption, state_dir
from gateway.cli.words import ALARM_STATES, DEAD, HEADS, LAID, LANES, LINKS, NOTHING, STATES, STEPS, STYLES, VERDICTS
from gateway.errors import Text
from gateway.event import Severity
from gateway.taxonomy import SEVERITIES, TYPES


def status(config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False) -> None:
    """Say how the running gateway is.

    Its verdict in one word; the uplinks, and what still waits for them; the drivers; this machine.
    """
    answer = ask(state_dir(config, state_folder), "status")
    if json:
        show.document(answer)
        return
    health = answer["health"]
    show.put(_headline(answer), STYLES.get(answer["word"], ""))
    _table(("uplink", "link", "since", "waiting", "oldest", "confirmed", "why"), _uplinks(health["uplinks"]), "uplinks")
    _table(("driver", "state", "devices", "offline", "why"), _drivers(health["drivers"]), "devices")
    show.put(say(_machine(health)))
    for line in _laid(answer):
        show.put(say(line), STYLES["shielded"])
    if "failing" in health["disk"]:
        show.put(health["disk"]["failing"][spoken()], "red")


def _laid(answer: Mapping[str, Any]) -> list[Text]:
    """What is out of service or in drill now, and whether it is a flood; what is not is not told."""
    health, flood = answer["health"], answer.get("flood", 0)
    counted = [(health[name], LAID[name]) for name in ("shielded", "shelved", "drilled") if health[name]]
    lines = [Text(f"{word.en}: {count}", f"{word.zh}:{count}") for count, word in counted]
    many = Text(f"flood: {flood} alarms began within 10 minutes", f"报警泛滥:10 分钟内 {flood} 个报警")
    return lines + ([many] if flood else [])


def _headline(answer: Mapping[str, Any]) -> str:
    health = answer["health"]
    verdict, up, clock = VERDICTS[answer["word"]], show.span(health["uptime_s"]), health["clock"]["quality"]
    clocks = {"synced": Text("clock synchronized", "时钟已同步")}
    unsure = Text(f"clock not synchronized ({clock})", f"时钟未同步({clock})")
    running = Text(f"version {answer['version']}, up {up}", f"版本 {answer['version']},已运行 {up}")
    since = show.moment(answer["since"]) if answer.get("since") else ""
    word = say(Text(f"{verdict.en} since {since}", f"{verdict.zh}(自 {since})")) if since else say(verdict)
    return " · ".join((health["gateway"], word, say(running), say(clocks.get(clock, unsure))))


def _machine(health: Mapping[str, Any]) -> Text:
    disk, memory = health["disk"], show.size(health["rss_bytes"])
    used, limit, free = (show.size(disk[f"{name}_bytes"]) for name in ("used", "limit", "free"))
    cpu_percent = health["cpu_percent"]
    return Text(
        f"events on disk: {used} of {limit} ({free} free) · memory {memory} · processor {cpu_percent} %",
        f"事件存储:{used} / {limit}(磁盘剩余 {free})· 内存 {memory} · 处理器 {cpu_percent} %",
    )


def _table(heads: Iterable[str], rows: list[list[str]], nothing: str) -> None:
    if rows:
        show.table([HEADS[head] for head in heads], rows)
    else:
        show.put(say(NOTHING[nothing]))


def _uplinks(uplinks: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            name,
            say(LINKS[uplink["connected"]]),
            show.moment(uplink["since"]),
            str(sum(lane["backlog"] for lane in uplink["lanes"].values())),
            show.span(max((lane["oldest_s"] for lane in uplink["lanes"].values()), default=0)),
            str(sum(lane["confirmed"] for lane in uplink["lanes"].values())),
            uplink["why"][spoken()] if "why" in uplink else "",
        ]
        for name, uplink in uplinks.items()
    ]


def _drivers(drivers: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            name,
            say(STATES[driver["state"]]),
            str(driver["devices"]),
            str(driver["offline"]),
            driver["why"][spoken()] if "why" in driver else "",
        ]
        for name, driver in drivers.items()
    ]


def devices(config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False) -> None:
    """List the devices.

    What each is, where, in what state, and its newest values.
    """
    answer = ask(state_dir(config, state_folder), "devices")
    if json:
        show.document(answer)
        return
    if not answer:
        show.put(say(NOTHING["devices"]))
        return
    heads = ("device", "name", "place", "driver", "kind", "state", "alarms", "last_seen", "values")
    show.table([HEADS[head] for head in heads], map(_device, answer), [STYLES.get(d["state"], "") for d in answer])


def _device(device: Mapping[str, Any]) -> list[str]:
    name = device["label"] if device["label"] != device["device"] else ""
    return [
        device["device"],
        name,
        device["place_label"] or device["place"],
        device["driver"],
        device["kind"],
        say(STATES[device["state"]]),
        " ".join(device["alarms"]),
        show.moment(device.get("last_seen")),
        measured(device.get("values", {})),
    ]


def measured(values: Mapping[str, Any]) -> str:
    """`smoke_obscuration=1.32 dB/m voltage=24.1 V`."""
    return " ".join(f"{name}={v['value']} {v.get('unit') or ''}".strip() for name, v in values.items())


def alarms(
    alarm: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--id", metavar="ALARM", help="Only this one, with its history; the last 6 characters do."),
    ] = None,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """List the alarms that are not over.

    Active, not yet acknowledged, or waiting for their outcome. `gateway ack` takes the first column.
    """
    if alarm is not None:
        _show(ask(state_dir(config, state_folder), "alarm", alarm=alarm), json)
        return
    answer = ask(state_dir(config, state_folder), "alarms")
    if json:
        show.document(answer)
        return
    if not answer:
        show.put(say(NOTHING["alarms"]))
        return
    _list(answer)


def _list(alarms: Sequence[Mapping[str, Any]]) -> None:
    heads = ("alarm", "severity", "type", "device", "state", "count", "first", "last", "lead", "next", "group")
    show.table([HEADS[head] for head in heads], map(_alarm, alarms), [STYLES.get(a["severity"], "") for a in alarms])


def _show(alarm: Mapping[str, Any], json: bool) -> None:
    if json:
        show.document(alarm)
        return
    _list([alarm])
    heads = ("time", "step", "who", "from", "note")
    show.table([HEADS[head] for head in heads], map(_step, alarm["history"]), [""] * len(alarm["history"]))


def _step(step: Mapping[str, str]) -> list[str]:
    word = STEPS.get(step["step"], Text(step["step"], step["step"]))
    return [show.moment(step["time"]), say(word), *(step.get(name, "") for name in ("who", "from", "note"))]


def _alarm(alarm: Mapping[str, Any]) -> list[str]:
    test = say(Text(" (test)", "(测试)")) if alarm["test"] else ""
    part = f"/{alarm['part']}" if alarm.get("part") else ""
    first = say(Text(" (first fire)", "(首警)")) if alarm.get("first_fire") else ""
    return [
        alarm["alarm"],
        say(SEVERITIES[Severity(alarm["severity"])]),
        f"{kind(alarm['type'])}{test}{first}",
        f"{alarm['device']}{part}",
        _state(alarm),
        str(alarm["count"]),
        show.moment(alarm["first"]),
        show.moment(alarm["last"]),
        " ".join([alarm.get("lead", ""), *alarm.get("assist", [])]),
        f"{show.moment(alarm['next']['at'])} → {alarm['next']['to']}" if "next" in alarm else "",
        _group(alarm.get("group")),
    ]


def _state(alarm: Mapping[str, Any]) -> str:
    """The display word, with its cause or its end."""
    word, ends = say(ALARM_STATES[alarm["state"]]), alarm.get("until", {}).get(alarm["state"])
    if alarm["state"] == "suppressed":
        return word + say(Text(f" by {alarm['suppressed_by']}", f"(因 {alarm['suppressed_by']})"))
    return word + (say(Text(f" until {show.moment(ends)}", f"(至 {show.moment(ends)})")) if ends else "")


def _group(group: Mapping[str, Any] | None) -> str:
    """Its cause and count; the head of a group is marked."""
    return "" if group is None else f"{'*' if group['head'] else ' '} {group['cause'][spoken()]} ×{group['count']}"


def kind(name: str) -> str:
    """A type with its label: `fire.smoke 感烟报警`."""
    row = TYPES.get(name)
    return name if row is None else f"{name} {say(Text(row.en, row.zh))}"


def outbox_show(config: ConfigOption = CONFIG, state_folder: StateDirOption = None, json: JsonOption = False) -> None:
    """Show what each uplink still owes, by lane.

    Events that wait, and since when the oldest does; events sent, confirmed by the broker, refused by it; dead letters,
    which it can never take, one by one.
    """
    answer = ask(state_dir(config, state_folder), "outbox")
    if json:
        show.document(answer)
        return
    rows = [
        [name, say(LANES[lane]), str(owed["backlog"]), show.span(owed["oldest_s"]) if owed["backlog"] else "-"]
        + [str(owed[column]) for column in ("sent", "confirmed", "refused", "dead")]
        for name, uplink in answer.items()
        for lane, owed in uplink["lanes"].items()
    ]
    _table(("uplink", "lane", "waiting", "oldest", "sent", "confirmed", "refused", "dead"), rows, "uplinks")
    letters = [letter for uplink in answer.values() for letter in uplink["dead"]]
    if letters:
        heads = ("stream", "sequence", "type", "time", "why")
        show.table([HEADS[head] for head in heads], map(_letter, letters), [""] * len(letters))


def _letter(letter: Mapping[str, Any]) -> list[str]:
    number = str(int(letter["sequence"]))
    why = say(DEAD.get(letter["reason"], Text(letter["reason"], letter["reason"])))
    return [letter["stream"], number, kind(letter["type"]), show.moment(letter["time"]), why]
