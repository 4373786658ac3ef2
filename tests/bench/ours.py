"""The event path from driver to PUBACK in a process of its own: `python -m tests.bench.ours PORT EVENTS FOLDER CARDS`.

50 tasks, as drivers do, each take in one reading after another and wait until it is on disk; the uplink delivers
meanwhile. CARDS is `cards` where each reading carries one, whose number leaves the box only as a keyed hash. Prints one
JSON object.
"""

import asyncio
import json
import os
import sys
import time
from functools import partial
from pathlib import Path

from gateway.event import Credential, Lane, Phase, Reading, Value
from gateway.mqtt import Target
from tests.faults.seen import counter
from tests.rig import Rig, rig, running

TASKS = 50
LOOK_S = 0.002


async def drive(made: Rig, device: str, count: int, cards: bool) -> None:
    """What a driver does: emit, and go on when it is on disk."""
    for number in range(count):
        values = {"reader": Value(number)}
        card = Credential("wiegand-26", 90, number) if cards else None
        await made.pipeline.accept([Reading(device, "access.granted", Phase.PULSE, values=values, credential=card)])


async def run(port: int, count: int, folder: Path, cards: bool) -> dict[str, float]:
    """Rate and CPU time from the first reading to the last PUBACK; bytes until the database is closed."""
    before_bytes = counter(os.getpid(), "write_bytes")
    async with rig(folder, "district") as made:
        uplink = made.uplink("district", partial(Target, "127.0.0.1", port, "bench"))
        connected = asyncio.Event()
        uplink.on_change = lambda _: connected.set()
        async with running(made, uplink):
            await connected.wait()
            began_s, cpu_s = time.perf_counter(), time.process_time()
            async with asyncio.TaskGroup() as group:
                for number in range(TASKS):
                    group.create_task(drive(made, f"door-{number % 8 + 1}", count // TASKS, cards))
            while any(uplink.parts.outbox.backlog(lane) for lane in Lane):
                await made.clock.sleep(LOOK_S)
            took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return {
        "per_s": count / took_s,
        "cpu_s_per_10k": cpu_s / count * 1e4,
        "bytes_per_event": (counter(os.getpid(), "write_bytes") - before_bytes) / count,
    }


if __name__ == "__main__":
    where, how_many, folder, kind = sys.argv[1:]
    found = asyncio.run(run(int(where), int(how_many), Path(folder), kind == "cards"))
    sys.stdout.write(json.dumps(found) + "\n")
