"""The platform's cases as people here work on them: shown, taken in hand, reported handled; also offline."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from gateway.alarms import Alarm, Told, noted
from gateway.alarms import Step as Line
from gateway.audit import By
from gateway.casebook import UNDER_WAY, Case, Casebook
from gateway.clock import TimeQuality, rfc3339
from gateway.deeds import Hand, NotNow, filled
from gateway.errors import Text
from gateway.event import Phase, Reading
from gateway.evidence import Proof
from gateway.feedback import STEPS
from gateway.pipeline import Deed
from gateway.witness import Witness

Deeds = Literal["handling", "handled"]


class Incidents:
    """One method a step."""

    def __init__(self, casebook: Casebook, witness: Witness, hand: Hand) -> None:
        self.casebook = casebook
        self.witness = witness
        self._hand = hand

    async def list(self) -> list[dict[str, Any]]:
        """Those under way first, the soonest due before the others; with what may be done now. StorageError."""
        cases = await self.casebook.load()
        order = sorted(cases.values(), key=lambda c: (c.step not in UNDER_WAY, str(c.told.due or "~"), c.key))
        return [self._shown(case, await self.witness.evidence(case)) for case in order]

    def _shown(self, case: Case, proofs: Sequence[Proof]) -> dict[str, Any]:
        told, mine, clock = case.told, case.mine, self._hand.clock
        document: dict[str, Any] = {
            **told.model_dump(mode="json", include={"incident", "owner", "due", "reason", "time"}, exclude_none=True),
            "uplink": case.uplink,
            "step": case.step,
            "platform_step": told.step,
            "overdue": case.due is not None and case.due < clock.utc(),
            "alarms": told.alarms,
            "evidence": [proof.document() for proof in proofs],
            "may": [step for step in ("handling", "handled") if case.step in _from(step)],
        }
        if case.due is not None and clock.quality() is TimeQuality.UNSYNCED:
            document["clock"] = "unsynced"  # what is overdue is so by a clock that nobody has set
        done = filled({"step": mine.step, "time": mine.time, "who": mine.who, "note": mine.note})
        return document | ({"mine": done | filled({"picture": mine.picture})} if mine.step else {})

    # doing

    async def handling(self, incident: str, by: By, note: str = "") -> dict[str, Any]:
        """A person here takes it in hand. NotFound, NotNow, StorageError."""
        return await self._move(incident, "handling", by, note)

    async def handled(self, incident: str, by: By, note: str = "", picture: str = "") -> dict[str, Any]:
        """A person here says that it is done; `picture` is the reference of one that is kept. As `handling`."""
        return await self._move(incident, "handled", by, note, picture)

    async def _move(
        self, incident: str, step: Literal["handling", "handled"], by: By, note: str, picture: str = ""
    ) -> dict[str, Any]:
        async with self.casebook.lock:
            return await self._moved(incident, step, by, note, picture)

    async def _moved(
        self, incident: str, step: Literal["handling", "handled"], by: By, note: str, picture: str
    ) -> dict[str, Any]:
        case = await self.casebook.find(incident)
        if case.step not in _from(step):
            stands = STEPS[case.step]  # type: ignore[index]  # a step is one of them
            what = Text(f"it is at the step {case.step}", f"当前步骤为{stands.zh}")
            do = Text(f"{step} is possible from: {', '.join(_from(step))}",
                      f"可在以下步骤时操作:{'、'.join(STEPS[name].zh for name in _from(step))}")  # type: ignore[index]  # fmt: skip
            raise NotNow(incident, what, do)
        proofs = await self.witness.evidence(case)
        said: dict[str, Any] = {"incident": case.told.incident, "alarms": list(case.told.alarms)}
        said["uplink"] = case.uplink
        if step == "handled":
            said["evidence"] = [proof.document() for proof in proofs]
        said = filled(self._hand.said(by, note=note) | said | ({"picture": {"ref": picture}} if picture else {}))
        deed = await self._deed(proofs, f"operator.{step}", said, by)
        await self._hand.do(by, f"operator.{step}", [deed], incident=case.told.incident, note=note)
        now = rfc3339(self._hand.clock.utc())
        done = {"step": step, "time": now, "on": case.told.time, "who": by.who, "note": note, "picture": picture}
        case = await self.casebook.keep(replace(case, mine=case.mine.model_copy(update=done)))
        return self._shown(case, proofs)

    async def _deed(self, proofs: Sequence[Proof], step: str, said: dict[str, Any], by: By) -> Deed:
        """Its event is the first alarm's device's, in whose history it stands too, else the gateway's."""
        first = proofs[0] if said["alarms"] else Proof("")
        subject = first.device if first.device in self._hand.where.devices else self._hand.where.gateway
        alarm = (await self._hand.book()).find(first.alarm)
        key = (subject, step, str(said["incident"])) if alarm is None else alarm.key

        def with_line(old: Alarm | None, told: Told) -> Alarm | None:
            line = Line(told.now_ms, step.partition(".")[2], by.who, by.place, str(said.get("note", "")))
            return None if old is None or old.id != first.alarm else noted(old, line)

        return Deed(Reading(subject, step, Phase.PULSE, data=said), key, with_line)


def _from(step: str) -> tuple[str, ...]:
    """The steps from which a person here may go to this one."""
    return ("accepted", "dispatched", "returned", "not-passed", *(("handling",) if step == "handled" else ()))
