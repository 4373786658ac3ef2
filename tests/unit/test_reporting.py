"""Reports of a running gateway: read beside the event path, in pages; signed; honest about what is not kept."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import reporting
from gateway.audit import By, lines
from gateway.clock import SystemClock, rfc3339
from gateway.database import Database, Draft
from gateway.event import Lane
from gateway.house import House
from gateway.identity import Identities
from gateway.reporting import HANDED, NoPeriod
from tests.houses import Puppets, config, living, to

WANG = By("wang", "duty", "page")
DEVICES = {"smoke-1": "smoke", "door-1": "door"}
MANY = 100_000


@pytest.fixture
def puppets() -> Puppets:
    return Puppets()


@pytest.fixture
async def house(tmp_path: Path, puppets: Puppets) -> AsyncIterator[House]:
    async with living(config(tmp_path, DEVICES, {"district": to(1)}), puppets) as house:
        yield house


async def test_a_day_of_this_house(house: House, puppets: Puppets) -> None:
    smoke = await puppets.emit("smoke-1", "fire.smoke", "raise")
    await puppets.emit("door-1", "access.denied")
    await (await puppets.link("door-1")).lost("door-1", "timeout")
    await house.duty.dispose(smoke, WANG, "false", note="steam")
    await house.covers.shield("door-1", 3600, "repair", WANG)
    told = await house.reporting.report("day")
    assert (told["site"], told["complete"], told["running"]) == ("阳光花园", True, True)
    assert told["alarms"]["by_type"] == [
        {"type": kind, "count": 1, "tests": 0} for kind in ("access.denied", "device.offline", "fire.smoke")
    ]
    assert told["alarms"]["by_building"] == [{"building": "gate", "count": 3, "tests": 0, "label": "大门"}]
    assert told["disposed"]["outcomes"]["false"] == 1
    assert [(row["device"], row["still"]) for row in told["offline"]] == [("door-1", True)]
    assert [alarm["type"] for alarm in told["open"]] == ["fire.smoke", "access.denied", "device.offline"]
    assert [(c["cover"], c["reason"], c["who"]) for c in told["covers"]] == [("device.shielded", "repair", "wang")]
    assert [note["note"] for note in told["notes"]] == ["steam", "steam"]


async def test_pages_of_any_size_tell_the_same(house: House, puppets: Puppets, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        await puppets.emit("smoke-1", "fire.smoke", "clear" if number % 2 else "raise")
        await puppets.emit("door-1", "access.denied")
        await puppets.emit("door-1", "access.granted")
    told = await house.reporting.report("day")
    assert told["alarms"]["count"] == 7 + 4
    for lane in Lane:
        house.store.tails[lane].clear()
    await house.store.read(lambda _connection: None)
    for rows in (1, 2, 5):
        monkeypatch.setattr(reporting, "PAGE_ROWS", rows)
        again = await house.reporting.report("day")
        assert {**again, "made": ""} == {**told, "made": ""} | {"offline": again["offline"]}


async def test_a_period_before_is_empty_and_one_that_is_not_kept_says_so(house: House, puppets: Puppets) -> None:
    for _ in range(3):
        await puppets.emit("door-1", "access.denied")
    yesterday = rfc3339(SystemClock().utc() - timedelta(days=1))
    told = await house.reporting.report("day", yesterday)
    assert (told["alarms"]["count"], told["open"], told["complete"]) == (0, [], True)
    await house.store.transact(lambda connection: connection.execute("DELETE FROM event_lane WHERE seq <= 2"))
    house.store.tails[Lane.EVENT].clear()
    told = await house.reporting.report("day")
    assert (told["complete"], told["alarms"]["count"]) == (False, 1)
    assert told["kept_from"] > told["from"]


@pytest.mark.parametrize("at", ["tomorrow", "9999-12-31", "0001-01-01T00:00"])
async def test_what_is_no_date(house: House, at: str) -> None:
    with pytest.raises(NoPeriod, match="no date"):
        await house.reporting.report("month", at)


async def test_a_shift_is_handed_over_by_name(house: House, puppets: Puppets) -> None:
    await puppets.emit("smoke-1", "fire.smoke", "raise")

    async def incidents() -> list[dict[str, Any]]:
        return [{"incident": "A-1", "step": "dispatched", "owner": "li", "due": "2026-11-23T10:00:00.000Z"}]

    house.reporting.incidents = incidents
    sheet = await house.reporting.handover(By("li", "duty", "cli"), "lift 2 is being repaired")
    assert (sheet["signed"]["who"], sheet["signed"]["note"]) == ("li", "lift 2 is being repaired")
    assert [alarm["type"] for alarm in sheet["open"]] == ["fire.smoke"]
    assert [(u["uplink"], u["connected"], u["backlog"]["alarm"]) for u in sheet["unconfirmed"]] == [
        ("district", False, 1)
    ]
    assert [incident["incident"] for incident in sheet["incidents"]] == ["A-1"]
    written = [entry for _, entry in await house.store.read(lambda connection: lines(connection, 0, 100))]
    assert [(e["what"], e["who"], e["note"], e["open"]) for e in written if e["what"] == HANDED] == [
        (HANDED, "li", "lift 2 is being repaired", 1)
    ]
    told = await house.reporting.report("day", sheet["signed"]["time"])
    assert [(h["who"], h["shift"]) for h in told["handovers"]] == [("li", sheet["name"])]


def fill(path: Path, count: int) -> None:
    """A database of so many events, now: half of them denied at a door, an alarm of a fire among ten."""
    ids, database = Identities(), Database(path, ["district"])
    now_ms = int(SystemClock().utc().timestamp() * 1000)
    for start in range(0, count, 2000):
        database.append([_draft(ids.next(now_ms), now_ms, number) for number in range(start, start + 2000)])
    database.close()


def _draft(identity: str, now_ms: int, number: int) -> Draft:
    kind, severity, lane = (
        ("fire.smoke", "critical", Lane.ALARM)
        if number % 10 == 0
        else ("access.denied", "low", Lane.EVENT) if number % 2 else ("access.granted", "info", Lane.EVENT)
    )  # fmt: skip
    event = {
        "specversion": "1.0", "id": identity, "source": "/310104/013/002/gw-0001", "subject": "door-1", "type": kind,
        "time": "2026-11-23T10:06:19.123Z", "datacontenttype": "application/json",
        "dataschema": f"urn:sc:v1:{kind}", "phase": "pulse", "severity": severity, "timequality": "synced",
        "data": {"place": {"path": "gate", "label": "大门"}, "alarm": identity, "test": False},
    }  # fmt: skip
    body = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    return Draft(lane, now_ms, body, frozenset(["district"]))


async def _paced(puppets: Puppets, busy: "asyncio.Task[Any]") -> list[float]:
    """How long one event after the other took to be on disk, in seconds, while `busy` goes on."""
    took = []
    while not busy.done():
        began = time.perf_counter()
        await puppets.emit("door-1", "access.granted")
        took.append(time.perf_counter() - began)
    return sorted(took)


async def test_a_hundred_thousand_events_hold_nobody_up(tmp_path: Path, puppets: Puppets) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    fill(tmp_path / "state" / "events.db", MANY)
    async with living(config(tmp_path, DEVICES, {"district": to(1)}), puppets) as house:
        await puppets.emit("door-1", "access.granted")
        began = time.perf_counter()
        report = asyncio.create_task(house.reporting.report("month"))
        took = await _paced(puppets, report)
        told, lasted_s = await report, time.perf_counter() - began
        tracemalloc.start()
        try:
            await house.reporting.report("month")
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    p99_s = took[int(0.99 * len(took))]
    print(  # noqa: T201
        f"{MANY} events: {lasted_s:.2f} s, peak {peak_bytes / 2**20:.1f} MiB; "
          f"beside it {len(took)} events, p99 {p99_s * 1000:.1f} ms, worst {took[-1] * 1000:.1f} ms")  # fmt: skip
    assert told["alarms"]["count"] == MANY // 2 + MANY // 10
    assert peak_bytes < 16 * 2**20
    assert p99_s < 0.5
