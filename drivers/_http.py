"""HTTP towards a device: login (RFC 7616 digest, RFC 7617 basic where it offers nothing better), TLS, errors.

A device's certificate is checked against an authority or pinned by its fingerprint; checking is never switched off.
A refused login is told at once and not tried again here, as cameras lock the account after a few wrong passwords.
"""

import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, NamedTuple, cast

import aiohttp
from aiohttp.client_middleware_digest_auth import DigestAuthMiddleware
from multidict import CIMultiDict
from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from yarl import URL

from gateway.errors import DeviceError, Misconfigured, NeedsPerson, Text, Unreachable
from gateway.fields import File, Model, Secret, Wrong

CONNECT_TIMEOUT_S = 10.0
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


def tls_of(site: Site) -> ssl.SSLContext | aiohttp.Fingerprint | bool:
    """What aiohttp takes as `ssl`. Misconfigured: the authority's file cannot be read."""
    if site.tls is None:
        return True
    if site.tls.fingerprint is not None:
        return aiohttp.Fingerprint(bytes.fromhex(site.tls.fingerprint))
    try:
        return ssl.create_default_context(cafile=site.tls.ca)
    except (OSError, ssl.SSLError) as exc:
        raise Misconfigured(
            site.where,
            Text(f"tls.ca {site.tls.ca} cannot be used: {exc}", f"tls.ca {site.tls.ca} 无法使用:{exc}"),
            Text("give a readable PEM file", "请提供可读取的 PEM 文件"),
        ) from exc


@asynccontextmanager
async def session(site: Site) -> AsyncIterator[aiohttp.ClientSession]:
    """A session of one device: no cookies, no proxies, no kept connections (a leaked one blocks the next stream)."""
    digest = _Digest(site.username, site.password.get_secret_value())
    connector = aiohttp.TCPConnector(force_close=True, ssl=tls_of(site), limit=4)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
    async with aiohttp.ClientSession(
        site.url, connector=connector, timeout=timeout, middlewares=(digest,), cookie_jar=aiohttp.DummyCookieJar()
    ) as http:
        yield http


@asynccontextmanager
async def get(http: aiohttp.ClientSession, site: Site, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """GET with login; the answer's status is 200 or 404. NeedsPerson: refused. Unreachable: anything else."""
    with told(site):
        async with http.get(path, allow_redirects=False) as answer:
            offers = [offer.partition(" ")[0].lower() for offer in answer.headers.getall("WWW-Authenticate", [])]
            if answer.status != 401 or "digest" in offers or "basic" not in offers:
                yield _checked(answer, site)
                return
        basic = {"Authorization": aiohttp.encode_basic_auth(site.username, site.password.get_secret_value(), "utf-8")}
        async with http.get(path, allow_redirects=False, headers=basic) as answer:
            yield _checked(answer, site)


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
