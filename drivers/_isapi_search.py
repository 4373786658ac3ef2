"""Hikvision devices at the addresses given, over HTTP, without their multicast protocol (SADP). Only GETs.

Each port is asked `/ISAPI/System/deviceInfo` without a login; what it refuses that with tells what it is. With user
and password each device is asked once more, and once only: what refuses them is not asked again, at no port of its, as
a few wrong passwords lock the account. No password is sent in the clear (basic login). (An underscore: no driver.)
"""

import asyncio
import hashlib
import math
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

import aiohttp
from yarl import URL

from drivers._http import Site, session
from drivers._isapi_asked import Asked, founds
from drivers._isapi_identity import Answer, identity
from gateway.clock import SystemClock
from gateway.driver import Found, Search
from gateway.fields import Secret

PATH = "/ISAPI/System/deviceInfo"
AT_ONCE_DEVICES = 32
CONNECT_S = 2.0  # in one's own network it takes milliseconds
PORT_S = 8.0  # all that is asked of a port where something answers
MOST_BYTES = 64 * 1024  # of an answer
_HTTPS = 443


@dataclass(frozen=True)
class Login:
    """What is tried once on each device."""

    user: str
    password: str = field(repr=False)


def search(hosts: Sequence[str], ports: Sequence[int], user: str | None, password: str | None) -> Search:
    """One step for each host. With `user` and `password`, model, serial and firmware are read as well."""
    login = Login(user, password) if user and password else None
    longest_s = math.ceil(len(hosts) / AT_ONCE_DEVICES) * len(ports) * CONNECT_S
    return Search(len(hosts), longest_s, partial(_run, tuple(hosts), tuple(ports), user, login))


async def _run(
    hosts: tuple[str, ...], ports: tuple[int, ...], user: str | None, login: Login | None
) -> AsyncIterator[Found | None]:
    http = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=AT_ONCE_DEVICES),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
    )
    each = (_Host(http, host, login) for host in hosts)
    async with http, aclosing(_answers(each, ports)) as answers:
        async for asked in answers:
            for found in founds(asked, user):
                yield found
            yield None


async def _answers(hosts: Iterator["_Host"], ports: tuple[int, ...]) -> AsyncGenerator[list[Asked], None]:
    """Of each host, as they come. No task group: it would make an error of a generator that is left before its end."""
    running: set[asyncio.Task[list[Asked]]] = set()
    try:
        while True:
            for host in islice(hosts, AT_ONCE_DEVICES - len(running)):
                running.add(asyncio.create_task(host.ask(ports), name="isapi search"))
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class _Host:
    """One host: its ports one after the other, its login once."""

    def __init__(self, http: aiohttp.ClientSession, host: str, login: Login | None) -> None:
        self._http, self._host, self._login = http, host, login
        self._found: list[Asked] = []

    async def ask(self, ports: tuple[int, ...]) -> list[Asked]:
        """What is one of ours, at its ports."""
        for port in ports:
            with suppress(TimeoutError, OSError, ValueError):
                async with asyncio.timeout(PORT_S):
                    await self._port(port)
        return self._found

    async def _port(self, port: int) -> None:
        """As HTTP, where that is none as HTTPS."""
        for scheme in ("https",) if port == _HTTPS else ("http", "https"):
            url = URL.build(scheme=scheme, host=self._host, port=port)
            try:
                await self._url(url)
                return
            except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
                return  # nobody is there
            except aiohttp.ClientError:
                continue

    async def _url(self, url: URL) -> None:
        print_ = await _certificate(url) if url.scheme == "https" else None
        pin = aiohttp.Fingerprint(print_) if print_ is not None else True
        answer = await _get(self._http, url.with_path(PATH), pin)
        if not answer.possible:
            return
        if not answer.certain and (await _get(self._http, url.with_path("/"), pin)).status == 401:
            return  # a login before everything is no sign of ISAPI
        asked = Asked(url, answer, print_.hex() if print_ is not None else None, identity(answer.body))
        self._found.append(asked)
        with suppress(aiohttp.ClientError):
            self._found[-1] = await self._logged_in(asked, pin)

    async def _logged_in(self, asked: Asked, pin: aiohttp.Fingerprint | bool) -> Asked:
        """After the one try that there is on this host, unless it is known to be right."""
        login = self._login
        if login is None or asked.told or asked.answer.inactive or "digest" not in asked.answer.logins:
            return asked
        self._login = None
        site = Site(self._host, str(asked.url), login.user, Secret(login.password))
        async with session(site, SystemClock()) as http:
            answer = await _get(http.session, asked.url.with_path(PATH), pin)
        if answer.status == 401:
            return replace(asked, refused=True)
        self._login = login
        return replace(asked, told=identity(answer.body))


async def _get(http: aiohttp.ClientSession, url: URL, pin: aiohttp.Fingerprint | bool) -> Answer:
    """Its beginning, where it is long. aiohttp.ClientError: there is none."""
    async with http.get(url, allow_redirects=False, ssl=pin) as answer:
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > MOST_BYTES:
                break
        server, challenges = answer.headers.get("Server", ""), answer.headers.getall("WWW-Authenticate", [])
        return Answer(answer.status, server, tuple(challenges), bytes(body[:MOST_BYTES]))


async def _certificate(url: URL) -> bytes:
    """SHA-256 of what it shows; nothing is said to it. Whose it is, the installer knows. OSError: no TLS there."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with asyncio.timeout(CONNECT_S):
        _, writer = await asyncio.open_connection(url.host, url.port)
    try:
        await writer.start_tls(context)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return hashlib.sha256(shown).digest()
