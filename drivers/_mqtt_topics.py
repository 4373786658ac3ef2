"""Topics by pattern: `{device}/availability`, where a name in braces stands for a level. (An underscore: no driver.)

`{name}` is one level, `{name*}` one or more, `+` and `#` are MQTT's own wildcards (MQTT 5.0, 4.7). A pattern gives
what a broker is asked for, and what tells its parts.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator

from gateway.fields import Wrong

_PART = re.compile(r"\{([a-z][a-z0-9_]*)(\*?)\}|\+|#")
_PLAIN = re.compile(r"[^{}+#\x00]*")
MOST_CHARS = 512  # of a topic that is looked at; MQTT allows 65,535 bytes


def _checked(pattern: str) -> str:
    names = [match[1] for match in _PART.finditer(pattern) if match[1]]
    wild = [level for level in pattern.split("/") if _PART.search(level)]
    whole = all(_PART.fullmatch(level) for level in wild) and _PLAIN.fullmatch(_PART.sub("", pattern))
    if not whole or len(set(names)) < len(names) or "#" in pattern[:-1] or not pattern or len(pattern) > MOST_CHARS:
        raise Wrong(
            "a topic is needed; {name} stands for one level, {name*} for one or more, + for any one, # for the rest",
            "需要主题:{名称} 表示一级,{名称*} 表示一级或多级,+ 表示任意一级,# 只能在末尾,表示其余部分",
        )
    return pattern


Pattern = Annotated[str, AfterValidator(_checked)]


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    found, at = "", 0
    for match in _PART.finditer(pattern):
        found += re.escape(pattern[at : match.start()])
        any_level = r".+" if match[2] or match[0] == "#" else r"[^/]+"
        found += f"(?P<{match[1]}>{any_level})" if match[1] else f"(?:{any_level})"
        at = match.end()
    return re.compile(found + re.escape(pattern[at:]), re.DOTALL)


def parts(pattern: str, topic: str) -> Mapping[str, str] | None:
    """What stands where the pattern has names; None where the topic is another one."""
    match = _expression(pattern).fullmatch(topic) if len(topic) <= MOST_CHARS else None
    return match.groupdict() if match else None


def below(base: str, pattern: str) -> str:
    """The pattern with the levels that stand before it."""
    return f"{base}/{pattern}" if base else pattern


def topic_filter(pattern: str) -> str:
    """What a broker is asked for (MQTT 5.0, 4.7.1): more than the pattern, where it has `{name*}`."""
    levels: list[str] = []
    for level in pattern.split("/"):
        match = _PART.fullmatch(level)
        if match and (match[2] or match[0] == "#"):
            return "/".join([*levels, "#"])
        levels.append("+" if match else level)
    return "/".join(levels)


def filters(patterns: Iterable[str]) -> tuple[str, ...]:
    """The fewest subscriptions that bring all of it: some brokers send a message once for each that fits."""
    asked = sorted({topic_filter(pattern) for pattern in patterns})
    return tuple(each for each in asked if not any(other != each and _covers(other, each) for other in asked))


def _covers(wide: str, narrow: str) -> bool:
    return _levels(wide.split("/"), narrow.split("/"))


def _levels(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    for number, level in enumerate(wide):
        if level == "#":
            return True
        if number >= len(narrow) or narrow[number] == "#" or level not in ("+", narrow[number]):
            return False
    return len(wide) == len(narrow)
