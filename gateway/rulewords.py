"""Rules in words, Chinese and English, as the command line and the page show them."""

from collections.abc import Iterable, Mapping, Sequence

from gateway import taxonomy
from gateway.credentials import DAYS, Window
from gateway.errors import Text
from gateway.event import Phase
from gateway.rulebook import FIRE, SAME_BUILDING, Do, Rule, Selector, When
from gateway.rules import planned
from gateway.scope import Happening

ACTIONS: Mapping[str, Text] = {
    "release": Text("open and keep open", "释放(保持开启)"),
    "unlock": Text("unlock", "开门"),
    "lock": Text("lock", "上锁"),
    "lockdown": Text("lock down", "封锁"),
    "output": Text("switch output", "输出"),
    "snapshot": Text("take a picture of", "抓拍"),
    "sound": Text("sound on the page", "页面发声"),
    "notify": Text("notify", "通知"),
    "shelve": Text("shelve the alarms of", "暂缓报警:"),
    "suppress": Text("suppress", "抑制"),
}
OUTCOMES: Mapping[str, Text] = {
    "real": Text("real", "真实"),
    "false": Text("a false alarm", "误报"),
    "test": Text("a test", "测试"),
    "drill": Text("a drill", "演练"),
    "other": Text("other", "其他"),
}
TOLD: Mapping[str, Text] = {  # whom an alarm reaches without a contact
    "page": Text("the page", "值班页面"),
    "sound": Text("the sound on the page", "页面声音"),
}
UNTIL: Mapping[str, Text] = {
    "cleared": Text("until it has ended", "直到恢复"),
    "reset": Text("until its cause is gone and a person has disposed of it", "直到报警消除且人工处置完毕"),
    "": Text("", ""),
}
_DAYS_ZH = "一二三四五六日"


def when_text(when: When) -> Text:
    """What a rule waits for."""
    en, zh = ", ".join(when.type), "、".join(type_text(pattern).zh for pattern in when.type)
    if when.outcome is not None:
        outcome = OUTCOMES[when.outcome]
        en, zh = f"a person says that {en} was {outcome.en}", f"{zh} 被处置为{outcome.zh}"
    elif when.phase is not None:
        phase = taxonomy.PHASES[when.phase]
        en, zh = f"{en} {phase.en}", f"{zh} {phase.zh}"
    parts = [Text(en, zh), *_of(when)]
    if when.lasts is not None:
        parts.append(Text(f"for {when.lasts:g} s", f"持续 {when.lasts:g} 秒"))
    if when.count is not None:
        within_s = when.within or 0.0
        parts.append(Text(f"{when.count} times within {within_s:g} s", f"{within_s:g} 秒内 {when.count} 次"))
    if when.hours is not None:
        parts.append(hours_text(when.hours))
    if when.test:
        also = when.test == "any"
        parts.append(Text("also as a test", "包括测试") if also else Text("only as a test", "仅测试时"))
    return _joined(parts)


def _of(when: When) -> Iterable[Text]:
    if when.devices:
        yield Text(f"of {', '.join(when.devices)}", f"设备 {'、'.join(when.devices)}")
    if when.kind is not None:
        yield _kind(when.kind)
    if when.place is not None:
        yield Text(f"in {when.place}", f"位置 {when.place}")


def do_text(rule: Rule, number: int) -> Text:
    """What a rule does, on what, from when and for how long."""
    do = rule.do[number]
    action = ACTIONS[do.action]
    parts = [Text(f"{action.en} {_object(do).en}".strip(), f"{action.zh} {_object(do).zh}".strip())]
    if do.delay:
        parts.append(Text(f"after {do.delay:g} s", f"延时 {do.delay:g} 秒"))
    if do.hold is not None:
        parts.append(Text(f"for {do.hold:g} s", f"保持 {do.hold:g} 秒"))
    parts.append(UNTIL[_until(rule, number)])
    return _joined(parts)


def _until(rule: Rule, number: int) -> str:
    fire = all(pattern.startswith(FIRE) for pattern in rule.when.type)
    type = "fire.smoke" if fire else "device.fault"  # any that is, or is none
    phase = Phase.CLEAR if rule.when.phase is Phase.CLEAR else Phase.RAISE
    return planned(rule, number, "", Happening("", type, "", phase, False, ""), 0.0).until


def _object(do: Do) -> Text:
    devices = Text("", "") if do.devices is None else _devices(do.devices)
    if do.action == "output":
        state = Text("on", "开") if do.state else Text("off", "关")
        return Text(f"{do.number} {state.en} of {devices.en}", f"{do.number} {state.zh}:{devices.zh}")
    if do.action == "suppress":
        type = do.type or ""
        return Text(f"{type} of {devices.en}", f"{type_text(type).zh}:{devices.zh}")
    if do.action == "notify":
        return whom(do.target or "")
    return devices


def _devices(selector: Selector) -> Text:
    parts = [Text(", ".join(selector.ids), "、".join(selector.ids))] if selector.ids else []
    if selector.kind is not None:
        kind = _kind(selector.kind)
        parts.append(Text(f"every {kind.en}", f"所有{kind.zh}") if not selector.ids else kind)
    if selector.place == SAME_BUILDING:
        parts.append(Text("in the same building", "同一楼栋内"))
    elif selector.place is not None:
        parts.append(Text(f"in {selector.place}", f"{selector.place} 内"))
    return Text(" ".join(part.en for part in parts), "".join(part.zh for part in reversed(parts)))


def _kind(name: str) -> Text:
    kind = taxonomy.KINDS[name]
    return Text(kind.en, kind.zh)


def type_text(pattern: str) -> Text:
    """`fire.smoke`, `fire.*`, `*` in words; what is none of them, as it stands."""
    if pattern == "*":
        return Text("every event", "所有事件")
    row, category = taxonomy.TYPES.get(pattern), taxonomy.CATEGORIES.get(pattern.removesuffix(".*"))
    if row is not None:
        return row.label
    return Text(f"all of {category.en}", f"{category.zh}类") if category is not None else Text(pattern, pattern)


def whom(name: str) -> Text:
    """Whom a step or a rule tells: the page, its sound, else a contact or uplink by its name."""
    return TOLD.get(name, Text(name, name))


def hours_text(windows: Iterable[Window]) -> Text:
    """When something holds: days of the week, and from when until when."""
    said = []
    for days, start, end in windows:
        clock = f"{start // 60:02d}:{start % 60:02d}-{end // 60:02d}:{end % 60:02d}"
        named = _days(sorted(days))
        said.append((f"{named.en} {clock}", f"{named.zh} {clock}"))
    return Text("; ".join(en for en, _ in said), ";".join(zh for _, zh in said))


def _days(numbers: Sequence[int]) -> Text:
    """Monday to Friday in a row is a span."""
    if len(numbers) == len(DAYS):
        return Text("every day", "每天")
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        first, last = numbers[0], numbers[-1]
        return Text(f"on {DAYS[first]}-{DAYS[last]}", f"周{_DAYS_ZH[first]}至周{_DAYS_ZH[last]}")
    en, zh = ",".join(DAYS[day] for day in numbers), "、".join(_DAYS_ZH[day] for day in numbers)
    return Text(f"on {en}", f"周{zh}")


def _joined(parts: Iterable[Text]) -> Text:
    said = [part for part in parts if part.en]
    return Text(", ".join(part.en for part in said), ",".join(part.zh for part in said))
