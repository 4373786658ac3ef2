"""How a message goes out: to a WeCom or DingTalk group robot, a web hook, or by e-mail. One small class each.

What the robots answer is their makers' documentation: HTTP 200 with `errcode`, 0 where it was taken. No card number,
no face and no name of a person is in a message: it says what, where, since when, and what is asked.
"""

import base64
import hmac
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote_plus, urlsplit

import aiohttp
import aiosmtplib
from pydantic import SecretStr

from gateway.clock import Clock
from gateway.contacts import Contact, SmtpConfig
from gateway.errors import GatewayError, Text
from gateway.event import NOTHING

TIMEOUT_S = 10.0
WECOM_MINUTE_S = 60.0  # a group robot takes 20 messages a minute
DINGTALK_BAN_S = 600.0  # 20 a minute as well; who sends more is refused for 10 minutes
RETRY_S, PERSON_S = 5.0, 300.0  # first pause after a failure; after one that only a person can put right
LEAST_S = 1.0  # whatever a server says
WECOM_BYTES = 2048  # of a text
ANSWER_BYTES = 65536
_WECOM_OFTEN, _WECOM_KEY = (45009,), (93000, 40058)
_DINGTALK_OFTEN, _DINGTALK_KEY = (130101, 410100), (300001, 300005, 310000)


class Untold(GatewayError):
    """The message did not go out; worth another try after `retry_s` seconds, not earlier."""

    def __init__(self, where: str, what: Text, do: Text | None = None, retry_s: float = RETRY_S) -> None:
        super().__init__(where, what, do)
        self.retry_s = retry_s


@dataclass(frozen=True)
class Message:
    """A title, a few sentences, and the same for machines."""

    title: str
    lines: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=lambda: NOTHING)

    @property
    def text(self) -> str:
        """The title, then a line each."""
        return "\n".join((self.title, *self.lines))


class Target(Protocol):
    """A way to tell somebody."""

    async def send(self, message: Message) -> None:
        """Returns when it was taken. Untold: it was not, and what to do."""


def target(name: str, contact: Contact, clock: Clock) -> Target:
    """The way that a contact names."""
    post = Post(name, contact.ca)
    if contact.wecom is not None:
        return WeCom(name, post, contact.wecom.get_secret_value())
    if contact.dingtalk is not None:
        return DingTalk(name, post, contact.dingtalk.get_secret_value(), _clear(contact.sign), clock)
    if contact.webhook is not None:
        return WebHook(name, post, contact.webhook.get_secret_value(), _clear(contact.key))
    assert contact.smtp is not None  # noqa: S101  # Contact sees to it
    return Mail(name, contact.smtp, contact.mail, contact.ca, clock)


def _clear(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _trust(name: str, ca: Path | None) -> ssl.SSLContext:
    """Whom to trust, read each time: messages are rare, and a new certificate counts at once. Untold."""
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as exc:
        what = Text(f"{ca} holds no certificate: {exc}", f"{ca} 中没有可用的证书:{exc}")
        raise Untold(name, what, retry_s=PERSON_S) from exc


@dataclass(frozen=True)
class Post:
    """One POST of JSON, on a connection of its own: they are rare."""

    name: str
    ca: Path | None

    async def json(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str] = NOTHING) -> bytes:
        """The answer's body, where it is 2xx. Untold."""
        return await self.raw(url, _packed(body), headers)

    async def raw(self, url: str, body: bytes, headers: Mapping[str, str] = NOTHING) -> bytes:
        """The same, of bytes that are packed already."""
        kind = {"Content-Type": "application/json; charset=utf-8"}
        limit, trust = aiohttp.ClientTimeout(total=TIMEOUT_S), _trust(self.name, self.ca)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, trust_env=True) as session,
                session.post(url, data=body, headers={**kind, **headers}, ssl=trust, allow_redirects=False) as answer,
            ):
                text = await answer.content.read(ANSWER_BYTES)
                if not answer.ok or answer.status >= 300:
                    raise self._refused(answer)
                return text
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            host = urlsplit(url).hostname  # never the whole address: its key is a password
            why = _why(exc)
            raise Untold(
                self.name,
                Text(f"{host} cannot be reached ({why})", f"无法连接 {host}({why})"),
                Text("check the network and the address", "请检查网络和地址"),
            ) from exc

    def _refused(self, answer: aiohttp.ClientResponse) -> Untold:
        status, told = answer.status, answer.headers.get("Retry-After", "")
        often = status == 429 or status >= 500
        wait_s = min(max(float(told), LEAST_S), PERSON_S) if told.isdigit() else RETRY_S
        return Untold(
            self.name,
            Text(f"the server answered HTTP {status}", f"服务器返回 HTTP {status}"),
            None if often else Text("check the address and its key", "请检查地址和密钥"),
            wait_s if often else PERSON_S,
        )


def _packed(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _why(exc: Exception) -> str:
    """The system's word where there is one; never the error's own text, which may hold the address with its key."""
    inner = getattr(exc, "os_error", exc)
    return getattr(inner, "strerror", None) or getattr(inner, "verify_message", None) or type(exc).__name__


@dataclass(frozen=True)
class WeCom:
    """A group robot of WeCom (企业微信群机器人)."""

    name: str
    post: Post
    url: str

    async def send(self, message: Message) -> None:
        """As text. Untold."""
        content = message.text.encode()[:WECOM_BYTES].decode("utf-8", "ignore")
        answer = await self.post.json(self.url, {"msgtype": "text", "text": {"content": content}})
        _taken(self.name, answer, _WECOM_OFTEN, _WECOM_KEY, WECOM_MINUTE_S)


@dataclass(frozen=True)
class DingTalk:
    """A robot of a DingTalk group (钉钉自定义机器人); with its 加签 secret where it has one."""

    name: str
    post: Post
    url: str
    sign: str | None
    clock: Clock

    async def send(self, message: Message) -> None:
        """As text. Untold."""
        url = self.url if self.sign is None else self._signed(self.sign, int(self.clock.utc().timestamp() * 1000))
        answer = await self.post.json(url, {"msgtype": "text", "text": {"content": message.text}})
        _taken(self.name, answer, _DINGTALK_OFTEN, _DINGTALK_KEY, DINGTALK_BAN_S)

    def _signed(self, secret: str, time_ms: int) -> str:
        """The maker's rule: base64 of HMAC-SHA256 over `{time}\\n{secret}`, keyed by the secret; within an hour."""
        digest = hmac.digest(secret.encode(), f"{time_ms}\n{secret}".encode(), "sha256")
        joint = "&" if "?" in self.url else "?"
        return f"{self.url}{joint}timestamp={time_ms}&sign={quote_plus(base64.b64encode(digest))}"


def _taken(name: str, answer: bytes, often: tuple[int, ...], keys: tuple[int, ...], pause_s: float) -> None:
    """Untold: the robot's `errcode` is not 0."""
    try:
        said = json.loads(answer)
        code, why = int(said["errcode"]), str(said.get("errmsg", ""))[:200]
    except (ValueError, KeyError, TypeError, AttributeError):
        what = Text("the answer is not that of a group robot", "应答不是群机器人的格式")
        raise Untold(name, what, Text("check the address", "请检查地址"), PERSON_S) from None
    if code == 0:
        return
    if code in often:
        raise Untold(name, Text(f"too many messages ({code})", f"消息过于频繁({code})"), retry_s=pause_s)
    do = Text(
        "check the robot's address, its sign: secret, its keywords and its allowed addresses",
        "请检查机器人地址、加签密钥 sign:、关键词(每条消息都含“报警”)和 IP 白名单",
    )
    what = Text(f"the robot refused it: {code} {why}", f"机器人拒绝:{code} {why}")
    raise Untold(name, what, do if code in keys else None, PERSON_S if code in keys else RETRY_S)


@dataclass(frozen=True)
class WebHook:
    """Any server that takes JSON: `title`, `text`, and the facts."""

    name: str
    post: Post
    url: str
    key: str | None

    async def send(self, message: Message) -> None:
        """Signed where there is a key: `X-Signature-256: sha256=<hex HMAC-SHA256 of the body>`. Untold."""
        body = _packed({"title": message.title, "text": message.text, **message.facts})
        signed = {} if self.key is None else {"X-Signature-256": self._signature(self.key, body)}
        await self.post.raw(self.url, body, signed)

    @staticmethod
    def _signature(key: str, body: bytes) -> str:
        return "sha256=" + hmac.digest(key.encode(), body, "sha256").hex()


@dataclass(frozen=True)
class Mail:
    """E-mail by SMTP; no attachments."""

    name: str
    smtp: SmtpConfig
    to: tuple[str, ...]
    ca: Path | None
    clock: Clock

    async def send(self, message: Message) -> None:
        """To all of them, in one e-mail. Untold, also where the server takes only some of the addresses."""
        smtp, (host, port) = self.smtp, self.smtp.server
        secret = None if smtp.password is None else smtp.password.get_secret_value()
        trust = None if smtp.security == "none" else _trust(self.name, self.ca)
        try:
            refused, _ = await aiosmtplib.send(
                self._letter(message),
                hostname=host,
                port=port,
                username=smtp.username,
                password=secret,
                use_tls=smtp.security == "tls",
                start_tls=smtp.security == "starttls",
                tls_context=trust,
                timeout=TIMEOUT_S,
            )
        except (aiosmtplib.SMTPException, OSError) as exc:
            raise self._failed(exc) from exc
        if refused:
            names = ", ".join(refused)
            raise Untold(self.name, Text(f"not taken for {names}", f"邮件服务器拒收:{names}"), retry_s=PERSON_S)

    def _letter(self, message: Message) -> EmailMessage:
        letter = EmailMessage()
        letter["From"], letter["To"] = self.smtp.sender, ", ".join(self.to)
        letter["Subject"], letter["Date"] = message.title, format_datetime(self.clock.utc().astimezone())
        letter.set_content(message.text)
        return letter

    def _failed(self, exc: Exception) -> Untold:
        host, port = self.smtp.server
        if isinstance(exc, aiosmtplib.SMTPAuthenticationError):
            do = Text("check username: and password: (often a code of its own)", "请检查用户名和密码(常为授权码)")
            return Untold(self.name, Text(f"{host} refused the password", f"{host} 拒绝登录"), do, PERSON_S)
        why = " ".join(str(exc).split())[:200] or type(exc).__name__
        if isinstance(exc, aiosmtplib.SMTPRecipientsRefused | aiosmtplib.SMTPResponseException):
            what = Text(f"{host} did not take it: {why}", f"{host} 拒收:{why}")
            return Untold(self.name, what, retry_s=PERSON_S)
        do = Text("check server:, security: and ca:", "请检查 server:、security: 和 ca:")
        return Untold(self.name, Text(f"{host}:{port} cannot be used: {why}", f"无法使用 {host}:{port}:{why}"), do)
