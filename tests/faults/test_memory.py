"""No memory is left (setrlimit(2), RLIMIT_DATA): it goes on, or ends at once to be started again; nothing is lost."""

import asyncio
import random
import resource
import sys
from pathlib import Path

from tests.faults import ROUNDS
from tests.faults.seen import counter
from tests.faults.town import Town, town

LIVES = 6 * ROUNDS
ROOM_BYTES = 24 * 2**20  # at most, beyond what it has when it is ready; a thread's stack alone takes 8 MiB
LIFE_S = 1.5
HALF_DEAD_S = 15.0  # no longer does it neither end nor take anything in
LARGE = {"type": "access.granted", "raw": {"text": "x" * 30_000}}


async def lived_or_ended(made: Town) -> bool:
    """Whether it ended by itself, or else it still takes in what devices say."""
    process = made.daemon.running
    ended = asyncio.create_task(process.wait())
    await asyncio.wait([ended], timeout=LIFE_S)
    accepted = len(made.accepted)
    async with asyncio.timeout(HALF_DEAD_S):
        while not ended.done() and len(made.accepted) == accepted:
            await asyncio.wait([ended], timeout=0.1)
    return ended.done() or not ended.cancel()


async def test_without_memory_it_goes_on_or_ends_at_once(tmp_path: Path) -> None:
    dice, ended = random.Random(1), 0
    async with town(tmp_path) as made:
        made.talk()
        for life in range(LIVES):
            wire = made.districts["district"].wire
            wire.cut() if life % 3 == 1 else wire.mend()
            await made.daemon.start()
            pid = made.daemon.running.pid
            room_bytes = counter(pid, "VmData") * 1024 + dice.randrange(ROOM_BYTES)
            resource.prlimit(pid, resource.RLIMIT_DATA, (room_bytes, room_bytes))
            await made.posters[3].say(*[LARGE] * 20)
            ended += await lived_or_ended(made)
            await made.daemon.kill()
        wire.mend()
        assert ended, "there was memory enough"
        assert len(made.daemon.log) < 100 * LIVES, "\n".join(made.daemon.log[:200])
        await made.daemon.start()
        await made.hush()
        await made.judged(f"{LIVES} lives without memory, {ended} of them ended by it")
        sys.stdout.write(f"  {len(made.daemon.log)} lines of log\n")
