"""One ZKTeco device as the gateway knows it: what it has told, and whether it is there.

A record is acknowledged when it is on disk. The device sends it again until then, so a record is known by a short
hash; the newest hashes are kept through a restart of the gateway.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from drivers._zkteco_config import Config
from drivers._zkteco_events import Told
from drivers._zkteco_orders import Orders, described_form, plain_form
from gateway.clock import Clock
from gateway.driver import Link
from gateway.errors import StorageError, Text
from gateway.event import Phase, Reading, part_key

MOST_REMEMBERED = 256  # records; a device sends at most a few dozen at once
RATE_PER_S, BURST = 20.0, 60.0  # requests of one device
MOST_SAID = 32  # sentences that are written to the log once

Key = tuple[str, str | None]


def fresh(readings: Iterable[Reading], active: set[Key], *, state: bool) -> list[Reading]:
    """What of it is news: no end of what has not begun; of a state, no beginning of what has. Changes `active`."""
    found = []
    for reading in readings:
        key = (reading.type, part_key(reading.part) or None)
        if reading.phase is Phase.CLEAR and key not in active:
            continue
        if reading.phase is Phase.RAISE and state and key in active:
            continue
        if reading.phase is Phase.RAISE:
            active.add(key)
        elif reading.phase is Phase.CLEAR:
            active.discard(key)
        found.append(reading)
    return found


def family(configs: Sequence[Config]) -> tuple[Config, dict[str, str]]:
    """The device itself, and its parts that are devices of their own: address of the part → device."""
    own = next((config for config in configs if config.part is None), configs[0])
    parts = {config.part: config.id for config in configs if config.part is not None}
    doors = [int(part.partition("-")[2]) for part in parts if part.startswith("door-")]
    return own.model_copy(update={"doors": max([own.doors, *doors])}), parts


class Pace:
    """Lets requests through at a rate; whoever asks for more waits, nothing is refused."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spent_at = clock.monotonic()
        self._allowance = BURST

    async def __call__(self) -> None:
        """Returns when it is this request's turn."""
        now = self._clock.monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._spent_at) * RATE_PER_S) - 1.0
        self._spent_at = now
        if self._allowance < 0.0:
            await self._clock.sleep(-self._allowance / RATE_PER_S)


class Desk:
    """Of one serial number."""

    def __init__(self, configs: Sequence[Config], link: Link) -> None:
        self.config, self.parts = family(configs)
        self.ids = [config.id for config in configs]
        self.orders = Orders(link.clock)
        self.access: bool | None = None  # the dialect it speaks; None: it has not shown it yet
        self.registered = False
        self.described = False  # commands in the form that CmdFormat=1 asks for
        self._link = link
        self._turn = asyncio.Lock()
        self._remembered: deque[str] = deque(maxlen=MOST_REMEMBERED)
        self.pace = Pace(link.clock)
        self._heard_at = link.clock.monotonic()
        self._heard = asyncio.Event()
        self._said: set[str] = set()
        self._recall()

    # --- what it tells

    async def take(self, told: Iterable[Told]) -> None:
        """Returns after the commit. StorageError: nothing of it was accepted, the device sends it again."""
        async with self._turn:
            keys: list[str] = []
            readings: list[Reading] = []
            active: dict[str, set[Key]] = {}
            for each in told:
                if each.key is not None and (each.key in self._remembered or each.key in keys):
                    continue
                keys += [] if each.key is None else [each.key]
                for reading in map(self._owned, each.readings):
                    held = active.setdefault(reading.device, set(self._link.active(reading.device)))
                    readings += fresh([reading], held, state=each.key is None)
            if readings:
                await self._link.emit(*readings)
            if keys:
                self._remembered.extend(keys)
                self.keep()

    def _owned(self, reading: Reading) -> Reading:
        """As the device's own, or as that of the part that is a device of its own."""
        return replace(reading, device=self.parts.get(part_key(reading.part), self.config.id))

    async def heard(self) -> None:
        """It is there. StorageError: it is told again with the next request."""
        self._heard_at = self._link.clock.monotonic()
        self._heard.set()
        for device in self.ids:
            await self._link.seen(device)

    @property
    def silent(self) -> bool:
        """For longer than a device that is there would be."""
        return self._heard_at + self.config.offline_after < self._link.clock.monotonic()

    async def watch(self) -> None:
        """Tells the device lost after a silence, once until it speaks again."""
        while True:
            wait_s = self._heard_at + self.config.offline_after - self._link.clock.monotonic()
            if wait_s > 0:
                await self._link.clock.sleep(wait_s)
                continue
            self._heard.clear()
            for device in self.ids:
                await self._link.lost(device, "silent")
            await self._heard.wait()

    def say(self, text: Text, level: int = logging.WARNING) -> None:
        """Into the log, once in this run."""
        if text.en not in self._said and len(self._said) < MOST_SAID:
            self._said.add(text.en)
            self._link.log.log(level, "%s: %s", self.config.id, text.en)

    # --- what is kept

    def _recall(self) -> None:
        """What was kept by the run before; anything else than that is as good as nothing."""
        try:
            kept = json.loads(self._link.kept(self._name) or b"{}")
            self._remembered.extend(str(key) for key in kept.get("records", []))
            self.access, self.described = kept.get("access"), bool(kept.get("described"))
            self.registered = bool(kept.get("registered"))
        except (ValueError, AttributeError, TypeError):
            self._link.log.warning("%s: what it told before is not known any more", self.config.id)

    def learned(self, *, access: bool, registered: bool | None = None) -> None:
        """Which dialect it speaks, and that it has registered."""
        before = (self.access, self.registered)
        self.access = access
        self.registered = self.registered if registered is None else registered
        if before != (self.access, self.registered):
            self.keep()

    def keep(self) -> None:
        """For the run after. A disk that does not take it costs a repetition at worst: it is told, no more."""
        known = {"access": self.access, "registered": self.registered, "described": self.described}
        try:
            self._link.keep(self._name, json.dumps({"records": list(self._remembered), **known}).encode())
        except StorageError as error:
            self.say(error.what)

    @property
    def _name(self) -> str:
        return f"zkteco-{self.config.id}"

    def next_command(self) -> str | None:
        """What the device gets when it polls."""
        fetched = self.orders.fetch()
        form = described_form(self.config.address) if self.described else plain_form
        return None if fetched is None else form(*fetched)
