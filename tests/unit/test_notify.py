"""Messages on real wires: a server that answers as the robots do, and a real SMTP server."""

import asyncio
import base64
import hmac
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from gateway.clock import SystemClock
from gateway.contacts import Contact
from gateway.notify import DINGTALK_BAN_S, PERSON_S, WECOM_BYTES, WECOM_MINUTE_S, Message, Untold, target
from tests.brokers import free_port

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it is inside TLS already
MESSAGE = Message("【报警】感烟火警 3号楼", ("已 3 分钟无人确认。", "请立即到现场核实。"), {"count": 2})


@dataclass
class Robot:
    """The other end: keeps what came, answers as told."""

    status: int = 200
    answer: Any = field(default_factory=lambda: {"errcode": 0, "errmsg": "ok"})
    headers: dict[str, str] = field(default_factory=dict)
    came: list[tuple[web.Request, bytes]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        """One POST."""
        self.came.append((request, await request.read()))
        return web.json_response(self.answer, status=self.status, headers=self.headers)


@pytest.fixture
async def robot() -> AsyncIterator[Robot]:
    robot, app = Robot(), web.Application()
    app.router.add_post("/send", robot.take)
    async with TestServer(app) as server:
        robot.url = str(server.make_url("/send?key=secret-key"))
        yield robot


async def send(**contact: Any) -> None:
    """By a contact of this kind."""
    await target("群", Contact.model_validate(contact), SystemClock()).send(MESSAGE)


async def refused(**contact: Any) -> Untold:
    """The same, and it goes wrong."""
    with pytest.raises(Untold) as caught:
        await send(**contact)
    return caught.value


# --- group robots


async def test_a_wecom_robot_gets_a_text(robot: Robot) -> None:
    await send(wecom=robot.url)
    ((request, body),) = robot.came
    assert request.query["key"] == "secret-key"
    assert json.loads(body) == {"msgtype": "text", "text": {"content": MESSAGE.text}}


async def test_what_is_too_long_for_wecom_ends_at_a_whole_character(robot: Robot) -> None:
    long = Message("【报警】", ("火" * WECOM_BYTES,))
    await target("群", Contact.model_validate({"wecom": robot.url}), SystemClock()).send(long)
    content = json.loads(robot.came[0][1])["text"]["content"]
    assert WECOM_BYTES - 3 < len(content.encode()) <= WECOM_BYTES


async def test_a_dingtalk_robot_gets_a_signed_text(robot: Robot) -> None:
    await send(dingtalk=robot.url, sign="SEC123")
    ((request, body),) = robot.came
    assert json.loads(body) == {"msgtype": "text", "text": {"content": MESSAGE.text}}
    signed = f"{request.query['timestamp']}\nSEC123".encode()
    assert base64.b64decode(request.query["sign"]) == hmac.digest(b"SEC123", signed, "sha256")
    assert request.query["key"] == "secret-key"


@pytest.mark.parametrize(
    ("kind", "code", "retry_s", "said"),
    [
        ("wecom", 45009, WECOM_MINUTE_S, "too many messages"),
        ("wecom", 93000, PERSON_S, "check the robot's address"),
        ("dingtalk", 130101, DINGTALK_BAN_S, "too many messages"),
        ("dingtalk", 310000, PERSON_S, "check the robot's address, its sign: secret"),
        ("dingtalk", -1, 5.0, "refused it: -1 oops"),
    ],
)
async def test_an_error_comes_with_http_200(robot: Robot, kind: str, code: int, retry_s: float, said: str) -> None:
    robot.answer = {"errcode": code, "errmsg": "oops"}
    error = await refused(**{kind: robot.url})
    assert error.retry_s == retry_s
    assert said in error.say("en")
    assert error.say("zh-CN").startswith("群: ")


@pytest.mark.parametrize("answer", [[], "ok", {"code": 0}, {"errcode": "?"}, None])
async def test_an_answer_that_is_no_robots_is_told(robot: Robot, answer: Any) -> None:
    robot.answer = answer
    assert "not that of a group robot" in (await refused(wecom=robot.url)).say("en")


# --- web hooks


async def test_a_web_hook_gets_signed_json(robot: Robot) -> None:
    await send(webhook=robot.url, key="between us")
    ((request, body),) = robot.came
    assert json.loads(body) == {"title": MESSAGE.title, "text": MESSAGE.text, "count": 2}
    assert request.headers["X-Signature-256"] == "sha256=" + hmac.digest(b"between us", body, "sha256").hex()
    await send(webhook=robot.url)
    assert "X-Signature-256" not in robot.came[1][0].headers


@pytest.mark.parametrize(
    ("status", "headers", "retry_s"),
    [(404, {}, PERSON_S), (302, {"Location": "/send"}, PERSON_S), (503, {}, 5.0), (429, {"Retry-After": "17"}, 17.0)],
)
async def test_what_a_server_refuses_is_told(
    robot: Robot, status: int, headers: dict[str, str], retry_s: float
) -> None:
    robot.status, robot.headers = status, headers
    error = await refused(webhook=robot.url)
    assert error.retry_s == retry_s
    assert str(status) in error.say("zh")
    assert len(robot.came) == 1  # it follows nobody elsewhere


async def test_nobody_there_is_told_without_the_key() -> None:
    error = await refused(wecom=f"http://127.0.0.1:{free_port()}/send?key=secret-key")
    assert "127.0.0.1 cannot be reached" in error.say("en")
    assert "secret-key" not in error.say("en") + error.say("zh")


# --- e-mail


@dataclass
class Post:
    """What a mail server took."""

    port: int
    letters: list[Envelope] = field(default_factory=list)
    refuses: str = ""

    async def handle_RCPT(self, _s: Any, _n: Any, envelope: Envelope, address: str, _o: Any) -> str:  # noqa: N802
        """One address."""
        if address == self.refuses:
            return "550 no such box"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        """One letter."""
        self.letters.append(envelope)
        return "250 taken"


def _login(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"gw", b"right"), handled=False)


@asynccontextmanager
async def post(folder: Path, *, tls: str) -> AsyncIterator[Post]:
    """A mail server with the certificate of an authority whose certificate is in `folder/ca.pem`."""
    authority, trust = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(trust)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    made, upgrades = Post(free_port()), tls == "starttls"

    def serve() -> SMTP:
        return SMTP(
            made,
            loop=asyncio.get_running_loop(),
            tls_context=trust if upgrades else None,
            require_starttls=upgrades,
            authenticator=_login,
            auth_required=tls != "none",
            auth_require_tls=upgrades,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(serve, "127.0.0.1", made.port, ssl=trust if tls == "tls" else None)
    async with server:
        yield made


def mail(folder: Path, port: int, security: str, **smtp: Any) -> dict[str, Any]:
    """The contact."""
    own = {"server": f"127.0.0.1:{port}", "security": security, "sender": "gw@example.com", **smtp}
    return {"mail": ["a@example.com", "b@example.com"], "smtp": own, "ca": folder / "ca.pem"}


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
async def test_a_letter_arrives(tmp_path: Path, security: str) -> None:
    login = {} if security == "none" else {"username": "gw", "password": "right"}
    async with post(tmp_path, tls=security) as made:
        await send(**mail(tmp_path, made.port, security, **login))
    (letter,) = made.letters
    assert letter.rcpt_tos == ["a@example.com", "b@example.com"]
    assert isinstance(letter.content, bytes)
    read = message_from_bytes(letter.content, policy=policy.default)
    assert (read["Subject"], read["From"]) == (MESSAGE.title, "gw@example.com")
    assert read.get_content().split() == MESSAGE.text.split()
    assert not list(read.iter_attachments())


async def test_a_wrong_password_asks_for_a_person(tmp_path: Path) -> None:
    async with post(tmp_path, tls="starttls") as made:
        error = await refused(**mail(tmp_path, made.port, "starttls", username="gw", password="wrong"))
    assert error.retry_s == PERSON_S
    assert "refused the password" in error.say("en")


async def test_an_address_that_is_refused_is_named(tmp_path: Path) -> None:
    async with post(tmp_path, tls="none") as made:
        made.refuses = "b@example.com"
        error = await refused(**mail(tmp_path, made.port, "none"))
    assert "not taken for b@example.com" in error.say("en")


async def test_a_certificate_of_nobody_known_is_refused(tmp_path: Path) -> None:
    async with post(tmp_path, tls="tls") as made:
        contact = mail(tmp_path, made.port, "tls", username="gw", password="right")
        trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
        error = await refused(**contact)
    assert "check server:, security: and ca:" in error.say("en")
    assert made.letters == []
