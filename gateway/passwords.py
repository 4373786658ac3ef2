"""Passwords: which will do, and their argon2id hashes (RFC 9106), made off the loop, one at a time.

12 MiB and three passes (OWASP's Password Storage Cheat Sheet: 12 MiB, t=3, p=1) take some 50 ms of a small box: an
alarm does not wait for them, and only one of them takes memory.
"""

import asyncio
import base64
import ctypes
import secrets
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from gateway.errors import GatewayError, Text

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LEAST_CHARS, MOST_CHARS = 10, 200
LEAST_DIFFERENT_CHARS = 4
MOST_WAITING = 8  # for their turn
_GUESSED_FIRST = """
1234567890 0123456789 0987654321 12345678910 1234567891 123456789a a123456789 a1234567890 aa12345678 abc1234567
abcd123456 abcde12345 1q2w3e4r5t 1qaz2wsx3edc qwertyuiop qwerty12345 qwerty123456 asdfghjkl1 password12 password123
password1234 passw0rd123 p@ssw0rd123 administrator admin12345 admin123456 admin@12345 administrator1 iloveyou123
woaini1314 woaini5201314 5201314520 1314520520 zhongguo123 wuye123456 baoan123456 xiaoqu123456 gateway123 community1
qq123456789 147258369a 147258369147 changeme123 letmein1234 welcome123
"""
_M_MMAP_THRESHOLD = -3  # mallopt(3): glibc gives back what is freed above; else each thread would keep its 12 MiB
_COMMON = frozenset(_GUESSED_FIRST.split())


class Busy(GatewayError):
    """Too many passwords at once."""


def cleaned(password: str) -> str:
    """The same whatever wrote it: one form of each character (Unicode, annex 15)."""
    return unicodedata.normalize("NFKC", password)


def complaint(password: str, *names: str) -> Text | None:
    """Why it will not do, or None. Nothing is asked of it but that it is not easily guessed."""
    folded = cleaned(password).casefold()
    if len(folded) < LEAST_CHARS:
        return Text(f"a password needs {LEAST_CHARS} characters at least", f"密码至少 {LEAST_CHARS} 个字符")
    if len(password) > MOST_CHARS:
        return Text(f"a password has {MOST_CHARS} characters at most", f"密码最多 {MOST_CHARS} 个字符")
    if folded in _COMMON or len(set(folded)) < LEAST_DIFFERENT_CHARS:
        return Text("this password is among the first that are guessed", "此密码过于常见,容易被猜中")
    if any(name.casefold() == folded.strip("0123456789!@#._- ") or name.casefold() == folded for name in names):
        return Text("the password must not be the name", "密码不能与姓名或登录名相同")
    return None


@dataclass(frozen=True)
class Cost:
    """Of one hash."""

    memory_kib: int = 12 * 1024
    passes_count: int = 3


class Passwords:
    """Makes hashes and looks at them."""

    def __init__(self, cost: Cost | None = None) -> None:
        self._cost = cost or Cost()
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """As it is kept. Busy."""
        async with self._in_turn():
            return await asyncio.to_thread(self._hasher.hash, cleaned(password))

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Callable[[str, str | None], Awaitable[bool]]]:
        """Whether a password is the one of a hash: nobody else's is looked at while the block lasts. Busy."""
        async with self._in_turn():
            yield self._look

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        if self._waiting >= MOST_WAITING:
            what = Text("too many people sign in at once", "同时登录的请求过多")
            raise Busy("sign-in", what, Text("try again in a few seconds", "请几秒后重试"))
        self._waiting += 1
        try:
            async with self._turn:
                yield
        finally:
            self._waiting -= 1

    async def _look(self, password: str, kept: str | None) -> bool:
        return await asyncio.to_thread(self._fits, password, kept)

    def _fits(self, password: str, kept: str | None) -> bool:
        """None, for nobody's, takes as long, and never fits."""
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            return self._hasher.verify(kept or self._nobody(), cleaned(password[: 2 * MOST_CHARS]))
        except (VerificationError, InvalidHashError):
            return False

    def _nobody(self) -> str:
        """A hash of nothing: its tag is random, and costs as much to look at."""
        salt, tag = (base64.b64encode(secrets.token_bytes(count)).decode().rstrip("=") for count in (16, 32))
        return f"$argon2id$v=19$m={self._cost.memory_kib},t={self._cost.passes_count},p=1${salt}${tag}"

    @cached_property
    def _hasher(self) -> "PasswordHasher":
        from argon2 import PasswordHasher  # only when somebody signs in

        with suppress(AttributeError):  # another C library has ways of its own
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 2**20)
        return PasswordHasher(self._cost.passes_count, self._cost.memory_kib, 1)
