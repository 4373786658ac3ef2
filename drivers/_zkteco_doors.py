"""The doors of one ZKTeco device as commands see them. (An underscore: no driver.)"""

from contextlib import AbstractContextManager, ExitStack
from functools import partial

from drivers._zkteco_desk import Desk, fresh
from drivers._zkteco_orders import ACTIONS, DOOR_ACTIONS, attendance_order, door_order, output_order
from drivers._zkteco_records import whole
from gateway.driver import Command, Link, Outcome
from gateway.errors import StorageError
from gateway.event import Json, Phase, Reading

_SETTLES = {  # what is so once an action has been carried out
    "release": (("door.released", Phase.RAISE),),
    "lockdown": (("door.lockdown", Phase.RAISE),),
    "lock": (("door.released", Phase.CLEAR), ("door.lockdown", Phase.CLEAR)),
}


class Doors:
    """Takes commands for a device and for the doors that are devices of their own."""

    def __init__(self, desk: Desk, link: Link) -> None:
        self._desk, self._link = desk, link
        self._config = desk.config

    def serve(self) -> AbstractContextManager[ExitStack]:
        """While the block lasts, commands are taken."""
        stack = ExitStack()
        for device, door in self._doors():
            actions = ACTIONS if device == self._config.id else DOOR_ACTIONS
            stack.enter_context(self._link.handle(device, actions, partial(self.command, door)))
        return stack

    def _doors(self) -> list[tuple[str, int | None]]:
        """(device, its door); None where nobody can say which of several."""
        own = [(self._config.id, 1 if self._config.doors == 1 else None)]
        if self._config.part is not None:
            own = []
        parts = [(device, whole(part.partition("-")[2])) for part, device in self._desk.parts.items() if "door" in part]
        return [*own, *parts]

    async def command(self, door: int | None, command: Command) -> Outcome:
        """Hands a command to the device with its next poll, and tells what became of it."""
        if self._desk.silent:
            return Outcome("device-offline", "the device has not polled for a while")
        try:
            text = self._text(door, command)
        except ValueError as error:
            return Outcome("bad-arguments", str(error))
        outcome = await self._desk.orders.carry_out(text, self._config.command_timeout)
        if outcome.code == "ok":
            await self._settled(command)
        return outcome

    def _text(self, door: int | None, command: Command) -> str:
        if self._attendance:
            return attendance_order(command.action, command.args)
        if command.action == "output":
            return output_order(command.args)
        if door is None:
            several = f"this controller has {self._config.doors} doors"
            raise ValueError(f"{several}: send it to a device with part: door-1, door-2, …")
        down = any(type == "door.lockdown" for type, _ in self._link.active(command.device))
        return door_order(command.action, command.args, door, self._config.open_for, down)

    @property
    def _attendance(self) -> bool:
        if self._config.dialect != "auto":
            return self._config.dialect == "attendance"
        return self._desk.access is False

    async def _settled(self, command: Command) -> None:
        """The door stays open, or is locked down, or neither any more."""
        address = next((part for part, device in self._desk.parts.items() if device == command.device), None)
        part: dict[str, Json] | None = {"address": address} if address else None
        told = [Reading(command.device, type, phase, part=part) for type, phase in _SETTLES.get(command.action, ())]
        try:
            news = fresh(told, set(self._link.active(command.device)), state=True)
            if news:
                await self._link.emit(*news)
        except StorageError as error:
            self._desk.say(error.what)
