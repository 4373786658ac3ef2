"""Wrong passwords are counted, and whoever gives too many has to wait: by account and by address. Pure.

An address that has signed in to an account before counts for itself alone there: nobody elsewhere can keep the person
on duty out of their own place. Everybody else shares one count an account, and one an address.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

MOST_WRONG = 5  # of one count, before it locks
FORGET_S = 15 * 60.0  # a count with nothing new for so long is forgotten
FIRST_LOCK_S, LONGEST_LOCK_S = 60.0, 15 * 60.0  # twice as long with each more that is wrong
MOST_COUNTS = 4096  # the oldest goes

Key = tuple[str, str]  # (account, address); "" stands for any


@dataclass
class _Count:
    wrong: int = 0
    last_s: float = 0.0
    until_s: float = 0.0


def neighbourhood(address: str) -> str:
    """What counts as one address: of IPv6 the /64, of which everybody there has more than they can use."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return str(known)
    return str(known.ipv4_mapped or f"{IPv6Address(int(known) >> 64 << 64)}/64")


class Lockout:
    """`now_s`: a monotonic clock."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._counts: dict[Key, _Count] = {}

    @staticmethod
    def keys(account: str, address: str, *, at_home: bool) -> tuple[Key, ...]:
        """Which counts an attempt looks at."""
        return ((account, address),) if at_home else ((account, ""), ("", address))

    def wait_s(self, keys: tuple[Key, ...]) -> float:
        """How long nobody is heard there; 0: they are."""
        ends_s = max((count.until_s for key in keys if (count := self._counts.get(key))), default=0.0)
        return max(0.0, ends_s - self._now_s())

    def failed(self, keys: tuple[Key, ...]) -> list[Key]:
        """One more that was wrong; those that are locked by it."""
        return [key for key in keys if self._failed(key)]

    def _failed(self, key: Key) -> bool:
        now_s = self._now_s()
        count = self._counts.pop(key, _Count())
        if now_s - max(count.last_s, count.until_s) > FORGET_S:
            count = _Count()
        count.wrong, count.last_s = count.wrong + 1, now_s
        if count.wrong >= MOST_WRONG:
            count.until_s = now_s + min(LONGEST_LOCK_S, FIRST_LOCK_S * 2 ** min(count.wrong - MOST_WRONG, 10))
        self._counts[key] = count  # at the end: the oldest stand first
        if len(self._counts) > MOST_COUNTS:
            del self._counts[next(iter(self._counts))]
        return count.until_s > now_s

    def forgive(self, keys: tuple[Key, ...]) -> None:
        """A right password: the account's count is over; an address's is not, or it would cover for guesses."""
        for key in keys:
            if key[0]:
                self._counts.pop(key, None)

    def unlock(self, account: str) -> bool:
        """Every count of an account is over. Was one locked?"""
        mine = {key for key in self._counts if key[0] == account}
        was_locked = bool(mine & self.locked())
        for key in mine:
            del self._counts[key]
        return was_locked

    def locked(self) -> set[Key]:
        """The counts that are locked now."""
        return {key for key in self._counts if self.wait_s((key,))}
