"""What the platform sends back, retained: incidents (案卷) and notices (数据反哺), as documents with examples.

It is foreign text: read with bounds, shown as plain text only. What is unknown is let through, a null is as absent.
"""

import json
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from gateway.documents import Document, Uuid
from gateway.errors import BadInput, Text

INCIDENT_BYTES = 16384  # of one message
NOTICE_BYTES = 65536
ALARMS_MOST = 64  # of one incident
_CONTROLS = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # Unicode, table 12: no letter to be read
_ID = r"^[A-Za-z0-9_-]{1,64}$"

Step = Literal[
    "reported", "accepted", "rejected", "dispatched", "returned", "handling", "handled", "verified", "not-passed",
    "closed", "void",
]  # fmt: skip
STEPS: dict[Step, Text] = {
    "reported": Text("reported", "上报"),
    "accepted": Text("accepted", "立案"),
    "rejected": Text("rejected", "不予立案"),
    "dispatched": Text("dispatched", "派遣"),
    "returned": Text("returned", "退回"),
    "handling": Text("being handled", "处置中"),
    "handled": Text("handled", "已处置"),
    "verified": Text("verified", "核查通过"),
    "not-passed": Text("verification not passed", "核查不通过"),
    "closed": Text("closed", "结案"),
    "void": Text("void", "作废"),
}
KINDS: dict[str, Text] = {
    "notice": Text("notice", "通知"),
    "figures": Text("figures", "月度数据"),
    "result": Text("case result", "办理结果"),
}


def moment_of(text: str) -> datetime:
    """RFC 3339 with its zone → UTC. ValueError."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("without a zone")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("an RFC 3339 time with its zone is needed") from error


def plain(text: str) -> str:
    """Without control characters, directions and the like; line ends stay."""
    kept = text.replace("\r\n", "\n").replace("\t", " ")
    return "".join(letter for letter in kept if letter == "\n" or unicodedata.category(letter) not in _CONTROLS)


def one_line(text: str) -> str:
    """Plain, and on one line."""
    return " ".join(plain(text).split())


def _dated(text: str) -> str:
    moment_of(text)
    return text


Identity = Annotated[str, Field(pattern=_ID)]
Moment = Annotated[str, AfterValidator(_dated), Field(json_schema_extra={"format": "date-time"})]
Line = Annotated[str, Field(max_length=1000), AfterValidator(one_line)]


class Incident(Document):
    """The platform's case on one or more alarms; an empty retained message takes it back."""

    incident: Annotated[Identity, Field(description="its id, as the last level of the topic", examples=["case-0815"])]
    alarms: list[Uuid] = Field(default=[], max_length=ALARMS_MOST, description="of this gateway; the first leads")
    step: Annotated[Step, Field(description="上报 立案 不予立案 派遣 退回 处置中 已处置 核查通过 核查不通过 结案 作废")]
    owner: Annotated[Line | None, Field(description="who is to handle it")] = None
    due: Annotated[Moment | None, Field(description="until when; afterwards it is overdue, here too")] = None
    reason: Annotated[Line | None, Field(description="why it stands there, e.g. why it was returned")] = None
    time: Annotated[Moment, Field(description="of this step")]


class Notice(Document):
    """Told to the community, and shown on the local page as plain text; an empty retained message takes it back."""

    id: Annotated[Identity, Field(description="as the last level of the topic", examples=["n-2026-11"])]
    kind: Annotated[Literal["notice", "figures", "result"], Field(description="通知、月度数据、办理结果")]
    title: Line
    text: Annotated[str, Field(description="plain text"), AfterValidator(plain)] = ""
    time: Moment
    expires: Annotated[Moment | None, Field(description="afterwards it is shown and kept no more")] = None


D = TypeVar("D", Incident, Notice)


def read(model: type[D], topic: str, payload: bytes, most_bytes: int) -> tuple[str, D | None]:
    """The id, which is the last level of the topic, and the document, or None: it is taken back. BadInput."""
    name = topic.rpartition("/")[2]
    what, told = "incident" if model is Incident else "id", None
    if len(payload) > most_bytes:
        raise _bad(topic, Text(f"at most {most_bytes} bytes are taken", f"最多接收 {most_bytes} 字节"))
    if not payload:
        return name, None
    try:
        given = json.loads(payload)
        if isinstance(given, dict):
            told = model.model_validate({key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _bad(topic, Text(f"{where}: {first['msg']}", f"{where}:不正确({first['msg']})")) from error
    except (ValueError, RecursionError):
        told = None
    if told is None:
        raise _bad(topic, Text("this is no JSON object", "不是 JSON 对象"))
    if getattr(told, what) != name:
        raise _bad(topic, Text(f"{what} is not the last level of the topic", f"{what} 与主题最后一级不一致"))
    return name, told


def _bad(topic: str, what: Text) -> BadInput:
    do = Text("it is left out; the platform is to send it right", "已忽略,请平台更正后重新下发")
    return BadInput(one_line(topic)[:200], what, do)


def incident() -> dict[str, Any]:
    """One that is due."""
    return {
        "incident": "case-0815",
        "alarms": ["01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f"],
        "step": "dispatched",
        "owner": "阳光物业",
        "due": "2026-11-23T12:06:19.123Z",
        "time": "2026-11-23T10:08:02.000Z",
    }


def notice() -> dict[str, Any]:
    """Monthly figures."""
    return {
        "id": "n-2026-11",
        "kind": "figures",
        "title": "11月本小区与街道平均",
        "text": "火警误报 2 次(街道平均 5 次)",
        "time": "2026-12-01T01:00:00.000Z",
        "expires": "2027-01-01T01:00:00.000Z",
    }
