"""One person's cards are forgotten (PIPL, article 47): here, and by each uplink that was given references to them.

1. A line of the audit log, without the number. 2. For each uplink that may hold references an event to it alone:
`gateway.action` with `action: forget` and the reference it knows. 3. The clear number goes from every event that stands
on disk by now, from dead letters, and from memory: events stay, and what was not sent yet goes without the credential.
4. What was deleted is made unreadable (`Database.scrub`). Whatever breaks in between, the same order again does the
rest: an uplink may then be told twice. Events that come later are new ones: take the card off the doors first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.access import hash_card
from gateway.audit import Audit, By
from gateway.config import Config
from gateway.database import Row
from gateway.deeds import NotFound
from gateway.erase import STORED, erase, is_of, rest, seek
from gateway.errors import Text
from gateway.event import Credential, Lane, Phase, Reading
from gateway.outbox import Outbox
from gateway.pipeline import Pipeline
from gateway.privacy import ACTION, FORGET, Policy
from gateway.store import Store

_NEVER_SEEN = Text(
    "no event that is kept here holds a card with this reference", "本机保存的事件中没有对应此引用的卡片"
)
_BACKUPS = Text("backups made before still hold it: delete them when they are due", "此前的备份中仍有该卡号:请按期删除")
_LISTED = Text(
    "it still opens doors: take its line out of credentials: (`gateway card` prints what to look for)",
    "该卡仍可开门:请从 credentials: 中删除对应行(用 gateway card 得到要查找的内容)",
)
_AGAIN = Text(
    "the disk was being read: ask once more, so that nothing can be read", "磁盘正被读取:请再执行一次以彻底擦除"
)
_BY_NUMBER = Text("give its format, facility code and number instead", "请改用卡片格式、区域码和卡号")


@dataclass(frozen=True)
class Forgotten:
    """How many events and letters lost their credential, which uplinks are told, and whether nothing can be read."""

    events: int
    told: tuple[str, ...]
    scrubbed: bool


class Forgetting:
    """`shares`: each uplink's policy, and what it holds in memory."""

    def __init__(
        self, gateway: str, store: Store, pipeline: Pipeline, audit: Audit, shares: Sequence[tuple[Policy, Outbox]]
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._pipeline = pipeline
        self._audit = audit
        self._shares = shares

    async def find(self, reference: str) -> Credential:
        """The card that one of the uplinks knows by this reference, as far as an event holds it. NotFound."""

        def matches(card: Credential) -> bool:
            return any(policy.reference(card) == reference for policy, _ in self._shares)

        for table in STORED:
            after: int | None = 0
            while after is not None:
                card, after = await self._store.read(partial(seek, table=table, after=after, matches=matches))
                if card is not None:
                    return card
        raise NotFound(reference, _NEVER_SEEN, _BY_NUMBER)

    async def forget(self, card: Credential, by: By) -> Forgotten:
        """All of it. StorageError: not all; ask again."""
        await self._audit.put(by, FORGET, self._gateway)
        told = [policy for policy, _ in self._shares if policy.holds_references]
        await self._pipeline.accept([self._order(policy, card) for policy in told])
        count = 0
        for table in STORED:
            after: int | None = 0
            while after is not None:
                went, after = await self._store.transact(partial(erase, table=table, after=after, card=card))
                count += went
        self._clear(card)
        scrubbed = await self._store.transact(lambda _: self._store.database.scrub())
        self._clear(card)  # what was being read meanwhile
        return Forgotten(count, tuple(policy.uplink for policy in told), scrubbed)

    def _order(self, policy: Policy, card: Credential) -> Reading:
        reference = {"ref": policy.reference(card), "kind": card.kind, "format": card.format}
        said: dict[str, Any] = {"action": FORGET, "uplink": policy.uplink, "credential": reference}
        return Reading(self._gateway, ACTION, Phase.PULSE, data=said)

    def _clear(self, card: Credential) -> None:
        for row in self._rows():
            if row.private is not None and is_of(row.private, card):
                row.private = rest(row.private)

    def _rows(self) -> Iterator[Row]:
        """All events in memory."""
        for lane in Lane:
            yield from self._store.tails[lane]
            for _, outbox in self._shares:
                queue = outbox.queues[lane]
                yield from (*queue.waiting, *queue.replay.waiting, *queue.replay.flying)
                yield from (entry.row for entry in queue.flying)


def left_to_do(config: Config, card: Credential, forgotten: Forgotten) -> list[Text]:
    """What a person has to see to: files that are not the gateway's to change."""
    todo = [_BACKUPS]
    listed = config.credentials
    if listed is not None:
        mine = hash_card(listed.key.get_secret_value(), card)
        todo += [_LISTED] if any(entry.card == mine for entry in listed.list) else []
    aside = ", ".join(sorted(path.name for path in config.gateway.state_dir.glob("*.damaged-*")))
    if aside:
        todo.append(Text(f"delete the damaged databases that were kept: {aside}", f"请删除保留的损坏数据库:{aside}"))
    return todo if forgotten.scrubbed else [*todo, _AGAIN]
