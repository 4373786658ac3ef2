"""Makes and reads certificates of the page (RFC 5280), in a process of its own: what it needs takes 12 MB of memory,
and is needed once in two years. `python -m gateway.issuer`: a question in JSON on standard input, its answer on output.
"""

import ipaddress
import json
import socket
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LASTS = timedelta(days=825)  # phones take no longer one, own ones neither (Apple, HT210176)


def made(names: Iterable[str], begins: datetime) -> str:
    """A new key (ECDSA, P-256) and its certificate, PEM; without the right to sign others."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"community-gateway {socket.gethostname()}"[:64])])
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = x509.CertificateBuilder(
        subject, subject, key.public_key(), x509.random_serial_number(), begins, begins + LASTS
    )
    for extension, critical in (
        (x509.SubjectAlternativeName([_general(name) for name in sorted(names)]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.KeyUsage(*[True, *[False] * 8]), True),  # digital signature
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (identity, False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identity), False),
    ):
        builder = builder.add_extension(extension, critical)
    pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none)
    return (private + builder.sign(key, hashes.SHA256()).public_bytes(pem)).decode("ascii")


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def described(pem: str) -> dict[str, Any]:
    """What the (first) certificate says, and its fingerprint as browsers show it. ValueError: there is none."""
    found = x509.load_pem_x509_certificate(pem.encode())
    try:
        said = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [*said.get_values_for_type(x509.DNSName), *map(str, said.get_values_for_type(x509.IPAddress))]
    except x509.ExtensionNotFound:
        names = []
    return {
        "fingerprint": found.fingerprint(hashes.SHA256()).hex(":").upper(),
        "begins": found.not_valid_before_utc.isoformat(),
        "ends": found.not_valid_after_utc.isoformat(),
        "names": names,
    }


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """`{names, begins}`: a new one; `{pem}`: what it says, `{}` where that is none."""
    if "names" in question:
        return {"pem": made(question["names"], datetime.fromisoformat(question["begins"]))}
    try:
        return described(question["pem"])
    except ValueError:
        return {}


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
