"""The history of one alarm as lines: what happened, who did what, in what role, from where. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gateway.duty import OUTCOMES
from gateway.web.alarmpast import Tale
from gateway.web.catalogue import sayings

KNOWN = frozenset(key.removeprefix("step_") for key in sayings("alarms") if key.startswith("step_"))
_STEPS = {"gateway.escalation": "escalate", "gateway.action": "action"}


class Line(NamedTuple):
    """One line; `step` is a key of the catalogue behind `step_`, or what it is called where there is none."""

    time: str
    step: str
    who: str = ""
    role: str = ""
    place: str = ""
    outcome: str = ""
    cause: str = ""
    note: str = ""


def lines(doc: Mapping[str, Any] | None, tale: Tale | None) -> list[Line]:
    """Of an alarm that is open (`doc`, from `House.alarms`), with what the disk adds to it, or of one that is over."""
    told = [] if tale is None else list(_told(tale))
    if doc is None:
        return told
    known = {(line.step, line.time): line for line in told}
    own = [_with(_own(step), known.get((step["step"], step["time"]))) for step in doc["history"]]
    acts = [line for line in told if line.step == "action"]
    return sorted(own + acts, key=lambda line: line.time)


def _own(step: Mapping[str, str]) -> Line:
    note = step.get("note", "")
    outcome = note if step["step"] == "dispose" and note in OUTCOMES else ""
    return Line(
        step["time"], step["step"], step.get("who", ""), "", step.get("from", ""), outcome, "", "" if outcome else note
    )


def _with(line: Line, told: Line | None) -> Line:
    """With what its event says besides."""
    if told is None:
        return line
    return line._replace(role=told.role, outcome=told.outcome or line.outcome, cause=told.cause)


def _told(tale: Tale) -> Iterator[Line]:
    for event in (tale.opening, *tale.later):
        data, kind = event["data"], event["type"]
        said = {name: str(data.get(name, "")) for name in ("who", "role", "outcome", "note")}
        if kind == tale.opening["type"]:
            yield Line(event["time"], event["phase"])
        elif kind.startswith("operator."):
            cause = str(data.get("cause", ""))
            yield Line(event["time"], kind.partition(".")[2], place=str(data.get("from", "")), cause=cause, **said)
        else:
            yield Line(event["time"], _STEPS.get(kind, kind), place=_by(data), note=_what(event))


def _by(data: Mapping[str, Any]) -> str:
    return f"rule:{data['rule']}" if "rule" in data else str(data.get("from", ""))


def _what(event: Mapping[str, Any]) -> str:
    data = event["data"]
    said = [event["subject"], data.get("action"), data.get("to"), data.get("result")]
    return " ".join(str(word) for word in said if word)
