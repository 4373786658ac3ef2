"""What an ONVIF device consists of: its services, video sources, relays. (An underscore: no driver.)"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple
from xml.etree.ElementTree import Element

from drivers._onvif_config import Config
from drivers._onvif_notes import Channels
from drivers._onvif_soap import Faulted, Place, Wire, child, children, local, path_of, text_of
from gateway.errors import BadInput

EVENTS_PATH = "/onvif/event_service"  # where a device does not say
MOST_PROFILES = 256  # or services, or relays
_SERVICES = {"/events/wsdl": "events", "/media/wsdl": "media"}  # ends of namespaces under .../ver10


class Profile(NamedTuple):
    """A media profile, and what its picture is of."""

    token: str
    source: str
    configuration: str


@dataclass(frozen=True)
class Services:
    """Where its services are, and what there is to see."""

    events: Place
    media: Place | None
    profiles: tuple[Profile, ...] = ()

    @property
    def channels(self) -> Channels:
        """Video sources by all their tokens."""
        of = {token: p.source for p in self.profiles for token in (p.source, p.configuration) if token and p.source}
        return Channels(of, next((p.source for p in self.profiles if p.source), ""))


class Station:
    """Of one device; asked once in a run."""

    def __init__(self, config: Config, wire: Wire) -> None:
        self.config, self.wire = config, wire
        self._services: Services | None = None

    async def services(self) -> Services:
        """What there is. Faulted, NeedsPerson, Unreachable, BadInput."""
        if self._services is None:
            await self.wire.read_clock()
            found = await self._addresses()
            media = found.get("media")
            self._services = Services(
                found.get("events", Place(EVENTS_PATH)), media, await self._profiles(media) if media else ()
            )
        return self._services

    def forget(self) -> None:
        """It may have been restarted, or changed."""
        self._services = None

    async def _addresses(self) -> Mapping[str, Place]:
        try:
            body = await self.wire.call("GetCapabilities", self.wire.device, {"Category": "All"})
            said = {"events": text_of(body, "Events", "XAddr"), "media": text_of(body, "Media", "XAddr")}
        except (Faulted, BadInput):
            body = await self.wire.call("GetServices", self.wire.device, {"IncludeCapability": False})
            said = services_in(body)
        return {name: Place(path_of(address)) for name, address in said.items() if name and address}

    async def _profiles(self, media: Place) -> tuple[Profile, ...]:
        """None where it does not tell them: then all it says is taken to be of one picture."""
        try:
            body = await self.wire.call("GetProfiles", media)
        except (Faulted, BadInput):
            return ()
        return profiles_in(body)

    async def relays(self) -> list[str]:
        """Tokens of its relay outputs."""
        return relays_in(await self.wire.call("GetRelayOutputs", self.wire.device))


def services_in(body: Element) -> dict[str, str]:
    """Addresses by service, of a GetServicesResponse."""
    return dict(_service(element) for element in islice(children(body, "Service"), MOST_PROFILES))


def profiles_in(body: Element) -> tuple[Profile, ...]:
    """Of a GetProfilesResponse."""
    found = islice(children(body, "Profiles"), MOST_PROFILES)
    return tuple(_profile(element) for element in found if element.get("token"))


def relays_in(body: Element) -> list[str]:
    """Tokens, of a GetRelayOutputsResponse."""
    found = islice(children(body, "RelayOutputs"), MOST_PROFILES)
    return [token for element in found if (token := element.get("token", ""))]


def _service(element: Element) -> tuple[str, str]:
    namespace = text_of(element, "Namespace")
    name = next((name for end, name in _SERVICES.items() if "/ver10/" in namespace and namespace.endswith(end)), "")
    return name, text_of(element, "XAddr")


def _profile(element: Element) -> Profile:
    configuration = child(element, "VideoSourceConfiguration")
    inside = [] if configuration is None else list(configuration)
    source = next((each.text or "" for each in inside if local(each) == "SourceToken"), "")
    token = "" if configuration is None else configuration.get("token", "")
    return Profile(element.get("token", ""), source.strip(), token)
