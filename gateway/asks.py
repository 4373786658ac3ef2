"""What the command line may ask about what left, and have forgotten: questions of the control socket."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from gateway.audit import By
from gateway.event import Credential
from gateway.forget import left_to_do
from gateway.house import House
from gateway.questions import Question

MOST_NUMBER = 2**63 - 1


class Days(Question):
    """From which day to which, e.g. 2026-11-24; "0000" and "9999" for no end."""

    since: str
    until: str


class Forget(Question):
    """A card in clear, or a reference that an uplink knows it by; and who asks."""

    who: str
    ref: str | None = None
    format: str = ""
    facility: Annotated[int, Field(ge=0, le=MOST_NUMBER)] = 0
    number: Annotated[int, Field(ge=0, le=MOST_NUMBER)] = 0


class Asks:
    """Answers them about one house."""

    def __init__(self, house: House) -> None:
        self._house = house

    @property
    def answers(self) -> Mapping[str, tuple[type[Question], Callable[[Any], Awaitable[Any]]]]:
        """By question."""
        return {"disclosure": (Days, self._disclosure), "forget": (Forget, self._forget)}

    async def _disclosure(self, days: Days) -> Any:
        return [asdict(given) for given in await self._house.public.given(days.since, days.until)]

    async def _forget(self, asked: Forget) -> Any:
        forgetting, by = self._house.forgetting, By(asked.who, "installer", "cli")
        if asked.ref is None:
            card = Credential(asked.format, asked.facility, asked.number)
        else:
            card = await forgetting.find(asked.ref)
        forgotten = await forgetting.forget(card, by)
        return asdict(forgotten) | {"do": [text._asdict() for text in left_to_do(self._house.config, card, forgotten)]}
