"""What must hold of everything that reached the city, whatever died or filled up on the way."""

from collections.abc import Sequence
from typing import Any

from gateway.event import Lane
from tests.brokers import Subscriber

Event = dict[str, Any]


def first_arrivals(city: Subscriber) -> list[Event]:
    """Each event once, where it stood first."""
    return list({event["id"]: event for event in reversed(city.events())}.values())[::-1]


def check_streams(events: Sequence[Event], *tried: Lane, uplink: str = "district", window: int = 1) -> None:
    """No gap, in order by first arrival, and a redelivery says what the first one said.

    `window`: what was in flight together and refused in part may come out of order, but no farther than so.
    """
    by_id: dict[str, Event] = {}
    numbers: dict[str, list[int]] = {f"{uplink}.{lane}": [] for lane in Lane}
    for event in events:
        known = by_id.setdefault(event["id"], event)
        assert event | {"time": "", "timequality": ""} == known | {"time": "", "timequality": ""}
        if known is event:
            numbers[event["stream"]].append(int(event["sequence"]))
    assert all(numbers[f"{uplink}.{lane}"] for lane in tried)
    for stream, sequence in numbers.items():
        assert sorted(sequence) == list(range(1, len(sequence) + 1)), f"{stream}: a gap"
        early = max((number - place for place, number in enumerate(sequence, 1)), default=0)
        assert early < window, f"{stream}: {early} places too early"
