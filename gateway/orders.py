"""A command and its answer as documents, for the AsyncAPI document (contract, section 4), with an example of each.

The daemon reads commands more leniently and step by step, so that each refusal has its code: `gateway/commands.py`.
What each action takes: `gateway/arguments.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.documents import Document, Time
from gateway.sections import Action

Code = Literal[
    "ok", "expired", "no-expiry", "not-allowed", "unknown-device", "unknown-action", "bad-arguments", "bad-json",
    "too-large", "retained", "duplicate", "clock-unsure", "bad-signature", "device-offline", "device-refused",
    "timeout", "busy",
]  # fmt: skip
Identity = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["c-20261123-0007"])]
_ALARM = "01a207de-e9f3-7c3e-9d1f-3a5b6c7d8e9f"
_TIME = "2026-11-23T10:06:19.123Z"


class Command(Document):
    """What the platform asks for: at most 16 KiB, QoS 1, never retained. Carried out at most once per `id`."""

    id: Annotated[Identity, Field(description="unique for this gateway; the same again is answered `duplicate`")]
    action: Annotated[Action, Field(description="what is to be done; an uplink may ask for what its `commands` allow")]
    args: Annotated[
        dict[str, Any] | None,
        Field(description="what the action takes, and nothing else; a device may take less than its action could"),
    ] = None
    expires: Annotated[str, Field(description="RFC 3339 with its zone; afterwards it is not carried out")]
    issuer: Annotated[str, Field(description="who asks, for the audit log and the events")]
    signature: Annotated[
        str | None,
        Field(
            description="where the uplink has a `command_key`: base64 of the Ed25519 signature (RFC 8032) over the RFC "
            '8785 form of `{"request": …, "topic": …}`, the command without this field and the topic it is sent to'
        ),
    ] = None


class Answer(Document):
    """What became of it; each command gets one."""

    id: Annotated[Identity | None, Field(description="the command's, where it could be read")] = None
    status: Literal["done", "refused", "failed", "expired", "duplicate"]
    code: Code
    message: Annotated[str, Field(description="for people, in the gateway's language")]
    result: Annotated[
        dict[str, Any] | None,
        Field(
            description="`ping`: status; `resend`: how many, and `gone`, ranges not kept; `unlock`: `relay`, `contact` "
            "(opened, not-opened, unknown); `snapshot`: content type, bytes, sha256; `acknowledge`, `dispose`, "
            "`reset`: the alarm as it is then; `bundle`: path, bytes, sha256; duplicate: the first answer"
        ),
    ] = None
    time: Time


def commands() -> list[dict[str, Any]]:
    """One for each action that every uplink may ask for, and some that it may be allowed."""
    told = {"expires": "2026-11-23T10:07:19Z", "issuer": "duty officer 7"}
    return [
        {"id": "c-1", "action": "resend", "args": {"stream": "district.alarm", "from": "0000000000000040"}} | told,
        {"id": "c-2", "action": "sync", "args": {"replay_rate": 200}} | told,
        {"id": "c-3", "action": "ping"} | told,
        {"id": "c-4", "action": "unlock", "args": {"seconds": 5}} | told,
        {"id": "c-5", "action": "output", "args": {"number": 3, "state": True, "seconds": 2}} | told,
        {"id": "c-6", "action": "shelve", "args": {"seconds": 3600, "reason": "dust of building works"}} | told,
        {"id": "c-7", "action": "dispose", "args": {"alarm": _ALARM, "outcome": "false", "cause": "steam"}} | told,
        {"id": "c-8", "action": "drill", "args": {"place": "b3", "seconds": 1800}} | told,
    ]


def answers() -> list[dict[str, Any]]:
    """Done, and refused."""
    found = {
        "stream": "district.alarm",
        "first": "0000000000000040",
        "last": "0000000000000042",
        "count": 3,
        "gone": [],
    }
    refused = {"id": "c-9", "status": "refused", "code": "not-allowed"}
    return [
        {"id": "c-1", "status": "done", "code": "ok", "message": "已完成", "result": found, "time": _TIME},
        {"id": "c-4", "status": "done", "code": "ok", "message": "已完成", "time": _TIME}
        | {"result": {"relay": "confirmed", "contact": "opened"}},
        refused | {"message": "上行链路 district 无权执行 unlock", "time": _TIME},
    ]
