"""A device's certificate while the box does not know the time: chain and name verified, dates by what is certain.

As for the uplinks (docs/decisions/0009), here for asyncio's TLS, whose handshakes run on `ssl.SSLObject`. While the
clock is not set, OpenSSL leaves the dates out (X509_verify_cert(3), X509_V_FLAG_NO_CHECK_TIME), and whatever in the
verified chain has ended before a moment that has passed for certain is refused at the end of the handshake. (An
underscore: no driver.)
"""

import ssl
from typing import Any

from gateway.clock import Clock, TimeQuality

NO_CHECK_TIME = 0x200000  # <openssl/x509_vfy.h>, X509_V_FLAG_NO_CHECK_TIME
_EXPIRED = 10  # <openssl/x509_vfy.h>, X509_V_ERR_CERT_HAS_EXPIRED
_UNREADABLE = 1  # <openssl/x509_vfy.h>, X509_V_ERR_UNSPECIFIED


class Dated:
    """A context whose handshakes judge dates by a clock that may be set meanwhile."""

    def __init__(self, context: ssl.SSLContext, clock: Clock) -> None:
        self._context, self._clock = context, clock
        context.sslobject_class = _checking(clock)

    def now(self) -> ssl.SSLContext:
        """The context, as the next handshake needs it."""
        if self._clock.quality() is TimeQuality.UNSYNCED:
            self._context.verify_flags |= NO_CHECK_TIME
        else:
            self._context.verify_flags &= ~NO_CHECK_TIME
        return self._context


def _checking(clock: Clock) -> type[ssl.SSLObject]:
    class Checked(ssl.SSLObject):
        """A handshake is done when the dates are right as well."""

        def do_handshake(self) -> None:
            super().do_handshake()
            _check(self._sslobj.get_verified_chain(), clock)  # type: ignore[attr-defined]  # public from 3.13

    return Checked


def _check(chain: list[Any] | None, clock: Clock) -> None:
    """SSLCertVerificationError where a certificate of the chain has ended, or where there is no chain to look at."""
    if not chain:
        raise _refusal(_UNREADABLE, "no verified certificate chain")
    certain_s = clock.at_least().timestamp()
    for certificate in chain:
        if ssl.cert_time_to_seconds(certificate.get_info()["notAfter"]) < certain_s:
            raise _refusal(_EXPIRED, "certificate has expired")


def _refusal(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {message}")
    error.verify_code, error.verify_message = code, message
    return error
