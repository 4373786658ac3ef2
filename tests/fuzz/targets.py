"""Every intake by name: what takes the bytes, and what it is fed at first. README.md has the table."""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.fuzz.inside import INSIDE
from tests.fuzz.listeners import LISTENING
from tests.fuzz.wires import DECODING, FRAMING

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    """`run(data)` keeps the intake's promise, or raises."""

    name: str
    feed: Callable[[bytes], object]
    seeds: tuple[bytes, ...]

    def run(self, data: bytes) -> None:
        """Whatever it raises is a mistake of ours."""
        going = self.feed(data)
        if inspect.iscoroutine(going):
            _runner().run(going)

    @property
    def corpus(self) -> list[Path]:
        """What was found to matter, and what once went wrong (crash-*)."""
        return sorted(path for path in (CORPUS / self.name).glob("*") if path.is_file())


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


TARGETS = {
    name: Target(name, feed, tuple(seeds))
    for name, (feed, seeds) in sorted({**DECODING, **FRAMING, **LISTENING, **INSIDE}.items())
}
