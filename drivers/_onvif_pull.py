"""What an ONVIF device tells, for ever: a subscription, made again after a pause whenever it is lost. (No driver.)"""

from xml.etree.ElementTree import Element

from drivers._onvif_config import Config
from drivers._onvif_desk import Desk
from drivers._onvif_soap import Faulted, Place, closed, faults
from drivers._onvif_station import Station
from drivers._onvif_subscription import NO_PULL, Subscription
from gateway.driver import Link
from gateway.errors import BadInput, DeviceError, NeedsPerson, StorageError, Text, Unreachable

FAILURES = 3  # attempts without an answer, then the device is told to be offline
OUTAGE_S = 60.0  # or after this long without one
DISK_S = 1.0  # after a disk that refused
BREATH_S = 1.0  # between two questions that brought nothing at once
PACE_S = 0.005  # for each notification that came at once: at most 200 a second of one device
MOST_PAUSES = 12  # times `retry`
MOST_CLOSED = 3  # hang-ups in a row, then it is asked whether it is there at all
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
        config: Config = station.config
        self._config = config
        self._station, self._desk, self._link = station, desk, link
        self._subscription = Subscription(station.wire, link.clock, config.lifetime, config.pull)
        self._failures = 0  # in a row
        self._trusted = False  # it has taken our login since it last refused it
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
            except NeedsPerson as error:
                if not self._trusted:
                    await self._link.lost(self._config.id, "refused")
                    raise
                self._trusted = False  # its clock was set, perhaps: that is read anew, once
                await self._refused(error)
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
            self._desk.subscribed()
            self._note(await self._subscription.synchronize())
            while True:
                refused = await self._subscription.renew()
                if refused is not None:
                    self._desk.say(refused.what)
                await self._take()
                await self._desk.expire()
        finally:
            self._note(await self._subscription.end())

    async def _subscribe(self, events: Place) -> None:
        try:
            await self._subscription.create(events)
        except Faulted as error:
            missing = faults(error, NO_PULL)
            self._desk.say(ELSEWHERE if missing else FULL)
            await self._desk.trouble("no-pull-point" if missing else "no-subscription")
            self._failures = MOST_PAUSES if missing else self._failures
            raise

    async def _take(self) -> None:
        """One question for news, held by the device until there are some."""
        began_s = self._now()
        try:
            answer = await self._subscription.news(self._desk.due_s())
        except Unreachable as error:
            if isinstance(error, Faulted) or not closed(error):
                raise
            await self._hung_up()
            return
        taken = await self._keep(answer)
        self._failures, self._down_since_s, self._hang_ups_now, self._trusted = 0, None, 0, True
        await self._desk.well()
        if self._now() - began_s < BREATH_S:
            await self._link.clock.sleep(PACE_S * taken or BREATH_S)

    async def _keep(self, answer: Element) -> int:
        """What was pulled is in the camera no more: it is held until the disk takes it."""
        while True:
            try:
                return await self._desk.take(answer)
            except StorageError as error:
                self._desk.say(error.what)
            await self._link.clock.sleep(DISK_S)

    async def _hung_up(self) -> None:
        """Nothing to tell, says some firmware so. It proves no life: that is asked for after a few."""
        self.hang_ups += 1
        self._hang_ups_now += 1
        if self._hang_ups_now % MOST_CLOSED == 0:
            await self._station.wire.read_clock()
            await self._desk.well()
        await self._link.clock.sleep(BREATH_S)

    def _note(self, error: Exception | None) -> None:
        if error is not None:
            self._link.log.debug("%s: %s", self._config.id, error)
