"""A program that appends events to a store and says on standard output, line by line, which ids stand on disk.

`python -m tests.faults.appender DATABASE COUNT full|weak|early`: `weak` does not force commits to disk, `early` answers
before the commit.
"""

import asyncio
import os
import sys
from pathlib import Path

from gateway.database import Draft
from gateway.event import Lane
from gateway.identity import Identities
from gateway.store import Store
from tests.faults.weak import weaken

UPLINKS = ("district", "fire-brigade")
CHECKPOINT_PAGES = 12  # a checkpoint every so often, so that a short run has some


async def append(path: Path, count: int, way: str) -> None:
    """Events in batches of one to three, over the lanes."""
    async with Store(path, UPLINKS) as store:
        identities = Identities(store.database.newest_id_ms)
        await store.transact(lambda c: c.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}").fetchone())
        for number in range(count):
            lane = (Lane.ALARM, Lane.EVENT)[number % 2]
            ids = [identities.next(1_700_000_000_000 + number) for _ in range(1 + number % 3)]
            text = "x" * (number * 37 % 900)
            bodies = [f'{{"id":"{identity}","type":"x.y","text":"{text}"}}' for identity in ids]
            said = "".join(f"{identity}\n" for identity in ids).encode()
            if way == "early":
                os.write(1, said)
            await store.append([Draft(lane, 1, body, frozenset(UPLINKS)) for body in bodies])
            if way != "early":
                os.write(1, said)


if __name__ == "__main__":
    if sys.argv[3] == "weak":
        weaken()
    asyncio.run(append(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
