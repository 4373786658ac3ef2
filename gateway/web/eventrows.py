"""Events as people read them, in one language: what a row of the page and of a table says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from gateway.errors import Text
from gateway.event import NOTHING, Phase, Severity
from gateway.house import House
from gateway.taxonomy import DENIALS, PHASES, SEVERITIES
from gateway.web import show
from gateway.web.catalogue import Speaker
from gateway.web.devices import word

_ROLES = ("duty", "manager", "installer", "auditor", "platform", "rule", "gateway")
_NOT_SURE = ("holdover", "unsynced", "corrected")  # the clock, when the event was taken in


@dataclass(frozen=True)
class Row:
    """One event. Empty: there is nothing to say."""

    id: str
    time: str
    quality: str  # how the clock was, where it was not set; in words
    place: str
    subject: str
    device: str  # the same where it is one of ours: it has a page
    name: str
    type: str
    label: str
    phase: str  # of what lasts
    severity: str
    who: str
    outcome: str
    values: str
    test: bool
    alarm: str
    delivery: tuple[tuple[str, Mapping[str, Any]], ...] = ()  # by uplink, where an alarm's has one


class Rows:
    """Of one house, in one language."""

    def __init__(self, house: House, language: str) -> None:
        self._house = house
        self._language = language
        self._say = Speaker("events", language)
        self._measured = Speaker("devices", language)
        self._names = {device.id: device.name or device.id for device in house.site.devices}
        self._places = {place.path: place.label for place in house.site.places}
        self._delivery = {alarm["alarm"]: alarm.get("delivery", NOTHING) for alarm in house.alarms()}

    def row(self, event: Mapping[str, Any]) -> Row:
        """As it reads."""
        data, subject = event.get("data", NOTHING), str(event["subject"])
        place, alarm = data.get("place", NOTHING), str(data.get("alarm", ""))
        quality, values = str(event.get("timequality", "")), data.get("values", NOTHING)
        return Row(
            id=str(event["id"]),
            time=str(event["time"]),
            quality=self._say(f"clock_{quality}") if quality in _NOT_SURE else "",
            place=str(place.get("label") or self._places.get(place.get("path", ""), "")),
            subject=subject,
            device=subject if subject in self._names else "",
            name=self._name(subject, data),
            type=str(event["type"]),
            label=show.label(str(event["type"]), self._language),
            phase="" if event["phase"] == "pulse" else self._word(PHASES, event["phase"], Phase),
            severity=self._word(SEVERITIES, event["severity"], Severity),
            who=self._who(data),
            outcome=" · ".join(self._outcome(str(event["type"]), data)),
            values=", ".join(self._value(name, value, alone=len(values) == 1) for name, value in values.items()),
            test=bool(data.get("test")),
            alarm=alarm,
            delivery=tuple(self._delivery.get(alarm, NOTHING).items()) if alarm == event["id"] else (),
        )

    def _name(self, subject: str, data: Mapping[str, Any]) -> str:
        gateway = subject == self._house.config.gateway.id
        name = self._say("gateway") if gateway else self._names.get(subject, subject)
        part = data.get("part") or NOTHING
        told = part.get("text") or part.get("point") or part.get("address")
        return f"{name} · {told}" if told else name

    def _who(self, data: Mapping[str, Any]) -> str:
        who, role = str(data.get("who", "")), str(data.get("role", ""))
        return f"{who} ({self._say(f'role_{role}')})" if who and role in _ROLES else who

    def _outcome(self, type: str, data: Mapping[str, Any]) -> list[str]:
        """What it was, why, for how long, and what was said to it."""
        told = [self._known(family, data[family]) for family in ("action", "result", "outcome") if family in data]
        reason = str(data.get("reason", ""))
        denied = type.startswith("access.") and reason in DENIALS
        told.append(DENIALS[reason].say(self._language) if denied else self._known("reason", reason))
        if isinstance(data.get("seconds"), int | float):
            told.append(show.Dates(UTC, self._language).duration(data["seconds"]))
        cause = "" if "rule" in data else data.get("cause")  # a rule's is the id of an event
        return [str(word) for word in (*told, cause, data.get("note")) if word]

    def _known(self, family: str, word: Any) -> str:
        try:
            return self._say(f"{family}_{word}")
        except KeyError:
            return str(word)

    def _word(self, table: Mapping[Any, Text], name: str, kind: type[Phase | Severity]) -> str:
        try:
            return table[kind(name)].say(self._language)
        except ValueError:
            return name

    def _value(self, name: str, value: Any, *, alone: bool) -> str:
        """`1.32 dB/m`; with its name where there are several, and where a bare number would say nothing."""
        told = value if isinstance(value, Mapping) else {"value": value}
        number, unit = told.get("value"), str(told.get("unit", ""))
        named = "" if alone and (unit or isinstance(number, str)) else word(self._measured, "value", name)
        return " ".join(filter(None, (named, self._number(number), unit)))

    def _number(self, number: Any) -> str:
        if isinstance(number, bool):
            return self._measured("yes" if number else "no")
        return f"{number:g}" if isinstance(number, float) else str(number)
