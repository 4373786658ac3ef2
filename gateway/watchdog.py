"""What systemd's watchdog hears (sd_notify(3)): `WATCHDOG=1` only while everything that must move does.

- The event loop turns: these words are sent from it.
- The writer commits: no batch handed to it has been out for longer than WRITER_S, or MEND_S while it salvages a
  damaged database. Nothing is written for this.
- Each driver is alive: one that hangs is started anew alone (`gateway.supervisor`); one that cannot be ended is dead.

Where it falls silent, systemd ends the process (WatchdogSec=) and starts it again; all that was accepted is on disk.
Where no memory is left it ends by itself: half of it would live on, and take nothing in.
"""

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import Any

from gateway import systemd
from gateway.errors import Text
from gateway.store import Store
from gateway.supervisor import Supervised

WRITER_S = 60.0  # a disk that hangs for less is lived through (`gateway.store`), and doors go on meanwhile
MEND_S = 900.0  # a damaged database of 512 MB on a slow card is salvaged in less; to end that is to begin it anew
AILING_S = 1.0  # how often one looks again meanwhile
STARVED_STATUS = 1  # exit status
_LOG = logging.getLogger("gateway.watchdog")


async def watch(store: Store, lines: Sequence[Supervised]) -> None:
    """Until cancelled; at once where no systemd wants to hear it."""
    every_s, told = systemd.watchdog_s(), False
    while every_s is not None:
        patience_s = MEND_S if store.writer.mending else WRITER_S
        why = ailing(store.flight.oldest_s, lines, asyncio.get_running_loop().time(), patience_s)
        if why is None:
            systemd.notify("WATCHDOG=1")
        if why is not None and not told:
            _LOG.critical("%s; systemd hears no more of this process, and starts it again", why.en)
        elif why is None and told:
            _LOG.warning("it moves again; systemd is told so")
        told = why is not None
        await asyncio.sleep(AILING_S if told else every_s)


def ailing(
    busy_since_s: float | None, lines: Sequence[Supervised], now_s: float, patience_s: float = WRITER_S
) -> Text | None:
    """Why the process is better ended, or None. Moments on the loop's clock, in seconds."""
    if busy_since_s is not None and now_s - busy_since_s > patience_s:
        waited_s = round(now_s - busy_since_s)
        return Text(f"the disk has not answered the writer for {waited_s} s", f"写线程等待磁盘已 {waited_s} 秒")
    for line in lines:
        if line.dead:
            name = line.line.name
            return Text(f"the driver of {name} hangs and cannot be ended", f"{name} 的驱动停滞且无法终止")
    return None


def unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The event loop's handler of what nobody caught (asyncio's `set_exception_handler`)."""
    if not isinstance(context.get("exception"), MemoryError):
        loop.default_exception_handler(context)
        return
    try:
        _LOG.critical("no memory is left; this process ends, and systemd starts it again")
    finally:
        os._exit(STARVED_STATUS)  # as at a power cut: what was accepted is on disk, and to stop well takes memory
