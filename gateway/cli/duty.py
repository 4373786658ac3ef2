"""Who is responsible, and whether they can be told: `gateway responsibility`, `gateway notify test`."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from gateway.cli import show
from gateway.cli.frame import Group
from gateway.cli.language import say, spoken
from gateway.cli.look import kind
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, loaded
from gateway.cli.words import HEADS, NOTHING
from gateway.errors import ConfigError, Text

contacts = typer.Typer(
    cls=Group, no_args_is_help=True, rich_markup_mode=None, help="The contacts of the configuration."
)


def responsibility(config: ConfigOption = CONFIG, json: JsonOption = False) -> None:
    """List who leads on which alarm type, and who is told.

    From the configuration, each type with the entry that counts for it; also the types that nobody leads.
    """
    from gateway.charge import charges, pattern_for
    from gateway.taxonomy import EVENTS

    section = loaded(config)[0].config.responsibility
    rows: list[dict[str, Any]] = []
    for row in EVENTS:
        pattern = pattern_for(section, row.name)
        if row.severity == "info":
            continue
        said: list[Any] = [(None, None)] if pattern is None else list(charges(section, pattern))
        rows += [_row(row.name, other, held) for other, held in said]
    if json:
        show.document(rows)
        return
    heads = ("type", "lead", "assist", "escalate", "when", "basis")
    show.table([HEADS[head] for head in heads], map(_cells, rows), ["" if row["lead"] else "yellow" for row in rows])
    if not section:
        show.put(say(NOTHING["responsibility"]))


def _row(name: str, other: Any, held: Any) -> dict[str, Any]:
    if held is None:
        return {"type": name, "lead": None}
    dumped = {} if other is None else other.model_dump(mode="json", include={"place"}, exclude_none=True)
    if other is not None and other.hours is not None:
        dumped["hours"] = _hours(other.hours)
    return {
        "type": name,
        "entry": held.pattern,
        "lead": held.lead,
        "assist": list(held.assist),
        "escalate": [{"to": call.to, "after_s": call.after_s} for call in held.calls],
        **({"basis": held.basis} if held.basis else {}),
        **({"instead": dumped} if dumped else {}),
    }


def _hours(windows: Iterable[tuple[frozenset[int], int, int]]) -> str:
    from gateway.credentials import DAYS

    def day(days: frozenset[int]) -> str:
        first, last = min(days), max(days)
        row = len(days) > 1 and len(days) == last - first + 1
        return f"{DAYS[first]}-{DAYS[last]}" if row else ",".join(DAYS[number] for number in sorted(days))

    return "; ".join(f"{day(d)} {a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for d, a, b in windows)


def _cells(row: dict[str, Any]) -> Sequence[str]:
    if row["lead"] is None:
        return [kind(row["type"]), say(Text("nobody", "无人")), "", "", "", ""]
    from gateway.credentials import parse_hours
    from gateway.rulewords import hours_text, whom

    steps = ", ".join(f"{show.span(step['after_s'])} → {say(whom(step['to']))}" for step in row["escalate"])
    instead = dict(row.get("instead", {}))
    if "hours" in instead:
        instead["hours"] = say(hours_text(parse_hours(instead["hours"])))
    when = " ".join(instead.values())
    return [kind(row["type"]), row["lead"], " ".join(row["assist"]), steps, when, row.get("basis", "")]


def try_out(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As it stands under `contacts:`.")],
    config: ConfigOption = CONFIG,
    json: JsonOption = False,
) -> None:
    """Send a message to a contact that is marked as a test.

    From this machine, with the configuration as it stands; also while the gateway is stopped. Exit status 1 where it
    was not taken, with the reason.
    """
    from gateway.clock import SystemClock
    from gateway.notify import target
    from gateway.plea import Voice
    from gateway.site import Site

    made = loaded(config)[0].config
    if name not in made.contacts:
        raise ConfigError(str(config), _unknown(name, list(made.contacts), name in ("page", "sound", *made.uplinks)))
    message = Voice(Site(made), spoken()).trial()
    asyncio.run(target(name, made.contacts[name], SystemClock()).send(message))
    if json:
        show.document({"contact": name, "result": "ok"})
    else:
        show.put(say(Text(f"{name}: taken; look whether it arrived", f"{name}:已送出,请确认对方收到")))


def _unknown(name: str, names: Sequence[str], there: bool) -> Text:
    if there:
        return Text(
            f"{name} is no contact and needs no test: `gateway status` shows page and uplinks",
            f"{name} 不是联系人,无需测试:页面和上行平台的状况见 gateway status",
        )
    listed = ", ".join(names) or "-"
    return Text(f"no contact is called {name} (there are: {listed})", f"没有名为 {name} 的联系人(已有:{listed})")
