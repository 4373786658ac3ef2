"""The running gateway as those see it who ask: events by filter, newest of all lanes, alarms and what a person does."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway import database
from gateway.app import standing
from gateway.audit import By
from gateway.deeds import NotFound
from gateway.driver import Answer, Posted
from gateway.event import Lane, Phase, Reading
from gateway.house import Filter, House
from tests.brokers import free_port
from tests.houses import Puppets, ask, config, disk, living, to, until

WANG = By("wang", "installer", "cli")
DEVICES = {"smoke-1": "smoke", "door-1": "door", "cam-1": "camera"}
EVERYTHING = 10_000


@pytest.fixture
def puppets() -> Puppets:
    return Puppets()


@pytest.fixture
async def house(tmp_path: Path, puppets: Puppets) -> AsyncIterator[House]:
    async with living(config(tmp_path, DEVICES), puppets) as house:
        yield house


async def of_all_lanes(puppets: Puppets) -> list[str]:
    """Twelve events, four in each lane, mixed."""
    ids: list[str] = []
    for number in range(4):
        ids += await asyncio.gather(
            puppets.emit("smoke-1", "telemetry.sample", temperature=20.0 + number),
            puppets.emit("smoke-1", "fire.smoke", "clear" if number % 2 else "raise"),
            puppets.emit("door-1", "access.granted"),
        )
    return ids


# --- events


async def test_the_newest_of_all_lanes_in_order(house: House, puppets: Puppets) -> None:
    ids = await of_all_lanes(puppets)
    for limit in (1, 2, 5, 12, 100):
        assert [event["id"] for event in await house.events(Filter(), limit)] == ids[-limit:]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (Filter(types=("fire.*",)), [1, 4, 7, 10]),
        (Filter(types=("access.granted", "fire.smoke")), [1, 2, 4, 5, 7, 8, 10, 11]),
        (Filter(devices=("door-1",)), [2, 5, 8, 11]),
        (Filter(types=("telemetry.*",), devices=("door-1",)), []),
        (Filter(types=("nonsense",)), []),
        (Filter(devices=("nobody",)), []),
    ],
)
async def test_filters(house: House, puppets: Puppets, wanted: Filter, chosen: list[int]) -> None:
    ids = await of_all_lanes(puppets)
    assert [event["id"] for event in await house.events(wanted, EVERYTHING)] == [ids[n] for n in chosen]
    assert [event["id"] for event in await house.events(wanted, 2)] == [ids[n] for n in chosen][-2:]


async def test_since(house: House, puppets: Puppets) -> None:
    ids = await of_all_lanes(puppets)
    moments = [int(identity[:8] + identity[9:13], 16) for identity in ids]
    for since_ms in (0, moments[5], moments[-1], moments[-1] + 1):
        expected = [identity for identity, ms in zip(ids, moments, strict=True) if ms >= since_ms]
        found = await house.events(Filter(since_ms=since_ms), EVERYTHING)
        assert [event["id"] for event in found] == expected


async def test_since_finds_what_is_older_than_a_time_in_the_past(
    house: House, puppets: Puppets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the clock was not set, events were told too early; those before them are not hidden by that."""
    monkeypatch.setattr("gateway.house.SCAN_ROWS", 2)
    first, *early, last = [await puppets.emit("door-1", "access.granted") for _ in range(6)]
    await house.store.transact(
        lambda connection: connection.execute("UPDATE event_lane SET time_ms = 1000 WHERE seq BETWEEN 2 AND 5")
    )
    house.store.tails[Lane.EVENT].clear()
    found = await house.events(Filter(since_ms=int(first[:8] + first[9:13], 16)), EVERYTHING)
    assert [event["id"] for event in found] == [first, last]
    assert len(early) == 4


async def test_a_rare_one_is_found_behind_many(house: House, puppets: Puppets) -> None:
    rare = await puppets.emit("cam-1", "video.motion", "raise")
    for _ in range(3):
        await asyncio.gather(*(puppets.emit("door-1", "access.granted") for _ in range(400)))
    assert [event["id"] for event in await house.events(Filter(types=("video.*",)), 50)] == [rare]


async def test_an_event_as_told_here_has_its_numbers_in_every_stream(tmp_path: Path, puppets: Puppets) -> None:
    uplinks = {"district": to(free_port()), "fire": to(free_port(), types=["fire.*"])}
    async with living(config(tmp_path, DEVICES, uplinks), puppets) as house:
        await puppets.emit("door-1", "door.forced", "raise")
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        forced, smoke = await disk(house)
    assert forced["streams"] == {"district.alarm": "0000000000000001"}
    assert smoke["streams"] == {"district.alarm": "0000000000000002", "fire.alarm": "0000000000000001"}


# --- following


async def test_a_follower_waits_for_the_commit_and_holds_up_nobody(
    tmp_path: Path, puppets: Puppets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer numbers an event before it commits: whoever follows must not run in circles until it has."""
    monkeypatch.setattr(database, "JOURNAL_ROWS", 0)  # straight into the tables, which can be held up
    granted = Reading("door-1", "access.granted", Phase.PULSE)
    others = (Reading("door-1", "access.duress", Phase.PULSE), Reading("smoke-1", "telemetry.sample", Phase.PULSE))
    async with standing(config(tmp_path, DEVICES, {"district": to(1)}), puppets.drivers) as house:
        await house.pipeline.accept(others)  # so that every lane is read from memory
        following = house.follow(Filter())
        coming = asyncio.ensure_future(anext(following))
        first = await house.pipeline.accept([granted])
        assert [(await coming)["id"]] == first
        coming = asyncio.ensure_future(anext(following))
        with closing(sqlite3.connect(house.store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # the writer waits for it, up to BUSY_TIMEOUT_S
            second = asyncio.ensure_future(house.pipeline.accept([granted]))
            await until(house, lambda: house.store.numbers[Lane.EVENT]["district"] == 2)
            for listener in house.store.listeners:
                listener(Lane.EVENT)
            await house.store._reader.read(lambda _connection: None)
            other.execute("ROLLBACK")
        async with asyncio.timeout(5):
            assert [(await coming)["id"]] == await second
        await following.aclose()


# --- posts


async def test_a_post_needs_the_device_s_own_token(house: House) -> None:
    async def intake(posted: Posted) -> Answer:
        return Answer(200, {"said": posted.body.decode()})

    posted = Posted(b"hello", "text/plain")
    house.supervisor.board.intakes["cam-1"] = "only-cam-1", intake
    assert await house.ingest("cam-1", "only-cam-1", posted) == Answer(200, {"said": "hello"})
    assert (await house.ingest("cam-1", "only-cam-2", posted)).status == 401
    assert (await house.ingest("cam-1", "令牌", posted)).status == 401
    assert (await house.ingest("door-1", "only-cam-1", posted)).status == 404


# --- what a person does


async def operators(house: House) -> list[dict[str, Any]]:
    return await house.events(Filter(types=("operator.*",)), EVERYTHING)


async def state(house: House, device: str) -> str:
    (found,) = (str(shown["state"]) for shown in house.devices() if shown["device"] == device)
    return found


async def test_acknowledged_says_who_and_from_where(house: House, puppets: Puppets) -> None:
    alarm = await puppets.emit("door-1", "door.forced", "raise")
    answer = await ask(house.config.gateway.state_dir, "ack", alarm=alarm, who="wang", note="去看了")
    assert (answer["alarm"], answer["state"]) == (alarm, "active_acked")
    (event,) = await operators(house)
    assert (event["type"], event["phase"], event["severity"], event["subject"]) == (
        "operator.ack", "pulse", "info", "door-1",
    )  # fmt: skip
    said = {key: event["data"][key] for key in ("who", "role", "from", "alarm", "note")}
    assert said == {"who": "wang", "role": "installer", "from": "cli", "alarm": alarm, "note": "去看了"}
    assert "outcome" not in event["data"]


async def test_disposed_tells_both_steps_in_order(house: House, puppets: Puppets) -> None:
    alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
    await ask(house.config.gateway.state_dir, "ack", alarm=alarm[:18], who="wang", outcome="false")
    first, second = await operators(house)
    assert (first["type"], second["type"]) == ("operator.ack", "operator.dispose")
    assert (second["data"]["outcome"], second["data"]["alarm"]) == ("false", alarm)


@pytest.mark.parametrize("order", ["clear first", "dispose first"])
async def test_the_word_is_normal_when_it_ended_and_a_person_disposed_it(
    house: House, puppets: Puppets, order: str
) -> None:
    await (await puppets.link("smoke-1")).seen("smoke-1")
    alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
    if order == "clear first":
        await puppets.emit("smoke-1", "fire.smoke", "clear")
        await house.acknowledge(alarm, WANG, None, None)
        assert await state(house, "smoke-1") == "alarm"  # it latches
        await house.acknowledge(alarm, WANG, "real", None)
    else:
        await house.acknowledge(alarm, WANG, "real", None)
        assert await state(house, "smoke-1") == "alarm"
        await puppets.emit("smoke-1", "fire.smoke", "clear")
    assert await state(house, "smoke-1") == "normal"
    assert house.alarms() == []
    with pytest.raises(NotFound, match="no such open alarm"):
        await house.acknowledge(alarm, WANG, None, None)


async def test_one_that_does_not_latch_needs_only_to_be_seen(house: House, puppets: Puppets) -> None:
    await (await puppets.link("door-1")).seen("door-1")
    alarm = await puppets.emit("door-1", "door.held", "raise")
    await puppets.emit("door-1", "door.held", "clear")
    assert await state(house, "door-1") == "alarm"
    assert (await house.acknowledge(alarm, WANG, None, None))["state"] == "normal"
    assert await state(house, "door-1") == "normal"


async def test_what_ends_while_it_is_disposed_has_ended(house: House, puppets: Puppets) -> None:
    alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
    link = await puppets.link("smoke-1")
    await asyncio.gather(
        house.acknowledge(alarm, WANG, "real", None), link.emit(Reading("smoke-1", "fire.smoke", Phase.CLEAR))
    )
    assert house.alarms() == []
    assert link.active("smoke-1") == frozenset()


async def test_a_mere_condition_cannot_be_acknowledged(house: House, puppets: Puppets) -> None:
    identity = await puppets.emit("door-1", "door.open", "raise")
    with pytest.raises(NotFound):
        await house.acknowledge(identity, WANG, None, None)


@pytest.mark.parametrize("said", ["", "01a2", "nonsense", "0" * 36])
async def test_no_such_alarm(house: House, puppets: Puppets, said: str) -> None:
    await puppets.emit("smoke-1", "fire.smoke", "raise")
    with pytest.raises(NotFound) as told:
        await house.acknowledge(said, WANG, None, None)
    assert "gateway alarms" in told.value.say("en")
    assert "gateway alarms" in told.value.say("zh-CN")


async def test_an_alarm_of_a_device_that_is_gone_can_be_ended(tmp_path: Path, puppets: Puppets) -> None:
    async with living(config(tmp_path, DEVICES), puppets):
        alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
    async with living(config(tmp_path, {"door-1": "door"}), Puppets()) as house:
        assert [shown["alarm"] for shown in house.alarms()] == [alarm]
        await ask(house.config.gateway.state_dir, "ack", alarm=alarm, who="wang", outcome="other")
        assert house.alarms() == []
        assert [event["subject"] for event in await operators(house)] == ["gw-0001"] * 2


async def test_alarms_are_listed_oldest_first_and_survive_a_restart(tmp_path: Path, puppets: Puppets) -> None:
    async with living(config(tmp_path, DEVICES), puppets) as house:
        ids = [
            await puppets.emit("smoke-1", "fire.smoke", "raise"),
            await puppets.emit("door-1", "door.forced", "raise"),
        ]
        await puppets.emit("smoke-1", "fire.smoke", "raise")  # still
        before = house.alarms()
    assert [(alarm["alarm"], alarm["count"]) for alarm in before] == [(ids[0], 2), (ids[1], 1)]
    async with living(config(tmp_path, DEVICES), Puppets()) as house:
        assert house.alarms() == before


async def test_what_was_done_and_what_was_told_stand_in_one_transaction(
    tmp_path: Path, house: House, puppets: Puppets
) -> None:
    alarm = await puppets.emit("smoke-1", "fire.smoke", "raise")
    await house.acknowledge(alarm, WANG, "real", None)
    await house.store.read(lambda _: None)
    with closing(sqlite3.connect(tmp_path / "state" / "events.db")) as connection:
        flags = connection.execute("SELECT active, acknowledged, confirmed, latched FROM alarm").fetchall()
    assert flags == [(1, 1, 1, 1)]
