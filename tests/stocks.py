"""A store full of events, for tests that search in it: as many as wanted, of known kinds, and what stands in it."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.clock import rfc3339
from gateway.database import Database, Draft
from gateway.event import Lane
from gateway.identity import Identities

KINDS = (  # type, severity, lane, device, place, label
    ("access.granted", "info", Lane.EVENT, "door-1", "gate", "大门"),
    ("telemetry.sample", "info", Lane.TELEMETRY, "smoke-1", "b3/u2", "3号楼2单元"),
    ("access.denied", "low", Lane.EVENT, "door-1", "gate", "大门"),
    ("fire.smoke", "critical", Lane.ALARM, "smoke-1", "b3/u2", "3号楼2单元"),
    ("device.fault", "medium", Lane.EVENT, "smoke-1", "b3/u2", "3号楼2单元"),
    ("door.forced", "high", Lane.ALARM, "door-1", "gate", "大门"),
)
START_MS = 1_795_000_000_000
Event = dict[str, Any]


def event(identity: str, number: int, time_ms: int, **data: Any) -> tuple[Lane, Event]:
    """The event of that number, as it stands on disk."""
    kind, severity, lane, device, place, label = KINDS[number % len(KINDS)]
    about = {"alarm": identity} if severity != "info" else {}
    return lane, {
        "specversion": "1.0", "id": identity, "source": "/310104/013/002/gw-0001", "subject": device, "type": kind,
        "time": rfc3339(datetime.fromtimestamp(time_ms / 1000, UTC)), "datacontenttype": "application/json",
        "dataschema": f"urn:sc:v1:{kind}", "phase": "pulse", "severity": severity, "timequality": "synced",
        "data": {"place": {"path": place, "label": label}, **about, "test": False, "note": f"n{number}", **data},
    }  # fmt: skip


def stocked(
    folder: Path,
    count: int,
    *,
    step_ms: int = 1000,
    lag_ms: Callable[[int], int] = lambda _: 0,
    uplinks: Iterable[str] = (),
) -> list[Event]:
    """So many events in the store of the state folder, one each `step_ms`, told `lag_ms` after it happened.

    Returns them, the newest first, where there are not too many.
    """
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    ids, database, made = Identities(), Database(folder / "state" / "events.db", list(uplinks)), list[Event]()
    for start in range(0, count, 2000):
        drafts = []
        for number in range(start, min(start + 2000, count)):
            told_ms = START_MS + number * step_ms
            time_ms = told_ms - lag_ms(number)
            lane, one = event(ids.next(told_ms), number, time_ms)
            drafts.append(Draft(lane, time_ms, json.dumps(one, separators=(",", ":"), ensure_ascii=False), frozenset()))
            made += [one] if count <= 10_000 else []
        database.append(drafts)
    database.close()
    return made[::-1]
