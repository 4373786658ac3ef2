"""What the page says: `catalogue/*.toml`, one file a room, each key with its sentence in English and Chinese.

A placeholder is `{name}`; both languages must have the same ones (tests/unit/test_catalogue.py).
"""

import tomllib
from functools import cache
from importlib.resources import files

from gateway.errors import Text


@cache
def sayings(room: str) -> dict[str, Text]:
    """By key: of the file `catalogue/{room}.toml`."""
    told = tomllib.loads((files("gateway.web") / "catalogue" / f"{room}.toml").read_text("utf-8"))
    return {key: Text(**pair) for key, pair in told.items()}


class Speaker:
    """Says a room's keys in one language; what a room does not have is the frame's. KeyError: nobody has it."""

    def __init__(self, room: str, language: str) -> None:
        self.language = language
        self._sayings = sayings("frame") | sayings(room)

    def __call__(self, key: str, **values: object) -> str:
        """The sentence, with what stands in its places."""
        text = self._sayings[key].say(self.language)
        return text.format(**values) if values else text
