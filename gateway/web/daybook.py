"""How each uplink did in the last 24 hours: a sample a minute and its last changes, in memory while the page runs."""

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from statistics import median
from typing import Any, Literal

from gateway.alarms import Key
from gateway.clock import Clock, rfc3339
from gateway.errors import LinkRefused, Text
from gateway.event import Lane
from gateway.house import House
from gateway.identity import moment_ms
from gateway.uplink import Uplink

TICK_S = 5.0
MINUTE_S = 60.0
DAY_MINUTES = 1440
MOST_CHANGES = 20
MOST_CONFIRMS = 2000
DAY_MS = 86_400_000
Link = Literal["connected", "deaf", "retrying", "refused", "disconnected"]


@dataclass(frozen=True)
class Minute:
    """One minute of one uplink. `at_s`: when it began, on the monotonic clock."""

    at_s: float
    ticks: int = 0
    up: int = 0  # ticks while it was connected
    backlog: int = 0  # most
    confirmed: int = 0  # events in this minute


@dataclass(frozen=True)
class Change:
    """The connection came, went, or failed for another reason."""

    time: str
    link: Link
    why: Text | None
    do: Text | None


@dataclass(frozen=True)
class Confirms:
    """How long alarms took from being taken in to the platform's confirmation."""

    count: int
    median_s: float
    longest_s: float


def link_of(uplink: Uplink) -> Link:
    """Refused: a person must mend something; retrying: it comes back by itself; deaf: no commands come through."""
    if uplink.connected:
        return "connected" if uplink.deaf is None else "deaf"
    if uplink.why is None:
        return "disconnected"
    return "refused" if isinstance(uplink.why, LinkRefused) else "retrying"


class Record:
    """What is remembered of one uplink."""

    def __init__(self, uplink: Uplink, clock: Clock) -> None:
        self.uplink = uplink
        self.minutes = deque[Minute](maxlen=DAY_MINUTES)
        self.changes = deque[Change](maxlen=MOST_CHANGES)
        self._confirms = OrderedDict[str, tuple[int, int]]()  # by alarm: when, and after how long, ms
        self._clock = clock
        self._confirmed = 0  # events so far, in this run
        uplink.parts.proofs.listeners.append(self._told)
        uplink.on_change = _both(uplink.on_change, self._changed)

    def tick(self) -> None:
        """A look at how it is now."""
        now_s, last = self._clock.monotonic(), self.minutes[-1] if self.minutes else None
        if last is None or now_s - last.at_s >= MINUTE_S:
            self.minutes.append(last := Minute(now_s))
        queues = self.uplink.parts.outbox.queues.values()
        confirmed = sum(queue.confirmed for queue in queues)
        backlog = sum(self.uplink.parts.outbox.backlog(lane) for lane in Lane)
        self.minutes[-1] = replace(
            last,
            ticks=last.ticks + 1,
            up=last.up + self.uplink.connected,
            backlog=max(last.backlog, backlog),
            confirmed=last.confirmed + confirmed - self._confirmed,
        )
        self._confirmed = confirmed

    def confirms(self) -> Confirms | None:
        """Of the last 24 hours; None: no alarm was confirmed."""
        lengths_ms = [length_ms for _, length_ms in self._recent()]
        if not lengths_ms:
            return None
        return Confirms(len(lengths_ms), median(lengths_ms) / 1000, max(lengths_ms) / 1000)

    def online_share(self) -> float | None:
        """Of the time that was looked at; None: none yet."""
        ticks = sum(minute.ticks for minute in self.minutes)
        return sum(minute.up for minute in self.minutes) / ticks if ticks else None

    def series(self) -> Iterator[tuple[int, Minute, float | None]]:
        """Each minute with its beginning (s since 1970) and the longest time that an alarm in it took."""
        now_s, now = self._clock.monotonic(), self._clock.utc().timestamp()
        longest: dict[int, int] = {}
        for at_ms, length_ms in self._recent():
            minute = bisect_right(self.minutes, now_s - now + at_ms / 1000, key=lambda one: one.at_s) - 1
            longest[minute] = max(length_ms, longest.get(minute, 0))
        for number, one in enumerate(self.minutes):
            length_ms = longest.get(number, -1)
            yield round(now - now_s + one.at_s), one, None if length_ms < 0 else length_ms / 1000

    def _recent(self) -> list[tuple[int, int]]:
        since_ms = self._clock.utc().timestamp() * 1000 - DAY_MS
        return [(at_ms, length_ms) for at_ms, length_ms in self._confirms.values() if at_ms >= since_ms]

    def _told(self, alarm_id: str, _key: Key) -> None:
        """What is known of an alarm's delivery has changed."""
        proof: Mapping[str, Any] = self.uplink.parts.proofs.shown(alarm_id) or {}
        if proof.get("state") == "confirmed" and "at" in proof:
            at_ms = _ms(proof["at"])
            self._confirms[alarm_id] = at_ms, max(0, at_ms - moment_ms(alarm_id))
            if len(self._confirms) > MOST_CONFIRMS:
                self._confirms.popitem(last=False)

    def _changed(self, uplink: Uplink) -> None:
        error = uplink.deaf if uplink.connected else uplink.why
        what, do = (None, None) if error is None else (error.what, error.do)
        self.changes.append(Change(rfc3339(self._clock.utc()), link_of(uplink), what, do))


def _both(first: Callable[[Uplink], None], second: Callable[[Uplink], None]) -> Callable[[Uplink], None]:
    def both(uplink: Uplink) -> None:
        first(uplink)
        second(uplink)

    return both


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


class Daybook:
    """`run()` is an errand of the page; what there is to see is seen from then on."""

    def __init__(self, house: House) -> None:
        self._house = house

    @cached_property
    def records(self) -> Mapping[str, Record]:
        """By uplink."""
        return {uplink.name: Record(uplink, self._clock) for uplink in self._house.uplinks}

    @cached_property
    def _clock(self) -> Clock:
        return self._house.vitals.clock

    @cached_property
    def _began_s(self) -> float:
        return self._clock.monotonic()

    @property
    def since(self) -> str:
        """From when on it is known: the page's start, or 24 hours ago."""
        passed_s = self._clock.monotonic() - self._began_s
        return rfc3339(self._clock.utc() - timedelta(seconds=min(passed_s, DAY_MINUTES * MINUTE_S)))

    def look(self) -> None:
        """At every uplink."""
        _ = self._began_s
        for record in self.records.values():
            record.tick()

    async def run(self) -> None:
        """For ever."""
        while True:
            self.look()
            await self._clock.sleep(TICK_S)
