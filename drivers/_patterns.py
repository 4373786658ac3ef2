"""Regular expressions from a file, taken only where no text can make them slow. (An underscore: no driver.)

Python's engine tries every way in which a text may fit. How many there can be is bounded here by reading the pattern:
a repeat counts once where what follows it cannot be part of it (`\\d+-`), for the length of the text where it can
(`.*警`). The counts multiply. A repeat of a group, and what looks around or back, is not taken at all.
"""

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator

from gateway.fields import Wrong

MAX_CHARS = 256  # of a text that is matched; what matches longer ones cuts them
MAX_WAYS = (MAX_CHARS + 1) ** 2  # two free repeats in a text of that length: at worst about 0.1 s
_PARSER: Any = importlib.import_module("re._parser")  # the standard library's own; Python 3.11 to 3.13 have the same
_SAMPLES = frozenset(map(chr, range(128))) | frozenset("０９　中火é")
_CATEGORIES: Mapping[str, Callable[[str], bool]] = {
    "CATEGORY_DIGIT": str.isdecimal,
    "CATEGORY_SPACE": str.isspace,
    "CATEGORY_WORD": lambda char: char.isalnum() or char == "_",
}
Item = tuple[Any, Any]  # (operation, its argument), as the parser gives them


class _TooFree(Exception):
    """It could take too long, or cannot be told."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.en, self.zh = en, zh


def safe(pattern: str) -> str:
    """The pattern, if it is one and cannot be slow. Wrong says what is the matter."""
    try:
        compiled(pattern)
        tree = _PARSER.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise Wrong(f"not a regular expression: {error}", f"正则表达式有误:{error}") from error
    try:
        if tree.state.flags & ~re.UNICODE:
            raise _TooFree("flags like (?i) are not taken: write [Aa]", "不支持 (?i) 等标志:请写 [Aa]")
        ways = _Reader(pattern).ways(list(tree), frozenset())
        if ways > MAX_WAYS:
            raise _TooFree(
                "it could take too long: after a repeat like .* put what it cannot match itself, or use .* once",
                "可能匹配过慢:.* 之类的重复后面应跟它自身不能匹配的字符,或只用一次 .*",
            )
    except _TooFree as error:
        raise Wrong(error.en, error.zh) from error
    return pattern


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compiled once."""
    return re.compile(pattern)


Pattern = Annotated[str, AfterValidator(safe)]


class _Reader:
    """Counts the ways of one pattern. Sets of characters stand as those of a sample: ASCII, and what is named."""

    def __init__(self, pattern: str) -> None:
        near = {
            chr(code) for char in pattern for code in (ord(char) - 1, ord(char), ord(char) + 1) if 0 <= code < 2**16
        }
        self._samples = _SAMPLES | near

    def ways(self, items: Sequence[Item], follow: frozenset[str]) -> int:
        """How many ways there are at most; `follow`: what may stand behind."""
        product = 1
        for place, item in enumerate(items):
            product *= self._item(item, self._first(items[place + 1 :], follow))
        return product

    def _item(self, item: Item, follow: frozenset[str]) -> int:
        name, inside = str(item[0]), item[1]
        if name in ("LITERAL", "NOT_LITERAL", "ANY", "IN", "AT"):
            return 1
        if name == "SUBPATTERN":
            return self.ways(list(inside[3]), follow)
        if name == "ATOMIC_GROUP":
            return self.ways(list(inside), follow)
        if name == "BRANCH":
            return sum(self.ways(list(branch), follow) for branch in inside[1])
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            return self._repeat(name, inside, follow)
        raise _TooFree("looking around or back is not taken", "不支持前后查找和反向引用")

    def _repeat(self, name: str, inside: tuple[int, int, Any], follow: frozenset[str]) -> int:
        least, most, body = int(inside[0]), min(int(inside[1]), MAX_CHARS), list(inside[2])
        chars = self._single(body)
        if chars is None:
            if most == 1:
                return self.ways(body, follow) + 1
            raise _TooFree(
                "a group cannot be repeated, only a character or [class]", "只能重复单个字符或 [字符类],不能重复分组"
            )
        if name == "POSSESSIVE_REPEAT" or least == most or not chars & follow:
            return 1
        return max(most - least + 1, 1)

    def _single(self, body: Sequence[Item]) -> frozenset[str] | None:
        """The characters of a body that is one character or class; None for any other."""
        if len(body) != 1:
            return None
        name, inside = str(body[0][0]), body[0][1]
        if name == "SUBPATTERN":
            return self._single(list(inside[3]))
        return self._chars(name, inside)

    def _chars(self, name: str, inside: Any) -> frozenset[str] | None:
        if name == "ANY":
            return frozenset(self._samples - {"\n"})
        if name == "LITERAL":
            return frozenset({chr(inside)})
        if name == "NOT_LITERAL":
            return frozenset(self._samples - {chr(inside)})
        return self._class(inside) if name == "IN" else None

    def _class(self, parts: Sequence[Item]) -> frozenset[str]:
        found: set[str] = set()
        negated = False
        for op, inside in parts:
            name = str(op)
            negated = negated or name == "NEGATE"
            if name == "LITERAL":
                found.add(chr(inside))
            elif name == "RANGE":
                found |= {char for char in self._samples if inside[0] <= ord(char) <= inside[1]}
            elif name == "CATEGORY":
                word = str(inside)
                test = _CATEGORIES[word.replace("_NOT_", "_")]
                found |= {char for char in self._samples if test(char) != ("_NOT_" in word)}
        return frozenset(self._samples - found) if negated else frozenset(found)

    def _first(self, items: Sequence[Item], follow: frozenset[str]) -> frozenset[str]:
        """What may stand first, of items and what follows them."""
        found: frozenset[str] = frozenset()
        for item in items:
            chars, skippable = self._begin(item)
            found |= chars
            if not skippable:
                return found
        return found | follow

    def _begin(self, item: Item) -> tuple[frozenset[str], bool]:
        """(what an item may begin with, whether it may be empty)."""
        name, inside = str(item[0]), item[1]
        chars = self._chars(name, inside)
        if chars is not None:
            return chars, False
        if name in ("SUBPATTERN", "ATOMIC_GROUP"):
            return self._begins([list(inside[3] if name == "SUBPATTERN" else inside)])
        if name == "BRANCH":
            return self._begins([list(branch) for branch in inside[1]])
        if name.endswith("REPEAT"):
            begins, empty = self._begins([list(inside[2])])
            return begins, empty or int(inside[0]) == 0
        return frozenset(), True

    def _begins(self, choices: Sequence[Sequence[Item]]) -> tuple[frozenset[str], bool]:
        found: frozenset[str] = frozenset()
        empty = False
        for items in choices:
            found |= self._first(items, frozenset())
            empty = empty or all(self._begin(item)[1] for item in items)
        return found, empty
