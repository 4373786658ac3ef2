"""Commands to an ISAPI device: its door, its alarm outputs, a picture. (An underscore: no driver.)

Each is one request, answered by a ResponseStatus whose `statusCode` is 1 where it was done. A door is opened for as
long as the device's own settings say, and an output is on until it is switched off: so a gateway that dies leaves no
door open. Nothing is sent twice but the question for a picture.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from drivers._alert import read, whole
from drivers._http import Http, Reply, ask
from drivers._isapi_desk import Desk
from gateway.driver import Command, Link, Outcome, Picture
from gateway.errors import BadInput, DeviceError, NeedsPerson
from gateway.event import Json

ACTIONS = ("unlock", "lock", "release", "lockdown", "output", "snapshot")
MOST_AT_ONCE = 3
MOST_OUTPUTS = 65535  # recorders count those of their cameras from 100 on
PICTURE_BYTES = 4 * 1024 * 1024
BUSY_S = 1.0  # then a device that was busy is asked for its picture once more
DONE, DEVICE_BUSY, DEVICE_ERROR, NOT_SUPPORTED = 1, 2, 3, 4  # statusCode of a ResponseStatus
INVALID_CONTENT = 6
XMLNS = 'version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"'
_DOOR = {"unlock": "open", "lock": "close", "release": "alwaysOpen", "lockdown": "alwaysClose"}
_SETTLES: Mapping[str, Mapping[str, bool]] = {  # what is so once it has been done
    "release": {"door.released": True, "door.lockdown": False},
    "lockdown": {"door.lockdown": True, "door.released": False},
    "lock": {"door.released": False, "door.lockdown": False},
}
_KINDS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}


@dataclass(frozen=True)
class Order:
    """A request that carries out a command."""

    path: str
    body: bytes


def order(action: str, args: Mapping[str, Json], door: int) -> Order:
    """A command to a door or an output → its request. ValueError is a sentence for the sender."""
    if action == "output":
        return _output(dict(args))
    if "seconds" in args:
        raise ValueError("the door opens for as long as the device's own settings say: unlock without seconds")
    if args:
        raise ValueError(f"{action} takes no {', '.join(sorted(args))}")
    body = f"<RemoteControlDoor {XMLNS}><cmd>{_DOOR[action]}</cmd></RemoteControlDoor>"
    return Order(f"/ISAPI/AccessControl/RemoteControl/door/{door}", body.encode())


def _output(args: dict[str, Any]) -> Order:
    number, state, seconds = (args.pop(name, None) for name in ("number", "state", "seconds"))
    if args or isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_OUTPUTS:
        raise ValueError(f"output takes number (1 to {MOST_OUTPUTS}) and state (true or false)")
    if state not in (True, False, "on", "off"):
        raise ValueError('state is true, false, "on" or "off"')
    if seconds is not None:
        raise ValueError("the output has a delay of its own in the device's settings: output without seconds")
    level = "high" if state in (True, "on") else "low"
    body = f"<IOPortData {XMLNS}><outputState>{level}</outputState></IOPortData>"
    return Order(f"/ISAPI/System/IO/outputs/{number}/trigger", body.encode())


def verdict(where: str, reply: Reply) -> tuple[int, str]:
    """(statusCode, what the device says of it), by the HTTP status where there is no ResponseStatus."""
    try:
        said = read(where, reply.body, "ResponseStatus") if reply.body.strip() else {}
    except BadInput:
        said = {}
    code = whole(said.get("statusCode"))
    if code is None:
        code = DONE if reply.status == 200 else 0
    words = [said.get(name) for name in ("statusString", "subStatusCode", "errorMsg", "errorCode")]
    text = ", ".join(str(word)[:64] for word in words if isinstance(word, str | int) and word != "")
    return code, text or f"HTTP {reply.status}"


class Orders:
    """Takes the commands of one device: `command` is a handler for `Link.handle`."""

    def __init__(self, http: Http, desk: Desk, link: Link) -> None:
        self._http, self._desk, self._link = http, desk, link
        self._config = desk.config
        self._busy = 0

    async def command(self, command: Command) -> Outcome:
        """Carries it out, and says what the device answered."""
        if self._busy >= MOST_AT_ONCE:
            return Outcome("busy", f"{MOST_AT_ONCE} commands to this device are under way")
        self._busy += 1
        try:
            if command.action == "snapshot":
                return await self._snapshot(command.args)
            return await self._switch(command)
        except ValueError as error:
            return Outcome("bad-arguments", str(error))
        except NeedsPerson as error:
            return Outcome("device-refused", str(error))
        except DeviceError as error:
            return Outcome(_code(error), str(error))
        finally:
            self._busy -= 1

    async def _switch(self, command: Command) -> Outcome:
        wanted = order(command.action, command.args, self._config.door or 1)
        code, said = verdict(self._config.id, await ask(self._http, "PUT", wanted.path, wanted.body))
        if code != DONE:
            return Outcome("device-refused", f"the device answers: {said}", {"status": code})
        await self._desk.state(_SETTLES.get(command.action, {}))
        return Outcome()

    async def _snapshot(self, args: Mapping[str, Json]) -> Outcome:
        if args:
            raise ValueError("snapshot takes no arguments")
        channel = (self._config.channel or 1) * 100 + 1  # main stream
        path = f"/ISAPI/Streaming/channels/{channel}/picture"
        reply = await ask(self._http, "GET", path, most_bytes=PICTURE_BYTES)
        code, said = (DONE, "") if _kind(reply) else verdict(self._config.id, reply)
        if code in (DEVICE_BUSY, DEVICE_ERROR):
            await self._link.clock.sleep(BUSY_S)
        elif code == INVALID_CONTENT:  # a recorder that passes its cameras' pictures on
            path = f"/ISAPI/ContentMgmt/StreamingProxy/channels/{channel}/picture"
        if code in (DEVICE_BUSY, DEVICE_ERROR, INVALID_CONTENT):
            reply = await ask(self._http, "GET", path, most_bytes=PICTURE_BYTES)
            _, said = verdict(self._config.id, reply)
        kind = _kind(reply)
        if kind is None:
            return Outcome("device-refused", f"the device gives no picture: {said}")
        digest = hashlib.sha256(reply.body).hexdigest()
        result: dict[str, Json] = {"content_type": kind, "bytes": len(reply.body), "sha256": digest}
        return Outcome(result=result, picture=Picture(reply.body, kind))


def _kind(reply: Reply) -> str | None:
    """By its first bytes, whatever the header says."""
    return next((kind for begin, kind in _KINDS.items() if reply.body.startswith(begin)), None)


def _code(error: DeviceError) -> str:
    """A request that was sent and not answered may have been carried out."""
    cause = error.__cause__
    return (
        "timeout"
        if isinstance(cause, TimeoutError) and not isinstance(cause, aiohttp.ConnectionTimeoutError)
        else "device-offline"
    )
