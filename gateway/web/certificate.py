"""The certificate of the page: the box's own, made here, or the owner's files; watched, so that it is never an old one.

Nobody signs for a box that stands in a cellar and has an address of its own network; so its certificate is its own
(RFC 5280), and a person compares its fingerprint once. It is made when it is first needed, and anew when the names or
addresses of the machine change or its end comes near; connections that begin then get the new one, nothing restarts
(docs/decisions/0020).
"""

import asyncio
import errno
import fcntl
import ipaddress
import json
import logging
import socket
import ssl
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.errors import ConfigError, StorageError, Text
from gateway.vault import Vault

RENEWED_BEFORE = timedelta(days=30)
SLACK = timedelta(days=1)  # a phone's clock may be late
WATCH_S = 60.0
PATIENCE_S = 60.0  # for another process, on a small box that is busy
KEPT = "page.pem"  # in the vault: the key, then the certificate
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; 1.3 has its own
_SIOCGIFADDR = 0x8915  # netdevice(7)
_IFREQ_BYTES = 256
_IPV6 = Path("/proc/net/if_inet6")
_GLOBAL, _TEMPORARY = 0x00, 0x01  # its columns scope and flags (<linux/if_addr.h>, IFA_F_TEMPORARY)
_BEGIN = "-----BEGIN CERTIFICATE-----"
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
        self.shown: Shown | None = None

    async def load(self) -> None:
        """What is there, made or renewed where it must be. ConfigError: the owner's files; StorageError: the disk."""
        if self._files is not None:
            await self._load_files(self._files)
            return
        wanted, now = wanted_names(self._names), self._clock.at_least()
        found = self.shown or await self._kept()
        if found is not None and not due(found, wanted, now):
            self._use(self._path, None, found)
            return
        begins = now.astimezone(UTC).replace(microsecond=0) - SLACK
        made = (await _issuer({"names": sorted(wanted), "begins": begins.isoformat()}))["pem"]
        self._vault.keep(KEPT, made.encode())
        found = await self._kept()
        if found is None:
            raise _unusable(self._path, "it cannot be read back")
        self._use(self._path, None, found)

    async def watch(self, language: str) -> None:
        """For ever. What cannot be renewed stays as it is, and is told once."""
        told = ""
        while True:
            await self._clock.sleep(WATCH_S)
            before = self.shown
            try:
                await self.load()
                told = ""
            except (ConfigError, StorageError) as error:
                if told != str(error):
                    _LOG.error("%s", error.say(language))
                told = str(error)
            if self.shown != before:
                self.announce(language)

    def announce(self, language: str) -> None:
        """Whoever opens the page compares this."""
        if self.shown is not None:
            fingerprint, ends = self.shown.fingerprint, f"{self.shown.ends:%Y-%m-%d}"
            told = Text(
                f"certificate of the page: SHA-256 {fingerprint}, until {ends}",
                f"网页证书指纹:SHA-256 {fingerprint},有效期至 {ends}",
            )
            _LOG.info("%s", told.say(language))

    async def _kept(self) -> Shown | None:
        """StorageError: it is there, and cannot be read. None: there is none that makes sense."""
        whole = (self._vault.kept(KEPT) or b"").decode("ascii", "replace")
        found = await _read(whole, own=True)
        return found if found and "PRIVATE KEY" in whole else None

    async def _load_files(self, files: Files) -> None:
        try:
            seen = tuple(path.stat().st_mtime for path in (files.cert, files.key))
            if seen == self._seen:
                return
            found = await _read(files.cert.read_text("ascii", "replace"), own=False)
            if found is None:
                raise _unusable(files.cert, "it is no certificate (PEM)")
            self._use(files.cert, files.key, found)
        except OSError as error:  # ssl.SSLError too: the key is not this certificate's, or makes no sense
            raise _unusable(files.cert, error.strerror or str(error)) from error
        self._seen = seen

    def _use(self, cert: Path, key: Path | None, found: Shown) -> None:
        if self.shown != found:
            self.context, self.shown = context(cert, key), found


async def _read(pem: str, *, own: bool) -> Shown | None:
    """Of what stands in it, without the key: that goes nowhere."""
    at = pem.find(_BEGIN)
    told = await _issuer({"pem": pem[at:]}) if at >= 0 else {}
    if not told:
        return None
    begins, ends = (datetime.fromisoformat(told[name]) for name in ("begins", "ends"))
    return Shown(told["fingerprint"], begins, ends, tuple(told["names"]), own)


async def _issuer(question: dict[str, Any]) -> dict[str, Any]:
    """Asks another process. StorageError: it cannot answer now."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.issuer"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise _later(error.strerror or str(error)) from error
    try:
        async with asyncio.timeout(PATIENCE_S):
            told, _ = await process.communicate(json.dumps(question).encode())
    except TimeoutError as error:
        raise _later(f"nothing within {PATIENCE_S:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise _later(f"exit status {process.returncode}")
    found: dict[str, Any] = json.loads(told)
    return found


def _later(why: str) -> StorageError:
    return StorageError(
        "gateway.issuer",
        Text(f"the page's certificate cannot be made now: {why}", f"暂时无法生成网页证书:{why}"),
        Text("it is tried again by itself", "系统会自动重试"),
    )


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


# what it is to say


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


def due(found: Shown, wanted: frozenset[str], certain: datetime) -> bool:
    """Is a new one needed? `certain`: a moment that has passed, so that a clock that is wrong renews nothing."""
    return not wanted <= set(found.names) or certain > found.ends - RENEWED_BEFORE
