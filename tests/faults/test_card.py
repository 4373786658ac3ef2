"""A real card (ext4 on a loop device) that hangs, is full, answers with errors or turns read-only under a real daemon.

The daemon lives, says so, takes nothing that it cannot keep, and goes on by itself when the card does.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.card import Card, card
from tests.faults.daemon import Daemon
from tests.faults.judge import check_streams
from tests.faults.seen import on_disk
from tests.faults.test_disk import PANIC, RETRY_S, Ground, Limited, about_the_disk, ground, refuses


class Trouble(NamedTuple):
    """How it begins, how it ends, what the log says of it."""

    begin: Callable[[Card], None]
    end: Callable[[Card], None]
    said: str
    journal: bool = True


TROUBLES = {
    "hangs": Trouble(Card.freeze, Card.thaw, "does not answer"),
    "full": Trouble(Card.fill, Card.free, "does not take it"),
    "fails": Trouble(Card.fail, Card.fail_no_more, "does not take it", journal=False),
    "read-only": Trouble(Card.read_only, Card.read_only_no_more, "does not take it"),
}


class Mounted:
    """The card as a disk of `ground`."""

    def __init__(self, made: Card) -> None:
        self.state = made.state

    async def start(self, daemon: Daemon, full: bool = False) -> None:
        await daemon.start()

    def fill(self, daemon: Daemon) -> None:
        raise NotImplementedError

    free = fill


@pytest.mark.parametrize("name", TROUBLES)
async def test_card(name: str, tmp_path: Path) -> None:
    trouble = TROUBLES[name]
    with card(tmp_path, journal=trouble.journal) as made_card:
        async with ground(tmp_path, Mounted(made_card)) as made:
            await made.daemon.start()
            await made.device.say(*[PANIC] * 5)
            await made.device.all_accepted()
            trouble.begin(made_card)
            try:
                await refuses(made)
                await says_so(made)
            finally:
                trouble.end(made_card)
            await made.device.all_accepted()
            await goes_on(made, trouble.said)


async def test_held_up_by_another_program(tmp_path: Path) -> None:
    """What hangs for anyone, root or not: somebody else has locked the file."""
    async with ground(tmp_path, Limited(tmp_path)) as made:
        await made.daemon.start()
        await made.device.say(*[PANIC] * 5)
        await made.device.all_accepted()
        with closing(sqlite3.connect(made.daemon.state / "events.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            await refuses(made)
            await says_so(made)
            other.execute("ROLLBACK")
        await made.device.all_accepted()
        await goes_on(made, "the disk does not")


async def says_so(made: Ground) -> None:
    """On every surface, and nothing more is accepted."""
    await made.until_ready(False)
    status = (await made.daemon.get("/api/v1/status"))[1]
    assert set(status["disk"]["failing"]) == {"en", "zh"}
    kept, attempts = len(made.device.accepted), made.device.attempts
    await made.device.say(*[PANIC] * 5)
    async with asyncio.timeout(20):
        while made.device.attempts < attempts + 3:
            await made.daemon.after(RETRY_S)
    assert len(made.device.accepted) == kept
    assert (await made.daemon.get("/healthz"))[0] == 200


async def goes_on(made: Ground, said: str) -> None:
    """Everything accepted is on the card and arrives, no number is missing; told when it began, and when it ended."""
    await made.until_ready(True)
    await made.device.say(PANIC)
    await made.device.all_accepted()
    await made.city.until(lambda: set(made.device.accepted) <= {event["id"] for event in made.city.events()})
    assert set(made.device.accepted) <= {event["id"] for event in on_disk(made.daemon.state)}
    check_streams(made.city.events())
    await made.daemon.logged(lambda log: len(about_the_disk(log)) == 2)
    worse, better = about_the_disk(made.daemon.log)
    assert said in worse
    assert "again" in better
    assert (await made.daemon.stop())[0] == 0
