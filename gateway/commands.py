"""Commands from the platform: what one is, and the checks before anything moves, in the contract's order. Pure.

Sections 4 and 10 of the contract: size, JSON, id, retained, expiry, (duplicate: `desk.py`), device, action,
permission, clock, signature, arguments; the first that fails names the code.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gateway.arguments import ARGUMENTS
from gateway.audit import By
from gateway.clock import rfc3339
from gateway.errors import GatewayError, Text
from gateway.event import NOTHING
from gateway.explain import SENTENCES
from gateway.mqtt import Message
from gateway.replay import Found
from gateway.signing import genuine

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

REQUEST_BYTES = 16 * 1024  # contract, section 10
GATEWAY = "gateway"  # the level of the topic that means the gateway itself
ON_DEVICES = frozenset(
    ("unlock", "lock", "release", "lockdown", "output", "snapshot", "test", "shelve", "shield", "unshield")
)  # contract, section 4
ON_GATEWAY = frozenset(
    (
        *(
            "ping",
            "sync",
            "resend",
            "silence",
            "acknowledge",
            "dispose",
            "reset",
            "drill",
            "reload",
            "restart",
            "bundle",
        ),
        "picture",
    )
)  # contract, section 4; and `picture` for those that may have them
ON_ANY_DEVICE = frozenset(("test", "shelve", "shield", "unshield"))  # the gateway does them, whatever the driver takes
TIME_CRITICAL = frozenset(("unlock", "lock", "release", "lockdown", "output", "snapshot", "test"))  # late is wrong
GONE_RANGES = 100  # told one by one; more than these are summed up in the last
NAME_CHARS = 64  # of an issuer, as far as it is kept
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
STATUS = {
    "ok": "done", "duplicate": "duplicate", "expired": "expired",
    "device-offline": "failed", "device-refused": "failed", "timeout": "failed",
}  # fmt: skip  # all others: refused

Result = Mapping[str, Any]


class Refused(GatewayError):
    """A command is not carried out; `code` is of the contract's list, `result` what is known nevertheless."""

    def __init__(self, code: str, what: Text, identity: str | None = None, result: Result = NOTHING) -> None:
        super().__init__("command", what)
        self.code = code
        self.identity = identity
        self.result = result


@dataclass(frozen=True)
class Request:
    """A command that can be read."""

    id: str
    device: str
    action: str
    args: Any
    expires: datetime
    issuer: str
    asked: Mapping[str, Any] = field(default_factory=dict)  # as it was sent: what a signature is over


@dataclass(frozen=True)
class Order:
    """A command that may be carried out: everything about it is right. `args` is a model of `gateway.arguments`."""

    id: str
    device: str
    action: str
    args: Any
    by: By
    expires: datetime  # UTC: an answer is worth nothing later


@dataclass(frozen=True)
class Reply:
    """What goes back. `done()` after it has been handed to the connection."""

    topic: str
    payload: str
    properties: bytes
    done: Callable[[], object]


@dataclass(frozen=True)
class Rules:
    """Whom a place may ask for what. `devices`: the actions each one's driver takes."""

    uplink: str  # "": the command line
    base: str
    language: str
    allowed: frozenset[str]
    devices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    key: "Ed25519PublicKey | None" = None  # with one, every command must be signed


Action = Callable[[Order], Awaitable[Result]]  # Refused, NotFound, NotNow, StorageError


def read(message: Message, device: str, now: datetime) -> Request:
    """Size, JSON, id, retained, expiry, in this order. Refused: the first that fails."""
    if len(message.payload) > REQUEST_BYTES:
        raise Refused("too-large", Text(f"at most {REQUEST_BYTES} bytes", f"最多 {REQUEST_BYTES} 字节"))
    try:
        asked = json.loads(message.payload)
        json.dumps(asked, ensure_ascii=False).encode()  # half a surrogate pair cannot be answered, nor be kept
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Refused("bad-json", Text("this is no JSON object", "不是 JSON 对象"))
    identity = asked.get("id")
    if not isinstance(identity, str) or not _ID.fullmatch(identity):
        what = Text("id: 1 to 64 letters, digits, _ and - are needed", "id:需要 1 到 64 个字母、数字、_ 或 -")
        raise Refused("bad-json", what)
    if message.retained:
        raise Refused("retained", Text("commands are not retained", "命令不能保留(retained)"), identity)
    expires = _moment(asked.get("expires"))
    if expires is None:
        what = Text("expires: an RFC 3339 time with its zone is needed", "expires:需要带时区的 RFC 3339 时间")
        raise Refused("no-expiry", what, identity)
    if expires <= now:
        raise Refused("expired", late(now), identity)
    action, issuer = str(asked.get("action")), _printable(str(asked.get("issuer") or "unknown"))
    return Request(identity, device, action, asked.get("args", {}), expires, issuer, asked)


def late(now: datetime) -> Text:
    """What a command is told that comes after its time."""
    return Text(f"it is {rfc3339(now)} here", f"本机时间为 {rfc3339(now)}")


def _printable(text: str) -> str:
    """As it may stand in a log and on a page; half a surrogate pair cannot be stored."""
    return "".join(char if char.isprintable() else "?" for char in text[:NAME_CHARS])


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        return None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def weigh(request: Request, rules: Rules, actions: Mapping[str, Action], *, clock_unsure: bool) -> tuple[Any, Action]:
    """Device, action, permission, clock, signature, arguments, in this order: the arguments, and what does it.

    Refused: the first that fails.
    """
    action, mine = request.action, request.device == GATEWAY
    if not mine and request.device not in rules.devices:
        raise Refused("unknown-device", Text(f"there is no {request.device}", f"没有设备 {request.device}"))
    taken = ON_GATEWAY if mine else ON_DEVICES & (rules.devices[request.device] | ON_ANY_DEVICE)
    if action not in taken & actions.keys():
        what = ", ".join(sorted(taken & actions.keys()))
        raise Refused("unknown-action", Text(f"it takes {what}", f"可用操作:{what}"))
    if action not in rules.allowed:
        what = f"commands: [{action}]"
        raise Refused("not-allowed", Text(
            f"uplink {rules.uplink} may not ask for {action}; its configuration would need {what}",
            f"上行链路 {rules.uplink} 无权执行 {action};需在其配置中写 {what}",
        ))  # fmt: skip
    if clock_unsure and action in TIME_CRITICAL:
        raise Refused("clock-unsure", Text(
            f"the gateway's clock is not set, so it cannot tell whether {action} still is wanted",
            f"网关时钟尚未校准,无法判断 {action} 是否仍有效",
        ))  # fmt: skip
    if rules.key is not None and not genuine(rules.key, f"{rules.base}/command/{request.device}", request.asked):
        raise Refused("bad-signature", Text(
            f"signature: not this command's by the key of uplink {rules.uplink}",
            f"signature:与上行链路 {rules.uplink} 的公钥及本命令不符",
        ))  # fmt: skip
    return _arguments(request), actions[action]


def _arguments(request: Request) -> Any:
    try:
        return ARGUMENTS[request.action].model_validate(request.args)
    except ValidationError as error:
        raise Refused("bad-arguments", _wrong(error.errors(include_url=False)[0])) from error


def _wrong(detail: Mapping[str, Any]) -> Text:
    """Which argument, and what is wrong with it; in the configuration's words."""
    where, context = ".".join(map(str, ("args", *detail["loc"]))), detail.get("ctx", {})
    sentence = getattr(context.get("error"), "text", None)
    if sentence is None:
        words = {**context, "msg": detail["msg"]}
        known = SENTENCES.get(detail["type"], Text("this does not fit: {msg}", "此值不合适:{msg}"))
        sentence = Text(known.en.format_map(words), known.zh.format_map(words))
    return Text(f"{where}: {sentence.en}", f"{where}:{sentence.zh}")


def resent(stream: str, found: Found) -> dict[str, Any]:
    """The result of `resend`: how many of which numbers go out once more, and which are not kept any more."""
    ranges = found.gone
    if len(ranges) > GONE_RANGES:
        ranges = [*ranges[: GONE_RANGES - 1], (ranges[GONE_RANGES - 1][0], ranges[-1][1])]
    gone = [{"first": f"{first:016d}", "last": f"{last:016d}"} for first, last in ranges]
    first, last = f"{found.first:016d}", f"{max(found.last, 0):016d}"
    return {"stream": stream, "first": first, "last": last, "count": found.count, "gone": gone}
