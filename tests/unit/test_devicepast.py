"""What is on disk of one device: the newest first, new ones added to what is known, values thinned for a chart."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.event import Credential, Phase, Reading, Value
from gateway.house import House
from gateway.web import devicepast
from gateway.web.devicepast import EVENTS, Point, Trail, measured, thinned
from tests.houses import Puppets, living
from tests.walls import community, device

POINTS = st.lists(st.tuples(st.integers(0, 10**9), st.floats(-1e6, 1e6)), min_size=1, max_size=400)


@given(POINTS, st.integers(2, 60))
def test_a_thinned_line_keeps_what_stands_out(raw: list[tuple[int, float]], most: int) -> None:
    points = [Point(*pair) for pair in sorted(raw)]
    series = thinned("level", "m", points, most)
    values = [point.value for point in series.points]
    assert len(values) <= max(2, most)
    assert (min(values), max(values)) == (series.least, series.most)
    assert list(series.points) == sorted(series.points, key=lambda point: point.time_ms)
    assert set(series.points) <= set(points)
    assert series.last == points[-1].value


def test_few_points_are_drawn_as_they_are() -> None:
    points = [Point(time, math.sin(time)) for time in range(50)]
    assert list(thinned("level", "m", points, 50).points) == points


async def values(house: House, puppets: Puppets, *told: float | bool | str) -> None:
    link = await puppets.link("tank")
    readings = [Reading("tank", "telemetry.sample", Phase.PULSE, values={"level": Value(value, "m")}) for value in told]
    await link.emit(*readings, Reading("other", "telemetry.sample", Phase.PULSE, values={"level": Value(99.0)}))


async def test_values_of_a_device_are_told_as_series_and_only_numbers(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(community(tmp_path, [device("tank"), device("other")]), puppets) as house:
        assert (await measured(house, "tank", 0)).series == []
        await values(house, puppets, 1.5, True, "full", 3, 2.5)
        found = await measured(house, "tank", 0)
        (series,) = found.series
        assert (series.name, series.unit, [point.value for point in series.points]) == ("level", "m", [1.5, 3, 2.5])
        assert (series.least, series.most, series.last) == (1.5, 3, 2.5)
        assert not found.sampled
        assert (await measured(house, "tank", series.points[-1].time_ms + 1)).series == []


async def test_of_very_much_samples_are_taken_all_over_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devicepast, "AT_ONCE", 4)
    monkeypatch.setattr(devicepast, "LOOKED_AT", 12)
    puppets = Puppets()
    async with living(community(tmp_path, [device("tank"), device("other")]), puppets) as house:
        await values(house, puppets, *map(float, range(11)))
        whole = await measured(house, "tank", 0)
        assert [point.value for point in whole.series[0].points] == list(map(float, range(11)))
        assert not whole.sampled
        await values(house, puppets, *map(float, range(11, 40)))
        some = await measured(house, "tank", 0)
        assert some.sampled
        seen = [point.value for point in some.series[0].points]
        assert seen[:4] == [0, 1, 2, 3]
        assert 10 < seen[5] < 30
        assert seen[-1] == 39
        assert len(seen) < 12


async def test_only_what_was_measured_since_then(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(community(tmp_path, [device("tank"), device("other")]), puppets) as house:
        for value in range(7):
            await values(house, puppets, float(value))
        (series,) = (await measured(house, "tank", 0)).series
        for point in series.points:
            (later,) = (await measured(house, "tank", point.time_ms)).series
            assert list(later.points) == [other for other in series.points if other.time_ms >= point.time_ms]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


async def test_new_events_come_to_the_known_ones(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(community(tmp_path, [device("d"), device("other")]), puppets) as house:
        known = Trail(house)
        assert await known.last_events("d") == []
        await puppets.emit("d", "door.forced")
        await puppets.emit("other", "door.forced")
        await puppets.emit("d", "fire.smoke", "raise")
        await puppets.emit("d", "telemetry.sample", level=1)
        assert types(await known.last_events("d")) == ["fire.smoke", "door.forced"]
        await puppets.emit("d", "fire.smoke", "clear")
        expected = ["fire.smoke", "fire.smoke", "door.forced"]
        assert types(await known.last_events("d")) == types(await known.last_events("d")) == expected
        assert await Trail(house).last_events("d") == await known.last_events("d")
        for _ in range(EVENTS):
            await puppets.emit("d", "access.granted")
        assert types(await known.last_events("d")) == ["access.granted"] * EVENTS
        assert await Trail(house).last_events("d") == await known.last_events("d")


async def test_a_card_is_in_no_event_that_is_shown(tmp_path: Path) -> None:
    puppets = Puppets()
    async with living(community(tmp_path, [device("d", kind="door")]), puppets) as house:
        card = Credential("wiegand-26", 7, 54321)
        await (await puppets.link("d")).emit(Reading("d", "access.granted", Phase.PULSE, credential=card))
        (event,) = await Trail(house).last_events("d")
        assert event["type"] == "access.granted"
        assert "credential" not in event["data"]
        assert "54321" not in str(event)


async def test_only_so_many_devices_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devicepast, "MOST_KNOWN", 2)
    async with living(community(tmp_path, [device(name) for name in "abc"]), Puppets()) as house:
        known = Trail(house)
        for name in "abca":
            await known.last_events(name)
        assert list(known._known) == ["c", "a"]
