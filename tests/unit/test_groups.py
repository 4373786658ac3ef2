"""Alarms of one cause, and floods: grouped and counted, never hidden."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.alarms import Alarm, Book, Told, acknowledged, cleared, raised
from gateway.event import Severity
from gateway.groups import CLOSE_MS, FLOOD_ALARMS, FLOOD_MS, Flood, Spot, grouped

SPOTS = {f"d-{n}": Spot("rs485-1" if n < 3 else "", "b3" if n < 5 else "b4", "3号楼") for n in range(8)}
kinds = st.sampled_from(["device.offline", "fire.smoke", "door.forced"])
moments_ms = st.integers(0, 5 * CLOSE_MS)


def alarm(device: str, kind: str = "fire.smoke", at_ms: int = 0, severity: Severity = Severity.HIGH) -> Alarm:
    """It began then."""
    told = Told((device, kind, ""), f"{at_ms:09d}-{device}-{kind}", severity, False, at_ms, False)
    return raised(None, told)[1]


alarms = st.lists(st.builds(alarm, st.sampled_from(sorted(SPOTS)), kinds, moments_ms), unique_by=lambda a: a.key)


@given(alarms)
def test_a_group_counts_its_members_and_has_one_head(many: list[Alarm]) -> None:
    groups = grouped(many, SPOTS)
    for group in groups.values():
        members = [one for one in many if groups.get(one.key) == group]
        assert len(members) == group.count > 1
        assert [one.id for one in members if group.shown(one)["head"]] == [group.head]


@given(alarms)
def test_alarms_of_one_group_are_of_one_type_and_line_or_building_and_time(many: list[Alarm]) -> None:
    groups = grouped(many, SPOTS)
    for group in groups.values():
        members = [one for one in many if groups.get(one.key) == group]
        assert len({one.type for one in members}) == 1
        if group.key.startswith("line:"):
            assert {SPOTS[one.device].line for one in members} == {"rs485-1"}
        else:
            assert len({SPOTS[one.device].building for one in members}) == 1
            times_ms = [one.first_ms for one in members]
            assert max(times_ms) - min(times_ms) <= CLOSE_MS


@given(alarms, st.randoms())
def test_the_order_in_which_they_are_listed_does_not_count(many: list[Alarm], chance: object) -> None:
    shuffled = sorted(many, key=lambda _: chance.random())  # type: ignore[attr-defined]  # hypothesis's own Random
    assert grouped(shuffled, SPOTS) == grouped(many, SPOTS)


def test_a_silent_line_is_one_cause_whenever_its_devices_fell_silent() -> None:
    silent = [alarm("d-2", "device.offline", 0), alarm("d-0", "device.offline", 10 * CLOSE_MS)]
    groups = grouped(silent, SPOTS)
    assert {(group.head, group.count) for group in groups.values()} == {(silent[1].id, 2)}  # the first device's
    assert groups[silent[0].key].cause.zh == "线路 rs485-1 无应答"


def test_alone_or_of_another_building_it_has_no_group() -> None:
    assert grouped([alarm("d-3"), alarm("d-5"), alarm("d-3", "door.forced"), alarm("gone")], SPOTS) == {}


def test_ten_in_ten_minutes_are_a_flood() -> None:
    flood, book = Flood(), Book()
    for number in range(FLOOD_ALARMS - 1):
        flood.heard(alarm(f"d-{number}", at_ms=1000))
    assert flood.alarms(book, 2000) == 0
    flood.heard(alarm("d-0", at_ms=1000))  # told again
    flood.heard(alarm("d-9", "door.open", 1000, Severity.INFO))
    flood.heard(None)
    assert flood.alarms(book, 2000) == 0
    book.put(alarm("d-9", at_ms=1000))  # began before the start of this run
    assert flood.alarms(book, 2000) == FLOOD_ALARMS
    assert flood.alarms(book, 1000 + FLOOD_MS) == 0


def test_what_is_over_counts_in_a_flood() -> None:
    flood = Flood()
    for number in range(FLOOD_ALARMS):
        flood.heard(cleared(acknowledged(alarm(f"d-{number}", at_ms=number))))
    assert flood.alarms(Book(), FLOOD_ALARMS) == FLOOD_ALARMS
