"""What may be asked over the control socket, but for alarms (`steps.py`): how it is, what happened, commands."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from pydantic import Field

from gateway import __version__
from gateway.audit import By
from gateway.chores import send
from gateway.duty import Outcome
from gateway.errors import StateError, Text
from gateway.house import Filter, House
from gateway.questions import Question
from gateway.renewal import Renewal

MOST_EVENTS = 100_000  # in one answer
MOST_NUMBER = 2**63 - 1  # that SQLite takes (its documentation, "datatypes", 2)
Answers = dict[str, tuple[type[Question], Callable[[Any], Awaitable[Any]]]]


class Search(Question):
    """Which events; `limit` counts from the newest."""

    types: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    since_ms: Annotated[int, Field(ge=0, le=MOST_NUMBER)] = 0
    limit: Annotated[int, Field(ge=1, le=MOST_EVENTS)] = 50

    @property
    def filter(self) -> Filter:
        """As the house takes it."""
        return Filter(self.types, self.devices, self.since_ms)


class Ack(Question):
    """Which alarm, who has seen it, and what it was (contract, section 10)."""

    alarm: str
    who: str
    outcome: Outcome | None = None
    note: str | None = None


class Resend(Question):
    """Which stream, from which number, to which; without `to` to its newest."""

    stream: str
    first: Annotated[int, Field(ge=1, le=MOST_NUMBER, alias="from")]
    last: Annotated[int | None, Field(ge=1, le=MOST_NUMBER, alias="to")] = None


class Send(Question):
    """A command: to which device (or `gateway`), what, and who asks (contract, section 4)."""

    device: str
    action: str
    args: dict[str, Any] = Field(default={})
    who: str


class Reload(Question):
    """Who wants it to start anew by gateway.yaml."""

    who: str


class Rollback(Reload):
    """Who wants which revision of the configuration to run again."""

    number: Annotated[int, Field(ge=1)]


class Inquiry:
    """Answers about one house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.answers: Answers = {
            "status": (Question, self._status),
            "devices": (Question, self._devices),
            "alarms": (Question, self._alarms),
            "outbox": (Question, self._outbox),
            "resend": (Resend, self._resend),
            "events": (Search, self._events),
            "ack": (Ack, self._ack),
            "send": (Send, self._send),
            "reload": (Reload, self._reload),
            "rollback": (Rollback, self._rollback),
        }

    async def _status(self, _: Question) -> Any:
        return {"version": __version__, **self._house.verdict(), "health": self._house.health()}

    async def _devices(self, _: Question) -> Any:
        return self._house.devices()

    async def _alarms(self, _: Question) -> Any:
        return self._house.alarms()

    async def _outbox(self, _: Question) -> Any:
        return await self._house.outbox()

    async def _resend(self, resend: Resend) -> Any:
        return await self._house.resend(resend.stream, resend.first, resend.last)

    async def _events(self, search: Search) -> Any:
        return await self._house.events(search.filter, search.limit)

    async def _ack(self, ack: Ack) -> Any:
        return await self._house.acknowledge(ack.alarm, By(ack.who, "installer", "cli"), ack.outcome, ack.note)

    async def _send(self, asked: Send) -> Any:
        by = By(asked.who, "installer", "cli")
        return await send(self._house, asked.device, asked.action, asked.args, by)

    async def _reload(self, reload: Reload) -> Any:
        await _renewal(self._house).reload(By(reload.who, "installer", "cli"))
        return {}

    async def _rollback(self, back: Rollback) -> Any:
        made = await _renewal(self._house).roll_back(back.number, By(back.who, "installer", "cli"))
        return made.model_dump()


def _renewal(house: House) -> Renewal:
    if house.renewal is None:
        what = Text("this gateway's configuration stands in no file", "此网关的配置不来自文件")
        raise StateError(house.config.gateway.id, what)
    return house.renewal
