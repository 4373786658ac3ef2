"""Whether a command is the platform's own: Ed25519 (RFC 8032) over its one form (RFC 8785), for an uplink with a key.

Signed is the canonical form of `{"request": …, "topic": …}`: the request as it was sent, without its `signature`, and
the whole topic it was sent to. So what was signed for one device of one gateway is worth nothing at any other, and its
`id` and `expires` make it worth nothing twice or later. `signature` in the request is base64 (RFC 4648, 4).
"""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator

from gateway.canonical import canonical
from gateway.fields import Wrong

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNATURE = "signature"  # the field of a request
KEY_BYTES = 32  # RFC 8032, 5.1.5


def public_key(text: str) -> "Ed25519PublicKey":
    """From PEM (as `openssl pkey -pubout` writes it), or base64 of the 32 bytes. Wrong: neither."""
    from cryptography.exceptions import UnsupportedAlgorithm  # 5 MB in memory: only where an uplink has a key
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        if text.lstrip().startswith("-----BEGIN"):
            key = load_pem_public_key(text.strip().encode())
            if isinstance(key, Ed25519PublicKey):
                return key
        else:
            return Ed25519PublicKey.from_public_bytes(base64.b64decode(text.strip(), validate=True))
    except (ValueError, UnsupportedAlgorithm):
        pass
    raise Wrong(
        "an Ed25519 public key is needed, PEM or base64 of its 32 bytes: openssl pkey -in platform.key -pubout",
        "需要 Ed25519 公钥(PEM,或 32 字节的 base64):openssl pkey -in platform.key -pubout",
    )


def _checked(text: str) -> str:
    public_key(text)
    return text


CommandKey = Annotated[str, AfterValidator(_checked)]


def signed_form(topic: str, request: Mapping[str, Any]) -> bytes:
    """What is signed. ValueError: it has no canonical form (a number too large, half of a surrogate pair)."""
    bare = {name: value for name, value in request.items() if name != SIGNATURE}
    return canonical({"topic": topic, "request": bare})


def genuine(key: "Ed25519PublicKey", topic: str, request: Mapping[str, Any]) -> bool:
    """Has the key's owner signed this request for this topic?"""
    from cryptography.exceptions import InvalidSignature

    signature = request.get(SIGNATURE)
    if not isinstance(signature, str):
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), signed_form(topic, request))
    except (InvalidSignature, ValueError, RecursionError):
        return False
    return True
