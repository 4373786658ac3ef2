"""Devices that post JSON to `/ingest/{device}`: of our own shape, or mapped by a small declarative table.

Our own shape is one flat object or a list of up to 100, fields named as in `gateway.event.Reading`: `type`, `phase`
(not needed where the type is a happening), `values` {name: {"value", "unit"} or a number}, `time` (what the device's
clock says), `test`, `reason`, `part`, `raw`. The shape of the gateway's own events (CloudEvents, with these fields
under `data`) is taken too. The answer is 200 only after the commit: {"accepted": n, "ids": [...]}.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from pydantic import Field, field_validator

from drivers._mapping import Mapped, readings_of
from gateway.driver import Answer, Driver, Example, Line, Link, Posted, Proof, offset_time
from gateway.errors import BadInput, Text
from gateway.event import Json, Phase, Reading, Value
from gateway.fields import DeviceConfig, Duration, Secret, Wrong
from gateway.taxonomy import TYPES, suggest

MAX_BODY_BYTES = 256 * 1024
MAX_READINGS = 100
WISE_TOKEN = 16  # characters; a shorter one is taken, and said to be weak
MAX_RAW_BYTES = 32 * 1024  # half of the largest event (contract, section 3)
MAX_DEPTH = 16  # levels of nesting in `raw`
_MAX_VALUES = 64
_MAX_TEXT = 256  # characters
_FIELDS = frozenset({"type", "phase", "values", "time", "test", "reason", "part", "raw"})
_PART_FIELDS = {"system": int, "type": int, "address": str, "loop": int, "point": int, "text": str}
_DATA_FIELDS = ("values", "test", "reason", "part", "raw")
_MISSPELT = 0.82  # likeness from which a field is taken for a misspelt one of ours
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")


class Config(DeviceConfig):
    """A device that posts its own events."""

    token: Secret = Field(description="what the device proves itself with; best 16 characters or more")
    token_in_url: bool = Field(False, description="take the token from ?token= too, for devices that can do no better")
    offline_after: Duration | None = Field(None, description="silence that means the device is offline")
    map: Mapped | None = Field(None, description="where to find what in bodies that are not of our own shape")

    @field_validator("token")
    @classmethod
    def _some(cls, value: Secret) -> Secret:
        if not value.get_secret_value().strip():
            raise Wrong(
                "a token is needed, e.g. from: openssl rand -hex 16", "需要令牌,例如用 openssl rand -hex 16 生成"
            )
        return value

    def advice(self) -> tuple[tuple[str, Text], ...]:
        """A short token can be guessed."""
        if len(self.token.get_secret_value()) >= WISE_TOKEN:
            return ()
        english = f"fewer than {WISE_TOKEN} characters can be guessed; make one with: openssl rand -hex 16"
        return (("token", Text(english, f"少于 {WISE_TOKEN} 个字符容易被猜到;可用 openssl rand -hex 16 生成")),)


def decode(config: Config, wire: bytes) -> Sequence[Reading]:
    """A request's body → its readings. BadInput says which field is wrong, and what would be right."""
    body = _json(wire)
    items = body if isinstance(body, list) else [body]
    if not 0 < len(items) <= MAX_READINGS:
        raise _bad("", f"1 to {MAX_READINGS} readings are taken at once", f"一次只接受 1 到 {MAX_READINGS} 条")
    many = isinstance(body, list)
    found: list[Reading] = []
    for number, item in enumerate(items):
        where = f"[{number}]." if many else ""
        if not isinstance(item, dict):
            raise _bad(where.rstrip("."), "an object is needed", "应为 JSON 对象")
        found += readings_of(config.map, config.id, item) if config.map else [_reading(config.id, item, where)]
    return found


def _bad(field: str, en: str, zh: str, do: Text | None = None) -> BadInput:
    return BadInput(field or "body", Text(en, zh), do or Text("correct it and send it again", "请改正后重新发送"))


def _json(wire: bytes) -> Any:
    if len(wire) > MAX_BODY_BYTES:
        raise _bad("", f"more than {MAX_BODY_BYTES} bytes", f"超过 {MAX_BODY_BYTES} 字节")
    try:
        body = json.loads(wire.decode("utf-8-sig"), parse_constant=_no_constant)
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()  # 1e999 and lone surrogates cannot be stored
    except (ValueError, RecursionError) as exc:
        raise _bad("", f"not JSON in UTF-8: {exc}", f"不是 UTF-8 编码的 JSON:{exc}") from exc
    return body


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _reading(device: str, item: Mapping[str, Any], where: str) -> Reading:
    fields = _fields(item, where)
    type = _type(fields.get("type"), where)
    return Reading(
        device,
        type,
        _phase(type, fields.get("phase"), where),
        values=_values(fields.get("values"), where),
        part=_part(fields.get("part"), where),
        device_time=_time(fields.get("time"), where),
        test=_test(fields.get("test"), where),
        reason=_reason(fields.get("reason"), where),
        raw=_object(fields.get("raw"), f"{where}raw"),
    )


def _fields(item: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """The flat form of either shape. What is not ours is ignored, and told (`ignored`); what is misspelt is refused."""
    if _is_event(item):
        data = item.get("data")
        inner = data if isinstance(data, dict) else {}
        outer = {name: item[name] for name in ("type", "phase", "time") if name in item}
        return outer | {name: inner[name] for name in _DATA_FIELDS if name in inner}
    for name in set(item) - _FIELDS:
        meant = get_close_matches(name[:64], _FIELDS - set(item), n=1, cutoff=_MISSPELT)
        if meant:
            raise _bad(f"{where}{name[:64]}", f"did you mean {meant[0]}?", f"是否想写 {meant[0]}?")
    return item


def _is_event(item: Mapping[str, Any]) -> bool:
    return "specversion" in item or isinstance(item.get("data"), dict)


def ignored(config: Config, wire: bytes) -> list[str]:
    """Fields of a flat body that mean nothing here: named in the answer, so that nothing is dropped in silence."""
    if config.map is not None:
        return []
    body = _json(wire)
    items = body if isinstance(body, list) else [body]
    names = {name[:64] for item in items if not _is_event(item) for name in set(item) - _FIELDS}
    return sorted(names)[:_MAX_VALUES]


def _type(value: Any, where: str) -> str:
    if isinstance(value, str) and value in TYPES and not value.startswith(("operator.", "gateway.")):
        return value
    said = json.dumps(value, ensure_ascii=False)[:_MAX_TEXT]
    meant = suggest(value[:64]) if isinstance(value, str) else None
    hint = Text(f"did you mean {meant}?", f"是否想写 {meant}?") if meant else None
    raise _bad(f"{where}type", f"{said} is no event type", f"{said} 不是事件类型", hint)


def _phase(type: str, value: Any, where: str) -> Phase:
    allowed = TYPES[type].phases
    if value is None and allowed == (Phase.PULSE,):
        return Phase.PULSE
    if value not in allowed:
        words = ", ".join(allowed)
        raise _bad(f"{where}phase", f"{type} needs one of: {words}", f"{type} 需要以下之一:{words}")
    return Phase(value)


def _values(values: Any, where: str) -> dict[str, Value]:
    named = _object(values, f"{where}values")
    if len(named) > _MAX_VALUES:
        raise _bad(f"{where}values", f"more than {_MAX_VALUES} values", f"超过 {_MAX_VALUES} 个值")
    return {name: _value(f"{where}values.{name[:64]}", name, value) for name, value in named.items()}


def _value(field: str, name: str, given: Any) -> Value:
    value: Any = given.get("value") if isinstance(given, dict) else given
    unit: Any = given.get("unit", "") if isinstance(given, dict) else ""
    good = isinstance(value, (int, float, str)) and isinstance(unit, str) and len(unit) <= 32
    too_long = isinstance(value, str) and len(value) > _MAX_TEXT
    if not good or too_long or not _NAME.fullmatch(name) or not _fits(value):
        raise _bad(
            field,
            'a number, or {"value": number, text or true/false, "unit": text}, under a plain name',
            '应为数字,或 {"value": 数字、文本或 true/false, "unit": 文本},名称只含字母、数字、_ . -',
        )
    return Value(value, unit)


def _fits(value: Any) -> bool:
    """Integers that every JSON reader takes exactly are below 2^53 (RFC 8259, section 6); floats are finite here."""
    return not isinstance(value, (int, float)) or abs(value) <= (2**53 if isinstance(value, int) else 1.7e308)


def _object(value: Any, field: str) -> dict[str, Json]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad(field, "an object is needed", "应为 JSON 对象")
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_RAW_BYTES:
        raise _bad(field, f"more than {MAX_RAW_BYTES} bytes", f"超过 {MAX_RAW_BYTES} 字节")
    if _deeper(value, MAX_DEPTH):
        raise _bad(field, f"nested more than {MAX_DEPTH} levels", f"嵌套超过 {MAX_DEPTH} 层")
    return value


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    return levels == 0 or any(
        _deeper(each, levels - 1) for each in (value.values() if isinstance(value, dict) else value)
    )


def _part(value: Any, where: str) -> dict[str, Json] | None:
    part = _object(value, f"{where}part")
    for name, given in part.items():
        if not _fits_part(name, given):
            known = ", ".join(_PART_FIELDS)
            raise _bad(f"{where}part.{name[:64]}", f"not as it should be; known: {known}", f"无效;可用字段:{known}")
    return part or None


def _fits_part(name: str, given: Json) -> bool:
    if isinstance(given, str):
        return _PART_FIELDS.get(name) is str and len(given) <= _MAX_TEXT
    whole = isinstance(given, int) and not isinstance(given, bool)
    limit = 255 if name in ("system", "type") else 2**31  # GB/T 26875.3: one byte each
    return whole and _PART_FIELDS.get(name) is int and isinstance(given, int) and 0 <= given <= limit


def _time(value: Any, where: str) -> datetime | None:
    """A device's clock may be nonsense (contract, section 10): then it is left out; but a time is a text."""
    if value is not None and not isinstance(value, str):
        raise _bad(f"{where}time", "a text is needed, e.g. 2026-11-23T10:06:19Z", "应为文本,如 2026-11-23T10:06:19Z")
    return None if value is None else offset_time(value)


def _test(value: Any, where: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise _bad(f"{where}test", "true or false is needed", "应为 true 或 false")
    return bool(value)


def _reason(value: Any, where: str) -> str | None:
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= _MAX_TEXT):
        raise _bad(f"{where}reason", f"a text of up to {_MAX_TEXT} characters", f"应为不超过 {_MAX_TEXT} 字的文本")
    return value


def refusal(status: int, error: BadInput) -> Answer:
    """What a device gets back when its request was not taken: `{"error": {"where", "what", "do"}}`, both languages."""
    said = {"where": error.where, "what": error.what._asdict()}
    return Answer(status, {"error": said | ({"do": error.do._asdict()} if error.do else {})})


class _Hook:
    """One device's intake, and how long it has been silent."""

    def __init__(self, config: Config, link: Link) -> None:
        self._config, self._link = config, link
        self._heard_at = link.clock.monotonic()
        self._heard = asyncio.Event()

    async def take(self, posted: Posted) -> Answer:
        """One request. StorageError: nothing of it was accepted, the device sends it again."""
        if posted.token_in_url and not self._config.token_in_url:
            hint = Text("send it as Authorization: Bearer …", "请改用 Authorization: Bearer … 请求头")
            return refusal(401, _bad("token", "not taken from the address", "不接受网址中的令牌", hint))
        await self._link.seen(self._config.id)
        self._heard_at = self._link.clock.monotonic()
        self._heard.set()
        if not _is_json(posted.content_type):
            said = posted.content_type[:64]
            hint = Text("send Content-Type: application/json", "请使用 Content-Type: application/json")
            return refusal(415, _bad("Content-Type", f"{said} is not taken", f"不接受 {said}", hint))
        try:
            readings = decode(self._config, posted.body)
        except BadInput as exc:
            return refusal(413 if len(posted.body) > MAX_BODY_BYTES else 400, exc)
        ids = await self._link.emit(*readings) if readings else []
        more: dict[str, Json] = {"id": ids[0]} if len(ids) == 1 else {}
        unknown = ignored(self._config, posted.body)
        more |= {"ignored": unknown} if unknown else {}
        return Answer(200, {"accepted": len(ids), "ids": list(ids), **more})

    async def watch(self, offline_after_s: float) -> None:
        """Tells the device lost after that much silence, once until it speaks again."""
        while True:
            wait_s = self._heard_at + offline_after_s - self._link.clock.monotonic()
            if wait_s > 0:
                await self._link.clock.sleep(wait_s)
                continue
            self._heard.clear()
            await self._link.lost(self._config.id, "silent")
            await self._heard.wait()


def _is_json(content_type: str) -> bool:
    """`application/json`, `…+json`; and what says nothing of it (none, plain text), as devices often know no better."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind in ("", "text/plain", "application/json", "text/json") or kind.endswith("+json")


async def run(line: Line[Config], link: Link) -> None:
    """Takes what one device posts, for ever."""
    (config,) = line.devices
    hook = _Hook(config, link)
    with link.intake(config.id, config.token.get_secret_value(), hook.take):
        if config.offline_after is None:
            await asyncio.get_running_loop().create_future()
        else:
            await hook.watch(config.offline_after)


_CONFIG = {"token": "0123456789abcdef"}
_SMOKE = Value(1.32, "dB/m")
EXAMPLES = (
    Example(
        "flat: smoke, with a measured value and the device's own time",
        _CONFIG,
        b'{"type": "fire.smoke", "phase": "raise", "time": "2026-11-23T18:06:19+08:00",'
        b' "values": {"smoke_obscuration": {"value": 1.32, "unit": "dB/m"}}, "raw": {"register": 2}}',
        (
            Reading(
                "example",
                "fire.smoke",
                Phase.RAISE,
                values={"smoke_obscuration": _SMOKE},
                device_time=offset_time("2026-11-23T18:06:19+08:00"),
                raw={"register": 2},
            ),
        ),
    ),
    Example(
        "event shape: an object falls",
        _CONFIG,
        b'{"specversion": "1.0", "id": "1", "source": "/cam", "type": "video.falling_object", "phase": "pulse",'
        b' "data": {"reason": "bottle", "test": true}}',
        (Reading("example", "video.falling_object", Phase.PULSE, test=True, reason="bottle"),),
    ),
    Example(
        "mapped: a vendor's own words",
        _CONFIG
        | {
            "map": {
                "type": {"path": "alarm.kind", "table": {1: "fire.smoke"}},
                "phase": {"path": "alarm.on", "table": {True: "raise", False: "clear"}},
                "values": {"temperature": {"path": "t", "unit": "°C", "scale": 0.1}},
                "raw": ["alarm.kind"],
            }
        },
        b'{"alarm": {"kind": 1, "on": false}, "t": 215}',
        (
            Reading(
                "example",
                "fire.smoke",
                Phase.CLEAR,
                values={"temperature": Value(21.5, "°C")},
                raw={"alarm.kind": 1},
            ),
        ),
    ),
)
DRIVER = Driver(
    "Webhook: devices that post JSON",
    Config,
    run,
    decode,
    EXAMPLES,
    proof=Proof(
        "JSON over HTTP/1.1; fields named as in the gateway's own events; CloudEvents 1.0",
        {"aiohttp's HTTP client": "tests/contract/test_webhook.py"},
        "every device: what posts is whoever follows the shape",
    ),
)
