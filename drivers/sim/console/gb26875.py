"""A transmission device moved by words: fires and faults of parts, states of the panel and of itself, the line."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from drivers._gb26875_frame import Code
from drivers.sim.console import Act, Stage, Tell, Words, on_off
from drivers.sim.gb26875 import POST_CHECK, POST_CHECK_ANSWER, SETTING, Quirks, Transmitter
from gateway.errors import Text

NORMAL = 1  # bit 0: running, not under test
HEARTBEAT_S = 20.0  # as real devices do
BITS = {"fire": 1, "fault": 2, "shielded": 3, "supervisory": 4, "started": 5, "feedback": 6, "power": 8}  # figure 9
DEVICE_BITS = {"fire": 1, "fault": 2, "mains": 3, "backup": 4, "channel": 5, "line": 6}  # figure 14
FLAGS = {"reset": 0, "silence": 1, "manual": 2, "cleared": 3, "selftest": 4, "answer": 5, "test": 6}  # figure 19
PARTS = {"smoke": 40, "heat": 30, "manual": 23, "gas": 10, "module": 85, "output": 86}  # table 5; or a number


@asynccontextmanager
async def stage(where: tuple[str, int], address: str, tell: Tell, udp: bool = False) -> AsyncIterator[Stage]:
    """One device that dials `where`, with its source address as 12 hexadecimal digits."""
    host, port = where
    utd = Transmitter(host, port, address, udp=udp, quirks=Quirks(heartbeat_s=HEARTBEAT_S, retry_s=1.0))
    console = _Console(utd, tell)
    utd.listeners.append(console.changed)
    listen = f"{'udp://' if udp else ''}0.0.0.0:{port}"
    config = f'devices:\n  - {{id: utd-sim, driver: gb26875, listen: "{listen}", address: "{address}", place: PLACE}}'
    at = f"{host}:{port}"
    async with utd, asyncio.TaskGroup() as group:
        title = Text(f"a transmission device that dials {at}", f"用户信息传输装置,连接 {at}")
        yield Stage(title, config, _acts(utd, console, group), console.finished)
        console.leave()


class _Console:
    """Tells what the centre says; knows the status words, so that single bits can be moved."""

    def __init__(self, utd: Transmitter, tell: Tell) -> None:
        self._utd, self._tell = utd, tell
        self._told = [0, 0, 0]
        self._words: dict[str, int] = {}
        self._under_way: set[asyncio.Task[bool]] = set()

    def changed(self) -> None:
        """Called by the device."""
        confirmed, failed, asked = self._utd.confirmed, self._utd.failed, self._utd.questions
        for frame in (frame for frame in confirmed[self._told[0] :] if frame.data):
            self._tell(Text(f"message {frame.serial} is confirmed", f"报文 {frame.serial} 已被确认"))
        for frame in failed[self._told[1] :]:
            self._tell(Text(f"message {frame.serial} was never confirmed", f"报文 {frame.serial} 未被确认"))
        for frame in asked[self._told[2] :]:
            self._tell(_asked(frame.command, frame.data[0] if frame.data else 0))
        self._told = [len(confirmed), len(failed), len(asked)]

    def word(self, whom: str, bit: int, on: bool) -> int:
        """The status word of `whom` once this bit is so."""
        word = self._words.get(whom, NORMAL)
        self._words[whom] = word = word | 1 << bit if on else word & ~(1 << bit)
        return word

    def send(self, group: asyncio.TaskGroup, message: Coroutine[None, None, bool]) -> None:
        """It is sent again until it is confirmed, while further words are taken."""
        task = group.create_task(message)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def leave(self) -> None:
        """What is not confirmed yet is given up."""
        for task in self._under_way:
            task.cancel()

    async def finished(self) -> None:
        """Everything is confirmed, or given up."""
        while self._under_way:
            await asyncio.wait(self._under_way)


def _asked(command: int, kind: int) -> Text:
    if kind == POST_CHECK:
        return Text("post check: type `answer` as the operator on duty", "查岗:输入 answer 表示值班人员应答")
    if kind == SETTING:
        return Text("its clock has been set", "时钟已被校准")
    verb = ("is asked for", "被读取") if command == Code.REQUEST else ("is ordered", "被控制")
    return Text(f"data type {kind} {verb[0]}", f"数据类型 {kind} {verb[1]}")


def _acts(utd: Transmitter, console: _Console, group: asyncio.TaskGroup) -> dict[str, Act]:
    def part(words: Words) -> None:
        kind, address, name, state, *text = words
        number_of = PARTS[kind] if kind in PARTS else int(kind)
        if len(bytes.fromhex(address)) != 4 or not 0 <= number_of <= 255:
            raise ValueError(address)
        word = console.word(address.upper(), BITS[name], on_off(state))
        console.send(group, utd.part(number_of, address, word, " ".join(text)))

    def panel(words: Words) -> None:
        name, state = words
        console.send(group, utd.system(console.word("panel", BITS[name], on_off(state))))

    def device(words: Words) -> None:
        name, state = words
        console.send(group, utd.device(console.word("device", DEVICE_BITS[name], on_off(state))))

    def operate(words: Words) -> None:
        (name,) = words
        console.send(group, utd.operate(1 << FLAGS[name]))

    def answer(_: Words) -> None:
        console.send(group, utd.operate(POST_CHECK_ANSWER))

    def send(words: Words) -> None:
        console.send(group, utd.say(bytes.fromhex("".join(words))))

    def noise(words: Words) -> None:
        utd.line.send(bytes.fromhex("".join(words)))

    def plugged(do: Callable[[], None]) -> Callable[[Words], None]:
        return lambda _: do()

    bits, device_bits, flags = "|".join(BITS), "|".join(DEVICE_BITS), "|".join(FLAGS)
    kinds = "|".join(PARTS)
    at = Text("a state of a part; its address: 8 hex digits", "部件状态;地址为 8 位十六进制")
    return {
        "part": Act(f"part {kinds}|NUMBER ADDRESS {bits} on|off [TEXT]", at, part),
        "panel": Act(f"panel {bits} on|off", Text("a state of the fire panel", "火灾报警控制器状态"), panel),
        "device": Act(f"device {device_bits} on|off", Text("a state of the device itself", "传输装置自身状态"), device),
        "operate": Act(f"operate {flags}", Text("somebody presses a button", "操作按键"), operate),
        "answer": Act("answer", Text("the operator answers a post check", "查岗应答"), answer),
        "send": Act("send HEX", Text("any application data", "发送任意应用数据"), send),
        "noise": Act("noise HEX", Text("bytes that are no frame", "发送杂乱字节"), noise),
        "unplug": Act("unplug", Text("the line is cut", "断开线路"), plugged(utd.line.unplug)),
        "plug": Act("plug", Text("the line is back", "恢复线路"), plugged(utd.line.plug)),
    }
