"""Which devices and which moments a rule means: pure, from the configuration alone."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from gateway import taxonomy
from gateway.event import Phase
from gateway.rulebook import SAME_BUILDING, Do, Selector, When


class Spot(NamedTuple):
    """A device as rules see it: what it is, and where."""

    kind: str
    place: str
    actions: frozenset[str] | None = None  # commands that its driver takes, where that is known


World = Mapping[str, Spot]  # every device, by its id


class Happening(NamedTuple):
    """What a rule may wait for: an event of a condition, or (with `outcome`) that a person disposed of its alarm."""

    device: str
    type: str
    part: str
    phase: Phase
    test: bool
    cause: str  # the alarm's id, or the event's where it is of no condition
    outcome: str = ""


def inside(place: str, whole: str) -> bool:
    """Is a place the other one, or in it?"""
    return place == whole or place.startswith(f"{whole}/")


def building(place: str) -> str:
    """The building, or the named spot."""
    return place.partition("/")[0]


def targets(selector: Selector, world: World, device: str) -> list[str]:
    """The devices that a rule acts on when `device` has made it act (maybe that one itself)."""
    found = []
    here = world.get(device)
    for name, spot in world.items():
        if selector.ids and name not in selector.ids:
            continue
        if selector.kind is not None and spot.kind != selector.kind:
            continue
        if selector.place is None or _there(selector.place, spot, here):
            found.append(name)
    return found


def _there(place: str, spot: Spot, here: Spot | None) -> bool:
    if place == SAME_BUILDING:
        return here is not None and building(spot.place) == building(here.place)
    return inside(spot.place, place)


def may_tell(when: When, world: World, device: str) -> bool:
    """Could this device's event make the rule act?"""
    if when.devices and device not in when.devices:
        return False
    spot = world.get(device)
    if when.kind is not None and (spot is None or spot.kind != when.kind):
        return False
    return when.place is None or (spot is not None and inside(spot.place, when.place))


def fits(when: When, world: World, happening: Happening, local: datetime) -> bool:
    """Is it what the rule waits for, but for how long and how many? `local` is the site's own time."""
    if not any(taxonomy.matches(pattern, happening.type) for pattern in when.type):
        return False
    if when.test != "any" and when.test != happening.test:
        return False
    if (when.outcome or "") != happening.outcome:
        return False
    phases = (Phase.RAISE, Phase.PULSE) if when.phase is None else (when.phase,)
    if not happening.outcome and happening.phase not in phases:
        return False
    return may_tell(when, world, happening.device) and in_hours(when, local)


def in_hours(when: When, local: datetime) -> bool:
    """Is this a time at which the rule acts?"""
    minute = local.hour * 60 + local.minute
    return when.hours is None or any(
        local.weekday() in days and start <= minute < end for days, start, end in when.hours
    )


def reach(do: Do, world: World, causes: Iterable[str]) -> frozenset[str]:
    """Every device that the action may move, whichever of `causes` makes the rule act."""
    if do.devices is None:
        return frozenset()
    return frozenset(name for cause in causes for name in targets(do.devices, world, cause))
