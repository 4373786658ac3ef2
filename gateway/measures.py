"""What is laid over alarms for a while: shelf 暂缓, shield 屏蔽, suppression 联锁抑制, drill 演练. Pure.

Each is a condition in the same book, so that it stands on disk like an alarm, with its reason and its end
(`until_ms`). Alarms under one go on as ever; only what a person sees and hears of them differs (OPC UA part 9, 4.8).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from gateway.alarms import DRILL, Alarm, Book, Key, Told
from gateway.event import Severity

SHELF, SHIELD, SUPPRESSION = "operator.shelve", "device.shielded", "gateway.suppressed"
NEVER_SHELVED = ("fire.", "safety.panic", "access.duress")  # types, or how they begin
LONGEST_SHELF_S = 8 * 3600.0  # domain notes, 3.4


class Cover(NamedTuple):
    """What lies over an alarm now."""

    shelf: Alarm | None = None
    suppression: Alarm | None = None
    shield: Alarm | None = None


def part_of(type: str, part: str) -> str:
    """The part of a shelf's or a suppression's key: it lies over one condition of the device."""
    return f"{type} {part}".rstrip()


def measure(key: Key, told: Told, until_ms: int, cause: str) -> Alarm:
    """A new one; `told` is the event that tells it. It ends by itself at `until_ms` (0: it does not)."""
    device, kind, part = key
    return Alarm(
        device=device,
        type=kind,
        part=part,
        id=told.id,
        severity=Severity.INFO,
        active=True,
        acknowledged=True,
        confirmed=False,
        latched=False,
        count=1,
        first_ms=told.now_ms,
        last_ms=told.now_ms,
        test=False,
        silenced=True,
        until_ms=until_ms,
        cause=cause,
    )


def ended(old: Alarm) -> Alarm:
    """It is over; normal, so that the book forgets it."""
    return replace(old, active=False, acknowledged=True, latched=False, confirmed=True, until_ms=0)


def may_be_shelved(type: str) -> bool:
    """Fire, panic and duress never are (domain notes, 3.4)."""
    return not type.startswith(NEVER_SHELVED)


def cover(book: Book, alarm: Alarm) -> Cover:
    """What lies over this alarm. A shield that only a panel tells of covers nothing: it ends by no time of ours."""
    device, own = alarm.device, part_of(alarm.type, alarm.part)
    shield = _first(book, [(device, SHIELD, alarm.part), (device, SHIELD, "")])
    return Cover(
        _first(book, [(device, SHELF, own), (device, SHELF, "")]) if may_be_shelved(alarm.type) else None,
        _lasting(book, (device, SUPPRESSION, own)),
        shield if shield is not None and shields(shield) and alarm.type != SHIELD else None,
    )


def _first(book: Book, keys: Iterable[Key]) -> Alarm | None:
    return next((found for found in (_lasting(book, key) for key in keys) if found is not None), None)


def _lasting(book: Book, key: Key) -> Alarm | None:
    found = book.get(key)
    return found if found is not None and found.active else None


def uncovered(alarms: Iterable[Alarm]) -> list[Alarm]:
    """Of one device's: without those that a shield or a suppression lies over."""
    mine = list(alarms)
    laid = {alarm.key for alarm in mine if alarm.active and (alarm.type == SUPPRESSION or shields(alarm))}
    return [alarm for alarm in mine if shields(alarm) or not laid.intersection(_over(alarm))]


def _over(alarm: Alarm) -> set[Key]:
    device = alarm.device
    own = (device, SUPPRESSION, part_of(alarm.type, alarm.part))
    return {own, (device, SHIELD, ""), (device, SHIELD, alarm.part)}


def shields(alarm: Alarm) -> bool:
    """Is it a shield of ours, not one that a panel only tells of?"""
    return alarm.type == SHIELD and alarm.until_ms > 0


def display(alarm: Alarm, over: Cover) -> str:
    """The one display word: what lies over an alarm first, else that of its own flags."""
    if over.shield is not None:
        return "out_of_service"
    if over.suppression is not None:
        return "suppressed"
    return "shelved" if over.shelf is not None else alarm.state


def drilled(book: Book, device: str, gateway: str, place: str) -> bool:
    """Is the device in drill: itself, or its place, or what that stands in, or all of the site (place "")?"""
    if not book.drills:
        return False
    if _lasting(book, (device, DRILL, "")) is not None:
        return True
    return any(_lasting(book, (gateway, DRILL, path)) is not None for path in _above(place))


def _above(place: str) -> Iterator[str]:
    yield ""
    steps = place.split("/") if place else []
    for number in range(1, len(steps) + 1):
        yield "/".join(steps[:number])
