"""What devices are asked to do: one order at a time per device, within its time, each an audit line and an event.

The audit's line stands on disk before anything moves. A door's unlocking ends with what its contact said.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.audit import Audit
from gateway.clock import Clock
from gateway.commands import Action, Order, Refused, Result, late
from gateway.covers import Covers
from gateway.driver import Command, Outcome, Picture
from gateway.errors import GatewayError, StorageError, Text
from gateway.event import Phase, Reading
from gateway.fields import DeviceConfig
from gateway.pictures import Pictures
from gateway.pipeline import Pipeline, Taken
from gateway.supervisor import Supervisor

MOST_WAITING = 4  # orders in line at one device, the one under way included
LONGEST_S = 60.0  # no driver takes longer over an order; what is asked to last lasts so much longer
SPARE_S = 0.2  # for the answer itself, before an order's time is over
OPEN = "door.open"
TOLD = {
    "device-offline": Text("the device does not answer", "设备无应答"),
    "device-refused": Text("the device refused", "设备拒绝执行"),
    "timeout": Text("no answer in time; it may have been done all the same", "未在时限内得到应答,操作可能已执行"),
    "busy": Text("the device is busy", "设备忙"),
    "not-allowed": Text("it may not be done now", "当前不允许"),
    "bad-arguments": Text("the device does not take these arguments", "设备不接受这些参数"),
    "unknown-action": Text("the device does not take it as it is configured", "按当前配置,设备不支持该操作"),
}
_LOG = logging.getLogger("gateway.commands")


@dataclass
class _Queue:
    """Of one device."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)  # by its contact, since the last order began


class Moves:
    """`actions()` is what devices can be asked for; their pictures are kept on this box."""

    def __init__(
        self,
        supervisor: Supervisor,
        pipeline: Pipeline,
        covers: Covers,
        audit: Audit,
        clock: Clock,
        devices: Iterable[DeviceConfig],
        pictures: Pictures,
    ) -> None:
        self._pictures = pictures
        self._supervisor = supervisor
        self._pipeline = pipeline
        self._covers = covers
        self._audit = audit
        self._clock = clock
        self._devices = {device.id: device for device in devices}
        self._queues: dict[str, _Queue] = {device: _Queue() for device in self._devices}
        self._contacts: set[str] = set()  # devices that have told of a door's contact in this run

    def actions(self) -> dict[str, Action]:
        """By name (contract, section 4)."""
        moved = ("unlock", "lock", "release", "lockdown", "output", "snapshot")
        return {**dict.fromkeys(moved, self.move), "test": self._test, **_laid(self._covers)}

    def took(self, taken: Taken) -> None:
        """A listener of the pipeline: what doors' contacts say."""
        device = taken.reading.device
        if taken.reading.type == OPEN and device in self._queues:
            self._contacts.add(device)
            if taken.phase is not Phase.CLEAR:
                self._queues[device].opened.set()

    async def move(self, order: Order) -> Result:
        """By the device's driver. Refused: it was not done, or nobody knows; StorageError: nothing was moved."""
        queue = self._queues[order.device]
        async with self._in_line(order, queue):
            outcome = await self._driven(order, queue)
            result = dict(outcome.result)
            if outcome.picture is not None:
                result |= await self._pictured(outcome.picture, order)
            await self._tell(order, outcome.code, result)
        if outcome.code != "ok":
            raise Refused(outcome.code, _with(TOLD[outcome.code], outcome.message, outcome.said), result=result)
        return result

    @asynccontextmanager
    async def _in_line(self, order: Order, queue: _Queue) -> AsyncIterator[None]:
        """The device is this order's alone. Refused: too many wait, or its time is over before its turn comes."""
        if queue.waiting >= MOST_WAITING:
            raise Refused("busy", _with(TOLD["busy"], "", _queued(queue.waiting)))
        queue.waiting += 1
        try:
            try:
                async with asyncio.timeout(self._left_s(order)):
                    await queue.lock.acquire()
            except TimeoutError:
                raise Refused("expired", late(self._clock.utc())) from None
            try:
                yield
            finally:
                queue.lock.release()
        finally:
            queue.waiting -= 1

    async def _driven(self, order: Order, queue: _Queue) -> Outcome:
        await self._audit.put(order.by, f"command.{order.action}", order.device, command=order.id)
        queue.opened.clear()
        lasts_s = order.args.seconds if order.action == "test" else 0.0
        outcome = await self._asked(order, min(self._left_s(order), LONGEST_S + lasts_s))
        if order.action != "unlock" or outcome.code != "ok":
            return outcome
        found = {"relay": "confirmed", **outcome.result, "contact": await self._contact(order, queue)}
        return replace(outcome, result=found)

    async def _asked(self, order: Order, most_s: float) -> Outcome:
        """The driver's outcome, of a code that is known; never an exception."""
        args = order.args.model_dump(exclude_none=True)
        asked = Command(order.id, order.device, order.action, args)
        task = asyncio.ensure_future(self._supervisor.command(asked))
        try:
            await asyncio.wait({task}, timeout=most_s)
        finally:
            task.cancel()  # where it is not done
        if not task.done():
            return Outcome("timeout")
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            known = isinstance(error, GatewayError)
            _LOG.error("%s of %s: %s", order.action, order.device, error, exc_info=None if known else error)
            return Outcome("device-refused", str(error) if known else "its driver failed")
        outcome = task.result()
        spoken = outcome.code == "ok" or outcome.code in TOLD
        return outcome if spoken else replace(outcome, code="device-refused", message=outcome.message or outcome.code)

    async def _contact(self, order: Order, queue: _Queue) -> str:
        """What the door's contact says within the time that it is unlocked: `opened`, `not-opened`, `unknown`."""
        seconds, wired = self._devices[order.device].opening()
        if wired is False:
            return "unknown"
        if not self._stands_open(order.device):
            with suppress(TimeoutError):
                async with asyncio.timeout(min(order.args.seconds or seconds, self._left_s(order) - SPARE_S)):
                    await queue.opened.wait()
        if queue.opened.is_set() or self._stands_open(order.device):
            return "opened"
        return "not-opened" if wired or order.device in self._contacts else "unknown"

    def _stands_open(self, device: str) -> bool:
        return any(alarm.type == OPEN and alarm.active for alarm in self._pipeline.shown.of(device))

    async def _pictured(self, picture: Picture, order: Order) -> dict[str, Any]:
        """Kept before it is told. Refused: the disk does not take it."""
        try:
            return {"picture": await self._pictures.keep(order.device, picture)}
        except StorageError as error:
            raise Refused("busy", Text(error.say("en"), error.say("zh"))) from error

    async def _tell(self, order: Order, code: str, result: Result) -> None:
        """The event. What has moved has moved: a disk that fails now changes nothing of the answer."""
        by, kind = order.by, "operator.test" if (order.action, code) == ("test", "ok") else "gateway.action"
        said = {"who": by.who, "role": by.role, "from": by.place, "action": order.action, "result": code}
        said |= {name: result[name] for name in ("contact", "picture") if name in result}
        try:
            await self._pipeline.accept([Reading(order.device, kind, Phase.PULSE, data=said)])
        except StorageError as error:
            _LOG.error("%s of %s was done (%s), but cannot be told: %s", order.action, order.device, code, error)

    def _left_s(self, order: Order) -> float:
        return (order.expires - self._clock.utc()).total_seconds()

    async def _test(self, order: Order) -> Result:
        """By the driver where it has one; else what the device raises is a test for so long."""
        if "test" in self._supervisor.takes().get(order.device, ()):
            return await self.move(order)
        await self._covers.drill(order.device, order.args.seconds, order.by)
        return {}


def _laid(covers: Covers) -> dict[str, Action]:
    """What the gateway lays over any device."""

    async def shelve(order: Order) -> Result:
        await covers.shelve(order.device, order.args.seconds, order.args.reason, order.by)
        return {}

    async def shield(order: Order) -> Result:
        await covers.shield(order.device, order.args.seconds, order.args.reason, order.by)
        return {}

    async def unshield(order: Order) -> Result:
        await covers.unshield(order.device, order.args.reason, order.by)
        return {}

    return {"shelve": shelve, "shield": shield, "unshield": unshield}


def _queued(count: int) -> Text:
    return Text(f"{count} orders are in line", f"已有 {count} 个操作在排队")


def _with(what: Text, message: str, said: Text | None = None) -> Text:
    """What the driver says more; or we ourselves, in both languages."""
    if said is not None:
        return Text(f"{what.en}: {said.en}", f"{what.zh}:{said.zh}")
    return Text(f"{what.en}: {message}", f"{what.zh}({message})") if message else what
