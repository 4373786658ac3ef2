"""One pull point in an ONVIF device: made, renewed, asked, given back (ONVIF core, 9; WS-BaseNotification 1.3, 6).

Cameras have room for about five, cannot list them, and some hang after many: so a lifetime is short, and a place is
given back. Ends are absolute times by the device's own clock, or durations where it takes only those. (An underscore:
no driver.)
"""

import asyncio
from datetime import timedelta
from xml.etree.ElementTree import Element

from drivers._onvif_config import LEAST_LIFETIME_S
from drivers._onvif_soap import DeviceClock, Faulted, Place, Wire, faults, first, moment, place_of, text_of
from gateway.clock import Clock
from gateway.errors import BadInput, DeviceError

MESSAGES = 100
SHORT_PULL_S = 5.0  # where the device does not want to hold a question longer
LEAST_PULL_S = 1.0
UNSUBSCRIBE_S = 0.8  # under the supervisor's patience (gateway/supervisor.py, END_S)
NO_PULL = ("notsupported", "notimplemented", "http404", "http405")


class Subscription:
    """Of one device, made anew as often as it is lost; what the device does not take is remembered."""

    def __init__(self, wire: Wire, clock: Clock, lifetime_s: float, pull_s: float) -> None:
        self._wire, self._clock = wire, clock
        self._lifetime_s, self._pull_s = lifetime_s, pull_s
        self._time = DeviceClock(clock)  # of its event service, which may differ from that of its logins
        self._place = Place("/")
        self._renew_at_s = 0.0
        self._absolute = True  # the form of times that the device takes
        self._renews = True

    async def create(self, events: Place) -> None:
        """Faulted: the device gives none."""
        self._time = DeviceClock(self._clock)
        answer = await self._timed("CreatePullPointSubscription", events, "InitialTerminationTime")
        place = place_of(first(answer, "SubscriptionReference"))
        self._place = place if place.path != "/" else Place(events.path, place.references)

    async def _timed(self, operation: str, place: Place, name: str) -> Element:
        """With an end in the form the device takes."""
        try:
            return self._until(await self._wire.call(operation, place, {name: self._end()}))
        except Faulted as error:
            if faults(error, NO_PULL):
                raise
            self._absolute = not self._absolute
        return self._until(await self._wire.call(operation, place, {name: self._end()}))

    def _end(self) -> str:
        lifetime = timedelta(seconds=self._lifetime_s)
        theirs = self._time if self._time.known else self._wire.time
        if self._absolute and theirs.known:
            return f"{theirs.now() + lifetime:%Y-%m-%dT%H:%M:%SZ}"
        return f"PT{lifetime.total_seconds():.0f}S"

    def _until(self, answer: Element) -> Element:
        """When to renew: at half the time that the device gives, which is never more than was asked for."""
        now, end = moment(text_of(answer, "CurrentTime")), moment(text_of(answer, "TerminationTime"))
        self._time.learn(now)
        given_s = (end - now).total_seconds() if now and end else self._lifetime_s
        self._renew_at_s = self._clock.monotonic() + min(max(given_s, LEAST_LIFETIME_S), self._lifetime_s) / 2
        return answer

    async def synchronize(self) -> DeviceError | None:
        """Asks for the present states; many devices tell them unasked, some never (then what they said of it)."""
        try:
            await self._wire.call("SetSynchronizationPoint", self._place)
        except (Faulted, BadInput) as error:
            return error
        return None

    async def renew(self) -> Faulted | None:
        """If it is time. A device that does not renew is asked no more: being asked for news keeps it, or it ends."""
        if self._renews and self._clock.monotonic() >= self._renew_at_s:
            try:
                await self._timed("Renew", self._place, "TerminationTime")
            except Faulted as error:
                self._renews = False
                return error
        return None

    async def news(self, until_s: float) -> Element:
        """Asks what is new, and lets the device hold the question till then (monotonic seconds), or a renewal."""
        now_s = self._clock.monotonic()
        ahead_s = min(until_s, self._renew_at_s if self._renews else until_s) - now_s
        try:
            return await self._pull(max(LEAST_PULL_S, min(self._pull_s, ahead_s)))
        except Faulted:
            if self._pull_s <= SHORT_PULL_S:
                raise
        self._pull_s = SHORT_PULL_S
        return await self._pull(SHORT_PULL_S)

    async def _pull(self, wait_s: float) -> Element:
        given = {"Timeout": timedelta(seconds=wait_s), "MessageLimit": MESSAGES}
        answer = await self._wire.call("PullMessages", self._place, given, wait_s=wait_s)
        self._time.learn(moment(text_of(answer, "CurrentTime")))
        return answer

    async def end(self) -> Exception | None:
        """Gives the place back; when the gateway ends, too. What became of it where it did not work."""
        try:
            async with asyncio.timeout(UNSUBSCRIBE_S):
                await self._wire.call("Unsubscribe", self._place)
        except (DeviceError, TimeoutError) as error:
            return error
        return None
