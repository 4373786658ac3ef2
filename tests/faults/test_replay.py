"""A power cut at any moment, out of recorded writes: what was said to be on disk is there, and the database opens."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from gateway.database import Damaged, Database, quick_check, read_rows
from gateway.event import Lane
from tests.faults import ROUNDS
from tests.faults.appender import UPLINKS, append
from tests.faults.model_disk import Disk
from tests.faults.record import Call, recorded

APPENDS = 40
STATES = 250 * ROUNDS


def cuts(base: Path, calls: Sequence[Call], folder: Path) -> tuple[int, list[str]]:
    """How many cuts were tried, and what was wrong after them."""
    disk = Disk({str(base / "events.db"): (base / "before").read_bytes()})
    dice, said, wrong, tried = random.Random(1), list[str](), list[str](), 0
    share = STATES / len(calls)
    for call in calls:
        if call.name == "say":
            said += call.data.decode().split()
        else:
            disk.do(call)
        for _ in range(int(share) + (dice.random() < share % 1)):
            tried += 1
            state = folder / str(tried)
            state.mkdir()
            for path, content in disk.left(dice).items():
                (state / Path(path).name).write_bytes(content)
            wrong += look(state / "events.db", said)
    return tried, wrong


def look(path: Path, said: Sequence[str]) -> list[str]:
    """Open it as the daemon does. What is wrong."""
    with closing(Database(path, UPLINKS)) as database:
        try:
            connection = database.connection
        except Damaged as gap:  # it notices, at least
            return [f"{path}: lost, {gap}"]
        rows = {lane: read_rows(connection, lane, 0, 10_000) for lane in Lane}
        there = {row.body[7:43] for lane in Lane for row in rows[lane]}
        wrong = [f"{path}: lost {identity}" for identity in said if identity not in there]
        for lane, found in rows.items():
            expected = [(number, dict.fromkeys(UPLINKS, number)) for number in range(1, len(found) + 1)]
            if [(row.seq, row.numbers) for row in found] != expected or database.last[lane] != len(found):
                wrong.append(f"{path}: numbers of {lane}")
        structure = quick_check(connection)
        return wrong if structure is None else [*wrong, f"{path}: {structure}"]


@pytest.mark.parametrize(("way", "keeps"), [("full", True), ("weak", False), ("early", False)])
def test_every_cut(way: str, keeps: bool, tmp_path: Path) -> None:
    """Commits that are not forced to disk, and answers before the commit, are seen to lose; nothing is ever damaged."""
    path = tmp_path / "events.db"
    asyncio.run(append(path, 0, "full"))
    (tmp_path / "before").write_bytes(path.read_bytes())
    calls = recorded(tmp_path, "tests.faults.appender", str(path), str(APPENDS), way)
    assert sum(call.name == "say" for call in calls) == APPENDS
    assert sum(call.name in ("sync", "forced") for call in calls) > (APPENDS if way != "weak" else 3)
    tried, wrong = cuts(tmp_path, calls, tmp_path)
    assert tried > STATES / 2
    assert [one for one in wrong if "lost" not in one] == []
    assert (wrong == []) == keeps, wrong[:10]
