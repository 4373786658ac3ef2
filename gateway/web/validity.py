"""Until when an uplink's certificates are good: read from their files, which are looked at again when they change."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from gateway.config import UplinkConfig

SOON_DAYS = 30
Use = Literal["cert", "ca"]


@dataclass(frozen=True)
class Validity:
    """One file. `until`: of several certificates in it the first to end; None: it cannot be read."""

    use: Use
    name: str
    until: datetime | None
    days_left: int = 0

    @property
    def state(self) -> str:
        """`good`, `soon`, `over`, or `unreadable`."""
        if self.until is None:
            return "unreadable"
        return "over" if self.days_left < 0 else "soon" if self.days_left < SOON_DAYS else "good"

    def day(self, zone: str) -> str:
        """Its last one, as the site's calendar says; empty where it is not known."""
        return "" if self.until is None else self.until.astimezone(ZoneInfo(zone)).date().isoformat()


def validities(uplink: UplinkConfig, now: datetime) -> Iterator[Validity]:
    """Those of its configuration; none where it uses the system's, or no TLS."""
    uses: tuple[Use, ...] = ("cert", "ca")
    for use in uses:
        path = None if uplink.tls is None else getattr(uplink.tls, use)
        if path is not None:
            until = _until(Path(path))
            yield Validity(use, Path(path).name, until, 0 if until is None else (until - now).days)


def _until(path: Path) -> datetime | None:
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=32)
def _read(path: Path, _changed_ns: int) -> datetime | None:
    from cryptography import x509  # not before it is needed: 10 MB in memory

    try:
        return min(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(path.read_bytes()))
    except ValueError:
        return None
