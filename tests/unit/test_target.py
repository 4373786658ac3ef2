"""From an uplink's section to where and how to connect: URLs, identity, keepalive, certificates."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.errors import LinkRefused
from gateway.mqtt import Target
from gateway.sections import UplinkConfig
from gateway.target import target
from tests.fakes import ManualClock


def of(url: str, folder: Path = Path(), protocol: str = "5", **more: Any) -> Target:
    """The target of one uplink called district; paths are relative to `folder`."""
    uplink = UplinkConfig.model_validate({"url": url, **more}, context={"base": folder})
    return target("district", "gw-0001", uplink, ManualClock(), protocol)


@pytest.mark.parametrize(
    ("url", "host", "port", "websocket", "path", "secure"),
    [
        ("mqtt://broker.example", "broker.example", 1883, False, "/mqtt", False),
        ("mqtt://192.0.2.1:2883", "192.0.2.1", 2883, False, "/mqtt", False),
        ("mqtt://[2001:db8::1]:2883", "2001:db8::1", 2883, False, "/mqtt", False),
        ("mqtts://broker.example", "broker.example", 8883, False, "/mqtt", True),
        ("ws://broker.example", "broker.example", 80, True, "/mqtt", False),
        ("ws://broker.example:8083/ws", "broker.example", 8083, True, "/ws", False),
        ("wss://broker.example/a/b", "broker.example", 443, True, "/a/b", True),
    ],
)
def test_urls(url: str, host: str, port: int, websocket: bool, path: str, secure: bool) -> None:
    made = of(url)
    assert (made.host, made.port, made.websocket, made.path, made.tls is not None) == (
        host, port, websocket, path, secure,
    )  # fmt: skip


def test_identity_is_of_the_gateway_and_the_uplink_unless_it_is_named() -> None:
    assert of("mqtt://a").client_id == "gw-0001-district"
    assert of("mqtt://a", client_id="mine").client_id == "mine"


def test_login_and_protocol_go_through() -> None:
    made = of("mqtt://a", protocol="3.1.1", username="gw", password="secret")
    assert (made.username, made.password, made.protocol) == ("gw", "secret", "3.1.1")
    assert (of("mqtt://a").username, of("mqtt://a").password) == (None, None)


@pytest.mark.parametrize(("keepalive", "half_s"), [("1s", 1), ("15s", 7), ("20s", 10), ("60s", 30)])
def test_paho_is_told_half_for_it_notices_after_twice(keepalive: str, half_s: int) -> None:
    assert of("mqtt://a", keepalive=keepalive).keepalive_s == half_s


def test_a_dead_link_is_noticed_within_20_s_by_default() -> None:
    assert 2 * of("mqtt://a").keepalive_s < 20  # architecture, section 5


# --- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    client = authority.issue_cert("gw-0001")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    client.cert_chain_pems[0].write_to_path(folder / "gw.pem")
    client.private_key_pem.write_to_path(folder / "gw.key")
    authority.issue_cert("other").private_key_pem.write_to_path(folder / "other.key")
    (folder / "nonsense.pem").write_text("no certificate\n", "ascii")
    (folder / "empty.pem").touch()
    return folder


def test_certificate_and_name_are_always_checked(certificates: Path) -> None:
    context = of("mqtts://a", certificates, tls={"ca": "ca.pem", "cert": "gw.pem", "key": "gw.key"}).tls
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1  # this authority, and no other


def test_without_tls_the_system_s_authorities_are_asked(certificates: Path) -> None:
    context = of("mqtts://a", certificates).tls
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    "tls",
    [
        {"ca": "nonsense.pem"},
        {"ca": "empty.pem"},
        {"ca": "gw.key"},
        {"ca": "ca.pem", "cert": "gw.pem", "key": "other.key"},
        {"ca": "ca.pem", "cert": "nonsense.pem", "key": "gw.key"},
        {"ca": "ca.pem", "cert": "gw.pem", "key": "nonsense.pem"},
    ],
)
def test_files_that_cannot_be_used_are_told_with_what_to_do(certificates: Path, tls: dict[str, str]) -> None:
    with pytest.raises(LinkRefused) as told:
        of("mqtts://a", certificates, tls=tls)
    for language in ("en", "zh-CN"):
        said = told.value.say(language)
        assert said.startswith("uplinks.district.tls: ")
        assert "tls.ca" in said
        assert "tls.key" in said


def test_a_file_that_vanished_after_the_start_is_told_too(certificates: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes())
    uplink = UplinkConfig.model_validate({"url": "mqtts://a", "tls": {"ca": "ca.pem"}}, context={"base": tmp_path})
    assert target("district", "gw-0001", uplink, ManualClock(), "5").tls is not None
    (tmp_path / "ca.pem").unlink()
    with pytest.raises(LinkRefused, match=r"tls\.ca"):
        target("district", "gw-0001", uplink, ManualClock(), "5")


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(certificates: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((certificates / "gw.key").read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"sesame"),
    )
    (tmp_path / "gw.key").write_bytes(locked)
    tls = {"ca": str(certificates / "ca.pem"), "cert": str(certificates / "gw.pem"), "key": "gw.key"}
    with pytest.raises(LinkRefused, match="password"):
        of("mqtts://a", tmp_path, tls=tls)
