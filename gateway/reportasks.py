"""Reports and the handover of a shift, as questions of the control socket."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.audit import By
from gateway.house import House
from gateway.questions import Question
from gateway.shifts import Kind


class Report(Question):
    """Of which period: the shift, day or month that `at` lies in, else the present one."""

    kind: Kind
    at: str | None = None


class Handover(Question):
    """Who hands the shift over, and what the next one is to know."""

    who: str
    note: str | None = None


class ReportAsks:
    """Answers them about one house."""

    def __init__(self, house: House) -> None:
        self._house = house

    @property
    def answers(self) -> Mapping[str, tuple[type[Question], Callable[[Any], Awaitable[Any]]]]:
        """By question."""
        return {"report": (Report, self._report), "handover": (Handover, self._handover)}

    async def _report(self, asked: Report) -> Any:
        return await self._house.reporting.report(asked.kind, asked.at)

    async def _handover(self, asked: Handover) -> Any:
        return await self._house.reporting.handover(By(asked.who, "duty", "cli"), asked.note)
