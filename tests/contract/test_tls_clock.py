"""TLS on a box that does not know the time, on real mosquitto: never locked out, and nothing but the dates relaxed."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from gateway.clock import TimeQuality
from gateway.errors import LinkRefused
from gateway.mqtt import Session
from gateway.sections import UplinkConfig
from gateway.target import target
from tests.brokers import Mosquitto
from tests.fakes import ManualClock

NOW = datetime.now(UTC)  # OpenSSL looks at the machine's clock, which tests do not set: dates lie around it
YEAR = timedelta(days=365)
FUTURE = NOW + YEAR, NOW + 3 * YEAR  # as a box that is a year late sees a certificate of today
PAST = NOW - 3 * YEAR, NOW - YEAR
Dates = tuple[datetime, datetime]


@asynccontextmanager
async def broker(folder: Path, dates: Dates, name: str = "localhost", ca: str = "ca.pem") -> AsyncIterator[Mosquitto]:
    """With a certificate of these dates, by an authority whose certificate is `ca`, under another authority."""
    root = trustme.CA()
    authority = root.create_child_ca()
    root.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    server = authority.issue_cert(name, not_before=dates[0], not_after=dates[1])
    (folder / "server.pem").write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    server.private_key_pem.write_to_path(folder / "server.key")
    options = ["allow_anonymous true", f"certfile {folder}/server.pem", f"keyfile {folder}/server.key"]
    async with Mosquitto(folder, *options) as made:
        yield made


async def connect(folder: Path, made: Mosquitto, clock: ManualClock, ca: str = "ca.pem") -> None:
    """As an uplink does. LinkRefused."""
    section = {"url": f"mqtts://localhost:{made.port}", "tls": {"ca": ca}}
    uplink = UplinkConfig.model_validate(section, context={"base": folder})
    async with Session(target("district", "gw-0001", uplink, clock, "5"), lambda *_: None):
        pass


def unset(certain: datetime = NOW - YEAR) -> ManualClock:
    """A clock nobody has set, which knows only that `certain` has passed."""
    clock = ManualClock(quality=TimeQuality.UNSYNCED)
    clock.certain = certain
    return clock


async def test_not_yet_valid_locks_no_box_out_whose_clock_is_not_set(tmp_path: Path) -> None:
    async with broker(tmp_path, FUTURE) as made:
        await connect(tmp_path, made, unset())


@pytest.mark.parametrize("quality", [TimeQuality.SYNCED, TimeQuality.HOLDOVER])
async def test_not_yet_valid_is_refused_where_the_clock_is_set(tmp_path: Path, quality: TimeQuality) -> None:
    async with broker(tmp_path, FUTURE) as made:
        with pytest.raises(LinkRefused, match="not yet valid"):
            await connect(tmp_path, made, ManualClock(quality=quality))


@pytest.mark.parametrize("clock", [unset(), ManualClock()], ids=["unset", "set"])
async def test_what_has_ended_for_certain_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    async with broker(tmp_path, PAST) as made:
        with pytest.raises(LinkRefused, match="expired") as told:
            await connect(tmp_path, made, clock)
    assert "不接受服务器证书" in told.value.say("zh-CN")


async def test_what_is_certain_counts_not_what_the_machine_shows(tmp_path: Path) -> None:
    async with broker(tmp_path, FUTURE) as made:
        await connect(tmp_path, made, unset(FUTURE[1] - timedelta(minutes=1)))
        with pytest.raises(LinkRefused, match="expired"):
            await connect(tmp_path, made, unset(FUTURE[1] + timedelta(minutes=1)))


async def test_every_certificate_of_the_chain_is_looked_at(tmp_path: Path) -> None:
    forever = NOW, datetime(3000, 6, 1, tzinfo=UTC)  # longer than trustme's authorities, which end with the year 2999
    async with broker(tmp_path, forever) as made:
        await connect(tmp_path, made, unset(datetime(2999, 1, 1, tzinfo=UTC)))
        with pytest.raises(LinkRefused, match="expired"):
            await connect(tmp_path, made, unset(datetime(3000, 3, 1, tzinfo=UTC)))


@pytest.mark.parametrize("dates", [(NOW - YEAR, NOW + YEAR), FUTURE], ids=["valid", "future"])
async def test_the_chain_is_verified_all_the_same(tmp_path: Path, dates: Dates) -> None:
    async with broker(tmp_path, dates) as made:
        with pytest.raises(LinkRefused, match="certificate"):
            await connect(tmp_path, made, unset(), ca="other.pem")


@pytest.mark.parametrize("dates", [(NOW - YEAR, NOW + YEAR), FUTURE], ids=["valid", "future"])
async def test_the_name_is_verified_all_the_same(tmp_path: Path, dates: Dates) -> None:
    async with broker(tmp_path, dates, name="elsewhere.example") as made:
        with pytest.raises(LinkRefused, match="Hostname mismatch"):
            await connect(tmp_path, made, unset())


def test_a_clock_that_is_set_leaves_openssl_all_of_it(tmp_path: Path) -> None:
    uplink = UplinkConfig.model_validate({"url": "mqtts://a"}, context={"base": tmp_path})
    tls = target("district", "gw-0001", uplink, ManualClock(), "5").tls
    plain = ssl.create_default_context()
    assert tls is not None
    assert (tls.verify_flags, tls.sslsocket_class) == (plain.verify_flags, ssl.SSLSocket)
