"""`gateway events`: what was taken in, newest last; and, followed, what comes."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Optional

import typer

from gateway import taxonomy
from gateway.cli import ask, show
from gateway.cli.language import say
from gateway.cli.look import kind, measured
from gateway.cli.where import CONFIG, ConfigOption, JsonOption, StateDirOption, state_dir
from gateway.cli.words import NOTHING, STYLES
from gateway.errors import StateError, Text
from gateway.event import Phase, Severity
from gateway.taxonomy import PHASES, SEVERITIES

FEW_EVENTS = 50  # shown without --limit
MANY_EVENTS = 10_000  # shown with --since and without --limit
_AGO = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _types(patterns: list[str] | None) -> list[str] | None:
    for pattern in patterns or []:
        if not taxonomy.known(pattern):
            close = taxonomy.suggest(pattern)
            meant = Text(f"; did you mean {close}?", f";是否想写 {close}?") if close else Text("", "")
            raise typer.BadParameter(
                say(
                    Text(
                        f"no event type is like {pattern}; write fire.smoke, or fire.* for a category{meant.en}",
                        f"没有 {pattern} 这样的事件类型;请写 fire.smoke,或用 fire.* 表示一类{meant.zh}",
                    )
                )
            )
    return patterns


def since(text: str, now: datetime) -> datetime:
    """`10m` (s, m, h, d), or an RFC 3339 time; without an offset it is local. BadParameter: neither."""
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        wanted = Text(
            f"{text} is no time; write 30s, 10m, 2h, 7d, or 2026-11-23T10:00:00+08:00",
            f"{text} 不是时间;请写 30s、10m、2h、7d,或 2026-11-23T10:00:00+08:00",
        )
        raise typer.BadParameter(say(wanted), param_hint="'--since'") from None


def events(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C; with --json one line each.")
    ] = False,
    since_text: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--since", metavar="TIME", help="Not before: 30s, 10m, 2h, 7d ago, or an RFC 3339 time."),
    ] = None,
    types: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--type",
            metavar="TYPE",
            callback=_types,
            help="Only this type, or category as in 'fire.*'. Can be given several times.",
        ),
    ] = None,
    device: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--device", metavar="ID", help="Only of this device. Can be given several times."),
    ] = None,
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--limit",
            min=1,
            metavar="N",
            help="At most so many past events; the newest. Without it 50, with --since 10000.",
        ),
    ] = None,
    config: ConfigOption = CONFIG,
    state_folder: StateDirOption = None,
    json: JsonOption = False,
) -> None:
    """Show events as they were taken in, the newest last.

    With --follow only what comes, unless --since or --limit say from where on.
    """
    folder = state_dir(config, state_folder)
    wanted: dict[str, Any] = {"types": types or [], "devices": device or []}
    if since_text is not None:
        wanted["since_ms"] = int(since(since_text, datetime.now(UTC)).timestamp() * 1000)
    count = limit or (MANY_EVENTS if since_text is not None else FEW_EVENTS)
    if follow:
        _follow(folder, wanted, count if since_text is not None or limit is not None else 0, json)
        return
    found = ask.ask(folder, "events", limit=count, **wanted)
    if json:
        show.document(found)
    elif not found:
        show.put(say(NOTHING["events"]))
    for event in [] if json else found:
        _put(event)


def _follow(folder: Any, wanted: Mapping[str, Any], count: int, json: bool) -> None:
    """The past is asked for after following has begun, so that nothing falls between."""
    try:
        with ask.following(folder, **wanted) as coming:
            past = ask.ask(folder, "events", limit=count, **wanted) if count else []
            for event in past:
                _put(event, json)
            seen = {event["id"] for event in past}
            for event in coming:
                if event["id"] not in seen:
                    _put(event, json)
    except KeyboardInterrupt:
        return
    raise StateError(
        str(folder),
        Text("the gateway has stopped", "网关已停止"),
        Text("follow it again when it runs", "待其运行后请重新执行"),
    )


def _put(event: Mapping[str, Any], json: bool = False) -> None:
    if json:
        show.document(event, one_line=True)
    else:
        show.put(line(event), STYLES.get(event["severity"], "") if event["phase"] != "clear" else "green")


def line(event: Mapping[str, Any]) -> str:
    """One event in one line: time, severity, begins or ends, type, device, place, what else is known."""
    data = event["data"]
    return "  ".join(
        (
            show.padded(show.moment(event["time"]), 8),
            show.padded(say(SEVERITIES[Severity(event["severity"])]), 8),
            show.padded(say(PHASES[Phase(event["phase"])]), 6),
            show.padded(kind(event["type"]), 32),
            show.padded(event["subject"], 20),
            " ".join(filter(None, (data.get("place", {}).get("label"), *_details(data)))),
        )
    ).rstrip()


def _details(data: Mapping[str, Any]) -> list[str]:
    found = [measured(data.get("values", {}))]
    if "part" in data:
        found.append("/".join(str(data["part"][name]) for name in ("address", "point", "text") if name in data["part"]))
    found += [f"({data['reason']})"] if "reason" in data else []
    found += [f"{name}={data[name]}" for name in ("uplink", "who", "outcome", "note") if name in data]
    return found + ([say(Text("(test)", "(测试)"))] if data.get("test") else [])
