"""The event service of a simulated ONVIF device: pull points with an end, states, quirks of firmware."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from drivers.sim._onvif_soap import Fault, said, stamp
from gateway.clock import Clock

_DURATION = re.compile(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")
MOST_LIFETIME_S = 3600.0
ROOM = 5  # subscriptions


@dataclass(frozen=True)
class Quirks:
    """What one firmware does differently from another."""

    pull_point: bool = True  # False: "Action not implemented"
    address: str = "{url}{path}"  # of a subscription; also "{path}", "http://0.0.0.0{path}"
    references: bool = False  # the subscription is told by a reference parameter, not by its address
    renew: bool = True
    relative_only: bool = False  # refuses an absolute time
    absolute_only: bool = False
    most_pull_s: float = 60.0  # refuses a longer Timeout
    hangs_up: bool = False  # closes the connection where there is nothing to tell
    synchronizes: bool = True  # tells the present states
    prefix: str = "tns1:"
    ending: str = ""  # hung on each topic
    silent_clock: bool = False  # does not tell the time
    time_format: str = ""  # of a notification, instead of the right one
    says_false: bool = True
    clock_off_s: float = 0.0
    login: str = "token"  # or digest, both; none: nobody is asked
    guarded_clock: bool = False  # tells the time only with a login
    services: bool = False  # knows GetServices, not GetCapabilities
    picture_type: str = "image/png"
    garbage: bytes = b""  # an answer to PullMessages


@dataclass
class PullPoint:
    """One subscription."""

    ends: datetime
    waiting: list[str] = field(default_factory=list)  # notifications
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


Items = Mapping[str, str]
_State = tuple[str, tuple[tuple[str, str], ...]]  # topic, source items


class Events:
    """Pull points and what they hold."""

    def __init__(self, quirks: Quirks, clock: Clock) -> None:
        self.quirks, self._clock = quirks, clock
        self.points: dict[str, PullPoint] = {}
        self.states: dict[_State, dict[str, str]] = {}
        self.created = 0
        self.renewed = 0
        self.pulled = 0
        self.unsubscribed = 0

    def now(self) -> datetime:
        """By the device's own clock."""
        return self._clock.utc() + timedelta(seconds=self.quirks.clock_off_s)

    # --- what happens

    def state(self, topic: str, source: Items, data: Items) -> None:
        """A property: told now, and to whoever asks for the present states later."""
        key = topic, tuple(sorted(source.items()))
        self.states[key] = dict(data)
        if self.quirks.says_false or "true" in data.values():
            self.tell(self._note(topic, source, data, "Changed"))

    def happen(self, topic: str, source: Items, data: Items) -> None:
        """Something without duration."""
        self.tell(self._note(topic, source, data, ""))

    def tell(self, note: str) -> None:
        """Any notification, well formed or not."""
        for point in self.points.values():
            point.waiting.append(note)
            point.arrived.set()

    def _note(self, topic: str, source: Items, data: Items, operation: str) -> str:
        quirks = self.quirks
        time = quirks.time_format or stamp(self.now())
        done = f' PropertyOperation="{operation}"' if operation else ""
        return (
            '<wsnt:NotificationMessage><wsnt:Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"'
            f">{quirks.prefix}{topic}{quirks.ending}</wsnt:Topic><wsnt:Message>"
            f'<tt:Message UtcTime="{time}"{done}>{_items("Source", source)}{_items("Data", data)}</tt:Message>'
            "</wsnt:Message></wsnt:NotificationMessage>"
        )

    # --- what clients ask

    def create(self, asked: Element, url: str) -> str:
        """CreatePullPointSubscription."""
        if not self.quirks.pull_point:
            raise Fault("ActionNotSupported", "Optional Action Not Implemented", 500)
        self._expire()
        if len(self.points) >= ROOM:
            raise Fault("MaxPullPoints", "The maximum number of pull points is reached", 500)
        ends = self._end(said(asked, "InitialTerminationTime"))
        self.created += 1
        name = str(self.created)
        self.points[name] = PullPoint(ends)
        path = "/onvif/subscription" if self.quirks.references else f"/onvif/subscription/{name}"
        address = self.quirks.address.format(url=url, path=path, port=url.rpartition(":")[2])
        extra = (
            f'<wsa:ReferenceParameters><x:Id xmlns:x="urn:sim">{name}</x:Id></wsa:ReferenceParameters>'
            if self.quirks.references
            else ""
        )
        return (
            "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
            f"<wsa:Address>{address}</wsa:Address>{extra}</tev:SubscriptionReference>"
            f"<wsnt:CurrentTime>{stamp(self.now())}</wsnt:CurrentTime>"
            f"<wsnt:TerminationTime>{stamp(ends)}</wsnt:TerminationTime></tev:CreatePullPointSubscriptionResponse>"
        )

    def renew(self, asked: Element, name: str) -> str:
        """Renew."""
        point = self._point(name)
        if not self.quirks.renew:
            raise Fault("ActionNotSupported", "Renew is not supported")
        point.ends = self._end(said(asked, "TerminationTime"))
        self.renewed += 1
        return (
            f"<wsnt:RenewResponse><wsnt:TerminationTime>{stamp(point.ends)}</wsnt:TerminationTime>"
            f"<wsnt:CurrentTime>{stamp(self.now())}</wsnt:CurrentTime></wsnt:RenewResponse>"
        )

    def unsubscribe(self, name: str) -> str:
        """Unsubscribe."""
        self._point(name).arrived.set()
        del self.points[name]
        self.unsubscribed += 1
        return "<wsnt:UnsubscribeResponse/>"

    def synchronize(self, name: str) -> str:
        """SetSynchronizationPoint: the present states as Initialized."""
        point = self._point(name)
        if not self.quirks.synchronizes:
            raise Fault("ActionNotSupported", "Optional Action Not Implemented")
        for (topic, source), data in self.states.items():
            point.waiting.append(self._note(topic, dict(source), data, "Initialized"))
            point.arrived.set()
        return "<tev:SetSynchronizationPointResponse/>"

    async def pull(self, asked: Element, name: str) -> str | None:
        """PullMessages; None: there is nothing, and this firmware hangs up then."""
        point = self._point(name)
        self.pulled += 1
        wait_s = seconds(said(asked, "Timeout")) or 0.0
        if wait_s > self.quirks.most_pull_s:
            raise Fault("InvalidArgVal", "Timeout is too long")
        if not await self._arrived(point, wait_s) and self.quirks.hangs_up:
            return None
        if name not in self.points:
            raise Fault("ResourceUnknown", "no such subscription")
        most = int(said(asked, "MessageLimit") or "1")
        told, point.waiting = point.waiting[:most], point.waiting[most:]
        if not point.waiting:
            point.arrived.clear()
        return (
            f"<tev:PullMessagesResponse><tev:CurrentTime>{stamp(self.now())}</tev:CurrentTime>"
            f"<tev:TerminationTime>{stamp(point.ends)}</tev:TerminationTime>{''.join(told)}</tev:PullMessagesResponse>"
        )

    async def _arrived(self, point: PullPoint, within_s: float) -> bool:
        tasks = [asyncio.ensure_future(point.arrived.wait()), asyncio.ensure_future(self._clock.sleep(within_s))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        return point.arrived.is_set()

    def _point(self, name: str) -> PullPoint:
        self._expire()
        if name not in self.points:
            raise Fault("ResourceUnknown", "no such subscription")
        return self.points[name]

    def _expire(self) -> None:
        self.points = {name: point for name, point in self.points.items() if point.ends > self.now()}

    def _end(self, text: str) -> datetime:
        """An absolute time or a duration, as a device takes it. Fault: neither, in the past, or too far."""
        relative = seconds(text)
        if (relative is None and self.quirks.relative_only) or (relative is not None and self.quirks.absolute_only):
            raise Fault("InvalidArgVal", "UnacceptableInitialTerminationTime")
        try:
            ends = datetime.fromisoformat(text) if relative is None else self.now() + timedelta(seconds=relative)
        except ValueError as error:
            raise Fault("InvalidArgVal", "no time") from error
        if not timedelta(0) < ends - self.now() <= timedelta(seconds=MOST_LIFETIME_S):
            raise Fault("InvalidArgVal", "UnacceptableTerminationTime")
        return ends


def seconds(text: str) -> float | None:
    """xs:duration of days and less → seconds; None for anything else."""
    found = _DURATION.fullmatch(text)
    if found is None or text in ("P", "PT", ""):
        return None
    days, hours, minutes, rest = (float(each or 0) for each in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _items(holder: str, items: Items) -> str:
    inside = "".join(f"<tt:SimpleItem Name={quoteattr(n)} Value={quoteattr(v)}/>" for n, v in items.items())
    return f"<tt:{holder}>{inside}</tt:{holder}>"
