"""`/uplink` (上行): what each department's link does, owes and lost, and how it did in the last 24 hours."""

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.config import UplinkConfig
from gateway.dead import NEVER
from gateway.deeds import NotNow
from gateway.errors import Text
from gateway.event import Lane
from gateway.house import House
from gateway.outbox import Queue
from gateway.uplink import Uplink
from gateway.web import posted
from gateway.web.catalogue import Speaker
from gateway.web.daybook import Change, Confirms, Daybook, Link, Record, link_of
from gateway.web.frame import Frame
from gateway.web.public import rules
from gateway.web.validity import Validity, validities
from gateway.web.visitor import Visitor, needs

SHAPES: Mapping[Link, tuple[str, str]] = {  # shape and colour class of a state's sign
    "connected": ("✓", "connected"),
    "deaf": ("!", "fault"),
    "retrying": ("⇅", "disconnected"),
    "refused": ("✕", "fault"),
    "disconnected": ("⇅", "disconnected"),
}
NEVER_TAKEN = frozenset({*NEVER.values(), "connection-closed"})  # why a letter is dead (gateway/dead.py)
COUNTS = ("sent", "confirmed", "again", "refused", "dropped", "dead")
Configures = Annotated[Visitor, Depends(needs("configure"))]
_NUMBER = re.compile(r"[0-9]{1,16}")


@dataclass(frozen=True)
class Lines:
    """What waits in one lane, and what became of the rest."""

    lane: str
    backlog: int
    oldest_s: float
    counts: Mapping[str, int]
    held: bool  # the platform does not take it at present


@dataclass(frozen=True)
class Hour:
    """One hour of the table beside the chart."""

    begins: str
    share: float
    backlog: int
    confirmed: int
    longest_s: float | None


@dataclass(frozen=True)
class Card:
    """All that is shown of one uplink."""

    name: str
    link: Link
    since: str
    why: Text | None
    do: Text | None
    protocol: str
    address: str
    backlog: int
    oldest_s: float
    lanes: Sequence[Lines]
    dead: Sequence[Mapping[str, Any]]
    papers: Sequence[Validity]
    gets: Sequence[tuple[str, str]]
    changes: Sequence[Change]
    share: float | None
    confirms: Confirms | None
    hours: Sequence[Hour]
    late: int  # alarms that are not confirmed though it is time


def add(app: FastAPI, frame: Frame) -> None:
    """The routes; the samples of the last 24 hours are an errand of the page."""
    house, daybook = frame.house, Daybook(frame.house)
    app.state.errands.append(daybook.run)

    @app.get("/uplink", include_in_schema=False, dependencies=[needs("see").depends])
    async def page(request: Request) -> Response:
        language = frame.language(request)
        daybook.look()
        shown: dict[str, Any] = {
            "shapes": SHAPES,
            "reasons": NEVER_TAKEN,
            "streams": list(_streams(house)),
            "zone": frame.zone.key,
        }
        shown |= {"counts": COUNTS, "poster": bool(house.config.gateway.web and house.config.gateway.web.names)}
        found = await cards(house, daybook, language)
        return frame.page(request, "uplink", "uplink.html", cards=found, since=daybook.since, **shown)

    @app.get("/uplink/{name}/day", include_in_schema=False, dependencies=[needs("see").depends])
    async def day(request: Request, name: str) -> Response:
        if name not in daybook.records:
            raise HTTPException(404)
        plain = json.dumps(series(daybook.records[name]), separators=(",", ":")).encode()
        packs = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if packs else {})
        return Response(gzip.compress(plain, 6) if packs else plain, media_type="application/json", headers=headers)

    @app.post("/uplink/resend", include_in_schema=False)
    async def resend(request: Request, visitor: Configures) -> Response:
        stream, first, last = _range(await posted.fields(request))
        await house.audit.put(visitor.by, "command.resend", stream, first=first, last=last)
        found = await house.resend(stream, first, last)
        said = "resent_some" if found["gone"] else "resent"
        return posted.done(Speaker("uplink", frame.language(request))(said, **_told(found)))


def _told(found: Mapping[str, Any]) -> dict[str, int]:
    gone = sum(int(one["last"]) - int(one["first"]) + 1 for one in found["gone"])
    return {"count": found["count"], "gone": gone}


def _range(fields: Mapping[str, str]) -> tuple[str, int, int | None]:
    """Which numbers of which stream. NotNow: they are none."""
    first, last = fields.get("first", "").strip(), fields.get("last", "").strip()
    if not _NUMBER.fullmatch(first) or (last and not _NUMBER.fullmatch(last)):
        what = Text("the first and last number are digits, at most 16", "起止序号必须是数字,最多 16 位")
        raise NotNow(fields.get("stream", "stream"), what, Text("correct them and try again", "请改正后重试"))
    if last and int(last) < int(first):
        what = Text("the last number lies before the first", "终止序号小于起始序号")
        raise NotNow(fields.get("stream", "stream"), what, Text("exchange the two", "请调换起止序号"))
    return fields.get("stream", ""), int(first), int(last) if last else None


def _streams(house: House) -> Iterator[tuple[str, str, str]]:
    """For the choice: stream, uplink, lane."""
    for uplink in house.uplinks:
        yield from ((f"{uplink.name}.{lane}", uplink.name, lane.value) for lane in Lane)


async def cards(house: House, daybook: Daybook, language: str) -> list[Card]:
    """One of each uplink. StorageError."""
    owed, shared = await house.outbox(), (await house.public.document())["shared"]
    documents = {document["uplink"]: document for document in shared}
    now, configs = house.vitals.clock.utc(), house.config.uplinks
    return [
        _card(
            uplink,
            owed[uplink.name],
            daybook.records[uplink.name],
            configs[uplink.name],
            rules(documents[uplink.name], language),
            now,
        )
        for uplink in house.uplinks
    ]


def _card(
    uplink: Uplink,
    owed: Mapping[str, Any],
    record: Record,
    config: UplinkConfig,
    gets: Sequence[tuple[str, str]],
    now: datetime,
) -> Card:
    error = uplink.deaf if uplink.connected else uplink.why
    lanes = [_lines(lane, owed["lanes"][lane.value], uplink.parts.outbox.queues[lane]) for lane in Lane]
    end = config.endpoint
    return Card(
        name=uplink.name,
        link=link_of(uplink),
        since=owed["since"],
        why=error.what if error else None,
        do=error.do if error else None,
        protocol=uplink.protocol,
        address=f"{end.scheme}://{end.host}:{end.port}{end.path if end.scheme in ('ws', 'wss') else ''}",
        backlog=sum(lane.backlog for lane in lanes),
        oldest_s=max(lane.oldest_s for lane in lanes),
        lanes=lanes,
        dead=owed["dead"],
        papers=list(validities(config, now)),
        gets=gets,
        changes=list(reversed(record.changes)),
        share=record.online_share(),
        confirms=record.confirms(),
        hours=list(hours(record)),
        late=owed["unconfirmed_alarms"],
    )


def _lines(lane: Lane, row: Mapping[str, Any], queue: Queue) -> Lines:
    flying = sum(entry.state != "confirmed" for entry in queue.flying)
    counts = {**row, "again": max(0, row["sent"] - row["confirmed"] - flying)}
    return Lines(lane.value, row["backlog"], row["oldest_s"], counts, queue.refused_s > 0 or queue.shut_s > 0)


def series(record: Record) -> dict[str, Any]:
    """For the chart: one value a minute in each list; times in s since 1970."""
    rows = list(record.series())
    return {
        "time": [at for at, _, _ in rows],
        "connected": [round(100 * one.up / max(1, one.ticks)) for _, one, _ in rows],
        "backlog": [one.backlog for _, one, _ in rows],
        "confirmed": [one.confirmed for _, one, _ in rows],
        "longest_s": [length_s for _, _, length_s in rows],
    }


def hours(record: Record) -> Iterator[Hour]:
    """The same by the hour, for who does not see the chart; the newest first."""
    found: dict[int, list[tuple[int, Any, float | None]]] = {}
    for row in record.series():
        found.setdefault(row[0] // 3600, []).append(row)
    for hour, rows in sorted(found.items(), reverse=True):
        minutes = [one for _, one, _ in rows]
        yield Hour(
            datetime.fromtimestamp(hour * 3600, UTC).isoformat(),
            sum(one.up for one in minutes) / max(1, sum(one.ticks for one in minutes)),
            max(one.backlog for one in minutes),
            sum(one.confirmed for one in minutes),
            max((length_s for _, _, length_s in rows if length_s is not None), default=None),
        )
