"""`python -m tests.bench.profiled run …`: the daemon under cProfile from SIGUSR1 to SIGUSR2, then its table."""

import asyncio
import cProfile
import pstats
import signal
import sys

from gateway import app, cli
from gateway.house import House

ROWS = 60
_live = app.live
_profile = cProfile.Profile()


def _tell() -> None:
    _profile.disable()
    stats = pstats.Stats(_profile, stream=sys.stderr)
    stats.sort_stats("tottime").print_stats(ROWS)
    stats.sort_stats("cumtime").print_stats(ROWS)
    sys.stderr.write("END OF PROFILE\n")
    sys.stderr.flush()


async def live(house: House, stopping: asyncio.Event) -> None:
    """As the daemon lives, and answers the signals."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, _profile.enable)
    loop.add_signal_handler(signal.SIGUSR2, _tell)
    await _live(house, stopping)


if __name__ == "__main__":
    app.live = live
    sys.exit(cli.run(sys.argv[1:]))
