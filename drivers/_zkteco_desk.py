"""One ZKTeco device as the gateway knows it: what it has told, whether it is there, and what it shall do.

A record is acknowledged when it is on disk. The device sends it again until then, so a record is known by a short
hash; the newest hashes are kept through a restart of the gateway.
"""

import asyncio
import json
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial

from drivers._zkteco_config import Config
from drivers._zkteco_events import Told
from drivers._zkteco_orders import (
    ACTIONS,
    DOOR_ACTIONS,
    Orders,
    attendance_order,
    described_form,
    door_order,
    output_order,
    plain_form,
)
from drivers._zkteco_records import whole
from gateway.driver import Command, Link, Outcome
from gateway.errors import StorageError, Text
from gateway.event import Json, Phase, Reading, part_key

MOST_REMEMBERED = 256  # records; a device sends at most a few dozen at once
RATE_PER_S, BURST = 20.0, 60.0  # requests of one device
MOST_SAID = 32  # sentences that are written to the log once
_SETTLES = {  # what is so once an action has been carried out
    "release": (("door.released", Phase.RAISE),),
    "lockdown": (("door.lockdown", Phase.RAISE),),
    "lock": (("door.released", Phase.CLEAR), ("door.lockdown", Phase.CLEAR)),
}

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


class Desk:
    """Of one serial number."""

    def __init__(self, configs: Sequence[Config], link: Link) -> None:
        self.config, self._parts = family(configs)
        self.ids = [config.id for config in configs]
        self.orders = Orders(link.clock)
        self.access: bool | None = None  # the dialect it speaks; None: it has not shown it yet
        self.registered = False
        self.described = False  # commands in the form that CmdFormat=1 asks for
        self._link = link
        self._turn = asyncio.Lock()
        self._remembered: deque[str] = deque(maxlen=MOST_REMEMBERED)
        self._spent_at = link.clock.monotonic()
        self._allowance = BURST
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
        return replace(reading, device=self._parts.get(part_key(reading.part), self.config.id))

    async def heard(self) -> None:
        """It is there. StorageError: it is told again with the next request."""
        self._heard_at = self._link.clock.monotonic()
        self._heard.set()
        for device in self.ids:
            await self._link.seen(device)

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

    async def pace(self) -> None:
        """Waits where it asks for more than its share; nothing is refused."""
        now = self._link.clock.monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._spent_at) * RATE_PER_S) - 1.0
        self._spent_at = now
        if self._allowance < 0.0:
            await self._link.clock.sleep(-self._allowance / RATE_PER_S)

    def say(self, text: Text) -> None:
        """Into the log, once in this run."""
        if text.en not in self._said and len(self._said) < MOST_SAID:
            self._said.add(text.en)
            self._link.log.warning("%s: %s", self.config.id, text.en)

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

    # --- what it shall do

    def serve(self) -> AbstractContextManager[ExitStack]:
        """While the block lasts, commands are taken."""
        stack = ExitStack()
        for device, door in self._doors():
            actions = ACTIONS if device == self.config.id else DOOR_ACTIONS
            stack.enter_context(self._link.handle(device, actions, partial(self.command, door)))
        return stack

    def _doors(self) -> list[tuple[str, int | None]]:
        """(device, its door); None where nobody can say which of several."""
        own = [(self.config.id, 1 if self.config.doors == 1 else None)]
        if self.config.part is not None:
            own = []
        parts = [(device, whole(part.partition("-")[2])) for part, device in self._parts.items() if "door" in part]
        return [*own, *parts]

    async def command(self, door: int | None, command: Command) -> Outcome:
        """Hands a command to the device with its next poll, and tells what became of it."""
        if self._heard_at + self.config.offline_after < self._link.clock.monotonic():
            return Outcome("device-offline", "the device has not polled for a while")
        try:
            text = self._text(door, command)
        except ValueError as error:
            return Outcome("bad-arguments", str(error))
        outcome = await self.orders.carry_out(text, self.config.command_timeout)
        if outcome.code == "ok":
            await self._settled(command)
        return outcome

    def _text(self, door: int | None, command: Command) -> str:
        if self._attendance:
            return attendance_order(command.action, command.args)
        if command.action == "output":
            return output_order(command.args)
        if door is None:
            several = f"this controller has {self.config.doors} doors"
            raise ValueError(f"{several}: send it to a device with part: door-1, door-2, …")
        down = any(type == "door.lockdown" for type, _ in self._link.active(command.device))
        return door_order(command.action, command.args, door, self.config.open_for, down)

    @property
    def _attendance(self) -> bool:
        if self.config.dialect != "auto":
            return self.config.dialect == "attendance"
        return self.access is False

    async def _settled(self, command: Command) -> None:
        """The door stays open, or is locked down, or neither any more."""
        address = next((part for part, device in self._parts.items() if device == command.device), None)
        part: dict[str, Json] | None = {"address": address} if address else None
        told = [Reading(command.device, type, phase, part=part) for type, phase in _SETTLES.get(command.action, ())]
        try:
            news = fresh(told, set(self._link.active(command.device)), state=True)
            if news:
                await self._link.emit(*news)
        except StorageError as error:
            self.say(error.what)

    def next_command(self) -> str | None:
        """What the device gets when it polls."""
        fetched = self.orders.fetch()
        form = described_form(self.config.address) if self.described else plain_form
        return None if fetched is None else form(*fetched)
