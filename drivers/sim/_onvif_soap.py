"""SOAP as an ONVIF device speaks it: envelopes, faults, and a login that is really checked."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from aiohttp import web
from defusedxml import ElementTree

NAMESPACES = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "wsa": "http://www.w3.org/2005/08/addressing",
    "wsnt": "http://docs.oasis-open.org/wsn/b-2",
    "tds": "http://www.onvif.org/ver10/device/wsdl",
    "trt": "http://www.onvif.org/ver10/media/wsdl",
    "tev": "http://www.onvif.org/ver10/events/wsdl",
    "tt": "http://www.onvif.org/ver10/schema",
    "ter": "http://www.onvif.org/ver10/error",
    "tns1": "http://www.onvif.org/ver10/topics",
}
TOKEN_AGE_S = 60.0  # a token that is further off the device's clock is refused
MOST_NONCES = 1000


class Fault(Exception):
    """The device says no: a subcode of env:Sender or env:Receiver, and why."""

    def __init__(self, code: str, reason: str, status: int = 400) -> None:
        super().__init__(code, reason)
        self.code, self.reason, self.status = code, reason, status


def envelope(body: str, action: str = "") -> bytes:
    """A SOAP 1.2 message."""
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    head = f"<s:Header><wsa:Action>{action}</wsa:Action></s:Header>" if action else ""
    begin = f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope {declared}>{head}'
    return f"{begin}<s:Body>{body}</s:Body></s:Envelope>".encode()


def answer(body: str) -> web.Response:
    """200 with an envelope."""
    return web.Response(body=envelope(body), content_type="application/soap+xml")


def refusal(fault: Fault) -> web.Response:
    """A SOAP fault (SOAP 1.2 part 1, 5.4)."""
    body = (
        f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:{fault.code}</s:Value></s:Subcode>"
        f'</s:Code><s:Reason><s:Text xml:lang="en">{escape(fault.reason)}</s:Text></s:Reason></s:Fault>'
    )
    return web.Response(body=envelope(body), status=fault.status, content_type="application/soap+xml")


def stamp(moment: datetime) -> str:
    """xs:dateTime in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def parse(wire: bytes) -> tuple[Element, Element]:
    """Header and the one element in the body. Fault: it is none."""
    try:
        root = ElementTree.fromstring(wire, forbid_dtd=True)
    except ElementTree.ParseError as error:
        raise Fault("WellFormed", str(error)) from error
    header = root.find(f"{{{NAMESPACES['s']}}}Header")
    body = root.find(f"{{{NAMESPACES['s']}}}Body")
    if body is None or not len(body):
        raise Fault("WellFormed", "an envelope with a body is needed")
    return header if header is not None else Element("Header"), body[0]


def said(element: Element, name: str) -> str:
    """Text of the first element of that local name; empty where there is none."""
    found = (child.text or "" for child in element.iter() if str(child.tag).rpartition("}")[2] == name)
    return next(found, "").strip()


class Tokens:
    """WS-UsernameToken 1.0 with a digest (3.1): Base64(SHA-1(nonce + created + password)), each nonce once."""

    def __init__(self, logins: Mapping[str, str]) -> None:
        self._logins = logins
        self._nonces: set[bytes] = set()
        self.refused = 0
        self.accepted = 0

    def check(self, header: Element, now: datetime) -> bool:
        """Is there a token that is right? Fault NotAuthorized for one that is wrong, old, or used before."""
        user = said(header, "Username")
        if not user:
            return False
        nonce, created = base64.b64decode(said(header, "Nonce")), said(header, "Created")
        secret = self._logins.get(user, "")
        digest = hashlib.sha1(nonce + created.encode() + secret.encode(), usedforsecurity=False).digest()
        right = hmac.compare_digest(base64.b64encode(digest).decode(), said(header, "Password"))
        off_s = abs((datetime.fromisoformat(created) - now).total_seconds()) if created else TOKEN_AGE_S + 1
        if not right or user not in self._logins or off_s > TOKEN_AGE_S or nonce in self._nonces:
            self.refused += 1
            raise Fault("NotAuthorized", "Sender not Authorized")
        if len(self._nonces) < MOST_NONCES:
            self._nonces.add(nonce)
        self.accepted += 1
        return True
