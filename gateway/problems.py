"""One thing wrong with the configuration: where it stands, what it is, what is allowed; and all of them together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError, Text

KeyPath = tuple[str | int, ...]  # keys and indices from the top of gateway.yaml
_MANY = 24  # names told at most; a list longer than this helps nobody


@dataclass(frozen=True, slots=True)
class Problem:
    """`line` and `column` count from 1; `key` is the path of keys, "" where the file as a whole is meant."""

    file: Path
    line: int
    column: int
    key: str
    what: Text

    def say(self, language: str) -> str:
        """One line: `FILE:LINE:COL: key.path: what is wrong (what is allowed; did you mean …)`."""
        key = f"{self.key}: " if self.key else ""
        line = f"{self.file}:{self.line}:{self.column}: {key}{self.what.say(language)}"
        return line.replace("\n", "\\n").replace("\r", "\\r")


class ConfigProblems(ConfigError):
    """All that is wrong with a configuration, by file and line; nothing was started."""

    def __init__(self, file: Path, problems: Iterable[Problem]) -> None:
        self.problems = in_order(problems)
        count = len(self.problems)
        super().__init__(str(file), Text(f"{count} problem(s) in the configuration", f"配置有 {count} 处错误"))

    def say(self, language: str) -> str:
        """One line per problem."""
        return "\n".join(problem.say(language) for problem in self.problems)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Each once, by file, line and column."""
    unique = dict.fromkeys(problems)
    return tuple(sorted(unique, key=lambda p: (str(p.file), p.line, p.column, p.key, p.what)))


def key_text(path: KeyPath) -> str:
    """`("devices", 0, "address")` → `devices[0].address`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def guess(word: Any, names: Iterable[str]) -> str | None:
    """The name that was probably meant."""
    close = get_close_matches(str(word).strip().lower(), list(names), n=1)
    return close[0] if close else None


def allowed(word: Any, names: Iterable[str]) -> Text:
    """` (allowed: …; did you mean …?)`, to be put behind what is wrong; empty where there are no names."""
    choices: Sequence[str] = list(dict.fromkeys(names))
    close = guess(word, choices)
    listed = ", ".join(choices[:_MANY]) + (", …" if len(choices) > _MANY else "")
    if not choices:
        return Text("", "")
    if close is None:
        return Text(f" (allowed: {listed})", f"(可用:{listed})")
    return Text(f" (allowed: {listed}; did you mean {close}?)", f"(可用:{listed};是否想写 {close}?)")


def joined(*parts: Text) -> Text:
    """One sentence of several parts."""
    return Text("".join(part.en for part in parts), "".join(part.zh for part in parts))
