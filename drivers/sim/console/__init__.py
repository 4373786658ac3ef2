"""Simulators moved by words: `smoke 5 on`, `card 1 26 90 324`, `motion on`; one file a simulator, the same interface.

A simulator's file offers `stage(…, tell)`, an asynchronous context manager that gives a `Stage`: what it is, what a
gateway needs in its configuration to reach it, and what it can be told to do. `tell` shows what happens on the wire.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import isawaitable

from gateway.errors import Text
from gateway.fields import Wrong

Tell = Callable[[Text], object]
Words = Sequence[str]
ON = {"on": True, "1": True, "true": True, "off": False, "0": False, "false": False}


@dataclass(frozen=True)
class Act:
    """Something that can be made happen. `do` gets the words behind the first; KeyError, ValueError: not understood."""

    usage: str
    what: Text
    do: Callable[[Words], Awaitable[None] | None]


async def _for_ever() -> None:
    from asyncio import Event

    await Event().wait()


@dataclass(frozen=True)
class Stage:
    """A running simulator. `finished` ends when nothing is left to do once no more words come; by default never."""

    title: Text
    config: str  # of the gateway that shall talk to it: lines of gateway.yaml
    acts: Mapping[str, Act]
    finished: Callable[[], Awaitable[None]] = _for_ever

    async def perform(self, line: str) -> None:
        """Does what a line says. Wrong: it cannot be understood, with what can."""
        word, *rest = line.split()
        act = self.acts.get(word.lower())
        if act is None:
            known = ", ".join(self.acts)
            close = get_close_matches(word.lower(), self.acts, n=1)
            hint = Text(f"; did you mean {close[0]}?", f";是否想写 {close[0]}?") if close else Text("", "")
            raise Wrong(f"{word} is nothing it can do: {known}{hint.en}", f"没有 {word} 这个动作,可用:{known}{hint.zh}")
        try:
            done = act.do(rest)
            if isawaitable(done):
                await done
        except Wrong:
            raise
        except (KeyError, ValueError) as error:
            raise Wrong(f"write it so: {act.usage}", f"请这样写:{act.usage}") from error


def on_off(word: str) -> bool:
    """`on`, `1`, `off`, `0`. KeyError for anything else."""
    return ON[word.lower()]


def word_of(on: bool) -> Text:
    """The other way."""
    return Text("on", "开") if on else Text("off", "关")
