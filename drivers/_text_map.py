"""What a printed record means, as data: patterns with named groups → type, phase, part, time, text. Pure.

A map is a YAML file, or one of `drivers/texts/`. Records are matched whole, lines in them joined by newlines, blanks
made single; the first row that fits counts. Groups with a meaning: `time` and `date`, `loop`, `point` or `part`,
`text`; any other may be looked up in a table. (An underscore: no driver.)
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from re import Match
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from drivers._patterns import MAX_CHARS, Pattern, compiled
from drivers._shelf import Shelf
from drivers._types import DEVICE_TYPES, device_type
from gateway.errors import Text
from gateway.event import Json, Phase
from gateway.fields import Duration, Model, Wrong
from gateway.taxonomy import TYPES, known, matches

FOLDER = Path(__file__).with_name("texts")
MOST_ROWS = 200
# After ESC: how many bytes belong to the command. ESC/POS, and what panels' small printers were seen to send.
ESCAPES: Mapping[str, int] = {
    "1": 1, "3": 1, "8": 1, "!": 1, "-": 1, "=": 1, "E": 1, "G": 1, "J": 1, "K": 1, "M": 1, "R": 1, "S": 1, "U": 1,
    "V": 1, "W": 1, "X": 1, "a": 1, "c": 1, "d": 1, "e": 1, "r": 1, "t": 1, "{": 1, "$": 2, "\\": 2, "p": 3,
}  # fmt: skip


def _fits(types: str) -> str:
    """A type, or a pattern of types, that a device can tell of. Wrong: none is like it."""
    if types.endswith(".*") and known(types) and not types.startswith(("operator.", "gateway.")):
        return types
    return device_type(types)


class Words(Model):
    """A word by another: the first key of `table` that stands in the group's text, else `else`."""

    group: str
    table: dict[str, str] = Field(min_length=1)
    otherwise: str | None = Field(None, alias="else")

    def find(self, match: Match[str]) -> str | None:
        """What the record says; None where nothing of the table stands in it."""
        said = match[self.group] or ""
        return next((word for key, word in self.table.items() if key in said), self.otherwise)

    def results(self) -> list[str]:
        """All that it can give."""
        return [*self.table.values(), *([self.otherwise] if self.otherwise else [])]


def _all(given: str | Words | None) -> list[str]:
    return [] if given is None else given.results() if isinstance(given, Words) else [given]


def _one(given: str | Words | None, match: Match[str]) -> str | None:
    return given.find(match) if isinstance(given, Words) else given


class Row(Model):
    """One pattern, and what it means: an event, or the end of conditions of certain types (a panel's reset)."""

    match: Pattern
    type: str | Words | None = Field(None, description="event type; {group, table, else} where it depends on a word")
    phase: str | Words | None = Field(None, description="raise or clear; not needed for happenings")
    reason: str | Words | None = None
    clears: tuple[Annotated[str, AfterValidator(_fits)], ...] = Field((), description="types that it ends, e.g. fire.*")
    test: bool = Field(False, description="it is a test")

    @model_validator(mode="after")
    def _complete(self) -> "Row":
        if (self.type is None) == (not self.clears):
            raise Wrong("either type: or clears: is needed", "type: 与 clears: 必须且只能写一个")
        groups = compiled(self.match).groupindex
        for words in (self.type, self.phase, self.reason):
            if isinstance(words, Words) and words.group not in groups:
                raise Wrong(f"match: has no group (?P<{words.group}>…)", f"match: 中没有分组 (?P<{words.group}>…)")
        types, phases = [device_type(name) for name in _all(self.type)], _all(self.phase)
        for name in types:
            allowed = TYPES[name].phases
            wrong = next((phase for phase in phases or [Phase.PULSE] if phase not in allowed), None)
            if wrong is not None and not (phases and allowed == (Phase.PULSE,)):
                words_of = ", ".join(phase for phase in allowed if phase is not Phase.STILL)
                raise Wrong(f"{name} needs phase: one of {words_of}", f"{name} 需要 phase:,可用 {words_of}")
        return self

    def says(self, match: Match[str]) -> tuple[str, Phase] | None:
        """(type, phase) of a record that fits; None where a table has no word for it."""
        name, phase = _one(self.type, match), _one(self.phase, match)
        if name is None or name not in DEVICE_TYPES:
            return None
        if TYPES[name].phases == (Phase.PULSE,):
            return name, Phase.PULSE
        return None if phase is None else (name, Phase(phase))

    def why(self, match: Match[str]) -> str | None:
        """The reason, if there is one."""
        return _one(self.reason, match)


class TextMap(Model):
    """How a port writes, and what it means."""

    title: Mapping[Literal["en", "zh"], str]
    source: str = Field(description="where this comes from")
    confidence: Literal["certain", "published", "memory"]
    kind: str = "panel"
    record: Literal["line", "block"] = Field(
        "line", description="what one record is: a line, or lines up to an empty one"
    )
    begins: Pattern | None = Field(None, description="a line like this begins a new block")
    idle: Duration = Field(1.0, description="silence that ends a record, for ports that send no newline")
    encoding: Literal["gb18030", "utf-8", "latin-1"] = "gb18030"
    escapes: dict[Annotated[str, StringConstraints(min_length=1, max_length=1)], int] = Field(
        default_factory=dict, description="printer commands: the character after ESC → bytes that follow it"
    )
    times: tuple[str, ...] = Field(("%Y-%m-%d %H:%M:%S",), description="how it writes dates, as strptime has them")
    ignore: tuple[Pattern, ...] = Field((), description="records that say nothing: page headers, ruled lines")
    rows: tuple[Row, ...] = Field(min_length=1, max_length=MOST_ROWS)

    def commands(self) -> Mapping[int, int]:
        """Byte after ESC → how many more belong to it."""
        return {ord(char): count for char, count in {**ESCAPES, **self.escapes}.items()}

    def opens(self, line: str) -> bool:
        """Does this line begin a new block?"""
        return self.begins is not None and compiled(self.begins).fullmatch(line[:MAX_CHARS]) is not None

    def idles(self, text: str) -> bool:
        """Is this a page header or the like?"""
        return any(compiled(pattern).fullmatch(text) for pattern in self.ignore)

    def find(self, text: str) -> tuple[Row, Match[str]] | None:
        """The first row that fits the whole record."""
        fits = ((row, compiled(row.match).fullmatch(text)) for row in self.rows)
        return next(((row, match) for row, match in fits if match is not None), None)


def part_of(match: Match[str]) -> dict[str, Json] | None:
    """`loop` and `point`, or `part`, and `text`, as far as the pattern has them."""
    found: Mapping[str, Any] = {name: value.strip() for name, value in match.groupdict().items() if value}
    loop, point, text = found.get("loop"), found.get("point"), found.get("text")
    address = found.get("part") or "-".join(piece for piece in (loop, point) if piece)
    part: dict[str, Json] = {"address": address} if address else {}
    part |= {name: int(value) for name, value in (("loop", loop), ("point", point)) if value and value.isdecimal()}
    return (part | {"text": text} if text else part) or None


def time_of(match: Match[str]) -> str:
    """What the record says of when, the date first."""
    found = match.groupdict()
    return " ".join(piece for piece in (found.get("date"), found.get("time")) if piece)


SHELF = Shelf(FOLDER, TextMap, Text("text map", "文本模板"))
known_maps, locate, load = SHELF.known, SHELF.locate, SHELF.load


def ended(patterns: Sequence[str], active: Iterable[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Those open conditions that a reset of these types ends, in a fixed order."""
    return sorted((each for each in active if any(matches(pattern, each[0]) for pattern in patterns)), key=str)
