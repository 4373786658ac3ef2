"""The closed list of event types as one table: labels, severity, return, latch, Contact ID, GB/T 26875.3 bits.

Contact ID codes are those of SIA DC-05; GB/T 26875.3 part types and status bits are those of its 2011 edition, named
by `GB_TABLE` in every code, so that a newer table can stand beside it. A type is a condition or a happening; how it
ends is told by the event's phase, never by a second type.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, Literal

from gateway.errors import Text
from gateway.event import NOTHING, Lane, Phase, Severity, nothing

VERSION = "1"  # counts up when a type, a severity or a code changes its meaning
GB_TABLE = "2011"  # the edition of GB/T 26875.3 whose numbers stand below
GB_FIRE_SYSTEM = 1  # GB/T 26875.3-2011, system types: fire alarm system

Level = Literal["part", "system", "device"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device. `family` groups kinds for codes; `part` is its GB/T 26875.3 part type, if it has one."""

    name: str
    zh: str
    en: str
    family: Literal["fire", "door", "video", "other"] = "other"
    part: int | None = None
    level: Level = "part"  # where its GB/T 26875.3 status bits stand


@dataclass(frozen=True, slots=True)
class EventType:
    """One row. `contact_id` by reason, kind or family of kinds ("" else); `gb` is the bit by level and reason."""

    name: str
    zh: str
    en: str
    severity: Severity
    returns: Literal["clear", "pulse"]
    latches: bool = False
    contact_id: Mapping[str, int] = field(default_factory=nothing)
    gb: Mapping[str, int] = field(default_factory=nothing)  # level, or level:reason → bit
    gb_parts: tuple[int, ...] = ()  # part types this type is of; the first where the kind names none of them
    gb_operation: int | None = None  # bit of the operation flags (GB/T 26875.3, types 4 and 24)

    @property
    def category(self) -> str:
        """First part of the name, also the last level of the topic."""
        return self.name.partition(".")[0]

    @property
    def label(self) -> Text:
        """What people read."""
        return Text(self.en, self.zh)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases its events may have."""
        if self.name == "operator.drill":
            return (Phase.RAISE, Phase.CLEAR)
        return (Phase.PULSE,) if self.returns == "pulse" else (Phase.RAISE, Phase.CLEAR, Phase.STILL)


Codes = int | Mapping[str, int] | None
_CRITICAL, _HIGH, _MEDIUM, _LOW, _INFO = Severity
_FIRE = {"part": 1, "system": 1, "device": 1}  # status bit 1 on all three levels
_FAULT = {"part": 2, "system": 2, "device": 2}
_POWER = {"part": 8, "system": 8, "device": 3, "system:backup": 9, "device:backup": 4}
_TEST = {"part": 0, "system": 0, "device": 0}  # inverted in the standard: 0 is test, 1 is normal running


def _clear(
    name: str, zh: str, en: str, severity: Severity, cid: Codes = None, gb: Mapping[str, int] = NOTHING, *parts: int
) -> EventType:
    return EventType(name, zh, en, severity, "clear", False, _by_variant(cid), gb, parts)


def _pulse(
    name: str, zh: str, en: str, severity: Severity, cid: Codes = None, operation: int | None = None
) -> EventType:
    return EventType(name, zh, en, severity, "pulse", contact_id=_by_variant(cid), gb_operation=operation)


def _by_variant(cid: Codes) -> Mapping[str, int]:
    return {"": cid} if isinstance(cid, int) else cid or NOTHING


def _latch(row: EventType) -> EventType:
    return replace(row, latches=True)


EVENTS: tuple[EventType, ...] = (
    _latch(_clear("fire.smoke", "感烟火警", "Smoke alarm", _CRITICAL, 111, _FIRE, *range(40, 45))),
    _latch(_clear("fire.heat", "感温火警", "Heat alarm", _CRITICAL, 114, _FIRE, *range(30, 38))),
    _latch(_clear("fire.manual", "手动报警", "Manual call point", _CRITICAL, 115, _FIRE, 23, 24)),
    _latch(_clear("fire.gas", "可燃气体报警", "Gas alarm", _CRITICAL, {"": 151, "co": 162}, _FIRE, 10, 11, 12, 13, 74)),
    _latch(_clear("fire.panel", "控制器火警", "Fire panel alarm", _CRITICAL, 110, _FIRE)),
    _clear("fire.prealarm", "火灾预警", "Fire pre-alarm", _HIGH, 118),
    _clear("fire.supervisory", "监管", "Fire supervisory", _HIGH, 200, {"part": 4, "system": 4}),
    _latch(_clear("safety.panic", "紧急求助", "Call for help", _CRITICAL, 120)),
    _pulse("access.granted", "通行", "Access granted", _INFO, {"": 422, "egress": 425}),
    _pulse("access.denied", "拒绝通行", "Access denied", _LOW, {"": 421, "egress": 424}),
    _latch(_pulse("access.duress", "胁迫开门", "Duress at a door", _CRITICAL, {"": 121, "granted": 124})),
    _clear("access.lockout", "认证失败锁定", "Locked out after failed attempts", _MEDIUM, 461),
    _clear("door.open", "门打开", "Door open", _INFO),
    _latch(_clear("door.forced", "强行开门", "Door forced open", _HIGH, 423)),
    _clear("door.held", "开门超时", "Door held open", _MEDIUM, 426),
    _clear(
        "door.released", "消防联动释放", "Doors released by fire", _HIGH, None, {"part": 5, "part:feedback": 6}, 86, 87
    ),
    _clear("door.lockdown", "封锁", "Lockdown", _HIGH, 431),
    _clear("video.motion", "移动侦测", "Motion", _INFO),
    _pulse("video.line_cross", "越界", "Line crossed", _MEDIUM, 131),
    _clear("video.intrusion", "区域入侵", "Intrusion", _HIGH, {"": 130, "interior": 132}),
    _clear("video.loitering", "徘徊", "Loitering", _LOW),
    _pulse("video.tailgating", "尾随", "Tailgating", _MEDIUM, 436),
    _clear("video.ebike_lift", "电动车入梯", "E-bike in a lift", _HIGH),
    _pulse("video.falling_object", "高空抛物", "Object thrown from height", _HIGH),
    _clear("video.fire_lane", "消防通道占用", "Fire lane blocked", _MEDIUM),
    _clear("video.loss", "视频丢失", "Video lost", _MEDIUM, 380, {"part": 2}, 78),
    _clear("video.occluded", "画面遮挡", "Camera covered", _MEDIUM, 137, {"part": 2}, 78),
    _clear("device.fault", "故障", "Fault", _MEDIUM, {"": 380, "fire": 373, "door": 427}, _FAULT),
    _latch(_clear("device.tamper", "防拆", "Tamper", _HIGH, {"": 144, "input": 145, "relay": 145})),
    _clear("device.battery_low", "电量低", "Battery low", _LOW, {"": 384, "gateway": 302}, {"part": 8}),
    _clear(
        "device.power_fault", "主电/备电故障", "Mains or backup power fault", _MEDIUM, {"": 301, "backup": 311}, _POWER
    ),
    _clear("device.offline", "离线", "Offline", _MEDIUM, 381, {"device": 6}),
    _clear("device.shielded", "屏蔽", "Shielded", _LOW, {"": 570, "fire": 571, "door": 577}, {"part": 3, "system": 3}),
    _clear("device.test", "测试", "Under test", _INFO, {"": 601, "fire": 604, "walk": 607}, _TEST),
    _clear("device.end_of_life", "到达使用年限", "End of life", _LOW, 393),
    _clear("gateway.uplink_lost", "与平台断开", "Platform not reachable", _HIGH, 350, {"device": 5}),
    _pulse("gateway.data_lost", "数据丢弃", "Data lost", _HIGH, 624),
    _clear("gateway.clock_bad", "时钟不准", "Clock not right", _MEDIUM, 626),
    _pulse("device.unmapped", "未识别事件", "Event not understood", _INFO),
    _pulse("telemetry.sample", "测量值", "Measured values", _INFO),
    _pulse("gateway.action", "联动执行", "Linkage carried out", _INFO),
    _pulse("gateway.escalation", "升级通知", "Escalation", _INFO),
)

OPERATIONS: tuple[EventType, ...] = (
    _pulse("operator.silence", "消音", "Silenced", _INFO, operation=1),
    _pulse("operator.ack", "确认", "Acknowledged", _INFO, operation=5),
    _pulse("operator.reset", "复位", "Reset", _INFO, 313, operation=0),
    _pulse("operator.dispose", "处置结论", "Disposed", _INFO, {"false": 406}, operation=3),
    _pulse("operator.shield", "屏蔽操作", "Shield set", _INFO),
    _pulse("operator.unshield", "解除屏蔽", "Shield lifted", _INFO),
    _pulse("operator.shelve", "暂缓", "Shelved", _INFO),
    _pulse("operator.test", "测试操作", "Test started", _INFO, operation=6),
    _pulse("operator.selftest", "自检", "Self-test", _INFO, operation=4),
    _pulse("operator.handling", "处置中", "Incident taken in hand", _INFO),
    _pulse("operator.handled", "已处置", "Incident handled", _INFO),
    _clear("operator.drill", "演练", "Drill", _INFO),
    _pulse("operator.config", "配置变更", "Configuration changed", _INFO, 306),
)

TYPES: Mapping[str, EventType] = MappingProxyType({row.name: row for row in (*EVENTS, *OPERATIONS)})
FIRES = frozenset(row.name for row in EVENTS if row.category == "fire" and row.latches)  # not: supervisory, pre-alarm

_KINDS = (
    Kind("smoke", "感烟探测器", "smoke detector", "fire", 40),
    Kind("heat", "感温探测器", "heat detector", "fire", 30),
    Kind("multi", "复合探测器", "smoke and heat detector", "fire", 51),
    Kind("flame", "火焰探测器", "flame detector", "fire", 69),
    Kind("gas", "可燃气体探测器", "combustible gas detector", "fire", 10),
    Kind("co", "一氧化碳探测器", "carbon monoxide detector", "fire", 74),
    Kind("manual", "手动火灾报警按钮", "manual call point", "fire", 23),
    Kind("hydrant", "消火栓按钮", "hydrant button", "fire", 24),
    Kind("panel", "火灾报警控制器", "fire alarm control panel", "fire", 1, "system"),
    Kind("utd", "用户信息传输装置", "fire transmission device", "fire", None, "device"),
    Kind("fire-input", "消防输入模块", "fire input module", "fire", 85),
    Kind("fire-output", "消防输出模块", "fire output module", "fire", 86),
    Kind("fire-door", "防火门", "fire door", "fire", 102),
    Kind("fire-camera", "图像型火灾探测器", "fire-detecting camera", "fire", 78),
    Kind("fire-sounder", "火灾警报装置", "fire sounder", "fire", 121),
    Kind("water-flow", "水流指示器", "sprinkler flow indicator", "fire", 96),
    Kind("water-valve", "信号阀", "sprinkler signal valve", "fire", 97),
    Kind("water-pressure", "压力开关", "sprinkler pressure switch", "fire", 99),
    Kind("water-tank", "消防水箱", "fire water tank", "fire", 92),
    Kind("fire-pump", "消防水泵", "fire pump", "fire", 91),
    Kind("door", "门", "door", "door"),
    Kind("reader", "读卡器", "card reader", "door"),
    Kind("gate", "道闸", "vehicle gate", "door"),
    Kind("intercom", "楼宇对讲", "door intercom", "door"),
    Kind("lift", "电梯", "lift", "door"),
    Kind("camera", "摄像机", "camera", "video"),
    Kind("recorder", "录像机", "video recorder", "video"),
    Kind("panic", "紧急求助按钮", "help button"),
    Kind("input", "开关量输入", "input board"),
    Kind("relay", "继电器输出", "relay board"),
    Kind("sensor", "传感器", "sensor"),
    Kind("meter", "仪表", "meter"),
    Kind("device", "设备", "device"),
    Kind("gateway", "网关", "gateway"),
)
KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _KINDS})

CATEGORIES: Mapping[str, Text] = {
    "fire": Text("fire", "消防"),
    "safety": Text("safety", "安全"),
    "access": Text("access", "通行"),
    "door": Text("door", "门"),
    "video": Text("video", "视频"),
    "device": Text("device", "设备"),
    "gateway": Text("gateway", "网关"),
    "operator": Text("operator", "操作"),
    "telemetry": Text("telemetry", "测量"),
}

SEVERITIES: Mapping[Severity, Text] = {
    Severity.CRITICAL: Text("critical", "特急"),
    Severity.HIGH: Text("high", "紧急"),
    Severity.MEDIUM: Text("medium", "一般"),
    Severity.LOW: Text("low", "提示"),
    Severity.INFO: Text("info", "记录"),
}

PHASES: Mapping[Phase, Text] = {
    Phase.RAISE: Text("begins", "发生"),
    Phase.CLEAR: Text("ends", "恢复"),
    Phase.STILL: Text("still there", "持续"),
    Phase.PULSE: Text("happened", "瞬时"),
}

DENIALS: Mapping[str, Text] = {
    "unknown_credential": Text("unknown credential", "未知凭证"),
    "disabled": Text("disabled or reported lost", "已停用/挂失"),
    "not_yet_valid": Text("not yet valid", "未到生效期"),
    "expired": Text("expired", "已过期"),
    "wrong_pin": Text("wrong PIN", "密码错误"),
    "no_right": Text("no right at this door", "无此门权限"),
    "out_of_time": Text("not at this time", "不在允许时段"),
    "passback": Text("anti-passback", "反潜回"),
    "interlock": Text("interlock not satisfied", "互锁未满足"),
    "timeout": Text("took too long", "认证超时"),
    "lockdown": Text("lockdown", "封锁中"),
    "wrong_facility_code": Text("wrong facility code", "区域码不符"),
    "face_mismatch": Text("face does not match", "人脸不符"),
    "other": Text("other", "其他"),
}

_RAISED_FOR_FIRE = frozenset({"device.fault", "device.offline", "device.shielded"})


def category(type: str) -> str:
    """Topic level of a type: `fire` of `fire.smoke`. KeyError where the type is not of the list."""
    return TYPES[type].category


@cache
def severity(type: str, fire: bool) -> Severity:
    """The table's severity; a fire-class device's fault, offline and shield count one level higher."""
    level = TYPES[type].severity
    if fire and type in _RAISED_FOR_FIRE:
        order = list(Severity)
        return order[order.index(level) - 1]
    return level


def lane(type: str, severity: Severity) -> Lane:
    """Critical and high travel in the alarm lane, measured values in their own, the rest as events."""
    if severity is Severity.CRITICAL or severity is Severity.HIGH:
        return Lane.ALARM
    return Lane.TELEMETRY if type.startswith("telemetry.") else Lane.EVENT


def is_fire_kind(kind: str | None) -> bool:
    """Is this a fire-class device: detector, panel, call point, or a part of a fire system?"""
    return kind is not None and kind in KINDS and KINDS[kind].family == "fire"


def codes(
    type: str, kind: str | None, reason: str | None = None, part: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What `data.codes` says of a type seen on a kind of device; `{}` where the table has none.

    `reason` picks a variant (`egress`, `backup`, `feedback`, …); `part` is the reading's, whose `system` and `type`
    are GB/T 26875.3 numbers. A fresh dict, made from a cached one; what is inside is shared and not to be changed.
    """
    if part is None:
        return dict(_codes(type, kind, reason, None, None))
    system, number = part.get("system"), part.get("type")
    numbers = isinstance(system, int) and isinstance(number, int)
    return dict(_codes(type, kind, reason, *(system, number) if numbers else (None, None)))


@lru_cache(maxsize=4096)
def _codes(type: str, kind: str | None, reason: str | None, system: int | None, number: int | None) -> dict[str, Any]:
    row, device = TYPES[type], KINDS.get(kind or "", KINDS["device"])
    variants = (row.contact_id.get(key) for key in (reason or device.name, device.name, device.family, ""))
    contact_id = next((code for code in variants if code is not None), None)
    found: dict[str, Any] = {} if contact_id is None else {"contact-id": contact_id}
    gb = _gb(row, device, reason, system, number) if device.family == "fire" and row.gb else None
    return found if gb is None else found | {"gb26875.3": gb}


def _gb(
    row: EventType, device: Kind, reason: str | None, system: int | None, number: int | None
) -> dict[str, Any] | None:
    level = _gb_level(row, device, number)
    code: dict[str, Any] = {"table": GB_TABLE, "level": level}
    if level != "device":
        code["system"] = GB_FIRE_SYSTEM if system is None else system
    if level == "part":
        own = device.part if not row.gb_parts or device.part in row.gb_parts else row.gb_parts[0]
        code["part"] = own if number is None else number
    bit = row.gb.get(f"{level}:{reason}", row.gb[level])
    return None if code.get("part", 0) is None else code | {"bit": bit}


def _gb_level(row: EventType, device: Kind, number: int | None) -> str:
    wished = "part" if number is not None or row.gb_parts else device.level
    return wished if wished in row.gb else next(iter(row.gb))


def matches(pattern: str, type: str) -> bool:
    """`*` takes every type, `fire.*` a category, anything else is a type's own name."""
    return pattern in ("*", type) or (pattern.endswith(".*") and type.startswith(pattern[:-1]))


def known(pattern: str) -> bool:
    """Does the pattern take any type at all?"""
    return any(matches(pattern, type) for type in TYPES)


def suggest(name: str) -> str | None:
    """The type or pattern that was probably meant, or None."""
    choices = [*TYPES, *(f"{category}.*" for category in CATEGORIES)]
    close = get_close_matches(name.strip().lower().replace("-", "_"), choices, n=1)
    return close[0] if close else None
