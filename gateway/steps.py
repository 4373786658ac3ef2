"""What the command line may do to alarms, and what it reads of them: questions of the control socket."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from gateway import audit
from gateway.alarms import Alarm
from gateway.alarmview import moment
from gateway.audit import By
from gateway.deeds import found
from gateway.duty import Outcome
from gateway.house import House
from gateway.questions import Question

AUDIT_LINES = 10_000  # looked at for one answer, from the newest on


class One(Question):
    """Which alarm: its id, or a unique beginning or end."""

    alarm: str


class Act(Question):
    """Who acts."""

    who: str

    @property
    def by(self) -> By:
        """As the log of audits writes it."""
        return By(self.who, "installer", "cli")


class Reset(Act):
    """Of one alarm."""

    alarm: str


class Dispose(Reset):
    """What one alarm was."""

    outcome: Outcome
    cause: str | None = None
    note: str | None = None


class Lay(Act):
    """For how long a shelf, a shield or a drill; `target` is an alarm, a device, a place, or "" for the whole site."""

    target: str
    seconds: float
    reason: str = ""
    part: str = ""


class Lift(Act):
    """Which shield ends."""

    device: str
    reason: str
    part: str = ""


class Lines(Question):
    """The newest lines of the audit log, not before `since_ms`."""

    since_ms: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=AUDIT_LINES)] = 50


class Steps:
    """Of one house."""

    def __init__(self, house: House) -> None:
        self._house = house

    @property
    def answers(self) -> Mapping[str, tuple[type[Question], Callable[[Any], Awaitable[Any]]]]:
        """By question."""
        return {
            "alarm": (One, self._alarm),
            "silence": (Act, self._silence),
            "reset": (Reset, self._reset),
            "dispose": (Dispose, self._dispose),
            "shelve": (Lay, self._shelve),
            "shield": (Lay, self._shield),
            "unshield": (Lift, self._unshield),
            "drill": (Lay, self._drill),
            "audit": (Lines, self._audit),
        }

    async def _alarm(self, one: One) -> Any:
        return self._house.alarm(found(await self._house.pipeline.load(), one.alarm))

    async def _silence(self, act: Act) -> Any:
        return [self._house.alarm(alarm) for alarm in await self._house.duty.silence(act.by)]

    async def _reset(self, reset: Reset) -> Any:
        return self._house.alarm(await self._house.duty.reset(reset.alarm, reset.by))

    async def _dispose(self, said: Dispose) -> Any:
        duty = self._house.duty
        return self._house.alarm(await duty.dispose(said.alarm, said.by, said.outcome, said.cause, said.note))

    async def _shelve(self, lay: Lay) -> Any:
        await self._house.covers.shelve(lay.target, lay.seconds, lay.reason, lay.by)
        return self._until(lay)

    async def _shield(self, lay: Lay) -> Any:
        await self._house.covers.shield(lay.target, lay.seconds, lay.reason, lay.by, lay.part)
        return self._until(lay)

    async def _unshield(self, lift: Lift) -> Any:
        await self._house.covers.unshield(lift.device, lift.reason, lift.by, lift.part)
        return {"device": lift.device}

    async def _drill(self, lay: Lay) -> Any:
        await self._house.covers.drill(lay.target, lay.seconds, lay.by)
        return self._until(lay) | {
            "drills": [self._scope(drill) for drill in self._house.pipeline.shown.drills.values()]
        }

    def _until(self, lay: Lay) -> dict[str, Any]:
        until_ms = int((self._house.vitals.clock.utc().timestamp() + lay.seconds) * 1000)
        return {"target": lay.target} | ({"until": moment(until_ms)} if lay.seconds else {})

    def _scope(self, drill: Alarm) -> dict[str, Any]:
        whole = drill.device == self._house.config.gateway.id
        return {"target": drill.part if whole else drill.device, "until": moment(drill.until_ms), "who": drill.cause}

    async def _audit(self, wanted: Lines) -> Any:
        count = (await self._house.store.read(audit.newest)).count
        read = partial(audit.lines, after=max(0, count - AUDIT_LINES), limit=AUDIT_LINES)
        since = moment(wanted.since_ms)
        lines = [{"n": n, **entry} for n, entry in await self._house.store.read(read)]
        return [line for line in lines if line.get("time", since) >= since][-wanted.limit :]
