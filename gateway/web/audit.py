"""`/settings/audit`: who did what, in words, the newest first; and whether the chain of its lines is whole."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from gateway.audit import Broken, Seal, newest_lines, verified
from gateway.house import House
from gateway.reportview import BOM, harmless, shift_name
from gateway.rulewords import ACTIONS
from gateway.store import Store
from gateway.taxonomy import TYPES
from gateway.web import posted
from gateway.web.catalogue import Speaker, sayings
from gateway.web.frame import Frame
from gateway.web.public import listed
from gateway.web.visitor import needs

PAGE_LINES = 50
CSV_LINES = 10_000
PIECE_LINES = 500  # checked in one go: others read in between
LATEST_LINES = 1000  # looked at for who there is
NEWEST = 2**62
Before = Annotated[int, Query(ge=0, le=NEWEST)]


@dataclass(frozen=True)
class Line:
    """One line in words."""

    number: int
    time: str
    who: str
    role: str
    origin: str
    what: str
    subject: str
    outcome: str
    more: str


def add(app: FastAPI, frame: Frame) -> None:
    """The routes."""
    house, audits = frame.house, [needs("audit").depends]

    @app.get("/settings/audit", include_in_schema=False, dependencies=audits)
    async def page(request: Request, before: Before = NEWEST, who: str = "") -> Response:
        reader = Reader(house, frame.language(request))
        lines = await reader.lines(before, PAGE_LINES + 1, who)
        older = lines[PAGE_LINES - 1].number if len(lines) > PAGE_LINES else None
        values: dict[str, Any] = {"lines": lines[:PAGE_LINES], "older": older, "who": who, "first": before >= NEWEST}
        return frame.page(
            request, "settings", "audit.html", speaks="audit", people=await _people(house.store), **values
        )

    @app.get("/settings/audit.csv", include_in_schema=False, dependencies=audits)
    async def sheet(request: Request, who: str = "") -> Response:
        reader = Reader(house, frame.language(request))
        headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
        text = to_csv(await reader.lines(NEWEST, CSV_LINES, who), reader.say)
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    @app.post("/settings/audit/verify", include_in_schema=False, dependencies=audits)
    async def verify(request: Request) -> Response:
        say = Speaker("audit", frame.language(request))
        seal, broken = await _checked(house.store)
        if not broken:
            return posted.done(say("whole", count=seal.count, seal=seal.sha256[:16]))
        first = broken[0]
        return posted.done(say(f"broken_{first.what}", line=first.line, count=len(broken)))


async def _people(store: Store) -> list[str]:
    """Who did something lately."""
    found = await store.read(partial(newest_lines, before=NEWEST, limit=LATEST_LINES))
    return sorted({str(entry["who"]) for _, entry in found if entry.get("who")})


async def _checked(store: Store) -> tuple[Seal, list[Broken]]:
    """The whole chain, piece by piece. StorageError."""
    seal, broken = Seal(), list[Broken]()
    while True:
        upto, found = await store.read(partial(verified, after=seal, limit=PIECE_LINES))
        broken += found
        if upto == seal:
            return seal, broken
        seal = upto


class Reader:
    """Puts lines into words of one language."""

    def __init__(self, house: House, language: str) -> None:
        self.say = Speaker("audit", language)
        self._language = language
        self._known = sayings("audit") | sayings("frame")
        self._store = house.store
        self._devices = house.reporting.names.devices
        self._gateway = house.config.gateway.id

    async def lines(self, before: int, limit: int, who: str) -> list[Line]:
        """The newest first. StorageError."""
        found = await self._store.read(partial(newest_lines, before=before, limit=limit, who=who))
        return [self._line(number, entry) for number, entry in found]

    def _line(self, number: int, entry: Mapping[str, Any]) -> Line:
        said = {
            name: str(entry.get(name, "")) for name in ("time", "who", "role", "from", "what", "subject", "outcome")
        }
        return Line(
            number,
            said["time"],
            said["who"],
            self._word("role", said["role"]),
            self._origin(said),
            self._what(said["what"], entry),
            self._subject(said["what"], said["subject"]),
            self._word("outcome", said["outcome"]),
            self._more(entry),
        )

    def _word(self, prefix: str, name: str) -> str:
        key = f"{prefix}_{name}"
        return self.say(key) if key in self._known else name

    def _origin(self, said: Mapping[str, str]) -> str:
        """`page`, `uplink:district`, `rule:NAME`; a rule's own name is not told twice."""
        kind, _, name = said["from"].partition(":")
        return f"{self._word('from', kind)} {'' if name == said['who'] else name}".rstrip()

    def _what(self, what: str, entry: Mapping[str, Any]) -> str:
        """`operator.ack`, `command.lock`, `login`, or what a rule did: `release, snapshot`."""
        if entry.get("seconds") == 0 and f"ended_{what}" in self._known:
            return self.say(f"ended_{what}")
        if f"what_{what}" in self._known:
            return self.say(f"what_{what}")
        if what in TYPES:
            return TYPES[what].label.say(self._language)
        return listed(map(self._action, what.removeprefix("command.").split(", ")), self._language)

    def _action(self, name: str) -> str:
        if f"do_{name}" in self._known:
            return self.say(f"do_{name}")
        return ACTIONS[name].say(self._language) if name in ACTIONS else name

    def _subject(self, what: str, subject: str) -> str:
        if what == "handover":
            return shift_name(subject, self._language)
        names = [self.say("gateway") if one in ("gateway", self._gateway) else one for one in subject.split(", ")]
        return listed((self._devices.get(name, name) for name in names), self._language)

    def _more(self, entry: Mapping[str, Any]) -> str:
        said = [str(entry[name]) for name in ("note", "reason") if entry.get(name)]
        if entry.get("seconds"):
            said.append(self.say("seconds", count=f"{entry['seconds']:g}"))
        return " · ".join(self._word("reason", one) for one in said)


def to_csv(lines: list[Line], say: Speaker) -> str:
    """As Excel opens it; times in UTC, as they stand in the log."""
    out = io.StringIO()
    out.write(BOM)
    heads = ("number", "time", "who", "role", "origin", "what", "subject", "outcome", "more")
    writer = csv.writer(out)
    writer.writerow([say(f"head_{name}") for name in heads])
    writer.writerows([[harmless(str(getattr(line, name))) for name in heads] for line in lines])
    return out.getvalue()
