"""Devices that answer WS-Discovery (April 2005, SOAP 1.2 over UDP multicast), cameras and others, as they announce it.

`async with Beacon([Announced(…)]) as beacon:` answers every Probe that fits, on one interface; `beacon.probes` are the
types that were asked for.
"""

import asyncio
import socket
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from drivers._onvif_search import GROUP

_D = "{http://schemas.xmlsoap.org/ws/2005/04/discovery}"
_A = "{http://schemas.xmlsoap.org/ws/2004/08/addressing}"


@dataclass(frozen=True)
class Announced:
    """What a device tells of itself."""

    xaddrs: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    types: tuple[str, ...] = ("dn:NetworkVideoTransmitter", "tds:Device")
    endpoint: str = field(default_factory=lambda: f"urn:uuid:{uuid.uuid4()}")
    times: int = 1  # each answer is sent so often

    def fits(self, wanted: Sequence[str]) -> bool:
        """Is it asked for? By local names; without any: always."""
        own = {name.rpartition(":")[2] for name in self.types}
        return all(name.rpartition(":")[2] in own for name in wanted)

    def matches(self, relates_to: str) -> bytes:
        """ProbeMatches."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"'
            ' xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
            ' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"'
            ' xmlns:dn="http://www.onvif.org/ver10/network/wsdl" xmlns:tds="http://www.onvif.org/ver10/device/wsdl">'
            f"<e:Header><w:MessageID>urn:uuid:{uuid.uuid4()}</w:MessageID><w:RelatesTo>{escape(relates_to)}"
            "</w:RelatesTo><w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</w:Action></e:Header>"
            "<e:Body><d:ProbeMatches><d:ProbeMatch><w:EndpointReference>"
            f"<w:Address>{escape(self.endpoint)}</w:Address></w:EndpointReference>"
            f"<d:Types>{escape(' '.join(self.types))}</d:Types><d:Scopes>{escape(' '.join(self.scopes))}</d:Scopes>"
            f"<d:XAddrs>{escape(' '.join(self.xaddrs))}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>"
            "</d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>"
        ).encode()


class Beacon(asyncio.DatagramProtocol):
    """All of them on one socket of the group, on the interface with this address."""

    def __init__(
        self, announced: Sequence[Announced], group: tuple[str, int] = GROUP, interface: str = "127.0.0.1"
    ) -> None:
        self.probes: list[str] = []
        self._announced, self._group, self._interface = announced, group, interface

    async def __aenter__(self) -> Self:
        each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        each.setblocking(False)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.bind(self._group)
        membership = socket.inet_aton(self._group[0]) + socket.inet_aton(self._interface)
        each.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=each)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """A Probe, or anything else."""
        with suppress(ParseError, DefusedXmlException):
            self._answer(ElementTree.fromstring(data, forbid_dtd=True), addr)

    def _answer(self, envelope: Element, addr: tuple[Any, ...]) -> None:
        if envelope.find(f".//{_D}Probe") is None:
            return
        wanted = (envelope.findtext(f".//{_D}Types") or "").split()
        self.probes.append(" ".join(wanted))
        for each in self._announced:
            if each.fits(wanted):
                for _ in range(each.times):
                    self._transport.sendto(each.matches(envelope.findtext(f".//{_A}MessageID") or ""), addr)
