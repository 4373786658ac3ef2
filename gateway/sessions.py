"""Who is signed in: a random token a session, of which only the hash is kept, in memory and on disk.

- A session ends 12 h after its last sign of life, 7 days after it began, and when its person's password changes. An
  open page is a sign of life, so nobody is signed out in the middle of duty.
- Ages are told by the monotonic clock: a wall clock that is set ends nobody's session. On disk stands wall time, at
  most 5 minutes old, so that a power cut signs nobody out either.
"""

import base64
import hashlib
import hmac
import secrets
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from gateway.clock import Clock
from gateway.errors import StorageError
from gateway.roster import Kept, drop, now_ms, put
from gateway.store import Store

IDLE_S = 12 * 3600.0
MOST_S = 7 * 86400.0
WARN_S = 30 * 60.0  # before the end the page says so
FRESH_S = 300.0  # so long after a password was given, doors may be opened and the configuration changed
WRITE_S = 300.0
MOST_SESSIONS = 20  # of one person; the oldest ends


def new_token() -> str:
    """256 bits."""
    return secrets.token_urlsafe(32)


def sha256(token: str) -> str:
    """As it is kept."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def csrf(token: str) -> str:
    """What goes with each step of the session's person; nobody can tell the token from it."""
    digest = hmac.digest(token.encode("utf-8", "replace"), b"csrf", "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(slots=True)
class Session:
    """One that lasts. Seconds are of the monotonic clock."""

    kept: Kept
    began_s: float
    seen_s: float
    fresh_s: float  # until then
    written_s: float  # minus infinity: it is not on disk

    @property
    def key(self) -> str:
        """Its name for its own person: shows nothing of the token."""
        return self.kept.name[:16]

    def left_s(self, now_s: float) -> float:
        """Until its end, if nothing comes any more."""
        return min(self.seen_s + IDLE_S, self.began_s + MOST_S) - now_s


class Sessions:
    """All there are."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._by_hash: dict[str, Session] = {}

    def load(self, kept: list[Kept]) -> None:
        """As they stand on disk."""
        now_s, wall_ms = self._clock.monotonic(), now_ms(self._clock)
        for one in kept:
            began_s = now_s - max(0, wall_ms - one.began_ms) / 1000
            seen_s = now_s - max(0, wall_ms - one.seen_ms) / 1000
            self._by_hash[one.name] = Session(one, began_s, seen_s, fresh_s=now_s, written_s=now_s)

    async def begin(self, person: str, address: str) -> tuple[str, Session]:
        """A new one, fresh, with its token; what a failing disk does not take is written later."""
        token, now_s, wall_ms = new_token(), self._clock.monotonic(), now_ms(self._clock)
        kept = Kept(sha256(token), person, address, wall_ms, wall_ms)
        session = Session(kept, now_s, now_s, now_s + FRESH_S, float("-inf"))
        self._by_hash[kept.name] = session
        with suppress(StorageError):
            await self.end(*self.of(person)[MOST_SESSIONS:])
            await self.write()
        return token, session

    def find(self, token: str) -> Session | None:
        """The one of this token, which lives by it."""
        session = self._by_hash.get(sha256(token))
        now_s = self._clock.monotonic()
        if session is None or session.left_s(now_s) <= 0:
            return None
        session.seen_s = now_s
        return session

    def get(self, key: str) -> Session | None:
        """The one of this name."""
        return next((each for each in self._by_hash.values() if each.key == key), None)

    def of(self, person: str) -> list[Session]:
        """Those of somebody, the newest first."""
        now_s = self._clock.monotonic()
        mine = [each for each in self._by_hash.values() if each.kept.person == person and each.left_s(now_s) > 0]
        return sorted(mine, key=lambda each: -each.began_s)

    def is_fresh(self, session: Session) -> bool:
        """The password was given a short while ago."""
        return session.fresh_s > self._clock.monotonic()

    def freshen(self, session: Session) -> None:
        """It is given now."""
        session.fresh_s = self._clock.monotonic() + FRESH_S

    async def end(self, *sessions: Session) -> None:
        """At once, whatever the disk does. StorageError: they would be there again after a restart."""
        gone = [session.kept.name for session in sessions]
        for key in gone:
            self._by_hash.pop(key, None)
        if gone:
            await self._store.transact(partial(drop, kind=Kept, names=gone))

    async def write(self) -> None:
        """What is due: new ones, those seen since; those that are over leave. StorageError."""
        now_s = self._clock.monotonic()
        await self.end(*[each for each in self._by_hash.values() if each.left_s(now_s) <= 0])
        due = [each for each in self._by_hash.values() if each.written_s + WRITE_S <= each.seen_s]
        lines = [self._line(each, now_s) for each in due]
        if lines:
            await self._store.transact(lambda connection: put(connection, *lines))
        for each in due:
            each.written_s = now_s

    def _line(self, session: Session, now_s: float) -> Kept:
        kept, wall_ms = session.kept, now_ms(self._clock)
        seen_ms, began_ms = (wall_ms - int((now_s - at_s) * 1000) for at_s in (session.seen_s, session.began_s))
        session.kept = Kept(kept.name, kept.person, kept.address, max(0, began_ms), max(0, seen_ms))
        return session.kept
