"""The linkage engine, without a clock, a device or a disk: what it plans, who wins, and that nothing is forgotten."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import alarms
from gateway.acts import SHUTS, TRIES, Act, Stage, action_of, dump, load
from gateway.alarms import Alarm, Book, Told
from gateway.event import Phase, Severity
from gateway.rulebook import Rule
from gateway.rules import Engine
from gateway.scope import Happening, Spot

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday
WORLD = {
    "smoke-1": Spot("smoke", "b3/u2/f5"),
    "door-1": Spot("door", "b3/u2"),
    "door-2": Spot("door", "b3"),
    "door-gate": Spot("door", "gate"),
    "cam-1": Spot("camera", "b3"),
    "panic-1": Spot("panic", "gate"),
}
DOORS = {"kind": "door", "place": "same-building"}
RELEASE = {"action": "release", "devices": DOORS}
FIRE = {"name": "fire", "when": {"type": "fire.*", "phase": "raise"}, "do": [RELEASE]}


def rule(**more: Any) -> Rule:
    return Rule.model_validate(FIRE | more)


class Site:
    """An engine, a book, and a time of the test's own; `made` is what was carried out, as (device, action)."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules
        self.engine = Engine(rules, WORLD)
        self.book = Book()
        self.now_s = 1000.0
        self.made: list[tuple[str, str]] = []
        self.told: list[tuple[str, str, str]] = []
        self.locked: set[str] = set()
        self._count = 0

    def raises(self, device: str = "smoke-1", type: str = "fire.smoke", *, test: bool = False) -> list[Act]:
        """A condition begins, or is told again."""
        self._count += 1
        severity = Severity.INFO if type == "door.open" else Severity.CRITICAL
        key = (device, type, "")
        told = Told(key, f"id-{self._count}", severity, type.startswith("fire."), self._count, test)
        phase, alarm = alarms.raised(self.book.get(key), told)
        self.book.put(alarm)
        return self._hear(Happening(device, type, "", phase, alarm.test, alarm.id))

    def pulses(self, device: str, type: str) -> list[Act]:
        """A happening without duration, which is no alarm."""
        self._count += 1
        return self._hear(Happening(device, type, "", Phase.PULSE, False, f"id-{self._count}"))

    def clears(self, device: str = "smoke-1", type: str = "fire.smoke") -> None:
        """A condition ends."""
        self._change(alarms.cleared, device, type)

    def resets(self, device: str = "smoke-1", type: str = "fire.smoke") -> None:
        """A person has seen, disposed of, and (where it is over) reset it."""
        self._change(lambda alarm: alarms.disposed(alarm, "real"), device, type)

    def _change(self, change: Callable[[Alarm], Alarm], device: str, type: str) -> None:
        old = self.book.get((device, type, ""))
        if old is not None:
            new = change(old)
            self.book.put(new)
            if not new.active and old.active:
                self._hear(Happening(device, type, "", Phase.CLEAR, new.test, new.id))

    def _hear(self, happening: Happening) -> list[Act]:
        return self.engine.hear(happening, NOON, self.now_s)

    def after(self, seconds: float, code: str = "ok") -> list[tuple[str, str]]:
        """So long later everything due is carried out, each with this outcome; returns what was."""
        self.now_s += seconds
        before = len(self.made)
        self.engine.acts.settle(self.book, self.now_s)
        for act in self.engine.acts.due(self.now_s):
            self.does(act, code)
        self.engine.acts.settle(self.book, self.now_s)
        return self.made[before:]

    def does(self, act: Act, code: str) -> None:
        """As the runner does it."""
        refused = self.engine.refused(act)
        action = action_of(act)
        if refused is None:
            assert not self.engine.acts.held(act.device, action, act.args), "a door that fire holds would be locked"
            self.made.append((act.device, action))
            if code == "ok" and action in (*SHUTS, "release", "unlock"):
                (self.locked.add if action in SHUTS else self.locked.discard)(act.device)
        if self.engine.acts.done(act, refused or code, self.now_s):
            self.told.append((act.device, action, refused or code))

    def restarts(self) -> None:
        """What was on disk is all that is left."""
        text = dump(self.engine.acts, self.now_s)
        self.engine = Engine(self.rules, WORLD)
        self.now_s = 5.0  # another clock
        self.engine.acts = load(text, self.now_s)
        self.engine.catch_up(self.book, self.now_s)


def test_fire_opens_the_doors_of_its_building_until_a_reset() -> None:
    site = Site(rule())
    assert [act.device for act in site.raises()] == ["door-1", "door-2"]
    assert site.after(0) == [("door-1", "release"), ("door-2", "release")]
    site.clears()
    assert site.after(3600) == []  # its cause is over, its alarm is not
    site.resets()
    assert site.after(0) == [("door-1", "lock"), ("door-2", "lock")]
    assert site.after(3600) == []
    assert not site.engine.acts.all


def test_told_again_it_is_no_news_and_begun_again_it_is() -> None:
    shot = {"action": "snapshot", "devices": {"kind": "camera"}}
    site = Site(rule(do=[RELEASE, shot]))
    site.raises()
    site.after(0)
    assert site.raises() == []  # still
    site.clears()
    assert [act.action for act in site.raises()] == ["snapshot"]  # the doors are open, a picture is a new one


def test_a_test_moves_nothing_unless_the_rule_says_so() -> None:
    assert Site(rule()).raises(test=True) == []
    when = {"type": "fire.*", "test": "any"}
    assert all(act.test for act in Site(rule(when=when)).raises(test=True))
    site = Site(rule())
    site.raises(test=True)
    assert site.raises() != []  # a real one during a test


@pytest.mark.parametrize(
    ("when", "acts"),
    [
        ({"type": "fire.heat"}, False),
        ({"type": ["fire.heat", "fire.smoke"]}, True),
        ({"type": "fire.*", "phase": "clear"}, False),
        ({"type": "fire.*", "place": "b3/u2"}, True),
        ({"type": "fire.*", "place": "b3/u"}, False),
        ({"type": "fire.*", "devices": ["smoke-1"]}, True),
        ({"type": "fire.*", "devices": ["door-1"]}, False),
        ({"type": "fire.*", "kind": "smoke"}, True),
        ({"type": "fire.*", "kind": "heat"}, False),
        ({"type": "fire.*", "hours": {"mon-fri": "08:00-18:00"}}, True),
        ({"type": "fire.*", "hours": {"sat": "08:00-18:00", "mon": "12:01-13:00"}}, False),
        ({"type": "fire.*", "outcome": "real"}, False),
    ],
)
def test_when(when: dict[str, Any], acts: bool) -> None:
    assert bool(Site(rule(when=when)).raises()) is acts


def test_after_a_disposal() -> None:
    site = Site(rule(when={"type": "fire.*", "outcome": "real"}))
    heard = Happening("smoke-1", "fire.smoke", "", Phase.PULSE, False, "id-1", "real")
    assert len(site.engine.hear(heard, NOON, 0.0)) == 2
    assert site.engine.hear(heard._replace(outcome="false"), NOON, 0.0) == []


def test_only_the_third_within_a_minute() -> None:
    sound = {"action": "sound"}
    site = Site(rule(when={"type": "access.denied", "count": 3, "within": "60s"}, do=[sound]))
    counts = []
    for wait_s in (0, 30, 31, 1, 1, 1):
        site.now_s += wait_s
        counts.append(len(site.pulses("door-1", "access.denied")))
    assert counts == [0, 0, 0, 1, 0, 0]


def test_only_what_lasts_so_long() -> None:
    site = Site(rule(when={"type": "door.open", "for": "30s"}, do=[{"action": "sound"}]))
    site.raises("door-1", "door.open")
    assert site.after(29) == []
    site.clears("door-1", "door.open")
    assert site.after(5) == []
    site.raises("door-1", "door.open")
    assert site.after(30) == [("", "sound")]
    site.clears("door-1", "door.open")
    assert site.after(0) == [("", "end-sound")]


def test_delay_and_hold() -> None:
    do = {"action": "output", "devices": {"ids": ["cam-1"]}, "number": 1, "state": True, "delay": "5s", "hold": "30s"}
    site = Site(rule(when={"type": "safety.panic"}, do=[do]))
    site.raises("panic-1", "safety.panic")
    assert (site.after(4), site.after(1)) == ([], [("cam-1", "output")])
    assert (site.after(29), site.after(1), site.after(99)) == ([], [("cam-1", "output")], [])


def lockdown(**more: Any) -> Rule:
    do = {"action": "lockdown", "devices": {"kind": "door"}, "until": "cleared"}
    return rule(name="lockdown", when={"type": "safety.panic"}, do=[do], **more)


def test_no_rule_locks_what_fire_has_opened() -> None:
    site = Site(rule(), lockdown())
    site.raises()
    site.after(0)
    site.raises("panic-1", "safety.panic")
    assert site.after(0) == [("door-gate", "lockdown")]
    assert ("door-1", "lockdown", "held-by-fire") in site.told
    assert site.engine.acts.held("door-1", "lock")
    assert not site.engine.acts.held("door-gate", "lock")


def test_fire_opens_what_a_lockdown_has_shut_and_leaves_it_shut_afterwards() -> None:
    site = Site(rule(), lockdown())
    site.raises("panic-1", "safety.panic")
    site.after(0)
    site.raises()
    assert site.after(0) == [("door-1", "release"), ("door-2", "release")]
    site.clears()
    site.resets()
    assert site.after(0) == [("door-1", "lockdown"), ("door-2", "lockdown")]


def test_one_gives_way_to_the_other() -> None:
    opens = rule(name="opens", when={"type": "door.open"}, do=[RELEASE | {"until": "cleared"}])
    site = Site(opens, lockdown(yields_to=["opens"]))
    site.raises("door-1", "door.open")
    site.after(0)
    site.raises("panic-1", "safety.panic")
    site.after(0)
    assert ("door-2", "lockdown", "yields-to:opens") in site.told


def test_a_door_that_is_away_is_tried_until_it_is_back_and_told_once() -> None:
    site = Site(rule())
    site.raises()
    for _ in range(20):
        site.after(10, "device-offline")
    assert site.told == [("door-1", "release", "device-offline"), ("door-2", "release", "device-offline")]
    assert site.after(0) == []
    site.engine.acts.back("door-2", site.now_s)
    assert site.after(0) == [("door-2", "release")]


def test_what_is_no_fire_is_tried_a_few_times() -> None:
    site = Site(rule(when={"type": "safety.panic"}, do=[{"action": "snapshot", "devices": {"kind": "camera"}}]))
    site.raises("panic-1", "safety.panic")
    for _ in range(20):
        site.after(10, "timeout")
    assert (len(site.made), site.told) == (TRIES, [("cam-1", "snapshot", "timeout")])


def test_its_end_comes_while_it_is_under_way() -> None:
    """The door must not stay open for ever."""
    opens = rule(name="opens", when={"type": "door.open"}, do=[RELEASE | {"until": "cleared"}])
    site = Site(opens)
    act, _ = site.raises("door-1", "door.open")
    site.clears("door-1", "door.open")
    site.engine.acts.settle(site.book, site.now_s)
    site.does(act, "ok")
    assert site.after(0) == [("door-1", "lock")]


def test_a_supply_without_power_suppresses_its_devices_also_those_that_follow() -> None:
    do = {"action": "suppress", "devices": {"ids": ["door-1"]}, "type": "device.offline"}
    site = Site(rule(when={"type": "device.power_fault"}, do=[do]))
    site.raises("panic-1", "device.power_fault")
    assert site.after(0) == [("door-1", "suppress")]
    site.raises("door-1", "device.offline")
    assert site.after(0) == [("door-1", "suppress")]
    site.clears("panic-1", "device.power_fault")
    assert site.after(0) == [("door-1", "end-suppress")]


def test_alarms_that_no_rule_has_heard_of_are_caught_up_with() -> None:
    site = Site(rule())
    site.raises()
    site.engine.acts.all.clear()  # the end came between the event and the plan
    site.restarts()
    assert site.after(0) == [("door-1", "release"), ("door-2", "release")]


def test_what_was_left_of_a_hold_goes_on_after_a_restart() -> None:
    opens = rule(name="opens", when={"type": "safety.panic"}, do=[RELEASE | {"devices": DOORS, "hold": "60s"}])
    site = Site(opens)
    site.raises("panic-1", "safety.panic")
    site.after(0)
    site.after(20)
    site.restarts()
    assert site.after(0) == [("door-gate", "release")]
    assert (site.after(39), site.after(1)) == ([], [("door-gate", "lock")])


# --- whatever happens ---

RULES = (
    rule(),
    lockdown(),
    rule(name="evening", when={"type": "access.denied"}, do=[{"action": "lock", "devices": {"kind": "door"}}]),
    rule(name="gate", when={"type": "safety.panic"}, do=[RELEASE | {"hold": "30s"}], yields_to=["lockdown"]),
)
STEPS: dict[str, Callable[[Site], object]] = {
    "fire": Site.raises,
    "fire over": Site.clears,
    "reset": Site.resets,
    "panic": lambda site: site.raises("panic-1", "safety.panic"),
    "panic over": lambda site: site.clears("panic-1", "safety.panic"),
    "denied": lambda site: site.pulses("door-1", "access.denied"),
    "done": lambda site: site.after(1),
    "later": lambda site: site.after(31),
    "away": lambda site: site.after(1, "device-offline"),
    "refused": lambda site: site.after(1, "device-refused"),
    "back": lambda site: site.engine.acts.back("door-1", site.now_s),
    "restart": Site.restarts,
}
LIVES = st.lists(st.sampled_from(sorted(STEPS)), max_size=40)


def lived(steps: Sequence[str]) -> Site:
    site = Site(*RULES)
    for step in steps:
        STEPS[step](site)
    return site


def at_rest(site: Site) -> None:
    """Everything works from now on."""
    for _ in range(TRIES * 3):
        site.after(31)


@given(LIVES)
def test_while_there_is_fire_its_doors_are_open(steps: list[str]) -> None:
    """After any life, as soon as devices answer; that none is ever locked meanwhile is asserted in `does`."""
    site = lived(steps)
    at_rest(site)
    if site.book.get(("smoke-1", "fire.smoke", "")) is not None:
        assert not {"door-1", "door-2"} & site.locked
        assert site.engine.acts.held("door-1", "lock")


@given(LIVES)
def test_a_restart_at_any_point_opens_them_again(steps: list[str]) -> None:
    site = lived(steps)
    site.restarts()
    fire = site.book.get(("smoke-1", "fire.smoke", ""))
    released = {device for device, action in site.after(11) if action == "release"}
    if fire is not None and fire.active:
        assert {"door-1", "door-2"} <= released


@given(LIVES)
def test_every_act_is_done_or_told_as_failed(steps: list[str]) -> None:
    site = lived(steps)
    at_rest(site)
    assert all(act.at_s == inf or act.stage is Stage.LASTING for act in site.engine.acts.all.values() if act.open)
    planned = len(site.told)
    site.after(3600)
    assert len(site.told) == planned  # nothing goes on by itself


@given(LIVES)
def test_the_same_life_has_the_same_acts(steps: list[str]) -> None:
    one, other = lived(steps), lived(steps)
    assert (one.made, one.told, one.engine.acts.all) == (other.made, other.told, other.engine.acts.all)


@given(LIVES)
def test_what_is_written_is_read_back(steps: list[str]) -> None:
    site = lived(steps)
    again = load(dump(site.engine.acts, site.now_s), site.now_s)
    assert again.all.keys() == site.engine.acts.all.keys()
    for name, act in site.engine.acts.all.items():
        same = replace(again.all[name], at_s=0.0, ends_s=None, stage=act.stage)
        assert same == replace(act, at_s=0.0, ends_s=None, args=dict(act.args))
