"""HTTPS of the box on real sockets: whom it greets, with what certificate, and whom it hangs up on."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from gateway.clock import SystemClock
from gateway.web import bind, certificate, create, serve, server
from gateway.web.certificate import Certificate
from gateway.web.ways import Ways
from tests.brokers import free_port
from tests.contract.test_web import Model, _address_of_this_machine
from tests.houses import Puppets, config, living, until

READY = {"status": "ok"}


def trusting(folder: Path, *, names: bool = True) -> ssl.SSLContext:
    """A client that trusts what the box made, and nobody else; as strict as Python 3.13 is by itself."""
    kept = (folder / certificate.KEPT).read_text("ascii")
    made = ssl.create_default_context(cadata=kept[kept.index("-----BEGIN CERT") :])
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.check_hostname = names
    return made


@asynccontextmanager
async def served(folder: Path, *names: str) -> AsyncIterator[tuple[Certificate, int]]:
    """The application over TLS only."""
    own = Certificate(folder, names, SystemClock())
    await own.load()
    sockets = bind("127.0.0.1", 0)
    app = create(cast(Any, Model()), names=names, ways=Ways(443, certificate=own))
    async with serve(app, sockets, lambda: own.context):
        yield own, sockets[0].getsockname()[1]


async def healthy(port: int, context: ssl.SSLContext, host: str = "127.0.0.1") -> Any:
    """What `/healthz` says."""
    url = f"https://{host}:{port}/healthz"
    async with aiohttp.ClientSession() as http, http.get(url, ssl=context) as answer:
        return await answer.json()


async def test_a_client_that_trusts_the_box_is_answered_under_every_name(tmp_path: Path) -> None:
    async with served(tmp_path, "gateway.local") as (_, port):
        context = trusting(tmp_path)
        for host in ("127.0.0.1", "localhost"):
            assert await healthy(port, context, host) == READY
        for name in ("gateway.local", socket.gethostname().lower(), _address_of_this_machine()):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
            writer.close()
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="other.local")
    assert (tmp_path / certificate.KEPT).stat().st_mode & 0o777 == 0o600


async def test_what_is_too_old_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, port):
        old = trusting(tmp_path)
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        with pytest.deprecated_call():
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=old, server_hostname="127.0.0.1")
        newer = trusting(tmp_path)
        newer.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await healthy(port, newer) == READY


async def test_who_speaks_no_tls_is_hung_up_on_at_once(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, port), asyncio.timeout(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in await reader.read()
        writer.close()


async def test_who_does_not_shake_hands_keeps_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_PER_PEER", 2)
    async with served(tmp_path) as (_, port):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        async with asyncio.timeout(2):
            reader, third = await asyncio.open_connection("127.0.0.1", port)
            assert await _ended(reader)
        for writer in (*(writer for _, writer in silent), third):
            writer.close()


async def _ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_a_slow_handshake_and_a_slow_head_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_TIMEOUT_S", 0.1)
    monkeypatch.setattr(server, "HEADER_TIMEOUT_S", 0.1)
    async with served(tmp_path) as (_, port), asyncio.timeout(5):
        reader, slow = await asyncio.open_connection("127.0.0.1", port)
        slow.write(b"\x16\x03\x01\x02\x00")  # the beginning of a ClientHello
        assert await _ended(reader)
        ssl_context = trusting(tmp_path)
        reader, head = await asyncio.open_connection("127.0.0.1", port, ssl=ssl_context)
        head.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert await _ended(reader)
        for writer in (slow, head):
            writer.close()


async def test_stopping_ends_whoever_still_shakes_hands(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, port), asyncio.timeout(4):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await healthy(port, trusting(tmp_path))  # the first one has been accepted by now
    assert await _ended(reader)
    writer.close()


async def test_new_names_get_a_new_certificate_and_no_connection_ends(tmp_path: Path) -> None:
    async with served(tmp_path, "old.local") as (own, port):
        before, first = own.shown, trusting(tmp_path)
        async with aiohttp.ClientSession() as http:
            url = f"https://127.0.0.1:{port}/healthz"
            async with http.get(url, ssl=first) as answer:
                assert answer.status == 200
            own._names = ("new.local",)
            await own.load()
            async with http.get(url, ssl=first) as answer:  # on the connection that stands
                assert answer.status == 200
        assert own.shown is not None
        assert before is not None
        assert own.shown.fingerprint != before.fingerprint
        assert "new.local" in own.shown.names
        assert "old.local" not in own.shown.names
        assert await healthy(port, trusting(tmp_path)) == READY
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await healthy(port, first)


# --- the daemon's two ways ------------------------------------------------------------------------------------------


async def test_the_daemon_serves_both_and_sends_people_to_https(tmp_path: Path) -> None:
    plain, secure, address = free_port(), free_port(), _address_of_this_machine()
    web = {"listen": f"0.0.0.0:{plain}", "https": f"0.0.0.0:{secure}", "names": ["gateway.local"]}
    async with living(config(tmp_path, {}, web=web), Puppets()) as house, aiohttp.ClientSession() as http:
        await until(house, lambda: (tmp_path / "state" / "keys" / certificate.KEPT).exists())
        await until(house, lambda: _listens(secure))
        context = trusting(tmp_path / "state" / "keys")
        assert await healthy(secure, context, address) == READY
        page, html = f"http://{address}:{plain}/alarms?building=b3", {"Accept": "text/html"}
        async with http.get(page, headers=html, allow_redirects=False) as answer:
            assert answer.status == 308
            assert answer.headers["Location"] == f"https://{address}:{secure}/alarms?building=b3"
        async with http.post(page, headers=html) as answer:
            assert answer.status == 403
            assert str(secure) in (await answer.json())["error"]["do"]["zh"]
        async with http.get(f"http://{address}:{plain}/healthz") as answer:
            assert answer.status == 200
        async with http.get(f"http://127.0.0.1:{plain}/", headers=html) as answer:
            assert answer.status == 200


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_files_of_the_owner_that_do_not_fit_are_told_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain, secure = free_port(), free_port()
    for name in ("cert", "key"):
        (tmp_path / name).write_text("no PEM at all")
    tls = {"cert": str(tmp_path / "cert"), "key": str(tmp_path / "key")}
    web = {"listen": f"127.0.0.1:{plain}", "https": f"127.0.0.1:{secure}", "tls": tls}
    async with living(config(tmp_path, {}, web=web), Puppets()) as house:
        await until(house, lambda: _listens(plain))
        await until(house, lambda: "cannot be used" in caplog.text)
        assert not _listens(secure)
