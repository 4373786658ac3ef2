"""What listens, told once at its start; who comes has a share of it, and is told once where it is sent away.

All that takes connections uses this: the page, and each driver whose devices call the gateway.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

LoggerAdapter = logging.Logger | logging.LoggerAdapter[logging.Logger]
EVERYWHERE = ("", "0.0.0.0", "::")
NOT_ADMITTED = "is in no list of those that may connect"
MOST_NAMED = 64  # peers and reasons that are told one by one
FIRST_SUM_S, LONGEST_SUM_S = 5.0, 3600.0  # after which what was refused since is told; twice as long each time


def announce(log: LoggerAdapter, who: str, at: str, allowed: Sequence[str], remedy: str | None = None) -> None:
    """The one sentence that says what listens where and who may connect. No `allowed`: anybody.

    `at` is `host:port` or a path. `remedy`: what to set so that not anybody may; without, anybody is as it should be.
    """
    log.info("listening: %s on %s, open to %s", who, at, ", ".join(allowed) or "anybody")
    if not allowed and remedy and at.rpartition(":")[0].rpartition(" ")[2].strip("[]*") in EVERYWHERE:
        log.warning("anybody who reaches %s may speak to %s: %s", at, who, remedy)


def allow_list(lists: Iterable[Sequence[str]]) -> list[str]:
    """Of all devices of a listener together: none where one of them may come from anywhere."""
    each = [tuple(allowed) for allowed in lists]
    return [] if () in each else sorted({peer for allowed in each for peer in allowed})


class Refusals:
    """The first of each peer and reason is told at once; the others are counted, and the count is told.

    That is after 5 s, and while it goes on at intervals of twice as long each, up to an hour.
    """

    def __init__(self, log: LoggerAdapter, where: str) -> None:
        self._log, self._where = log, where
        self._named: set[tuple[str, str]] = set()
        self._since: Counter[tuple[str, str]] = Counter()
        self._sum_s = FIRST_SUM_S
        self._due: asyncio.TimerHandle | None = None
        self.count = 0

    def add(self, peer: str, why: str) -> None:
        """One more; `why` goes on after "refused: 192.0.2.9"."""
        self.count += 1
        if (peer, why) not in self._named and len(self._named) < MOST_NAMED:
            self._named.add((peer, why))
            self._log.warning("refused: %s %s (%s)", peer, why, self._where)
            return
        known = (peer, why) in self._since or len(self._since) < MOST_NAMED
        self._since[(peer, why) if known else ("others", why)] += 1
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(self._sum_s, self._sum)

    def _sum(self) -> None:
        self._due = None
        (peer, why), count = self._since.most_common(1)[0]
        total, self._sum_s = self._since.total(), min(LONGEST_SUM_S, 2 * self._sum_s)
        self._log.warning("refused: %d more (%s), %d of them: %s %s", total, self._where, count, peer, why)
        self._since.clear()


class Turnstile:
    """So many connections, so many of one peer, none from where nobody may come.

    When all are taken, the peer that has most makes room for one that has fewer: its oldest connection ends.
    """

    def __init__(
        self, refusals: Refusals, connections: int, per_peer: int, admits: Callable[[str], bool] = lambda _: True
    ) -> None:
        self.refusals = refusals
        self._connections, self._per_peer, self._admits = connections, per_peer, admits
        self._held: defaultdict[str, dict[asyncio.Transport, None]] = defaultdict(dict)

    @property
    def held(self) -> dict[str, int]:
        """Connections of each peer."""
        return {peer: len(transports) for peer, transports in self._held.items()}

    def enter(self, peer: str, transport: asyncio.Transport) -> bool:
        """Is there room for it? Otherwise it has been aborted, before a byte of it was read."""
        why = self._refusal(peer)
        if why is not None:
            self.refusals.add(peer, why)
            transport.abort()
            return False
        self._held[peer][transport] = None
        return True

    def leave(self, peer: str, transport: asyncio.Transport) -> None:
        """It has gone. What was never there may go too."""
        if peer in self._held:
            self._held[peer].pop(transport, None)
            if not self._held[peer]:
                del self._held[peer]

    def _refusal(self, peer: str) -> str | None:
        if not self._admits(peer):
            return NOT_ADMITTED
        mine = len(self._held.get(peer, ()))
        if mine >= self._per_peer:
            return f"has {self._per_peer} connections already"
        if sum(map(len, self._held.values())) < self._connections:
            return None
        most = max(self._held, key=lambda each: len(self._held[each]))
        if len(self._held[most]) <= mine + 1:
            return f"comes when all {self._connections} connections are taken"
        oldest = next(iter(self._held[most]))
        self.leave(most, oldest)
        self.refusals.add(most, "has most connections, and makes room for others")
        oldest.abort()
        return None


class Turns:
    """So many requests of one peer are worked on at a time; its others wait, unread, and those of the rest do not."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._queues: dict[str, asyncio.Semaphore] = {}
        self._present: Counter[str] = Counter()

    @asynccontextmanager
    async def of(self, peer: str) -> AsyncIterator[None]:
        """While the block lasts one of them is taken."""
        turn = self._queues.setdefault(peer, asyncio.Semaphore(self._at_once))
        self._present[peer] += 1
        try:
            async with turn:
                yield
        finally:
            self._present[peer] -= 1
            if not self._present[peer]:
                del self._present[peer], self._queues[peer]
