"""TLS for a box that does not know the time: certificate chain and host name always verified, dates by what is certain.

While the clock is not set, OpenSSL would call every certificate "not yet valid", and the box would be locked out for
ever where time itself comes over the network. Only then OpenSSL is told to leave the dates out (X509_verify_cert(3),
X509_V_FLAG_NO_CHECK_TIME), and they are checked here, at the end of the handshake, before anything is sent: whatever
in the verified chain has ended before a moment that has passed for certain is refused. That something begins later
than our clock shows proves nothing but that our clock is slow.
"""

import ssl
from collections.abc import Callable
from datetime import datetime
from typing import Any

from gateway.clock import Clock, TimeQuality

NO_CHECK_TIME = 0x200000  # <openssl/x509_vfy.h>, X509_V_FLAG_NO_CHECK_TIME
_EXPIRED = 10  # <openssl/x509_vfy.h>, X509_V_ERR_CERT_HAS_EXPIRED
_UNREADABLE = 1  # <openssl/x509_vfy.h>, X509_V_ERR_UNSPECIFIED


def by_what_is_certain(context: ssl.SSLContext, clock: Clock) -> None:
    """Let the context judge dates by `clock.at_least()` while the clock is not set; else leave it as it is."""
    if clock.quality() is TimeQuality.UNSYNCED:
        context.verify_flags |= NO_CHECK_TIME
        context.sslsocket_class = _checking(clock.at_least)


def _checking(at_least: Callable[[], datetime]) -> type[ssl.SSLSocket]:
    class Dated(ssl.SSLSocket):
        """A handshake is done when the dates are right as well."""

        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            _check(self._sslobj.get_verified_chain(), at_least())  # type: ignore[attr-defined]  # public from 3.13

    return Dated


def _check(chain: list[Any] | None, certain: datetime) -> None:
    """SSLCertVerificationError where a certificate of the chain has ended, or where there is no chain to look at."""
    if not chain:
        raise _refusal(_UNREADABLE, "no verified certificate chain")
    for certificate in chain:
        if ssl.cert_time_to_seconds(certificate.get_info()["notAfter"]) < certain.timestamp():
            raise _refusal(_EXPIRED, "certificate has expired")


def _refusal(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {message}")
    error.verify_code, error.verify_message = code, message
    return error
