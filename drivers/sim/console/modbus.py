"""Modbus devices moved by words: conditions and values of their profiles, contacts, unplugging, bad wires."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

from drivers._modbus_profile import Profile, load
from drivers.sim.console import Act, Stage, Tell, Words, on_off
from drivers.sim.modbus import Edge, Line, Slave
from gateway.errors import Text
from gateway.fields import Wrong

PANEL_LOOPS = {1: 20, 2: 20}  # of a simulated panel: loop → points


@asynccontextmanager
async def stage(
    profiles: Sequence[str],
    addresses: Sequence[int],
    tell: Tell,
    tcp: tuple[str, int] | None = None,
    framing: Literal["tcp", "rtu"] = "tcp",
) -> AsyncIterator[Stage]:
    """Slaves on one line: a pty, or a TCP port; one profile for all, or one each. Wrong: no such profile."""
    if len(profiles) not in (1, len(addresses)):
        raise Wrong("give one profile, or one for each address", "请给出一个配置文件,或每个地址各一个")
    named = list(profiles) * len(addresses) if len(profiles) == 1 else list(profiles)
    slaves = [_slave(address, profile) for address, profile in zip(addresses, named, strict=True)]
    async with Line(*slaves, tcp=tcp, framing=framing if tcp else "rtu") as line:
        line.listeners.append(_Narrator(line, tell).changed)
        at = line.port or "{}:{}".format(*line.address)
        kinds = ", ".join(f"{profile}@{slave.address}" for profile, slave in zip(named, slaves, strict=True))
        title = Text(f"Modbus devices on {at}: {kinds}", f"Modbus 设备,位于 {at}:{kinds}")
        yield Stage(title, _config(line, named, framing), _acts(line))


def _slave(address: int, profile: str) -> Slave:
    try:
        panel = load(profile).points is not None
        return Slave(address, profile, PANEL_LOOPS if panel else None)
    except ValueError as error:
        raise Wrong(str(error), f"设备配置文件不可用:{error}") from error


def _config(line: Line, profiles: Sequence[str], framing: str) -> str:
    bus = f"tcp: {line.address[0]}:{line.address[1]}, framing: {framing}" if not line.port else f"serial: {line.port}"
    rows = [
        f"  - {{id: sim-{slave.address}, driver: modbus, bus: sim, address: {slave.address}, profile: {profile}, "
        + (f"loops: {{{_loops(slave)}}}, states: {{1: fire.panel}}, " if slave.loops else "")
        + "place: PLACE}"
        for slave, profile in zip(line.slaves.values(), profiles, strict=True)
    ]
    return "\n".join(["buses:", f"  sim: {{{bus}}}", "devices:", *rows])


def _loops(slave: Slave) -> str:
    return ", ".join(f"{loop}: {count}" for loop, count in slave.loops.items())


class _Narrator:
    """Tells what is new on the line: who is asked for the first time, and what the slaves cause."""

    def __init__(self, line: Line, tell: Tell) -> None:
        self._line, self._tell = line, tell
        self._told = 0
        self._heard: set[int] = set()

    def changed(self) -> None:
        """Called by the line."""
        for slave in self._line.slaves.values():
            if slave.requests and slave.address not in self._heard:
                self._heard.add(slave.address)
                self._tell(Text(f"address {slave.address} is being polled", f"地址 {slave.address} 正被轮询"))
        for edge in self._line.ledger[self._told :]:
            self._tell(_said(edge))
        self._told = len(self._line.ledger)


def _said(edge: Edge) -> Text:
    return Text(
        f"address {edge.address}: {edge.what} = {edge.value:g}", f"地址 {edge.address}:{edge.what} = {edge.value:g}"
    )


def _acts(line: Line) -> dict[str, Act]:
    def slave(words: Words) -> tuple[Slave, Words]:
        """The address may be left out where there is one slave only."""
        return line.slaves[int(words[0])], words[1:]

    def with_one(do: Callable[[Slave, Words], None], most: int) -> Callable[[Words], None]:
        def run(words: Words) -> None:
            alone = len(words) < most and len(line.slaves) == 1
            found, rest = (next(iter(line.slaves.values())), words) if alone else slave(words)
            if len(rest) != most - 1:
                raise ValueError(words)
            do(found, rest)

        return run

    acts = {
        "value": Act(
            "value ADDRESS NAME NUMBER", Text("set a measured value, in its unit", "设置测量值"), with_one(_value, 3)
        ),
        "input": Act(
            "input ADDRESS NUMBER on|off", Text("close or open a contact", "闭合或断开触点"), with_one(_input, 3)
        ),
        "unplug": Act("unplug ADDRESS", Text("it is silent from now on", "不再应答"), with_one(_unplug, 1)),
        "plug": Act("plug ADDRESS", Text("it is there again", "恢复应答"), with_one(_plug, 1)),
        "delay": Act("delay ADDRESS SECONDS", Text("answer late", "延迟应答"), with_one(_delay, 2)),
        "exception": Act(
            "exception ADDRESS CODE|0", Text("answer with an exception", "以异常码应答"), with_one(_fail, 2)
        ),
        "noise": Act("noise HEX", Text("bytes that nobody asked for", "在线路上发送杂乱字节"), partial(_noise, line)),
    }
    if any(slave.loops for slave in line.slaves.values()):
        shows = Text("a panel's point shows a value", "控制器某点的数值")
        acts["point"] = Act("point ADDRESS LOOP POINT VALUE", shows, with_one(_point, 4))
    if any(condition.latching for profile in _profiles(line) for condition in profile.conditions):
        acts["reset"] = Act("reset ADDRESS", Text("latched conditions let go", "复位自保持报警"), with_one(_reset, 1))
    for kind in _conditions(line):
        word = kind.rpartition(".")[2]
        what = Text(f"begin or end {kind}", f"触发或消除 {kind}")
        acts[word] = Act(f"{word} ADDRESS on|off", what, with_one(partial(_condition, kind), 2))
    return acts


def _conditions(line: Line) -> list[str]:
    return list(dict.fromkeys(condition.type for profile in _profiles(line) for condition in profile.conditions))


def _profiles(line: Line) -> list[Profile]:
    return [slave.profile for slave in line.slaves.values() if slave.profile is not None]


def _condition(kind: str, slave: Slave, words: Words) -> None:
    slave.set_condition(kind, on_off(words[0]))


def _value(slave: Slave, words: Words) -> None:
    slave.set_value(words[0], float(words[1]))


def _input(slave: Slave, words: Words) -> None:
    slave.set_input(int(words[0]), on_off(words[1]))


def _point(slave: Slave, words: Words) -> None:
    slave.set_point(*map(int, words))


def _reset(slave: Slave, _: Words) -> None:
    slave.reset()


def _unplug(slave: Slave, _: Words) -> None:
    slave.unplug()


def _plug(slave: Slave, _: Words) -> None:
    slave.plug()


def _delay(slave: Slave, words: Words) -> None:
    slave.delay_s = float(words[0])


def _fail(slave: Slave, words: Words) -> None:
    slave.exception = int(words[0]) or None


def _noise(line: Line, words: Words) -> None:
    line.put_noise(bytes.fromhex("".join(words)))
