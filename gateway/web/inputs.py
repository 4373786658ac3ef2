"""What comes in through the HTTP interface: refused with where, what and what to do, never half understood.

Every mistake is 400 with the same body as all refusals (`guard.error`): a value of the wrong kind, a name that nobody
knows, a date that is none; a body that is no JSON is 415.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, WithJsonSchema
from starlette.responses import Response

from gateway.browse import Wanted
from gateway.errors import GatewayError, Text
from gateway.event import Severity
from gateway.explain import SENTENCES, choices
from gateway.fields import Wrong
from gateway.problems import allowed, joined
from gateway.taxonomy import CATEGORIES, TYPES
from gateway.web.guard import error

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LOST_PLUS = re.compile(r"(T[0-9:.]+) (?=[0-9]{2}:[0-9]{2}$)")  # an unescaped + of a zone arrives as a space
_OTHER = Text("this does not fit: {msg}", "此值不合适:{msg}")
_NO_JSON = Text("this is no JSON", "不是有效的 JSON")
_SEE_DOCS = Text("/openapi.json says what is taken here", "可用的参数见 /openapi.json")
PATTERNS = (*(f"{category}.*" for category in CATEGORIES), *TYPES)


class BadRequest(GatewayError):
    """What was asked cannot be understood; nothing was done."""


class NotJson(GatewayError):
    """A body of another kind."""


def moment_ms(text: str, zone: tzinfo, *, end: bool = False) -> int:
    """RFC 3339, or a day or time by the site's clocks; `end`: of a day its last moment. ValueError."""
    text = _LOST_PLUS.sub(r"\1+", text)
    if not _DAY.match(text):
        raise ValueError(text)
    when, whole = datetime.fromisoformat(text), bool(_DAY.fullmatch(text))
    when = when.replace(tzinfo=zone) if when.tzinfo is None else when
    if whole and end and when.date() < date.max:
        when += timedelta(days=1, milliseconds=-1)  # by the clocks on the wall: a day has 23 to 25 hours
    return (when - _EPOCH) // timedelta(milliseconds=1)


def _a_moment(text: str) -> str:
    try:
        moment_ms(text, UTC)
    except (ValueError, OverflowError) as exc:
        raise Wrong("a time is needed, e.g. 2026-05-01T08:00:00Z or 2026-05-01",
                    "需要时间,例如 2026-05-01T08:00:00Z 或 2026-05-01") from exc  # fmt: skip
    return text


def _a_pattern(text: str) -> str:
    if text != "*" and text not in PATTERNS:
        what = joined(Text("no such type of event", "没有此事件类型"), allowed(text, PATTERNS))
        raise Wrong(what.en, what.zh)
    return text


Moment = Annotated[str, AfterValidator(_a_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Pattern = Annotated[str, AfterValidator(_a_pattern), WithJsonSchema({"type": "string", "enum": ["*", *PATTERNS]})]
Name = Annotated[str, Path(min_length=1, max_length=64, examples=["smoke-b3-u2-f5"])]
Number = Annotated[str, Path(min_length=6, max_length=64, examples=["01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f"])]
Names = Annotated[list[Annotated[str, Query(max_length=64)]], Query(max_length=50)]
Limit = Annotated[int, Query(ge=1, le=500, description="so many at once")]
Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="`next` of the page before: goes on exactly below it, whatever came meanwhile",
    ),
]


class Filters:
    """The filters of events, the same wherever events are asked for; `wanted(zone)` as `Browse` takes them."""

    def __init__(
        self,
        type: Annotated[
            list[Pattern], Query(max_length=50, description="`fire.smoke`, or `fire.*`; several: any of them")
        ] = [],  # noqa: B006  # FastAPI copies it
        device: Names = [],  # noqa: B006
        place: Annotated[Names, Query(description="a place's path, with all that is in it")] = [],  # noqa: B006
        severity: Annotated[list[Severity], Query(max_length=5)] = [],  # noqa: B006
        since: Annotated[Moment | None, Query(description="not before; a day alone begins at midnight there")] = None,
        until: Annotated[Moment | None, Query(description="not after; a day alone is meant with its end")] = None,
        text: Annotated[
            str, Query(max_length=100, description="in names of devices, places and types, notes, and who acted")
        ] = "",
        alarm: Annotated[str, Query(max_length=36, description="all that belongs to the alarm of this id")] = "",
    ) -> None:
        self.given = {"types": tuple(type), "devices": tuple(device), "places": tuple(place), "text": text.strip(),
                      "severities": tuple(severity), "alarm": alarm}  # fmt: skip
        self.since, self.until = since, until

    def wanted(self, zone: tzinfo, types: tuple[str, ...] = ()) -> Wanted:
        """With times by the site's zone; `types` where none are asked for."""
        given: dict[str, Any] = self.given | {"types": self.given["types"] or types}
        since_ms = None if self.since is None else moment_ms(self.since, zone)
        until_ms = None if self.until is None else moment_ms(self.until, zone, end=True)
        return Wanted(**given, since_ms=since_ms, until_ms=until_ms)


def known_names(request: Request) -> None:
    """A dependency: query names that the operation does not have are refused. BadRequest."""
    names = _names(request.scope["route"].dependant)
    for name in request.query_params:
        if name not in names:
            what = joined(Text("no such parameter here", "此处没有这个参数"), allowed(name, names))
            raise BadRequest(name[:64], what, _SEE_DOCS)


def _names(dependant: Dependant) -> list[str]:
    own = [field.alias for field in dependant.query_params]
    return own + [name for further in dependant.dependencies for name in _names(further)]


def json_only(request: Request) -> None:
    """A dependency: a body is JSON, or there is none. NotJson."""
    kind, size = request.headers.get("content-type", ""), request.headers.get("content-length", "0")
    sent = size != "0" or "transfer-encoding" in request.headers
    if sent and kind.partition(";")[0].strip().lower() != "application/json":
        do = Text("send JSON with Content-Type: application/json", "请以 Content-Type: application/json 发送 JSON")
        raise NotJson(request.url.path, Text("the body is not said to be JSON", "请求内容未标明为 JSON"), do)


CAREFUL = [Depends(known_names), Depends(json_only)]


def add(app: FastAPI) -> None:
    """The answers to all of it."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, exc: RequestValidationError) -> Response:
        where, what = _told(exc.errors())
        return error(400, where, what, _SEE_DOCS)

    @app.exception_handler(BadRequest)
    async def bad(_: Request, exc: BadRequest) -> Response:
        return error(400, exc.where, exc.what, exc.do)

    @app.exception_handler(NotJson)
    async def other(_: Request, exc: NotJson) -> Response:
        return error(415, exc.where, exc.what, exc.do)


def _told(details: Sequence[Mapping[str, Any]]) -> tuple[str, Text]:
    """Where the first of them is, and all that is wrong."""
    told = [(_where(detail), _what(detail)) for detail in details[:5]]
    if len(told) == 1:
        return told[0]
    return told[0][0], Text(
        "; ".join(f"{where}: {what.en}" for where, what in told),
        ";".join(f"{where}:{what.zh}" for where, what in told),
    )


def _where(detail: Mapping[str, Any]) -> str:
    steps = [str(step) for step in detail["loc"]]
    named = steps[1:] if len(steps) > 1 and detail["type"] != "json_invalid" else steps[:1]
    return ".".join(named)[:200]


def _what(detail: Mapping[str, Any]) -> Text:
    context = detail.get("ctx", {})
    own = getattr(context.get("error"), "text", None)
    if isinstance(own, Text):
        return own
    if detail["type"] == "json_invalid":
        return _NO_JSON
    sentence = SENTENCES.get(detail["type"], _OTHER)
    words = {**context, "msg": detail["msg"]}
    said = Text(sentence.en.format_map(words), sentence.zh.format_map(words))
    if detail["type"] in ("literal_error", "enum"):
        return joined(said, allowed(detail["input"], choices(context["expected"])))
    if detail["type"] == "union_tag_invalid":
        return joined(said, allowed(context["tag"], choices(context["expected_tags"])))
    return said
