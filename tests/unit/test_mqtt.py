"""Connecting, and everything it can meet: each with its class, and a sentence in both languages on what to do."""

import asyncio
import datetime as dt
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from iotcore import Broker

from gateway import mqtt
from gateway.errors import LinkError, LinkRefused, ProtocolRefused
from gateway.mqtt import Session, Target
from tests.brokers import Mosquitto, Wire, free_port, subscribed
from tests.rig import rig, running

PASSED = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


async def refused(target: Target) -> LinkError:
    """What connecting fails with; checks that it says where, what, why and what to do, in both languages."""
    with pytest.raises(LinkError) as caught:
        async with asyncio.timeout(10), Session(target, lambda mid, reason: None):
            pass
    error = caught.value
    assert error.where == target.name
    assert error.do is not None
    for text in (error.what, error.do):
        assert text.en
        assert any("一" <= letter <= "鿿" for letter in text.zh)
    return error


def to(port: int, host: str = "127.0.0.1", **more: object) -> Target:
    """A target on loopback."""
    return Target(host, port, "gw-0001", **more)  # type: ignore[arg-type]


@asynccontextmanager
async def peer(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]) -> AsyncIterator[int]:
    """Something that listens and is no broker."""
    held: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        await reader.read(10)
        serve(reader, writer)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in held:
            writer.transport.abort()


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No patience."""
    monkeypatch.setattr(mqtt, "CONNACK_TIMEOUT_S", 0.05)
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.1)


# nobody there


async def test_a_port_that_is_closed() -> None:
    error = await refused(to(free_port()))
    assert not isinstance(error, LinkRefused)
    assert "refused" in error.what.en
    assert "port" in error.say("en")


async def test_a_host_that_nobody_knows() -> None:
    error = await refused(to(1883, "no-such-host.invalid"))
    assert error.what.en == "the host name is not known"
    assert "DNS" in error.say("zh")


@pytest.mark.parametrize("host", ["a" * 64 + ".invalid", "a..b", ""])
async def test_a_host_that_is_no_name(host: str) -> None:
    await refused(to(1883, host))


async def test_a_host_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    async with peer(lambda reader, writer: None) as port:
        error = await refused(to(port))
    assert error.what.en == "no answer"
    assert "firewall" in error.say("en")


async def test_a_host_that_drops_what_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queue of connections is full (listen(2)): the kernel lets the next one wait."""
    quick(monkeypatch)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        error = await refused(to(full.getsockname()[1]))
    assert error.what.en == "no answer"


async def test_a_broker_that_closes_before_it_answers() -> None:
    async with Wire(free_port()) as wire:
        wire.cut()
        error = await refused(to(wire.port))
    assert type(error) is LinkError
    assert isinstance(error.__cause__, ConnectionResetError)


async def test_something_else_on_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    async with peer(lambda reader, writer: writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        assert type(await refused(to(port))) is LinkError


# TLS


@asynccontextmanager
async def secured(folder: Path, authority: trustme.CA, leaf: trustme.LeafCert, *options: str) -> AsyncIterator[int]:
    """mosquitto with this certificate."""
    authority.cert_pem.write_to_path(folder / "ca.pem")
    leaf.cert_chain_pems[0].write_to_path(folder / "server.pem")
    leaf.private_key_pem.write_to_path(folder / "server.key")
    files = [f"cafile {folder}/ca.pem", f"certfile {folder}/server.pem", f"keyfile {folder}/server.key"]
    async with Mosquitto(folder, "allow_anonymous true", *files, *options) as broker:
        yield broker.port


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """A client that trusts it."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with secured(tmp_path, authority, authority.issue_cert("localhost", not_after=PASSED)) as port:
        error = await refused(to(port, "localhost", tls=trusting(authority)))
    assert isinstance(error, LinkRefused)
    assert "expired" in error.what.en
    assert "clock" in error.say("en")


async def test_a_certificate_of_somebody_else(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with secured(tmp_path, authority, authority.issue_cert("localhost")) as port:
        stranger = await refused(to(port, "localhost", tls=trusting(trustme.CA())))
        name = await refused(to(port, "127.0.0.1", tls=trusting(authority)))
    for error in (stranger, name):
        assert isinstance(error, LinkRefused)
        assert "tls.ca" in error.say("en")
    assert "127.0.0.1" in name.what.en


async def test_a_broker_that_wants_our_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with secured(tmp_path, authority, authority.issue_cert("localhost"), "require_certificate true") as port:
        error = await refused(to(port, "localhost", tls=trusting(authority)))
    assert isinstance(error, LinkRefused)
    assert "tls.cert" in error.say("en")


async def test_tls_where_none_is_spoken(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        error = await refused(to(broker.port, tls=trusting(trustme.CA())))
    assert "TLS" in error.say("en")
    assert "TLS" in error.say("zh")


async def test_none_where_tls_is_spoken(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with secured(tmp_path, authority, authority.issue_cert("localhost")) as port:
        error = await refused(to(port))
    assert "mqtts" in error.say("en")


# the broker's own no


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    """A password file of mosquitto's."""
    path = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(path), "gw-0001", "right"], check=True)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_wrong_password(tmp_path: Path, passwords: Path, protocol: str) -> None:
    async with Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}") as broker:
        error = await refused(to(broker.port, username="gw-0001", password="wrong", protocol=protocol))
        assert isinstance(error, LinkRefused)
        assert "password" in error.say("en")
        async with Session(
            to(broker.port, username="gw-0001", password="right", protocol=protocol), lambda *_: None
        ) as session:
            assert session.opened.window > 0


@pytest.mark.parametrize("answer", ["20 03 00 84 00", "20 02 00 01"])  # CONNACK as MQTT 5.0, 3.2, and as 3.1.1 has it
async def test_a_version_that_is_not_spoken(answer: str) -> None:
    async with peer(lambda reader, writer: writer.write(bytes.fromhex(answer))) as port:
        error = await refused(to(port))
    assert isinstance(error, ProtocolRefused)
    assert 'protocol: "3.1.1"' in error.say("en")
    assert 'protocol: "3.1.1"' in error.say("zh")


# a broker of an older day


@pytest.fixture
def old_broker() -> Iterator[int]:
    """iotcore's own broker, which speaks 3.1.1 only unless it is told otherwise."""
    with Broker(port=free_port(), listen="127.0.0.1") as broker:
        yield broker.port


async def test_auto_goes_on_in_3_1_1(tmp_path: Path, old_broker: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with rig(tmp_path, "district") as made, subscribed(old_broker) as district:
        uplink = made.uplink("district", lambda protocol: to(old_broker, protocol=protocol), "auto")
        async with running(made, uplink):
            ids = [await made.accept("access.granted") for _ in range(100)]
            await district.until(lambda: len(district.events()) == 100)
        assert [event["id"] for event in district.events()] == ids
        assert [int(event["sequence"]) for event in district.events()] == list(range(1, 101))
        assert json.loads(bytes(district.messages[0].payload))["state"] == "online"
    assert sum("connected to" in record.getMessage() for record in caplog.records) == 1
    assert sum(record.levelname == "WARNING" for record in caplog.records) == 1  # told once


# what comes in pieces

REASON = "no matching ACL rule, ask your administrator for the right to publish on this topic; " * 2
LONG = (0x1F).to_bytes(1) + len(REASON).to_bytes(2, "big") + REASON.encode()  # MQTT 5.0, 3.4.2.2.2: reason string
REFUSAL = b"\x00\x01\x87" + b"\xaf\x01" + LONG  # the length of its properties, 175, is two bytes
PUBACKS = {
    "bare": (bytes.fromhex("40 02 00 01"), 0),
    "with a reason": (bytes.fromhex("40 04 00 01 87 00"), 0x87),
    "with a long reason": (b"\x40\xb4\x01" + REFUSAL, 0x87),
}


@pytest.mark.parametrize("name", PUBACKS)
@pytest.mark.parametrize("cut", [1, 2, 3, 4])
async def test_a_confirmation_in_pieces_is_one(name: str, cut: int) -> None:
    """TCP cuts where it likes; each confirmation is heard, also those behind it."""
    packet, reason = PUBACKS[name]
    pieces = [packet[:cut], packet[cut:] + bytes.fromhex("d0 00 40 02 00 02")]
    broker: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    heard: list[tuple[int, int]] = []
    turned = asyncio.Event()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes.fromhex("20 03 00 00 00"))
        broker.put_nowait(writer)

    async with peer(serve) as port, Session(to(port), lambda mid, reason: heard.append((mid, reason))) as session:
        session.on_turn = turned.set
        writer = await broker.get()
        for _ in range(2):
            session.publish(b"a", b"{}", mqtt.JSON)
        for piece in filter(None, pieces):
            turned.clear()
            writer.write(piece)
            async with asyncio.timeout(5):
                await turned.wait()
        assert heard == [(1, reason), (2, 0)]
        assert not session.lost.done()
