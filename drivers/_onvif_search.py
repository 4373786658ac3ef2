"""ONVIF devices in the networks this box is in, by WS-Discovery. It asks who is there, and nothing else.

WS-Discovery of April 2005, as ONVIF's Core Specification has it (7.3): a Probe in SOAP 1.2 over UDP multicast (IPv4),
for network video transmitters, and once more for anything, for cameras that ignore the first. Each answers to our port
with ProbeMatches; printers and computers answer as well and are passed over. (An underscore: no driver.)
"""

import asyncio
import socket
import struct
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing, suppress
from functools import partial
from ipaddress import IPv4Address
from typing import Any

from drivers._onvif_match import NVT, Known, finds
from drivers._search_wait import heard, steps_of
from gateway.driver import Found, Search
from gateway.errors import Text, Unreachable

GROUP = ("239.255.255.250", 3702)  # WS-Discovery, 2.4
ASKED_S = (0.0, 0.2, 1.0)  # UDP loses some (SOAP over UDP 1.1, appendix I); a repetition has the same MessageID
MOST_WAITING = 512  # answers that nobody has looked at yet
_PROBE = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">'
    '<s:Header><a:Action s:mustUnderstand="1">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>'
    "<a:MessageID>urn:uuid:{id}</a:MessageID>"
    "<a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>"
    '<a:To s:mustUnderstand="1">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>'
    "<s:Body><d:Probe>{types}</d:Probe></s:Body></s:Envelope>"
)


def search(wait_s: float, interface: str | None, group: tuple[str, int] = GROUP) -> Search:
    """Waits for answers so long. `interface`: its name, or this box's IPv4 address on it; None: all but loopback."""
    return Search(steps_of(wait_s), wait_s, partial(_run, wait_s, interface, group))


class _Inbox(asyncio.DatagramProtocol):
    """Answers, until somebody looks at them; a flood loses some."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue(MOST_WAITING)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        with suppress(asyncio.QueueFull):
            self.queue.put_nowait((data, addr[0]))


async def _run(wait_s: float, interface: str | None, group: tuple[str, int]) -> AsyncIterator[Found | None]:
    loop, inbox, known = asyncio.get_running_loop(), _Inbox(), Known()
    types = f"<d:Types>dn:{NVT}</d:Types>"
    probes = [_PROBE.format(id=uuid.uuid4(), types=kind).encode() for kind in (types, "")]
    with ExitStack() as stack:
        sockets = list(_sockets(interface, stack))
        for each in sockets:
            transport, _ = await loop.create_datagram_endpoint(lambda: inbox, sock=each)
            stack.callback(transport.close)
        _ask(sockets, probes, group, interface)
        for delay_s in ASKED_S[1:]:
            stack.callback(loop.call_later(delay_s, _again, sockets, probes, group).cancel)
        async with aclosing(heard(inbox.queue, wait_s)) as batches:
            async for batch in batches:
                for datagram, sender in batch or ():
                    for found in finds(datagram, sender, known):
                        yield found
                if batch is None:
                    yield None


def _sockets(interface: str | None, stack: ExitStack) -> Iterator[socket.socket]:
    """One for each way out, until the stack is left. Unreachable: there is no such interface."""
    for way in _ways(interface):
        each = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        each.setblocking(False)
        try:
            each.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, way)
        except OSError as error:
            raise _nowhere(interface, error) from error
        each.bind(("", 0))
        yield each


def _ways(interface: str | None) -> list[bytes]:
    """Each as `struct ip_mreqn` (ip(7)): by this box's address, or by the number of an interface."""
    if interface is None:
        return [_way(number=number) for number, name in socket.if_nameindex() if name != "lo"]
    try:
        return [_way(IPv4Address(interface).packed)]
    except ValueError:
        pass
    try:
        return [_way(number=socket.if_nametoindex(interface))]
    except OSError as error:
        raise _nowhere(interface, error) from error


def _way(address: bytes = bytes(4), number: int = 0) -> bytes:
    return struct.pack("@4s4si", bytes(4), address, number)


def _ask(sockets: list[socket.socket], probes: list[bytes], group: tuple[str, int], interface: str | None) -> None:
    """Unreachable: it went nowhere."""
    errors = _again(sockets, probes, group)
    if len(errors) == len(sockets) * len(probes):
        raise _nowhere(interface, errors[0] if errors else OSError("no network interface"))


def _again(sockets: list[socket.socket], probes: list[bytes], group: tuple[str, int]) -> list[OSError]:
    """What could not be sent; an interface without an address is none of ours."""
    errors: list[OSError] = []
    for each in sockets:
        for probe in probes:
            try:
                each.sendto(probe, group)
            except OSError as error:
                errors.append(error)
    return errors


def _nowhere(interface: str | None, error: OSError) -> Unreachable:
    names = ", ".join(name for _, name in socket.if_nameindex())
    why = error.strerror or str(error)
    return Unreachable(
        interface or "WS-Discovery",
        Text(f"cameras cannot be asked for in this network: {why}", f"无法在该网络中查找摄像机:{why}"),
        Text(
            f"name an interface that is up, or this box's address on it (there are: {names})",
            f"请指定已启用的网络接口或本机在该网络的地址(现有:{names})",
        ),
    )
