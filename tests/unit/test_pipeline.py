"""One reading, one event, one id: what the pipeline made stands on disk, and so does the book of alarms."""

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import normalize
from gateway.alarms import acknowledged, disposed
from gateway.clock import TimeQuality
from gateway.database import Database, read_alarms, read_rows
from gateway.errors import StorageError
from gateway.event import Credential, Json, Lane, Phase, Reading, Severity, Value
from gateway.normalize import BODY_BYTES, Stamp, Subject
from gateway.pipeline import Deed
from tests.fakes import EPOCH, ManualClock
from tests.rig import Rig, refusing, rig

CARD = Credential("wiegand-26", 12, 3456)
SMOKE = Reading("smoke-1", "fire.smoke", Phase.RAISE)
OVER = replace(SMOKE, phase=Phase.CLEAR)


async def events(made: Rig, lane: Lane = Lane.ALARM) -> list[dict[str, Any]]:
    """Everything in a lane, with its numbers."""
    rows = await made.store.read(lambda connection: read_rows(connection, lane, 0, 1000))
    return [json.loads(row.body) | {"numbers": dict(row.numbers), "private": row.private} for row in rows]


async def on_disk(made: Rig) -> set[Any]:
    """The alarms as they stand in the file."""
    return set(await made.store.read(read_alarms))


# one reading, one event


async def test_one_reading_is_one_event_with_one_id(tmp_path: Path) -> None:
    async with rig(tmp_path, "district", "fire-brigade", clock=ManualClock()) as made:
        ids = await made.pipeline.accept([SMOKE, Reading("door-1", "access.granted", Phase.PULSE, credential=CARD)])
        (fire,), (granted,) = await events(made), await events(made, Lane.EVENT)
    assert ids == [fire["id"], granted["id"]]
    assert fire["numbers"] == granted["numbers"] == {"district": 1, "fire-brigade": 1}
    assert fire["time"] == "2026-11-23T10:06:19.000Z"
    assert fire["data"]["alarm"] == fire["id"]
    assert fire["data"]["place"] == {"path": "b3", "label": "3号楼"}
    assert fire["data"]["codes"]["contact-id"] == 111
    assert fire["data"]["codes"]["gb26875.3"]["bit"] == 1
    assert "alarm" not in granted["data"]


async def test_the_credential_stands_apart_from_the_body(tmp_path: Path) -> None:
    async with rig(tmp_path, "district", clock=ManualClock()) as made:
        await made.pipeline.accept([Reading("door-1", "access.granted", Phase.PULSE, credential=CARD)])
        (granted,) = await events(made, Lane.EVENT)
    private = granted.pop("private")
    assert json.loads(private) == {"kind": "card", "format": "wiegand-26", "facility": 12, "number": 3456}
    assert "3456" not in json.dumps(granted["data"])
    assert "credential" not in granted["data"]


async def test_only_what_was_taken_in_without_a_clock_keeps_when_that_was(tmp_path: Path) -> None:
    clock = ManualClock(quality=TimeQuality.UNSYNCED)
    grant = Reading("door-1", "access.granted", Phase.PULSE, credential=CARD)
    async with rig(tmp_path, "district", clock=clock) as made:
        clock.advance(12.3456)
        await made.pipeline.accept([SMOKE, grant])
        for quality in (TimeQuality.HOLDOVER, TimeQuality.SYNCED):
            clock.time_quality = quality
            await made.pipeline.accept([SMOKE, grant])
        alarms, grants = await events(made), await events(made, Lane.EVENT)
    taken = {"boot": clock.boot, "at": 12.346}
    card = {"kind": "card", "format": "wiegand-26", "facility": 12, "number": 3456}
    assert json.loads(alarms[0]["private"]) == taken
    assert json.loads(grants[0]["private"]) == card | taken
    assert [event["private"] for event in alarms[1:]] == [None, None]
    assert [json.loads(event["private"]) for event in grants[1:]] == [card, card]
    assert [event["timequality"] for event in grants] == ["unsynced", "holdover", "synced"]


async def test_ids_go_on_where_the_store_opened_late_and_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path, "district", clock=ManualClock()) as made:
        (before,) = await made.pipeline.accept([SMOKE])
    full = sqlite3.OperationalError("database or disk is full")
    opening = Database._open

    def refuse(_database: Database) -> sqlite3.Connection:
        raise full

    monkeypatch.setattr(Database, "_open", refuse)
    long_ago = ManualClock(EPOCH - timedelta(days=20000), TimeQuality.UNSYNCED)
    async with rig(tmp_path, "district", clock=long_ago) as made:
        assert made.store.database.newest_id_ms == 0
        with pytest.raises(StorageError):
            await made.pipeline.accept([SMOKE])
        monkeypatch.setattr(Database, "_open", opening)
        (after,) = await made.pipeline.accept([SMOKE])
        assert [event["id"] for event in await events(made)] == [before, after]
    assert after > before


async def test_no_reading_is_no_event(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made, asyncio.timeout(5):
        assert await made.pipeline.accept([]) == []


async def test_listeners_hear_of_what_was_taken_in_only(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        heard: list[Reading] = []
        made.pipeline.listeners.append(lambda taken: heard.append(taken.reading))
        with refusing(tmp_path), pytest.raises(StorageError):
            await made.pipeline.accept([SMOKE])
        assert heard == []
        await made.pipeline.accept([SMOKE, OVER])
        assert heard == [SMOKE, OVER]


# alarms


async def test_raised_twice_is_still_the_same_alarm(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        first, _, _ = await made.pipeline.accept([SMOKE, SMOKE, OVER])
        told = await events(made)
    assert [event["phase"] for event in told] == ["raise", "still", "clear"]
    assert {event["data"]["alarm"] for event in told} == {first}


async def test_a_clear_after_a_restart_names_its_raise(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        (first,) = await made.pipeline.accept([SMOKE])
    async with rig(tmp_path, "district") as made:
        await made.pipeline.accept([OVER])
        told = await events(made)
        assert told[-1]["data"]["alarm"] == first
        (listed,) = await on_disk(made)
        assert (listed.id, listed.active, listed.latched) == (first, False, True)


async def test_parts_of_a_panel_are_told_apart(tmp_path: Path) -> None:
    one, two = ({"system": 1, "type": 40, "address": address} for address in ("0A000200", "0B000200"))
    async with rig(tmp_path, "district") as made:
        ids = await made.pipeline.accept([replace(SMOKE, part=one), replace(SMOKE, part=two)])
        await made.pipeline.accept([replace(OVER, part=two)])
        assert [event["data"]["alarm"] for event in await events(made)] == [*ids, ids[1]]
        assert {alarm.part: alarm.active for alarm in await on_disk(made)} == {"0A000200": True, "0B000200": False}


async def test_information_opens_nothing_for_a_person(tmp_path: Path) -> None:
    door = Reading("door-1", "door.open", Phase.RAISE)
    async with rig(tmp_path, "district") as made:
        await made.pipeline.accept([door])
        assert [alarm.type for alarm in made.pipeline.shown.of("door-1")] == ["door.open"]
        await made.pipeline.accept([replace(door, phase=Phase.CLEAR)])
        assert all("alarm" not in event["data"] for event in await events(made, Lane.EVENT))
        assert await on_disk(made) == set() == set(made.pipeline.shown)


async def test_what_a_person_does_stands_with_its_event(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        (first, _) = await made.pipeline.accept([SMOKE, OVER])
        alarm = (await made.pipeline.load()).find(first)
        assert alarm is not None
        said = Reading("smoke-1", "operator.ack", Phase.PULSE, data={"who": "王师傅"})
        with refusing(tmp_path, "event_lane"), pytest.raises(StorageError):
            await made.pipeline.operate(Deed(said, alarm.key, lambda *_: acknowledged(alarm)))
        assert made.pipeline.shown.find(first) == alarm
        await made.pipeline.operate(Deed(said, alarm.key, lambda *_: acknowledged(alarm)))
        (told,) = await events(made, Lane.EVENT)
        assert (told["type"], told["data"]["alarm"], told["data"]["who"]) == ("operator.ack", first, "王师傅")
        assert await on_disk(made) == {acknowledged(alarm)}
        await made.pipeline.operate(Deed(replace(said, type="operator.dispose"), alarm.key, lambda *_: disposed(alarm)))
        assert await on_disk(made) == set() == set(made.pipeline.shown)


# when it does not work


async def test_a_raise_that_failed_is_a_raise_when_told_again(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        with refusing(tmp_path):
            for _ in range(2):
                with pytest.raises(StorageError):
                    await made.pipeline.accept([SMOKE])
                assert list(made.pipeline.shown) == []
        (first,) = await made.pipeline.accept([SMOKE])
        (told,) = await events(made)
        assert (told["phase"], told["id"], told["data"]["alarm"], told["numbers"]) == (
            "raise", first, first, {"district": 1},
        )  # fmt: skip


async def test_nothing_builds_on_a_raise_that_failed(tmp_path: Path) -> None:
    """Told again before the first is known to have failed: both fail, or the second would be `still` of nothing."""
    async with rig(tmp_path, "district") as made:
        await made.pipeline.load()
        with refusing(tmp_path):
            results = await asyncio.gather(*(made.pipeline.accept([SMOKE]) for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [StorageError] * 3
        await made.pipeline.accept([SMOKE])
        assert [event["phase"] for event in await events(made)] == ["raise"]


async def test_who_left_before_the_refusal_leaves_nothing_behind(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made:
        await made.pipeline.load()
        with refusing(tmp_path):
            leaving = asyncio.create_task(made.pipeline.accept([SMOKE]))
            await asyncio.wait([leaving], timeout=0)
            leaving.cancel()
            with pytest.raises(StorageError):
                await made.pipeline.accept([Reading("smoke-1", "fire.heat", Phase.RAISE)])
        await made.pipeline.accept([SMOKE])
        assert [event["phase"] for event in await events(made)] == ["raise"]


@pytest.mark.parametrize(
    "broken",
    [
        Reading("smoke-1", "fire.nonsense", Phase.RAISE),
        Reading("nobody", "fire.smoke", Phase.RAISE),
        replace(SMOKE, type="fire.heat", raw={"cannot be told": object()}),  # type: ignore[dict-item]
    ],
)
async def test_a_driver_s_bug_leaves_no_alarm_that_was_never_told(tmp_path: Path, broken: Reading) -> None:
    async with rig(tmp_path, "district") as made:
        with pytest.raises((KeyError, TypeError)):
            await made.pipeline.accept([SMOKE, broken])
        await made.pipeline.accept([SMOKE])
        assert [event["phase"] for event in await events(made)] == ["raise"]
        assert await on_disk(made) == set(made.pipeline.shown)


# for whom


async def test_filters(tmp_path: Path) -> None:
    async with rig(tmp_path, "fire-brigade", types=("fire.*", "device.fault")) as made:
        fault = Reading("door-1", "device.fault", Phase.RAISE)
        await made.pipeline.accept([SMOKE, fault, Reading("door-1", "access.granted", Phase.PULSE)])
        assert [event["numbers"] for event in await events(made)] == [{"fire-brigade": 1}]
        assert [event["numbers"] for event in await events(made, Lane.EVENT)] == [{"fire-brigade": 1}, {}]


def lost(stream: str) -> Reading:
    """Told when numbers of a stream will never come."""
    data: dict[str, Json] = {"stream": stream, "first": "0000000000000001", "last": "0000000000000009", "count": 9}
    return Reading("gw-0001", "gateway.data_lost", Phase.PULSE, reason="buffer-full", data=data)


async def test_a_loss_is_told_to_the_one_it_happened_to_whatever_its_filter(tmp_path: Path) -> None:
    async with rig(tmp_path, "district", "fire-brigade", types=("fire.*",)) as made:
        await made.pipeline.accept([lost("fire-brigade.event")])
        assert [event["numbers"] for event in await events(made)] == [{"fire-brigade": 1}]


async def test_a_loss_of_an_uplink_that_is_gone_is_nobody_s(tmp_path: Path) -> None:
    async with rig(tmp_path, "district") as made, asyncio.timeout(5):
        await made.pipeline.accept([lost("removed.alarm")])
        assert [event["numbers"] for event in await events(made)] == [{}]


@pytest.mark.parametrize(
    ("device", "kind", "severity", "lane"),
    [
        ("smoke-1", "device.offline", Severity.HIGH, Lane.ALARM),
        ("door-1", "device.offline", Severity.MEDIUM, Lane.EVENT),
        ("smoke-1", "device.shielded", Severity.MEDIUM, Lane.EVENT),
        ("smoke-1", "device.fault", Severity.HIGH, Lane.ALARM),
        ("smoke-1", "telemetry.sample", Severity.INFO, Lane.TELEMETRY),
        ("door-1", "door.forced", Severity.HIGH, Lane.ALARM),
    ],
)
async def test_severity_and_lane(tmp_path: Path, device: str, kind: str, severity: Severity, lane: Lane) -> None:
    phase = Phase.PULSE if kind.startswith("telemetry") else Phase.RAISE
    async with rig(tmp_path, "district") as made:
        await made.pipeline.accept([Reading(device, kind, phase), Reading("door-1", "door.forced", Phase.CLEAR)])
        assert (await events(made, lane))[0]["severity"] == severity


async def test_the_clock_s_quality_goes_along(tmp_path: Path) -> None:
    clock = ManualClock(quality=TimeQuality.UNSYNCED)
    async with rig(tmp_path, "district", clock=clock) as made:
        moment = EPOCH.replace(microsecond=999999)
        await made.pipeline.accept([replace(SMOKE, device_time=moment)])
        (told,) = await events(made)
    assert (told["timequality"], told["data"]["device_time"]) == ("unsynced", "2026-11-23T10:06:19.999Z")


# what a body looks like (normalize)

SUBJECT = Subject("smoke-1", "/310104/013/002/gw-0001", "smoke", {"path": "b3", "label": "3号楼"})
STAMP = Stamp(
    "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f", EPOCH, TimeQuality.SYNCED, Phase.RAISE, Severity.CRITICAL, "alarm-1"
)


def data_of(reading: Reading) -> Mapping[str, Any]:
    """`data` as it is written, by the letter of RFC 8259."""

    def never(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    body = normalize.body(SUBJECT, reading, STAMP)
    assert len(body.encode()) <= BODY_BYTES
    return dict(json.loads(body, parse_constant=never)["data"])


def test_a_body_leaves_room_for_what_an_uplink_adds() -> None:
    names = 2 * (63 + 1 + len("telemetry")) + 200  # stream, sequence, credential reference and their names
    assert BODY_BYTES + names <= 64 * 1024


@given(st.integers(50_000, 80_000), st.sampled_from("x烟\n"))
def test_too_much_raw_is_left_out_and_counted(size: int, letter: str) -> None:
    raw = {"text": letter * (size // len(json.dumps(letter, ensure_ascii=False).encode()))}
    data = data_of(replace(SMOKE, raw=raw, values={"status": Value(1)}))
    bytes_there = len(json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode())
    assert data["raw"] in (raw, {"left_out_bytes": bytes_there})
    assert (data["raw"] == raw) == (bytes_there < BODY_BYTES - 600) or abs(bytes_there - BODY_BYTES) < 1000
    assert (data["alarm"], data["values"]) == ("alarm-1", {"status": {"value": 1}})


def test_what_is_too_much_elsewhere_goes_the_largest_first() -> None:
    said = {"note": "长" * 30_000, "who": "王师傅"}
    data = data_of(replace(SMOKE, raw={"code": 7}, data=said, values={"status": Value(1)}))
    assert data["raw"] == {"left_out_bytes": len('{"code":7}')}
    assert "note" not in data
    assert (data["who"], data["alarm"], data["values"]) == ("王师傅", "alarm-1", {"status": {"value": 1}})
    assert data["place"] == SUBJECT.place


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_no_value(number: float) -> None:
    values = {"temperature": Value(number, "°C"), "smoke_obscuration": Value(0.1, "dB/m")}
    data = data_of(replace(SMOKE, values=values, raw={"registers": [number, 1]}))
    assert data["values"] == {"smoke_obscuration": {"value": 0.1, "unit": "dB/m"}}
    assert data["raw"] == {"registers": [None, 1]}
    assert "values" not in data_of(replace(SMOKE, values={"temperature": Value(number)}))


def test_text_that_is_no_unicode_is_told_all_the_same() -> None:
    data = data_of(replace(SMOKE, raw={"text": "\ud800烟"}, data={"note": "\udfff", "n": float("nan")}))
    assert (data["raw"], data["note"], data["n"]) == ({"text": "?烟"}, "?", None)
    assert data["place"] == SUBJECT.place
