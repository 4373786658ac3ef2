"""A database full of events, made fast with the project's own Database."""

import json
import time
from pathlib import Path

from gateway.database import Database, Draft
from gateway.event import Lane
from gateway.identity import Identities
from tests.bench.figures import EVENT

AT_ONCE_ROWS = 10_000


def fill(path: Path, count: int) -> None:
    """`count` events of the event lane, none of them delivered."""
    path.parent.mkdir(parents=True)
    identities = Identities()
    event = {name: value for name, value in EVENT.items() if name not in ("stream", "sequence")}
    head, tail = json.dumps(event, ensure_ascii=False, separators=(",", ":")).split(EVENT["id"])
    database, uplinks = Database(path, ["district"]), frozenset({"district"})
    for first in range(0, count, AT_ONCE_ROWS):
        now_ms = int(time.time() * 1000)
        bodies = [head + identities.next(now_ms) + tail for _ in range(min(AT_ONCE_ROWS, count - first))]
        database.append([Draft(Lane.EVENT, now_ms, body, uplinks) for body in bodies])
    database.close()
