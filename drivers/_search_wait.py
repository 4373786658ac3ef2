"""What a search hears while it waits, and how far it has come. (An underscore: no driver.)"""

import asyncio
import math
from collections.abc import AsyncGenerator
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Batches: TypeAlias = AsyncGenerator[list[T] | None, None]
STEP_S = 1.0  # of a progress bar


def steps_of(wait_s: float) -> int:
    """How many steps a wait has, each as long, at most STEP_S."""
    return max(1, math.ceil(wait_s / STEP_S))


async def heard(queue: "asyncio.Queue[T]", wait_s: float, settle_s: float = 0.0) -> Batches[T]:
    """What arrives within `wait_s`, in batches; None at the end of each of its steps.

    A batch is over when nothing has come for `settle_s`, or with the step.
    """
    loop, steps = asyncio.get_running_loop(), steps_of(wait_s)
    began_s = loop.time()
    for step in range(1, steps + 1):
        while batch := await _batch(queue, began_s + wait_s * step / steps, settle_s):
            yield batch
        yield None


async def _batch(queue: "asyncio.Queue[T]", until_s: float, settle_s: float) -> list[T]:
    """[] when nothing came until then."""
    batch: list[T] = []
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(until_s) as timer:
            while True:
                batch.append(await queue.get())
                timer.reschedule(min(until_s, loop.time() + settle_s))
    except TimeoutError:
        return batch
