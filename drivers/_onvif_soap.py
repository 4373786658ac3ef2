"""Questions to an ONVIF device and its answers: SOAP 1.2 over HTTP, faults, addresses, its clock.

Answers are read by local names, whatever the namespaces; document types and entities are refused, and an answer has
at most 1 MB (`_http.REPLY_BYTES`). Everything goes to the configured host, whatever address the device believes to
have. (An underscore: no driver.)
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from xml.etree.ElementTree import Element, ParseError, tostring

import aiohttp
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from yarl import URL

from drivers._http import Http, ask
from drivers._onvif_config import Config
from drivers._onvif_library import Login, message
from gateway.clock import Clock
from gateway.driver import offset_time
from gateway.errors import BadInput, NeedsPerson, Text, Unreachable
from gateway.event import NOTHING

KIND = "application/soap+xml; charset=utf-8"  # SOAP 1.2 part 2, 7.1.4
MOST_DEPTH = 32  # elements in each other; real answers have about 12
MOST_CODES = 8  # of a fault
MOST_PATH = 1024  # characters
MOST_REFERENCES = 8
MOST_REFERENCE_BYTES = 4096
_ADDRESS = re.compile(
    r"(?:(https?)://[^/:]*(?:\[[0-9a-fA-F:]*\])?(?::(\d{1,5}))?[^/]*)?/*(.*)", re.IGNORECASE | re.DOTALL
)
_UNAUTHORIZED = re.compile(r"not ?authori[sz]ed|failedauthentication|unauthori[sz]ed", re.IGNORECASE)


class Faulted(Unreachable):
    """The device answers, and says no (a SOAP fault, or an HTTP status without one)."""

    def __init__(self, where: str, what: Text, said: str) -> None:
        super().__init__(where, what, Text("it is tried again", "将自动重试"))
        self.said = said  # codes and reason as the device put them


class Refused(NeedsPerson):
    """The device takes the message, and not its login."""


@dataclass(frozen=True)
class Place:
    """A service or subscription: where it is, and what must be sent along."""

    path: str
    references: tuple[bytes, ...] = ()


def local(element: Element) -> str:
    """Its name without namespace."""
    return str(element.tag).rpartition("}")[2]


def each(element: Element, name: str) -> Iterator[Element]:
    """Everything of that local name inside."""
    return (found for found in element.iter() if local(found) == name)


def children(body: Element, name: str) -> Iterator[Element]:
    """Those of that local name right inside the answer; one walk, however an answer is nested."""
    return (child for answer in body for child in answer if local(child) == name)


def child(element: Element, name: str) -> Element | None:
    """The first of that local name right inside."""
    return next((found for found in element if local(found) == name), None)


def first(element: Element, *path: str) -> Element | None:
    """The first of that name inside, and inside it the next name."""
    found: Element | None = element
    for name in path:
        found = None if found is None else next(each(found, name), None)
    return found


def text_of(element: Element, *path: str) -> str:
    """Text of what `first` finds; empty where there is none."""
    found = first(element, *path)
    return "" if found is None else (found.text or "").strip()


def parse(where: str, wire: bytes) -> Element:
    """What stands in the body of an envelope; BadInput where it is none."""
    try:
        root: Element = ElementTree.fromstring(wire.strip(), forbid_dtd=True)
    except (ParseError, ValueError, LookupError, DefusedXmlException) as error:
        what = Text(f"its answer is no XML: {error}", f"应答不是 XML:{error}")
        raise BadInput(where, what, Text("update the device's firmware", "请升级设备固件")) from error
    if _deep(root):
        what = Text(f"its answer is nested more than {MOST_DEPTH} deep", f"应答嵌套超过 {MOST_DEPTH} 层")
        raise BadInput(where, what, Text("update the device's firmware", "请升级设备固件"))
    body = first(root, "Body")
    return root if body is None else body


def _deep(root: Element) -> bool:
    level = [root]
    for _ in range(MOST_DEPTH):
        level = [inner for element in level for inner in element]
    return bool(level)


def path_of(address: str) -> str:
    """Path and query of what a device calls its address: with a wrong host, with two ports, or relative."""
    clean = "".join(c for c in address if c.isprintable() and not c.isspace())
    found = _ADDRESS.fullmatch(clean)
    return "/" + (found[3] if found else "").lstrip("/")[:MOST_PATH]


def origin_of(address: str, configured: str) -> str:
    """Where to fetch a picture: the configured host, at the port the device names for it. Never less than https."""
    found, ours = _ADDRESS.fullmatch(address.strip()), URL(configured)
    if found is None or (found[1] or "").lower() != ours.scheme:
        return configured
    port = int(found[2]) if found[2] else None
    usable = port is None or 0 < port < 65536
    return str(ours.with_port(port)) if usable else configured


def place_of(reference: Element | None) -> Place:
    """An endpoint reference (WS-Addressing 1.0, 2.1); its parameters are opaque, and bounded here."""
    if reference is None:
        return Place("/")
    holder = first(reference, "ReferenceParameters")
    echoed = [tostring(child) for child in (holder if holder is not None else ())][:MOST_REFERENCES]
    kept = tuple(echo for echo in echoed if len(echo) <= MOST_REFERENCE_BYTES)
    return Place(path_of(text_of(reference, "Address")), kept)


def moment(text: str) -> datetime | None:
    """An xs:dateTime of a device, where it makes sense; UTC where it says no offset (ONVIF core, 5.10)."""
    return offset_time(text) or offset_time(text.strip() + "Z")


class DeviceClock:
    """What the device believes the time to be, by the gateway's monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._base: tuple[datetime, float] | None = None

    @property
    def known(self) -> bool:
        """Has the device said so?"""
        return self._base is not None

    def learn(self, said: datetime | None) -> None:
        """The device said what time it is, just now."""
        if said is not None:
            self._base = said.astimezone(UTC), self._clock.monotonic()

    def now(self) -> datetime:
        """By the device's clock; by ours where it did not say."""
        if self._base is None:
            return self._clock.utc()
        said, at_s = self._base
        return said + timedelta(seconds=self._clock.monotonic() - at_s)


class Wire:
    """Asks one device."""

    def __init__(self, config: Config, http: Http, clock: Clock) -> None:
        self._config, self._http, self._clock = config, http, clock
        self.time = DeviceClock(clock)
        self.device = Place(config.path)

    async def call(
        self,
        operation: str,
        place: Place,
        values: Mapping[str, Any] = NOTHING,
        *,
        anonymous: bool = False,
        wait_s: float = 0.0,
    ) -> Element:
        """The body of the answer. Faulted: it says no; NeedsPerson: login refused; Unreachable: no answer; BadInput.

        `wait_s` is how long the device may take beyond the usual.
        """
        asked = message(
            operation,
            self._http.site.url + place.path,
            None if anonymous else self._login(),
            place.references,
            **values,
        )
        site = self._http.site
        http = replace(self._http, site=site._replace(answer_s=site.answer_s + wait_s))
        try:
            reply = await ask(http, "POST", place.path, asked.body, kind=f'{KIND}; action="{asked.action}"')
        except Unreachable as error:
            if error.__cause__ is not None:
                raise
            raise Faulted(self._config.id, error.what, "too large") from error  # it answers, with too much
        if reply.status == 403 and b"Fault" not in reply.body:
            raise self._refused("HTTP 403")
        if reply.status in (404, 405) or not reply.body.strip():
            raise self._faulted(operation, f"HTTP {reply.status}")
        try:
            body = parse(self._config.id, reply.body)
        except BadInput:
            if reply.status == 200:
                raise
            raise self._faulted(operation, f"HTTP {reply.status}") from None
        fault = first(body, "Fault")
        if fault is not None:
            raise self._fault(operation, fault)
        if reply.status != 200:
            raise self._faulted(operation, f"HTTP {reply.status}")
        return body

    def _login(self) -> Login | None:
        if self._config.login == "digest":
            return None
        return Login(self._config.username, self._config.password.get_secret_value(), self.time.now())

    def _fault(self, operation: str, fault: Element) -> Faulted | Refused:
        codes = [(value.text or "").strip().rpartition(":")[2] for value in islice(each(fault, "Value"), MOST_CODES)]
        words = [*codes, text_of(fault, "Reason", "Text"), text_of(fault, "faultcode"), text_of(fault, "faultstring")]
        said = ", ".join(dict.fromkeys(word[:120] for word in words if word)) or "Fault"
        return self._refused(said) if _UNAUTHORIZED.search(said) else self._faulted(operation, said)

    def _faulted(self, operation: str, said: str) -> Faulted:
        url = self._config.url
        what = Text(f"{url} refuses {operation}: {said}", f"{url} 拒绝 {operation}:{said}")
        return Faulted(self._config.id, what, said)

    def _refused(self, said: str) -> Refused:
        url, user = self._config.url, self._config.username
        off_s = abs((self.time.now() - self._clock.utc()).total_seconds())
        return Refused(
            self._config.id,
            Text(
                f"{url} refuses user {user} ({said}); its clock is {off_s:.0f} s off ours",
                f"{url} 拒绝用户 {user} 登录({said});其时钟与网关相差 {off_s:.0f} 秒",
            ),
            Text(
                "check username and password: ONVIF users are often apart from the web page's; too many tries lock "
                "the account",
                "请核对用户名和密码:ONVIF 用户常与网页用户分开设置;多次错误会锁定账号",
            ),
        )

    async def read_clock(self) -> None:
        """GetSystemDateAndTime: without login (ONVIF core, 5.12 pre-auth); with it where the device wants that."""
        try:
            said = await self.call("GetSystemDateAndTime", self.device, anonymous=True)
        except Refused:
            said = await self.call("GetSystemDateAndTime", self.device)
        self.time.learn(utc_of(said))


def closed(error: Unreachable) -> bool:
    """Did the device hang up instead of answering?"""
    return isinstance(error.__cause__, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError) and not isinstance(
        error.__cause__, aiohttp.ClientConnectorError
    )


def utc_of(body: Element) -> datetime | None:
    """`UTCDateTime` (tt:DateTime); None where it makes no sense."""
    found = first(body, "UTCDateTime")
    if found is None:
        return None
    names = (
        ("Date", "Year"),
        ("Date", "Month"),
        ("Date", "Day"),
        ("Time", "Hour"),
        ("Time", "Minute"),
        ("Time", "Second"),
    )
    try:
        said = datetime(*[int(text_of(found, *name)) for name in names], tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None
    return said if 1971 <= said.year < 2100 else None


def faults(error: Faulted, words: Sequence[str]) -> bool:
    """Does what it said hold one of these words?"""
    said = error.said.lower().replace(" ", "")
    return any(word in said for word in words)
