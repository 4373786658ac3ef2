"""Machines that may ask: named tokens with scopes, shown once; of each only the hash is kept."""

from dataclasses import replace

from gateway.clock import Clock
from gateway.deeds import NotFound
from gateway.errors import GatewayError, Text
from gateway.rights import Right
from gateway.roster import Token, drop, now_ms, put
from gateway.sessions import new_token, sha256
from gateway.store import Store

PREFIX = "gw_"  # so that one that lies around is known for what it is
USED_S = 3600.0  # how exactly the last use is kept
MOST_TOKENS = 50
MOST_NAME_CHARS = 40


class NoSuchToken(GatewayError):
    """It cannot be made so."""


class Tokens:
    """All there are."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._by_hash: dict[str, Token] = {}
        self._unwritten: set[str] = set()

    def load(self, kept: list[Token]) -> None:
        """As they stand on disk."""
        self._by_hash = {token.name: token for token in kept}

    def list(self) -> list[Token]:
        """The newest first."""
        return sorted(self._by_hash.values(), key=lambda token: -token.made_ms)

    def find(self, text: str) -> Token | None:
        """The one of this text, where its time is not over."""
        token = self._by_hash.get(sha256(text))
        wall_ms = now_ms(self._clock)
        if token is None or 0 < token.until_ms <= wall_ms:
            return None
        if wall_ms - token.used_ms >= USED_S * 1000:
            self._by_hash[token.name] = token = replace(token, used_ms=wall_ms)
            self._unwritten.add(token.name)
        return token

    async def make(self, name: str, scopes: frozenset[Right], made_by: str, last_s: float) -> str:
        """A new one, for ever where `last_s` is 0; its text, which is nowhere else. NoSuchToken, StorageError."""
        name = " ".join(name.split())
        if not 0 < len(name) <= MOST_NAME_CHARS or any(token.shown == name for token in self._by_hash.values()):
            what = Text("a token needs a name of its own, of 40 characters at most", "令牌名称不能重复,最多 40 字")
            raise NoSuchToken(name, what)
        if not scopes:
            raise NoSuchToken(name, Text("choose what the token may do", "请选择令牌的权限"))
        if len(self._by_hash) >= MOST_TOKENS:
            raise NoSuchToken(name, Text("there are 50 tokens already", "已有 50 个令牌"), _REMOVE)
        text, wall_ms = PREFIX + new_token(), now_ms(self._clock)
        until_ms = wall_ms + int(last_s * 1000) if last_s else 0
        token = Token(sha256(text), name, " ".join(sorted(scopes)), made_by, wall_ms, 0, until_ms)
        await self._store.transact(lambda connection: put(connection, token))
        self._by_hash[token.name] = token
        return text

    async def remove(self, name: str) -> None:
        """It is over at once. NotFound, StorageError: it would be there again after a restart."""
        gone = [token.name for token in self._by_hash.values() if token.shown == name]
        if not gone:
            raise NotFound(name, Text("there is no such token", "没有这个令牌"))
        for key in gone:
            del self._by_hash[key]
        await self._store.transact(lambda connection: drop(connection, Token, gone))

    async def write(self) -> None:
        """When each was used last. StorageError."""
        lines = [self._by_hash[key] for key in self._unwritten if key in self._by_hash]
        self._unwritten.clear()
        if lines:
            await self._store.transact(lambda connection: put(connection, *lines))


_REMOVE = Text("remove one that is not used any more", "请先删除不再使用的令牌")
