"""What an uplink tells, by which rules, and what it works with."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.clock import Clock
from gateway.commands import Reply
from gateway.dead import DeadLetters
from gateway.desk import Desk
from gateway.mqtt import Message
from gateway.outbox import Outbox
from gateway.posters import Posters
from gateway.privacy import Policy
from gateway.proofs import Proofs
from gateway.retained import Retained
from gateway.store import Store

Document = Mapping[str, Any]
Hearing = Callable[[Message], Awaitable[Reply | None]]  # None: there is no answer; StorageError: it is heard again


@dataclass(frozen=True)
class Plan:
    """What an uplink tells, and by which rules. Functions give documents as they are now."""

    name: str
    base: str  # {root}/{district}/{street}/{community}/{gateway}
    policy: Policy
    status: Callable[[str, int], Document]  # (online or offline, session)
    health: Callable[[], Document]
    dossier: Callable[[], Awaitable[Document]]
    state: Callable[[str], Document]
    inbox: Mapping[str, Hearing]  # what is heard besides commands, by topic filter
    devices: tuple[str, ...]  # whose state is retained on the broker; none where the uplink wants none
    documents: Mapping[str, Callable[[], Document]] = field(
        default_factory=dict
    )  # more to be kept, by topic below base


@dataclass(frozen=True)
class Parts:
    """What an uplink works with."""

    plan: Plan
    store: Store
    outbox: Outbox
    retained: Retained
    posters: Posters
    proofs: Proofs
    dead: DeadLetters
    desk: Desk
    clock: Clock
    log: logging.Logger
