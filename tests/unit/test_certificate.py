"""The page's certificate: what it says, when a new one is made, whom its key is kept from, the owner's own files."""

import ipaddress
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SystemClock
from gateway.errors import ConfigError, StorageError
from gateway.issuer import LASTS, described, made
from gateway.web import certificate
from gateway.web.certificate import KEPT, SLACK, Certificate, Files, Shown, addresses, due

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
NAMES = frozenset({"gateway.local", "localhost", "192.0.2.7", "2001:db8::7"})


class Told(SystemClock):
    """Time as a test says; `sleep` ends at once until `rounds` are over."""

    def __init__(self, now: datetime) -> None:
        super().__init__()
        self.now = now
        self.rounds: list[Callable[[], None]] = []

    def at_least(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if not self.rounds:
            raise StopAsyncIteration
        self.rounds.pop(0)()


def shown(of: Certificate) -> Shown:
    assert of.shown is not None
    return of.shown


async def own(folder: Path, *names: str, now: datetime = NOW, files: Files | None = None) -> tuple[Certificate, Told]:
    clock = Told(now)
    found = Certificate(folder, names, clock, files)
    await found.load()
    return found, clock


def test_it_says_what_browsers_ask_for_and_may_sign_for_nobody() -> None:
    pem = made(NAMES, NOW)
    assert set(described(pem)["names"]) == NAMES
    found = x509.load_pem_x509_certificate(pem.encode())
    key = found.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert found.not_valid_before_utc == NOW
    assert found.not_valid_after_utc - found.not_valid_before_utc == LASTS
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not found.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    found.verify_directly_issued_by(found)


@pytest.mark.parametrize("year", [1970, 2099])
async def test_a_box_that_does_not_know_the_time_makes_one_that_others_take(tmp_path: Path, year: int) -> None:
    """What it begins by is a moment that has passed for certain, whatever the machine's clock shows."""
    from gateway.clock import Machine

    class Lost(Machine):
        def wall_s(self) -> float:
            return datetime(year, 1, 1, tzinfo=UTC).timestamp()

        def discipline(self) -> tuple[bool, float]:
            return False, 0.0

    clock = SystemClock(Lost())
    found = Certificate(tmp_path, (), clock)
    await found.load()
    assert shown(found).begins < datetime.now(UTC) < shown(found).ends
    before = shown(found)
    await found.load()  # nor does it make another one each minute
    assert shown(found) == before


@pytest.mark.parametrize(
    ("wanted", "later", "renewed"),
    [
        (NAMES, timedelta(), False),
        (NAMES - {"192.0.2.7"}, timedelta(), False),
        (NAMES | {"192.0.2.8"}, timedelta(), True),
        (NAMES, LASTS - timedelta(days=32), False),
        (NAMES, LASTS - timedelta(days=30), True),
        (NAMES, -timedelta(days=9000), False),
    ],
)
def test_when_a_new_one_is_due(wanted: frozenset[str], later: timedelta, renewed: bool) -> None:
    begins = NOW - SLACK
    assert due(Shown("", begins, begins + LASTS, tuple(NAMES), own=True), wanted, NOW + later) is renewed


async def test_it_is_kept_over_a_restart_and_from_everybody_else(tmp_path: Path) -> None:
    first, _ = await own(tmp_path, "gateway.local")
    again, _ = await own(tmp_path, "gateway.local")
    assert shown(again) == shown(first)
    assert (tmp_path / KEPT).stat().st_mode & 0o777 == 0o600
    assert set(shown(first).names) >= {"gateway.local", "localhost", "127.0.0.1", "::1"}
    assert len(shown(first).fingerprint.split(":")) == 32
    assert shown(first).own


@pytest.mark.parametrize("damage", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
async def test_one_that_is_damaged_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    first, _ = await own(tmp_path)
    (tmp_path / KEPT).write_bytes(damage)
    again, _ = await own(tmp_path)
    assert shown(again).fingerprint != shown(first).fingerprint


async def test_it_is_renewed_while_it_serves_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found, clock = await own(tmp_path)
    before, context = shown(found), found.context

    def year() -> None:
        clock.now = before.ends - timedelta(days=29)

    clock.rounds = [lambda: None, year]
    with pytest.raises((RuntimeError, StopAsyncIteration)):
        await found.watch("zh-CN")
    assert shown(found).ends > before.ends
    assert found.context is not context
    (line,) = [record.message for record in caplog.records if "SHA-256" in record.message]
    assert shown(found).fingerprint in line
    assert "指纹" in line


async def test_what_cannot_be_renewed_is_told_once_and_the_old_one_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "keys"
    found, clock = await own(folder)
    before = shown(found)
    (folder / KEPT).unlink()
    folder.rmdir()
    folder.write_text("a file where a folder should be")
    clock.now = before.ends  # a new one is due
    clock.rounds = [lambda: None] * 3
    with pytest.raises((RuntimeError, StopAsyncIteration)):
        await found.watch("en")
    assert shown(found) == before
    assert len([record for record in caplog.records if str(folder) in record.message]) == 1


async def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    with pytest.raises(StorageError):
        await own(tmp_path / "keys")


# --- the machine's addresses


def test_addresses_of_this_machine() -> None:
    found = addresses()
    assert {"127.0.0.1", "::1"} <= found
    assert all(ipaddress.ip_address(address) for address in found)


def test_addresses_that_change_every_day_or_need_a_zone_are_left_out() -> None:
    table = (
        "20010db8000000000000000000000007 02 40 00 80     eth0\n"  # permanent
        "20010db8000000000000000000000abc 02 40 00 01     eth0\n"  # temporary (RFC 8981)
        "fe800000000000000000000000000001 02 40 20 80     eth0\n"  # link-local
        "00000000000000000000000000000001 01 80 10 80       lo\n"
    )
    assert certificate._lasting_ipv6(table) == {"2001:db8::7"}


# --- the owner's own files


def written(folder: Path, names: frozenset[str] = NAMES) -> Files:
    whole = made(names, NOW)
    at = whole.index("-----BEGIN CERT")
    files = Files(folder / "cert.pem", folder / "key.pem")
    files.cert.write_text(whole[at:])
    files.key.write_text(whole[:at])
    return files


async def test_the_owners_files_are_used_and_taken_in_when_they_change(tmp_path: Path) -> None:
    files = written(tmp_path)
    found, _ = await own(tmp_path / "keys", files=files)
    before = shown(found)
    assert not before.own
    assert set(before.names) == NAMES
    assert not (tmp_path / "keys").exists()
    found._seen = ()  # as if time had passed between the two
    written(tmp_path, frozenset({"new.example"}))
    await found.load()
    assert shown(found).names == ("new.example",)


@pytest.mark.parametrize("spoilt", ["cert", "key", "another's key", "absent"])
async def test_files_that_do_not_fit_are_a_clear_error(tmp_path: Path, spoilt: str) -> None:
    files = written(tmp_path)
    if spoilt == "cert":
        files.cert.write_text("no PEM")
    elif spoilt == "key":
        files.key.write_text("no PEM")
    elif spoilt == "absent":
        files.key.unlink()
    else:
        kept = files.cert.read_bytes()
        written(tmp_path)
        files.cert.write_bytes(kept)
    with pytest.raises(ConfigError, match=r"gateway\.web\.tls") as wrong:
        await own(tmp_path / "keys", files=files)
    assert "证书" in wrong.value.say("zh-CN")


async def test_only_what_is_safe_today_is_spoken(tmp_path: Path) -> None:
    found, _ = await own(tmp_path)
    assert found.context.minimum_version == ssl.TLSVersion.TLSv1_2
    ciphers = {one["name"] for one in found.context.get_ciphers() if one["protocol"] == "TLSv1.2"}
    assert ciphers
    assert all(name.startswith("ECDHE-") and ("GCM" in name or "CHACHA20" in name) for name in ciphers)
