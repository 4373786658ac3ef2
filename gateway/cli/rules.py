"""`gateway rules`: the linkage rules in words; and what they would do, moving nothing. From the configuration alone."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from gateway.cli import show
from gateway.cli.language import say
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, loaded
from gateway.clock import live_in
from gateway.errors import Text

if TYPE_CHECKING:
    from gateway.acts import Act
    from gateway.rulebook import Rule
    from gateway.scope import Happening, World

HEADS = {
    "rule": Text("RULE", "规则"),
    "when": Text("WHEN", "条件"),
    "does": Text("DOES", "动作"),
    "yields_to": Text("GIVES WAY TO", "让位于"),
    "after": Text("AFTER", "延时"),
    "action": Text("ACTION", "动作"),
    "device": Text("DEVICE", "设备"),
    "end": Text("UNTIL", "持续到"),
    "refused": Text("BUT", "不执行的原因"),
}
NONE = Text("there are no rules", "没有联动规则")
NOTHING = Text("nothing would happen: no rule waits for this", "不会有任何动作:没有规则匹配此事件")
MOVED = Text("nothing was moved", "以上仅为推演,未执行任何动作")


def listed(ctx: typer.Context, config: ConfigOption = CONFIG, json: JsonOption = False) -> None:
    """List the linkage rules in words, or try them out.

    What each waits for, and what it does then. It moves nothing, and needs no running gateway.
    """
    if ctx.invoked_subcommand is not None:
        return
    from gateway.rulewords import do_text, when_text

    rules = loaded(config)[0].config.rules
    rows = [
        (rule.name, when_text(rule.when), do_text(rule, number), ", ".join(rule.yields_to))
        for rule in rules
        for number in range(len(rule.do))
    ]
    if json:
        show.document([
            {"rule": name, "when": when._asdict(), "does": does._asdict(), "yields_to": list(rule.yields_to)}
            for rule in rules for name, when, does, _ in rows if name == rule.name
        ])  # fmt: skip
    elif rows:
        cells = [[name, say(when), say(does), gives] for name, when, does, gives in rows]
        show.table([HEADS[head] for head in ("rule", "when", "does", "yields_to")], cells)
    else:
        show.put(say(NONE))


def play(
    type: Annotated[str, typer.Option("--type", metavar="TYPE", help="The event's type, e.g. fire.smoke.")],
    device: Annotated[str, typer.Option("--device", metavar="ID", help="The device that tells it.")],
    phase: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--phase", metavar="PHASE", help="raise, clear, still or pulse; without: how it begins."),
    ] = None,
    at: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--at", metavar="TIME", help="When, as an RFC 3339 time; without: now."),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="As a test or a drill.")] = False,
    config: ConfigOption = CONFIG,
    json: JsonOption = False,
) -> None:
    """Say what an event would make the rules do.

    To which device, when, and until when; nothing is moved. A rule that counts is taken to have counted enough.
    """
    found, drivers = loaded(config)
    if "timezone" in found.config.site.model_fields_set:
        live_in(found.config.site.timezone)
    from gateway.scope import Happening
    from gateway.site import Site

    site = Site(found.config, {name: drivers[name].kind for name in {d.driver for d in found.config.devices}})
    world = site.world()
    told = _phase(type, device, phase, world)
    moment = datetime.now(UTC).astimezone() if at is None else _moment(at)
    acts = played(found.config.rules, world, Happening(device, type, "", told, test, "test"), moment)
    rows = [
        {
            "after_s": round(act.at_s, 3),
            "rule": act.rule,
            "action": act.action,
            "device": act.device,
            "args": dict(act.args),
            "hold_s": act.hold_s,
            "until": act.until,
            "refused": refused,
        }
        for act, refused in acts
    ]
    if json:
        show.document([{name: value for name, value in row.items() if value not in (None, "", {})} for row in rows])
        return
    if not rows:
        show.put(say(NOTHING))
        return
    show.table([HEADS[head] for head in ("after", "rule", "action", "device", "end", "refused")], map(_row, rows))
    show.put(say(MOVED))


def played(
    rules: "tuple[Rule, ...]", world: "World", happening: "Happening", local: datetime
) -> "list[tuple[Act, str | None]]":
    """What an event would make the rules do, in order; with why one would be refused, as another wins."""
    from math import inf

    from gateway.rules import Engine

    engine = Engine(rules, world)
    for _ in range(max((rule.when.count or 1 for rule in rules), default=1)):
        engine.hear(happening, local, 0.0)
    acts = []
    for act in sorted(engine.acts.due(inf), key=lambda act: (act.at_s, not act.fire)):
        refused = engine.refused(act)
        engine.acts.done(act, refused or "ok", act.at_s)
        acts.append((act, refused))
    return acts


def _row(row: dict[str, Any]) -> list[str]:
    from gateway.rulewords import ACTIONS, UNTIL

    hold_s = row["hold_s"]
    held = Text("", "") if hold_s is None else Text(f"for {hold_s:g} s", f"保持 {hold_s:g} 秒")
    number = row["args"].get("number")
    state = "" if number is None else f" {number} {'on' if row['args']['state'] else 'off'}"
    why = row["refused"] or ""
    shown = Text("fire has opened it", "火警已释放") if why == "held-by-fire" else Text(why, why)
    return [
        show.span(row["after_s"]),
        row["rule"],
        say(ACTIONS[row["action"]]) + state,
        row["device"],
        say(UNTIL[row["until"]]) or say(held),
        say(shown),
    ]


def _phase(type: str, device: str, phase: str | None, world: "World") -> Any:
    from gateway.taxonomy import TYPES

    if type not in TYPES:
        raise typer.BadParameter(say(Text(f"no event type is called {type}", f"没有 {type} 这种事件类型")))
    if device not in world:
        raise typer.BadParameter(say(Text(f"no device is called {device}", f"没有名为 {device} 的设备")))
    allowed = TYPES[type].phases
    found = allowed[0] if phase is None else next((one for one in allowed if one.value == phase), None)
    if found is None:
        names = ", ".join(allowed)
        what = Text(f"{type} has no phase {phase}; it has {names}", f"{type} 没有 {phase} 阶段,可用:{names}")
        raise typer.BadParameter(say(what))
    return found


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        what = Text(f"{text} is no time; write 2026-11-23T22:00:00", f"{text} 不是时间;请写 2026-11-23T22:00:00")
        raise typer.BadParameter(say(what)) from None
