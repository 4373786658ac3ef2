"""One device's pull point, made again whenever it is lost: ONVIF core, 9 (real-time pull-point notification).

At most one subscription is held, for `lifetime` seconds, renewed at half of that, and given back at the end: cameras
have room for about five, cannot list them, and some hang after many. (An underscore: no driver.)
"""

import asyncio
from datetime import timedelta
from xml.etree.ElementTree import Element

from drivers._onvif_config import LEAST_LIFETIME_S, Config
from drivers._onvif_desk import Desk
from drivers._onvif_soap import Faulted, Place, closed, faults, first, moment, place_of, text_of
from drivers._onvif_station import Station
from gateway.driver import Link
from gateway.errors import BadInput, DeviceError, NeedsPerson, StorageError, Text, Unreachable

FAILURES = 3  # attempts without an answer, then the device is told to be offline
OUTAGE_S = 60.0  # or after this long without one
MESSAGES = 100
DISK_S = 1.0  # after a disk that refused
BREATH_S = 1.0  # between two questions that brought nothing at once
SHORT_PULL_S = 5.0  # where the device does not want to hold a question longer
LEAST_PULL_S = 1.0
MOST_PAUSES = 12  # times `retry`
MOST_CLOSED = 3  # hang-ups in a row, then it is asked whether it is there at all
UNSUBSCRIBE_S = 0.8  # under the supervisor's patience (gateway/supervisor.py, END_S)
_NO_PULL = ("notsupported", "notimplemented", "http404", "http405")
ELSEWHERE = Text(
    "it offers no pull point, so its events cannot be had by ONVIF (base notification, where the camera calls the "
    "gateway, is not spoken here): switch ONVIF events on in the device, update its firmware, or use its vendor's "
    "driver (isapi for Hikvision) or mqtt_in behind a recorder",
    "设备不提供拉取点(pull point),无法通过 ONVIF 取得事件(本网关不支持由摄像机回调的基本通知):请在设备中启用 ONVIF "
    "事件、升级固件,或改用厂商驱动(海康用 isapi),或经录像软件用 mqtt_in 接入",
)
FULL = Text(
    "it gives no subscription: most cameras have room for about five; end other clients, or restart the camera",
    "设备不接受订阅:多数摄像机约只允许五个订阅;请关闭其他客户端或重启摄像机",
)


class Pull:
    """Of one device."""

    def __init__(self, station: Station, desk: Desk, link: Link) -> None:
        self._config: Config = station.config
        self._station, self._desk, self._link = station, desk, link
        self._wire = station.wire
        self._place = Place("/")  # of the subscription
        self._renew_at_s = 0.0
        self._absolute = True  # the form of times that the device takes
        self._renews = True
        self._pull_s = self._config.pull
        self._failures = 0  # in a row
        self._down_since_s: float | None = None
        self.hang_ups = 0  # connections closed instead of an empty answer
        self._hang_ups_now = 0  # in a row

    def _now(self) -> float:
        return self._link.clock.monotonic()

    async def run(self) -> None:
        """Until the device is lost (Unreachable) or refuses us (NeedsPerson); both are told to the link first."""
        while True:
            try:
                await self._hold()
            except NeedsPerson:
                await self._link.lost(self._config.id, "refused")
                raise
            except (Faulted, BadInput) as error:
                await self._refused(error)
            except Unreachable as error:
                await self._silent(error)
            self._station.forget()
            await self._link.clock.sleep(self._config.retry * min(self._failures, MOST_PAUSES))

    async def _refused(self, error: DeviceError) -> None:
        """It answers, and its events do not come."""
        self._down_since_s = None
        self._failures += 1
        await self._link.seen(self._config.id)
        self._desk.say(error.what)
        if self._failures >= FAILURES:
            await self._desk.trouble("no-events")

    async def _silent(self, error: Unreachable) -> None:
        self._failures += 1
        if self._down_since_s is None:
            self._down_since_s = self._now()
        if self._failures >= FAILURES or self._now() - self._down_since_s >= OUTAGE_S:
            await self._link.lost(self._config.id, "no-answer")
            raise error

    async def _hold(self) -> None:
        """Subscribes, and takes what comes, until something fails."""
        services = await self._station.services()
        self._desk.channels = services.channels
        await self._subscribe(services.events)
        try:
            self._desk.subscribed(told=await self._synchronize())
            while True:
                if self._renews and self._now() >= self._renew_at_s:
                    await self._renew()
                await self._take()
                await self._desk.expire()
        finally:
            await self._unsubscribe()

    async def _subscribe(self, events: Place) -> None:
        try:
            answer = await self._timed("CreatePullPointSubscription", events, "InitialTerminationTime")
        except Faulted as error:
            missing = faults(error, _NO_PULL)
            self._desk.say(ELSEWHERE if missing else FULL)
            await self._desk.trouble("no-pull-point" if missing else "no-subscription")
            self._failures = MOST_PAUSES if missing else self._failures
            raise
        self._place = place_of(first(answer, "SubscriptionReference"))
        if self._place.path == "/":
            self._place = Place(events.path, self._place.references)

    async def _timed(self, operation: str, place: Place, name: str) -> Element:
        """With an end in the form the device takes: the time by its own clock, or a duration."""
        try:
            return self._until(await self._wire.call(operation, place, {name: self._end()}))
        except Faulted as error:
            if faults(error, _NO_PULL):
                raise
            self._absolute = not self._absolute
        return self._until(await self._wire.call(operation, place, {name: self._end()}))

    def _end(self) -> str:
        lifetime = timedelta(seconds=self._config.lifetime)
        if self._absolute and self._wire.time.known:
            return f"{self._wire.time.now() + lifetime:%Y-%m-%dT%H:%M:%SZ}"
        return f"PT{lifetime.total_seconds():.0f}S"

    def _until(self, answer: Element) -> Element:
        """When to renew: at half the time that the device gives, which is never more than was asked for."""
        now, end = moment(text_of(answer, "CurrentTime")), moment(text_of(answer, "TerminationTime"))
        self._wire.time.learn(now)
        given_s = (end - now).total_seconds() if now and end else self._config.lifetime
        self._renew_at_s = self._now() + min(max(given_s, LEAST_LIFETIME_S), self._config.lifetime) / 2
        return answer

    async def _synchronize(self) -> bool:
        """Asks for the present states; many devices tell them unasked, some never."""
        try:
            await self._wire.call("SetSynchronizationPoint", self._place)
        except (Faulted, BadInput):
            return False
        return True

    async def _renew(self) -> None:
        """A device that does not renew keeps a subscription alive by being asked, or ends it: then comes the next."""
        try:
            await self._timed("Renew", self._place, "TerminationTime")
        except Faulted as error:
            self._renews = False
            self._desk.say(error.what)

    async def _take(self) -> None:
        """One question for news, held by the device until there are some."""
        began_s = self._now()
        ahead_s = min(self._desk.due_s(), self._renew_at_s if self._renews else began_s + self._pull_s) - began_s
        wait_s = max(LEAST_PULL_S, min(self._pull_s, ahead_s))
        try:
            answer = await self._ask(wait_s)
        except Unreachable as error:
            if isinstance(error, Faulted) or not closed(error):
                raise
            await self._hung_up()
            return
        taken = await self._keep(answer)
        self._wire.time.learn(moment(text_of(answer, "CurrentTime")))
        self._failures, self._down_since_s, self._hang_ups_now = 0, None, 0
        await self._desk.well()
        if not taken and self._now() - began_s < BREATH_S:
            await self._link.clock.sleep(BREATH_S)

    async def _keep(self, answer: Element) -> int:
        """What was pulled is in the camera no more: it is held until the disk takes it."""
        while True:
            try:
                return await self._desk.take(answer)
            except StorageError as error:
                self._desk.say(error.what)
            await self._link.clock.sleep(DISK_S)

    async def _ask(self, wait_s: float) -> Element:
        answer_s = wait_s + self._config.answer_within
        given = {"Timeout": timedelta(seconds=wait_s), "MessageLimit": MESSAGES}
        try:
            return await self._wire.call("PullMessages", self._place, given, answer_s=answer_s)
        except Faulted:
            if self._pull_s <= SHORT_PULL_S:
                raise
        self._pull_s = SHORT_PULL_S
        short = given | {"Timeout": timedelta(seconds=min(wait_s, SHORT_PULL_S))}
        return await self._wire.call("PullMessages", self._place, short, answer_s=answer_s)

    async def _hung_up(self) -> None:
        """Nothing to tell, says some firmware so. It proves no life: that is asked for after a few."""
        self.hang_ups += 1
        self._hang_ups_now += 1
        if self._hang_ups_now % MOST_CLOSED == 0:
            await self._wire.read_clock()
            await self._desk.well()
        await self._link.clock.sleep(BREATH_S)

    async def _unsubscribe(self) -> None:
        """Gives the place back; when the gateway ends, too."""
        try:
            async with asyncio.timeout(UNSUBSCRIBE_S):
                await self._wire.call("Unsubscribe", self._place)
        except (DeviceError, TimeoutError) as error:
            self._link.log.debug("%s: not unsubscribed: %s", self._config.id, error)
