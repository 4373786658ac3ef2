"""Event ids: UUIDv7 (RFC 9562, 5.7) that never go back, also when the clock does."""

import secrets

_COUNTER_BITS = 12  # rand_a, used as a counter (RFC 9562, 6.2, method 1)
_RANDOM_BITS = 62  # rand_b


class Identities:
    """48 bits of milliseconds, a counter within the millisecond, 62 random bits."""

    def __init__(self, last_ms: int = 0) -> None:
        self._moment = 0
        self.after(last_ms)

    def after(self, last_ms: int) -> None:
        """None of the ids to come is from before the end of this millisecond since 1970."""
        self._moment = max(self._moment, (last_ms + 1) << _COUNTER_BITS if last_ms else 0)

    def next(self, now_ms: int) -> str:
        """The next id: later than every one before. `now_ms` is milliseconds since 1970."""
        self._moment = max(self._moment + 1, now_ms << _COUNTER_BITS)
        high = (self._moment >> _COUNTER_BITS) << 16 | 0x7000 | self._moment & 0xFFF
        low = 1 << 63 | secrets.randbits(_RANDOM_BITS)
        text = f"{high:016x}{low:016x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def moment_ms(identity: str) -> int:
    """The milliseconds since 1970 in a UUIDv7."""
    return int(identity[:8] + identity[9:13], 16)
