"""Stand-ins one can trust: a Link that keeps everything in memory, and clocks that tests move.

`RecordingLink` keeps the promises of `gateway.driver.Link`: an emit that returns is accepted, one that raises
StorageError left nothing; offline is told once; `active` follows from what was raised and cleared.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from gateway.clock import TRUSTED, Clock, Jump, Machine, TimeQuality
from gateway.driver import Answer, Command, Decision, Handler, Intake, Link, Outcome, Posted
from gateway.errors import StorageError, Text
from gateway.event import NOTHING, Credential, Json, Phase, Reading, part_key

EPOCH = datetime(2026, 11, 23, 10, 6, 19, tzinfo=UTC)
Key = tuple[str, str | None]  # type, part address


class ManualClock:
    """Time that stands still until a test calls `advance`; sleepers wake in the order of their deadlines."""

    def __init__(self, start: datetime = EPOCH, quality: TimeQuality = TimeQuality.SYNCED) -> None:
        self.start = start
        self.now_s = 0.0
        self.time_quality = quality
        self.boot = "b0070000"
        self.jump: Jump | None = None
        self.certain = datetime(1970, 1, 1, tzinfo=UTC)  # had passed when the clock was made
        self.sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def utc(self) -> datetime:
        """The start plus what was advanced."""
        return self.start + timedelta(seconds=self.now_s)

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self.now_s

    def quality(self) -> TimeQuality:
        """What the test set."""
        return self.time_quality

    def offset_ms(self) -> float:
        """None is known."""
        return 0.0

    def since_boot_s(self) -> float:
        """The machine was booted when the clock was made."""
        return self.monotonic()

    def at_least(self) -> datetime:
        """Now, where it is trusted; else what the test set or the clock learned, and what was advanced."""
        return self.utc() if self.time_quality in TRUSTED else self.certain + timedelta(seconds=self.monotonic())

    def learn(self, moment: datetime, boot: str, at_s: float, was_set: bool) -> None:
        """A later moment counts."""
        self.certain = max(self.certain, moment - timedelta(seconds=self.monotonic()))

    def set_wall(self, seconds: float) -> None:
        """Wall time jumps by so much, monotonic time does not."""
        self.start += timedelta(seconds=seconds)
        self.jump = Jump(seconds, self.since_boot_s(), self.time_quality in TRUSTED)

    async def sleep(self, seconds: float) -> None:
        """Until the test has advanced that far."""
        if seconds <= 0:
            return
        future = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now_s + seconds, future))
        await future

    def advance(self, seconds: float) -> None:
        """Move on and wake whoever is due."""
        self.now_s += seconds
        due = sorted((s for s in self.sleepers if s[0] <= self.now_s), key=lambda s: s[0])
        self.sleepers = [s for s in self.sleepers if s[0] > self.now_s]
        for _, future in due:
            if not future.done():
                future.set_result(None)


class Board(Machine):
    """A machine without a battery clock, for a real SystemClock: tests let time pass, set it, cut its power."""

    def __init__(self, truth: datetime = EPOCH) -> None:
        self.truth_s = truth.timestamp()  # what time it really is
        self.boots = 0
        self.power_cut(0.0)

    def power_cut(self, off_s: float, error_s: float | None = None) -> None:
        """Off for so long, then up with another boot id: in 1970, or wrong by `error_s`."""
        self.truth_s += off_s
        self.error_s = -self.truth_s if error_s is None else error_s
        self.booted_s = self.truth_s
        self.synced = False
        self.boots += 1
        self.boot = f"b007{self.boots:04d}"

    def wall_s(self) -> float:
        """What it believes."""
        return self.truth_s + self.error_s

    def since_boot_s(self) -> float:
        """Right, whatever wall time does."""
        return self.truth_s - self.booted_s

    def discipline(self) -> tuple[bool, float]:
        """Whether the network has told it the time."""
        return self.synced, 0.0

    def sync(self) -> None:
        """The network comes, and with it the time."""
        self.error_s, self.synced = 0.0, True

    def jump(self, seconds: float) -> None:
        """Somebody sets it: the kernel calls it unsynchronized from then on (adjtimex(2))."""
        self.error_s += seconds
        self.synced = False


class FastClock(ManualClock):
    """Real time, `times` faster: seconds of a driver's timing pass in milliseconds, on real ptys and sockets.

    So a busy machine, too, seems `times` slower: while somebody else is waited for, `times` is better small. It may be
    changed at any moment; what sleeps by then wakes as it was told before.
    """

    def __init__(self, times: float = 50.0) -> None:
        super().__init__()
        self._times = times
        self._began_s = time.monotonic()

    @property
    def times(self) -> float:
        """How much faster."""
        return self._times

    @times.setter
    def times(self, times: float) -> None:
        self.now_s, self._began_s = self.monotonic(), time.monotonic()
        self._times = times

    def utc(self) -> datetime:
        """The start plus the fast seconds since."""
        return self.start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Fast seconds since the clock was made."""
        return self.now_s + (time.monotonic() - self._began_s) * self._times

    async def sleep(self, seconds: float) -> None:
        """A `times`-th of that long."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        timer = loop.call_later(max(0.0, seconds) / self._times, _wake, future)
        try:
            await future
        finally:
            timer.cancel()


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _refuse(door: str, credential: Credential) -> Decision:
    return Decision(False, "unknown_credential")


@dataclass
class RecordingLink:
    """A Link in memory. `changed` is what `until` waits on: call it after changing what a predicate looks at."""

    clock: Clock = field(default_factory=ManualClock)
    decision: Callable[[str, Credential], Decision] = _refuse
    before_emit: Callable[[tuple[Reading, ...]], Awaitable[None]] | None = None  # a slow disk, for one
    readings: list[Reading] = field(default_factory=list)
    seen_count: dict[str, int] = field(default_factory=dict)  # device → calls of seen
    offline: dict[str, str] = field(default_factory=dict)  # device → reason, while it is told as lost
    presence: list[tuple[str, str]] = field(default_factory=list)  # (device, "seen" or the reason), each change
    conditions: dict[str, set[Key]] = field(default_factory=dict)  # what stands open on disk
    secrets: dict[str, bytes] = field(default_factory=dict)
    handlers: dict[tuple[str, str], Handler] = field(default_factory=dict)  # (device, action)
    intakes: dict[tuple[str, str], Intake] = field(default_factory=dict)  # (device, token)
    failing: int = 0  # so many of the next emits, seen, lost, keep are refused with StorageError
    refused: int = 0  # how many were
    log: logging.LoggerAdapter[logging.Logger] = field(
        default_factory=lambda: logging.LoggerAdapter(logging.getLogger("tests.link"), {})
    )
    _waiting: list[tuple[Callable[[], object], "asyncio.Future[None]"]] = field(default_factory=list)

    def of(self, type: str, phase: Phase | None = None, device: str | None = None) -> list[Reading]:
        """Accepted readings of one type (or pattern like `fire.*`), maybe of one phase, of one device."""
        return [
            r
            for r in self.readings
            if fnmatchcase(r.type, type) and phase in (None, r.phase) and device in (None, r.device)
        ]

    async def until(self, predicate: Callable[[], object], within_s: float = 5.0) -> None:
        """Wait until it holds; looked at after everything that happens on this link. TimeoutError if it never does."""
        if predicate():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((predicate, future))
        async with asyncio.timeout(within_s):
            await future

    def changed(self) -> None:
        """Something happened: wake whoever waited for it."""
        held = [(predicate, future) for predicate, future in self._waiting if predicate()]
        self._waiting = [entry for entry in self._waiting if entry not in held]
        for _, future in held:
            _wake(future)

    async def emit(self, *readings: Reading) -> list[str]:
        """Accept all of them, or none (StorageError)."""
        if self.before_emit is not None:
            await self.before_emit(readings)
        self._write()
        ids = []
        for reading in readings:
            self.readings.append(reading)
            _follow(self.conditions.setdefault(reading.device, set()), reading)
            ids.append(f"id-{len(self.readings)}")
        self.changed()
        return ids

    def _write(self) -> None:
        if self.failing > 0:
            self.failing -= 1
            self.refused += 1
            self.changed()
            raise StorageError("store", Text("the disk is full", "磁盘已满"))

    async def seen(self, device: str) -> None:
        """Clears offline where it was told."""
        if device in self.offline:
            self._write()
        if device not in self.seen_count or device in self.offline:
            self.presence.append((device, "seen"))
        self.offline.pop(device, None)
        self.conditions.setdefault(device, set()).discard(("device.offline", None))
        self.seen_count[device] = self.seen_count.get(device, 0) + 1
        self.changed()

    async def lost(self, device: str, reason: str, raw: Mapping[str, Json] = NOTHING) -> None:
        """Tells offline once."""
        if device not in self.offline:
            self._write()
            self.offline[device] = reason
            self.conditions.setdefault(device, set()).add(("device.offline", None))
            self.presence.append((device, reason))
        self.changed()

    def active(self, device: str) -> frozenset[Key]:
        """What was raised and not cleared; put entries into `conditions` for a start after a restart."""
        return frozenset(self.conditions.get(device, ()))

    def decide(self, door: str, credential: Credential) -> Decision:
        """What the test's function says."""
        return self.decision(door, credential)

    @contextmanager
    def handle(self, device: str, actions: Sequence[str], handler: Handler) -> Iterator[None]:
        """Commands go to `handler` while the block lasts."""
        keys = [(device, action) for action in actions]
        self.handlers.update(dict.fromkeys(keys, handler))
        self.changed()
        try:
            yield
        finally:
            for key in keys:
                self.handlers.pop(key, None)

    @contextmanager
    def intake(self, device: str, token: str, intake: Intake) -> Iterator[None]:
        """What is posted goes to `intake` while the block lasts."""
        self.intakes[device, token] = intake
        self.changed()
        try:
            yield
        finally:
            self.intakes.pop((device, token), None)

    async def command(self, device: str, action: str, **args: Json) -> Outcome:
        """Send a command as the gateway would; KeyError where nobody handles it."""
        return await self.handlers[device, action](Command("c-1", device, action, args))

    async def post(self, device: str, token: str, body: bytes, content_type: str = "application/json") -> Answer:
        """Post to `/ingest/{device}` as a device would; KeyError where nobody takes it."""
        return await self.intakes[device, token](Posted(body, content_type))

    def keep(self, name: str, secret: bytes) -> None:
        """Into the dict, or StorageError."""
        self._write()
        self.secrets[name] = secret
        self.changed()

    def kept(self, name: str) -> bytes | None:
        """Out of the dict."""
        return self.secrets.get(name)


def _follow(held: set[Key], reading: Reading) -> None:
    key = (reading.type, part_key(reading.part) or None)
    if reading.phase is Phase.RAISE:
        held.add(key)
    elif reading.phase is Phase.CLEAR:
        held.discard(key)


def link_of(link: RecordingLink) -> Link:
    """mypy proves here that RecordingLink is a Link."""
    return link
