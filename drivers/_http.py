"""HTTP towards a device: login (RFC 7616 digest, RFC 7617 basic where it offers nothing better), TLS, errors.

A device's certificate is checked against an authority or pinned by its fingerprint; checking is never switched off.
A refused login is told at once and not tried again here, as cameras lock the account after a few wrong passwords.
Every answer has to begin in time and has a largest size.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Annotated, NamedTuple, cast

import aiohttp
from aiohttp.client_middleware_digest_auth import DigestAuthMiddleware
from multidict import CIMultiDict
from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from yarl import URL

from drivers._http_tls import Dated
from gateway.clock import Clock
from gateway.errors import DeviceError, Misconfigured, NeedsPerson, Text, Unreachable
from gateway.fields import File, Model, Secret, Wrong

CONNECT_TIMEOUT_S = 10.0
ANSWER_S = 15.0  # from the request to the end of the answer's header; twice, where a login comes in between
REPLY_BYTES = 1024 * 1024
CONNECTIONS = 6  # to one device at once: the stream, a search, and commands
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _parse_url(value: object) -> str:
    """`http://host[:port]` or `https://host[:port]`, nothing more."""
    try:
        url = URL(value if isinstance(value, str) else "")
        good = url.scheme in ("http", "https") and bool(url.host) and url.raw_path == "/" and url.port is not None
    except ValueError:
        good = False
    if not good or url.user is not None or url.query_string or url.fragment:
        raise Wrong(
            '"http://host" or "https://host" is needed, without path, user or password, e.g. "http://192.0.2.64"',
            '需要 "http://主机" 或 "https://主机",不带路径、用户名和密码,例如 "http://192.0.2.64"',
        )
    return str(url.origin())


def _parse_fingerprint(text: str) -> str:
    digits = text.replace(":", "").lower()
    if not _SHA256.fullmatch(digits):
        raise Wrong(
            "64 hexadecimal digits are needed (SHA-256), with or without colons",
            "需要 64 位十六进制数字(SHA-256),可带冒号",
        )
    return digits


DeviceUrl = Annotated[str, BeforeValidator(_parse_url, json_schema_input_type=str)]
Fingerprint = Annotated[str, AfterValidator(_parse_fingerprint)]


class Tls(Model):
    """How the device's certificate is checked; without this, against the system's authorities."""

    ca: File | None = Field(None, description="PEM file of the authority that signed the device's certificate")
    fingerprint: Fingerprint | None = Field(None, description="SHA-256 of the device's own certificate, 64 hex digits")

    @model_validator(mode="after")
    def _one_way(self) -> "Tls":
        if (self.ca is None) == (self.fingerprint is None):
            raise Wrong(
                "either ca: FILE or fingerprint: SHA-256 of the certificate",
                "ca: 文件 与 fingerprint: 证书的 SHA-256,二者写一个",
            )
        return self


class Site(NamedTuple):
    """A device's address and how to log in there."""

    where: str  # the device's id, for error messages
    url: str
    username: str
    password: Secret
    tls: Tls | None = None
    answer_s: float = ANSWER_S


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = ""


@dataclass(frozen=True)
class Http:
    """A device's site with its session; each request checks certificates as the clock allows."""

    site: Site
    session: aiohttp.ClientSession
    trust: Dated | aiohttp.Fingerprint | None

    @property
    def ssl(self) -> ssl.SSLContext | aiohttp.Fingerprint | bool:
        """What aiohttp takes for the next request."""
        if self.trust is None:
            return True
        return self.trust.now() if isinstance(self.trust, Dated) else self.trust


class _Offer(NamedTuple):
    """The one thing the digest middleware reads of a 401, with the digest challenge first."""

    status: int
    headers: CIMultiDict[str]
    url: URL


class _Digest(DigestAuthMiddleware):
    """aiohttp's middleware reads the first challenge only; a device may put Basic before Digest."""

    def _authenticate(self, response: aiohttp.ClientResponse) -> bool:
        offers = response.headers.getall("WWW-Authenticate", [])
        digest = [offer for offer in offers if offer.lower().startswith("digest ")]
        offer = _Offer(response.status, CIMultiDict([("WWW-Authenticate", (digest or [""])[0])]), response.url)
        return super()._authenticate(cast(aiohttp.ClientResponse, offer))


def tls_of(site: Site, clock: Clock) -> Dated | aiohttp.Fingerprint | None:
    """How its certificate is checked, if it has one. Misconfigured: the authority's file cannot be read."""
    if not site.url.startswith("https:") and site.tls is None:
        return None
    if site.tls is None:
        return Dated(ssl.create_default_context(), clock)
    if site.tls.fingerprint is not None:
        return aiohttp.Fingerprint(bytes.fromhex(site.tls.fingerprint))
    try:
        return Dated(ssl.create_default_context(cafile=site.tls.ca), clock)
    except (OSError, ssl.SSLError) as exc:
        raise Misconfigured(
            site.where,
            Text(f"tls.ca {site.tls.ca} cannot be used: {exc}", f"tls.ca {site.tls.ca} 无法使用:{exc}"),
            Text("give a readable PEM file", "请提供可读取的 PEM 文件"),
        ) from exc


@asynccontextmanager
async def session(site: Site, clock: Clock) -> AsyncIterator[Http]:
    """A session of one device: no cookies, no proxies, no kept connections (a leaked one blocks the next stream)."""
    digest = _Digest(site.username, site.password.get_secret_value())
    connector = aiohttp.TCPConnector(force_close=True, limit=CONNECTIONS)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
    async with aiohttp.ClientSession(
        site.url,
        connector=connector,
        timeout=timeout,
        middlewares=(digest,),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,  # a small answer must not become a large one
    ) as http:
        yield Http(site, http, tls_of(site, clock))


@asynccontextmanager
async def get(http: Http, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """GET with login; the answer's status is 200 or 404. NeedsPerson: refused. Unreachable: anything else."""
    async with _opened(http, "GET", path) as answer:
        yield _checked(answer, http.site)


async def ask(
    http: Http, method: str, path: str, body: bytes | None = None, most_bytes: int = REPLY_BYTES, kind: str = ""
) -> Reply:
    """One request and its whole answer, whatever its status. NeedsPerson: login refused. Unreachable: no answer.

    A body of no `kind` (media type) that begins with `{` is sent as JSON, any other as XML.
    """
    named = kind or ("application/json" if (body or b"")[:1] == b"{" else "application/xml")
    headers = {"Content-Type": named} if body else {}
    async with _opened(http, method, path, body, headers) as answer:
        if answer.status == 401:
            _checked(answer, http.site)
        async with asyncio.timeout(http.site.answer_s):
            whole = await _whole(answer, most_bytes)
        if whole is None:
            raise Unreachable(
                http.site.where,
                Text(f"{path} is answered with more than {most_bytes} bytes", f"{path} 的应答超过 {most_bytes} 字节"),
            )
        return Reply(answer.status, whole, answer.content_type)


async def _whole(answer: aiohttp.ClientResponse, most_bytes: int) -> bytes | None:
    """The body; None where it is larger."""
    held = bytearray()
    async for chunk in answer.content.iter_any():
        held += chunk
        if len(held) > most_bytes:
            return None
    return bytes(held)


@asynccontextmanager
async def _opened(
    http: Http, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> AsyncIterator[aiohttp.ClientResponse]:
    """An answer whose header is there; with digest login, with basic where the device offers nothing better."""
    site, known = http.site, headers or {}
    with told(site):
        async with AsyncExitStack() as stack:

            async def open_(more: dict[str, str]) -> aiohttp.ClientResponse:
                request = http.session.request(
                    method, path, data=body, headers=known | more, allow_redirects=False, ssl=http.ssl
                )
                async with asyncio.timeout(site.answer_s):
                    return await stack.enter_async_context(request)

            answer = await open_({})
            offers = [offer.partition(" ")[0].lower() for offer in answer.headers.getall("WWW-Authenticate", [])]
            if answer.status == 401 and "digest" not in offers and "basic" in offers:
                answer.close()
                secret = site.password.get_secret_value()
                answer = await open_({"Authorization": aiohttp.encode_basic_auth(site.username, secret, "utf-8")})
            yield answer


def _checked(answer: aiohttp.ClientResponse, site: Site) -> aiohttp.ClientResponse:
    status = answer.status
    if status == 401:
        raise NeedsPerson(
            site.where,
            Text(f"{site.url} refuses user {site.username}", f"{site.url} 拒绝用户 {site.username} 登录"),
            Text(
                "check username and password; too many tries lock the account for a while",
                "请核对用户名和密码;多次错误会使账号被锁定一段时间",
            ),
        )
    if status == 403:
        raise NeedsPerson(
            site.where,
            Text(f"{site.url}: user {site.username} may not do this", f"{site.url}:用户 {site.username} 没有权限"),
            Text("give the user the right to be notified of events", "请在设备上授予该用户报警上传(通知)权限"),
        )
    if status not in (200, 404):
        raise Unreachable(
            site.where,
            Text(f"{site.url} answers HTTP {status}", f"{site.url} 返回 HTTP {status}"),
            Text("it is tried again; restart the device if this stays", "将自动重试;若持续如此请重启设备"),
        )
    return answer


@contextmanager
def told(site: Site) -> Iterator[None]:
    """What aiohttp raises becomes one of ours, most specific first."""
    try:
        yield
    except aiohttp.ServerFingerprintMismatch as exc:
        raise _certificate(site, f"its certificate is now {exc.got.hex()}", f"证书指纹现为 {exc.got.hex()}") from exc
    except aiohttp.ClientConnectorCertificateError as exc:
        raise _certificate(site, str(exc.certificate_error), str(exc.certificate_error)) from exc
    except aiohttp.ClientConnectorError as exc:
        raise _unreachable(site, Text(str(exc.os_error), str(exc.os_error))) from exc
    except (TimeoutError, aiohttp.ClientError) as exc:
        raise _unreachable(site, Text(str(exc) or "no answer in time", str(exc) or "超时")) from exc


def _certificate(site: Site, en: str, zh: str) -> DeviceError:
    return NeedsPerson(
        site.where,
        Text(f"{site.url} cannot be trusted: {en}", f"{site.url} 不可信:{zh}"),
        Text(
            "if the device was changed, put its new fingerprint or authority under tls:",
            "若设备已更换,请在 tls: 下填写新的指纹或 CA",
        ),
    )


def _unreachable(site: Site, why: Text) -> DeviceError:
    return Unreachable(
        site.where,
        Text(f"{site.url} does not answer: {why.en}", f"{site.url} 无应答:{why.zh}"),
        Text("check power, cable and address", "请检查电源、网线和地址"),
    )
