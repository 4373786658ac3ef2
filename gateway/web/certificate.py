"""The certificate of the page: the box's own, made here, or the owner's files; watched, so that it is never an old one.

Nobody signs for a box that stands in a cellar and has an address of its own network; so its certificate is its own
(RFC 5280), and a person compares its fingerprint once. It is made when it is first needed, and anew when the names or
addresses of the machine change or its end comes near; connections that begin then get the new one, nothing restarts
(docs/decisions/0020).
"""

import errno
import fcntl
import ipaddress
import logging
import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.clock import Clock
from gateway.errors import ConfigError, StorageError, Text
from gateway.vault import Vault

LASTS = timedelta(days=825)  # phones take no longer one, own ones neither (Apple, HT210176)
RENEWED_BEFORE = timedelta(days=30)
SLACK = timedelta(days=1)  # a phone's clock may be late
WATCH_S = 60.0
KEPT = "page.pem"  # in the vault: the key, then the certificate
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; 1.3 has its own
_SIOCGIFADDR = 0x8915  # netdevice(7)
_IFREQ_BYTES = 256
_IPV6 = Path("/proc/net/if_inet6")
_GLOBAL, _TEMPORARY = 0x00, 0x01  # its columns scope and flags (<linux/if_addr.h>, IFA_F_TEMPORARY)
_LOG = logging.getLogger("gateway.web")


@dataclass(frozen=True)
class Shown:
    """What a person compares, and when it ends."""

    fingerprint: str  # SHA-256 of the DER form, in pairs with colons, as browsers show it
    begins: datetime
    ends: datetime
    names: tuple[str, ...]
    own: bool  # made by the box itself


@dataclass(frozen=True)
class Files:
    """The owner's own, PEM."""

    cert: Path
    key: Path


class Certificate:
    """`context` is for a connection that begins now; `watch()` beside everything else keeps it right."""

    def __init__(self, vault: Path, names: Sequence[str], clock: Clock, files: Files | None = None) -> None:
        self._vault, self._path = Vault(vault), vault / KEPT
        self._names = tuple(names)
        self._clock = clock
        self._files = files
        self._seen: tuple[float, ...] = ()  # when the owner's files were written
        self.context: ssl.SSLContext
        self.shown: Shown

    def load(self) -> None:
        """What is there, made or renewed where it must be. ConfigError: the owner's files; StorageError: the disk."""
        if self._files is not None:
            self._load_files(self._files)
            return
        found, wanted = self._kept(), wanted_names(self._names)
        now = self._clock.at_least()
        if found is None or due(found, wanted, now):
            self._vault.keep(KEPT, made(wanted, now))
            found = self._kept()
        if found is None:
            raise _unusable(self._path, "it cannot be read back")
        self._use(self._path, None, found, own=True)

    async def watch(self, language: str) -> None:
        """For ever. What cannot be renewed stays as it is, and is told once."""
        told = ""
        while True:
            await self._clock.sleep(WATCH_S)
            before = self.shown.fingerprint
            try:
                self.load()
                told = ""
            except (ConfigError, StorageError) as error:
                if told != str(error):
                    _LOG.error("%s", error.say(language))
                told = str(error)
            if self.shown.fingerprint != before:
                self.announce(language)

    def announce(self, language: str) -> None:
        """Whoever opens the page compares this."""
        shown = self.shown
        ends = f"{shown.ends:%Y-%m-%d}"
        told = Text(
            f"certificate of the page: SHA-256 {shown.fingerprint}, until {ends}",
            f"网页证书指纹:SHA-256 {shown.fingerprint},有效期至 {ends}",
        )
        _LOG.info("%s", told.say(language))

    def _kept(self) -> x509.Certificate | None:
        """StorageError: it is there, and cannot be read. None: there is none that makes sense."""
        whole = self._vault.kept(KEPT)
        try:
            return None if whole is None else x509.load_pem_x509_certificate(whole)
        except ValueError:
            return None

    def _load_files(self, files: Files) -> None:
        try:
            seen = tuple(path.stat().st_mtime for path in (files.cert, files.key))
            if seen == self._seen:
                return
            self._use(files.cert, files.key, x509.load_pem_x509_certificate(files.cert.read_bytes()), own=False)
        except OSError as error:  # ssl.SSLError too: the key is not this certificate's, or makes no sense
            raise _unusable(files.cert, error.strerror or str(error)) from error
        except ValueError as error:
            raise _unusable(files.cert, "it is no certificate (PEM)") from error
        self._seen = seen

    def _use(self, cert: Path, key: Path | None, certificate: x509.Certificate, *, own: bool) -> None:
        fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
        if getattr(self, "shown", None) is None or self.shown.fingerprint != fingerprint:
            self.context = context(cert, key)
            begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            self.shown = Shown(fingerprint, begins, ends, names_in(certificate), own)


def context(cert: Path, key: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 and newer, HTTP/1.1. OSError (ssl.SSLError): what the files hold does not fit."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(_CIPHERS)
    made.set_alpn_protocols(["http/1.1"])
    made.load_cert_chain(cert, key, password="")  # never asks on a terminal
    return made


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"gateway.web.tls ({path})",
        Text(f"the page's certificate cannot be used: {why}", f"网页证书不可用:{why}"),
        Text(
            "give a certificate and its own key as PEM files, or leave tls: out",
            "请提供相互匹配的 PEM 证书和私钥,或删除 tls:",
        ),
    )


# what it says


def own_names() -> tuple[str, ...]:
    """Under which the local network may find this machine (mDNS: RFC 6762)."""
    host = socket.gethostname().partition(".")[0].lower()
    return (host, f"{host}.local") if host and host != "localhost" else ()


def wanted_names(configured: Sequence[str]) -> frozenset[str]:
    """Names and addresses that the certificate is to be good for."""
    names = {name.lower().rstrip(".") for name in (*configured, *own_names(), "localhost")}
    return frozenset({*names, *addresses()})


def addresses() -> frozenset[str]:
    """Of this machine: IPv4 of each interface, global IPv6 ones that stay; never those that change every day."""
    found = {"127.0.0.1", "::1"}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack(f"{_IFREQ_BYTES}s", name.encode()))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.ENODEV):
                    raise
                continue
            found.add(socket.inet_ntoa(answer[20:24]))
    return frozenset(found | _lasting_ipv6(_IPV6.read_text("ascii") if _IPV6.exists() else ""))


def _lasting_ipv6(table: str) -> set[str]:
    rows = [line.split() for line in table.splitlines()]
    lasting = [row[0] for row in rows if int(row[3], 16) == _GLOBAL and not int(row[4], 16) & _TEMPORARY]
    return {str(ipaddress.IPv6Address(bytes.fromhex(text))) for text in lasting}


def names_in(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names and addresses that it says."""
    try:
        said = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (*said.get_values_for_type(x509.DNSName), *map(str, said.get_values_for_type(x509.IPAddress)))


def due(certificate: x509.Certificate, wanted: frozenset[str], certain: datetime) -> bool:
    """Is a new one needed? `certain`: a moment that has passed, so that a clock that is wrong renews nothing."""
    return not wanted <= set(names_in(certificate)) or certain > certificate.not_valid_after_utc - RENEWED_BEFORE


def made(names: frozenset[str], certain: datetime) -> bytes:
    """A new key (ECDSA, P-256) and its certificate, PEM.

    It begins at a moment that has passed for certain: a box that believes it is 1970, or 2099, makes one that phones,
    which know the time, take all the same. Without the right to sign others: who trusts it trusts this box alone.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    begins = certain.astimezone(UTC).replace(microsecond=0) - SLACK
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
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
