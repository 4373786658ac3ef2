"""What people and the platform do to an alarm: silence, acknowledge, dispose, reset (domain notes, 3.4).

Each step is an event upstream, a line of the audit log, and new flags; all of it works with no uplink. A step that
changes nothing is done without a word; one that cannot be done as things stand is refused with the reason (`NotNow`).
"""

from typing import Literal, get_args

from gateway import alarms
from gateway.alarms import Alarm
from gateway.audit import By
from gateway.deeds import Hand, NotNow, Theirs
from gateway.errors import Text
from gateway.event import Severity
from gateway.pipeline import Deed

HOLDS = {
    "active": Text("its cause still lasts", "报警原因尚未消除"),
    "unacknowledged": Text("nobody has acknowledged it", "尚未确认"),
    "undisposed": Text("nobody has said what it was", "尚未给出处置结论"),
}
Outcome = Literal["real", "false", "test", "drill", "other"]  # contract, section 10
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class Duty:
    """One method a step."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand

    async def find(self, alarm_id: str, theirs: Theirs) -> Alarm:
        """By its id, or a unique beginning or end. NotFound, also where it is not theirs; StorageError."""
        return await self._hand.find(alarm_id, theirs)

    async def silence(self, by: By, theirs: Theirs | None = None) -> list[Alarm]:
        """The sound of all alarms that are present now; never of the next. Returns those that sounded."""
        book = await self._hand.book()
        sounding = [a for a in book if a.severity is not Severity.INFO and not a.silenced and not a.acknowledged]
        loud = [alarm for alarm in sounding if theirs is None or theirs(alarm)]
        deeds = [self._hand.deed(alarm, "operator.silence", by, alarms.silenced) for alarm in loud]
        return await self._hand.do(by, "operator.silence", deeds)

    async def acknowledge(self, alarm_id: str, by: By, note: str | None = None) -> Alarm:
        """A person has seen it."""
        alarm = await self._hand.find(alarm_id)
        if alarm.acknowledged:
            return alarm
        deed = self._hand.deed(alarm, "operator.ack", by, alarms.acknowledged, note)
        return await self._one(alarm, by, "operator.ack", [deed])

    async def acknowledge_rest(self, by: By) -> list[Alarm]:
        """All that is not critical at once; a fire is acknowledged one by one (domain notes, 3.4)."""
        book = await self._hand.book()
        mild = [a for a in book if not a.acknowledged and a.severity is not Severity.CRITICAL]
        deeds = [self._hand.deed(alarm, "operator.ack", by, alarms.acknowledged) for alarm in mild]
        return await self._hand.do(by, "operator.ack", deeds)

    async def dispose(
        self, alarm_id: str, by: By, outcome: str, cause: str | None = None, note: str | None = None
    ) -> Alarm:
        """A person has said what it was; `outcome` is one of OUTCOMES. What nobody had acknowledged is so by this."""
        alarm = await self._hand.find(alarm_id)
        more = {"outcome": outcome} | ({} if cause is None else {"cause": cause})
        seen = self._hand.deed(alarm, "operator.ack", by, alarms.acknowledged, note, more)
        deeds = [] if alarm.acknowledged else [seen]

        def said(old: Alarm) -> Alarm:
            return alarms.disposed(old, outcome)

        deeds.append(self._hand.deed(alarm, "operator.dispose", by, said, note, more))
        return await self._one(alarm, by, "operator.dispose", deeds, said=outcome, note=note)

    async def reset(self, alarm_id: str, by: By) -> Alarm:
        """The latch is let go. NotNow: its cause lasts, or nobody acknowledged, or (fire) disposed of it."""
        alarm = await self._hand.find(alarm_id)
        held = alarms.holds(alarm)
        if held is not None:
            do = Text("reset it when that is so no longer", "条件满足后再复位")
            why = NotNow(f"{alarm.device} {alarm.type}", HOLDS[held], do)
            raise await self._hand.refuse(by, "operator.reset", alarm.device, why)
        deed = self._hand.deed(alarm, "operator.reset", by, alarms.reset)
        return await self._one(alarm, by, "operator.reset", [deed])

    async def _one(self, alarm: Alarm, by: By, what: str, deeds: list[Deed], **more: str | None) -> Alarm:
        """The alarm as it is now. NotFound: somebody else ended it in between."""
        done = await self._hand.do(by, what, deeds, **more)
        return done[0] if done else await self._hand.find(alarm.id)
