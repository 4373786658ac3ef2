"""What systemd wants to hear (sd_notify(3)), without a library: a datagram to the socket it names."""

import os
import socket
import time


def notify(*lines: str) -> None:
    """Send e.g. `READY=1`, `STATUS=…`, `WATCHDOG=1`, `STOPPING=1`; nothing happens without systemd.

    Nor does anything wait: where it does not read (its queue holds a few datagrams only), the words are lost.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as out:
        try:
            out.sendto("\n".join(lines).encode(), address)
        except OSError:
            return  # systemd is not listening any more, or not now; there is nobody to tell


def reloading() -> list[str]:
    """That the service starts anew in the same process, until READY=1 (sd_notify(3)); STOPPING=1 would be its end."""
    return ["RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"]


def watchdog_s() -> float | None:
    """How often systemd wants to hear `WATCHDOG=1`: half of what it allows, in seconds; None: not at all."""
    allowed_us = os.environ.get("WATCHDOG_USEC", "")
    mine = os.environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
    return int(allowed_us) / 2e6 or None if allowed_us.isdecimal() and mine else None
