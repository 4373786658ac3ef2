"""Commands from the platform: checked in the contract's order, carried out at most once, each answered.

Sections 4 and 10 of the contract. An id is taken on disk before anything is done, and the answer is kept: the same id
once more is answered `duplicate`, with the first answer as its result, also after a restart. A request is acknowledged
right behind its answer, so that a broker which did not get the answer hands the request over again, marked as such;
then the kept answer is sent again as it was. This version carries out `ping`, `sync` and `resend`.
"""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway.clock import Clock, rfc3339
from gateway.errors import GatewayError, StorageError, Text
from gateway.event import NOTHING, Lane
from gateway.letters import claim, put_reply
from gateway.mqtt import Message, properties
from gateway.replay import Found
from gateway.sections import PerSecond
from gateway.store import Store

REQUEST_BYTES = 16 * 1024  # contract, section 10
GATEWAY = "gateway"  # the level of the topic that means the gateway itself
ON_DEVICES = frozenset(
    ("unlock", "lock", "release", "lockdown", "output", "snapshot", "test", "shelve", "shield", "unshield")
)  # contract, section 4
ON_GATEWAY = frozenset(
    ("ping", "sync", "resend", "silence", "acknowledge", "dispose", "reset", "drill", "reload", "restart", "bundle")
)  # contract, section 4
REMEMBERED = timedelta(days=30)  # an id is known for so long after it has expired: a clock may be put back
GONE_RANGES = 100  # told one by one; more than these are summed up in the last
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STATUS = {
    "ok": "done", "duplicate": "duplicate", "expired": "expired",
    "device-offline": "failed", "device-refused": "failed", "timeout": "failed",
}  # fmt: skip


class Args(BaseModel):
    """Arguments: exactly these, of these types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _number(value: Any) -> Any:
    """A sequence as events carry it, 16 digits, or as a number."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,16}", value) else value


Number = Annotated[int, BeforeValidator(_number), Field(ge=1, lt=10**16)]  # 16 digits


class SyncArgs(Args):
    """`replay_rate`: events per second of what waited while the link was away, until the gateway starts again."""

    replay_rate: PerSecond | None = None


class ResendArgs(Args):
    """Which stream, from which number, to which: both are included."""

    stream: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}\.(alarm|event|telemetry)$")]
    first: Annotated[Number, Field(alias="from")]
    last: Annotated[Number | None, Field(alias="to")] = None

    @property
    def lane(self) -> Lane:
        """The stream's."""
        return Lane(self.stream.rpartition(".")[2])

    @property
    def uplink(self) -> str:
        """The stream's."""
        return self.stream.rpartition(".")[0]


class Refused(GatewayError):
    """A command is not carried out; `code` is of the contract's list."""

    def __init__(self, code: str, what: Text, identity: str | None = None) -> None:
        super().__init__("command", what)
        self.code = code
        self.identity = identity


@dataclass(frozen=True)
class Request:
    """A command that can be read."""

    id: str
    device: str
    action: str
    args: Any
    expires: datetime
    issuer: str


@dataclass(frozen=True)
class Reply:
    """What goes back. `done()` after it has been handed to the connection."""

    topic: str
    payload: str
    properties: bytes
    done: Callable[[], object]


@dataclass(frozen=True)
class Rules:
    """Whom an uplink may ask for what. `devices`: the actions each one's driver takes."""

    uplink: str
    base: str
    language: str
    allowed: frozenset[str]
    devices: Mapping[str, frozenset[str]] = field(default_factory=dict)


Result = Mapping[str, Any]
Action = tuple[type[Args], Callable[[Any], Awaitable[Result]]]  # may raise Refused


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
        what = Text(f"it is {rfc3339(now)} here", f"本机时间为 {rfc3339(now)}")
        raise Refused("expired", what, identity)
    return Request(identity, device, str(asked.get("action")), asked.get("args", {}), expires, str(asked.get("issuer")))


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        return None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def weigh(request: Request, rules: Rules, actions: Mapping[str, Action]) -> tuple[Any, Action]:
    """Device, action, permission, arguments, in this order: the arguments, and what is to be done. Refused.

    Of the actions carried out here none depends on the time of day, and no signature is configured: the clock and
    the signature, which come before the arguments, refuse none.
    """
    action, mine = request.action, request.device == GATEWAY
    if not mine and request.device not in rules.devices:
        raise Refused("unknown-device", Text(f"there is no {request.device}", f"没有设备 {request.device}"))
    if action not in (ON_GATEWAY if mine else ON_DEVICES & rules.devices[request.device]):
        raise Refused("unknown-action", Text(f"it does not take {action[:64]}", f"不支持 {action[:64]}"))
    if action not in rules.allowed:
        what = Text(f"uplink {rules.uplink} may not ask for {action}", f"上行链路 {rules.uplink} 无权执行 {action}")
        raise Refused("not-allowed", what)
    if not mine or action not in actions:
        what = Text(f"this version does not carry out {action}", f"本版本不执行 {action}")
        raise Refused("unknown-action", what)
    try:
        return actions[action][0].model_validate(request.args), actions[action]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, ("args", *first["loc"])))
        raise Refused(
            "bad-arguments", Text(f"{where}: {first['msg']}", f"{where}:参数不正确({first['msg']})")
        ) from error


class Desk:
    """Where one uplink's commands are taken: `await desk.answer(message)`."""

    def __init__(
        self, rules: Rules, store: Store, clock: Clock, actions: Mapping[str, Action], log: logging.Logger
    ) -> None:
        self._rules = rules
        self._store = store
        self._clock = clock
        self._actions = actions
        self._log = log

    async def answer(self, message: Message) -> Reply:
        """Carry it out, or not; what is to be answered, and where."""
        device = message.topic.removeprefix(f"{self._rules.base}/command/")
        try:
            request = read(message, device, self._clock.utc())
        except Refused as refused:
            self._log.warning("command refused: %s", refused)
            return self._reply(message, refused.identity, self._told(refused.identity, refused))
        try:
            known = await self._claim(request)
            told = await self._first(request) if known is None else self._again(request, known, message)
        except StorageError as error:
            told = self._told(request.id, Refused("busy", error.what))
        outcome = json.loads(told)
        self._log.info(
            "command %s: %s of %s, asked by %s: %s (%s)",
            *(request.id, request.action[:64], request.device, request.issuer[:64]),
            *(outcome["status"], outcome["code"]),
        )
        return self._reply(message, request.id, told)

    async def _claim(self, request: Request) -> str | None:
        forget = self._clock.utc() - REMEMBERED
        work = partial(
            claim,
            identity=request.id,
            uplink=self._rules.uplink,
            expires_ms=int(request.expires.timestamp() * 1000),
            forget_ms=int(forget.timestamp() * 1000),
        )
        return await self._store.transact(work)

    async def _first(self, request: Request) -> str:
        """The id is ours: carry it out, and keep the answer."""
        try:
            args, (_, carry_out) = weigh(request, self._rules, self._actions)
            told = self._told(request.id, None, await carry_out(args))
        except Refused as refused:
            told = self._told(request.id, refused)
        await self._store.transact(partial(put_reply, identity=request.id, reply=told))
        return told

    def _again(self, request: Request, known: str, message: Message) -> str:
        """The id is known: the broker's own repetition gets the kept answer, anybody else's is a duplicate."""
        if not message.again:
            what = Text("this id has been taken already", "该 id 已处理过")
            return self._told(request.id, Refused("duplicate", what), json.loads(known) if known else NOTHING)
        if known:
            return known
        what = Text("it was interrupted; ask again with another id", "执行被中断;请换一个 id 重新发送")
        return self._told(request.id, Refused("timeout", what))

    def _told(self, identity: str | None, refused: Refused | None, result: Result = NOTHING) -> str:
        code = "ok" if refused is None else refused.code
        what = Text("done", "已完成") if refused is None else refused.what
        document: dict[str, Any] = {} if identity is None else {"id": identity}
        document |= {"status": _STATUS.get(code, "refused"), "code": code, "message": what.say(self._rules.language)}
        document |= {"result": result} if result else {}
        document["time"] = rfc3339(self._clock.utc())
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    def _reply(self, message: Message, identity: str | None, told: str) -> Reply:
        """A response topic is used where it lies under BASE/reply/ and is a topic (MQTT 5.0, 4.7.1)."""
        below, wished = f"{self._rules.base}/reply/", message.response_topic or ""
        usable = wished.startswith(below) and len(wished) > len(below) and not re.search(r"[+#\0]", wished)
        topic = wished if usable else below + (identity or "invalid")
        return Reply(topic, told, properties("application/json", message.correlation), message.done)


def resent(stream: str, found: Found) -> dict[str, Any]:
    """The result of `resend`: how many of which numbers go out once more, and which are not kept any more."""
    ranges = found.gone
    if len(ranges) > GONE_RANGES:
        ranges = [*ranges[: GONE_RANGES - 1], (ranges[GONE_RANGES - 1][0], ranges[-1][1])]
    gone = [{"first": f"{first:016d}", "last": f"{last:016d}"} for first, last in ranges]
    first, last = f"{found.first:016d}", f"{max(found.last, 0):016d}"
    return {"stream": stream, "first": first, "last": last, "count": found.count, "gone": gone}
