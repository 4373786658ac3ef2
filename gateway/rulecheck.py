"""What is wrong between rules: loops, contradictions; and what is not wise: selectors that find nothing. Pure.

A loop: what a rule does causes an event that makes a rule act, and so on back to itself. A contradiction: two rules
that may act at once move the same door or output each another way, and neither `yields_to:` the other. Both are found
from the devices that a rule can reach, whichever device makes it act; types are taken as any device could tell them.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway import taxonomy
from gateway.acts import opposed
from gateway.checks import Draft
from gateway.errors import Text
from gateway.event import Phase
from gateway.fields import DeviceConfig
from gateway.problems import KeyPath, Problem
from gateway.rulebook import ON_DOORS, Do, Rule, When
from gateway.rules import arguments
from gateway.scope import Spot, World, may_tell, reach

COMMANDS = frozenset((*ON_DOORS, "output", "snapshot"))  # what is a device's driver's to do
KIND = "device"  # of a device for which neither its entry nor its driver names one
_BEGINS = (Phase.RAISE, Phase.PULSE)
_CAUSES: Mapping[str, tuple[tuple[str, tuple[Phase, ...]], ...]] = {  # what an action tells, besides gateway.action
    "release": (("door.released", (Phase.RAISE, Phase.CLEAR)), ("door.lockdown", (Phase.CLEAR,))),
    "lockdown": (("door.lockdown", (Phase.RAISE, Phase.CLEAR)), ("door.released", (Phase.CLEAR,))),
    "lock": (("door.released", (Phase.CLEAR,)), ("door.lockdown", (Phase.CLEAR,))),
    "shelve": (("operator.shelve", (Phase.PULSE,)),),
}


class Aim(NamedTuple):
    """One action of a rule, and all devices that it may reach."""

    number: int
    do: Do
    devices: frozenset[str]


@dataclass(frozen=True)
class Wired:
    """A rule with where it stands, and what it reaches."""

    path: KeyPath
    rule: Rule
    aims: tuple[Aim, ...]


class Trade(NamedTuple):
    """What a driver's devices are where they do not say it themselves, and the commands that they take."""

    kind: str = KIND
    actions: tuple[str, ...] | None = None  # None: unknown


class Catalogue(Mapping[str, type[DeviceConfig]]):
    """The models of all drivers' devices, by the driver's name, and more."""

    @abstractmethod
    def trade_of(self, name: str) -> Trade:
        """What a driver's devices are, and can do."""


def world_of(draft: Draft, trade_of: Callable[[str], Trade] | None) -> World:
    """The devices that are right by themselves; `trade_of` tells of their drivers."""
    world = {}
    for _, device in draft.of(DeviceConfig):
        kind, actions = (trade_of or _unknown)(device.driver)
        taken = None if actions is None else frozenset(actions)
        world[device.id] = Spot(device.kind or kind, device.place, taken)
    return world


def _unknown(_: str) -> Trade:
    return Trade()


def wired(draft: Draft, world: World) -> list[Wired]:
    """Every rule."""
    return [Wired(path, rule, aims(rule, world)) for path, rule in draft.of(Rule)]


def aims(rule: Rule, world: World) -> tuple[Aim, ...]:
    """What a rule may reach."""
    causes = [name for name in world if may_tell(rule.when, world, name)]
    return tuple(Aim(number, do, reach(do, world, causes)) for number, do in enumerate(rule.do))


def check_rules(draft: Draft, world: World) -> Iterator[Problem]:
    """Loops and contradictions."""
    rules = wired(draft, world)
    yield from _contradictions(draft, rules)
    yield from _loops(draft, rules, world)


def advise_rules(draft: Draft, world: World) -> Iterator[Problem]:
    """Selectors that find no device."""
    for one in wired(draft, world):
        for number, do, devices in one.aims:
            if do.devices is not None and not devices:
                what = Text(
                    f"rule {one.rule.name}: no device is meant by this, so that {do.action} does nothing",
                    f"规则 {one.rule.name}:没有设备符合此条件,{do.action} 不会有任何作用",
                )
                yield draft.document.problem((*one.path, "do", number, "devices"), what, key=True)
            yield from _unable(
                draft, one, number, do, [name for name in sorted(devices) if not _takes(world, name, do)]
            )
        if not any(may_tell(one.rule.when, world, name) for name in world) and not _by_gateway(one.rule.when):
            what = Text(
                f"rule {one.rule.name}: no device can make it act",
                f"规则 {one.rule.name}:没有设备会触发它",
            )
            yield draft.document.problem((*one.path, "when"), what, key=True)


def _takes(world: World, device: str, do: Do) -> bool:
    actions = world[device].actions
    return actions is None or do.action not in COMMANDS or do.action in actions


def _unable(draft: Draft, one: Wired, number: int, do: Do, names: Sequence[str]) -> Iterator[Problem]:
    if names:
        listed = ", ".join(names)
        what = Text(
            f"rule {one.rule.name}: {listed} cannot {do.action}: its driver has no such command",
            f"规则 {one.rule.name}:{listed} 不支持 {do.action}:其驱动没有此命令",
        )
        yield draft.document.problem((*one.path, "do", number, "action"), what)


def _by_gateway(when: When) -> bool:
    told = any(taxonomy.category(name) == "gateway" for name in _types(when.type))
    return told and not (when.devices or when.kind or when.place)


def _types(patterns: Sequence[str]) -> list[str]:
    return [name for name in taxonomy.TYPES if any(taxonomy.matches(pattern, name) for pattern in patterns)]


# contradictions


def _contradictions(draft: Draft, rules: Sequence[Wired]) -> Iterator[Problem]:
    for place, one in enumerate(rules):
        for other in rules[: place + 1]:
            found = _crossed(one, other)
            if found is not None:
                yield _against(draft, one, other, *found)


def _crossed(one: Wired, other: Wired) -> tuple[Aim, Aim, str] | None:
    a, b = one.rule, other.rule
    if a.name in b.yields_to or b.name in a.yields_to or (a is not b and not _at_once(a.when, b.when)):
        return None
    for mine in one.aims:
        for theirs in other.aims:
            both = sorted(mine.devices & theirs.devices)
            if both and opposed(mine.do.action, arguments(mine.do), theirs.do.action, arguments(theirs.do)):
                return mine, theirs, both[0]
    return None


def _at_once(one: When, other: When) -> bool:
    """Could both act? Not where their hours never meet, nor where one waits for the other's end."""
    minutes = [frozenset((day, minute) for days, start, end in when.hours or () for day in days
                         for minute in range(start, end)) for when in (one, other)]  # fmt: skip
    if one.hours is not None and other.hours is not None and not minutes[0] & minutes[1]:
        return False
    ends = (one.phase is Phase.CLEAR) != (other.phase is Phase.CLEAR)
    return not (ends and one.type == other.type)


def _against(draft: Draft, one: Wired, other: Wired, mine: Aim, theirs: Aim, device: str) -> Problem:
    mark, a, b = draft.document.mark((*other.path, "do", theirs.number)), mine.do.action, theirs.do.action
    at = f"{mark.file.name}:{mark.line}"
    what = Text(
        f"rule {one.rule.name} would {a} {device}, which rule {other.rule.name} ({at}) would {b} at the same time: "
        f"say which one wins by yields_to:",
        f"规则 {one.rule.name} 对 {device} 执行 {a},而规则 {other.rule.name}({at})会同时执行 {b}:"
        f"请用 yields_to: 说明谁优先",
    )
    return draft.document.problem((*one.path, "do", mine.number), what)


# loops


def _loops(draft: Draft, rules: Sequence[Wired], world: World) -> Iterator[Problem]:
    """Each loop once, at the first rule of it."""
    after = {n: [m for m, other in enumerate(rules) if _causes(one, other.rule, world)] for n, one in enumerate(rules)}
    told: set[int] = set()
    for start in after:
        loop = None if start in told else _way_back(after, start)
        if loop is not None:
            told.update(loop)
            yield _round(draft, [rules[number] for number in loop])


def _way_back(after: Mapping[int, Sequence[int]], start: int) -> list[int] | None:
    """The shortest way from a rule back to itself."""
    ways, seen = [[start]], set[int]()
    while ways:
        way = ways.pop(0)
        for step in after[way[-1]]:
            if step == start:
                return way
            if step not in seen:
                seen.add(step)
                ways.append([*way, step])
    return None


def _causes(one: Wired, rule: Rule, world: World) -> bool:
    """Does what a rule does make the other one act?"""
    when = rule.when
    phases = _BEGINS if when.phase is None else (when.phase,)
    for aim in one.aims:
        subjects = aim.devices or ({""} if aim.do.devices is None else ())
        told = (*_CAUSES.get(aim.do.action, ()), ("gateway.action", (Phase.PULSE,)))
        for kind, ways in told:
            heard = any(taxonomy.matches(pattern, kind) for pattern in when.type) and set(ways) & set(phases)
            if heard and when.outcome is None and any(may_tell(when, world, name) for name in subjects):
                return True
    return False


def _round(draft: Draft, loop: Sequence[Wired]) -> Problem:
    marks = [draft.document.mark((*one.path, "name")) for one in loop]
    names = " → ".join(f"{one.rule.name} ({mark.file.name}:{mark.line})" for one, mark in zip(loop, marks, strict=True))
    first = loop[0].rule.name
    what = Text(
        f"these rules go round in a loop: {names} → {first}; narrow the when: of one of them",
        f"这些规则互相触发,形成循环:{names} → {first};请缩小其中一条的 when: 条件",
    )
    return draft.document.problem((*loop[0].path, "when"), what)
