"""Linkage as a pure engine: happenings in, acts out (`acts.py`); the clock is an argument.

Who wins: fire. A door that fire has opened is locked by no rule and no command until a person has reset the alarm
(`Acts.held`). Among other rules the one that `yields_to:` another gives way while that one's act lasts.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway import taxonomy
from gateway.acts import Act, Acts, Stage, action_of, crossed
from gateway.alarms import Book
from gateway.event import Phase
from gateway.rulebook import FIRE, Do, Rule
from gateway.scope import Happening, World, fits, targets


class Engine:
    """All rules, and every act that is not over."""

    def __init__(self, rules: Sequence[Rule], world: World) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._world = world
        self._recent: defaultdict[str, deque[float]] = defaultdict(deque)  # of rules with `count:`, seconds
        self._waits: dict[str, bool] = {}  # by type: does any rule wait for it
        self.acts = Acts()

    def cares(self, type: str) -> bool:
        """Could an event of this type change anything? Most cannot, and cost nothing then."""
        if type not in self._waits:
            patterns = [pattern for rule in self._rules.values() for pattern in rule.when.type]
            mine = any(taxonomy.matches(pattern, type) for pattern in patterns)
            self._waits[type] = bool(patterns) and (mine or type.startswith("operator."))
        return self._waits[type] or bool(self.acts.all)

    def hear(self, happening: Happening, local: datetime, now_s: float) -> list[Act]:
        """What has happened makes rules act: the new acts."""
        found = [act for rule in self._rules.values() for act in self._planned(rule, happening, local, now_s)]
        fresh = [act for act in found if self._fresh(act)]
        self.acts.all |= {act.name: act for act in fresh}
        if happening.phase is not Phase.CLEAR:
            self._suppressed_too(happening, now_s)
        return fresh

    def urgent(self, happening: Happening, local: datetime, now_s: float) -> list[Act]:
        """What a fire that no disk has taken asks for at once: its openings alone. Nothing of it is remembered."""
        rules = [rule for rule in self._rules.values() if rule.when.count is None]
        found = [act for rule in rules for act in self._planned(rule, happening, local, now_s)]
        return [act for act in found if act.fire and act.at_s <= now_s]

    def _planned(self, rule: Rule, happening: Happening, local: datetime, now_s: float) -> Iterator[Act]:
        if not fits(rule.when, self._world, happening, local) or not self._often(rule, now_s):
            return
        for number, do in enumerate(rule.do):
            devices = [""] if do.devices is None else targets(do.devices, self._world, happening.device)
            for device in devices:
                yield planned(rule, number, device, happening, now_s)

    def _often(self, rule: Rule, now_s: float) -> bool:
        if rule.when.count is None:
            return True
        recent = self._recent[rule.name]
        recent.append(now_s)
        while recent[0] < now_s - (rule.when.within or 0.0):
            recent.popleft()
        if len(recent) < rule.when.count:
            return False
        recent.clear()
        return True

    def _fresh(self, act: Act) -> bool:
        """Told again while its act waits or lasts, it is no news."""
        old = self.acts.all.get(act.name)
        return old is None or old.stage in (Stage.DONE, Stage.ENDING)

    def _suppressed_too(self, happening: Happening, now_s: float) -> None:
        for act in self.acts.open(happening.device):
            covers = act.action == "suppress" and act.stage is Stage.LASTING
            if covers and taxonomy.matches(act.args["type"], happening.type):
                self.acts.keep(replace(act, stage=Stage.WAITING, at_s=now_s))

    def catch_up(self, book: Book, now_s: float) -> list[Act]:
        """After a start: alarms that are active and have made no rule act yet, as the end came in between."""
        found = []
        for alarm in book:
            if not alarm.active or alarm.severity == "info":
                continue
            happening = Happening(alarm.device, alarm.type, alarm.part, Phase.RAISE, alarm.test, alarm.id)
            local = datetime.fromtimestamp(alarm.first_ms / 1000, UTC).astimezone()
            for rule in self._rules.values():
                if rule.when.count is None and rule.when.outcome is None:
                    acts = self._planned(rule, happening, local, now_s)
                    found += [act for act in acts if act.name not in self.acts.all]
        self.acts.all |= {act.name: act for act in found}
        return found

    def refused(self, act: Act) -> str | None:
        """Why a rule may not do this now: `held-by-fire`, or the name of the rule that it gives way to."""
        if self.acts.held(act.device, action_of(act), act.args):
            return "held-by-fire"
        if act.stage is Stage.ENDING:
            return None
        rule = self._rules.get(act.rule)
        for other in self.acts.wanted(act.device):
            if rule is not None and other.rule in rule.yields_to and crossed(other, act.action, act.args):
                return f"yields-to:{other.rule}"
        return None


def planned(rule: Rule, number: int, device: str, happening: Happening, now_s: float) -> Act:
    """One action of a rule on one device. Doors opened by fire stay open until a person resets."""
    do, lasts_s = rule.do[number], rule.when.lasts or 0.0
    until = do.until or ""
    stays = do.action == "release" or (do.action == "output" and do.hold is None and not until)
    if stays and happening.type.startswith(FIRE) and happening.phase is not Phase.CLEAR:
        until = "reset"
    elif do.action in ("sound", "suppress") and do.hold is None:
        until = until or "cleared"
    return Act(
        rule=rule.name,
        number=number,
        device=device,
        cause=happening.cause,
        source=(happening.device, happening.type, happening.part),
        test=happening.test,
        action=do.action,
        at_s=now_s + do.delay + lasts_s,
        hold_s=None if until else do.hold,
        until=until,
        confirm=rule.when.lasts is not None,
        args=arguments(do),
    )


def arguments(do: Do) -> dict[str, Any]:
    """As the contract's commands take them, and as the runner needs the rest."""
    if do.action == "unlock":
        return {} if do.hold is None else {"seconds": do.hold}
    names = ("number", "state", "type", "target", "text")
    return {name: getattr(do, name) for name in names if getattr(do, name) is not None}
