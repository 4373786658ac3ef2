"""What calls now, on every view: the first alarm pinned, those after it counted, the three steps of who is on duty.

The first stays until it is over, as on a fire panel; the steps are of the first that nobody has acknowledged yet.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from gateway.house import House
from gateway.web.alarmlook import Look, looks
from gateway.web.visitor import Right


class Draws(Protocol):
    """What a frame can do for this."""

    @property
    def house(self) -> House:
        """Whose alarms they are."""

    def render(self, template: str, room: str, language: str, /, **values: Any) -> str:
        """A template as text."""


def banner(frame: Draws, language: str, rights: frozenset[Right], alarms: list[dict[str, Any]]) -> str:
    """`<section id="banner">`, empty where nothing calls; `alarms` as `House.alarms` tells them."""
    calling = [look for look in looks(frame.house.site, alarms) if look.calls]
    return frame.render("banner.html", "alarms", language, may="handle" in rights, **shown(calling)).strip()


def shown(calling: Sequence[Look]) -> dict[str, Any]:
    """What the template says of those that call, the most pressing first. Pure."""
    waiting = [look for look in calling if not look.acknowledged]
    loud = [look for look in calling if not look.silent]
    critical = [look for look in calling if look.doc["severity"] == "critical"]
    return {
        "head": calling[0] if calling else None,
        "turn": next(iter([*waiting, *calling]), None),
        "after": _counted(calling[1:]),
        "sounding": "fire" if any(look.hue == "fire" for look in loud) else "alarm" if loud else "",
        "newest": max(critical, key=lambda look: look.id, default=None),
    }


def _counted(others: Sequence[Look]) -> list[tuple[str, int]]:
    """How many of each look follow; those of a test or drill apart."""
    counts = Counter("test" if look.test else look.hue for look in others)
    return [(kind, counts[kind]) for kind in ("fire", "alarm", "test") if counts[kind]]
