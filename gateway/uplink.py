"""One uplink: connects, delivers, and comes back after every loss with a back-off that never becomes a storm.

Each uplink stands alone: its own connection, cursors, window, back-off and counters; what it meets costs no other one
anything. What has been confirmed is the outbox's to know: after a lost link, sending goes on behind it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from gateway.clock import rfc3339
from gateway.commands import Action, Order, Refused, Result, resent
from gateway.delivery import Delivery
from gateway.errors import LinkError, LinkRefused, ProtocolRefused, StorageError, Text
from gateway.event import Lane
from gateway.flight import Flight
from gateway.mqtt import Session, Target, Will
from gateway.outbox import PREFETCH_ROWS, resend
from gateway.parts import Parts
from gateway.peer import ended, no_commands
from gateway.replay import Found, Rate
from gateway.retained import encode

BACKOFF_FIRST_S = 1.0  # architecture, section 5
BACKOFF_MOST_S = 300.0
BACKOFF_REFUSED_S = 10.0  # first wait after a refusal that a person must mend
BACKOFF_ALARM_S = 10.0  # most while an alarm is unsent
BACKOFF_URGENT_S = 1.0  # most while an alarm is unsent and the loss is young; alarms are rare, so it makes no storm
URGENT_FOR_S = 300.0
LOST = '"type":"gateway.uplink_lost"'
STEADY_S = 300.0  # up this long, the back-off starts anew
KICKS = 3  # losses, none of them after STEADY_S: there may be another one with our name
AUTO = "auto"
RESETS_MOST = 2  # in a row, under auto: then the broker may be one that closes on what it does not speak
SUBSCRIBED_S = 7 * 86400  # a broker keeps commands for us at most for so long


class Backoff:
    """Full jitter: anything between nothing and a bound that doubles."""

    def __init__(self) -> None:
        self.failures = 0

    def next_s(self, first_s: float) -> float:
        """Seconds to wait now; each call doubles the bound."""
        bound_s = min(BACKOFF_MOST_S, first_s * 2.0 ** min(self.failures, 16))
        self.failures += 1
        return random.uniform(0.2 * bound_s, bound_s)  # noqa: S311  # jitter, no secret


class Uplink:
    """`await uplink.run(stopping)`."""

    def __init__(
        self,
        parts: Parts,
        target: Callable[[str], Target],  # by protocol; made anew for each attempt, so that renewed keys are used
        protocol: str,  # auto, 5, 3.1.1
        next_session: Callable[[], Awaitable[int]],
    ) -> None:
        self.parts = parts
        self.connected = False
        self.since = rfc3339(parts.clock.utc())  # of the present state
        self.why: LinkError | None = None  # why it is not connected
        self.deaf: LinkError | None = None  # why it gets no commands, though it is connected
        self.on_change: Callable[[Uplink], None] = lambda _: None
        self.delivery: Delivery | None = None
        self._target = target
        self._auto = protocol == AUTO
        self.protocol = "5" if self._auto else protocol
        self._five_refused = False  # in so many words, in this run
        self._resets = 0  # in a row, in answer to CONNECT
        self._next_session = next_session
        self.session = 0  # the present or the last connection's number
        self._number: int | None = None
        self._backoff = Backoff()
        self._flight = Flight(parts)
        self._alarm = asyncio.Event()
        self._lost_at_s = parts.clock.monotonic()

    @property
    def name(self) -> str:
        """As in the configuration."""
        return self.parts.plan.name

    def grown(self, lane: Lane) -> None:
        """The store has committed something in a lane."""
        if self.delivery is not None:
            self.delivery.grown(lane)
        elif lane is Lane.ALARM:
            self._alarm.set()

    def state_changed(self, device: str) -> None:
        """A device's state document may have changed."""
        if self.delivery is not None:
            self.delivery.state_changed(device)

    async def resend(self, lane: Lane, first: int, last: int | None) -> Found:
        """Numbers of a lane once more, as far as they are kept. StorageError when the disk fails."""
        found = await resend(self.parts.outbox, self.parts.store, lane, first, last)
        self.grown(lane)
        return found

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping` is set: then what is owed goes out for a while, and the broker is told that we leave."""
        while not stopping.is_set():
            started_s = self.parts.clock.monotonic()
            try:
                await self._once(stopping)
            except LinkError as error:
                self._down(error)
                if self._other_protocol(error):
                    continue
            else:
                self._first_protocol()
            if self.parts.clock.monotonic() - started_s >= STEADY_S:
                self._backoff.failures = 0
            await self._pause(stopping)

    async def _once(self, stopping: asyncio.Event) -> None:
        """One connection, from connecting to its loss or the farewell."""
        if self._number is None:
            self._number = await self._next_session()
        plan, number = self.parts.plan, self._number
        will = Will(f"{plan.base}/status", encode(plan.status("offline", number)))
        wanted = replace(
            self._target(self.protocol),
            will=will,
            subscribe=(f"{plan.base}/command/#", *plan.inbox),
            session_expiry_s=SUBSCRIBED_S,
        )
        session = Session(wanted, lambda *_: None, self._flight.last_id)
        session.on_subscribed = partial(self._subscribed, wanted)
        async with session:
            self._number, self.session = None, number
            self._up(wanted.name)
            why = await self._deliver(Delivery(self.parts, session, number, self._flight), stopping)
        if why is not None:
            self._down(ended(wanted, session.closing, why, self._backoff.failures >= KICKS))

    async def _deliver(self, delivery: Delivery, stopping: asyncio.Event) -> Text | None:
        """Why the link was lost, or None after the farewell."""
        self.delivery = delivery
        try:
            return await delivery.run(stopping)
        except BaseException:
            self._flight.drop()  # what broke it may have been half sent
            raise
        finally:
            self.delivery = None
            self.parts.retained.clear()
            self.parts.posters.rest()

    def _first_protocol(self) -> None:
        """Under `auto`: 5 once more, unless the broker has said that it does not speak it."""
        self._resets = 0
        if self._auto:
            self.protocol = "3.1.1" if self._five_refused else "5"

    def _other_protocol(self, error: LinkError) -> bool:
        """Under `auto`, after connecting failed: which version comes next. True when it is to be tried at once."""
        tried = self.protocol
        self._five_refused |= tried == "5" and isinstance(error, ProtocolRefused)
        reset = tried == "5" and isinstance(error.__cause__, ConnectionResetError)
        resets = self._resets + 1 if reset else 0
        self._first_protocol()
        if self._auto and resets >= RESETS_MOST:
            self.protocol = "3.1.1"
        else:
            self._resets = resets
        return tried == "5" and self.protocol == "3.1.1"

    async def _pause(self, stopping: asyncio.Event) -> None:
        """Wait by the back-off; an unsent alarm shortens it, also one that comes while it lasts."""
        refused = isinstance(self.why, LinkRefused)
        wait_s = self._backoff.next_s(BACKOFF_REFUSED_S if refused else BACKOFF_FIRST_S)
        urgent_s = random.uniform(0.5, 1.0) * BACKOFF_URGENT_S  # noqa: S311  # jitter, no secret
        clock = self.parts.clock
        started_s = clock.monotonic()
        while not stopping.is_set():
            self._alarm.clear()
            young = clock.monotonic() - self._lost_at_s < URGENT_FOR_S
            owes = await self._owes_alarm()
            if owes and young and not refused:
                wait_s = min(wait_s, urgent_s)
            bound_s = min(wait_s, BACKOFF_ALARM_S) if owes else wait_s
            left_s = started_s + bound_s - clock.monotonic()
            if left_s <= 0:
                return
            waits = [asyncio.ensure_future(event.wait()) for event in (stopping, self._alarm)]
            await asyncio.wait(waits, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def _owes_alarm(self) -> bool:
        """An alarm is unsent that says more than that the link is lost; so one may be where there are more than fit."""
        outbox = self.parts.outbox
        with suppress(StorageError):  # then what was read before is what is known
            await outbox.fill()
        queue = outbox.queues[Lane.ALARM]
        rows = [*queue.waiting, *(entry.row for entry in queue.flying if entry.state != "confirmed")]
        return len(rows) >= PREFETCH_ROWS or any(LOST not in row.body for row in rows)

    def _subscribed(self, target: Target, refused: str | None) -> None:
        """The broker's answer to our subscription to commands; told when it changes."""
        was, self.deaf = self.deaf, None if refused is None else no_commands(target, refused)
        if str(was) != str(self.deaf):
            if self.deaf is not None:
                self.parts.log.error("%s", self.deaf)
            else:
                self.parts.log.info("commands are heard again")
            self.on_change(self)

    def _up(self, where: str) -> None:
        self.connected, self.why, self.since = True, None, rfc3339(self.parts.clock.utc())
        self.parts.log.info("connected to %s (MQTT %s)", where, self.protocol)
        self.on_change(self)

    def _down(self, error: LinkError) -> None:
        news = self.connected or self.why is None or str(self.why) != str(error)
        if self.connected or self.why is None:
            self._lost_at_s = self.parts.clock.monotonic()
            self.since = rfc3339(self.parts.clock.utc())
        self.connected, self.why = False, error
        if news:
            self.parts.log.warning("%s", error)
            self.on_change(self)


def actions(uplink: Uplink) -> dict[str, Action]:
    """What the platform may ask of this uplink (contract, section 4)."""
    plan = uplink.parts.plan

    async def ping(_: Order) -> Result:
        return plan.status("online", uplink.session)

    async def sync(order: Order) -> Result:
        if order.args.replay_rate is not None:
            uplink.parts.outbox.rate = Rate(order.args.replay_rate)
        if uplink.delivery is not None:
            await uplink.delivery.announce()
        return {}

    async def again(order: Order) -> Result:
        args = order.args
        if args.uplink != plan.name or (args.last is not None and args.last < args.first):
            what = Text(
                f"stream: one of {plan.name}'s is needed; to: not below from",
                f"stream:须为 {plan.name} 的流;to:不得小于 from",
            )
            raise Refused("bad-arguments", what)
        return resent(args.stream, await uplink.resend(args.lane, args.first, args.last))

    return {"ping": ping, "sync": sync, "resend": again}
