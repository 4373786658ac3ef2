"""`python -m tests.bench.counted run …`: the daemon, which on SIGUSR1 logs how many tasks its loop has."""

import asyncio
import logging
import signal
import sys

from gateway import app, cli
from gateway.house import House

TASKS = "tasks: %d"
_live = app.live


def _tell() -> None:
    logging.getLogger("tests.bench").warning(TASKS, len(asyncio.all_tasks()))


async def live(house: House, stopping: asyncio.Event) -> None:
    """As the daemon lives, and answers the signal."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _tell)
    await _live(house, stopping)


if __name__ == "__main__":
    app.live = live
    sys.exit(cli.run(sys.argv[1:]))
