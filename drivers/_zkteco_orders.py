"""Commands on their way to a ZKTeco device: queued until it polls, answered when it reports what became of them.

`CONTROL DEVICE AABBCCDD` (security PUSH 4.8, 12.4): 01 door lock|output seconds, 06 door locked; `AC_UNLOCK`
(attendance PUSH 4.0, 12.10.2). One a poll, each handed out once: a command that got lost is not carried out late.
"""

import asyncio
import re
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from drivers._zkteco_config import LONGEST_OPEN_S
from drivers._zkteco_records import whole
from gateway.clock import Clock
from gateway.driver import Outcome
from gateway.event import Json

ACTIONS = ("unlock", "lock", "release", "lockdown", "output")
DOOR_ACTIONS = ("unlock", "lock", "release", "lockdown")
MOST_WAITING = 8
_RETURN = re.compile(r"-?[0-9]{1,11}")
MOST_OUTPUTS = 16
LOCK, OUTPUT = 0x01, 0x02
CLOSE, STAY_OPEN = 0x00, 0xFF
WAITS = -5000  # security PUSH 4.8, 10.4: a main controller has taken it, its sub-controller answers later
RETURNS: Mapping[int, str] = {  # appendix 1 of both documents
    -1: "the command could not be sent on, or its parameters are wrong",
    -2: "the part of the device that should do it does not answer",
    -7: "it has carried out a command of this number before",
    -11: "wrong parameters",
    -12: "it could not be carried out",
    -13: "it does not know this command",
    -28: "the door is in its always-open time",
    -616: "it could not switch staying open",
    -708: "its firmware does not support this command",
    -725: "it waited in vain for the part that should do it",
    -801: "it does not understand the command's form",
    -1002: "it does not support this",
    -1003: "the command took too long",
    -1005: "it is busy",
}


def control(door: int, kind: int, value: int, function: int = 0x01) -> str:
    """The command's text: four bytes in hexadecimal."""
    return f"CONTROL DEVICE {function:02X}{door:02X}{kind:02X}{value:02X}"


def door_order(action: str, args: Mapping[str, Json], door: int, open_s: float, locked_down: bool) -> str:
    """An action of the access dialect at a door → its command. ValueError is a sentence for the sender."""
    extra = set(args) - ({"seconds"} if action == "unlock" else set())
    if extra:
        raise ValueError(f"{action} takes no {', '.join(sorted(extra))}")
    if action == "unlock":
        return control(door, LOCK, seconds_of(args.get("seconds", open_s)))
    if action == "release":
        return control(door, LOCK, STAY_OPEN)
    if action == "lockdown":
        return control(door, 0x01, 0x00, function=0x06)
    return control(door, 0x00, 0x00, function=0x06) if locked_down else control(door, LOCK, CLOSE)


def output_order(args: Mapping[str, Json]) -> str:
    """`output {number, state, seconds?}` → its command; the controller itself counts the seconds."""
    number, state, seconds = args.get("number"), args.get("state"), args.get("seconds")
    extra = set(args) - {"number", "state", "seconds"}
    if extra or isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_OUTPUTS:
        raise ValueError(f"output takes number (1 to {MOST_OUTPUTS}), state (true or false) and seconds")
    if state not in (True, False, "on", "off"):
        raise ValueError('state is true, false, "on" or "off"')
    on = state in (True, "on")
    if seconds is not None and not on:
        raise ValueError("seconds goes with state on")
    return control(number, OUTPUT, CLOSE if not on else STAY_OPEN if seconds is None else seconds_of(seconds))


def seconds_of(value: Json) -> int:
    """Whole seconds of an opening."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= LONGEST_OPEN_S:
        raise ValueError(f"seconds is 1 to {LONGEST_OPEN_S}")
    return round(value)


def attendance_order(action: str, args: Mapping[str, Json]) -> str:
    """What an attendance terminal can be told: to open, for as long as its own menu says. ValueError else."""
    if action != "unlock":
        raise ValueError(f"an attendance terminal knows no {action}, only unlock")
    if args:
        raise ValueError("an attendance terminal opens for as long as its own menu says: unlock without arguments")
    return "AC_UNLOCK"


def results(text: str) -> list[tuple[int, int]]:
    """`ID=1&Return=0&CMD=…`, one a line → (id, what it returned); what is none is left out."""
    found = []
    for line in text.splitlines():
        named = {name.lower(): value for name, value in parse_qsl(line.strip())}
        identity = whole(named.get("id", ""))
        returned = named.get("return", "").strip()
        if identity is not None and _RETURN.fullmatch(returned):
            found.append((identity, int(returned)))
    return found


@dataclass
class _Order:
    number: int
    text: str
    result: "asyncio.Future[int]"
    fetched: bool = False


class Orders:
    """Of one device."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: deque[_Order] = deque()
        self._open: dict[int, _Order] = {}
        self._number = secrets.randbelow(10**8)  # so that a late answer to the run before fits no command of this one

    async def carry_out(self, text: str, patience_s: float) -> Outcome:
        """Queues a command, and waits for its result."""
        if len(self._open) >= MOST_WAITING:
            return Outcome("busy", f"{MOST_WAITING} commands wait for this device already")
        self._number += 1
        order = _Order(self._number, text, asyncio.get_running_loop().create_future())
        self._queue.append(order)
        self._open[order.number] = order
        pause = asyncio.ensure_future(self._clock.sleep(patience_s))
        either: set[asyncio.Future[Any]] = {order.result, pause}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            del self._open[order.number]
            if order in self._queue:
                self._queue.remove(order)
        return _outcome(order)

    def fetch(self) -> tuple[int, str] | None:
        """The next command for a device that polls: (number, text). It is not handed out again."""
        if not self._queue:
            return None
        order = self._queue.popleft()
        order.fetched = True
        return order.number, order.text

    def done(self, number: int, returned: int) -> None:
        """The device reports. What nobody waits for any more is left out."""
        order = self._open.get(number)
        if order is not None and returned != WAITS and not order.result.done():
            order.result.set_result(returned)


def _outcome(order: _Order) -> Outcome:
    if not order.result.done():
        if order.fetched:
            return Outcome("timeout", "the device has fetched it, but not said what became of it")
        return Outcome("timeout", "the device has not fetched it, and will not: it was withdrawn")
    returned = order.result.result()
    if returned < 0:
        return Outcome("device-refused", RETURNS.get(returned, f"it answers {returned}"), {"return": returned})
    return Outcome(result={"return": returned})


Numbered = Callable[[int, str], str]


def plain_form(number: int, text: str) -> str:
    """How a command stands in the answer to a poll."""
    return f"C:{number}:{text}"


def described_form(serial: str) -> Numbered:
    """The same for a device that registered with CmdFormat=1 (security PUSH 4.8, appendix 14)."""

    def form(number: int, text: str) -> str:
        return f"DataType=1,SN={serial},Priority=0,CmdID={number},CmdDesc={plain_form(number, text)}"

    return form
