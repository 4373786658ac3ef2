"""Hikvision devices at the addresses given, over HTTP, without their multicast protocol (SADP). Only GETs.

Each port is asked `/ISAPI/System/deviceInfo` without a login; what it refuses that with tells what it is. With user
and password each device is asked once more, and once only: what refuses them is not asked again, at no port of its, as
a few wrong passwords lock the account. A password goes nowhere in the clear (no basic login). (An underscore: no driver.)
"""

import asyncio
import hashlib
import math
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import aiohttp
from yarl import URL

from drivers._http import Site, Tls, ask, session
from drivers._isapi_identity import Answer, Identity, identity
from gateway.clock import SystemClock
from gateway.driver import Found, Search
from gateway.errors import DeviceError, NeedsPerson, Text
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


@dataclass(frozen=True)
class Asked:
    """What came of one port."""

    url: URL
    answer: Answer
    fingerprint: str | None  # SHA-256 of its certificate
    told: Identity | None = None
    refused: bool = False

    @property
    def mark(self) -> str:
        """The same at each port of one device, as far as it told."""
        return self.told.serial if self.told and self.told.serial else self.answer.realm


def search(hosts: Sequence[str], ports: Sequence[int], user: str | None, password: str | None) -> Search:
    """One step for each host. With `user` and `password`, model, serial and firmware are read as well."""
    login = Login(user, password) if user and password else None
    longest_s = math.ceil(len(hosts) / AT_ONCE_DEVICES) * len(ports) * CONNECT_S
    return Search(len(hosts), longest_s, partial(_run, tuple(hosts), tuple(ports), user, login))


async def _run(
    hosts: tuple[str, ...], ports: tuple[int, ...], user: str | None, login: Login | None
) -> AsyncIterator[Found | None]:
    waiting = iter(hosts)
    running: set[asyncio.Task[list[Asked]]] = set()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=AT_ONCE_DEVICES),
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
    ) as http:
        try:
            while True:
                while len(running) < AT_ONCE_DEVICES and (host := next(waiting, None)) is not None:
                    running.add(asyncio.create_task(_Host(http, host, login).ask(ports), name=f"isapi search {host}"))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    for found in _founds(task.result(), user):
                        yield found
                    yield None
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)


class _Host:
    """One host: its ports one after the other, its login once."""

    def __init__(self, http: aiohttp.ClientSession, host: str, login: Login | None) -> None:
        self._http, self._host, self._login = http, host, login

    async def ask(self, ports: tuple[int, ...]) -> list[Asked]:
        """What is one of ours, at its ports."""
        found: list[Asked] = []
        for port in ports:
            with suppress(TimeoutError, OSError, ValueError):
                async with asyncio.timeout(PORT_S):
                    found += await self._port(port)
        return found

    async def _port(self, port: int) -> list[Asked]:
        """As HTTP, where that is none as HTTPS; nothing where nobody answers, or somebody else."""
        for scheme in ("https",) if port == _HTTPS else ("http", "https"):
            url = URL.build(scheme=scheme, host=self._host, port=port)
            try:
                return await self._url(url)
            except aiohttp.ClientConnectorError:
                return []
            except aiohttp.ClientError:
                continue
        return []

    async def _url(self, url: URL) -> list[Asked]:
        print_ = await _certificate(url) if url.scheme == "https" else None
        pin = aiohttp.Fingerprint(print_) if print_ is not None else True
        answer = await self._get(url.with_path(PATH), pin)
        if not answer.possible:
            return []
        if not answer.certain and (await self._get(url.with_path("/"), pin)).status == 401:
            return []  # a login before everything is no sign of ISAPI
        asked = Asked(url, answer, print_.hex() if print_ is not None else None, identity(answer.body))
        return [await self._logged_in(asked)]

    async def _get(self, url: URL, pin: aiohttp.Fingerprint | bool) -> Answer:
        async with self._http.get(url, allow_redirects=False, ssl=pin) as answer:
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > MOST_BYTES:
                    break
            headers = answer.headers
            challenges = tuple(headers.getall("WWW-Authenticate", []))
            return Answer(answer.status, headers.get("Server", ""), challenges, bytes(body[:MOST_BYTES]))

    async def _logged_in(self, asked: Asked) -> Asked:
        """After the one try that there is on this host, refused or not known yet."""
        login = self._login
        if login is None or asked.told or asked.answer.inactive or "digest" not in asked.answer.logins:
            return asked
        tls = Tls(fingerprint=asked.fingerprint) if asked.fingerprint else None
        site = Site(self._host, str(asked.url), login.user, Secret(login.password), tls)
        self._login = None  # until it is known to be right
        try:
            async with session(site, SystemClock()) as http:
                reply = await ask(http, "GET", PATH, most_bytes=MOST_BYTES)
        except NeedsPerson:
            return Asked(asked.url, asked.answer, asked.fingerprint, refused=True)
        except DeviceError:
            return asked
        self._login = login
        return Asked(asked.url, asked.answer, asked.fingerprint, identity(reply.body))


async def _certificate(url: URL) -> bytes:
    """SHA-256 of what it shows. Nothing is said to it: whose it is, the installer sees by the fingerprint.

    aiohttp.ClientError: no TLS.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _, writer = await asyncio.open_connection(url.host, url.port, ssl=context)
    except ssl.SSLError as error:
        raise aiohttp.ClientError(str(error)) from error
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return hashlib.sha256(shown).digest()


# what the installer is told


def _founds(asked: list[Asked], user: str | None) -> list[Found]:
    """One for each device: its further ports stand with the first."""
    devices: list[list[Asked]] = []
    for each in asked:
        same = next((device for device in devices if each.mark and device[0].mark == each.mark), None)
        if same is None:
            devices.append([each])
        else:
            same.append(each)
    return [_found(first, [str(other.url) for other in others], user) for first, *others in devices]


def _found(asked: Asked, others: list[str], user: str | None) -> Found:
    told, what = asked.told, _what(asked)
    if others:
        listed = ", ".join(others)
        what = Text(f"{what.en}; also at {listed}", f"{what.zh};另见 {listed}")
    tls = {"fingerprint": asked.fingerprint} if asked.fingerprint else None
    sure = asked.answer.certain or told is not None
    device = {
        "driver": "isapi",
        "url": str(asked.url.origin()),
        "username": None if asked.refused else user,
        "tls": tls,
        "kind": "door" if told is not None and told.is_door else None,
        "make": "Hikvision" if sure else None,
        "model": told.model if told is not None else None,
    }
    where = f"{asked.url.host_subcomponent}:{asked.url.port}"
    return Found(where, what, {key: value for key, value in device.items() if value})


def _what(asked: Asked) -> Text:
    if asked.told is not None:
        return _identified(asked.told)
    answer = asked.answer
    en, zh = ("Hikvision", "海康威视") if answer.certain else ("perhaps Hikvision or alike", "可能是海康或兼容设备")
    if answer.realm:
        en, zh = f"{en}, {answer.realm}", f"{zh},{answer.realm}"
    if answer.inactive:
        return Text(
            f"{en}; not activated: nobody has given it a password yet, do that first",
            f"{zh};设备未激活:尚未设置密码,请先激活",
        )
    if asked.refused:
        return Text(
            f"{en}; it refuses user and password, which are not tried on it again: too many tries lock the account",
            f"{zh};用户名或密码被拒绝,不再重试:多次错误会锁定账号",
        )
    if "digest" not in answer.logins and "basic" in answer.logins:
        return Text(
            f"{en}; it takes a basic login only, so the password was not sent: switch it to digest (Web Authentication)",
            f"{zh};设备仅支持 basic 认证,未发送密码:请在设备上将 WEB 认证改为 digest",
        )
    return Text(f"{en}; it tells model and serial after a login", f"{zh};登录后可读取型号和序列号")


def _identified(told: Identity) -> Text:
    kind = Text("door controller or intercom", "门禁或可视对讲") if told.is_door else Text("camera", "摄像机")
    if told.is_recorder:
        kind = Text(
            "recorder; its cameras are parts, or devices with channel:", "录像机;各通道为部件,或用 channel: 单列"
        )
    doors = Text(f", doors: {told.doors}", f",{told.doors} 个门") if told.is_door and told.doors else Text("", "")
    serial = f"serial {told.serial}" if told.serial else ""
    en = ", ".join(filter(None, [told.model, told.type, serial, told.firmware]))
    zh = ",".join(filter(None, [told.model, told.type, told.serial and f"序列号 {told.serial}", told.firmware]))
    return Text(f"{en}: {kind.en}{doors.en}", f"{zh}:{kind.zh}{doors.zh}")
