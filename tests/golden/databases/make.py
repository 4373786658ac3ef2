"""Writes `schema-N.db`, a database of the present schema version N, its journal, and `schema-N.json`, what they hold.

`python -m tests.golden.databases.make`, once for each version, before anything is released with it; a file that is
there is never written again: it stands for the boxes outside.
"""

import asyncio
import json
import shutil
import sqlite3
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gateway.alarms import Alarm, Step
from gateway.audit import add
from gateway.batch import Cursor
from gateway.database import (
    VERSION,
    Draft,
    journal_path,
    put_alarms,
    put_fact,
    read_alarms,
    read_cursors,
    read_fact,
    read_rows,
)
from gateway.event import Lane, Severity
from gateway.identity import Identities
from gateway.roster import Kept, Person, Token, Visited, put
from gateway.store import Store

FOLDER = Path(__file__).parent
UPLINKS = ("district", "fire-brigade")
FACTS = {"session.district": "7", "dossier.district": "3 5c6ffbdd40d9556b73a21e63c3e0e904"}
COUNT = 12  # events of each lane
NOW_MS = 1_795_428_379_123


async def fill(path: Path) -> None:
    """Every table has something in it, also an uplink that is no longer there, and events that one of them is not's."""
    identities = Identities()

    def draft(lane: Lane, number: int, names: tuple[str, ...]) -> Draft:
        body = {
            "id": identities.next(NOW_MS + number),
            "type": "fire.smoke",
            "data": {"raw": {"n": number, "门": "北"}},
        }
        private = '{"format":"wiegand-26","number":1234}' if number % 5 == 0 else None
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return Draft(lane, NOW_MS + number, text, frozenset(names), private)

    async with Store(path, ("gone", *UPLINKS)) as store:
        await store.append([draft(lane, 0, ("gone",)) for lane in Lane])
    async with Store(path, UPLINKS) as store:
        for number in range(1, COUNT):
            names = UPLINKS if number % 3 else UPLINKS[:1]
            await store.append([draft(lane, number, names if lane is Lane.EVENT else UPLINKS) for lane in Lane])
        first = (await store.rows(Lane.ALARM, 1, 1))[0].body[7:43]
        flags = Alarm(
            "smoke-1",
            "fire.smoke",
            "",
            first,
            Severity.CRITICAL,
            True,
            False,
            False,
            True,
            2,
            NOW_MS,
            NOW_MS + 9,
            False,
            silenced=True,
            first_of=first,
            history=(Step(NOW_MS, "raise"), Step(NOW_MS + 5, "silence", "王师傅", "page", "闻到烟味")),
        )
        await store.transact(lambda connection: put_alarms(connection, [flags]))
        for name, value in FACTS.items():
            await store.transact(lambda connection, name=name, value=value: put_fact(connection, name, value))  # type: ignore[misc]
        await store.transact(_second_version)
        await store.transact(_fourth_version)
        await store.transact(_fifth_version)
        store.mark(UPLINKS[0], Lane.EVENT, Cursor(5, 4))


def _second_version(connection: sqlite3.Connection) -> None:
    """What schema/002.sql added."""
    letter = (UPLINKS[0], Lane.EVENT.value, 3, 2, NOW_MS + 2, "packet too large", '{"id":"x"}', None)
    connection.execute("INSERT INTO dead VALUES (?, ?, ?, ?, ?, ?, ?, ?)", letter)
    connection.execute("INSERT INTO command VALUES (?, ?, ?, ?)", ("c-1", UPLINKS[0], NOW_MS + 60_000, None))
    connection.execute("INSERT INTO again VALUES (?, ?, ?, ?)", (UPLINKS[0], Lane.ALARM.value, 1, 4))


def _fourth_version(connection: sqlite3.Connection) -> None:
    """What schema/004.sql added."""
    connection.execute("INSERT INTO incident VALUES (?, ?, ?, ?, ?)", ("case-1", UPLINKS[0], "{}", "{}", NOW_MS))
    connection.execute("INSERT INTO notice VALUES (?, ?, ?, ?, ?)", ("n-1", UPLINKS[0], "{}", NOW_MS + 9, NOW_MS))
    row = ("2026-11-23", UPLINKS[0], "fire.smoke", "place values", 3)
    connection.execute("INSERT INTO disclosure VALUES (?, ?, ?, ?, ?)", row)
    add(connection, {"who": "王师傅", "what": "operator.ack"})


def _fifth_version(connection: sqlite3.Connection) -> None:
    """What schema/005.sql added."""
    put(connection, Person("wang", "王师傅", "duty", "$argon2id$v=19$m=12288,t=3,p=1$c2FsdA$dGFn", NOW_MS, NOW_MS + 9))
    put(connection, Kept("0" * 64, "wang", "192.0.2.7", NOW_MS, NOW_MS + 9))
    put(connection, Token("1" * 64, "city", "see metrics", "王师傅", NOW_MS), Visited("wang 192.0.2.7", NOW_MS))


async def leave(path: Path, folder: Path) -> None:
    """As a power cut leaves it: the newest stand in the journal alone."""
    async with Store(path, UPLINKS) as store:
        await store.append([Draft(lane, NOW_MS + COUNT, _body(lane), frozenset(UPLINKS)) for lane in Lane])
        store.mark(UPLINKS[0], Lane.ALARM, Cursor(6, 5))
        await store.append([Draft(Lane.ALARM, NOW_MS + COUNT, _body(Lane.ALARM), frozenset(UPLINKS))])
        for part in (path, journal_path(path)):
            shutil.copy(part, folder)


def _body(lane: Lane) -> str:
    event = {"id": Identities().next(NOW_MS + COUNT), "type": "x.y", "data": {"lane": lane}}
    return json.dumps(event, separators=(",", ":"))


def _shown(alarm: Alarm) -> str:
    """As repr() had it; what a later version added only where it says something."""
    told = ((f.name, getattr(alarm, f.name), f.default) for f in fields(alarm))
    return f"Alarm({', '.join(f'{name}={value!r}' for name, value, default in told if value != default)})"


async def content(path: Path) -> dict[str, Any]:
    """All that the present program finds in a database, as JSON has it."""
    async with Store(path, ("gone", *UPLINKS)) as store:
        rows = {lane: await store.read(lambda c, lane=lane: read_rows(c, lane, 0, 1000)) for lane in Lane}  # type: ignore[misc]
        found = {
            "events": {
                lane: [[row.seq, row.time_ms, dict(sorted(row.numbers.items())), row.body, row.private] for row in many]
                for lane, many in rows.items()
            },
            "last": dict(store.last),
            "numbers": {lane: dict(numbers) for lane, numbers in store.numbers.items()},
            "cursors": {
                f"{u}.{lane}": [c.seq, c.sequence] for (u, lane), c in (await store.read(read_cursors)).items()
            },
            "alarms": [_shown(alarm) for alarm in await store.read(read_alarms)],
            "facts": {name: await store.read(lambda c, name=name: read_fact(c, name)) for name in FACTS},  # type: ignore[misc]
        }
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


async def main() -> None:
    """Of this version, where it is not there yet."""
    path = FOLDER / f"schema-{VERSION}.db"
    if not path.exists():
        with TemporaryDirectory() as folder:
            await fill(Path(folder) / path.name)
            await leave(Path(folder) / path.name, FOLDER)
        with TemporaryDirectory() as folder:
            for part in FOLDER.glob(f"{path.name}*"):
                shutil.copy(part, folder)
            found = await content(Path(folder) / path.name)
        path.with_suffix(".json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    asyncio.run(main())
