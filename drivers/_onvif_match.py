"""What a device says of itself in WS-Discovery: who it is, where it is reached. No I/O. (An underscore: no driver.)"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import TypeAdapter
from yarl import URL

from drivers._alert import read
from drivers._http import DeviceUrl
from drivers._mqtt_found import cleaned
from gateway.driver import Found
from gateway.errors import BadInput, Text

NVT = "NetworkVideoTransmitter"
MOST_BYTES = 32 * 1024  # of one answer; real ones have 2 to 4 KiB
MOST_MATCHES = 32  # in one answer; a device tells of itself alone
MOST_FOUND = 4096
_SCOPE = "onvif://www.onvif.org/"
_PATH = "/onvif/device_service"  # Core Specification, 5.1.1
_PATH_CHARS = 200
_URL: TypeAdapter[str] = TypeAdapter(DeviceUrl)


@dataclass(frozen=True)
class Match:
    """One device, as it tells of itself."""

    endpoint: str  # its name for ever, mostly urn:uuid:…
    types: tuple[str, ...]  # without prefixes
    scopes: tuple[str, ...]
    addresses: tuple[str, ...]  # XAddrs

    @property
    def is_onvif(self) -> bool:
        """Printers and computers are not."""
        scoped = any(scope.lower().startswith(_SCOPE) for scope in self.scopes)
        return scoped or NVT in self.types or any(_PATH in address for address in self.addresses)

    def scope(self, name: str) -> str:
        """What stands behind onvif://www.onvif.org/NAME/ (Core Specification, 7.3.2.2), of several all."""
        head = f"{_SCOPE}{name}/"
        told = [unquote(scope[len(head) :]) for scope in self.scopes if scope.lower().startswith(head)]
        return cleaned(", ".join(told))


def matches(datagram: bytes) -> list[Match]:
    """The ONVIF devices in an answer; [] where it is none, or no one can read it."""
    if len(datagram) > MOST_BYTES:
        return []
    try:
        tree: Any = read("WS-Discovery", datagram, "Envelope")
    except BadInput:
        return []
    for name in ("Body", "ProbeMatches", "ProbeMatch"):
        tree = tree.get(name) if isinstance(tree, dict) else None
    listed = tree if isinstance(tree, list) else [tree]
    found = [_match(entry) for entry in listed[:MOST_MATCHES] if isinstance(entry, dict)]
    return [match for match in found if match.is_onvif]


def _match(entry: Mapping[str, Any]) -> Match:
    reference = entry.get("EndpointReference")
    endpoint = reference.get("Address") if isinstance(reference, dict) else None
    types = (name.rpartition(":")[2] for name in _words(entry.get("Types")))
    named = endpoint.strip() if isinstance(endpoint, str) else ""
    return Match(named, tuple(types), _words(entry.get("Scopes")), _words(entry.get("XAddrs")))


def _words(value: Any) -> tuple[str, ...]:
    return tuple(value.split()) if isinstance(value, str) else ()


@dataclass(frozen=True)
class Place:
    """Where its service is reached."""

    url: str  # as the configuration has it, without a path
    host: str
    port: int
    path: str = _PATH

    @property
    def shown(self) -> str:
        """`host:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def places(match: Match, sender: str) -> list[Place]:
    """Its addresses, the best first: IPv4 and names, of them that which it answered from; 169.254.…; IPv6.

    Cameras behind a wrong or an old setting tell of addresses where they are not: then that which it answered from.
    """
    told = [place for place in map(_place, match.addresses) if place is not None]
    told.sort(key=lambda place: (_remote(place.host), place.host != sender))
    if told and _remote(told[0].host) == 0:
        return told
    scheme, port = (told[0].url.partition(":")[0], told[0].port) if told else ("http", 80)
    here = _place(f"{scheme}://{sender}:{port}{told[0].path if told else _PATH}")
    return [each for each in (here, *told) if each is not None]


def _place(address: str) -> Place | None:
    """None: nobody could reach it."""
    try:
        parts = urlsplit(address)
        url = URL(_URL.validate_python(f"{parts.scheme}://{parts.netloc}"))
    except ValueError:
        return None
    usual = not parts.path.isascii() or not parts.path.isprintable() or not 1 < len(parts.path) <= _PATH_CHARS
    return Place(str(url).rstrip("/"), url.host or "", url.port or 0, _PATH if usual else parts.path)


def _remote(host: str) -> int:
    """0: as good as any; more: others rather."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return 0
    if address.is_unspecified:
        return 3
    return 1 if address.version == 4 and address.is_link_local else 2 if address.version == 6 else 0


class Known:
    """The devices that have answered: each tells of itself several times, by each of its and our interfaces."""

    def __init__(self) -> None:
        self._hosts: dict[str, set[str]] = {}

    def first(self, match: Match, hosts: set[str]) -> bool:
        """Is it new? Cheap cameras share one endpoint; those have no address in common."""
        endpoint = match.endpoint or "|".join(sorted(hosts))
        if endpoint not in self._hosts and len(self._hosts) >= MOST_FOUND:
            return False
        known = self._hosts.setdefault(endpoint, set())
        new = not known & hosts
        known |= hosts
        return new


def finds(datagram: bytes, sender: str, known: Known) -> Iterator[Found]:
    """What an answer tells of devices that are new."""
    for match in matches(datagram):
        told = places(match, sender)
        if told and known.first(match, {sender, *(place.host for place in told)}):
            yield _found(match, told[0])


def _found(match: Match, place: Place) -> Found:
    name, model, where = match.scope("name"), match.scope("hardware"), match.scope("location")
    en = ", ".join(filter(None, ["ONVIF", name, model and f"model {model}", where and f"location {where}"]))
    zh = ",".join(filter(None, ["ONVIF", name, model and f"型号 {model}", where and f"位置 {where}"]))
    if _remote(place.host) == 1:
        en += "; it has no address of this network yet (169.254.…): set one first"
        zh += ";尚未分配本网段地址(169.254.…),请先设置 IP"
    path = None if place.path == _PATH else place.path
    device = {"driver": "onvif", "url": place.url, "path": path, "model": model}
    return Found(place.shown, Text(en, zh), {key: value for key, value in device.items() if value})
