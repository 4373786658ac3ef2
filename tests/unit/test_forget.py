"""A card is forgotten: no byte of its number is left in any file, its events stay, each uplink hears its own."""

import json
from pathlib import Path

import pytest

from gateway.audit import lines
from gateway.database import TABLES, read_rows
from gateway.deeds import NotFound
from gateway.event import Credential, Lane, Phase, Reading
from gateway.house import House
from gateway.letters import put_dead
from gateway.outbox import Outbox
from gateway.privacy import Policy
from gateway.retention import Limits, Retention
from tests.houses import Puppets, ask, config, disk, living, to
from tests.rig import rig
from tests.unit.test_retention import confirm_all

MINE = Credential("wiegand-26", 77, 31337)
OTHER = Credential("wiegand-26", 77, 31338)
ASKED = {"format": "wiegand-26", "facility": 77, "number": 31337, "who": "installer"}
UPLINKS = {
    "district": to(1),
    "police": to(1, redact="police", types=["access.*"]),
    "street": to(1, redact="street"),
    "fire": to(1, types=["fire.*"]),
}


def found(state: Path, card: Credential) -> list[str]:
    """Files of the database that hold the number."""
    number = str(card.number).encode()
    return sorted(path.name for path in state.glob("events.db*") if number in path.read_bytes())


async def present(house: House, *cards: Credential) -> None:
    """Each at the door."""
    for card in cards:
        await house.pipeline.accept([Reading("door-1", "access.granted", Phase.PULSE, credential=card)])


def policies(house: House) -> dict[str, Policy]:
    """By uplink."""
    return {uplink.name: uplink.parts.plan.policy for uplink in house.uplinks}


async def test_a_card_is_forgotten_everywhere_and_its_events_stay(tmp_path: Path) -> None:
    made = config(tmp_path, {"door-1": "door"}, UPLINKS)
    state = made.gateway.state_dir
    async with living(made, Puppets()) as house:
        await present(house, MINE, OTHER, MINE)
        (row, *_) = await house.store.rows(Lane.EVENT, 0, 1)
        await house.store.transact(lambda c: put_dead(c, "district", Lane.EVENT, row, "too-large"))
        assert found(state, MINE)
        answer = await ask(state, "forget", **ASKED)
        assert (answer["events"], answer["told"], answer["scrubbed"]) == (3, ["district", "police"], True)
        assert found(state, MINE) == []
        assert found(state, OTHER)
        rows = await house.store.rows(Lane.EVENT, 0, 100)
        assert not [row for row in rows if row.private and str(MINE.number) in row.private]
        told = [event for event in await disk(house) if event["type"] == "gateway.action"]
        for event, name in zip(told, ("district", "police"), strict=True):
            reference = policies(house)[name].reference(MINE)
            assert event["data"]["credential"] == {"ref": reference, "kind": "card", "format": "wiegand-26"}
        assert [row.numbers.keys() for row in rows if '"gateway.action"' in row.body] == [{"district"}, {"police"}]
        assert sum(event["type"] == "access.granted" for event in await disk(house)) == 3
        audited = json.dumps(await house.store.read(lambda c: lines(c, 0, 100)))
        assert '"forget"' in audited
        assert str(MINE.number) not in audited
        again = await ask(state, "forget", **ASKED)  # as after a crash in the middle
        assert (again["events"], again["scrubbed"]) == (0, True)
    assert found(state, MINE) == []


async def test_an_uplinks_reference_finds_the_card_and_an_unknown_one_is_told_so(tmp_path: Path) -> None:
    made = config(tmp_path, {"door-1": "door"}, UPLINKS)
    async with living(made, Puppets()) as house:
        await present(house, OTHER, MINE)
        reference = policies(house)["police"].reference(MINE)
        assert (await ask(made.gateway.state_dir, "forget", who="x", ref=reference))["events"] == 1
        assert found(made.gateway.state_dir, MINE) == []
        with pytest.raises(NotFound):
            await house.forgetting.find(reference)


async def test_numbers_go_with_their_events_and_earlier_where_it_is_asked(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        outbox = Outbox(made.store, "district")
        limits = Limits(2**30, 7200.0, 0.25, max_cards_age_s=3600.0)
        retention = Retention("gw-0001", limits, made.store, made.pipeline, [("district", outbox)])
        for card in (MINE, OTHER):
            await made.pipeline.accept([Reading("door-1", "access.granted", Phase.PULSE, credential=card)])
        now_ms = int(made.clock.utc().timestamp() * 1000)
        await retention.sweep(now_ms + 3_700_000)
        assert found(tmp_path, MINE)  # still owed: the uplink needs it for its reference
        await confirm_all(outbox)
        await retention.sweep(now_ms + 1_000)
        assert found(tmp_path, MINE)
        await retention.sweep(now_ms + 3_700_000)
        assert found(tmp_path, MINE) == found(tmp_path, OTHER) == []
        kept = await made.store.read(lambda connection: read_rows(connection, Lane.EVENT, 0, 10))
        assert ['"access.granted"' in row.body for row in kept] == [True, True]


async def test_deleted_events_are_readable_nowhere_after_a_day(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        outbox = Outbox(made.store, "district")
        retention = Retention("gw-0001", Limits(2**30, 3600.0, 0.25), made.store, made.pipeline, [("district", outbox)])
        for number in range(300):
            card = Credential("wiegand-26", 77, 700_000 + number)
            await made.pipeline.accept([Reading("door-1", "access.granted", Phase.PULSE, credential=card)])
        await made.accept("access.granted")
        await confirm_all(outbox)
        await retention.sweep(int(made.clock.utc().timestamp() * 1000) + 3_700_000)
        (left,) = await made.store.read(
            lambda connection: connection.execute(f"SELECT count(*) FROM {TABLES[Lane.EVENT]}").fetchone()
        )
        assert left == 1
        for name in ("events.db", "events.db-wal", "events.db.journal"):
            assert b'"number":7000' not in (tmp_path / name).read_bytes()
