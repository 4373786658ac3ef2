"""Signatures of commands: OpenSSL's own are taken, and nothing that was changed, or sent to somebody else, is."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.fields import Wrong
from gateway.signing import genuine, public_key, signed_form

TOPIC = "sc/v1/310104/013/002/gw-0001/command/door-1"
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
REQUEST = {"id": "c-1", "action": "unlock", "args": {"seconds": 5}, "expires": "2099-01-01T00:00:00Z", "issuer": "值班"}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=6,
)


def sign(request: dict[str, Any], topic: str = TOPIC) -> dict[str, Any]:
    return request | {"signature": base64.b64encode(PRIVATE.sign(signed_form(topic, request))).decode()}


def test_what_is_signed_is_exactly_this() -> None:
    assert signed_form(TOPIC, REQUEST | {"signature": "any"}).decode() == (
        '{"request":{"action":"unlock","args":{"seconds":5},"expires":"2099-01-01T00:00:00Z","id":"c-1","issuer":"值班"},'
        f'"topic":"{TOPIC}"}}'
    )


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES, max_size=4), st.data())
def test_no_other_request_topic_or_key_passes(request: dict[str, Any], data: st.DataObject) -> None:
    signed, key = sign(request), PRIVATE.public_key()
    assert genuine(key, TOPIC, json.loads(json.dumps(signed)))
    assert not genuine(key, TOPIC.replace("gw-0001", "gw-0002"), signed)
    assert not genuine(key, TOPIC.replace("310104", "310105"), signed)
    assert not genuine(Ed25519PrivateKey.generate().public_key(), TOPIC, signed)
    name = data.draw(st.text(st.characters(codec="utf-8")).filter(lambda name: name != "signature"))
    was = json.dumps(request.get(name, Ellipsis), default=str)
    value = data.draw(VALUES.filter(lambda value: json.dumps(value) != was))
    assert not genuine(key, TOPIC, signed | {name: value})


@pytest.mark.parametrize("signature", [None, 7, "", "AAAA", "no base64!", "值班"])
def test_what_is_no_signature_is_none(signature: Any) -> None:
    assert not genuine(PRIVATE.public_key(), TOPIC, REQUEST | {"signature": signature})


@pytest.mark.parametrize("value", [2**53, float("inf"), "\ud800"])
def test_what_has_no_canonical_form_is_not_genuine(value: Any) -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    for strange in (value, deep):
        assert not genuine(PRIVATE.public_key(), TOPIC, REQUEST | {"strange": strange, "signature": "AAAA"})


@pytest.mark.parametrize("encoding", ["pem", "base64"])
def test_a_key_as_pem_or_base64(encoding: str) -> None:
    public = PRIVATE.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    text = pem if encoding == "pem" else base64.b64encode(public.public_bytes_raw()).decode() + "\n"
    assert public_key(text).public_bytes_raw() == public.public_bytes_raw()


def test_no_other_key_is_one() -> None:
    rsa = generate_private_key(65537, 2048).public_key()
    pem = rsa.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in (pem, "", "AAAA", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "值班"):
        with pytest.raises(Wrong, match="Ed25519"):
            public_key(text)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_as_openssl_signs(tmp_path: Path) -> None:
    """As docs/contract/commands.md shows it to the platform's people."""
    key, form, made = tmp_path / "platform.key", tmp_path / "form", tmp_path / "signature"
    form.write_bytes(signed_form(TOPIC, REQUEST))

    def openssl(*arguments: object) -> str:
        told = subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True)
        return told.stdout

    openssl("genpkey", "-algorithm", "ed25519", "-out", key)
    public = public_key(openssl("pkey", "-in", key, "-pubout"))
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", form, "-out", made)
    signed = REQUEST | {"signature": base64.b64encode(made.read_bytes()).decode()}
    assert genuine(public, TOPIC, signed)
    assert not genuine(public, TOPIC, signed | {"issuer": "somebody"})
