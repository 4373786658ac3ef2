"""Questions at the door about what the platform feeds back, and the file it has of the community."""

from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.audit import By
from gateway.house import House
from gateway.inquiry import Answers
from gateway.questions import Question


class Move(Question):
    """Which incident, to which step, by whom."""

    incident: str
    step: Literal["handling", "handled"]
    who: str
    note: Annotated[str, Field(max_length=1000)] = ""
    picture: Annotated[str, Field(max_length=200)] = ""


class File(Question):
    """Whose digital file."""

    uplink: str


def fed(house: House) -> Answers:
    """By name: `incidents`, `incident`, `notices`, `dossier`."""

    async def incidents(_: Question) -> Any:
        return await house.incidents.list()

    async def move(asked: Move) -> Any:
        by = By(asked.who, "installer", "cli")
        if asked.step == "handling":
            return await house.incidents.handling(asked.incident, by, asked.note)
        return await house.incidents.handled(asked.incident, by, asked.note, asked.picture)

    async def told(_: Question) -> Any:
        return {"notices": await house.notices.list(), "feedback": await house.notices.feedback()}

    async def file(asked: File) -> Any:
        return await house.dossiers.show(asked.uplink or next(iter(house.config.uplinks), ""))

    return {
        "incidents": (Question, incidents),
        "incident": (Move, move),
        "notices": (Question, told),
        "dossier": (File, file),
    }
