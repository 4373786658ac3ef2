"""The seam between the onvif driver and its optional packages: requests, by the standard's own WSDL.

zeep writes each message from the WSDL files that onvif-zeep-async brings, with a login by OASIS WS-UsernameToken 1.0.
Sending, and reading what untidy firmware answers, is done in `_onvif_soap`. Nothing here is imported, and no file read,
before a device needs it (docs/decisions/0017).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from gateway.clock import Clock
from gateway.errors import Misconfigured, Text

NO_PACKAGE = Text("ONVIF needs the Python packages of onvif-zeep-async", "使用 ONVIF 需要 onvif-zeep-async 等软件包")
INSTALL = Text(
    "install them: sudo deploy/install.sh --onvif, or pip install 'community-gateway[onvif]'",
    "请安装:sudo deploy/install.sh --onvif,或 pip install 'community-gateway[onvif]'",
)
WSA = "http://www.w3.org/2005/08/addressing"
SOAP = "http://www.w3.org/2003/05/soap-envelope"
_VER10 = "http://www.onvif.org/ver10"
_DEVICE = ("devicemgmt", f"{{{_VER10}/device/wsdl}}DeviceBinding")
_MEDIA = ("media", f"{{{_VER10}/media/wsdl}}MediaBinding")
_PULL = ("events", f"{{{_VER10}/events/wsdl}}PullPointSubscriptionBinding")
_MANAGER = ("events", f"{{{_VER10}/events/wsdl}}SubscriptionManagerBinding")
OPERATIONS: Mapping[str, tuple[str, str]] = {  # → (WSDL file, binding)
    "GetSystemDateAndTime": _DEVICE,
    "GetCapabilities": _DEVICE,
    "GetServices": _DEVICE,
    "GetRelayOutputs": _DEVICE,
    "SetRelayOutputState": _DEVICE,
    "GetProfiles": _MEDIA,
    "GetSnapshotUri": _MEDIA,
    "CreatePullPointSubscription": ("events", f"{{{_VER10}/events/wsdl}}EventBinding"),
    "PullMessages": _PULL,
    "SetSynchronizationPoint": _PULL,
    "Renew": _MANAGER,
    "Unsubscribe": _MANAGER,
}


_PIECES = ("lxml.etree", "requests", "zeep")  # up to 80 ms in which nothing else runs (docs/decisions/0017)
BREATH_S = 0.01  # for the others, between two pieces


class Login(NamedTuple):
    """Who asks, and the moment by the device's clock; devices refuse a token that is off by seconds or minutes."""

    username: str
    password: str
    created: datetime


class Message(NamedTuple):
    """A SOAP 1.2 envelope and what it asks for."""

    action: str
    body: bytes


async def prepare(where: str, clock: Clock) -> None:
    """Loads what requests are made with, piece by piece, so that others are served in between; once in this process.

    Misconfigured: the packages are not there.
    """
    try:
        if find_spec("onvif") is None:
            raise ModuleNotFoundError("onvif")
        for name in _PIECES:
            import_module(name)
            await clock.sleep(BREATH_S)
    except (ImportError, ValueError) as error:  # ValueError: a module that was taken away (find_spec)
        raise Misconfigured(where, NO_PACKAGE, INSTALL) from error
    for wsdl in dict.fromkeys(wsdl for wsdl, _ in OPERATIONS.values()):
        _client(wsdl)
        await clock.sleep(BREATH_S)


def message(operation: str, to: str, login: Login | None, references: Sequence[bytes] = (), **values: Any) -> Message:
    """One request to the service at `to`; `references` are reference parameters to be sent back (WS-Addressing 1.0,
    SOAP binding, 2.1), each a whole element.
    """
    wsdl, binding = OPERATIONS[operation]
    client = _client(wsdl)
    client.wsse = _token(login) if login else None
    envelope = client.create_message(client.create_service(binding, to), operation, **values)
    action = str(client.wsdl.bindings[binding].get(operation).soapaction)
    _address(envelope, action, to, references)
    return Message(action, import_module("lxml.etree").tostring(envelope))


def _token(login: Login) -> Any:
    token = import_module("zeep.wsse.username").UsernameToken
    created = login.created.replace(tzinfo=None, microsecond=0)
    return token(login.username, login.password, use_digest=True, zulu_timestamp=True, created=created)


def _address(envelope: Any, action: str, to: str, references: Sequence[bytes]) -> None:
    """WS-Addressing: the WSDL's own address, which zeep writes, is an example's."""
    etree = import_module("lxml.etree")
    header = envelope.find(f"{{{SOAP}}}Header")
    if header is None:
        header = etree.Element(f"{{{SOAP}}}Header")
        envelope.insert(0, header)
    for old in [child for child in header if str(child.tag).startswith(f"{{{WSA}}}")]:
        header.remove(old)
    for name, text in (("Action", action), ("MessageID", f"urn:uuid:{uuid4()}"), ("To", to)):
        etree.SubElement(header, f"{{{WSA}}}{name}", nsmap={"wsa": WSA}).text = text
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    for reference in references:
        header.append(etree.fromstring(reference, parser))
        header[-1].set(f"{{{WSA}}}IsReferenceParameter", "true")


@cache
def _client(wsdl: str) -> Any:
    """Reads a WSDL with all it includes, once in this process: about 50 ms in which nothing else runs."""
    zeep, transports = import_module("zeep"), import_module("zeep.transports")

    class Local(transports.Transport):  # type: ignore[name-defined,misc]  # zeep has no types
        """Files that lie here, never the network."""

        def load(self, url: str) -> bytes:
            return Path(url.removeprefix("file://")).read_bytes()

    spec = find_spec("onvif")
    (folder,) = spec.submodule_search_locations if spec and spec.submodule_search_locations else [""]
    settings = zeep.Settings(forbid_dtd=True, forbid_entities=True)
    return zeep.Client(str(Path(folder) / "wsdl" / f"{wsdl}.wsdl"), transport=Local(), settings=settings)
