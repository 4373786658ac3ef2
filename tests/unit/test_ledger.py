"""The disclosure ledger: what is confirmed counts once, whatever ends the daemon; and what /public makes of it."""

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config
from gateway.database import read_fact
from gateway.event import Lane, Phase, Reading
from gateway.ledger import Ledger, drop_places, fields, read_given
from gateway.outbox import Outbox
from tests.houses import Puppets, config, living, to
from tests.rig import Rig, rig
from tests.unit.test_retention import confirm_all
from tests.visitors import visiting


@asynccontextmanager
async def shop(folder: Path, *uplinks: str) -> AsyncIterator[tuple[Rig, Ledger, dict[str, Outbox]]]:
    """A rig with a ledger over fresh outboxes, as after a start."""
    async with rig(folder, *uplinks) as made:
        boxes = {name: Outbox(made.store, name) for name in uplinks}
        yield made, Ledger(made.store, made.clock, [(made.policies[name], boxes[name]) for name in uplinks]), boxes


async def counts(made: Rig) -> Counter[tuple[str, str]]:
    """By uplink and type."""
    found: Counter[tuple[str, str]] = Counter()
    for given in await made.store.read(lambda connection: read_given(connection, "0000")):
        assert given.fields == ("codes", "place", "test") or given.type != "access.granted"
        found[given.uplink, given.type] += given.count
    return found


async def test_what_an_uplink_has_confirmed_is_counted_once(tmp_path: Path) -> None:
    async with shop(tmp_path, "district", "street") as (made, ledger, boxes):
        for box in boxes.values():
            await box.load()
        await ledger.count()
        for _ in range(3):
            await made.accept("access.granted")
        await made.accept("fire.smoke", "raise", "smoke-1", smoke_obscuration=1.5)
        await confirm_all(boxes["district"])
        await ledger.count()
        await ledger.count()
        assert await counts(made) == {("district", "access.granted"): 3, ("district", "fire.smoke"): 1}
        await confirm_all(boxes["street"])
        await ledger.count()
        assert (await counts(made))["street", "access.granted"] == 3


async def test_what_was_confirmed_before_a_crash_is_counted_after_it_and_only_once(tmp_path: Path) -> None:
    async with shop(tmp_path, "district") as (made, ledger, boxes):
        await ledger.count()
        for _ in range(250):  # more than a piece
            await made.accept("access.granted")
        await confirm_all(boxes["district"])
    for _ in range(2):  # nothing was counted; then nothing is new
        async with shop(tmp_path, "district") as (made, ledger, boxes):
            await boxes["district"].load()
            await ledger.count()
            assert await counts(made) == {("district", "access.granted"): 250}


async def test_history_of_before_is_not_todays_and_who_joins_anew_begins_anew(tmp_path: Path) -> None:
    async with shop(tmp_path, "district") as (made, ledger, boxes):
        await made.accept("access.granted")
        await confirm_all(boxes["district"])
    async with shop(tmp_path, "district") as (made, ledger, boxes):
        await boxes["district"].load()
        await ledger.count()
        assert not await counts(made)
        await made.accept("access.granted")
        await confirm_all(boxes["district"])
        await ledger.count()
        name = f"disclosed.district.{Lane.EVENT.value}"
        assert await made.store.read(lambda connection: read_fact(connection, name)) == "2"
        await made.store.transact(lambda connection: drop_places(connection, ["district"]))
        assert await made.store.read(lambda connection: read_fact(connection, name)) is None


async def test_old_days_go(tmp_path: Path) -> None:
    async with shop(tmp_path, "district") as (made, ledger, boxes):
        row = ("2001-01-01", "district", "fire.smoke", "place", 7)

        def put(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO disclosure VALUES (?, ?, ?, ?, ?)", row)

        await made.store.transact(put)
        await ledger.count()
        await made.accept("access.granted")
        await confirm_all(boxes["district"])
        await ledger.count()
        assert await counts(made) == {("district", "access.granted"): 1}


def test_a_credential_is_told_as_reference_or_number() -> None:
    assert fields({"place": {}, "credential": {"ref": "x", "kind": "card"}}) == ["place", "credential.ref"]
    assert fields({"credential": {"ref": "x", "number": 1}}) == ["credential.ref", "credential.number"]


# --- /public ---


async def public(made: Config) -> dict[str, Any]:
    async with living(made, Puppets()) as house:
        return await house.public.document()


async def test_the_public_page_says_what_the_configuration_says(tmp_path: Path) -> None:
    one = await public(config(tmp_path, {"smoke-1": "smoke", "smoke-2": "smoke", "door-1": "door"}, {"fire": to(1)}))
    assert [(row["building"], row["kind"], row["count"]) for row in one["sensed"]] == [
        ("大门", "door", 1),
        ("大门", "smoke", 2),
    ]
    (fire,) = one["shared"]
    assert (fire["profile"], fire["types"], fire["credentials"], fire["count"]) == ("keyed", ["*"], "keyed", 0)
    share = to(1, redact="street", types=["fire.*"], places=["gate"], severity="high", keep="90d")
    other = await public(config(tmp_path, {"door-1": "door"}, {"street": share}))
    (street,) = other["shared"]
    assert (street["profile"], street["place"], street["keep"]) == ("street", "building", "90d")
    assert (street["places"], street["severity"]) == (["大门"], "high")
    assert [row["kind"] for row in other["sensed"]] == ["door"]


async def test_who_is_not_told_any_more_stays_while_it_was_told_something(tmp_path: Path) -> None:
    async with living(config(tmp_path, {"door-1": "door"}), Puppets()) as house:
        today = house.vitals.clock.utc().astimezone().date().isoformat()

        def put(connection: sqlite3.Connection) -> None:
            row = (today, "police", "access.granted", "credential.ref place", 5)
            connection.execute("INSERT INTO disclosure VALUES (?, ?, ?, ?, ?)", row)

        await house.store.transact(put)
        document = await house.public.document()
        (police,) = document["shared"]
        assert (police["ended"], police["count"]) == (True, 5)
        for language, words in (
            ("zh", ("卡片引用值", "已停止共享")),
            ("en", ("card as a reference", "not told anything")),
        ):
            async with visiting(house, None, language=language) as client:
                page = (await client.get("/public")).text
            assert "<script" not in page
            for word in ("police", "阳光花园", *words):
                assert word in page


@pytest.mark.parametrize("phase", ["raise", "clear"])
async def test_the_last_drill_is_remembered(tmp_path: Path, phase: str) -> None:
    async with living(config(tmp_path, {"door-1": "door"}), Puppets()) as house:
        await house.pipeline.accept([Reading("gw-0001", "operator.drill", Phase("raise"))])
        if phase == "clear":
            await house.pipeline.accept([Reading("gw-0001", "operator.drill", Phase("clear"))])
        document = await house.public.document()
        assert document["last_drill"]["phase"] == phase
        assert "last_outage" not in document
