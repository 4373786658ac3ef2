"""Commands to an ONVIF device: a picture, its relay outputs. (An underscore: no driver.)

A relay that shall fall back by itself is set so in the device (monostable), so that a gateway that dies leaves nothing
on. Nothing is sent twice.
"""

import hashlib
from collections.abc import Mapping

import aiohttp

from drivers._http import Http, Reply, ask, session
from drivers._onvif_soap import Faulted, origin_of, path_of, text_of
from drivers._onvif_station import Services, Station
from gateway.clock import Clock
from gateway.driver import Command, Outcome, Picture
from gateway.errors import BadInput, DeviceError, NeedsPerson
from gateway.event import Json

ACTIONS = ("output", "snapshot")
MOST_AT_ONCE = 2
MOST_OUTPUTS = 64
PICTURE_BYTES = 4 * 1024 * 1024
_KINDS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}
_PLAIN = ("", "application/octet-stream")  # of servers that do not say what it is


class Orders:
    """Takes the commands of one device: `command` is a handler for `Link.handle`."""

    def __init__(self, station: Station, http: Http, clock: Clock) -> None:
        self._station, self._http, self._clock = station, http, clock
        self._busy = 0

    async def command(self, command: Command) -> Outcome:
        """Carries it out, and says what the device answered."""
        if self._busy >= MOST_AT_ONCE:
            return Outcome("busy", f"{MOST_AT_ONCE} commands to this device are under way")
        self._busy += 1
        try:
            carry_out = self._snapshot if command.action == "snapshot" else self._output
            return await carry_out(command.args)
        except ValueError as error:
            return Outcome("bad-arguments", str(error))
        except (NeedsPerson, Faulted, BadInput) as error:
            return Outcome("device-refused", str(error))
        except DeviceError as error:
            return Outcome(_code(error), str(error))
        finally:
            self._busy -= 1

    async def _output(self, args: Mapping[str, Json]) -> Outcome:
        number, on = ordered(args)
        await self._station.services()
        relays = await self._station.relays()
        if number > len(relays):
            raise ValueError(f"the device has {len(relays)} relay outputs")
        await self._station.wire.call(
            "SetRelayOutputState",
            self._station.wire.device,
            {"RelayOutputToken": relays[number - 1], "LogicalState": "active" if on else "inactive"},
        )
        return Outcome(result={"number": number, "state": on, "token": relays[number - 1]})

    async def _snapshot(self, args: Mapping[str, Json]) -> Outcome:
        if args:
            raise ValueError("snapshot takes no arguments")
        services = await self._station.services()
        profile = self._profile(services)
        if services.media is None or profile is None:
            return Outcome("device-refused", "the device has no picture (no media service, or no such source)")
        answer = await self._station.wire.call("GetSnapshotUri", services.media, {"ProfileToken": profile})
        reply = await self._fetch(text_of(answer, "Uri"))
        kind = _kind(reply)
        if kind is None:
            said = f"HTTP {reply.status}, {reply.content_type or 'no type'}, {len(reply.body)} bytes"
            return Outcome("device-refused", f"the device gives no picture: {said}")
        digest = hashlib.sha256(reply.body).hexdigest()
        result: dict[str, Json] = {"content_type": kind, "bytes": len(reply.body), "sha256": digest}
        return Outcome(result=result, picture=Picture(reply.body, kind))

    def _profile(self, services: Services) -> str | None:
        wanted = self._station.config.source
        return next((p.token for p in services.profiles if wanted in (None, p.source, p.configuration)), None)

    async def _fetch(self, uri: str) -> Reply:
        """From the configured host, at the port that the device names, logged in."""
        site = self._http.site
        origin, path = origin_of(uri, site.url), path_of(uri)
        async with session(site._replace(url=origin), self._clock) as http:
            return await ask(http, "GET", path, most_bytes=PICTURE_BYTES)


def ordered(args: Mapping[str, Json]) -> tuple[int, bool]:
    """The arguments of `output` → number from 1, on. ValueError is a sentence for the sender."""
    number, state = args.get("number"), args.get("state")
    if set(args) - {"number", "state"}:
        raise ValueError("output takes number and state; how long is a setting of the relay in the device")
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_OUTPUTS:
        raise ValueError(f"number is 1 to {MOST_OUTPUTS}")
    if state not in (True, False, "on", "off"):
        raise ValueError('state is true, false, "on" or "off"')
    return number, state in (True, "on")


def _kind(reply: Reply) -> str | None:
    """By what the header says, if it says it, and by the first bytes."""
    if reply.status != 200 or not (reply.content_type in _PLAIN or reply.content_type.startswith("image/")):
        return None
    return next((kind for begin, kind in _KINDS.items() if reply.body.startswith(begin)), None)


def _code(error: DeviceError) -> str:
    """A request that was sent and not answered may have been carried out."""
    cause = error.__cause__
    sent = isinstance(cause, TimeoutError) and not isinstance(cause, aiohttp.ConnectionTimeoutError)
    return "timeout" if sent else "device-offline"
