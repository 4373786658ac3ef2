"""Slips of the keyboard that make YAML say something else: Chinese punctuation, a space left out.

Told beside a problem, in its line only: they are none by themselves, a label may well hold a `，`.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

from gateway.errors import Text
from gateway.problems import Problem, joined

_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|(?:^|\s)#.*")  # where any character may stand
_FULL = "：，“”‘’｛｝［］【】－／．０１２３４５６７８９\u3000\u00a0"
_WIDE = dict(zip(_FULL, ":,\"\"''{}[][]-/.0123456789  ", strict=True))
_NO_SPACE_AFTER_COLON = re.compile(r"[{,\s][a-z_]+:[^\s/]")
_NO_SPACE_AFTER_DASH = re.compile(r"\s*-[^\s\-\d]")


def hint(line: str) -> Text:
    """What is odd in a line of YAML, as the end of a sentence; empty where nothing is."""
    bare = _QUOTED.sub(" ", line)
    wide = next((letter for letter in bare if letter in _WIDE), None)
    if wide is not None:
        plain = _WIDE[wide]
        after, after_zh = (" and a space", "(后加空格)") if plain in ":," else ("", "")
        return Text(
            f"; the '{wide}' in this line is a full-width character: it must be '{plain}'{after}",
            f";此行的“{wide}”是全角字符,应为半角“{plain}”{after_zh}",
        )
    if _NO_SPACE_AFTER_COLON.search(bare):
        return Text("; a space must follow the colon", ";冒号后要有空格")
    if _NO_SPACE_AFTER_DASH.match(bare):
        return Text('; a space must follow the "-"', ';"-" 后要有空格')
    return Text("", "")


def hinted(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, each with what is odd in its line."""
    line = cache(_line)
    return [replace(each, what=joined(each.what, hint(line(each.file, each.line)))) for each in problems]


def _line(file: Path, number: int) -> str:
    try:
        with file.open(encoding="utf-8-sig") as lines:
            return next(islice(lines, number - 1, None), "")
    except (OSError, ValueError):
        return ""
