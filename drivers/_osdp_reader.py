"""One reader on the line: keeps its session up, polls it, gives it its orders, hands on what it reports."""

from typing import Any

from drivers._osdp_bus import Bus
from drivers._osdp_config import Config
from drivers._osdp_door import Conditions
from drivers._osdp_orders import Order, Orders
from drivers._osdp_session import WHY, Session, Terms, proved
from drivers._osdp_tray import Tray
from drivers._osdp_wire import BUSY, Report, parse
from gateway.driver import Link
from gateway.errors import NeedsPerson, StorageError
from gateway.event import Reading

SOON_S = 3.0  # a session that was lost is usually back sooner


class Reader:
    """The reader as the door sees it: `up`, `order()`, `tell()`; `turn()` keeps it so."""

    def __init__(self, config: Config, terms: Terms, link: Link, bus: Bus) -> None:
        self.config = config
        self.conditions = Conditions(config.id, link.active(config.id))
        self._link = link
        self._bus = bus
        self._session = Session(config.address, terms)
        self._tray = Tray(config.id, link)
        self._orders = Orders()
        self._fault: str | None = None
        self._heard_at = link.clock.monotonic()
        self._up_at: float | None = None
        self._offline = False

    @property
    def up(self) -> bool:
        """The session stands."""
        return self._session.up

    @property
    def reachable(self) -> bool:
        """The session stands, or did a moment ago: an order may wait for it."""
        return self._up_at is not None and self._link.clock.monotonic() - self._up_at < SOON_S

    def count(self, capability: int) -> int:
        """How many of something the reader says it has."""
        return self._session.panel.count(capability)

    async def tell(self, *readings: Reading) -> None:
        """Stores readings; see `Tray` for a disk that fails."""
        await self._tray.put(*readings)

    async def store(self) -> None:
        """The task that brings readings to disk."""
        await self._tray.run()

    def order(self, command: dict[str, Any], wait_s: float) -> Order:
        """Puts a command in line; it is given up after `wait_s`."""
        return self._orders.add(command, self._link.clock.monotonic() + wait_s)

    async def turn(self) -> tuple[bool, list[Report]]:
        """One question and its answer, and the wait before it: (has the session just come up, what was reported)."""
        await self._link.clock.sleep(self._session.pause_s(orders=bool(self._orders)))
        self._orders.expire(self._link.clock.monotonic())
        if self.up:
            self._orders.submit(self._session.panel)
        packet = self._session.panel.next()
        reply = await self._bus.ask(packet) if packet else None
        risen = False
        if not packet:
            self._session.wait_s = 0.001  # the library's milliseconds are not ours
        elif reply is None:
            await self._silent()
        elif parse(reply).code == BUSY:
            if self._session.busy():
                await self._refused()
        else:
            risen = self._session.heard(reply)
            await self._heard()
        if self._session.over():
            await self._refused()
            return False, []
        if risen:
            await self._risen()
        return risen, self._session.panel.reports() if self.up else []

    async def _heard(self) -> None:
        self._heard_at = self._link.clock.monotonic()
        self._up_at = self._heard_at if self.up else self._up_at
        self._offline = False
        try:
            await self._link.seen(self.config.id)
        except StorageError as error:  # told again with the next answer
            self._link.log.debug("%s", error)
        obeyed = self._orders.answered(self._session.panel)
        if obeyed is False:
            await self.fault("output-refused")
        elif obeyed and self._fault == "output-refused":
            await self.fault(None)

    async def _silent(self) -> None:
        if not self._session.missed():
            return
        self._orders.take_back()
        silent_s = self._link.clock.monotonic() - self._heard_at
        if self._offline or silent_s < self.config.offline_after:
            return
        try:
            await self._link.lost(self.config.id, "no-answer")
        except StorageError as error:  # told again with the next question
            self._link.log.debug("%s", error)
        else:
            self._offline = True

    async def _refused(self) -> None:
        why = self._session.refused()
        self._orders.take_back()
        if why is not None:
            await self.fault(why)

    async def _risen(self) -> None:
        terms = self._session.terms
        if terms.install and terms.key is not None:
            self._session.terms = Terms(terms.key, enforce=True)
            self._prove(terms.key)
        if self._fault != "output-refused":
            await self.fault(None)

    def _prove(self, key: bytes) -> None:
        try:
            proved(self.config, self._link, key)
        except StorageError as error:  # the next start finds the key in the reader, and proves it again
            self._link.log.warning("%s", error)
        else:
            self._link.log.info("%s has its key; from now on only the secure channel is used", self.config.id)

    async def fault(self, reason: str | None) -> None:
        """The reader cannot be used as it should, or can again; told and logged once."""
        if reason is not None and reason != self._fault:
            self._link.log.error("%s", NeedsPerson(self.config.id, WHY[reason]))
        self._fault = reason
        await self.tell(*self.conditions.put("device.fault", reason is not None, reason))
