"""How fast one peer may speak: what comes faster waits at the peer, unread. (An underscore: no driver.)"""

from gateway.clock import Clock

MESSAGES_PER_S, MESSAGES_AT_ONCE = 100.0, 500.0  # more than any device has to say
BYTES_PER_S, BYTES_AT_ONCE = 11_520.0, 131_072.0  # of a line that talks: 115,200 baud; a server that was held up


class Allowance:
    """Messages, or bytes, that a peer may still send now; it grows with time."""

    def __init__(self, clock: Clock, per_s: float = MESSAGES_PER_S, at_once: float = MESSAGES_AT_ONCE) -> None:
        self._clock = clock
        self._per_s, self._at_once = per_s, at_once
        self._left = at_once
        self._at_s = clock.monotonic()

    def take(self, count: int = 1) -> float:
        """So many more: seconds to wait for them, 0 where they may pass at once."""
        now_s = self._clock.monotonic()
        self._left = min(self._at_once, self._left + (now_s - self._at_s) * self._per_s) - count
        self._at_s = now_s
        return max(0.0, -self._left / self._per_s)

    def give_back(self) -> None:
        """One did not pass."""
        self._left += 1


def of_line(clock: Clock) -> Allowance:
    """In bytes, of a serial line or a server of such lines."""
    return Allowance(clock, BYTES_PER_S, BYTES_AT_ONCE)
