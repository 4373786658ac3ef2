"""The proof of an alarm's delivery: the pure ledger by properties, the rest with real disks and brokers."""

import asyncio
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import By
from gateway.database import Draft
from gateway.event import Lane
from gateway.house import House
from gateway.proofs import LATE_S, Ledger, Proof, find_opening
from gateway.store import Store
from tests.brokers import Mosquitto, free_port
from tests.houses import Puppets, config, living, to, until

WANG = By("wang", "installer", "cli")
DEVICES = {"smoke-1": "smoke", "smoke-2": "smoke", "door-1": "door"}
TELLINGS = st.lists(st.tuples(st.integers(0, 4), st.booleans()))


def proof(seq: int, since_s: float = 0.0) -> Proof:
    return Proof(("smoke-1", "fire.smoke", str(seq)), Lane.ALARM, seq, since_s)


@given(st.sets(st.integers(0, 4)), TELLINGS)
def test_what_has_arrived_stays_so_and_the_last_word_counts_before(
    opened: set[int], told: list[tuple[int, bool]]
) -> None:
    ledger, model = Ledger(), dict.fromkeys(opened, "sending")
    for seq in opened:
        ledger.open(f"a{seq}", proof(seq))
    for now_ms, (seq, arrived) in enumerate(told, 1):
        word = "confirmed" if arrived else "failed"
        news = seq in model and model[seq] not in ("confirmed", word)
        assert ledger.tell(Lane.ALARM, seq, arrived, now_ms) == (f"a{seq}" if news else None)
        if news:
            model[seq] = word
            assert ledger.proofs[f"a{seq}"].at_ms == now_ms
    assert {p.seq: p.fate for p in ledger.proofs.values()} == model
    assert set(ledger.late(LATE_S + 0.1)) == {f"a{seq}" for seq, word in model.items() if word != "confirmed"}
    assert not ledger.late(LATE_S)


@given(st.sets(st.integers(0, 4)), st.integers(0, 4))
def test_what_is_closed_is_told_of_no_more(opened: set[int], seq: int) -> None:
    ledger = Ledger()
    for each in opened:
        ledger.open(f"a{each}", proof(each))
    closed = ledger.close(f"a{seq}")
    assert (closed is not None) == (seq in opened)
    assert ledger.tell(Lane.ALARM, seq, True, 1) is None
    assert ledger.tell(Lane.EVENT, seq, True, 1) is None  # another lane counts by itself


def named(number: int) -> str:
    return f"01a207de-e9f3-7c3e-9d1f-{number:012x}"


def draft(lane: Lane, number: int) -> Draft:
    return Draft(lane, 0, f'{{"id":"{named(number)}","type":"fire.smoke"}}', frozenset({"district"}), None, None)


async def test_an_opening_event_is_found_by_its_id_also_between_holes(tmp_path: Path) -> None:
    async with Store(tmp_path / "events.db", ["district"]) as store:
        await store.append([draft(Lane.EVENT if number % 3 else Lane.ALARM, number) for number in range(0, 60, 2)])
        await store.transact(lambda connection: connection.execute("DELETE FROM alarm_lane WHERE seq IN (1, 4, 5)"))
        found = await store.read(lambda c: {n: find_opening(c, named(n)) for n in range(-0, 61)})
    places = {n: place[0] for n, place in found.items() if place is not None}
    gone = {0, 18, 24}
    assert places == {n: Lane.EVENT if n % 3 else Lane.ALARM for n in range(0, 60, 2) if n not in gone}
    assert all(json.loads(place[1].body)["id"] == named(n) for n, place in found.items() if place is not None)


def delivery(house: House, uplink: str = "district") -> list[dict[str, Any] | None]:
    """Of each alarm, the oldest first, without the alarm that tells that the link is away."""
    shown = [alarm for alarm in house.alarms() if alarm["device"] != "gw-0001"]
    return [alarm.get("delivery", {}).get(uplink) for alarm in shown]


def states(house: House, uplink: str = "district") -> list[str | None]:
    return [None if found is None else found["state"] for found in delivery(house, uplink)]


async def test_each_alarm_says_what_each_platform_has_of_it_also_after_a_restart(tmp_path: Path) -> None:
    port = free_port()
    uplinks = {"district": to(port), "fire": to(free_port(), types=["door.*"])}
    puppets = Puppets()
    async with living(config(tmp_path, DEVICES, uplinks), puppets) as house:
        async with Mosquitto(tmp_path, port=port):
            await puppets.emit("smoke-1", "fire.smoke", "raise")
            await until(house, lambda: states(house) == ["confirmed"])
            (first,) = delivery(house)
            assert first is not None
            assert first["at"].endswith("Z")
        await puppets.emit("smoke-2", "fire.smoke", "raise")
        assert states(house) == ["confirmed", "sending"]
        assert states(house, "fire") == [None, None]  # not meant for it
    puppets = Puppets()
    async with living(config(tmp_path, DEVICES, uplinks), puppets) as house:
        await until(house, lambda: states(house) == ["confirmed", "sending"])
        assert house.health()["uplinks"]["district"]["unconfirmed_alarms"] == 0
        async with Mosquitto(tmp_path, port=port):
            await until(house, lambda: states(house) == ["confirmed", "confirmed"])
        for alarm in house.alarms():
            if alarm["device"] != "gw-0001":
                await puppets.emit(alarm["device"], "fire.smoke", "clear")
                await house.duty.dispose(alarm["alarm"], WANG, "false")
        assert delivery(house) == []


async def test_what_no_platform_confirms_in_time_is_told(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(config(tmp_path, DEVICES, {"district": to(free_port())}), puppets) as house:
        await puppets.emit("smoke-1", "fire.smoke", "raise")
        (proofs,) = [uplink.parts.proofs for uplink in house.uplinks]
        for kept in proofs._ledger.proofs.values():
            kept.since_s -= LATE_S
        await until(house, lambda: house.health()["uplinks"]["district"]["unconfirmed_alarms"] == 1)
        (found,) = delivery(house)
        assert found == {"state": "sending", "unconfirmed": True}


async def test_a_refused_alarm_has_failed_until_it_is_taken(tmp_path: Path) -> None:
    rights = tmp_path / "acl"
    rights.write_text("topic readwrite sc/v1/310104/013/002/gw-0001/status\n", "utf-8")
    async with Mosquitto(tmp_path, "allow_anonymous true", f"acl_file {rights}") as broker:
        puppets = Puppets()
        made = config(tmp_path, DEVICES, {"district": to(broker.port, protocol="5")})
        async with living(made, puppets) as house:
            await puppets.emit("smoke-1", "fire.smoke", "raise")
            await until(house, lambda: states(house) == ["failed"])
            rights.write_text("topic readwrite #\n", "utf-8")
            broker.signal(1)  # SIGHUP: it reads its rights again
            async with asyncio.timeout(10):
                await until(house, lambda: states(house) == ["confirmed"])
