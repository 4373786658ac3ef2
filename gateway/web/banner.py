"""What calls now, on every view."""

from typing import Any, Protocol

from gateway.web.visitor import Right


class Draws(Protocol):
    """What a frame can do for this."""

    def render(self, template: str, room: str, language: str, /, **values: Any) -> str:
        """A template as text."""


def banner(frame: Draws, language: str, rights: frozenset[Right], alarms: list[dict[str, Any]]) -> str:
    """`<section id="banner">`; empty where nothing calls."""
    return frame.render("banner.html", "frame", language, may="handle" in rights, alarms=alarms).strip()
