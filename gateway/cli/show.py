"""What a person sees: lines and tables, with colour on a terminal, plain and aligned elsewhere; JSON; local times."""

import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import typer

from gateway.cli.language import say
from gateway.errors import Text

_SPANS = ((86400, Text("d", "天")), (3600, Text("h", "小时")), (60, Text("min", "分")), (1, Text("s", "秒")))
_SIZES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))  # bytes
_GAP = "  "

Row = Sequence[str]


@contextmanager
def _read() -> Iterator[None]:
    """While somebody reads it; a closed pipe (`| head`) ends the command quietly."""
    try:
        yield
    except BrokenPipeError:
        hang_up()
        raise typer.Exit(0) from None


@_read()
def put(text: str, style: str = "") -> None:
    """One line (or several), in a style of rich's where a terminal shows it."""
    if style and sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text as Styled

        Console(highlight=False, soft_wrap=True).print(Styled(text, style))
    else:
        print(text, flush=True)


def complain(text: str) -> None:
    """To standard error."""
    print(text, file=sys.stderr, flush=True)


@_read()
def document(value: Any, *, one_line: bool = False) -> None:
    """JSON: one document, or one line."""
    print(json.dumps(value, ensure_ascii=False, indent=None if one_line else 2), flush=True)


@_read()
def table(heads: Sequence[Text], rows: Iterable[Row], styles: Sequence[str] = ()) -> None:
    """Rows under their heads, without columns that are empty; `styles` has one style a row.

    Rich's on a terminal, aligned text elsewhere.
    """
    cells = [list(row) for row in rows]
    kept = [place for place in range(len(heads)) if any(row[place] for row in cells)]
    heads, cells = [heads[place] for place in kept], [[row[place] for place in kept] for row in cells]
    if not sys.stdout.isatty():
        print("\n".join(aligned([[say(head) for head in heads], *cells])), flush=True)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text as Styled

    made = Table(*(say(head) for head in heads), box=None, pad_edge=False)
    for row, style in zip(cells, styles or [""] * len(cells), strict=True):
        made.add_row(*(Styled(cell, overflow="fold") for cell in row), style=style)
    Console().print(made)


def aligned(rows: Sequence[Row]) -> list[str]:
    """Lines whose columns stand under each other, also with Chinese in them."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [_GAP.join(padded(cell, wide) for cell, wide in zip(row, widths, strict=True)).rstrip() for row in rows]


def padded(text: str, columns: int) -> str:
    """Filled with spaces to so many columns of a terminal."""
    return text + " " * (columns - width(text))


def width(text: str) -> int:
    """Columns of a terminal: Chinese characters take two (Unicode, annex 11), combining marks none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def moment(rfc3339: str | None, now: datetime | None = None) -> str:
    """A time as local time: `10:06:19` today, `2026-11-22 23:59:01` on another day."""
    if not rfc3339:
        return "-"
    local = datetime.fromisoformat(rfc3339).astimezone()
    today = (now or datetime.now().astimezone()).date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """A length of time in its two largest units: `2 d 3 h`, `45 s`."""
    left = round(seconds)
    said: list[str] = []
    for size, unit in _SPANS:
        count, left = divmod(left, size)
        if count or (size == 1 and not said):
            said.append(f"{count} {say(unit)}")
    return " ".join(said[:2])


def size(size_bytes: float) -> str:
    """`12.3 MiB`."""
    step, unit = next((s for s in _SIZES if size_bytes >= s[0]), _SIZES[-1])
    return f"{size_bytes / step:.3g} {unit}"


def hang_up() -> None:
    """Nobody reads what we write any more: whatever is still to come goes nowhere, quietly."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
