"""What a person does to alarms from the page: silence, acknowledge, dispose, reset, shelve, shield; by the house."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response

from gateway.alarms import Alarm
from gateway.deeds import NotFound
from gateway.duty import OUTCOMES
from gateway.errors import Text
from gateway.event import Severity
from gateway.house import House
from gateway.measures import Cover, cover
from gateway.web.catalogue import Speaker, sayings
from gateway.web.frame import Frame
from gateway.web.posted import Form, WrongForm, done, number, text
from gateway.web.visitor import Handles, Visitor, needs

MOST_MINUTES = 480  # a shelf
MOST_HOURS = 366 * 24  # a shield
Lays = Annotated[Visitor, Depends(needs("cover"))]


def add(app: FastAPI, frame: Frame) -> None:
    """The routes; words that are no alarm's id come first."""

    def speaker(request: Request) -> Speaker:
        return Speaker("alarms", frame.language(request))

    _all(app, frame, speaker)
    _one(app, frame, speaker)
    _laid(app, frame, speaker)


def _all(app: FastAPI, frame: Frame, speaker: Callable[[Request], Speaker]) -> None:
    house = frame.house

    @app.post("/alarms/silence", include_in_schema=False)
    async def silence(request: Request, visitor: Handles) -> Response:
        quiet = await house.duty.silence(visitor.by)
        return done(speaker(request)("said_silent" if quiet else "said_was_silent", count=len(quiet)))

    @app.post("/alarms/acknowledge-rest", include_in_schema=False)
    async def acknowledge_rest(request: Request, visitor: Handles) -> Response:
        seen = await house.duty.acknowledge_rest(visitor.by)
        return done(speaker(request)("said_rest", count=len(seen)))


def _one(app: FastAPI, frame: Frame, speaker: Callable[[Request], Speaker]) -> None:
    house = frame.house

    @app.post("/alarms/{alarm}/acknowledge", include_in_schema=False)
    async def acknowledge(request: Request, visitor: Handles, alarm: str) -> Response:
        one, _ = await present(house, alarm)
        now = await house.duty.acknowledge(one.id, visitor.by)
        return done(speaker(request)(_next(now, "said_acknowledged")))

    @app.post("/alarms/{alarm}/dispose", include_in_schema=False)
    async def dispose(request: Request, visitor: Handles, alarm: str, form: Form) -> Response:
        one, _ = await present(house, alarm)
        outcome = form.get("outcome", "")
        if outcome not in OUTCOMES:
            what = Text("it is not chosen what it was", "尚未选择处置结论")
            raise WrongForm(one.device, what, Text("choose one of the five", "请在五项中选择一项"))
        cause = text(form, "cause", _label("cause"), needed=False) or None
        note = text(form, "note", _label("note"), needed=False) or None
        now = await house.duty.dispose(one.id, visitor.by, outcome, cause, note)
        say = speaker(request)
        return done(say(_next(now, "said_disposed"), outcome=say(_outcome(outcome, now.type))), _page(one))

    @app.post("/alarms/{alarm}/reset", include_in_schema=False)
    async def reset(request: Request, visitor: Handles, alarm: str) -> Response:
        one, _ = await present(house, alarm)
        await house.duty.reset(one.id, visitor.by)
        return done(speaker(request)("said_reset"))


def _laid(app: FastAPI, frame: Frame, speaker: Callable[[Request], Speaker]) -> None:
    house = frame.house

    @app.post("/alarms/{alarm}/shelve", include_in_schema=False)
    async def shelve(request: Request, visitor: Lays, alarm: str, form: Form) -> Response:
        minutes, reason = number(form, "minutes", _label("minutes"), 1, MOST_MINUTES), text(form, "reason", _REASON)
        one, _ = await present(house, alarm)
        await house.covers.shelve(one.id, minutes * 60, reason, visitor.by)
        return done(speaker(request)("said_shelved", minutes=minutes), _page(one))

    @app.post("/alarms/{alarm}/unshelve", include_in_schema=False)
    async def unshelve(request: Request, visitor: Lays, alarm: str) -> Response:
        one, laid = await present(house, alarm)
        whole = laid.shelf is not None and not laid.shelf.part  # over all of the device
        await house.covers.shelve(one.device if whole else one.id, 0, "", visitor.by)
        return done(speaker(request)("said_unshelved"), _page(one))

    @app.post("/alarms/{alarm}/shield", include_in_schema=False)
    async def shield(request: Request, visitor: Lays, alarm: str, form: Form) -> Response:
        hours, reason = number(form, "hours", _label("hours"), 1, MOST_HOURS), text(form, "reason", _REASON)
        one, _ = await present(house, alarm)
        await house.covers.shield(one.device, hours * 3600, reason, visitor.by, one.part)
        return done(speaker(request)("said_shielded", hours=hours), _page(one))

    @app.post("/alarms/{alarm}/unshield", include_in_schema=False)
    async def unshield(request: Request, visitor: Lays, alarm: str, form: Form) -> Response:
        reason = text(form, "reason", _REASON)
        one, laid = await present(house, alarm)
        part = one.part if laid.shield is None else laid.shield.part
        await house.covers.unshield(one.device, reason, visitor.by, part)
        return done(speaker(request)("said_unshielded"), _page(one))


async def present(house: House, alarm_id: str) -> tuple[Alarm, Cover]:
    """An alarm that is open, and what lies over it. NotFound: somebody else was quicker, or it never was."""
    book = await house.pipeline.load()
    alarm = book.find(alarm_id)
    if alarm is None or alarm.severity is Severity.INFO:
        what = Text("this alarm is over already, or there is none of this name", "该报警已结束,或没有此编号的报警")
        raise NotFound(alarm_id[:64], what, Text("look at the list of alarms once more", "请查看最新的报警列表"))
    return alarm, cover(book, alarm)


def _page(alarm: Alarm) -> str:
    return f"/alarms/{alarm.id}"


def _next(alarm: Alarm, key: str) -> str:
    """What becomes of it now: over, or it waits for the end of its cause, or (latched) for what it was."""
    if alarm.normal:
        return f"{key}_over"
    return f"{key}_wait" if alarm.active or alarm.confirmed else f"{key}_open"


def _outcome(outcome: str, type: str) -> str:
    return "outcome_fire" if outcome == "real" and type.startswith("fire.") else f"outcome_{outcome}"


def outcomes(doc: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What it may have been, with the key of its word, in the order of the trade."""
    return [(outcome, _outcome(outcome, str(doc["type"]))) for outcome in OUTCOMES]


def _label(name: str) -> Text:
    return sayings("alarms")[name]


_REASON = _label("reason")
