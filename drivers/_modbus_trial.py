"""Tries a profile on a real device: reads each register once and says what it means. (An underscore: no driver.)

For whoever adds a detector without code: what answers, what it would be told as, and where else a register may be, for
manuals count from 1 and mix up functions. It only reads.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drivers._modbus_config import Config
from drivers._modbus_profile import Condition, Read, load, locate
from drivers._modbus_station import EXCEPTIONS
from drivers._modbus_values import Block, Sample, met, sample, sound
from drivers._modbus_wire import Peer, Refused, Silent, Wire, open_wire
from gateway.clock import Clock
from gateway.driver import Finding
from gateway.errors import Text
from gateway.fields import BusConfig, Wrong
from gateway.taxonomy import TYPES

OTHER = {1: 2, 2: 1, 3: 4, 4: 3}  # the function that reads the same kind of thing elsewhere
NOT_THERE = (1, 2)  # exceptions that mean: ask elsewhere
SURE: Mapping[str, Text] = {
    "certain": Text("certain", "可靠"),
    "single-source": Text("of one source: compare each value with the device", "仅有单一来源:请逐项与设备核对"),
    "memory": Text("from memory: believe nothing before you have triggered it", "凭记忆:触发验证之前不要相信"),
}
SILENT = Text(
    "no answer: is the address right? the baud rate? are A and B swapped?", "无应答:请检查地址、波特率、A/B 线"
)
NORMAL = Text("normal", "正常")
UNKNOWN = Text("nobody says what this means: it is told as device.unmapped", "含义未定义:将作为 device.unmapped 上报")
MEASURED = Text("a value that is only looked at", "仅读取的数值")
BAD = Text("not a number: type: or words: is wrong", "不是有效数值:type: 或 words: 有误")


def described(name: str, keys: Mapping[str, Any]) -> Config:
    """A device of this profile (a name, or a file), with further keys of its own. Wrong: all that is wrong with it."""
    located = locate(name, Path())
    load(located)
    base = {"id": "trial", "driver": "modbus", "place": "trial", "bus": "trial", "address": 1, "profile": located}
    try:
        return Config.model_validate({**base, **keys})
    except ValidationError as exc:
        told = [_told(error) for error in exc.errors(include_url=False)]
        raise Wrong("; ".join(text.en for text in told), ";".join(text.zh for text in told)) from exc


def _told(error: Any) -> Text:
    where = "".join(f"{step}." for step in error["loc"])[:-1]
    text = getattr(error.get("ctx", {}).get("error"), "text", Text(error["msg"], error["msg"]))
    return Text(f"{where}: {text.en}", f"{where}: {text.zh}") if where else text


def explained(name: str, keys: Mapping[str, Any]) -> list[Text]:
    """What a profile is, before anything is asked. Wrong: all that is wrong with it."""
    config = described(name, keys)
    profile, requests = config.map, len(config.blocks)
    sure = SURE[profile.confidence]
    return [
        Text(f"{profile.title.en} (kind {profile.kind})", f"{profile.title.zh}(类型 {profile.kind})"),
        Text(f"the map is {sure.en}; source: {profile.source}", f"寄存器表{sure.zh};来源:{profile.source}"),
        Text(
            f"values: {len(config.reads)}, requests: {requests}, every {config.poll_s:g} s",
            f"{len(config.reads)} 个数值,{requests} 次请求,每 {config.poll_s:g} 秒一轮",
        ),
    ]


async def trial(
    name: str, bus: BusConfig, keys: Mapping[str, Any], clock: Clock, rounds: int | None = 1
) -> AsyncIterator[list[Finding]]:
    """Reads all of it, `rounds` times (None: for ever), each as often as the profile says. Wrong, Unreachable."""
    config = described(name, keys)
    async with open_wire("profile", bus, clock) as wire:
        done = 0
        while rounds is None or done < rounds:
            yield [finding async for finding in _round(wire, config)]
            done += 1
            if done != rounds:
                await clock.sleep(config.poll_s)


async def _round(wire: Wire, config: Config) -> AsyncIterator[Finding]:
    for block in config.blocks:
        try:
            words = await wire.read(config.peer, block)
        except Silent:
            yield Finding("", _where(block), "", "", SILENT, good=False)
        except Refused as refusal:
            yield Finding("", _where(block), "", "", await _refused(wire, config.peer, block, refusal), good=False)
        else:
            for finding in _findings(config, block, words):
                yield finding


def _where(block: Block) -> str:
    last = block.address + block.count - 1
    return f"F{block.function} 0x{block.address:04X}" + (f"-0x{last:04X}" if block.count > 1 else "")


def _findings(config: Config, block: Block, words: Sequence[int]) -> Iterator[Finding]:
    for read in config.layout[block]:
        value = sample(read, block, words)
        raw = f"{value.raw:g}" if isinstance(value.raw, float) else f"{value.raw} (0x{value.raw & 0xFFFFFFFF:X})"
        shown = f"{value.value:g} {read.unit}".rstrip() if sound(value) else "NaN"
        meaning, good = _meaning(read, value, config.meant.get(read.name, ()))
        yield Finding(read.name, f"F{read.function} 0x{read.address:04X}", raw, shown, meaning, good)


def _meaning(read: Read, value: Sample, conditions: Sequence[Condition]) -> tuple[Text, bool]:
    if not sound(value):
        return BAD, False
    active = [condition for condition in conditions if met(condition, value) != condition.inverted]
    if active:
        return _both("; ", [_begins(condition) for condition in active]), True
    if read.normal and value.raw not in read.normal:
        return UNKNOWN, False
    if conditions:
        return _both("", [NORMAL, *(_limit(condition, read) for condition in conditions)]), True
    return (NORMAL if read.normal else MEASURED), True


def _begins(condition: Condition) -> Text:
    label, reads = TYPES[condition.type].label, condition.debounce
    return Text(
        f"{condition.type} ({label.en}) after {reads} such reads", f"{condition.type}({label.zh}),连续 {reads} 次后报警"
    )


def _limit(condition: Condition, read: Read) -> Text:
    kind, unit = condition.type, f" {read.unit}".rstrip()
    if condition.above is not None:
        return Text(f"; {kind} from {condition.above:g}{unit}", f";达到 {condition.above:g}{unit} 为 {kind}")
    if condition.below is not None:
        return Text(f"; {kind} down from {condition.below:g}{unit}", f";降到 {condition.below:g}{unit} 为 {kind}")
    return Text("", "")


def _both(between: str, texts: Sequence[Text]) -> Text:
    return Text(between.join(text.en for text in texts), between.join(text.zh for text in texts))


async def _refused(wire: Wire, peer: Peer, block: Block, refusal: Refused) -> Text:
    why = EXCEPTIONS.get(refusal.code, f"exception {refusal.code}")
    found = await _elsewhere(wire, peer, block) if refusal.code in NOT_THERE else []
    hint = ", ".join(f"{_where(other)} = {words[0]}" for other, words in found)
    more = Text(f"; there is an answer at {hint}: is it that one?", f";以下位置有应答:{hint},是否应为其中之一?")
    plain = Text(f"the device refuses this ({why})", f"设备拒绝此请求({why})")
    return _both("", [plain, more]) if found else plain


async def _elsewhere(wire: Wire, peer: Peer, block: Block) -> list[tuple[Block, list[int]]]:
    """Manuals count from 1, and mix up functions: what answers nearby."""
    other = OTHER[block.function]
    near = [
        replace(block, function=function, address=block.address + step)
        for function in (block.function, other)
        for step in (0, -1, 1)
        if 0 <= block.address + step <= 0xFFFF and (function, step) != (block.function, 0)
    ]
    found = []
    for each in near:
        try:
            found.append((each, await wire.read(peer, each)))
        except (Refused, Silent):
            continue
    return found
